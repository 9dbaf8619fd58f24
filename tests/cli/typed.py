"""A shell to type `persam` commands into, and what it leaves behind."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from persam.cli.main import main


class Shell:
    """Runs `persam` with words as a shell would pass them."""

    def __init__(self, capsys):
        self.capsys = capsys

    def __call__(self, line: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        try:
            code = main(line.split())
        except SystemExit as exit:  # argparse
            code = int(exit.code or 0)
        out, err = self.capsys.readouterr()
        return code, out, err

    def refused(self, line: str) -> str:
        """The one line on stderr of a command that must end with 2."""
        code, out, err = self(line)
        assert code == 2
        assert out == ""
        assert err.startswith("persam")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        return err


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def boxes(text: str) -> list[list[int] | None]:
    """Of the only object of every record."""
    return [one["box_xyxy"] for record in records(text) for (one,) in [record["objects"]]]


def saved_mask(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image) > 0


def files_in(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}
