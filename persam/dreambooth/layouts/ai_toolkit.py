"""ai-toolkit: `mask_path` is a folder with masks of the same names, outside the folder of the photos.

Its training needs buckets with masks, which are on by default.
"""

from pathlib import Path

from persam.dreambooth.layouts.layout import Layout, quoted


def _config(folder: Path) -> dict[str, str]:
    lines = [
        "# to go below `process:` of a job's config, in place of its `datasets:`",
        "datasets:",
        f"  - folder_path: {quoted(folder / 'images')}",
        f"    mask_path: {quoted(folder / 'masks')}",
        "    mask_min_value: 0.0  # the weight of the background; 0.1 is ai-toolkit's own habit",
        '    caption_ext: "txt"',
        "    resolution: [512, 768, 1024]",
    ]
    return {"datasets.yaml": "\n".join(lines) + "\n"}


LAYOUT = Layout(
    image="images/{}.png",
    mask="masks/{}.png",
    caption="images/{}.txt",
    config=_config,
    about="ai-toolkit with the `datasets:` of DIR/datasets.yaml in a job's config, whose `mask_path` switches it on",
)
