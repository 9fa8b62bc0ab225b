import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jaxtyping import Array
from numpyro.infer.util import log_density
from scipy import stats

from tests.cases import OWN, Drift, Washout, drift_record, washout
from twinprob.inference.fit import fit
from twinprob.inference.joint import joint
from twinprob.modeling.model import quantity
from twinprob.modeling.observation import Gaussian, Observation, StudentT
from twinprob.modeling.process import RandomWalk
from twinprob.models.metabolic import ICING
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record
from twinprob.readers.examples import load_example

TIMES = np.array([0.0, 30.0, 60.0, 120.0])
VALUES = np.array([11.0, 7.5, 6.4, 3.0])
POSITION = np.array([math.log(0.012), math.log(9.0)])
NOTHING = Inputs({})


def record(values=VALUES, times=TIMES, weight=70.0):
    return Record.build({"amount": (times, values, "1")}, NOTHING, {"weight": (weight, "kg")}, own=OWN, start=0.0)


def observed(**limits):
    return {"amount": Observation(Gaussian(relative=0.1), **limits)}


def log_prior():
    """By hand: log-normal priors on the log scale are normal."""
    return stats.norm.logpdf(POSITION, [math.log(0.01), math.log(10.0)], 0.5).sum()


@pytest.fixture(scope="module")
def means():
    return washout(TIMES, 0.012, 9.0)


def test_the_density_equals_one_written_by_hand(means):
    expected = log_prior() + stats.norm.logpdf(VALUES, means, 0.1 * means).sum()
    np.testing.assert_allclose(joint(Washout(), record()).log_density(POSITION), expected, rtol=1e-9)


def test_the_density_equals_numpyros(means):
    density = joint(Washout(), record())
    values = density.constrain(POSITION)
    theirs, _ = log_density(density, (), {}, values)
    jacobian = POSITION.sum()  # from the log scale to the values
    np.testing.assert_allclose(density.log_density(POSITION), theirs + jacobian, rtol=1e-9)


def test_a_path_enters_the_density_as_a_random_walk():
    seen, values = drift_record(4)
    density = joint(Drift(), seen)
    place = np.linspace(-1.0, 1.0, density.size)
    start, kicks, first = place[0], place[1:-1], place[-1] + 5.0
    slopes = start + 0.01 * np.append(0.0, np.cumsum(kicks[1:4]))
    means = first + 60 * np.append(0.0, np.cumsum(slopes))
    expected = stats.norm.logpdf(start, 0, 0.02) + stats.norm.logpdf(kicks).sum() + stats.norm.logpdf(first, 5, 2)
    expected += stats.norm.logpdf(values, means, 0.5).sum()
    np.testing.assert_allclose(density.log_density(np.append(place[:-1], first)), expected, rtol=1e-9)


def test_padding_counts_for_nothing(means):
    density = joint(Washout(), record())
    places = density.constrain(POSITION)
    each = density.log_likelihood(places, density.means(places)[0])["amount"]
    assert np.all(np.asarray(each)[len(VALUES) :] == 0.0)


def test_a_missing_value_leaves_the_others_as_they_are(means):
    keep = [0, 1, 3]
    expected = log_prior() + stats.norm.logpdf(VALUES[keep], means[keep], 0.1 * means[keep]).sum()
    fewer = record(VALUES[keep], TIMES[keep])
    np.testing.assert_allclose(joint(Washout(), fewer).log_density(POSITION), expected, rtol=1e-9)


def test_a_value_below_the_detection_limit_counts_by_its_probability(means):
    density = joint(Washout(), record(), observations=observed(lower=4.0))
    expected = log_prior() + stats.norm.logpdf(VALUES[:3], means[:3], 0.1 * means[:3]).sum()
    expected += stats.norm.logcdf(4.0, means[3], 0.1 * means[3])
    np.testing.assert_allclose(density.log_density(POSITION), expected, rtol=1e-9)


def test_a_value_above_the_detection_limit_counts_by_its_probability(means):
    density = joint(Washout(), record(), observations=observed(upper=10.0))
    expected = log_prior() + stats.norm.logpdf(VALUES[1:], means[1:], 0.1 * means[1:]).sum()
    expected += stats.norm.logsf(10.0, means[0], 0.1 * means[0])
    np.testing.assert_allclose(density.log_density(POSITION), expected, rtol=1e-9)


def test_heavy_tails_censor_like_scipys(means):
    noise = {"amount": Observation(StudentT(relative=0.1), lower=4.0)}
    expected = log_prior() + stats.t.logpdf(VALUES[:3], 4.0, means[:3], 0.1 * means[:3]).sum()
    expected += stats.t.logcdf(4.0, 4.0, means[3], 0.1 * means[3])
    density = joint(Washout(), record(), observations=noise)
    np.testing.assert_allclose(density.log_density(POSITION), expected, rtol=1e-7)


def test_an_unknown_noise_size_is_a_site_of_its_own():
    noise = {"amount": Observation(Gaussian(relative=dist.LogNormal(math.log(0.1), 0.5)))}
    assert "amount_relative" in joint(Washout(), record(), observations=noise).sites()


