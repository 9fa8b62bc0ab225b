import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinprob.patient.inputs import Course, Inputs

INTERVALS = st.lists(
    st.tuples(
        st.integers(0, 100), st.integers(1, 60), st.integers(0, 50), st.booleans(), st.sampled_from(["a", "b", "c"])
    ),
    min_size=1,
    max_size=8,
)


def course_of(intervals):
    starts, lengths, rates, bolus, orders = (np.array(column) for column in zip(*intervals, strict=True))
    return Course(starts, starts + lengths, rates, "mU/min", bolus, orders)


def slow_value(course, time):
    """By hand: every dose under way, and of each order the last row that has begun, if it has not ended."""
    rows = list(zip(course.starts, course.ends, course.rates, course.bolus, course.orders, strict=True))
    total = sum(rate for start, end, rate, bolus, _ in rows if bolus and start <= time < end)
    for order in {row[4] for row in rows}:
        begun = [row for row in rows if not row[3] and row[4] == order and row[0] <= time]
        total += begun[-1][2] if begun and time < begun[-1][1] else 0.0
    return total


@given(INTERVALS)
def test_the_value_is_the_sum_of_what_the_orders_say(intervals):
    course = course_of(intervals)
    times = np.arange(-1, 170, 0.5)
    np.testing.assert_array_equal(course.at(times), [slow_value(course, time) for time in times])


@given(INTERVALS)
def test_steps_hold_until_the_next_change(intervals):
    times, values = course_of(intervals).steps()
    course = course_of(intervals)
    np.testing.assert_array_equal(values, [slow_value(course, time) for time in times])
    assert (np.diff(times) > 0).all()


@given(INTERVALS)
def test_nothing_is_left_when_everything_has_ended(intervals):
    assert course_of(intervals).at(1e6) == 0.0


@given(INTERVALS, st.integers(0, 120))
def test_until_agrees_with_the_past_and_knows_no_later_time(intervals, now):
    course = course_of(intervals)
    known = course.until(now)
    past = np.arange(-1, now, 0.5)
    np.testing.assert_array_equal(known.at(past), course.at(past))
    edges = np.concatenate([known.starts, known.ends])
    assert (edges[np.isfinite(edges)] <= now).all()


@given(INTERVALS, st.integers(0, 120), st.integers(0, 120))
def test_until_twice_is_until_the_earlier(intervals, one, other):
    course = course_of(intervals)
    assert course.until(max(one, other)).until(min(one, other)) == course.until(min(one, other))


def test_a_running_infusion_runs_on_past_until():
    course = Inputs.infusions("insulin", 0, "2 h", 3.0, "U/h")["insulin"].until("1 h")
    assert course.ends[0] == np.inf


def test_an_infusion_that_ran_until_now_runs_on():
    course = Inputs.infusions("insulin", [0, 60], [60, 120], [3.0, 4.0], "U/h")["insulin"].until(60)
    assert course.at(90) == 3.0


def test_a_stopped_infusion_stays_stopped():
    assert Inputs.infusions("insulin", 0, 50, 3.0, "U/h")["insulin"].until(60).at(90) == 0.0


def test_a_running_bolus_stops_at_until():
    course = Inputs.bolus("insulin", 0, 5.0, "U", duration=10)["insulin"].until(4)
    assert course.ends[0] == 4.0


@given(INTERVALS, st.integers(0, 60), st.integers(61, 160))
def test_between_agrees_with_the_whole_inside_its_span(intervals, begin, end):
    course = course_of(intervals)
    inside = np.arange(begin, end, 0.5)
    np.testing.assert_array_equal(course.between(begin, end).at(inside), course.at(inside))


@pytest.mark.parametrize("time", [-1e9, 0.0, 1e9])
def test_a_constant_input_is_the_same_at_every_time(time):
    assert Inputs.constant(insulin=(3.0, "U/h"))["insulin"].at(time) == 3.0


def test_a_constant_input_has_no_change():
    times, _ = Inputs.constant(insulin=(3.0, "U/h"))["insulin"].steps()
    assert times.size == 0


