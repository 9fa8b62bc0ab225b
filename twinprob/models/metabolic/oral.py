"""The oral minimal model: insulin sensitivity from a glucose drink, driven by measured plasma insulin."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, covariate, parameter, quantity
from ...modeling.observation import Gaussian, Observation
from ...modeling.process import OrnsteinUhlenbeck

_CODE = "transcription in vjcitn/ogttMetrics, R/minmod.R, of the oral minimal model"
_MEMORY = "prior or setting of this library, not published"


class OralMinimalModel(AbstractModel):
    """Minimal model of the oral glucose tolerance test (OGTT).

    ====== ============================ =====================================================
    symbol field                        equation
    ====== ============================ =====================================================
    G      `State.glucose`              dG/dt = S_G (G_b - G) - X G + R_a / (V W)
    X      `State.insulin_action`       dX/dt = p_2 (S_I (I(t) - I_b) - X)
    I_b    `State.basal_insulin`        plasma insulin at the origin, constant
    q_1    `State.stomach_glucose`      dq_1/dt = D(t) - k_1(t) q_1
    q_2    `State.gut_glucose`          dq_2/dt = k_1(t) q_1 - k_2 q_2
    R_a                                 R_a = f k_2 q_2
    I      `Input.plasma_insulin`       measured, linear between samples
    D      `Input.oral_glucose`         the drink
    ====== ============================ =====================================================

    The appearance R_a has an unknown shape: the stomach empties at a rate k_1 that moves in time. Whatever the
    shape, its integral is f times the dose, because what leaves the stomach must have been swallowed. The test
    begins in the fasting state, G(0) = G_b. V and f are known unless made `free`, as in the original, which knows
    S_G too; people with diabetes are not described with the S_G of healthy ones, so here it is unknown.

    References
    ----------
    .. [1] Dalla Man C, Caumo A, Cobelli C. The oral glucose minimal model: estimation of insulin sensitivity from a
       meal test. IEEE Trans Biomed Eng 2002;49:419-429. doi:10.1109/10.995680. Its values are cited from code that
       transcribes them.
    """

    time_unit = "min"
    step = 2.0

    class State(eqx.Module):
        """What changes during the test."""

        glucose: Array = quantity("mg/dL", "plasma glucose")
        insulin_action: Array = quantity("1/min", "remote insulin action")
        basal_insulin: Array = quantity("mU/L", "plasma insulin at the origin")
        stomach_glucose: Array = quantity("mg", "glucose in the stomach")
        gut_glucose: Array = quantity("mg", "glucose in the gut")

    class Input(eqx.Module):
        """What drives glucose."""

        plasma_insulin: Array = quantity("mU/L", "plasma insulin", measured=True, longest_gap="1 h")
        oral_glucose: Array = quantity("mg/min", "swallowed glucose")

    class Output(eqx.Module):
        """What is measured."""

        # The median stands for assay and for what a smooth model leaves unexplained; from memory, not published.
        glucose: Array = quantity(
            "mg/dL",
            "plasma glucose",
            noise=Observation(Gaussian(relative=dist.LogNormal(math.log(0.04), 0.4))),
        )

    insulin_sensitivity: float = parameter(
        dist.LogNormal(math.log(5e-4), 1.0), unit="L/mU/min", source=_MEMORY, about="insulin sensitivity S_I"
    )
    insulin_action_rate: float = parameter(
        dist.LogNormal(math.log(0.012), 0.2),
        unit="1/min",
        source=f"{_CODE}; spread: {_MEMORY}",
        about="rate of insulin action p_2",
    )
    gastric_emptying: float = parameter(
        dist.LogNormal(math.log(0.04), 0.5),
        unit="1/min",
        source=f"{_MEMORY}, and so is its motion",
        about="rate of gastric emptying k_1",
        varies=OrnsteinUhlenbeck(sd=0.4, timescale="60 min", every="30 min"),
    )
    gut_absorption: float = parameter(
        dist.LogNormal(math.log(0.04), 0.5), unit="1/min", source=_MEMORY, about="rate of absorption k_2"
    )
    basal_glucose: float = parameter(
        dist.LogNormal(math.log(100.0), 0.3), unit="mg/dL", source=_MEMORY, about="fasting glucose G_b"
    )
    glucose_effectiveness: float = parameter(
        dist.LogNormal(math.log(0.028), 0.3),
        unit="1/min",
        source=f"{_CODE}; spread: {_MEMORY}",
        about="glucose effectiveness S_G",
    )
    glucose_volume: float = parameter(
        dist.LogNormal(math.log(1.34), 0.15),
        known=True,
        unit="dL/kg",
        source=f"{_CODE}; spread: {_MEMORY}",
        about="volume of distribution V",
    )
    absorbed_fraction: float = parameter(
        lambda model: dist.Beta(87.0, 13.0),
        value=0.87,
        known=True,
        unit="1",
        source=f"{_CODE}; spread: {_MEMORY}",
        about="fraction that reaches the plasma f",
    )
    weight: float = covariate("kg", value=70.0)

    def initial(self, inputs):
        """Start fasting: basal glucose and insulin, no insulin action, an empty gut."""
        zero = jnp.zeros(())
        return self.State(
            glucose=jnp.asarray(self.basal_glucose),
            insulin_action=zero,
            basal_insulin=jnp.asarray(inputs.plasma_insulin),
            stomach_glucose=zero,
            gut_glucose=zero,
        )

    def vector_field(self, time, state, inputs):
        """Return the equations of the class docstring, in their order."""
        G, X, I, I_b = state.glucose, state.insulin_action, inputs.plasma_insulin, state.basal_insulin
        S_G, S_I, p_2, G_b = (
            self.glucose_effectiveness,
            self.insulin_sensitivity,
            self.insulin_action_rate,
            self.basal_glucose,
        )
        emptied = self.gastric_emptying * state.stomach_glucose
        absorbed = self.gut_absorption * state.gut_glucose
        R_a = self.absorbed_fraction * absorbed
        return self.State(
            glucose=S_G * (G_b - G) - X * G + R_a / (self.glucose_volume * self.weight),
            insulin_action=p_2 * (S_I * (I - I_b) - X),
            basal_insulin=jnp.zeros_like(I_b),
            stomach_glucose=inputs.oral_glucose - emptied,
            gut_glucose=emptied - absorbed,
        )

    def output(self, state, inputs):
        """Glucose is measured in plasma."""
        return self.Output(glucose=state.glucose)
