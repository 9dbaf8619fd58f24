"""The server behind `persam serve`: bound to this machine unless told otherwise, and quiet to the rest of the world."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from persam.errors import PerSAMError
from persam.model import PerSAM
from persam.studio.guard import Guard, hosts_of
from persam.studio.limits import MB, Limits
from persam.studio.session import Sessions

HOST = "127.0.0.1"
GET_GRADIO = "the page needs Gradio, which is not installed: pip install 'persam[studio]'."
WAITING = 32  # requests in the queue
# What Gradio reads from the environment, while the server runs: nothing is told to anyone, nothing shared.
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_MCP_SERVER": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
UNSET = ("GRADIO_ALLOWED_PATHS", "GRADIO_ROOT_PATH", "GRADIO_SERVER_PORT", "GRADIO_SERVER_NAME", "GRADIO_DEBUG")


@contextmanager
def serving(model: PerSAM, *, host: str = HOST, port: int | None = None, limits: Limits | None = None) -> Iterator[str]:
    """The address of the page, for as long as the block lasts; uploads and results are gone after it.

    Args:
        model: what learns and finds.
        host: to which address it is bound; others than this machine's own let everyone in who can reach it.
        port: None for the first that is free from 7860 on.
        limits: what a request may bring.

    Raises:
        PerSAMError: Gradio is not installed, or the port is taken.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="persam-studio-") as home, _environment(home):
        check_gradio()
        from persam.studio.page.look import CSS, theme
        from persam.studio.page.page import page

        uploads = Path(home).resolve()
        sessions = Sessions(model, uploads, limits)
        blocks = page(sessions).queue(max_size=WAITING, default_concurrency_limit=1)
        try:
            guard = partial(Guard, uploads=uploads, hosts=hosts_of(host), file_bytes=limits.file_mb * MB)
            _launch(blocks, host, port, guard, theme=theme(), css=CSS, max_file_size=int(limits.file_mb * MB))
            yield str(blocks.local_url)
        finally:
            blocks.close(verbose=False)
            sessions.close()


def check_gradio() -> None:
    """Raises PerSAMError where Gradio is not installed."""
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise PerSAMError(f"{GET_GRADIO} ({error})") from error


def _launch(blocks: Any, host: str, port: int | None, guard: Any, **look: Any) -> None:
    from starlette.middleware import Middleware

    try:
        blocks.launch(
            server_name=host,
            server_port=port,
            share=False,
            inbrowser=False,
            prevent_thread_lock=True,
            quiet=True,
            show_error=False,
            allowed_paths=[],
            footer_links=["api"],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            app_kwargs={"middleware": [Middleware(guard)], "docs_url": None, "redoc_url": None, "openapi_url": None},
            **look,
        )
    except OSError as error:
        raise PerSAMError(f"cannot serve at {host}:{port}: {error}. Choose another --port or --host.") from error


@contextmanager
def _environment(uploads: str) -> Iterator[None]:
    """What Gradio reads from the environment, as it should be while the server runs, and as it was after."""
    changed = {**QUIET, "GRADIO_TEMP_DIR": str(Path(uploads).resolve())}
    before = {name: os.environ.get(name) for name in (*changed, *UNSET)}
    os.environ.update(changed)
    for name in UNSET:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
