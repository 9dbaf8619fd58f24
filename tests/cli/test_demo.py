"""`persam demo` says where its photos are, and prints a line for each."""

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"


@pytest.mark.usefixtures("no_model", "here")
def test_without_its_photos_it_says_where_they_are(persam):
    error = persam.refused("demo -o pictures")
    assert "no example photos in data/examples" in error
    assert "in a clone of the repository, or name its data/examples with --data" in error
    assert not Path("pictures").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("colours")
def test_a_line_for_each_photo(persam, tmp_path):
    code, out, err = persam(f"demo --data {EXAMPLES} -o {tmp_path / 'pictures'}")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith(f"Now look at {tmp_path / 'pictures' / 'all.png'}")
    assert (tmp_path / "pictures" / "all.png").exists()
