"""What a stranger may send to `persam serve`: damaged uploads with odd words, and requests that the guard must hold."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from persam.studio.guard import Guard, hosts_of
from persam.studio.limits import Limits
from persam.studio.page import api
from persam.studio.session import Session
from tests.colour import colour_model
from tests.fuzz.mutate import mutated

SMALL = Limits(file_mb=1, megapixels=1, files=4, seconds=30)
WORDS = ["", "red", "../up", "a/b", "/etc/passwd", "=1+1", "x" * 400, "\0", "é", "{}", "{0}", "\ud800", "con"]
MARKS = [
    "box:4,4,26,20",
    "points:15,12",
    "points:15,12;-1,1",
    "box:9,9,1,1",
    "propose:1",
    "scribble:1,2;3",
    "box:a",
    "",
]


def call(rng: Random, folder: Path, pictures: list[tuple[str, bytes]], concept: bytes) -> None:
    """One of the four calls, as a client of the API makes it; what it hands out lies in the session's folder."""
    home, sent = folder / "home", folder / "sent"
    home.mkdir()
    sent.mkdir()
    session = Session(colour_model(), home, SMALL)

    def uploaded(data: bytes, suffix: str) -> str:
        path = sent / f"{len(list(sent.iterdir()))}{suffix}"
        path.write_bytes(mutated(rng, data) if rng.random() < 0.3 else data)
        return str(path)

    def photo() -> str:
        name, data = rng.choice(pictures)
        return uploaded(data, rng.choice([".png", ".jpg", name]))

    photos = [photo() for _ in range(rng.choice([0, 1, 2, 3, 5]))]
    concepts = [uploaded(concept, ".safetensors") for _ in range(rng.choice([0, 1, 1, 1, 1, 2]))]
    word: Callable[[], str] = lambda: "red" if rng.random() < 0.6 else rng.choice(WORDS)  # noqa: E731
    try:
        kind = rng.randrange(4)
        if kind == 0:
            mask = photo() if rng.random() < 0.2 else None
            found, _ = api.learn(session, photo(), "" if mask else rng.choice([*MARKS, word()]), word(), mask)
            made = [found]
        elif kind == 1:
            most = rng.choice([1, 1, 2, 2, 0, -3, 10**6])
            made = [
                api.segment(
                    session, photos, concepts, most, rng.choice(["masks", "cutouts", "coco", "yolo", rng.choice(WORDS)])
                )[1]
            ]
        elif kind == 2:
            made = list(api.track(session, photo(), concepts, rng.choice([1, 0, -1, 10**9]))[1:])
        else:
            layout = rng.choice(["diffusers", "kohya", rng.choice(WORDS)])
            made = [one for one in [api.prepare(session, photos, concepts, layout, word())[1]] if one is not None]
        assert all(Path(one).resolve().is_relative_to(home.resolve()) for one in made), made
    finally:
        session.close()
    assert list(home.iterdir()) == [], "something is left"


def request(rng: Random, folder: Path) -> None:
    """A request is answered by the guard, or reaches what it guards and names uploads alone."""
    uploads = folder / "uploads"
    uploads.mkdir()
    (uploads / "a.png").write_bytes(b"a")
    (uploads / "out").symlink_to("/etc")
    places = [
        str(uploads / "a.png"),
        str(uploads / "out" / "passwd"),
        "/etc/passwd",
        "http://x/a",
        "../a",
        "",
        "\0",
        "x" * 5000,
    ]
    passed: list[Any] = []

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        passed.append((scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"ALLOW")]})
        await send({"type": "http.response.body", "body": b""})

    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    routes = [
        "/",
        "/gradio_api/queue/join",
        "/gradio_api/call/learn",
        "/gradio_api/upload",
        "/gradio_api/file=/etc/passwd",
    ]
    routes += [
        "/gradio_api/../config",
        "/proxy=http://x",
        "/monitoring",
        "//",
        "",
        "/gradio_api/call/%2e%2e/x",
        "/\udcff",
    ]
    named = {
        "data": [{"path": rng.choice(places), "meta": {"_type": "gradio.FileData"}}, rng.choice([1, None, [[{}]]])]
    }
    text = rng.choice(
        [json.dumps(named), "[" * rng.choice([10, 100_000]), "{", json.dumps({"path": rng.choice([1, {}, []])})]
    )
    body = mutated(rng, text.encode()) if rng.random() < 0.3 else text.encode()
    headers = [(b"host", rng.choice([b"localhost:7860", b"127.0.0.1", b"evil.example", b"[::1", b"", b"\xff"]))]
    if rng.random() < 0.3:
        headers.append(
            (b"origin", rng.choice([b"http://localhost:7860", b"https://evil.example", b"null", b"http://[", b"\xff"]))
        )
    if rng.random() < 0.3:
        headers.append((b"content-length", rng.choice([b"5", b"-1", b"1e9", b"99999999999", b"\xb2", b""])))
    cut = rng.randrange(len(body) + 1)
    parts = [
        {"type": "http.request", "body": one, "more_body": more}
        for one, more in ((body[:cut], True), (body[cut:], False))
    ]
    if rng.random() < 0.1:
        parts = [parts[0], {"type": "http.disconnect"}]
    waiting = iter([*parts, *({"type": "http.disconnect"} for _ in range(3))])

    async def receive() -> Any:
        return next(waiting)

    scope = {"type": "http", "method": rng.choice(["POST", "GET"]), "path": rng.choice(routes), "headers": headers}
    asyncio.run(Guard(guarded, uploads, hosts_of("127.0.0.1"), 1e6)(scope, receive, send))
    [start, *_] = answers
    assert start["status"] in (200, 400, 403, 404, 413), start
    assert (b"x-frame-options", b"DENY") in start["headers"], start
    for path, inside in passed:
        if scope["method"] == "POST" and ("queue/join" in path or "/call/" in path):
            assert all(
                Path(one).resolve().is_relative_to(uploads.resolve()) for one in _named(json.loads(inside or b"0"))
            )


def _named(value: Any) -> list[str]:
    """Every path in a body, however deep."""
    if isinstance(value, dict):
        own = [] if value.get("path") is None else [value["path"]]
        return own + [path for one in value.values() for path in _named(one)]
    return [path for one in value for path in _named(one)] if isinstance(value, list) else []
