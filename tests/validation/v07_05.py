"""What the door changed: three lines measured on real charts before it was rebuilt, and again with what it reads now.

Values are now cut by when they were known, settings are unknown before their first row, orders replace and add by
name, and single values and rows that cannot be are set aside and counted. None of that may cost a stay.
"""

import re
from collections.abc import Mapping

import numpy as np

from tests.validation import Result, shared_data, v02_05, v04_03, v05_06
from twinprob.readers import mimic

LIMIT = 10800
LINES = {"02.5": v02_05, "04.3": v04_03, "05.6": v05_06}
# As measured on 2026-11-29, the day before the door was rebuilt: the figures' first words, and each count in them.
BEFORE = {
    "02.5": "0.4–1.5 h: 677 pairs of 15 stays, interval score 7.74 = 0.87 × the empirical, MAE 1.25 (persistence 1.36) "
    "mmol/L, median APE 16.0 % (16.1 %), coverage 0.894 (lowest with ≥ 20 pairs 0.86), CRPS 0.91; 1.5–2.5 h: 197 pairs "
    "of 13 stays, interval score 8.14 = 0.95 × the empirical, MAE 1.45 (persistence 1.66) mmol/L, median APE 23.3 % "
    "(30.4 %), coverage 0.833 (lowest with ≥ 20 pairs 0.85), CRPS 1.04",
    "04.3": "772 pairs of 37 stays, means over stays: MAE 1.89 cmH2O (plateau persists 1.99, compliance persists 2.18, "
    "compliance persists, set volume 1.97), 90 % coverage 0.902, interval score 11.62 = 0.89 x the empirical",
    "05.6": "1257 pressures after 767 events of 24 stays, means over stays: MAE 9.12 (persistence 10.08, linear 9.53) "
    "mmHg; 90 % coverage 90.2 % (empirical 88.9 %); interval score 59.2 = 0.67 × the empirical; CRPS 6.69 (8.05)",
}
_COUNTS = re.compile(r"(\d+) (pairs|pressures|events|stays)\b")
_SIZES = (
    ("score × empirical", r"= (\d\.\d+) [×x] the empirical"),
    ("MAE", r"MAE (\d+\.\d+)"),
    ("coverage", r"coverage (\d+(?:\.\d+)?(?: %)?)"),
)


def counts(figure: str) -> dict[str, list[int]]:
    """Return the counts that a line's figure states, by what was counted, in their order."""
    found: dict[str, list[int]] = {}
    for number, what in _COUNTS.findall(figure):
        found.setdefault("pairs" if what == "pressures" else what, []).append(int(number))
    return found


def sizes(figure: str, places: int) -> dict[str, list[str]]:
    """Return the first `places` numbers of each kind that a figure states."""
    return {name: re.findall(pattern, figure)[:places] for name, pattern in _SIZES}


def known_later() -> dict[str, int]:
    """Return how many values of the demo were known later than they were taken, and how many there are, in words."""
    tables = mimic.load(shared_data("mimic-iii-demo"))
    late, every = dict.fromkeys(("glucose", "plateau_pressure", "mean_arterial_pressure"), 0), 0
    for stay in mimic.stays(tables)["stay"]:
        try:
            record = mimic.read(tables, int(stay))
        except ValueError:  # nothing was measured
            continue
        for name in late:
            if name in record.observations:
                series = record.observations[name]
                late[name] += int(np.sum(series.known > series.times))
                every += series.times.size
    return {f"{name}, known later than taken": number for name, number in late.items()} | {"values in all": every}


def compared(results: Mapping[str, Result]) -> Result:
    """Compare each line with what it was; it holds where every line has as many stays as before."""
    words, changed, details = [], [], {}
    for line, result in results.items():
        old, new = counts(BEFORE[line]), counts(result.figure)
        places = len(old["stays"])
        was, now = sizes(BEFORE[line], places), sizes(result.figure, places)
        # A figure may go on about parts of itself; as many counts as before are the ones that compare.
        pairs = {what: (old[what], new.get(what, [])[: len(old[what])]) for what in old}
        changed += [f"{line} {what} {a} -> {b}" for what, (a, b) in pairs.items() if a != b]
        told = ", ".join(f"{what} {_alike(*both)}" for what, both in pairs.items())
        grew = ", ".join(f"{name} {'/'.join(now[name])} ({'/'.join(was[name])})" for name in was)
        words.append(f"{line}: {told}; {grew}; {'holds' if result.holds else 'misses'}")
        details[line] = {"before": BEFORE[line], "after": result.figure, "bar held": result.holds}
    stays = all(counts(BEFORE[line])["stays"] == counts(one.figure)["stays"][: len(counts(BEFORE[line])["stays"])]
                for line, one in results.items())  # fmt: skip
    return Result(
        figure="now (before): " + " | ".join(words),
        holds=stays and set(results) == set(LINES),
        details={**details, "counts that changed": changed},
    )


def _alike(old: list[int], new: list[int]) -> str:
    text = "/".join(map(str, new))
    return text if old == new else f"{text} ({'/'.join(map(str, old))})"


def measure() -> Result:
    """Measure the three lines one after another, and compare."""
    results = {}
    for line, module in LINES.items():
        results[line] = module.measure()
        print(f"  {line}: {results[line].figure}", flush=True)
    whole = compared(results)
    return Result(whole.figure, whole.holds, {**whole.details, "values": known_later()})
