"""The equations of ICING, the Intensive Control Insulin-Nutrition-Glucose model of critical illness."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Gaussian, Observation
from ...modeling.process import OrnsteinUhlenbeck

_LIN = "transcription of Lin 2011 in mlmulv/Thesis-Code src/icing_true.py"
_CHASE = "comments of ijustlovemath/chase-icing include/ChaseIcing.hpp ('TBME-01160-2016 Table II')"
_MEMORY = "prior or setting of this library, not published"


class LinearSecretion(eqx.Module):
    """Endogenous insulin secretion rising linearly with glucose between two limits, mU/min."""

    slope: float
    offset: float
    lowest: float = 16.7
    highest: float = 266.7

    def __call__(self, G, I):
        """Return secretion in mU/min at glucose `G` (mmol/L) and plasma insulin `I` (mU/L)."""
        return jnp.clip(self.slope * G + self.offset, self.lowest, self.highest)


class ExponentialSecretion(eqx.Module):
    """Endogenous insulin secretion falling with plasma insulin: maximum · exp(-decay · I^power), mU/min."""

    maximum: float = 45.7
    decay: float = 1.0 / 1000.0
    power: float = 1.5

    def __call__(self, G, I):
        """Return secretion in mU/min at glucose `G` (mmol/L) and plasma insulin `I` (mU/L)."""
        return self.maximum * jnp.exp(-self.decay * jnp.maximum(I, 1e-9) ** self.power)


SECRETION_NORMAL = LinearSecretion(14.9, -49.9)  # source: chase-icing, non-diabetic
SECRETION_TYPE_2 = LinearSecretion(4.9, -27.4)  # prior or setting from memory, not published
SECRETION_TYPE_1 = LinearSecretion(0.0, 0.0, lowest=0.0)  # prior or setting from memory, not published
SECRETION_LIN = ExponentialSecretion()  # exp(-I^1.5 / 1000); the intended form of Lin 2011, from memory
SECRETION_THESIS = ExponentialSecretion(
    decay=1.5 / 1000.0, power=1.0
)  # exp(-1.5 I / 1000), as coded in mlmulv/Thesis-Code
SECRETION_MATLAB = ExponentialSecretion(decay=1.0, power=1.5 / 1000.0)  # exp(-I^(1.5/1000)), as coded in a MATLAB file


class AbstractICING(AbstractModel):
    """Glucose, insulin and nutrition of one patient in intensive care: what every ICING has.

    ====== ======================================== ===================================================================
    symbol field                                    equation
    ====== ======================================== ===================================================================
    G      `State.glucose`                          dG/dt = -p_G G - S_I G Q / (1 + a_G Q) + (P + EGP - CNS) / V_G
    Q      `State.interstitial_insulin`             dQ/dt = n_I (I - Q) - n_C Q / (1 + a_G Q)
    I      `State.plasma_insulin`                   dI/dt = -n_K I - n_L I / (1 + a_I I) - n_I (I - Q)
                                                    + u_ex / V_I + (1 - x_L) u_en / V_I
    P_1    `State.stomach_glucose`                  dP_1/dt = -d_1 P_1 + D
    P_2    `State.gut_glucose`                      dP_2/dt = -min(d_2 P_2, P_max) + d_1 P_1
    P                                               P = min(d_2 P_2, P_max) + PN
    ====== ======================================== ===================================================================

    Secretion u_en is an explicit choice: pass one of the `SECRETION_…` values of this module.

    References
    ----------
    .. [1] Lin J et al. A physiological Intensive Control Insulin-Nutrition-Glucose (ICING) model validated in
       critically ill patients. Comput Methods Programs Biomed 2011;102:192-205. Values are cited from code that
       transcribes it.
    """

    time_unit = "min"
    step = 5.0

    class State(eqx.Module):
        """What changes."""

        glucose: Array = quantity("mmol/L", "blood glucose")
        interstitial_insulin: Array = quantity("mU/L", "interstitial insulin")
        plasma_insulin: Array = quantity("mU/L", "plasma insulin")
        stomach_glucose: Array = quantity("mmol", "glucose in the stomach")
        gut_glucose: Array = quantity("mmol", "glucose in the gut")

    class Input(eqx.Module):
        """What is given."""

        insulin: Array = quantity("mU/min", "intravenous insulin")
        enteral_glucose: Array = quantity("mmol/min", "enteral glucose")
        parenteral_glucose: Array = quantity("mmol/min", "parenteral glucose")

    class Output(eqx.Module):
        """What is measured."""

        # Meter CV 5 %: setting, inside the 2-15 % that Wilinska 2008 (PMC2769748) simulates.
        glucose: Array = quantity("mmol/L", "blood glucose", noise=Observation(Gaussian(relative=0.05)))

    insulin_sensitivity: float = parameter(
        dist.LogNormal(-8.05, 0.7),
        unit="L/mU/min",
        source="simulation prior of mlmulv/Thesis-Code config.toml; its motion is a setting of this library",
        about="insulin sensitivity S_I",
        varies=OrnsteinUhlenbeck(sd=0.5, timescale="12 h", every="1 h"),
    )
    endogenous_glucose_production: float = parameter(
        dist.LogNormal(math.log(1.16), 0.2), unit="mmol/min", source=f"{_CHASE}; spread: {_MEMORY}", about="EGP"
    )
    initial_glucose: float = parameter(
        dist.LogNormal(math.log(8.0), 0.4),
        unit="mmol/L",
        source=_MEMORY,
        about="glucose at the origin",
        origin=True,
    )
    initial_insulin: float = parameter(
        dist.LogNormal(0.0, 0.3),
        unit="1",
        source=_MEMORY,
        about="insulin at the origin over its steady state",
        origin=True,
    )
    glucose_clearance: float = parameter(
        dist.LogNormal(math.log(0.006), 0.3), known=True, unit="1/min", source=_CHASE, about="p_G"
    )
    insulin_effect_saturation: float = parameter(
        dist.LogNormal(math.log(1.0 / 65.0), 0.3), known=True, unit="L/mU", source=_CHASE, about="a_G"
    )
    central_glucose_uptake: float = parameter(
        dist.LogNormal(math.log(0.3), 0.2), known=True, unit="mmol/min", source=_CHASE, about="CNS"
    )
    glucose_volume: float = parameter(
        dist.LogNormal(math.log(13.3), 0.2), known=True, unit="L", source=_CHASE, about="V_G"
    )
    insulin_volume: float = parameter(
        dist.LogNormal(math.log(4.0), 0.2), known=True, unit="L", source=_CHASE, about="V_I"
    )
    clearance_saturation: float = parameter(
        dist.LogNormal(math.log(1.7e-3), 0.3), known=True, unit="L/mU", source=_CHASE, about="a_I"
    )
    transcapillary_diffusion: float = parameter(
        dist.LogNormal(math.log(0.0075), 0.4), known=True, unit="1/min", source=_CHASE, about="n_I"
    )
    cellular_degradation: float = parameter(
        dist.LogNormal(math.log(0.0075), 0.4), known=True, unit="1/min", source=_CHASE, about="n_C"
    )
    kidney_clearance: float = parameter(
        dist.LogNormal(math.log(0.0542), 0.3), known=True, unit="1/min", source=_CHASE, about="n_K"
    )
    liver_clearance: float = parameter(
        dist.LogNormal(math.log(0.1578), 0.3), known=True, unit="1/min", source=_CHASE, about="n_L"
    )
    first_pass_extraction: float = parameter(
        dist.LogNormal(math.log(0.67), 0.1), known=True, unit="1", source=_CHASE, about="x_L"
    )
    gastric_emptying: float = parameter(
        dist.LogNormal(math.log(math.log(2) / 20), 0.4), known=True, unit="1/min", source=_CHASE, about="d_1"
    )
    gut_absorption: float = parameter(
        dist.LogNormal(math.log(math.log(2) / 100), 0.4), known=True, unit="1/min", source=_CHASE, about="d_2"
    )
    greatest_absorption: float = parameter(
        dist.LogNormal(math.log(6.11), 0.2), known=True, unit="mmol/min", source=_CHASE, about="P_max"
    )
    secretion_factor: float = parameter(
        dist.LogNormal(0.0, 0.5), known=True, unit="1", source=_MEMORY, about="secretion over its population value"
    )
    secretion: LinearSecretion | ExponentialSecretion = SECRETION_NORMAL

    def initial(self, inputs):
        """Start at the unknown glucose, with insulin and gut in the steady state of the preceding inputs."""
        return self.State(**self._start(inputs))

    def vector_field(self, time, state, inputs):
        """Return the five equations, in the order of the class docstring."""
        return self.State(**self._rates(state, inputs, self.endogenous_glucose_production))

    def output(self, state, inputs):
        """Blood glucose is measured."""
        return self.Output(glucose=state.glucose)

    def _start(self, inputs):
        d_1, d_2, P_max, D = (
            self.gastric_emptying,
            self.gut_absorption,
            self.greatest_absorption,
            inputs.enteral_glucose,
        )
        I, Q = self._steady_insulin(self.initial_glucose, inputs.insulin)
        return {
            "glucose": jnp.asarray(self.initial_glucose),
            "interstitial_insulin": Q * self.initial_insulin,
            "plasma_insulin": I * self.initial_insulin,
            "stomach_glucose": D / d_1,
            "gut_glucose": jnp.minimum(D, P_max) / d_2,
        }

    def _rates(self, state, inputs, EGP):
        """Return the five equations, in the order of the class docstring, where the liver makes `EGP` (mmol/min)."""
        G, Q, I = state.glucose, state.interstitial_insulin, state.plasma_insulin
        P_1, P_2 = state.stomach_glucose, state.gut_glucose
        S_I, p_G, a_G, V_G = (
            self.insulin_sensitivity,
            self.glucose_clearance,
            self.insulin_effect_saturation,
            self.glucose_volume,
        )
        n_I, d_1, CNS = self.transcapillary_diffusion, self.gastric_emptying, self.central_glucose_uptake
        effect = Q / (1 + a_G * Q)
        absorbed = jnp.minimum(self.gut_absorption * P_2, self.greatest_absorption)
        P = absorbed + inputs.parenteral_glucose
        return {
            "glucose": -p_G * G - S_I * G * effect + (P + EGP - CNS) / V_G,
            "interstitial_insulin": n_I * (I - Q) - self.cellular_degradation * effect,
            "plasma_insulin": self._appearance(G, I, inputs.insulin) - self._clearance(I) - n_I * (I - Q),
            "stomach_glucose": -d_1 * P_1 + inputs.enteral_glucose,
            "gut_glucose": -absorbed + d_1 * P_1,
        }

    def _clearance(self, I):
        return self.kidney_clearance * I + self.liver_clearance * I / (1 + self.clearance_saturation * I)

    def _appearance(self, G, I, u_ex):
        u_en = self.secretion_factor * self.secretion(G, I)
        return (u_ex + (1 - self.first_pass_extraction) * u_en) / self.insulin_volume

    def _interstitial(self, I):
        """Solve n_I (I - Q) (1 + a_G Q) = n_C Q for Q, the positive root."""
        n_I, n_C, a_G = self.transcapillary_diffusion, self.cellular_degradation, self.insulin_effect_saturation
        b = n_I * a_G * I - n_I - n_C
        return (b + jnp.sqrt(b**2 + 4 * n_I**2 * a_G * I)) / (2 * n_I * a_G)

    def _steady_insulin(self, G, u_ex):
        """Solve dI/dt = dQ/dt = 0 by Newton's method in log I; the last step carries the gradient."""

        def imbalance(log_I):
            I = jnp.exp(log_I)
            return (
                self._appearance(G, I, u_ex)
                - self._clearance(I)
                - self.transcapillary_diffusion * (I - self._interstitial(I))
            )

        def newton(log_I):
            slope = lax.stop_gradient(jax.grad(imbalance)(log_I))
            return jnp.clip(log_I - jnp.clip(imbalance(log_I) / slope, -1.0, 1.0), -12.0, 12.0)

        start = jnp.zeros_like(jnp.asarray(G, float)) + 2.0
        found = lax.stop_gradient(lax.fori_loop(0, 25, lambda _, x: newton(x), start))
        log_I = newton(found)
        I = jnp.exp(log_I)
        return I, self._interstitial(I)
