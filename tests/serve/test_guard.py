"""Who may use the page, and how much: everybody else gets one line, and nothing happens."""

import json

import pytest

from tests.serve.conftest import only, serving
from tinylm.assistant.runtime import Event
from tinylm.serve.app import LARGEST_BODY, bind
from tinylm.serve.conversations import LONGEST_MESSAGE, MOST_CONVERSATIONS


@pytest.fixture(scope="module")
def asked():
    """The messages that reached the assistant."""
    return []


@pytest.fixture(scope="module")
def page(asked):
    def reply(message):
        asked.append(message)
        yield Event("answer", "hello")

    with serving(only(reply)) as served:
        yield served


def test_the_page_loads_nothing_but_its_own_two_files_and_sets_no_cookie(page):
    for path in ("/", "/page.js", "/page.css"):
        response = page.send("GET", path)
        assert response.status == 200 and response.read()
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in response.headers
        assert "access-control-allow-origin" not in response.headers
    assert page.send("GET", "/../app.py").status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1:1",
                                  "127.0.0.1.evil.example:{port}", "localhost", "", "[::1]:{port}",
                                  "0.0.0.0:{port}"])  # fmt: skip
def test_another_hosts_name_is_refused_even_for_the_page_itself(page, host):
    name = host.format(port=page.port)
    response = page.send("GET", "/", host=name)
    assert response.status == 421 and page.token.encode() not in response.read()
    assert page.post("/begin", {}, host=name, origin=f"http://{name}").status == 421


def test_two_hosts_in_one_request_are_refused(page):
    own = f"127.0.0.1:{page.port}"
    assert page.send("GET", "/", host=[own, "evil.example"]).status in (400, 421)


def test_localhost_is_this_machine_too(page):
    name = f"localhost:{page.port}"
    assert page.send("GET", "/", host=name).status == 200
    assert page.post("/begin", {}, host=name, origin=f"http://{name}").status == 200
    assert page.post("/begin", {}, host=name).status == 403  # the origin is another one


@pytest.mark.parametrize(
    "changed, status",
    [
        ({"origin": None}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"origin": "https://127.0.0.1:{port}"}, 403),
        ({"x_tinylm_token": None}, 403),
        ({"x_tinylm_token": "x" * 43}, 403),
        ({"x_tinylm_token": "é"}, 403),
        ({"content_type": None}, 415),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
    ],
)
@pytest.mark.parametrize("path", ["/begin", "/message", "/end"])
def test_a_request_that_is_not_the_pages_own_is_refused(page, asked, path, changed, status):
    fields = {"conversation": page.begin(), "message": "hello", "abilities": []}
    for name, value in changed.items():
        changed = {name: value and value.format(port=page.port)}
    response = page.post(path, fields, **changed)
    assert response.status == status and json.loads(response.read())["error"]
    assert response.headers["content-security-policy"]
    assert asked == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_no_other_method_is_answered_and_no_preflight_granted(page, method):
    response = page.send(method, "/message", origin="http://evil.example")
    assert response.status == 405
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "fields, status",
    [
        ({"message": ""}, 422),
        ({"message": " \n "}, 422),
        ({"message": "x" * (LONGEST_MESSAGE + 1)}, 422),
        ({"message": 7}, 422),
        ({"message": "\ud800"}, 422),
        ({"abilities": ["flying"]}, 422),
        ({"abilities": "documents"}, 422),
        ({"abilities": [["documents"]]}, 422),
        ({"conversation": "x"}, 404),
        ({"conversation": None}, 422),
        ({"message": "x" * LARGEST_BODY}, 413),
    ],
)
def test_a_message_outside_the_limits_is_one_line_and_reaches_no_model(page, asked, fields, status):
    whole = {"conversation": page.begin(), "message": "hello", "abilities": []}
    response = page.post("/message", {**whole, **fields})
    error = json.loads(response.read())["error"]
    assert response.status == status and error and "\n" not in error and asked == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 9_000, b"\xff", b"null"])
def test_what_is_no_json_object_is_refused(page, body):
    assert page.post("/message", None, body=body).status == 400


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(page):
    chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
    body = chunk * (LARGEST_BODY // 1024 + 1) + b"0\r\n\r\n"
    assert page.post("/begin", None, body=body, transfer_encoding="chunked").status == 413


def test_the_longest_message_is_answered(page, asked):
    longest = "é" * LONGEST_MESSAGE
    assert page.ask(page.begin(), longest, []) == [("answer", "hello"), ("end", "False")]
    assert asked.pop() == longest


def test_only_so_many_conversations_are_kept_and_the_one_used_longest_ago_goes(page, asked):
    first = page.begin()
    others = [page.begin() for _ in range(MOST_CONVERSATIONS - 1)]
    assert page.ask(first, "still here", [])[0] == ("answer", "hello")
    page.begin()
    assert page.message(others[0], "gone", []).status == 404
    assert page.ask(first, "here", [])[0] == ("answer", "hello")
    asked.clear()


def test_the_address_is_this_machine_alone():
    with bind(0) as listening:
        address, port = listening.getsockname()
        assert address == "127.0.0.1"
        with pytest.raises(ValueError, match=f"--port {port} cannot be used"):
            bind(port)
    with pytest.raises(ValueError, match="must be 0"):
        bind(65_536)
