"""What a table of orders gives between any two times, against a sum by hand.

Tables of one to three orders are made at random, with overlaps, rows that stop an order, doses, and rates in four
spellings of three units. They are then written otherwise, as a chart may write the same: rows twice, rows shuffled, an
infusion split in two, another unit, and times as they stood on a wall clock in a night when clocks change. The sum by
hand walks through the table a piece at a time and asks of each order which of its rows began last.
"""

import datetime
import itertools
import zoneinfo

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import twinprob as tp
from tests.validation import Result

EXAMPLES = 400  # of each way to write a table
TOLERANCE = 1e-9
UNITS = {"U/h": 1000 / 60, "units/hr": 1000 / 60, "mU/min": 1.0, "[iU]/min": 1000.0}  # mU/min in one of each
AMOUNTS = {"U": 1000.0, "mU": 1.0}  # mU in one of each
DOSE = 1.0  # min; how long a dose without an end takes
NIGHTS = (("America/New_York", "2024-11-03"), ("America/New_York", "2024-03-10"), ("Europe/Berlin", "2024-10-27"),
          ("Australia/Lord_Howe", "2024-04-06"), ("Asia/Kolkata", "2024-06-01"))  # fmt: skip
QUESTIONS = ((-50.0, 1500.0), (0.0, 60.0), (13.5, 217.25), (333.0, 334.0), (100.0, 1000.0))


@st.composite
def orders(draw):
    """Return rows of what was given: start, end, mU/min, order, whether a dose (then end is None and mU)."""
    rows = []
    for name in draw(st.sampled_from((("",), ("a",), ("a", "b"), ("7", "8", "9")))):
        starts = draw(st.lists(st.integers(0, 1200), min_size=1, max_size=5, unique=True))
        for start in starts:
            length = draw(st.integers(1, 400))
            rate = draw(st.one_of(st.just(0.0), st.floats(0.5, 60.0)))
            rows.append((start, start + length, rate, name, False))
        for start in draw(st.lists(st.integers(0, 1200), max_size=2, unique=True)):
            rows.append((start, None, draw(st.floats(100.0, 9000.0)), name, True))
    return rows


def by_hand(rows, begin: float, end: float) -> float:
    """Return how many mU ran between two times."""
    edges = {begin, end}
    for start, stop, _, _, dose in rows:
        edges |= {float(start), float(start + DOSE if dose else stop)}
    total = 0.0
    for low, high in itertools.pairwise(sorted(edge for edge in edges if begin <= edge <= end)):
        now = 0.5 * (low + high)
        for order in {row[3] for row in rows}:
            drips = [row for row in rows if row[3] == order and not row[4] and row[0] <= now]
            if drips:
                latest = max(drips, key=lambda row: row[0])
                total += latest[2] * (high - low) if now < latest[1] else 0.0
        total += sum(
            size / DOSE * (high - low) for start, _, size, _, dose in rows if dose and start <= now < start + DOSE
        )
    return total


def written(rows, draw, *, clock=float):
    """Return the same rows as a table, each in a unit drawn for it."""
    named = any(row[3] for row in rows)
    lines = []
    for start, end, size, order, dose in rows:
        unit = draw(st.sampled_from(sorted(AMOUNTS if dose else UNITS)))
        scale = (AMOUNTS if dose else UNITS)[unit]
        line = {"start": clock(start), "end": None if dose else clock(end), "variable": "insulin", "rate": size / scale}
        lines.append({**line, "unit": unit, **({"order": order} if named else {})})
    return lines


def read(lines, **how) -> tp.Inputs:
    """Return the inputs of a record with one measurement and this table."""
    frame = pd.DataFrame(lines)
    measured = pd.DataFrame([{"time": how.pop("first", 0.0), "variable": "glucose", "value": 8.0, "unit": "mmol/L"}])
    return tp.read_tidy(measured, frame, bolus_duration=DOSE, **how).inputs


def wrong_by(rows, inputs: tp.Inputs) -> float:
    """Return the largest difference from the sum by hand, relative to it where it is above 1 mU."""
    course = inputs["insulin"].to("mU/min")
    worst = 0.0
    for begin, end in QUESTIONS:
        expected = by_hand(rows, begin, end)
        worst = max(worst, abs(course.amount(begin, end) - expected) / max(1.0, expected))
    return worst


