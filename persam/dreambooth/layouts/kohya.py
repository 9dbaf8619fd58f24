"""kohya's sd-scripts: a folder of conditioning pictures with the same names and sizes, of which red is the mask.

A subset with `conditioning_data_dir` has no `class_tokens`: captions are files. What is not written here, such as the
resolution, comes from the script's own options.
"""

from pathlib import Path

from persam.dreambooth.layouts.layout import Layout, quoted


def _config(folder: Path) -> dict[str, str]:
    lines = [
        "[general]",
        'caption_extension = ".txt"',
        "",
        "[[datasets]]",
        "enable_bucket = true",
        "",
        "  [[datasets.subsets]]",
        f"  image_dir = {quoted(folder / 'images')}",
        f"  conditioning_data_dir = {quoted(folder / 'masks')}",
        "  num_repeats = 1",
    ]
    return {"dataset.toml": "\n".join(lines) + "\n"}


LAYOUT = Layout(
    image="images/{}.png",
    mask="masks/{}.png",
    caption="images/{}.txt",
    config=_config,
    about="sd-scripts with `--dataset_config DIR/dataset.toml --masked_loss`",
)
