"""`tinylm chat --serve` as a user types it."""

import http.client
import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.serve.conftest import Served
from tinylm import cli


def started(*words) -> subprocess.Popen:
    command = [sys.executable, "-m", "tinylm", "chat", "--serve", "--port", "0", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(command, encoding="utf-8", env=environment, **pipes)


@pytest.mark.skipif(os.name == "nt", reason="a test cannot press Ctrl-C in another console")
def test_the_page_is_served_on_this_machine_alone_until_ctrl_c(novice):
    with started("--run", novice.folder) as process:
        address = process.stdout.readline().strip()
        page = Served(int(address.removeprefix("http://127.0.0.1:").removesuffix("/")))
        with pytest.raises(OSError):  # another address of this machine, and no listener there
            socket.create_connection(("127.0.0.2", page.port), timeout=1)
        assert page.ask(page.begin(), "the net and the sea")[-1][0] == "end"
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
        told = process.stderr.read()
    assert "ended" in told and "Traceback" not in told
    with pytest.raises(OSError):
        http.client.HTTPConnection("127.0.0.1", page.port).request("GET", "/")


@pytest.mark.parametrize(
    "words, told",
    [
        (["--port", "80"], "--port is the port of the page: add --serve"),
        (["--serve", "--session", "x.jsonl"], "--session keeps a conversation of the terminal"),
        (["--serve", "--port", "70000"], "--port 70000 must be 0"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(capsys, novice, words, told):
    with pytest.raises(SystemExit) as stop:
        cli.main(["chat", "--run", str(novice.folder), *words])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and told in err and "Traceback" not in err


def test_a_port_that_is_taken_is_one_line(capsys, novice):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as stop:
        port = str(taken.getsockname()[1])
        cli.main(["chat", "--serve", "--port", port, "--run", str(novice.folder)])
    assert stop.value.code == 2
    assert f"--port {port} cannot be used" in capsys.readouterr().err.splitlines()[-1]
