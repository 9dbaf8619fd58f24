"""The tab DreamBooth: photos of one's own made ready for a trainer, as a ZIP."""

from pathlib import Path
from typing import Any

from persam.dreambooth.layouts import LAYOUTS
from persam.dreambooth.preparation import CAPTION
from persam.studio.page.album import chooser, photos
from persam.studio.page.events import Events
from persam.studio.page.look import step
from persam.studio.session import Session
from persam.studio.training import Training, prepared

HEAD = ["photo", "used", "why not", "presence", "score", "area"]
EMPTY = "Drop photos of the object; you get them with masks and captions, in the folder that your trainer reads."


def training(events: Events) -> Any:
    """Makes the tab; the choice of concepts."""
    import gradio as gr

    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=300):
            step("Prepare photos to train on", "So that a text-to-image model learns the object, not its background.")
            dropped = photos()
            names = chooser("Train on")
            layout = gr.Dropdown(list(LAYOUTS), value="diffusers", label="For the trainer")
            caption = gr.Textbox(CAPTION, label="Caption", info="{} is the concept's name.", max_lines=1)
            make = gr.Button("Prepare", variant="primary")
            archive = gr.File(label="Training folder (ZIP)", visible=False, interactive=False, elem_id="archive")
        with gr.Column(scale=3, min_width=420):
            said = gr.Markdown(EMPTY, elem_classes=["said", "empty"], elem_id="prepared")
            sheet = gr.Image(interactive=False, show_label=False, buttons=["fullscreen"], visible=False)
            table = gr.Dataframe(headers=HEAD, interactive=False, visible=False, wrap=True)
    events.on(make.click, _prepared, [dropped, names, layout, caption], [said, sheet, table, archive], progress="full")
    return names


def _prepared(session: Session, paths: list[str] | None, names: list[str], layout: str, caption: str) -> Any:
    import gradio as gr

    done = prepared(
        [Path(path) for path in paths or ()],
        session.shelf.concepts(names),
        session.output_folder(),
        model=session.model,
        limits=session.limits,
        layout=layout,
        caption=caption,
    )
    archive = None if done.archive is None else str(done.archive)
    return (
        said_of(done),
        gr.update(value=str(done.sheet), visible=True),
        gr.update(value=[_row(one.to_record()) for one in done.outcomes], visible=True),
        gr.update(value=archive, visible=archive is not None),
    )


def said_of(done: Training) -> str:
    """How many photos can be used, and how to train with them."""
    used = sum(one.name is not None for one in done.outcomes)
    if done.archive is None:
        return "**No photo can be used.** The table says why."
    return f"**{used} of {len(done.outcomes)}** photos have masks. Look at the sheet before you train: {done.about}."


def _row(record: dict[str, Any]) -> list[Any]:
    photo, used = record["image"], "yes" if record["used"] else "no"
    return [photo, used, record["reason"] or "", record["presence"], record["score"], record["area"]]
