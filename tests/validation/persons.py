"""Statistics of forecasts with persons as clusters."""

import numpy as np


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
