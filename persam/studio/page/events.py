"""Events of the page: each has the session of its tab, says our errors as toasts, and waits for its turn."""

import inspect
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from persam.errors import InputWarning, NotCalibratedWarning, PerSAMError
from persam.sam.memory import as_out_of_memory
from persam.studio.session import Session, Sessions

QUEUE = "persam"  # one at a time, whatever is asked for


class Events:
    """Ties functions of a session to the page's components.

    Args:
        sessions: of the tabs.
    """

    def __init__(self, sessions: Sessions):
        self.sessions = sessions

    def on(
        self,
        trigger: Any,
        do: Callable[..., Any],
        inputs: Sequence[Any] = (),
        outputs: Sequence[Any] = (),
        *,
        data: str | None = None,
        steps: bool = False,
        api_name: str | None = None,
        progress: str = "minimal",
        cancels: Any = None,
        raw: bool = False,
    ) -> Any:
        """The event, to be followed by others.

        Args:
            trigger: such as `button.click`, or `event.then`.
            do: gets the session, the event's data where it has some, and the values of the inputs.
            inputs: components.
            outputs: likewise; as many as `do` returns values, or one value.
            data: which of the event's data it is: `index` of a click is the pixel.
            steps: whether `do` gives its answers one after the other.
            api_name: under which clients may call it; only the page may when not given.
            progress: as Gradio's `show_progress`.
            cancels: events that end when this one comes.
            raw: whether `do` gets what the browser sent: Gradio would decode pictures before they are looked at.
        """
        if data is not None:
            handler = self._of_data(do, data)
        else:
            handler = (self._of_steps if steps else self._of_one)(do)
        if api_name:
            _name_arguments(handler, do)
        named = {"api_name": api_name, "api_visibility": "public" if api_name else "private"}
        return trigger(
            handler,
            list(inputs),
            list(outputs),
            show_progress=progress,
            concurrency_id=QUEUE,
            concurrency_limit=1,
            cancels=cancels,
            preprocess=not raw,
            **named,
        )

    def _session(self, request: Any) -> Session:
        return self.sessions[request.session_hash or ""]

    def _of_one(self, do: Callable[..., Any]) -> Callable[..., Any]:
        import gradio as gr

        def handler(request: gr.Request, *values: Any) -> Any:
            with said():
                return do(self._session(request), *values)

        return handler

    def _of_data(self, do: Callable[..., Any], name: str) -> Callable[..., Any]:
        import gradio as gr

        def handler(request: gr.Request, event: gr.EventData, *values: Any) -> Any:
            with said():
                return do(self._session(request), getattr(event, name, None), *values)

        return handler

    def _of_steps(self, do: Callable[..., Any]) -> Callable[..., Any]:
        import gradio as gr

        def handler(request: gr.Request, *values: Any) -> Iterator[Any]:
            with said():
                steps: Generator[Any, None, None] = do(self._session(request), *values)
            with closing(steps):  # also when it is stopped between two
                while True:
                    with said():
                        answer = next(steps, steps)
                    if answer is steps:
                        return
                    yield answer

        return handler


def _name_arguments(handler: Callable[..., Any], do: Callable[..., Any]) -> None:
    """Clients see the arguments of `do`, and what it says of itself."""
    request = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    asked = list(inspect.signature(do).parameters.values())[1:]
    handler.__signature__ = inspect.Signature([request, *asked])  # type: ignore[attr-defined]
    handler.__doc__ = do.__doc__


@contextmanager
def said() -> Iterator[None]:
    """Our errors and warnings become toasts with their message; what is not ours stays an error without one."""
    import gradio as gr

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("ignore")
        for own in (InputWarning, NotCalibratedWarning):
            warnings.simplefilter("always", own)
        try:
            with as_out_of_memory("this"):
                yield
        except PerSAMError as error:
            raise gr.Error(str(error), duration=12, title="That did not work", print_exception=False) from error
        finally:
            for one in heard:
                gr.Warning(str(one.message), duration=12)
