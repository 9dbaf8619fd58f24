"""The tab Video: a clip tracked while one watches, its player, and a correction at any frame."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from persam.errors import PerSAMError
from persam.io.write import write_picture
from persam.studio.page.album import chooser
from persam.studio.page.events import Events
from persam.studio.page.look import step
from persam.studio.page.review import ADD, LEAVE_OUT
from persam.studio.photo import view
from persam.studio.session import Session

EMPTY = "Drop a clip, tick what to follow, and press *Track*. The frames show as they come, then the clip plays."
EVERY = 5  # frames between two pictures while it is tracked


def video(events: Events) -> Any:
    """Makes the tab; the choice of concepts."""
    import gradio as gr

    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=300):
            step("Follow it through a clip")
            dropped = gr.File(file_types=["video"], type="filepath", label="Clip", height=140)
            names = chooser("Follow")
            every = gr.Slider(1, 10, 1, step=1, label="Every n-th frame", info="1 is every frame; more is quicker.")
            with gr.Row():
                track = gr.Button("Track", variant="primary")
                stop = gr.Button("Stop", variant="stop")
            take = gr.Button("Masks and video (ZIP)", size="sm")
            file = gr.File(label="Download", visible=False, interactive=False)
        with gr.Column(scale=3, min_width=420):
            said = gr.Markdown(EMPTY, elem_classes=["said", "empty"], elem_id="tracked")
            live = gr.Image(interactive=False, show_label=False, buttons=[], visible=False, height=420)
            player = gr.Video(interactive=False, show_label=False, visible=False, height=420, elem_id="player")
            with gr.Accordion("Put a frame right", open=False):
                gr.Markdown("Choose a frame, click what is missing or too much, keep it, and track again.")
                with gr.Row():
                    index = gr.Slider(0, 1, 0, step=1, label="Frame")
                    which = gr.Dropdown([], label="Object", interactive=True)
                    way = gr.Radio([ADD, LEAVE_OUT], value=ADD, show_label=False)
                frame = gr.Image(
                    interactive=False, show_label=False, buttons=["fullscreen"], height=420, elem_id="frame"
                )
                with gr.Row():
                    keep = gr.Button("Keep this correction")
                    again = gr.Button("Track again", variant="primary")
    results = [live, player, said, index, which, file]
    asked = [dropped, names, every]
    tracking = events.on(track.click, _tracked, asked, results, steps=True)
    once_more = events.on(again.click, _tracked_again, asked, results, steps=True)
    stop.click(None, None, None, cancels=[tracking, once_more], api_visibility="private")
    events.on(index.release, _shown_frame, [index, which], [frame])
    events.on(which.change, _shown_frame, [index, which], [frame])
    events.on(frame.select, _clicked, [index, which, way], [frame], data="index")
    events.on(keep.click, _kept, [index, which], [frame])
    events.on(take.click, _taken, [], [file])
    return names


def _tracked(session: Session, path: str | None, names: list[str], every: int) -> Iterator[tuple[Any, ...]]:
    session.shelf.concepts(names)  # said before the clip is opened
    if path is None:
        raise PerSAMError("there is no clip yet: drop one first.")
    session.open_clip(Path(path)).step = int(every)
    yield from _steps(session, names)


def _tracked_again(session: Session, path: str | None, names: list[str], every: int) -> Iterator[tuple[Any, ...]]:
    yield from _steps(session, session.opened_clip().names or names)


def _steps(session: Session, names: list[str]) -> Iterator[tuple[Any, ...]]:
    import gradio as gr

    clip, skip = session.opened_clip(), gr.skip()
    total = len(clip.places)
    hidden, place = gr.update(visible=False, value=None), session.output_folder()
    yield gr.update(visible=True, value=None), hidden, f"Tracking {total} frames …", skip, skip, hidden

    def finished() -> tuple[Any, ...]:
        last = clip.places[clip.done - 1]
        return (
            hidden,
            gr.update(visible=True, value=str(clip.overlay)),
            f"**{clip.done} of {total}** frames are tracked.",
            gr.update(maximum=max(1, last), value=0, step=clip.step),
            gr.update(choices=clip.names, value=clip.names[0]),
            skip,
        )

    try:
        for result in clip.track(session.shelf.concepts(names), session.model, session.limits):
            if clip.done % EVERY == 1 or total < EVERY:
                picture = place / f"live-{clip.done}.jpg"
                write_picture(view(result.overlay()), picture)
                here = ", ".join(one.concept for one in result) or "nothing here"
                text = f"**{clip.done} of {total}** frames · {here}"
                yield gr.update(value=str(picture)), skip, text, skip, skip, skip
    except PerSAMError:
        if clip.done:  # what came before plays
            yield finished()
        raise
    yield finished()


def _shown_frame(session: Session, index: int, name: str | None) -> str | None:
    from persam.studio.marking import Marks

    session.opened_clip().marks = Marks()
    return _frame(session, index, name)


def _frame(session: Session, index: int, name: str | None) -> str | None:
    if not name:
        return None
    path = session.output_folder() / "frame.jpg"
    write_picture(session.opened_clip().picture(int(index), name, session.model), path)
    return str(path)


def _clicked(session: Session, place: tuple[int, int], index: int, name: str, way: str) -> str | None:
    clip = session.opened_clip()
    before = clip.marks
    clip.marks = before.clicked((float(place[0]), float(place[1])), inside=way != LEAVE_OUT)
    try:
        return _frame(session, index, name)
    except Exception:
        clip.marks = before
        raise


def _kept(session: Session, index: int, name: str) -> str | None:
    import gradio as gr

    session.opened_clip().keep_correction(int(index), name, session.model)
    gr.Info("The correction is kept. Track again to go on from there.", duration=4)
    return _frame(session, index, name)


def _taken(session: Session) -> Any:
    import gradio as gr

    return gr.update(value=str(session.opened_clip().archive()), visible=True)
