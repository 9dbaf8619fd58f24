"""`persam doctor`. An edge, without logic of its own."""

import argparse
import json
import sys

from persam.cli.streams import printable

DOCTOR_HELP = """\
Try what persam needs, and what it can use, on this machine: packages and extras, PyTorch and its devices, codecs, the
bundled model, fetched weights, the cache and the disk. Below what is missing or broken is the command that mends it.

Nothing is changed. The exit code is 0 if photos can be searched with the bundled model, else 1."""


def doctor_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def doctor(options: argparse.Namespace) -> int:
    from persam.doctor.examine import examine, works

    lines = []
    for line in examine():
        lines.append(line)
        if not options.json:
            told = [f"{line.state:<8} {line.check:<16} {line.detail}", *([f"{'':<26}{line.mend}"] if line.mend else [])]
            for text in told:
                print(printable(text, sys.stdout), flush=True)
    fine = works(lines)
    if options.json:
        print(json.dumps({"works": fine, "checks": [line.as_dict() for line in lines]}))
    else:
        print("persam works here." if fine else "persam does not work here: mend what is needed first.")
    return 0 if fine else 1
