"""GGUF files in: models as llama.cpp, Ollama and LM Studio keep them, in one file.

    model = read_gguf(Path("SmolLM2-135M-Instruct.Q4_1.gguf"))

A GGUF file holds settings, tokenizer and tensors under names of its own (specification: the ggml
project, docs/gguf.md). The library `gguf` reads it and turns quantised tensors back into numbers;
here everything gets the names of Hugging Face, so that formats/folders.py imports the result like
any folder.

Two layouts differ. Llama's query and key rows are permuted, since llama.cpp turns neighbours
(2i, 2i + 1) where Hugging Face turns halves (i, i + D/2); and GPT-2's matrices lie as (out, in).

Trade-offs: numbers that were rounded to 4 bits stay rounded; in fp32 they take eight times their
room. The file is mapped, not read, so nothing that it claims is believed beyond its own length.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tinylm.config import closest
from tinylm.formats.gguf_vocabulary import tokenizer_json

MOST_TIMES = 21  # fp32 may take so many times a tensor's room in the file: IQ1_S has 1.6 bits

# Settings: Hugging Face's name -> the key behind the architecture's name.
SETTINGS = {
    "num_hidden_layers": "block_count",
    "max_position_embeddings": "context_length",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "rope_theta": "rope.freq_base",
    "head_dim": "attention.key_length",
}
GPT2_SETTINGS = {
    "n_layer": "block_count",
    "n_positions": "context_length",
    "n_embd": "embedding_length",
    "n_inner": "feed_forward_length",
    "n_head": "attention.head_count",
    "layer_norm_epsilon": "attention.layer_norm_epsilon",
}

# Tensors: the name in the file -> Hugging Face's; {} is the block's number.
OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
GPT2_OUTSIDE = {
    "token_embd.weight": "transformer.wte.weight",
    "position_embd.weight": "transformer.wpe.weight",
    "output_norm.weight": "transformer.ln_f.weight",
    "output_norm.bias": "transformer.ln_f.bias",
    "output.weight": "lm_head.weight",
}
GPT2_BLOCK = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}


@dataclass(frozen=True)
class GgufModel:
    """A GGUF file in Hugging Face's terms."""

    config: dict[str, Any]  # as in config.json
    weights: dict[str, Tensor]  # fp32, by Hugging Face's names
    tokenizer: str  # the content of a tokenizer.json
    chat_template: str | None  # Jinja, where the model was made for conversations


def read_gguf(path: Path) -> GgufModel:
    """The model in a GGUF file; ValueError in one line where it cannot be taken over."""
    try:
        from gguf import GGUFReader
    except ImportError:
        advice = 'pip install "tinylm[gguf,hf]"'
        raise ValueError(f"{path}: reading GGUF needs one more package: {advice}") from None
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        reader = GGUFReader(path)
        metadata = {name: field.contents() for name, field in reader.fields.items()}
        check_size(reader, path.stat().st_size)
        kind = metadata.get("general.architecture")
        check_computable(str(kind), metadata, {tensor.name for tensor in reader.tensors})
        config = settings(str(kind), metadata, reader)
        weights = tensors(str(kind), config, reader)
        return GgufModel(
            config, weights, tokenizer_json(metadata), metadata.get("tokenizer.chat_template")
        )
    # The reader trusts the file: a cut or forged one fails in any of a dozen ways.
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        what = "" if isinstance(error, ValueError) else "not a readable GGUF file: "
        raise ValueError(f"{path}: {what}{reason}") from None


def check_size(reader: Any, length: int) -> None:
    """ValueError where the tensors would take far more memory than the file can honestly hold."""
    numbers = sum(int(tensor.n_elements) for tensor in reader.tensors)
    if 4 * numbers > MOST_TIMES * length:
        raise ValueError(f"its tensors claim {numbers:,} numbers, in {length:,} bytes")


