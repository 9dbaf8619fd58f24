"""OneTrainer: the mask of NAME.png is NAME-masklabel.png beside it, the caption NAME.txt."""

from persam.dreambooth.layouts.layout import Layout

LAYOUT = Layout(
    image="images/{}.png",
    mask="images/{}-masklabel.png",
    caption="images/{}.txt",
    about="OneTrainer with DIR/images as the path of a concept, its prompt source 'from text file per sample', and "
    "'Masked Training' on in the training tab",
)
