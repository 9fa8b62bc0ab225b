"""How belief narrows as data arrive."""

import jax
import numpy as np
import pytest

from tests.tank import Tank, stay
from tests.twins import small_twin
from twinprob.inference.methods.laplace import Laplace
from twinprob.presentation import plots

pytestmark = pytest.mark.slow

METHOD = Laplace(starts=2, draws=100, proposals=500)


@pytest.fixture(scope="module")
def record():
    return stay(1)[0]


@pytest.fixture(scope="module")
def figure(record):
    return plots.narrowing(Tank(), record, key=jax.random.key(0), parameter="first", hours=1.0, method=METHOD)


def bars(axis):
    """Return the heights of the widest bars, the 95 % intervals, in order."""
    return np.array([bar.get_height() for bar in axis.containers[0]])


def test_a_picture_begins_at_admission_without_data(figure):
    assert figure.axes[1].get_xticklabels()[0].get_text() == "0\n0.0 h"


def test_there_is_a_bar_for_every_count_of_few_measurements(figure):
    assert [t.get_text().split("\n")[0] for t in figure.axes[1].get_xticklabels()] == ["0", "1", "2"]


def test_before_any_data_a_parameter_is_as_wide_as_its_prior(figure):
    # Normal(5, 2); 400 draws tell a 95 % width within about a tenth.
    assert bars(figure.axes[0])[0] == pytest.approx(2 * 1.96 * 2.0, rel=0.2)


def test_the_first_measurement_narrows_what_it_measures(figure):
    # Conjugate: 1/sd² = 1/2² + 1/0.4².
    assert bars(figure.axes[0])[1] == pytest.approx(2 * 1.96 / np.sqrt(1 / 4 + 1 / 0.16), rel=0.2)


def test_open_circles_are_what_was_measured_an_hour_later(figure, record):
    circles = [line for line in figure.axes[1].lines if line.get_markerfacecolor() == "white"]
    seen = {int(line.get_xdata()[0]): float(line.get_ydata()[0]) for line in circles}
    values = record.observations["level"].values
    # Nothing was measured an hour after the last one.
    assert seen == pytest.approx({0: values[1], 1: values[1]})


def test_twins_are_drawn_without_a_record():
    figure = plots.narrowing([small_twin()], key=jax.random.key(0))
    assert figure.axes[0].get_ylabel().startswith("insulin sensitivity")


def test_a_model_without_a_record_is_refused():
    with pytest.raises(TypeError, match="A model is drawn with its data"):
        plots.narrowing(Tank(), key=jax.random.key(0))


def test_no_twin_is_refused():
    with pytest.raises(ValueError, match="There is no twin to draw"):
        plots.narrowing([], key=jax.random.key(0))


def test_an_unknown_parameter_names_the_nearest():
    with pytest.raises(ValueError, match="no unknown parameter `insulin_sens`; did you mean `insulin_sensitivity`"):
        plots.narrowing([small_twin()], key=jax.random.key(0), parameter="insulin_sens")


def test_an_unknown_output_names_the_nearest():
    with pytest.raises(ValueError, match="no output `glucos` to draw; did you mean `glucose`"):
        plots.narrowing([small_twin()], key=jax.random.key(0), variable="glucos")
