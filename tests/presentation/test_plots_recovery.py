"""True against estimated values of simulated patients."""

import jax
import numpy as np
import pytest

from tests.validation.test_calibrate import DESIGN, Conjugate, Constant
from twinprob.presentation import plots
from twinprob.presentation.plots.sheet import BLUE
from twinprob.validation.calibrate import calibrate

REPLICATES = 60


@pytest.fixture(scope="module")
def calibration():
    return calibrate(
        Constant(), record_like=DESIGN, replicates=REPLICATES, method=Conjugate(), hours=(), key=jax.random.key(3)
    )


@pytest.fixture(scope="module")
def figure(calibration):
    return plots.recovery(calibration)


def colored(figure, color):
    """Return how many intervals have a color."""
    found = [c for c in figure.axes[0].collections if c.get_color()[0][:3] == pytest.approx(rgb(color), abs=1e-6)]
    return sum(len(c.get_segments()) for c in found)


def rgb(color):
    return tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))


def test_a_calibration_keeps_the_quantiles_of_every_estimate(calibration):
    estimate = calibration.tree["estimate"]["base"]
    assert (estimate.dims, estimate.shape) == (("chain", "draw", "quantile"), (1, REPLICATES, 5))


def test_estimated_medians_are_the_conjugate_means(calibration):
    truth = calibration.tree["truth"]["base"].values[0]
    median = calibration.tree["estimate"]["base"].sel(quantile=0.5).values[0]
    # The posterior sd is 1/sqrt(1 + 4): errors of its mean have that size.
    assert np.std(median - truth) == pytest.approx(1 / np.sqrt(5), abs=4 / np.sqrt(2 * 5 * REPLICATES))


def test_intervals_that_hold_the_truth_are_blue(calibration, figure):
    ranks = calibration.tree["ranks"]["base"].values[0]
    # Of 99 draws: the truth is above the 5 % quantile with five or more draws below it.
    surely_inside = np.sum((ranks > 6) & (ranks < 93))
    perhaps_inside = np.sum((ranks > 3) & (ranks < 96))
    assert surely_inside <= colored(figure, BLUE) <= perhaps_inside


def test_the_panel_says_how_many_are_inside(figure):
    assert "% inside, correlation 0." in figure.axes[0].get_title()


def test_the_picture_says_how_to_read_it(figure):
    assert "orange ones miss it: about one in ten should." in " ".join(figure.texts[0].get_text().split())


def test_an_unknown_quantity_names_the_nearest(calibration):
    with pytest.raises(ValueError, match="no quantity `bas` in this calibration; did you mean `base`"):
        plots.recovery(calibration, ["bas"])


def test_more_than_nine_panels_are_refused(calibration):
    with pytest.raises(ValueError, match="at most 9, but names 10"):
        plots.recovery(calibration, ["base"] * 10)
