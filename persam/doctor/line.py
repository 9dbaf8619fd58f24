"""A line of the report."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "missing", "broken"]


@dataclass(frozen=True)
class Line:
    """What was tried, and how it went.

    state: `missing` is what persam can do without, where it is not needed; `broken` is there and does not work.
    mend: the command, or what else to do; empty where nothing is to be done.
    needed: whether photos cannot be searched without it.
    """

    check: str
    state: State
    detail: str
    mend: str = ""
    needed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def short(error: BaseException) -> str:
    """An error in one line of readable length."""
    text = " ".join(str(error).split())
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
