"""Gas exchange of the ventilated lung: shunt, uneven ventilation, and the body's stores of carbon dioxide."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Gaussian, Observation
from .blood import acidity, find_root, oxygen_content, oxygen_pressure, saturation

_MEMORY = "prior or setting of this library, not published"
GAS = 0.863  # mmHg L/mL: 1 mL/min STPD in 1 L/min BTPS
WATER = 47.0  # mmHg of water vapor at 37 °C
PERFUSED = 0.9  # share of the perfusion that is not shunted in the better compartment
_BELOW_ZERO = 0.1  # mL/dL per mmHg, about the slope at zero


def _shunt_prior(model):
    """Return the prior of the shunt; a function, because building a Beta distribution makes arrays."""
    return dist.Beta(2.0, 6.0)


class Gases(eqx.Module):
    """What the lung makes of one instant's settings.

    Attributes
    ----------
    alveolar : (2,) mmHg, oxygen in the compartments with 10 and 90 % of the perfusion that is not shunted
    arterial : () mmHg, oxygen
    saturation : () arterial, a fraction
    venous_content, arterial_content : () mL/dL, oxygen
    pH : () arterial
    """

    alveolar: Array
    arterial: Array
    saturation: Array
    venous_content: Array
    arterial_content: Array
    pH: Array


class GasExchange(AbstractModel):
    """Shunt, two compartments of ventilation and perfusion, and two stores of carbon dioxide.

    ======== ====================================== ====================================================================
    symbol   field                                  equation
    ======== ====================================== ====================================================================
    P_c      `State.carbon_dioxide`                 V_f dP_c/dt = 0.863 VCO2 - V_A P_c - k (P_c - P_s)
    P_s      `State.tissue_carbon_dioxide`          V_s dP_s/dt = k (P_c - P_s)
    P_i      oxygen of compartment i                V_i (F (P_B - 47 - P_c) - P_i) = (1 - F) 8.63 Q_i (C(P_i) - C_v)
    C_v      mixed venous oxygen content            C_v = C_c' - VO2 / (10 Q_t (1 - s)), C_c' = .1 C(P_1) + .9 C(P_2)
    C_a      arterial oxygen content                C_a = (1 - s) C_c' + s C_v
    pH                                              Henderson and Hasselbalch, at the patient's base excess
    ======== ====================================== ====================================================================

    The equation of P_i is the balance of oxygen and nitrogen in one compartment; with one compartment it *is* the
    alveolar gas equation, and at F = 1 it leaves only carbon dioxide and water beside the oxygen. Compartment 2 has 90
    % of the perfusion that is not shunted and the fraction `matched_ventilation` (fA2) of the ventilation: 0.9 is a
    lung without mismatch, which is what is known until `model.free("matched_ventilation")`. Oxygen is quasi-steady: a
    change of F is through within minutes, so measurements from the first minutes after one do not belong in a record.
    Carbon dioxide is the same in both compartments and in arterial blood: what shunt adds to it counts as dead space.
    `cardiac_output` and `hemoglobin` left at zero (not given) stand at their typical values.

    References
    ----------
    .. [1] Karbing DS et al. Variation in the PaO2/FiO2 ratio with FiO2: mathematical and experimental description, and
       clinical relevance. Crit Care 2007;11:R118. doi:10.1186/cc6174. The two-parameter form is from memory.
    """

    time_unit = "min"
    step = 1.0

    class State(eqx.Module):
        """What changes slowly."""

        carbon_dioxide: Array = quantity("mmHg", "carbon dioxide of lung and blood")
        tissue_carbon_dioxide: Array = quantity("mmHg", "carbon dioxide of the slow tissues")

    class Input(eqx.Module):
        """What is set or measured elsewhere."""

        inspired_oxygen: Array = quantity("1", "inspired oxygen fraction")
        alveolar_ventilation: Array = quantity("L/min", "alveolar ventilation")
        cardiac_output: Array = quantity("L/min", "cardiac output; zero where not given", default=0.0)
        hemoglobin: Array = quantity("g/dL", "hemoglobin; zero where not given", default=0.0)

    class Output(eqx.Module):
        """What is measured; the sizes of the noises are settings."""

        arterial_oxygen: Array = quantity("mmHg", "PaO2", noise=Observation(Gaussian(relative=0.04)))
        # A pulse oximeter reads within 2 % points (SD), whole ones, and never above 100.
        pulse_saturation: Array = quantity(
            "%", "SpO2", noise=Observation(Gaussian(additive=2.0), upper=100.0, resolution=1.0)
        )
        arterial_carbon_dioxide: Array = quantity("mmHg", "PaCO2", noise=Observation(Gaussian(relative=0.03)))
        arterial_pH: Array = quantity("1", "arterial pH", noise=Observation(Gaussian(additive=0.01)))

    shunt: float = parameter(_shunt_prior, value=0.2, unit="1", source=_MEMORY, about="shunt fraction s")
    carbon_dioxide_production: float = parameter(
        dist.LogNormal(math.log(200.0), 0.2), unit="mL/min", source=_MEMORY, about="VCO2, STPD"
    )
    base_excess: float = parameter(dist.Normal(0.0, 5.0), unit="mmol/L", source=_MEMORY, about="standard base excess")
    matched_ventilation: float = parameter(
        dist.Uniform(0.1, 0.92),
        value=0.9,
        known=True,
        unit="1",
        source=_MEMORY,
        about="fA2: ventilation of the compartment with 90 % of the perfusion",
    )
    oxygen_per_carbon_dioxide: float = parameter(
        dist.LogNormal(math.log(1.25), 0.1), known=True, unit="1", source=_MEMORY, about="1 / respiratory quotient"
    )
    typical_cardiac_output: float = parameter(
        dist.LogNormal(math.log(5.5), 0.25), known=True, unit="L/min", source=_MEMORY, about="Q_t where not given"
    )
    typical_hemoglobin: float = parameter(
        dist.LogNormal(math.log(11.0), 0.2), known=True, unit="g/dL", source=_MEMORY, about="Hb where not given"
    )
    fast_store: float = parameter(
        dist.LogNormal(math.log(15.0), 0.3), known=True, unit="L", source=_MEMORY, about="V_f, as a volume of gas"
    )
    slow_store: float = parameter(
        dist.LogNormal(math.log(60.0), 0.3), known=True, unit="L", source=_MEMORY, about="V_s, as a volume of gas"
    )
    store_exchange: float = parameter(
        dist.LogNormal(math.log(3.0), 0.3), known=True, unit="L/min", source=_MEMORY, about="k between the stores"
    )
    barometric_pressure: float = parameter(
        dist.Normal(760.0, 15.0), known=True, unit="mmHg", source="setting: sea level", about="P_B"
    )

    def initial(self, inputs):
        """Start in the steady state of the preceding ventilation; one below 1 L/min counts as 1 L/min."""
        steady = GAS * self.carbon_dioxide_production / jnp.maximum(inputs.alveolar_ventilation, 1.0)
        return self.State(carbon_dioxide=steady, tissue_carbon_dioxide=steady)

    def vector_field(self, time, state, inputs):
        """Return the balance of the two stores."""
        P_c, P_s = state.carbon_dioxide, state.tissue_carbon_dioxide
        exchange = self.store_exchange * (P_c - P_s)
        produced = GAS * self.carbon_dioxide_production
        return self.State(
            carbon_dioxide=(produced - inputs.alveolar_ventilation * P_c - exchange) / self.fast_store,
            tissue_carbon_dioxide=exchange / self.slow_store,
        )

    def output(self, state, inputs):
        """Return what a blood gas and a pulse oximeter would read."""
        gases = self.gases(
            state.carbon_dioxide,
            inputs.inspired_oxygen,
            inputs.alveolar_ventilation,
            inputs.cardiac_output,
            inputs.hemoglobin,
        )
        return self.Output(
            arterial_oxygen=gases.arterial,
            pulse_saturation=100.0 * gases.saturation,
            arterial_carbon_dioxide=jnp.asarray(state.carbon_dioxide),
            arterial_pH=gases.pH,
        )

    def gases(self, carbon_dioxide, inspired_oxygen, alveolar_ventilation, cardiac_output=0.0, hemoglobin=0.0) -> Gases:
        """Solve the oxygen balance of the two compartments at one arterial carbon dioxide pressure.

        Parameters
        ----------
        carbon_dioxide : () mmHg
        inspired_oxygen : () fraction
        alveolar_ventilation : () L/min
        cardiac_output : () L/min
        hemoglobin : () g/dL

        Returns
        -------
        Gases
        """
        P_c = jnp.clip(carbon_dioxide, 1.0, 400.0)
        pH = acidity(P_c, self.base_excess)
        Q_t = jnp.where(cardiac_output > 0, cardiac_output, self.typical_cardiac_output)
        Hb = jnp.where(hemoglobin > 0, hemoglobin, self.typical_hemoglobin)
        blood = {"pH": pH, "carbon_dioxide": P_c}
        unshunted = 10.0 * Q_t * (1.0 - self.shunt)
        consumed = self.carbon_dioxide_production * self.oxygen_per_carbon_dioxide
        shares = jnp.array([1.0 - PERFUSED, PERFUSED])
        better = self.matched_ventilation
        ventilation = jnp.maximum(alveolar_ventilation, 0.1) * jnp.stack([1.0 - better, better])
        F = jnp.clip(inspired_oxygen, 0.0, 1.0)
        available = F * (self.barometric_pressure - WATER - P_c)

        def content(P):
            """Return the content, continued below zero so that a patient who breathes no oxygen has a solution too."""
            return oxygen_content(jnp.maximum(P, 0.0), Hb, **blood) + _BELOW_ZERO * jnp.minimum(P, 0.0)

        uptake = (1.0 - F) * GAS * unshunted * shares / ventilation
        alveolar, C_v = _balance(content, available, uptake, shares, consumed / unshunted)
        C_c = jnp.sum(shares * content(alveolar))
        C_a = (1.0 - self.shunt) * C_c + self.shunt * C_v
        arterial = oxygen_pressure(C_a, Hb, **blood)
        return Gases(alveolar, arterial, saturation(arterial, **blood), C_v, C_a, pH)


def _balance(content, available, uptake, shares, difference):
    """Solve for the two alveolar pressures and the venous content that close the balance of oxygen.

    With u_i = C(P_i) - C_v, what compartment i gives each dL of its blood, P_i = available - uptake_i u_i, the shares
    of u_i add up to the arteriovenous difference over what is not shunted, and C(P_i) - u_i is the same C_v for both:
    one equation in u_1, whose two sides run against each other, so that it has one root.
    """

    def second(u_1):
        return (difference - shares[0] * u_1) / shares[1]

    def venous(u, i):
        return content(available - uptake[i] * u) - u

    u_1 = find_root(lambda u: venous(second(u), 1) - venous(u, 0), -1e4, 1e4)
    u = jnp.stack([u_1, second(u_1)])
    return available - uptake * u, venous(u_1, 0)
