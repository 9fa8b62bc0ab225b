import math

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import twinprob as tp
from tests.cases import OWN, Drift, Logistic, Washout, drift_posterior, drift_record
from tests.confounded import LOOSE, TIGHT, Product, product_record
from twinprob.diagnostics.information import information
from twinprob.inference.linearize import scalar_moments

HOURS = 10
NOTHING = tp.Record.admission()


@pytest.fixture(scope="module")
def drift():
    """What ten hours of a drifting level say, and the exact posterior."""
    record, values = drift_record(HOURS)
    return information(Drift(), record, horizons=[60.0 * (HOURS + 1)]), drift_posterior(values, HOURS)


def test_the_covariance_of_a_linear_model_is_that_of_its_posterior(drift):
    said, (_, covariance, _) = drift
    kept = [*range(HOURS + 1), -1]  # without the step after the last measurement, and padding
    np.testing.assert_allclose(said.covariance[np.ix_(kept, kept)], covariance, atol=1e-9)


def test_a_linear_model_is_linearized_at_its_posterior_mean(drift):
    said, (mean, _, _) = drift
    assert said.position[-1] == pytest.approx(mean[-1], abs=1e-7)


def test_the_contraction_of_a_linear_model_is_exact(drift):
    said, (_, covariance, _) = drift
    assert said.contraction()["first"][0] == pytest.approx(1 - covariance[-1, -1] / 2.0**2, abs=1e-7)


def test_the_contraction_of_a_path_counts_its_process(drift):
    said, (_, covariance, _) = drift
    last = np.concatenate([[1.0, 0.0], np.full(HOURS - 1, 0.01), [0.0]])
    before = 0.02**2 + (HOURS - 1) * 0.01**2
    assert said.contraction()["slope"][HOURS - 1] == pytest.approx(1 - last @ covariance @ last / before, abs=1e-7)


def test_the_contraction_of_a_prediction_is_exact(drift):
    said, (_, covariance, _) = drift
    # Level one hour on: every step so far moves all later hours, and one more step is still to come.
    ahead = np.concatenate([[60.0 * (HOURS + 1), 0.0], [60 * 0.01 * (HOURS + 1 - k) for k in range(1, HOURS)], [1.0]])
    prior = np.diag([0.02**2, *np.ones(HOURS), 2.0**2])
    step = (60 * 0.01) ** 2
    before, after = (ahead @ c @ ahead + step for c in (prior, covariance))
    assert said.predictions()["level"][0] == pytest.approx(1 - after / before, abs=1e-7)


def test_information_until_a_time_is_that_of_the_record_until_then(drift):
    said, _ = drift
    record, _ = drift_record(HOURS)
    early = information(Drift(), record.until(240.0))
    late = said.until(240.0).contraction()["first"][0]
    assert late == pytest.approx(early.contraction()["first"][0], abs=1e-9)


def test_contraction_over_time_never_falls(drift):
    said, _ = drift
    found = said.over_time(60.0 * np.arange(HOURS + 1))["first"]
    assert np.all(np.diff(found) > -1e-12)


