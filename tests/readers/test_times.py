import datetime
import io
import zoneinfo

import numpy as np
import pandas as pd
import pytest

from twinprob.readers.tidy import read_inputs, read_tidy

NEW_YORK = "America/New_York"


def table(*rows, header="time,variable,value,unit"):
    return io.StringIO("\n".join([header, *rows]) + "\n")


def glucose_times(*times, **how):
    rows = [f"{time},glucose,{5 + index},mmol/L" for index, time in enumerate(times)]
    return read_tidy(table(*rows), **how).observations["glucose"].times


def amount(start, end, **how):
    given = table(f"{start},{end},insulin,2,U/h", header="start,end,variable,rate,unit")
    return read_tidy(table(f"{start},glucose,8,mmol/L"), given, **how).inputs["insulin"].to("U/min").amount(-9e4, 9e4)


@pytest.mark.parametrize(
    ("night", "hours"), [("2024-11-03", 5), ("2024-03-10", 3), ("2024-06-02", 4)], ids=["back", "forward", "neither"]
)
def test_a_night_lasts_as_long_as_its_clocks_say(night, hours):
    assert amount(f"{night}T00:00", f"{night}T04:00", timezone=NEW_YORK) == pytest.approx(2 * hours)


def test_the_order_of_rows_says_which_pass_of_a_repeated_hour_is_meant():
    times = [f"2024-11-03T{clock}" for clock in ("00:00", "01:00", "01:30", "01:00", "01:40", "02:00")]
    np.testing.assert_array_equal(glucose_times(*times, timezone=NEW_YORK), [0, 60, 90, 120, 160, 180])


def test_the_same_time_twice_in_a_repeated_hour_is_an_hour_apart():
    times = [f"2024-11-03T{clock}" for clock in ("00:00", "01:00", "01:00", "02:00")]
    np.testing.assert_array_equal(glucose_times(*times, timezone=NEW_YORK), [0, 60, 120, 180])


def test_a_time_of_a_repeated_hour_that_no_row_settles_is_said():
    record = read_tidy(table("2024-11-03T01:30,glucose,8,mmol/L"), timezone=NEW_YORK)
    assert "1 times lie in the hour that the clocks repeated and are taken as its first pass" in record.notes[0]


def test_an_end_in_the_repeated_hour_that_precedes_its_start_is_in_the_second_pass():
    assert amount("2024-11-03T01:45", "2024-11-03T01:15", timezone=NEW_YORK) == pytest.approx(2 * 0.5)


def test_a_time_that_the_clocks_skipped_is_refused():
    with pytest.raises(ValueError, match=r"Row 2, column 'time' holds a time of day that the clocks .* skipped"):
        glucose_times("2024-03-10T02:30", timezone=NEW_YORK)


def test_an_offset_in_the_text_wins_over_the_zone():
    np.testing.assert_array_equal(glucose_times("2024-11-03T01:30-04:00", "2024-11-03T01:30-05:00", timezone=NEW_YORK), [0, 60])  # fmt: skip  # noqa: E501


def test_dates_of_python_in_a_zone_count_real_minutes():
    zone = zoneinfo.ZoneInfo(NEW_YORK)
    times = [datetime.datetime(2024, 11, 3, hour, tzinfo=zone) for hour in (0, 4)]
    frame = pd.DataFrame({"time": pd.Series(times, dtype=object), "variable": "glucose", "value": [8.0, 7.0], "unit": "mmol/L"})  # fmt: skip  # noqa: E501
    np.testing.assert_array_equal(read_tidy(frame).observations["glucose"].times, [0, 300])


def test_a_night_in_which_clocks_may_have_changed_is_said_where_no_zone_is_given():
    record = read_tidy(table("2024-11-03T00:00,glucose,8,mmol/L", "2024-11-03T04:00,glucose,7,mmol/L"))
    assert "in one of these nights clocks may have been changed" in record.notes[0]


def test_other_nights_are_not_remarked_on():
    assert read_tidy(table("2024-11-04T00:00,glucose,8,mmol/L", "2024-11-05T04:00,glucose,7,mmol/L")).notes == ()


@pytest.mark.parametrize(
    ("times", "how"),
    [
        (("1709280000", "1709283600"), {"time_unit": "s"}),
        (("1709280000000", "1709283600000"), {"time_unit": "ms"}),
        (("45352.5", "45352.541666667"), {"time_unit": "d"}),
        (("2024-03-01T23:30", "2024-03-02T00:30"), {}),
        (("2024-03-01T23:00", "2024-03-01T24:00"), {}),
        (("2024-03-01 11:30 PM", "2024-03-02 12:30 am"), {}),
        (("2024/3/1 8:05", "2024/03/01 09:05:00"), {}),
        (("03/01/2024 23:30", "03/02/2024 00:30"), {"date_format": "%m/%d/%Y %H:%M"}),
        (("2 h", "3 h"), {"start": "2 h"}),
    ],
)
def test_an_hour_is_an_hour_however_time_is_written(times, how):
    np.testing.assert_allclose(np.diff(glucose_times(*times, **how)), [60])


