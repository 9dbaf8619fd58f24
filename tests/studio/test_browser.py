"""The page in a real Chromium: load, click and paint, search, review, track, and take the results home.

PERSAM_CHROMIUM names the browser; where it is set and there is none, that is a failure.
"""

import json
import math
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from persam.io.video_writer import VideoWriter
from persam.method.concept import Concept
from tests.colour import BLUE, photo

pytestmark = pytest.mark.slow
CHROMIUM = "PERSAM_CHROMIUM"
KNOWN = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_MS = 30_000
SHOWN_UPLOADS = ".file-preview, #marking img"
LARGE = (1200, 1600)  # height and width of a photo that is larger than the page shows it
THING = (1000, 800, 1399, 1099)  # where a red thing lies in it


def chromium() -> str | None:
    """The browser's path; None where there is none, which `PERSAM_CHROMIUM` forbids."""
    asked = os.environ.get(CHROMIUM)
    if asked:
        assert shutil.which(asked), f"{CHROMIUM} names {asked}, which is no program"
        return asked
    return next((path for path in map(shutil.which, KNOWN) if path), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip(f"no Chromium on this machine: install one, or name it in {CHROMIUM}")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, served) -> Iterator[Page]:
    """A tab of its own, which may neither fail nor ask elsewhere."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    elsewhere, failed = [], []
    page.on("request", lambda one: elsewhere.append(one.url) if _leaves(one.url, served.url) else None)
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(served.url)
    yield page
    page.close()
    assert elsewhere == []
    assert failed == []


def _leaves(url: str, own: str) -> bool:
    return not url.startswith((own, "data:", "blob:"))


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True).locator("visible=true")


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def drop(page: Page, *paths: Path) -> None:
    """Into the first place for files of the tab that is open."""
    with page.expect_response(lambda answer: answer.url.endswith("/gradio_api/upload") or "upload?" in answer.url):
        page.locator("[role=tabpanel]:visible input[type=file]").first.set_input_files(paths)
    expect(page.locator(SHOWN_UPLOADS).locator("visible=true").first).to_be_visible()


def click_photo(picture: Locator, share_xy: tuple[float, float]) -> None:
    """A click at a share of the photo's width and height, wherever it lies in its frame."""
    expect(picture).to_be_visible()
    picture.scroll_into_view_if_needed()
    picture.hover()  # waits until it stays in its place
    box = picture.bounding_box()
    width, height = picture.evaluate("one => [one.naturalWidth, one.naturalHeight]")
    scale = min(box["width"] / width, box["height"] / height, 1)  # small photos are not enlarged
    left, top = (box["width"] - width * scale) / 2, (box["height"] - height * scale) / 2
    picture.click(position={"x": left + share_xy[0] * width * scale, "y": top + share_xy[1] * height * scale})


def marked_pixels(page: Page) -> int:
    text = page.locator("#marked")
    expect(text).to_contain_text("are marked")
    return int(re.search(r"([\d,]+) pixels", text.inner_text())[1].replace(",", ""))


def saved(page: Page, link: Locator) -> Path:
    with page.expect_download() as download:
        link.click()
    return Path(download.value.path())


@pytest.fixture
def large(upload) -> Path:
    return upload("rex.png", photo(hw=LARGE, at_xyxy=THING))


def learn(page: Page, path: Path, name: str = "rex") -> None:
    """Loads the photo, clicks the thing in it, and keeps it."""
    drop(page, path)
    click_photo(page.locator("#marking img"), (0.75, 0.8))
    marked_pixels(page)
    page.locator("#name").get_by_role("textbox").or_(page.locator("#name input, #name textarea")).first.fill(name)
    button(page, "Keep it").click()
    expect(page.locator("#shelf img")).to_have_count(1)


