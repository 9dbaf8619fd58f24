"""Validation pictures and TensorBoard: what a run shows of itself along the way."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from persam.dreambooth.train.draws import PICTURES, chance
from persam.dreambooth.train.families import Family
from persam.dreambooth.train.options import TrainOptions
from persam.errors import DreamBoothError
from persam.io.draw import side_by_side
from persam.io.write import write_picture


class Journal:
    """Losses and pictures of one run, in OUTPUT_DIR. Without --report_to tensorboard it keeps pictures alone."""

    def __init__(self, options: TrainOptions, family: Family, device: torch.device, *, after: int):
        """after: the step from which the run goes on; what an earlier one had logged beyond it is dropped."""
        self.options, self.family, self.device, self.after = options, family, device, after
        self.writer: Any = None

    def __enter__(self) -> "Journal":
        if self.options.report_to == "tensorboard":
            need_tensorboard()
            from torch.utils.tensorboard import SummaryWriter

            folder = self.options.output_dir / self.options.logging_dir
            self.writer = SummaryWriter(str(folder), purge_step=self.after + 1)
        return self

    def __exit__(self, *error: object) -> None:
        if self.writer:
            self.writer.close()

    def loss(self, step: int, loss: float) -> None:
        if self.writer:
            self.writer.add_scalar("loss", loss, step)

    def draw(self, step: int) -> None:
        """OUTPUT_DIR/pictures/step-N-M.png of the validation prompt, the same noise each time."""
        if self.options.validation_prompt is None:
            return
        folder: Path = self.options.output_dir / "pictures"
        chances = [chance(self.options.seed, PICTURES, number) for number in range(self.options.num_validation_images)]
        pictures = [self.family.draw(self.options.validation_prompt, [one], self.device)[0] for one in chances]
        for number, picture in enumerate(pictures):
            write_picture(picture, folder / f"step-{step:06d}-{number}.png")
        if self.writer:
            self.writer.add_images("pictures", np.stack(pictures), step, dataformats="NHWC")
            self.writer.add_image("sheet", side_by_side(pictures), step, dataformats="HWC")


def need_tensorboard() -> None:
    """Raises DreamBoothError where TensorBoard is not installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise DreamBoothError(
            "--report_to tensorboard needs tensorboard: pip install tensorboard, or --report_to none."
        ) from error
