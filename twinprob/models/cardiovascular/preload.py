"""The circulation at the bedside: venous return meets a heart whose output saturates, with an optional baroreflex."""

import math
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from ...modeling.model import AbstractModel, parameter, quantity
from ...modeling.observation import Contaminated, Gaussian, Observation
from ..respiratory.blood import find_root

_MEMORY = "prior or setting of this library, not published"
_WATER = 0.73556  # mmHg per cmH2O
_INSPIRATION = 1.0 / 3.0  # part of a breath, setting
_LEAST = 0.05  # mmHg: an empty circulation keeps this much, so that every patient has a solution
_FLUID = 250.0  # mL, of the bolus that `Output.fluid_response` answers
_FLUSHED, _WIDER = 0.02, 10.0  # share of arterial pressures that are artefacts, and how much wider these err; settings


# Center and SD of the logarithm over 24 patients of a study of ventilator settings (data set `ppv-fluid-response`), ten
# settings each, learned by empirical Bayes: what line 08.7 of the validation learns without each of them.
_OWN_BREATH = {"yielding_volume": (2.05, 0.4), "breath_delay": (0.0043, 0.5)}  # L, min


class Flow(NamedTuple):
    """Where venous return and the heart agree.

    Attributes
    ----------
    filling : () mmHg, transmural pressure of the right atrium
    stroke_volume : () mL
    cardiac_output : () L/min
    """

    filling: Array
    stroke_volume: Array
    cardiac_output: Array


def _line(noise: float) -> Observation:
    """Return how an arterial line reads a pressure."""
    return Observation(Contaminated(additive=noise, fraction=_FLUSHED, inflation=_WIDER))