def test_from_one_photo_to_an_album_under_review(page, large, album, tmp_path):
    learn(page, large)
    assert marked_pixels(page) == pytest.approx(400 * 300, rel=0.05)  # of the photo, not of what is shown

    tab(page, "Album")
    drop(page, *album)
    button(page, "Search").click()
    said = page.locator("#searched")
    expect(said).to_contain_text("3 of 3 searched · in 2 · not in 1")
    expect(page.locator("#gallery")).to_contain_text("blue · rex: not here")
    assert page.locator("#gallery img").count() >= 3

    button(page, "COCO (JSON)").click()
    coco = json.loads(saved(page, page.locator("#download a").first).read_text())
    assert [one["file_name"] for one in coco["images"]] == ["left.png", "blue.png", "right.png"]
    button(page, "Masks (ZIP)").click()
    expect(page.locator("#download")).to_contain_text("masks")
    with zipfile.ZipFile(saved(page, page.locator("#download a").first)) as file:
        assert "masks/left_rex_1.png" in file.namelist()

    tab(page, "Compare")
    expect(page.locator("[role=tabpanel]:visible img")).to_have_count(2)

    tab(page, "Review")
    said = page.locator("#reviewed")
    expect(said).to_contain_text("3 to go")
    button(page, "Accept").click()
    expect(said).to_contain_text("Learned from it: rex: 2 photos")
    button(page, "Reject").click()
    expect(said).to_contain_text("it is not rex. Learned from it: rex: 2 photos, 1 not it")
    expect(said).to_contain_text("1 to go")

    tab(page, "Learn")
    button(page, "Download it").click()
    link = page.locator("[role=tabpanel]:visible a[download]")
    kept = shutil.copy(saved(page, link.first), tmp_path / "kept.safetensors")
    assert Concept.load(kept).counter_examples == 1


def test_a_mask_is_put_right_by_further_clicks_and_taken_back(page, upload):
    rgb = photo(hw=LARGE, at_xyxy=THING)
    rgb[200:500, 200:600] = BLUE
    drop(page, upload("both.png", rgb))
    picture = page.locator("#marking img")
    click_photo(picture, (0.75, 0.8))
    first = marked_pixels(page)
    click_photo(picture, (0.25, 0.3))
    expect(page.locator("#marked")).not_to_contain_text(f"{first:,} pixels")
    assert marked_pixels(page) == pytest.approx(2 * first, rel=0.1)
    page.get_by_label("Click what is not it").click()
    both = marked_pixels(page)
    click_photo(picture, (0.3, 0.35))
    expect(page.locator("#marked")).not_to_contain_text(f"{both:,} pixels")
    assert marked_pixels(page) == pytest.approx(1.5 * first, rel=0.1)  # the stand-in's part: the left half
    button(page, "Undo").click()
    expect(page.locator("#marked")).to_contain_text(f"{both:,} pixels")
    button(page, "Clear").click()
    expect(page.locator("#marked")).to_contain_text("Nothing is marked yet")
    page.get_by_label("Draw a box: two corners").click()
    click_photo(picture, (0.6, 0.63))
    expect(page.locator("#marked")).to_contain_text("click the opposite one")
    click_photo(picture, (0.9, 0.95))
    assert marked_pixels(page) == pytest.approx(400 * 300, rel=0.05)


def test_a_click_on_a_small_photo_is_taken_where_it_falls(page, upload):
    drop(page, upload("small.png", photo(hw=(120, 160), at_xyxy=(130, 90, 149, 109))))
    click_photo(page.locator("#marking img"), (0.9, 0.85))
    assert marked_pixels(page) == 400


