import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import ROOT
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record

TIMES = st.lists(st.integers(0, 300), min_size=1, max_size=12, unique=True).map(sorted)


def glucose(times, values, unit="mmol/L", **others):
    return Record.build({"glucose": (times, values, unit)}, **others)


@st.composite
def stays(draw):
    times = draw(TIMES)
    values = [draw(st.one_of(st.floats(2.0, 20.0), st.just(float("nan")))) for _ in times[1:]]
    starts = draw(st.lists(st.integers(0, 300), min_size=1, max_size=5, unique=True))
    ends = [start + draw(st.integers(1, 200)) for start in starts]
    rates = [draw(st.floats(0.0, 10.0)) for _ in starts]
    inputs = Inputs.infusions("insulin", starts, ends, rates, "U/h", bolus=[draw(st.booleans()) for _ in starts])
    return glucose(times, [6.0, *values], inputs=inputs, covariates={"weight": (80, "kg")})


@given(stays(), st.integers(0, 320))
def test_until_hides_later_values(record, now):
    known = record.until(now)
    times = [*known._finite_times(), known.end, *(time for line in known.ledger for time in line.times)]
    assert max(times) <= now


@given(stays(), st.integers(0, 320), st.floats(2.0, 20.0))
def test_another_future_leaves_the_record_until_now_unchanged(record, now, value):
    past = record.observations["glucose"].select(record.observations["glucose"].times <= now)
    course = record.inputs["insulin"]
    begun = course.starts < now
    # What runs at `now` is given another end, what is measured and started later other values.
    ends = np.where(course.ends >= now, course.ends + 7, course.ends)[begun]
    bolus = course.bolus[begun]
    inputs = Inputs.infusions("insulin", now, now + 10, 1.0, "U/h")
    if begun.any():
        inputs = inputs | Inputs.infusions(
            "insulin", course.starts[begun], ends, course.rates[begun], "U/h", bolus=bolus
        )
    values = (np.append(past.times, now + 5), np.append(past.values, value), "mmol/L")
    other = Record.build({"glucose": values}, inputs, record.covariates, start=record.start, end=5e5)
    known, again = record.until(now), other.until(now)
    assert again.to_frame().equals(known.to_frame())
    assert dict(again.inputs.courses) == dict(known.inputs.courses)


@given(stays(), st.integers(0, 320), st.integers(0, 320))
def test_until_twice_is_until_the_earlier(record, one, other):
    early, late = sorted((one, other))
    assert record.until(late).until(early) == record.until(early)


@given(stays(), st.integers(0, 150), st.integers(151, 320))
def test_until_and_between_share_no_measurement_and_lose_none(record, begin, end):
    def times(part):
        return part.observations["glucose"].times if "glucose" in part.observations else np.zeros(0)

    parts = [times(record.until(begin)), times(record.between(begin, end))]
    np.testing.assert_array_equal(np.concatenate(parts), times(record.until(end)))


def test_until_forgets_the_count_of_later_rows_left_out():
    record = glucose([0, 10, 20], [5.0, np.nan, np.nan])
    assert dict(record.until(15).skipped) == {"glucose: not a number": 1}


def test_until_before_the_start_is_refused():
    with pytest.raises(ValueError, match="must not be before the record starts at 0 min, but is -5 min"):
        glucose([0], [5.0]).until(-5)


def test_between_in_the_wrong_order_is_refused():
    with pytest.raises(ValueError, match="`end` must be after `begin`"):
        glucose([0], [5.0]).between("2 h", "1 h")


def test_times_may_be_written_with_their_unit():
    np.testing.assert_array_equal(glucose(["0 h", "2 h"], [5, 6]).observations["glucose"].times, [0, 120])


def test_values_keep_their_declared_unit():
    series = glucose([0], [110.0], "mg/dl").observations["glucose"]
    assert (series.values[0], series.unit) == (110.0, "mg/dL")


def test_values_that_are_no_number_are_left_out_and_counted():
    record = glucose([0, 1, 2, 3], [5.0, np.nan, np.inf, None])
    assert dict(record.skipped) == {"glucose: not a number": 2, "glucose: infinite": 1}


