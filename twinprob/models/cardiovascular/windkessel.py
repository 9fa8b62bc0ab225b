"""The arterial load of two, three and four elements, driven by a measured flow."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Gaussian, Observation

_MEMORY = "prior or setting of this library, not published"


class Flow(eqx.Module):
    """What drives the arteries."""

    aortic_flow: Array = quantity("mL/s", "flow into the aorta", measured=True)


class Pressure(eqx.Module):
    """What is measured."""

    aortic_pressure: Array = quantity("mmHg", "aortic pressure", noise=Observation(Gaussian(additive=1.0)))


def _resistance():
    return parameter(
        dist.LogNormal(math.log(1.0), 0.5), unit="mmHg*s/mL", source=_MEMORY, about="R: systemic resistance"
    )


def _compliance():
    return parameter(dist.LogNormal(math.log(1.5), 0.5), unit="mL/mmHg", source=_MEMORY, about="C: of the arteries")


def _impedance():
    return parameter(
        dist.LogNormal(math.log(0.05), 0.5), unit="mmHg*s/mL", source=_MEMORY, about="Z: of the aorta, to waves"
    )


def _pressure():
    return parameter(dist.Normal(80.0, 15.0), unit="mmHg", source=_MEMORY, about="in the arteries at the origin")


def _venous():
    return parameter(dist.Normal(5.0, 3.0), known=True, unit="mmHg", source=_MEMORY, about="P_v: where the flow goes")


class Windkessel2(AbstractModel):
    """A resistance and a compliance: C dP/dt = Q - (P - P_v) / R.

    Frank's Windkessel, from memory. Globally identifiable from flow and pressure [1].

    References
    ----------
    .. [1] Kirk J, Saccomani MP, Shroff SG. A priori identifiability analysis of cardiovascular models. Cardiovasc Eng
       Technol 2013;4:500-512. doi:10.1007/s13239-013-0157-3
    """

    time_unit = "s"
    step = 0.05
    Input = Flow
    Output = Pressure

    class State(eqx.Module):
        """What changes."""

        arterial_pressure: Array = quantity("mmHg", "pressure in the arteries")

    resistance: float = _resistance()
    compliance: float = _compliance()
    initial_pressure: float = _pressure()
    venous_pressure: float = _venous()

    def initial(self, inputs):
        """Start at the unknown pressure."""
        return self.State(arterial_pressure=jnp.asarray(self.initial_pressure, float))

    def vector_field(self, time, state, inputs):
        """Return the balance of the arteries."""
        outflow = (state.arterial_pressure - self.venous_pressure) / self.resistance
        return self.State(arterial_pressure=(inputs.aortic_flow - outflow) / self.compliance)

    def output(self, state, inputs):
        """Return the pressure."""
        return self.Output(aortic_pressure=state.arterial_pressure)


class Windkessel3(AbstractModel):
    """The same behind the impedance of the aorta: aortic pressure P + Z Q.

    Westerhof's Windkessel, from memory. Globally identifiable from flow and pressure, as `Windkessel2`.
    """

    time_unit = "s"
    step = 0.05
    Input = Flow
    Output = Pressure

    class State(eqx.Module):
        """What changes."""

        arterial_pressure: Array = quantity("mmHg", "pressure in the arteries")

    resistance: float = _resistance()
    compliance: float = _compliance()
    impedance: float = _impedance()
    initial_pressure: float = _pressure()
    venous_pressure: float = _venous()

    def initial(self, inputs):
        """Start at the unknown pressure."""
        return self.State(arterial_pressure=jnp.asarray(self.initial_pressure, float))

    def vector_field(self, time, state, inputs):
        """Return the balance of the arteries."""
        outflow = (state.arterial_pressure - self.venous_pressure) / self.resistance
        return self.State(arterial_pressure=(inputs.aortic_flow - outflow) / self.compliance)

    def output(self, state, inputs):
        """Return the pressure before the impedance."""
        return self.Output(aortic_pressure=state.arterial_pressure + self.impedance * inputs.aortic_flow)


class Windkessel4(AbstractModel):
    """The same with an inertance beside the impedance: L dF/dt = Z (Q - F), aortic pressure P + Z (Q - F).

    Stergiopulos's Windkessel, from memory: steady flow passes the inertance, quick changes the impedance. Globally
    identifiable from flow and pressure, as `Windkessel2`.
    """

    time_unit = "s"
    step = 0.01
    Input = Flow
    Output = Pressure

    class State(eqx.Module):
        """What changes."""

        arterial_pressure: Array = quantity("mmHg", "pressure in the arteries")
        steady_flow: Array = quantity("mL/s", "flow F through the inertance")

    resistance: float = _resistance()
    compliance: float = _compliance()
    impedance: float = _impedance()
    inertance: float = parameter(
        dist.LogNormal(math.log(0.005), 0.5), unit="mmHg*s**2/mL", source=_MEMORY, about="L: of the blood"
    )
    initial_pressure: float = _pressure()
    venous_pressure: float = _venous()

    def initial(self, inputs):
        """Start at the unknown pressure, with all flow through the inertance."""
        flow = jnp.asarray(inputs.aortic_flow, float)
        return self.State(arterial_pressure=self.initial_pressure + jnp.zeros_like(flow), steady_flow=flow)

    def vector_field(self, time, state, inputs):
        """Return the balance of the arteries and the acceleration of the blood."""
        outflow = (state.arterial_pressure - self.venous_pressure) / self.resistance
        return self.State(
            arterial_pressure=(inputs.aortic_flow - outflow) / self.compliance,
            steady_flow=self.impedance * (inputs.aortic_flow - state.steady_flow) / self.inertance,
        )

    def output(self, state, inputs):
        """Return the pressure before both."""
        return self.Output(
            aortic_pressure=state.arterial_pressure + self.impedance * (inputs.aortic_flow - state.steady_flow)
        )
