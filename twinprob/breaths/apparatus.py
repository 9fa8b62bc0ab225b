"""The lung's compliance and the circuit's, told apart: where pressure and flow are slow, and by what a switch swallows.

Shortly after the ventilator switches, a sensor's delay, the gas's inertance and the tubing speak in what is measured;
later they do not. Slow samples therefore give the compliance of lung and tubing together, whatever the delay, the
inertance and the gas are. What the tubing takes is then seen in the volume that goes astray at the switches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..models.respiratory.breaths import Breath
from .estimates import design

# Density of dry gas at 0 °C and 101.325 kPa, kg/m³ [from memory, to three digits; settings].
_AIR, _OXYGEN, _ICE = 1.293, 1.429, 273.15
_SWITCH = 3  # samples before the switch from which its volume is counted
_CRAMMED = 0.05  # relative error of the volume that a lung is computed to take at a switch; a setting
_STRAY = 2.0  # mL, of any volume; a setting


@dataclass(frozen=True)
class Apparatus:
    """What is believed of sensors and tubing before a recording is seen. Every number is a setting, none is published.

    Attributes
    ----------
    settling : float, s
        After a switch, until what is measured is slow: three time constants of a resistance of 50 cmH2O s/L with 0.5
        mL/cmH2O of tubing (75 ms), a delay of 20 ms, and 50 ms for the valve.
    circuit, circuit_error : float, mL/cmH2O
        Of the tubing between the flow sensor and the lung, mean and SD: half a liter to a liter of gas, rigid tubes,
        between adiabatic (gas volume over 1.4 atmospheres) and isothermal (over one).
    delay_error : float, s
        SD of how much later flow is read than pressure; its mean is zero.
    inertance_error : float, cmH2O s²/L
        SD of the gas's inertance, mean zero.
    gain_error : float
        SD of the flow sensor's relative gain, the same in all recordings.
    sensor_density : float or None, kg/m³
        What a venturi or an orifice is told that the gas weighs: such a sensor measures pressure, and reads flow too
        high by the root of how much heavier the gas is. None for a sensor that is told the gas, or weighs it.
    temperature : float, °C
        Of the gas in the sensor.
    """

    settling: float = 0.15
    circuit: float = 0.5
    circuit_error: float = 0.3
    delay_error: float = 0.01
    inertance_error: float = 0.01
    gain_error: float = 0.03
    sensor_density: float | None = None
    temperature: float = 22.0

    def gain(self, oxygen: float = 0.21) -> float:
        """Return how many times too high the sensor reads the flow of a gas with this fraction of oxygen."""
        if not 0.0 <= oxygen <= 1.0:
            raise ValueError(f"Argument `oxygen` must be a fraction of 0 to 1, but is {oxygen:g}; 21 % is 0.21.")
        if self.sensor_density is None:
            return 1.0
        share = (oxygen - 0.21) / 0.79
        density = (_AIR + share * (_OXYGEN - _AIR)) * _ICE / (_ICE + self.temperature)
        return math.sqrt(density / self.sensor_density)


@dataclass(frozen=True)
class Slow:
    """What the slow samples of one recording say, with the tubing in it.

    Attributes
    ----------
    compliance, error : float, mL/cmH2O, of lung and tubing together as the sensor has it, and its standard error
    resistance, rohrer : float, cmH2O s/L and cmH2O s²/L², as the sensor has them
    breaths : int, that it rests on
    """

    compliance: float
    error: float
    resistance: float
    rohrer: float
    breaths: int


@dataclass(frozen=True)
class Circuit:
    """What the recordings of one apparatus say of it.

    Attributes
    ----------
    compliance, error : float, mL/cmH2O, of the tubing, as the sensor has it
    delay, delay_error : float, s, of the flow behind the pressure
    inertance, inertance_error : float, cmH2O s²/L
    misfit : float, by how much errors had to be widened for the switches to agree, 1 for not at all
    """

    compliance: float
    error: float
    delay: float
    delay_error: float
    inertance: float
    inertance_error: float
    misfit: float


@dataclass(frozen=True)
class Compliance:
    """The lung's compliance, without the tubing's.

    Attributes
    ----------
    value : float, mL/cmH2O, median
    error : float, SD of its logarithm: of breaths, tubing and sensor gain
    freedom : float, degrees of freedom of the breaths' scatter
    """

    value: float
    error: float
    freedom: float

    def interval(self, ci_prob: float = 0.9) -> tuple[float, float]:
        """Return the credible interval, mL/cmH2O."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.freedom, 0.5 + ci_prob / 2)) * self.error
        return self.value * math.exp(-half), self.value * math.exp(half)


