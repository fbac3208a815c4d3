"""Runs to GGUF files: one file for llama.cpp, Ollama and LM Studio.

    export_gguf(open_run("runs/verse"), Path("verse.gguf"), "f16")

The inverse of gguf.py, by the same tables: Hugging Face's names become GGUF's, query and key rows
of a llama file are permuted, GPT-2's matrices are turned. A LoRA run is merged into its parent. An
embedding scale goes into the table, which then is no longer the head's.

Matrices are written in fp32, in fp16 or in Q8_0 (blocks of 32 numbers of 8 bits with one scale);
vectors, and GPT-2's table of positions, stay in fp32 as in llama.cpp's own converter. A matrix
whose rows do not divide into blocks of 32 is written in fp16 instead of Q8_0.

Not written: relu2, for which llama.cpp has no graph with q/k norms. Specification: the ggml
project, docs/gguf.md; names and layouts: llama.cpp, convert_hf_to_gguf.py.
"""

import os
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from tinylm.config import ModelConfig
from tinylm.formats.gguf import BLOCK, GPT2_BLOCK, GPT2_OUTSIDE, GPT2_SETTINGS, OUTSIDE, SETTINGS
from tinylm.formats.gguf_vocabulary import gguf_vocabulary, special_ids
from tinylm.formats.huggingface import family_of, to_hf_config, to_hf_weights
from tinylm.runs import Run, temporary
from tinylm.text.tokenizers import Tokenizer
from tinylm.training.load import chat_template, load_model

Kind = Literal["f32", "f16", "q8_0"]
FILE_TYPES = {"f32": 0, "f16": 1, "q8_0": 7}  # general.file_type
BLOCK_SIZE = 32  # numbers that share a scale in Q8_0
KEPT = ("position_embd.weight",)  # added to the input, not multiplied: fp32
MAGIC = b"GGUF"


