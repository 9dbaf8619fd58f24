"""The tables of docs/results.md, from the rows of an evaluation's CSV: `python -m persam.eval.tables`.

Nobody types a number: what stands between the page's two marks is what this file makes of the CSV, and a test holds
that it is. Of a benchmark, model and recipe the last row counts. Recipes varied in one setting have a table of their
own, beside the recipe that they vary as the same commit measured it, also those of settings that are gone since: rows
are history. Other recipes without a name stay in the CSV.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from persam.errors import DataError
from persam.eval.predict import ORACLE
from persam.eval.scores import FITTED
from persam.eval.table import COLUMNS
from persam.io.write import write_bytes
from persam.method.recipes import RECIPES
from persam.tracking.recipes import TRACKING_RECIPES

BEGIN = "<!-- results: written by `python -m persam.eval.tables`, not by hand -->"
END = "<!-- end of results -->"
EMPTY = "Nothing is measured yet: `persam eval` writes `data/results/eval.csv`."
MEAN = "mean"  # the row over objects
INSTANCES = "instances"  # the benchmark whose rows are layouts

# the benchmarks of a table, what it is called, and its columns: heading and the CSV's column
TABLES = (
    (
        ("perseg", "album", "fss1000", "coco20i", "lvis92i", "pascal_part", "paco_part"),
        "Masks",
        (("mIoU", "iou"), ("boundary IoU", "biou"), ("point on the object", "located"), ("holes", "holes")),
    ),
    (
        ("davis2016", "davis2017"),
        "Video",
        (("J&F", "jf"), ("J", "j_mean"), ("F", "f_mean")),
    ),
    (
        ("mosaic",),
        "Two videos side by side, an object in each",
        (("J&F", "jf"), ("taken for each other", "swapped")),
    ),
    (
        ("lookalikes", "counter_examples"),
        "Look-alikes: absent is another car, another rider",
        (("absent refused", "refused"), ("present accepted", "accepted"), ("AUROC", "auroc"), ("mIoU", "iou")),
    ),
    (
        ("absence",),
        "Presence",
        (("absent refused", "refused"), ("present accepted", "accepted"), ("AUROC", "auroc")),
    ),
)
CHANGED = "robustness"  # the benchmark of which a row is of a change
CHANGED_COLUMNS = (
    ("present accepted", "accepted"),
    ("absent refused", "refused"),
    ("AUROC", "auroc"),
    ("mIoU", "iou"),
    ("point on the object", "located"),
    ("holes", "holes"),
)
SOUGHT = (
    "Sought: present accepted at least 90 % on average, and 80 % under each change but `eighth`, `x0.1` and `bar`; "
    "absent refused at least 95 % under each."
)
ABLATION = "persam"  # the recipe whose variations are told
# benchmark, and the CSV's column of it
ABLATED = (("album", "iou"), ("album", "located"), ("perseg", "iou"), ("absence", "refused"), ("absence", "accepted"))
VIDEO_ORDER = ("official_persam_video", "official_persam_f_video", "persam_video", "persam_video_fast")
RECIPE_ORDER = ("official_persam", "official_persam_f", "persam", "persam_f", *VIDEO_ORDER, ORACLE)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of an evaluation's CSV; none where there is no such file yet.

    Raises:
        DataError: the file has other columns, or a row has more or fewer cells.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise DataError(f"{path} does not have an evaluation's columns. Name the file that `persam eval` wrote.")
        rows = list(reader)
    for row in rows:
        if None in row or None in row.values():
            raise DataError(f"a row of {path} does not have {len(COLUMNS)} cells: {row}. Remove it.")
    return rows


def tables(rows: Sequence[dict[str, str]]) -> str:
    """Markdown: a table a kind of benchmark, a line a benchmark, model and recipe, and where they were measured."""
    newest, changed = _newest(rows), _fullest(rows)
    parts: list[str] = []
    for benchmarks, title, columns in TABLES:
        lines = [_line(row, _objects(row, rows), columns) for row in newest if row["benchmark"] in benchmarks]
        if lines:
            heads = ("benchmark", "model", "recipe", *(head for head, _ in columns), "of", "s a photo", "commit")
            rule = "|".join(["---"] * 3 + ["---:"] * len(columns) + ["---", "---:", "---"])
            parts.append("\n".join([f"**{title}**", "", f"| {' | '.join(heads)} |", f"|{rule}|", *lines]))
    parts += filter(None, (_changes(changed), _instances(rows), _ablation(rows)))
    if not parts:
        return EMPTY
    machines = sorted({row["machine"] for row in [*newest, *changed]})
    return "\n\n".join(
        [*parts, f"In percent, except seconds; the mean over objects. Measured on {'; '.join(machines)}."]
    )


def with_tables(page: str, rows: Sequence[dict[str, str]]) -> str:
    """The page's text with what stands between its marks replaced.

    Raises:
        DataError: the marks are not there, once each and in order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise DataError(f"the page needs the marks {BEGIN} and {END}, once each.")
    return f"{before}{BEGIN}\n{tables(rows)}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m persam.eval.tables", description="Write the tables of results.")
    parser.add_argument("--csv", type=Path, default=Path("data/results/eval.csv"), help="rows (%(default)s)")
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"), help="is rewritten (%(default)s)")
    options = parser.parse_args(arguments)
    text = with_tables(options.page.read_text(encoding="utf-8"), read_rows(options.csv))
    write_bytes(text.encode(), options.page)


