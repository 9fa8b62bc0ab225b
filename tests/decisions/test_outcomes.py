from typing import Any

import numpy as np
import pytest

import twinprob as tp
from twinprob.decisions import Delivery, VirtualPatients, World, mismatch
from twinprob.decisions.outcomes import GLUCOSE, PRESSURE, Course, outcomes_of
from twinprob.decisions.paired import difference, summary, wilson


def course(truth, **more):
    values = next(iter(truth.values()))
    nothing = np.zeros(values.shape, bool)
    given: dict[str, Any] = {
        "minutes": 60.0,
        "given": {},
        "measured": nothing,
        "decided": nothing,
        "charted": {},
        "units": {},
    }
    return Course(truth=truth, targets={}, **(given | more))


def test_shares_of_time_and_counts_of_patients_by_hand():
    made = course({"glucose": np.array([[4.4, 8.0, 8.1, 2.1], [5.0, 6.0, 7.0, 7.8]])})
    np.testing.assert_allclose(GLUCOSE["in_4.4_to_8.0"].of(made), [50.0, 100.0])
    np.testing.assert_allclose(GLUCOSE["ever_below_2.2"].of(made), [1.0, 0.0])
    np.testing.assert_allclose(GLUCOSE["in_7.8_to_11.1"].of(made), [50.0, 25.0])


def test_glucose_is_scored_on_the_hour_whatever_the_grid():
    fine = course({"glucose": np.array([[1.0, 1.0, 1.0, 5.0, 1.0, 1.0, 1.0, 9.0]])}, minutes=15.0)
    np.testing.assert_allclose(GLUCOSE["mean_glucose"].of(fine), [7.0])


def test_varvels_four_by_hand():
    pressure = np.array([[70.0, 77.0, 63.0, 70.0, 84.0]])
    made = course({"mean_arterial_pressure": pressure}, given={"norepinephrine": np.ones((1, 5))})
    made = Course(**{**made.__dict__, "targets": {"mean_arterial_pressure": 70.0}})
    assert PRESSURE["MDPE"].of(made) == pytest.approx(0.0)  # of 0, 10, -10, 0, 20
    assert PRESSURE["MDAPE"].of(made) == pytest.approx(10.0)
    assert PRESSURE["wobble"].of(made) == pytest.approx(10.0)
    assert PRESSURE["divergence"].of(made) == pytest.approx(np.polyfit(np.arange(5), [0, 10, 10, 0, 20], 1)[0])
    assert PRESSURE["overtreated"].of(made) == pytest.approx(40.0)
    assert PRESSURE["deficit"].of(made) == pytest.approx(2.0)


def test_wobble_is_around_the_bias_and_not_around_the_target():
    made = course({"mean_arterial_pressure": np.array([[77.0, 77.0, 84.0, 91.0, 77.0]])})
    made = Course(**{**made.__dict__, "targets": {"mean_arterial_pressure": 70.0}})
    found = [float(PRESSURE[name].of(made)[0]) for name in ("MDPE", "MDAPE", "wobble")]
    assert found == pytest.approx([10.0, 10.0, 0.0])  # of 10, 10, 20, 30, 10


def test_measurements_are_counted_per_day():
    drawn = np.zeros((1, 24), bool)
    drawn[0, ::2] = True
    made = course({"glucose": np.full((1, 24), 6.0)}, measured=drawn)
    np.testing.assert_allclose(GLUCOSE["measurements"].of(made), [12.0])


def test_a_plant_without_a_known_output_still_counts_its_measurements():
    assert set(outcomes_of(("lactate",), ("cardiac_output",))) == {"measurements"}


def test_a_summary_is_median_and_quartiles_with_the_error_of_other_patients():
    values = np.random.default_rng(0).normal(10.0, 2.0, 400)
    found = summary(values)
    assert found.n == 400
    assert found.middle == pytest.approx(np.median(values))
    assert found.error == pytest.approx(1.2533 * 2.0 / 20.0, rel=0.3)  # asymptotic error of a median
    assert summary(np.array([1.0, np.nan])).n == 1


def test_wilsons_interval_is_the_published_one():
    np.testing.assert_allclose(wilson(8, 10), (49.0, 94.3), atol=0.1)  # Newcombe's example of 8 in 10
    assert wilson(0, 60)[0] == 0.0


def test_a_difference_covers_the_true_one_and_equivalence_follows_its_margin():
    rng = np.random.default_rng(1)
    one = rng.normal(0.0, 1.0, 500)
    found = difference(one + 0.3 + rng.normal(0.0, 0.5, 500), one, margin=0.5)
    assert found.low < 0.3 < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(500), rel=0.1)
    assert found.equivalent is True
    assert difference(one + 0.3, one, margin=0.2).equivalent is False
    assert difference(one, one).equivalent is None


def test_every_mismatch_changes_patients_or_world(key):
    model = tp.models.metabolic.ICING()
    patients, world = VirtualPatients.drawn(model, 2, hours=30, key=key), World()
    for name, put in mismatch.INSULIN.items():
        changed, outside = put.put(patients, world)
        assert changed is not patients or repr(outside) != repr(world), name


def test_what_is_not_given_for_two_reasons_is_not_given_for_either(key):
    patients = VirtualPatients.drawn(tp.models.metabolic.ICING(), 2, hours=30, key=key)
    _, world = mismatch.INSULIN["not given"].put(patients, World(delivery=Delivery(undelivered=0.1)))
    assert world.delivery.undelivered == pytest.approx(1.0 - 0.9 * 0.95)


def test_mismatches_together_are_all_there(key):
    patients = VirtualPatients.drawn(tp.models.metabolic.ICING(), 2, hours=30, key=key)
    changed, world = mismatch.INSULIN_TOGETHER.put(patients, World())
    assert getattr(changed.model, "insulin_volume") == 3.15  # noqa: B009  of ICING
    assert world.delivery.undelivered == pytest.approx(0.05)
    assert (world.measuring["glucose"].latest, world.measuring["glucose"].lost) == (30.0, 0.1)
    assert world.interval == 2.0
