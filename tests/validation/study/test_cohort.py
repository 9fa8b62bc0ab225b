"""Which stays a study takes, and which part of each."""

import numpy as np
import pytest

from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record
from twinprob.validation.study import cohort
from twinprob.validation.study.protocol import Inclusion, Source

RULES = Inclusion(keep=("glucose",), fewest=3, infusion="insulin", lead="1 h")


def stay(*, begin=120.0, end=600.0, every=60.0) -> Record:
    times = np.arange(0.0, 900.0, every)
    values = {"glucose": (times, 8.0 + 0 * times, "mmol/L"), "heart_rate": (times, 80.0 + 0 * times, "1/min")}
    inputs = Inputs.infusions("insulin", [begin], [end], [2.0], "U/h")
    return Record.build(values, inputs, start=0.0, end=900.0)


def test_the_window_goes_from_the_lead_to_the_end_of_the_infusion():
    record, begin = cohort.included(stay(), RULES)
    assert (record.start, record.end, begin) == (60.0, 600.0, 60.0)
    assert list(record.observations) == ["glucose"]
    assert record.observations["glucose"].times.tolist() == list(np.arange(60.0, 601.0, 60.0))


@pytest.mark.parametrize(
    ("record", "rules", "reason"),
    [
        (stay(end=200.0), RULES, "fewer than 3 glucose"),
        (stay(), RULES.model_copy(update={"given": ("norepinephrine",)}), "no norepinephrine"),
        (stay(), Inclusion(keep=("plateau_pressure",)), "no plateau_pressure"),
    ],
)
def test_a_stay_is_left_out_with_its_rule(record, rules, reason):
    with pytest.raises(cohort.Excluded, match=reason):
        cohort.included(record, rules)


def test_the_longest_window_is_kept():
    record, _ = cohort.included(stay(), RULES.model_copy(update={"longest": "3 h"}))
    assert record.end == 300.0


def test_a_plateau_counts_once_its_settings_are_known():
    times = np.array([0.0, 60.0, 120.0, 180.0])
    inputs = Inputs.infusions("peep", [50.0], [np.inf], [5.0], "cmH2O")
    record = Record.build(
        {"plateau_pressure": (times, [20.0, 21.0, 22.0, 23.0], "cmH2O")}, inputs, start=0.0, end=200.0
    )
    cut, begin = cohort.included(record, Inclusion(keep=("plateau_pressure",), known=("peep",)))
    assert cut.observations["plateau_pressure"].times.tolist() == [60.0, 120.0, 180.0]
    assert (cut.start, cut.end, begin) == (59.0, 180.0, 0.0)


def test_treatments_are_where_a_rate_changed():
    inputs = Inputs.infusions("insulin", [100.0, 200.0, 300.0], [200.0, 300.0, 400.0], [2.0, 2.0, 3.0], "U/h")
    record = Record.build({"glucose": ([0.0, 500.0], [8.0, 8.0], "mmol/L")}, inputs, start=0.0, end=500.0)
    assert cohort.treatments(record, ("insulin", "norepinephrine")).tolist() == [100.0, 300.0, 400.0]


def test_a_tidy_folder_holds_one_patient_a_file(tmp_path):
    for name in ("b.csv", "a.csv.gz", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert dict(cohort.listed(Source(reader="tidy"), tmp_path).patients) == {"a": ("a.csv.gz",), "b": ("b.csv",)}
    with pytest.raises(FileNotFoundError, match="no folder"):
        cohort.listed(Source(reader="tidy"), tmp_path / "none")


def test_another_extract_is_told_apart(tmp_path):
    (tmp_path / "a.csv").write_text("1")
    before = cohort.fingerprint(tmp_path)
    assert cohort.fingerprint(tmp_path) == before
    (tmp_path / "a.csv").write_text("2")
    assert cohort.fingerprint(tmp_path) != before
