"""The tab Learn: a photo, the object marked in it, a name, the shelf."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from persam.io.write import write_picture
from persam.studio.page.events import Events
from persam.studio.page.look import step
from persam.studio.page.pad import ground, layer_of, pad
from persam.studio.session import Session

OBJECT, BACKGROUND, BOX, PAINT = "Click the object", "Click what is not it", "Draw a box: two corners", "Paint over it"
WAYS = {OBJECT: "object", BACKGROUND: "background", BOX: "box"}
HOW = {
    OBJECT: "Click on the object. The mask appears at once; click again to add what is missing.",
    BACKGROUND: "Click on what the mask should leave out.",
    BOX: "Click one corner of a box around the object, then the opposite one.",
    PAINT: "Paint over the object; what is painted is the mask.",
}
NOTHING = "Nothing is marked yet."
EMPTY = "The shelf is empty. Mark an object in a photo, name it, and keep it here."


@dataclass(frozen=True)
class Learn:
    """shelf: components that show it, as `shown_shelf` fills them. changes: events after which it may be another."""

    shelf: tuple[Any, ...]
    changes: tuple[Any, ...]


def learn(events: Events) -> Learn:
    """Makes the tab."""
    import gradio as gr

    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=420):
            with gr.Column() as loading:
                step("1 · Show it one photo", "Load a photo of the one thing that you want to find, or take one.")
                photo = gr.Image(
                    sources=["upload", "webcam", "clipboard"], type="filepath", label="Reference photo", height=420
                )
            with gr.Column(visible=False) as marking:
                step("2 · Mark the object")
                way = gr.Radio([*WAYS, PAINT], value=OBJECT, show_label=False, container=False, elem_id="way")
                how = gr.Markdown(HOW[OBJECT], elem_classes="hint")
                shown = gr.Image(
                    interactive=False, show_label=False, buttons=["fullscreen"], elem_id="marking", height=520
                )
                canvas = pad()
                with gr.Row():
                    undo = gr.Button("Undo", size="md", min_width=90)
                    clear = gr.Button("Clear", size="md", min_width=90)
                    other = gr.Button("Another photo", size="md", min_width=130)
                marked = gr.Markdown(NOTHING, elem_classes="said", elem_id="marked")
        with gr.Column(scale=2, min_width=320):
            step("3 · Name it and keep it")
            with gr.Row(equal_height=True):
                name = gr.Textbox(
                    show_label=False,
                    placeholder="Its name, such as rex",
                    max_lines=1,
                    container=False,
                    elem_id="name",
                )
                keep = gr.Button("Keep it", variant="primary", scale=0, min_width=110, size="md")
            step("Shelf", "What is looked for in albums and clips. It is gone when this page is closed: download it.")
            empty = gr.Markdown(EMPTY, elem_classes="empty")
            shelf = gr.Gallery(
                show_label=False,
                visible=False,
                columns=3,
                height=260,
                object_fit="contain",
                allow_preview=False,
                interactive=False,
                elem_id="shelf",
            )
            with gr.Column(visible=False) as tools:
                chosen = gr.Dropdown([], label="Concept", interactive=True)
                with gr.Row():
                    save = gr.Button("Download it", size="md")
                    remove = gr.Button("Remove it", size="md")
            load = gr.UploadButton("Load a concept file", file_types=[".safetensors"], type="filepath", size="md")
            saved = gr.File(label="Concept file", visible=False, interactive=False)

    picture = (shown, canvas, marked)
    events.on(photo.input, _loaded, [photo], [loading, marking, *picture], raw=True)
    events.on(other.click, _unloaded, [], [loading, marking, photo, *picture, way], progress="hidden")
    events.on(way.change, _chosen_way, [way], [how, shown, canvas], progress="hidden")
    events.on(shown.select, _clicked, [way], picture, data="index")
    events.on(canvas.input, _painted, [], [shown, marked], data="painting", progress="hidden")
    events.on(undo.click, _undone, [way], picture)
    events.on(clear.click, _cleared, [way], picture)
    kept = events.on(keep.click, _kept, [name], [name])
    submitted = events.on(name.submit, _kept, [name], [name])
    events.on(save.click, _saved, [chosen], [saved])
    removed = events.on(remove.click, _removed, [chosen], [saved])
    loaded = events.on(load.upload, _concept_loaded, [load], [saved])
    return Learn((empty, shelf, tools, chosen), (kept, submitted, removed, loaded))


def shown_shelf(session: Session) -> tuple[Any, ...]:
    """What its components show: pictures with captions, and the last concept chosen."""
    import gradio as gr

    blank = np.full((240, 320, 3), 235, np.uint8)
    kept = [(blank if one.picture is None else one.picture, str(one)) for one in session.shelf.kept.values()]
    names, any_ = session.shelf.names, bool(kept)
    chosen = gr.update(choices=names, value=names[-1] if names else None)
    return gr.update(visible=not any_), gr.update(value=kept, visible=any_), gr.update(visible=any_), chosen


def _loaded(session: Session, file: dict[str, Any] | None) -> tuple[Any, ...]:
    import gradio as gr

    if file is None or not file.get("path"):
        return (gr.skip(),) * 5
    session.load_reference(Path(file["path"]))
    return gr.update(visible=False), gr.update(visible=True), *_shown(session)


def _unloaded(session: Session) -> tuple[Any, ...]:
    import gradio as gr

    session.photo = None
    session.clear()
    return gr.update(visible=True), gr.update(visible=False), None, None, None, NOTHING, OBJECT


def _chosen_way(session: Session, way: str) -> tuple[Any, ...]:
    import gradio as gr

    if way == PAINT and session.photo is not None:
        return HOW[way], gr.update(visible=False), gr.update(visible=True, value=ground(session.photo, session.mask))
    return HOW[way], gr.update(visible=True), gr.update(visible=False, value=None)


def _clicked(session: Session, place: tuple[int, int], way: str) -> tuple[Any, ...]:
    session.click((place[0], place[1]), WAYS.get(way, "object"))
    return _shown(session)


def _painted(session: Session, painting: object) -> tuple[Any, Any]:
    session.paint(layer_of(painting))
    shown, _, marked = _shown(session)
    return shown, marked


def _undone(session: Session, way: str) -> tuple[Any, ...]:
    session.undo()
    return _shown(session, way)


def _cleared(session: Session, way: str) -> tuple[Any, ...]:
    session.clear()
    return _shown(session, way)


def _kept(session: Session, name: str) -> str:
    import gradio as gr

    kept = session.keep(name)
    gr.Info(f"{kept.name} is on the shelf. Look for it under Album or Video.", duration=4)
    return ""


def _saved(session: Session, name: str | None) -> Any:
    import gradio as gr

    path = session.shelf.save(name or "", session.output_folder())
    return gr.update(value=str(path), visible=True)


def _removed(session: Session, name: str | None) -> Any:
    import gradio as gr

    session.shelf.remove(name or "")
    return gr.update(value=None, visible=False)


def _concept_loaded(session: Session, path: str) -> Any:
    import gradio as gr

    gr.Info(f"{session.shelf.load(Path(path), session.limits).name} is on the shelf.", duration=4)
    return gr.update(value=None, visible=False)


def _shown(session: Session, way: str = OBJECT) -> tuple[Any, ...]:
    """The picture, the canvas where it is painted on, and what is marked."""
    import gradio as gr

    if session.photo is None:
        return None, None, NOTHING
    path = session.output_folder() / "marked.jpg"
    write_picture(session.picture(), path)
    text = NOTHING
    if session.mask is not None:
        area, (height, width) = int(session.mask.sum()), session.photo.hw
        text = f"**{area:,} pixels** are marked, {area / (height * width):.1%} of the photo ({width}x{height})."
    elif session.marks.corner is not None:
        text = "The first corner is set: click the opposite one."
    return str(path), ground(session.photo, session.mask) if way == PAINT else gr.skip(), text