def _newest(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The last rows over objects of every benchmark, model and named recipe, in the order of the tables."""
    order = [benchmark for benchmarks, _, _ in TABLES for benchmark in benchmarks]
    over = [row for row in rows if row["object"] in (MEAN, FITTED) and row["benchmark"] in order]
    last = {(*_key(row), row["object"]): row for row in over}
    named = [row for row in last.values() if row["recipe"] in (*RECIPES, *TRACKING_RECIPES, ORACLE)]
    ranks = {recipe: place for place, recipe in enumerate(RECIPE_ORDER)}
    return sorted(
        named, key=lambda row: (order.index(row["benchmark"]), row["model"], ranks.get(row["recipe"], len(ranks)))
    )


def _fullest(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of changes of every model and named recipe: of the last of those runs that had the most changes."""
    runs: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        if row["benchmark"] == CHANGED and row["recipe"] in RECIPE_ORDER:
            runs.setdefault((*_key(row), row["fingerprint"], row["date"]), []).append(row)
    fullest: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for run in runs.values():
        if len(run) >= len(fullest.get(_key(run[0]), ())):
            fullest[_key(run[0])] = run
    order = sorted(fullest, key=lambda key: (key[1], RECIPE_ORDER.index(key[2])))
    return [row for key in order for row in fullest[key]]


def _changes(rows: Sequence[dict[str, str]]) -> str:
    """A line a change, as `_fullest` has them."""
    if not rows:
        return ""
    heads = ("change", "model", "recipe", *(head for head, _ in CHANGED_COLUMNS), "of", "commit")
    rule = "|".join(["---"] * 3 + ["---:"] * len(CHANGED_COLUMNS) + ["---", "---"])
    lines = []
    for row in rows:
        numbers = [_percent(row[column]) for _, column in CHANGED_COLUMNS]
        cells = [row["object"], row["model"], f"`{row['recipe']}`", *numbers, f"{row['n']} photos", _commit(row)]
        lines.append(f"| {' | '.join(cells)} |")
    title = f"**Robustness**: the targets changed, half of them with the object. {SOUGHT}"
    return "\n".join([title, "", f"| {' | '.join(heads)} |", f"|{rule}|", *lines])


def _instances(rows: Sequence[dict[str, str]]) -> str:
    """How many instances are found, a line a layout of the last run of each model and recipe."""
    own = [row for row in rows if row["benchmark"] == INSTANCES and row["recipe"] in RECIPES]
    last = {_key(row): (row["fingerprint"], row["date"]) for row in own}
    lines = [
        f"| {row['object']} | {row['model']} | `{row['recipe']}` | {_percent(row['f1'])} | {row['n']} photos | "
        f"{float(row['seconds']) / int(row['n']):.2f} | {_commit(row)} |"
        for row in own
        if last[_key(row)] == (row["fingerprint"], row["date"])
    ]
    if not lines:
        return ""
    head = "| layout | model | recipe | F1 | of | s a photo | commit |"
    return "\n".join(["**Instances**", "", head, "|---|---|---|---:|---|---:|---:|", *lines])


def _ablation(rows: Sequence[dict[str, str]]) -> str:
    """What changes with each setting: the last variations of the recipe, beside it as the same commit measured it."""
    means = {(row["recipe"], row["commit"], row["benchmark"]): row for row in rows if row["object"] == MEAN}
    last = {row["recipe"]: row["commit"] for row in rows if row["recipe"].partition("@")[:2] == (ABLATION, "@")}
    lines = []
    for recipe, commit in sorted(last.items()):
        cells = []
        for benchmark, column in ABLATED:
            value, usual = (means.get((name, commit, benchmark), {}).get(column, "") for name in (recipe, ABLATION))
            more = f"{100 * (float(value) - float(usual)):+.1f}" if value and usual else ""
            cells.append(f"{_percent(value)} ({more})" if more else "-")
        if set(cells) != {"-"}:
            lines.append(f"| `{recipe.partition('@')[2]}` | {' | '.join(cells)} | {commit[:7]} |")
    if not lines:
        return ""
    head = "| changed | album mIoU | point on the object | PerSeg mIoU | absent refused | present accepted | commit |"
    title = f"**What each setting of `{ABLATION}` is worth**: the number with it changed, and by how much that is more"
    return "\n".join([title, "", head, f"|---|{'---:|' * len(ABLATED)}---|", *lines])


def _key(row: dict[str, str]) -> tuple[str, str, str]:
    return row["benchmark"], row["model"], row["recipe"]


def _objects(summary: dict[str, str], rows: Sequence[dict[str, str]]) -> int:
    """How many objects a summary is the mean of: the rows above it, up to another run's."""
    place = next(number for number, row in enumerate(rows) if row is summary)
    count = 0
    for row in reversed(rows[:place]):
        same = _key(row) == _key(summary) and row["fingerprint"] == summary["fingerprint"]
        if not same or row["object"] in (MEAN, FITTED) or row["date"] != summary["date"]:
            break
        count += 1
    return count


def _line(row: dict[str, str], objects: int, columns: Sequence[tuple[str, str]]) -> str:
    count = int(row["n"])
    cells = [row["benchmark"], row["model"], f"`{row['recipe']}`"]
    cells += [_percent(row[column]) for _, column in columns]
    whose = f"{objects} object{'s' if objects != 1 else ''}" if row["object"] == MEAN else row["object"]
    cells += [f"{count} photos, {whose}"]
    cells += [f"{float(row['seconds']) / count:.2f}" if count else "", _commit(row)]
    return f"| {' | '.join(cells)} |"


def _percent(value: str) -> str:
    return f"{100 * float(value):.1f}" if value else "-"


def _commit(row: dict[str, str]) -> str:
    return f"{row['commit'][:7]}{', changed' if row['dirty'] == 'True' else ''}"


if __name__ == "__main__":
    main()
