import dataclasses
import math

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import twinprob as tp
from tests.cases import OWN, Drift, Logistic, drift_posterior, drift_record
from tests.confounded import TIGHT, Product, product_record
from tests.twins import small_twin
from twinprob.diagnostics.determination import (
    CONFLICT,
    DETERMINED,
    NOT_DETERMINED,
    STRUCTURAL,
    VOCABULARY,
    WEAK,
    parameters_of,
    path_moments,
    variance_error,
)
from twinprob.diagnostics.identify import determined, identify

HOURS = 10


@pytest.fixture(scope="module")
def product():
    """The twin of two parameters of which only the product is seen."""
    return tp.fit(Product(), product_record(), key=jax.random.key(0))


@pytest.fixture(scope="module")
def said(product):
    """What its data determine."""
    return identify(product, key=jax.random.key(1), hours=(0.5, 1.0))


@pytest.fixture(scope="module")
def drift():
    """A twin whose posterior is a known normal, and that normal."""
    record, values = drift_record(HOURS)
    return tp.fit(Drift(), record, key=jax.random.key(2)), drift_posterior(values, HOURS)


def test_contraction_equals_the_closed_form_within_its_error(drift):
    twin, (_, covariance, _) = drift
    found = parameters_of(twin)["first"]
    assert abs(found.contraction - (1 - covariance[-1, -1] / 2.0**2)) < 5 * found.mcse


def test_the_shift_is_counted_in_prior_standard_deviations(drift):
    twin, (mean, covariance, _) = drift
    found = parameters_of(twin)["first"]
    error = math.sqrt(covariance[-1, -1] / twin.effective_draws) / 2.0
    assert abs(found.shift - (mean[-1] - 5.0) / 2.0) < 5 * error


@pytest.mark.parametrize(
    "process",
    [
        tp.RandomWalk(sd=0.3, every="1 h"),
        tp.OrnsteinUhlenbeck(sd=0.5, timescale="3 h", every="1 h"),
        tp.RandomWalk(sd=dist.LogNormal(-1.0, 0.3), every="1 h"),
    ],
    ids=["random walk", "Ornstein-Uhlenbeck", "random walk of unknown volatility"],
)
def test_moments_of_a_path_are_those_of_its_draws(process):
    model = Logistic().vary(rate=process)
    record = tp.Record.build({"size": ([0.0, 360.0], [0.1, 0.9], "1")}, tp.Inputs({}), own=OWN, start=0.0)
    density = tp.joint(model, record)
    keys = jax.random.split(jax.random.key(0), 4000)
    paths = np.log(jax.vmap(lambda k: density.path("rate", density.constrain(density.draw_prior(k))))(keys))[:, :6]
    mean, variance = path_moments(model, "rate", 6)
    assert np.all(np.abs(paths.mean(axis=0) - mean) < 5 * np.sqrt(variance / 4000))
    # A volatility that is unknown gives heavier tails: kurtosis at most about 5 here.
    assert np.all(np.abs(paths.var(axis=0) / variance - 1) < 5 * math.sqrt(4 / 4000))


def test_every_verdict_is_one_of_five(said):
    assert {row.verdict for row in said.rows} <= set(VOCABULARY)


@pytest.mark.parametrize("name", ["uptake", "fraction"])
def test_factors_of_a_product_are_structurally_unidentifiable(said, name):
    assert said[name].verdict == STRUCTURAL


def test_the_product_that_is_seen_is_named(said):
    assert "the outputs see only uptake · fraction" in said["uptake"].evidence


def test_the_posterior_of_a_factor_is_said_to_be_its_prior(said):
    assert "the posterior of each is its prior" in said["fraction"].evidence


def test_the_factor_with_a_tight_prior_keeps_it(product, said):
    found = said["fraction"]
    assert abs(found.contraction) < 5 * found.mcse
    assert found.spread == pytest.approx(TIGHT, rel=5 / math.sqrt(2 * product.effective_draws))


def test_the_other_factor_is_named_as_the_partner(said):
    assert said["uptake"].confounded_with == ("fraction",)


def test_predictions_are_determined_though_no_parameter_is(said):
    assert all(said.predictions)
    assert "although not every parameter" in said.summary


def test_contraction_of_a_prediction_equals_the_closed_form(drift):
    twin, (_, covariance, _) = drift
    found = determined(twin, "level", hours=1.0, key=jax.random.key(5))
    ahead = np.concatenate([[60.0 * (HOURS + 1), 0.0], [60 * 0.01 * (HOURS + 1 - k) for k in range(1, HOURS)], [1.0]])
    prior = np.diag([0.02**2, *np.ones(HOURS), 2.0**2])
    before, after = (ahead @ c @ ahead + (60 * 0.01) ** 2 for c in (prior, covariance))
    assert abs(found.contraction - (1 - after / before)) < 5 * found.mcse