def test_a_repeated_row_is_left_out_and_counted():
    record = glucose([0, 5, 5], [5.0, 6.0, 6.0])
    assert record.skipped["glucose: repeated row"] == 1


def test_a_repeated_time_with_another_value_is_refused():
    with pytest.raises(ValueError, match=r"glucose has two different values at time 5 min \(row 2\)"):
        glucose([0, 5, 5], [5.0, 6.0, 7.0])


def test_time_going_backwards_is_refused():
    with pytest.raises(ValueError, match=r"times\[2\] = 4 min follows times\[1\] = 5 min. Sort the rows"):
        glucose([0, 5, 4], [5.0, 6.0, 7.0])


def test_a_date_as_time_is_refused():
    with pytest.raises(
        ValueError,
        match=r"glucose times\[0\] must be a number of minutes or text such as '24 h'; `read_tidy` reads dates",
    ):
        glucose(["2020-03-12 08:00"], [5.0])


def test_glucose_in_milligrams_declared_as_moles_is_refused():
    with pytest.raises(ValueError, match=r"glucose\[0\], declared in mmol/L.*In mg/dL every value would be plausible"):
        glucose([0], [110.0])


@pytest.mark.parametrize("unit", ["", None])
def test_a_measurement_without_unit_is_refused(unit):
    with pytest.raises(ValueError, match="glucose has no unit"):
        glucose([0], [5.0], unit)


def test_a_measurement_of_another_dimension_is_refused():
    with pytest.raises(ValueError, match="Unit 'mmHg' of glucose cannot become 'mmol/L'"):
        glucose([0], [5.0], "mmHg")


@pytest.mark.parametrize("observations", [{}, {"glucose": ([], [], "mmol/L")}])
def test_an_empty_record_is_refused(observations):
    with pytest.raises(ValueError, match="Empty record: no variable has a measured value"):
        Record.build(observations)


def test_a_record_of_missing_values_is_refused_with_their_count():
    with pytest.raises(ValueError, match=r"Empty record.*glucose: not a number \(2\)"):
        glucose([0, 1], [np.nan, np.nan])


def test_an_unknown_variable_names_the_nearest():
    with pytest.raises(ValueError, match="Unknown variable 'glucosse': did you mean 'glucose'"):
        Record.build({"glucosse": ([0], [5.0], "mmol/L")})


def test_a_variable_of_ones_own_is_accepted_when_declared():
    record = Record.build({"hare": ([0], [30.0], "count")}, own=("hare",))
    assert record.names == ("hare",)


def test_a_dose_per_kilogram_needs_the_weight():
    inputs = Inputs.infusions("parenteral_glucose", 0, 60, 2.0, "mg/kg/min")
    with pytest.raises(ValueError, match="Input 'parenteral_glucose' in mg/kg/min needs the patient's weight"):
        glucose([0], [5.0], inputs=inputs)


def test_a_dose_per_kilogram_with_the_weight_is_accepted():
    inputs = Inputs.infusions("parenteral_glucose", 0, 60, 2.0, "mg/kg/min")
    assert glucose([0], [5.0], inputs=inputs, covariates={"weight": (80, "kg")}).weight == 80.0


def test_measurements_before_the_first_input_are_welcome():
    record = glucose([0, 60], [9.0, 8.0], inputs=Inputs.infusions("insulin", 30, 90, 2.0, "U/h"))
    assert record.inputs["insulin"].at(0) == 0.0


def test_a_measurement_before_the_declared_start_is_refused():
    with pytest.raises(
        ValueError, match="glucose is measured at -10 min, before the declared start of the record at 0"
    ):
        glucose([-10, 0], [9.0, 8.0], start=0)


def test_a_measurement_after_the_declared_end_is_refused():
    with pytest.raises(ValueError, match="glucose is measured at 60 min, after the declared end of the record at 30"):
        glucose([0, 60], [9.0, 8.0], end=30)


