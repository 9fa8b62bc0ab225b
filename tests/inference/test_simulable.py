import math

import equinox as eqx
import jax
import numpy as np
import pytest

import twinprob as tp
from twinprob.inference.fit import posed
from twinprob.inference.simulable import noted, simulable

GIVEN = tp.Inputs.constant(alveolar_ventilation=(5, "L/min"))
OXYGEN = tp.Inputs.settings("inspired_oxygen", [180], [50], "%")
QUICK = tp.Laplace(draws=50, proposals=400, starts=2, nodes=8)


def record(times):
    return tp.Record.build({"pulse_saturation": (times, [95.0] * len(times), "%")}, GIVEN | OXYGEN)


def test_a_setting_that_is_unknown_is_not_zero():
    with pytest.raises(ValueError, match=r"`inspired_oxygen` is unknown from 0 to 180 min.*assuming"):
        tp.simulate(tp.models.respiratory.GasExchange(), GIVEN | OXYGEN, np.array([40.0, 200.0]), start=0)


def test_a_setting_that_was_never_charted_is_named():
    with pytest.raises(ValueError, match=r"`inspired_oxygen` is unknown.*never charted"):
        tp.simulate(tp.models.respiratory.GasExchange(), GIVEN, np.array([0.0, 20.0]))


def test_a_record_begins_when_every_setting_is_known_and_says_what_it_left_out():
    later = simulable(tp.models.respiratory.GasExchange(), record([40.0, 200.0]))
    assert (later.start, later.observations["pulse_saturation"].times.tolist()) == (180.0, [200.0])
    assert later.notes == (
        "Begins at 180 min: inspired_oxygen is unknown before, so 1 of pulse_saturation are not used.",
    )


def test_what_is_not_used_stands_in_the_ledger():
    later = simulable(tp.models.respiratory.GasExchange(), record([40.0, 200.0]))
    assert dict(later.skipped) == {"pulse_saturation: before inspired_oxygen was charted": 1}


def test_values_that_all_precede_the_first_setting_are_refused_with_the_remedy():
    early = tp.Record.build({"pulse_saturation": ([40.0], [95.0], "%")}, GIVEN | OXYGEN)
    with pytest.raises(ValueError, match=r"before setting `inspired_oxygen` was first charted at 180 min.*assuming"):
        tp.fit(tp.models.respiratory.GasExchange(), early, key=jax.random.key(0), method=QUICK)


def test_what_was_given_before_the_first_report_time_is_felt():
    class Washout(tp.AbstractModel):
        time_unit = "h"
        step = 0.25

        class State(eqx.Module):
            amount: jax.Array = tp.quantity("mg", "drug")

        class Input(eqx.Module):
            drug: jax.Array = tp.quantity("mg/h", "infusion")

        class Output(eqx.Module):
            concentration: jax.Array = tp.quantity("mg/L", "concentration")

        def initial(self, inputs):
            return self.State(amount=inputs.drug / 0.3)

        def vector_field(self, time, state, inputs):
            return self.State(amount=inputs.drug - 0.3 * state.amount)

        def output(self, state, inputs):
            return self.Output(concentration=state.amount / 20.0)

    dose = tp.Inputs.bolus("drug", 0.0, 100, "mg", own=("drug",))
    times = np.array([60.0, 120.0, 240.0])
    # A dose over one minute, by hand: 100 mg at a constant rate for 1/60 h, then decay.
    after = 100.0 * 60.0 / 0.3 * (1.0 - math.exp(-0.3 / 60.0)) / 20.0
    exact = after * np.exp(-0.3 * (times - 1.0) / 60.0)
    np.testing.assert_allclose(tp.simulate(Washout(), dose, times).output.concentration, exact, rtol=1e-6)


INSULIN = tp.Inputs.constant(insulin=(1.0, "U/h"), subcutaneous_insulin=(0.5, "U/h"))
GLUCOSE = tp.Record.build({"glucose": ([0.0, 60.0], [9.0, 8.0], "mmol/L")}, INSULIN)


def test_an_input_that_the_model_does_not_have_is_said():
    _, record, _, _ = posed(tp.models.metabolic.ICING(), GLUCOSE, None, None, None)
    (note,) = record.notes
    assert note == (
        "Not used: `subcutaneous_insulin`, which the record holds and model `ICING` does not have as input."
    )


def test_it_is_said_once():
    model = tp.models.metabolic.ICING()
    assert noted(model, noted(model, GLUCOSE)).notes == noted(model, GLUCOSE).notes


def test_inputs_that_the_model_has_need_no_word():
    assert noted(tp.models.metabolic.ICING.charted(), GLUCOSE) is GLUCOSE
