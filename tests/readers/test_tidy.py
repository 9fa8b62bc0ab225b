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


INPUTS = "start,end,variable,rate,unit"


def dosed(*rows, header=INPUTS, **how):
    return read_tidy(table("0,glucose,9,mmol/L", "60,glucose,8,mmol/L"), table(*rows, header=header), **how)


def test_a_later_row_of_an_input_replaces_the_earlier():
    course = dosed("0,30,insulin,3,U/h", "10,40,insulin,0.5,U/h", "20,50,insulin,2,U/h").inputs["insulin"]
    assert course.at([15, 25, 35, 55]).tolist() == [0.5, 2, 2, 0]


def test_a_rate_of_zero_stops_its_order():
    assert dosed("0,inf,insulin,1,U/h", "30,60,insulin,0,U/h").inputs["insulin"].at([15, 45, 70]).tolist() == [1, 0, 0]


def test_different_orders_add():
    course = dosed("0,60,insulin,1,U/h,a", "30,60,insulin,2,U/h,b", header=f"{INPUTS},order").inputs["insulin"]
    assert course.at([15, 45]).tolist() == [1, 3]


@pytest.mark.parametrize("row", ["10,,insulin,5,U", "10,40,insulin,5,U/h", "10,10,insulin,5,U"])
def test_the_same_row_twice_counts_once_and_is_said(row):
    record = dosed(row, row)
    assert record.inputs == dosed(row).inputs
    assert dict(record.skipped) == {"insulin: the same row twice counts once": 1}


def test_the_same_dose_of_two_orders_is_two_doses():
    record = dosed("10,,insulin,5,U,1", "10,,insulin,5,U,2", header=f"{INPUTS},order")
    assert record.inputs["insulin"].to("U/min").amount(0, 60) == pytest.approx(10)


def test_rows_without_ends_hold_until_the_next_of_their_order():
    record = dosed("0,insulin,2,U/h", "120,insulin,3,U/h", "240,insulin,0,U/h", header="start,variable,rate,unit")
    np.testing.assert_array_equal(record.inputs["insulin"].steps(), [[0, 120, 240], [2, 3, 0]])
    assert record.notes == ("insulin, rows without an end: 2 hold until the next of their order.",)


def test_a_pump_that_still_runs_must_be_said():
    rows = ("0,insulin,2,U/h", "120,insulin,3,U/h")
    with pytest.raises(ValueError, match=r'Row 3 of the inputs .*column .end. is empty.*or say ends="next"'):
        dosed(*rows, header="start,variable,rate,unit")
    record = dosed(*rows, header="start,variable,rate,unit", ends="next")
    assert record.inputs["insulin"].at([60, 1000]).tolist() == [2, 3]


def test_settings_need_no_end_and_replace_each_other():
    course = dosed("10,peep,5,cmH2O", "60,peep,8,cm[H2O]", header="time,variable,value,unit").inputs["peep"]
    np.testing.assert_array_equal(course.at([0, 30, 600]), [np.nan, 5, 8])


def test_a_volume_becomes_a_dose_by_its_concentration():
    record = dosed("0,60,insulin,2,mL/h", "60,,insulin,3,mL", concentrations={"insulin": (1.5, "U/mL")})
    assert record.inputs["insulin"].to("U/min").amount(0, 120) == pytest.approx(1.5 * 2 + 1.5 * 3)


def test_rates_of_a_salt_are_halved():
    rows = "0,60,norepinephrine,8,ug/min"
    one, other = dosed(rows), dosed(rows, salts={"norepinephrine": "tartrate"})
    assert other.inputs["norepinephrine"].rates[0] == pytest.approx(one.inputs["norepinephrine"].rates[0] / 2)


def test_a_row_may_be_known_later_than_it_began():
    record = dosed("0,60,insulin,2,U/h,45", header=f"{INPUTS},known")
    assert record.until(44).inputs.names == ()
    assert record.until(45).inputs["insulin"].at(10) == 2


def test_an_amount_that_agrees_with_its_rate_is_accepted():
    assert dosed("0,120,insulin,2,U/h,4", header=f"{INPUTS},amount").inputs["insulin"].at(60) == 2


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["0,60,insulin,-2,U/h"], INPUTS, r"Row 2 of the inputs \(insulin\), column 'rate' must be 0 or more"),
        (["0,60,insulin,1,U/h", "60,120,insulin,two,U/h"], INPUTS, "Row 3 .*'rate' must hold a finite number.*'two'"),
        (["0,60,insulin,inf,U/h"], INPUTS, "Row 2 .*'rate' must hold a finite number"),
        (["60,0,insulin,1,U/h"], INPUTS, "Row 2 .*'end' must be after the start, but lies 60 min before it"),
        (["60,0,insulin,1,U"], INPUTS, "Row 2 .*'end' must not be before the start"),
        (["0,60,insulin,2,mL/h"], INPUTS, "Row 2 .*'unit' is a volume.*say e.g. concentrations="),
        (["0,60,insulin,1,U/h", "0,30,insulin,2,U/h"], INPUTS, "Row 3 .*contradicts row 2: .*two different rates"),
        (["0,120,insulin,2,U/h,9"], f"{INPUTS},amount", "Row 2 .*'amount' does not agree with its rate over 120 min"),
        (["0,60,insulin,9000,U/h"], INPUTS, r"Row 2 of the inputs \(insulin\), declared in U/h, is outside"),
        (["0,,peep,5,cmH2O", "0,,peep,8,cmH2O"], INPUTS, "Row 3 .*contradicts row 2: .*two different settings"),
        (["0,60,insulin,1,U/h,-5"], f"{INPUTS},known", "Row 2 .*'known' is before the row began"),
        (["0,60,insulin,1,U/h,maybe"], f"{INPUTS},bolus", "Row 2 .*'bolus' must be true or false"),
        (["0,60,glucose,1,mmol/L"], INPUTS, "Row 2 .*'glucose' belongs among the observations"),
    ],
)
def test_a_bad_input_row_is_refused_by_name(rows, header, message):
    with pytest.raises(ValueError, match=message):
        dosed(*rows, header=header)


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
    record = read_tidy(table("0,glucose,9,mmol/L"), table("-90,,insulin,5,U", header=INPUTS), start=0)
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
        gzip.compress(PLAIN.encode()),
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
        (gzip.compress(PLAIN.encode())[:-9], "is a gzip file that is cut short"),
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
