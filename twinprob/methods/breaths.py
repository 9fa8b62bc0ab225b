"""Elastance, resistance and intrinsic PEEP of each breath in closed form, and how they move from breath to breath."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..models.respiratory.breaths import Breath

# Prior of a breath's parameters E (cmH2O/L), R (cmH2O s/L), K (cmH2O s²/L²), P0 (cmH2O); settings, not published.
_MEAN, _SD = np.array([30.0, 10.0, 5.0, 8.0]), np.array([40.0, 20.0, 10.0, 50.0])
# How much wider a breath counts for each flag it carries; settings.
_FLAG_SPREAD = {"effort": 2.0, "volume lost": 4.0, "gap": 10.0, "no expiration": 10.0, "no inspiration": 10.0}
_TYPICAL_FLOW = 0.5  # L/s, at which one resistance is quoted
_FREEDOM = 4.0  # degrees of freedom of the scatter between breaths
GAIN = 0.03  # SD of a flow sensor's gain, a setting: volumes of a recording are all wrong by one factor


@dataclass(frozen=True)
class BreathFit:
    """What one breath says.

    Attributes
    ----------
    time : float, s, when it began
    mean : (4,) elastance cmH2O/L, resistance cmH2O s/L, Rohrer's constant cmH2O s²/L², total PEEP cmH2O
    covariance : (4, 4)
    peep : float, cmH2O, airway pressure at the end of expiration
    residual : float, cmH2O, root mean square
    whiteness : float, correlation of neighboring residuals
    spread : float, how many times wider than its covariance the breath counts: 1 for one without flags
    """

    time: float
    mean: np.ndarray
    covariance: np.ndarray
    peep: float
    residual: float
    whiteness: float
    spread: float

    @property
    def elastance(self) -> float:
        """Elastance, cmH2O/L."""
        return float(self.mean[0])

    def resistance(self, flow: float = _TYPICAL_FLOW) -> float:
        """Return resistance at a flow (L/s), in cmH2O s/L."""
        return float(self.mean[1] + self.mean[2] * flow)

    @property
    def intrinsic_peep(self) -> float:
        """Total PEEP above the airway pressure at the end of expiration, cmH2O."""
        return float(self.mean[3] - self.peep)

    def interval(self, ci_prob: float = 0.9) -> tuple[float, float]:
        """Return the credible interval of the elastance, cmH2O/L."""
        from scipy.special import ndtri

        half = ndtri(0.5 + ci_prob / 2) * self.spread * math.sqrt(self.covariance[0, 0])
        return self.elastance - half, self.elastance + half


def estimate(breath: Breath, *, circuit_compliance: float = 0.0, rohrer: bool = True) -> BreathFit:
    """Estimate one breath's mechanics by conjugate regression.

    P = P0 + E V + R Q + K Q |Q| is linear in what is unknown. The estimate is least squares under the prior; its
    covariance is a sandwich that allows for residuals correlated in time as an autoregression, because a hundred
    samples a second are not a hundred measurements. Generalized least squares would be sharper were the
    model exact; here the noise of the measured flow would then bias the resistance down.

    Parameters
    ----------
    breath : Breath
    circuit_compliance : float, L/cmH2O
        Of tubing between sensor and patient: its flow, that compliance times dP/dt, does not reach the lung.
    rohrer : bool
        Let resistance grow with flow. A Rohrer constant that comes out below zero is set to zero.

    Returns
    -------
    BreathFit
    """
    columns, pressures = design(breath, circuit_compliance)
    used = np.array([0, 1, 2, 3] if rohrer else [0, 1, 3])
    mean, covariance, residuals = _regress(columns, pressures, used)
    if rohrer and mean[2] < 0.0:
        mean, covariance, residuals = _regress(columns, pressures, np.array([0, 1, 3]))
    power = float(residuals @ residuals)
    return BreathFit(
        time=float(breath.times[0]),
        mean=mean,
        covariance=covariance,
        peep=breath.end_expiratory_pressure,
        residual=math.sqrt(power / len(residuals)),
        whiteness=float(residuals[1:] @ residuals[:-1]) / max(power, 1e-12),
        spread=math.prod(_FLAG_SPREAD[flag] for flag in breath.flags),
    )


def design(breath: Breath, circuit_compliance: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the regressors V, Q, Q |Q|, 1 of one breath, shape (sample, 4), and its pressures."""
    P, t = breath.pressures, breath.times
    Q = breath.flows - circuit_compliance * np.gradient(P, t) if circuit_compliance else breath.flows
    V = np.append(0.0, np.cumsum(0.5 * (Q[1:] + Q[:-1]) * np.diff(t)))
    return np.column_stack([V, Q, Q * np.abs(Q), np.ones_like(V)]), P


