"""Arterial pressure of a person whose vagus still answers: from vessel tone to systole, diastole and heart rate."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Gaussian, Observation

_MEMORY = "prior or setting of this library, not published"


class VagalPressure(AbstractModel):
    """Mean, systolic and diastolic pressure and heart rate, with the vagal arm of the baroreflex.

    ====== ================================ =======================================================================
    symbol field                            equation
    ====== ================================ =======================================================================
    MAP    mean arterial pressure           MAP = P_v + (MAP_0 - P_v) (R/R_0) (CO/CO_0)
    CO     cardiac output                   CO/CO_0 = (1 - dV_u / V_s) / (1 + a (R/R_0 - 1)): venous return decides
    b      `State.vagal`                    tau db/dt = g w atan((MAP - MAP_0) / w) - b, what the vagus adds to RR
    HR     heart rate                       60000 / (60000 / HR_0 + b)
    PP     pulse pressure                   PP = PP_0 (SV/SV_0) (MAP/MAP_0): stiffness of an artery rises with pressure
    SBP    systolic, diastolic pressure     MAP + 2/3 PP, MAP - 1/3 PP
    ====== ================================ =======================================================================

    Meant for people awake and not in shock: the model of norepinephrine in volunteers. The flow is decided by venous
    return, so that a slower heart makes larger strokes; with arteries of exponential elasticity (stiffness in
    proportion to pressure) systole then rises more than diastole. Cardiac sympathetic effects are left out.
    """

    time_unit = "min"
    step = 0.1

    class State(eqx.Module):
        """What changes."""

        vagal: Array = quantity("ms", "lengthening of the beat by the vagus")

    class Input(eqx.Module):
        """What the vessels do."""

        resistance_factor: Array = quantity("1", "systemic resistance over that at rest", default=1.0)
        unstressed_change: Array = quantity("mL", "unstressed volume above that at rest")

    class Output(eqx.Module):
        """What a monitor shows; the sizes of the noises are settings."""

        mean_arterial_pressure: Array = quantity(
            "mmHg", "mean arterial pressure", noise=Observation(Gaussian(additive=3.0))
        )
        systolic_pressure: Array = quantity(
            "mmHg", "systolic arterial pressure", noise=Observation(Gaussian(additive=4.0))
        )
        diastolic_pressure: Array = quantity(
            "mmHg", "diastolic arterial pressure", noise=Observation(Gaussian(additive=3.0))
        )
        heart_rate: Array = quantity("1/min", "heart rate", noise=Observation(Gaussian(additive=2.0)))

    resting_pressure: float = parameter(
        dist.LogNormal(math.log(88.0), 0.12), unit="mmHg", source=_MEMORY, about="MAP_0: mean pressure at rest"
    )
    resting_pulse_pressure: float = parameter(
        dist.LogNormal(math.log(58.0), 0.2), unit="mmHg", source=_MEMORY, about="PP_0: pulse pressure at rest"
    )
    resting_heart_rate: float = parameter(
        dist.LogNormal(math.log(58.0), 0.15), unit="1/min", source=_MEMORY, about="HR_0: heart rate at rest"
    )
    vagal_gain: float = parameter(
        dist.LogNormal(math.log(9.0), 0.3),
        unit="ms/mmHg",
        source="comments of ValentinSiderskiyPhD, parasympathetic branch of Heldt 2004; spread: prior or setting",
        about="g: RR per mean pressure",
    )
    reflex_width: float = parameter(
        dist.LogNormal(math.log(18.0), 0.2),
        known=True,
        unit="mmHg",
        source="comments of ValentinSiderskiyPhD, arctan scale of Heldt 2004; spread: prior or setting",
        about="w: where the reflex begins to saturate",
    )
    reflex_time: float = parameter(
        dist.LogNormal(math.log(0.2), 0.3), known=True, unit="min", source=_MEMORY, about="tau of the reflex"
    )
    venous_pressure: float = parameter(
        dist.Normal(4.0, 1.5), known=True, unit="mmHg", source=_MEMORY, about="P_v: central venous pressure"
    )
    resting_stressed_volume: float = parameter(
        dist.LogNormal(math.log(1300.0), 0.2), known=True, unit="mL", source=_MEMORY, about="V_s at rest"
    )
    venous_share: float = parameter(
        dist.LogNormal(math.log(0.25), 0.3),
        known=True,
        unit="1",
        source=_MEMORY,
        about="a: how much of the rise of resistance falls on venous return",
    )

    def initial(self, inputs):
        """Start with the reflex at rest under the tone just before."""
        return self.State(vagal=self._answer(self._mean(inputs)[0]))

    def vector_field(self, time, state, inputs):
        """Let the vagus follow the pressure."""
        return self.State(vagal=(self._answer(self._mean(inputs)[0]) - state.vagal) / self.reflex_time)

    def output(self, state, inputs):
        """Return the pressures and the heart rate."""
        MAP, flow = self._mean(inputs)
        rate = 60000.0 / jnp.maximum(60000.0 / self.resting_heart_rate + state.vagal, 200.0)
        stroke = flow * self.resting_heart_rate / rate
        PP = self.resting_pulse_pressure * stroke * MAP / self.resting_pressure
        return self.Output(
            mean_arterial_pressure=MAP,
            systolic_pressure=MAP + 2.0 / 3.0 * PP,
            diastolic_pressure=MAP - PP / 3.0,
            heart_rate=rate,
        )

    def _mean(self, inputs):
        """Return mean pressure (mmHg) and cardiac output over that at rest."""
        R = inputs.resistance_factor
        filled = jnp.maximum(1.0 - inputs.unstressed_change / self.resting_stressed_volume, 0.0)
        flow = filled / (1.0 + self.venous_share * (R - 1.0))
        return self.venous_pressure + (self.resting_pressure - self.venous_pressure) * R * flow, flow

    def _answer(self, MAP):
        w = self.reflex_width
        return self.vagal_gain * w * jnp.arctan((MAP - self.resting_pressure) / w)