def check_computable(kind: str, metadata: dict[str, Any], names: set[str]) -> None:
    """ValueError where a model computes something that TinyLM does not, or is only a part of one.

    Positions that are stretched for longer texts show in `rope.scaling.type`, and in Llama 3.1 in a
    tensor of factors. Left out without a word, they would change what every position sees.
    """
    if (parts := int(metadata.get("split.count") or 1)) > 1:
        number = int(metadata.get("split.no") or 0) + 1
        advice = "join them first: llama-gguf-split --merge FIRST_PART OUT"
        raise ValueError(f"this is part {number} of {parts} of a model; {advice}")
    stretched = metadata.get(f"{kind}.rope.scaling.type", "none")
    if "rope_freqs.weight" in names:
        stretched = "llama3 (rope_freqs.weight)"
    if stretched != "none":
        raise ValueError(f"rope scaling {stretched!r}: TinyLM rotates by rope.freq_base alone")


def settings(kind: str, metadata: dict[str, Any], reader: Any) -> dict[str, Any]:
    """The settings as in config.json."""
    known = {"llama": SETTINGS, "qwen3": SETTINGS, "gpt2": GPT2_SETTINGS}
    if kind not in known:
        hint = closest(kind, list(known))
        raise ValueError(f"architecture {kind!r}{hint}; TinyLM reads {', '.join(known)}")
    values = {name: metadata.get(f"{kind}.{key}") for name, key in known[kind].items()}
    config = {name: value for name, value in values.items() if value is not None}
    names = {tensor.name for tensor in reader.tensors}
    config["model_type"] = kind
    config["vocab_size"] = len(metadata["tokenizer.ggml.tokens"])
    config["tie_word_embeddings"] = "output.weight" not in names
    for mark in ("bos", "eos"):
        config[f"{mark}_token_id"] = metadata.get(f"tokenizer.ggml.{mark}_token_id")
    if kind != "gpt2":
        config["hidden_act"] = "silu"
        config["attention_bias"] = "blk.0.attn_q.bias" in names
        config["mlp_bias"] = "blk.0.ffn_up.bias" in names
    return config


def tensors(kind: str, config: dict[str, Any], reader: Any) -> dict[str, Tensor]:
    """The weights by Hugging Face's names, in fp32."""
    from gguf.quants import dequantize

    heads = config.get("num_attention_heads", 0)
    turned = {"attn_q": heads, "attn_k": config.get("num_key_value_heads", heads)}
    weights: dict[str, Tensor] = {}
    for tensor in reader.tensors:
        array = np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        part = tensor.name.split(".")[2] if tensor.name.startswith("blk.") else ""
        if kind == "llama" and part in turned:
            array = halves_apart(array, turned[part])
        if kind == "gpt2" and array.ndim == 2 and part:
            array = array.T  # Hugging Face keeps GPT-2's matrices as (in, out)
        weights[hf_name(kind, tensor.name)] = torch.from_numpy(np.array(array, order="C"))
    return weights


def hf_name(kind: str, name: str) -> str:
    """Hugging Face's name of a tensor.

    >>> hf_name("llama", "blk.3.attn_q.weight")
    'model.layers.3.self_attn.q_proj.weight'
    """
    outside, block = (GPT2_OUTSIDE, GPT2_BLOCK) if kind == "gpt2" else (OUTSIDE, BLOCK)
    if name in outside:
        return outside[name]
    _, number, part, ending = name.split(".")
    body = "transformer.h" if kind == "gpt2" else "model.layers"
    return f"{body}.{number}.{block[part]}.{ending}"


def halves_apart(rows: np.ndarray, heads: int) -> np.ndarray:
    """Undo llama.cpp's permutation of the rows (heads x D, in) of a query or key matrix.

    In the file the partners of a rotation are neighbours, row 2i and row 2i + 1 of a head; here
    they are i and i + D/2.

    >>> halves_apart(np.array([[0], [2], [1], [3]]), heads=1).ravel().tolist()
    [0, 1, 2, 3]
    """
    pairs = rows.reshape(heads, -1, 2, *rows.shape[1:])  # (heads, D/2, 2, in)
    return pairs.swapaxes(1, 2).reshape(rows.shape)
