"""Stages begin at their share of a course, and what they draw has shares that sum to one."""

import pytest

from training.curriculum import COURSES, stage_at


@pytest.mark.parametrize("course", COURSES)
def test_a_stage_holds_from_its_share_on(course):
    starts = list(COURSES[course])
    assert starts[0] == 0
    assert starts == sorted(starts)
    for start in starts:
        assert stage_at(course, start) is COURSES[course][start]
    assert stage_at(course, 0.999) is COURSES[course][starts[-1]]


def test_input_sizes_and_prompts_are_drawn_with_shares_that_sum_to_one():
    for stage in (stage for stages in COURSES.values() for stage in stages.values()):
        assert sum(share for share, _ in stage.sizes.values()) == pytest.approx(1)
        assert sum(stage.prompts.values()) == pytest.approx(1)
        assert all(size % 64 == 0 for size in stage.sizes)  # whole patches, and a mask prompt that is halved twice
