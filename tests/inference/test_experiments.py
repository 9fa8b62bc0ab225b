"""Several experiments in one posterior: against the conjugate one, and as twins that forecast, save and refuse."""

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
from twinprob.inference.together import together

NOISE, OWN = 0.4, ("level", "other")
TIMES = {"low": np.array([0.0, 60.0, 120.0]), "high": np.array([30.0, 90.0, 150.0, 240.0])}


class Line(tp.AbstractModel):
    """A level that rises steadily from where it began, in hours, read by two meters."""

    time_unit = "h"
    step = 0.5

    class State(eqx.Module):
        level: Array = tp.quantity("1")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        level: Array = tp.quantity("1", noise=tp.Observation(tp.Gaussian(additive=NOISE)))
        other: Array = tp.quantity("1", noise=tp.Observation(tp.Gaussian(additive=NOISE)))

    rise: float = tp.parameter(dist.Normal(1.0, 0.5), unit="1/h", source="test")
    first: float = tp.parameter(dist.Normal(5.0, 2.0), origin=True, unit="1", source="test")

    def initial(self, inputs):
        return self.State(jnp.asarray(self.first))

    def vector_field(self, time, state, inputs):
        return self.State(jnp.asarray(self.rise))

    def output(self, state, inputs):
        return self.Output(state.level, 2.0 * state.level)


def record(name, start, noise=NOISE, other=False):
    times = TIMES[name]
    values = start + 1.3 * times / 60.0 + noise * np.cos(3.0 * times)
    seen = {"level": (times, values, "1")} | ({"other": (times, 2.0 * values, "1")} if other else {})
    return tp.Record.build(seen, own=OWN, start=0.0)


RECORDS = {"low": record("low", 3.0), "high": record("high", 6.0)}


def conjugate(shared_start=False):
    """Posterior mean and covariance of rise, and of the start of each (or of the one they share)."""
    starts = {"low": 1, "high": 1 if shared_start else 2}
    size = 1 + len(set(starts.values()))
    precision = np.diag([1 / 0.5**2] + [1 / 2.0**2] * (size - 1))
    right = precision @ np.array([1.0] + [5.0] * (size - 1))
    for name, one in RECORDS.items():
        rows = np.zeros((len(TIMES[name]), size))
        rows[:, 0], rows[:, starts[name]] = TIMES[name] / 60.0, 1.0
        precision = precision + rows.T @ rows / NOISE**2
        right = right + rows.T @ one.observations["level"].values / NOISE**2
    covariance = np.linalg.inv(precision)
    return covariance @ right, covariance


@pytest.fixture(scope="module")
def fitted():
    return tp.fit(Line(), RECORDS, key=jax.random.key(0))


def test_the_joint_posterior_is_the_conjugate_one(fitted):
    mean, covariance = conjugate()
    shown = fitted.posterior
    draws = np.stack(
        [shown["rise"].values.ravel(), *(shown["first"].sel(experiment=n).values.ravel() for n in RECORDS)]
    )
    assert fitted.own == ("first",)
    error = 5.0 * np.sqrt(np.diag(covariance) / fitted["low"].effective_draws)
    assert np.all(np.abs(draws.mean(axis=1) - mean) < error)
    found, exact = np.corrcoef(draws), covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert np.allclose(found, exact, atol=5.0 / math.sqrt(fitted["low"].effective_draws))
    assert np.allclose(draws.var(axis=1), np.diag(covariance), rtol=5.0 * math.sqrt(2.0 / 1000))


def test_what_is_shared_has_one_value_in_every_draw(fitted):
    low, high = (fitted[name].tree["posterior"] for name in RECORDS)
    assert np.array_equal(low["rise"], high["rise"])
    assert not np.array_equal(low["first"], high["first"])


@eqx.filter_jit
def log_density(density, position):
    return density.log_density(position)


def density_of(**shares):
    return together({name: tp.joint(Line(), one) for name, one in RECORDS.items()}, **shares)


def test_a_start_may_be_shared_and_a_rise_owned():
    density = density_of(shared=("first",), own=("rise",))
    assert list(density.sites()) == ["rise[high]", "first", "rise[low]"]
    values = {"rise[high]": 1.1, "rise[low]": 0.9, "first": 4.0}
    exact = norm.logpdf(4.0, 5.0, 2.0) + norm.logpdf([1.1, 0.9], 1.0, 0.5).sum()
    for name, rise in (("high", 1.1), ("low", 0.9)):
        seen = RECORDS[name].observations["level"].values
        exact += norm.logpdf(seen, 4.0 + rise * TIMES[name] / 60.0, NOISE).sum()
    assert float(log_density(density, density.unconstrain(values))) == pytest.approx(exact, rel=1e-5)


def test_each_experiment_is_forecast_and_diagnosed_by_its_twin(fitted):
    ahead = {name: tp.forecast(fitted[name], hours=1, key=jax.random.key(1)) for name in RECORDS}
    last = {
        name: float(one.tree["predicted_outputs"]["level"].mean(("chain", "draw"))[-1]) for name, one in ahead.items()
    }
    mean, _ = conjugate()
    for place, name in enumerate(RECORDS, start=1):
        assert last[name] == pytest.approx(mean[place] + mean[0] * (TIMES[name][-1] / 60 + 1), abs=0.1)
    assert tp.diagnose(fitted["high"]).verdict == "trustworthy"


