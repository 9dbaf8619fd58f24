"""What the shell's words do: `persam segment|track|learn|demo|eval|weights`.

Exit codes: 0 done, 2 something the user can put right (one line on stderr says what), 130 interrupted. Results go to
the output folder and, as one JSON line per photo or frame, to stdout; everything meant for people goes to stderr.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from persam.cli import evaluate, segment, track, weights
from persam.cli.arguments import command_line, joined
from persam.cli.shell import own_warnings_as_lines, say
from persam.errors import PerSAMError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    parser = command_line()
    words = sys.argv[1:] if arguments is None else arguments
    options, more = parser.parse_known_args(joined(words))
    if more and (not hasattr(options, "inputs") or any(word.startswith("-") for word in more)):
        parser.error(f"unknown arguments: {' '.join(more)}")
    if any("\0" in word for word in words):
        parser.error("a word holds a null character, which no file's name can")
    if more:  # photos after -o OUT, which argparse does not take together with those before it
        options.inputs += more
    try:
        with own_warnings_as_lines():
            return COMMANDS[options.run](options)
    except PerSAMError as error:
        say(str(error))
        return 2
    except BrokenPipeError:  # the reader of stdout has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        say(f"{error}. Check that the disk has room and that the folder can be written.")
        return 2
    except KeyboardInterrupt:
        say("interrupted; what was finished is on disk")
        return 130


def _help(options: argparse.Namespace) -> int:
    options.parser.print_help()
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "help": _help,
    "segment": segment.segment,
    "track": track.track,
    "learn": segment.learn,
    "demo": evaluate.demo,
    "eval": evaluate.evaluate,
    "eval calibrate": evaluate.calibrate,
    "weights list": weights.show,
    "weights fetch": weights.fetch,
    "weights verify": weights.verify,
    "weights path": weights.path,
}

if __name__ == "__main__":
    sys.exit(main())
