"""The memory of a clip against transformers by hand, on random networks; and that it does not grow with the clip."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from persam.errors import WeightsError
from persam.sam.video_memory import CONDITIONING, VideoMemory
from persam.sam.video_model import VideoModel
from tests.sam.video_models import KINDS, SIDE, network, see

pytestmark = pytest.mark.slow
HW = (48, 80)
REACH = 3  # frames back that the small networks ask for: four object pointers less this frame's


@pytest.fixture(scope="module", params=KINDS)
def model(request) -> VideoModel:
    import transformers

    session = getattr(transformers, f"{request.param}InferenceSession")
    return VideoModel(network(request.param), request.param, session, "drawn")


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def frame(number: int) -> np.ndarray:
    """A red rectangle that goes two pixels to the right with every frame."""
    rgb = np.full((*HW, 3), 90, np.uint8)
    rgb[12:30, 10 + 2 * number : 34 + 2 * number] = (200, 40, 60)
    return rgb


def mask(x: int = 10) -> np.ndarray:
    made = np.zeros(HW, bool)
    made[12:30, x : x + 24] = True
    return made


def square(planes: torch.Tensor) -> torch.Tensor:
    return F.interpolate(planes, (SIDE, SIDE), mode="bilinear", antialias=True)


class ByHand:
    """A session of transformers as its manual has it: everything is kept."""

    def __init__(self, model: VideoModel):
        self.network = model.network
        self.session = model.session(dtype=torch.float32)

    def step(self, number: int, given: dict[int, np.ndarray] = {}) -> torch.Tensor:  # noqa: B006
        """Logits over the frame, an object a row."""
        for name, one in given.items():
            place = self.session.obj_id_to_idx(name)
            prompt = square(torch.from_numpy(one)[None, None].float()) >= 0.5
            self.session.add_mask_inputs(place, number, prompt.float())
        self.session.obj_with_new_inputs = list(given)
        rgb = square(torch.from_numpy(frame(number)).permute(2, 0, 1)[None].float()).round()
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        pixels = (rgb / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        answer = self.network(inference_session=self.session, frame_idx=number, frame=pixels)
        return F.interpolate(answer.pred_masks, HW, mode="bilinear", align_corners=False)[:, 0]


def begun(model: VideoModel, masks: dict[int, np.ndarray]) -> VideoMemory:
    memory = VideoMemory(model)
    memory.enter(frame(0))
    for track_id, one in masks.items():
        memory.condition(track_id, one)
    return memory


def test_an_object_is_carried_as_transformers_carries_it_though_less_is_kept(model):
    hand, memory = ByHand(model), begun(model, {1: mask()})
    hand.step(0, {1: mask()})
    spreads = []
    for number in range(1, 3 * REACH + 2):  # past what is kept
        memory.enter(frame(number))
        made = memory.propagate(1)
        assert torch.equal(made.mask.logits, hand.step(number)[0])
        spreads.append(float(made.mask.logits.std()))
        score = hand.session.output_dict_per_obj[0]["non_cond_frame_outputs"][number]["object_score_logits"]
        assert made.presence == pytest.approx(float(score.sigmoid()))
        assert 0 <= float(made.mask.score) <= 1  # the network's predicted IoU: these networks end in a sigmoid
    assert min(spreads) > 0.1  # masks with shapes, of which the equality says something
    assert len(set(spreads)) == len(spreads)


def test_the_score_is_the_predicted_iou_of_the_mask_that_is_taken(model):
    memory, decoded = begun(model, {1: mask()}), []
    handle = model.network.mask_decoder.register_forward_hook(lambda *call: decoded.append(call[2]))
    memory.enter(frame(1))
    made = memory.propagate(1)
    handle.remove()
    [(masks, predicted_iou, *_)] = decoded
    best = int(predicted_iou[0, 0].argmax())
    taken = F.interpolate(masks[0, 0, best][None, None], HW, mode="bilinear", align_corners=False)[0, 0]
    assert torch.equal(made.mask.logits, taken)
    assert made.mask.score == predicted_iou[0, 0, best]
    assert not model.network.mask_decoder._forward_hooks  # nothing stays behind


def test_two_objects_of_one_frame_are_carried_as_in_a_common_session(model):
    masks = {1: mask(), 2: mask(50)}
    hand, memory = ByHand(model), begun(model, masks)
    hand.step(0, masks)
    for number in range(1, 4):
        memory.enter(frame(number))
        expected = hand.step(number)
        for row, track_id in enumerate(masks):
            # memories of one object and of two are encoded in batches of another size
            torch.testing.assert_close(memory.propagate(track_id).mask.logits, expected[row], rtol=1e-3, atol=1e-2)


def test_an_object_that_enters_late_changes_nothing_for_the_others(model):
    alone, crowd = begun(model, {1: mask()}), begun(model, {1: mask()})
    for number in range(1, 5):
        alone.enter(frame(number))
        crowd.enter(frame(number))
        if number == 2:
            crowd.condition(2, mask(50))
        if number > 2:
            crowd.propagate(2)
        assert torch.equal(alone.propagate(1).mask.logits, crowd.propagate(1).mask.logits)


def test_a_mask_for_a_frame_that_was_tracked_makes_it_a_conditioning_frame(model):
    hand, memory = ByHand(model), begun(model, {1: mask()})
    hand.step(0, {1: mask()})
    for number in (1, 2):
        memory.enter(frame(number))
        memory.propagate(1)
        hand.step(number)
    memory.enter(frame(3))
    wrong = memory.propagate(1)
    memory.condition(1, mask(40))
    hand.step(3, {1: mask(40)})  # by hand it is known before the frame is tracked
    memory.enter(frame(4))
    after = memory.propagate(1).mask.logits
    assert torch.equal(after, hand.step(4)[0])

    uncorrected = begun(model, {1: mask()})
    for number in range(1, 5):
        uncorrected.enter(frame(number))
        last = uncorrected.propagate(1).mask.logits
        if number == 3:
            assert torch.equal(last, wrong.mask.logits)
    assert not torch.equal(after, last)


def test_a_second_correction_of_a_frame_replaces_the_first(model):
    once, twice = begun(model, {1: mask()}), begun(model, {1: mask(30)})
    twice.condition(1, mask())
    for memory in (once, twice):
        memory.enter(frame(1))
    assert torch.equal(once.propagate(1).mask.logits, twice.propagate(1).mask.logits)


def test_a_frame_is_encoded_once_however_many_objects(model):
    encoded: list[int] = []
    handle = model.network.vision_encoder.register_forward_hook(lambda *_: encoded.append(1))
    memory = begun(model, {1: mask(), 2: mask(50)})
    memory.enter(frame(1))
    memory.propagate(1)
    memory.propagate(2)
    memory.condition(2, mask(40))
    handle.remove()
    assert len(encoded) == 2


def kept(memory: VideoMemory) -> tuple[int, int]:
    """Numbers and tensors' bytes in everything that the memory holds on to."""
    numbers = size = 0
    heap: list[Any] = [vars(one) for one in memory._sessions.values()]
    heap += [memory._cache._vision_features, memory._pixels]
    while heap:
        one = heap.pop()
        if isinstance(one, torch.Tensor):
            size += one.numel() * one.element_size()
        elif isinstance(one, dict):
            numbers += sum(isinstance(key, int) for key in one)
            heap += one.values()
        elif isinstance(one, list | tuple):
            heap += one
    return numbers, size


