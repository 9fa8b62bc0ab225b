"""Pictures of the circulation: what is drawn is what was given."""

import jax
import numpy as np
import pytest

import twinprob as tp
from twinprob.models.cardiovascular import Preload, SixChamber
from twinprob.models.cardiovascular.smith import START, beat, traced

PATIENT = Preload()


@pytest.fixture(scope="module")
def loop():
    heart = SixChamber().heart()
    path = jax.jit(lambda h: beat(h, START, steps=375))(heart)[1]
    return traced(heart, path[0])


def test_a_loop_is_drawn_closed_in_both_ventricles(loop):
    axes = tp.plots.pressure_volume({"now": loop}).axes
    for axis, volumes in zip(axes, (loop.chambers.left_ventricle, loop.chambers.right_ventricle), strict=True):
        drawn = np.asarray(axis.lines[0].get_xdata())
        np.testing.assert_allclose(drawn[:-1], volumes)
        assert drawn[-1] == drawn[0]


def test_no_beat_is_refused():
    with pytest.raises(ValueError, match="`beats` is empty"):
        tp.plots.pressure_volume({})


def test_the_curves_cross_where_the_model_says_that_they_meet():
    axis = tp.plots.guyton(PATIENT, {"stressed_volume": np.full(3, 1100.0)}).axes[0]
    venous, heart, returned = (np.asarray(x) for x in (*axis.lines[0].get_data(), axis.lines[1].get_ydata()))
    crossing = venous[np.argmin(np.abs(heart - returned))]
    found = PATIENT.meet(1100.0 / 80.0, 75.0)
    assert crossing == pytest.approx(float(found.filling), abs=venous[1])


def test_the_sentence_gives_the_probability_of_a_response():
    text = tp.plots.guyton(PATIENT, {"half_filling": np.array([0.5, 0.5, 0.5, 20.0])}).texts[0].get_text()
    assert "with probability 0.25" in text.replace("\n", " ")


def test_a_draw_of_no_parameter_is_refused_by_name():
    with pytest.raises(ValueError, match="`stressed` is none"):
        tp.plots.guyton(PATIENT, {"stressed": np.ones(3)})
