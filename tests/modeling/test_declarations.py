import math
import types
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats
from jaxtyping import Array

import twinprob as tp
from twinprob.modeling.declarations import median, require_complete
from twinprob.models.metabolic import ICING

FEED = tp.Inputs.constant(own=("feed",), feed=(0.1, "mmol/min"))
RATE = dist.LogNormal(-3.0, 0.5)


class Tank(tp.AbstractModel):
    """One compartment."""

    step = 5.0

    class State(eqx.Module):
        amount: Array = tp.quantity("mmol", "amount")

    class Input(eqx.Module):
        feed: Array = tp.quantity("mmol/min", "feed")

    class Output(eqx.Module):
        level: Array = tp.quantity(
            "mmol/L", "level", noise=tp.Observation(tp.Gaussian(additive=dist.LogNormal(-2.0, 0.5)))
        )

    rate: float = tp.parameter(RATE, unit="1/min", source="setting")

    def initial(self, inputs):
        return self.State(amount=inputs.feed / self.rate)

    def vector_field(self, time, state, inputs):
        return self.State(amount=inputs.feed - self.rate * state.amount)

    def output(self, state, inputs):
        return self.Output(level=state.amount / 10.0)


def declared(**fields):
    """Read a class with further parameters of these names."""
    space = {"__module__": __name__, "__doc__": "A tank.", "__annotations__": dict.fromkeys(fields, float), **fields}
    return types.new_class("Other", (Tank,), exec_body=lambda given: given.update(space))


def parameter():
    return tp.parameter(RATE, unit="1", source="setting")


@pytest.mark.parametrize("name", ["step", "prior", "priors", "unknown", "vector_field", "time_unit", "State"])
def test_a_name_that_every_model_has_is_refused_when_the_class_is_read(name):
    with pytest.raises(ValueError, match=f"declares `{name}`, a name that every model has already"):
        declared(**{name: parameter()})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rate_start", "part of the path of `rate`"),
        ("rate_volatility", "part of the path of `rate`"),
        ("level_additive", "the unknown size of the noise of `level`"),
        ("draw", "a dimension of every table"),
    ],
)
def test_a_name_that_the_library_gives_itself_is_refused(name, message):
    with pytest.raises(ValueError, match=f"Parameter `{name}` of model `Other` has the name of {message}"):
        declared(**{name: parameter()})


def test_a_covariate_has_no_name_that_is_taken_either():
    with pytest.raises(ValueError, match="declares `motions`"):
        declared(motions=tp.covariate("kg", value=70.0))


@pytest.mark.parametrize(
    ("prior", "oracle"),
    [
        (dist.Normal(2.0, 3.0), scipy.stats.norm(2.0, 3.0)),
        (dist.LogNormal(0.5, 0.3), scipy.stats.lognorm(0.3, scale=math.exp(0.5))),
        (dist.HalfNormal(2.0), scipy.stats.halfnorm(scale=2.0)),
        (dist.HalfCauchy(2.0), scipy.stats.halfcauchy(scale=2.0)),
        (dist.LogUniform(0.01, 4.0), scipy.stats.loguniform(0.01, 4.0)),
        (dist.Uniform(-1.0, 4.0), scipy.stats.uniform(-1.0, 5.0)),
        (dist.Exponential(3.0), scipy.stats.expon(scale=1 / 3)),
        (dist.Gamma(2.5, 3.0), scipy.stats.gamma(2.5, scale=1 / 3)),
        (dist.InverseGamma(2.5, 3.0), scipy.stats.invgamma(2.5, scale=3.0)),
        (dist.Beta(2.0, 5.0), scipy.stats.beta(2.0, 5.0)),
        (dist.StudentT(4.0, 1.0, 2.0), scipy.stats.t(4.0, 1.0, 2.0)),
        (dist.Gumbel(1.0, 2.0), scipy.stats.gumbel_r(1.0, 2.0)),
        (dist.Weibull(2.0, 1.5), scipy.stats.weibull_min(1.5, scale=2.0)),
        (dist.Pareto(2.0, 1.5), scipy.stats.pareto(1.5, scale=2.0)),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, dist.Distribution) else "",
)
def test_a_parameter_stands_at_the_median_of_its_prior(prior, oracle):
    assert median(prior) == pytest.approx(oracle.median(), rel=1e-9)


