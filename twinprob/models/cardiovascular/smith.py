"""The closed loop of six chambers, beat by beat: its periodic steady state, and what a monitor shows of it."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Gaussian, Observation
from .chambers import Chambers, Form, Pressures, pressures, rates
from .periodic import Scheme, orbit, runge_kutta

_SMITH = "transcription of Smith 2004 (doi:10.1016/j.medengphy.2003.10.001) in filip-jezek/FMIComparison"
_MEMORY = "prior or setting of this library, not published"
_LEAST = 50.0  # mL, less blood than this counts as this
# Published initial state for 1500 mL, at the end of diastole; the last number, the septum, is this library's.
START = (94.6812, 90.7302, 43.0123, 808.458, 133.338, 329.780, 245.581, 0.0, 190.066, 0.0, 2.0)
KEPT = (1.0,) * 6 + (0.0,) * 5
FINE = Scheme()


class Beat(NamedTuple):
    """One beat.

    Attributes
    ----------
    times : (time,) s
    chambers : Chambers with leaves of shape (time,)
    pressures : Pressures with leaves of shape (time,)
    error : () largest jump where the parts of the beat meet, mL or mL/s
    """

    times: Array
    chambers: Chambers
    pressures: Pressures
    error: Array


class Summary(NamedTuple):
    """What a beat comes to.

    Attributes
    ----------
    stroke_volume : () mL
    cardiac_output : () L/min
    left_end_diastolic, left_end_systolic, right_end_diastolic, right_end_systolic : () mL
    aortic_systolic, aortic_diastolic, aortic_mean : () mmHg
    pulmonary_systolic, pulmonary_diastolic, pulmonary_mean : () mmHg
    central_venous, pulmonary_venous : () mmHg, means
    left_peak, right_peak : () mmHg, in the ventricles
    """

    stroke_volume: Array
    cardiac_output: Array
    left_end_diastolic: Array
    left_end_systolic: Array
    right_end_diastolic: Array
    right_end_systolic: Array
    aortic_systolic: Array
    aortic_diastolic: Array
    aortic_mean: Array
    pulmonary_systolic: Array
    pulmonary_diastolic: Array
    pulmonary_mean: Array
    central_venous: Array
    pulmonary_venous: Array
    left_peak: Array
    right_peak: Array


def beat(heart, state, *, form: Form = Form(), steps: int = 375, beats: int = 1):  # noqa: B008  an immutable tuple
    """Simulate beats from a state, one after the other.

    Parameters
    ----------
    heart : mapping of str to ()
        From `SixChamber.heart`.
    state : (state,) of `Chambers`, at the beginning of a beat
    form : Form
    steps : int
        Runge-Kutta steps a beat.
    beats : int

    Returns
    -------
    state : (state,) after the last beat
    path : (beats, steps, state) at the beginning of every step
    """
    period = 60.0 / heart["heart_rate"]

    def one(y, _):
        return runge_kutta(lambda t, y: rates(form)(heart, t, y), y, 0.0, period / steps, steps, keep=True)

    return jax.lax.scan(one, jnp.asarray(state, float), None, length=beats)


def steady_beat(heart, volume, *, form: Form = Form(), scheme: Scheme = FINE) -> Beat:  # noqa: B008  an immutable tuple
    """Return the beat that repeats itself, found without simulating the way to it.

    Parameters
    ----------
    heart : mapping of str to ()
    volume : () mL
        Stressed volume, which every beat keeps.
    form : Form
    scheme : Scheme
        Its parts times its steps are the Runge-Kutta steps of the beat.

    Returns
    -------
    Beat
    """
    heart = {name: jnp.asarray(value, float) for name, value in heart.items()}
    period, volume = 60.0 / heart["heart_rate"], jnp.asarray(volume, float)
    found = orbit(rates(form), scheme, heart, period, volume, jnp.asarray(START, float), jnp.asarray(KEPT, float))
    h = period / (scheme.parts * scheme.steps)
    begins = period * jnp.arange(scheme.parts) / scheme.parts

    def part(y, t):
        return runge_kutta(lambda t, y: rates(form)(heart, t, y), y, t, h, scheme.steps, keep=True)[1]

    path = jax.vmap(part)(found.states, begins).reshape(-1, len(START))
    return traced(heart, path, form=form)._replace(error=found.error)


def traced(heart, path, *, form: Form = Form()) -> Beat:  # noqa: B008  an immutable tuple
    """Return a simulated beat, (time, state), with its pressures.

    Parameters
    ----------
    heart : mapping of str to ()
    path : (time, state)
    form : Form
    """
    times = 60.0 / heart["heart_rate"] * jnp.arange(path.shape[0]) / path.shape[0]
    chambers = Chambers(*path.T)
    shown = jax.vmap(lambda t, *x: pressures(heart, t, Chambers(*x), form))(times, *chambers)
    return Beat(times, chambers, shown, jnp.zeros(()))


def summarize(heart, shown: Beat) -> Summary:
    """Return volumes, pressures and flow of a beat.

    Parameters
    ----------
    heart : mapping of str to ()
    shown : Beat
    """
    x, P = shown.chambers, shown.pressures
    stroke = jnp.max(x.left_ventricle) - jnp.min(x.left_ventricle)
    return Summary(
        stroke_volume=stroke,
        cardiac_output=stroke * heart["heart_rate"] / 1000.0,
        left_end_diastolic=jnp.max(x.left_ventricle),
        left_end_systolic=jnp.min(x.left_ventricle),
        right_end_diastolic=jnp.max(x.right_ventricle),
        right_end_systolic=jnp.min(x.right_ventricle),
        aortic_systolic=jnp.max(P.aorta),
        aortic_diastolic=jnp.min(P.aorta),
        aortic_mean=jnp.mean(P.aorta),
        pulmonary_systolic=jnp.max(P.pulmonary_artery),
        pulmonary_diastolic=jnp.min(P.pulmonary_artery),
        pulmonary_mean=jnp.mean(P.pulmonary_artery),
        central_venous=jnp.mean(P.vena_cava),
        pulmonary_venous=jnp.mean(P.pulmonary_veins),
        left_peak=jnp.max(P.left_ventricle),
        right_peak=jnp.max(P.right_ventricle),
    )


def _published(value: float, unit: str, about: str, *, spread: float = 0.25, known: bool = True):
    """Declare a parameter at its published value; the spread over patients is a setting."""
    prior = dist.LogNormal(math.log(value), spread)
    return parameter(prior, value=value, unit=unit, source=f"{_SMITH}; spread: setting", about=about, known=known)


class SixChamber(AbstractModel):
    """Pressures, flow and volumes of the beat that six chambers settle into, while their stressed volume moves.

    ============ ================================= =====================================================================
    symbol       field                             equation
    ============ ================================= =====================================================================
    e(t)         driver of the ventricles          exp(-HR (t - T/2)²), T = 60 / HR, HR also the number of 1/s²
    P_x          wall of x = left, right, septum   e E (V - V_d) + (1 - e) P_0 (exp(l (V - V_0)) - 1)
    V_s          septum's bulge                    P_septum(V_s) = P_left(V_lv - V_s) - P_right(V_rv + V_s)
    P_peri       pericardium                       P_0 (exp(l (V_lv + V_rv - V_0)) - 1) + P_th, added to both ventricles
    P_vessel     four vessels                      E V; those of the lung + P_th
    Q            four valves                       L dQ/dt = dP - R Q, only forward
    V            `State.stressed_volume`           dV/dt = (V_0 + volume_change - unstressed_change - V) / mixing_time
    ============ ================================= =====================================================================

    Beats take less than a second and the circulation settles within seconds, so the model lives on the clock of the
    chart: what moves is the stressed volume, and every output belongs to the steady beat at that volume. `heart` hands
    the equations of one beat to `beat`, `steady_beat` and `summarize`.

    References
    ----------
    .. [1] Smith BW, Chase JG, Nokes RI, Shaw GM, Wake G. Med Eng Phys 2004;26:131-139.
       doi:10.1016/j.medengphy.2003.10.001
    """

    time_unit = "min"
    step = 0.5

    class State(eqx.Module):
        """What changes slowly."""

        stressed_volume: Array = quantity("mL", "stressed volume in the six chambers")

    class Input(eqx.Module):
        """What is given, or comes from another model."""

        volume_change: Array = quantity("mL", "intravascular volume above that at the origin")
        resistance_factor: Array = quantity("1", "factor on systemic resistance", default=1.0)
        unstressed_change: Array = quantity("mL", "unstressed volume above that at the origin")
        intrathoracic_pressure: Array = quantity("mmHg", "mean intrathoracic pressure", default=-4.0)

    class Output(eqx.Module):
        """What is measured of a beat; the sizes of the noises are settings."""

        mean_arterial_pressure: Array = quantity(
            "mmHg", "mean aortic pressure", noise=Observation(Gaussian(additive=3.0))
        )
        systolic_pressure: Array = quantity(
            "mmHg", "systolic aortic pressure", noise=Observation(Gaussian(additive=4.0))
        )
        diastolic_pressure: Array = quantity(
            "mmHg", "diastolic aortic pressure", noise=Observation(Gaussian(additive=3.0))
        )
        central_venous_pressure: Array = quantity(
            "mmHg", "mean pressure of the vena cava", noise=Observation(Gaussian(additive=1.0))
        )
        stroke_volume: Array = quantity("mL", "stroke volume", noise=Observation(Gaussian(relative=0.1)))
        cardiac_output: Array = quantity("L/min", "cardiac output", noise=Observation(Gaussian(relative=0.1)))
        mean_pulmonary_pressure: Array = quantity(
            "mmHg", "mean pulmonary artery pressure", noise=Observation(Gaussian(additive=2.0))
        )
        pulmonary_venous_pressure: Array = quantity(
            "mmHg", "mean pulmonary venous pressure", noise=Observation(Gaussian(additive=2.0))
        )
        left_end_diastolic_volume: Array = quantity(
            "mL", "end-diastolic volume of the left ventricle", noise=Observation(Gaussian(relative=0.1))
        )
        right_end_diastolic_volume: Array = quantity(
            "mL", "end-diastolic volume of the right ventricle", noise=Observation(Gaussian(relative=0.15))
        )

    initial_volume: float = _published(1500.0, "mL", "V_0: stressed volume at the origin", known=False)
    left_elastance: float = _published(2.8798, "mmHg/mL", "left ventricle, end-systolic", known=False)
    systemic_resistance: float = _published(1.0889, "mmHg*s/mL", "systemic resistance", spread=0.35, known=False)
    aortic_elastance: float = _published(0.6913, "mmHg/mL", "aorta", known=False)
    heart_rate: float = _published(80.0, "1/min", "heart rate")
    left_passive_pressure: float = _published(0.1203, "mmHg", "left ventricle, P_0")
    left_stiffness: float = _published(0.033, "1/mL", "left ventricle, l")
    right_elastance: float = _published(0.585, "mmHg/mL", "right ventricle, end-systolic")
    right_passive_pressure: float = _published(0.2157, "mmHg", "right ventricle, P_0")
    right_stiffness: float = _published(0.023, "1/mL", "right ventricle, l")
    septum_elastance: float = _published(48.754, "mmHg/mL", "septum, end-systolic")
    septum_dead_volume: float = _published(2.0, "mL", "septum, V_d")
    septum_passive_pressure: float = _published(1.1101, "mmHg", "septum, P_0")
    septum_stiffness: float = _published(0.435, "1/mL", "septum, l")
    septum_passive_volume: float = _published(2.0, "mL", "septum, V_0")
    pericardium_pressure: float = _published(0.5003, "mmHg", "pericardium, P_0")
    pericardium_stiffness: float = _published(0.03, "1/mL", "pericardium, l")
    pericardium_volume: float = _published(200.0, "mL", "pericardium, V_0")
    pulmonary_artery_elastance: float = _published(0.369, "mmHg/mL", "pulmonary artery")
    pulmonary_vein_elastance: float = _published(0.0073, "mmHg/mL", "pulmonary veins")
    vena_cava_elastance: float = _published(0.0059, "mmHg/mL", "vena cava")
    pulmonary_resistance: float = _published(0.1552, "mmHg*s/mL", "pulmonary resistance", spread=0.35)
    mitral_resistance: float = _published(0.0158, "mmHg*s/mL", "mitral valve, R")
    mitral_inertance: float = _published(7.6968e-5, "mmHg*s**2/mL", "mitral valve, L")
    aortic_resistance: float = _published(0.0180, "mmHg*s/mL", "aortic valve, R")
    aortic_inertance: float = _published(1.2189e-4, "mmHg*s**2/mL", "aortic valve, L")
    tricuspid_resistance: float = _published(0.0237, "mmHg*s/mL", "tricuspid valve, R")
    tricuspid_inertance: float = _published(8.0093e-5, "mmHg*s**2/mL", "tricuspid valve, L")
    pulmonary_valve_resistance: float = _published(0.0055, "mmHg*s/mL", "pulmonary valve, R")
    pulmonary_valve_inertance: float = _published(1.4868e-4, "mmHg*s**2/mL", "pulmonary valve, L")
    mixing_time: float = parameter(
        dist.LogNormal(0.0, 0.3), known=True, unit="min", source=_MEMORY, about="of given volume, into the circulation"
    )
    form: Form = eqx.field(static=True, default=Form())
    scheme: Scheme = eqx.field(static=True, default=FINE)

    def initial(self, inputs):
        """Start with what the preceding inputs have settled to."""
        return self.State(stressed_volume=self._target(inputs))

    def vector_field(self, time, state, inputs):
        """Return how fast given volume mixes in."""
        return self.State(stressed_volume=(self._target(inputs) - state.stressed_volume) / self.mixing_time)

    def output(self, state, inputs):
        """Return the steady beat at this volume."""
        heart = self.heart(inputs)
        volume = jnp.maximum(state.stressed_volume, _LEAST)
        found = summarize(heart, steady_beat(heart, volume, form=self.form, scheme=self.scheme))
        return self.Output(
            mean_arterial_pressure=found.aortic_mean,
            systolic_pressure=found.aortic_systolic,
            diastolic_pressure=found.aortic_diastolic,
            central_venous_pressure=found.central_venous,
            stroke_volume=found.stroke_volume,
            cardiac_output=found.cardiac_output,
            mean_pulmonary_pressure=found.pulmonary_mean,
            pulmonary_venous_pressure=found.pulmonary_venous,
            left_end_diastolic_volume=found.left_end_diastolic,
            right_end_diastolic_volume=found.right_end_diastolic,
        )

    def heart(self, inputs=None) -> dict[str, Array]:
        """Return the numbers of one beat by name, for the functions of this file.

        Parameters
        ----------
        inputs : Input, optional
            Intrathoracic pressure of -4 mmHg and no change of resistance by default.
        """
        names = [name for name in self.parameters() if name not in ("initial_volume", "mixing_time")]
        numbers = {name: jnp.asarray(getattr(self, name), float) for name in names}
        pressure, factor = (
            (-4.0, 1.0)
            if inputs is None
            else (inputs.intrathoracic_pressure, jnp.maximum(inputs.resistance_factor, 0.05))
        )
        zero = jnp.zeros(())
        return numbers | {
            "systemic_resistance": numbers["systemic_resistance"] * factor,
            "intrathoracic_pressure": jnp.asarray(pressure, float),
            "left_dead_volume": zero,
            "left_passive_volume": zero,
            "right_dead_volume": zero,
            "right_passive_volume": zero,
        }

    def _target(self, inputs):
        return self.initial_volume + inputs.volume_change - inputs.unstressed_change
