"""The laws every model obeys; models are found, not listed."""

import dataclasses
import importlib
import math
import pkgutil
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import twinprob as tp
from twinprob.modeling.model import pack
from twinprob.models.metabolic import icing
from twinprob.patient.units import VOCABULARY, check


def discover():
    found = set()
    for module in pkgutil.walk_packages(tp.models.__path__, "twinprob.models."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, tp.AbstractModel) and value is not tp.AbstractModel:
                found.add(value)
    return sorted(found, key=lambda cls: cls.__name__)


MODELS = discover()
SOURCE = re.compile(r"doi:|transcription|comments of|prior|setting|config\.toml|Table|PMC")


def random_patient(model, key):
    """Draw every unknown parameter from its prior."""
    names = model.unknowns()
    values = [model.prior(n).sample(k) for n, k in zip(names, jax.random.split(key, len(names)), strict=True)]
    return model.install(names, jnp.stack(values))


def some_inputs(model):
    return model.Input(*(jnp.asarray(0.5) for _ in dataclasses.fields(model.Input)))


def middling(setting):
    """A fifth of the highest plausible value: PEEP 10 cmH2O, 0.6 L, 30 breaths a minute."""
    return max(VOCABULARY[setting].low, 0.2 * VOCABULARY[setting].high)


def test_models_are_found():
    assert {"ICING", "MinimalModel"} <= {cls.__name__ for cls in MODELS}


@pytest.mark.parametrize("cls", MODELS, ids=lambda c: c.__name__)
def test_every_parameter_has_unit_prior_and_source(cls):
    model = cls()
    for name, declared in model.parameters().items():
        assert check(declared.unit, like=declared.unit) is not None
        assert isinstance(model.prior(name), dist.Distribution)
        assert SOURCE.search(declared.source), f"{name}: {declared.source}"


@pytest.mark.parametrize("cls", MODELS, ids=lambda c: c.__name__)
def test_known_values_lie_within_their_priors(cls):
    model = cls()
    for name in model.parameters():
        value = getattr(model, name)
        if math.isfinite(value):
            draws = np.asarray(model.prior(name).sample(jax.random.key(0), (2000,)))
            assert draws.min() < value < draws.max(), name


# Half a minute to compile; `tests/models/test_smith.py` finds the beats of draws from its prior.
@pytest.mark.parametrize(
    "cls", [pytest.param(c, marks=[pytest.mark.slow] * (c.__name__ == "SixChamber"), id=c.__name__) for c in MODELS]
)
def test_prior_draws_simulate(cls):
    model, times = cls(), np.linspace(0.0, 120.0 * cls.step, 5)
    measured = {
        name: tp.Series(times, np.full(5, 20.0), declared.unit)
        for name, declared in model.quantities(model.Input).items()
        if declared.measured
    }
    settings = {name: declared for name, declared in model.quantities(model.Input).items() if declared.default is None}
    given = tp.Inputs.constant(**{name: (middling(name), declared.unit) for name, declared in settings.items()})
    for seed in range(5):
        patient = random_patient(model, jax.random.key(seed))
        run = tp.simulate(patient, given, times, measured=measured)
        assert bool(run.solved)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(run.output))


