"""What encoding an image costs, beside the packages that compute the same: `persam bench encoder`.

Each measurement has a process of its own, so that its peak memory is its own and glibc is told or not told what to
keep. All encoders hold the same random weights: time and differences do not depend on what was learned.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from persam.errors import PerSAMError
from persam.sam.vit import SIZES

ENCODERS = ("vit_b", "vit_l", "vit_h", "vit_t", "nano")
PRECISIONS = ("float32", "bfloat16", "float16")
PEERS = ("segment_anything", "transformers")


@dataclass(frozen=True)
class Setting:
    """What is measured.

    precision: float32, or the type that autocast takes for what bears it. compiled: with torch.compile.
    keep_blocks: glibc keeps freed blocks (`persam.sam.malloc`), as persam's commands tell it to on a CPU.
    batch: images that go through the encoder at once.
    """

    implementation: str
    encoder: str = "vit_b"
    device: str = "cpu"
    precision: str = "float32"
    compiled: bool = False
    keep_blocks: bool = False
    batch: int = 1
    runs: int = 5


@dataclass(frozen=True)
class EncoderSpeed:
    """One measurement, in a process of its own, after one run that is not timed.

    version: of the package that computes it. seconds: median over the runs, of one image. peak_mb: the process's
    resident memory, or what PyTorch took on the accelerator; weights included. difference: the largest to
    segment_anything's features in float32, which have a deviation of 1. matmul_tflops: of the best of a few products
    of large square matrices of that precision. matmul_share: of that, what the encoder's own products come to.
    """

    implementation: str
    version: str
    encoder: str
    input_size: int
    device: str
    precision: str
    compiled: bool
    keep_blocks: bool
    batch: int
    runs: int
    seconds: float
    images_per_s: float
    peak_mb: float
    difference: float | None
    matmul_tflops: float
    matmul_share: float | None


def speeds(
    encoder: str, *, device: str, precision: str, compiled: bool, batch: int, runs: int
) -> Iterator[EncoderSpeed]:
    """The peers of an encoder, as they are, and ours; on a CPU each without and with glibc told to keep blocks.

    What changes the arithmetic (precision, compiled) is for ours alone.

    Raises:
        PerSAMError: a measurement's process failed; the message ends with what it said.
    """
    peers = [name for name in PEERS if encoder in SIZES and find_spec(name) is not None]
    keeping = (False, True) if device == "cpu" else (False,)
    common: dict[str, Any] = {"encoder": encoder, "device": device, "batch": batch, "runs": runs}
    settings = [Setting(name, keep_blocks=keep, **common) for name in peers for keep in keeping]
    settings += [
        Setting("persam", keep_blocks=keep, precision=precision, compiled=compiled, **common) for keep in keeping
    ]
    with TemporaryDirectory(prefix="persam-bench-") as folder:
        theirs: torch.Tensor | None = None
        for number, setting in enumerate(settings):
            file = Path(folder) / f"{number}.pt"
            told = measured_apart(setting, file)
            features = torch.load(file, weights_only=True)
            if setting.implementation == "segment_anything" and theirs is None:
                theirs = features
            yield EncoderSpeed(
                version=version("persam" if setting.implementation == "persam" else _package(setting.implementation)),
                difference=None if theirs is None else float((features - theirs).abs().max()),
                **asdict(setting),
                **told,
            )


def measured_apart(setting: Setting, features: Path) -> dict[str, Any]:
    """What `encoder_process` measures, in a process of its own. It leaves the features in a file.

    Raises:
        PerSAMError: the process failed.
    """
    tuned = ("GLIBC_TUNABLES", "MALLOC_")  # else both measurements would be of what the environment sets
    environment = {name: value for name, value in os.environ.items() if not name.startswith(tuned)}
    words = json.dumps(asdict(setting) | {"threads": torch.get_num_threads(), "features": str(features)})
    done = subprocess.run(
        [sys.executable, "-m", "persam.eval.encoder_process", words], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise PerSAMError(f"{setting.encoder} of {setting.implementation} could not be measured: {said}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _package(module: str) -> str:
    return module.replace("_", "-")