def test_a_bolus_delivers_its_amount():
    course = Inputs.bolus("insulin", 10, 5.0, "U", duration="2 min")["insulin"].to("mU/min", variable="insulin")
    assert (course.rates * (course.ends - course.starts)).sum() == pytest.approx(5000.0)


def test_joining_adds_and_converts_the_second_unit():
    both = Inputs.infusions("insulin", 0, 60, 3.0, "U/h") | Inputs.infusions("insulin", 30, 60, 50.0, "mU/min")
    assert both["insulin"].at(45) == pytest.approx(6.0)


def test_joining_units_that_do_not_convert_is_refused():
    one = Inputs.infusions("hare", 0, 60, 3.0, "U/h", own=("hare",))
    with pytest.raises(ValueError, match="of hare cannot become 'U/h'"):
        one | Inputs.infusions("hare", 0, 60, 3.0, "mL/h", own=("hare",))


def test_a_plan_replaces_the_inputs_it_names_from_its_time_on():
    past = Inputs.infusions("insulin", 0, 200, 2.0, "U/h")
    planned = past.then(Inputs.constant(insulin=(5.0, "U/h")), "90 min")["insulin"]
    np.testing.assert_array_equal(planned.at([89.0, 90.0, 1e6]), [2.0, 5.0, 5.0])


def test_inputs_that_a_plan_does_not_name_run_on():
    past = Inputs.infusions("enteral_glucose", [0, 120], [120, 180], [1.0, 9.0], "mmol/min")
    planned = past.then(Inputs.constant(insulin=(5.0, "U/h")), 90)
    assert planned["enteral_glucose"].at(150) == 1.0


def test_a_history_cannot_be_written_to():
    course = Inputs.constant(insulin=(3.0, "U/h"))["insulin"]
    with pytest.raises(ValueError, match="read-only"):
        course.rates[0] = 1.0


def test_a_rate_without_an_end_is_refused():
    with pytest.raises(ValueError, match=r"insulin interval 0 in U/h has no end: give its end, or inf"):
        Inputs.infusions("insulin", [0.0], None, [3.0], "U/h")


def test_a_missing_end_among_others_is_named_by_its_index():
    with pytest.raises(ValueError, match="insulin interval 1 in U/h has no end"):
        Inputs.infusions("insulin", [0.0, 60.0], [60.0, np.nan], [3.0, 4.0], "U/h")


def test_an_end_before_its_start_is_refused():
    with pytest.raises(ValueError, match="insulin interval 0 must end after it starts, but runs from 60 to 30 min"):
        Inputs.infusions("insulin", 60, 30, 3.0, "U/h")


@pytest.mark.parametrize("rate", [np.nan, np.inf, -1.0])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(ValueError, match="insulin interval 0 must have a finite rate of 0 or more"):
        Inputs.infusions("insulin", 0, 60, rate, "U/h")


def test_an_amount_where_a_rate_belongs_is_refused():
    with pytest.raises(ValueError, match="insulin"):
        Inputs.infusions("insulin", 0, 60, 3.0, "U")


def test_a_rate_where_an_amount_belongs_is_refused():
    with pytest.raises(ValueError, match="a bolus is an amount, but 'U/h' is a rate"):
        Inputs.bolus("insulin", 0, 3.0, "U/h")


def test_an_input_without_unit_is_refused():
    with pytest.raises(ValueError, match="insulin has no unit: declare one such as 'mU/min'"):
        Inputs.infusions("insulin", 0, 60, 3.0, "")


def test_an_input_of_another_dimension_is_refused():
    with pytest.raises(ValueError, match="Unit 'mL/h' of insulin cannot become 'mU/min'"):
        Inputs.infusions("insulin", 0, 60, 3.0, "mL/h")


def test_an_implausible_rate_is_refused():
    with pytest.raises(ValueError, match=r"insulin\[0\], declared in U/h, is outside the plausible range"):
        Inputs.infusions("insulin", 0, 60, 3000.0, "U/h")