class Preload(AbstractModel):
    """Pressures and flow of a patient from stressed volume, venous return, a saturating heart and an arterial load.

    ======= ============================ ===============================================================================
    symbol  field                        equation
    ======= ============================ ===============================================================================
    V       stressed volume now          V = V_0 + volume_change - unstressed_change + reflex_volume z
    P_ms    mean systemic pressure       P_ms = V / C
    P       transmural filling pressure  CO = (P_ms - P_th - P) / R_v
    SV      `Output.stroke_volume`       SV = S P / (P + K), CO = HR SV: the Frank-Starling curve, which ends at S
    MAP     mean arterial pressure       MAP = P + P_th + R CO
    PP      pulse pressure               PP = E_a SV, diastolic = MAP - f PP
    P_th    intrathoracic pressure       end of expiration: intrathoracic_pressure + share total PEEP; mean: + swing / 3
    swing   of each breath               E_cw V_T / (1 + V_T / V_y) / sqrt(1 + (2 pi rate tau_b)²); with a lung
                                         E_cw V_T = c (driving_pressure - intrinsic_peep) = c E V_T
    dSV     `Output.fluid_response`      SV at V + 250 mL over SV at V, less one: what that much more would do now
    PPV     pulse-pressure variation     2 (SV_e - SV_i) / (SV_e + SV_i) at the two ends of the swing, with a floor
    z       `State.baroreflex`           tau dz/dt = strength tanh((set - MAP) / width) - z; raises HR, R and V
    ======= ============================ ===============================================================================

    Both curves meet in the root of a quadratic, so that the model has no solver inside. Volume and vessel tone come
    from outside: link `volume_change`, `resistance_factor` and `unstressed_change` to models of fluids and
    norepinephrine. Beside a model of the lung use `Preload.with_lung()` and link `driving_pressure` and
    `intrinsic_peep`: the share c of the elastance E that is the chest wall's then stands for E_cw, so that airway
    pressures and pulse-pressure variation of one patient teach one another.

    A responder is a patient on the steep part of the curve, P below K; at P far above K nothing responds. The linear
    model without K is `ThreeChamber`, in which everybody responds in proportion.

    The baroreflex is off until `reflex_strength` is set to 1: a sedated patient in shock shows little of it.
    Pulse-pressure variation follows from the swing in the pressure around the heart; the floor is the variation that
    remains without a breath (beats that differ, noise of the algorithm), added in quadrature.

    Arterial pressures are read through an outlier mixture: a flushed or damped line shows numbers that are none of the
    patient's, and moves the twin little.

    Guyton's venous return and the hyperbolic cardiac function curve; forms and values from memory.
    """

    time_unit = "min"
    step = 0.25

    class State(eqx.Module):
        """What changes slowly."""

        baroreflex: Array = quantity("1", "activity of the baroreflex, -1 to 1")

    class Input(eqx.Module):
        """What is given, set, or comes from another model."""

        volume_change: Array = quantity("mL", "intravascular volume above that at the origin")
        resistance_factor: Array = quantity("1", "factor on arterial resistance", default=1.0)
        unstressed_change: Array = quantity("mL", "unstressed volume above that at the origin")
        intrathoracic_pressure: Array = quantity(
            "mmHg", "intrathoracic pressure at the end of expiration, without PEEP"
        )
        tidal_volume: Array = quantity("L", "tidal volume; 0 where not ventilated", default=0.0)
        respiratory_rate: Array = quantity("1/min", "respiratory rate; 0 where not ventilated", default=0.0)
        peep: Array = quantity("cmH2O", "set PEEP; 0 where not ventilated", default=0.0)
        driving_pressure: Array = quantity("cmH2O", "plateau less set PEEP, from a model of the lung")
        intrinsic_peep: Array = quantity("cmH2O", "intrinsic PEEP, from a model of the lung")

    class Output(eqx.Module):
        """What a monitor shows; the sizes of the noises are settings."""

        mean_arterial_pressure: Array = quantity("mmHg", "mean arterial pressure", noise=_line(3.0))
        systolic_pressure: Array = quantity("mmHg", "systolic arterial pressure", noise=_line(4.0))
        diastolic_pressure: Array = quantity("mmHg", "diastolic arterial pressure", noise=_line(3.0))
        central_venous_pressure: Array = quantity(
            "mmHg", "central venous pressure", noise=Observation(Gaussian(additive=1.0))
        )
        stroke_volume: Array = quantity("mL", "stroke volume", noise=Observation(Gaussian(relative=0.1)))
        cardiac_output: Array = quantity("L/min", "cardiac output", noise=Observation(Gaussian(relative=0.1)))
        heart_rate: Array = quantity("1/min", "heart rate", noise=Observation(Gaussian(additive=2.0)))
        pulse_pressure_variation: Array = quantity(
            "%", "pulse-pressure variation", noise=Observation(Gaussian(additive=0.8, relative=0.1))
        )
        fluid_response: Array = quantity("%", "rise of stroke volume if 250 mL more filled the circulation now")

    stressed_volume: float = parameter(
        dist.LogNormal(math.log(1100.0), 0.35), unit="mL", source=_MEMORY, about="V_0 at the origin"
    )
    greatest_stroke_volume: float = parameter(
        dist.LogNormal(math.log(130.0), 0.3), unit="mL", source=_MEMORY, about="S: where the curve ends"
    )
    half_filling: float = parameter(
        dist.LogNormal(math.log(5.0), 0.6), unit="mmHg", source=_MEMORY, about="K: filling pressure of half of S"
    )
    arterial_resistance: float = parameter(
        dist.LogNormal(math.log(14.0), 0.35), unit="mmHg*min/L", source=_MEMORY, about="R"
    )
    arterial_elastance: float = parameter(
        dist.LogNormal(math.log(0.8), 0.35), unit="mmHg/mL", source=_MEMORY, about="E_a: pulse pressure per stroke"
    )
    resting_heart_rate: float = parameter(
        dist.LogNormal(math.log(75.0), 0.25), unit="1/min", source=_MEMORY, about="heart rate without reflex"
    )
    chest_wall_elastance: float = parameter(
        dist.LogNormal(math.log(4.0), 0.4),
        unit="cmH2O/L",
        source=_MEMORY,
        about="E_cw: swing around the heart per liter of breath",
    )
    chest_wall_share: float = parameter(
        dist.LogNormal(math.log(0.2), 0.4),
        known=True,
        unit="1",
        source=_MEMORY,
        about="c: of the elastance of lung and chest wall, around the heart",
    )
    venous_compliance: float = parameter(
        dist.LogNormal(math.log(80.0), 0.25), known=True, unit="mL/mmHg", source=_MEMORY, about="C"
    )
    venous_resistance: float = parameter(
        dist.LogNormal(math.log(1.2), 0.3), known=True, unit="mmHg*min/L", source=_MEMORY, about="R_v"
    )
    form_factor: float = parameter(
        dist.LogNormal(math.log(0.33), 0.15), known=True, unit="1", source=_MEMORY, about="f: (MAP - diastolic) / PP"
    )
    transmitted_share: float = parameter(
        dist.LogNormal(math.log(0.35), 0.3), known=True, unit="1", source=_MEMORY, about="of PEEP, to the heart"
    )
    yielding_volume: float = parameter(
        dist.LogNormal(math.log(2.0), 0.5),
        known=True,
        unit="L",
        source=_MEMORY,
        about="V_y: breath that swings the pressure half as much as in proportion",
    )
    breath_delay: float = parameter(
        dist.LogNormal(math.log(0.006), 0.5),
        known=True,
        unit="min",
        source=_MEMORY,
        about="tau_b: filter between chest and left heart",
    )
    variation_floor: float = parameter(
        dist.LogNormal(math.log(1.5), 0.4), known=True, unit="%", source=_MEMORY, about="PPV without a breath"
    )
    reflex_strength: float = parameter(
        dist.Normal(0.5, 0.3), value=0.0, known=True, unit="1", source=_MEMORY, about="0 off, 1 healthy"
    )
    set_pressure: float = parameter(dist.Normal(90.0, 10.0), known=True, unit="mmHg", source=_MEMORY, about="set point")
    reflex_width: float = parameter(
        dist.LogNormal(math.log(15.0), 0.3), known=True, unit="mmHg", source=_MEMORY, about="where the reflex saturates"
    )
    reflex_time: float = parameter(
        dist.LogNormal(math.log(1.0), 0.3), known=True, unit="min", source=_MEMORY, about="tau"
    )
    reflex_heart_rate: float = parameter(
        dist.LogNormal(math.log(0.4), 0.3), known=True, unit="1", source=_MEMORY, about="share of heart rate"
    )
    reflex_resistance: float = parameter(
        dist.LogNormal(math.log(0.4), 0.3), known=True, unit="1", source=_MEMORY, about="share of resistance"
    )
    reflex_volume: float = parameter(
        dist.LogNormal(math.log(600.0), 0.3), known=True, unit="mL", source=_MEMORY, about="recruited from veins"
    )
    linked_to_lung: bool = eqx.field(static=True, default=False)

    @classmethod
    def with_lung(cls, **values):
        """Return the circulation beside a modeled lung: c is unknown, and E_cw no longer acts."""
        alone = cls(linked_to_lung=True, **values).free("chest_wall_share")
        return alone.fix(chest_wall_elastance=alone.chest_wall_elastance)

    @classmethod
    def ventilated(cls, **values):
        """Return the circulation of a patient whose ventilator is set anew: V_y and tau_b are the patient's own.

        How variation grows with the volume of a breath and falls with its rate differs between patients, and one
        setting of the ventilator does not tell: bands of another setting are as much wider.
        """
        own = {name: dist.LogNormal(math.log(center), sd) for name, (center, sd) in _OWN_BREATH.items()}
        return cls(**values).free(**own)

    def initial(self, inputs):
        """Start where the reflex has settled under the preceding inputs."""

        def excess(z):
            return z - self._drive(z, inputs)

        settled = find_root(excess, -1.0 - self.reflex_strength, 1.0 + self.reflex_strength)
        return self.State(baroreflex=settled)

    def vector_field(self, time, state, inputs):
        """Return how fast the reflex follows the mean arterial pressure."""
        z = state.baroreflex
        return self.State(baroreflex=(self._drive(z, inputs) - z) / self.reflex_time)

    def output(self, state, inputs):
        """Return what the monitor shows, means over a breath."""
        z = state.baroreflex
        rate, resistance, mean_systemic = self._tone(z, inputs)
        expiratory, swing = self._chest(inputs)
        around = expiratory + _INSPIRATION * swing
        flow = self.meet(mean_systemic - around, rate)
        least = self.meet(mean_systemic - expiratory - swing, rate).stroke_volume
        most = self.meet(mean_systemic - expiratory, rate).stroke_volume
        variation = 200.0 * (most - least) / (most + least)
        filled = self.meet(mean_systemic + _FLUID / self.venous_compliance - around, rate).stroke_volume
        venous = flow.filling + around
        mean, pulse = venous + resistance * flow.cardiac_output, self.arterial_elastance * flow.stroke_volume
        diastolic = mean - self.form_factor * pulse
        return self.Output(
            mean_arterial_pressure=mean,
            systolic_pressure=diastolic + pulse,
            diastolic_pressure=diastolic,
            central_venous_pressure=venous,
            stroke_volume=flow.stroke_volume,
            cardiac_output=flow.cardiac_output,
            heart_rate=rate,
            pulse_pressure_variation=jnp.sqrt(variation**2 + self.variation_floor**2),
            fluid_response=100.0 * (filled / flow.stroke_volume - 1.0),
        )

    def meet(self, driving, heart_rate) -> Flow:
        """Return where venous return and the cardiac function curve meet.

        (D - P) (P + K) = R_v HR S P has one positive root P for every positive D.

        Parameters
        ----------
        driving : () mmHg
            D: mean systemic pressure above the pressure around the heart; smoothly kept above zero.
        heart_rate : () 1/min

        Returns
        -------
        Flow
        """
        D = 0.5 * (driving + jnp.sqrt(driving**2 + 4.0 * _LEAST**2))
        K, S = self.half_filling, self.greatest_stroke_volume
        b = D - K - self.venous_resistance * heart_rate * S / 1000.0
        root = jnp.sqrt(b**2 + 4.0 * D * K)
        # 2 D K / (root - b) = (b + root) / 2, each without cancellation on its own side of b = 0
        P = jnp.where(b > 0, 0.5 * (b + root), 2.0 * D * K / jnp.where(b > 0, 1.0, root - b))
        stroke = S * P / (P + K)
        return Flow(P, stroke, heart_rate * stroke / 1000.0)

    def _tone(self, z, inputs):
        """Return heart rate, arterial resistance and mean systemic pressure at a reflex activity."""
        factor = jnp.maximum(inputs.resistance_factor, 0.05)
        volume = self.stressed_volume + inputs.volume_change - inputs.unstressed_change + self.reflex_volume * z
        return (
            self.resting_heart_rate * jnp.exp(self.reflex_heart_rate * z),
            self.arterial_resistance * factor * jnp.exp(self.reflex_resistance * z),
            volume / self.venous_compliance,
        )

    def _chest(self, inputs):
        """Return the pressure around the heart at the end of expiration, and its swing."""
        total = inputs.peep + inputs.intrinsic_peep
        expiratory = inputs.intrathoracic_pressure + _WATER * self.transmitted_share * total
        breath = self.chest_wall_elastance * inputs.tidal_volume
        if self.linked_to_lung:
            breath = self.chest_wall_share * jnp.maximum(inputs.driving_pressure - inputs.intrinsic_peep, 0.0)
        heard = jnp.sqrt(1.0 + (2.0 * jnp.pi * inputs.respiratory_rate * self.breath_delay) ** 2)
        return expiratory, _WATER * breath / (1.0 + inputs.tidal_volume / self.yielding_volume) / heard

    def _drive(self, z, inputs):
        """Return the activity that the mean arterial pressure asks for."""
        rate, resistance, mean_systemic = self._tone(z, inputs)
        expiratory, swing = self._chest(inputs)
        around = expiratory + _INSPIRATION * swing
        flow = self.meet(mean_systemic - around, rate)
        mean = flow.filling + around + resistance * flow.cardiac_output
        return self.reflex_strength * jnp.tanh((self.set_pressure - mean) / self.reflex_width)