def slow_compliance(breaths: Sequence[Breath], *, apparatus: Apparatus | None = None) -> Slow:
    """Estimate lung and tubing together from slow samples, in which delay, inertance and gas cannot hide.

    Where the pressure stands and the flow dies away, a delay or an inertance makes the resistance look larger or
    smaller, and leaves the compliance as it is. Pressure is regressed on volume and flow, each breath with a level of
    its own: an error of the pressure then costs certainty, not compliance.

    Parameters
    ----------
    breaths : sequence of Breath
        Of one recording. Those with a flag are left out.
    apparatus : Apparatus, optional
        By default `Apparatus()`.

    Returns
    -------
    Slow
        Its error is that of breaths left out in turn (jackknife).

    Raises
    ------
    ValueError
        If fewer than three breaths carry no flag, or a compliance does not come out above zero.
    """
    settings = apparatus or Apparatus()
    whole = [breath for breath in breaths if not breath.flags]
    if len(whole) < 3:
        raise ValueError(f"Argument `breaths` must hold three breaths without a flag or more, but holds {len(whole)}.")
    sums = [_moments(breath, settings.settling) for breath in whole]
    together = np.sum([one[0] for one in sums], axis=0), np.sum([one[1] for one in sums], axis=0)
    E, R, K = _solve(*together)
    if not E > 0.0:
        raise ValueError(f"The elastance of slow samples comes out at {E:.3g} cmH2O/L; are flow and pressure swapped?")
    left_out = np.array([1000.0 / _solve(together[0] - one[0], together[1] - one[1])[0] for one in sums])
    count = len(whole)
    error = math.sqrt((count - 1) / count * float(np.sum((left_out - left_out.mean()) ** 2)))
    return Slow(1000.0 / E, error, R, K, count)


def circuit_compliance(*recordings: Sequence[Breath], apparatus: Apparatus | None = None) -> Circuit:
    """Estimate the tubing's compliance from the volume that goes astray at the switches of the ventilator.

    At a switch the lung can only take what its resistance lets through. That volume is computed from the measured
    pressure and the slow samples' lung; what the sensor saw beside it went into the tubing, by the change of pressure,
    or is missing for the delay, by the change of flow, or for the gas's inertance, by the change of flow over the
    resistance. Lungs of different resistance tell the three apart, and a gain or another gas changes none of it.

    Parameters
    ----------
    *recordings : sequences of Breath
        All through one circuit.
    apparatus : Apparatus, optional
        What is believed beforehand.

    Returns
    -------
    Circuit
        Where the switches disagree by more than the errors they are given, all errors are that much wider.

    Raises
    ------
    ValueError
        If no recording is given, or one is not enough for `slow_compliance`.
    """
    if not recordings:
        raise ValueError("Give `circuit_compliance` one recording's breaths or more.")
    settings = apparatus or Apparatus()
    fits = [slow_compliance(breaths, apparatus=settings) for breaths in recordings]
    before = np.array([settings.circuit, 0.0, 0.0])
    spread = np.array([settings.circuit_error, 1000.0 * settings.delay_error, 1000.0 * settings.inertance_error])
    found, widened, covariance = before, 1.0, np.diag(spread**2)
    for _ in range(4):  # what the lung takes depends a little on what the tubing takes
        columns, volumes, errors = _astray(recordings, fits, max(float(found[0]), 0.0), settings)
        curvature = columns.T @ (columns / errors[:, None] ** 2) / widened
        covariance = np.linalg.inv(curvature + np.diag(spread**-2.0))
        found = covariance @ (columns.T @ (volumes / errors**2) / widened + before / spread**2)
        residuals = (volumes - columns @ found) / errors
        widened = max(1.0, float(residuals @ residuals) / max(len(residuals) - 3, 1))
    sd = np.sqrt(np.diag(covariance))
    return Circuit(
        compliance=max(float(found[0]), 0.0),
        error=float(sd[0]),
        delay=float(-found[1]) / 1000.0,
        delay_error=float(sd[1]) / 1000.0,
        inertance=float(found[2]) / 1000.0,
        inertance_error=float(sd[2]) / 1000.0,
        misfit=math.sqrt(widened),
    )


def lung_compliance(
    breaths: Sequence[Breath], circuit: Circuit, *, apparatus: Apparatus | None = None, oxygen: float = 0.21
) -> Compliance:
    """Return the lung's compliance: that of the slow samples, less the tubing's, by the sensor's gain for the gas.

    Parameters
    ----------
    breaths : sequence of Breath
        Of one recording; flagged ones are left out.
    circuit : Circuit
        Of `circuit_compliance`, from recordings with the same gas.
    apparatus : Apparatus, optional
    oxygen : float
        Fraction of oxygen in the gas.

    Returns
    -------
    Compliance

    Raises
    ------
    ValueError
        As `slow_compliance`, or if the tubing takes all that the slow samples have.
    """
    settings = apparatus or Apparatus()
    slow = slow_compliance(breaths, apparatus=settings)
    value = slow.compliance - circuit.compliance
    if value <= 0.0:
        raise ValueError(
            f"The tubing ({circuit.compliance:.2g} mL/cmH2O) takes all that is measured ({slow.compliance:.2g})."
        )
    error = math.sqrt((slow.error**2 + circuit.error**2) / value**2 + settings.gain_error**2)
    # Only the breaths' part is told from few; the rest is as sure as its setting.
    freedom = (slow.breaths - 1) * (error * value / slow.error) ** 4 if slow.error > 0.0 else math.inf
    return Compliance(value / settings.gain(oxygen), error, min(freedom, 1e6))


