"""The running server: its calls as documented, its limits, and what it never gives away."""

import base64
import io
import re
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest
import requests
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from persam.io.video_writer import VideoWriter
from persam.method.concept import Concept
from tests.colour import RED, photo

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"
SECRET = "a line that no client may read"


@pytest.fixture(scope="module")
def client(served, tmp_path_factory) -> Client:
    return Client(served.url, download_files=str(tmp_path_factory.mktemp("downloads")), verbose=False)


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """The files that the documentation names; a program stands in their folder."""
    monkeypatch.chdir(tmp_path)
    for name, at_xyxy in {"rex": (10, 20, 29, 39), "park": (40, 5, 55, 30), "beach": (4, 8, 15, 16)}.items():
        Image.fromarray(photo(at_xyxy=at_xyxy)).save(f"{name}.png")
    with VideoWriter(Path("walk.mp4"), rate=10) as writer:
        for number in range(3):
            writer.write(photo(at_xyxy=(4 + 4 * number, 8, 19 + 4 * number, 23)), number / 10)
    return tmp_path


@pytest.fixture
def concept(client, files) -> str:
    path, _ = client.predict(handle_file("rex.png"), "box:8,18,31,41", "rex", None, api_name="/learn")
    return path


def test_the_calls_run_as_documented(served, files):
    [code] = re.findall(r"<!-- served -->\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    code = code.replace('Client("http://127.0.0.1:7860")', f"Client({served.url!r}, verbose=False)")
    names: dict = {}
    exec(compile(code, PAGE.name, "exec"), names)  # the point of the test
    assert Concept.load(names["concept"]).name == "rex"
    assert names["learned"] == {"name": "rex", "area_px": 400}
    assert [one["image"] for one in names["found"]] == ["park.png", "beach.png"]
    assert names["found"][0]["objects"][0]["box_xyxy"] == [40, 5, 55, 30]
    with zipfile.ZipFile(names["masks_zip"]) as file:
        assert "masks/park_rex_1.png" in file.namelist()
    assert [one["objects"][0]["present"] for one in names["frames"]] == [True] * 3
    with zipfile.ZipFile(names["track_zip"]) as file:
        assert "overlay.mp4" in file.namelist()
    assert Path(names["overlay_mp4"]).stat().st_size > 1000
    assert [one["used"] for one in names["report"]] == [True, True]
    with zipfile.ZipFile(names["training_zip"]) as file:
        assert "dataset.toml" in file.namelist()


def test_the_calls_are_the_documented_ones_with_their_arguments(client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    asked = {name: [one["parameter_name"] for one in call["parameters"]] for name, call in endpoints.items()}
    assert asked == {
        "/learn": ["photo", "mark", "name", "mask"],
        "/segment": ["photos", "concepts", "max_instances", "format"],
        "/track": ["clip", "concepts", "step"],
        "/prepare": ["photos", "concepts", "layout", "caption"],
    }


def test_a_mask_is_a_file_too(client, files):
    Image.fromarray((photo() == RED).all(2)).save("mask.png")
    _, learned = client.predict(handle_file("rex.png"), "", "rex", handle_file("mask.png"), api_name="/learn")
    assert learned["area_px"] == 400


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("rex.png", "", "rex", None, "/learn"), "say what the object is"),
        (("rex.png", "/etc/passwd", "rex", None, "/learn"), "say what the object is"),
        (("rex.png", "box:1,1,500,9", "rex", None, "/learn"), "lies outside the reference photo of 64x64"),
        (("rex.png", "box:8,18,31,41", " ", None, "/learn"), "give the object a name"),
        ((["park.png"], ["rex.png"], 1, "masks", "/segment"), "is not a concept file"),
        ((["park.png"], None, 1, "masks", "/segment"), "give at least one concept"),
        ((None, None, 1, "masks", "/segment"), "give at least one concept"),
        ((["park.png"], None, 1, "psd", "/segment"), "there is no format 'psd': choose one of masks"),
        ((None, None, 1, "/track"), "give at least one concept"),
    ],
)
def test_what_is_wrong_is_said_as_on_the_page(client, files, call, said):
    *values, name = call
    with pytest.raises(AppError, match=said):
        client.predict(*map(_uploaded, values), api_name=name)


def _uploaded(value):
    if isinstance(value, list):
        return [handle_file(one) for one in value]
    return handle_file(value) if isinstance(value, str) and value.endswith(".png") else value


# --- limits, of which the server has small ones