def test_a_record_starts_with_its_first_measurement_where_that_is_before_admission():
    assert glucose([-10, 0], [9.0, 8.0]).start == -10


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        ({"weight": (80, "")}, "weight has no unit"),
        ({"weight": (80000, "kg")}, r"weight\[0\], declared in kg, is outside the plausible range .* In g every"),
        ({"weight": (80, "cm")}, "Unit 'cm' of weight cannot become 'kg'"),
        ({"sex": "m"}, "Covariate 'sex' must be one of female, male"),
        ({"wieght": (80, "kg")}, "did you mean 'weight'"),
        ({"weight": (np.nan, "kg")}, "Covariate 'weight' must be finite"),
    ],
)
def test_an_impossible_covariate_is_refused(covariates, message):
    with pytest.raises(ValueError, match=message):
        glucose([0], [5.0], covariates=covariates)


def test_replaced_observations_leave_the_rest_alone():
    record = glucose([0], [5.0], covariates={"weight": (80, "kg")})
    other = record.with_observations({"glucose": ([0, 90], [6.0, 7.0], "mmol/L")})
    assert (other.end, other.covariates["weight"].value) == (90.0, 80.0)


def test_an_earlier_measurement_that_is_added_moves_the_start():
    later = glucose([0, 30], [5.0, 6.0]).with_observations({"lactate": ([-20, 10], [2.0, 1.5], "mmol/L")})
    assert (later.start, later.end) == (-20.0, 30.0)


def test_a_record_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        glucose([0], [5.0]).observations["glucose"].values[0] = 1.0


def test_a_record_survives_pickling():
    record = glucose([0, 5], [5.0, 6.0], inputs=Inputs.constant(insulin=(1.0, "U/h")), covariates={"sex": "male"})
    assert pickle.loads(pickle.dumps(record)) == record


