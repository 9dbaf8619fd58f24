"""Prompts of training are what users give: clicks on the object, boxes around it, and a concept's own peak."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from persam.sam.decoder import NO_GUIDANCE, Guidance
from persam.types import Prompt
from training import prompts
from training.forward import LogitGuidance

STRIDE = 4
Asked = tuple[Prompt, Guidance | LogitGuidance]


def plane(x0: int, y0: int, x1: int, y1: int, side: int = 16) -> torch.Tensor:
    """A rectangle of quarter pixels, the last two sides exclusive."""
    cover = torch.zeros(side, side)
    cover[y0:y1, x0:x1] = 1
    return cover


COVER = torch.stack([plane(2, 3, 9, 8), plane(10, 1, 14, 15)])[None]  # one image, two objects
FEATURES = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(0))


def given(part: torch.Tensor | None) -> torch.Tensor:
    """A part of a prompt that has it."""
    assert part is not None
    return part


def at(cover: torch.Tensor, points_xy: torch.Tensor) -> torch.Tensor:
    """What a plane holds at points in input pixels, one a row."""
    x, y = (((points_xy + 0.5) / STRIDE - 0.5).round().long()).unbind(-1)
    return cover.flatten(0, -3)[torch.arange(len(x)), y, x]


def first(
    kind: str, seed: int, *, reference_cover: torch.Tensor | None = None, features: torch.Tensor = FEATURES
) -> Asked:
    patches = F.avg_pool2d(COVER, 4) if reference_cover is None else reference_cover
    return prompts.first_prompt(kind, COVER, features, features, patches, np.random.default_rng(seed))


# --- the first round


@pytest.mark.parametrize("kind", ["point", "pair"])
def test_clicks_lie_on_the_object_and_the_second_of_a_pair_beside_it(kind):
    for seed in range(20):
        prompt, guidance = first(kind, seed)
        assert guidance is NO_GUIDANCE
        assert prompt.box_xyxy is None
        assert prompt.mask_logits is None
        assert at(COVER, given(prompt.points_xy)[:, 0]).tolist() == [1, 1]
        if kind == "pair":
            assert at(COVER, given(prompt.points_xy)[:, 1]).tolist() == [0, 0]
        assert given(prompt.labels).tolist() == [[1] if kind == "point" else [1, 0]] * 2


def test_half_of_the_clicks_are_the_innermost_point():
    square = plane(4, 4, 9, 9).numpy()[None]
    rng = np.random.default_rng(0)
    clicks = [tuple(prompts._clicks(square, rng)[0].tolist()) for _ in range(400)]
    centre = (6 + 0.5) * STRIDE - 0.5  # quarter pixel 6 of 4 to 8
    # and one in 25 of the others
    assert clicks.count((centre, centre)) / 400 == pytest.approx(0.5 + 0.5 / 25, abs=0.07)
    assert len(set(clicks)) == 25


def test_an_object_thinner_than_a_quarter_pixel_is_clicked_where_it_covers_most():
    thin = 0.2 * plane(3, 5, 9, 6)
    thin[5, 7] = 0.4
    points = prompts._clicks(thin.numpy()[None], np.random.default_rng(0))
    assert points.tolist() == [[7.5 * STRIDE - 0.5, 5.5 * STRIDE - 0.5]]


def test_boxes_enclose_the_object_in_input_pixels():
    # quarter pixels 2 to 8 are input pixels 8 to 35, from edge 7.5 to edge 35.5
    assert prompts._boxes(COVER[0].numpy()).tolist() == [[7.5, 11.5, 35.5, 31.5], [39.5, 3.5, 55.5, 59.5]]


def test_an_empty_plane_has_the_whole_input_for_its_box():
    assert prompts._boxes(np.zeros((1, 16, 16), np.float32)).tolist() == [[-0.5, -0.5, 63.5, 63.5]]


def test_boxes_are_jittered_by_a_twentieth_of_the_extent_and_20_pixels_at_most():
    large, small = plane(0, 0, 128, 64, side=128).numpy(), plane(8, 8, 18, 18, side=128).numpy()
    rng = np.random.default_rng(0)
    drawn = torch.stack([prompts._jittered_boxes(np.stack([large, small]), rng) for _ in range(300)])
    moved = (drawn - prompts._boxes(np.stack([large, small]))).abs()
    assert moved.max() == pytest.approx(20, abs=1e-4)  # 5 % of 512 is 25.6: cut
    assert moved[:, 1].max() < 10  # 5 standard deviations of 5 % of 40
    assert moved[:, 1].square().mean().sqrt() == pytest.approx(0.05 * 40, rel=0.1)
    assert moved[:, 0, 1].square().mean().sqrt() < moved[:, 0, 0].square().mean().sqrt()  # y has half the extent
    prompt, _ = first("box", 0)
    assert (given(prompt.box_xyxy) - prompts._boxes(COVER[0].numpy())).abs().max() < 15
    assert prompt.points_xy is None


def painted(patch_xy: tuple[int, int]) -> torch.Tensor:
    """Features that are one vector at a patch, its opposite at 0, 0, and square to both elsewhere."""
    features = torch.zeros(1, 2, 4, 4)
    features[:, 1] = 1
    x, y = patch_xy
    features[0, :, y, x] = torch.tensor([1.0, 0.0])
    features[0, :, 0, 0] = torch.tensor([-1.0, 0.0])
    return features


def concept(patch_xy: tuple[int, int], seed: int) -> tuple[Asked, torch.Tensor]:
    """The concept's prompt where its peak is at a patch of 16 pixels, and the object in quarter pixels 8 to 15."""
    cover, there = plane(8, 8, 16, 16)[None, None], torch.zeros(1, 1, 4, 4)
    x, y = patch_xy
    there[0, 0, y, x] = 1
    features = painted(patch_xy)
    rng = np.random.default_rng(seed)
    return prompts.first_prompt("concept", cover, features, features, there, rng), cover


