"""llama.cpp for tests: its npm package, installed once into the user's data folder."""

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tinylm.corpora.fetch import data_folder

VERSION = "3.22.1"
BUILDS = {  # the package that holds the built library: for a CPU where there is one
    ("linux", "x86_64"): "linux-x64",
    ("linux", "aarch64"): "linux-arm64",
    ("darwin", "arm64"): "mac-arm64-metal",
    ("darwin", "x86_64"): "mac-x64",
    ("win32", "AMD64"): "win-x64",
}
SCRIPT = Path(__file__).with_suffix(".mjs")
INSTALL_SECONDS, ANSWER_SECONDS = 300, 300


def install_client() -> Path:
    """The folder in which node-llama-cpp is installed; skips, with the reason, where it cannot."""
    folder = data_folder() / f"node-llama-cpp-{VERSION}"
    done = folder / "installed"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not done.is_file():
            install(folder)
            done.touch()
    return folder


def install(folder: Path) -> None:
    """Install the package and the library that was built for this machine; nothing of it is run."""
    npm, build = shutil.which("npm"), BUILDS.get((sys.platform, platform.machine()))
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed: llama.cpp's package needs them")
    if build is None:
        pytest.skip(f"llama.cpp has no package for {sys.platform} on {platform.machine()}")
    packages = [f"node-llama-cpp@{VERSION}", f"@node-llama-cpp/{build}@{VERSION}"]
    # Without the optional packages, which are the builds for all kinds of GPUs, 600 MB.
    options = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"]
    options += ["--fetch-retries=1", "--fetch-timeout=20000"]  # offline: skip soon
    command = [npm, "install", "--prefix", str(folder), *options, *packages]
    try:
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[0]
        pytest.skip(f"npm cannot install node-llama-cpp: {last}")
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not install node-llama-cpp in time")


def ask_llama_cpp(client: Path, model: Path, folder: Path, **request: Any) -> dict[str, Any]:
    """llama.cpp's answer about a model file; llama_cpp.mjs says what can be asked.

    One thread by default: several wait for each other in a loop, for minutes on a busy machine.
    """
    request = {"texts": [], "prompts": [], "tokens": 0, "threads": 1, "exact": True, **request}
    question, reply = folder / "question.json", folder / "reply.json"
    question.write_text(json.dumps({"model": str(model), **request}), encoding="utf-8")
    command = ["node", str(SCRIPT), str(client), str(question), str(reply)]
    done = subprocess.run(command, timeout=ANSWER_SECONDS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(reply.read_text(encoding="utf-8"))
