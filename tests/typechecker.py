"""The type checker that runs inside persam's functions while tests run; `conftest.py` installs it."""

from typing import Any

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

check = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True,  # an int will do for a float, as it does for mypy
        hint_overrides=FrozenDict({np.ndarray[Any, Any]: np.ndarray}),  # beartype wants a dtype; ours stand before it
    )
)