@pytest.mark.parametrize(("duration", "most"), [(1.0, 2.0), (60.0, 2.0), (120.0, 4.0)])
def test_a_bolus_may_hold_an_hour_of_the_highest_rate_and_no_more(duration, most):
    # the highest plausible rate of insulin is 2000 mU/min: 120 U within the hour, and 240 U within two
    Inputs.bolus("insulin", 0, 0.999 * 60 * most, "U", duration=duration)
    with pytest.raises(ValueError, match="outside the plausible range"):
        Inputs.bolus("insulin", 0, 1.001 * 60 * most, "U", duration=duration)


def test_an_unknown_input_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'insulin'"):
        Inputs.infusions("insuline", 0, 60, 3.0, "U/h")


@pytest.mark.parametrize("cut", ["until", "between", "after"])
def test_what_is_known_to_be_zero_stays_so_when_it_is_cut_again(cut):
    known = Inputs.infusions("insulin", 0, 60, 2.0, "U/h").between(60, 240)
    again = {"until": known.until(120), "between": known.between(90, 120), "after": known.after(90)}[cut]
    assert (again.names, again["insulin"].starts.size) == (("insulin",), 0)


def test_an_input_that_has_not_begun_is_not_known_at_all():
    later = Inputs.infusions("insulin", 60, 120, 2.0, "U/h")
    assert (later.until(60).names, later.between(0, 60).names) == ((), ())


# ---- the four kinds of input ---------------------------------------------------------------------------------------


@given(INTERVALS, st.integers(-5, 170), st.integers(-5, 170))
def test_the_amount_between_two_times_is_that_of_a_minute_by_minute_count(intervals, one, other):
    course, (begin, end) = course_of(intervals), sorted((one, other))
    by_hand = sum(slow_value(course, minute + 0.5) for minute in range(begin, end))
    assert course.amount(begin, end) == pytest.approx(by_hand, abs=1e-9)


@given(INTERVALS, st.randoms(use_true_random=False))
def test_the_order_of_rows_means_nothing(intervals, chance):
    shuffled = sorted(intervals, key=lambda _: chance.random())
    rows = {(start, order) for start, *_, bolus, order in intervals if not bolus}
    if len(rows) == sum(not row[3] for row in intervals):  # two rows of one order at one time contradict each other
        times = np.arange(-1, 170, 0.5)
        np.testing.assert_array_equal(course_of(shuffled).at(times), course_of(intervals).at(times))


@given(st.integers(1, 99), st.floats(0.1, 10.0))
def test_an_infusion_charted_in_two_rows_is_the_same_infusion(border, rate):
    whole = Inputs.infusions("insulin", 0, 100, rate, "U/h")["insulin"]
    split = Inputs.infusions("insulin", [0, border], [border, 100], [rate, rate], "U/h")["insulin"]
    assert split.amount(-10, 200) == pytest.approx(whole.amount(-10, 200), abs=1e-9)


def test_a_rate_of_zero_stops_its_order():
    insulin = Inputs.infusions("insulin", [0, 30], [np.inf, 60], [1.0, 0.0], "U/h")["insulin"]
    assert (insulin.at(15), insulin.at(45), insulin.at(90)) == (1.0, 0.0, 0.0)


def test_different_orders_add():
    insulin = Inputs.infusions("insulin", [0, 30], [90, 60], [1.0, 2.0], "U/h", order=["pump", "bag"])["insulin"]
    assert (insulin.at(15), insulin.at(45), insulin.at(75)) == (1.0, 3.0, 1.0)


def test_timelines_that_are_merged_add_unless_they_name_one_order():
    one, other = (Inputs.infusions("insulin", start, 90, 1.0, "U/h") for start in (0, 30))
    named = [Inputs.infusions("insulin", start, 90, 1.0, "U/h", order="pump") for start in (0, 30)]
    assert ((one | other)["insulin"].at(45), (named[0] | named[1])["insulin"].at(45)) == (2.0, 1.0)


def test_the_same_dose_twice_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"insulin is given twice at 10 min.*name two orders"):
        Inputs.bolus("insulin", [10, 10], [5, 5], "U")


def test_the_same_dose_of_two_orders_is_two_doses():
    assert Inputs.bolus("insulin", [10, 10], [5, 5], "U", order=["1", "2"])["insulin"].amount(0, 60) == 10.0


