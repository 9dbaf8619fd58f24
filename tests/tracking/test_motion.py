"""Optical flow, and masks that it carries."""

import cv2
import numpy as np

from persam.tracking.motion import OUTSIDE, carry, flow_back, half_grey


def texture(seed=0, hw=(120, 160)):
    noise = np.random.default_rng(seed).uniform(0, 255, (hw[0] // 4, hw[1] // 4, 3)).astype(np.uint8)
    return cv2.resize(noise, (hw[1], hw[0]), interpolation=cv2.INTER_CUBIC)


def test_a_mask_goes_where_the_picture_goes():
    before = texture()
    now = np.roll(before, (6, 8), (0, 1))  # 8 to the right, 6 down
    logits = np.full(before.shape[:2], -4.0, np.float32)
    logits[40:80, 50:100] = 4.0
    moved = carry(logits, flow_back(half_grey(now), half_grey(before))) > 0
    truth = np.roll(logits, (6, 8), (0, 1)) > 0
    assert (moved & truth).sum() / (moved | truth).sum() > 0.9


def test_without_motion_nothing_moves():
    logits = np.random.default_rng(1).uniform(-4, 4, (120, 160)).astype(np.float32)
    moved = carry(logits, np.zeros((60, 80, 2), np.float32))
    np.testing.assert_allclose(moved, logits, atol=1e-5)


def test_what_comes_in_over_the_edge_is_outside():
    flow = np.zeros((60, 80, 2), np.float32)
    flow[..., 0] = -10  # everything was 20 pixels further left
    moved = carry(np.full((120, 160), 4.0, np.float32), flow)
    assert (moved[:, :20] == OUTSIDE).all()
    assert (moved[:, 21:] == 4).all()


def test_the_smallest_frame_has_a_flow():
    tiny = np.zeros((1, 3, 3), np.uint8)
    flow = flow_back(half_grey(tiny), half_grey(tiny))
    assert carry(np.zeros((1, 3), np.float32), flow).shape == (1, 3)
