"""What every test runs under: enforced shapes, one thread, a cache of its own, and an account of what was not run."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for what tests start as well; before torch reads it

import pytest
import torch
from jaxtyping import install_import_hook

from tests import typechecker

# Stays installed, so that modules which persam imports late are checked as well. Before any test imports persam.
install_import_hook("persam", f"{typechecker.__name__}.check")

torch.set_num_threads(1)  # on tensors this small a second thread only waits for the first

SHARED = "PERSAM_SHARED"  # a folder with golden tensors and photos that are not in the repository
_left_out: list[str] = []


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty cache, so that no calibration of the developer's changes a result; it holds the colour stand-in's."""
    from persam.method.calibration import own_file
    from tests.colour import CALIBRATION

    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("PERSAM_CACHE", str(folder))
        CALIBRATION.save(own_file(CALIBRATION.fingerprint))
        yield folder


@pytest.fixture(scope="session")
def nano():
    """The bundled model, loaded once."""
    import persam

    return persam.load("nano", device="cpu")


@pytest.fixture
def quick_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """PerSAM-F's thousand steps as thirty of thirty times the length; `method/test_scales.py` holds the real fit.

    Those of the published video recipe alike; `tracking/test_golden.py` holds its real fit.
    """
    monkeypatch.setattr("persam.method.scales.STEPS", 30)
    monkeypatch.setattr("persam.method.scales.LEARNING_RATE", 3e-2)
    monkeypatch.setattr("persam.tracking.official.STEPS", 30)
    monkeypatch.setattr("persam.tracking.official.LEARNING_RATE", 1e-2)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder that PERSAM_SHARED names. Where it is not set, a test that asks for it is left out and reported."""
    folder = Path(os.environ[SHARED])
    assert folder.is_dir(), f"{SHARED} names {folder}, which is not a folder. Mend it, or unset it."
    return folder


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get(SHARED):
        return
    needing = [item for item in items if "shared" in getattr(item, "fixturenames", ())]
    if needing:
        items[:] = [item for item in items if item not in needing]
        config.hook.pytest_deselected(items=needing)
        _left_out.extend(item.nodeid for item in needing)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # of pytest-xdist, whose processes collect, each for itself
        session.config.workeroutput["left_out"] = _left_out


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _left_out[:] = getattr(node, "workeroutput", {}).get("left_out", _left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _left_out:
        terminalreporter.section(f"{len(_left_out)} not run: {SHARED} is not set")
        for name in _left_out:
            terminalreporter.line(name)