def test_memory_does_not_grow_with_the_clip(model):
    memory, sizes = begun(model, {1: mask(), 2: mask(50)}), []
    for number in range(1, 10 * REACH):
        memory.enter(frame(number % 8))
        memory.propagate(1)
        memory.propagate(2)
        sizes.append(kept(memory))
    assert len(set(sizes[REACH:])) == 1
    for session in memory._sessions.values():
        outputs = session.output_dict_per_obj[0]
        assert list(outputs["non_cond_frame_outputs"]) == [number - REACH + 1, number - 1, number]
        assert list(outputs["cond_frame_outputs"]) == [0]


def test_nor_with_what_is_corrected(model):
    memory, sizes = begun(model, {1: mask()}), []
    for number in range(1, 3 * CONDITIONING):
        memory.enter(frame(number % 8))
        memory.propagate(1)
        memory.condition(1, mask(number))
        sizes.append(kept(memory))
    given = list(memory._sessions[1].output_dict_per_obj[0]["cond_frame_outputs"])
    assert given == [0, *range(number - CONDITIONING + 2, number + 1)]  # the first stays
    assert len(set(sizes[CONDITIONING:])) == 1


def test_an_object_that_is_gone_has_an_empty_mask(model):
    memory = begun(model, {1: mask()})
    see(model.network, -2.0)
    memory.enter(frame(1))
    gone = memory.propagate(1)
    see(model.network, None)
    assert gone.presence == pytest.approx(1 / (1 + np.exp(2.0)))
    assert not (gone.mask.logits > 0).any()


def test_nan_does_not_travel_on(model):
    memory = begun(model, {1: mask()})
    see(model.network, float("nan"))
    memory.enter(frame(1))
    with pytest.raises(WeightsError, match="answers with NaN or infinity"):
        memory.propagate(1)
    see(model.network, None)
