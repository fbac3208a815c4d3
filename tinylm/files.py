"""Files that appear whole or not at all.

    write_whole({Path("page.html"): text.encode()})

Everything is written beside its place first, and moves once all of it is on the disk. A full disk
leaves the earlier files as they were, and nothing new. Run folders have a stricter order: runs.py.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tinylm.runs import temporary, write_temporary


def write_whole(files: Mapping[Path, bytes]) -> None:
    """Replace each file by its new content: all of them, or none where one cannot be written."""
    made = [folder for path in files for folder in make_folder(path.parent)]
    try:
        for path, body in files.items():
            write_temporary(path, body)
    except BaseException:
        for path in files:
            temporary(path).unlink(missing_ok=True)
        for folder in sorted(made, reverse=True):  # the innermost first
            folder.rmdir()
        raise
    for path in files:
        temporary(path).replace(path)


def write_text(path: Path, text: str) -> None:
    """Replace a text file, with the same line breaks on every platform."""
    write_whole({path: text.encode("utf-8")})


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it; returns the ones that were not there."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


@contextmanager
def removed_on_error(path: Path) -> Iterator[None]:
    """Take a half-written file away where the block does not come to its end."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