def test_a_concept_s_prompt_is_the_peak_and_the_trough_of_its_similarity():
    (prompt, _), _ = concept((2, 3), 0)
    assert given(prompt.points_xy).tolist() == [[[2.5 * 16 - 0.5, 3.5 * 16 - 0.5], [7.5, 7.5]]]
    assert given(prompt.labels).tolist() == [[1, 0]]


def test_where_the_peak_misses_the_object_it_is_clicked_instead():
    for seed in range(10):
        (prompt, _), cover = concept((2, 1), seed)
        assert at(cover, given(prompt.points_xy)[:, 0]).tolist() == [1]


def test_random_features_never_give_a_positive_point_off_the_object():
    for seed in range(20):
        prompt, _ = first("concept", seed, features=torch.randn(1, 8, 4, 4))
        x, y = ((given(prompt.points_xy)[:, 0] + 0.5) / 16).floor().long().unbind(-1)
        share = F.avg_pool2d(COVER, 4)[0]
        assert (share[torch.arange(2), y, x] > 0.05).all()  # its patch holds the object


def test_a_concept_guides_the_decoder_before_or_after_the_softmax():
    seen = {}
    for seed in range(20):
        (_, guidance), _ = concept((2, 3), seed)
        attention = given(guidance.attention)
        seen[type(guidance)] = attention
        assert attention.shape == (1, 4, 4)
        assert torch.equal(given(guidance.semantic), torch.tensor([[1.0, 0.0]]))
        assert attention.flatten().argmax() == 3 * 4 + 2
        assert attention.flatten().argmin() == 0
    after, before = seen[Guidance], seen[LogitGuidance]
    assert 0 < after.min() < after.max() < 1
    torch.testing.assert_close(before.exp(), after)  # the logarithm of the same confidence


def test_misplaced_guidance_is_the_first_rows_or_columns_over_the_whole_grid():
    z = torch.arange(64.0).reshape(1, 8, 8)
    kept = set()
    for seed in range(40):
        stretched = prompts._stretched(z, np.random.default_rng(seed))[0]
        assert stretched.shape == (8, 8)
        assert stretched[0, 0] == 0
        last = stretched[-1, -1].item()
        kept.add(last)
        assert last in {8 * rows - 1 for rows in range(4, 9)} | {56 + columns - 1 for columns in range(4, 8)}
    assert len(kept) > 4


# --- the second round

POINT = Prompt(torch.tensor([[[17.5, 17.5]], [[45.5, 30.5]]]), torch.ones(2, 1))
TRUTH = COVER[0]


