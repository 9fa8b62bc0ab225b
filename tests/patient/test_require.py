import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import twinprob
from tests.tank import Tank, stay
from tests.twins import small_forecast, small_twin
from twinprob.models.metabolic import ICING
from twinprob.patient.require import number, require_key, require_room, require_spacing, require_times, require_within
from twinprob.patient.units import check

tp: Any = twinprob  # what the types forbid is tried here
KEY = jax.random.key(0)
RECORD = stay(4)[0]
NOTHING = tp.Inputs()


# ---- kinds -----------------------------------------------------------------------------------------------------------

WRONG = {
    "key of fit": (lambda: tp.fit(Tank(), RECORD, key=0), "`key` must be a JAX random key, but is of type `int`: give"),
    "keys": (lambda: tp.forecast(small_twin(), hours=1, key=jax.random.split(KEY)), r"array of keys of shape \(2,\)"),
    "key of update": (lambda: tp.update(small_twin(), RECORD, key=None), "`key` must be a JAX random key"),
    "key of forecast": (lambda: tp.forecast(small_twin(), hours=1, key=1), "`key` must be a JAX random key"),
    "key of identify": (lambda: tp.identify(small_twin(), key=1), "`key` must be a JAX random key"),
    "key of determined": (lambda: tp.determined(small_twin(), "glucose", key=1), "`key` must be a JAX random key"),
    "key of evaluate": (lambda: tp.evaluate(Tank(), RECORD, key=1), "`key` must be a JAX random key"),
    "key of calibrate": (lambda: tp.calibrate(Tank(), record_like=RECORD, key=1), "`key` must be a JAX random key"),
    "key of fit_cohort": (lambda: tp.fit_cohort(Tank(), [RECORD], key=1), "`key` must be a JAX random key"),
    "key of fit_population": (lambda: tp.fit_population(Tank(), [RECORD], key=1), "`key` must be a JAX random key"),
    "key of sensitivity": (lambda: tp.sensitivity(Tank(), NOTHING, [0, 1], key=1), "`key` must be a JAX random key"),
    "key of structural": (lambda: tp.structural(Tank(), key=1), "`key` must be a JAX random key"),
    "key of next_measurement": (
        lambda: tp.next_measurement(small_twin(), [], quantity="glucose", key=1), "`key` must be a JAX random key",
    ),
    "class of a model": (lambda: tp.fit(Tank, RECORD, key=KEY), r"is the class `Tank`: write `Tank\(\)`"),
    "class of a method": (
        lambda: tp.fit(Tank(), RECORD, key=KEY, method=tp.NUTS), r"`method` must be a method .* write `NUTS\(\)`",
    ),
    "filter to fit": (lambda: tp.fit(Tank(), RECORD, key=KEY, method=tp.Filter()), "but is of type `Filter`"),
    "method of update": (
        lambda: tp.update(small_twin(), RECORD, key=KEY, method=tp.NUTS()), r"settings of the filter.*type `NUTS`",
    ),
    "integrator": (lambda: tp.fit(Tank(), RECORD, key=KEY, integrator="rk4"), "`integrator` must be an integrator"),
    "population": (lambda: tp.fit(Tank(), RECORD, key=KEY, population={}), "`population` must be a `Population`"),
    "noise for an observation": (
        lambda: tp.fit(Tank(), RECORD, key=KEY, observations={"level": tp.Gaussian(additive=1.0)}),
        r"`observations\['level'\]` must be an `Observation`.*type `Gaussian`",
    ),
    "observation alone": (
        lambda: tp.fit(Tank(), RECORD, key=KEY, observations=tp.Observation(tp.Gaussian(additive=1.0))),
        "`observations` must hold several, each an `Observation`.* a mapping from its name",
    ),
    "record of fit_population": (lambda: tp.fit_population(Tank(), [0] * 3, key=KEY), r"`records\[0\]` must be"),
    "record alone": (lambda: tp.fit_population(Tank(), RECORD, key=KEY), "`records` must be several, such as a list"),
    "one of a cohort": (lambda: tp.fit_cohort(Tank(), RECORD, key=KEY), "`records` must be several, such as a list"),
    "record of evaluate": (lambda: tp.evaluate(Tank(), 3, key=KEY), r"`records\[0\]` must be a `Record`"),
    "model of evaluate": (lambda: tp.evaluate(Tank, RECORD, key=KEY), r"`model\[0\]` must be a model"),
    "rolling": (lambda: tp.evaluate(Tank(), RECORD, key=KEY, rolling=True), "`rolling` must be settings of the filter"),
    "model of simulate": (lambda: tp.simulate(Tank, NOTHING, [0, 1]), "`model` must be a model"),
    "inputs of simulate": (lambda: tp.simulate(Tank(), {}, [0, 1]), "`inputs` must be `Inputs` .* of type `dict`"),
    "inputs of forecast": (
        lambda: tp.forecast(small_twin(), hours=1, key=KEY, inputs={"insulin": 1.0}), "`inputs` must be `Inputs`",
    ),
    "twin of diagnose": (lambda: tp.diagnose(RECORD), "`twin` must be a `Twin`.* of type `Record`"),
    "twin of forecast": (lambda: tp.forecast(ICING(), hours=1, key=KEY), "`twin` must be a `Twin`"),
    "subject of profile": (lambda: tp.profile(RECORD), "`subject` must be a `Twin` .* or a model"),
    "twins of compare": (lambda: tp.compare({"a": 1, "b": 2}), r"`twins\['a'\]` must be a `Twin`"),
    "candidate": (
        lambda: tp.next_measurement(small_twin(), ["now"], quantity="glucose", key=KEY), r"`candidates\[0\]` must be",
    ),
    "forecast of risk": (lambda: tp.risk(small_twin(), "glucose < 4 mmol/L"), "`ahead` must be a `Forecast`"),
    "times": (lambda: tp.simulate(Tank(), NOTHING, "noon"), "`times` must hold numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(WRONG))
def test_what_is_of_another_kind_is_refused_by_name(name):
    call, message = WRONG[name]
    with pytest.raises(ValueError if name == "keys" else TypeError, match=message):
        call()


@pytest.mark.parametrize("key", [jax.random.key(1), jax.random.PRNGKey(1)], ids=["key", "raw key"])
def test_both_kinds_of_jax_keys_are_keys(key):
    require_key(key)
    assert np.isfinite(jax.random.uniform(key))


# ---- bounds ----------------------------------------------------------------------------------------------------------

TOO_MUCH = {
    "power of a power": (lambda: check("10**10**10 mmol/L", like="mmol/L"), "Unknown unit '10"),
    "power of a bracket": (lambda: check("(m**99)**99", like="m"), "Unknown unit"),
    "raised powers": (lambda: check("10⁹⁹⁹⁹⁹⁹", like="1"), "Unknown unit"),
    "powers in words": (lambda: check("m squared squared squared squared squared squared", like="m"), "Unknown unit"),
    "a long unit": (lambda: check("mmol/L" * 10_000, like="mmol/L"), "of 60000 characters, where 64 are allowed"),
    "horizon": (lambda: tp.forecast(small_twin(), hours=1e9, key=KEY), "above 0 and at most 8,760, but is 1e"),
    "infinite horizon": (lambda: tp.forecast(small_twin(), hours=math.inf, key=KEY), "at most 8,760, but is inf"),
    "no horizon": (lambda: tp.forecast(small_twin(), hours=math.nan, key=KEY), "at most 8,760, but is nan"),
    "time ahead": (lambda: tp.forecast(small_twin(), times=[1e12], key=KEY), r"`times\[-1\] - twin.now` must be"),
    "spacing": (lambda: tp.forecast(small_twin(), hours=4, every="1e-9 s", key=KEY), "`every` must be from 0.001 s"),
    "dense times": (lambda: tp.forecast(small_twin(), hours=4000, every="1 s", key=KEY), "would hold .* numbers at"),
    "span": (lambda: tp.simulate(Tank(), NOTHING, [0.0, 1e15]), "would need .* segments, more than the 1,000,000"),
    "knots": (
        lambda: tp.fit(Tank().vary(supply=tp.RandomWalk(sd=0.1, every="0.001 s")), RECORD, key=KEY), "would need",
    ),
    "replicates": (
        lambda: tp.calibrate(Tank(), record_like=RECORD, key=KEY, replicates=10**400), "`replicates` .* far larger",
    ),
    "points": (lambda: tp.profile(small_twin(), points=10**9), "`points` must be a whole number of at least 1"),
    "nested": (
        lambda: tp.next_measurement(small_twin(), [], quantity="x", key=KEY, nested=-1), "`nested` must be a whole",
    ),
    "threads": (lambda: tp.fit_cohort(Tank(), [RECORD], key=KEY, threads=0), "`threads` must be a whole number"),
    "rounds": (lambda: tp.fit_population(Tank(), [RECORD], key=KEY, rounds=0), "`rounds` must be a whole number"),
    "horizon of evaluate": (lambda: tp.evaluate(Tank(), RECORD, key=KEY, horizon="1e300 h"), "`horizon` must be from"),
    "horizon of identify": (lambda: tp.identify(small_twin(), key=KEY, hours=[1e9]), "`hours` must be a number above"),
    "risk too soon": (lambda: tp.risk(small_forecast(), "glucose < 4 mmol/L", hours=0.01), "lies within 0.6 min"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TOO_MUCH))
def test_what_would_never_end_or_fill_the_memory_is_refused_in_a_sentence(name):
    call, message = TOO_MUCH[name]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("unit", ["m²", "cm^2", "mm**2", "(cm*cm)", "cm · cm", "cm*cm"])
def test_units_that_people_write_are_read(unit):
    assert check(unit, like="m**2")


def test_the_bound_on_numbers_held_at_once_is_stated():
    require_room("A forecast", 2e8, "less")
    with pytest.raises(ValueError, match=r"would hold 2e\+09 .* more than the 2e\+08 allowed: ask for less"):
        require_room("A forecast", 2e9, "less")


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([], "at least one finite time"),
        ([0.0, math.nan], "at least one finite time"),
        ([[0.0, 1.0]], "in one dimension"),
        ([0.0, 1.0, 1.0], r"times\[2\] = 1.0 follows times\[1\] = 1.0"),
    ],
)
def test_times_are_finite_and_increase(times, message):
    with pytest.raises(ValueError, match=message):
        require_times(times)


