import io

import numpy as np
import pandas as pd
import pytest

from twinprob.readers.wide import read_wide

SHEET = """Time;BG (mg/dL);Insulin (U/h);Bolus (U);PEEP;Weight;Sex;Remark;Filed
2024-03-01 08:00;180;2,0;;8;80;female;;2024-03-01 08:05
2024-03-01 09:00;"<40";;4;;;;call Dr X;
2024-03-01 10:00;160,5;0;;10;;;;
"""
COLUMNS = {"BG (mg/dL)": ("glucose", "mg/dL"), "weight": ("weight", "kg"), "Sex": ("sex", None)}
INPUTS = {"Insulin (U/h)": ("insulin", "U/h"), "Bolus (U)": ("insulin", "U"), "PEEP": ("peep", "cm[H2O]")}


def read(text=SHEET, **how):
    return read_wide(io.StringIO(text), **{"time": "time", "columns": COLUMNS, "inputs": INPUTS, **how})


def test_cells_of_a_column_are_measurements_at_their_rows_time():
    glucose = read().observations["glucose"]
    np.testing.assert_array_equal([glucose.times, glucose.values, glucose.limits], [[0, 60, 120], [180, 40, 160.5], [0, -1, 0]])  # fmt: skip  # noqa: E501


def test_a_rate_holds_until_the_next_cell_of_its_column_and_doses_add():
    insulin = read().inputs["insulin"].to("U/min")
    assert insulin.amount(0, 300) == pytest.approx(2 * 2 + 4)


def test_a_setting_holds_until_its_next_cell():
    np.testing.assert_array_equal(read().inputs["peep"].at([0, 100, 130]), [8, 8, 10])


def test_columns_of_properties_are_covariates():
    assert {name: one.value for name, one in read().covariates.items()} == {"weight": 80, "sex": "female"}


def test_columns_that_were_not_read_are_named():
    assert "Columns not read: Remark, Filed." in read().notes


def test_a_column_says_when_a_row_was_known():
    np.testing.assert_array_equal(read(known="Filed").observations["glucose"].known, [5, 60, 120])


def test_every_cell_that_is_not_empty_is_accounted_for():
    ledger = read().ledger
    assert (ledger.count, ledger.select(variable="glucose").count, ledger.select(variable="insulin").count) == (
        10,
        3,
        3,
    )


def test_date_and_time_of_day_may_stand_in_two_columns():
    sheet = "Day,Clock,BG\n2024-03-01,23:30,8\n2024-03-02,00:15,9\n"
    record = read(sheet, time=("Day", "Clock"), columns={"BG": ("glucose", "mmol/L")}, inputs=None)
    np.testing.assert_array_equal(record.observations["glucose"].times, [0, 45])


def test_two_columns_of_one_input_are_two_orders():
    sheet = "t,BG,Pump 1,Pump 2\n0,8,1,2\n60,8,0,\n"
    inputs = {"Pump 1": ("insulin", "U/h"), "Pump 2": ("insulin", "U/h")}
    course = read(sheet, time="t", columns={"BG": ("glucose", "mmol/L")}, inputs=inputs).inputs["insulin"]
    np.testing.assert_array_equal(course.at([30, 90]), [3, 2])


def test_a_pump_that_still_runs_is_said():
    sheet = "t,BG,Pump\n0,8,1\n60,8,2\n"
    record = read(sheet, time="t", columns={"BG": ("glucose", "mmol/L")}, inputs={"Pump": ("insulin", "U/h")})
    assert record.notes == ("insulin, rows without an end: 1 hold until the next of their order, 1 still runs.",)


def test_a_frame_is_read_like_its_file():
    frame = pd.DataFrame({"t": [0.0, 60.0], "BG": [8.0, np.nan]})
    assert read_wide(frame, time="t", columns={"BG": ("glucose", "mmol/L")}).observations["glucose"].times.tolist() == [
        0
    ]


def test_one_patient_of_several_is_chosen_and_the_others_counted():
    sheet = "pat_id,t,BG\n1,0,8\n2,0,9\n1,60,7\n"
    record = read(sheet, time="t", columns={"BG": ("glucose", "mmol/L")}, inputs=None, patient=1)
    assert (record.observations["glucose"].values.tolist(), dict(record.skipped)) == ([8, 7], {"of another patient": 1})


@pytest.mark.parametrize(
    ("sheet", "how", "message"),
    [
        ("t,BG\n0,8\n", {"columns": {"BGs": ("glucose", "mmol/L")}}, "has no column 'BGs'; it has 't', 'BG'"),
        ("t,BG\n0,8\nx,9\n", {}, "Row 3, column 't' must hold a time, but holds another text"),
        ("t,BG\n0,LO\n", {}, r"Row 2 of the table \(glucose\), column 'BG' holds 'LO', a reading below the meter's"),
        (
            "t,BG,I\n0,8,-1\n",
            {"inputs": {"I": ("insulin", "U/h")}},
            "Row 2 .*column 'I' must be 0 or more, but holds -1",
        ),
        ("t,BG,I\n0,8,2\n", {"inputs": {"I": ("insulin", "mL/h")}}, "Row 2 .*'unit' is a volume.*concentrations="),
        ("t,BG\n0,8\n", {"columns": {"BG": ("insulin", "U/h")}}, "'insulin' belongs among the inputs"),
        ("id,t,BG\n1,0,8\n2,5,9\n", {}, "holds 2 patients or stays in column 'id'"),
    ],
)
def test_a_bad_wide_table_is_refused_by_name(sheet, how, message):
    with pytest.raises(ValueError, match=message):
        read(sheet, **{"time": "t", "columns": {"BG": ("glucose", "mmol/L")}, "inputs": None, **how})