def test_sensitivities_equal_finite_differences():
    times = np.array([10.0, 60.0, 200.0])
    record = tp.Record.build({"size": (times, np.full(3, 0.5), "1")}, tp.Inputs({}), own=OWN, start=0.0)
    said = information(Logistic(), record, at={"rate": 0.03, "first": 0.2})

    def size(log_rate, log_first):
        odds = np.exp(log_first) / (1 - np.exp(log_first)) * np.exp(np.exp(log_rate) * times)
        return odds / (1 + odds) / 0.1  # in noise standard deviations

    at, h = np.log([0.03, 0.2]), 1e-6
    by_rate = (size(at[0] + h, at[1]) - size(at[0] - h, at[1])) / (2 * h)
    by_first = (size(at[0], at[1] + h) - size(at[0], at[1] - h)) / (2 * h)
    # The step of the integration, not the derivative, limits the agreement.
    np.testing.assert_allclose(said.sensitivity, np.stack([by_rate, by_first], axis=1), rtol=2e-3)


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (tp.Gaussian(additive=2.0), 10.0**2 / 2.0**2),
        (tp.Gaussian(relative=0.1), (1 + 2 * 0.1**2) / 0.1**2),
        (tp.StudentT(additive=2.0, df=4.0), 10.0**2 / 2.0**2 * 5 / 7),
        (tp.Multiplicative(0.3), 1 / 0.3**2),
    ],
    ids=["normal", "normal with constant coefficient of variation", "Student t", "log-normal"],
)
def test_a_measurement_says_what_its_noise_allows(noise, expected):
    record = tp.Record.build({"amount": ([0.0, 50.0], [10.0, 6.0], "1")}, tp.Inputs({}), own=OWN, start=0.0)
    how = {"amount": tp.Observation(noise)}
    said = information(Washout(), record, at={"first": 10.0}, observations=how).until(0.0)
    assert said.matrix[1, 1] == pytest.approx(expected, rel=1e-6)


def test_values_say_how_large_their_noise_is():
    record, _ = drift_record(HOURS)
    how = {"level": tp.Observation(tp.Gaussian(additive=dist.LogNormal(0.0, 1.0)))}
    said = information(Drift(), record, observations=how)
    place = said.names.index("level_additive")
    assert said.matrix[place, place] == pytest.approx(2 * (HOURS + 1), rel=1e-8)  # 2 a value about log sd


def test_beyond_a_detection_limit_only_the_side_is_known():
    record = tp.Record.build({"amount": ([0.0, 50.0], [9.0, 6.0], "1")}, tp.Inputs({}), own=OWN, start=0.0)
    how = {"amount": tp.Observation(tp.Gaussian(additive=2.0), upper=10.0)}
    said = information(Washout(), record, at={"first": 10.0}, observations=how).until(0.0)
    # Half of the readings count fully, the other half as P(above) = 1/2: 1/2 + 1/2 (φ(0) / (1/2))².
    assert said.matrix[1, 1] == pytest.approx(25.0 * (0.5 + 1 / math.pi), rel=1e-4)


def test_a_value_read_at_its_limit_counts_by_its_side_alone():
    record = tp.Record.build({"amount": ([0.0, 50.0], [12.0, 6.0], "1")}, tp.Inputs({}), own=OWN, start=0.0)
    how = {"amount": tp.Observation(tp.Gaussian(additive=2.0), upper=10.0)}
    said = information(Washout(), record, at={"first": 10.0}, observations=how).until(0.0)
    # -d²/dm² log Φ((m - 10) / 2) at m = 10: (φ(0) / Φ(0))² / 2².
    assert said.matrix[1, 1] == pytest.approx(25.0 * 2 / math.pi, rel=1e-9)


def test_a_value_at_its_limit_counts_under_log_normal_noise_too():
    record = tp.Record.build({"amount": ([0.0, 50.0], [12.0, 6.0], "1")}, tp.Inputs({}), own=OWN, start=0.0)
    how = {"amount": tp.Observation(tp.Multiplicative(0.3), upper=10.0)}
    said = information(Washout(), record, at={"first": 10.0}, observations=how).until(0.0)
    # -m² d²/dm² log Φ(log(m / 10) / 0.3) at m = 10, where φ(0) / Φ(0) = √(2/π).
    assert said.matrix[1, 1] == pytest.approx(2 / math.pi / 0.3**2 + math.sqrt(2 / math.pi) / 0.3, rel=1e-9)


def test_a_planned_measurement_says_what_it_will_say_once_made():
    made = information(Product(), product_record(), at={"uptake": 0.03})
    planned = information(
        Product(), NOTHING, planned={"amount": product_record().observations["amount"].times}, at={"uptake": 0.03}
    )
    np.testing.assert_allclose(planned.matrix, made.matrix, rtol=1e-9)


