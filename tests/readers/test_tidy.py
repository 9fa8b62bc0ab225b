import gzip
import io
import zipfile

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


def test_inputs_that_always_ran_are_read_back():
    given_always = Inputs.constant(insulin=(2.0, "U/h"), peep=(5.0, "cmH2O"))
    record = Record.build({"glucose": ([0], [6.0], "mmol/L")}, given_always)
    assert read_tidy(record.to_frame(), record.inputs.to_frame()) == record


@pytest.mark.parametrize("column", ["time", "known"])
def test_a_measurement_at_no_finite_time_is_refused(column):
    rows = {"time": "inf,glucose,6,mmol/L,", "known": "0,glucose,6,mmol/L,-inf"}
    with pytest.raises(ValueError, match=f"Row 2 .*{column!r} must hold a finite time"):
        read_tidy(table(rows[column], header="time,variable,value,unit,known"))


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


def test_a_weight_charted_again_is_the_median_of_the_first_day_and_changes_later():
    weights = ["0,weight,80,kg", "600,weight,83,kg", "1200,weight,81,kg", "2880,weight,187,lb", "2890,weight,187,lb"]
    record = read_tidy(table("0,glucose,6,mmol/L", "3000,glucose,6,mmol/L", *weights))
    about = record.covariates["weight"]
    assert (about.value, about.unit, [time for time, _ in about.changes]) == (81.0, "kg", [2880.0])
    assert [about.at(time) for time in (0, 2879, "48 h")] == pytest.approx([81, 81, 187 * 0.45359237])
    assert record.ledger.select(variable="weight").count == 5


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (["0,weight,80,kg", "0,weight,82,kg"], "Row 4 .*contradicts row 3: weight has two different values"),
        (["0,weight,80,kg", "60,weight,176,kg", "90,weight,81,kg"], "Row 4 .*more than 25% from the median"),
        (["0,weight,80,kg", ",weight,82,kg"], "Row 4 .*contradicts row 3: covariate 'weight' has two different"),
    ],
)
def test_weights_that_cannot_both_be_right_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        read_tidy(table("0,glucose,6,mmol/L", *weights))


def test_a_property_repeated_in_another_unit_says_the_same():
    record = read_tidy(table("0,glucose,6,mmol/L", ",height,180,cm", ",height,1.8,m"))
    assert record.covariates["height"].value == 180.0


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


@pytest.mark.parametrize(
    ("cell", "unit", "value", "limit"),
    [
        ("LO", "mmol/L", 20 / 18.016, -1),
        ("HI", "mg/dL", 600, 1),
        ("high", "mg/dL", 600, 1),
        ("<40", "mg/dL", 40, -1),
        ("< 0.6 mmol/L", "mmol/L", 0.6, -1),
        ("< 0.6 mmol/L", "mg/dL", 0.6 * 18.016, -1),
        ("<= 40", "mg/dL", 40, -1),
        ("less than 40", "mg/dL", 40, -1),
        ("> 33.3 mmol/L", "mmol/L", 33.3, 1),
        ("≥33.3", "mmol/L", 33.3, 1),
        (">600 H", "mg/dL", 600, 1),
        ("5.0*", "mmol/L", 5.0, 0),
        ("4.0 H", "mmol/L", 4.0, 0),
        ("4.0 L", "mmol/L", 4.0, 0),
        ("5,0 (rept)", "mmol/L", 5.0, 0),
        ("H 12.1", "mmol/L", 12.1, 0),
        ("99 mg/dL", "mmol/L", 99 / 18.016, 0),
    ],
)
def test_what_a_cell_says_of_glucose(cell, unit, value, limit):
    meter = {"glucose": (20, 600, "mg/dL")}
    series = read_tidy(table(f'0,glucose,"{cell}",{unit}'), limits=meter, trusted=("glucose",)).observations["glucose"]
    found = series.values[0] * (1 if series.unit == unit else {"mg/dL": 1 / 18.016, "mmol/L": 18.016}[series.unit])
    assert (found, series.limits[0]) == (pytest.approx(value), limit)


def test_a_flag_is_noted():
    record = read_tidy(table("0,glucose,5.0*,mmol/L", "60,glucose,6,mmol/L"))
    assert [(line.fate, line.reason, line.rows.tolist()) for line in record.ledger] == [
        ("used", "number with a flag", [2]),
        ("used", "", [3]),
    ]


def test_a_reading_off_an_unknown_meters_scale_is_refused_with_its_row():
    with pytest.raises(ValueError, match=r"Row 3 .*holds 'LO', a reading below the meter's limit.*limits=\{'glucose'"):
        read_tidy(table("0,glucose,6,mmol/L", "60,glucose,LO,mmol/L"))


def test_a_text_that_may_name_somebody_is_counted_without_it():
    record = read_tidy(table("0,glucose,6,mmol/L", "5,glucose,see note,mmol/L", "9,glucose,Smith called,mmol/L"))
    assert dict(record.skipped) == {
        "glucose: no number but 'see note'": 1,
        "glucose: no number but another text": 1,
    }