def _regress(columns, pressures, used):
    """Return mean (4,), covariance (4, 4) and residuals of a regression on the columns in use."""
    X = columns[:, used]
    precision, pull = np.diag(_SD[used] ** -2.0), _MEAN[used] / _SD[used] ** 2
    variance = max(float(np.var(pressures)), 1e-6)
    for _ in range(2):
        curvature = X.T @ X / variance + precision
        found = np.linalg.solve(curvature, X.T @ pressures / variance + pull)
        residuals = pressures - X @ found
        variance = max(float(residuals @ residuals) / max(len(residuals) - len(used), 1), 1e-6)
    inverse = np.linalg.inv(X.T @ X / variance + precision)
    sandwich = inverse @ (_long_run(X, residuals) / variance**2 + precision) @ inverse
    mean, covariance = np.zeros(4), np.zeros((4, 4))
    mean[used] = found
    covariance[np.ix_(used, used)] = sandwich
    return mean, covariance, residuals


def _long_run(columns, residuals):
    """Return X' Ω X for residuals whose correlation falls geometrically with their distance in samples.

    The correlation is that of neighboring residuals, and their variance counts independent samples only.
    """
    count, unknowns = columns.shape
    power = float(residuals @ residuals)
    near = float(np.clip(residuals[1:] @ residuals[:-1] / max(power, 1e-12), 0.0, 0.98))
    ratio = (1 + near) / (1 - near)
    variance = power / max(count - unknowns * ratio, 0.25 * count)
    forward = np.zeros_like(columns)
    for i in range(1, count):
        forward[i] = near * (forward[i - 1] + columns[i - 1])
    crossed = columns.T @ forward
    return variance * (columns.T @ columns + crossed + crossed.T)


def circuit_compliance(*recordings: Sequence[Breath], largest: float = 0.002) -> float:
    """Estimate the compliance of the tubing from the flow that comes before the pressure.

    Parameters
    ----------
    *recordings : sequences of Breath
        All through the same circuit; each with a noise of its own.
    largest : float, L/cmH2O

    Returns
    -------
    compliance : float
        L/cmH2O, of 17 values from 0 to `largest` the likeliest.
    """

    def misfit(value):
        total = 0.0
        for breaths in recordings:
            counts = np.array([len(breath.times) for breath in breaths])
            squares = [estimate(breath, circuit_compliance=value).residual ** 2 for breath in breaths]
            total += counts.sum() * math.log(counts @ squares / counts.sum())
        return total

    values = np.linspace(0.0, largest, 17)
    return float(values[int(np.argmin([misfit(value) for value in values]))])


@dataclass(frozen=True)
class Pooled:
    """The elastance of a whole recording.

    Attributes
    ----------
    elastance : float, cmH2O/L
    error : float, SD of its logarithm: of the breaths, their scatter, and the sensor's gain
    freedom : float, degrees of freedom of the scatter
    """

    elastance: float
    error: float
    freedom: float

    def compliance(self, ci_prob: float = 0.9) -> tuple[float, float, float]:
        """Return the median of the compliance and the ends of its credible interval, mL/cmH2O."""
        from scipy.special import stdtrit

        half = stdtrit(self.freedom, 0.5 + ci_prob / 2) * self.error
        center = 1000.0 / self.elastance
        return center, center * math.exp(-half), center * math.exp(half)


def pool(fits: Iterable[BreathFit], *, gain: float = GAIN) -> Pooled:
    """Pool the elastances of breaths between which the lung did not change.

    Breaths scatter by more than each one's error says; that scatter is estimated (DerSimonian and Laird). What they
    share, the gain of the flow sensor, does not average out.

    Parameters
    ----------
    fits : iterable of BreathFit
    gain : float
        SD of the sensor's relative error.

    Returns
    -------
    Pooled
    """
    kept = [fit for fit in fits if fit.elastance > 0]
    x = np.log([fit.elastance for fit in kept])
    v = np.array([fit.covariance[0, 0] * fit.spread**2 / fit.elastance**2 for fit in kept])
    w = 1.0 / v
    center = np.sum(w * x) / np.sum(w)
    excess = np.sum(w * (x - center) ** 2) - (len(x) - 1)
    scatter = max(0.0, excess / (np.sum(w) - np.sum(w**2) / np.sum(w))) if len(x) > 1 else 0.0
    w = 1.0 / (v + scatter)
    pooled = float(np.sum(w * x) / np.sum(w))
    return Pooled(math.exp(pooled), math.sqrt(1.0 / np.sum(w) + gain**2), max(len(x) - 1.0, 1.0))


# ---- from breath to breath -----------------------------------------------------------------------------------------

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


def update_breath(tracking: Tracking, breath: Breath, *, circuit_compliance: float = 0.0) -> Tracking:
    """Return the belief after one more breath.

    Parameters
    ----------
    tracking : Tracking
        `Tracking()` before the first.
    breath : Breath
        A flagged one moves the belief less; one whose elastance or resistance comes out negative says nothing of it.
    circuit_compliance : float, L/cmH2O

    Returns
    -------
    Tracking
    """
    fit = estimate(breath, circuit_compliance=circuit_compliance)

    def positive(belief, value, variance):
        return follow(belief, math.log(value), math.sqrt(variance) / value, spread=fit.spread) if value > 0 else belief

    at_flow = np.array([0.0, 1.0, _TYPICAL_FLOW, 0.0])
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