def test_a_plan_is_added_to_what_was_measured():
    record = product_record()
    more = information(Product(), record, planned={"amount": [200.0, 300.0]}, at={"uptake": 0.03})
    assert len(more.times) == len(record.observations["amount"].times) + 2


def test_two_parameters_of_a_product_are_collinear():
    said = information(Product(), product_record())
    assert said.collinearity("uptake", "fraction") > 1e5


def test_parameters_that_move_outputs_in_unlike_ways_are_not_collinear():
    record = tp.Record.build({"amount": ([0.0, 50.0], [10.0, 6.0], "1")}, tp.Inputs({}), own=OWN, start=0.0)
    how = {"amount": tp.Observation(tp.Gaussian(additive=1.0))}
    said = information(Washout(), record, at={"first": 10.0, "rate": 0.01}, observations=how)
    first = np.array([10.0, 10.0 * math.exp(-0.5)])
    rate = np.array([0.0, -0.5 * 10.0 * math.exp(-0.5)])
    cosine = abs(first @ rate) / np.linalg.norm(first) / np.linalg.norm(rate)
    assert said.collinearity("rate", "first") == pytest.approx(1 / math.sqrt(1 - cosine), rel=1e-3)


def test_the_share_that_another_parameter_explains_follows_from_its_prior():
    said = information(Product(), product_record())
    whole = said.matrix[0, 0]
    # Both columns are the same; the partner may move by its prior.
    assert said.confounding("uptake", "fraction") == pytest.approx(1 - 1 / (1 + whole * TIGHT**2), rel=1e-6)


def test_without_priors_parameters_of_a_product_have_no_standard_error():
    alone = information(Product(), product_record()).standard_errors(prior=False)
    assert [float(alone[name][0]) for name in ("uptake", "fraction")] == [math.inf, math.inf]


def test_the_spectrum_of_a_product_has_one_direction():
    values, directions = information(Product(), product_record()).spectrum()
    assert values[1] < 1e-6 * values[0]
    np.testing.assert_allclose(np.abs(directions[0]), np.array([LOOSE, TIGHT]) / math.hypot(LOOSE, TIGHT), rtol=1e-6)


def test_moments_of_a_bounded_prior_are_those_of_its_logit():
    mean, variance = scalar_moments(dist.Uniform(0.0, 1.0))
    assert (mean, variance) == pytest.approx((0.0, math.pi**2 / 3), abs=1e-6)  # the logistic distribution


def test_moments_of_a_scale_prior_are_those_of_its_logarithm():
    _, variance = scalar_moments(dist.Gamma(3.0, 2.0))
    assert variance == pytest.approx(float(jax.scipy.special.polygamma(1, 3.0)), rel=1e-6)


def test_a_design_without_observation_is_refused():
    with pytest.raises(ValueError, match="holds no observation of model `Washout`"):
        information(Washout(), NOTHING)


def test_a_plan_for_an_output_that_the_model_does_not_have_is_refused():
    with pytest.raises(ValueError, match="no output `amuont`; did you mean `amount`"):
        information(Washout(), NOTHING, planned={"amuont": [60.0]})


def test_a_point_for_a_parameter_that_the_model_does_not_have_is_refused():
    with pytest.raises(ValueError, match="no unknown parameter `speed`"):
        information(Washout(), NOTHING, planned={"amount": [60.0]}, at={"speed": 1.0})


def test_collinearity_refuses_a_path(drift):
    with pytest.raises(ValueError, match="`slope` varies in time"):
        drift[0].collinearity("slope", "first")


def test_a_record_for_a_model_is_required():
    with pytest.raises(ValueError, match="a model and a `record`"):
        information(Washout())


def test_information_shows_itself():
    assert "standard error" in information(Product(), product_record())._repr_html_()


def test_the_prior_is_read_once_for_all(drift):
    said, _ = drift
    assert jnp.allclose(said.prior_variance[0], 0.02**2)