def test_paint_comes_back_in_the_photos_own_pixels(page, large):
    drop(page, large)
    expect(page.locator("#marking img")).to_be_visible()
    page.get_by_label("Paint over it").click()
    canvas = page.locator("#painting canvas[data-ready]")
    expect(canvas).to_be_visible()
    box = canvas.bounding_box()
    assert box["width"] < LARGE[1]
    y, left, right = (box["y"] + box["height"] * 0.4, box["x"] + box["width"] * 0.2, box["x"] + box["width"] * 0.6)
    page.mouse.move(left, y)
    page.mouse.down()
    page.mouse.move(right, y, steps=4)
    page.mouse.up()
    brush, scale = 40, LARGE[1] / box["width"]
    expected = (brush * (right - left) + math.pi * (brush / 2) ** 2) * scale**2
    assert marked_pixels(page) == pytest.approx(expected, rel=0.04)
    page.get_by_label("Click the object").click()
    expect(page.locator("#marking img")).to_be_visible()
    page.get_by_label("Paint over it").click()  # what was painted is there again
    expect(canvas).to_be_visible()
    painted = canvas.evaluate(
        "one => one.getContext('2d').getImageData(one.width * 0.4, one.height * 0.4, 1, 1).data[3]"
    )
    assert painted == 255
    button(page, "Undo").click()
    expect(page.locator("#marked")).to_contain_text("Nothing is marked yet")


def test_a_clip_is_tracked_plays_and_shows_its_frames(page, upload, tmp_path):
    learn(page, upload("rex.png", photo(hw=LARGE, at_xyxy=THING)))
    with VideoWriter(tmp_path / "walk.mp4", rate=10) as writer:
        for number in range(4):
            rgb = photo(hw=(240, 320), at_xyxy=(20 + 10 * number, 40, 99 + 10 * number, 119))
            writer.write(rgb, number / 10)
    tab(page, "Video")
    drop(page, tmp_path / "walk.mp4")
    button(page, "Track").click()
    said = page.locator("#tracked")
    expect(said).to_contain_text("4 of 4 frames are tracked")
    player = page.locator("#player video")
    expect(player).to_be_visible()
    page.wait_for_function("document.querySelector('#player video').readyState >= 1")
    assert player.evaluate("one => one.duration") == pytest.approx(0.4, abs=0.15)
    page.get_by_text("Put a frame right").click()
    frame = page.locator("#frame img")
    expect(frame).to_be_visible()
    before = frame.get_attribute("src")
    click_photo(frame, (0.9, 0.9))  # on the ground, which is one thing too
    expect(frame).not_to_have_attribute("src", before)
    button(page, "Keep this correction").click()
    expect(page.get_by_text("The correction is kept")).to_be_visible()
    first = player.evaluate("one => one.currentSrc")
    button(page, "Track again").click()
    page.wait_for_function(
        "first => { const one = document.querySelector('#player video');"
        " return one && one.currentSrc && one.currentSrc != first }",
        arg=first,
    )
    expect(said).to_contain_text("4 of 4 frames are tracked")


def test_photos_to_train_on_come_as_a_zip(page, large, album):
    learn(page, large)
    tab(page, "DreamBooth")
    drop(page, *album)
    button(page, "Prepare").click()
    expect(page.locator("#prepared")).to_contain_text("2 of 3 photos have masks")
    with zipfile.ZipFile(saved(page, page.locator("#archive a").first)) as file:
        assert {"images/left.png", "masks/left.png", "captions/left.txt"} <= set(file.namelist())


def test_what_is_missing_or_wrong_is_said(page, upload, tmp_path):
    expect(page.get_by_text("The shelf is empty")).to_be_visible()
    button(page, "Keep it").click()
    expect(page.get_by_text("there is no photo yet: load one first")).to_be_visible()
    tab(page, "Review")
    expect(page.get_by_text("Nothing to review")).to_be_visible()
    tab(page, "Album")
    button(page, "Search").click()
    expect(page.get_by_text("choose what to look for: tick a concept")).to_be_visible()
    tab(page, "Learn")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    page.locator("[role=tabpanel]:visible input[type=file]").first.set_input_files(tmp_path / "broken.png")
    expect(page.get_by_text("its content is no image of a known format")).to_be_visible()


def test_the_browser_that_is_named_must_be_there(monkeypatch):
    monkeypatch.setenv(CHROMIUM, "/nowhere/chromium")
    with pytest.raises(AssertionError, match="PERSAM_CHROMIUM names /nowhere/chromium"):
        chromium()
    monkeypatch.setenv(CHROMIUM, shutil.which("sh") or "")
    assert chromium() == shutil.which("sh")
