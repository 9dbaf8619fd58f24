"""A concept on disk is a small file that vouches for itself, and comes back equal."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from persam.errors import ConceptError, OutputError
from persam.method.concept import FORMAT, Concept, Reference, owned
from persam.method.object_crop import REFERENCE_VIEWS
from persam.method.prototypes import Patches, summarise
from persam.method.recipes import OFFICIAL_PERSAM, OFFICIAL_PERSAM_F, PERSAM, PERSAM_F, Recipe, to_plain
from persam.method.verify import IdentityDescriptor
from tests.colour import ColourBackbone, mask, photo

MINE = Recipe("mine", crop_refine=False)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2])


def identity_of(patches: torch.Tensor, *, images: int = 1) -> IdentityDescriptor:
    image = torch.arange(len(patches)) * images // len(patches)
    return IdentityDescriptor(patches, patches[:, :3], image, image % 2 == 1)


def made(recipe=PERSAM, **changes: object) -> Concept:
    """By hand, of two channels; with prototypes and a descriptor where the recipe has them."""
    concept = Concept("rex", recipe, "tiny", "tiny-1", torch.tensor([0.6, 0.8]), torch.tensor([3.0, 4.0]))
    if isinstance(recipe, Recipe):
        seen = Patches(torch.tensor([[0.6, 0.8], [0.8, -0.6]]), torch.tensor([[50.0, 3, 4], [20.0, 1, 1]]))
        around = Patches(torch.tensor([[0.0, 1.0]]), torch.tensor([[10.0, 0, 0]]))
        concept = replace(concept, prototypes=summarise(seen, around), identity=identity_of(torch.eye(3)))
    return replace(concept, **changes)


@pytest.mark.parametrize(
    "before",
    [
        made(),
        made(MINE),
        made(MINE, scale_weights=WEIGHTS),
        made(PERSAM_F, scale_weights=WEIGHTS),
        made(Recipe("blind", verify=False), identity=None),
        made(identity=identity_of(torch.eye(4)[:, :3] + 0.5, images=2)),
        made(not_this=identity_of(torch.eye(3), images=3)),
        made(name="rex the dog, ünï ✓"),
        made(OFFICIAL_PERSAM),
        made(OFFICIAL_PERSAM_F, scale_weights=WEIGHTS),
    ],
    ids=[
        *("ours", "own recipe", "own tuned", "persam_f", "no identity", "k-shot", "counter-examples", "name"),
        *("official", "official_f"),
    ],
)
def test_what_is_saved_is_what_is_loaded(tmp_path, before):
    after = Concept.load(before.save(tmp_path / "new" / "rex.safetensors"))
    assert after == before
    assert hash(after) == hash(before)
    assert after.recipe == before.recipe
    assert type(after.recipe) is type(before.recipe)
    assert after.name == before.name
    assert (after.scale_weights is None) == (before.scale_weights is None)
    assert (after.identity is None) == (before.identity is None)
    assert after.references == ()
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["rex.safetensors"]


@pytest.mark.parametrize(
    "other",
    [
        made(name="tom"),
        made(MINE),
        made(backbone="huge"),
        made(fingerprint="tiny-2"),
        made(feature=torch.tensor([0.8, 0.6])),
        made(semantic=torch.tensor([4.0, 3.0])),
        made(prototypes=None),
        made(identity=None),
        made(identity=identity_of(2 * torch.eye(3))),
        made(not_this=identity_of(torch.eye(3))),
        made(scale_weights=WEIGHTS),
        "rex",
    ],
    ids=str,
)
def test_what_looks_for_something_else_is_not_equal(other):
    assert made() != other


def test_the_references_do_not_count_for_equality_and_are_not_shown():
    backbone = ColourBackbone()
    reference = Reference(photo(), backbone.encode([photo()]), mask())
    assert made(references=(reference,)) == made()
    assert "references" not in repr(made(references=(reference,)))


@pytest.mark.parametrize(("location", "identity"), [(256, 256), (664, 128)], ids=["vit_h", "nano"])
def test_a_file_takes_some_dozen_kilobytes(tmp_path, location, identity):
    generator = torch.Generator().manual_seed(0)
    feature, semantic = torch.randn(256, generator=generator), torch.randn(256, generator=generator)
    seen = Patches(torch.randn(40, location, generator=generator), 50 * torch.randn(40, 3, generator=generator))
    around = Patches(torch.randn(90, location, generator=generator), torch.ones(90, 3))
    parts = identity_of(torch.randn(192, identity, generator=generator).half().float(), images=2)
    before = Concept("rex", PERSAM, "vit_h", "abc", feature, semantic, summarise(seen, around), parts)
    path = before.save(tmp_path / "rex.safetensors")
    assert path.stat().st_size < 150_000  # two images of 96 parts each
    assert Concept.load(path) == before


def test_it_tells_what_it_is():
    assert str(made()) == "rex (persam on tiny)"
    assert str(made(MINE, scale_weights=WEIGHTS)) == "rex (mine on tiny, tuned)"
    assert str(made(not_this=identity_of(torch.eye(3)))) == "rex (persam on tiny, 1 counter-example)"
    three = identity_of(torch.eye(3).repeat(len(REFERENCE_VIEWS), 1), images=3 * len(REFERENCE_VIEWS))
    assert str(made(not_this=three)) == "rex (persam on tiny, 3 counter-examples)"


def test_it_moves_to_a_device_whole():
    moved = made(scale_weights=WEIGHTS, not_this=identity_of(torch.eye(3))).to("meta")
    parts = [moved.feature, moved.semantic, moved.scale_weights]
    parts += [one for whole in (moved.prototypes, moved.identity, moved.not_this) for one in vars(whole).values()]
    assert {part.device.type for part in parts if isinstance(part, torch.Tensor)} == {"meta"}
    assert made(OFFICIAL_PERSAM).to("meta").prototypes is None


# ---- whose it is


def test_another_models_concept_is_refused():
    backbone = ColourBackbone("colours-2")
    message = (
        r"'rex' was learned with tiny \(weights tiny-1\) and means nothing to colour \(weights colours-2\)\. "
        "Load that model, or learn the concept again"
    )
    with pytest.raises(ConceptError, match=message):
        owned(made(), backbone)
    with pytest.raises(ConceptError, match=message):
        owned([made(name="tom", fingerprint="colours-2"), made()], backbone)


@pytest.mark.parametrize("concepts", [[], [made(), made(MINE)]], ids=["none", "one name twice"])
def test_every_concept_has_a_name_of_its_own(concepts):
    with pytest.raises(ConceptError, match=r"give at least one concept, and each a name of its own; got \["):
        owned(concepts, ColourBackbone("tiny-1"))


def test_one_concept_will_do_for_a_list():
    assert owned(made(), ColourBackbone("tiny-1")) == [made()]
    assert owned((made(), made(name="tom")), ColourBackbone("tiny-1")) == [made(), made(name="tom")]


# ---- files that are none


def write(path, *, metadata=None, **tensors):
    good = {"feature": torch.ones(4) / 2, "semantic": torch.ones(4)}
    good |= {"foreground": torch.ones(2, 4) / 2, "foreground_share": torch.ones(2) / 2}
    good |= {"background": torch.ones(3, 4) / 2, "background_share": torch.ones(3) / 3}
    good |= {"foreground_colour": torch.ones(2, 3), "background_colour": torch.ones(3, 3)}
    good |= {"identity.features": torch.ones(2, 4) / 2, "identity.colours": torch.ones(2, 3)}
    good |= {"identity.image": torch.tensor([0, 1]), "identity.afar": torch.tensor([False, True])}
    words = {"format": FORMAT, "name": "x", "recipe": to_plain(MINE), "backbone": "b", "fingerprint": "f"}
    save_file(good | tensors, path, {"persam": json.dumps(words if metadata is None else words | metadata)})


def test_the_file_that_the_next_tests_damage_is_good(tmp_path):
    write(tmp_path / "x.safetensors")
    loaded = Concept.load(tmp_path / "x.safetensors")
    assert (loaded.name, loaded.recipe) == ("x", MINE)
    assert loaded.identity.image.tolist() == [0, 1]


def test_an_address_is_named_as_it_was_given():
    with pytest.raises(ConceptError, match=r"there is no concept file https://example.org/rex.safetensors"):
        Concept.load("https://example.org/rex.safetensors")


NO_CONCEPT = f"holds no concept of the format {FORMAT}"
DAMAGED = {
    "missing": (lambda path: None, "there is no concept file .*x.safetensors. Make one with `persam learn`"),
    "empty": (lambda path: path.write_bytes(b""), "is not a concept file"),
    "text": (lambda path: path.write_text("a photo of my dog"), "is not a concept file"),
    "other model": (lambda path: save_file({"weight": torch.ones(3)}, path), NO_CONCEPT),
    "older format": (
        lambda path: write(path, metadata={"format": "persam-concept-6"}),
        f"{NO_CONCEPT} but of persam-concept-6. Learn it with `persam learn`",
    ),
    "counter-examples without an identity": (
        lambda path: made(identity=None, not_this=identity_of(torch.eye(3))).save(path),
        NO_CONCEPT,
    ),
    "counter-examples of another length": (
        lambda path: made(not_this=identity_of(torch.ones(1, 5))).save(path),
        NO_CONCEPT,
    ),
    "metadata of another kind": (
        lambda path: save_file({"feature": torch.ones(4)}, path, {"persam": json.dumps([FORMAT])}),
        NO_CONCEPT,
    ),
    "metadata cut short": (
        lambda path: save_file({"feature": torch.ones(4)}, path, {"persam": json.dumps({"format": FORMAT})}),
        NO_CONCEPT,
    ),
    "a name that is none": (lambda path: write(path, metadata={"name": 3}), NO_CONCEPT),
    "recipe by name": (lambda path: write(path, metadata={"recipe": "persam"}), "cannot be used: a recipe is expected"),
    "unknown choice": (
        lambda path: write(path, metadata={"recipe": to_plain(MINE) | {"zoom": True}}),
        "cannot be used: this version has no recipe with the choices .*'zoom': True.* Learn it again",
    ),
    "unknown published recipe": (
        lambda path: write(path, metadata={"recipe": {"official": True, "name": "official_hq", "tune": False}}),
        "no recipe named 'official_hq'",
    ),
    "NaN": (lambda path: write(path, feature=torch.full((4,), torch.nan)), "not finite: learn it again"),
    "yes and no for numbers": (lambda path: write(path, foreground=torch.ones(2, 4) > 0), NO_CONCEPT),
    "two lengths": (lambda path: write(path, semantic=torch.ones(5)), NO_CONCEPT),
    "a matrix": (lambda path: write(path, feature=torch.ones(2, 2)), NO_CONCEPT),
    "a prototype without a share": (lambda path: write(path, foreground=torch.ones(3, 4)), NO_CONCEPT),
    "prototypes of another length": (lambda path: write(path, background=torch.ones(2, 5)), NO_CONCEPT),
    "a number for the prototypes": (lambda path: write(path, background=torch.tensor(1.0)), NO_CONCEPT),
    "a tensor too many": (lambda path: write(path, more=torch.ones(2)), NO_CONCEPT),
    "a share too few": (lambda path: write(path, background_share=torch.ones(7)), NO_CONCEPT),
    "an identity without its colours": (
        lambda path: write(path, **{"identity.features": torch.ones(3, 4)}),
        NO_CONCEPT,
    ),
    "an identity in three dimensions": (
        lambda path: write(path, **{"identity.features": torch.ones(2, 4, 1)}),
        NO_CONCEPT,
    ),
    "four weights": (lambda path: write(path, scale_weights=torch.ones(4)), NO_CONCEPT),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_no_concept_is_refused(tmp_path, damage, message):
    path = tmp_path / "x.safetensors"
    damage(path)
    with pytest.raises(ConceptError, match=message):
        Concept.load(path)


def test_a_file_cut_short_is_refused(tmp_path):
    path = made().save(tmp_path / "x.safetensors")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ConceptError, match="is not a concept file"):
        Concept.load(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match=r"cannot write .*file/x.safetensors: a part of .* is a file"):
        made().save(tmp_path / "file" / "x.safetensors")
    with pytest.raises(OutputError, match=r"it is a folder"):
        made().save(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