def test_a_factor_of_a_product_is_not_determined(product):
    assert not determined(product, "fraction", key=jax.random.key(0))


def test_a_prediction_of_a_product_is_determined(product):
    assert determined(product, "amount", hours=1.0, key=jax.random.key(3))


def test_what_is_determined_gives_its_reason(product):
    assert "contraction" in str(determined(product, "fraction", key=jax.random.key(0)))


@pytest.mark.slow
def test_a_prior_that_the_data_contradict_is_in_conflict():
    wrong = Product().free(uptake=dist.LogNormal(math.log(0.3), 0.3))
    twin = tp.fit(wrong.fix(fraction=0.5), product_record(), key=jax.random.key(0))
    assert parameters_of(twin)["uptake"].verdict == CONFLICT


def test_the_ridge_of_a_product_is_found(said):
    first, second, correlation = said.ridges[0]
    assert {first, second} == {"uptake", "fraction"}
    assert correlation < -0.9


def test_power_scaling_sees_that_the_prior_makes_a_factor(said):
    assert said["fraction"].prior_sensitivity > said["fraction"].likelihood_sensitivity


def test_contraction_over_time_grows_with_the_measurements(said):
    frame = said.contraction_over_time.query("parameter == 'uptake'")
    assert np.all(np.diff(frame["contraction"]) > -1e-12)


def test_a_model_and_its_record_are_fitted_first():
    found = identify(Product(), product_record(), key=jax.random.key(1), hours=())
    assert found["uptake"].verdict == STRUCTURAL


@pytest.mark.slow
def test_a_path_says_at_how_many_knots_it_is_determined():
    found = identify(small_twin(), key=jax.random.key(0), hours=())
    assert "of 10 of its knots" in found["insulin_sensitivity"].evidence


@pytest.mark.slow
def test_an_updated_twin_is_judged_by_its_present():
    stay = tp.load_example("icu_glucose", stay=3)
    later = tp.update(small_twin(), stay.between(small_twin().now, "11 h"), key=jax.random.key(1))
    found = identify(later, key=jax.random.key(2), hours=(1.0,))
    assert found["insulin_sensitivity"].kind == "path"
    assert math.isfinite(found["glucose in 1 h"].contraction)


def test_a_diagnosis_names_what_is_not_determined(product):
    finding = next(f for f in tp.diagnose(product).findings if f.subject == "what the data determine")
    assert "fraction" in finding.evidence
    assert finding.verdict == "trustworthy"


def test_the_table_has_a_row_for_everything(said):
    assert list(said.to_frame()["subject"]) == ["uptake", "fraction", "amount in 0.5 h", "amount in 1 h"]


def test_the_text_begins_with_what_is_not_determined(said):
    assert str(said).startswith("These data do not determine uptake and fraction")


def test_the_notebook_table_explains_contraction(said):
    assert "share of the prior variance" in said._repr_html_()


def test_an_identification_is_frozen(said):
    with pytest.raises(dataclasses.FrozenInstanceError):
        said.rows = ()


@pytest.mark.parametrize(
    ("contraction", "shift", "verdict"),
    [(0.8, 0.0, DETERMINED), (0.5, 0.0, WEAK), (0.1, 0.0, NOT_DETERMINED), (0.8, -3.5, CONFLICT)],
)
def test_grades_turn_numbers_to_words(contraction, shift, verdict):
    assert tp.Grades().verdict(contraction, shift) == verdict


def test_grades_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="undetermined <= determined"):
        tp.Grades(determined=0.2, undetermined=0.5)


def test_a_quantity_that_the_model_does_not_have_is_refused(product):
    with pytest.raises(ValueError, match="no unknown or output `uptkae`; did you mean `uptake`"):
        determined(product, "uptkae", key=jax.random.key(0))


def test_a_prediction_without_horizon_is_refused(product):
    with pytest.raises(ValueError, match="needs `hours`"):
        determined(product, "amount", key=jax.random.key(0))


def test_a_horizon_in_the_past_is_refused(product):
    with pytest.raises(ValueError, match="must be a number above 0 and at most 8,760"):
        identify(product, key=jax.random.key(0), hours=(-1.0,))


def test_a_record_without_measurement_is_refused():
    empty = tp.Record.admission()
    with pytest.raises(ValueError, match="no measurement of any output of model `Product`"):
        identify(Product(), empty, key=jax.random.key(0))


def test_a_missing_row_names_those_there_are(said):
    with pytest.raises(KeyError, match="uptake"):
        said["uptkae"]


def test_the_error_of_a_contraction_is_that_of_the_variance_of_normal_draws():
    draws = np.random.default_rng(0).normal(0.0, np.sqrt(0.4), (20_000, 50))  # of a prior with variance one
    found = np.std(1.0 - draws.var(axis=1))
    assert variance_error(0.6, 50) == pytest.approx(found, rel=0.05)  # the variance of 20 000 variances: 0.5 %
