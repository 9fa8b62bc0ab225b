"""The best fit against least squares in closed form."""

import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

import twinprob as tp
from tests.inference.test_experiments import NOISE, RECORDS, TIMES, Line


def least_squares():
    """Rise, and the start of each experiment, with the residuals."""
    rows, seen = [], []
    for place, name in enumerate(("low", "high")):
        row = np.zeros((len(TIMES[name]), 3))
        row[:, 0], row[:, 1 + place] = TIMES[name] / 60.0, 1.0
        rows.append(row)
        seen.append(RECORDS[name].observations["level"].values)
    design, values = np.concatenate(rows), np.concatenate(seen)
    found = np.linalg.lstsq(design, values, rcond=None)[0]
    return found, values - design @ found


def test_the_best_fit_of_two_experiments_is_that_of_least_squares():
    best, (exact, residuals) = tp.optimum(Line(), RECORDS, starts=4), least_squares()
    found = [best.values["rise"], best.values["first[low]"], best.values["first[high]"]]
    assert found == pytest.approx(exact, abs=1e-4)
    assert best.log_likelihood == pytest.approx(norm.logpdf(residuals, 0.0, NOISE).sum(), abs=1e-6)
    assert best.found == len(best.waterfall) == 4
    assert best.aic == pytest.approx(6.0 - 2.0 * best.log_likelihood)
    assert "found by 4 of 4 starts" in repr(best)


def test_a_noise_of_unknown_size_takes_that_of_the_residuals():
    how = {"level": tp.Observation(tp.Gaussian(additive=dist.LogNormal(-1.0, 0.5)))}
    best, (_, residuals) = tp.optimum(Line(), RECORDS, starts=2, observations=how), least_squares()
    assert best.values["level_additive"] == pytest.approx(np.sqrt(np.mean(residuals**2)), rel=1e-4)


def test_a_path_has_no_best_fit():
    with pytest.raises(ValueError, match="has no largest likelihood"):
        tp.optimum(Line().vary(rise=tp.RandomWalk(sd=0.1)), RECORDS["low"])
