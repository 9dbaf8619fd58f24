"""Teaches a model an object, not its background: `python demos/train_dreambooth.py MODEL REF MASK ALBUM [OUT]`.

MODEL is a folder of SD 1.5, SDXL or SD 3 for diffusers; REF a photo of the object and MASK where it is in it; ALBUM a
folder with three to five photos of it. OUT/photos/sheet.jpg shows the masks that were found, OUT/masks.jpg what is
trained on; OUT/pytorch_lora_weights.safetensors is for `pipeline.load_lora_weights(OUT)`.
"""

import sys
from pathlib import Path
from typing import Any

import persam
from persam.dreambooth import prepare
from persam.dreambooth.train.options import TrainOptions
from persam.dreambooth.train.run import train

PROMPT = "a photo of sks thing"  # better: of its class, such as "a photo of sks dog"


def main(model: str, ref: str, mask: str, album: str, output: Path, finder: persam.PerSAM, **settings: Any) -> None:
    thing = finder.learn(ref, mask)
    prepare(album, thing, output / "photos", model=finder, caption=PROMPT)
    options = TrainOptions(
        pretrained_model_name_or_path=model,
        instance_data_dir=output / "photos",
        output_dir=output,
        validation_prompt=f"{PROMPT} on the moon",
        **settings,
    )
    train(options, say=print, step_done=lambda step, loss: print(f"step {step}: loss {loss:.3f}", flush=True))


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    model, ref, mask, album, *output = sys.argv[1:]
    main(model, ref, mask, album, Path(*output or ["dreambooth"]), persam.load("nano"))
