"""Forecasts of a twin as they are given at the bedside: moved as other patients and its own past errors ask.

Beside them a stack: quantiles of the moved twin and of the regression, averaged with weights learned on others.
"""

import numpy as np
import pandas as pd

from ..forecasting.recalibration import Recalibration, learn_recalibration, transported
from ..inference.outcomes import Outcomes
from .rivals import Forecasts, alike, shares
from .score import of_draws, quantiles

_LEVELS = (np.arange(999) + 0.5) / 999
_SHARES = np.linspace(0.0, 1.0, 11)  # of the twin in a stack


def recalibrated(pairs: pd.DataFrame, members: list[np.ndarray]) -> Forecasts:
    """Return forecasts moved as `recalibrate` moves them: by other persons' errors, then by those known at the origin.

    Parameters
    ----------
    pairs : pandas.DataFrame
        Columns patient, person, variable, origin, time and known (min, when the value became known), hours_ahead,
        changed (whether treatment changed in the window) and value.
    members : sequence of (member,) arrays
        The twin's draws for each pair.
    """
    none: list[None] = [None] * len(pairs)
    columns = {name: pairs[name].to_numpy() for name in ("patient", "variable", "hours_ahead")}
    judged = of_draws(pairs["value"], members, **columns).table().assign(changed=pairs["changed"].to_numpy())
    found = list(members)
    persons = pairs["person"].to_numpy()
    for person in pd.unique(persons):
        others = judged[(persons != person) & judged["pit"].notna().to_numpy()]
        settings = Recalibration() if others.empty else learn_recalibration(others)
        for _, own in pairs[persons == person].groupby(["patient", "variable"], sort=False):
            _moved(own, pairs.index.get_indexer(own.index), judged["pit"].to_numpy(), settings, found)
    return Forecasts(found, none)


def _moved(own: pd.DataFrame, rows: np.ndarray, pits: np.ndarray, settings: Recalibration, members) -> None:
    """Move the forecasts of one patient's output, each as the values known at its origin ask."""
    place = dict(zip(own.index, rows, strict=True))
    last = own.sort_values(["time", "origin"]).groupby("time", sort=True).tail(1)  # a value's last forecast counts
    known, pit = last["known"].to_numpy(), pits[[place[index] for index in last.index]]
    variable = str(own["variable"].iloc[0])
    for origin, here in own.groupby("origin", sort=False):
        heard = (known <= origin) & np.isfinite(pit)
        past = last[heard]
        outcomes = Outcomes(
            past["time"].to_numpy(float),
            60.0 * past["hours_ahead"].to_numpy(float),
            pit[heard],
            past["variable"].to_numpy(str),
        )
        state = settings.state(variable, outcomes, past["changed"].to_numpy(bool))
        for index, hours, changed in here[["hours_ahead", "changed"]].itertuples():
            members[place[index]] = transported(members[place[index]], state.at(float(hours), bool(changed)))


def stacked(pairs: pd.DataFrame, first: Forecasts, second: Forecasts) -> Forecasts:
    """Return averages of two forecasts' quantiles, with the share of the first that served other persons best.

    Of eleven shares from 0 to 1 the one whose quantiles lose least (the mean pinball loss over levels, half the CRPS)
    on the pairs of other persons with the same output and horizon class, each person weighted alike. Where one of the
    two forecasts nothing, the other stands.
    """
    one, other = (_quantiles(each) for each in (first, second))
    values = pairs["value"].to_numpy(float)
    losses = np.stack([_loss(values, a * one + (1.0 - a) * other) for a in _SHARES], axis=1)
    members = [
        np.where(np.isnan(b), a, np.where(np.isnan(a), b, 0.5 * (a + b))) for a, b in zip(one, other, strict=True)
    ]
    for mine, others in alike(pairs):
        others = others[np.isfinite(losses[others]).all(axis=1)]
        if not len(others):
            continue
        best = _SHARES[np.argmin(shares(pairs, others) @ losses[others])]
        for row in mine:
            if np.isfinite(losses[row]).all():
                members[row] = best * one[row] + (1.0 - best) * other[row]
    return Forecasts(members, [None] * len(pairs))


def _quantiles(found: Forecasts) -> np.ndarray:
    rows = np.full((len(found.members), len(_LEVELS)), np.nan)
    for row, (members, weights) in enumerate(zip(found.members, found.weights, strict=True)):
        fine = np.isfinite(members)
        if fine.sum() > 1:
            rows[row] = quantiles(members[fine], _LEVELS, None if weights is None else weights[fine])
    return rows


def _loss(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the mean pinball loss of each pair's quantiles, (pair,)."""
    below = values[:, None] - levels
    return np.mean(np.maximum(_LEVELS * below, (_LEVELS - 1.0) * below), axis=1)
