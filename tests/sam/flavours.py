"""Every kind of model in small, with random weights that depend on nothing but a seed."""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from persam.sam import med_sa, nano, sam_adapter, tiny_vit, vit
from tests.golden.fill import fill

GOLDEN = Path(__file__).parent.parent / "golden"
SMALL = vit.Sizes(width=32, depth=4, heads=2, global_blocks=(1, 3), input_size=256, mlp_ratio=2.0)

BUILD = {
    "sam": lambda: vit.build(SMALL),
    "vit_t": lambda: tiny_vit.build(256),
    "sam_adapter": lambda: sam_adapter.build(SMALL, bottleneck=3),
    "med_sa": lambda: med_sa.build(SMALL, bottleneck=8),
    "nano": lambda: nano.build(256),
}


def network(flavour: str, seed: int = 7) -> nn.Module:
    built = BUILD[flavour]()
    built.load_state_dict(_filled(flavour, seed))
    return built


def tensors(seed: int = 7) -> dict[str, Tensor]:
    """The state dict of the small ViT."""
    return dict(_filled("sam", seed))


@cache
def _filled(flavour: str, seed: int) -> dict[str, Tensor]:
    return fill(BUILD[flavour]().state_dict(), seed)


def published(file: str, seed: int) -> dict[str, Tensor]:
    """Filled tensors under the names and shapes that a list of `tests/golden` says."""
    listed = (line.split() for line in (GOLDEN / file).read_text().splitlines())
    return dict(fill({name: torch.zeros([int(side) for side in shape.split("x")]) for name, shape in listed}, seed))


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path
