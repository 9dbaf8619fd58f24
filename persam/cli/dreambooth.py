"""The commands of `persam dreambooth`: a line each."""

from persam.cli import dreambooth_prepare, dreambooth_score, dreambooth_train
from persam.cli.action import Action

ACTIONS: dict[str, Action] = {
    **dreambooth_prepare.ACTIONS,
    **dreambooth_train.ACTIONS,
    **dreambooth_score.ACTIONS,
}
