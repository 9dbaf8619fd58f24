"""What gets through to the page's server, and what does not, whatever stands behind."""

import asyncio
import json

import pytest

from persam.studio import guard as guards
from persam.studio.guard import Guard, hosts_of

HOST = (b"host", b"127.0.0.1:7860")
JOIN = "/gradio_api/queue/join"


def asked(guard, path, *, body=b"", method="POST", headers=(HOST,), parts=None):
    """The status and body of the answer."""
    sent, chunks = [], list(parts or [body])

    async def receive():
        more = len(chunks) > 1
        return {"type": "http.request", "body": chunks.pop(0), "more_body": more}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    asyncio.run(guard(scope, receive, send))
    start, *rest = sent
    return start, b"".join(message["body"] for message in rest)


@pytest.fixture
def guard(tmp_path):
    async def echo(scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"referrer-policy", b"unsafe-url")]})
        await send({"type": "http.response.body", "body": body})

    (tmp_path / "uploads" / "ab").mkdir(parents=True)
    return Guard(echo, tmp_path / "uploads", hosts_of("127.0.0.1"), file_bytes=1000)


def test_a_request_of_the_page_gets_through_as_it_is(guard, tmp_path):
    data = json.dumps({"data": [{"path": str(tmp_path / "uploads/ab/photo.png")}, "text", 3, None]}).encode()
    start, body = asked(guard, JOIN, parts=[data[:10], data[10:]])
    assert start["status"] == 200
    assert body == data


def test_every_answer_forbids_what_comes_from_elsewhere(guard):
    for path in ("/", "/nowhere"):
        start, _ = asked(guard, path, method="GET")
        named = dict(start["headers"])
        assert b"default-src 'self'" in named[b"content-security-policy"]
        assert named[b"x-content-type-options"] == b"nosniff"
        assert [value for name, value in start["headers"] if name == b"referrer-policy"] == [b"no-referrer"]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "http://169.254.169.254/latest",
        "https://example.org/a.png",
        "{uploads}/../secret.txt",
        "{uploads}/link/passwd",
        "../secret.txt",
        "file:///etc/passwd",
        "",
        "a\0b",
        "x" * 5000,
        7,
        ["/etc/passwd"],
    ],
)
@pytest.mark.parametrize("address", [JOIN, "/gradio_api/call/learn", "/gradio_api/call/v2/learn", f"{JOIN}/"])
def test_no_file_is_named_but_what_was_uploaded(guard, tmp_path, path, address):
    (tmp_path / "uploads" / "link").symlink_to("/etc")
    named = path.format(uploads=tmp_path / "uploads") if isinstance(path, str) else path
    for data in ([{"path": named}], {"deep": [[{"file": {"path": named, "meta": {"_type": "gradio.FileData"}}}]]}):
        start, body = asked(guard, address, body=json.dumps({"data": data}).encode())
        assert start["status"] == 403
        assert b"a file must be uploaded first" in body


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_refused(guard, body):
    start, _ = asked(guard, JOIN, body=body)
    assert start["status"] == 400


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://example.org",
        "/gradio_api/deep_link",
        "/monitoring",
        "/gradio_api/vibe-code",
        "/gradio_api/process_recording",
        "/gradio_api/run/learn",
        "/gradio_api/component_server",
        "/gradio_api/run-history/connect",
        "/gradio_api/dev/reload",
        "/assets/../../etc/passwd",
        "/docs",
        "//etc/passwd",
    ],
)
def test_other_addresses_lead_nowhere(guard, path):
    assert asked(guard, path)[0]["status"] == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((HOST,), 200),
        (((b"host", b"localhost"),), 200),
        (((b"host", b"[::1]:80"),), 200),
        (((b"host", b"evil.example"),), 403),
        (((b"host", b"127.0.0.1.evil.example:7860"),), 403),
        (((b"host", b"[broken"),), 403),
        ((), 403),
        ((HOST, (b"origin", b"http://localhost:7860")), 200),
        ((HOST, (b"origin", b"https://evil.example")), 403),
        ((HOST, (b"origin", b"null")), 403),
    ],
)
def test_only_the_page_itself_asks(guard, headers, status):
    assert asked(guard, "/", method="GET", headers=headers)[0]["status"] == status


def test_bound_to_every_address_it_answers_to_every_name(guard):
    anyone = Guard(guard.app, guard.uploads, hosts_of("0.0.0.0"), 1000)
    assert asked(anyone, "/", headers=((b"host", b"studio.example"),))[0]["status"] == 200
    assert hosts_of("10.0.0.5") == ("localhost", "127.0.0.1", "::1", "10.0.0.5")


def test_a_request_that_says_it_is_too_large_is_not_read(guard, monkeypatch):
    monkeypatch.setattr(guards, "JSON_BYTES", 100)
    headers = (HOST, (b"content-length", b"101"))
    assert asked(guard, JOIN, headers=headers)[0]["status"] == 413
    assert asked(guard, JOIN, headers=(HOST, (b"content-length", b"many")))[0]["status"] == 413


def test_a_request_that_turns_out_too_large_ends(guard, monkeypatch):
    monkeypatch.setattr(guards, "JSON_BYTES", 100)
    assert asked(guard, JOIN, parts=[b"x" * 60, b"x" * 60])[0]["status"] == 413
    upload = "/gradio_api/upload"
    assert asked(guard, upload, parts=[b"x" * 1000] * 64)[0]["status"] == 200
    assert asked(guard, upload, parts=[b"x" * 1000] * 65)[0]["status"] == 413
