"""One key given to every update of a twin against a key for each: the spread after 24 h, and that of one forecast."""

import dataclasses
from typing import Any

import jax
import numpy as np

import twinprob as tp
from tests.tank import Tank, beliefs, kalman, stay
from tests.validation import Result
from twinprob.labels import tree

TITLE = "24 updates with one key against 24 keys"
BAR = "spread within Monte Carlo error of each other and of one 24-h forecast"

HOURS, REPEATS = 24, 12
VOLATILITY = 0.2  # per square root of an hour, of the log sensitivity: by a random walk, so that no repeat fades
_ERRORS = 3.0  # Monte Carlo standard errors
_PRECISE = 0.05  # wider errors than this would let a fault pass
KNOWN = "10 h"


def silent(twin: tp.Twin, keys) -> tp.Twin:
    """Carry a twin on by the hour, with one key an hour and nothing measured."""
    for key in keys:
        nothing = tp.Record({}, tp.Inputs(), {}, twin.now, twin.now + 60.0)
        twin = tp.update(twin, nothing, key=key)
    return twin


def forgetful(twin: tp.Twin, keys) -> tp.Twin:
    """Do the same with twins that do not count their updates: what one key did before it was folded."""
    for key in keys:
        twin = silent(twin, [key])
        attrs: Any = {**twin.tree.attrs, "provenance": {**twin.provenance, "updated": 0}}
        groups = {str(name): node.to_dataset() for name, node in twin.tree.children.items()}
        twin = dataclasses.replace(twin, tree=tree(groups, attrs))
    return twin


def listening(twin: tp.Twin, keys, record: tp.Record) -> tp.Twin:
    """Update a twin by the hour with what a record measured, one key an hour."""
    for key in keys:
        twin = tp.update(twin, record.between(twin.now, twin.now + 60.0), key=key)
    return twin


def arms(number: int) -> dict[str, list]:
    """Return the keys of one repeat: the same one every hour, and one for each hour."""
    key = jax.random.key(100 + number)
    return {"one key": [key] * HOURS, "24 keys": list(jax.random.split(key, HOURS))}


def glucose_spreads(twin: tp.Twin) -> dict[str, np.ndarray]:
    """Return the SD of log glucose 24 h on, (repeat,), by how the twin got there; and of log sensitivity."""
    found: dict[str, list[float]] = {}
    for number in range(REPEATS):
        ends = {name: silent(twin, keys) for name, keys in arms(number).items()}
        if number < 3:
            ends["one key, updates not counted"] = forgetful(twin, arms(number)["one key"])
        for name, end in ends.items():
            sensitivity = end.group("posterior")["insulin_sensitivity"].values[..., -1]
            found.setdefault(f"glucose, {name}", []).append(np.std(np.log(end.group("state")["glucose"].values)))
            found.setdefault(f"sensitivity, {name}", []).append(np.std(np.log(sensitivity)))
        times = [twin.now + 60.0 * HOURS]
        ahead = tp.forecast(twin, times=times, key=jax.random.key(500 + number)).group("predicted_outputs")
        found.setdefault("glucose, one forecast", []).append(np.std(np.log(ahead["glucose"].values)))
    return {name: np.array(values) for name, values in found.items()}


def tank_spreads() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the SDs of a tank's unknowns after 24 measured hours, (repeat, unknown), and the exact ones."""
    record, values = stay(4 + HOURS)
    begun = tp.fit(Tank(), record.until(240), key=jax.random.key(1))
    found: dict[str, list[np.ndarray]] = {}
    for number in range(REPEATS):
        for name, keys in arms(number).items():
            found.setdefault(f"tank, {name}", []).append(beliefs(listening(begun, keys, record)).std(0))
    return {name: np.array(spreads) for name, spreads in found.items()}, kalman(values)[-1][1]


def apart(spreads: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Return the largest ratio of two arms' mean spreads, less one, and the largest distance in standard errors."""
    logs, other = np.log(spreads), np.log(others)
    error = np.sqrt(logs.var(0, ddof=1) / len(logs) + other.var(0, ddof=1) / max(len(other), 2))
    gap = np.abs(logs.mean(0) - other.mean(0))
    return float(np.max(np.expm1(gap))), float(np.max(gap / error))


def measure() -> Result:
    """Carry a patient's twin over 24 silent hours, and a linear tank's over 24 measured ones, in both ways."""
    with jax.enable_x64(True):
        patient = tp.load_example("icu_glucose", stay=3).until(KNOWN)
        walk = tp.RandomWalk(sd=VOLATILITY, every="1 h")
        model = tp.models.metabolic.ICING().vary(insulin_sensitivity=walk)
        twin = tp.fit(model, patient, key=jax.random.key(0))
        before = np.std(np.log(twin.group("posterior")["insulin_sensitivity"].values[..., -1]))
        found = glucose_spreads(twin)
        tank, exact = tank_spreads()
    one, each, ahead = (found[f"glucose, {name}"] for name in ("one key", "24 keys", "one forecast"))
    gaps = {
        "24 keys": apart(one, each),
        "one forecast": apart(one, ahead),
        "24 keys, sensitivity": apart(found["sensitivity, one key"], found["sensitivity, 24 keys"]),
        "24 keys, measured every hour": apart(tank["tank, one key"], tank["tank, 24 keys"]),
    }
    grown = np.sqrt(before**2 + HOURS * VOLATILITY**2)
    told = found["sensitivity, one key"].mean() / grown - 1.0
    repeated = found["sensitivity, one key, updates not counted"].mean() / grown
    said = ", ".join(f"{gap:.1%} ({errors:.1f} errors) from {name}" for name, (gap, errors) in gaps.items())
    return Result(
        figure=f"one key: SD of log glucose after {HOURS} h {one.mean():.3f}, {said}; log sensitivity {told:+.1%} from "
        f"the closed form (kicks that repeat: {repeated:.1f} times it)",
        holds=all(errors <= _ERRORS and gap <= _PRECISE for gap, errors in gaps.values()) and abs(told) <= _PRECISE,
        details={
            "spreads": {name: values.mean(0).tolist() for name, values in (found | tank).items()},
            "closed form of the sensitivity": grown,
            "exact tank": exact.tolist(),
            "apart": gaps,
        },
    )
