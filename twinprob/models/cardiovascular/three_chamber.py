"""Three linear chambers: the counter-example, in which every patient responds to fluid in proportion."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Gaussian, Observation
from .periodic import Scheme, orbit, runge_kutta

_NOMINAL = "transcription in a public repository of Pironet's model, as recorded in the project's domain notes"
_MEMORY = "prior or setting of this library, not published"
_START = (0.2, 0.15, 0.65)  # share of the volume in heart, arteries, veins where the first guess begins
_LEAST = 1.0  # mL
_WHOLE = Scheme(parts=25, steps=6, beats=6)


class Waves(NamedTuple):
    """One steady beat.

    Attributes
    ----------
    times : (time,) s
    arterial, venous, ventricular : (time,) mmHg
    volume : (time,) mL, of the ventricle
    error : () mL, largest jump where the parts of the beat meet
    """

    times: Array
    arterial: Array
    venous: Array
    ventricular: Array
    volume: Array
    error: Array


def _pressures(heart, time, y):
    """Return the pressures of ventricle, arteries and veins."""
    e = jnp.exp(-80.0 * (time - 30.0 / heart["heart_rate"]) ** 2)
    return (
        e * heart["ventricular_elastance"] * y[0],
        heart["arterial_elastance"] * y[1],
        heart["venous_elastance"] * y[2],
    )


def _rates(heart, time, y):
    P_h, P_a, P_v = _pressures(heart, time, y)
    Q_i = jnp.maximum(P_v - P_h, 0.0) / heart["inflow_resistance"]
    Q_o = jnp.maximum(P_h - P_a, 0.0) / heart["outflow_resistance"]
    Q_c = (P_a - P_v) / heart["circulation_resistance"]
    return jnp.stack([Q_i - Q_o, Q_o - Q_c, Q_c - Q_i])


class ThreeChamber(AbstractModel):
    """Pressures and stroke volume of a linear heart between linear arteries and veins.

    ======= ============================== =============================================================================
    symbol  field                          equation
    ======= ============================== =============================================================================
    P_a     arteries                       E_a V_a
    P_v     veins                          E_v V_v
    P_h     ventricle                      e(t) E_h V_h, e = exp(-80 (t - T/2)²), 80 in 1/s²
    Q_i     inflow                         (P_v - P_h) / R_i, only forward
    Q_o     outflow                        (P_h - P_a) / R_o, only forward
    Q_c     circulation                    (P_a - P_v) / R_c
    SBV     `State.stressed_volume`        V_h + V_a + V_v, moved by given volume within `mixing_time`
    ======= ============================== =============================================================================

    Shipped as a warning, not for use at a bedside. Every equation is homogeneous of degree one in the volumes: with x %
    more stressed volume every pressure, every volume and the stroke volume rise by exactly x %, so that nobody is a
    non-responder. And with V -> c V, E -> E / c, R -> R / c no pressure changes: without a flow nothing tells the size
    of the circulation. Ventricular elastance and outflow resistance are not determined by pressures and stroke volume
    of a beat, whatever is given. `Preload` and `SixChamber` saturate.

    References
    ----------
    .. [1] The equations of Pironet, Dauby, Chase and Desaive, as recorded in the project's domain notes; nominal values
       chosen there.
    """

    time_unit = "min"
    step = 0.5

    class State(eqx.Module):
        """What changes slowly."""

        stressed_volume: Array = quantity("mL", "total stressed volume")

    class Input(eqx.Module):
        """What is given."""

        volume_change: Array = quantity("mL", "intravascular volume above that at the origin")

    class Output(eqx.Module):
        """What is measured of a beat; the sizes of the noises are settings."""

        systolic_pressure: Array = quantity("mmHg", "systolic pressure", noise=Observation(Gaussian(additive=2.0)))
        diastolic_pressure: Array = quantity("mmHg", "diastolic pressure", noise=Observation(Gaussian(additive=2.0)))
        central_venous_pressure: Array = quantity(
            "mmHg", "mean venous pressure", noise=Observation(Gaussian(additive=1.0))
        )
        stroke_volume: Array = quantity("mL", "stroke volume", noise=Observation(Gaussian(relative=0.1)))

    arterial_elastance: float = parameter(
        dist.LogNormal(math.log(1.2), 0.5), unit="mmHg/mL", source=f"{_NOMINAL}; spread: setting", about="E_a"
    )
    venous_elastance: float = parameter(
        dist.LogNormal(math.log(0.02), 0.5), unit="mmHg/mL", source=f"{_NOMINAL}; spread: setting", about="E_v"
    )
    ventricular_elastance: float = parameter(
        dist.LogNormal(math.log(2.5), 0.5), unit="mmHg/mL", source=f"{_NOMINAL}; spread: setting", about="E_h"
    )
    inflow_resistance: float = parameter(
        dist.LogNormal(math.log(0.06), 0.5), unit="mmHg*s/mL", source=f"{_NOMINAL}; spread: setting", about="R_i"
    )
    outflow_resistance: float = parameter(
        dist.LogNormal(math.log(0.03), 0.5), unit="mmHg*s/mL", source=f"{_NOMINAL}; spread: setting", about="R_o"
    )
    circulation_resistance: float = parameter(
        dist.LogNormal(math.log(1.05), 0.5), unit="mmHg*s/mL", source=f"{_NOMINAL}; spread: setting", about="R_c"
    )
    initial_volume: float = parameter(
        dist.LogNormal(math.log(560.0), 0.5),
        unit="mL",
        source=f"{_NOMINAL}; spread: setting",
        about="SBV at the origin",
    )
    heart_rate: float = parameter(
        dist.LogNormal(math.log(80.0), 0.2), known=True, unit="1/min", source=_MEMORY, about="60 / T"
    )
    mixing_time: float = parameter(
        dist.LogNormal(0.0, 0.3), known=True, unit="min", source=_MEMORY, about="of given volume, into the circulation"
    )

    def initial(self, inputs):
        """Start with what the preceding inputs have settled to."""
        return self.State(stressed_volume=self.initial_volume + inputs.volume_change)

    def vector_field(self, time, state, inputs):
        """Return how fast given volume mixes in."""
        target = self.initial_volume + inputs.volume_change
        return self.State(stressed_volume=(target - state.stressed_volume) / self.mixing_time)

    def output(self, state, inputs):
        """Return what the steady beat at this volume shows."""
        shown = self.waves(state.stressed_volume)
        return self.Output(
            systolic_pressure=jnp.max(shown.arterial),
            diastolic_pressure=jnp.min(shown.arterial),
            central_venous_pressure=jnp.mean(shown.venous),
            stroke_volume=jnp.max(shown.volume) - jnp.min(shown.volume),
        )

    def waves(self, volume) -> Waves:
        """Return the steady beat at a stressed volume.

        Parameters
        ----------
        volume : () mL

        Returns
        -------
        Waves
        """
        names = [name for name in self.parameters() if name not in ("initial_volume", "mixing_time")]
        heart = {name: jnp.asarray(getattr(self, name), float) for name in names}
        period, start = 60.0 / heart["heart_rate"], jnp.asarray(_START, float)
        total = jnp.maximum(jnp.asarray(volume, float), _LEAST)
        found = orbit(_rates, _WHOLE, heart, period, total, start, jnp.ones(3))
        h = period / (_WHOLE.parts * _WHOLE.steps)
        begins = period * jnp.arange(_WHOLE.parts) / _WHOLE.parts

        def part(y, t):
            return runge_kutta(lambda t, y: _rates(heart, t, y), y, t, h, _WHOLE.steps, keep=True)[1]

        path = jax.vmap(part)(found.states, begins).reshape(-1, 3)
        times = h * jnp.arange(path.shape[0])
        P_h, P_a, P_v = jax.vmap(lambda t, y: jnp.stack(_pressures(heart, t, y)))(times, path).T
        return Waves(times, P_a, P_v, P_h, path[:, 0], found.error)