def test_a_rate_that_is_plausible_in_each_row_is_refused_where_orders_add_up_to_too_much():
    with pytest.raises(ValueError, match=r"insulin adds up to more than is plausible at 5 min, where 2 orders"):
        Inputs.infusions("insulin", [0, 5], [60, 60], [100.0, 100.0], "U/h", order=["a", "b"])


def test_a_setting_is_unknown_before_its_first_row_and_replaced_by_the_next():
    peep = Inputs.settings("peep", [30, 90], [8.0, 12.0], "cmH2O")["peep"]
    np.testing.assert_array_equal(peep.at([0, 30, 89, 90, 1e5]), [np.nan, 8.0, 8.0, 12.0, 12.0])


def test_a_setting_of_ones_own_may_have_any_unit():
    ratio = Inputs.settings("pump_ratio", [0, 30], [1.0, 0.5], "1", own=("pump_ratio",))["pump_ratio"]
    assert (ratio.at(10), ratio.at(40), ratio.setting) == (1.0, 0.5, True)


def test_rows_of_a_setting_replace_each_other_though_their_orders_differ():
    given = Inputs.infusions("peep", [0, 60], [np.inf, np.inf], [5.0, 12.0], "cmH2O", order=["a", "b"])
    assert given["peep"].at(90) == 12.0


def test_two_settings_of_one_time_that_differ_are_refused():
    with pytest.raises(ValueError, match="peep has two different settings at 0 min"):
        Inputs.settings("peep", [0, 0], [5.0, 8.0], "cmH2O")


def test_settings_that_always_held_are_followed_by_others_without_a_word():
    given = Inputs.constant(peep=(5.0, "cmH2O")).then(Inputs.constant(peep=(12.0, "cmH2O")), 60)
    assert (given["peep"].at(30), given["peep"].at(90)) == (5.0, 12.0)


def test_two_settings_that_always_held_contradict_each_other():
    with pytest.raises(ValueError, match="peep has two different settings at -inf min"):
        Inputs.constant(peep=(5.0, "cmH2O")) | Inputs.constant(peep=(12.0, "cmH2O"))


def test_a_planned_setting_leaves_the_one_before_in_force_until_then():
    plan = Inputs.settings("peep", [90], [12.0], "cmH2O")
    given = Inputs.settings("peep", [0], [5.0], "cmH2O").then(plan, 60)
    assert (given["peep"].at(75), given["peep"].at(95)) == (5.0, 12.0)


def test_a_row_charted_late_is_unknown_until_it_was_charted():
    insulin = Inputs.infusions("insulin", [0, 30], [np.inf, np.inf], [1.0, 4.0], "U/h", known=[0, 60])["insulin"]
    assert (insulin.until(50).at(45), insulin.until(61).at(45), insulin.at(45)) == (1.0, 4.0, 4.0)


def test_a_row_known_before_it_began_is_refused():
    with pytest.raises(ValueError, match="insulin interval 0 was known at 5 min, before it began at 10 min"):
        Inputs.infusions("insulin", 10, 20, 1.0, "U/h", known=5)


@pytest.mark.parametrize(("now", "rate"), [(59.0, 1.0), (60.0, 4.0)])
def test_what_became_known_at_a_time_is_known_then(now, rate):
    insulin = Inputs.infusions("insulin", [0, 30], [np.inf, np.inf], [1.0, 4.0], "U/h", order="drip", known=[0, 60])[
        "insulin"
    ]
    assert insulin.until(now).at(50.0) == rate


def test_a_row_that_was_replaced_is_gone_after_a_cut():
    insulin = Inputs.infusions("insulin", [0, 30], [np.inf, np.inf], [1.0, 4.0], "U/h", order="drip")["insulin"]
    later = insulin.after(50)
    assert (later.starts.tolist(), later.rates.tolist()) == ([50.0], [4.0])


def test_a_balloon_pumps_ratio_is_a_setting_written_as_one_to_so_many():
    course = Inputs.settings("balloon_ratio", [0, 60], ["1:1", "1:2"], "1")["balloon_ratio"]
    np.testing.assert_array_equal(course.at([-1, 30, 90]), [np.nan, 1.0, 0.5])