def export_gguf(run: Run, out: Path, kind: Kind = "f32") -> Path:
    """Write `run` to the file `out`; returns `out`.

    An older GGUF file is replaced once the new one is whole. ValueError in one line where llama.cpp
    cannot run the shape or the tokenizer, or where `out` is something else.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"type {kind!r} is none of {', '.join(get_args(Kind))}")
    check_target(out)
    check_shape(run.model_config)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_file(run, temporary(out), kind)
        temporary(out).replace(out)
    finally:
        temporary(out).unlink(missing_ok=True)  # left over only after an error
    return out


def check_target(out: Path) -> None:
    """ValueError where `out` is a folder, or a file that is no GGUF file."""
    if out.is_dir():
        raise ValueError(f"{out} is a folder: give a file, such as {out / 'model.gguf'}")
    if out.is_file():
        with out.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError(f"{out} exists and is no GGUF file: choose another --out")


def check_shape(config: ModelConfig) -> None:
    """ValueError where llama.cpp has no graph for a shape."""
    kind = family_of(config)
    if config.mlp == "relu2":
        raise ValueError(
            f"llama.cpp computes a {kind} model with model.mlp = 'swiglu' only, not 'relu2': "
            "export it with --to hf, or train with swiglu"
        )


def write_file(run: Run, path: Path, kind: Kind) -> None:
    """The file with its three parts: settings, tokenizer, tensors."""
    try:
        from gguf import GGUFWriter
    except ImportError:
        raise ValueError(
            'writing GGUF needs one more package: pip install "tinylm[gguf]"'
        ) from None
    model, tokenizer, recipe = load_model(run)
    architecture, template = family_of(model.config), chat_template(run)
    writer = GGUFWriter(path, architecture)
    try:
        writer.add_name(run.name)
        writer.add_file_type(FILE_TYPES[kind])
        writer.add_quantization_version(2)
        add_settings(writer, architecture, model.config)
        add_tokenizer(writer, tokenizer, template)
        writer.add_add_bos_token(recipe.corpus.document_token)
        weights = {name: w.detach() for name, w in model.named_parameters()}
        del model
        add_tensors(writer, run.model_config, weights, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        for file in writer.fout or []:
            file.flush()
            os.fsync(file.fileno())  # else the rename may reach the disk before the content does
    finally:
        writer.close()


def add_settings(writer: Any, architecture: str, config: ModelConfig) -> None:
    """The shape, by the names that the reader knows."""
    settings = to_hf_config(config)
    for name, key in (GPT2_SETTINGS if architecture == "gpt2" else SETTINGS).items():
        add = writer.add_uint32 if isinstance(settings[name], int) else writer.add_float32
        add(f"{architecture}.{key}", settings[name])
    writer.add_vocab_size(config.vocab_size)
    if architecture != "gpt2":
        writer.add_value_length(config.head_dim)
        writer.add_rope_dimension_count(config.head_dim)


def add_tokenizer(writer: Any, tokenizer: Tokenizer, template: str | None) -> None:
    """The tokenizer, the ids that begin and end a text, and the chat template."""
    vocabulary = gguf_vocabulary(tokenizer)
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.model == "gpt2":
        writer.add_token_merges(vocabulary.merges)
    else:
        # No two tokens ever merge, so their scores decide nothing; the file format wants them.
        writer.add_token_scores([0.0] * len(vocabulary.tokens))
        writer.add_add_space_prefix(False)
    ids = special_ids(tokenizer, chat=template is not None)
    add_id = {"bos": writer.add_bos_token_id, "eos": writer.add_eos_token_id}
    for mark, id in ids.items():
        add_id.get(mark, writer.add_unk_token_id)(id)
    if template is not None:
        writer.add_chat_template(template)


def add_tensors(
    writer: Any, config: ModelConfig, weights: dict[str, torch.Tensor], kind: Kind
) -> None:
    """The weights, one tensor each."""
    architecture = family_of(config)
    heads = {"attn_q": config.heads, "attn_k": config.kv_heads}
    hf_weights = to_hf_weights(config, weights)
    for hf_name in list(hf_weights):
        name = gguf_name(architecture, hf_name)
        array = hf_weights.pop(hf_name).float().numpy()
        part = name.split(".")[2] if name.startswith("blk.") else ""
        if architecture == "llama" and part in heads:
            array = neighbours(array, heads[part])
        if architecture == "gpt2" and array.ndim == 2 and part:
            array = array.T  # Hugging Face keeps GPT-2's matrices as (in, out)
        add_tensor(writer, name, np.ascontiguousarray(array), kind)


def add_tensor(writer: Any, name: str, array: np.ndarray, kind: Kind) -> None:
    """One tensor in the type that is meant for it."""
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    if array.ndim < 2 or name in KEPT or kind == "f32":
        writer.add_tensor(name, array)
    elif kind == "q8_0" and array.shape[-1] % BLOCK_SIZE == 0:
        q8_0 = GGMLQuantizationType.Q8_0
        writer.add_tensor(name, quantize(array, q8_0), raw_dtype=q8_0)
    else:
        writer.add_tensor(name, array.astype(np.float16))


def gguf_name(architecture: str, hf_name: str) -> str:
    """The name in the file of a tensor of Hugging Face's.

    >>> gguf_name("llama", "model.layers.3.self_attn.q_proj.weight")
    'blk.3.attn_q.weight'
    """
    gpt2 = architecture == "gpt2"
    outside = {theirs: own for own, theirs in (GPT2_OUTSIDE if gpt2 else OUTSIDE).items()}
    if hf_name in outside:
        return outside[hf_name]
    block = {theirs: own for own, theirs in (GPT2_BLOCK if gpt2 else BLOCK).items()}
    _, _, number, *part, ending = hf_name.split(".")
    return f"blk.{number}.{block['.'.join(part)]}.{ending}"


def neighbours(rows: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's permutation of the rows (heads x D, in) of a query or key matrix.

    The partners of a rotation, i and i + D/2 of a head, become neighbours, 2i and 2i + 1: the
    inverse of `gguf.halves_apart`.

    >>> neighbours(np.array([[0], [1], [2], [3]]), heads=1).ravel().tolist()
    [0, 2, 1, 3]
    """
    halves = rows.reshape(heads, 2, -1, *rows.shape[1:])  # (heads, 2, D/2, in)
    return halves.swapaxes(1, 2).reshape(rows.shape)