def test_every_row_is_accounted_for_with_its_number():
    record = read_tidy(table("0,glucose,6,mmol/L", "0,glucose,6,mmol/L", "5,glucose,hemolyzed,mmol/L", ",weight,80,kg"))
    fates = {(line.variable, line.fate): line.rows.tolist() for line in record.ledger}
    assert fates == {
        ("glucose", "used"): [2],
        ("glucose", "merged"): [3],
        ("glucose", "set aside"): [4],
        ("weight", "used"): [5],
    }


def test_a_dose_before_a_declared_start_is_set_aside_with_its_row():
    record = read_tidy(
        table("0,glucose,9,mmol/L"), table("-90,,insulin,5,U", header="start,end,variable,rate,unit"), start=0
    )
    line = next(line for line in record.ledger if line.variable == "insulin")
    assert (line.fate, line.reason, line.rows.tolist()) == ("set aside", "dose before the declared start", [2])


def test_a_value_corrected_later_is_the_later_one():
    record = read_tidy(table("0,glucose,9,mmol/L,5", "0,glucose,7,mmol/L,30", header="time,variable,value,unit,known"))
    assert (record.observations["glucose"].values.tolist(), record.observations["glucose"].known.tolist()) == (
        [7],
        [30],
    )


PLAIN = "time,variable,value,unit\n0,glucose,180.5,mg/dL\n60,glucose,160,mg/dL\n"
EUROPEAN = PLAIN.replace(",", ";").replace("180.5", "180,5")


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.encode(),
        EUROPEAN.encode(),
        ("sep=;\n" + EUROPEAN).encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace("\n", "\r\n").encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        ("\n" + PLAIN + "\n,,,\n").encode(),
        gzip.compress(PLAIN.encode(), mtime=0),
        EUROPEAN.replace("unit", "unit;Größe").encode("latin-1"),
    ],
    ids=["comma", "semicolon", "sep", "tab", "windows", "utf-16", "blank lines", "gzip", "latin-1"],
)
def test_a_file_is_read_whatever_wrote_it(data, tmp_path):
    path = tmp_path / "stay.csv"
    path.write_bytes(data)
    assert read_tidy(path).observations["glucose"].values.tolist() == [180.5, 160]


def test_a_table_of_decimal_commas_has_them_everywhere():
    text = "time;variable;value;unit\n0,5;lactate;1,234;mmol/L\n60;lactate;2,5;mmol/L\n"
    series = read_tidy(io.StringIO(text)).observations["lactate"]
    assert (series.times.tolist(), series.values.tolist()) == ([0.5, 60], [1.234, 2.5])


def test_a_comma_that_may_mean_thousands_is_asked_about_in_any_table():
    text = "time;variable;value;unit\n0;glucose;1,234;mg/dL\n60;glucose;130;mg/dL\n"
    with pytest.raises(ValueError, match=r"Row 2 .*may be a decimal comma or thousands"):
        read_tidy(io.StringIO(text))


def workbook():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "There is nothing in the table"),
        (workbook(), r"is a spreadsheet workbook such as \.xlsx.*save the one sheet as CSV"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-9], "is a gzip file that is cut short"),
        (b"%PDF-1.7 ...", "is a PDF document"),
        (PLAIN.encode() + b"\0", "is not text"),
        (b"0,glucose,6,mmol/L\n", "Row 1 of the table must hold the columns' names"),
        (PLAIN.encode() + b"90,glucose,5,6,mmol/L\n", "Row 4 of the table has 5 cells, but the header has 4"),
        (PLAIN.replace("unit", "unit,unit").encode(), "has the column 'unit' twice"),
        (
            b"time,variable,value,unit,knwon\n0,glucose,6,mmol/L,5\n",
            "column 'knwon', which is not read: did you mean 'known'",
        ),
    ],
)
def test_a_file_that_is_no_table_is_refused(data, message, tmp_path):
    path = tmp_path / "stay.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_tidy(path)


def test_a_path_without_a_file_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no table at"):
        read_tidy(tmp_path / "absent.csv")


@pytest.mark.parametrize("column", ["patient", "Subject ID", "MRN", "stay_id", "hadm_id", "PatientID", "Encounter"])
def test_several_patients_are_refused_under_any_usual_name_and_nobody_is_named(column):
    rows = table("0,glucose,6,mmol/L,4711", "5,glucose,7,mmol/L,4712", header=f"time,variable,value,unit,{column}")
    with pytest.raises(ValueError, match="holds 2 patients or stays") as caught:
        read_tidy(rows)
    assert "4711" not in str(caught.value)


def test_a_patient_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="`patient` names nobody of the table in 'mrn'"):
        read_tidy(table("0,glucose,6,mmol/L,1", header="time,variable,value,unit,mrn"), patient=2)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((20, 600, "mmol/L"), "`limits` of glucose is refused: .*In mg/dL every value would be plausible"),
        ((33, 1.1, "mmol/L"), "check their order and the unit"),
        ((20, None, "mmol/L"), "check their order and the unit"),
        ((None, 1.1, "mmol/L"), "check their order and the unit"),
    ],
)
def test_limits_that_no_meter_has_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        read_tidy(table("0,glucose,8,mmol/L"), limits={"glucose": bounds})


def test_columns_that_are_not_read_are_named():
    header = "stay_id,time,variable,value,unit,storetime"
    found = read_tidy(table("7,0,glucose,8,mmol/L,30", header=header))
    assert found.notes == ("Columns not read: storetime.",)
