"""Options that cannot be meant are refused when they are given."""

from pathlib import Path

import pytest

from persam.dreambooth.train.options import TrainOptions, course
from persam.errors import DreamBoothError


def options(**more) -> TrainOptions:
    return TrainOptions(pretrained_model_name_or_path="model", instance_data_dir=Path("rex"), **more)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"masking": "on"}, "--masking 'on' is unknown: choose one of paper, onetrainer, off"),
        ({"mixed_precision": "fp8"}, "--mixed_precision 'fp8' is unknown: choose one of no, fp16, bf16"),
        ({"lr_scheduler": "step"}, "--lr_scheduler 'step' is unknown"),
        ({"train_batch_size": 0}, "--train_batch_size 0 is too small: give 1 or more"),
        ({"max_train_steps": -5}, "--max_train_steps -5 is too small"),
        ({"prior_loss_weight": float("nan")}, "--prior_loss_weight nan is too small"),
        ({"checkpoints_total_limit": 0}, "--checkpoints_total_limit 0 is too small"),
        ({"instance_prompt": " "}, "--instance_prompt is empty: say what the photos show"),
        ({"learning_rate": 0.0}, "--learning_rate 0.0 teaches nothing"),
        ({"resolution": 500}, "--resolution 500 does not fit: give a multiple of 16"),
        ({"resolution": 0}, "--resolution 0 does not fit"),
        ({"with_prior_preservation": True}, "--with_prior_preservation needs --class_prompt"),
        ({"class_data_dir": Path("dogs")}, "--class_data_dir is used with --with_prior_preservation alone"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(given, complaint):
    with pytest.raises(DreamBoothError) as error:
        options(**given)
    assert complaint in str(error.value)


def test_the_learning_rate_follows_what_is_trained_unless_it_is_given():
    assert (options().rate, options(full=True).rate, options(full=True, learning_rate=3e-5).rate) == (1e-4, 5e-6, 3e-5)


def test_the_length_of_a_run_decides_its_course_only_where_the_rate_follows_a_curve():
    assert course(options(max_train_steps=10)) == course(options(max_train_steps=20))
    assert course(options(max_train_steps=10, lr_scheduler="cosine")) != course(
        options(max_train_steps=20, lr_scheduler="cosine")
    )


def test_the_place_of_files_decides_nothing_and_the_masking_does():
    assert course(options(output_dir=Path("a"))) == course(options(output_dir=Path("b")))
    assert course(options(masking="paper")) != course(options(masking="off"))
