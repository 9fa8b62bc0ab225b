import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record
from twinprob.readers.tidy import read_tidy

STAY = """time,variable,value,unit,start,end,rate
0,glucose,180,mg/dL,,,
60,glucose,<0.6,mmol/L,,,
90,glucose,>33.3,mmol/L,,,
,weight,80,kg,,,
,sex,male,,,,
,insulin,,U/h,0,90,2
30,insulin,5,U,,,
"""


def table(*rows, header="time,variable,value,unit"):
    return io.StringIO("\n".join([header, *rows]) + "\n")


def test_one_file_holds_measurements_inputs_and_covariates():
    record = read_tidy(io.StringIO(STAY))
    assert (record.names, record.inputs.names, tuple(record.covariates)) == (
        ("glucose",),
        ("insulin",),
        ("weight", "sex"),
    )


def test_detection_limits_are_recognized():
    np.testing.assert_array_equal(read_tidy(io.StringIO(STAY)).observations["glucose"].limits, [0, -1, 1])


def test_values_of_one_variable_are_brought_to_its_first_unit():
    series = read_tidy(io.StringIO(STAY)).observations["glucose"]
    assert (series.unit, series.values[1]) == ("mg/dL", pytest.approx(0.6 * 18.016))


def test_an_amount_without_an_end_is_a_bolus():
    course = read_tidy(io.StringIO(STAY), bolus_duration="2 min").inputs["insulin"]
    assert course.at(31) == pytest.approx(2 + 5 / 2 * 60)


def test_a_file_is_read_like_its_frame(tmp_path):
    path = tmp_path / "stay.csv"
    path.write_text(STAY, encoding="utf-8")
    assert read_tidy(path) == read_tidy(pd.read_csv(path))


def test_inputs_may_stand_in_a_table_of_their_own():
    inputs = table("0,60,insulin,2,U/h", header="start,end,variable,rate,unit")
    record = read_tidy(table("0,glucose,6,mmol/L"), inputs)
    assert record.inputs == Inputs.infusions("insulin", 0, 60, 2.0, "U/h")


def test_a_record_written_as_tables_is_read_back():
    record = read_tidy(io.StringIO(STAY))
    again = read_tidy(record.to_frame(), record.inputs.to_frame(), record.covariates)
    assert again == record


@pytest.mark.parametrize(
    ("unit", "time"), [("h", "1.5"), ("min", "90"), ("s", "5400"), ("ms", "5400000"), ("d", "0.0625")]
)
def test_times_are_read_in_their_unit(unit, time):
    record = read_tidy(table("0,glucose,6,mmol/L", f"{time},glucose,7,mmol/L"), time_unit=unit)
    np.testing.assert_allclose(record.observations["glucose"].times, [0, 90], rtol=1e-12)


@pytest.mark.parametrize(
    ("first", "second"), [("12:30 AM", "1:00 AM"), ("11:45 AM", "12:15 PM"), ("1:00 PM", "1:30 PM")]
)
def test_halves_of_the_day_are_read_as_such(first, second):
    rows = (f"2150-04-01 {first},glucose,6,mmol/L", f"2150-04-01 {second},glucose,7,mmol/L")
    np.testing.assert_array_equal(read_tidy(table(*rows)).observations["glucose"].times, [0, 30])


@pytest.mark.parametrize("year", ["2020", "2150", "1850"])
def test_timestamps_count_from_the_first(year):
    rows = (f"{year}-03-31T23:30,glucose,6,mmol/L", f"{year}-04-01 01:00:00,glucose,7,mmol/L")
    np.testing.assert_array_equal(read_tidy(table(*rows)).observations["glucose"].times, [0, 90])


def test_timestamps_count_from_a_given_origin():
    record = read_tidy(table("2020-03-12T08:00,glucose,6,mmol/L"), origin="2020-03-12T07:00")
    assert record.observations["glucose"].times[0] == 60


def test_timestamps_of_a_frame_may_be_dates():
    frame = pd.DataFrame({"time": pd.to_datetime(["2150-01-01 08:00", "2150-01-01 09:30"]), "variable": "glucose",
                          "value": [6.0, 7.0], "unit": "mmol/L"})  # fmt: skip
    np.testing.assert_array_equal(read_tidy(frame).observations["glucose"].times, [0, 90])


@given(st.permutations(range(6)))
def test_the_order_of_variables_means_nothing(order):
    rows = [f"{time},{name},{5 + time},{unit}" for name, unit in (("glucose", "mmol/L"), ("plasma_insulin", "mU/L"))
            for time in (0, 1, 2)]  # fmt: skip
    kept = sorted(order, key=lambda row: row % 3)  # each variable's rows stay in their own order
    assert read_tidy(table(*(rows[row] for row in kept))) == read_tidy(table(*rows))


