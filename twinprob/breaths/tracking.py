"""How elastance, resistance and intrinsic PEEP move from breath to breath, with bands, and where they jump."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from ..models.respiratory.breaths import Breath
from .estimates import TYPICAL_FLOW, BreathFit, estimate

_FREEDOM = 4.0  # degrees of freedom of the scatter between breaths
_DRIFTS, _SCATTERS = np.geomspace(1e-3, 0.1, 7), np.geomspace(0.01, 0.5, 7)  # SD per breath and of a breath, of the log
_DRIFT, _SCATTER = (grid.ravel() for grid in np.meshgrid(_DRIFTS, _SCATTERS, indexing="ij"))
_FORGET = 0.995  # per breath: old evidence about drift and scatter fades over some 200 breaths; a setting


@dataclass(frozen=True)
class Belief:
    """What is believed about one drifting quantity after some breaths.

    Attributes
    ----------
    means, variances : (member,) of the level, for each pair of drift and scatter on a grid
    weights : (member,) log weights of the pairs
    error : float, the breaths' own SD, a geometric mean
    spread : float, how much wider they counted, a geometric mean
    breaths : int
    surprise : tuple of two floats, running sums of unexpected rises and falls, in SDs
    changed : bool, whether the last breath completed a change too large for drift
    """

    means: np.ndarray
    variances: np.ndarray
    weights: np.ndarray
    error: float = 1e-6
    spread: float = 1.0
    breaths: int = 0
    surprise: tuple[float, float] = (0.0, 0.0)
    changed: bool = False

    @property
    def probabilities(self) -> np.ndarray:
        """Probability of each pair."""
        p = np.exp(self.weights - self.weights.max())
        return p / p.sum()

    def interval(
        self, ci_prob: float = 0.9, *, ahead: int = 0, measured: bool = False, spread: float | None = None
    ) -> tuple[float, float, float]:
        """Return median, lower and upper end of the level, or of what a breath would measure, some breaths ahead.

        Parameters
        ----------
        ci_prob : float
        ahead : int
            Breaths from now; the level drifts on.
        measured : bool
            Of what one breath will measure, its scatter included, rather than of the level.
        spread : float, optional
            Of that breath, where its flags are known; else as breaths usually were.
        """
        from scipy.special import ndtr, stdtr

        noise = ((self.spread if spread is None else spread) * _SCATTER) ** 2 if measured else 0.0
        sd = np.sqrt(self.variances + ahead * _DRIFT**2 + noise)
        p = self.probabilities
        ends = []
        for target in (0.5, 0.5 - ci_prob / 2, 0.5 + ci_prob / 2):
            low, high = float(np.min(self.means - 12 * sd)), float(np.max(self.means + 12 * sd))
            for _ in range(45):
                middle = 0.5 * (low + high)
                z = (middle - self.means) / sd
                below = float(p @ (stdtr(_FREEDOM, z) if measured else ndtr(z)))
                low, high = (middle, high) if below < target else (low, middle)
            ends.append(0.5 * (low + high))
        return ends[0], ends[1], ends[2]


def begin(value: float, sd: float) -> Belief:
    """Return the belief before any breath: a level of this value and SD, and every drift and scatter alike."""
    return Belief(np.full(_DRIFT.size, value), np.full(_DRIFT.size, sd**2), np.zeros(_DRIFT.size))


def follow(belief: Belief, value: float, sd: float, *, spread: float = 1.0) -> Belief:
    """Return the belief after one more breath; the cost does not grow with the breaths before.

    Each pair of drift and scatter runs its own robust Kalman filter (a random walk seen through Student's t), and the
    pairs are weighted by how well they foretold the breaths.

    Parameters
    ----------
    belief : Belief
    value : float
        What the breath measured.
    sd : float
        Its own error, above zero.
    spread : float
        How much wider it counts, error and scatter alike, because of what is wrong with it.

    Returns
    -------
    Belief
    """
    variances = belief.variances + _DRIFT**2
    # How far breaths scatter is learned from them; a breath's own error only says how it compares with the others.
    usual = belief.error if belief.breaths else sd
    noise = (spread * max(sd / usual, 0.5) * _SCATTER) ** 2
    total = variances + noise
    off = value - belief.means
    square = off**2 / total
    weights = _FORGET * belief.weights - 0.5 * np.log(total) - 0.5 * (_FREEDOM + 1) * np.log1p(square / _FREEDOM)
    gain = variances / (variances + noise * (_FREEDOM + square) / (_FREEDOM + 1))
    p = belief.probabilities
    z = float(np.clip(p @ (off / np.sqrt(total)), -4.0, 4.0))
    rise, fall = (max(0.0, s + sign * z - 0.5) for s, sign in zip(belief.surprise, (1, -1), strict=True))
    changed = belief.breaths > 10 and max(rise, fall) > 7.0
    share = max(1.0 / (belief.breaths + 1), 1.0 - _FORGET)
    after = Belief(
        means=belief.means + gain * off,
        variances=(1 - gain) * variances,
        weights=weights - weights.max(),
        error=usual ** (1 - share) * sd**share,
        spread=belief.spread ** (1 - share) * spread**share,
        breaths=belief.breaths + 1,
        surprise=(rise, fall),
        changed=changed,
    )
    if not changed:
        return after
    # After a jump the level is open again, drift and scatter are not.
    return replace(after, variances=after.variances + 0.2**2, surprise=(0.0, 0.0))


@dataclass(frozen=True)
class Tracking:
    """What is believed about the mechanics after some breaths.

    Attributes
    ----------
    elastance, resistance : Belief, of the logarithms of cmH2O/L and of cmH2O s/L at 0.5 L/s
    intrinsic_peep : Belief, of tens of cmH2O
    fit : BreathFit or None, the last breath alone
    """

    elastance: Belief = field(default_factory=lambda: begin(math.log(30.0), 0.7))
    resistance: Belief = field(default_factory=lambda: begin(math.log(10.0), 0.7))
    intrinsic_peep: Belief = field(default_factory=lambda: begin(0.1, 0.3))
    fit: BreathFit | None = None


def update_breath(
    tracking: Tracking, breath: Breath, *, circuit_compliance: float = 0.0, muscle: bool = False
) -> Tracking:
    """Return the belief after one more breath.

    Parameters
    ----------
    tracking : Tracking
        `Tracking()` before the first.
    breath : Breath
        A flagged one moves the belief less; one whose elastance or resistance comes out negative says nothing of it.
    circuit_compliance : float, L/cmH2O
    muscle : bool
        Let the patient pull in breaths that carry the flag "effort", as `estimate` does.

    Returns
    -------
    Tracking
    """
    fit = estimate(breath, circuit_compliance=circuit_compliance, muscle=muscle and "effort" in breath.flags)

    def positive(belief, value, variance):
        return follow(belief, math.log(value), math.sqrt(variance) / value, spread=fit.spread) if value > 0 else belief

    at_flow = np.array([0.0, 1.0, TYPICAL_FLOW, 0.0])
    return Tracking(
        positive(tracking.elastance, fit.elastance, fit.covariance[0, 0]),
        positive(tracking.resistance, fit.resistance(), at_flow @ fit.covariance @ at_flow),
        follow(
            tracking.intrinsic_peep,
            fit.intrinsic_peep / 10.0,
            math.sqrt(fit.covariance[3, 3]) / 10.0,
            spread=fit.spread,
        ),
        fit,
    )