def test_a_prior_without_a_median_leaves_no_value_to_simulate_with():
    model = declared(other=tp.parameter(dist.TruncatedNormal(0.0, 1.0, low=0.3), unit="1", source="setting"))()
    with pytest.raises(ValueError, match=r"Parameter `other` .* has no value: .* `model.fix\(other=…\)`"):
        tp.simulate(model, FEED, [0.0, 60.0])
    assert bool(tp.simulate(model.fix(other=1.0), FEED, [0.0, 60.0]).solved)


def changed(**methods):
    """Return a tank with other methods."""
    space = {"__module__": __name__, "__doc__": "A tank.", **methods}
    return types.new_class("Other", (Tank,), exec_body=lambda given: given.update(space))()


@pytest.mark.parametrize(
    ("method", "returns", "message"),
    [
        ("vector_field", lambda self, time, state, inputs: (state.amount,), "returns a `tuple`: write"),
        ("vector_field", lambda self, time, state, inputs: None, "returns nothing: write `return self.State"),
        ("output", lambda self, state, inputs: state.amount, "must return a `Output`"),
        ("output", lambda self, state, inputs: "level", "must return a `Output`"),
        ("initial", lambda self, inputs: {"amount": inputs.feed}, "must return a `State`, but returns a `dict`"),
    ],
)  # fmt: skip
def test_equations_that_return_something_else_are_named(method, returns, message):
    with pytest.raises(TypeError, match=f"`{method}` of model `Other` .*{message}"):
        tp.simulate(changed(**{method: returns}), FEED, [0.0, 60.0])


def test_a_state_that_is_an_array_is_refused_by_name():
    model = changed(initial=lambda self, inputs: self.State(amount=jnp.zeros(3)))
    with pytest.raises(ValueError, match=r"`initial` .* returns `amount` as an array of shape \(3,\)"):
        tp.simulate(model, FEED, [0.0, 60.0])


def test_a_model_that_lacks_a_part_is_told_which():
    class Bare(tp.AbstractModel):
        rate: float = tp.parameter(RATE, unit="1/min", source="setting")

    with pytest.raises(ValueError, match="Model `Bare` has no class `State`"):
        require_complete(Bare())

    class Stepless(Tank):
        step = None  # type: ignore[assignment]

    with pytest.raises(ValueError, match="Model `Stepless` has no `step`"):
        require_complete(Stepless())

    class Silent(Tank):
        output = tp.AbstractModel.output

    with pytest.raises(TypeError, match="Model `Silent` has no method `output`"):
        require_complete(Silent())


def test_a_model_is_looked_at_before_it_is_fitted(key):
    record = tp.Record.build({"level": ([0.0, 30.0, 60.0], [0.2, 0.2, 0.2], "mmol/L")}, FEED, own=("level", "feed"))
    model = changed(vector_field=lambda self, time, state, inputs: (state.amount,))
    with pytest.raises(TypeError, match="must return a `State`"):
        tp.fit(model, record, key=key)


def test_a_model_says_what_it_is_in_five_lines():
    said = repr(ICING()).splitlines()
    assert said[0] == "ICING: 4 of 19 parameters unknown"
    assert "insulin_sensitivity (moves)" in said[1]
    assert said[-1] == "  output: glucose (mmol/L)"
    assert len(said) == 5


