"""A drifting level seen through breaths whose scatter lasts: a robust filter for each way to drift and to scatter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

FREEDOM = 4.0  # degrees of freedom of the scatter between breaths, a setting
# SD of the level's step per breath and of a breath's scatter, both of a logarithm, and the correlation of the scatter
# of neighboring breaths. Settings: a level that keeps within
# 1 % over half an hour to one that moves 20 % in 40 breaths.
_GRID = np.meshgrid(np.geomspace(1e-4, 0.03, 6), np.geomspace(0.01, 0.5, 7), (0.0, 0.3, 0.6, 0.8, 0.9), indexing="ij")
DRIFT, SCATTER, LASTING = (axis.ravel() for axis in _GRID)
FORGET = 0.998  # per breath: old evidence about the three fades over some 500 breaths; a setting


@dataclass(frozen=True)
class Levels:
    """What each member of the grid believes of the level and of how far the last breath was off it.

    Attributes
    ----------
    means, offs : (member,) of the level, and of the last breath's deviation from it
    variances, shared, off_variances : (member,) their variances, and the covariance of the two
    weights : (member,) logarithms
    """

    means: np.ndarray
    offs: np.ndarray
    variances: np.ndarray
    shared: np.ndarray
    off_variances: np.ndarray
    weights: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """Probability of each member, (member,)."""
        p = np.exp(self.weights - self.weights.max())
        return p / p.sum()

    def ahead(self, breaths: int, *, measured: bool, spread: float) -> tuple[np.ndarray, np.ndarray]:
        """Return means and SDs, both (member,), of the level some breaths from now, or of what one would measure."""
        mean, variance = self.means, self.variances + breaths * DRIFT**2
        if not measured:
            return mean, np.sqrt(variance)
        left = LASTING**breaths
        off = left**2 * self.off_variances + (1.0 - left**2) * SCATTER**2 + 2.0 * left * self.shared
        return mean + left * self.offs, np.sqrt(variance + off + (max(spread, 1.0) ** 2 - 1.0) * SCATTER**2)

    def quantile(self, target: float, breaths: int, *, measured: bool, spread: float) -> float:
        """Return a quantile of the mixture over the members."""
        from scipy.special import ndtr, stdtr

        mean, sd = self.ahead(breaths, measured=measured, spread=spread)
        low, high = float(np.min(mean - 12 * sd)), float(np.max(mean + 12 * sd))
        p = self.probabilities
        for _ in range(45):
            middle = 0.5 * (low + high)
            z = (middle - mean) / sd
            below = float(p @ (stdtr(FREEDOM, z) if measured else ndtr(z)))
            low, high = (middle, high) if below < target else (low, middle)
        return 0.5 * (low + high)


def start(value: float, sd: float) -> Levels:
    """Return what is believed before any breath: a level of this value and SD, all members alike."""
    zero = np.zeros(DRIFT.size)
    return Levels(zero + value, zero, zero + sd**2, zero, SCATTER**2, zero)


def step(levels: Levels, value: float, spread: float) -> tuple[Levels, float]:
    """Take in one breath.

    Each member is a Kalman filter of a random walk (the level) and an autoregression of the first order (how far a
    breath is off it), robust by Student's t: what lies far out counts as if it were measured worse. Members are
    weighted by how well they foretold the breath.

    Parameters
    ----------
    levels : Levels
    value : float
        What the breath measured.
    spread : float
        How many times wider than others it scatters.

    Returns
    -------
    levels : Levels
    surprise : float
        The breath's place in what was foretold, as a standard normal deviate.
    """
    from scipy.special import ndtri, stdtr

    variances, shared = levels.variances + DRIFT**2, LASTING * levels.shared
    offs = LASTING * levels.offs
    off_variances = LASTING**2 * levels.off_variances + (1.0 - LASTING**2) * SCATTER**2
    worse = (max(spread, 1.0) ** 2 - 1.0) * SCATTER**2
    total = variances + 2.0 * shared + off_variances + worse
    missed = value - levels.means - offs
    square = missed**2 / total
    below = float(levels.probabilities @ stdtr(FREEDOM, missed / np.sqrt(total)))
    weights = FORGET * levels.weights - 0.5 * np.log(total) - 0.5 * (FREEDOM + 1.0) * np.log1p(square / FREEDOM)
    outlying = np.maximum((FREEDOM + square) / (FREEDOM + 1.0) - 1.0, 0.0) * off_variances
    counted = total + outlying
    gain, off_gain = (variances + shared) / counted, (shared + off_variances) / counted
    after = Levels(
        means=levels.means + gain * missed,
        offs=offs + off_gain * missed,
        variances=variances - gain * (variances + shared),
        shared=shared - gain * (shared + off_variances),
        off_variances=off_variances - off_gain * (shared + off_variances),
        weights=weights - weights.max(),
    )
    return after, float(ndtri(min(max(below, 1e-12), 1.0 - 1e-12)))


def opened(levels: Levels, sd: float) -> Levels:
    """Return the belief after a jump: the level is open again by this SD, how it drifts and scatters is not."""
    return Levels(
        levels.means, levels.offs, levels.variances + sd**2, levels.shared, levels.off_variances, levels.weights
    )


@dataclass(frozen=True)
class Watch:
    """Two running sums that say when breaths left the level for good, at a stated rate of false calls.

    Attributes
    ----------
    false_changes : float, calls per breath that no change stands behind
    rise, fall : float, sums of what went beyond one SD on either side
    running : int, breaths since the larger of them was last zero
    bar : float, the threshold when it was: what changes does not judge itself
    power, product, last : float, mean square of the surprises, mean product of neighbors, and the last of them
    breaths : int
    called : bool, whether the last breath completed a change
    """

    false_changes: float
    rise: float = 0.0
    fall: float = 0.0
    running: int = 0
    bar: float = math.inf
    power: float = 1.0
    product: float = 0.0
    last: float = 0.0
    breaths: int = 0
    called: bool = False

    @property
    def threshold(self) -> float:
        """The sum at which a change is called.

        From Siegmund's approximation of the run length of a cumulative sum of normal deviates (Sequential Analysis,
        1985): exp(2 k (h + 1.166)) / (2 k²) breaths on one side, half of that on both, with reference value k and
        threshold h in SDs. Surprises that are too large, or that last, count by their long-run variance. A thirtieth of
        the stated rate is asked of it, as surprises are only nearly normal: 420 000 breaths of autoregressions of .3 to
        .9, normal and with Student's tails of four degrees of freedom, then gave 1.2e-5 calls each for a stated 1e-5.
        """
        together = min(max(self.product / self.power, 0.0), 0.9)
        variance = max(1.0, self.power * (1.0 + together) / (1.0 - together))
        length = math.log(4.0 * _REFERENCE**2 / (self.false_changes / _SAFETY * variance))
        return max(length * variance / (2.0 * _REFERENCE) - 1.166 * math.sqrt(variance), _CLIP)


# Settings: a shift of two SDs is found soonest; no single breath counts for more than three SDs, so that one or two
# never make a change; the surprises' own variance is learned over 200 breaths, and in the first 30 nothing is called.
_REFERENCE, _CLIP, _LEARN, _FIRST, _SAFETY = 1.0, 3.0, 0.005, 30, 30.0


def watched(watch: Watch, surprise: float) -> Watch:
    """Return the watch after one more surprise (a standard normal deviate where nothing changed)."""
    z = min(max(surprise, -_CLIP), _CLIP)
    rise = max(0.0, watch.rise + z - _REFERENCE)
    fall = max(0.0, watch.fall - z - _REFERENCE)
    bar = watch.bar if watch.running else watch.threshold
    called = watch.breaths >= _FIRST and max(rise, fall) > bar
    share = max(_LEARN, 1.0 / (watch.breaths + 200))
    return Watch(
        watch.false_changes,
        rise=0.0 if called else rise,
        fall=0.0 if called else fall,
        running=watch.running + 1 if max(rise, fall) > 0.0 else 0,
        bar=bar,
        power=watch.power + share * (z * z - watch.power),
        product=watch.product + share * (z * watch.last - watch.product),
        last=z,
        breaths=watch.breaths + 1,
        called=called,
    )
