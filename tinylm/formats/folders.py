"""Runs to Hugging Face folders and back: what takes a run into the wider world, and an open
checkpoint into this one.

    export_run(open_run("runs/verse"), Path("verse-hf"))
      AutoModelForCausalLM.from_pretrained("verse-hf")
    import_folder(Path("gpt2"), Path("runs/gpt2"))              tinylm train demo-verse --start-from
      runs/gpt2

An export needs no custom code to load. A LoRA run becomes a PEFT adapter, with the model that it
belongs to in base/. An import is a run at step 0: it can be sampled, judged and fine-tuned. Since
the text that it learned from is not here, it is judged on a text of ours, and what a fine-tune
forgets is measured on that.

Only safetensors are read: a pickled `.bin` can run code when it is opened. Names and layouts:
model/huggingface.py and text/tokenizer_json.py.
"""

import errno
import platform
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from tinylm.config import CorpusConfig, ModelConfig, Recipe, SampleConfig
from tinylm.corpora.build import Split, encode, split_corpus, text_hash, within
from tinylm.evaluation.likelihood import measure
from tinylm.files import make_folder, write_text
from tinylm.formats.huggingface import (
    FAMILIES,
    family_of,
    from_hf_config,
    from_hf_weights,
    to_hf_config,
    to_hf_weights,
    to_peft,
)
from tinylm.formats.tokenizer_json import first_id, from_library, to_library
from tinylm.model.device import choose_compute
from tinylm.model.size import size_of
from tinylm.runs import (
    FORMAT,
    Run,
    append_line,
    file_entry,
    open_run,
    read_json,
    save_files,
    sha256_of,
    temporary,
    write_json,
)
from tinylm.text.token_files import write_ids
from tinylm.text.tokenizers import DOCUMENT, Tokenizer
from tinylm.training.checkpoint import model_files, weights_file
from tinylm.training.folders import create_folder, remove_folder
from tinylm.training.load import CHAT_TEMPLATE, load_model, read_tensors, token_file
from tinylm.training.parents import parent_of
from tinylm.version import __version__

# of the text that an import is judged on: seconds for a model of 100 million parameters
JUDGED_BYTES = 20_000
# longest sequence of an import where its own is longer: key-value caches and batches grow with it
CONTEXT = 1024


# -- export ---------------------------------------------------------------------------------------


