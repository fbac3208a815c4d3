"""export, import: runs to and from the formats of others."""

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from tinylm.commands.terminal import at_least, say


def export(runs: Positional[tuple[Path, ...]], out: Path, to: Literal["hf", "html"] = "hf") -> None:
    """Write a run in a form that others read.

    Args:
        runs: A run folder; for html one or two, the base first.
        out: hf: the folder to make. html: the page to write.
        to: hf: a folder for Hugging Face's transformers, or for PEFT where the run is a LoRA run.
            html: one page that runs the model in a browser.
    """
    from tinylm.runs import open_run

    opened = [open_run(run) for run in runs]
    if to == "html":
        from tinylm.playground.export import write_page

        write_page(opened, out)
    else:
        if len(opened) != 1:
            raise ValueError(f"--to hf takes one run, not {len(opened)}")
        from tinylm.formats.folders import export_run

        export_run(opened[0], out)
    print(out)


def import_(
    folder: Positional[Path], out: Path, text: str = "handbook", context: int = 1024
) -> None:
    """Make a run from a GPT-2, Llama or Qwen3 folder in Hugging Face's format, to sample, judge and
    fine-tune it.

    Args:
        folder: Holds config.json, model.safetensors (or its shards) and tokenizer.json. Nothing is
            downloaded.
        out: The run folder to make.
        text: What it is judged on, as in a recipe's corpus.text: its own training text is not here.
        context: Longest sequence to use, in tokens; memory grows with it.
    """
    at_least(1, context=context)
    from tinylm.formats.folders import import_folder

    run = import_folder(folder, out, text, context)
    best, name = run.manifest["best"], run.recipe.purpose.split()[0]
    say(
        f"{name}, {run.manifest['parameters']:,} parameters: {best['bits_per_byte']:.3f} bits per "
        f"byte of {text}"
    )
    say(f'try: tinylm sample {out} --prompt "The", or: tinylm train demo-verse --start-from {out}')
    print(out)
