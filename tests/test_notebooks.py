"""The notebook runs from its first cell to its last, and shows results."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "demos" / "quickstart.ipynb"


@pytest.mark.slow
def test_the_quickstart_notebook_runs_and_shows_pictures(monkeypatch, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))  # no start-up file of the developer's
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before it is committed"
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()  # raises what a cell raises
    shown = [
        output["data"]["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    assert len(shown) == 5
    assert all('<img src="data:image/jpeg;base64,' in html for html in shown)
    concept, garden, coffee, picnic, cup = shown
    assert "<th>recipe</th>" in concept
    assert garden.count("<td>yes</td>") == 1
    assert coffee.count("<td>no</td>") == 1
    assert picnic.count("<td>yes</td>") == 2
    assert "<td>cup</td>" in cup
