"""Pressure, flow and volume over one breath, with the patient's muscles where they pull, and from breath to breath."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from .mechanics import JOULE, Breath, Patient, expiratory_time, relax, settle


class VolumeControl(NamedTuple):
    """Constant flow, then a pause, then an expiration against PEEP; fields as in `mechanics.volume_control`."""

    peep: Array | float
    tidal_volume: Array | float
    rate: Array | float
    inspiratory_time: Array | float
    pause: Array | float = 0.0


class PressureControl(NamedTuple):
    """A square wave of pressure above PEEP; fields as in `mechanics.pressure_control`."""

    peep: Array | float
    driving: Array | float
    rate: Array | float
    inspiratory_time: Array | float


class Muscle(NamedTuple):
    """What the inspiratory muscles pull: half a sine up, then an exponential release. The form is a setting.

    Attributes
    ----------
    effort : () cmH2O, at its strongest, not negative
    onset : () s, after the ventilator's inspiration begins
    rise : () s, to the strongest
    release : () s, time constant
    """

    effort: Array | float
    onset: Array | float = 0.0
    rise: Array | float = 0.6
    release: Array | float = 0.1

    def pressure(self, time):
        """Return the muscle pressure (time,) in cmH2O at times (time,) s after the inspiration begins."""
        since = jnp.asarray(time) - self.onset
        pulling = jnp.sin(0.5 * jnp.pi * jnp.clip(since / self.rise, 0.0, 1.0))
        return self.effort * pulling * jnp.exp(-jnp.maximum(since - self.rise, 0.0) / self.release)


class Curves(NamedTuple):
    """One breath, sampled; samples stand closer where the phases change than a common grid would.

    Attributes
    ----------
    times : (sample,) s since the inspiration began
    pressures : (sample,) cmH2O, at the airway
    flows : (sample,) L/s, into the patient
    volumes : (sample,) L above the relaxed volume at the set PEEP
    muscle_pressures : (sample,) cmH2O
    """

    times: Array
    pressures: Array
    flows: Array
    volumes: Array
    muscle_pressures: Array


def breathe(
    patient: Patient,
    ventilator: VolumeControl | PressureControl,
    *,
    muscle: Muscle | None = None,
    start=None,
    samples: int = 100,
) -> Curves:
    """Return one breath's curves: inspiration, pause where there is one, and expiration.

    Within a sampling interval the muscle pressure is held at its middle and the lung follows in closed form, so that a
    passive breath is exact and no stiffness makes it unstable; with muscles the error falls with the interval's square.

    Parameters
    ----------
    patient : Patient
    ventilator : VolumeControl or PressureControl
    muscle : Muscle, optional
        Nobody pulls where it is left out.
    start : () L, optional
        Volume above the relaxed one at the beginning; where it is left out, that of the periodic steady state.
    samples : int
        Of each phase.

    Returns
    -------
    Curves

    Raises
    ------
    ValueError
        If no time is left to expire, or a tidal volume is no liter.

    Examples
    --------
    >>> lung = Patient(elastance=30.0, resistance=10.0)
    >>> passive = breathe(lung, PressureControl(peep=8.0, driving=12.0, rate=20.0, inspiratory_time=1.0))
    >>> pulled = breathe(lung, PressureControl(8.0, 12.0, 20.0, 1.0), muscle=Muscle(effort=5.0))
    >>> round(float(passive.volumes.max()), 2), round(float(pulled.volumes.max()), 2)
    (0.38, 0.46)
    """
    _phases(ventilator)  # refuses settings that leave no time to expire
    pull = Muscle(0.0) if muscle is None else muscle
    patient, ventilator, pull, start = jax.tree.map(_floating, (patient, ventilator, pull, start))
    return _breath(patient, ventilator, pull, start, samples)


def follow_breaths(
    patients: Patient,
    ventilator: VolumeControl | PressureControl,
    *,
    muscle: Muscle | None = None,
    start=0.0,
    samples: int = 100,
) -> Curves:
    """Return the curves of breaths that follow one another while elastance and resistance drift.

    Each breath begins with the volume that the one before left behind.

    Parameters
    ----------
    patients : Patient
        Fields of shape (breath,) or ().
    ventilator : VolumeControl or PressureControl
        The same for all breaths.
    muscle : Muscle, optional
        Fields of shape (breath,) or ().
    start : () L
        Volume above the relaxed one before the first breath.
    samples : int
        Of each phase.

    Returns
    -------
    curves : Curves
        Fields (breath, sample); times count from each breath's own beginning.

    Raises
    ------
    ValueError
        As `breathe`; or if no field has a value for each breath.
    """
    _phases(ventilator)  # refuses settings that leave no time to expire
    each = (Patient(*map(jnp.asarray, patients)), Muscle(*map(jnp.asarray, muscle or Muscle(0.0))))
    count = max(jnp.size(leaf) for leaf in jax.tree.leaves(each))
    if all(jnp.ndim(leaf) == 0 for leaf in jax.tree.leaves(each)):
        raise ValueError("Argument `patients` (or `muscle`) must hold a field with a value for each breath.")

    spread = jax.tree.map(lambda leaf: jnp.broadcast_to(_floating(leaf), (count,)), each)
    return _breaths(spread, jax.tree.map(_floating, ventilator), _floating(start), samples)


def chart(curves: Curves, patient: Patient, ventilator: VolumeControl | PressureControl) -> Breath:
    """Return what a chart shows of one breath, muscles included.

    Parameters
    ----------
    curves : Curves
        Of `breathe`, fields (sample,).
    patient : Patient
    ventilator : VolumeControl or PressureControl

    Returns
    -------
    breath : Breath
        Plateau and intrinsic PEEP are the recoil of the lung at the ends of inspiration and of the breath, as an
        occlusion with the muscles at rest would show; power is the ventilator's work on the inspired volume.
    """
    t, P, V = curves.times, curves.pressures, curves.volumes
    inspired = jnp.asarray(curves.flows > 0.0, float)
    low, high = V[0], jnp.max(V)
    between = 0.5 * (inspired[1:] + inspired[:-1])
    work = jnp.sum(0.5 * (P[1:] + P[:-1]) * jnp.diff(V) * between)
    recoil = ventilator.peep + patient.elastance * high
    return Breath(
        tidal_volume=high - low,
        peak=jnp.max(P),
        plateau=recoil,
        mean=jnp.trapezoid(P, t) / t[-1],
        intrinsic_peep=patient.elastance * low,
        driving_pressure=patient.elastance * (high - low),
        mechanical_power=JOULE * ventilator.rate * work,
    )


def _floating(value):
    """Return an array of the default floating type: a plain number would be compiled into the program."""
    return jnp.asarray(value, float)


@eqx.filter_jit
def _breath(patient, ventilator, muscle, start, samples: int) -> Curves:
    """Run one breath from `start`, or from what the periodic steady state leaves."""
    if start is None:
        start = settle(lambda volume: _run(patient, ventilator, muscle, volume, samples).volumes[-1])
    return _run(patient, ventilator, muscle, start, samples)


@eqx.filter_jit
def _breaths(each, ventilator, start, samples: int) -> Curves:
    """Run breaths one after another."""

    def breath(volume, lung):
        curves = _run(lung[0], ventilator, lung[1], volume, samples)
        return curves.volumes[-1], curves

    return lax.scan(breath, start, each)[1]


def _run(patient, ventilator, muscle, start, samples: int) -> Curves:
    """Run one breath from a volume; the ends of neighboring phases are two samples at one time."""
    E, R, K = patient
    begins, parts = jnp.asarray(0.0), []
    volume = start
    for length, imposed, above in _phases(ventilator):
        times = begins + length * jnp.linspace(0.0, 1.0, samples + 1)
        pulls = muscle.pressure(times)
        if imposed is None:
            volumes = _released(patient, above, muscle, times, volume)
            drop = above + pulls - E * volumes
            flows = jnp.sign(drop) * 2.0 * jnp.abs(drop) / (R + jnp.sqrt(R**2 + 4.0 * K * jnp.abs(drop)))
            pressures = jnp.full_like(times, 1.0) * (ventilator.peep + above)
        else:
            flows = jnp.full_like(times, 1.0) * imposed
            volumes = volume + imposed * (times - begins)
            pressures = ventilator.peep + E * volumes + (R + K * imposed) * imposed - pulls
        parts.append(Curves(times, pressures, flows, volumes, pulls))
        begins, volume = times[-1], volumes[-1]
    return Curves(*(jnp.concatenate(pieces) for pieces in zip(*parts, strict=True)))


def _phases(ventilator) -> list[tuple]:
    """Return length (s), imposed flow (L/s) or None, and pressure above PEEP (cmH2O) where it is imposed, by phase."""
    rate, inspired = ventilator.rate, ventilator.inspiratory_time
    if isinstance(ventilator, PressureControl):
        return [(inspired, None, ventilator.driving), (expiratory_time(rate, inspired), None, 0.0)]
    held, volume = ventilator.pause, ventilator.tidal_volume
    expired = expiratory_time(rate, inspired, held, volume)
    return [(inspired, volume / inspired, None), (held, 0.0, None), (expired, None, 0.0)]


def _released(patient, above, muscle, times, volume):
    """Return the volumes at `times` under an imposed airway pressure, the muscle pressure held within each interval."""
    steps, middles = jnp.diff(times), muscle.pressure(0.5 * (times[1:] + times[:-1]))

    def step(volume, given):
        length, pull = given
        rest = (above + pull) / patient.elastance
        away = volume - rest
        left = jnp.sign(away) * relax(patient, jnp.abs(away), length)[0]
        return rest + left, rest + left

    later = lax.scan(step, volume, (steps, middles))[1]
    return jnp.append(volume, later)
