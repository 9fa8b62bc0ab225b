"""Elastance, resistance and intrinsic PEEP of each breath in closed form, and of a whole recording."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..models.respiratory.breaths import Breath

# Prior of a breath's parameters E (cmH2O/L), R (cmH2O s/L), K (cmH2O s²/L²), P0 (cmH2O); settings, not published.
_MEAN, _SD = np.array([30.0, 10.0, 5.0, 8.0]), np.array([40.0, 20.0, 10.0, 50.0])
# How much wider a breath counts for each flag it carries; settings.
_FLAG_SPREAD = {"effort": 2.0, "volume lost": 4.0, "gap": 10.0, "no expiration": 10.0, "no inspiration": 10.0}
TYPICAL_FLOW = 0.5  # L/s, at which one resistance is quoted
_PULLS, _PULL = 4, 6.0  # hats over an inspiration that make a muscle pressure, and the prior SD of each, cmH2O
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
    pulls : (4,) cmH2O, muscle pressure at one to four fifths of inspiration; empty where none was asked for
    supported : bool, whether the patient pulled and no muscle pressure was asked for: elastance, resistance and
        intrinsic PEEP are then not a number, since what the patient did is in all of them
    """

    time: float
    mean: np.ndarray
    covariance: np.ndarray
    peep: float
    residual: float
    whiteness: float
    spread: float
    pulls: np.ndarray = field(default_factory=lambda: np.zeros(0))
    supported: bool = False

    @property
    def elastance(self) -> float:
        """Elastance, cmH2O/L; not a number for a supported breath."""
        return math.nan if self.supported else float(self.mean[0])

    def resistance(self, flow: float = TYPICAL_FLOW) -> float:
        """Return resistance at a flow (L/s), in cmH2O s/L; not a number for a supported breath."""
        return math.nan if self.supported else float(self.mean[1] + self.mean[2] * flow)

    @property
    def intrinsic_peep(self) -> float:
        """Total PEEP above the airway pressure at the end of expiration, cmH2O; not a number for a supported breath."""
        return math.nan if self.supported else float(self.mean[3] - self.peep)

    def interval(self, ci_prob: float = 0.9) -> tuple[float, float]:
        """Return the credible interval of the elastance, cmH2O/L."""
        from scipy.special import ndtri

        half = ndtri(0.5 + ci_prob / 2) * self.spread * math.sqrt(self.covariance[0, 0])
        return self.elastance - half, self.elastance + half


def estimate(
    breath: Breath, *, circuit_compliance: float = 0.0, rohrer: bool = True, muscle: bool = False
) -> BreathFit:
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
    muscle : bool
        Let the patient pull during inspiration, by any pressure that is zero at its ends. Elastance is then known from
        expiration and from where inspiration ends, less closely, and without the bias of an effort that is over by
        then; an effort that goes on into expiration still biases it. Without it a breath that carries the flag
        "effort" has coefficients (`mean`) and reports no elastance.

    Returns
    -------
    BreathFit
    """
    columns, pressures = design(breath, circuit_compliance)
    if muscle:
        columns = np.column_stack([columns, -_hats(breath)])
    used = np.arange(columns.shape[1])
    mean, covariance, residuals = _regress(columns, pressures, used if rohrer else np.delete(used, 2))
    if rohrer and mean[2] < 0.0:
        mean, covariance, residuals = _regress(columns, pressures, np.delete(used, 2))
    power = float(residuals @ residuals)
    return BreathFit(
        time=float(breath.times[0]),
        mean=mean[:4],
        covariance=covariance[:4, :4],
        peep=breath.end_expiratory_pressure,
        residual=math.sqrt(power / len(residuals)),
        whiteness=float(residuals[1:] @ residuals[:-1]) / max(power, 1e-12),
        spread=math.prod(_FLAG_SPREAD[flag] for flag in breath.flags),
        pulls=mean[4:],
        supported="effort" in breath.flags and not muscle,
    )


def design(breath: Breath, circuit_compliance: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the regressors V, Q, Q |Q|, 1 of one breath, shape (sample, 4), and its pressures."""
    P, t = breath.pressures, breath.times
    Q = breath.flows - circuit_compliance * np.gradient(P, t) if circuit_compliance else breath.flows
    V = np.append(0.0, np.cumsum(0.5 * (Q[1:] + Q[:-1]) * np.diff(t)))
    return np.column_stack([V, Q, Q * np.abs(Q), np.ones_like(V)]), P


def _hats(breath: Breath) -> np.ndarray:
    """Return hats (sample, 4) over inspiration, each one at its own fifth and zero at the others and at the ends."""
    begin, end = breath.times[0], breath.times[min(breath.turn, len(breath.times) - 1)]
    knots = np.linspace(begin, end, _PULLS + 2)
    return np.column_stack([np.interp(breath.times, knots, hat) for hat in np.eye(_PULLS + 2)[1:-1]])


def _regress(columns, pressures, used):
    """Return mean (column,), covariance (column, column) and residuals of a regression on the columns in use."""
    X, more = columns[:, used], columns.shape[1] - _MEAN.size
    center, sd = np.append(_MEAN, np.zeros(more))[used], np.append(_SD, np.full(more, _PULL))[used]
    precision, pull = np.diag(sd**-2.0), center / sd**2
    variance = max(float(np.var(pressures)), 1e-6)
    for _ in range(2):
        curvature = X.T @ X / variance + precision
        found = np.linalg.solve(curvature, X.T @ pressures / variance + pull)
        residuals = pressures - X @ found
        variance = max(float(residuals @ residuals) / max(len(residuals) - len(used), 1), 1e-6)
    inverse = np.linalg.inv(X.T @ X / variance + precision)
    sandwich = inverse @ (_long_run(X, residuals) / variance**2 + precision) @ inverse
    mean, covariance = np.zeros(columns.shape[1]), np.zeros((columns.shape[1],) * 2)
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