def test_rows_that_hold_no_number_are_counted():
    record = read_tidy(
        table("0,glucose,6,mmol/L", "5,glucose,hemolyzed,mmol/L", "6,glucose,inf,mmol/L", "7,glucose,,mmol/L")
    )
    assert dict(record.skipped) == {
        "glucose: no number but 'hemolyzed'": 1,
        "glucose: infinite": 1,
        "glucose: no value": 1,
    }


def test_a_row_without_time_is_counted():
    assert read_tidy(table("0,glucose,6,mmol/L", ",glucose,7,mmol/L")).skipped["glucose: no time"] == 1


def test_a_variable_of_ones_own_is_accepted_when_declared():
    assert read_tidy(table("0,hare,30,count"), own=("hare",)).names == ("hare",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0,glucose,110,mmol/L"], r"Row 2 .*\(glucose\), declared in mmol/L.*In mg/dL every value would be plausible"),
        (["0,glucose,6,"], "Row 2 .*'unit' is empty: glucose has no unit, declare one such as 'mmol/L'"),
        (["0,glucose,6,mmol/L", "5,glucose,7,"], "Row 3 .*glucose has no unit"),
        (["0,glucose,6,mmHg"], "Unit 'mmHg' of glucose cannot become 'mmol/L'"),
        (["0,glucos,6,mmol/L"], "Unknown variable 'glucos': did you mean 'glucose'"),
        (
            ["0,glucose,6,mmol/L", "5,insulin,3,U/h"],
            "Row 3 .*insulin in U/h from 5 min has no end and no later row .*inf if it is still running",
        ),
        (
            ["12/03/2020 08:00,glucose,6,mmol/L"],
            "Row 2, column 'time' .*holds a date whose day, month or year may be exchanged",
        ),
        (
            ["0,glucose,6,mmol/L", "2020-03-12,glucose,6,mmol/L"],
            "Row 3, column 'time' holds a date, but row 2 holds a number",
        ),
        (["2020-13-45,glucose,6,mmol/L"], "Row 2, column 'time' holds no time of the calendar"),
        (["2020-03-12T08:00,glucose,6,mmol/L", "2020-03-12T08:00Z,glucose,6,mmol/L"], "must all have a time zone"),
        (["5,glucose,6,mmol/L", "0,glucose,7,mmol/L"], "glucose times must not go backwards"),
        (["0,glucose,6,mmol/L", "0,glucose,7,mmol/L"], "glucose has two different values at time 0 min"),
        (['0,glucose,"1,234",mg/dL'], "Row 2 .*may be a decimal comma or thousands: say decimal="),
        (["0,glucose,nan,mmol/L"], r"Empty record.*glucose: no number but 'nan' \(1\)"),
        ([], "Empty record"),
        (["0,,6,mmol/L"], "Row 2 of the table, column 'variable' is empty"),
        (
            ["0,glucose,6,mmol/L", ",weight,80,kg", ",weight,81,kg"],
            "Row 4 .*contradicts row 3: covariate 'weight' has two different values",
        ),
    ],
)
def test_a_bad_row_is_refused_by_name(rows, message):
    with pytest.raises(ValueError, match=message):
        read_tidy(table(*rows))


def test_a_dose_per_kilogram_without_weight_is_refused():
    inputs = table("0,60,parenteral_glucose,2,mg/kg/min", header="start,end,variable,rate,unit")
    with pytest.raises(ValueError, match="'parenteral_glucose' in mg/kg/min needs the patient's weight"):
        read_tidy(table("0,glucose,6,mmol/L"), inputs)


def test_a_missing_column_is_named():
    with pytest.raises(
        ValueError, match=r"needs the columns time, variable, value, unit .* but has time, variable, value"
    ):
        read_tidy(table("0,glucose,6", header="time,variable,value"))


def test_two_patients_in_one_table_are_refused():
    rows = table("0,glucose,6,mmol/L,1", "5,glucose,7,mmol/L,2", header="time,variable,value,unit,patient")
    with pytest.raises(ValueError, match="holds 2 patients or stays in column 'patient'"):
        read_tidy(rows)


def test_an_origin_for_numeric_times_is_refused():
    with pytest.raises(ValueError, match="`origin` belongs to timestamps, but times are numbers"):
        read_tidy(table("0,glucose,6,mmol/L"), origin="2020-03-12")


def test_a_refused_value_does_not_appear_in_the_message():
    with pytest.raises(ValueError, match="plausible") as caught:
        read_tidy(table("0,glucose,117.25,mmol/L"))
    assert "117" not in str(caught.value)


def test_reading_returns_a_record():
    assert isinstance(read_tidy(table("0,glucose,6,mmol/L")), Record)
