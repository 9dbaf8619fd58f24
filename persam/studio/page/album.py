"""The tabs Album and Compare: photos searched while one watches, what came of them, and how it was found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persam.studio import compare as comparing
from persam.studio.album import Searched
from persam.studio.downloads import DOWNLOADS
from persam.studio.page.events import Events
from persam.studio.page.look import step
from persam.studio.session import Session

EMPTY = "Drop photos, tick what to look for, and press *Search*. Results arrive here one by one."


@dataclass(frozen=True)
class Album:
    """names: what is looked for. gallery, said: the results. done: the event after which they are complete."""

    names: Any
    gallery: Any
    said: Any
    done: Any


def chooser(label: str = "Look for") -> Any:
    """The concepts of the shelf to tick."""
    import gradio as gr

    return gr.CheckboxGroup([], label=label, info="Concepts that you keep under Learn appear here.")


def photos(label: str = "Photos") -> Any:
    import gradio as gr

    return gr.File(file_count="multiple", file_types=["image"], type="filepath", label=label, height=180)


def album(events: Events) -> Album:
    """Makes the tab Album."""
    import gradio as gr

    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=300):
            step("Search photos")
            dropped = photos()
            names = chooser()
            most = gr.Slider(1, 10, 1, step=1, label="At most so many of each in a photo")
            with gr.Row():
                search = gr.Button("Search", variant="primary")
                stop = gr.Button("Stop", variant="stop")
            step("Take it home")
            with gr.Row():
                makers = [gr.Button(label, size="sm", min_width=110) for label in DOWNLOADS]
            file = gr.File(label="Download", visible=False, interactive=False, elem_id="download")
        with gr.Column(scale=3, min_width=420):
            said = gr.Markdown(EMPTY, elem_classes=["said", "empty"], elem_id="searched")
            gallery = gr.Gallery(
                show_label=False, columns=3, object_fit="contain", height=640, interactive=False, elem_id="gallery"
            )
    searching = events.on(search.click, _searched, [dropped, names, most], [gallery, said, file], steps=True)
    stop.click(None, None, None, cancels=[searching], api_visibility="private")
    for button, (label, _) in zip(makers, DOWNLOADS.items(), strict=True):
        events.on(button.click, _maker(label), [], [file])
    return Album(names, gallery, said, searching)


def compare(events: Events) -> tuple[Any, Any]:
    """Makes the tab Compare; the choice of photos, and what to call when the results are others."""
    import gradio as gr

    step("Where did it look, and what did it find?", "Yellow is most like the object, dark blue least.")
    photo = gr.Dropdown([], label="Find", info="Every find of the last search.", interactive=True)
    with gr.Row():
        located = gr.Image(label="Location map", interactive=False, buttons=["fullscreen"], height=480)
        found = gr.Image(label="Mask", interactive=False, buttons=["fullscreen"], height=480)
    events.on(photo.change, _compared, [photo], [located, found])
    return photo, _finds


def shown(photos: Sequence[Searched]) -> list[tuple[str, str]]:
    """Pictures and captions of the results."""
    return [(str(one.overlay), str(one)) for one in photos if one.overlay is not None]


def _searched(session: Session, paths: list[str] | None, names: list[str], most: int) -> Iterator[tuple[Any, ...]]:
    import gradio as gr

    concepts = session.shelf.concepts(names)
    files = [Path(path) for path in paths or ()]
    session.limits.check_count(len(files))
    album = session.new_album()
    yield [], f"Searching {len(files)} photos …", gr.update(value=None, visible=False)
    for _ in album.search(files, concepts, session.model, session.limits, max_instances=int(most)):
        searched = list(album.searched.values())
        yield shown(searched), summary(searched, len(files)), gr.skip()


def summary(searched: Sequence[Searched], asked: int) -> str:
    """How many photos have it and how many not, and what could not be searched."""
    here = sum(any(found.present for found in one.found) for one in searched)
    failed = [one for one in searched if one.error is not None]
    text = f"**{len(searched)} of {asked}** searched · in {here} · not in {len(searched) - here - len(failed)}"
    lines = "".join(f"\n- {one.name}: {one.error}" for one in failed)
    return f"{text}{f' · {len(failed)} could not be searched:{chr(10)}{lines}' if failed else ''}"


def _maker(label: str) -> Any:
    def made(session: Session) -> Any:
        import gradio as gr

        path = DOWNLOADS[label](session.album, session.output_folder())
        return gr.update(value=str(path), visible=True)

    return made


def _finds(session: Session) -> Any:
    import gradio as gr

    choices = [
        (f"{photo.name} · {one}", f"{place} {photo.name}")
        for photo in session.album.searched.values()
        for place, one in enumerate(photo.found)
    ]
    return gr.update(choices=choices, value=choices[0][1] if choices else None)


def _compared(session: Session, choice: str | None) -> tuple[Any, Any]:
    if not choice:
        return None, None
    place, _, name = choice.partition(" ")
    photo, size = session.album[name], session.model.backbone.input_size
    return comparing.pictures(photo, int(place) if place.isdigit() else 0, input_size=size)
