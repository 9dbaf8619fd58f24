"""Weights arrive whole or not at all: against a server on this machine that breaks off, lies, or is not there."""

import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from persam.errors import WeightsError
from persam.sam import weights

CONTENT = bytes(range(256)) * 40  # 10,240 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Sends `content`; breaks off after `cut` bytes of the next reply; `ranges`: understands Range."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cut, self.ranges, self.status = CONTENT, None, True, 200
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers["Range"]
        server.asked.append(asked)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut, server.cut = server.cut, None
        self.wfile.write(body[:cut])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        monkeypatch.setenv("PERSAM_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        source = weights.Source("vit_x", "weights.pth", running.url, SHA256, len(CONTENT), "Apache-2.0", "for tests")
        monkeypatch.setitem(weights.TABLE, "vit_x", source)
        yield running
        running.shutdown()
        thread.join(timeout=5)


@pytest.fixture
def target(server, tmp_path) -> Path:
    return tmp_path / "cache" / "weights.pth"


def test_a_file_is_fetched_once(server, target):
    assert weights.fetch("vit_x") == target
    assert target.read_bytes() == CONTENT
    assert weights.fetch("vit_x") == target
    assert server.asked == [None]
    assert not target.with_name("weights.pth.part").exists()


def test_progress_goes_to_standard_error(server, target, capsys):
    weights.fetch("vit_x")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "weights.pth" in captured.err
    assert "100%" in captured.err


def test_a_download_that_breaks_off_goes_on_where_it_stopped(server, target, monkeypatch):
    monkeypatch.setattr(weights, "BLOCK_BYTES", 1000)
    server.cut = 4500
    weights.fetch("vit_x")
    assert server.asked == [None, "bytes=4000-"]
    assert target.read_bytes() == CONTENT


def test_a_part_left_by_an_earlier_run_is_taken_up(server, target):
    target.parent.mkdir()
    target.with_name("weights.pth.part").write_bytes(CONTENT[:9000])
    assert next(row.state for row in weights.rows() if row.source.name == "vit_x") == "partial"
    weights.fetch("vit_x")
    assert server.asked == ["bytes=9000-"]
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_all_again(server, target):
    server.ranges = False
    target.parent.mkdir()
    target.with_name("weights.pth.part").write_bytes(CONTENT[:9000])
    weights.fetch("vit_x")
    assert target.read_bytes() == CONTENT


def test_a_whole_part_needs_no_server(server, target):
    target.parent.mkdir()
    target.with_name("weights.pth.part").write_bytes(CONTENT)
    weights.fetch("vit_x")
    assert server.asked == []
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("sent", "found"),
    [(b"x" * len(CONTENT), "sha256"), (CONTENT + b"x" * 5000, "bytes instead of 10240")],
    ids=["altered", "longer"],
)
def test_a_wrong_file_never_appears(server, target, sent, found):
    server.content = sent
    with pytest.raises(WeightsError, match=f"not the published vit_x: .*{found}.*It was deleted"):
        weights.fetch("vit_x")
    assert not target.exists()
    assert not target.with_name("weights.pth.part").exists()


def test_a_file_that_is_too_short_is_reported_and_kept_to_go_on(server, target):
    server.content = CONTENT[:500]
    with pytest.raises(WeightsError, match="cannot download the weights of vit_x"):
        weights.fetch("vit_x")
    assert not target.exists()


def test_without_a_connection_the_message_says_which_file_goes_where(server, target, monkeypatch):
    gone = replace(weights.TABLE["vit_x"], url="http://127.0.0.1:9/weights.pth")  # nothing listens on port 9
    monkeypatch.setitem(weights.TABLE, "vit_x", gone)
    with pytest.raises(WeightsError) as caught:
        weights.fetch("vit_x")
    message = str(caught.value)
    for part in (gone.url, "10240 bytes", SHA256, str(target), "no connection", "nano"):
        assert part in message


def test_a_refusal_of_the_server_is_named(server, target):
    server.status = 404
    with pytest.raises(WeightsError, match="the server answers 404"):
        weights.fetch("vit_x")


def test_a_file_put_there_by_hand_is_checked_before_it_is_used(server, target):
    target.parent.mkdir()
    target.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(WeightsError, match="not the published vit_x: sha256"):
        weights.fetch("vit_x")
    target.write_bytes(CONTENT)
    assert weights.fetch("vit_x") == target
    assert server.asked == []


def test_a_checked_file_is_not_read_again_until_it_changes(server, target, monkeypatch):
    weights.fetch("vit_x")
    read = []
    monkeypatch.setattr(weights, "_sha256", lambda file: read.append(file) or SHA256)
    weights.fetch("vit_x")
    assert read == []
    target.write_bytes(CONTENT)
    weights.fetch("vit_x")
    assert read == [target]


def test_verify_reads_the_file(server, target):
    with pytest.raises(WeightsError, match="`persam weights fetch vit_x` downloads it"):
        weights.verify("vit_x")
    weights.fetch("vit_x")
    assert weights.verify("vit_x") == target
    target.write_bytes(CONTENT[:100])
    with pytest.raises(WeightsError, match="100 bytes instead of 10240"):
        weights.verify("vit_x")


def test_two_at_the_same_time_download_once(server, target):
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(weights.fetch("vit_x"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert found == [target] * 4
    assert server.asked == [None]


def test_a_cache_that_cannot_be_written_says_what_to_set(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("PERSAM_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="Set PERSAM_CACHE"):
        weights.fetch("vit_x")


def test_a_full_disk_is_noticed_before_the_download(server, target, monkeypatch):
    usage = weights.shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr(weights.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(WeightsError, match="Set PERSAM_CACHE to a folder with room"):
        weights.fetch("vit_x")
    assert server.asked == []


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.delenv("PERSAM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.path("vit_b") == tmp_path / "persam" / "sam_vit_b_01ec64.pth"
    monkeypatch.setenv("PERSAM_CACHE", str(tmp_path / "own"))
    assert weights.path("vit_b") == tmp_path / "own" / "sam_vit_b_01ec64.pth"


@pytest.mark.parametrize(("wrong", "right"), [("vit-b", "vit_b"), ("ViT_H", "vit_h"), ("nanno", "nano")])
def test_an_unknown_name_suggests_the_closest(wrong, right):
    with pytest.raises(WeightsError, match=f"Did you mean '{right}'.*Known: nano, vit_t, vit_b, vit_l, vit_h"):
        weights.path(wrong)


def test_the_list_names_every_model_and_its_state(monkeypatch, tmp_path):
    monkeypatch.setenv("PERSAM_CACHE", str(tmp_path))
    lines = [str(row) for row in weights.rows()]
    assert [line.split()[0] for line in lines] == ["nano", "vit_t", "vit_b", "vit_l", "vit_h"]
    assert "2565 MB  missing" in lines[-1]
