import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import twinprob as tp
from tests.cases import OWN, Drift, Logistic, Washout, drift_posterior, drift_record
from tests.confounded import Product, product_record
from twinprob.diagnostics.profiles import profile

HOURS = 10
LIMIT = 3.841458820694124  # chi-square, 1 degree of freedom, 95 %


@pytest.fixture(scope="module")
def drift():
    """Profiles of the posterior density of a linear model, and its exact moments."""
    record, values = drift_record(HOURS)
    found = profile(Drift(), record, widen=1.0, predictions={"level": [1.0]})
    return found, drift_posterior(values, HOURS)


@pytest.mark.parametrize(("name", "place"), [("slope_start", 0), ("first", -1)])
def test_the_profile_of_a_linear_model_is_a_parabola(drift, name, place):
    found, (mean, covariance, _) = drift
    exact = (found[name].values - mean[place]) ** 2 / covariance[place, place]
    np.testing.assert_allclose(found[name].deviance, exact, atol=1e-6)


def test_the_interval_of_a_linear_model_is_exact(drift):
    found, (mean, covariance, _) = drift
    half = math.sqrt(LIMIT * covariance[-1, -1])
    assert (found["first"].lower, found["first"].upper) == pytest.approx((mean[-1] - half, mean[-1] + half), abs=1e-6)


def test_the_profile_of_a_prediction_of_a_linear_model_is_exact(drift):
    found, (mean, covariance, _) = drift
    ahead = np.concatenate([[60.0 * (HOURS + 1), 0.0], [60 * 0.01 * (HOURS + 1 - k) for k in range(1, HOURS)], [1.0]])
    center, variance = ahead @ mean, ahead @ covariance @ ahead + (60 * 0.01) ** 2
    one = found["level in 1 h"]
    np.testing.assert_allclose(one.deviance, (one.values - center) ** 2 / variance, atol=1e-5)


def test_a_widened_prior_weighs_as_much_less():
    record, values = drift_record(HOURS)
    found = profile(Drift(), record, names=["first"], widen=10.0)
    design = np.zeros((HOURS + 1, HOURS + 2))
    design[:, -1], design[:, 0] = 1.0, 60.0 * np.arange(HOURS + 1)
    for k in range(1, HOURS):
        design[k + 1 :, 1 + k] = 60 * 0.01 * np.arange(1, HOURS + 1 - k)
    precision = design.T @ design / 0.5**2 + np.diag([1 / 0.2**2, *np.ones(HOURS), 1 / 20.0**2])
    covariance = np.linalg.inv(precision)
    mean = covariance @ (design.T @ values / 0.5**2 + np.array([*np.zeros(HOURS + 1), 5.0 / 20.0**2]))
    half = math.sqrt(LIMIT * covariance[-1, -1])
    assert (found["first"].lower, found["first"].upper) == pytest.approx((mean[-1] - half, mean[-1] + half), abs=1e-6)


@pytest.mark.slow
def test_the_profile_of_a_nonlinear_model_equals_one_found_by_brute_force():
    times = np.array([10.0, 40.0, 70.0, 100.0, 130.0])
    values = np.array([0.15, 0.42, 0.71, 0.93, 0.98])
    record = tp.Record.build({"size": (times, values, "1")}, tp.Inputs({}), own=OWN, start=0.0)
    found = profile(Logistic(), record, names=["rate"], widen=1000.0, integrator=tp.FixedStep(refine=8))["rate"]

    def lost(rate, log_odds):
        odds = np.exp(log_odds + rate * times)
        return np.sum(((values - odds / (1 + odds)) / 0.1) ** 2)

    least = [minimize_scalar(lambda x, r=r: lost(r, x), bracket=(-3.0, -1.0)).fun for r in found.values]
    np.testing.assert_allclose(found.deviance, np.array(least) - min(least), atol=2e-3)


@pytest.fixture(scope="module")
def product():
    """Profiles of two parameters of which only the product is seen, and of what they predict."""
    return profile(Product(), product_record(), predictions={"amount": [1.0]}, widen=1000.0)


@pytest.mark.parametrize("name", ["uptake", "fraction"])
def test_the_profile_of_either_factor_of_a_product_is_flat(product, name):
    assert product[name].shape == "flat"


def test_a_prediction_is_bounded_though_its_parameters_are_not(product):
    assert product["amount in 1 h"].shape == "bounded"


def test_along_the_profile_of_a_factor_the_product_stays(product):
    others = product.nuisances["uptake"]["fraction"].to_numpy()
    np.testing.assert_allclose(
        others * product["uptake"].values / (others[0] * product["uptake"].values[0]), 1.0, rtol=0.05
    )


@pytest.mark.slow
def test_a_rate_that_can_only_be_too_slow_is_open_above():
    record = tp.Record.build({"amount": ([300.0, 400.0], [0.05, -0.05], "1")}, tp.Inputs({}), own=OWN, start=0.0)
    how = {"amount": tp.Observation(tp.Gaussian(additive=0.1))}
    found = profile(Washout().fix(first=10.0), record, observations=how)["rate"]
    assert (found.shape, found.upper) == ("open above", math.inf)


@pytest.mark.slow
def test_such_a_rate_has_a_lower_limit():
    record = tp.Record.build({"amount": ([300.0, 400.0], [0.05, -0.05], "1")}, tp.Inputs({}), own=OWN, start=0.0)
    how = {"amount": tp.Observation(tp.Gaussian(additive=0.1))}
    found = profile(Washout().fix(first=10.0), record, observations=how)["rate"]
    # 10 exp(-300 rate) = 0.05 + about two noise standard deviations there.
    assert 0.01 < found.lower < 0.02


def test_a_flat_profile_says_from_where_to_where(product):
    assert "flat from" in str(product["uptake"])


def test_profiles_come_as_a_table(product):
    assert list(product.to_frame()["name"]) == ["uptake", "fraction", "amount in 1 h"]


def test_profiles_show_themselves(product):
    assert "Profile likelihood" in product._repr_html_()


def test_a_parameter_that_the_model_does_not_have_is_refused():
    with pytest.raises(ValueError, match="no constant unknown `uptaek` to profile; did you mean `uptake`"):
        profile(Product(), product_record(), names=["uptaek"])


def test_an_output_that_the_model_does_not_have_is_refused():
    with pytest.raises(ValueError, match="no output `glucose`"):
        profile(Product(), product_record(), predictions={"glucose": [1.0]})


def test_a_horizon_in_the_past_is_refused():
    with pytest.raises(ValueError, match="must be a number above 0 and at most 8,760, but is -1"):
        profile(Product(), product_record(), predictions={"amount": [-1.0]})


def test_a_level_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match="`level` must be a number above 0 and below 1"):
        profile(Product(), product_record(), level=95.0)


def test_a_record_without_measurement_is_refused():
    with pytest.raises(ValueError, match="holds no observation"):
        profile(Product(), tp.Record.admission())


def test_a_missing_profile_names_those_there_are(product):
    with pytest.raises(KeyError, match="uptake"):
        product["uptaek"]
