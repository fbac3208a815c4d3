"""Nothing leaves the machine: the demo and a lesson run where there is no network at all, and ask
for none.

On Linux the commands run in a network namespace without an interface, not even the local one.
Beside that, Python itself reports every use of a socket (`sys.addaudithook`), on every system.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GUARDED = """
import sys
asked = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request"):
        asked.append((event, str(arguments)))
sys.addaudithook(watch)
WORK
assert asked == [], asked
"""
COMMANDS = """
from tinylm import cli
for words in {}:
    cli.main(words)
"""
# A notebook and its kernel talk through files (ipc); the usual way needs the local network
# interface.
NOTEBOOK = """
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
NotebookClient(nbformat.read({!r}, as_version=4), km=AsyncKernelManager(transport="ipc"),
timeout=240).execute()
"""


def offline(work: str, folder: Path) -> None:
    """Run Python code in a process of its own without a network; it may not open a connection."""
    unshare = shutil.which("unshare")
    if not unshare:
        pytest.skip("no unshare here (it is Linux's)")
    if subprocess.run([unshare, "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel gives an ordinary user no network namespace")
    done = subprocess.run(
        [unshare, "-rn", sys.executable, "-c", GUARDED.replace("WORK", work)],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": "1", "TINYLM_SCALE": "smoke"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_check_itself_notices_a_connection(tmp_path):
    code = GUARDED.replace("WORK", "import socket\nsocket.socket().connect_ex(('127.0.0.1', 9))")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 1 and "socket.connect" in done.stderr


def test_training_and_sampling_need_no_network(tmp_path, text_file):
    fields = [
        "--tokenizer.kind",
        "char",
        "--model.context",
        "16",
        "--model.width",
        "16",
        "--model.depth",
        "1",
    ]
    train = [
        "train",
        "your-text",
        "--corpus.text",
        str(text_file),
        "--out",
        "run",
        "--train.steps",
        "2",
        *fields,
    ]
    sample = ["sample", "run", "--prompt", "the", "--tokens", "3"]
    offline(COMMANDS.format([[*train, "--train.batch-size", "2"], sample]), tmp_path)


@pytest.mark.long
def test_the_smoke_demo_and_a_lesson_need_no_network(tmp_path):
    lesson = ["lesson", "next-token", "--scale", "smoke", "--out", "lesson"]
    offline(COMMANDS.format([["demo", "--scale", "smoke"], lesson]), tmp_path)


@pytest.mark.long
def test_a_notebook_needs_no_network(tmp_path):
    notebook = Path(__file__).resolve().parents[2] / "notebooks" / "01_tokens.ipynb"
    offline(NOTEBOOK.format(str(notebook)), tmp_path)


@pytest.mark.long
def test_the_whole_demo_needs_no_network(tmp_path):
    offline(COMMANDS.format([["demo"]]), tmp_path)
