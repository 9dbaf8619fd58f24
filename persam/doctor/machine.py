"""Python, PyTorch and its devices, codecs, the cache, the disk, and the model at work."""

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam.doctor.line import Line, State, short
from persam.doctor.packages import fits
from persam.errors import PerSAMError, WeightsError
from persam.sam import weights

if TYPE_CHECKING:
    import numpy as np

ROOM_BYTES = 500_000_000  # the smallest SAM of Meta's, and a run's results
REINSTALL = "pip install --force-reinstall --no-deps persam"
SIDE = 96  # of the picture in which the model must find a square


def check_python() -> Line:
    version = ".".join(map(str, sys.version_info[:3]))
    try:
        asks = metadata.metadata("persam")["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        asks = ">=3.11"
    if not fits(version, asks):
        return Line("Python", "broken", f"{version}, and {asks} is asked for", "install a newer Python", True)
    return Line("Python", "ok", f"{version} at {sys.executable}", needed=True)


def check_torch() -> Iterator[Line]:
    """A line for PyTorch on the CPU, one for its threads, and one for each accelerator."""
    try:
        import torch

        works = float(torch.ones(8).sum()) == 8
    except Exception as error:  # whatever a broken installation raises
        yield Line("PyTorch", "broken", short(error), "pip install --force-reinstall torch", True)
        return
    state: State = "ok" if works else "broken"
    yield Line("PyTorch", state, f"{torch.__version__} on the CPU", "" if works else "reinstall torch", True)
    told = os.environ.get("OMP_NUM_THREADS")
    by = f", as OMP_NUM_THREADS={told} says" if told else ""
    yield Line("threads", "ok", f"{torch.get_num_threads()} on {os.cpu_count()} cores{by}")
    names = [f"cuda:{number}" for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)]
    names += ["mps"] if torch.backends.mps.is_available() else []
    for name in names:
        yield _device(torch, name)
    if not any(name.startswith("cuda") for name in names) and shutil.which("nvidia-smi"):
        detail = f"an NVIDIA driver is here, and PyTorch {torch.__version__} does not use it"
        yield Line("CUDA", "missing", detail, "install torch as https://pytorch.org/get-started says for CUDA")


def _device(torch: Any, name: str) -> Line:
    try:
        works = float(torch.ones(8, device=name).sum().cpu()) == 8
        about = torch.cuda.get_device_name(name) if name.startswith("cuda") else "Apple's GPU"
    except Exception as error:  # a driver that does not fit, a GPU of another generation
        return Line(name, "broken", short(error), "use --device cpu, or install a torch built for this GPU")
    return Line(name, "ok" if works else "broken", about, "" if works else "use --device cpu")


def check_codecs() -> Iterator[Line]:
    """Each codec writes something tiny, which is read again."""
    yield _tried("H.264 (.mp4)", partial(_film, ".mp4"), missing=("av",), extra="video")
    yield _tried("VP9 (.webm)", partial(_film, ".webm"), missing=("av",), extra="video")
    yield _tried("HEIC photos", _heic, missing=("pillow_heif",), extra="heif")


def _tried(name: str, act: Callable[[], str], *, missing: tuple[str, ...], extra: str) -> Line:
    from importlib.util import find_spec

    install = f"pip install 'persam[{extra}]'"
    if gone := [module for module in missing if find_spec(module) is None]:
        return Line(name, "missing", f"{', '.join(gone)} is not installed", install)
    try:
        return Line(name, "ok", act())
    except Exception as error:  # whatever a broken codec raises
        again = f"pip install --force-reinstall --no-deps {missing[0].replace('_', '-')}"
        return Line(name, "broken", short(error), again)


def _film(suffix: str) -> str:
    from persam.io.video import open_video
    from persam.io.video_writer import VideoWriter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"film{suffix}")
        with VideoWriter(path, rate=4) as film:
            for number in range(2):
                film.write(_picture(), number / 4)
        frames = [frame.rgb for frame in open_video(path).frames()]
    if len(frames) != 2 or abs(frames[0].astype(float) - _picture()).mean() > 12:
        raise PerSAMError(f"of 2 frames that were written, {len(frames)} came back, or they look different")
    return "2 frames written and read"


