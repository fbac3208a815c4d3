"""The run folder: the whole truth about one training run, as plain files.

    recipe.json       the resolved recipe           manifest.json   versions, hashes, totals:
      written last
    metrics.jsonl     one JSON object per record    samples.jsonl   text sampled along the way
    timings.jsonl     seconds at each validation (apart, so that metrics are equal bit for bit after
      a resume)
    model/            best weights so far, config, tokenizer        state/   the last step, for an
      exact resume
    data/             the token ids that the run learns from and is judged on

Every file is written beside its place and renamed into it. Once all are written, the manifest
announces the new save, with their hashes as `pending`; then the files move; then it lists them as
`files`. After a crash in between, the save counts: readers find a file that has not moved beside
its place, and the next resume moves it. The manifest carries a hash of itself. No torch here: pages
and tables read runs without loading it.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tinylm.config import ModelConfig, Recipe, Section

FORMAT = 1
LOGS = ("metrics.jsonl", "samples.jsonl", "timings.jsonl")
T = TypeVar("T", bound=Section)
Entry = dict[str, Any]  # a file's line in the manifest: bytes, sha256

# Fields without which nothing can be done with a run; all others are read where they are needed.
REQUIRED = {"format": int, "files": dict, "pending": dict, "step": int, "steps": int}
REQUIRED |= {"status": str, "best": dict}


@dataclass(frozen=True)
class Run:
    """A run folder that exists; nothing is read before it is asked for."""

    folder: Path

    @property
    def name(self) -> str:
        """The last part of the folder's path."""
        return self.folder.name

    # Cached: a run is opened once and read many times, and checking a hash reads the whole file.
    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The content of manifest.json; ValueError where it is missing or damaged."""
        return read_manifest(self.folder)

    @cached_property
    def recipe(self) -> Recipe:
        """The resolved recipe; ValueError where its file has changed since it was saved."""
        return read_section(Recipe, self.path("recipe.json"))

    @cached_property
    def model_config(self) -> ModelConfig:
        """The shape of the network; ValueError as for the recipe."""
        return read_section(ModelConfig, self.path("model/config.json"))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the hashes of everything in model/.

        It changes when a weight, the shape or the tokenizer does, and with nothing else. A LoRA run
        notes its parent's.
        """
        files = self.manifest["files"].items()
        return hash_of({name: e["sha256"] for name, e in files if name.startswith("model/")})

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Records of metrics.jsonl of one kind: "train" (every step) or "valid" (each pass)."""
        return [record for record in self.log("metrics.jsonl") if record["kind"] == kind]

    def log(self, name: str) -> list[dict[str, Any]]:
        """All records of a log, checked as `path` does; none where the run has no such log."""
        known = self.manifest["files"] | self.manifest["pending"]
        return list(read_lines(self.path(name))) if name in known else []

    def path(self, name: str) -> Path:
        """The file `name` of this run, once its size and SHA-256 agree with the manifest.

        ValueError where they do not. A log may have grown since the last save: the part that the
        manifest knows must be unchanged.
        """
        path = self.folder / name
        parts = (self.manifest["pending"], self.manifest["files"])
        entries = [part[name] for part in parts if name in part]
        # Also beside its place: there it is where a crash came before it could move.
        for place in (temporary(path), path):
            if any(holds(place, entry) for entry in entries):
                return place
        if not path.is_file():
            raise ValueError(f"{self.folder}: {name} is missing; restore it, or train again")
        raise ValueError(f"{path}: damaged or changed after it was saved (its SHA-256 differs)")


def open_run(folder: str | Path) -> Run:
    """The run in `folder`; ValueError names what is missing, and the runs beside it."""
    # Naming the runs beside it helps where only the last part of the path is wrong.
    run = Run(Path(folder))
    if not (run.folder / "manifest.json").is_file():
        beside = sorted(path.parent.name for path in run.folder.parent.glob("*/manifest.json"))
        known = f"; runs beside it: {', '.join(beside)}" if beside else ""
        raise ValueError(f"{run.folder} is not a run folder: it has no manifest.json{known}")
    _ = run.manifest  # read and checked now
    return run


# -- the manifest ---------------------------------------------------------------------------------


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run folder, without its own hash.

    ValueError in one line where it is damaged or written by a newer TinyLM.
    """
    path = folder / "manifest.json"
    content = read_json(path)
    manifest = {"parent": None, **content} if isinstance(content, dict) else {}
    if isinstance(manifest.get("format"), int) and manifest["format"] > FORMAT:
        advice = "update with pip install --upgrade tinylm"
        raise ValueError(f"{folder} was written by a newer TinyLM: {advice}")
    # 1. Are all fields there that every reader needs?
    missing = [name for name, kind in REQUIRED.items() if not isinstance(manifest.get(name), kind)]
    if missing:
        raise ValueError(f"{path}: damaged, lacks {', '.join(sorted(missing))}")
    # 2. Does every file have a size and a hash?
    for name, entry in (manifest["files"] | manifest["pending"]).items():
        is_entry = isinstance(entry, dict) and isinstance(entry.get("bytes"), int)
        if not is_entry or "sha256" not in entry:
            raise ValueError(f"{path}: damaged at {name}")
    # 3. Is it as it was written? (None: from before manifests carried a hash of themselves.)
    if manifest.pop("sha256", None) not in (None, hash_of(manifest)):
        raise ValueError(f"{path}: damaged or changed after it was saved")
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write manifest.json with a hash of its own content, by which a later change is noticed."""
    write_json(folder / "manifest.json", {**manifest, "sha256": hash_of(manifest)})


def save_files(folder: Path, files: dict[str, bytes], manifest: dict[str, Any]) -> dict[str, Any]:
    """Write `files` (name -> content) and the manifest so that a crash tears nothing.

    The files move to their places in the order given. `manifest["files"]` keeps the entries of
    files written earlier; logs are listed at their present length. Returns the manifest as written.
    """
    entries = {name: bytes_entry(body) for name, body in files.items()}
    entries |= {name: file_entry(folder / name) for name in LOGS if (folder / name).exists()}
    kept = manifest.get("files", {})
    # 1. Everything is written beside its place, and waits on the disk.
    for name, body in files.items():
        write_temporary(folder / name, body)
    # 2. The manifest announces the save: from here on it counts. (The first save has no manifest to
    #    fall back on and is whole or nothing: its manifest comes last of all.)
    if (folder / "manifest.json").exists():
        write_manifest(folder, {**manifest, "files": kept, "pending": entries})
    # 3. The files move, 4. the manifest lists them.
    for name in files:
        temporary(folder / name).replace(folder / name)
    done = {**manifest, "files": {**kept, **entries}, "pending": {}}
    write_manifest(folder, done)
    return done


def holds(path: Path, entry: Entry) -> bool:
    """Whether there is a file with the manifest's size and SHA-256; a log may be longer."""
    # Size first: it is cheap, and settles most cases. -1: no such file.
    more = path.stat().st_size - entry["bytes"] if path.is_file() else -1
    if more < 0 or (more and path.name not in LOGS):
        return False
    return sha256_of(path, entry["bytes"]) == entry["sha256"]


