"""ICING for a bedside chart: contents of feeds unknown, production suppressed, glucose lost, what nobody charted."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import parameter, quantity
from ...modeling.observation import Observation, StudentT
from ...modeling.process import OrnsteinUhlenbeck
from .insulin_nutrition import AbstractICING

_MEMORY = "prior or setting of this library, not published"
_DALLA_MAN = "comments of gcherubini23/no-fear-for-diabetes MATLAB/parameters.m (Dalla Man 2007)"
_REFERENCE_GLUCOSE, _REFERENCE_INSULIN = 8.0, 8.0  # mmol/L, mU/L interstitial: where EGP is quoted; settings
_SPLAY = 1.0  # mmol/L over which nephrons begin to lose glucose; a setting


class ChartedICING(AbstractICING):
    """Glucose, insulin and nutrition of one patient in intensive care, as far as a bedside chart tells of them.

    The equations of `AbstractICING`, with what a chart and the published equations leave out:

    ====== ============================= ===========================================================================
    symbol field                         equation
    ====== ============================= ===========================================================================
    c      `nutrition_content`           D and PN are c times what was charted
    EGP    production                    EGP = EGP_0 (8 / G)^g (1 + 8 / Q_h) / (1 + Q / Q_h)
    U_G    lost in urine                 U_G = k_U s log(1 + exp((G - G_U) / s)), s = 1 mmol/L
    S_1    `State.depot_insulin`         dS_1/dt = u_sc - S_1 / t_s
    S_2    `State.absorbing_insulin`     dS_2/dt = (S_1 - S_2) / t_s
    u_ex                                 u_ex = u_iv + S_2 / t_s
    r      `unexplained_ratio`           measured around r G; returns to the patient's own level within hours
    ====== ============================= ===========================================================================

    dG/dt is that of `AbstractICING` less U_G / V_G. EGP_0 is the production at a glucose of 8 mmol/L and an
    interstitial insulin of 8 mU/L. r stands for meals nobody charted, drugs, drips that stood still and blood drawn
    beside a drip: with it, a surprising value moves the next hours and not what is believed about the patient.

    Insulin under the skin is taken as rapid-acting whatever its name: two compartments in series.
    """

    time_unit = "min"
    step = 5.0

    class State(AbstractICING.State):
        """What changes."""

        depot_insulin: Array = quantity("mU", "insulin under the skin")
        absorbing_insulin: Array = quantity("mU", "insulin on its way from the skin to the blood")

    class Input(AbstractICING.Input):
        """What is given."""

        subcutaneous_insulin: Array = quantity("mU/min", "subcutaneous insulin")

    class Output(eqx.Module):
        """What is measured."""

        # Repeats within 25 min differ by 6 to 7 %, with tails, in charts; df is a setting.
        glucose: Array = quantity(
            "mmol/L",
            "blood glucose",
            noise=Observation(StudentT(relative=dist.LogNormal(math.log(0.06), 0.4), df=4.0)),
        )

    insulin_sensitivity: float = parameter(
        dist.LogNormal(-8.05, 1.0),
        unit="L/mU/min",
        source="center: simulation prior of mlmulv/Thesis-Code config.toml; width and motion: settings of this library",
        about="insulin sensitivity S_I",
        varies=OrnsteinUhlenbeck(sd=dist.LogNormal(math.log(0.4), 0.5), timescale="12 h", every="1 h"),
    )
    endogenous_glucose_production: float = parameter(
        dist.LogNormal(math.log(1.16), 0.6),
        unit="mmol/min",
        source=f"center: comments of ijustlovemath/chase-icing include/ChaseIcing.hpp; width: {_MEMORY}",
        about="EGP_0: production at a glucose of 8 mmol/L and an interstitial insulin of 8 mU/L",
    )
    initial_glucose: float = parameter(
        dist.LogNormal(math.log(9.0), 0.6),
        unit="mmol/L",
        source=_MEMORY,
        about="glucose at the origin",
        origin=True,
    )
    secretion_factor: float = parameter(
        dist.LogNormal(0.0, 0.7), unit="1", source=_MEMORY, about="secretion over its population value"
    )
    nutrition_content: float = parameter(
        dist.LogNormal(0.0, 0.6), unit="1", source=_MEMORY, about="c: glucose in feeds over what was read of them"
    )
    unexplained_ratio: float = parameter(
        dist.LogNormal(0.0, 0.05),
        unit="1",
        source=f"{_MEMORY}, and so is its motion",
        about="r: blood glucose over that of the equations",
        varies=OrnsteinUhlenbeck(sd=dist.LogNormal(math.log(0.2), 0.5), timescale="4 h", every="1 h"),
    )
    suppression_by_glucose: float = parameter(
        dist.LogNormal(math.log(0.3), 0.5),
        known=True,
        unit="1",
        source=f"{_MEMORY}; the linear k_p2 of {_DALLA_MAN} takes a quarter off when glucose doubles",
        about="g: exponent with which production falls with glucose",
    )
    suppressing_insulin: float = parameter(
        dist.LogNormal(math.log(60.0), 0.5),
        known=True,
        unit="mU/L",
        source=f"{_MEMORY}; the liver of the critically ill resists",
        about="Q_h: interstitial insulin that halves production",
    )
    renal_threshold: float = parameter(
        dist.LogNormal(math.log(10.0), 0.1),
        known=True,
        unit="mmol/L",
        source=f"{_DALLA_MAN}: k_e2 339 mg/kg in 1.88 dL/kg; spread: {_MEMORY}",
        about="G_U: glucose above which it is lost in urine",
    )
    renal_clearance: float = parameter(
        dist.LogNormal(math.log(0.04), 0.7),
        known=True,
        unit="L/min",
        source=f"{_MEMORY}; between 0.007 of {_DALLA_MAN} at 70 kg and a filtration of 0.1 in "
        "comments of salomeblum/BAT-Glukose-Insulin MATLAB/parameter_v1.m",
        about="k_U: clearance of glucose above the threshold",
    )
    absorption_time: float = parameter(
        dist.LogNormal(math.log(55.0), 0.3),
        known=True,
        unit="min",
        source=f"{_MEMORY}; of rapid-acting insulin",
        about="t_s: time constant of each of the two steps from skin to blood",
    )

    def initial(self, inputs):
        """Start as the published model does, with the skin in the steady state of the preceding inputs."""
        under = inputs.subcutaneous_insulin * self.absorption_time
        start = self._start(self._given(inputs, inputs.subcutaneous_insulin))
        return self.State(**start, depot_insulin=under, absorbing_insulin=under)

    def vector_field(self, time, state, inputs):
        """Return the published equations under what was really given, and the two of the skin."""
        S_1, S_2, t_s = state.depot_insulin, state.absorbing_insulin, self.absorption_time
        made = self._production(state.glucose, state.interstitial_insulin) - self._lost(state.glucose)
        rates = self._rates(state, self._given(inputs, S_2 / t_s), made)
        return self.State(
            **rates,
            depot_insulin=inputs.subcutaneous_insulin - S_1 / t_s,
            absorbing_insulin=(S_1 - S_2) / t_s,
        )

    def output(self, state, inputs):
        """Blood glucose is measured: the equations' and what they do not explain."""
        return self.Output(glucose=self.unexplained_ratio * state.glucose)

    def _given(self, inputs, absorbed):
        """Return what reached the patient, in the terms of the published equations."""
        c = self.nutrition_content
        return AbstractICING.Input(
            insulin=inputs.insulin + absorbed,
            enteral_glucose=c * inputs.enteral_glucose,
            parenteral_glucose=c * inputs.parenteral_glucose,
        )

    def _production(self, G, Q):
        by_glucose = jnp.exp(-self.suppression_by_glucose * jnp.log(jnp.maximum(G, 0.1) / _REFERENCE_GLUCOSE))
        Q_h = self.suppressing_insulin
        return self.endogenous_glucose_production * by_glucose * (Q_h + _REFERENCE_INSULIN) / (Q_h + Q)

    def _lost(self, G):
        return self.renal_clearance * _SPLAY * jax.nn.softplus((G - self.renal_threshold) / _SPLAY)
