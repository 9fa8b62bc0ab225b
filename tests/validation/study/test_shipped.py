"""The studies that ship cut stays as the recipes did that their thresholds come from."""

import numpy as np
import pytest

pytest.importorskip("yaml")

from tests import shared_data_folder
from tests.validation import glucose_stays, plateau_stays, shared_data
from twinprob.readers import mimic, ventilation
from twinprob.validation.study import protocol
from twinprob.validation.study.cohort import Excluded, included, listed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shared_data_folder() is None, reason="the MIMIC-III demo is not on this machine"),
]


def cut(rules, record):
    try:
        return included(record, rules)
    except Excluded:
        return None


def same(one, other) -> bool:
    return (
        (one.start, one.end) == (other.start, other.end)
        and list(one.observations) == list(other.observations)
        and all(
            np.array_equal(a.times, b.times) and np.array_equal(a.values, b.values)
            for a, b in zip(one.observations.values(), other.observations.values(), strict=True)
        )
        and sorted(one.inputs.courses) == sorted(other.inputs.courses)
    )


def test_the_demo_has_136_stays_of_fewer_patients():
    found = listed(protocol.read("glucose").source, shared_data("mimic-iii-demo"))
    assert sum(len(stays) for stays in found.patients.values()) == 136
    assert len(found.patients) < 136


def test_the_glucose_study_takes_the_stays_of_line_02_5():
    tables = mimic.load(shared_data("mimic-iii-demo"))
    rules, on_insulin = protocol.read("glucose").inclusion, glucose_stays.generator().on_insulin
    for stay in mimic.stays(tables).query("insulin > 0 and glucose >= 6")["stay"]:
        record = mimic.read(tables, int(stay), only="glucose")
        mine, recipe = cut(rules, record), on_insulin(record)
        assert (mine is None) == (recipe is None)
        if mine is not None and recipe is not None:
            assert same(mine[0], recipe[0])
            assert mine[1] == recipe[1]


def test_the_plateau_study_takes_the_plateaus_of_line_04_5():
    tables = ventilation.load(shared_data("mimic-iii-demo"))
    rules = protocol.read("plateau").inclusion
    for stay in ventilation.stays(tables).query("plateau > 1")["stay"][:12]:
        record = ventilation.read(tables, int(stay))
        mine, recipe = cut(rules, record), plateau_stays.ventilated(record)
        if mine is None:
            assert recipe is None or len(recipe.observations["plateau_pressure"].times) < 2
        else:
            assert recipe is not None
            assert same(mine[0], plateau_stays.without_peaks(recipe))
