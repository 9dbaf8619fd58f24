"""`persam segment --cache`: the same results, and a second concept that encodes crops alone."""

from pathlib import Path

import pytest

from persam.cli.cache import size_of
from tests.io.test_run import tree


@pytest.mark.usefixtures("here")
def test_results_are_the_same_without_cold_and_warm(persam, colours):
    persam("segment ref.png mask.png album -o found --no-overlays")
    plain, without = tree("found"), colours.encoded
    for encoded in (without, without - 3):  # cold; then without the reference and the two photos
        colours.encoded = 0
        assert persam("segment ref.png mask.png album -o found --no-overlays --overwrite --cache kept")[0] == 0
        assert colours.encoded == encoded
        assert tree("found") == plain
    assert persam("segment ref.png mask.png album -o found --no-overlays --resume --cache kept")[0] == 0


@pytest.mark.usefixtures("here")
def test_the_cache_stays_within_its_size(persam, colours):
    assert persam("segment ref.png mask.png album -o found --cache kept --cache-size 60KB")[0] == 0
    assert len(list(Path("kept").iterdir())) == 1  # an entry takes 49 kB


@pytest.mark.usefixtures("here", "no_model")
def test_a_place_or_a_size_that_cannot_be_is_said_before_a_model_is_loaded(persam):
    line = "segment ref.png mask.png album -o found --cache"
    assert "cannot write ref.png" in persam.refused(f"{line} ref.png")
    assert "'much' is no size: write it as 500MB or 4GB" in persam.refused(f"{line} kept --cache-size much")
    assert "holds nothing" in persam.refused(f"{line} kept --cache-size 0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4GB", 4 * 10**9), ("500mb", 5 * 10**8), ("1.5 TB", 15 * 10**11), ("20kB", 20_000), ("7", 7), ("7b", 7)],
)
def test_sizes(text, expected):
    assert size_of(text) == expected
