"""The tables of docs/results.md come from the CSV's rows: the last of each, in percent, nothing typed."""

import csv

import pytest

from persam.errors import DataError
from persam.eval import tables
from persam.eval.scores import FITTED
from persam.eval.table import COLUMNS


def row(**values: str) -> dict[str, str]:
    known = {"date": "2025-01-01", "commit": "abcdef0123456", "dirty": "False", "model": "nano", "fingerprint": "f0"}
    known |= {"recipe": "persam", "machine": "a laptop", "benchmark": "perseg", "object": "mean"}
    return dict.fromkeys(COLUMNS, "") | known | {"n": "6", "seconds": "3"} | values


def run_of(*objects: str, **values: str) -> list[dict[str, str]]:
    return [row(object=name, n="2", **values) for name in objects] + [row(**values)]


def test_a_run_is_one_line_in_percent_with_objects_seconds_and_commit():
    text = tables.tables(run_of("cat", "can", "dog", iou="0.9567", biou="0.75", located="1", holes="0.0208"))
    assert text.splitlines() == [
        "**Masks**",
        "",
        "| benchmark | model | recipe | mIoU | boundary IoU | point on the object | holes | of | s a photo | commit |",
        "|---|---|---|---:|---:|---:|---:|---|---:|---|",
        "| perseg | nano | `persam` | 95.7 | 75.0 | 100.0 | 2.1 | 6 photos, 3 objects | 0.50 | abcdef0 |",
        "",
        "In percent, except seconds; the mean over objects. Measured on a laptop.",
    ]


def test_the_last_run_counts_and_a_changed_tree_is_said():
    rows = run_of("cat", iou="0.5") + run_of("cat", date="2025-01-02", iou="0.6", dirty="True")
    [line] = [line for line in tables.tables(rows).splitlines() if "perseg" in line]
    assert line == "| perseg | nano | `persam` | 60.0 | - | - | - | 6 photos, 1 object | 0.50 | abcdef0, changed |"


def test_runs_of_one_object_right_after_each_other_are_not_counted_together():
    rows = run_of("cat", iou="0.5", fingerprint="f1") + run_of("cat", iou="0.6")
    assert "6 photos, 1 object |" in tables.tables(rows)


def test_official_comes_before_ours_and_a_recipe_without_a_name_stays_in_the_csv():
    rows = [row(recipe=name, iou="0.5") for name in ("oracle_box", "persam", "no_negative_point", "official_persam")]
    lines = [line for line in tables.tables(rows).splitlines() if line.startswith("| perseg")]
    assert [line.split("`")[1] for line in lines] == ["official_persam", "persam", "oracle_box"]


def test_each_kind_of_benchmark_has_its_own_columns():
    rows = [row(benchmark="absence", refused="0.95", accepted="0.98", auroc="0.99"), row(benchmark="davis2016", jf="1")]
    text = tables.tables(rows)
    assert text.index("**Video**") < text.index("**Presence**")
    assert "| davis2016 | nano | `persam` | 100.0 | - | - |" in text
    assert "| absence | nano | `persam` | 95.0 | 98.0 | 99.0 |" in text


def test_presence_judged_on_other_objects_than_its_threshold_was_fitted_to_has_a_line_of_its_own():
    presence = run_of("cat", "dog", benchmark="absence", refused="0.5", accepted="1")
    fitted = row(benchmark="absence", refused="0.9", accepted="0.8", object=FITTED)
    lines = [line for line in tables.tables([*presence, fitted]).splitlines() if line.startswith("| absence")]
    assert [line.split(" | ")[3:7] for line in lines] == [
        ["50.0", "100.0", "-", "6 photos, 2 objects"],
        ["90.0", "80.0", "-", f"6 photos, {FITTED}"],
    ]