def _heic() -> str:
    import pillow_heif
    from PIL import Image

    from persam.io.images import read_image

    file = BytesIO()
    pillow_heif.from_pillow(Image.fromarray(_picture())).save(file, format="HEIF")
    file.seek(0)
    if read_image(file).shape != (SIDE, SIDE, 3):
        raise PerSAMError("a photo that was written came back in another size")
    return "a photo written and read"


def _picture() -> "np.ndarray[Any, Any]":
    """A red square on grey."""
    import numpy as np

    rgb = np.full((SIDE, SIDE, 3), 128, np.uint8)
    rgb[_square()] = (220, 30, 30)
    return rgb


def _square() -> tuple[slice, slice]:
    return slice(SIDE // 4, SIDE // 2), slice(SIDE // 3, 2 * SIDE // 3)


def check_model() -> Iterator[Line]:
    """A line for the bundled file, and one for what it finds."""
    try:
        path = weights.verify("nano")
    except (WeightsError, OSError) as error:
        state: State = "broken" if weights.path("nano").exists() else "missing"
        yield Line("bundled model", state, str(error), REINSTALL, True)
        return
    yield Line("bundled model", "ok", f"{path.stat().st_size / 1e6:.0f} MB, the checksum is right", needed=True)
    try:
        detail = _search()
    except Exception as error:  # a package that imports and does not do what it says
        yield Line("search", "broken", short(error), f"{REINSTALL}; if it stays so, report it", True)
        return
    yield Line("search", "ok", detail, needed=True)


def _search() -> str:
    import numpy as np

    from persam.api import load

    mask = np.zeros((SIDE, SIDE), bool)
    mask[_square()] = True
    model = load("nano", device="cpu")
    [found] = model.segment([_picture()], model.learn(_picture(), mask))
    shared = float((found.mask & mask).sum() / (found.mask | mask).sum())
    if shared < 0.7:
        raise PerSAMError(f"a red square on grey was found with an IoU of {shared:.2f}")
    return f"nano finds a red square, IoU {shared:.2f}"


def check_weights() -> Iterator[Line]:
    """A line for each model that is fetched: its file is read and its checksum compared."""
    for row in weights.rows():
        name = row.source.name
        if row.state == "bundled" or row.source.url is None:
            continue
        size = f"{(row.source.size_bytes or 0) / 1e6:.0f} MB"
        if row.state == "here":
            yield _fetched(name, size)
            continue
        detail = "a download that broke off, and goes on" if row.state == "partial" else f"not fetched, {size}"
        yield Line(f"weights {name}", "missing", detail, f"persam weights fetch {name}")


def _fetched(name: str, size: str) -> Line:
    try:
        path = weights.verify(name)
    except (WeightsError, OSError) as error:
        mend = f"delete {weights.path(name)}, then: persam weights fetch {name}"
        return Line(f"weights {name}", "broken", str(error), mend)
    return Line(f"weights {name}", "ok", f"{size}, the checksum is right: {path}")


def check_places() -> Iterator[Line]:
    """Whether the cache and this folder can be written, and how much room there is."""
    cache = weights.cache_folder()
    yield _place("cache", cache, "set PERSAM_CACHE to a folder that you may write to")
    yield _place("this folder", Path.cwd(), "change to a folder that you may write to, or name another with -o")


def _place(name: str, folder: Path, mend: str) -> Line:
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    try:
        if not there.is_dir():
            return Line(name, "broken", f"{there} is a file, where a folder should be", mend)
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(bytes(1 << 16))
        free = shutil.disk_usage(there).free
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Line(name, "broken", f"{folder}: the disk is full", f"make room there, or {mend}")
        return Line(name, "broken", f"{folder} cannot be written: {short(error)}", mend)
    if free < ROOM_BYTES:
        return Line(name, "broken", f"{folder}: {free / 1e6:.0f} MB are free", f"make room there, or {mend}")
    return Line(name, "ok", f"{folder}, {free / 1e9:.1f} GB free")
