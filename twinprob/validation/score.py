"""Compare forecasts with what was then measured: coverage, sharpness and error, one row per measurement."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scoringrules

from ..display import section, table
from ..forecasting.forecast import Forecast
from ..patient.record import Record
from ..patient.require import require_probability
from ..patient.units import convert

_SAME_TIME = 1e-6
MEASURES = (
    "error", "absolute_error", "absolute_percentage_error", "crps", "covered", "width", "interval_score",
)  # fmt: skip


@dataclass(frozen=True)
class Scores:
    """Forecast distributions beside the measurements they were made for.

    Attributes
    ----------
    pairs : pandas.DataFrame
        One row per pair of forecast and measurement: variable, unit, origin and time (min), hours_ahead, value (as
        measured);
        `evaluate` adds patient, forecaster, horizon and last.
    members : tuple of (member,) arrays
        The draws of each forecast distribution, in the row's unit; one member is a forecast without an interval.
    weights : tuple of (member,) arrays or None
        Their probabilities; None where all are alike.
    censored : int
        Measurements beyond a detection limit, which have no error and are left out.
    """

    pairs: pd.DataFrame
    members: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray | None, ...]
    censored: int = 0

    def __len__(self) -> int:
        return len(self.pairs)

    def select(self, rows) -> "Scores":
        """Return the scores of some rows; `rows` is a boolean array of shape (pair,)."""
        chosen = np.flatnonzero(np.asarray(rows))
        return dataclasses.replace(
            self,
            pairs=self.pairs.iloc[chosen].reset_index(drop=True),
            members=tuple(self.members[i] for i in chosen),
            weights=tuple(self.weights[i] for i in chosen),
        )

    def table(self, *, ci_prob: float = 0.9) -> pd.DataFrame:
        """Return everything about each pair.

        Parameters
        ----------
        ci_prob : float
            Probability inside the equal-tailed interval.

        Returns
        -------
        frame : pandas.DataFrame
            The columns of `pairs` and: median, lower, upper, error (median minus value), absolute_error,
            absolute_percentage_error (of the value measured), crps, pit, covered (1 or 0), width, interval_score,
            ci_prob,
            failed (draws without a number). All in the row's unit; what needs an interval is NaN without one.
        """
        require_probability("ci_prob", ci_prob)
        values = self.pairs["value"].to_numpy(float)
        rows = [
            _judge(value, members, weights, ci_prob)
            for value, members, weights in zip(values, self.members, self.weights, strict=True)
        ]
        judged = pd.DataFrame(rows, columns=list(_judge(0.0, np.zeros(1), None, 0.5)), dtype=float)
        return pd.concat([self.pairs.reset_index(drop=True), judged.assign(ci_prob=ci_prob)], axis=1)

    def summary(self, *, ci_prob: float = 0.9, by: Sequence[str] = ("variable",)) -> pd.DataFrame:
        """Return means over the pairs of each group, every pair counted alike.

        Parameters
        ----------
        ci_prob : float
            Probability inside the interval.
        by : sequence of str
            Columns of `pairs` that name the groups.

        Returns
        -------
        frame : pandas.DataFrame
            One row per group: pairs, coverage, width, interval_score, crps, bias, mean_absolute_error,
            median_absolute_percentage_error, ci_prob.
        """
        return summarize(self.table(ci_prob=ci_prob), by)

    def _repr_html_(self) -> str:
        frame = self.summary()
        rows = [tuple(row) for row in frame.itertuples(index=False)]
        return section("Scores", table("Means over pairs.", tuple(frame.columns), rows))


def summarize(judged: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return the means of a table of `Scores.table` over the pairs of each group; see `Scores.summary`."""
    grouped = judged.groupby(list(by), sort=False, observed=True)
    found = grouped.agg(
        pairs=("value", "size"),
        coverage=("covered", "mean"),
        width=("width", "mean"),
        interval_score=("interval_score", "mean"),
        crps=("crps", "mean"),
        bias=("error", "mean"),
        mean_absolute_error=("absolute_error", "mean"),
        median_absolute_percentage_error=("absolute_percentage_error", "median"),
        ci_prob=("ci_prob", "first"),
    )
    return found.reset_index()


def score(ahead: Forecast, record: Record) -> Scores:
    """Compare a forecast with what was then measured.

    Parameters
    ----------
    ahead : Forecast
        Made with ``times=`` those of the measurements.
    record : Record
        Holds the measurements; those up to the forecast's present and those after its end are not used.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        If the record holds no measurement that the forecast reaches, or one at a time the forecast does not name.

    Examples
    --------
    >>> import numpy as np
    >>> scores = of_draws([10.0], [np.array([8.0, 9.0, 12.0])], variable="glucose", unit="mmol/L")
    >>> scores.table(ci_prob=0.5)[["median", "absolute_error", "covered"]].to_numpy()
    array([[9., 1., 1.]])
    """
    group = ahead.tree["predictions"]
    frames, members, censored = [], [], 0
    for label, values in group.data_vars.items():
        name = str(label)
        if name not in record.observations:
            continue
        series, unit = record.observations[name], values.attrs.get("units", "")
        reached = (series.times > ahead.now + _SAME_TIME) & (series.times <= ahead.times[-1] + _SAME_TIME)
        censored += int(np.sum(reached & (series.limits != 0)))
        chosen = reached & (series.limits == 0)
        place = np.clip(np.searchsorted(ahead.times, series.times - _SAME_TIME), 0, len(ahead.times) - 1)
        missing = chosen & (np.abs(ahead.times[place] - series.times) > _SAME_TIME)
        if missing.any():
            raise ValueError(
                f"The forecast has no value at {int(missing.sum())} of {int(chosen.sum())} times at which `{name}` was "
                f"measured; name them: `forecast(twin, times=record.observations[{name!r}].times, …)`."
            )
        times = series.times[chosen]
        measured = np.asarray(convert(series.values[chosen], series.unit, unit, variable=name), float)
        columns = {"variable": name, "unit": unit, "origin": ahead.now, "time": times}
        frames.append(pd.DataFrame({**columns, "hours_ahead": (times - ahead.now) / 60.0, "value": measured}))
        members += list(values.values.reshape(-1, len(ahead.times)).T[place[chosen]])
    if not members:
        raise ValueError(
            f"The record holds no measurement between the forecast's present, {ahead.now:g} min, and its end, "
            f"{ahead.times[-1]:g} min, of any of: {', '.join(str(n) for n in group.data_vars)}."
        )
    return Scores(pd.concat(frames, ignore_index=True), tuple(members), (None,) * len(members), censored)


