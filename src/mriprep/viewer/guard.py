"""Who may see what is served: a token, a cookie, and what browsers say of where a request comes from."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import threading
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: What needs no cookie: the page itself, in which there is nothing of anybody.
_OPEN = ("/", "/api/enter")
_STATIC = "/static/"
#: A Host header: a name or an address, and a port.
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
#: Where files of the folder of outputs are served.
FILES = "/out/"
#: What reports link to: each other, tables, and logs of cases that failed.
_LINKED = (".html", ".tsv", ".json", ".log")

_CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self' data:",  # data: is where the viewer's fonts are
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": _CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


class Keys:
    """The token of one run of the server, and what is derived from it.

    Parameters
    ----------
    port : int
        Cookies are shared between the ports of a machine: their names tell
        two servers apart.
    token : str, optional
        Random by default, 256 bits.
    """

    def __init__(self, port: int, token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(32)
        self.cookie = f"mriprep-view-{port}"
        self.value = self._derived("all")
        # Reports run in a sandbox that is nobody's origin (see files.py): browsers send no strict
        # cookie where one of them links to another. This one is good for reports, and the tables
        # that the page of all images links to.
        self.pages_cookie = f"mriprep-view-{port}-pages"
        self.pages_value = self._derived("pages")
        self._once: set[str] = set()
        self._lock = threading.Lock()

    def once(self) -> str:
        """A token that is good for one use: other users can see how a browser was called."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._once.add(token)
        return token

    def admits(self, token: str) -> bool:
        """Whether a token is right."""
        if _same(token, self.token):
            return True
        with self._lock:
            for known in self._once:
                if _same(token, known):
                    self._once.discard(known)
                    return True
        return False

    def knows(self, request: Request) -> bool:
        """Whether a request has the cookie that it needs."""
        cookies = _cookies(request)
        if _same(cookies.get(self.cookie, ""), self.value):
            return True
        path = request.scope["path"]
        page = path.startswith(FILES) and path.endswith(_LINKED)
        reading = request.method in ("GET", "HEAD")
        return page and reading and _same(cookies.get(self.pages_cookie, ""), self.pages_value)

    def give(self, response: Response) -> None:
        """Set the cookies."""
        response.set_cookie(self.cookie, self.value, httponly=True, samesite="strict", path="/")
        response.set_cookie(
            self.pages_cookie, self.pages_value, httponly=True, samesite="lax", path=FILES
        )

    def _derived(self, purpose: str) -> str:
        return hmac.new(self.token.encode(), purpose.encode(), hashlib.sha256).hexdigest()


class Guard:
    """Lets through what may pass, and sets the headers that keep browsers strict.

    Parameters
    ----------
    app : ASGI application
        What it guards.
    keys : Keys
        Whose cookie is asked for.
    names : iterable of str
        By which names the server may be called, besides addresses. A page of
        somewhere else whose name was turned to this machine's address (DNS
        rebinding) calls it by its own name.
    remote : bool
        Whether addresses that are not this machine's own are accepted.
    """

    def __init__(
        self, app: ASGIApp, *, keys: Keys, names: Iterable[str] = (), remote: bool = False
    ) -> None:
        self.app = app
        self.keys = keys
        self.names = {"localhost", *(n.casefold() for n in names)}
        self.remote = remote

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":  # no websockets, no start-up and shut-down messages
            return
        refused = self._refusal(Request(scope))

        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (refused or self.app)(scope, receive, strict)

    def _refusal(self, request: Request) -> Response | None:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._our_name(hosts[0]):
            return refusal(403, "this server is not called by that name")
        if request.method not in ("GET", "HEAD"):
            # Browsers say truly where a script comes from that writes.
            if request.headers.getlist("origin") != [f"http://{hosts[0]}"]:
                return refusal(403, "requests that change something must come from the page itself")
            if not _is_json(request.headers):
                return refusal(415, "the content must be application/json")
        # Not request.url: it is put together with the Host header, which the asker chooses.
        path = request.scope["path"]
        if path in _OPEN or path.startswith(_STATIC) or self.keys.knows(request):
            return None
        return refusal(
            401, "open the address that `mriprep view` printed, the part behind # included"
        )

    def _our_name(self, host: str) -> bool:
        called = _HOST.fullmatch(host)
        if called is None:
            return False
        name = called[1].casefold()
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return self.remote or address.is_loopback


def refusal(status: int, says: str) -> JSONResponse:
    """An answer that says why not."""
    return JSONResponse({"error": says}, status_code=status)


def _is_json(headers: Headers) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _cookies(request: Request) -> dict[str, str]:
    try:
        return {k: m.value for k, m in SimpleCookie(request.headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _same(given: str, right: str) -> bool:
    """Compared in a time that tells nothing of how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())
