"""Values that repeat one another, and values whose charted time is not the time they were drawn."""

import dataclasses
import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array
from scipy.stats import norm

import twinprob as tp

NOISE, START, OWN = 0.4, 2.0, ("level",)
REPEATS = tp.Repeats(within=5.0, correlation=0.7)


class Ramp(tp.AbstractModel):
    """A level that rises steadily, in hours: 30 a day is 1.25 an hour."""

    time_unit = "h"
    step = 0.5

    class State(eqx.Module):
        """One."""

        level: Array = tp.quantity("1")

    class Input(eqx.Module):
        """None."""

    class Output(eqx.Module):
        """The level."""

        level: Array = tp.quantity("1", noise=tp.Observation(tp.Gaussian(additive=NOISE)))

    first: float = tp.parameter(dist.Normal(5.0, START), unit="1", source="test")
    rise: float = tp.parameter(dist.Normal(1.25, 0.5), known=True, unit="1/h", source="test")

    def initial(self, inputs):
        return self.State(jnp.asarray(self.first))

    def vector_field(self, time, state, inputs):
        return self.State(jnp.asarray(self.rise))

    def output(self, state, inputs):
        return self.Output(state.level)


TIMES = np.array([10.0, 12.0, 15.0, 60.0, 100.0, 104.0])


def record(values=None, times=TIMES):
    values = 5.0 + 1.25 * times / 60.0 + 0.3 * np.cos(times) if values is None else values
    return tp.Record.build({"level": (times, values, "1")}, tp.Inputs({}), own=OWN, start=0.0)


def how(**settings):
    return {"level": dataclasses.replace(tp.Observation(tp.Gaussian(additive=NOISE)), **settings)}


def closed_form(widths, values=None):
    """Return posterior mean and SD of the first level by conjugacy."""
    one = record(values)
    weights = 1.0 / (NOISE * np.asarray(widths)) ** 2
    away = one.observations["level"].values - 1.25 * TIMES / 60.0
    precision = 1.0 / START**2 + weights.sum()
    return (5.0 / START**2 + weights @ away) / precision, precision**-0.5


def test_repeats_widen_each_value_of_a_group_by_the_design_effect():
    expected = [math.sqrt(1 + 2 * 0.7)] * 3 + [1.0] + [math.sqrt(1.7)] * 2
    assert np.allclose(REPEATS.widths(TIMES), expected)


def test_values_as_far_apart_as_stated_are_still_repeats():
    assert np.allclose(REPEATS.widths(np.array([0.0, 5.0, 10.001])), [math.sqrt(1.7)] * 2 + [1.0])


def test_taken_one_by_one_they_carry_the_same_information_and_none_looks_ahead():
    turns = REPEATS.widths_in_turn(TIMES)
    assert np.sum(turns[:3] ** -2.0) == pytest.approx(np.sum(REPEATS.widths(TIMES)[:3] ** -2.0))
    assert np.array_equal(turns[:2], REPEATS.widths_in_turn(TIMES[:2]))
    assert turns[3] == 1.0


def test_the_information_is_that_of_equally_correlated_errors():
    covariance = NOISE**2 * (0.3 * np.eye(3) + 0.7)
    generalized = np.ones(3) @ np.linalg.solve(covariance, np.ones(3))
    assert np.sum((NOISE * REPEATS.widths(TIMES)[:3]) ** -2.0) == pytest.approx(generalized)


def test_the_density_is_the_normal_one_with_the_wider_noise():
    density = tp.joint(Ramp(), record(), observations=how(repeats=REPEATS))

    @jax.jit
    def log_likelihood(position):
        values = density.constrain(position)
        return density.log_likelihood(values, density.means(values)[0])["level"]

    found = np.asarray(log_likelihood(jnp.array([4.5])))[: len(TIMES)]
    expected = norm.logpdf(
        record().observations["level"].values, 4.5 + 1.25 * TIMES / 60.0, NOISE * REPEATS.widths(TIMES)
    )
    assert np.allclose(found, expected)


