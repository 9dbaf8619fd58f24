"""One command of a group such as `persam dreambooth`: what it takes and what it does, in one place."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """summary: its line in the group's help. text: what its own help begins with.

    options: adds what it takes to its parser; nothing heavy is imported.
    run: does it, and returns the exit code.
    segments: whether it also takes the options that choose persam's own model (--model, --device and so on).
    """

    summary: str
    text: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    segments: bool = False
