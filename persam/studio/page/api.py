"""What programs may ask of the server by HTTP: learn, segment, track, prepare, each a call without a page."""

from pathlib import Path
from typing import Any

from persam.errors import ConceptError, PerSAMError
from persam.studio import downloads
from persam.studio.album import Album
from persam.studio.page.events import Events
from persam.studio.photo import read_photo
from persam.studio.session import Session
from persam.studio.shelf import Shelf
from persam.studio.training import prepared


def api(events: Events) -> None:
    """Adds the endpoints; nothing of them shows."""
    import gradio as gr

    def file(label: str, count: str = "single") -> Any:
        return gr.File(label=label, file_count=count, type="filepath", visible=False)

    def text(label: str, value: str = "") -> Any:
        return gr.Textbox(value, label=label, visible=False)

    def endpoint(name: str, do: Any, inputs: list[Any], outputs: list[Any]) -> None:
        events.on(gr.Button(visible=False).click, do, inputs, outputs, api_name=name)

    result, concepts = gr.JSON(label="result", visible=False), file("concepts", "multiple")
    photos, archive = file("photos", "multiple"), file("archive")
    endpoint("learn", learn, [file("photo"), text("mark"), text("name"), file("mask")], [file("concept"), result])
    most, format_ = gr.Number(1, label="max_instances", precision=0, visible=False), text("format", "masks")
    endpoint("segment", segment, [photos, concepts, most, format_], [result, archive])
    every = gr.Number(1, label="step", precision=0, visible=False)
    endpoint("track", track, [file("clip"), concepts, every], [result, file("overlay"), archive])
    layout, caption = text("layout", "diffusers"), text("caption", "a photo of {}")
    endpoint("prepare", prepare, [photos, concepts, layout, caption], [result, archive])


def learn(session: Session, photo: str, mark: str, name: str, mask: str | None = None) -> tuple[str, dict[str, Any]]:
    """The file of the concept that a photo shows.

    mark is a prompt such as `box:10,20,200,300` or `points:40,50;-10,10` in pixels of the photo; or mask is a file.
    """
    from persam.method.prompt_masks import reference_mask
    from persam.method.prompts import parse_prompt

    read = read_photo(_path(photo, "photo"), session.limits)
    prompt = parse_prompt(mark) if mark else None
    if (prompt is None) == (mask is None):
        raise PerSAMError("say what the object is: mark='box:x0,y0,x1,y1' or 'points:x,y;x,y', or a file as mask.")
    embedding = session.model.backbone.encode([read.rgb])
    if mask is not None:
        session.limits.check_photo(Path(mask))
    marked = reference_mask(prompt if mask is None else Path(mask), session.model.backbone, embedding, read.rgb)
    shelf = Shelf(session.model)
    kept = shelf.learn(name, read.rgb, marked)
    return str(shelf.save(kept.name, session.output_folder())), {"name": kept.name, "area_px": int(marked.sum())}


def segment(
    session: Session, photos: list[str] | None, concepts: list[str] | None, max_instances: int, format: str
) -> tuple[list[dict[str, Any]], str]:
    """What is in each photo, and a file of it: format is masks, cutouts, coco or yolo."""
    makers = {"masks": downloads.masks, "cutouts": downloads.cutouts, "coco": downloads.coco, "yolo": downloads.yolo}
    if format not in makers:
        raise PerSAMError(f"there is no format {format!r}: choose one of {', '.join(makers)}.")
    folder = session.output_folder()
    album = Album(folder)
    known = _concepts(session, concepts)
    searched = album.search(_paths(photos), known, session.model, session.limits, max_instances=int(max_instances))
    records = [
        {
            "image": one.path.name,
            "error": one.error,
            "objects": [found.segmentation().to_record() for found in one.found],
        }
        for one in searched
    ]
    return records, str(makers[format](album, folder))


def track(
    session: Session, clip: str | None, concepts: list[str] | None, step: int
) -> tuple[list[dict[str, Any]], str, str]:
    """What is in each frame, the clip with it drawn over, and the masks."""
    known = _concepts(session, concepts)
    opened = session.open_clip(_path(clip, "clip"))
    opened.step = max(1, int(step))
    records = [
        {"frame": result.name, "time": result.time, "objects": [one.to_record() for one in result.segmentations]}
        for result in opened.track(known, session.model, session.limits)
    ]
    return records, str(opened.overlay), str(opened.archive())


def prepare(
    session: Session, photos: list[str] | None, concepts: list[str] | None, layout: str, caption: str
) -> tuple[list[dict[str, Any]], str | None]:
    """What became of each photo, and DreamBooth's training folder; None where no photo can be used."""
    done = prepared(
        _paths(photos),
        _concepts(session, concepts),
        session.output_folder(),
        model=session.model,
        limits=session.limits,
        layout=layout,
        caption=caption,
    )
    return [one.to_record() for one in done.outcomes], None if done.archive is None else str(done.archive)


def _concepts(session: Session, files: list[str] | None) -> Any:
    if not files:
        raise ConceptError("give at least one concept: a file that `learn` gave.")
    shelf = Shelf(session.model)
    return [shelf.load(Path(file), session.limits).concept for file in files]


def _path(file: str | None, what: str) -> Path:
    if not file:
        raise PerSAMError(f"there is no {what}: upload one with `handle_file`.")
    return Path(file)


def _paths(files: list[str] | None) -> list[Path]:
    return [Path(file) for file in files or ()]
