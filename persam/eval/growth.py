"""How time and memory grow with the work, drawn from the rows of `persam bench photo` and `album`."""

import csv
from pathlib import Path

from persam.errors import PerSAMError
from persam.eval.plot import Panel, svg

LIMIT_MB = 1500  # of a photo of 100 megapixels
RECIPE, WAY, SIDE_PX = "persam", "batches", "768"  # of the rows that are drawn: the commands' defaults


def picture(photo_cost: Path, album_speed: Path) -> str:
    """The SVG: photos, instances, concepts and megapixels, above time and below memory.

    A dashed line above is time in proportion to the work from the first point on. Of each count the last row is drawn.

    Raises:
        PerSAMError: a table cannot be read, or has no rows of one of the four; the message names the command.
    """
    albums = [row for row in _read(album_speed) if row["way"] == WAY and row["side_px"] == SIDE_PX]
    costs = _read(photo_cost)
    times, memories = [], []
    for noun, rows, column, command in (
        ("photos", albums, "photos", "album --photos 1000"),
        ("instances", [row for row in costs if row["what"] == "instances"], "count", "photo --instances"),
        ("concepts", [row for row in costs if row["what"] == "concepts"], "count", "photo"),
        ("megapixels", [row for row in costs if row["what"] == "megapixels"], "count", "photo --sizes"),
    ):
        last = {float(row[column]): row for row in rows if row["recipe"] == RECIPE}
        if not last:
            raise PerSAMError(f"there are no rows of {noun} to draw. Run `persam bench {command}` first.")
        counts = sorted(last)
        # of an album a row gives the time of one photo
        spent = [float(last[one]["encodings"]) * (one if noun == "photos" else 1) for one in counts]
        memory = [(one, float(last[one]["peak_mb"])) for one in counts]
        guide = [(one, spent[0] * one / counts[0]) for one in (counts[0], counts[-1])]
        limit = [(one, LIMIT_MB) for one in (counts[0], counts[-1])] if noun == "megapixels" else []
        times.append(Panel(f"Time over {noun}", noun, "encodings", list(zip(counts, spent, strict=True)), guide))
        memories.append(Panel(f"Memory over {noun}", noun, "peak, MB", memory, limit, log_y=False))
    return svg([*times, *memories], columns=4)


def _read(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise PerSAMError(f"cannot read the rows {table}: {error.strerror or error}. Check the path.") from error
