"""Every model that has a name comes from one place, with its size and checksum."""

from persam.sam import weights
from persam.sam.sources import TABLE


def test_every_download_is_pinned():
    for source in TABLE.values():
        if source.url is not None:
            assert source.url.startswith("https://")
            assert source.url.endswith(source.file_name)
            assert len(source.sha256) == 64
            assert source.size_bytes > 40_000_000


def test_what_is_bundled_is_what_the_table_says():
    bundled = [source for source in TABLE.values() if source.url is None]
    assert [source.name for source in bundled] == ["nano"]
    assert weights.verify("nano") == weights.MODELS / "nano.safetensors"


def test_a_name_is_its_lines_own():
    assert {name: source.name for name, source in TABLE.items()} == {name: name for name in TABLE}
