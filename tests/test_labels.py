import copy
import gc
import pickle
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from twinprob.labels import Labelled, dataset, tree

TIMES = Labelled(("time",), np.array([0.0, 5.0]), "min", "when", "clock")


def test_a_coordinate_of_the_only_dimension_is_kept():
    found = dataset({"glucose": Labelled(("time",), np.array([5.0, 6.0]), "mmol/L")}, {"time": TIMES}, {})
    np.testing.assert_array_equal(found["time"], [0.0, 5.0])


def test_a_coordinate_that_no_variable_has_is_left_out():
    found = dataset({"glucose": Labelled(("draw",), np.zeros(3))}, {"time": TIMES}, {})
    assert set(found.coords) == {"draw"}


def test_chains_and_draws_are_counted_from_zero():
    found = dataset({"glucose": Labelled(("chain", "draw"), np.zeros((2, 3)))}, {}, {})
    assert (found["chain"].values.tolist(), found["draw"].values.tolist()) == ([0, 1], [0, 1, 2])


@pytest.mark.parametrize(("attribute", "text"), [("units", "min"), ("long_name", "when"), ("source", "clock")])
def test_what_a_reader_wants_to_know_stands_beside_the_values(attribute, text):
    assert dataset({"time": TIMES}, {}, {})["time"].attrs[attribute] == text


def test_what_netcdf_cannot_hold_is_written_as_json():
    attrs = dataset({}, {}, {"solved": True, "none": None, "levels": [0.1, 0.9], "count": 3, "name": "a"}).attrs
    assert attrs == {"solved": "true", "none": "null", "levels": "[0.1, 0.9]", "count": 3, "name": "a"}


@pytest.fixture
def joined():
    groups = {name: dataset({"x": Labelled(("time",), np.arange(3.0))}, {}, {}) for name in ("posterior", "state")}
    return tree(groups, {"title": "two groups"})


def test_a_tree_goes_as_soon_as_nobody_uses_it(joined, request):
    gc.collect()
    gc.disable()
    request.addfinalizer(gc.enable)
    made = tree({"state": dataset({"x": Labelled(("time",), np.arange(3.0))}, {}, {})}, {})
    parts: list[weakref.ref] = [weakref.ref(made), weakref.ref(made["state"])]
    del made
    assert [part() for part in parts] == [None, None]


def test_a_group_knows_the_tree_it_is_in(joined):
    assert joined["state"].parent is joined
    assert joined["state"].path == "/state"


def sent(joined):
    return pickle.loads(pickle.dumps(joined))


@pytest.mark.parametrize("again", [sent, copy.deepcopy])
def test_a_tree_can_be_sent_and_copied(joined, again: Callable):
    other = again(joined)
    assert other.identical(joined)
    assert other.attrs == {"title": "two groups"}
