"""Dense pressure with a level that wanders and a drug's effect: the last dose forecast, and 20,000 points fitted."""

import math
import time

import equinox as eqx
import jax
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

import twinprob as tp
from tests.validation import Result
from twinprob.modeling import AbstractModel, Correlated, Gaussian, Observation, parameter, quantity

LIMIT = 7200
PATIENTS, SEED = 31, 813
DOSES, HELD, EVERY = (0.0, 0.05, 0.1, 0.15, 0.08), 20.0, 1 / 6  # ug/kg/min, min each, min between pressures
AHEAD = np.array([2.0, 5.0, 10.0, 15.0, 20.0])  # min after the last dose begins
NAME = "mean_arterial_pressure"
MANY = 20_000
# A user's declaration: sizes within a factor of two or so, a duration within a factor of four.
HOW = Observation(
    Gaussian(additive=dist.LogNormal(math.log(2.0), 0.7)),
    drift=Correlated(sd=dist.LogNormal(math.log(4.0), 0.7), timescale=dist.LogNormal(math.log(4.0), 1.3)),
)


class Pressor(AbstractModel):
    """A user's own one-file model: norepinephrine raises the pressure in proportion to what is in the plasma."""

    step = 0.5

    class State(eqx.Module):
        plasma: Array = quantity("ug/kg", "norepinephrine in the plasma")

    class Input(eqx.Module):
        norepinephrine: Array = quantity("ug/kg/min", "norepinephrine")

    class Output(eqx.Module):
        mean_arterial_pressure: Array = quantity("mmHg", "mean arterial pressure", noise=HOW)

    resting: float = parameter(dist.Normal(65.0, 10.0), unit="mmHg", source="setting of the plant")
    effect: float = parameter(
        dist.LogNormal(math.log(150.0), 0.5), unit="mmHg.kg.min/ug", source="setting of the plant"
    )
    elimination: float = parameter(dist.LogNormal(math.log(0.35), 0.4), unit="1/min", source="setting of the plant")

    def initial(self, inputs):
        """Begin in balance."""
        return self.State(plasma=inputs.norepinephrine / self.elimination)

    def vector_field(self, time, state, inputs):
        """Let the drug come and go."""
        return self.State(plasma=inputs.norepinephrine - self.elimination * state.plasma)

    def output(self, state, inputs):
        """Raise the pressure."""
        return self.Output(mean_arterial_pressure=self.resting + self.effect * self.elimination * state.plasma)


def plasma(times, elimination):
    """The plant's plasma level, ug/kg, in closed form and apart from the model."""
    found, level = np.zeros(len(times)), 0.0
    for number, dose in enumerate(DOSES):
        begin = number * HELD
        inside = (times > begin) & ((times <= begin + HELD) | (number == len(DOSES) - 1))
        left = np.exp(-elimination * (times[inside] - begin))
        found[inside] = dose / elimination + (level - dose / elimination) * left
        level = dose / elimination + (level - dose / elimination) * math.exp(-elimination * HELD)
    return found


def wander(times, sd, timescale, chance):
    """An AR(1) level at even times."""
    left = math.exp(-(times[1] - times[0]) / timescale)
    found = np.empty(len(times))
    found[0] = sd * chance.standard_normal()
    for i in range(1, len(times)):
        found[i] = left * found[i - 1] + sd * math.sqrt(1 - left**2) * chance.standard_normal()
    return found


def simulated(chance):
    """One patient: times, pressures, and the truth about the meter."""
    resting, effect = chance.normal(65.0, 10.0), math.exp(chance.normal(math.log(150.0), 0.5))
    elimination = math.exp(chance.normal(math.log(0.35), 0.4))
    noise, sd = chance.uniform(1.0, 3.0), chance.uniform(2.0, 6.0)
    timescale = math.exp(chance.uniform(math.log(0.5), math.log(20.0)))
    times = EVERY * np.arange(round(len(DOSES) * HELD / EVERY) + 1)
    clean = resting + effect * elimination * plasma(times, elimination)
    values = clean + wander(times, sd, timescale, chance) + noise * chance.standard_normal(len(times))
    return times, values, Observation(Gaussian(additive=noise), drift=Correlated(sd=sd, timescale=timescale))


def recorded(times, values, doses=DOSES, held=HELD) -> tp.Record:
    """The chart of these pressures under the plant's doses."""
    starts = held * np.arange(len(doses))
    given = tp.Inputs.infusions("norepinephrine", starts, [*starts[1:], np.inf], doses, "ug/kg/min")
    return tp.Record.build({NAME: (times, values, "mmHg")}, given, {"weight": (80.0, "kg")}, start=0.0)


def forecasts(times, values, how, key):
    """The draws of pressures after the last dose begins, (draw, time), and the twin's k-hat."""
    record, now = recorded(times, values), HELD * (len(DOSES) - 1)
    twin = tp.fit(Pressor(), record.until(now), observations={NAME: how}, key=key)
    ahead = tp.forecast(twin, times=now + AHEAD, inputs=record.inputs.until(now + AHEAD[-1]), key=key)
    return ahead.group("predictions")[NAME].values.reshape(-1, len(AHEAD)), twin.provenance["khat"]


def speed() -> dict[str, float]:
    """Wall-clock and processor seconds of a second fit of 20,000 points, one each second, every program compiled."""
    chance, times = np.random.default_rng(0), np.arange(MANY) / 60.0
    held = times[-1] / len(DOSES)
    level = 150.0 * np.asarray(DOSES)[np.minimum((times / held).astype(int), len(DOSES) - 1)]
    values = 65.0 + level + wander(times, 4.0, 5.0, chance) + 2.0 * chance.standard_normal(MANY)
    record, taken = recorded(times, values, DOSES, held), {}
    for turn in range(2):
        wall, processor = time.perf_counter(), time.process_time()
        twin = tp.fit(Pressor(), record, key=jax.random.key(turn))
        taken = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    return {**taken, "khat": float(twin.provenance["khat"])}


def measure() -> Result:
    """Coverage and error of the last dose's pressures beside a fit that knows the meter, and the time of a long fit."""
    chance, rows, khats = np.random.default_rng(SEED), [], []
    for patient in range(PATIENTS):
        times, values, truth = simulated(chance)
        seen = values[np.searchsorted(times, HELD * (len(DOSES) - 1) + AHEAD - 1e-6)]
        key = jax.random.fold_in(jax.random.key(SEED), patient)
        for name, how in (("declared", HOW), ("told", truth)):
            draws, khat = forecasts(times, values, how, key)
            low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
            rows.append((name, np.mean((low <= seen) & (seen <= high)), np.mean(np.abs(middle - seen))))
            khats.append(khat)
    means = {
        name: np.mean([(held, error) for who, held, error in rows if who == name], axis=0)
        for name in ("declared", "told")
    }
    taken = speed()
    (coverage, error), (told_coverage, told_error) = means["declared"], means["told"]
    holds = bool(0.85 <= coverage <= 0.95 and error <= 1.05 * told_error and taken["wall"] <= 10.0)
    figure = (
        f"{PATIENTS} patients: coverage {coverage:.3f} (knowing the meter {told_coverage:.3f}), MAE {error:.2f} mmHg, "
        f"{error / told_error:.3f} of the truth-knowing fit's {told_error:.2f}; k-hat below 0.7 in "
        f"{np.mean(np.array(khats) < 0.7):.0%}; {MANY:,} points in {taken['wall']:.1f} s, "
        f"{taken['processor']:.1f} s of processor time"
    )
    details = {"rows": [[who, float(held), float(error)] for who, held, error in rows], "speed": taken}
    return Result(figure, holds, details)
