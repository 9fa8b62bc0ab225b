"""Bands of the elastance 40 and 800 breaths ahead, and changes where nothing changed.

Recordings: the patients' efforts are modeled (`muscle=True`), as a supported breath reports no elastance otherwise;
bands from the hundredth breath on, each held against the one breath 40 ahead. They hold 315 and 387 breaths: none has
a breath 800 ahead of a hundredth.

Simulated lungs: 24 h at 20 breaths a minute about a level that stays, scatter of 8 %, an autoregression of .3, .6 or .9
with normal innovations or Student's of four degrees of freedom; bands every 200 breaths from the 400th, each held
against twenty breaths from 40 or 800 ahead. Beside them, and not judged, lungs whose level wanders and comes back
within hours. A change called in any of them is false. The rival is the quantiles of the last 100 breaths.
"""

import numpy as np
import pandas as pd

import twinprob as tp
from tests.validation import Result, shared_data
from twinprob.breaths.tracking import Belief, Tracking, begin, follow, update_breath
from twinprob.models.respiratory.breaths import segment

LIMIT = 2400
AHEAD, FIRST, HELD = (40, 800), 100, 20
DAY = 28_800  # breaths of 24 h at 20 a minute
KINDS = [(lasting, freedom) for lasting in (0.3, 0.6, 0.9) for freedom in (np.inf, 4.0)]
WANDERING = 2  # lungs


def recordings() -> dict[str, list[Tracking]]:
    """Track the two recordings breath by breath."""
    one = pd.read_csv(shared_data("ventmap-waveforms") / "pt0149_50Hz.csv.gz")
    two = pd.read_csv(shared_data("or-waveforms") / "rec1_airway_50Hz.csv.gz")
    read = tp.readers.waveform.read
    records = {
        "intensive care": read(one, pressure=("pressure_cmH2O", "cmH2O"), flow=("flow_L_min", "L/min"), rate=50.0),
        "operating room": read(two, pressure=("pressure", "mbar"), flow=("flow", "L/min"), time=("t_s", "s")),
    }
    histories = {}
    for name, record in records.items():
        tracking, history = Tracking(), []
        for breath in segment(record):
            tracking = update_breath(tracking, breath, muscle=True)
            history.append(tracking)
        histories[name] = history
    return histories


def rows_of(belief: Belief, past: np.ndarray, came: np.ndarray, ahead: int, **labels) -> list[dict]:
    """Hold one band and its rival against what came."""
    _, low, high = belief.interval(0.9, ahead=ahead, measured=True)
    naive = np.quantile(past[-FIRST:], [0.05, 0.95])
    rows = []
    for value in came:
        row = labels | {"ahead": ahead}
        for way, (a, b) in {"band": (low, high), "rival": naive}.items():
            row |= {f"{way} held": a < value < b}
            row |= {f"{way} score": (b - a) + 20.0 * max(a - value, 0.0, value - b)}
        rows.append(row)
    return rows


def lung(lasting: float, freedom: float, wanders: bool, chance) -> np.ndarray:
    """Return a day's log elastances."""
    steps = chance.standard_normal(DAY)
    if np.isfinite(freedom):
        steps = chance.standard_t(freedom, DAY) / np.sqrt(freedom / (freedom - 2.0))
    off, level = np.empty(DAY), np.zeros(DAY)
    off[0] = steps[0]
    for k in range(1, DAY):
        off[k] = lasting * off[k - 1] + np.sqrt(1.0 - lasting**2) * steps[k]
    if wanders:  # by 8 %, over 2000 breaths
        near, moves = np.exp(-1.0 / 2000.0), chance.standard_normal(DAY)
        for k in range(1, DAY):
            level[k] = near * level[k - 1] + np.sqrt(1.0 - near**2) * moves[k]
    return np.log(25.0) + 0.08 * (off + level)


