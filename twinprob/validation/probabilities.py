"""Stated probabilities against what happened, and intervals of figures when patients are drawn anew."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .alarms import auroc

_RESAMPLES = 1000
_CLIP = 1e-4  # a share of draws is no surer than this, setting


def bootstrap(
    figure: Callable[[np.ndarray], float], groups: np.ndarray, *, seed: int = 0, ci_prob: float = 0.9
) -> tuple[float, float]:
    """Return the interval of a figure when the groups (row,) are drawn anew with all their rows.

    Parameters
    ----------
    figure : function of places (row,), with repeats
    groups : (row,)
        Patients: rows of one belong together.
    seed : int
    ci_prob : float
    """
    names, codes = np.unique(groups, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    places = np.split(order, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1])
    chance = np.random.default_rng(seed)
    found = [
        figure(np.concatenate([places[i] for i in chance.integers(len(places), size=len(places))]))
        for _ in range(_RESAMPLES)
    ]
    if not np.isfinite(found).any():
        return np.nan, np.nan
    low, high = np.nanquantile(found, [(1 - ci_prob) / 2, (1 + ci_prob) / 2])
    return float(low), float(high)


def mean_interval(
    values: np.ndarray, *, over: np.ndarray | None = None, seed: int = 0, ci_prob: float = 0.9
) -> tuple[float, float]:
    """Return the interval of a mean over patients (patient,), or of its ratio to the mean of `over`, by bootstrap."""
    if not len(values):
        return np.nan, np.nan
    picks = np.random.default_rng(seed).integers(len(values), size=(_RESAMPLES, len(values)))
    with np.errstate(all="ignore"):
        found = values[picks].mean(axis=1)
        if over is not None:
            found = found / over[picks].mean(axis=1)
    if not np.isfinite(found).any():
        return np.nan, np.nan
    low, high = np.nanquantile(found, [(1 - ci_prob) / 2, (1 + ci_prob) / 2])
    return float(low), float(high)


def auprc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under precision over recall as average precision, ties taken together; NaN without a positive."""
    if not positive.any():
        return np.nan
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(np.diff(scores[order]) != 0, True)  # of each run of equal scores
    precision, recall = hits[last] / (np.flatnonzero(last) + 1), hits[last] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def logistic(design: np.ndarray, happened: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the coefficients of a logistic regression by Newton's method; NaN where the data leave them open."""
    found = np.zeros(design.shape[1])
    for _ in range(50):
        chance = 1.0 / (1.0 + np.exp(-np.clip(design @ found + offset, -30.0, 30.0)))
        slope = design.T @ (happened - chance)
        curve = design.T @ (design * (chance * (1.0 - chance))[:, None])
        try:
            step = np.linalg.solve(curve, slope)
        except np.linalg.LinAlgError:
            return np.full_like(found, np.nan)
        found = found + step
        if np.abs(step).max() < 1e-10:
            return found
    return np.full_like(found, np.nan)  # the events are told apart without error


def judge_probabilities(
    stated: np.ndarray, happened: np.ndarray, patients: np.ndarray, *, seed: int = 0
) -> dict[str, float]:
    """Return how well probabilities of an event agree with what happened.

    Parameters
    ----------
    stated : (forecast,) probabilities
    happened : (forecast,) bool
    patients : (forecast,)
        Whose forecast it is.
    seed : int
        Of the bootstrap over patients.

    Returns
    -------
    figures : mapping
        forecasts, events, brier, brier_low, brier_high, slope and intercept (of a logistic regression of what happened
        on the logit of what was stated; the intercept with the slope held at 1), observed_over_expected and its
        interval, auroc and its interval, auprc, within (median over patients of their own AUROC). Intervals are 90 %
        and by a bootstrap over patients; NaN where the event never or always happened.
    """
    stated, happened = np.asarray(stated, float), np.asarray(happened, bool)
    figures: dict[str, float] = {"forecasts": len(stated), "events": int(happened.sum())}
    logit = np.log(np.clip(stated, _CLIP, 1 - _CLIP) / (1 - np.clip(stated, _CLIP, 1 - _CLIP)))
    both = 0 < happened.sum() < len(happened)
    ones = np.ones((len(stated), 1))
    slope = logistic(np.c_[ones, logit], happened)[1] if both and np.ptp(logit) > 0 else np.nan
    level = logistic(ones, happened, logit)[0] if both else np.nan

    def ratio(rows: np.ndarray) -> float:
        return float(happened[rows].sum() / stated[rows].sum()) if stated[rows].sum() > 0 else np.nan

    every = np.arange(len(stated))
    judged: Mapping[str, Callable[[np.ndarray], float]] = {
        "brier": lambda rows: float(np.mean((stated[rows] - happened[rows]) ** 2)),
        "observed_over_expected": ratio,
        "auroc": lambda rows: auroc(stated[rows], happened[rows]),
    }
    for name, figure in judged.items():
        figures[name] = figure(every) if len(every) else np.nan
        figures[f"{name}_low"], figures[f"{name}_high"] = bootstrap(figure, patients, seed=seed)
    own = [auroc(stated[patients == one], happened[patients == one]) for one in np.unique(patients)]
    within = float(np.nanmedian(own)) if np.isfinite(own).any() else np.nan
    return {**figures, "slope": slope, "intercept": level, "auprc": auprc(stated, happened), "within": within}


def net_benefit(stated: np.ndarray, happened: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Return the net benefit of acting from each threshold probability on, (threshold,).

    References
    ----------
    .. [1] Vickers AJ, Elkin EB. Decision curve analysis. Med Decis Making 2006;26:565-574.
    """
    found = []
    for threshold in thresholds:
        acts = stated >= threshold
        false = np.mean(acts & ~happened)
        found.append(np.mean(acts & happened) - false * threshold / (1.0 - threshold))
    return np.array(found)