def of_draws(values, members, *, weights=None, **columns: Any) -> Scores:
    """Score forecasts that are given as draws, whatever made them.

    Parameters
    ----------
    values : (pair,) as measured
    members : sequence of (member,) arrays, draws of each forecast
    weights : sequence of (member,) arrays or None, optional
        Their probabilities; equal by default.
    **columns : scalar or (pair,)
        Columns of `Scores.pairs`; variable, unit, origin, time and hours_ahead are filled where not given.

    Returns
    -------
    Scores
    """
    values = np.asarray(values, float)
    filled: Mapping[str, Any] = {
        "variable": "", "unit": "", "origin": np.nan, "time": np.nan, "hours_ahead": np.nan, **columns, "value": values,
    }  # fmt: skip
    pairs = pd.DataFrame(dict(filled), index=range(len(values)))
    arrays = tuple(np.asarray(m, float) for m in members)
    shares = (
        (None,) * len(arrays)
        if weights is None
        else tuple(None if w is None else np.asarray(w, float) for w in weights)
    )
    if not len(values) == len(arrays) == len(shares):
        raise ValueError(
            f"There are {len(values)} values, but {len(arrays)} forecasts and {len(shares)} sets of weights."
        )
    return Scores(pairs, arrays, shares)


def _judge(value: float, members: np.ndarray, weights: np.ndarray | None, ci_prob: float) -> dict[str, float]:
    """Return all measures of one pair."""
    known = np.isfinite(members)
    failed = int(np.sum(~known))
    members = members[known]
    shares = None if weights is None else weights[known] / weights[known].sum()
    names = ("median", "lower", "upper", "error", "absolute_error", "absolute_percentage_error", "crps", "pit")
    found = dict.fromkeys((*names, "covered", "width", "interval_score"), np.nan) | {"failed": failed}
    if not len(members) or not np.isfinite(value):
        return found
    lower, median, upper = quantiles(members, [(1 - ci_prob) / 2, 0.5, (1 + ci_prob) / 2], shares)
    error = median - value
    found |= {"median": median, "error": error, "absolute_error": abs(error)}
    found["absolute_percentage_error"] = 100.0 * abs(error / value) if value != 0 else np.nan
    # "qd" is the score of the discrete distribution itself, whatever its weights.
    found["crps"] = float(scoringrules.crps_ensemble(value, members, ens_w=shares, estimator="qd"))
    if len(members) < 2:
        return found
    below = (members < value) + 0.5 * (members == value)
    found |= {"lower": lower, "upper": upper, "width": upper - lower, "covered": float(lower <= value <= upper)}
    found["pit"] = float(np.mean(below) if shares is None else np.sum(shares * below))
    found["interval_score"] = float(scoringrules.interval_score(value, lower, upper, 1 - ci_prob))
    return found


def log_score(value: float, members: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return minus the logarithm of the density at a value, of draws smoothed by normal kernels.

    Parameters
    ----------
    value : float
    members : (member,)
    weights : (member,), optional
        Equal by default.

    Returns
    -------
    score : float
        NaN for fewer than two draws, or draws that are all alike.

    Notes
    -----
    The width of the kernels is Silverman's, as in `scoringrules.logs_ensemble`.
    """
    members = np.asarray(members, float)
    known = np.isfinite(members)
    shares = np.ones(known.sum()) if weights is None else np.asarray(weights, float)[known]
    members, shares = members[known], shares / max(shares.sum(), 1e-300)
    if len(members) < 2:
        return np.nan
    count = 1.0 / float(shares @ shares)  # of draws that would be as good with equal weights
    if not count > 1.0:
        return np.nan
    spread = np.sqrt(shares @ (members - shares @ members) ** 2 * count / (count - 1.0))
    low, high = quantiles(members, [0.25, 0.75], None if weights is None else shares)
    width = 1.06 * min(spread, (high - low) / 1.34) * count ** (-0.2)
    if not width > 0.0:
        return np.nan
    logs = -0.5 * ((value - members) / width) ** 2
    top = logs.max()
    return float(-top - np.log(shares @ np.exp(logs - top)) + np.log(width * np.sqrt(2 * np.pi)))


def quantiles(members: np.ndarray, levels, weights: np.ndarray | None = None) -> np.ndarray:
    """Return quantiles of weighted members by linear interpolation; those of `numpy.quantile` where weights are equal.

    Parameters
    ----------
    members : (member,)
    levels : (level,)
    weights : (member,), optional

    Returns
    -------
    quantiles : (level,)
    """
    if weights is None or len(members) < 2:
        return np.quantile(members, levels)
    order = np.argsort(members, kind="stable")
    middles = np.cumsum(weights[order]) - 0.5 * weights[order]
    return np.interp(levels, (middles - middles[0]) / (middles[-1] - middles[0]), members[order])
