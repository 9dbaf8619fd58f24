"""Some hundred damaged inputs, and the same rules on what Hypothesis makes up."""

import string
import warnings
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from persam.errors import MaskError, PerSAMError
from persam.io.images import read_image
from persam.io.masks import read_labels, read_mask
from persam.method.prompts import KINDS as PROMPTS
from persam.method.prompts import parse_prompt
from tests.fuzz import kinds, run
from tests.fuzz.mutate import mutated

CASES = 360  # and 200 of Hypothesis
how = settings(
    max_examples=50,
    deadline=20_000,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds.KINDS)
def test_damaged_input_is_answered_by_an_error_of_our_own(kind: str) -> None:
    numbers = [number for one, number in run.cases(CASES) if one == kind]
    assert len(numbers) >= 15
    faults = [fault for number in numbers if (fault := run.run_one(kind, 0, number)) is not None]
    assert not faults, "\n\n".join(f"{fault.case}\n{fault.what}" for fault in faults)


VALUES = arrays.arrays(
    st.sampled_from([np.bool_, np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64]),
    arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6),
)


@pytest.mark.slow
@how
@given(VALUES)
def test_any_array_is_a_photo_or_an_error(values: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = read_image(values)
        except PerSAMError:
            return
    assert found.dtype == np.uint8
    assert found.shape[2] == 3


MAPS = arrays.arrays(
    st.sampled_from([np.uint8, np.int64, np.uint16]), (12, 12), elements=st.sampled_from([0, 0, 0, 1, 2, 7, 100, 255])
)


@pytest.mark.slow
@how
@given(MAPS)
def test_any_map_is_one_mask_or_an_error_and_the_same_from_a_file(tmp_path: Path, values: np.ndarray) -> None:
    def outcome(source: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return read_mask(source, (12, 12)).tolist()
            except MaskError as error:
                return str(error)

    np.save(tmp_path / "a.npy", values)
    from_array = outcome(values)
    assert outcome(tmp_path / "a.npy") == from_array
    assert outcome(values[None]) == from_array
    assert outcome(values.astype(np.float64)) == from_array
    assert outcome(np.dstack([values] * 3)) == from_array


@pytest.mark.slow
@how
@given(MAPS)
def test_objects_of_a_map_never_share_a_pixel(values: np.ndarray) -> None:
    try:
        found = read_labels(values, (12, 12))
    except MaskError:
        return
    assert np.sum(list(found.values()), axis=0).max() == 1


@pytest.mark.slow
@how
@given(st.sampled_from(PROMPTS), st.text(alphabet=string.digits + ",;-.e \0é", max_size=30))
def test_any_words_are_a_prompt_or_an_error(kind: str, numbers: str) -> None:
    with suppress(MaskError):
        assert parse_prompt(f"{kind}:{numbers}") is not None


# --- the fuzzer itself


def test_a_fault_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(rng: Random, folder: Path) -> None:
        raise KeyError("not ours")

    def ours(rng: Random, folder: Path) -> None:
        raise MaskError("the mask is empty")

    def endless(rng: Random, folder: Path) -> None:
        while True:
            pass

    def greedy(rng: Random, folder: Path) -> None:
        np.ones(1 << 33, np.uint8)

    monkeypatch.setattr(run, "SECONDS", 1)
    for name, function in (("wrong", wrong), ("ours", ours), ("endless", endless), ("greedy", greedy)):
        monkeypatch.setitem(kinds.KINDS, name, (0, function))
    assert "KeyError: 'not ours'" in run.run_one("wrong", 0, 1).what
    assert run.run_one("ours", 0, 1) is None
    assert run.run_one("endless", 0, 1).what.startswith("no end after 1 s")
    assert "MemoryError" in run.run_one("greedy", 0, 1).what


def test_a_case_is_the_same_again() -> None:
    assert mutated(Random("masks:0:5"), b"0123456789" * 9) == mutated(Random("masks:0:5"), b"0123456789" * 9)
    assert mutated(Random("masks:0:5"), b"0123456789" * 9) != mutated(Random("masks:0:6"), b"0123456789" * 9)


def test_kinds_come_by_their_share() -> None:
    counts = dict.fromkeys(kinds.KINDS, 0)
    for kind, _ in run.cases(sum(share for share, _ in kinds.KINDS.values())):
        counts[kind] += 1
    assert counts == {kind: share for kind, (share, _) in kinds.KINDS.items()}
