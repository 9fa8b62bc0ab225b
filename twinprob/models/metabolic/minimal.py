"""Bergman's minimal model of glucose kinetics, driven by measured plasma insulin."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Gaussian, Observation

_MEMORY = "prior or setting of this library, not published"


class MinimalModel(AbstractModel):
    """Minimal model of the frequently sampled intravenous glucose tolerance test (FSIGT).

    ====== ============================ ============================================
    symbol field                        equation
    ====== ============================ ============================================
    G      `State.glucose`              dG/dt = S_G (G_b - G) - X G
    X      `State.insulin_action`       dX/dt = p_2 (S_I (I(t) - I_b) - X)
    I      `Input.plasma_insulin`       measured, linear between samples
    ====== ============================ ============================================

    The injected glucose is the unknown G(0). Samples of the first minutes, before mixing, are left out by the user.

    References
    ----------
    .. [1] Pacini G, Bergman RN. MINMOD: a computer program to calculate insulin sensitivity and pancreatic responsivity
       from the frequently sampled intravenous glucose tolerance test. Comput Methods Programs Biomed 1986;23:113-122.
    """

    time_unit = "min"
    step = 0.5

    class State(eqx.Module):
        """What changes during the test."""

        glucose: Array = quantity("mg/dL", "plasma glucose")
        insulin_action: Array = quantity("1/min", "remote insulin action")

    class Input(eqx.Module):
        """What drives glucose."""

        plasma_insulin: Array = quantity("mU/L", "plasma insulin", measured=True, longest_gap="1 h")

    class Output(eqx.Module):
        """What is measured."""

        glucose: Array = quantity("mg/dL", "plasma glucose", noise=Observation(Gaussian(relative=0.03)))

    glucose_effectiveness: float = parameter(
        dist.LogNormal(math.log(0.02), 0.7), unit="1/min", source=_MEMORY, about="glucose effectiveness S_G"
    )
    insulin_sensitivity: float = parameter(
        dist.LogNormal(math.log(5e-4), 1.0), unit="L/mU/min", source=_MEMORY, about="insulin sensitivity S_I"
    )
    insulin_action_rate: float = parameter(
        dist.LogNormal(math.log(0.03), 0.8), unit="1/min", source=_MEMORY, about="rate of insulin action p_2"
    )
    initial_glucose: float = parameter(
        dist.LogNormal(math.log(280.0), 0.3),
        unit="mg/dL",
        source=_MEMORY,
        about="glucose just after the injection G(0)",
    )
    basal_glucose: float = parameter(
        dist.LogNormal(math.log(92.0), 0.1),
        value=92.0,
        known=True,
        unit="mg/dL",
        source=_MEMORY,
        about="basal glucose G_b",
    )
    basal_insulin: float = parameter(
        dist.LogNormal(math.log(7.0), 0.3),
        value=7.0,
        known=True,
        unit="mU/L",
        source=_MEMORY,
        about="basal insulin I_b",
    )

    def initial(self, inputs):
        """Start at the injected glucose, without insulin action."""
        return self.State(glucose=jnp.asarray(self.initial_glucose), insulin_action=jnp.zeros(()))

    def vector_field(self, time, state, inputs):
        """Return equations 1 and 2 of the minimal model."""
        G, X, I = state.glucose, state.insulin_action, inputs.plasma_insulin
        S_G, S_I, p_2 = self.glucose_effectiveness, self.insulin_sensitivity, self.insulin_action_rate
        G_b, I_b = self.basal_glucose, self.basal_insulin
        return self.State(
            glucose=S_G * (G_b - G) - X * G,
            insulin_action=p_2 * (S_I * (I - I_b) - X),
        )

    def output(self, state, inputs):
        """Glucose is measured in plasma."""
        return self.Output(glucose=state.glucose)
