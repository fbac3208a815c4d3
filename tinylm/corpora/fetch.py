"""Real corpora: public-domain classics, downloaded once and kept in the user's data folder.

Every corpus is pinned: the address names one commit of a public repository, and the SHA-256 of the
bytes stands beside it, taken from that very commit. So a run on a fetched text starts from the same
bytes on every machine, and a changed or damaged file is found before anything is trained on it.

Only https is spoken, also after a redirect. A download that breaks off keeps what has arrived and
goes on from there (an HTTP range request, RFC 9110, section 14). Nothing else in TinyLM touches the
network.

Trade-offs: one connection, no retries of its own (run the command again), and the texts arrive as
they were published: the Gutenberg books keep their preface and licence, which a model trained on
them will learn too.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tinylm.config import closest

SECONDS_OF_SILENCE = 30.0  # a server that sends nothing for so long is given up
SECONDS_IN_ALL = 600.0
CHUNK_BYTES = 1 << 16

Progress = Callable[[int, int], None]  # called with (bytes on disk, bytes in all) after every chunk


@dataclass(frozen=True)
class Source:
    """One pinned file: where it is, what its bytes must be, and what it is."""

    url: str
    sha256: str
    size: int  # bytes
    about: str


CORPORA: dict[str, Source] = {
    "tiny-shakespeare": Source(
        "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/"
        "data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        1_115_394,
        "40,000 lines of Shakespeare's plays: the sample that small models have been compared on "
        "since 2015",
    ),
    "moby-dick": Source(
        "https://raw.githubusercontent.com/GITenberg/Moby-Dick--Or-The-Whale_2701/"
        "bdf1948e6cd00963730971e5624e764a35f238c3/2701-0.txt",
        "baf9b04fcf6e0008f30eaaa6697277751448c1070b20175e0082f28cbb161fd3",
        1_276_201,
        "Herman Melville, Moby-Dick (1851), as published by Project Gutenberg",
    ),
    "pride-and-prejudice": Source(
        "https://raw.githubusercontent.com/GITenberg/Pride-and-Prejudice_1342/"
        "81db45c9c48c592f0b77f01fc59e677ad0a5634e/1342-0.txt",
        "48e0522844402a86a3ea98f0947ba85ea54838db3c59022299298ed968a5a163",
        724_725,
        "Jane Austen, Pride and Prejudice (1813), as published by Project Gutenberg",
    ),
    "sherlock-holmes": Source(
        "https://raw.githubusercontent.com/GITenberg/The-Adventures-of-Sherlock-Holmes_1661/"
        "7e5dd2703fbf503c004063e96ab7c61262375e5f/1661.txt",
        "2a0ce5568625a304f54fbb6bfdeeadf527a1437254b5f0e06b5a9e233d4784a2",
        594_941,
        "Arthur Conan Doyle, The Adventures of Sherlock Holmes (1892), as published by Project "
        "Gutenberg",
    ),
}


def fetch(name: str, folder: Path | None = None, progress: Progress | None = None) -> Path:
    """Return the path of a corpus, downloading it into `folder` (default: `data_folder()`) if it is
    not there.

    Raises ValueError for an unknown name, a machine without network, a broken connection (what has
    arrived is kept, the next call goes on from there) or bytes other than the pinned ones.
    """
    if name not in CORPORA:
        raise ValueError(
            f"no corpus is called {name!r}{closest(name, list(CORPORA))}; known: "
            f"{', '.join(CORPORA)}"
        )
    target = (folder or data_folder()) / f"{name}.txt"
    download(CORPORA[name], target, progress)
    return target


def data_folder() -> Path:
    """The folder in which this system keeps a user's application data, with `tinylm` at its end."""
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        home = str(Path.home() / "Library" / "Application Support")
    else:  # XDG Base Directory Specification 0.8 (2021)
        home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "tinylm"


