"""The rules that every test runs under do hold."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

CONFTEST = (Path(__file__).parent / "conftest.py").read_text()
TWO_TESTS = """
def test_alone():
    pass

def test_against_shared_files(shared):
    assert (shared / "golden").is_dir()
"""


def test_a_wrong_shape_is_an_error():
    from persam.geometry import Frame, patch_cover

    with pytest.raises(TypeCheckError, match="mask"):
        patch_cover(np.ones((4, 4, 3), bool), Frame((4, 4), 64))


def test_a_warning_is_an_error():
    with pytest.raises(UserWarning, match="tell me"):
        warnings.warn("tell me", stacklevel=1)


def test_torch_has_one_thread():
    assert torch.get_num_threads() == 1


def test_a_test_that_needs_shared_files_runs_where_they_are(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    pytester.mkdir("golden")
    monkeypatch.setenv("PERSAM_SHARED", str(pytester.path))
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TWO_TESTS)
    pytester.runpytest_inprocess().assert_outcomes(passed=2)


def test_a_test_that_needs_shared_files_is_listed_where_they_are_not(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("PERSAM_SHARED", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TWO_TESTS)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines(["*1 not run: PERSAM_SHARED is not set*", "*::test_against_shared_files"])


@pytest.mark.slow
def test_it_is_listed_once_where_several_processes_share_the_tests(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("PERSAM_SHARED", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TWO_TESTS)
    result = pytester.runpytest_subprocess("-n", "2")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*1 not run: PERSAM_SHARED is not set*", "*::test_against_shared_files"])
    assert result.stdout.str().count("::test_against_shared_files") == 1


def test_a_wrong_folder_of_shared_files_is_an_error(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PERSAM_SHARED", str(pytester.path / "missing"))
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TWO_TESTS)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*PERSAM_SHARED names *missing, which is not a folder*"])


def test_a_calibration_of_the_developers_own_is_not_found(own_cache: Path):
    assert os.environ["PERSAM_CACHE"] == str(own_cache)
    assert sorted(path.name for path in own_cache.rglob("*.json")) == ["colours-1.json"]
