"""export, import: runs to and from the formats of others."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from tinylm.commands.terminal import at_least, say

if TYPE_CHECKING:
    from tinylm.runs import Run


def export(
    runs: Positional[tuple[Path, ...]],
    out: Path,
    to: Literal["hf", "html", "gguf"] = "hf",
    type: Literal["f32", "f16", "q8_0"] | None = None,
) -> None:
    """Write a run in a form that others read.

    Args:
        runs: A run folder; for html one to three, in the order of their training.
        out: hf: the folder to make. html: the page to write. gguf: the file to write.
        to: hf: a folder for Hugging Face's transformers, or for PEFT where the run is a LoRA run.
            html: one page that runs the model in a browser. gguf: one file for llama.cpp, Ollama
            and LM Studio.
        type: gguf only: how matrices are stored. f32 (the default) is exact. f16 is half as large.
            q8_0 is a quarter as large, and rounds every number to 8 bits.
    """
    from tinylm.runs import open_run

    if type is not None and to != "gguf":
        raise ValueError(f"--type works only with --to gguf, not with --to {to}")
    opened = [open_run(run) for run in runs]
    if to == "html":
        from tinylm.playground.export import write_page

        write_page(opened, out)
    else:
        if len(opened) != 1:
            raise ValueError(f"--to {to} takes one run, not {len(opened)}")
        write_model(opened[0], out, to, type or "f32")
    print(out)


def write_model(run: "Run", out: Path, to: str, type: Literal["f32", "f16", "q8_0"]) -> None:
    """Write one run as a folder or as a file."""
    if to == "gguf":
        from tinylm.formats.gguf_export import export_gguf

        export_gguf(run, out, type)
    else:
        from tinylm.formats.folders import export_run

        export_run(run, out)


def import_(
    source: Positional[str], out: Path | None = None, text: str = "handbook", context: int = 1024
) -> None:
    """Make a run from a foundation model, to sample, judge and fine-tune it.

    Args:
        source: smollm2; a GGUF file; or a GPT-2, Llama or Qwen3 folder in Hugging Face's format
            (config.json, model.safetensors or its shards, tokenizer.json). smollm2 is downloaded if
            it is not there yet; nothing else is ever downloaded.
        out: The run folder to make. Default for smollm2: runs/smollm2.
        text: The text that it is judged on, named as in a recipe's corpus.text.
        context: Longest sequence to use, in tokens; memory grows with it.
    """
    at_least(1, context=context)
    from tinylm.corpora.fetch import data_folder
    from tinylm.formats.folders import import_folder
    from tinylm.formats.smollm2 import fetch_smollm2
    from tinylm.training.load import chat_template

    path = Path(source)
    if source == "smollm2" and not path.exists():
        path, out = fetch_smollm2(data_folder(), say), out or Path("runs/smollm2")
    if out is None:
        raise ValueError("--out is missing: it names the run folder to make")
    run = import_folder(path, out, text, context)
    best, name = run.manifest["best"], run.recipe.purpose.split()[0]
    say(
        f"{name}, {run.manifest['parameters']:,} parameters: {best['bits_per_byte']:.3f} bits per "
        f"byte of {text}"
    )
    ask = '--chat "Who are you?"' if chat_template(run) else '--prompt "The"'
    say(f"try: tinylm sample {out} {ask}, or: tinylm train foundation-verse --start-from {out}")
    print(out)
