"""SimpleTuner: masks are a second data set, of the type `conditioning`, with the same names.

Nothing is cropped, so that no object is cut: photos go to buckets by their shape, and masks to the same ones, as their
sizes are equal.
"""

import json
from pathlib import Path

from persam.dreambooth.layouts.layout import Layout

_SIZE = {"resolution": 1024, "resolution_type": "pixel_area", "crop": False}


def _config(folder: Path) -> dict[str, str]:
    sets = [
        {
            "id": "persam-photos",
            "type": "local",
            "dataset_type": "image",
            "instance_data_dir": str(folder / "images"),
            "conditioning_data": "persam-masks",
            "caption_strategy": "textfile",
            "metadata_backend": "discovery",
            "cache_dir_vae": str(folder / "cache" / "vae"),
            **_SIZE,
        },
        {
            "id": "persam-masks",
            "type": "local",
            "dataset_type": "conditioning",
            "conditioning_type": "mask",
            "instance_data_dir": str(folder / "masks"),
            "metadata_backend": "discovery",
            **_SIZE,
        },
        {
            "id": "persam-captions",
            "type": "local",
            "dataset_type": "text_embeds",
            "default": True,
            "cache_dir": str(folder / "cache" / "text"),
        },
    ]
    return {"multidatabackend.json": json.dumps(sets, indent=2) + "\n"}


LAYOUT = Layout(
    image="images/{}.png",
    mask="masks/{}.png",
    caption="images/{}.txt",
    config=_config,
    about="SimpleTuner with `--data_backend_config DIR/multidatabackend.json`, in which `conditioning_type` is `mask`",
)
