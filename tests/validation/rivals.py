"""What a few lines of statistics make of the same pairs, learned on other persons: the bar that a twin has to pass."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.scipy import stats
from scipy import optimize
from scipy.stats import t as student

import twinprob as tp
from twinprob.patient.units import convert
from twinprob.validation.score import Scores, of_draws

DEGREES = 4.0
MEMBERS = 199  # quantiles that stand for a forecast
USUAL, TYPICAL_MOVE = 8.0, 0.15  # mmol/L and log: what a patient's own mean and moves are shrunk to
RECENT, MOVES = 24, 12  # values of the own mean, and moves of the own variability
PLACE = ("one", "last", "hours", "insulin", "own mean", "trend")
SPREAD = ("one", "log hours", "own variability")


def own(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of one forecaster, each once."""
    return frame[frame["forecaster"] == "persistence"].drop(columns="forecaster").reset_index(drop=True)


def features(pairs: pd.DataFrame, records: Sequence[tp.Record]) -> tuple[np.ndarray, np.ndarray]:
    """Return what moves the median (pair, coefficient) and the spread (pair, coefficient), from the past alone."""
    place, spread = [], []
    for row in pairs.itertuples():
        record = records[row.patient]
        series = record.observations["glucose"]
        known = np.asarray(convert(series.values, series.unit, "mmol/L", variable="glucose"))[
            series.known <= row.origin
        ]
        logs = np.log(known / USUAL)
        moves = np.diff(logs)[-MOVES:]
        rate = 0.0
        if "insulin" in record.inputs:
            course = record.inputs["insulin"]
            rate = float(convert(course.at(row.origin), course.unit, "U/h", variable="insulin"))
        mean = logs[-RECENT:].sum() / (1 + len(logs[-RECENT:]))
        varied = np.sqrt((3 * TYPICAL_MOVE**2 + np.sum(moves**2)) / (3 + len(moves)))
        trend = moves[-1] if len(moves) else 0.0
        place.append((1.0, logs[-1], row.hours_ahead - 1, np.log1p(rate), mean - logs[-1], trend))
        spread.append((1.0, np.log(row.hours_ahead), np.log(varied / TYPICAL_MOVE)))
    return np.array(place), np.array(spread)


def _misfit(coefficients, place, spread, moves, weights):
    scale = jnp.exp(spread @ coefficients[len(PLACE) :])
    densities = stats.t.logpdf(moves, DEGREES, place @ coefficients[: len(PLACE)], scale)
    return -jnp.sum(weights * densities) + 0.005 * jnp.sum(coefficients**2)


_slope = jax.jit(jax.value_and_grad(_misfit))


def learned(place: np.ndarray, spread: np.ndarray, moves: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the nine most probable coefficients: a Student t of log(value / last)."""
    start = np.zeros(len(PLACE) + len(SPREAD))
    start[len(PLACE)] = np.log(TYPICAL_MOVE)

    def objective(coefficients):
        value, slope = _slope(coefficients, place, spread, moves, weights)
        return float(value), np.asarray(slope, float)

    with jax.enable_x64(True):
        return optimize.minimize(objective, start, jac=True, method="L-BFGS-B").x


def regression(pairs: pd.DataFrame, records: Sequence[tp.Record]) -> Scores:
    """Forecast each pair by the nine coefficients that all other persons teach, each stay weighted alike.

    Parameters
    ----------
    pairs : pandas.DataFrame
        From `own`; `patient` is the number of the record.
    records : sequence of Record

    Returns
    -------
    Scores
        With forecaster "regression".
    """
    place, spread = features(pairs, records)
    moves = np.log(pairs["value"] / pairs["last"]).to_numpy()
    person = np.array([records[i].person or str(i) for i in pairs["patient"]])
    counts = pairs.groupby("patient")["value"].transform("size").to_numpy()
    grid = student.ppf((np.arange(MEMBERS) + 0.5) / MEMBERS, DEGREES)
    members: list[np.ndarray] = [np.zeros(0)] * len(pairs)
    for name in np.unique(person):
        others, mine = person != name, np.flatnonzero(person == name)
        weights = others / counts
        found = learned(place, spread, moves, weights * others.sum() / weights.sum())
        for i in mine:
            scale = np.exp(spread[i] @ found[len(PLACE) :])
            members[i] = float(pairs["last"].iloc[i]) * np.exp(place[i] @ found[: len(PLACE)] + scale * grid)
    columns = {str(name): pairs[name].to_numpy() for name in pairs.columns if name != "value"}
    return of_draws(pairs["value"].to_numpy(), members, forecaster="regression", **columns)


def slope(residuals: np.ndarray, against: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Return the slope of residuals on a quantity, and its standard error with persons as clusters."""
    design = np.c_[np.ones(len(residuals)), against]
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ design.T @ residuals
    errors = residuals - design @ found
    sums = np.array([(design * errors[:, None])[groups == g].sum(0) for g in np.unique(groups)])
    return float(found[1]), float(np.sqrt((inverse @ sums.T @ sums @ inverse)[1, 1]))


def bootstrap(ratio, groups: np.ndarray, key: int = 0, draws: int = 2000) -> tuple[float, float]:
    """Return the 90 % interval of `ratio(rows)` when the groups are drawn anew; `rows` are places with repeats."""
    chance = np.random.default_rng(key)
    places = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    found = [
        ratio(np.concatenate([places[i] for i in chance.integers(len(places), size=len(places))])) for _ in range(draws)
    ]
    low, high = np.nanquantile(found, [0.05, 0.95])
    return float(low), float(high)