def _settled(breath: Breath, settling: float) -> np.ndarray:
    """Return which samples of a breath are slow, (sample,)."""
    since = breath.times - breath.times[0]
    turn = since[min(breath.turn, len(since) - 1)]
    # The sample at which expiration begins may lie a little before the switch.
    step = float(np.median(np.diff(breath.times)))
    return ((since > settling) & (since < turn - 2.0 * step)) | (since > turn + settling)


def _moments(breath: Breath, settling: float) -> tuple[np.ndarray, np.ndarray]:
    """Return X'X and X'P of slow samples about their means; regressors V, Q, Q |Q|."""
    slow = _settled(breath, settling)
    X, P = design(breath)
    X, P = X[slow, :3], P[slow]
    if len(P) < 5:
        return np.zeros((3, 3)), np.zeros(3)
    X, P = X - X.mean(axis=0), P - P.mean()
    return X.T @ X, X.T @ P


def _solve(squares: np.ndarray, crossed: np.ndarray) -> tuple[float, float, float]:
    """Return E, R and K; a resistance or a Rohrer constant that comes out below zero is held at zero."""
    for used in ([0, 1, 2], [0, 1], [0, 2], [0]):
        found = np.zeros(3)
        found[used] = np.linalg.lstsq(squares[np.ix_(used, used)], crossed[used], rcond=None)[0]
        if np.all(found[1:] >= 0.0):
            break
    return float(found[0]), float(found[1]), float(found[2])


def _astray(recordings, fits, tubing, settings):
    """Return regressors (switch, 3), volumes astray (switch,) mL and their errors, two switches a recording."""
    columns, volumes, errors = [], [], []
    for breaths, fit in zip(recordings, fits, strict=True):
        whole = [breath for breath in breaths if not breath.flags]
        rows = np.array([_switches(breath, fit, tubing, settings.settling) for breath in whole])
        for astray, pressure, flow, taken in np.median(rows, axis=0):
            slope = max(fit.resistance + 2.0 * fit.rohrer * 0.5 * abs(flow), 1.0)
            columns.append([pressure, flow, -flow / slope])
            volumes.append(astray)
            errors.append(math.hypot(_CRAMMED * taken, _STRAY))
    return np.array(columns), np.array(volumes), np.array(errors)


def _switches(breath, fit, tubing, settling):
    """Return mL astray, changes of pressure and flow and mL computed for the lung: inspiration's switch, expiration's.

    Slow samples obey P = P0 + V / C + R Q with the tubing in C; without it, elastance and resistance are by C / (C -
    tubing) larger.
    """
    t, V, P, Q = breath.times, breath.volumes, breath.pressures, breath.flows
    E, R, K = 1000.0 / fit.compliance, fit.resistance, fit.rohrer
    slow = _settled(breath, settling)
    P0 = float(np.mean((P - E * V - R * Q - K * Q * np.abs(Q))[slow]))
    more = 1.0 / (1.0 - min(tubing / fit.compliance, 0.9))
    found = []
    for first in (0, max(breath.turn - _SWITCH, 0)):
        last = min(int(np.searchsorted(t, t[first] + settling)), len(t) - 3)
        alveolar = more * (P0 + E * V[first]) - (more - 1.0) * P[first]
        taken = 0.0
        for k in range(first, last):
            step = t[k + 1] - t[k]
            flow = _through(0.5 * (P[k] + P[k + 1]) - alveolar, R * more, K * more)
            taken += flow * step
            alveolar += E * more * flow * step
        ends = [
            float(values[last - 2 : last + 3].mean() - values[max(first - 2, 0) : first + 1].mean())
            for values in (P, Q)
        ]
        found.append([1000.0 * (V[last] - V[first] - taken), *ends, 1000.0 * abs(taken)])
    return found


def _through(difference: float, R: float, K: float) -> float:
    """Return the flow that a pressure drives through R and K, L/s."""
    size = abs(difference)
    flow = (math.sqrt(R * R + 4.0 * K * size) - R) / (2.0 * K) if K > 1e-6 else size / max(R, 1e-6)
    return math.copysign(flow, difference)