def download(
    source: Source, target: Path, progress: Progress | None = None, allow_local_http: bool = False
) -> None:
    """Bring the pinned bytes to `target`; a file that is already there is only checked.

    Bytes gather in `target` + `.part` and take their name once their hash is right, so `target` is
    never half a file. `allow_local_http` also admits plain http to this very machine (127.0.0.1),
    for tests.

    Raises ValueError as `fetch` does.
    """
    if target.exists():
        if _sha256(target) != source.sha256:
            raise ValueError(
                f"{target}: not the pinned file (its sha256 differs). Delete it, then fetch it "
                "again"
            )
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    if part.exists() and part.stat().st_size > source.size:
        part.unlink()  # it cannot be the beginning of this file
    if not part.exists() or part.stat().st_size < source.size:
        _receive(source, part, target, progress, allow_local_http)
    if _sha256(part) != source.sha256:
        part.unlink()
        raise ValueError(
            f"{source.url}: what came is not the pinned file (its sha256 differs); it was removed"
        )
    part.replace(target)


def _receive(
    source: Source, part: Path, target: Path, progress: Progress | None, allow_local_http: bool
) -> None:
    """Append what is missing to `part`, until it holds `source.size` bytes."""
    done = part.stat().st_size if part.exists() else 0
    with _open(source.url, done, target, source.sha256, allow_local_http) as response:
        # 206: partial content. Any other answer sends the file from its first byte
        if response.status != 206:
            done = 0
        with part.open("ab" if done else "wb") as file:
            for chunk in _chunks(response):
                done += file.write(chunk)
                if done > source.size:
                    break
                if progress is not None:
                    progress(done, source.size)
    if done > source.size:
        part.unlink()
        raise ValueError(
            f"{source.url}: more than the {source.size:,} bytes expected; what came was removed"
        )
    if done < source.size:
        raise ValueError(
            f"{source.url}: the connection broke after {done:,} of {source.size:,} bytes. They are "
            "kept: run the same command again to go on from there"
        )


def _open(
    url: str, start: int, target: Path, sha256: str, allow_local_http: bool
) -> http.client.HTTPResponse:
    """Ask for the file from byte `start` on; where that fails, say how to do without the
    network."""
    guard = _Guard(allow_local_http)
    guard.check(url)
    request = Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "tinylm"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        return build_opener(guard).open(request, timeout=SECONDS_OF_SILENCE)
    except (OSError, http.client.HTTPException) as error:  # URLError and its kin are OSErrors
        if isinstance(error, HTTPError):
            reason = f"the server answered {error.code} {error.reason}"
        else:
            reason = str(error.reason if isinstance(error, URLError) else error)
        raise ValueError(
            f"cannot download {url} ({reason}). Without a network: download it on another machine "
            f"and put it at {target} (sha256 {sha256})"
        ) from error


class _Guard(HTTPRedirectHandler):
    """Follows redirects only to addresses that would have been allowed in the first place."""

    def __init__(self, allow_local_http: bool) -> None:
        self.allow_local_http = allow_local_http

    def check(self, url: str) -> None:
        """Refuse an address that is not https; ValueError names it."""
        parts = urlsplit(url)
        local = self.allow_local_http and parts.scheme == "http" and parts.hostname == "127.0.0.1"
        if parts.scheme != "https" and not local:
            raise ValueError(f"{url}: only https addresses are fetched")

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> Request | None:
        """Hold the address that a server points to against the same rule."""
        self.check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield bytes as they arrive; end when the server is done, breaks off, falls silent or takes
    too long."""
    deadline = time.monotonic() + SECONDS_IN_ALL
    while time.monotonic() < deadline:
        try:
            # what one receive gives, so that the clock is looked at in between
            chunk = response.read1(CHUNK_BYTES)
        except (OSError, http.client.HTTPException):
            return  # the caller counts the bytes and says that some are missing
        if not chunk:
            return
        yield chunk


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
