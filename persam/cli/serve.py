"""`persam serve`. An edge, without logic of its own."""

import argparse
import signal
import sys
import threading

from persam.cli.option_groups import model_options
from persam.cli.shell import load_model, say

SERVE_HELP = """\
Open a web page on this machine: mark an object, find it in albums and clips, review what is uncertain, prepare
DreamBooth's folder. Only this machine can reach it unless --host says otherwise. Needs pip install 'persam[studio]'."""


def serve_options(command: argparse.ArgumentParser) -> None:
    command.epilog = "example: persam serve --port 8000 --no-browser"
    command.add_argument("--port", type=int, metavar="N", help="(default: the first that is free from 7860 on)")
    command.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address that it is bound to (default: %(default)s). With 0.0.0.0 everyone who can reach this machine "
        "can use it: there is no login",
    )
    command.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    command.add_argument(
        "--max-file-mb", type=float, default=200, metavar="N", help="largest file that is taken (default: %(default)s)"
    )
    command.add_argument(
        "--max-megapixels", type=float, default=64, metavar="N", help="largest photo (default: %(default)s)"
    )
    command.add_argument(
        "--max-photos", type=int, default=200, metavar="N", help="most photos at a time (default: %(default)s)"
    )
    command.add_argument(
        "--max-seconds",
        type=float,
        default=1800,
        metavar="S",
        help="longest that an album, a clip or a training folder may take (default: %(default)s)",
    )
    model_options(command)


def serve(options: argparse.Namespace) -> int:
    """Words and the extra are tried before a model is loaded. Ends with Ctrl-C."""
    from persam.studio.limits import Limits
    from persam.studio.server import check_gradio, serving

    limits = Limits(
        file_mb=options.max_file_mb,
        megapixels=options.max_megapixels,
        files=options.max_photos,
        seconds=options.max_seconds,
    )
    check_gradio()
    model = load_model(options)
    with serving(model, host=options.host, port=options.port, limits=limits) as url:
        print(url)
        sys.stdout.flush()
        say("the page is open; Ctrl-C ends it, and removes what was uploaded")
        if not options.no_browser:
            import webbrowser

            webbrowser.open(url)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C, and how services are stopped
            signal.signal(number, lambda *_: ended.set())
        ended.wait()
        say("the page is closed")
    return 0
