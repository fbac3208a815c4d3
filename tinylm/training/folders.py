"""Run folders: made, recognised and removed. What is read from them: load.py."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock

from tinylm.training.lock import lock_folder

PARTS = ("model", "state", "data")
REFERENCE = "data/reference.safetensors"  # the weights that a reward run must not stray from

# What a run may have written before its first save was whole.
OWN_FILES = (
    r"data/((train|valid)(_mask)?|base_valid)\.uint(8|16|32)",
    r"data/reference\.safetensors",
    r"(metrics|samples|timings)\.jsonl",
    r"recipe\.json",
    r"manifest\.json\.new",
    r"model/(config|tokenizer)\.json",
    r"(model|state)/(model|adapter|state)\.safetensors",
)
OWN_FILE = re.compile(f"({'|'.join(OWN_FILES)})(\\.new)?")


def create_folder(folder: Path, replace: bool = False) -> BaseFileLock:
    """Make an empty run folder and take its lock.

    ValueError where something stands there already, unless it is an earlier run to `replace` or a
    start that was interrupted before its first save; and where another process trains in it.
    """
    usable = (replace and is_run(folder)) or is_abandoned(folder)
    if folder.exists() and not usable:
        others = f", delete it, or go on with: tinylm resume {folder}" if is_run(folder) else ""
        raise ValueError(f"{folder} exists: choose another --out{others}")
    folder.mkdir(parents=True, exist_ok=True)
    lock = lock_folder(folder)  # before anything in it goes
    remove_folder(folder)
    for part in PARTS:
        (folder / part).mkdir()
    return lock


@contextmanager
def new_folder(folder: Path, replace: bool = False) -> Iterator[BaseFileLock]:
    """As `create_folder`; the folder goes again where the block does not come to its end."""
    lock = create_folder(folder, replace)
    try:
        yield lock
    except BaseException:
        remove_folder(folder)
        folder.rmdir()
        raise


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run, or nothing at all."""
    return (folder / "manifest.json").is_file() or (folder.is_dir() and not any(folder.iterdir()))


def is_abandoned(folder: Path) -> bool:
    """Whether a folder holds only what a start left that never came to its first save.

    That may be nothing yet, or only folders. A single file of anybody else makes it another's.
    """
    if not folder.is_dir() or (folder / "manifest.json").exists():
        return False
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    files = [name for name in names if name not in PARTS]
    begun = (folder / "data").is_dir() and all(OWN_FILE.fullmatch(name) for name in files)
    return not files or begun


def remove_folder(folder: Path) -> None:
    """Empty a run folder.

    Its manifest goes first, so that a half-deleted folder is not taken for a run.
    """
    (folder / "manifest.json").unlink(missing_ok=True)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def remove_run(folder: Path) -> None:
    """Take a run away, its folder too; nothing happens where there is none.

    ValueError where the folder holds something else, or another process trains in it.
    """
    if folder.exists():
        lock = create_folder(folder, replace=True)
        remove_folder(folder)
        folder.rmdir()
        lock.release(force=True)
