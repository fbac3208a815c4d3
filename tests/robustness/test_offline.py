"""Nothing leaves the machine: the demo and a lesson run where there is no network at all, and ask for none.

On Linux the commands run in a network namespace without an interface, not even the local one. Beside that, Python
itself reports every use of a socket (`sys.addaudithook`), on every system.
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
from tinylm import cli
for words in COMMANDS:
    cli.main(words)
assert asked == [], asked
"""


def offline(commands: list[list[str]], folder: Path) -> None:
    """Run `tinylm` commands, one after another in one process, without a network; none may open a connection."""
    unshare = shutil.which("unshare")
    if not unshare:
        pytest.skip("no unshare here (it is Linux's)")
    if subprocess.run([unshare, "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel gives an ordinary user no network namespace")
    code = GUARDED.replace("COMMANDS", repr(commands))
    done = subprocess.run(
        [unshare, "-rn", sys.executable, "-c", code], cwd=folder, capture_output=True, encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_check_itself_notices_a_connection(tmp_path):
    code = GUARDED.replace("COMMANDS", "[]").replace(
        "assert asked", "import socket\nsocket.socket().connect_ex(('127.0.0.1', 9))\nassert asked"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 1 and "socket.connect" in done.stderr


def test_training_and_sampling_need_no_network(tmp_path, text_file):
    fields = ["--tokenizer.kind", "char", "--model.context", "16", "--model.width", "16", "--model.depth", "1"]
    offline(
        [["train", "your-text", "--corpus.text", str(text_file), "--out", "run", "--train.steps", "2", *fields,
          "--train.batch-size", "2"], ["sample", "run", "--prompt", "the", "--tokens", "3"]], tmp_path,
    )


@pytest.mark.long
def test_the_smoke_demo_and_a_lesson_need_no_network(tmp_path):
    offline([["demo", "--scale", "smoke"], ["lesson", "next-token", "--scale", "smoke", "--out", "lesson"]], tmp_path)


@pytest.mark.long
def test_the_whole_demo_needs_no_network(tmp_path):
    offline([["demo"]], tmp_path)
