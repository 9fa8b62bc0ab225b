"""Lung and tubing told apart on a simulated bench whose lung, tubing, delay, gas and gain are known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.lung_bench import CASES, Bench, record_cases
from twinprob.breaths.apparatus import Apparatus, Slow, circuit_compliance, lung_compliance, slow_compliance

BENCHES = [
    Bench(circuit=0.5),
    Bench(circuit=1.0, delay=0.015, inertance=0.02),
    Bench(circuit=0.3, delay=-0.010, gain=1.04, viscosity=1.11, density=1.105),
]
NOMINAL = np.array([case[0] for case in CASES], float)


@pytest.fixture(scope="module")
def recorded():
    return record_cases(BENCHES, seconds=16.0)


@pytest.mark.parametrize("bench", range(3))
def test_slow_samples_give_lung_and_tubing_whatever_the_delay_the_inertance_and_the_gas(recorded, bench):
    truth = BENCHES[bench].gain * (NOMINAL + BENCHES[bench].circuit)
    found = np.array([slow_compliance(breaths).compliance for breaths in recorded[bench]])
    np.testing.assert_allclose(found / truth, 1.0, atol=0.025)


@pytest.mark.parametrize("bench", range(3))
def test_the_tubing_is_found_and_not_the_delay(recorded, bench):
    found = circuit_compliance(*recorded[bench])
    assert abs(found.compliance - BENCHES[bench].gain * BENCHES[bench].circuit) < 2.5 * found.error
    assert found.error < 0.2
    assert found.misfit < 1.5


def test_a_later_flow_is_called_a_later_flow(recorded):
    late, early = (circuit_compliance(*recorded[bench]).delay for bench in (1, 2))
    assert late - early > 0.010


def test_the_lung_is_within_its_interval_and_one_in_twenty(recorded):
    for bench, breaths in zip(BENCHES[:2], recorded[:2], strict=True):
        circuit = circuit_compliance(*breaths)
        found = [lung_compliance(one, circuit) for one in breaths]
        assert all(abs(one.value / C - 1.0) < 0.05 for one, C in zip(found, NOMINAL, strict=True)), bench
        assert all(low < C < high for (low, high), C in zip([one.interval() for one in found], NOMINAL, strict=True))


def test_the_gas_a_sensor_takes_for_air_is_taken_out_of_the_lung(recorded):
    apparatus = Apparatus(sensor_density=1.225)
    circuit = circuit_compliance(*recorded[2], apparatus=apparatus)
    air, oxygen = (lung_compliance(recorded[2][3], circuit, apparatus=apparatus, oxygen=share) for share in (0.21, 1.0))
    # Venturi: the pressure drop goes with density times the square of the flow.
    assert air.value / oxygen.value == pytest.approx(math.sqrt(1.429 / 1.293))
    assert oxygen.value == pytest.approx(20.0, rel=0.03)


def test_what_is_not_known_of_the_sensor_stays_in_the_interval(recorded):
    circuit = circuit_compliance(*recorded[0])
    known, unknown = (
        lung_compliance(recorded[0][3], circuit, apparatus=Apparatus(gain_error=error)) for error in (0.0, 0.05)
    )
    assert unknown.error == pytest.approx(math.hypot(known.error, 0.05))


def test_one_recording_alone_leaves_the_tubing_nearly_as_it_was_believed(recorded):
    believed = Apparatus(circuit_error=0.05)
    assert circuit_compliance(recorded[0][0], apparatus=believed).compliance == pytest.approx(0.5, abs=0.1)


def test_flagged_breaths_are_left_out(recorded):
    breaths = recorded[0][3]
    spoiled = [replace(breaths[0], flows=3.0 * breaths[0].flows, flags=("effort",)), *breaths[1:]]
    found, clean = slow_compliance(spoiled), slow_compliance(breaths[1:])
    assert found == clean
    assert isinstance(found, Slow)


def test_what_cannot_be_told_is_refused(recorded):
    breaths = recorded[0][3]
    with pytest.raises(ValueError, match="three breaths without a flag or more, but holds 2"):
        slow_compliance(breaths[:2])
    with pytest.raises(ValueError, match="one recording's breaths or more"):
        circuit_compliance()
    with pytest.raises(ValueError, match="are flow and pressure swapped"):
        slow_compliance([replace(breath, flows=-breath.flows) for breath in breaths])
    with pytest.raises(ValueError, match="takes all that is measured"):
        lung_compliance(breaths, replace(circuit_compliance(breaths), compliance=40.0))
    with pytest.raises(ValueError, match=r"21 % is 0\.21"):
        Apparatus(sensor_density=1.225).gain(21.0)
