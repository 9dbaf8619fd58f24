import os
import pickle
from collections import OrderedDict, defaultdict
from enum import Enum

import pytest

from persam.errors import DataError
from persam.eval.datasets.pickles import Inert, read_plain_pickle


class BoxMode(Enum):
    XYXY = 0


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_plain_data_comes_back_as_it_was(tmp_path):
    data = {3: ["val2014/a.jpg"], "nested": OrderedDict(a=(1.5, None)), "default": defaultdict(list, b=[{1}])}
    (tmp_path / "list.pkl").write_bytes(pickle.dumps(data))
    assert read_plain_pickle(tmp_path / "list.pkl") == data


def test_nothing_that_a_pickle_names_is_run(tmp_path):
    (tmp_path / "list.pkl").write_bytes(pickle.dumps({"photos": ["a"], "trap": Trap(tmp_path / "made")}))
    read = read_plain_pickle(tmp_path / "list.pkl")
    assert read["photos"] == ["a"]
    assert isinstance(read["trap"], Inert)
    assert not (tmp_path / "made").exists()


def test_the_enums_of_the_tool_that_wrote_a_list_do_no_harm(tmp_path):
    (tmp_path / "list.pkl").write_bytes(pickle.dumps({"bbox_mode": BoxMode.XYXY, "bbox": [1, 2, 3, 4]}))
    assert read_plain_pickle(tmp_path / "list.pkl")["bbox"] == [1, 2, 3, 4]


def test_a_damaged_list_says_so(tmp_path):
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2, 3])[:-3])
    with pytest.raises(DataError, match=r"list\.pkl is not a list that can be read safely"):
        read_plain_pickle(tmp_path / "list.pkl")
