"""Finished runs as one file: what a facilitator prepares once and hands to a room.

    pack([open_run("runs/demo/base"), open_run("runs/demo/verse")], Path("demo.zip"))
    unpack(Path("demo.zip"), Path("runs/demo"), ("base", "verse"))

The file is a plain zip of run folders without state/, so a run from it can be sampled, compared and
fine-tuned, but not gone on with. It may come from anybody, so nothing in it is believed: only the
file names that a run has are taken out, nothing above `LARGEST` is read, every file must have the
SHA-256 of its run's manifest, and only when all of that holds is the first byte written.

Trade-off: the hashes show damage, not malice; whoever makes the file can make its manifest too.
What an honest reader could do with a bad file is limited by what a run is: JSON, token ids and
safetensors, none of which can run.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinylm.files import make_folder, write_whole
from tinylm.runs import FORMAT, LOGS, Run

LARGEST = 256 << 20  # bytes of all files together, unpacked
MANIFEST = "manifest.json"
# A run's name, then a file of it: no path can lead out of the run folder, whatever the system makes
# of its characters.
NAME = re.compile(
    r"([a-z0-9][a-z0-9-]{0,40})/((?:(?:model|data)/)?[a-z0-9_]{1,40}\.[a-z0-9]{1,12})"
)


def pack(runs: Sequence[Run], file: Path) -> None:
    """Write finished runs into one file; ValueError where one is not finished, damaged, or named as
    another is."""
    contents: dict[str, bytes] = {}
    for run in runs:
        if run.manifest["status"] not in ("finished", "imported"):
            raise ValueError(
                f"{run.folder} is not finished: go on with: tinylm resume {run.folder}"
            )
        names = [name for name in run.manifest["files"] if not name.startswith("state/")]
        contents |= {f"{run.name}/{name}": run.path(name).read_bytes() for name in names}
        contents[f"{run.name}/{MANIFEST}"] = (run.folder / MANIFEST).read_bytes()
    if wrong := [name for name in contents if not NAME.fullmatch(name)]:
        raise ValueError(f"{wrong[0]}: rename the run, to small letters, digits and hyphens")
    if len({run.name for run in runs}) < len(runs):
        raise ValueError("two of the runs have the same name: rename one of their folders")
    if (size := sum(map(len, contents.values()))) > LARGEST:
        raise ValueError(
            f"these runs take {size >> 20} MB; a file to share holds at most {LARGEST >> 20} MB"
        )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in contents.items():
            archive.writestr(name, body)
    write_whole({file: packed.getvalue()})


def unpack(file: Path, out: Path, requested: Sequence[str]) -> None:
    """Make the runs called `wanted` in `out` from a packed file, replacing earlier runs of those
    names.

    ValueError in one line where the file is damaged, too large, holds anything but runs, or lacks
    one of them.
    """
    from tinylm.training.folders import create_folder, remove_folder

    runs = read_runs(file)
    if missing := [name for name in requested if name not in runs]:
        held = ", ".join(runs) or "nothing"
        raise ValueError(
            f"{file} lacks the run {missing[0]}; it holds: {held} (runs are called as their "
            "folders)"
        )
    made = make_folder(out)
    for run in requested:
        # held until all is written: no training may begin in between
        lock = create_folder(out / run, replace=True)
        # the manifest last, as in training
        *names, manifest = sorted(runs[run], key=lambda name: name == MANIFEST)
        try:
            for name in (*names, manifest):
                (out / run / name).write_bytes(runs[run][name])
        except BaseException:
            remove_folder(out / run)
            for folder in (out / run, *made):
                folder.rmdir()
            raise
        del lock


def read_runs(file: Path) -> dict[str, dict[str, bytes]]:
    """Run name -> file name -> contents, all of it checked."""
    runs: dict[str, dict[str, bytes]] = {}
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            # zipfile never reads more than what is declared
            if sum(entry.file_size for entry in entries) > LARGEST:
                raise ValueError(
                    f"{file}: more than {LARGEST >> 20} MB unpacked; this is no packed demo"
                )
            for entry in entries:
                if (match := NAME.fullmatch(entry.filename)) is None or match[2] in runs.get(
                    match[1], {}
                ):
                    raise ValueError(
                        f"{file}: {entry.filename[:60]!r} does not belong into a packed run"
                    )
                runs.setdefault(match[1], {})[match[2]] = archive.read(entry)
    except FileNotFoundError:
        raise ValueError(f"there is no file {file}") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f"{file}: damaged, or not a file that tinylm pack wrote ({error})"
        ) from None
    for run, contents in runs.items():
        check(contents, where=f"{file}, run {run}")
    return runs


def check(contents: dict[str, bytes], where: str) -> None:
    """ValueError unless the files are those of the manifest, to the byte, but for state/ and later
    lines of a log."""
    manifest = parsed(contents.get(MANIFEST, b""), where)
    if manifest["format"] > FORMAT:
        raise ValueError(
            f"{where}: written by a newer TinyLM: update with pip install --upgrade tinylm"
        )
    listed = {name for name in manifest["files"] if not name.startswith("state/")} | {MANIFEST}
    if odd := listed ^ contents.keys():
        raise ValueError(
            f"{where}: {min(odd)} is {'missing' if min(odd) in listed else 'not in the manifest'}"
        )
    for name in listed - {MANIFEST}:
        entry, body = manifest["files"][name], contents[name]
        body = body[: entry["bytes"]] if name in LOGS else body
        if hashlib.sha256(body).hexdigest() != entry["sha256"]:
            raise ValueError(f"{where}: {name} is damaged (its SHA-256 is not the manifest's)")


def parsed(manifest: bytes, where: str) -> dict[str, Any]:
    """A manifest from its bytes, once the fields that are read here are there."""
    try:
        value: dict[str, Any] = json.loads(manifest)
        _ = (
            int(value["format"]),
            [(str(entry["sha256"]), int(entry["bytes"])) for entry in value["files"].values()],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{where}: its {MANIFEST} is missing or damaged") from None
    return value