def test_experiments_are_saved_and_loaded_bit_for_bit(fitted, tmp_path):
    fitted.save(tmp_path / "two.nc")
    again = tp.load_experiments(tmp_path / "two.nc", model=Line)
    assert list(again) == list(fitted)
    assert again.own == fitted.own
    for name in fitted:
        assert again[name].record == fitted[name].record
        assert again[name].tree["posterior"].to_dataset().identical(fitted[name].tree["posterior"].to_dataset())
    assert repr(again) == repr(fitted)
    assert "rise" in repr(again)
    assert "first[low]" in repr(again)
    with pytest.raises(ValueError, match=r"it holds experiments: read it with `tp.load_experiments`"):
        tp.load(tmp_path / "two.nc", model=Line)


def test_an_update_that_would_forget_the_others_is_refused(fitted):
    later = tp.Record.build({"level": ([300.0], [9.0], "1")}, own=OWN, start=0.0)
    with pytest.raises(ValueError, match="fitted together with others"):
        tp.update(fitted["low"], later, key=jax.random.key(0))


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"own": ("rize",)}, r"No experiment has an unknown `rize` .* did you mean `rise`"),
        ({"own": ("rise",), "shared": ("rise",)}, "`rise` stands in `shared` and in `own`"),
    ],
)
def test_what_cannot_be_shared_is_named(shares, message):
    with pytest.raises(ValueError, match=message):
        density_of(**shares)


def test_a_path_cannot_be_shared():
    moving = Line().vary(rise=tp.RandomWalk(sd=0.1))
    members = {name: tp.joint(moving, one) for name, one in RECORDS.items()}
    assert together(members).own == ("first", "rise_innovations", "rise_start")
    with pytest.raises(ValueError, match="`rise` moves in time, and each experiment has a time of its own"):
        together(members, shared=("rise",))


def test_one_record_has_nothing_to_share(key):
    with pytest.raises(ValueError, match="speak of several experiments"):
        tp.fit(Line(), RECORDS["low"], own=("rise",), key=key)


def test_experiments_have_names(key):
    with pytest.raises(ValueError, match="Experiments are records by name"):
        tp.fit(Line(), {"a/b": RECORDS["low"]}, key=key)


UNKNOWN = tp.Observation(tp.Gaussian(additive=dist.LogNormal(-1.0, 0.5)))
ASSAY = tp.Observation(tp.Gaussian(additive=dist.LogNormal(-1.0, 0.5)), meter="assay")


def test_outputs_of_one_meter_share_the_size_of_their_noise():
    density = tp.joint(Line(), record("low", 3.0, other=True), observations={"level": ASSAY, "other": ASSAY})
    assert list(density.sites()) == ["rise", "first", "assay_additive"]
    values = {"rise": 1.2, "first": 3.1, "assay_additive": 0.3}
    times = TIMES["low"] / 60.0
    seen = density.data["level"].values[: len(times)]
    exact = norm.logpdf(seen, 3.1 + 1.2 * times, 0.3).sum() + norm.logpdf(2 * seen, 2 * (3.1 + 1.2 * times), 0.3).sum()
    exact += norm.logpdf([1.2, 3.1, math.log(0.3)], [1.0, 5.0, -1.0], [0.5, 2.0, 0.5]).sum()
    assert float(log_density(density, density.unconstrain(values))) == pytest.approx(exact, rel=1e-5)


def test_sizes_stand_at_one_place_inside_and_outside_of_compiled_code():
    """Compiled code knows mappings in alphabetical order, whatever the order of declaration."""
    sizes = {
        "other": tp.Observation(tp.Gaussian(additive=dist.LogNormal(0.0, 0.1))),
        "level": tp.Observation(tp.Gaussian(additive=dist.LogNormal(-2.0, 0.1))),
    }
    density = tp.joint(Line(), record("low", 3.0, other=True), observations=sizes)
    position = density.unconstrain({"rise": 1.0, "first": 3.0, "level_additive": 0.2, "other_additive": 1.0})
    level, seen = 3.0 + TIMES["low"] / 60.0, density.data["level"].values[: len(TIMES["low"])]
    exact = norm.logpdf(seen, level, 0.2).sum() + norm.logpdf(2 * seen, 2 * level, 1.0).sum()
    exact += norm.logpdf([1.0, 3.0, math.log(0.2), 0.0], [1.0, 5.0, -2.0, 0.0], [0.5, 2.0, 0.1, 0.1]).sum()
    assert float(log_density(density, position)) == pytest.approx(exact, rel=1e-5)


def test_noise_sizes_are_shared_by_experiments_unless_owned():
    members = {name: tp.joint(Line(), one, observations={"level": UNKNOWN}) for name, one in RECORDS.items()}
    assert list(together(members).sites()) == ["rise", "first[high]", "level_additive", "first[low]"]
    assert "level_additive[low]" in together(members, own=("level_additive",)).sites()
