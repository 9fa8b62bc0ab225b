import copy
import gc
import pickle
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from twinprob.labels import Labelled, dataset, tree


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
