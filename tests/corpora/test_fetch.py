"""Fetching real corpora, against a server on this machine: nothing here needs the network."""

from __future__ import annotations

import hashlib
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tinylm.corpora import fetch as fetching
from tinylm.corpora.fetch import CORPORA, Source, data_folder, download, fetch

BODY = bytes(range(256)) * 1000


class Harbour(BaseHTTPRequestHandler):
    """Serves BODY at /file, honours ranges, and misbehaves in a way of its own at every other
    address."""

    ranges: list[str | None]  # the Range header of each request, set by the fixture

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.ranges.append(wanted)
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        if self.path == "/gone":
            self.send_error(404)
            return
        honoured = wanted is not None and self.path != "/no-ranges"
        body = (
            BODY[int(wanted.removeprefix("bytes=").rstrip("-")) :] if wanted and honoured else BODY
        )
        if self.path == "/longer":
            body += b"more"
        self.send_response(206 if honoured else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:100_000] if self.path == "/cut" and not wanted else body)


@pytest.fixture
def server() -> Iterator[str]:
    handler = type("Handler", (Harbour,), {"ranges": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        Harbour.ranges = handler.ranges
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def source(url: str) -> Source:
    return Source(url, hashlib.sha256(BODY).hexdigest(), len(BODY), "bytes for a test")


def test_a_file_is_downloaded_reported_and_kept(server: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "file.txt"
    reports: list[tuple[int, int]] = []
    download(
        source(f"{server}/file"),
        target,
        lambda *report: reports.append(report),
        allow_local_http=True,
    )
    assert target.read_bytes() == BODY
    assert reports[-1] == (len(BODY), len(BODY))
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]
    download(source("https://nowhere.invalid/file"), target)  # it is there: no request is made


def test_a_cut_connection_keeps_what_came_and_the_next_call_goes_on_from_there(
    server: str, tmp_path: Path
) -> None:
    target = tmp_path / "file.txt"
    with pytest.raises(
        ValueError, match=r"broke after 100,000 of 256,000 bytes.*run the same command again"
    ):
        download(source(f"{server}/cut"), target, allow_local_http=True)
    assert not target.exists()
    download(source(f"{server}/cut"), target, allow_local_http=True)
    assert target.read_bytes() == BODY
    assert Harbour.ranges == [None, "bytes=100000-"]


def test_a_server_that_ignores_ranges_sends_the_file_afresh(server: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt.part").write_bytes(BODY[:5000])
    download(source(f"{server}/no-ranges"), tmp_path / "file.txt", allow_local_http=True)
    assert (tmp_path / "file.txt").read_bytes() == BODY


def test_wrong_bytes_are_refused_in_one_line_and_removed(server: str, tmp_path: Path) -> None:
    wrong = replace(source(f"{server}/file"), sha256="0" * 64)
    with pytest.raises(ValueError, match="not the pinned file") as caught:
        download(wrong, tmp_path / "file.txt", allow_local_http=True)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_beginning_is_found_after_resuming(server: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt.part").write_bytes(b"x" * 5000)
    with pytest.raises(ValueError, match="not the pinned file"):
        download(source(f"{server}/file"), tmp_path / "file.txt", allow_local_http=True)
    assert list(tmp_path.iterdir()) == []


def test_more_bytes_than_the_pinned_size_are_refused(server: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than the 256,000 bytes expected"):
        download(source(f"{server}/longer"), tmp_path / "file.txt", allow_local_http=True)
    assert list(tmp_path.iterdir()) == []


def test_a_cached_file_that_was_changed_is_reported_and_left_to_its_owner(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_bytes(b"my own notes")
    with pytest.raises(ValueError, match=r"file.txt: not the pinned file"):
        download(source("https://nowhere.invalid/file"), target)
    assert target.exists()


def test_a_redirect_is_followed_only_to_an_allowed_address(server: str, tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    for forbidden in ("http://localhost:9/file", "ftp://127.0.0.1/file"):
        with pytest.raises(ValueError, match="only https addresses are fetched"):
            download(source(f"{server}/to/{forbidden}"), target, allow_local_http=True)
    download(source(f"{server}/to/{server}/file"), target, allow_local_http=True)
    assert target.read_bytes() == BODY


def test_plain_http_is_refused_without_the_parameter_made_for_tests(
    server: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="only https"):
        download(source(f"{server}/file"), tmp_path / "file.txt")
    assert Harbour.ranges == []


def test_a_missing_file_and_a_dead_server_say_what_to_do_by_hand(
    server: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"answered 404.*put it at .*file.txt \(sha256"):
        download(source(f"{server}/gone"), tmp_path / "file.txt", allow_local_http=True)
    with socket.socket() as unused:  # a port that nobody listens on
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        with pytest.raises(ValueError, match="Without a network: download it on another machine"):
            download(source(dead), tmp_path / "file.txt", allow_local_http=True)


def test_a_download_that_takes_too_long_stops_and_can_go_on(
    server: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(fetching, "SECONDS_IN_ALL", 0.0)
    with pytest.raises(ValueError, match="run the same command again"):
        download(source(f"{server}/file"), tmp_path / "file.txt", allow_local_http=True)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"tiny-shakespear'.*tiny-shakespeare, moby-dick"):
        fetch("tiny-shakespear")


def test_every_pinned_source_is_https_at_a_commit_with_a_whole_sha256() -> None:
    for name, pinned in CORPORA.items():
        commit = pinned.url.split("/")[5]
        assert pinned.url.startswith("https://"), name
        assert len(commit) == 40 and set(commit) <= set("0123456789abcdef"), name
        assert len(pinned.sha256) == 64 and pinned.size > 0 and pinned.about, name


@pytest.mark.skipif(sys.platform != "linux", reason="the other systems have folders of their own")
def test_the_data_folder_follows_the_users_setting(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "tinylm"
    (tmp_path / "tinylm").mkdir()
    (tmp_path / "tinylm" / "moby-dick.txt").write_bytes(b"no whale")
    with pytest.raises(ValueError, match="not the pinned file"):
        fetch("moby-dick")
