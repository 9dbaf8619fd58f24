"""Tiny feature maps and covers for the losses: two photos with two views each, partners 0-1 and 2-3, 4 x 4 patches."""

import torch

VIEWS = (("##..", "##..", "....", "...."), ("....", "....", "..##", "..##"))
NO_TWIN = torch.zeros(4, dtype=torch.bool)
A, B, GROUND = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]


def rows(*values: str) -> torch.Tensor:
    """A plane of 0 and 1, `#` for 1."""
    return torch.tensor([[float(mark == "#") for mark in row] for row in values])


def two_photos() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One object a photo, at other places in its views: cover (4 1 4 4), weight, partner."""
    cover = torch.stack([rows(*view) for view in VIEWS * 2])[:, None]
    return cover, torch.ones(4, 4, 4), torch.tensor([1, 0, 3, 2])


def painted(cover: torch.Tensor, objects: list[list[float]], ground: list[float]) -> torch.Tensor:
    """Features that are one vector on each image's object and another elsewhere."""
    there = torch.tensor(objects)[:, :, None, None]
    return cover * there + (1 - cover) * torch.tensor(ground)[None, :, None, None]


def gradient(leaf: torch.Tensor) -> torch.Tensor:
    """What `backward` left in it."""
    assert leaf.grad is not None
    return leaf.grad
