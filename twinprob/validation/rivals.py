"""The simple forecasters that a twin has to beat, learned on other persons where there is something to learn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..modeling.model import AbstractModel
from ..patient.inputs import Inputs
from ..patient.record import Record
from ..patient.units import convert

# Settings, not published.
_FADING = 240.0  # min, after which a smoothed value counts 1/e
_DF = 4.0  # tails of the regression
_RIDGE = 1e-2
_LEVELS = (np.arange(999) + 0.5) / 999  # so many that quantiles between them are those of the law
_FEWEST_PAIRS = 20


class Forecasts(NamedTuple):
    """Members of each pair's forecast, and their weights; None where all are alike."""

    members: list[np.ndarray]
    weights: Sequence[np.ndarray | None]


def features(model: AbstractModel, record: Record, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return what the rivals know at each pair's origin, and of what is then really given.

    Parameters
    ----------
    model : AbstractModel
    record : Record
    pairs : pandas.DataFrame
        Of this record: variable, unit, origin and time (min).

    Returns
    -------
    frame : pandas.DataFrame
        Columns smoothed (the exponentially smoothed value), usual (the mean of the record's values so far, of
        logarithms where positive), own (the root mean square of their differences, likewise), move (the last of
        these), one column `above <input>` for each input in the output's unit (the smoothed difference, added to the
        input as it is at the forecast's time) and one `rate <input>` for each other input: its mean over the hour
        before the origin, as it was known then. What is not known is NaN.
    """
    declared = model.quantities(model.Input)
    names = [name for name in declared if name in record.inputs and not declared[name].measured]
    rows = []
    for pair in pairs.itertuples():
        series = record.observations[str(pair.variable)]
        known = series.known <= pair.origin
        times = series.times[known]
        values = np.asarray(convert(series.values[known], series.unit, pair.unit, variable=pair.variable), float)
        share = np.exp((times - pair.origin) / _FADING)
        share = share / share.sum() if len(times) else share
        row = {"smoothed": float(share @ values) if len(times) else np.nan, **_own(values)}
        for name in names:
            course, unit = record.inputs[name], declared[name].unit
            known_then = course.until(pair.origin)  # a row charted later was not known

            def level(course, when, name=name, unit=unit):
                rates = convert(course.at(when), course.unit, unit, variable=name, weight=record.weight)
                return np.asarray(rates, float)

            if unit == pair.unit:
                away = values - level(known_then, times)
                some = np.isfinite(away)
                row[f"above {name}"] = (
                    float(share[some] @ away[some] / share[some].sum() + level(course, pair.time))
                    if some.any()
                    else np.nan
                )
            else:
                row[f"rate {name}"] = float(np.mean(level(known_then, pair.origin - np.arange(5.0, 60.0, 10.0))))
        rows.append(row)
    return pd.DataFrame(rows, index=pairs.index)


def _own(values: np.ndarray) -> dict[str, float]:
    """Return a patient's own mean, root mean square of differences and last difference; of logs where positive."""
    scaled = np.log(values) if np.all(values > 0) else values
    moves = np.diff(scaled)
    return {
        "usual": float(np.mean(scaled)) if len(scaled) else np.nan,
        "own": float(np.sqrt(np.mean(moves**2))) if len(moves) else np.nan,
        "move": float(moves[-1]) if len(moves) else np.nan,
    }


def rivals(pairs: pd.DataFrame) -> dict[str, Forecasts]:
    """Return every rival's forecasts of the same pairs.

    Parameters
    ----------
    pairs : pandas.DataFrame
        Columns variable, horizon, hours_ahead, person, last, trend, value and those of `features`. What is learned for
        a pair is learned on the rows of other persons.

    Returns
    -------
    forecasts : mapping of str to Forecasts
        "persistence", "linear trend", "other patients", "smoothed", "linear on smoothed", "regression" and, where an
        input has the output's unit, "smoothed above <input>".
    """
    none: list[None] = [None] * len(pairs)
    found = {
        "persistence": Forecasts([np.array([x]) for x in pairs["last"]], none),
        "linear trend": Forecasts([np.array([x]) for x in pairs["trend"]], none),
        "other patients": _moved(pairs, "last"),
        "smoothed": _moved(pairs, "smoothed"),
        "linear on smoothed": _lines(pairs),
        "regression": _regressions(pairs),
    }
    for name in (str(column) for column in pairs.columns if str(column).startswith("above ")):
        found[f"smoothed {name}"] = _moved(pairs, name)
    return found


def alike(pairs: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of each person, variable and horizon class, and those of other persons to learn from."""
    persons = pairs["person"].to_numpy()
    for (_, horizon), group in pairs.groupby(["variable", "horizon"], sort=False):
        place = pairs.index.get_indexer(group.index)
        for person in pd.unique(group["person"]):
            mine = persons[place] == person
            yield place[mine], place[~mine] if horizon else place[:0]


def _moved(pairs: pd.DataFrame, basis: str) -> Forecasts:
    """Move a basis as the other persons' moved: by a factor where all are positive, else by a difference."""
    members: list[np.ndarray] = [np.full(1, np.nan)] * len(pairs)
    weights: list[np.ndarray | None] = [None] * len(pairs)
    start, value = pairs[basis].to_numpy(float), pairs["value"].to_numpy(float)
    for mine, others in alike(pairs):
        others = others[np.isfinite(start[others])]
        if not len(others):
            continue
        positive = bool(np.all(start[others] > 0) and np.all(value[others] > 0) and np.all(start[mine] > 0))
        share = shares(pairs, others)
        for row in mine:
            moved = (
                start[row] * value[others] / start[others] if positive else start[row] + value[others] - start[others]
            )
            members[row], weights[row] = moved, share
    return Forecasts(members, weights)


def shares(pairs: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Return weights by which each person counts alike, (row,), summing to their number."""
    persons = pairs["person"].iloc[rows]
    return 1.0 / persons.groupby(persons.to_numpy()).transform("size").to_numpy(float)


def _lines(pairs: pd.DataFrame) -> Forecasts:
    """Forecast by a line on the smoothed value, with the residuals of those it was learned on."""
    members: list[np.ndarray] = [np.full(1, np.nan)] * len(pairs)
    weights: list[np.ndarray | None] = [None] * len(pairs)
    start, value = pairs["smoothed"].to_numpy(float), pairs["value"].to_numpy(float)
    for mine, others in alike(pairs):
        others = others[np.isfinite(start[others])]
        if len(others) < 3 or np.ptp(start[others]) == 0:
            continue
        share = shares(pairs, others)
        slope, level = np.polyfit(start[others], value[others], 1, w=np.sqrt(share))
        residuals = value[others] - level - slope * start[others]
        for row in mine:
            members[row], weights[row] = level + slope * start[row] + residuals, share
    return Forecasts(members, weights)


# ---- the regression ------------------------------------------------------------------------------------------------


def _regressions(pairs: pd.DataFrame) -> Forecasts:
    """Forecast by a regression with Student-t errors, in logarithms where all values are positive.

    The change from the last value is linear in that value, the hours ahead, the inputs' rates, and the person's own
    mean, variability and last move; the logarithm of the errors' size in the hours and the variability. What is not
    known is taken as usual among those learned on.
    """
    members: list[np.ndarray] = [np.full(1, np.nan)] * len(pairs)
    from scipy.stats import t  # here because importing it takes long

    steps = t(_DF).ppf(_LEVELS)
    for variable in pd.unique(pairs["variable"]):
        place = np.flatnonzero((pairs["variable"] == variable).to_numpy() & pairs["last"].notna().to_numpy())
        part = pairs.iloc[place]
        positive = bool(((part["last"] > 0) & (part["value"] > 0)).all())
        change, plain = _log_or_not(part["value"], positive), _log_or_not(part["last"], positive)
        mean, size = _designs(part, plain)
        persons = part["person"].to_numpy()
        for person in pd.unique(persons):
            mine, others = persons == person, persons != person
            if others.sum() < _FEWEST_PAIRS:
                continue
            share = shares(part, np.flatnonzero(others))
            center, scale = _student(mean, size, change - plain, others, mine, share * len(share) / share.sum())
            for row, c, s in zip(place[mine], plain[mine] + center, scale, strict=True):
                members[row] = np.exp(c + s * steps) if positive else c + s * steps
    return Forecasts(members, [None] * len(pairs))


def _log_or_not(values: pd.Series, positive: bool) -> np.ndarray:
    found = values.to_numpy(float)
    return np.log(found) if positive else found


def _designs(part: pd.DataFrame, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns behind the mean and behind the logarithm of the errors' size, (pair, column); NaN unknown."""
    hours = np.log(np.maximum(part["hours_ahead"].to_numpy(float), 0.05))
    own = part["own"].to_numpy(float)
    varied = np.log(np.maximum(own, 1e-3))
    rates = [part[name].to_numpy(float) for name in part.columns if str(name).startswith("rate ")]
    personal = [part["usual"].to_numpy(float) - last, part["move"].to_numpy(float)]
    ones = np.ones(len(part))
    return np.stack([ones, last, hours, varied, *personal, *rates], axis=1), np.stack([ones, hours, varied], axis=1)


def _student(mean, size, aim, others, mine, share) -> tuple[np.ndarray, np.ndarray]:
    """Learn on `others` and return center and scale for `mine`: maximum likelihood, drawn to zero by a slight ridge."""
    from scipy.optimize import minimize  # here because importing it takes long

    (mean, own_mean), (size, own_size) = (_scaled(x[others], x[mine]) for x in (mean, size))
    aim = aim[others]
    spread = max(float(np.std(aim)), 1e-6)
    count = mean.shape[1]

    def loss(position):
        a, b = position[:count], position[count:]
        logs = np.clip(size @ b, -8.0, 8.0)
        z = (aim / spread - mean @ a) / np.exp(logs)
        pull = (_DF + 1.0) * z / (_DF + z**2)
        total = share @ (logs + 0.5 * (_DF + 1.0) * np.log1p(z**2 / _DF))
        total += _RIDGE * len(aim) * (a[1:] @ a[1:] + b[1:] @ b[1:]) / 2
        by_a, by_b = -mean.T @ (share * pull / np.exp(logs)), size.T @ (share * (1.0 - pull * z))
        by_a[1:] += _RIDGE * len(aim) * a[1:]
        by_b[1:] += _RIDGE * len(aim) * b[1:]
        return total, np.concatenate([by_a, by_b])

    found = minimize(loss, np.zeros(count + size.shape[1]), jac=True, method="L-BFGS-B").x
    return spread * own_mean @ found[:count], spread * np.exp(np.clip(own_size @ found[count:], -8.0, 8.0))


def _scaled(learned: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return columns with the mean and spread of those learned on taken off, the constant left alone.

    What is not known stands at that mean; a column of which those learned on know nothing says nothing.
    """
    known = np.isfinite(learned)
    count = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, learned, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(known, (learned - center) ** 2, 0.0).sum(axis=0) / count)
    center[0], spread = 0.0, np.where(spread > 1e-9, spread, 1.0)
    mine = np.where(known.any(axis=0), (own - center) / spread, 0.0)
    return np.nan_to_num((learned - center) / spread), np.nan_to_num(mine)


# ---- treatment switched off -----------------------------------------------------------------------------------------


def untreated(model: AbstractModel, record: Record, names: Sequence[str]) -> Record:
    """Return the record as if these inputs had never been given; a setting that the model needs stays as charted."""
    declared = model.quantities(model.Input)
    gone = {name for name in names if declared[name].default is not None}
    courses: Mapping = {name: course for name, course in record.inputs.courses.items() if name not in gone}
    return replace(record, inputs=Inputs(courses))


def held(given: Inputs, names: Sequence[str], origin: float) -> Inputs:
    """Return inputs of which these stay as they are at `origin`, min."""
    courses = dict(given.courses)
    for name in names:
        if name in courses:
            courses[name] = courses[name].until(origin)
    return Inputs(courses)
