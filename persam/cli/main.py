"""What the shell's words do: `persam segment|track|learn|propose|serve|demo|eval|bench|export|doctor|weights` and more.

Exit codes: 0 done, 1 `doctor` found that photos cannot be searched, 2 something the user can put right (one line on
stderr says what), 130 interrupted, 141 the reader of the output has left, as `head` does. Results go to the output
folder and to stdout: a table on a terminal, else a JSON line per photo or frame. What is said of the run goes to
stderr.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from persam.cli import bench, bench_speed, doctor, dreambooth, evaluate, export, propose, segment, serve, track, weights
from persam.cli.arguments import command_line, joined
from persam.cli.shell import own_warnings_as_lines, say
from persam.cli.streams import BROKEN_PIPE, drop_output, open_streams
from persam.errors import PerSAMError
from persam.sam.memory import as_out_of_memory


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    open_streams()
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # what cannot be written is noticed here, not when the interpreter ends
    except BrokenPipeError:
        drop_output()
        return BROKEN_PIPE
    except OSError as error:
        drop_output()
        say(f"cannot write to stdout: {error}")
        return 2


def _run(arguments: Sequence[str] | None) -> int:
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
        with own_warnings_as_lines(), as_out_of_memory("this command"):
            return COMMANDS[options.run](options)
    except PerSAMError as error:
        say(str(error))
        return 2
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
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
    "propose": propose.propose,
    "serve": serve.serve,
    "demo": evaluate.demo,
    "eval": evaluate.evaluate,
    "eval calibrate": evaluate.calibrate,
    "eval instances": evaluate.instances,
    "bench photo": bench.photo,
    "bench track": bench.track,
    "bench encoder": bench_speed.encoder,
    "bench tune": bench_speed.tune,
    "bench propose": bench_speed.propose,
    "bench album": bench.album,
    "bench growth": bench.growth,
    "bench export": bench.export,
    "export": export.export,
    "bench cluster": bench.cluster,
    **{f"dreambooth {name}": action.run for name, action in dreambooth.ACTIONS.items()},
    "doctor": doctor.doctor,
    "weights list": weights.show,
    "weights fetch": weights.fetch,
    "weights verify": weights.verify,
    "weights path": weights.path,
}

if __name__ == "__main__":
    sys.exit(main())