@pytest.mark.parametrize("cls", MODELS, ids=lambda c: c.__name__)
def test_gradients_of_the_vector_field_equal_finite_differences(cls, key):
    model = random_patient(cls(), key)
    inputs = some_inputs(model)
    state = pack(model.initial(inputs)) + 0.1

    @jax.jit
    @jax.vmap
    @jax.value_and_grad
    def total(y):
        return jnp.sum(pack(model.vector_field(0.0, model.State(*y), inputs)) * jnp.arange(1.0, y.size + 1))

    center = np.asarray(state)
    steps = np.diag(1e-6 * np.maximum(1.0, np.abs(center)))
    values, gradients = total(np.concatenate([center + steps, center - steps, center[None]]))
    slopes = (values[: state.size] - values[state.size : -1]) / (2 * np.diag(steps))
    np.testing.assert_allclose(gradients[-1], slopes, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("cls", MODELS, ids=lambda c: c.__name__)
def test_a_batch_of_patients_equals_the_loop(cls, key):
    model = cls()
    names, inputs = model.unknowns(), some_inputs(model)
    draws = jnp.stack(
        [model.prior(n).sample(k, (4,)) for n, k in zip(names, jax.random.split(key, len(names)), strict=True)], 1
    )

    def slope(values):
        patient = model.install(names, values)
        return pack(patient.vector_field(0.0, patient.initial(inputs), inputs))

    one = jax.jit(slope)
    np.testing.assert_allclose(
        jax.jit(jax.vmap(slope))(draws), np.stack([one(d) for d in draws]), rtol=1e-12, atol=1e-14
    )


# ---- ICING -----------------------------------------------------------------------------------------------------------

FEED, HOURS = (0.6, "mmol/min"), (0.0, 1.0, 3.0, 6.0)
# datasets/reference, computed with LSODA at rtol 1e-9: glucose in mmol/L at constant insulin of 0, 1, 3, 6 U/h
STEADY = [
    ("set A, secretion (a)", tp.models.metabolic.ICING.lin2011(), 2e-4, (13.85, 11.36, 8.91, 7.39)),
    ("set A, secretion (a)", tp.models.metabolic.ICING.lin2011(), 5e-4, (10.15, 7.24, 5.04, 3.90)),
    (
        "set A, secretion (b)",
        tp.models.metabolic.ICING.lin2011(secretion=icing.SECRETION_THESIS),
        2e-4,
        (13.65, 11.01, 8.57, 7.21),
    ),
    ("set B, normal", tp.models.metabolic.ICING.icing2016(), 2e-4, (11.12, 10.13, 8.72, 7.53)),
    ("set B, normal", tp.models.metabolic.ICING.icing2016(), 5e-4, (8.56, 7.24, 5.49, 4.22)),
    (
        "set B, type 2",
        tp.models.metabolic.ICING.icing2016(secretion=icing.SECRETION_TYPE_2),
        5e-4,
        (12.20, 9.13, 5.75, 4.22),
    ),
]


@pytest.mark.parametrize(("label", "model", "sensitivity", "expected"), STEADY)
def test_icing_reaches_the_reference_steady_states(label, model, sensitivity, expected):
    patient = model.fix(insulin_sensitivity=sensitivity)
    for rate, glucose in zip(HOURS, expected, strict=True):
        given = tp.Inputs.constant(insulin=(rate, "U/h"), enteral_glucose=FEED)
        run = tp.simulate(patient, given, np.array([0.0, 6000.0]))
        assert abs(float(run.output.glucose[-1]) - glucose) < 0.01


def test_the_gut_neither_makes_nor_loses_glucose():
    patient = tp.models.metabolic.ICING()
    times = np.arange(0.0, 601.0, 0.5)
    fed = tp.Inputs.infusions("enteral_glucose", [0.0], [120.0], [2.0], "mmol/min")
    run = tp.simulate(patient, fed, times, start=0.0)
    absorbed = np.minimum(patient.gut_absorption * run.state.gut_glucose, patient.greatest_absorption)
    appeared = np.trapezoid(absorbed, times)
    left = float(run.state.stomach_glucose[-1] + run.state.gut_glucose[-1])
    np.testing.assert_allclose(appeared + left, 240.0, rtol=1e-5)


def test_absorption_saturates_above_the_greatest_rate():
    patient = tp.models.metabolic.ICING()
    fed = tp.Inputs.infusions("enteral_glucose", [0.0], [3000.0], [8.0], "mmol/min")
    run = tp.simulate(patient, fed, np.array([0.0, 1500.0, 3000.0]))
    absorbed = np.minimum(patient.gut_absorption * run.state.gut_glucose, patient.greatest_absorption)
    assert float(absorbed[1]) == float(absorbed[2]) == pytest.approx(6.11)
    assert float(run.state.gut_glucose[2]) > float(run.state.gut_glucose[1]) + 1000.0


@pytest.mark.parametrize("gut", [6.11 / (math.log(2) / 100), 1000.0, 0.0])
def test_gradients_are_finite_at_the_kinks(gut):
    model = tp.models.metabolic.ICING()
    state = jnp.array([(16.7 + 49.9) / 14.9, 10.0, 20.0, 50.0, gut])

    def total(y):
        return jnp.sum(pack(model.vector_field(0.0, model.State(*y), some_inputs(model))))

    assert bool(jnp.all(jnp.isfinite(jax.grad(total)(state))))


def test_the_initial_state_is_steady_for_insulin_and_gut():
    model = tp.models.metabolic.ICING()
    inputs = model.Input(jnp.asarray(50.0), jnp.asarray(0.6), jnp.asarray(0.0))
    slope = model.vector_field(0.0, model.initial(inputs), inputs)
    for name in ("interstitial_insulin", "plasma_insulin", "stomach_glucose", "gut_glucose"):
        assert abs(float(getattr(slope, name))) < 1e-9


# ---- declarations ----------------------------------------------------------------------------------------------------


def test_a_parameter_without_unit_is_refused_by_name():
    with pytest.raises(ValueError, match=r"Parameter `clearance` of model `Broken` has no unit"):

        class Broken(tp.AbstractModel):
            clearance: float = tp.parameter(dist.LogNormal(0.0, 1.0), unit="", source="prior")


def test_a_state_without_unit_is_refused_by_name():
    class Bad(eqx.Module):
        amount: jax.Array

    with pytest.raises(ValueError, match=r"State `amount` of model `Broken` has no unit"):

        class Broken(tp.AbstractModel):
            State = Bad


def test_an_unknown_parameter_name_gets_the_nearest():
    with pytest.raises(ValueError, match="did you mean `glucose_volume`"):
        tp.models.metabolic.ICING().fix(glucose_volum=13.0)


def test_a_fixed_parameter_is_no_longer_unknown():
    model = tp.models.metabolic.ICING().fix(endogenous_glucose_production=1.0)
    assert "endogenous_glucose_production" not in model.unknowns()


def test_a_freed_parameter_takes_the_prior_given():
    wide = dist.LogNormal(2.5, 1.0)
    model = tp.models.metabolic.ICING().free(glucose_volume=wide)
    assert model.prior("glucose_volume") is wide
    assert "glucose_volume" in model.unknowns()


def test_fixing_at_infinity_is_refused():
    with pytest.raises(ValueError, match="`glucose_volume` must be finite, but is inf"):
        tp.models.metabolic.ICING().fix(glucose_volume=math.inf)
