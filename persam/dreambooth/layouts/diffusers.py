"""The folder of `persam dreambooth train`; DIR/images is what diffusers' scripts call --instance_data_dir.

They open every file of that folder as a photo, so captions lie beside it.
"""

from persam.dreambooth.layouts.layout import Layout

LAYOUT = Layout(
    image="images/{}.png",
    mask="masks/{}.png",
    caption="captions/{}.txt",
    about="`persam dreambooth train --instance_data_dir DIR`, which masks by default; diffusers' own scripts read "
    "DIR/images, and mask nothing without `masked_mse` in them",
)