def simulated(lasting, freedom, wanders, chance) -> tuple[list[dict], int]:
    """Follow one day; return its rows and the changes that were called."""
    values, belief, rows, changes = lung(lasting, freedom, wanders, chance), begin(np.log(30.0), 0.7), [], 0
    kind = f"AR({lasting:g}), {'normal' if np.isinf(freedom) else 'Student 4'}{', level wanders' if wanders else ''}"
    for k, value in enumerate(values):
        belief = follow(belief, float(value), 0.02)
        changes += belief.changed
        if k >= 400 and k % 200 == 0:
            for ahead in AHEAD:
                came = values[k + ahead : k + ahead + HELD]
                if came.size == HELD:
                    rows += rows_of(belief, values[: k + 1], came, ahead, kind=kind)
    return rows, changes


def table(rows: list[dict], by: list[str]) -> pd.DataFrame:
    """Coverage of band and rival, and the band's mean score over the rival's."""
    frame = pd.DataFrame(rows).groupby(by)[["band held", "rival held", "band score", "rival score"]].mean()
    frame["ratio"] = frame["band score"] / frame["rival score"]
    return frame


def measure() -> Result:
    """Judge the bands of the recordings together and those of each kind of lung, and count false changes."""
    real, called = [], {}
    for name, history in recordings().items():
        seen = [tracking.fit.elastance if tracking.fit else np.nan for tracking in history]
        values = np.log(np.where(np.array(seen) > 0, seen, np.nan))
        called[name] = sum(tracking.elastance.changed for tracking in history)
        for i in range(FIRST, len(history) - AHEAD[0]):
            past, came = values[: i + 1], values[i + AHEAD[0]]
            if np.isfinite(came):
                past = past[np.isfinite(past)]
                real += rows_of(history[i].elastance, past, np.array([came]), AHEAD[0], recording=name)
    chance, rows, changes = np.random.default_rng(89), [], {}
    for lasting, freedom in KINDS:
        more, changes[f"AR({lasting:g}), {freedom:g}"] = simulated(lasting, freedom, False, chance)
        rows += more
    wandering: list[dict] = []
    wandered = 0
    for _ in range(WANDERING):
        more, count = simulated(0.3, 4.0, True, chance)
        wandering, wandered = wandering + more, wandered + count
    each, together = table(real, ["recording"]), table(real, ["ahead"]).iloc[0]
    lungs, beside = table(rows, ["kind", "ahead"]), table(wandering, ["ahead"])
    false = sum(changes.values()) / len(changes)
    holds = (
        lungs["band held"].between(0.85, 0.95).all()
        and lungs["ratio"].max() <= 1.0
        and 0.85 <= together["band held"] <= 0.95
        and together["ratio"] <= 1.0
        and false <= 1.0
    )
    parts = ", ".join(f"{name} {row['band held']:.3f} and {row['ratio']:.2f}" for name, row in each.iterrows())
    ends = {ahead: lungs.xs(ahead, level="ahead") for ahead in AHEAD}
    words = "; ".join(
        f"{ahead} ahead coverage {one['band held'].min():.3f} to {one['band held'].max():.3f}, score "
        f"{one['ratio'].min():.2f} to {one['ratio'].max():.3f} of the rival's"
        for ahead, one in ends.items()
    )
    figure = (
        f"recordings, 40 ahead: coverage {together['band held']:.3f} (rival {together['rival held']:.3f}), score "
        f"{together['ratio']:.3f} of the rival's ({parts}; changes called {called}); simulated lungs, {words}; level "
        f"wandering (not judged): 40 ahead {beside.loc[40, 'band held']:.3f} and {beside.loc[40, 'ratio']:.2f}, 800 "
        f"ahead {beside.loc[800, 'band held']:.3f} and {beside.loc[800, 'ratio']:.2f}; false changes {false:.2f} in 24 "
        f"h (largest {max(changes.values())}), where the level wanders {wandered / WANDERING:.1f}"
    )
    details = {
        "lungs": {f"{kind}, {ahead}": row.to_dict() for (kind, ahead), row in lungs.iterrows()},
        "recordings": {str(name): row.to_dict() for name, row in each.iterrows()},
        "wandering": {str(ahead): row.to_dict() for ahead, row in beside.iterrows()},
        "false changes": {name: int(count) for name, count in changes.items()},
        "changes in recordings": {name: int(count) for name, count in called.items()},
    }
    return Result(figure, bool(holds), details)
