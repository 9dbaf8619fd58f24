"""The process that measures one encoder: `python -m persam.eval.encoder_process '{"implementation": ...}'`."""

import json
import statistics
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from persam.eval.encoder_speed import Setting
from persam.eval.peak_memory import peak_mb
from persam.sam import malloc, nano, peers, tiny_vit, vit
from persam.sam.backbone import EncoderMaps

SQUARE = {"cpu": 2048}  # side of the matrices whose product is the measure of the machine
SQUARE_ELSEWHERE = 8192


def measure(setting: Setting, features: Path) -> dict[str, Any]:
    """Time, memory and arithmetic of one setting. The features of the first image are left in a file, in float32."""
    device = torch.device(setting.device)
    encoder, input_size = built(setting)
    encoder = encoder.to(device)
    run: Callable[[Tensor], Any] = torch.compile(encoder) if setting.compiled else encoder
    images = torch.randn(setting.batch, 3, input_size, input_size, generator=torch.Generator().manual_seed(0))
    if device.type == "cuda":
        images = images.pin_memory()
        torch.cuda.reset_peak_memory_stats()
    kind = getattr(torch, setting.precision)
    seconds = []
    with torch.inference_mode(), autocast(device, kind):
        for _ in range(1 + setting.runs):
            begun = time.perf_counter()
            made = run(images.to(device, non_blocking=True))
            finish(device)
            seconds.append((time.perf_counter() - begun) / setting.batch)
        first = (made.features if isinstance(made, EncoderMaps) else made)[:1].float().cpu().clone()
        peak = most_mb(device)
        tflops = matmul_tflops(device, kind)
    torch.save(first, features)
    middle = statistics.median(seconds[1:])
    share = None
    if setting.encoder in vit.SIZES:
        share = operations(vit.SIZES[setting.encoder]) / middle / 1e12 / tflops
    return {
        "input_size": input_size,
        "seconds": middle,
        "images_per_s": 1 / middle,
        "peak_mb": peak,
        "matmul_tflops": tflops,
        "matmul_share": share,
    }


def built(setting: Setting) -> tuple[nn.Module, int]:
    """The encoder with its random weights, and the side of its input."""
    if setting.implementation != "persam":
        sizes = vit.SIZES[setting.encoder]
        encoder, input_size = getattr(peers, setting.implementation)(sizes), sizes.input_size
    elif setting.encoder in vit.SIZES:
        sizes = vit.SIZES[setting.encoder]
        encoder, input_size = vit.build(sizes).image_encoder, sizes.input_size
    else:
        kind: Any = nano if setting.encoder == "nano" else tiny_vit
        # through the loader, which may lay out weights for speed
        encoder, input_size = kind.from_tensors(kind.build().state_dict()).image_encoder, kind.INPUT_SIZE
    for name, value in peers.by_metas_names(encoder).items():
        draw(name, value)
    return encoder.requires_grad_(False), input_size


def draw(name: str, value: Tensor) -> None:
    """Fills a parameter in place by its name: about what a trained network has, so that no feature dies or explodes."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    with torch.no_grad():
        if value.ndim > 1 and "pos" not in name:
            value.normal_(0, value[0].numel() ** -0.5, generator=generator)
        elif value.ndim > 1:
            value.normal_(0, 0.1, generator=generator)
        else:
            value.normal_(1.0 if name.endswith("weight") else 0.0, 0.05, generator=generator)


def operations(sizes: vit.Sizes) -> float:
    """Multiplications and additions of an encoding in products of matrices, without those of a window's padding."""
    grid, width = sizes.input_size // sizes.patch, sizes.width
    patches = grid * grid
    linear = 2 * patches * width**2 * (4 + 2 * sizes.mlp_ratio)
    met = [patches if i in sizes.global_blocks else min(sizes.window, grid) ** 2 for i in range(sizes.depth)]
    attention = sum(4 * patches * others * width for others in met)
    embedding = 2 * patches * 3 * sizes.patch**2 * width
    neck = 2 * patches * vit.EMBEDDING_WIDTH * (width + 9 * vit.EMBEDDING_WIDTH)
    return sizes.depth * linear + attention + embedding + neck


def matmul_tflops(device: torch.device, kind: torch.dtype) -> float:
    """What the machine reaches in the best of five products of large square matrices."""
    side = SQUARE.get(device.type, SQUARE_ELSEWHERE)
    a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    seconds = []
    for _ in range(6):
        begun = time.perf_counter()
        a @ b
        finish(device)
        seconds.append(time.perf_counter() - begun)
    return 2 * side**3 / min(seconds[1:]) / 1e12


def autocast(device: torch.device, kind: torch.dtype) -> Any:
    return nullcontext() if kind == torch.float32 else torch.autocast(device.type, kind)


def finish(device: torch.device) -> None:
    """Waits for what an accelerator has still to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def most_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return peak_mb()


def main() -> None:
    given = json.loads(sys.argv[1])
    threads, features = given.pop("threads"), Path(given.pop("features"))
    setting = Setting(**given)
    torch.set_num_threads(threads)
    if setting.keep_blocks:
        malloc.keep_large_blocks()
    sys.stdout.write(json.dumps(measure(setting, features)) + "\n")


if __name__ == "__main__":
    main()
