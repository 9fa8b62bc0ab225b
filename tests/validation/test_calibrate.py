from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
import scipy.stats
from arviz_stats.ecdf_utils import compute_ecdf, get_pointwise_confidence_band, simulate_confidence_bands
from jaxtyping import Array

from tests.tank import OWN, Tank
from twinprob import AbstractModel, Gaussian, Laplace, Observation, Record, parameter, quantity
from twinprob.inference.fit import fit
from twinprob.inference.joint import joint
from twinprob.inference.methods.sampled import Sampled
from twinprob.modeling.process import RandomWalk
from twinprob.models.metabolic import ICING, MinimalModel
from twinprob.validation.calibrate import Calibration, _compact, calibrate
from twinprob.validation.uniformity import stray

TIMES = np.array([0.0, 60.0, 120.0, 180.0])


class Constant(AbstractModel):
    """A constant level with normal prior and noise: the posterior is known."""

    time_unit = "min"
    step = 60.0

    class State(eqx.Module):
        level: Array = quantity("mmol/L")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        glucose: Array = quantity("mmol/L", noise=Observation(Gaussian(additive=1.0)))

    base: float = parameter(dist.Normal(10.0, 1.0), unit="mmol/L", source="test")

    def initial(self, inputs):
        return self.State(level=jnp.asarray(self.base))

    def vector_field(self, time, state, inputs):
        return self.State(level=0.0 * state.level)

    def output(self, state, inputs):
        return self.Output(glucose=state.level)


class Conjugate(eqx.Module):
    """Draws from the closed-form posterior of `Constant`, its standard deviation and mean distorted on demand."""

    stretch: float = 1.0
    shift: float = 0.0

    def sample(self, joint, *, key, progress=None):
        data = joint.data["glucose"]
        count = data.present.sum()
        variance = 1.0 / (1.0 + count)
        mean = variance * (10.0 + np.sum(np.where(data.present, data.values, 0.0)))
        z = np.asarray(jax.random.normal(key, (1, 400, 1)))
        positions = mean + self.shift + self.stretch * np.sqrt(variance) * z
        return Sampled(positions, {}, 0.0, 400.0, (), 0, 400, "Conjugate")


DESIGN = Record.build({"glucose": (TIMES, np.full(4, 10.0), "mmol/L")})


def run(method, replicates=150, model=None, hours=(1.0,), **settings):
    model = Constant() if model is None else model
    return calibrate(
        model, record_like=DESIGN, replicates=replicates, method=method, hours=hours, key=jax.random.key(5), **settings
    )


@pytest.fixture(scope="module")
def right():
    return run(Conjugate())


def test_the_exact_posterior_is_calibrated(right):
    assert right.calibrated()
    assert right.summary()["inside"].all()


@pytest.mark.parametrize("wrong", [Conjugate(stretch=0.5), Conjugate(stretch=2.0), Conjugate(shift=0.3)])
def test_a_wrong_posterior_is_not_calibrated(wrong):
    found = run(wrong)
    assert not found.calibrated()
    assert not found.summary().loc["base", "inside"]


@pytest.mark.parametrize(("stretch", "level"), [(1.0, 0.9), (0.5, 0.9), (1.0, 0.5)])
def test_coverage_is_that_of_the_closed_form(stretch, level):
    found = run(Conjugate(stretch=stretch)).coverage(level)["base"]
    expected = 2 * scipy.stats.norm.cdf(stretch * scipy.stats.norm.ppf(0.5 + level / 2)) - 1
    assert found == pytest.approx(expected, abs=4.5 * np.sqrt(expected * (1 - expected) / 150) + 0.01)


def test_a_forecast_from_too_wide_a_posterior_is_not_calibrated():
    assert not run(Conjugate(stretch=4.0)).summary().loc["glucose_in_1h", "inside"]


def test_the_exact_forecast_is_calibrated(right):
    assert right.summary().loc["glucose_in_1h", "inside"]


@pytest.mark.slow
def test_a_way_through_fit_and_forecast_is_calibrated_like_a_method():
    settings = Laplace(starts=2, chains=1, draws=200, proposals=500, rounds=1)

    def twin_of(record, key):
        assert not np.array_equal(record.observations["glucose"].values, DESIGN.observations["glucose"].values)
        return fit(Constant(), record, key=key, method=settings)

    found = run(None, replicates=30, twin_of=twin_of)
    assert set(found.p_values.index) == {"base", "glucose_in_1h"}
    assert found.calibrated()


@pytest.mark.slow
def test_ranks_of_the_prior_itself_are_uniform_for_a_path_too():
    wandering = Constant().vary(base=RandomWalk(sd=1.0, every="1 h"))

    class Prior(eqx.Module):
        def sample(self, joint, *, key, progress=None):
            positions = jax.vmap(joint.draw_prior)(jax.random.split(key, 200))[None]
            return Sampled(np.asarray(positions), {}, 0.0, 200.0, (), 0, 200, "Prior")

    found = run(Prior(), model=wandering)
    # Without data the posterior is the prior; the past path and the forecast must not know the truth.
    assert {"base_first", "base_middle", "base_now", "base_start", "glucose_in_1h"} == set(found.p_values.index)
    assert found.calibrated()


def test_the_group_is_what_arviz_plots(right):
    group = right.tree["prior_sbc"]
    assert group["base"].dims == ("chain", "draw")
    assert group["base"].shape == (1, 150)
    values = group["base"].values
    assert 0 < values.min() < values.max() < 1


