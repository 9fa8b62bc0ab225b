"""Norepinephrine and vasopressin: from infusion rates to plasma, vascular resistance and unstressed volume."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, covariate, parameter, quantity
from ...modeling.observation import Multiplicative, Observation

_MEMORY = "prior or setting of this library, not published"
_BELOEIL = "doi:10.1093/bja/aei259, abstract"
MOLAR_MASS = 169.18  # ug/umol: 1 nmol/L is 0.16918 ug/L


class Kinetics(eqx.Module):
    """How a population handles norepinephrine, at a body weight, a severity and an age.

    Attributes
    ----------
    volume : L, central, at the reference weight
    clearance : L/min, at the reference weight, severity and age
    release : ug/min, endogenous, at the reference weight
    reference_weight : kg
    volume_power, clearance_power : exponents of weight
    severity_power : exponent of SAPS II over 20; zero where severity was not studied
    age_slope : 1/year, fall of the log clearance with age above 35
    exchange : L/min, with a second compartment; zero where there is none
    second_volume : L
    absorption : 1/min, from the cannula to the central compartment; None where it is immediate
    """

    volume: float
    clearance: float
    release: float = 0.0
    reference_weight: float = 70.0
    volume_power: float = 0.0
    clearance_power: float = 0.0
    severity_power: float = 0.0
    age_slope: float = 0.0
    exchange: float = 0.0
    second_volume: float = 1.0
    absorption: float | None = None

    def volumes(self, weight):
        """Return the two volumes in L at a body weight in kg."""
        scale = (weight / self.reference_weight) ** self.volume_power
        return self.volume * scale, self.second_volume * scale

    def clear(self, weight, severity, age):
        """Return the clearance in L/min at weight (kg), SAPS II and age (year)."""
        scaled = self.clearance * (weight / self.reference_weight) ** self.clearance_power
        return scaled * (severity / 20.0) ** self.severity_power * jnp.exp(-self.age_slope * (age - 35.0))

    def released(self, weight):
        """Return the endogenous release in ug/min."""
        return self.release * (weight / self.reference_weight) ** self.clearance_power


# Clearance 3 L/min at SAPS II 20 and 0.9 L/min at 60, volume 8.84 L: doi:10.1093/bja/aei259, abstract, and peers' code.
# A power of SAPS II joins the two points: the form is this library's, as in Abboud's model of epinephrine. The release
# was not among the numbers read; it is left out.
BELOEIL = Kinetics(volume=8.84, clearance=3.0, severity_power=math.log(0.9 / 3.0) / math.log(60.0 / 20.0))
# 6.6 L/h/kg^0.75, 3.12 ug/h/kg^0.75, 0.08 L/kg: doi:10.1111/bcp.12412, Table 2, as nlmixr2lib transcribes it.
OUALHA = Kinetics(
    volume=0.08,
    clearance=6.6 / 60.0,
    release=3.12 / 60.0,
    reference_weight=1.0,
    volume_power=1.0,
    clearance_power=0.75,
)
# Vc 0.49 L and rate constants of a public re-implementation of Joachim 2024 that labels them per hour. They are per
# second: kel Vc is then 1.47 L/min, a clearance that exists. ka 0.02, k12 0.06, k21 0.04, kel 0.05 per second;
# C_endo 0.81 nmol/L.
JOACHIM = Kinetics(
    volume=0.49,
    clearance=0.05 * 60.0 * 0.49,
    release=0.81 * MOLAR_MASS / 1000.0 * 0.05 * 60.0 * 0.49,
    exchange=0.06 * 60.0 * 0.49,
    second_volume=0.49 * 0.06 / 0.04,
    absorption=0.02 * 60.0,
)
# V1 2.4 L, CL 2.1 L/min, V2 3.6 L, Q 0.6 L/min, release 0.4977 ug/min at 70 kg and 35 years, awake: Clin Pharmacokinet
# 2024;63:1597, through AnaSim's pk_models.
LI = Kinetics(
    volume=2.4,
    clearance=2.1,
    release=0.4977,
    clearance_power=0.75,
    age_slope=0.00344,
    exchange=0.6,
    second_volume=3.6,
)
# The pressor response in sepsis over that before, 39 of 84 mmHg: Martin 1990 and Bellissant 2000, abstracts.
SEPTIC_RESPONSIVENESS = 39.0 / 84.0


class Norepinephrine(AbstractModel):
    """Kinetics of norepinephrine, its Emax effect on resistance and on unstressed volume, and vasopressin beside it.

    ====== ==================================== ====================================================================
    symbol field                                equation
    ====== ==================================== ====================================================================
    D      `State.depot`                        dD/dt = R - ka D; without absorption ka D = R
    C      `State.plasma`                       V1 dC/dt = ka D + release - CL C - Q (C - C_2)
    C_2    `State.peripheral`                   V2 dC_2/dt = Q (C - C_2)
    C_e    `State.effect_site`                  dC_e/dt = ke0 (C - C_e); used where `delayed`, else C_e = C
    U      `State.vasopressin`                  dU/dt = k (vasopressin - U), a rate that has reached its effect
    E      effect                               E = C_e^g / (C50^g + C_e^g), less the same at the endogenous level
    rise   `Output.pressure_rise`               responsiveness greatest_rise E: at constant flow and venous pressure
    R/R_0  `Output.resistance_factor`           (1 + rise / driving_pressure) (1 + greatest_vasopressin U / (U50 + U))
    dV_u   `Output.unstressed_change`           -responsiveness greatest_venous E
    ====== ==================================== ====================================================================

    `Norepinephrine.beloeil()`, `oualha()`, `joachim()` and `li()` are the published populations; the default values are
    Beloeil's. `responsiveness` is what down-regulation has left: 1 in the population that the numbers come from. A
    model of volunteers becomes a septic one with `fix(responsiveness=SEPTIC_RESPONSIVENESS)`; Beloeil's and Oualha's
    patients were in shock, so that theirs is inside already. Vasopressin acts through other receptors: it is not
    down-regulated here. Everything about vasopressin and the venous effect is a setting.

    References
    ----------
    .. [1] Beloeil H et al. Norepinephrine kinetics and dynamics in septic shock and trauma patients. Br J Anaesth
       2005;95:782-788. doi:10.1093/bja/aei259.
    .. [2] Oualha M et al. Br J Clin Pharmacol 2014;78:886-897. doi:10.1111/bcp.12412.
    .. [3] Martin C et al. 1990, and Bellissant E, Annane D 2000: the pressor response in sepsis, abstracts.
    """

    time_unit = "min"
    step = 0.1

    class State(eqx.Module):
        """What changes."""

        depot: Array = quantity("ug", "norepinephrine on its way to the circulation")
        plasma: Array = quantity("ug/L", "norepinephrine in plasma")
        peripheral: Array = quantity("ug/L", "norepinephrine in the second compartment")
        effect_site: Array = quantity("ug/L", "norepinephrine where it acts")
        vasopressin: Array = quantity("U/min", "vasopressin rate that has reached its effect")

    class Input(eqx.Module):
        """What is given."""

        norepinephrine: Array = quantity("ug/min", "norepinephrine, as base")
        vasopressin: Array = quantity("U/min", "vasopressin")

    class Output(eqx.Module):
        """What it does."""

        # Spread of the assay: setting.
        plasma_norepinephrine: Array = quantity(
            "ug/L", "norepinephrine in plasma", noise=Observation(Multiplicative(0.25))
        )
        resistance_factor: Array = quantity("1", "systemic resistance over that without the drugs")
        unstressed_change: Array = quantity("mL", "unstressed volume less that without the drugs; negative")
        pressure_rise: Array = quantity("mmHg", "rise of mean pressure by norepinephrine at constant flow")

    clearance_factor: float = parameter(
        dist.LogNormal(0.0, 0.5), unit="1", source=_MEMORY, about="clearance over the population's at this severity"
    )
    responsiveness: float = parameter(
        dist.LogNormal(0.0, 0.4), unit="1", source=_MEMORY, about="effect that down-regulation has left"
    )
    half_effect: float = parameter(
        dist.LogNormal(math.log(7.04), 0.4), unit="ug/L", source=f"{_BELOEIL}; spread: {_MEMORY}", about="C50"
    )
    greatest_rise: float = parameter(
        dist.LogNormal(math.log(98.7), 0.3),
        known=True,
        unit="mmHg",
        source=f"{_BELOEIL}; spread: {_MEMORY}",
        about="Emax of mean pressure at constant flow",
    )
    steepness: float = parameter(
        dist.LogNormal(math.log(1.8), 0.2),
        known=True,
        unit="1",
        source=f"{_BELOEIL}; spread: {_MEMORY}",
        about="exponent g of the concentration",
    )
    release_factor: float = parameter(
        dist.LogNormal(0.0, 0.5), known=True, unit="1", source=_MEMORY, about="endogenous release over the population's"
    )
    driving_pressure: float = parameter(
        dist.LogNormal(math.log(50.0), 0.2),
        known=True,
        unit="mmHg",
        source=_MEMORY,
        about="mean arterial less venous pressure without the drugs",
    )
    greatest_venous: float = parameter(
        dist.LogNormal(math.log(500.0), 0.4),
        known=True,
        unit="mL",
        source=_MEMORY,
        about="unstressed volume recruited at full effect",
    )
    effect_rate: float = parameter(
        dist.LogNormal(math.log(0.4), 0.5),
        known=True,
        unit="1/min",
        source=f"comments of AnaSim pk_models, ke0 of Li's population; spread: {_MEMORY}",
        about="ke0 of the effect site, where `delayed`",
    )
    vasopressin_rate: float = parameter(
        dist.LogNormal(math.log(math.log(2) / 10.0), 0.4),
        known=True,
        unit="1/min",
        source=_MEMORY,
        about="turnover of vasopressin's effect",
    )
    greatest_vasopressin: float = parameter(
        dist.LogNormal(math.log(0.4), 0.4),
        known=True,
        unit="1",
        source=_MEMORY,
        about="greatest rise of resistance by vasopressin, a fraction",
    )
    half_vasopressin: float = parameter(
        dist.LogNormal(math.log(0.04), 0.5), known=True, unit="U/min", source=_MEMORY, about="U50"
    )
    weight: float = covariate("kg", value=70.0)
    age: float = covariate("year", value=60.0)
    saps: float = covariate("1", value=45.0)
    kinetics: Kinetics = BELOEIL
    delayed: bool = eqx.field(static=True, default=False)

    @classmethod
    def beloeil(cls, **values):
        """Return 12 patients in septic shock and 11 with trauma: CL by SAPS II, Emax 98.7 mmHg, C50 7.04 ug/L."""
        return cls(**values)

    @classmethod
    def oualha(cls, organ_failures: int = 3, **values):
        """Return 38 hypotensive children: Emax 32 mmHg, or 12 mmHg with four organ failures or more; C50 4.11 ug/L."""
        failing = organ_failures >= 4
        # MAP without the drug 34 mmHg at nine months after conception (Table 3), less a venous pressure of 4 (setting).
        published = {
            "kinetics": OUALHA,
            "greatest_rise": 12.0 if failing else 32.0,
            "half_effect": 4.11,
            "steepness": 1.0,
            "driving_pressure": 30.0,
            "greatest_venous": 50.0,  # setting, for a child of 7 kg
            "weight": 6.7,
            "age": 0.6,
        }
        return cls(**{**published, **values})

    @classmethod
    def joachim(cls, **values):
        """Return 32 patients under anesthesia, low doses: E0 57.09 and Emax 113.52 mmHg, EC50 15.7 nmol/L."""
        published = {
            "kinetics": JOACHIM,
            "greatest_rise": 113.52 - 57.09,
            "half_effect": 15.7 * MOLAR_MASS / 1000.0,
            "steepness": 1.0,
            "driving_pressure": 55.0,  # MAP 59.9 at the endogenous level, less a venous pressure of 5 (setting)
        }
        return cls(**{**published, **values})

    @classmethod
    def li(cls, driving_pressure: float = 85.0, **values):
        """Return 36 awake volunteers: resistance rises by up to 175 %, C50 25 ug/L, ke0 0.4/min (AnaSim's own values).

        The driving pressure of healthy volunteers is a setting; only the rise of pressure depends on it, not that of
        resistance.
        """
        published = {
            "kinetics": LI,
            "greatest_rise": 1.75 * driving_pressure,
            "half_effect": 25.0,
            "steepness": 1.0,
            "driving_pressure": driving_pressure,
            "delayed": True,
            "age": 35.0,
        }
        return cls(**{**published, **values})

    def clearance(self):
        """Return the clearance of this patient, L/min."""
        return self.clearance_factor * self.kinetics.clear(self.weight, self.saps, self.age)

    def endogenous(self):
        """Return the plasma concentration without an infusion, ug/L."""
        return self.release_factor * self.kinetics.released(self.weight) / self.clearance()

    def initial(self, inputs):
        """Start in the steady state of the rates just before."""
        K, R = self.kinetics, inputs.norepinephrine
        C = self._settled(R)
        return self.State(
            depot=jnp.zeros_like(C) if K.absorption is None else R / K.absorption,
            plasma=C,
            peripheral=C,
            effect_site=C,
            vasopressin=jnp.asarray(inputs.vasopressin),
        )

    def vector_field(self, time, state, inputs):
        """Return the equations in the order of the class docstring."""
        K, D, R = self.kinetics, state.depot, inputs.norepinephrine
        V1, V2 = K.volumes(self.weight)
        C, C_2 = state.plasma, state.peripheral
        arriving = R if K.absorption is None else K.absorption * D
        exchanged = K.exchange * (C - C_2)
        return self.State(
            depot=jnp.zeros_like(D) if K.absorption is None else R - arriving,
            plasma=(self.clearance() * (self._settled(arriving) - C) - exchanged) / V1,
            peripheral=exchanged / V2,
            effect_site=self.effect_rate * (C - state.effect_site),
            vasopressin=self.vasopressin_rate * (inputs.vasopressin - state.vasopressin),
        )

    def _settled(self, rate):
        """Return the concentration that a lasting rate (ug/min) leads to, ug/L."""
        return self.endogenous() + rate / self.clearance()

    def effect(self, concentration):
        """Return the share of the greatest effect at a concentration (ug/L)."""
        # Never zero: the slope of a power at zero is not a number.
        raised = (jnp.maximum(concentration, 1e-9) / self.half_effect) ** self.steepness
        return raised / (1.0 + raised)

    def output(self, state, inputs):
        """Return concentration and effects, the latter over those of the endogenous level."""
        C = state.plasma
        acting = state.effect_site if self.delayed else C
        E = self.responsiveness * (self.effect(acting) - self.effect(self.endogenous()))
        U = jnp.maximum(state.vasopressin, 0.0)
        by_vasopressin = self.greatest_vasopressin * U / (self.half_vasopressin + U)
        rise = self.greatest_rise * E
        return self.Output(
            plasma_norepinephrine=C,
            resistance_factor=(1.0 + rise / self.driving_pressure) * (1.0 + by_vasopressin),
            unstressed_change=-self.greatest_venous * E,
            pressure_rise=rise,
        )
