"""What streams bring, joined to a record, against what the record would have held from the first."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record
from twinprob.patient.stay import join

TIMES = np.arange(0.0, 601.0, 2.5)


def glucose(times, values, inputs=None, unit="mmol/L", start=0.0, known=None, **rest):
    return Record.build({"glucose": (times, values, unit, None, known)}, inputs, start=start, **rest)


SEEN = glucose([60, 120], [8.0, 9.0])


# ---- measurements --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "unit"), [(9.0, "mmol/L"), (9.0 * 18.016, "mg/dL")])
def test_an_exact_repeat_counts_once(value, unit):
    joined = join(SEEN, glucose([120], [value], unit=unit))
    assert joined.record == SEEN
    assert joined.brought == {"repeated": 1}
    assert joined.record.skipped == {"glucose: repeats what the twin has seen": 1}


def test_a_value_known_later_replaces_the_one_it_corrects():
    joined = join(SEEN, glucose([60], [7.0], known=[130]))
    series = joined.record.observations["glucose"]
    assert (series.values.tolist(), series.known.tolist()) == ([7.0, 9.0], [130.0, 120.0])
    assert joined.since == np.nextafter(60, 0)
    assert joined.record.skipped == {"glucose: corrected": 1}
    assert joined.brought == {"corrected": 1}


def test_a_correction_without_a_time_of_its_own_was_known_when_the_new_data_were():
    joined = join(SEEN, glucose([120, 180], [9.5, 10.0], start=120.0))
    assert joined.record.observations["glucose"].known.tolist() == [60.0, 180.0, 180.0]
    assert joined.record.until(120).observations["glucose"].values.tolist() == [8.0]


def test_a_contradiction_known_no_later_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"`glucose` at 60 min contradicts.*say when it was known: `\(times, values"):
        join(SEEN, glucose([60], [9.9]))


def test_a_laboratory_value_known_late_flows_from_one_record_into_the_next():
    whole = glucose([30, 60, 150], [7.0, 8.0, 9.0], known=[30, 140, 150])
    joined = join(whole.until(100), whole.between(100, 160))
    assert joined.record == whole.until(160)
    assert joined.since == np.nextafter(60, 0)
    assert joined.brought == {"values": 2, "late values": 1}


def test_rows_of_a_source_balance_after_a_repeat():
    source = SEEN.ledger.noted("glucose", "", [120.0], fate="used", source="labevents", rows=[7])
    again = Record(glucose([120], [9.0]).observations, Inputs(), {}, 0.0, 120.0, source)
    ledger = join(SEEN, again).record.ledger
    assert [(line.fate, line.rows.tolist()) for line in ledger] == [("merged", [7])]


# ---- inputs --------------------------------------------------------------------------------------------------------


def drips(**columns):
    rows = [(0, 100, 1.0, "a", 0), (80, 400, 2.0, "b", 190), (100, np.inf, 3.0, "a", 100), (260, 300, 0.5, "c", 260)]
    rows += [(320, np.inf, 0.0, "a", 350)]
    starts, ends, rates, orders, known = (list(column) for column in zip(*rows, strict=True))
    return Inputs.infusions("insulin", starts, ends, rates, "U/h", order=orders, known=known)


@pytest.mark.parametrize("cuts", [(120, 180, 240, 500), (60, 200, 330, 360), (150, 500), (90, 95, 185, 195, 345, 500)])
def test_late_rows_and_ends_flow_through_pieces_as_through_the_whole(cuts):
    whole = glucose([10, 550], [8.0, 9.0], drips() | Inputs.bolus("insulin", [150, 170], [2.0, 3.0], known=[150, 230]))
    joined = whole.until(cuts[0])
    for begin, end in itertools.pairwise(cuts):
        joined = join(joined, whole.between(begin, end)).record
    mine, theirs = joined.inputs["insulin"], whole.until(cuts[-1]).inputs["insulin"]
    np.testing.assert_allclose(mine.at(TIMES), theirs.at(TIMES), atol=1e-9)


def test_a_dose_charted_late_is_replayed_from_its_start():
    whole = glucose([10, 300], [8.0, 9.0], Inputs.bolus("insulin", 100, 5.0, known=150))
    joined = join(whole.until(120), whole.between(120, 200))
    assert joined.since == 100
    assert joined.record.inputs["insulin"].amount(0, 200) == pytest.approx(5.0)
    assert joined.brought == {"input rows": 1, "late input rows": 1}


def test_a_late_dose_needs_no_declared_start():
    new = Record({}, Inputs.bolus("insulin", 100, 5.0), {}, 0.0, 150.0)
    joined = join(glucose([10, 120], [8.0, 9.0], Inputs.constant(insulin=(1.0, "U/h"))), new)
    assert joined.since == 100
    assert joined.record.inputs["insulin"].amount(100, 160) == pytest.approx(60 * 6.0)


def test_the_same_dose_sent_again_is_given_once():
    known = glucose([10, 120], [8.0, 9.0], Inputs.bolus("insulin", 100, 5.0))
    joined = join(known, glucose([150], [9.0], Inputs.bolus("insulin", 100, 5.0)))
    assert joined.record.inputs["insulin"].amount(0, 200) == pytest.approx(5.0)
    assert joined.brought["repeated input rows"] == 1
    assert joined.record.skipped == {"insulin: repeats an input row the twin has seen": 1}


@pytest.mark.parametrize("order", [None, "drip"])
def test_a_row_with_rate_0_ends_its_order(order):
    known = glucose([10, 120], [8.0, 9.0], Inputs.infusions("insulin", 0, np.inf, 3.0, "U/h", order=order))
    joined = join(known, Record({}, Inputs.infusions("insulin", 130, np.inf, 0.0, "U/h", order=order), {}, 0.0, 150.0))
    assert [joined.record.inputs["insulin"].at(t) for t in (125, 135)] == [3.0, 0.0]


def test_a_late_end_of_an_order_is_replayed_from_it():
    known = glucose([10, 120], [8.0, 9.0], Inputs.infusions("insulin", 0, np.inf, 3.0, "U/h"))
    ended = Record({}, Inputs.infusions("insulin", 0, 100, 3.0, "U/h"), {}, 120.0, 150.0)
    joined = join(known, ended)
    assert (joined.since, joined.brought) == (100, {"ended": 1})
    assert joined.record.inputs["insulin"].at(110) == 0


def test_a_new_row_of_no_order_beside_two_running_ones_is_refused():
    two = Inputs.infusions("insulin", 0, np.inf, 3.0, "U/h") | Inputs.infusions("insulin", 5, np.inf, 1.0, "U/h")
    with pytest.raises(ValueError, match="names no order, and 2 orders without a name run then"):
        join(
            glucose([10, 120], [8.0, 9.0], two), glucose([150], [9.0], Inputs.infusions("insulin", 130, 140, 9, "U/h"))
        )


def test_a_setting_charted_late_holds_from_its_own_time_until_the_next():
    peep = Inputs.settings("peep", [0, 90, 200], [5.0, 8.0, 10.0], "cmH2O", known=[0, 150, 200])
    whole = glucose([10, 300], [8.0, 9.0], peep)
    joined = join(whole.until(120), whole.between(120, 300))
    assert joined.since == 90
    assert [joined.record.inputs["peep"].at(t) for t in (60, 100, 190, 250)] == [5.0, 8.0, 8.0, 10.0]


def test_a_rate_that_changed_twice_in_one_piece_is_the_last():
    given = Inputs.infusions("insulin", [0, 260], [np.inf, np.inf], [3.0, 5.0], "U/h")
    whole = glucose([10, 500], [8.0, 9.0], given)
    joined = join(whole.until(240), whole.between(240, 300)).record
    assert [joined.inputs["insulin"].at(t) for t in (250, 270)] == [3.0, 5.0]


@pytest.mark.parametrize("setting", [False, True])
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 100), st.sampled_from([1.0, 2.0]), st.integers(0, 8)),
        min_size=1, max_size=8, unique_by=lambda row: row[0],
    ),
    cuts=st.lists(st.integers(1, 120), min_size=2, max_size=4, unique=True),
)  # fmt: skip
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
def test_what_is_charted_again_unchanged_runs_on_through_pieces(setting, rows, cuts):
    starts, values, late = np.array(sorted(rows), float).T * [[5], [1], [5]]
    name, unit = ("peep", "cmH2O") if setting else ("insulin", "U/h")
    given_ = Inputs.infusions(name, starts, np.full(starts.size, np.inf), values, unit, known=starts + late)
    whole = glucose([0, 605], [8.0, 9.0], given_)
    cuts = [5.0 * cut + 1.0 for cut in sorted(cuts)]
    joined = whole.until(cuts[0])
    for begin, end in itertools.pairwise(cuts):
        joined = join(joined, whole.between(begin, end)).record
    # By hand: of the rows known by the last cut, the one that began last before a time is in force at it.
    end = cuts[-1]
    seen, times = starts + late <= end, TIMES[end > TIMES]
    begun = [np.flatnonzero(seen & (starts <= time)) for time in times]
    before = np.nan if setting else 0.0
    found = joined.inputs[name].at(times) if name in joined.inputs else np.full(times.size, before)
    np.testing.assert_array_equal(found, [values[rows[-1]] if rows.size else before for rows in begun])


def test_news_of_the_past_leave_the_present_where_it_is():
    dose = Inputs.bolus("insulin", 100, 5.0, known=150)
    joined = join(glucose([10, 240], [8.0, 9.0]), Record({}, dose, {}, 0.0, 150.0)).record
    whole = glucose([10, 240], [8.0, 9.0], dose)
    assert (joined.end, joined) == (240.0, whole)


def test_an_order_that_runs_on_under_another_number_is_one_order():
    ended = Inputs.infusions("insulin", 0, 50, 1.0, "U/h")
    known = glucose([10, 240], [8.0, 9.0], ended | Inputs.infusions("insulin", 60, np.inf, 3.0, "U/h"))
    later = Inputs.infusions("insulin", [240, 260], [np.inf, np.inf], [3.0, 5.0], "U/h")
    joined = join(known, Record({}, later, {}, 240.0, 300.0)).record
    assert [joined.inputs["insulin"].at(t) for t in (250, 270)] == [3.0, 5.0]


# ---- properties ----------------------------------------------------------------------------------------------------


def test_a_new_weight_scales_what_is_given_per_kilogram_from_now_on():
    drip = Inputs.infusions("norepinephrine", 0, np.inf, 0.1, "ug/kg/min")
    known = glucose([10, 120], [8.0, 9.0], drip, covariates={"weight": (80, "kg")})
    joined = join(known, glucose([150], [9.0], start=120.0, covariates={"weight": (90, "kg")}))
    course = joined.record.inputs["norepinephrine"]
    assert (course.unit, joined.record.weight) == ("ug/min", 90.0)
    assert [course.at(t) for t in (100, 130)] == pytest.approx([8.0, 9.0])
    assert joined.notes == ("weight is 90 kg from 2.00 h on (80 kg before).",)


def test_a_weight_charted_again_flows_through_pieces_as_through_the_whole():
    whole = glucose([0, 90], [8.0, 7.0], covariates={"weight": (80, "kg", [(30, 81), (60, 83)])})
    assert join(whole.until(40), whole.between(40, 90)).record == whole


@pytest.mark.parametrize(
    ("name", "mine", "theirs"),
    [("weight", (80, "kg"), (120, "kg")), ("sex", "male", "female"), ("age", (60, "year"), (30, "year"))],
)
def test_another_patient_is_refused(name, mine, theirs):
    known = glucose([10, 120], [8.0, 9.0], covariates={name: mine})
    with pytest.raises(ValueError, match=f"Covariate `{name}` of the new data differs"):
        join(known, glucose([150], [9.0], covariates={name: theirs}))


def test_a_property_that_became_known_is_named():
    joined = join(glucose([10], [8.0]), glucose([150], [9.0], covariates={"age": (60, "year")}))
    assert (joined.brought["covariates"], joined.notes) == (1, ("age became known at 0.17 h.",))


def test_another_person_is_refused():
    with pytest.raises(ValueError, match="another person"):
        join(glucose([10], [8.0], person="a"), glucose([150], [9.0], person="b"))
