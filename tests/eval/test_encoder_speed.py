"""The measurement of an encoder: one network for everybody, a process each, and what a row says."""

import csv

import pytest
import torch

from persam.cli.main import main
from persam.errors import PerSAMError
from persam.eval import encoder_process, encoder_speed
from persam.eval.encoder_speed import Setting
from persam.sam import peers, vit
from tests.sam.flavours import SMALL


@pytest.fixture
def small(monkeypatch):
    """vit_b, in small, within this process; and small products to measure it by."""
    monkeypatch.setitem(vit.SIZES, "vit_b", SMALL)
    monkeypatch.setitem(encoder_process.SQUARE, "cpu", 64)
    monkeypatch.setattr(
        encoder_speed, "measured_apart", lambda setting, features: encoder_process.measure(setting, features)
    )


@pytest.mark.usefixtures("small")
def test_every_package_computes_the_same_network():
    names = [*peers.by_metas_names(vit.build(SMALL).image_encoder)]
    made = {}
    for name in (*encoder_speed.PEERS, "persam"):
        encoder, side = encoder_process.built(Setting(name))
        assert sorted(peers.by_metas_names(encoder)) == sorted(names)
        with torch.inference_mode():
            made[name] = encoder(torch.linspace(-9, 9, 3 * side * side).sin().view(1, 3, side, side))
    assert made["persam"].std() == pytest.approx(1, abs=0.2)
    for theirs in made.values():
        torch.testing.assert_close(made["persam"], theirs, rtol=0, atol=1e-4)


@pytest.mark.usefixtures("small")
def test_a_row_for_each_package_and_allocator_with_the_difference_to_the_first(tmp_path, capsys):
    table = tmp_path / "speed.csv"
    words = ["--device", "cpu", "--runs", "1", "--batch", "2", "--csv", str(table)]
    assert main(["bench", "encoder", *words, "--precision", "bfloat16"]) == 0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(row["implementation"], row["keep_blocks"], row["precision"]) for row in rows] == [
        ("segment_anything", "False", "float32"),
        ("segment_anything", "True", "float32"),
        ("transformers", "False", "float32"),
        ("transformers", "True", "float32"),
        ("persam", "False", "bfloat16"),
        ("persam", "True", "bfloat16"),
    ]
    assert all(float(row["seconds"]) > 0 and float(row["peak_mb"]) > 50 for row in rows)
    assert all(row[name] for row in rows for name in ("commit", "machine", "torch", "threads", "version"))
    assert [float(row["difference"]) < 1e-4 for row in rows] == [True] * 4 + [False] * 2  # bfloat16 is seen
    assert len(capsys.readouterr().out.splitlines()) == 6


@pytest.mark.slow
def test_a_process_of_its_own_tells_what_it_measured(tmp_path):
    file = tmp_path / "features.pt"
    told = encoder_speed.measured_apart(Setting("persam", "nano", runs=1), file)
    assert (told["input_size"], told["matmul_share"]) == (640, None)
    assert told["images_per_s"] == pytest.approx(1 / told["seconds"])
    assert torch.load(file, weights_only=True).shape == (1, 192, 40, 40)
    with pytest.raises(PerSAMError, match=r"vit_b of nobody could not be measured: .*nobody"):
        encoder_speed.measured_apart(Setting("nobody"), file)


def test_operations_of_vit_b_by_hand():
    blocks = 12 * 24 * 4096 * 768**2
    attention = 4 * 4096 * 768 * (4 * 4096 + 8 * 196)
    ends = 2 * 4096 * (768 * 768 + 256 * 768 + 9 * 256 * 256)
    assert encoder_process.operations(vit.SIZES["vit_b"]) == blocks + attention + ends


def test_bench_refuses_what_says_nothing(capsys):
    assert main(["bench", "encoder", "--runs", "0"]) == 2
    assert "count from 1" in capsys.readouterr().err
