"""An album in batches: order and results of one photo at a time, with errors in their place and bounded memory."""

import weakref
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.engines.batches import photos_at_once, search
from persam.errors import ConceptError, ImageError, PerSAMError
from persam.io.album import Target, iter_targets
from persam.io.folder import Folder
from tests.colour import BLUE, RED, colour_model, mask, photo
from tests.io.test_run import tree

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"


@pytest.fixture
def album(tmp_path: Path) -> list[Path]:
    """Six photos, one of which holds two of it, one none, and one is no photo."""
    folder = tmp_path / "album"
    folder.mkdir()
    scenes = [photo(at_xyxy=(3 * at, 10, 3 * at + 19, 29), hw=(64 + at, 64)) for at in range(5)]
    scenes[2][40:56, 20:36] = RED
    scenes[3] = photo(colour=BLUE)
    for number, scene in enumerate(scenes):
        Image.fromarray(scene).save(folder / f"{number}.png")
    (folder / "bad.png").write_text("a shopping list")
    return sorted(folder.iterdir())


def asked(results) -> list:
    """Results and, in their places, what was raised."""
    found = []
    while True:
        try:
            found.append(next(results))
        except StopIteration:
            return found
        except PerSAMError as error:
            found.append((type(error), str(error)))


@pytest.mark.parametrize(("at_once", "most"), [(None, 1), (2, 1), (4, 1), (50, 1), (4, 3)])
def test_order_results_and_errors_are_those_of_one_at_a_time(album, at_once, most):
    model = colour_model()
    concepts = [model.learn(photo(colour=colour), mask(), name=name) for name, colour in (("a", RED), ("b", BLUE))]
    alone = asked(model.segment(album, concepts, max_instances=most))
    found = asked(search(model, iter_targets(album), concepts, max_instances=most, at_once=at_once))
    assert found == alone
    assert [one.name for one in found[:5]] == ["0", "1", "2", "3", "4"]
    assert found[5][0] is ImageError


def test_photos_and_their_crops_go_through_the_encoder_together(album):
    model = colour_model()
    concept = model.learn(photo(), mask())
    model.backbone.batches.clear()
    five = [album[number] for number in (0, 1, 4, 0, 1)]  # one of it in each
    list(search(model, iter_targets(five), concept, at_once=3))
    assert model.backbone.batches == [3, 3, 2, 2]  # photos, and their crops


def test_a_cpu_searches_one_photo_at_a_time(album, monkeypatch):
    model = colour_model()
    monkeypatch.setattr(model.backbone, "batch_size", 16, raising=False)
    assert photos_at_once(model.backbone) == 1
    monkeypatch.setattr(type(model.backbone), "device", type("Device", (), {"type": "cuda"})())
    assert photos_at_once(model.backbone) == 16


def test_what_cannot_be_searched_is_said_at_once(album):
    model = colour_model()
    concept = model.learn(photo(), mask())
    with pytest.raises(ConceptError, match="learned with"):
        search(model, [], replace(concept, fingerprint="another"))
    with pytest.raises(PerSAMError, match="0 photos at once"):
        search(model, [], concept, at_once=0)


@pytest.mark.parametrize("at_once", [1, 3])
def test_however_long_the_album_few_photos_are_in_memory(at_once):
    alive: list[weakref.ref] = []

    def read() -> np.ndarray:
        scene = photo()
        alive.append(weakref.ref(scene))
        return scene

    model = colour_model()
    endless = (Target(str(number), Path(f"{number}.png"), read) for number in range(10**9))
    for _ in islice(search(model, endless, model.learn(photo(), mask()), at_once=at_once, hold=True), 12):
        assert sum(one() is not None for one in alive) <= 2 * at_once + 2
    assert len(alive) >= 12


@pytest.mark.parametrize("hold", [False, True])
def test_a_result_reads_its_photo_again_or_holds_it(album, hold):
    model = colour_model()
    [found] = search(model, iter_targets(album[0]), model.learn(photo(), mask()), hold=hold)
    pixels = found.read()
    album[0].write_text("gone")
    if hold:
        np.testing.assert_array_equal(found.read(), pixels)
    else:
        with pytest.raises(ImageError):
            found.read()


@pytest.mark.parametrize(("at_once", "behind"), [(1, 0), (1, 1), (4, 4)])
def test_a_folder_holds_what_it_holds_after_one_at_a_time(album, tmp_path, monkeypatch, at_once, behind):
    monkeypatch.chdir(tmp_path)
    model = colour_model()
    concept = model.learn(photo(), mask(), name="red")

    def engine(targets):
        return search(model, targets, concept, at_once=at_once, hold=True)

    left = []
    for records in (
        Folder(Path("out"), ("red",)).search(iter_targets(album), lambda one: next(model.segment(one.source, concept))),
        Folder(Path("out"), ("red",), existing="overwrite").search_all(iter_targets(album), engine, behind=behind),
    ):
        left.append(([str(record) for record in records], tree("out")))
    assert left[0] == left[1]
    assert len(left[0][0]) == 6


@pytest.mark.slow
def test_nano_finds_in_batches_what_it_finds_one_by_one(nano):
    concept = nano.learn(EXAMPLES / "photos" / "picnic.jpg", EXAMPLES / "truth" / "picnic_cat.png")
    album = [EXAMPLES / "photos" / f"{name}.jpg" for name in ("chelsea", "garden")]
    assert list(search(nano, iter_targets(album), concept, at_once=2)) == list(nano.segment(album, concept))