def export_run(run: Run, out: Path) -> None:
    """Write `run` to the new folder `out` for `transformers`, or for PEFT where it is a LoRA run.

    Raises ValueError where no Hugging Face class has its shape (naming the field) or where `out` is
    not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists: choose another --out, or delete it")
    family_of(run.model_config)  # refused before anything is written
    part = temporary(out)
    shutil.rmtree(part, ignore_errors=True)  # of an export that was killed
    made = make_folder(part)
    try:
        write_export(run, part, out)
        if out.exists():
            out.rmdir()  # it is empty
        part.replace(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        for folder in made[1:]:
            folder.rmdir()
        raise


def write_export(run: Run, out: Path, place: Path) -> None:
    """All files of an export, into an empty folder that is going to stand at `place`."""
    if run.recipe.lora is None:
        write_model(run, out)
        write_text(out / "README.md", card(run))
        return
    config = run.model_config
    (out / "base").mkdir()
    write_export(parent_of(run), out / "base", place / "base")
    path = run.path(weights_file(run.recipe))
    settings, tensors = to_peft(config, run.recipe.lora, read_tensors(path)[0])
    settings["base_model_name_or_path"] = str((place / "base").resolve())
    write_json(out / "adapter_config.json", settings)
    save_weights(tensors, out / "adapter_model.safetensors")
    write_tokenizer(run, load_model(run).tokenizer, out)
    write_text(out / "README.md", card(run))


def write_model(run: Run, out: Path) -> None:
    """Weights, shape, tokenizer and sampling settings."""
    model, tokenizer, recipe = load_model(run)
    weights = to_hf_weights(
        model.config, {name: w.detach() for name, w in model.named_parameters()}
    )
    save_weights(weights, out / "model.safetensors")
    ids = document_ids(tokenizer)
    write_json(out / "config.json", {**to_hf_config(model.config), **ids})
    sampling = recipe.sample.sampling
    drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "min_p": sampling.min_p}
    write_json(
        out / "generation_config.json",
        {
            **ids,
            "max_new_tokens": recipe.sample.tokens,
            "repetition_penalty": sampling.repetition_penalty,
            # 0: no limit; theirs would be 50
            "do_sample": sampling.temperature > 0,
            "top_k": sampling.top_k or 0,
            **(drawn if sampling.temperature > 0 else {}),
        },
    )
    write_tokenizer(run, tokenizer, out)


def document_ids(tokenizer: Tokenizer) -> dict[str, int | None]:
    """The id that begins a document, which also ends the one before it."""
    id = tokenizer.special_ids.get(DOCUMENT)
    return {"bos_token_id": id, "eos_token_id": id, "pad_token_id": id}


def write_tokenizer(run: Run, tokenizer: Tokenizer, out: Path) -> None:
    """Write tokenizer.json, and the settings that transformers reads beside it."""
    content = to_library(tokenizer)
    write_json(out / "tokenizer.json", content)
    name = next(
        (
            t["content"]
            for t in content["added_tokens"]
            if t["id"] == tokenizer.special_ids.get(DOCUMENT)
        ),
        None,
    )
    marks = {f"{kind}_token": name for kind in ("bos", "eos", "pad") if name}
    write_json(
        out / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": run.model_config.context,
            "clean_up_tokenization_spaces": False,
            **marks,
        },
    )


def card(run: Run) -> str:
    """The model card: what the run folder records, in Hugging Face's form."""
    recipe, manifest, config = run.recipe, run.manifest, run.model_config
    best = manifest["best"]
    adapter = recipe.lora is not None
    start = (
        "`<|document|>` and then the text" if recipe.corpus.document_token else "the text as it is"
    )
    parent = manifest.get("parent") or {}
    facts = {
        "kind": f"LoRA adapter of rank {recipe.lora.rank} for the model in `base/`"
        if recipe.lora
        else f"{FAMILIES[family_of(config)].architecture}, {size_of(config).total:,} parameters",
        "context": f"{config.context} tokens; it has seen nothing longer",
        "text": f"{Path(recipe.corpus.text).name}, SHA-256 `{manifest['corpus_sha256']}`",
        "started from": f"run `{Path(parent['path']).name}`, fingerprint `{parent['fingerprint']}`"
        if parent
        else "random weights"
        if manifest["status"] != "imported"
        else "an imported checkpoint, not trained further",
        "training": f"{manifest['step']:,} steps, {manifest['tokens']:,} tokens, "
        f"{manifest['flops']:.3g} floating-point operations, {manifest['seconds'] / 60:.1f} "
        f"minutes on {manifest['device']}",
        "validation": f"{best['bits_per_byte']:.4f} bits per byte, {best['nats_per_token']:.4f} "
        f"nats per token (step {best['step']}, in windows of {best['context']} tokens)",
        "prompts": f"begin with {start}",
        "versions": ", ".join(
            f"{name} {version}" for name, version in manifest["versions"].items()
        ),
    }
    library = "peft\nbase_model: base" if adapter else "transformers"
    return (
        f"---\nlibrary_name: {library}\npipeline_tag: text-generation\ntags: [tinylm]\n---\n\n# "
        f"{run.name}\n\n"
        f"{recipe.purpose or 'A language model'}. Trained with TinyLM {__version__}.\n\n| "
        "| |\n|---|---|\n"
        + "".join(f"| {name} | {fact} |\n" for name, fact in facts.items())
        + "\nA small model of one text: it repeats the text's manner and errors, and knows "
        "nothing else. The text's licence decides what may be done with it.\n"
    )


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file; OSError where the disk is full, which the library reports as its
    own."""
    try:
        save_file(weights, path, {"format": "pt"})
    except SafetensorError as error:
        raise OSError(errno.ENOSPC, str(error), str(path)) from None


# -- import ---------------------------------------------------------------------------------------


def import_folder(source: Path, out: Path, text: str = "handbook", context: int = CONTEXT) -> Run:
    """Make the run folder `out` from a GPT-2, Llama or Qwen3 folder, or from a GGUF file.

    The model is judged on `text`. Sequences are cut to `context` tokens where the model allows
    more. Raises ValueError naming the file, setting or weight that cannot be taken over; nothing is
    left behind then.
    """
    is_gguf = source.is_file() and source.suffix == ".gguf"
    parts = gguf_parts(source) if is_gguf else folder_parts(source)
    try:
        family, config = from_hf_config(parts.config, context)
        weights = from_hf_weights(family, config, parts.weights)
        tokenizer, begins = tokenizer_of(parts.tokenizer, parts.config, config)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{source}: {error}") from None
    recipe = Recipe(
        name=out.name,
        purpose=f"{family.architecture} imported from {source.resolve().name}",
        model=config,
        corpus=CorpusConfig(text=text, document_token=begins),
        sample=SampleConfig(prompts=("The ",)),
    )
    judged = split_corpus(recipe.corpus)  # refused before anything is written
    create_folder(out)
    try:
        write_data(out / "data", judged, tokenizer, begins)
        if parts.chat_template:
            write_text(out / CHAT_TEMPLATE, parts.chat_template)
        origin = {path.name: sha256_of(path, path.stat().st_size) for path in parts.files}
        facts = {"corpus_sha256": text_hash(judged), "source": origin}
        save_import(out, recipe, weights, tokenizer, facts)
        return judge(open_run(out))
    except BaseException:
        # Windows keeps files that are mapped; without a manifest they are no run.
        with suppress(OSError):
            remove_folder(out)
            out.rmdir()
        raise


def write_data(folder: Path, judged: Split, tokenizer: Tokenizer, document_token: bool) -> None:
    """The token files of an imported run: the text it is judged on, and none that it learned
    from."""
    write_ids(folder / "train", [])
    ids = encode(judged, lambda: within(judged.valid(), JUDGED_BYTES), tokenizer, document_token)
    write_ids(folder / "valid", ids)


@dataclass(frozen=True)
class Parts:
    """A model in Hugging Face's terms, wherever it came from."""

    config: dict[str, Any]  # as in config.json
    weights: dict[str, Tensor]
    tokenizer: str  # the content of a tokenizer.json
    chat_template: str | None
    files: tuple[Path, ...]  # what it was read from


