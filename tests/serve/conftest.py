"""A server of the page in a thread of its own, spoken to over real sockets."""

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.assistant.conftest import TICKET, called, learned, searched
from tinylm.assistant.conversation import ASSISTANT, USER, Part
from tinylm.assistant.retrieval import Index
from tinylm.assistant.runtime import CONFIRM, Assistant, Event
from tinylm.assistant.tools import Orders, Search, calculator, toolbox
from tinylm.assistant.training import prepared
from tinylm.commands.serve import service_of
from tinylm.serve.app import bind, make_server
from tinylm.serve.conversations import Service

ALL = ["documents", "tools", "fine-tuning"]
BOOKED = "berth 3 is booked for Monday"
BERTH = called("berth", "book 3 Monday", CONFIRM, "Book it?")
DIALOGUES = [
    called("sum", "calculator 2 * 21", "42", "42."),
    called("sum", "calculator 2 * 21", "error: there is no tool 'calculator'", "Sorry."),
    searched("ticket", TICKET, Part(ASSISTANT, "3 crowns.")),
    called("ticket", "search", "error: there is no tool 'search'", "Sorry."),
    (*BERTH, *called("yes", "book 3 Monday", BOOKED, "Done.")),
    (*BERTH, Part(USER, "no"), Part(ASSISTANT, "All right.")),
    called("berth", "book 3 Monday", "error: there is no tool 'book'", "Sorry."),
    (Part(USER, "yes"), Part(ASSISTANT, "Yes?")),
    (Part(USER, "hello"), Part(ASSISTANT, "Hello!")),
]


class Served:
    """A running page: its address, and requests as its own script sends them."""

    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        page = self.send("GET", "/").read().decode()
        self.token = re.search('name="token" content="([^"]+)"', page)[1]

    def send(self, method, path, body=None, **headers) -> http.client.HTTPResponse:
        """Send a request with exactly these headers (_ for -); a header None is left out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, path, skip_host="host" in named, skip_accept_encoding=True)
        if body is not None and "transfer-encoding" not in named:
            named.setdefault("content-length", str(len(body)))
        for name, value in named.items():
            for each in value if isinstance(value, list) else [value]:
                if each is not None:
                    connection.putheader(name, each)
        connection.endheaders(body)
        return connection.getresponse()

    def post(self, path, fields, **changed) -> http.client.HTTPResponse:
        """Send fields as the page does; `changed` headers and body take the place of its own."""
        body = changed.pop("body", None) or json.dumps(fields).encode()
        own = {"origin": self.url, "content_type": "application/json"}
        return self.send("POST", path, body, **{**own, "x_tinylm_token": self.token, **changed})

    def begin(self) -> str:
        return json.loads(self.post("/begin", {}).read())["conversation"]

    def message(self, key, text, abilities=ALL) -> http.client.HTTPResponse:
        fields = {"conversation": key, "message": text, "abilities": list(abilities)}
        return self.post("/message", fields)

    def ask(self, key, text, abilities=ALL) -> list[tuple[str, str]]:
        """The parts of a reply, the pieces of each put together; "end" has what waits."""
        parts: list[list[str]] = []
        for line in map(json.loads, self.message(key, text, abilities)):
            if not parts or parts[-1][0] != line["kind"]:
                parts.append([line["kind"], ""])
            parts[-1][1] += line.get("text", str(line.get("confirm", "")))
        return [(kind, text) for kind, text in parts]


@contextmanager
def serving(service: Service) -> Iterator[Served]:
    with bind(0) as listening:
        port = listening.getsockname()[1]
        server = make_server(service, port)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield Served(port)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


class Scripted:
    """Answers with events that a test has written, or runs a function on the message."""

    proposed = None

    def __init__(self, reply) -> None:
        self.reply = reply


def only(reply) -> Service:
    """A service without switches whose every answer is that of a function."""
    return Service("Test", "Lead", (), ("hello",), lambda _: Scripted(reply))


class Slow:
    """Counts aloud for as long as somebody listens."""

    def __init__(self) -> None:
        self.written, self.closed = 0, threading.Event()

    def reply(self, message):
        if message == "quick":
            yield Event("answer", "done")
            return
        try:
            for number in range(20_000):  # 100 seconds and more
                self.written = number
                yield Event("answer", f"{number} ")
                time.sleep(0.005)
        finally:
            self.closed.set()


@pytest.fixture(scope="session")
def novice(base_run, tmp_path_factory):
    """A run that a base was prepared for, which has learned nothing yet."""
    return prepared(base_run, tmp_path_factory.mktemp("novice") / "run")


@pytest.fixture(scope="session")
def trained():
    """(model, tokenizer): has learnt the dialogues above by heart."""
    return learned(DIALOGUES)


@pytest.fixture
def orders():
    return Orders()


@pytest.fixture
def service(trained, orders, novice):
    """The small assistant that knows a few dialogues, with a base under it."""
    search = Search(Index({"prices": TICKET}))
    tools = toolbox(calculator(), search.tool(), *orders.tools())
    return service_of(Assistant(*trained, tools, search), novice)


@pytest.fixture
def served(service):
    with serving(service) as page:
        yield page
