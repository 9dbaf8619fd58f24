"""A concept is the object's features, pooled; on disk it is a small file that vouches for itself."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from persam.errors import ConceptError, OutputError, PerSAMError
from persam.geometry import Frame
from persam.method.concept import Concept, Reference, learn, target_cells
from persam.method.prototypes import Cells, summarise
from persam.method.recipes import OFFICIAL_PERSAM, PERSAM, PERSAM_F, Recipe
from persam.method.verify import Portrait
from persam.types import ImageEmbedding
from tests.colour import no_portrait

MEAN_MAX = Recipe("mean_max", target_feature="mean_max")


def reference(*cells: tuple[int, int, float, float]) -> Reference:
    """A photo of 4 x 4 pixels, each a cell of two channels; the object is the cells given as row, column, feature."""
    features, mask = torch.full((2, 4, 4), -9.0), np.zeros((4, 4), bool)
    for row, column, first, second in cells:
        features[:, row, column] = torch.tensor([first, second])
        mask[row, column] = True
    return Reference(ImageEmbedding(features, Frame((4, 4), 4, 1)), mask, no_portrait(2))


def learned(*references: Reference, recipe: Recipe = PERSAM) -> Concept:
    return learn(references, recipe, name="rex", backbone="tiny", fingerprint="tiny-1")


def test_the_mean_of_the_objects_cells_at_unit_length_and_as_it_is():
    concept = learned(reference((0, 1, 3, 0), (2, 2, 1, 4)))
    torch.testing.assert_close(concept.semantic, torch.tensor([2.0, 2.0]))
    torch.testing.assert_close(concept.feature, torch.tensor([1.0, 1.0]) / 2**0.5)


def test_half_the_mean_and_half_the_maximum():
    concept = learned(reference((0, 1, 3, 0), (2, 2, 1, 4)), recipe=MEAN_MAX)
    torch.testing.assert_close(concept.feature, torch.tensor([2.5, 3.0]) / (2.5**2 + 3**2) ** 0.5)
    torch.testing.assert_close(concept.semantic, torch.tensor([2.0, 2.0]))


def test_the_cells_of_several_references_are_pooled_as_one_photos():
    concept = learned(reference((0, 0, 6, 0)), reference((1, 1, 0, 2), (1, 2, 0, 2), (1, 3, 0, 2)))
    torch.testing.assert_close(concept.semantic, torch.tensor([1.5, 1.5]))  # the mean of the two means would be 3, 1
    assert len(concept.references) == 2


def test_features_that_cancel_give_a_zero_feature_and_not_nan():
    concept = learned(reference((0, 0, 1, -2), (3, 3, -1, 2)))
    assert concept.feature.tolist() == [0, 0]


def test_the_published_rule_finds_no_cell_for_a_thin_object_and_says_so():
    mask = np.zeros((512, 512), bool)
    mask[100, 50:60] = True
    thin = Reference(ImageEmbedding(torch.ones(2, 32, 32), Frame((512, 512), 512)), mask, no_portrait(2))
    with pytest.raises(ConceptError, match=r"object of 10 pixels covers no grid cell .* official_persam.*'persam'"):
        target_cells(thin, OFFICIAL_PERSAM)
    assert target_cells(thin, PERSAM).any()


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 0.3, 0.2])])
@pytest.mark.parametrize(("levels", "identity"), [(256, 256), (664, 128)])
def test_what_is_saved_is_what_is_loaded(tmp_path, weights, levels, identity):
    generator = torch.Generator().manual_seed(0)
    feature, semantic = torch.randn(256, generator=generator), torch.randn(256, generator=generator)
    seen = Cells(torch.randn(40, levels, generator=generator), 50 * torch.randn(40, 3, generator=generator))
    parts = summarise(seen, Cells(torch.ones(0, levels), torch.ones(0, 3)))
    cells = torch.randn(400, identity, generator=generator).half().float()
    close = Portrait(cells, cells[:, :3], torch.arange(400) // 200)
    before = Concept("rex the dog", PERSAM_F, "vit_h", "abc", feature, semantic, parts, close, weights)
    path = before.save(tmp_path / "new" / "rex.safetensors")
    after = Concept.load(path)
    assert path.stat().st_size < 220_000  # two photos
    assert (after.name, after.recipe, after.backbone, after.fingerprint) == ("rex the dog", PERSAM_F, "vit_h", "abc")
    assert torch.equal(after.feature, feature)
    assert torch.equal(after.semantic, semantic)
    for name, value in vars(parts).items():
        assert torch.equal(getattr(after.prototypes, name), value)
    for name, value in vars(close).items():
        assert torch.equal(getattr(after.portrait, name), value)
    assert after.scale_weights is None if weights is None else torch.equal(after.scale_weights, weights)
    assert after.references == ()
    assert [entry.name for entry in path.parent.iterdir()] == ["rex.safetensors"]


def test_it_tells_what_it_is():
    concept = learned(reference((0, 0, 1, 2)))
    assert str(concept) == "rex (persam on tiny)"
    assert "references" not in repr(concept)


def write(path, *, metadata=None, **tensors):
    good = {"feature": torch.ones(4) / 2, "semantic": torch.ones(4)}
    good |= {"foreground": torch.ones(2, 4) / 2, "foreground_share": torch.ones(2) / 2}
    good |= {"background": torch.ones(3, 4) / 2, "background_share": torch.ones(3) / 3}
    good |= {"foreground_colour": torch.ones(2, 3), "background_colour": torch.ones(3, 3)}
    good |= {
        "portrait": torch.ones(2, 4) / 2,
        "portrait_colour": torch.ones(2, 3),
        "portrait_photo": torch.tensor([0, 1]),
    }
    words = {"format": "persam-concept-2", "name": "x", "recipe": "persam", "backbone": "b", "fingerprint": "f"}
    save_file(good | tensors, path, {"persam": json.dumps(words if metadata is None else metadata)})


def test_the_file_that_the_next_tests_damage_is_good(tmp_path):
    write(tmp_path / "x.safetensors")
    assert Concept.load(tmp_path / "x.safetensors").name == "x"


DAMAGED = {
    "missing": (lambda path: None, "there is no concept file .*x.safetensors. Make one with `persam learn`"),
    "empty": (lambda path: path.write_bytes(b""), "is not a concept file"),
    "text": (lambda path: path.write_text("a photo of my dog"), "is not a concept file"),
    "other model": (lambda path: save_file({"weight": torch.ones(3)}, path), "holds no concept of the format"),
    "other format": (lambda path: write(path, metadata={"format": "persam-concept-9"}), "holds no concept"),
    "metadata of another kind": (lambda path: write(path, metadata=["persam-concept-2"]), "holds no concept"),
    "metadata cut short": (lambda path: write(path, metadata={"format": "persam-concept-2"}), "holds no concept"),
    "NaN": (lambda path: write(path, feature=torch.full((4,), torch.nan)), "not finite: learn it again"),
    "two lengths": (lambda path: write(path, semantic=torch.ones(5)), "holds no concept"),
    "a matrix": (lambda path: write(path, feature=torch.ones(2, 2)), "holds no concept"),
    "a prototype without a share": (lambda path: write(path, foreground=torch.ones(3, 4)), "holds no concept"),
    "prototypes of another length": (lambda path: write(path, background=torch.ones(2, 5)), "holds no concept"),
    "a number for the prototypes": (lambda path: write(path, background=torch.tensor(1.0)), "holds no concept"),
    "a tensor too many": (lambda path: write(path, more=torch.ones(2)), "holds no concept"),
    "a share too few": (lambda path: write(path, background_share=torch.ones(7)), "holds no concept"),
    "a portrait without its colours": (lambda path: write(path, portrait=torch.ones(3, 4)), "holds no concept"),
    "a portrait in three dimensions": (lambda path: write(path, portrait=torch.ones(2, 4, 1)), "holds no concept"),
    "four weights": (lambda path: write(path, scale_weights=torch.ones(4)), "holds no concept"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_no_concept_is_refused(tmp_path, damage, message):
    path = tmp_path / "x.safetensors"
    damage(path)
    with pytest.raises(ConceptError, match=message):
        Concept.load(path)


def test_a_file_cut_short_is_refused(tmp_path):
    path = learned(reference((0, 0, 1, 2))).save(tmp_path / "x.safetensors")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ConceptError, match="is not a concept file"):
        Concept.load(path)


def test_a_recipe_that_this_version_does_not_know_is_named(tmp_path):
    path = learned(reference((0, 0, 1, 2)), recipe=Recipe("mine")).save(tmp_path / "x.safetensors")
    with pytest.raises(PerSAMError, match="no recipe named 'mine'"):
        Concept.load(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    concept = learned(reference((0, 0, 1, 2)))
    with pytest.raises(OutputError, match=r"cannot write .*file/x.safetensors: a part of .* is a file"):
        concept.save(tmp_path / "file" / "x.safetensors")
    with pytest.raises(OutputError, match=r"it is a folder"):
        concept.save(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