def test_the_hash_is_the_same_in_another_process():
    code = (
        "from twinprob.patient.record import Record;"
        "print(Record.build({'glucose': ([0, 5], [5.0, 6.0], 'mmol/L')}, covariates={'sex': 'male'}).data_hash)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert output.stdout.strip() == glucose([0, 5], [5.0, 6.0], covariates={"sex": "male"}).data_hash


@pytest.mark.parametrize(
    "other",
    [
        glucose([0, 5], [5.0, 6.5]),
        glucose([0, 6], [5.0, 6.0]),
        glucose([0, 5], [90.0, 108.0], "mg/dL"),
        glucose([0, 5], [5.0, 6.0], covariates={"sex": "male"}),
        glucose([0, 5], [5.0, 6.0], inputs=Inputs.infusions("insulin", 0, 5, 1.0, "U/h")),
        Record.build({"glucose": ([0, 5], [5.0, 6.0], "mmol/L", [0, 1])}),
        Record.build({"glucose": ([0, 5], [5.0, 6.0], "mmol/L", [0, -1])}),
    ],
)
def test_the_hash_changes_with_the_content(other):
    assert other.data_hash != glucose([0, 5], [5.0, 6.0]).data_hash


def test_the_notebook_view_escapes_what_it_shows():
    record = Record.build({"<b>": ([0], [5.0], "count")}, own=("<b>",))
    assert "&lt;b&gt;" in record._repr_html_()


def test_reading_and_cutting_records_imports_neither_jax_nor_matplotlib():
    code = (
        "import sys; sys.modules['jax'] = None; sys.modules['matplotlib'] = None;"
        "import importlib.util as u, pathlib, types;"
        "package = types.ModuleType('twinprob'); package.__path__ = [str(pathlib.Path('twinprob').resolve())];"
        "sys.modules['twinprob'] = package;"
        "from twinprob.patient.record import Record;"
        "Record.build({'glucose': ([0], [5.0], 'mmol/L')}).until(0)._repr_html_()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


@pytest.mark.parametrize(("low", "unit"), [(131.0, "mmHg"), (17.4, "kPa")])
def test_a_systolic_pressure_below_the_diastolic_is_refused_with_its_place(low, unit):
    systolic = ([0.0, 15.0, 30.0], [120.0, 70.0, 130.0], "mmHg")
    with pytest.raises(ValueError, match=r"systolic_pressure\[2\] = 130 mmHg at 30 min is not above.*\[1\] = 13"):
        Record.build({"systolic_pressure": systolic, "diastolic_pressure": ([5.0, 30.0], [low, low], unit)})


def test_a_diastolic_pressure_that_is_added_is_compared_too():
    record = Record.build({"systolic_pressure": ([30.0], [70.0], "mmHg")})
    with pytest.raises(ValueError, match=r"systolic_pressure\[0\] = 70 mmHg at 30 min is not above"):
        record.with_observations({"diastolic_pressure": ([30.0], [70.0], "mmHg")})


def test_pressures_of_different_times_are_not_compared():
    systolic, diastolic = ([0.0, 30.0], [90.0, 130.0], "mmHg"), ([5.0, 35.0], [95.0, 80.0], "mmHg")
    record = Record.build({"systolic_pressure": systolic, "diastolic_pressure": diastolic})
    assert record.names == ("systolic_pressure", "diastolic_pressure")


def test_a_plateau_below_the_peep_set_then_is_refused_with_its_place():
    peep = Inputs.infusions("peep", [0.0, 60.0], [60.0, np.inf], [5.0, 12.0], "cmH2O")
    with pytest.raises(ValueError, match=r"plateau_pressure\[1\] = 8 cmH2O at 90 min is below the PEEP of 12 set"):
        Record.build({"plateau_pressure": ([30.0, 90.0], [8.0, 8.0], "cmH2O")}, peep)


# ---- when things were known, what was given before, what is unknown -------------------------------------------------


def test_a_value_is_hidden_until_it_was_known():
    record = glucose([0, 110], [6.0, 14.0], "mmol/L")
    late = Record.build({"glucose": ([0, 110], [6.0, 14.0], "mmol/L", None, [0, 160])})
    counts = [r.until(120).observations["glucose"].times.size for r in (record, late)]
    assert (counts, late.until(160).observations["glucose"].times.tolist()) == ([2, 1], [0, 110])


def test_what_became_known_between_two_times_is_between_them_though_taken_earlier():
    late = Record.build({"glucose": ([0, 110], [6.0, 14.0], "mmol/L", None, [0, 160])})
    assert late.between(120, 180).observations["glucose"].times.tolist() == [110]


def test_the_present_is_when_something_was_last_known():
    late = Record.build({"glucose": ([0, 110], [6.0, 14.0], "mmol/L", None, [0, 160])})
    pump = Record.build({"glucose": ([0, 120], [6.0, 7.0], "mmol/L")}, Inputs.infusions("insulin", 0, 2880, 2, "U/h"))
    assert (late.end, pump.end) == (160.0, 120.0)


def test_a_value_known_before_it_was_taken_is_refused():
    with pytest.raises(ValueError, match=r"glucose known\[1\] = 5 min is before the value was taken at 10 min"):
        Record.build({"glucose": ([0, 10], [5.0, 6.0], "mmol/L", None, [0, 5])})


def test_a_record_begins_with_what_was_given_before_its_first_value():
    assert glucose([0, 60], [8.0, 7.0], inputs=Inputs.bolus("insulin", -10, 5, "U")).start == -10.0


def test_a_declared_start_counts_what_it_cannot_feel():
    given = Inputs.bolus("insulin", -10, 5, "U") | Inputs.infusions("insulin", -5, 60, 1.0, "U/h")
    record = glucose([0, 60], [8.0, 7.0], inputs=given, start=0)
    assert dict(record.skipped) == {
        "insulin: dose before the declared start": 1,
        "insulin: begun before the declared start, taken as in steady state there": 1,
    }


def test_a_dose_too_long_ago_to_be_felt_is_counted():
    record = glucose([0, 60], [8.0, 7.0], inputs=Inputs.bolus("insulin", "-192 h", 5, "U"))
    assert (record.start, dict(record.skipped)) == (0, {"insulin: dose more than a week before the record": 1})


def test_a_value_that_is_no_number_is_refused_with_its_place():
    with pytest.raises(ValueError, match=r"glucose\[1\] must be a number, but is .*LO"):
        glucose([0, 60], [8.0, "LO"])


def test_a_record_says_from_when_on_its_settings_are_known():
    given = Inputs.settings("peep", [30], [5.0], "cmH2O") | Inputs.settings("inspired_oxygen", [180], [50], "%")
    record = glucose([0, 240], [8.0, 7.0], inputs=given)
    assert (record.known_from("peep"), record.known_from("peep", "inspired_oxygen"), record.known_from()) == (
        30,
        180,
        0,
    )


@pytest.mark.parametrize(("value", "before"), [("first", 0.5), ((21, "%"), 0.21)])
def test_what_is_assumed_of_a_setting_holds_before_its_first_row_and_is_said(value, before):
    given = Inputs.settings("inspired_oxygen", [180], [0.5], "1")
    record = glucose([0, 240], [8.0, 7.0], inputs=given).assuming(inspired_oxygen=value)
    assert record.inputs["inspired_oxygen"].at(0) == pytest.approx(before)
    assert "Assumed: inspired_oxygen before 180 min was" in record.notes[0]


def test_a_setting_assumed_to_hold_on_has_its_last_value_after_it_ended_and_is_said():
    given = Inputs.infusions("peep", [60, 180], [120, np.inf], [8.0, 12.0], "cmH2O")
    record = glucose([0, 240], [8.0, 7.0], inputs=given).assuming(peep="last")
    assert np.isnan(record.inputs["peep"].at(0))
    assert record.inputs["peep"].at([60, 150, 180]).tolist() == [8.0, 8.0, 12.0]
    assert "Assumed: peep kept its last charted value" in record.notes[0]


def test_what_is_given_to_a_patient_cannot_be_assumed():
    record = glucose([0, 240], [8.0, 7.0], inputs=Inputs.infusions("insulin", 10, 20, 1.0, "U/h"))
    with pytest.raises(ValueError, match="`insulin` is no setting"):
        record.assuming(insulin="first")


# ---- properties that change ------------------------------------------------------------------------------------------


def test_changes_of_a_property_are_part_of_what_a_record_is():
    plain, changed = (
        glucose([0, 90], [8.0, 7.0], covariates={"weight": (80, "kg", more)}) for more in ((), [(60, 82)])
    )
    assert plain != changed
    assert changed.until(30) == plain.until(30)


@pytest.mark.parametrize("changes", [[(60, 82), (30, 81)], [(np.nan, 82)], [(60, 900)]])
def test_impossible_changes_of_a_property_are_refused(changes):
    with pytest.raises(ValueError, match="weight"):
        glucose([0, 90], [8.0, 7.0], covariates={"weight": (80, "kg", changes)})


def test_a_later_start_keeps_what_was_measured_at_it_and_sets_the_rest_aside():
    record = Record.build({"glucose": ([0.0, 60.0, 120.0], [9.0, 8.0, 7.0], "mmol/L")})
    later = record.since(60.0)
    assert later.observations["glucose"].times.tolist() == [60.0, 120.0]
    assert later.start == 60.0


REPLICATED = ([0.0, 0.0, 5.0, 5.0, 9.0], [1.0, 1.2, 2.0, 2.0, 3.0], "1")


def test_replicates_are_all_kept_where_they_are_said_to_be_some():
    record = Record.build({"signal": REPLICATED}, own=("signal",), replicates=("signal",))
    assert list(record.observations["signal"].values) == REPLICATED[1]
    assert not record.skipped


def test_two_values_of_one_time_are_refused_with_the_remedy_for_replicates():
    with pytest.raises(ValueError, match=r"two different values at time 0 min .* `Record.build\(…, replicates="):
        Record.build({"signal": REPLICATED}, own=("signal",))


def test_replicates_of_what_the_record_does_not_hold_are_refused():
    with pytest.raises(ValueError, match="names `other`, which the record does not hold"):
        Record.build({"signal": REPLICATED}, own=("signal",), replicates=("other",))
