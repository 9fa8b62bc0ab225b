"""The linear model of three chambers: its nominal beat, and the two symmetries that make it a counter-example."""

import jax
import jax.numpy as jnp
import pytest

import twinprob as tp
from twinprob.models.cardiovascular import ThreeChamber

ELASTANCES = ("arterial_elastance", "venous_elastance", "ventricular_elastance")
RESISTANCES = ("inflow_resistance", "outflow_resistance", "circulation_resistance")


@pytest.fixture(scope="module")
def shown():
    """Outputs at a stressed volume, of a patient whose elastances and resistances are divided by a number."""

    def outputs(volume, size=1.0):
        model = ThreeChamber()
        names = ELASTANCES + RESISTANCES
        patient = model.install(names, jnp.stack([getattr(model, name) / size for name in names]))
        return patient.output(patient.State(volume), None)

    return jax.jit(outputs)


def test_the_nominal_beat_is_that_of_the_published_table(shown):
    found = shown(560.0)
    values = [found.systolic_pressure, found.diastolic_pressure, found.central_venous_pressure, found.stroke_volume]
    for value, expected in zip(values, (97.3, 52.7, 8.80, 46.6), strict=True):
        assert float(value) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("factor", [0.5, 1.1, 1060.0 / 560.0])
def test_everything_grows_in_proportion_to_stressed_volume(shown, factor):
    before, after = shown(560.0), shown(560.0 * factor)
    for name in ("systolic_pressure", "diastolic_pressure", "central_venous_pressure", "stroke_volume"):
        assert float(getattr(after, name) / getattr(before, name)) == pytest.approx(factor, rel=1e-9)


@pytest.mark.slow
def test_pressures_do_not_tell_the_size_of_the_circulation(shown):
    small, large = shown(560.0), shown(1120.0, 2.0)
    for name in ("systolic_pressure", "diastolic_pressure", "central_venous_pressure"):
        assert float(getattr(large, name)) == pytest.approx(float(getattr(small, name)), rel=1e-9)
    assert float(large.stroke_volume) == pytest.approx(2.0 * float(small.stroke_volume), rel=1e-9)


def test_no_patient_has_no_beat(shown):
    assert jax.vmap(shown)(jnp.zeros(0)).stroke_volume.shape == (0,)


@pytest.mark.slow
def test_the_information_of_one_beat_needs_no_question_about_the_future():
    # Nothing is asked ahead, so that the batch of beats to be found for it is empty.
    seen = {"central_venous_pressure": ([0.0], [8.0], "mmHg"), "systolic_pressure": ([0.0], [97.0], "mmHg")}
    patient = ThreeChamber().fix(venous_elastance=0.02)
    found = tp.information(
        patient, tp.Record.build(seen), at={name: getattr(patient, name) for name in patient.unknowns()}
    )
    rank = jnp.linalg.matrix_rank(jnp.asarray(found.sensitivity), rtol=1e-6)
    assert int(rank) == 2
