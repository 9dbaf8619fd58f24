"""A cluster of two cores on this machine, and an album for it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cluster.gated import PHOTOS, numbered
from tests.colour import GREEN, photo

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="package")
def two_cores() -> Iterator[None]:
    """Ray on this machine alone, with two cores; workers find this repository."""
    import ray

    folder = tempfile.mkdtemp(prefix="r", dir="/tmp" if os.path.isdir("/tmp") else None)  # paths of sockets are short
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_AUTH_MODE", "disabled")  # else it leaves a token in the home folder
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else they wait for whatever else runs here
        patch.delenv("RAY_ADDRESS", raising=False)
        try:
            ray.init(
                num_cpus=2,
                include_dashboard=False,
                object_store_memory=100 * 2**20,
                _temp_dir=folder,
                log_to_driver=False,
            )
            yield
        finally:
            ray.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def album(tmp_path) -> Path:
    """Twelve photos of a red thing, each elsewhere, two without it, and a file that is no photo."""
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(PHOTOS):
        Image.fromarray(numbered(number)).save(folder / f"{number:02}.png")
    for number in (12, 13):
        Image.fromarray(photo(colour=GREEN)).save(folder / f"{number}.png")
    np.array([1]).tofile(folder / "bad.png")
    return folder