def bytes_entry(body: bytes) -> Entry:
    """The line in the manifest of a file with this content."""
    return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def file_entry(path: Path) -> Entry:
    """The line in the manifest of a file on the disk."""
    size = path.stat().st_size
    return {"bytes": size, "sha256": sha256_of(path, size)}


def sha256_of(path: Path, size: int) -> str:
    """SHA-256 of the first `size` bytes of a file, read a megabyte at a time."""
    # Up to `size` and not to the end: a log grows behind what the manifest knows of it.
    digest, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left > 0 and (chunk := file.read(min(left, 1 << 20))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()


def hash_of(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    # Keys in order: a dictionary read back from a file may list them in another one.
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


# -- files ----------------------------------------------------------------------------------------


def temporary(path: Path) -> Path:
    """Where a file is written before it moves to `path`, in the same folder."""
    return path.with_name(path.name + ".new")


def write_temporary(path: Path, body: bytes) -> None:
    """Write beside `path` and wait until it is on the disk."""
    with temporary(path).open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())  # else a rename may reach the disk before the content does


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by readable JSON, atomically."""
    write_temporary(path, to_json(value))
    temporary(path).replace(path)


def to_json(value: Any) -> bytes:
    """A JSON file's content: UTF-8, one blank of indent a level, a line break at the end."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def read_json(path: Path) -> Any:
    """The value in a JSON file; ValueError in one line where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: damaged JSON: {error}") from None


def read_section(section: type[T], path: Path) -> T:
    """A section of a recipe from a JSON file; ValueError names the first field that is wrong."""
    try:
        return section.model_validate(read_json(path))
    except ValidationError as error:
        # The first mistake is enough here: nobody edits these files by hand.
        mistake = error.errors()[0]
        where = ".".join(map(str, mistake["loc"]))
        raise ValueError(f"{path}: {where}: {mistake['msg']}") from None


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add one JSON object to a log."""
    # Line breaks as on every platform, so that hashes agree.
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a log; a last line that a crash cut short is left out."""
    # What follows the last line break is empty, or half a record.
    *lines, _ = path.read_text(encoding="utf-8").split("\n") if path.exists() else [""]
    for line in lines:
        yield json.loads(line)
