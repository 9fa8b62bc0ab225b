"""The moment of a record's 0 min: kept from its table on, through files, and read back where times are dates."""

import datetime
import io
import zoneinfo

import jax
import pytest

import twinprob as tp
from twinprob.inference.encoding import decode_record, encode_record
from twinprob.patient.wall_clock import read, written

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
ROWS = "{day} 20:00,glucose,180,mg/dL\n{next} 04:00,glucose,150,mg/dL\n"


def table(day="2024-03-30", later="2024-03-31", zone=""):
    rows = ROWS.format(day=day, next=later).replace(":00,", f":00{zone},")
    return io.StringIO("time,variable,value,unit\n" + rows)


def local(record, time):
    moment = record.clock(time)
    assert moment is not None
    return moment.isoformat()


@pytest.fixture
def night():
    """A record over the night in which clocks go forward: eight hours on the wall, seven that pass."""
    return tp.read_tidy(table(), timezone="Europe/Berlin")


def test_a_table_of_dates_gives_the_record_its_origin(night):
    assert night.origin == datetime.datetime(2024, 3, 30, 20, tzinfo=BERLIN)
    assert night.end == 420.0


def test_the_wall_clock_follows_the_zone(night):
    assert local(night, "7 h") == "2024-03-31T04:00:00+02:00"


def test_dates_without_a_zone_stay_without_one():
    record = tp.read_tidy(table())
    assert record.clock(60.0) == datetime.datetime(2024, 3, 30, 21)


def test_dates_with_an_offset_keep_it():
    record = tp.read_tidy(table(zone="-05:00"))
    assert local(record, 0.0) == "2024-03-30T20:00:00-05:00"


def test_numbers_of_minutes_have_no_wall_clock():
    record = tp.Record.build({"glucose": ([0, 60], [8.0, 7.0], "mmol/L")})
    assert record.origin is None
    assert record.clock(60.0) is None


def test_a_record_is_cut_at_a_moment(night):
    assert night.until("2024-03-31 03:30").end == 390.0
    assert night.between("2024-03-30 21:00", "2024-03-31T02:00:00Z").names == ("glucose",)


def test_a_moment_without_an_origin_is_refused_without_repeating_it():
    record = tp.Record.build({"glucose": ([0, 60], [8.0, 7.0], "mmol/L")})
    with pytest.raises(ValueError, match="does not know the moment of its 0 min") as refused:
        record.until("2024-03-31 03:30")
    assert "2024" not in str(refused.value)


@pytest.mark.parametrize("given", ["2024-13-45", "2024-03-31 25:99"])
def test_what_is_no_moment_is_refused_without_repeating_it(night, given):
    with pytest.raises(ValueError, match="must be a moment such as") as refused:
        night.until(given)
    assert given not in str(refused.value)


def test_an_offset_means_nothing_where_the_record_has_no_zone():
    with pytest.raises(ValueError, match="without an offset"):
        tp.read_tidy(table()).until("2024-03-31T01:00+02:00")


def test_the_origin_changes_no_hash_and_is_not_printed(night):
    plain = tp.Record.build({"glucose": ([0, 420], [180.0, 150.0], "mg/dL")})
    assert plain.data_hash == night.data_hash
    assert "2024" not in repr(night)
    assert "wall clock known" in repr(night)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        datetime.datetime(2024, 3, 30, 20),
        datetime.datetime(2024, 3, 30, 20, tzinfo=BERLIN),
        datetime.datetime(2024, 3, 30, 20, tzinfo=datetime.timezone(datetime.timedelta(hours=-5))),
    ],
)
def test_an_origin_comes_back_from_text(origin):
    again = read(written(origin))
    assert again == origin
    assert origin is None or (again.utcoffset(), str(again.tzinfo)) == (origin.utcoffset(), str(origin.tzinfo))


def test_a_record_comes_back_with_its_origin(night):
    again = decode_record(encode_record(night))
    assert again == night
    assert local(again, "7 h") == "2024-03-31T04:00:00+02:00"


def test_a_description_of_an_earlier_version_has_no_origin(night):
    described = encode_record(night)
    del described["origin"]
    assert decode_record(described).origin is None


def test_news_that_count_from_another_moment_are_refused(night):
    from twinprob.patient.stay import join

    other = tp.read_tidy(table("2024-03-31", "2024-04-01"), timezone="Europe/Berlin")
    with pytest.raises(ValueError, match="count from another moment"):
        join(night, other)


def test_plans_and_forecasts_are_in_local_time(night):
    few = tp.Laplace(starts=2, chains=2, draws=50, proposals=200)
    twin = tp.fit(tp.models.metabolic.ICING(), night, key=jax.random.key(0), method=few)
    given = tp.plan(twin, insulin="3 U/h at 2024-03-31 04:30")
    assert given["insulin"].starts.max() == 450.0
    ahead = tp.forecast(twin, inputs=given, hours=1, key=jax.random.key(1))
    assert ahead.summary()["clock"].iloc[-1].isoformat() == "2024-03-31T05:00:00+02:00"
