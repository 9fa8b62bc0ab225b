import json
import types
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optimistix
import pytest

import twinprob as tp
from tests.cases import Washout
from twinprob import models
from twinprob.inference import classes
from twinprob.inference.classes import Classes, Misfit, named, old_names, table
from twinprob.inference.encoding import declarations, decode, decode_record, encode, encode_record
from twinprob.modeling.model import AbstractModel
from twinprob.models.metabolic import ICING
from twinprob.models.respiratory import GasExchange, SingleCompartment

NOTHING_PASSED = Classes.passed("load", None, ())


def round_trip(value, passed=NOTHING_PASSED):
    return decode(json.loads(json.dumps(encode(value))), passed)


VALUES = {
    "a process": tp.OrnsteinUhlenbeck(sd=0.1, timescale="7 h"),
    "a noise of unknown size": tp.Observation(tp.StudentT(additive=0.3, df=3.0), lower=1.1),
    "repeats": tp.Observation(tp.Gaussian(additive=0.1), repeats=tp.Repeats(within=5.0, correlation=0.5)),
    "a method": tp.NUTS(chains=3, target=0.9),
    "fixed steps": tp.FixedStep(refine=3),
    "a stiff solver": tp.Adaptive(solver=diffrax.Kvaerno5()),
    "a stiff solver with Newton": tp.Adaptive(
        rtol=1e-5, solver=diffrax.Kvaerno5(root_finder=optimistix.Newton(rtol=1e-8, atol=1e-10))
    ),
    "a model": ICING().fix(glucose_volume=12.0).vary(insulin_sensitivity=tp.RandomWalk(sd=0.3, every="2 h")),
    "a helper of a model": tp.models.metabolic.icing.SECRETION_LIN,
    "a coupled model": tp.couple(SingleCompartment(), GasExchange(), links={}),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back_as_they_were(name):
    assert eqx.tree_equal(round_trip(VALUES[name]), VALUES[name])


@pytest.mark.parametrize("name", VALUES)
def test_what_is_encoded_names_no_module(name):
    assert not {"twinprob", "diffrax", ":"} & set(json.dumps(encode(VALUES[name])).replace('": ', "").split('"'))


PRIORS = {
    "log-normal": dist.LogNormal(0.1, 0.3),
    "truncated below": dist.TruncatedNormal(13.0, 2.0, low=5.0),
    "truncated above": dist.TruncatedNormal(13.0, 2.0, high=20.0),
    "truncated on both sides": dist.TruncatedNormal(13.0, 2.0, low=5.0, high=20.0),
    "beta": dist.Beta(2.0, 3.0),
    "uniform": dist.Uniform(1.0, 9.0),
    "log-uniform": dist.LogUniform(1.0, 20.0),
    "Student's t": dist.StudentT(4.0, 1.0, 2.0),
    "half normal": dist.HalfNormal(2.0),
    "gamma": dist.Gamma(2.0, 0.5),
    "normal between bounds": dist.TransformedDistribution(
        dist.Normal(0.1, 0.2), dist.biject_to(dist.constraints.interval(0.0, 9.0))
    ),
    "normal above a bound": dist.TransformedDistribution(
        dist.Normal(0.1, 0.2), dist.biject_to(dist.constraints.greater_than(2.0))
    ),
}


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_comes_back_with_its_density_bit_for_bit(name):
    at = 8.125 if "bound" in name or "truncated" in name or "uniform" in name else 0.625
    assert float(round_trip(PRIORS[name]).log_prob(at)) == float(PRIORS[name].log_prob(at))


@pytest.mark.parametrize("number", [0.1, 1e-300, -0.0, np.inf, 2.0**-1074])
def test_a_number_comes_back_bit_for_bit(number):
    assert round_trip(jnp.asarray(number)).hex() == number.hex()


def test_numbers_per_measurement_come_back():
    sizes: Any = np.array([0.1, 0.2, 0.7])
    noise = round_trip(tp.Gaussian(additive=sizes))
    np.testing.assert_array_equal(noise.additive, [0.1, 0.2, 0.7])


@pytest.mark.parametrize(
    ("value", "says"), [(lambda: 0, "`function` cannot be saved"), (dist.Delta(1.0), "prior `Delta`")]
)
def test_what_no_file_can_give_back_is_refused_when_saved(value, says):
    with pytest.raises(ValueError, match=says):
        encode({"field": value})


# ---- the closed table


def test_every_model_of_the_package_may_be_named():
    assert {"ICING", "LinearSecretion", "Recruitment", "VasopressorPressure", "SixChamber"} <= set(table())
    assert set(models.by_name()) <= set(table())


def test_the_table_holds_no_abstract_class_and_nothing_that_is_no_module():
    wrong = {
        name for name, cls in table().items() if name.startswith(("Abstract", "_")) or not issubclass(cls, eqx.Module)
    }
    assert wrong == set()


def test_two_classes_of_one_name_are_refused(monkeypatch):
    monkeypatch.setattr(classes, "_PIECES", (*classes._PIECES, type("ICING", (), {})))
    with pytest.raises(RuntimeError, match="are called ICING; rename"):
        table.__wrapped__()


def test_every_path_that_was_leads_to_a_class_that_is():
    assert set(old_names().values()) <= set(table())


def test_a_moved_class_is_found_by_its_old_path():
    assert NOTHING_PASSED.find_old("twinprob.process:OrnsteinUhlenbeck") is tp.OrnsteinUhlenbeck


def test_a_class_of_the_users_own_is_found_once_it_is_defined():
    assert type(round_trip(Washout(rate=0.02))) is Washout


def test_a_class_of_the_users_own_may_be_called_as_one_of_ours():
    space = {"__module__": "own", "State": ICING.State, "Input": ICING.Input, "Output": ICING.Output, "step": 1.0}
    own: Any = types.new_class("ICING", (AbstractModel,), exec_body=lambda body: body.update(space))
    assert named(own) == {"own": "ICING"}
    assert type(decode({"own": "ICING", "fields": {}}, Classes.passed("load", own, ()))) is own


def _in_module(name):
    return lambda body: body.update(__module__=name)


def test_two_classes_of_the_users_own_with_one_name_must_be_told_apart():
    kept = [types.new_class("Twice", (tp.Gaussian,), exec_body=_in_module(module)) for module in ("one", "two")]
    with pytest.raises(Misfit, match="of which this process knows 2"):
        decode({"own": "Twice", "fields": {}}, NOTHING_PASSED)
    passed = Classes.passed("load", None, (kept[1],))
    assert type(decode({"own": "Twice", "fields": {"additive": {"float": "0x1p+0"}}}, passed)) is kept[1]


def test_a_class_that_nobody_passed_is_refused_with_the_remedy():
    with pytest.raises(
        Misfit, match=r"`MyLung`, which is not twinprob's; if it is yours, pass it: `load\(path, model=MyLung"
    ):
        decode({"own": "MyLung", "fields": {}}, NOTHING_PASSED)


class Part(eqx.Module):
    """A helper that is of none of twinprob's kinds."""

    size: float = 1.0


class Holder(Washout):
    """A model that holds one."""

    part: Part = eqx.field(default_factory=Part)


def test_a_helper_of_the_users_model_comes_with_an_instance_of_it():
    held = Holder(part=Part(3.0))
    with pytest.raises(Misfit, match="`Part`, which is not twinprob's"):
        round_trip(held)
    assert round_trip(held, Classes.passed("load", Holder(), ())).part == Part(3.0)


@pytest.mark.parametrize("given", [{"model": 3}, {"model": tp.Gaussian}, {"own": (tp.FixedStep(),)}])
def test_what_is_no_class_is_refused_before_the_file_is_opened(given):
    with pytest.raises(TypeError, match=r"Argument `(model|own)` must"):
        tp.load("nowhere.nc", **given)


# ---- declarations


def test_a_changed_declaration_changes_the_hash_of_its_parameter_alone():
    class Changed(Washout):
        rate: float = tp.parameter(dist.LogNormal(-4.0, 0.5), unit="1/min", source="test")

    before, after = declarations(Washout()), declarations(Changed())
    assert {name for name in before if before[name] != after[name]} == {"rate"}


def test_declarations_do_not_depend_on_values_or_precision():
    with jax.enable_x64(False):
        single = declarations(ICING())
    assert single == declarations(ICING().fix(glucose_volume=12.0))


# ---- records


def test_what_an_earlier_version_did_not_write_of_a_record_has_its_default():
    record = tp.Record.build({"glucose": ([0.0, 60.0], [5.0, 6.0], "mmol/L")}, tp.Inputs.constant(insulin=(1.0, "U/h")))
    described = encode_record(record)
    for part in ("covariates", "ledger", "person", "notes", "hash"):
        del described[part]
    del described["observations"]["glucose"]["limits"]
    del described["observations"]["glucose"]["known"]
    for part in ("bolus", "orders", "known", "setting"):
        del described["inputs"]["insulin"][part]
    assert decode_record(described) == record


def test_a_record_keeps_how_a_property_changed():
    weight = {"weight": (80.0, "kg", [(30.0, 81.5), (60.0, 82.0)])}
    record = tp.Record.build({"glucose": ([0.0, 60.0], [5.0, 6.0], "mmol/L")}, covariates=weight)
    assert decode_record(encode_record(record)).covariates == record.covariates


def test_a_record_with_another_hash_is_refused():
    record = tp.Record.build({"glucose": ([0.0, 60.0], [5.0, 6.0], "mmol/L")})
    described = encode_record(record)
    described["observations"]["glucose"]["values"][0] = (99.0).hex()
    with pytest.raises(Misfit, match="other data than the hash"):
        decode_record(described)
