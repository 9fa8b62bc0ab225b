"""The ranking of candidate measurements as a picture."""

import numpy as np
import pandas as pd
import pytest

from twinprob.design.ranking import Ranking
from twinprob.presentation import plots
from twinprob.presentation.plots.sheet import BLUE, GRAY


def ranking(ranks, nested=0.5):
    count = len(ranks)
    expected = np.linspace(0.2, 0.9, count)
    frame = pd.DataFrame(
        {"candidate": [f"measurement {i}" for i in range(count)], "rank": ranks, "expected": expected}
    ).assign(reduction=1 - expected, reduction_mcse=0.02, nested=nested, nested_mcse=0.01)
    return Ranking(frame, "some_parameter", "variance (1)²", 1.0, False, 1000, 900.0, ())


def dots(figure):
    """Return the reduction and color of every dot."""
    lines = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    return {float(x): line.get_color() for line in lines for x in line.get_xdata()}


def test_the_candidates_are_listed_from_the_top():
    axis = plots.next_measurement(ranking([1, 2, 3])).axes[0]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["measurement 0", "measurement 1", "measurement 2"]
    assert axis.yaxis_inverted()


def test_dots_stand_at_the_expected_reductions():
    assert sorted(dots(plots.next_measurement(ranking([1, 2, 3])))) == pytest.approx([10.0, 45.0, 80.0])


def test_those_that_share_the_first_rank_are_blue():
    assert list(dots(plots.next_measurement(ranking([1, 1, 3]))).values()) == [BLUE, BLUE, GRAY]


@pytest.mark.parametrize(("nested", "count"), [(0.5, 1), (np.nan, 0)])
def test_diamonds_are_drawn_where_there_was_a_check(nested, count):
    lines = plots.next_measurement(ranking([1, 2], nested)).axes[0].lines
    assert sum(line.get_marker() == "D" for line in lines) == count


def test_the_picture_names_what_is_asked():
    assert plots.next_measurement(ranking([1, 2])).axes[0].get_title(loc="left") == "To know some parameter"


def test_the_picture_says_that_it_is_no_medical_device():
    text = " ".join(plots.next_measurement(ranking([1, 2])).texts[0].get_text().split())
    assert "Research software, not a medical device." in text
