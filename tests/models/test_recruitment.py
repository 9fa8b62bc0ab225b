"""The recruitment model against its own definitions, limits, and the direction a lung is known to go."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

import twinprob as tp
from tests.multi_unit_lung import MultiUnitLung, staircase, staircases
from tests.validation.cohort_lung import MISSED, SCORES, Learned, constants, model
from twinprob.models.respiratory import Recruitment

LUNG = Recruitment(
    capacity=2.5,
    fullness=18.0,
    opening_pressure=16.0,
    opening_spread=6.0,
    hysteresis=8.0,
    recruitment_time=3.0,
    opening_share=0.5,
)
SETTINGS = tp.Inputs.constant(tidal_volume=(420.0, "mL"), respiratory_rate=(20.0, "1/min"))


def at(peep, lung=LUNG, tidal=0.42):
    """The outputs of the settled lung at one PEEP."""
    inputs = lung.Input(jnp.asarray(peep), jnp.asarray(tidal), jnp.asarray(20.0))
    return lung.output(lung.initial(inputs), inputs)


@pytest.mark.slow
@pytest.mark.parametrize("peep", [5.0, 12.0, 20.0])
def test_the_plateau_equals_a_search_in_scipy(peep):
    x = norm.cdf((peep - 8.0) / 6.0)

    def volume(P, part):
        return 2.5 * part * (1 - np.exp(-P / 18.0))

    def missing(P):
        part = x + 0.5 * (1 - x) * norm.cdf((P - 16.0) / 6.0)
        return volume(P, part) - volume(peep, x) - 0.42

    assert float(at(peep).plateau_pressure) == pytest.approx(brentq(missing, peep, 100.0), rel=2e-3)


def test_without_recruitment_left_the_lung_is_an_exponential():
    stiff = LUNG.fix(opening_pressure=-60.0)
    expected = -18.0 * np.log(np.exp(-10.0 / 18.0) - 0.42 / 2.5)
    assert float(at(10.0, stiff).plateau_pressure) == pytest.approx(expected, rel=2e-3)


def test_no_tidal_volume_leaves_the_plateau_at_peep():
    assert float(at(8.0, LUNG.fix(opening_pressure=-60.0), tidal=0.0).plateau_pressure) == pytest.approx(8.0, rel=1e-3)


def test_driving_pressure_falls_with_recruitment_and_rises_with_overdistension():
    driving = [float(at(peep).driving_pressure) for peep in (2.0, 9.0, 26.0)]
    assert driving[0] > driving[1] < driving[2]


def test_half_the_volume_needs_less_than_the_plateau():
    found = at(8.0)
    assert 8.0 < float(found.half_volume_pressure) < float(found.plateau_pressure)


@pytest.mark.slow
def test_after_a_step_of_peep_the_plateau_falls_back_over_minutes():
    raised = SETTINGS | tp.Inputs.infusions("peep", [-1e6, 10.0], [10.0, np.inf], [6.0, 12.0], "cmH2O")
    run = tp.simulate(LUNG.fix(opening_share=0.05), raised, np.array([0.0, 10.0, 10.5, 13.0, 60.0]))
    plateau = np.asarray(run.output.plateau_pressure)
    assert plateau[2] > plateau[3] > plateau[4]
    opened = np.asarray(run.state.open_fraction)
    settled, left = norm.cdf((12.0 - 8.0) / 6.0), (opened[4] - opened[3]) / (opened[4] - opened[1])
    assert (opened[4], left) == (pytest.approx(settled, rel=1e-6), pytest.approx(np.exp(-1.0), rel=1e-3))


def test_mechanical_power_is_the_work_of_the_breath():
    found = at(10.0)
    mean = 10.0 + 7.0 + 0.5 * float(found.driving_pressure)
    assert float(found.mechanical_power) == pytest.approx(0.0980665 * 20.0 * 0.42 * mean, rel=1e-6)


def test_a_volume_the_lung_cannot_hold_gives_a_finite_pressure():
    assert np.isfinite(float(at(30.0, LUNG.fix(capacity=0.3), tidal=1.5).plateau_pressure))


def test_peep_without_a_setting_is_zero_and_finite():
    assert np.isfinite(float(at(0.0, tidal=0.0).plateau_pressure))


# ---- the virtual patient -------------------------------------------------------------------------------------------


def test_the_virtual_lung_holds_what_its_pressure_says():
    lung = MultiUnitLung.draw(0)
    lung.step(60.0, 60.0)
    assert lung.held(lung.pressure_at(0.9)) == pytest.approx(0.9, rel=1e-6)


def test_the_virtual_lung_has_hysteresis():
    lung = MultiUnitLung.draw(3)
    lung.step(12.0, 60.0)
    inflated = lung.held(12.0)
    lung.step(45.0, 60.0)
    lung.step(12.0, 0.1)
    assert lung.held(12.0) > inflated


def test_the_staircase_of_the_virtual_lung_recruits():
    kept = [step["end_expiratory_volume"] for step in staircase(1, 6.0, 0.42, 2)]
    assert kept[0] < kept[1] < kept[2]


def test_many_virtual_lungs_at_once_are_each_alone():
    many = staircases([141, 142], np.array([6.0, 10.0]), np.array([0.42, 0.36]), steps=1)
    for place, (number, base, tidal) in enumerate([(141, 6.0, 0.42), (142, 10.0, 0.36)]):
        for level, alone in enumerate(staircase(number, base, tidal, steps=1)):
            for name, value in alone.items():
                assert many[name][place, level] == pytest.approx(value, abs=1e-6)


def test_a_slow_loop_holds_more_on_the_way_down_than_on_the_way_up():
    found = staircases([1, 2], np.array([6.0, 10.0]), np.array([0.42, 0.42]), steps=0, looped=True)
    up, down = found["inflation"], found["deflation"]
    assert (np.diff(up, axis=1) > 0.0).all()
    assert (np.diff(down, axis=1) > 0.0).all()
    # Inflation is read at 1/16 to 16/16 of the way, deflation at 0/16 to 15/16; near the top nothing more may open.
    assert (down[:, 1:] >= up[:, :-1] - 1e-9).all()
    assert (down[:, 4] > 1.1 * up[:, 3]).all()


@pytest.mark.slow
def test_a_lung_at_the_cohorts_center_is_recruitment_with_the_cohorts_constants():
    at = np.array([0.9, 3.0, 14.0, 1.9, 2.1, -0.4, 1.0, 0.0, *np.zeros(MISSED)])
    slopes = np.zeros((4, at.size))
    slopes[0] = at
    rows = [tuple(map(tuple, x.tolist())) for x in (slopes, np.eye(at.size), np.zeros((MISSED, 28)))]
    told = Learned(rows[0], rows[1], rows[2], center=(0.0,) * 28, rest=(0.0,) * 28)
    mine, plain = model(told, 8.0).fix(**dict.fromkeys(SCORES, 0.0)), LUNG.fix(**constants(at))
    mine = mine.fix(resistive_pressure=5.0, recruitment_time=3.0)
    inputs = plain.Input(jnp.asarray(12.0), jnp.asarray(0.42), jnp.asarray(20.0))
    expected = plain.fix(resistive_pressure=5.0).output(plain.initial(inputs), inputs)
    found = mine.output(mine.initial(inputs), inputs)
    assert float(found.peak_pressure) == pytest.approx(float(expected.peak_pressure), rel=1e-9)
    assert float(found.end_expiratory_volume) == pytest.approx(float(expected.end_expiratory_volume), rel=1e-9)
