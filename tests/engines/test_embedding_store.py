"""The folder of embeddings: what comes back is what was kept, to the bit, or nothing; and it never grows too large."""

import os
import random
import time
from pathlib import Path

import pytest
import torch

from persam.engines import embedding_store
from persam.engines.embedding_store import SUFFIX, EmbeddingStore
from persam.errors import CacheWarning, OutputError
from persam.geometry import Frame
from persam.types import ImageEmbedding

KEYS = [f"{number:064x}" for number in range(12)]


def embedding(seed: int = 0, *, fine: bool = True, dtype=torch.float32, channels_last=False) -> ImageEmbedding:
    draw = torch.Generator().manual_seed(seed)

    def maps(channels: int, side: int) -> torch.Tensor:
        drawn = torch.randn(1, channels, side, side, generator=draw).to(dtype)
        return drawn.to(memory_format=torch.channels_last) if channels_last else drawn

    both = (maps(3, 8), maps(2, 16)) if fine else None
    frame = Frame((30, 41), 64, 16, 0.75)
    return ImageEmbedding(maps(6, 4), (frame,), (f"photo-{seed}",), fine=both, colour=maps(3, 4))


def entries(folder: Path) -> set[str]:
    return {path.name.removesuffix(SUFFIX) for path in folder.iterdir()}


def assert_same(one: ImageEmbedding, other: ImageEmbedding) -> None:
    assert (one.frames, one.keys) == (other.frames, other.keys)
    assert one.maps.keys() == other.maps.keys()
    for name, maps in one.maps.items():
        assert maps.dtype == other.maps[name].dtype
        assert torch.equal(maps, other.maps[name])
        assert maps.stride() == other.maps[name].stride()


@pytest.mark.parametrize("fine", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels_last", [False, True])
def test_what_comes_back_is_what_was_kept(tmp_path, fine, dtype, channels_last):
    kept = embedding(fine=fine, dtype=dtype, channels_last=channels_last)
    EmbeddingStore(tmp_path / "new" / "cache", 10**6).save(KEYS[0], kept)
    store = EmbeddingStore(tmp_path / "new" / "cache", 10**6)
    assert_same(store.load(KEYS[0]), kept)
    assert store.load(KEYS[1]) is None


def test_an_image_of_a_batch_is_kept_by_itself(tmp_path):
    batch = ImageEmbedding.joined([embedding(seed) for seed in range(3)])
    store = EmbeddingStore(tmp_path, 10**6)
    store.save(KEYS[1], batch[1])
    assert_same(store.load(KEYS[1]), embedding(1))
    assert (tmp_path / (KEYS[1] + SUFFIX)).stat().st_size < 2 * embedding(1).features.nbytes * 8


def test_damage_anywhere_is_noticed_and_removed(tmp_path):
    store, path = EmbeddingStore(tmp_path, 10**6), tmp_path / (KEYS[0] + SUFFIX)
    store.save(KEYS[0], embedding())
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    draw = random.Random(0)
    places = [*range(header), *(draw.randrange(header, len(whole)) for _ in range(100))]
    damaged = [whole[:at] + bytes([whole[at] ^ (1 << draw.randrange(8))]) + whole[at + 1 :] for at in places]
    damaged += [whole[:size] for size in (0, 1, 7, 8, header - 1, header, len(whole) - 1)] + [whole + b"\0"]
    damaged += [b"a shopping list", b"\xff" * 64, (2).to_bytes(8, "little") + b"[]", b"[" * 10_000]
    for data in damaged:
        path.write_bytes(data)
        assert store.load(KEYS[0]) is None
        assert not path.exists()
    path.write_bytes(whole)
    assert_same(store.load(KEYS[0]), embedding())


def test_an_entry_under_the_name_of_another_is_not_believed(tmp_path):
    store = EmbeddingStore(tmp_path, 10**6)
    store.save(KEYS[0], embedding())
    os.rename(tmp_path / (KEYS[0] + SUFFIX), tmp_path / (KEYS[1] + SUFFIX))
    assert store.load(KEYS[1]) is None
    assert entries(tmp_path) == set()


def test_what_was_used_longest_ago_goes_first(tmp_path):
    store = EmbeddingStore(tmp_path, 10**9)
    for age, key in enumerate(reversed(KEYS[:4])):
        store.save(key, embedding())
        past = time.time() - 100 - age
        os.utime(tmp_path / (key + SUFFIX), (past, past))  # 0 is the oldest
    store.load(KEYS[0])
    size = (tmp_path / (KEYS[0] + SUFFIX)).stat().st_size
    EmbeddingStore(tmp_path, 4 * size).save(KEYS[4], embedding())
    assert entries(tmp_path) == {KEYS[0], KEYS[2], KEYS[3], KEYS[4]}


@pytest.mark.parametrize("room", [1, 2.5, 30])
def test_the_folder_never_holds_more_than_its_bound(tmp_path, room):
    EmbeddingStore(tmp_path, 10**9).save(KEYS[0], embedding())
    size = (tmp_path / (KEYS[0] + SUFFIX)).stat().st_size
    bound = int(room * size)
    store = EmbeddingStore(tmp_path, bound)
    for number in range(60):
        store.save(f"{number:064x}", embedding())
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= bound
    assert store.load(f"{59:064x}") is not None
    assert len(entries(tmp_path)) >= int(0.9 * room)


def test_what_is_larger_than_the_bound_is_not_kept(tmp_path):
    store = EmbeddingStore(tmp_path, 100)
    store.save(KEYS[0], embedding())
    assert entries(tmp_path) == set()


def test_files_of_others_stay_and_old_parts_go(tmp_path, monkeypatch):
    names = ["notes.txt", f".{'a' * 32}.part", f".{'b' * 32}.part", f"mine{SUFFIX}"]
    for name in names:
        (tmp_path / name).write_bytes(bytes(2000))
    os.utime(tmp_path / names[1], (1, 1))
    store = EmbeddingStore(tmp_path, 6000)
    for key in KEYS:
        store.save(key, embedding())
    left = {path.name for path in tmp_path.iterdir()}
    assert left >= {names[0], names[2], names[3]}
    assert names[1] not in left


def test_a_full_disk_ends_the_keeping_and_not_the_run(tmp_path, monkeypatch):
    def full(data, path):
        raise OutputError("no room")

    store = EmbeddingStore(tmp_path, 10**6)
    monkeypatch.setattr(embedding_store, "write_bytes", full)
    with pytest.warns(CacheWarning, match="no longer kept: no room"):
        store.save(KEYS[0], embedding())
    monkeypatch.undo()
    store.save(KEYS[0], embedding())
    assert store.load(KEYS[0]) is None


def test_a_folder_that_cannot_be_used_is_said_at_once(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="is a file, where a folder should be"):
        EmbeddingStore(tmp_path / "file", 10**6)
    with pytest.raises(OutputError, match="a cache of 0 bytes holds nothing"):
        EmbeddingStore(tmp_path, 0)