def test_days_of_a_spreadsheet_are_local_times():
    # 45599.0 is midnight before 2024-11-03.
    np.testing.assert_array_equal(glucose_times("45599.0", "45599.25", time_unit="d", timezone=NEW_YORK), [0, 420])


@pytest.mark.parametrize(
    ("times", "how", "message"),
    [
        (("1709280000",), {}, "look like s since 1970; say time_unit='s'"),
        (("1709280000000",), {}, "look like ms since 1970; say time_unit='ms'"),
        (("1709280000000",), {"time_unit": "s"}, "look like ms since 1970; say time_unit='ms'"),
        (("1709280000", "1709283600"), {"time_unit": "ms"}, "look like s since 1970: say time_unit='s'"),
        (("1709280000000000",), {"time_unit": "ms"}, "too large for ms since 1970"),
        (("202403010800", "202403010900"), {}, "dates without separators: .*date_format='%Y%m%d%H%M'"),
        (("45352.5", "45352.54"), {}, "look like a spreadsheet's day numbers: say time_unit='d'"),
        (("23:30",), {}, "Row 2, column 'time' must hold a time, but holds a time of day without its date"),
        (("03/01/2024 23:30",), {}, "a date whose day, month or year may be exchanged"),
        (("01.03.2024",), {}, "a date whose day, month or year may be exchanged"),
        (("1-Mar-2024 08:00",), {}, "a date whose day, month or year may be exchanged"),
        (("2024-03-01T24:01",), {}, "Row 2, column 'time' holds no time of the calendar"),
        (("2024-03-01 13:30 PM",), {}, "holds no time of the calendar"),
        (("2024-03-01 08h30",), {}, "a date whose time of day is in no known form"),
        (("nan",), {}, "must hold a finite time"),
        (("0", "60"), {"time_unit": "week"}, "`time_unit` must be"),
        (("2024-03-01",), {"timezone": "New York"}, "`timezone` must name a zone"),
        (("2024-03-01",), {"date_format": "%d.%m.%Y"}, "does not hold a time of the form"),
        (("0", "90000"), {}, "Row 3 .*'time' lies 62.5 days after row 2, more than the 21 days"),
        (("60000",), {}, "lies 41.7 days after the record's beginning"),
        (("2024-03-01", "2025-03-01"), {}, "Row 3 .*lies 365 days after row 2"),
    ],
)
def test_a_time_that_may_mean_two_things_is_refused(times, how, message):
    with pytest.raises(ValueError, match=message):
        glucose_times(*times, **how)


def test_a_date_without_a_time_of_day_is_said_to_be_midnight():
    rows = table("2024-03-01,glucose,9,mmol/L", "2024-03-01T08:00,glucose,8,mmol/L")
    assert read_tidy(rows).notes == ("1 dates have no time of day and are taken as midnight.",)


def test_a_long_gap_may_be_stated():
    assert glucose_times("0", "90000", longest_gap="70 d").tolist() == [0, 90000]


def test_an_end_a_year_too_late_is_refused():
    given = table("0,900000,insulin,2,U/h", header="start,end,variable,rate,unit")
    with pytest.raises(ValueError, match=r"Row 2 .*column 'end' lies 625 days from the record's beginning"):
        read_tidy(table("0,glucose,8,mmol/L"), given)


@pytest.mark.parametrize("text", ["2024-13-01T08:00", "03/01/2024 23:30", "2024-03-01T99:00"])
def test_a_date_stays_out_of_the_message(text):
    with pytest.raises(ValueError, match="Row 2") as caught:
        glucose_times(text)
    assert text not in str(caught.value)


def test_a_table_of_inputs_with_dates_needs_an_origin():
    given = "2024-03-01T08:00,insulin,2,U/h"
    with pytest.raises(ValueError, match="need the argument `origin`"):
        read_inputs(table(given, header="start,variable,rate,unit"))


def test_a_table_of_inputs_counts_from_its_origin():
    given = table("2024-03-01T09:00,insulin,2,U/h", header="start,variable,rate,unit")
    assert read_inputs(given, origin="2024-03-01T08:00")["insulin"].at([59, 60]).tolist() == [0, 2]