def test_a_file_of_too_many_bytes_is_refused_while_it_is_uploaded(served):
    answer = requests.post(f"{served.url}gradio_api/upload", files={"files": ("a.png", bytes(2_000_001))}, timeout=30)
    assert answer.status_code == 413
    assert "exceeded" in answer.text


def test_a_photo_of_too_many_pixels_is_said(client, files):
    Image.fromarray(photo(hw=(1600, 1600))).save("wide.png")
    with pytest.raises(AppError, match=r"wide\.png has 1600x1600 pixels, and 2\.5 million are the most"):
        client.predict(handle_file("wide.png"), "box:1,1,9,9", "rex", None, api_name="/learn")


def test_too_many_photos_are_said(client, files, concept):
    many = [handle_file("park.png")] * 6
    with pytest.raises(AppError, match="6 photos are more than the 5"):
        client.predict(many, [handle_file(concept)], 1, "masks", api_name="/segment")


# --- what a client may not have


def test_the_server_is_bound_to_this_machine_alone(served):
    port = int(served.url.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


@pytest.mark.parametrize("address", ["gradio_api/queue/join", "gradio_api/call/learn", "gradio_api/call/v2/learn"])
def test_a_file_of_the_server_cannot_be_named(served, tmp_path, address):
    secret = tmp_path / "secret.png"
    secret.write_text(SECRET)
    for path in (str(secret), "/etc/passwd", f"{served.home}/../stderr", "http://127.0.0.1:1/a.png"):
        given = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "a.png"}
        body = {"data": [given, "box:1,1,9,9", "x", None], "session_hash": "s", "fn_index": 0, "photo": given}
        answer = requests.post(served.url + address, json=body, timeout=30)
        assert answer.status_code == 403
        assert SECRET not in answer.text


@pytest.mark.parametrize("path", ["/etc/passwd", "{secret}", "{home}/../stderr", "{repository}/pyproject.toml"])
def test_a_file_of_the_server_cannot_be_fetched(served, tmp_path, path):
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    path = path.format(secret=secret, home=served.home, repository=PAGE.parents[1])
    for address in ("file=", "file/", "stream/", "proxy="):
        with requests.get(f"{served.url}gradio_api/{address}{path}", timeout=30) as answer:
            assert answer.status_code in (403, 404)
            assert SECRET not in answer.text


def test_an_upload_cannot_choose_its_place(served, tmp_path):
    name = f"../../../../../../..{tmp_path}/planted.png"
    picture = io.BytesIO()
    Image.fromarray(photo()).save(picture, "PNG")
    answer = requests.post(f"{served.url}gradio_api/upload", files={"files": (name, picture.getvalue())}, timeout=30)
    assert answer.status_code == 200
    [path] = answer.json()
    assert Path(path).resolve().is_relative_to(served.home.resolve())
    assert not (tmp_path / "planted.png").exists()


@pytest.mark.parametrize("name", ["../../planted", "/tmp/planted", "a/b", "..", "~/planted"])
def test_a_concepts_name_cannot_choose_its_place(client, files, name):
    path, learned = client.predict(handle_file("rex.png"), "box:8,18,31,41", name, None, api_name="/learn")
    assert learned["name"] == name
    assert Concept.load(path).name == name
    assert not list(files.parent.glob("planted*"))


def test_another_page_gets_no_answer(served):
    headers = {"origin": "https://evil.example"}
    assert requests.get(f"{served.url}config", headers=headers, timeout=30).status_code == 403
    assert requests.get(served.url, headers={"host": "evil.example"}, timeout=30).status_code == 403


def test_the_page_asks_for_nothing_from_elsewhere(served):
    text = requests.get(served.url, timeout=30).text
    loaded = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(https?://[^\"]+)\"", text)
    assert [one for one in loaded if not one.startswith(served.url)] == []
    assert requests.get(f"{served.url}config", timeout=30).json()["analytics_enabled"] is False


def test_a_painting_that_is_none_is_refused():
    from persam.errors import MaskError
    from persam.studio.page.pad import PNG, layer_of

    large = io.BytesIO()
    Image.fromarray(np.zeros((10, 1281), np.uint8)).save(large, "PNG")
    for painting in (None, 7, "", "data:image/svg+xml;base64,AAAA", f"{PNG}!!", f"{PNG}AAAA"):
        with pytest.raises(MaskError, match="the painting cannot be read"):
            layer_of(painting)
    with pytest.raises(MaskError, match="1281x10 pixels"):
        layer_of(PNG + base64.b64encode(large.getvalue()).decode())
