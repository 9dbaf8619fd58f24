"""The commands of `persam dreambooth`. An edge, without logic of its own."""

from persam.cli.action import Action

# Those that train come from `persam.cli.dreambooth_train`: one line, `**dreambooth_train.ACTIONS`.
ACTIONS: dict[str, Action] = {}
