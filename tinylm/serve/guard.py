"""Who may use the page: this machine's browser, and in it this page alone.

A server on 127.0.0.1 can be reached by every page that the browser has open. What keeps them out:

- Host must be this server's own name. A foreign name that was pointed at 127.0.0.1 (DNS rebinding)
  is refused, whatever it asks for.
- A request that does something is a POST of JSON with the page's token, from the page's own origin.
  A foreign page cannot read the token, and cannot send such a request without asking first (CORS),
  which is never granted.
- The content security policy lets the page load its own two files, talk to this server, and
  nothing else; no page may frame it. No cookie is set or read.

Every answer says that it is to be stored nowhere.
"""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN = "x-tinylm-token"  # the header that carries the page's token
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI application around another one, which sees only what is allowed."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str], token: str) -> None:
        self.app, self.hosts, self.token = app, tuple(hosts), token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or hand it on; headers of the policy go on every answer."""

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["type"] != "http":  # nothing here speaks over WebSockets
            return
        refused = self.refusal(scope["method"], Headers(scope=scope))
        await (refused or self.app)(scope, receive, sealed)

    def refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        """Why a request is refused; None where it is not."""
        host = headers.getlist("host")
        if len(host) != 1 or host[0] not in self.hosts:
            return refuse(421, f"open the page as http://{self.hosts[0]}/")
        if method == "GET":
            return None
        if method != "POST":
            return refuse(405, "only GET and POST are answered")
        if headers.get("origin") != f"http://{host[0]}":
            return refuse(403, "only the page itself may ask this")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return refuse(415, "the content type must be application/json")
        # compared in a time that says nothing of how much of it is right
        given = headers.get(TOKEN, "").encode("latin-1")
        if not hmac.compare_digest(given, self.token.encode()):
            return refuse(403, "this page belongs to a server that has ended: reload it")
        return None


def refuse(status: int, reason: str) -> JSONResponse:
    """An answer that names an error in one line."""
    return JSONResponse({"error": reason}, status)
