"""The tab Review: what is uncertain first; accept, reject, or put right with a click."""

from dataclasses import dataclass
from typing import Any

from persam.io import draw
from persam.io.write import write_picture
from persam.studio.page.album import shown, summary
from persam.studio.page.events import Events
from persam.studio.page.look import step
from persam.studio.photo import Photo, view
from persam.studio.session import Session

ADD, LEAVE_OUT = "Click adds to it", "Click takes away"
EMPTY = "Nothing to review. Search an album first: its finds come here, the most uncertain first."


@dataclass(frozen=True)
class Review:
    """outputs: what `current` gives. changes: events after which the album and the shelf are others."""

    outputs: tuple[Any, ...]
    changes: tuple[Any, ...]


def review(events: Events) -> Review:
    """Makes the tab."""
    import gradio as gr

    step(
        "Is this it?",
        "Accepting teaches the concept a further photo; rejecting keeps it as a counter-example. Search again to see "
        "the difference.",
    )
    said = gr.Markdown(EMPTY, elem_classes=["said", "empty"], elem_id="reviewed")
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=420):
            picture = gr.Image(
                interactive=False, show_label=False, buttons=["fullscreen"], height=520, elem_id="reviewing"
            )
        with gr.Column(scale=1, min_width=260):
            accept = gr.Button("Accept", variant="primary")
            reject = gr.Button("Reject", variant="stop")
            skip = gr.Button("Skip")
            step("Put the mask right", "Click in the photo, then accept.")
            way = gr.Radio([ADD, LEAVE_OUT], value=ADD, show_label=False)
            undo = gr.Button("Undo the last click", size="sm")
    outputs = (picture, said)
    accepted = events.on(accept.click, _accepted, [], outputs)
    rejected = events.on(reject.click, _rejected, [], outputs)
    events.on(skip.click, _skipped, [], outputs)
    events.on(picture.select, _clicked, [way], outputs, data="index")
    events.on(undo.click, _undone, [], outputs)
    return Review(outputs, (accepted, rejected))


def current(session: Session, before: str = "") -> tuple[Any, str]:
    """The picture of the find that is next, and what is said of it. before: what became of the last one."""
    item = session.review.current
    if item is None:
        return None, f"{before}\n\nThat was all." if before else EMPTY
    photo = session.album[item.photo]
    rgb, mask = photo.read(), session.review.mask()
    points, labels = session.review.marks.drawn
    path = session.output_folder() / "review.jpg"
    write_picture(view(draw.overlay(rgb, mask, points_xy=points, labels=labels)), path)
    left = len(session.review.queue)
    asked = f"**{photo.name}** · {photo.found[item.place]} · {left} to go"
    return str(path), f"{before}\n\n{asked}" if before else asked


def changed_album(session: Session) -> tuple[Any, str]:
    """Gallery and summary of the album as it is now."""
    searched = list(session.album.searched.values())
    return shown(searched), summary(searched, len(searched))


def _accepted(session: Session) -> tuple[Any, str]:
    return current(session, session.review.accept())


def _rejected(session: Session) -> tuple[Any, str]:
    return current(session, session.review.reject())


def _skipped(session: Session) -> tuple[Any, str]:
    session.review.skip()
    return current(session)


def _clicked(session: Session, place: tuple[int, int], way: str) -> tuple[Any, str]:
    item = session.review.current
    if item is None:
        return current(session)
    photo = Photo(item.photo, session.album[item.photo].read())
    before = session.review.marks
    session.review.marks = before.clicked(photo.place((place[0], place[1])), inside=way != LEAVE_OUT)
    try:
        return current(session)
    except Exception:
        session.review.marks = before
        raise


def _undone(session: Session) -> tuple[Any, str]:
    if session.review.marks.before is not None:
        session.review.marks = session.review.marks.before
    return current(session)