def folder_parts(source: Path) -> Parts:
    """The parts of a folder in Hugging Face's format."""
    settings = read_json(source / "config.json")
    if not isinstance(settings, dict):
        raise ValueError(f"{source / 'config.json'}: not the settings of a model")
    paths = weight_files(source)
    weights = {name: w for path in paths for name, w in read_tensors(path)[0].items()}
    path = source / "tokenizer.json"
    if not path.is_file():
        advice = "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        raise ValueError(f"{path} is missing; write it with transformers: {advice}")
    template = source / "chat_template.jinja"
    chat = template.read_text(encoding="utf-8") if template.is_file() else None
    files = (source / "config.json", *paths)
    return Parts(settings, weights, path.read_text(encoding="utf-8"), chat, files)


def gguf_parts(file: Path) -> Parts:
    """The parts of a GGUF file."""
    from tinylm.formats.gguf import read_gguf

    model = read_gguf(file)
    return Parts(model.config, model.weights, model.tokenizer, model.chat_template, (file,))


def judge(run: Run) -> Run:
    """Score an imported run on its validation text, as the record of step 0."""
    model, tokenizer, _ = load_model(run)
    score = measure(model, token_file(run, "valid"), tokenizer, choose_compute("cpu", "fp32"))
    best = {
        "step": 0,
        "nats_per_token": score.nats_per_token,
        "bits_per_byte": score.bits_per_byte,
        "tokens": score.tokens,
        "context": score.context,
    }
    append_line(run.folder / "metrics.jsonl", {"kind": "valid", **best})
    save_files(run.folder, {}, {**run.manifest, "best": best})
    return open_run(run.folder)


def weight_files(source: Path) -> list[Path]:
    """The safetensors files of a folder, all shards of them; ValueError where there are none, or
    one is missing."""
    index = source / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file():
        names = sorted({Path(name).name for name in read_json(index)["weight_map"].values()})
    missing = [name for name in names if not (source / name).is_file()]
    if missing and any(source.glob("*.bin")):
        raise ValueError(
            f"{source} holds pickled weights (.bin), which can run code when opened. Where you "
            "trust them, convert: "
            "transformers.AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)"
        )
    if missing:
        raise ValueError(f"{source}: {', '.join(missing)} is missing")
    return [source / name for name in names]


def tokenizer_of(
    content: str, settings: dict[str, Any], config: ModelConfig
) -> tuple[Tokenizer, bool]:
    """The tokenizer in a tokenizer.json, and whether it puts a token before every text."""
    first = first_id(content)
    # What stands between documents.
    marks = (first, settings.get("bos_token_id"), settings.get("eos_token_id"))
    begin = next((id for id in marks if isinstance(id, int)), None)
    return from_library(content, config.vocab_size, begin), first is not None


def save_import(
    out: Path,
    recipe: Recipe,
    weights: dict[str, Tensor],
    tokenizer: Tokenizer,
    origin: dict[str, Any],
) -> None:
    """Write the files of an imported run: large weights straight to the disk, the manifest last."""
    name = weights_file(recipe)
    save_weights(weights, out / name)
    paths = [out / name, *sorted((out / "data").iterdir())]
    paths += [out / CHAT_TEMPLATE] if (out / CHAT_TEMPLATE).exists() else []
    manifest = {
        "format": FORMAT,
        "status": "imported",
        "step": 0,
        "steps": 0,
        "best": {"step": 0},
        "tokens": 0,
        "seconds": 0.0,
        "flops": 0,
        "parameters": size_of(recipe.model).total,
        "parent": None,
        "device": "cpu",
        "precision": "float32",
        "versions": {
            "tinylm": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "files": {path.relative_to(out).as_posix(): file_entry(path) for path in paths},
        **origin,
    }
    save_files(out, model_files(recipe, recipe.model, tokenizer), manifest)