def test_the_verdict_agrees_with_the_envelope_of_arviz():
    generator = np.random.default_rng(1)
    points = np.arange(1, 100) / 100
    null = np.sort([stray(generator.uniform(size=100)) for _ in range(4000)])
    inner = simulate_confidence_bands(100, 1, points, 0.99, 4000, generator)
    low, high = get_pointwise_confidence_band(inner, 100, points)
    agreed = 0
    for power in np.linspace(0.6, 1.4, 41):
        values = generator.uniform(size=100) ** power
        ecdf = compute_ecdf(values, points)
        inside = bool(np.all((ecdf >= low) & (ecdf <= high)))
        agreed += inside == (np.searchsorted(null, stray(values), side="right") / 4000 > 0.01)
    assert agreed >= 38


def test_a_draw_equal_to_the_truth_counts_half_on_average():
    from twinprob.validation.calibrate import _rank

    chance = np.random.default_rng(2)
    found = np.mean([_rank(1.0, np.array([0.0, 1.0, 1.0, 2.0]), chance) for _ in range(2000)])
    assert found == pytest.approx(2.0, abs=4.5 * np.sqrt(2 / 3 / 2000))


def test_values_beyond_a_detection_limit_are_censored_in_the_simulated_data():
    seen = []

    class Watching(Conjugate):
        def sample(self, joint, *, key, progress=None):
            data = joint.data["glucose"]
            seen.append((data.values[data.present], data.limits[data.present]))
            return super().sample(joint, key=key)

    run(Watching(), replicates=20, observations={"glucose": Observation(Gaussian(additive=1.0), lower=10.0)})
    values, limits = (np.concatenate(part) for part in zip(*seen, strict=True))
    assert values.min() == 10.0
    assert np.array_equal(limits == -1, values == 10.0)
    assert 0.2 < np.mean(limits == -1) < 0.8


def test_a_fit_that_fails_is_counted():
    class Fragile(Conjugate):
        def sample(self, joint, *, key, progress=None):
            if joint.data["glucose"].values[0] > 10.0:
                raise RuntimeError("no start")
            return super().sample(joint, key=key)

    found = run(Fragile(), replicates=20)
    failed = int(found.judged["failed"].sum())
    assert 0 < failed < 20
    assert found.tree["prior_sbc"]["base"].size == 20 - failed


def test_truths_that_cannot_be_solved_are_drawn_again():
    class Sometimes(Constant):
        def vector_field(self, time, state, inputs):
            return self.State(level=jnp.where(self.base > 10.0, 1e60, 0.0))

    found = run(Conjugate(), replicates=20, model=Sometimes())
    assert found.redrawn > 0
    assert found.tree["truth"]["base"].values.max() <= 10.0


def test_a_design_without_outputs_is_refused():
    design = Record.build({"c_peptide": ([0.0], [1.0], "nmol/L")})
    with pytest.raises(ValueError, match="holds no measurement of the model's outputs"):
        calibrate(Constant(), record_like=design, key=jax.random.key(0))


def test_hours_must_increase():
    with pytest.raises(ValueError, match="`hours` must be positive and strictly increasing"):
        run(Conjugate(), hours=(2.0, 1.0))


@pytest.mark.slow
@pytest.mark.parametrize("model", [ICING(), MinimalModel()], ids=["ICING", "MinimalModel"])
def test_laplace_is_calibrated_for_the_bundled_models(model):
    times, insulin = (
        np.array([4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 180.0]),
        np.array([90.0, 50.0, 40.0, 45.0, 20.0, 9.0, 7.0]),
    )
    glucose = np.full(7, 150.0)
    design = Record.build({"glucose": (times, glucose, "mg/dL"), "plasma_insulin": (times, insulin, "mU/L")}, start=4.0)
    found = calibrate(model, record_like=design, replicates=60, method=Laplace(), hours=(1.0,), key=jax.random.key(6))
    assert found.calibrated()


# ---- without padding -------------------------------------------------------------------------------------------------

SEVERAL = Record.build(
    {
        "level": ([0.0, 30.0, 60.0], [5.0, 250.0, 6.0], "1"),
        "double": ([0.0, 60.0], [11.0, 10.0], "1"),
    },
    own=OWN,
)
LIMITED = {"level": Observation(Gaussian(additive=3.0), upper=100.0)}


@pytest.mark.slow
def test_without_padding_the_density_and_its_slope_are_the_same():
    padded = joint(Tank(), SEVERAL, observations=LIMITED)
    short = _compact(padded)
    with jax.enable_x64(True):
        positions = jax.vmap(padded.draw_prior)(jax.random.split(jax.random.key(0), 5))
        both = [jax.jit(jax.vmap(jax.value_and_grad(one.log_density))) for one in (padded, short)]
        expected, found = (one(positions) for one in both)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9, atol=1e-9)


def test_without_padding_nothing_is_left_that_was_not_measured():
    short = _compact(joint(Tank(), SEVERAL, observations=LIMITED))
    assert {name: data.present.tolist() for name, data in short.data.items()} == {
        "level": [True] * 3,
        "double": [True] * 2,
    }


def test_sizes_given_by_measurement_keep_their_padding():
    each = {"level": Observation(Gaussian(additive=np.array([1.0, 2.0, 3.0])))}  # type: ignore[arg-type]
    padded = joint(Tank(), SEVERAL, observations=each)
    assert _compact(padded) is padded


@pytest.mark.parametrize(("smallest", "passes"), [(0.005, True), (0.003, False)])
def test_many_quantities_pass_together_if_the_worst_does_for_their_number(smallest, passes):
    # Bonferroni: at 1 % for three quantities, each may be as improbable as .33 %.
    found: Any = SimpleNamespace(p_values=pd.Series([smallest, 0.5, 0.9]))
    assert Calibration.calibrated(found, ci_prob=0.99) is passes
