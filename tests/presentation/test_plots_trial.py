from typing import Any

import jax
import numpy as np
import pytest

import twinprob as tp
from twinprob.decisions.protocols.metabolic import FixedRate, Yale2012
from twinprob.presentation import plots

ARMS = {"Yale": Yale2012(), "fixed": FixedRate(rate=2.0, interval=60.0)}


@pytest.fixture(scope="module")
def done():
    feed = tp.Inputs.constant(enteral_glucose=(7.0, "g/h"))
    patients = tp.VirtualPatients.drawn(tp.models.metabolic.ICING(), 6, hours=12, key=jax.random.key(0), inputs=feed)
    return tp.trial(ARMS, patients, hours=12, key=jax.random.key(3), batch_size=3)


def test_a_trial_shows_courses_differences_distribution_and_bands(done):
    figure = plots.trial(done)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert [title.split()[0] for title in titles] == ["Median", "Paired", "Cumulative", "Time"]
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_the_bands_of_each_arm_add_up_to_all_time(done):
    bars: list[Any] = list(plots.trial(done).axes[3].patches)
    ends = {round(bar.get_y() + bar.get_height() / 2): bar.get_x() + bar.get_width() for bar in bars}
    np.testing.assert_allclose([ends[0], ends[1]], 100.0)


def test_the_difference_drawn_is_the_paired_one(done):
    points = [
        float(np.ravel(line.get_xdata())[0]) for line in plots.trial(done).axes[1].lines if line.get_marker() == "o"
    ]
    np.testing.assert_allclose(points, done.difference("in_4.4_to_8.0", "fixed", "Yale").mean)


def test_an_unknown_variable_is_refused(done):
    with pytest.raises(ValueError, match="The trial has no `lactate`: it has glucose"):
        plots.trial(done, variable="lactate")