@pytest.mark.parametrize(
    ("settings", "widths"),
    [
        ({"repeats": REPEATS}, REPEATS.widths(TIMES)),
        ({"clock": 20.0}, np.full(6, math.hypot(NOISE, 20.0 * 1.25 / 60.0) / NOISE)),
        (
            {"clock": 20.0, "repeats": REPEATS},
            np.sqrt((NOISE * REPEATS.widths(TIMES)) ** 2 + (20.0 * 1.25 / 60.0) ** 2) / NOISE,
        ),
    ],
    ids=["repeats", "clock", "both"],
)
def test_a_fit_has_the_posterior_in_closed_form(settings, widths):
    sampled = tp.Laplace().sample(tp.joint(Ramp(), record(), observations=how(**settings)), key=jax.random.key(0))
    draws = sampled.positions.ravel()
    mean, sd = closed_form(widths)
    assert draws.mean() == pytest.approx(mean, abs=4 * sd / math.sqrt(1000))
    assert draws.std() == pytest.approx(sd, rel=4 / math.sqrt(2 * 1000))


SWAYING = 5.0 + 1.25 * TIMES / 60.0 + 0.1 * np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])


@pytest.fixture(scope="module", params=[{"repeats": REPEATS}, {"clock": 20.0}], ids=["repeats", "clock"])
def begun(request):
    """Settings, and the twin of the first value under them."""
    first, how_measured = record(SWAYING).until(TIMES[0]), how(**request.param)
    return request.param, tp.fit(Ramp(), first, observations=how_measured, key=jax.random.key(0))


@pytest.mark.slow
def test_an_update_value_by_value_reaches_the_same_belief(begun):
    (settings, twin), whole = begun, record(SWAYING)
    for i, (before, now) in enumerate(itertools.pairwise(TIMES)):
        twin = tp.update(twin, whole.between(before, now), key=jax.random.key(i + 1))
    widths = (
        REPEATS.widths_in_turn(TIMES)
        if "repeats" in settings
        else np.full(6, math.hypot(NOISE, 20.0 * 1.25 / 60.0) / NOISE)
    )
    mean, sd = closed_form(widths, SWAYING)
    draws = twin.group("posterior")["first"].values.ravel()
    assert draws.mean() == pytest.approx(mean, abs=5 * sd / math.sqrt(1000))
    assert draws.std() == pytest.approx(sd, rel=0.1)


def test_the_gradient_holds_where_the_noise_depends_on_the_slope():
    density = tp.joint(Ramp().free("rise"), record(), observations=how(clock=30.0))
    position, steps = np.array([4.8, 1.1]), 1e-6 * np.eye(2)
    both = jax.jit(jax.vmap(jax.value_and_grad(density.log_density)))
    values, slopes = both(jnp.asarray([position, *(position + steps), *(position - steps)]))
    for slope, above, below in zip(slopes[0], values[1:3], values[3:5], strict=True):
        assert float(slope) == pytest.approx(float(above - below) / 2e-6, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("settings", [{"clock": 60.0}, {"repeats": REPEATS}], ids=["clock", "repeats"])
def test_the_information_that_identify_uses_is_that_of_the_blurred_noise(settings):
    found = tp.information(Ramp(), record(), observations=how(**settings))
    widths = REPEATS.widths(TIMES) if "repeats" in settings else np.full(6, math.hypot(NOISE, 1.25) / NOISE)
    assert found.covariance[0, 0] == pytest.approx(closed_form(widths)[1] ** 2, rel=1e-6)


def test_settings_survive_saving(begun, tmp_path):
    settings, twin = begun
    twin.save(tmp_path / "twin.nc")
    assert tp.load(tmp_path / "twin.nc", own=(Ramp,)).observations["level"] == how(**settings)["level"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tp.Repeats(within=5.0, correlation=1.0), "`correlation` of `Repeats` must be .* below 1, but is 1"),
        (lambda: tp.Observation(tp.Gaussian(additive=1.0), clock=-1.0), "at least 0 and finite, but is -1"),
        (lambda: tp.Observation(tp.Multiplicative(0.1), clock=1.0), "`clock` needs noise in the output's unit"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