def test_an_ablation_stands_beside_the_usual_recipe_of_the_same_commit_also_of_a_setting_that_is_gone():
    rows = [
        row(recipe="persam", benchmark="album", iou="0.9", commit="old"),
        row(recipe="persam@zoom=False", benchmark="album", iou="0.1", commit="old"),
        row(recipe="persam", benchmark="album", iou="0.75", located="0.9", commit="new"),
        row(recipe="persam@zoom=False", benchmark="album", iou="0.715", located="0.95", commit="new"),
        row(recipe="persam@zoom=False", benchmark="absence", refused="0.5", commit="new"),  # and nothing to compare
        row(recipe="persam", benchmark="perseg", iou="0.9", commit="older"),
        row(recipe="persam@boxes=(True,)@parts=0", benchmark="perseg", iou="0.5", commit="older"),
        row(recipe="persam_f@zoom=False", iou="0.5", commit="new"),
        row(recipe="persam@places=1", iou="0.5", commit="alone"),
    ]
    table = tables.tables(rows).split("**What each setting")[1]
    assert [line for line in table.splitlines() if line.startswith("| `")] == [
        "| `boxes=(True,)@parts=0` | - | - | 50.0 (-40.0) | - | - | older |",
        "| `zoom=False` | 71.5 (-3.5) | 95.0 (+5.0) | - | - | - | new |",
    ]


def test_robustness_has_a_line_a_change_of_the_last_run_that_was_full():
    def run(*names: str, **values: str) -> list[dict[str, str]]:
        return [row(benchmark="robustness", object=name, **values) for name in (*names, "mean")]

    rows = [
        *run("none", "x0.5", "bar", accepted="0.1", date="2025-01-01"),
        *run("none", "x0.5", accepted="0.9", refused="1", iou="0.8", holes="0.01", date="2025-01-02"),
        *run("none", "x0.5", "rot90", accepted="0.95", auroc="0.99", date="2025-01-03", machine="a phone"),
        *run("bar", recipe="official_persam", accepted="1"),
        *run("none", "x0.5", "bar", "flip", recipe="persam@verify=False", accepted="1"),
    ]
    text = tables.tables([*rows, row(iou="0.5")])
    table = text.split("**Robustness**")[1]
    assert [line for line in table.splitlines() if line.startswith("|") and "nano" in line] == [
        "| bar | nano | `official_persam` | 100.0 | - | - | - | - | - | 6 photos | abcdef0 |",
        "| mean | nano | `official_persam` | 100.0 | - | - | - | - | - | 6 photos | abcdef0 |",
        "| none | nano | `persam` | 95.0 | - | 99.0 | - | - | - | 6 photos | abcdef0 |",
        "| x0.5 | nano | `persam` | 95.0 | - | 99.0 | - | - | - | 6 photos | abcdef0 |",
        "| rot90 | nano | `persam` | 95.0 | - | 99.0 | - | - | - | 6 photos | abcdef0 |",
        "| mean | nano | `persam` | 95.0 | - | 99.0 | - | - | - | 6 photos | abcdef0 |",
    ]
    assert text.endswith("Measured on a laptop; a phone.")
    assert tables.tables(rows) != tables.EMPTY  # also where nothing else is measured


def test_without_rows_it_says_so(tmp_path):
    assert tables.tables(tables.read_rows(tmp_path / "none.csv")) == tables.EMPTY


def test_only_what_is_between_the_marks_changes_and_writing_twice_changes_nothing(tmp_path):
    page, table = tmp_path / "results.md", tmp_path / "eval.csv"
    page.write_text(f"# Title\n\n{tables.BEGIN}\nold\n{tables.END}\n\nthe end\n")
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(run_of("cat", iou="0.5"))
    tables.main(["--csv", str(table), "--page", str(page)])
    text = page.read_text()
    assert text.startswith(f"# Title\n\n{tables.BEGIN}\n**Masks**")
    assert text.endswith(f"a laptop.\n{tables.END}\n\nthe end\n")
    tables.main(["--csv", str(table), "--page", str(page)])
    assert page.read_text() == text


@pytest.mark.parametrize("text", ["", tables.BEGIN, f"{tables.END} {tables.BEGIN}", f"{tables.BEGIN} {tables.END}" * 2])
def test_a_page_without_its_marks_is_named(text):
    with pytest.raises(DataError, match="once each"):
        tables.with_tables(text, [])


@pytest.mark.parametrize(
    ("text", "complaint"), [("a,b\n1,2\n", "an evaluation's columns"), (f"{','.join(COLUMNS)}\n1,2\n", "cells")]
)
def test_a_file_that_is_no_evaluation_is_named(tmp_path, text, complaint):
    (tmp_path / "eval.csv").write_text(text)
    with pytest.raises(DataError, match=complaint):
        tables.read_rows(tmp_path / "eval.csv")