def test_many_values_at_once_are_still_one_number_each():
    rates = np.array([0.1, 0.2])
    level = jax.vmap(lambda rate: tp.simulate(Tank(rate=rate), FEED, [0.0, 600.0]).output.level[-1])(rates)
    assert np.allclose(level, 0.1 / rates / 10.0, rtol=1e-4)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ((0.5, 1.0), "has a `tuple` as prior: give a distribution of numpyro"),
        (0.5, "has a `float` as prior"),
        (scipy.stats.norm(0.0, 1.0), "has a `rv_continuous_frozen` as prior"),
        (dist.LogNormal, "has a `ABCMeta` as prior|has a `DistributionMeta` as prior"),
        (dist.Poisson(3.0), "has a prior of whole numbers"),
        (dist.Normal(np.zeros(2), 1.0), r"has a prior of shape \(2,\)"),
    ],
)
def test_a_prior_that_is_none_of_one_real_number_is_refused_when_the_class_is_read(prior, message):
    with pytest.raises(ValueError, match=f"Parameter `other` of model `Other` ({message})"):
        declared(other=tp.parameter(prior, value=1.0, unit="1", source="setting"))


@pytest.mark.parametrize("noise", [tp.Gaussian(additive=0.1), 0.1], ids=["bare noise", "number"])
def test_a_noise_that_is_no_observation_is_refused_when_the_class_is_read(noise):
    class Output(eqx.Module):
        level: Array = tp.quantity("mmol/L", "level", noise=noise)

    with pytest.raises(ValueError, match=r"Output `level` of model `Other` has a `.*` as noise: write"):
        changed(Output=Output)


@pytest.mark.parametrize(
    "rate",
    [
        lambda self, amount: math.exp(-amount),
        lambda self, amount: math.exp(-self.rate),
        lambda self, amount: np.asarray(self.rate) * amount,
        lambda self, amount: amount if amount > 1.0 else 1.0,
    ],
    ids=["math of a state", "math of a parameter", "numpy", "if"],
)
def test_equations_that_need_a_number_while_they_are_compiled_are_named(rate):
    model = changed(vector_field=lambda self, time, state, inputs: self.State(amount=rate(self, state.amount)))
    with pytest.raises(TypeError, match=r"`vector_field` of model `Other` decides by, or converts, .* `jnp.where"):
        tp.simulate(model, FEED, [0.0, 60.0])


def test_limits_of_other_libraries_become_numbers_of_python():
    limits: dict[str, Any] = {"lower": jnp.asarray(0.5), "upper": np.int64(3)}
    noise = tp.StudentT(additive=0.1, df=np.float64(5.0))
    how = tp.Observation(noise, **limits)
    assert [type(x) for x in (how.lower, how.upper, noise.df)] == [float] * 3


@pytest.mark.parametrize("limit", ["0.1", np.zeros(2), dist.Normal(0.0, 1.0)])
def test_a_limit_that_is_no_number_is_refused(limit):
    with pytest.raises(ValueError, match="A detection limit or a number of degrees of freedom is"):
        tp.Observation(tp.Gaussian(additive=0.1), lower=limit)


@pytest.mark.parametrize("side", [0.5, 3, True, "<"])
def test_a_side_of_a_limit_that_is_none_is_refused(side):
    with pytest.raises(ValueError, match=r"level limits\[1\] must be -1 .*, 0 .* or \+1"):
        tp.Record.build({"level": ([0.0, 1.0], [1.0, 2.0], "mmol/L", [0, side])}, FEED, own=("level", "feed"))


def test_a_prior_and_a_noise_on_the_decimal_scale_are_those_of_the_natural_one():
    values = np.array([0.5, 2.0, 30.0])
    exact = scipy.stats.norm(1.0, 0.3).logpdf(np.log10(values)) - np.log(values * math.log(10.0))
    assert np.allclose(tp.log10_normal(1.0, 0.3).log_prob(values), exact, rtol=1e-5)
    assert np.allclose(
        tp.Multiplicative.on_log10(0.3).distribution(jnp.asarray(10.0)).log_prob(values), exact, rtol=1e-5
    )
    unknown: Any = tp.Multiplicative.on_log10(dist.LogNormal(math.log(0.3), 0.1)).sd
    assert math.exp(float(unknown.loc)) == pytest.approx(0.3 * math.log(10.0))
    with pytest.raises(ValueError, match="needs a finite `center` and an `sd` above zero"):
        tp.log10_normal(1.0, 0.0)
