import io

import numpy as np
import pytest

from twinprob.readers.tidy import read_tidy

INPUTS = "start,end,variable,rate,unit"


def table(*rows, header="time,variable,value,unit"):
    return io.StringIO("\n".join([header, *rows]) + "\n")


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


def test_a_row_without_an_order_beside_named_ones_is_an_order_of_its_own():
    rows = ("0,100,insulin,1,U/h,a", "20,40,insulin,2,U/h,", "60,80,insulin,4,U/h,")
    course = dosed(*rows, header=f"{INPUTS},order").inputs["insulin"]
    assert course.at([10, 30, 50, 70, 90]).tolist() == [1.0, 3.0, 1.0, 5.0, 1.0]


def test_rows_without_an_order_are_one_order_where_none_is_named():
    course = dosed("0,100,insulin,1,U/h,", "20,100,insulin,2,U/h,", header=f"{INPUTS},order").inputs["insulin"]
    assert course.at([10, 30]).tolist() == [1.0, 2.0]


def test_the_same_row_twice_counts_once_also_without_an_order():
    rows = ("0,100,insulin,1,U/h,a", "20,,insulin,2,U,", "20,,insulin,2,U,")
    assert dosed(*rows, header=f"{INPUTS},order").inputs["insulin"].to("U/min").amount(0, 100) == pytest.approx(
        100 / 60 + 2
    )


def test_overlapping_rows_without_an_order_beside_named_ones_are_refused():
    rows = ("0,100,insulin,1,U/h,a", "20,40,insulin,2,U/h,", "30,80,insulin,4,U/h,")
    with pytest.raises(ValueError, match=r"Row 4 .*'order' is empty, as it is in row 3, which still runs then"):
        dosed(*rows, header=f"{INPUTS},order")


@pytest.mark.parametrize(("cell", "share"), [("1:2", 0.5), ("1 : 3", 1 / 3), ("0:1", 0.0), ("1", 1.0)])
def test_a_balloon_pumps_ratio_is_the_share_of_beats_that_it_assists(cell, share):
    course = dosed(f"0,balloon_ratio,{cell},1", header="start,variable,value,unit").inputs["balloon_ratio"]
    assert (course.setting, course.at(30)) == (True, pytest.approx(share))


def test_a_balloon_ratio_of_two_is_refused_with_its_form():
    with pytest.raises(ValueError, match=r"balloon_ratio.*One beat in two is 1:2"):
        dosed("0,balloon_ratio,2,1", header="start,variable,value,unit")


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