def test_the_density_is_part_of_a_larger_program():
    inner = joint(Washout(), record())

    def program():
        numpyro.sample("other", dist.Normal(0.0, 1.0))
        first = numpyro.handlers.scope(inner, "bed_1", divider="/")()
        numpyro.sample("extra", dist.Normal(first["rate"], 0.1), obs=0.02)

    values = {"other": 0.3, "bed_1/rate": jnp.asarray(0.012), "bed_1/first": jnp.asarray(9.0)}
    whole, _ = log_density(program, (), {}, values)
    part, _ = log_density(inner, (), {}, {"rate": jnp.asarray(0.012), "first": jnp.asarray(9.0)})
    expected = part + stats.norm.logpdf(0.3) + stats.norm.logpdf(0.02, 0.012, 0.1)
    np.testing.assert_allclose(whole, expected, rtol=1e-9)


@pytest.fixture(scope="module")
def slope():
    """Value and gradient of a density with a path, a volatility and a noise size."""
    model = Drift().vary(slope=RandomWalk(sd=dist.LogNormal(math.log(0.01), 0.5)))
    noise = {"level": Observation(Gaussian(additive=dist.LogNormal(math.log(0.5), 0.5)))}
    density = joint(model, drift_record(4)[0], observations=noise)
    return density, eqx.filter_jit(lambda q: jax.value_and_grad(density.log_density)(q))


@pytest.mark.parametrize("place", [1e3, -1e3, np.nan, np.inf, 40.0, -40.0])
def test_value_and_gradient_are_finite_or_impossible_wherever_a_sampler_goes(slope, place):
    density, both = slope
    for i in (*range(density.size), slice(None)):
        position = np.zeros(density.size)
        position[i] = place
        value, gradient = both(position)
        assert np.all(np.isfinite(gradient))
        assert np.isfinite(value) or (value == -np.inf and not np.any(gradient))


def test_the_gradient_equals_finite_differences(slope):
    density, both = slope
    place = 0.1 * np.arange(density.size) / density.size
    steps = 1e-6 * np.eye(density.size)
    slow = [(both(place + s)[0] - both(place - s)[0]) / 2e-6 for s in steps]
    np.testing.assert_allclose(both(place)[1], slow, rtol=1e-5, atol=1e-4)


def test_another_patient_of_the_same_size_needs_no_new_compilation():
    density = eqx.filter_jit(lambda d, q: d.log_density(q))
    density(joint(Washout(), record()).traced(), POSITION)
    before = len(Washout.traces)
    other = joint(Washout().free(rate=dist.LogNormal(-4.0, 0.4)), record(2 * VALUES[:3], TIMES[:3], weight=90.0))
    again = joint(Washout().free(rate=dist.LogNormal(-4.5, 0.7)), record(VALUES[:3], TIMES[:3], weight=60.0))
    density(other.traced(), POSITION)
    middle = len(Washout.traces)
    density(again.traced(), POSITION)
    assert middle > before  # another structure of priors is another program
    assert len(Washout.traces) == middle


def test_an_observation_for_no_output_is_refused():
    with pytest.raises(ValueError, match="no output `amuont`; did you mean `amount`"):
        joint(Washout(), record(), observations={"amuont": Observation(Gaussian(relative=0.1))})


def test_covariates_come_from_the_record():
    density = joint(Washout(), record(weight=140.0))
    values = density.constrain(POSITION)
    np.testing.assert_allclose(density.means(values)[0]["amount"][0], 18.0, rtol=1e-9)


def test_positions_and_values_are_each_others_inverse(key):
    density = joint(Drift(), drift_record(4)[0])
    position = density.draw_prior(key)
    np.testing.assert_allclose(density.unconstrain(density.constrain(position)), position, rtol=1e-9)


def test_a_failed_solve_has_no_density():
    density = joint(dataclasses.replace(Washout()), record())
    assert density.log_density(np.array([40.0, 0.0])) == -np.inf


class Silent(Washout):
    """A washout that does not say how it is measured."""

    class Output(eqx.Module):
        amount: Array = quantity("1", "amount")


@pytest.mark.parametrize("ask", [joint, lambda *given: fit(*given, key=jax.random.key(0))])
def test_an_output_without_noise_is_refused_by_name(ask):
    with pytest.raises(
        ValueError, match=r'`amount` of model `Silent` is declared without noise.*observations=\{"amount"'
    ):
        ask(Silent(), record())


def test_an_output_without_noise_is_fitted_with_the_callers():
    assert joint(Silent(), record(), observations={"amount": Observation(Gaussian(additive=0.1))}).size == 2


def test_an_output_past_ten_times_what_is_plausible_is_out_of_reach():
    density = joint(ICING(), load_example("icu_glucose", stay=3).until("4 h"))
    # Plausible up to 80 mmol/L, so within reach up to 800.
    assert [bool(density.within_reach({"glucose": jnp.array([5.0, top])})) for top in (790.0, -810.0, 810.0)] == [
        True,
        False,
        False,
    ]


def test_an_output_uses_the_value_that_holds_until_it_is_measured():
    class Seen(Drift):
        def output(self, state, inputs):
            return self.Output(level=1000.0 * jnp.asarray(self.slope))

    times = np.array([30.0, 90.0, 150.0])
    seen = Record.build({"level": (times, np.ones(3), "1")}, NOTHING, own=OWN, start=0.0)
    with jax.enable_x64(True):
        density = joint(Seen(), seen)
        position = 0.1 * (1.0 + jnp.arange(density.size))
        values = density.constrain(position)
        path = np.asarray(density.paths(values)["slope"])
        means = np.asarray(density.means(values)[0]["level"])[:3]
    np.testing.assert_allclose(means, 1000.0 * path[:3], rtol=1e-12)
    assert len(set(path[:3].tolist())) == 3