def answers(found: list[torch.Tensor], *, best: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and predicted IoU of four masks a prompt: `found` for the best of the three, else nothing."""
    logits, predicted = torch.full((len(found), 4, 16, 16), -5.0), torch.zeros(len(found), 4)
    logits[:, best] = 10 * torch.stack(found) - 5
    predicted[:, best], predicted[:, 0] = 0.8, 0.9  # the single mask is never the one to refine
    return logits, predicted


def following(kind: str, found: list[torch.Tensor], *, prompt: Prompt = POINT, seed: int = 0) -> Prompt:
    return prompts.next_prompt(kind, prompt, *answers(found), TRUTH, np.random.default_rng(seed))


FOUND = [plane(1, 3, 9, 9), plane(10, 1, 14, 10)]


@pytest.mark.parametrize("kind", list(prompts.NEXT_PROMPTS))
def test_every_second_round_is_given_the_best_mask_and_what_was_given_before(kind):
    prompt = following(kind, FOUND)
    assert torch.equal(given(prompt.mask_logits)[:, 0], 10 * torch.stack(FOUND) - 5)
    assert torch.equal(given(prompt.points_xy)[:, :1], given(POINT.points_xy))
    assert torch.equal(given(prompt.labels)[:, :1], given(POINT.labels))


def test_the_same_again_adds_nothing_else():
    prompt = following("same", FOUND)
    assert prompt.box_xyxy is None
    assert prompt.points_xy is POINT.points_xy


def test_the_predicted_box_is_that_of_the_best_mask():
    assert given(following("predicted_box", FOUND).box_xyxy).tolist() == [
        [3.5, 11.5, 35.5, 35.5],
        [39.5, 3.5, 55.5, 39.5],
    ]


def test_an_empty_answer_has_the_object_s_own_box():
    boxes = given(following("predicted_box", [torch.zeros(16, 16), FOUND[1]]).box_xyxy)
    assert boxes.tolist() == [[7.5, 11.5, 35.5, 31.5], [39.5, 3.5, 55.5, 39.5]]


def test_the_true_box_is_the_object_s_jittered():
    moved = given(following("true_box", FOUND).box_xyxy) - prompts._boxes(TRUTH.numpy())
    assert 0 < moved.abs().max() < 15


@pytest.mark.parametrize("seed", range(5))
def test_a_correction_clicks_into_the_larger_error_with_its_label(seed):
    prompt = following("correction", FOUND, seed=seed)
    missed, wrong = torch.stack([TRUTH[i] * (1 - FOUND[i]) for i in range(2)]), FOUND[0] * (1 - TRUTH[0])
    assert given(prompt.labels).tolist() == [[1, 0], [1, 1]]
    assert at(wrong[None], given(prompt.points_xy)[:1, 1]).tolist() == [1]
    assert at(missed[1:], given(prompt.points_xy)[1:, 1]).tolist() == [1]


def test_a_correction_after_a_box_is_the_only_click():
    prompt = following("correction", FOUND, prompt=Prompt(box_xyxy=torch.tensor([[8.0, 8, 40, 40], [40, 4, 56, 60]])))
    assert given(prompt.points_xy).shape == (2, 1, 2)
    assert given(prompt.labels).tolist() == [[0], [1]]
    assert prompt.box_xyxy is not None


def test_nothing_to_correct_is_a_click_on_the_object():
    for seed in range(5):
        prompt = following("correction", list(TRUTH), seed=seed)
        assert given(prompt.labels).tolist() == [[1, 1], [1, 1]]
        assert at(COVER, given(prompt.points_xy)[:, 1]).tolist() == [1, 1]


def test_the_official_flow_goes_on_from_the_single_mask():
    logits, predicted = answers(FOUND)
    logits[:, 0] = 3.0
    prompt = prompts.next_prompt("same", POINT, logits, predicted, TRUTH, np.random.default_rng(0), from_single=True)
    assert (given(prompt.mask_logits) == 3).all()


def test_no_gradient_flows_through_a_prompt():
    logits, predicted = (part.requires_grad_() for part in answers(FOUND))
    for kind in prompts.NEXT_PROMPTS:
        prompt = prompts.next_prompt(kind, POINT, logits, predicted, TRUTH, np.random.default_rng(0))
        assert not any(part.requires_grad for part in vars(prompt).values() if part is not None)


# --- the decoder


@pytest.mark.parametrize(
    "shares",
    [prompts.FIRST_PROMPTS, prompts.FIRST_PROMPTS_OF_RIDERS, prompts.NEXT_PROMPTS],
    ids=["first", "riders", "next"],
)
def test_shares_sum_to_one(shares):
    assert sum(shares.values()) == pytest.approx(1)
