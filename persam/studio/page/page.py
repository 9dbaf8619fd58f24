"""The whole page: its tabs, and what changes in one when something happens in another."""

from typing import Any

from persam.studio.page import album, learn, review, training, video
from persam.studio.page.api import api
from persam.studio.page.events import Events
from persam.studio.session import Session, Sessions

KEPT_S = 24 * 3600  # for how long uploads of a tab are kept while the server runs
TITLE = "persam studio"
HEAD = "# <b>persam</b> studio\nMark one thing in one photo, and find that very thing in albums and clips."


def page(sessions: Sessions) -> Any:
    """A `gradio.Blocks`, not yet served."""
    import gradio as gr

    events = Events(sessions)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, KEPT_S)) as blocks:
        gr.Markdown(HEAD, elem_id="head")
        with gr.Tab("Learn"):
            learning = learn.learn(events)
        with gr.Tab("Album"):
            searching = album.album(events)
        with gr.Tab("Review"):
            reviewing = review.review(events)
        with gr.Tab("Video"):
            followed = video.video(events)
        with gr.Tab("DreamBooth"):
            trained = training.training(events)
        with gr.Tab("Compare"):
            compared, finds = album.compare(events)
        api(events)

        shelf = [*learning.shelf, searching.names, followed, trained]
        for change in (*learning.changes, *reviewing.changes):
            events.on(change.success, _shelf, [], shelf, progress="hidden")
        events.on(searching.done.then, review.current, [], reviewing.outputs, progress="hidden")
        events.on(searching.done.then, finds, [], [compared], progress="hidden")
        for change in reviewing.changes:
            events.on(change.success, review.changed_album, [], [searching.gallery, searching.said], progress="hidden")
        blocks.unload(_ending(sessions))
    return blocks


def _shelf(session: Session) -> tuple[Any, ...]:
    """The shelf and every choice of what is on it; all of it is ticked."""
    import gradio as gr

    names = session.shelf.names
    ticked = [gr.update(choices=names, value=names) for _ in range(3)]  # each its own: Gradio empties what it is given
    return *learn.shown_shelf(session), *ticked


def _ending(sessions: Sessions) -> Any:
    import gradio as gr

    def ended(request: gr.Request) -> None:
        sessions.end(request.session_hash or "")

    return ended
