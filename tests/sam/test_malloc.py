"""glibc is told to keep large blocks, and only where it is glibc and nobody else tunes it."""

import ctypes
import platform
from types import SimpleNamespace

import pytest

import persam
from persam.sam import malloc


@pytest.fixture
def calls(monkeypatch):
    """What mallopt is called with, on a Linux with glibc and an environment that says nothing of malloc."""
    called: list[tuple[int, int]] = []
    monkeypatch.setattr(malloc.sys, "platform", "linux")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(malloc.os, "environ", {})
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=lambda *pair: called.append(pair) or 1))
    return called


def test_threads_share_a_heap_whose_trim_and_map_thresholds_are_raised(calls):
    malloc.keep_large_blocks()
    assert calls == [(-8, 1), (-1, 1 << 30), (-3, 1 << 30)]


def test_an_older_glibc_gets_the_most_it_takes(calls, monkeypatch):
    refuses = SimpleNamespace(mallopt=lambda option, size: calls.append((option, size)) or int(size <= 32 << 20))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: refuses)
    malloc.keep_large_blocks()
    assert calls[-1] == (-3, 32 << 20)


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_an_environment_that_tunes_malloc_is_left_alone(calls, monkeypatch, name):
    monkeypatch.setattr(malloc.os, "environ", {name: "1"})
    malloc.keep_large_blocks()
    assert calls == []


def test_another_c_library_is_left_alone(calls, monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    malloc.keep_large_blocks()
    assert calls == []


def test_a_c_library_without_mallopt_is_no_error(calls, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    malloc.keep_large_blocks()


def test_loading_a_model_leaves_the_allocator_alone(calls, monkeypatch, own_cache):
    monkeypatch.setattr(malloc.os, "environ", {"PERSAM_CACHE": str(own_cache)})
    persam.load("nano", device="cpu")
    assert calls == []
