"""Where a breath some breaths from now will lie, told from the breaths that were: as wide as such bands had to be."""

from __future__ import annotations

import math

import numpy as np

# Settings. Breaths to tell a band from; memories to choose from besides all that is kept; breaths around whose median
# a band may lie; origins in the past at which bands are tried and breaths each is held against.
FEWEST, MEMORIES, LOCAL, _ORIGINS, _HELD = 20, (100, 400, 1600), 50, 24, 20
_TRIED = 800  # breaths, evenly taken, that a band of the past is told from; a setting
# Wider than the past by a twentieth, for what has not been seen. Of a normal law it costs .3 % of the interval score.
_CAUTION = 1.05


def band(past: np.ndarray, ahead: int, ci_prob: float) -> tuple[float, float, float]:
    """Return median, lower and upper end of what a breath `ahead` breaths from the last will measure.

    A band is quantiles of past breaths: of all, or of as many as told the breaths of this horizon best, judged at
    origins in the past by the interval score; the longer memory is kept unless a shorter one was better by more than a
    standard error, since a level that comes back is told best by all of its breaths. Besides, a band may lie around
    the median of the last 50, as breaths lay around their running mean. It is widened twice. Breaths that are alike
    count for fewer (their number over their correlation time), and the band is that of so many normal values. And
    where bands of this horizon had to be wider in the past, this one is, by the share k / (k + 1) for k horizons seen.

    Parameters
    ----------
    past : (breath,)
        Values in time, the last one now; twenty or more.
    ahead : int
        Breaths.
    ci_prob : float

    Returns
    -------
    median, low, high : float
    """
    origins = _origins(len(past), ahead)
    if not origins.size:
        middle, low, high = _quantiles(past, None, ci_prob)
        wide = _few(_independent(past), ci_prob)
    else:
        memory, local, needed = _choose(past, ahead, ci_prob, origins)
        kept = past[-memory:]
        told = kept - _running_mean(kept) if local else kept
        middle, low, high = _quantiles(told, kept[-LOCAL:] if local else None, ci_prob)
        seen = (len(past) - origins[0]) / ahead
        wide = max(
            1.0 if local else _few(_independent(kept), ci_prob), 1.0 + max(needed - 1.0, 0.0) * seen / (seen + 1.0)
        )
    wide *= _CAUTION
    return middle, middle - wide * (middle - low), middle + wide * (high - middle)


def _origins(count: int, ahead: int) -> np.ndarray:
    """Return how many breaths each tried band knows of; none where too few came after any."""
    first, last = max(MEMORIES[0], _HELD), count - ahead - _HELD
    if last - first < _HELD:
        return np.zeros(0, int)
    return np.unique(np.linspace(first, last, min(_ORIGINS, (last - first) // _HELD + 1)).astype(int))


def _choose(past, ahead, ci_prob, origins):
    """Return the memory to use, whether to lie around the last fifty, and how much wider its bands had to be."""
    memories = [memory for memory in MEMORIES if memory < len(past)] + [len(past)]
    choices = [(memory, local) for memory in memories for local in (True, False)]
    scores, needs = np.empty((len(choices), len(origins))), np.empty((len(choices), len(origins), _HELD))
    miss, off = 2.0 / (1.0 - ci_prob), past - _running_mean(past)
    for k, origin in enumerate(origins):
        came = past[origin + ahead - 1 :][:_HELD]
        for j, (memory, local) in enumerate(choices):
            first = max(0, origin - memory)
            kept = slice(first, origin, -(-(origin - first) // _TRIED))
            near = past[max(0, origin - LOCAL) : origin]
            middle, low, high = _quantiles(off[kept] if local else past[kept], near if local else None, ci_prob)
            outside = np.maximum(low - came, 0.0) + np.maximum(came - high, 0.0)
            scores[j, k] = high - low + miss * outside.mean()
            tiny = 1e-12 + 1e-6 * (high - low)
            above, below = (came - middle) / max(high - middle, tiny), (middle - came) / max(middle - low, tiny)
            needs[j, k] = np.maximum(above, below)
    best = int(np.argmin(scores.mean(axis=1)))
    for j in [j for j, (_, local) in enumerate(choices) if not local][::-1]:
        worse = scores[j] - scores[best]
        if worse.mean() <= worse.std(ddof=1) / math.sqrt(len(worse)):
            best = j
            break
    return *choices[best], float(np.quantile(needs[best], ci_prob))


def _quantiles(values, near, ci_prob):
    """Return median, lower and upper quantile of values; or, of deviations, around the median of those `near`."""
    # As np.quantile has it, which takes ten times as long for so few values.
    places = np.array((0.5, 0.5 - ci_prob / 2, 0.5 + ci_prob / 2)) * (len(values) - 1)
    middle, low, high = (float(one) for one in np.interp(places, np.arange(len(values)), np.sort(values)))
    if near is None:
        return middle, low, high
    # A deviation from a mean that holds the value itself is too small, one from an earlier mean too large.
    center, wider = float(np.median(near)), math.sqrt((1.0 + 1.0 / len(near)) / (1.0 - 1.0 / len(near)))
    return center, center + wider * (low - middle), center + wider * (high - middle)


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of some fifty values around each, fewer at the ends."""
    sums, index = np.append(0.0, np.cumsum(values)), np.arange(len(values))
    first, end = np.maximum(index - LOCAL // 2, 0), np.minimum(index + LOCAL // 2 + 1, len(values))
    return (sums[end] - sums[first]) / (end - first)


def _independent(values: np.ndarray) -> float:
    """Return as how many independent values these count: their variance over that of means of consecutive ones.

    Means are of about the root of their number; for few values the correlation of neighbors, taken as a first-order
    autoregression's, counts where it says fewer.
    """
    count = len(values)
    variance = float(np.var(values))
    if variance <= 0.0:
        return float(count)
    off = values - values.mean()
    near = float(np.clip(off[1:] @ off[:-1] / (count * variance), 0.0, 0.99))
    length = max(2, round(math.sqrt(count)))
    blocks = count // length
    means = values[count - blocks * length :].reshape(blocks, length).mean(axis=1)
    lasting = max(variance, length * float(np.var(means, ddof=1)) if blocks > 2 else 0.0)
    if count < 400:
        lasting = max(lasting, variance * (1.0 + near) / (1.0 - near))
    return count * variance / lasting


def _few(count: float, ci_prob: float) -> float:
    """Return how much wider than quantiles of the few is the band of the next: Student's, for normal values."""
    from scipy.special import ndtri, stdtrit

    count = max(count, 4.0)  # of fewer, no width can be told at all
    end = 0.5 + ci_prob / 2
    return float(stdtrit(count - 1.0, end) / ndtri(end)) * math.sqrt((1.0 + 1.0 / count) / (1.0 - 1.0 / count))