def test_the_ends_of_a_range_are_inside_unless_left_out():
    require_within("It", 0.0, number(0, 1))
    require_within("It", np.float32(1.0), number(0, 1))
    for end in (0.0, 1.0):
        with pytest.raises(ValueError, match="above 0 and below 1"):
            require_within("It", end, number(0, 1, above=True, below=True))


def test_a_spacing_is_read_in_minutes():
    assert (require_spacing("It", "2 h"), require_spacing("It", 30)) == (120.0, 30.0)


# ---- settings --------------------------------------------------------------------------------------------------------

SETTINGS = {
    "Contaminated.fraction": (lambda: tp.Contaminated(additive=1.0, fraction=2), "at least 0 and below 1, but is 2"),
    "Contaminated.inflation": (lambda: tp.Contaminated(additive=1.0, inflation=0.5), "at least 1 and finite"),
    "StudentT.df": (lambda: tp.StudentT(additive=1.0, df=0), "above 2 and finite, but is 0: give the default, 4"),
    "Gaussian.additive": (lambda: tp.Gaussian(additive=-1), "`additive` of `Gaussian` must be"),
    "Gaussian.numpy": (lambda: tp.Gaussian(additive=np.float32(-1)), "`additive` of `Gaussian` must be"),
    "Gaussian.nan": (lambda: tp.Gaussian(relative=math.nan), "`relative` of `Gaussian` must be .* but is nan"),
    "Gaussian.none": (lambda: tp.Gaussian(), "`Gaussian` has no size"),
    "Multiplicative.sd": (lambda: tp.Multiplicative(sd=0), "above 0 and finite, but is 0"),
    "Repeats.correlation": (lambda: tp.Repeats(within=5.0, correlation=2), "below 1, but is 2"),
    "Observation.limits": (
        lambda: tp.Observation(tp.Gaussian(additive=1.0), lower=3.0, upper=2.0), "`lower` = 3.0 must be below",
    ),
    "RandomWalk.sd": (lambda: tp.RandomWalk(sd=-1), "`sd` of `RandomWalk` must be a number of at least 0"),
    "RandomWalk.every": (lambda: tp.RandomWalk(sd=1.0, every="0 h"), "`every` of `RandomWalk` must be from 0.001 s"),
    "OrnsteinUhlenbeck.timescale": (
        lambda: tp.OrnsteinUhlenbeck(sd=1.0, timescale="0 h"), "`timescale` of `OrnsteinUhlenbeck` must be from",
    ),
    "Filter.particles": (lambda: tp.Filter(particles=3), "at least 100 and at most 4,194,304, but is 3: give the"),
    "Filter.width": (lambda: tp.Filter(width=1.5), "`width` of `Filter` must be"),
    "NUTS.chains": (lambda: tp.NUTS(chains=0), "`chains` of `NUTS` must be a whole number of at least 1"),
    "NUTS.draws": (lambda: tp.NUTS(draws=10**12), "`draws` of `NUTS` .* at most 100,000"),
    "NUTS.target": (lambda: tp.NUTS(target=1.0), "`target` of `NUTS` must be a number above 0 and below 1"),
    "Laplace.draws": (lambda: tp.Laplace(draws=0), "`draws` of `Laplace`"),
    "SMC.effective": (lambda: tp.SMC(effective=0.0), "`effective` of `SMC`"),
    "Variational.steps": (lambda: tp.Variational(steps=0), "`steps` of `Variational`"),
    "Adaptive.rtol": (lambda: tp.Adaptive(rtol=0), "`rtol` of `Adaptive` must be a number above 0"),
    "FixedStep.refine": (lambda: tp.FixedStep(refine=0), "`refine` of `FixedStep`"),
    "fix at an end": (lambda: tp.models.respiratory.GasExchange().fix(shunt=1.5), "`shunt` of .* cannot be 1.5"),
    "fix": (lambda: ICING().fix(insulin_sensitivity=-1), "cannot be -1 L/mU/min, which its prior .* impossible"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_setting_outside_its_range_is_refused_when_it_is_made(name):
    make, message = SETTINGS[name]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tp.NUTS(draws=100.0), "`draws` of `NUTS` must be a whole number .* but is 100.0"),
        (lambda: tp.NUTS(chains=True), "but is of type `bool`"),
        (lambda: tp.RandomWalk(sd="0.1"), "`sd` of `RandomWalk` .* of type `str`"),
        (lambda: tp.Observation(tp.Gaussian), r"the class `Gaussian`: write `Gaussian\(\)`"),
        (lambda: tp.Adaptive(solver="Tsit5"), "`solver` must be a solver of diffrax"),
        (lambda: ICING().vary(insulin_sensitivity=tp.RandomWalk), "`insulin_sensitivity` must be a process"),
        (lambda: ICING().free(insulin_sensitivity=0.1), "`insulin_sensitivity` must be a distribution"),
    ],
)
def test_a_setting_of_another_type_is_refused_when_it_is_made(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_sizes_may_be_arrays_and_values_that_are_not_known_yet():
    scale = jax.jit(lambda size: tp.Gaussian(additive=size).scale(0.0))(2.0)
    scales = jax.vmap(lambda share: tp.Contaminated(additive=1.0, fraction=share).fraction)(jnp.full(3, 0.5))
    assert float(scale) == pytest.approx(2.0)
    assert scales.shape == tp.Gaussian(additive=np.ones(3)).scale(0.0).shape == (3,)


def test_a_mechanism_can_be_switched_off_by_a_zero():
    assert ICING().fix(insulin_sensitivity=0.0).insulin_sensitivity == 0.0
