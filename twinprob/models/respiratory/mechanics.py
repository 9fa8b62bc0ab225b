"""The passive lung as one compartment: breaths in closed form, what a chart shows of them, and mechanical power."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Gaussian, Observation
from ...modeling.process import RandomWalk

_MEMORY = "prior or setting of this library, not published"
JOULE = 0.0980665  # J per L cmH2O
_LITTLE = 1e-9
_LARGEST = 3.0  # L, a tidal volume beyond which it was given in mL; a setting


class Patient(NamedTuple):
    """One passive lung: P = PEEP + E V + R Q + K Q |Q|, volume V above its relaxed one at the set PEEP.

    Attributes
    ----------
    elastance : () cmH2O/L
    resistance : () cmH2O s/L, at no flow
    rohrer : () cmH2O s²/L², how much the resistance grows with flow
    """

    elastance: Array | float
    resistance: Array | float
    rohrer: Array | float = 0.0


class Breath(NamedTuple):
    """What a chart shows of one breath in the periodic steady state.

    Attributes
    ----------
    tidal_volume : () L
    peak, plateau, mean, intrinsic_peep, driving_pressure : () cmH2O
        The plateau is that of an occlusion at the end of inspiration, the driving pressure counts from total PEEP,
        and intrinsic PEEP is what total PEEP has above the set one.
    mechanical_power : () J/min
        Of the inspired volume against the whole airway pressure, as Gattinoni counts it.
    """

    tidal_volume: Array
    peak: Array
    plateau: Array
    mean: Array
    intrinsic_peep: Array
    driving_pressure: Array
    mechanical_power: Array


def relax(patient: Patient, volume, time):
    """Return what is left after `time` of a volume that flows off through the airway, and the flow then.

    Solves E V = R Q + K Q², dV/dt = -Q. With w = sqrt(R² + 4 K E V) = R + 2 K Q it reads
    (w - w0) + R ln((w - R) / (w0 - R)) = -E t, and V = V0 exp(-E t / R) where K is zero.

    Parameters
    ----------
    patient : Patient
    volume : () L
        Distance from equilibrium at the beginning, not negative.
    time : () s

    Returns
    -------
    volume : () L
    flow : () L/s, its magnitude
    """
    E, R, K = patient.elastance, patient.resistance, jnp.maximum(patient.rohrer, 1e-6)
    V0 = jnp.maximum(volume, _LITTLE)

    def flow(V):
        # (sqrt(R² + 4 K E V) - R) / (2 K) without the difference of near-equal numbers
        return 2.0 * E * V / (R + jnp.sqrt(R**2 + 4.0 * K * E * V))

    Q0 = flow(V0)

    def step(_, q):
        """Newton in q = ln Q of 2 K (Q - Q0) + R (ln Q - ln Q0) + E t, convex and increasing in q."""
        Q = jnp.exp(q)
        return q - (2.0 * K * (Q - Q0) + R * (q - jnp.log(Q0)) + E * time) / (2.0 * K * Q + R)

    # From above the root every step of Newton's stays above it; the last one carries the derivative.
    found = lax.stop_gradient(lax.fori_loop(0, 30, step, jnp.log(Q0)))
    Q = jnp.exp(step(0, found))
    return (R * Q + K * Q**2) / E, Q


def settle(cycle):
    """Return the end-expiratory volume (L, not negative) that a breath leaves as it found it, with its derivative.

    `cycle` gives a breath's end-expiratory volume from that of the one before; it is a contraction.
    """
    slope = jax.grad(cycle)

    def unfinished(carry):
        count, x, moved = carry
        return (count < 25) & (moved > 8 * jnp.finfo(x.dtype).eps * (1e-3 + x))

    def step(carry):
        count, x, _ = carry
        new = jnp.maximum(x - (cycle(x) - x) / jnp.minimum(slope(x) - 1.0, -1e-6), 0.0)
        return count + 1, new, jnp.abs(new - x)

    start = cycle(jnp.asarray(0.0))
    carry = (0, start, jnp.full_like(start, jnp.inf))
    found = lax.stop_gradient(lax.while_loop(unfinished, lambda carry: lax.stop_gradient(step(carry)), carry)[1])
    return found - (cycle(found) - found) / lax.stop_gradient(slope(found) - 1.0)


def expiratory_time(rate, inspiratory_time, pause=0.0, tidal_volume=0.0):
    """Return the time a breath leaves to expire; refuse one that leaves none, and a volume that is no liter.

    Parameters
    ----------
    rate : () 1/min
    inspiratory_time, pause : () s
    tidal_volume : () L

    Returns
    -------
    expiration : () s
        NaN where it would not be above zero and the numbers are traced, so that nobody can look at them.

    Raises
    ------
    ValueError
        If a plain number is not above zero, leaves no time to expire, or is a volume in mL.
    """
    expiration = 60.0 / rate - inspiratory_time - pause
    if any(isinstance(x, jax.core.Tracer) for x in (rate, inspiratory_time, pause, tidal_volume)):
        return jnp.where(expiration > 0.0, expiration, jnp.nan)
    for name, value in (("rate", rate), ("inspiratory_time", inspiratory_time)):
        if not value > 0.0:
            raise ValueError(f"Argument `{name}` must be above zero, but is {value:g}.")
    if not expiration > 0.0:
        raise ValueError(
            f"Argument `inspiratory_time` must leave time to expire, but {inspiratory_time:g} s and a pause of "
            f"{pause:g} s fill the {60.0 / rate:g} s of a breath at {rate:g}/min: lower one of the three."
        )
    if tidal_volume > _LARGEST:
        raise ValueError(
            f"Argument `tidal_volume` must be in L, but is {tidal_volume:g}: divide a volume in mL by 1000."
        )
    return expiration


def volume_control(patient: Patient, *, peep, tidal_volume, rate, inspiratory_time, pause=0.0) -> Breath:
    """Return the breath of constant flow in the periodic steady state.

    Parameters
    ----------
    patient : Patient
    peep : () cmH2O
    tidal_volume : () L
    rate : () 1/min
    inspiratory_time : () s
        With flow; the pause comes after it. Expiration takes what is left of 60 / rate.
    pause : () s
        End-inspiratory.

    Returns
    -------
    Breath

    Raises
    ------
    ValueError
        As `expiratory_time`.
    """
    E, R, K = patient
    period = 60.0 / rate
    expiration = expiratory_time(rate, inspiratory_time, pause, tidal_volume)
    flow = tidal_volume / inspiratory_time
    trapped = settle(lambda x: relax(patient, x + tidal_volume, expiration)[0])
    intrinsic = E * trapped
    resistive = (R + K * flow) * flow
    plateau = peep + intrinsic + E * tidal_volume
    inspired = peep + intrinsic + 0.5 * E * tidal_volume + resistive
    mean = (inspired * inspiratory_time + plateau * pause + peep * expiration) / period
    power = JOULE * rate * tidal_volume * inspired
    return Breath(
        jnp.asarray(tidal_volume), plateau + resistive, plateau, mean, intrinsic, plateau - peep - intrinsic, power
    )


def pressure_control(patient: Patient, *, peep, driving, rate, inspiratory_time) -> Breath:
    """Return the breath of a square wave of pressure in the periodic steady state.

    Parameters
    ----------
    patient : Patient
    peep : () cmH2O
    driving : () cmH2O
        Inspiratory pressure above the set PEEP.
    rate : () 1/min
    inspiratory_time : () s

    Returns
    -------
    Breath

    Raises
    ------
    ValueError
        As `expiratory_time`.
    """
    E = patient.elastance
    period = 60.0 / rate
    expiration = expiratory_time(rate, inspiratory_time)

    def filled(x):
        """Return the volume above relaxed at the end of the inspiration that began at `x`."""
        return driving / E - relax(patient, driving / E - x, inspiratory_time)[0]

    trapped = settle(lambda x: relax(patient, filled(x), expiration)[0])
    tidal = filled(trapped) - trapped
    peak = peep + driving
    plateau = peep + E * (trapped + tidal)
    mean = (peak * inspiratory_time + peep * expiration) / period
    intrinsic = E * trapped
    return Breath(
        tidal, jnp.asarray(peak), plateau, jnp.asarray(mean), intrinsic, E * tidal, JOULE * rate * tidal * peak
    )


# ---- formulas others use, for comparison ------------------------------------------------------------------------


def gattinoni(*, elastance, resistance, peep, tidal_volume, rate, inspiratory_to_expiratory):
    """Return mechanical power in J/min by Gattinoni's equation.

    Parameters
    ----------
    elastance : cmH2O/L
    resistance : cmH2O s/L
    peep : cmH2O
    tidal_volume : L
    rate : 1/min
    inspiratory_to_expiratory : 1

    Examples
    --------
    >>> setting = dict(tidal_volume=0.42, rate=20, inspiratory_to_expiratory=0.5)
    >>> round(gattinoni(elastance=30, resistance=10, peep=10, **setting), 1)
    16.9

    References
    ----------
    .. [1] Gattinoni L et al. Ventilator-related causes of lung injury: the mechanical power. Intensive Care Med
       2016;42:1567-1575. doi:10.1007/s00134-016-4505-2
    """
    ratio = inspiratory_to_expiratory
    per_volume = elastance / 2.0 + rate * (1.0 + ratio) / (60.0 * ratio) * resistance
    return 0.098 * rate * (tidal_volume**2 * per_volume + tidal_volume * peep)


def giosa(*, peak, peep, minute_volume, flow):
    """Return mechanical power in J/min by Giosa's surrogate for volume control.

    Parameters
    ----------
    peak, peep : cmH2O
    minute_volume : L/min
    flow : L/min
        Inspiratory, constant.

    References
    ----------
    .. [1] Giosa L et al. Mechanical power at a glance: a simple surrogate for volume-controlled ventilation. Intensive
       Care Med Exp 2019;7:61. PMC6879677. Formula from its abstract.
    """
    return minute_volume * (peak + peep + flow / 6.0) / 20.0


def becher(*, driving, peep, tidal_volume, rate):
    """Return mechanical power in J/min by Becher's formula for pressure control.

    Parameters
    ----------
    driving, peep : cmH2O
    tidal_volume : L
    rate : 1/min

    References
    ----------
    .. [1] Becher T et al. Calculation of mechanical power for pressure-controlled ventilation. Intensive Care Med
       2019;45:1321-1323. Formula as quoted elsewhere.
    """
    return 0.098 * tidal_volume * rate * (peep + driving)


def predicted_weight(height, sex: str) -> float:
    """Return the body weight in kg that height predicts, for tidal volumes per kilogram.

    Parameters
    ----------
    height : cm
    sex : {"female", "male"}

    Raises
    ------
    ValueError
        If `sex` is another word.

    Examples
    --------
    >>> round(predicted_weight(175, "male"), 1), round(predicted_weight(162, "female"), 1)
    (70.6, 54.2)

    Notes
    -----
    The equations of the ARDS Network, from memory.
    """
    if sex not in ("female", "male"):
        raise ValueError(f'Argument `sex` must be "female" or "male", but is {sex!r}.')
    return (50.0 if sex == "male" else 45.5) + 0.91 * (height - 152.4)


# ---- the same lung, driven by a measured flow ---------------------------------------------------------------------


class SingleCompartment(AbstractModel):
    """Airway pressure of one passive compartment under a measured flow, for stretches of waveform.

    ====== ============================ ==================================================
    symbol field                        equation
    ====== ============================ ==================================================
    V      `State.volume`               dV/dt = Q
    P      `Output.airway_pressure`     P = P_0 + E V + R Q + K Q |Q|
    Q      `Input.airway_flow`          measured, linear between samples
    ====== ============================ ==================================================

    V counts from the record's origin, P_0 is the pressure there without flow: set PEEP and intrinsic PEEP together.
    Elastance drifts between breaths, resistance too with `vary(resistance=...)`. Muscle pressure is not in it, so that
    an effort biases both; `twinprob.breaths` lets the patient pull. The noise of neighboring samples is taken
    as independent, which it is not; intervals that allow for that come from there too, breath by breath.

    Mead's equation of motion, from memory.
    """

    time_unit = "s"
    step = 0.05

    class State(eqx.Module):
        """What changes."""

        volume: Array = quantity("L", "volume above that at the origin")

    class Input(eqx.Module):
        """What drives the lung."""

        airway_flow: Array = quantity("L/s", "airway flow, into the patient", measured=True)

    class Output(eqx.Module):
        """What is measured."""

        airway_pressure: Array = quantity("cmH2O", "airway pressure", noise=Observation(Gaussian(additive=0.5)))

    elastance: float = parameter(
        dist.LogNormal(math.log(25.0), 0.6),
        unit="cmH2O/L",
        source=_MEMORY,
        about="elastance E",
        varies=RandomWalk(sd=0.2, every="1 min"),
    )
    resistance: float = parameter(
        dist.LogNormal(math.log(8.0), 0.6), unit="cmH2O*s/L", source=_MEMORY, about="resistance R at no flow"
    )
    rohrer: float = parameter(
        dist.LogNormal(math.log(3.0), 1.0), unit="cmH2O*s**2/L**2", source=_MEMORY, about="Rohrer's constant K"
    )
    offset: float = parameter(dist.Normal(8.0, 5.0), unit="cmH2O", source=_MEMORY, about="total PEEP P_0")

    def initial(self, inputs):
        """Count volume from the origin."""
        return self.State(volume=jnp.zeros_like(jnp.asarray(self.offset, float)))

    def vector_field(self, time, state, inputs):
        """Integrate the flow."""
        return self.State(volume=inputs.airway_flow)

    def output(self, state, inputs):
        """Return the equation of motion."""
        Q = inputs.airway_flow
        resistive = (self.resistance + self.rohrer * jnp.abs(Q)) * Q
        return self.Output(airway_pressure=self.offset + self.elastance * state.volume + resistive)
