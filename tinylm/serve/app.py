"""The assistant as a web page: the page, its two files, and three requests.

    GET  /                the page, with a random token of this server in it
    GET  /page.js /page.css
    POST /begin           {} -> {"conversation": KEY}
    POST /message         {"conversation", "message", "abilities"} -> a line of JSON for each event
    POST /end             {"conversation"}: the tab is closed, or begins anew

A reply is a stream of JSON lines (kind, text), sent as the model writes. It ends with a line of the
kind "end", whose `confirm` says whether a call waits for a yes, or "error". A client that goes away
stops its generation. Starlette answers, uvicorn serves; who may ask stands in `guard`.
"""

import json
import secrets
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib.resources import files
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

from tinylm.pages.html import render
from tinylm.serve.conversations import (
    LONGEST_MESSAGE,
    MOST_CONVERSATIONS,
    Conversations,
    Line,
    Service,
)
from tinylm.serve.guard import Guard, refuse

ADDRESS = "127.0.0.1"  # this machine, and never the network
LARGEST_BODY = 16_384  # bytes of a request: the longest message, four bytes a character, and more
MOST_CONNECTIONS = 256
GONE = f"this conversation is over (at most {MOST_CONVERSATIONS} are kept): begin a new one"


def bind(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0 takes any free one. ValueError where the port is
    taken or is none."""
    if not 0 <= port < 65_536:
        raise ValueError(f"--port {port} must be 0 (any free one) to 65535")
    try:
        return socket.create_server((ADDRESS, port))
    except OSError as error:
        reason = f"--port {port} cannot be used ({error.strerror}): another program may have it"
        raise ValueError(f"{reason}; --port 0 takes any free one") from None


def make_server(service: Service, port: int) -> uvicorn.Server:
    """A server of the page for `bind(port)`: `server.run([socket])` ends at Ctrl-C, or when
    `should_exit` is set."""
    conversations = Conversations(service)
    config = uvicorn.Config(
        make_app(conversations, port),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    conversations.stopped = lambda: server.should_exit
    return server


def make_app(conversations: Conversations, port: int) -> Guard:
    """The ASGI application of a server at this port of 127.0.0.1."""
    token = secrets.token_urlsafe(32)
    page = Page(conversations, token)
    routes = [Route(path, page.show, methods=["GET"]) for path in page.files]
    for work in (page.begin, page.message, page.end):
        routes.append(Route(f"/{work.__name__}", work, methods=["POST"]))
    app = Starlette(routes=routes, exception_handlers={HTTPException: told})
    hosts = [f"{name}:{port}" for name in (ADDRESS, "localhost")]
    if port == 80:  # the port that browsers leave out
        hosts += [ADDRESS, "localhost"]
    return Guard(app, hosts, token)


class Page:
    """What is answered to each request that the guard has let through."""

    def __init__(self, conversations: Conversations, token: str) -> None:
        self.conversations = conversations
        values = {"service": conversations.service, "token": token, "longest": LONGEST_MESSAGE}
        self.files = {
            "/": (render("assistant.html", **values), "text/html"),
            "/page.css": (render("style.css") + source("page.css"), "text/css"),
            "/page.js": (source("page.js"), "text/javascript"),
        }

    async def show(self, request: Request) -> Response:
        """The page or one of its files."""
        text, kind = self.files[request.url.path]
        return Response(text, media_type=kind)

    async def begin(self, request: Request) -> Response:
        """A new conversation's key."""
        await fields_of(request)
        return JSONResponse({"conversation": self.conversations.begin()})

    async def end(self, request: Request) -> Response:
        """Forget a conversation."""
        self.conversations.end(text_in(await fields_of(request), "conversation"))
        return JSONResponse({})

    async def message(self, request: Request) -> Response:
        """The reply to a message, as a stream."""
        fields = await fields_of(request)
        key, words = text_in(fields, "conversation"), text_in(fields, "message").strip()
        if not 0 < len(words) <= LONGEST_MESSAGE:
            raise HTTPException(422, f"a message has 1 to {LONGEST_MESSAGE:,} characters")
        abilities = abilities_in(fields, self.conversations.service)
        if key not in self.conversations.open:
            raise HTTPException(404, GONE)
        if self.conversations.waiting >= MOST_CONVERSATIONS:
            raise HTTPException(503, "too many messages wait for their answer: try again later")
        return Lines(self.conversations.reply(key, words, abilities))


async def told(_: Request, error: Exception) -> Response:
    """The answer to a request that was refused."""
    assert isinstance(error, HTTPException)
    return refuse(error.status_code, error.detail)


class Lines(StreamingResponse):
    """A stream of JSON lines, whose source is closed as soon as the client is gone."""

    def __init__(self, lines: AsyncGenerator[Line, None]) -> None:
        self.lines = lines
        super().__init__(map_bytes(lines), media_type="application/x-ndjson")

    async def stream_response(self, send: Send) -> None:
        """Send the lines; one whose client has gone holds up nobody."""
        async with aclosing(self.lines):
            await super().stream_response(send)


async def map_bytes(lines: AsyncGenerator[Line, None]) -> AsyncGenerator[bytes, None]:
    """Each line as bytes of JSON."""
    async for line in lines:
        yield json.dumps(line, ensure_ascii=False).encode() + b"\n"


async def fields_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request; refused where it is larger than allowed, or none."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise HTTPException(413, f"a request has at most {LARGEST_BODY:,} bytes")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise HTTPException(400, "the request must be a JSON object")
    return fields


def text_in(fields: dict[str, Any], name: str) -> str:
    """A text of a request; refused where it is missing, or can be no text."""
    value = fields.get(name)
    if not isinstance(value, str) or any("\ud800" <= c <= "\udfff" for c in value):
        raise HTTPException(422, f"{name} must be a text")
    return value


def abilities_in(fields: dict[str, Any], service: Service) -> frozenset[str]:
    """The names of the abilities that are switched on; refused where one is not offered."""
    known, given = {ability.name for ability in service.abilities}, fields.get("abilities")
    if not isinstance(given, list) or not all(isinstance(n, str) and n in known for n in given):
        raise HTTPException(
            422, f"abilities must be a list of {', '.join(sorted(known)) or 'none'}"
        )
    return frozenset(given)


def source(name: str) -> str:
    """The text of a file that lies beside this module."""
    return files("tinylm.serve").joinpath(name).read_text(encoding="utf-8")
