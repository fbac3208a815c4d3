"""What went into a run before it stood here: tokens read, and who paid for reading them.

    training_of(open_run("runs/foundation/verse"))

A run that was trained here records its tokens and seconds. An imported model records only what it
was read from; the rest stands in what its makers have published.
"""

from dataclasses import dataclass
from pathlib import Path

from tinylm.runs import Run, open_run


@dataclass(frozen=True)
class Origin:
    """A published training, told apart by the file that it came in."""

    tokens: str
    makers: str
    source: str


# SHA-256 of the imported file -> its training. SmolLM2: Allal et al. 2025, arXiv 2502.02737, and
# the card of SmolLM2-135M-Instruct.
ORIGINS = {
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53": Origin(
        "2 trillion tokens", "Hugging Face", "arXiv 2502.02737"
    )
}


def training_of(run: Run) -> str:
    """The training of a run and of those that it started from, the oldest first."""
    return ", then ".join(map(stage, reversed(lineage(run))))


def lineage(run: Run) -> list[Run]:
    """A run, its parent, and so on, as far as they are still there."""
    runs = [run]
    while recorded := runs[-1].manifest["parent"]:
        here = runs[-1].folder / recorded["relative_path"]
        places = [place for place in (here, Path(recorded["path"])) if is_run(place)]
        if not places:
            break
        runs.append(open_run(places[0]))
    return runs


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run: only a manifest makes it one."""
    return (folder / "manifest.json").is_file()


def stage(run: Run) -> str:
    """One training, in words."""
    manifest = run.manifest
    if manifest["status"] != "imported":
        return f"{manifest['tokens']:,} tokens in {manifest['seconds'] / 60:.1f} minutes here"
    known = [ORIGINS[sha] for sha in manifest.get("source", {}).values() if sha in ORIGINS]
    if not known:
        return "an unknown number of tokens, paid for by its makers"
    origin = known[0]
    return f"{origin.tokens}, paid for by its makers ({origin.makers}; {origin.source})"
