"""What reaches the page's server: requests of its own page and clients, small, and naming only what they uploaded.

It stands in front of Gradio as ASGI middleware, and holds whatever Gradio does behind it.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

API = "/gradio_api"
# What the page and Gradio's clients ask for. Not: proxies, monitoring, deep links, calls of components, what may come.
ROUTES = re.compile(
    r"/(index\.html)?|/(config|theme\.css|robots\.txt|favicon\.ico|manifest\.json)/?|/(assets|static|svelte)/.*|"
    rf"{API}/(info|app_id|startup-events|theme\.css|queue/join|queue/data|cancel|reset|upload|upload_progress|"
    rf"login_check|heartbeat/[\w.-]+|call/(v2/)?\w+(/\w+)?|file=.*)/?"
)
WITH_JSON = re.compile(rf"{API}/(queue/join|cancel|reset|call/.*)/?")
UPLOAD = re.compile(rf"{API}/upload/?")
JSON_BYTES = 4 << 20  # a painting is in one
OTHER_BYTES = 1 << 20
UPLOADS = 64  # files of the largest size that one upload may have together
LOOPBACK = ("localhost", "127.0.0.1", "::1")
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: "
        "blob:; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}


class Refused(Exception):
    """A request that does not get through. status: of the answer."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Guard:
    """Middleware around an ASGI application.

    app: what is guarded. uploads: the folder that requests may name files of.
    hosts: by which the server may be called; None for any, where it is not bound to this machine alone.
    file_bytes: the largest file that is taken.
    """

    app: App
    uploads: Path
    hosts: tuple[str, ...] | None
    file_bytes: float

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            receive = await self._checked(scope, receive)
        except Refused as error:
            await _answer(send, error.status, str(error))
            return
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                own = {name.encode(): value.encode() for name, value in HEADERS.items()}
                theirs = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in own]
                message = {**message, "headers": [*theirs, *own.items()]}
            await send(message)

        try:
            await self.app(scope, receive, with_headers)
        except Refused as error:  # while its body was read
            if not started:
                await _answer(send, error.status, str(error))

    async def _checked(self, scope: Message, receive: Receive) -> Receive:
        """How the request is read on. Raises Refused."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"]
        if not self._is_own(headers.get("host", "")):
            raise Refused(403, "this server answers to the address that it was started with.")
        if "origin" in headers and not self._is_own(headers["origin"].partition("//")[2]):
            raise Refused(403, "requests of other pages are not answered.")
        if not ROUTES.fullmatch(path) or ".." in path.split("/"):
            raise Refused(404, "there is no such address here.")
        with_json = WITH_JSON.fullmatch(path) is not None
        most = self.file_bytes * UPLOADS if UPLOAD.fullmatch(path) else JSON_BYTES if with_json else OTHER_BYTES
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > most:
            raise Refused(413, f"the request is larger than {most / 1e6:g} MB.")
        counted = _counted(receive, most)
        return await self._with_own_paths(counted) if with_json and scope["method"] == "POST" else counted

    def _is_own(self, netloc: str) -> bool:
        try:
            return self.hosts is None or urlsplit(f"//{netloc}").hostname in self.hosts
        except ValueError:
            return False

    async def _with_own_paths(self, receive: Receive) -> Receive:
        """The same body, of which every path of a file lies in the folder of uploads."""
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                break
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            named = list(_paths(json.loads(body))) if body else []
        except (ValueError, RecursionError):
            raise Refused(400, "the request is no JSON.") from None
        home = self.uploads.resolve()
        for path in named:
            if not isinstance(path, str) or "\0" in path or not _is_within(path, home):
                raise Refused(403, "a file must be uploaded first; no other path and no address is read.")
        sent = False

        async def again() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        return again


def hosts_of(host: str) -> tuple[str, ...] | None:
    """The names by which a server that is bound to `host` may be called."""
    if host in LOOPBACK:
        return LOOPBACK
    return None if host in ("0.0.0.0", "::", "") else (*LOOPBACK, host)


def _counted(receive: Receive, most: float) -> Receive:
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise Refused(413, f"the request is larger than {most / 1e6:g} MB.")
        return message

    return counted


def _paths(value: Any) -> Iterator[Any]:
    """Every `path` in a request, however deep."""
    inside: Iterable[Any] = ()
    if isinstance(value, dict):
        if value.get("path") is not None:
            yield value["path"]
        inside = value.values()
    elif isinstance(value, list):
        inside = value
    for one in inside:
        yield from _paths(one)


def _is_within(path: str, home: Path) -> bool:
    try:
        return Path(path).resolve().is_relative_to(home)
    except (OSError, RuntimeError):  # too long, or links that go round
        return False


async def _answer(send: Send, status: int, message: str) -> None:
    body = json.dumps({"detail": message, "error": message}).encode()
    own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *own]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