def split(rows, draw):
    """Return rows in which one infusion that no other row of its order interrupts is two, one after the other."""
    free = [
        row for row in rows
        if not row[4] and row[1] - row[0] > 1
        and not any(row[0] < other[0] < row[1] for other in rows if other[3] == row[3] and not other[4])
    ]  # fmt: skip
    if not free:
        return rows
    chosen = draw(st.sampled_from(free))
    middle = draw(st.integers(chosen[0] + 1, chosen[1] - 1))
    start, end, rate, order, dose = chosen
    rest = [row for row in rows if row is not chosen]
    return [*rest, (start, middle, rate, order, dose), (middle, end, rate, order, dose)]


def on_the_wall(night: str, zone: zoneinfo.ZoneInfo):
    """Return the moment of 0 min, noon before a night, and what a wall clock showed; with the offset if twice."""
    zero = datetime.datetime.fromisoformat(f"{night}T12:00").replace(tzinfo=datetime.UTC) - datetime.timedelta(days=1)

    def shown(minute: float) -> str:
        moment = (zero + datetime.timedelta(minutes=minute)).astimezone(zone)
        bare = moment.replace(tzinfo=None, fold=0)
        twice = bare.replace(tzinfo=zone, fold=0).utcoffset() != bare.replace(tzinfo=zone, fold=1).utcoffset()
        return moment.isoformat(timespec="minutes") if twice else bare.isoformat(timespec="minutes")

    return zero, shown


def check(worst: dict[str, float], kind: str, make) -> None:
    """Run one way to write a table on many random ones, and keep the largest difference."""

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def run(data):
        rows = data.draw(orders())
        worst[kind] = max(worst.get(kind, 0.0), make(rows, data.draw))

    run()


def twice(rows, draw) -> float:
    """Every row may be charted again, word for word."""
    lines = written(rows, draw)
    again = draw(st.lists(st.sampled_from(lines), max_size=4))
    return wrong_by(rows, read([*lines, *again]))


def shuffled(rows, draw) -> float:
    """The order of rows in the file means nothing."""
    return wrong_by(rows, read(draw(st.permutations(written(rows, draw)))))


def in_two(rows, draw) -> float:
    """One infusion is charted as two that follow each other."""
    return wrong_by(rows, read(written(split(rows, draw), draw)))


def without_ends(rows, draw) -> float:
    """Rows of a pump that hold until the next, without a column of ends."""
    drips = sorted((row for row in rows if not row[4] and row[3] == rows[0][3]), key=lambda row: row[0])
    held = [
        (row[0], after[0] if after else row[0] + 5000, row[2], "", False)
        for row, after in itertools.zip_longest(drips, drips[1:])
    ]
    lines = [{key: value for key, value in line.items() if key != "end"} for line in written(held, draw)]
    return wrong_by(held, read(lines, ends="next"))


def night(rows, draw) -> float:
    """Times are read off a wall in a night in which clocks may change."""
    name, date = draw(st.sampled_from(NIGHTS))
    zone = zoneinfo.ZoneInfo(name)
    zero, shown = on_the_wall(date, zone)
    how = {"timezone": name, "origin": zero.isoformat(), "first": shown(0.0)}
    return wrong_by(rows, read(written(rows, draw, clock=shown), **how))


WAYS = {
    "units changed": lambda rows, draw: wrong_by(rows, read(written(rows, draw))),
    "rows twice": twice,
    "shuffled": shuffled,
    "split in two": in_two,
    "without ends": without_ends,
    "wall clock": night,
}


def measure() -> Result:
    """Write many tables in every way, and compare."""
    worst: dict[str, float] = {}
    for kind, make in WAYS.items():
        check(worst, kind, make)
    text = ", ".join(f"{kind} {value:.1e}" for kind, value in worst.items())
    return Result(
        figure=f"largest difference from the sum by hand, relative: {text}; {EXAMPLES} tables each, "
        f"{len(QUESTIONS)} spans a table",
        holds=max(worst.values()) <= TOLERANCE,
        details={"worst": worst},
    )
