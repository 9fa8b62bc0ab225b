"""What a fit costs by length of stay, pressure and glucose, and whether its forecast is that of the whole record."""

import dataclasses
import json
import math
import os
import resource
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import twinprob as tp
from tests.validation import Result
from tests.validation.pressure_particles import forecasts

LIMIT = 14400
STAYS = (24, 96, 240)
AHEAD = (1.0, 2.0, 4.0)  # h
SAME = 4.0  # standard errors; of 12 comparisons a stay each passes 3 by chance in three of a hundred
DF, NOISE = 4, 4.0
PARTICLES = 2000


def wander(times, sd, timescale, chance):
    """An Ornstein–Uhlenbeck path at rising times."""
    found = np.empty(len(times))
    found[0] = sd * chance.standard_normal()
    for i, gap in enumerate(np.diff(times), 1):
        left = math.exp(-gap / timescale)
        found[i] = left * found[i - 1] + sd * math.sqrt(1 - left**2) * chance.standard_normal()
    return found


def held(times, every, path):
    """A path that is constant between its knots."""
    return path[(np.asarray(times) // every).astype(int)]


def pressure(hours: float, seed: int = 0) -> tp.Record:
    """A stay with a pressure every 5 to 15 min and a new dose every 3 h, in closed form but for the drug's minutes."""
    chance, end = np.random.default_rng(seed), 60.0 * hours
    times = np.cumsum(chance.uniform(5, 15, int(end / 5)))
    times = times[times <= end]
    level = 65.0 * np.exp(wander(np.arange(0, end + 60, 60.0), 0.11, 720.0, chance))
    swing = wander(np.arange(0, end + 15, 15.0), 6.0, 90.0, chance)
    changes = np.arange(0, end, 180.0)
    doses = np.clip(0.1 + np.cumsum(0.03 * chance.standard_normal(len(changes))), 0.0, 0.5)
    acting = np.empty(int(end) + 1)
    acting[0] = doses[0]
    for minute in range(1, len(acting)):
        dose = held(minute - 1, 180.0, doses)
        acting[minute] = dose + (acting[minute - 1] - dose) * math.exp(-math.log(2) / 3.5)
    drug = np.interp(times, np.arange(len(acting)), acting)
    values = held(times, 60.0, level) + held(times, 15.0, swing) + 14.0 * drug / (0.156 + drug)
    values = values + NOISE * chance.standard_t(DF, len(times))
    given = tp.Inputs.infusions("norepinephrine", changes, [*changes[1:], np.inf], doses, "ug/kg/min")
    return tp.Record.build(
        {"mean_arterial_pressure": (times, values, "mmHg")}, given, {"weight": (80.0, "kg")}, start=0.0, end=end
    )


def glucose(hours: float, seed: int = 0) -> tp.Record:
    """A stay with a glucose each hour under insulin that follows it; one patient of `ICING`, hour by hour."""
    chance = np.random.default_rng(seed)
    sensitivity = np.exp(-8.05 + wander(60.0 * np.arange(hours), 0.4, 720.0, chance))
    truth, rate, rates, values = None, 2.0, [], []
    changes = 60.0 * np.arange(hours)
    for hour in range(int(hours)):
        now = 9.0 if truth is None else float(truth.glucose)
        values.append(now * math.exp(0.06 * chance.standard_t(DF)))
        rate = float(np.clip(rate + 0.4 * (values[-1] - 8.0), 0.0, 8.0))
        rates.append(rate)
        truth = _hour(truth, rate * 1000.0 / 60.0, sensitivity[hour])
    given = tp.Inputs.infusions("insulin", changes, [*changes[1:], np.inf], rates, "U/h")
    given = given | tp.Inputs.infusions("enteral_glucose", [0.0], [np.inf], [0.6], "mmol/min")
    return tp.Record.build({"glucose": (changes, values, "mmol/L")}, given, start=0.0, end=60.0 * hours)


@jax.jit
def _hour(truth, rate, sensitivity):
    """Carry a patient of this sensitivity (L/mU/min) over an hour of insulin (mU/min), minute by minute."""
    known = {"insulin_sensitivity": sensitivity, "endogenous_glucose_production": 1.16, "initial_glucose": 9.0}
    patient = dataclasses.replace(tp.models.metabolic.ICING(), **known)
    given = patient.Input(insulin=rate, enteral_glucose=jnp.asarray(0.6), parenteral_glucose=jnp.zeros(()))
    truth = patient.initial(given) if truth is None else truth

    def minute(_, state):
        half = jax.tree.map(lambda y, k: y + 0.5 * k, state, patient.vector_field(0.0, state, given))
        return jax.tree.map(lambda y, k: y + k, state, patient.vector_field(0.0, half, given))

    return jax.lax.fori_loop(0, 60, minute, truth)


KINDS: dict[str, Any] = {
    "pressure": (pressure, tp.models.sepsis.VasopressorPressure, "mean_arterial_pressure"),
    "glucose": (glucose, tp.models.metabolic.ICING.charted, "glucose"),
}


def fitted(kind: str, hours: int) -> dict[str, Any]:
    """Fit one stay twice as it comes; say what it cost and what it forecasts, and beside it what the whole says."""
    record, model, name = KINDS[kind][0](hours), KINDS[kind][1](), KINDS[kind][2]
    seconds = []
    for turn in range(2):
        began = time.process_time()
        twin = tp.fit(model, record, key=jax.random.key(turn))
        seconds.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    about = twin.provenance
    cost = {"seconds": seconds, "gigabytes": peak, "khat": about["khat"], "method": about["method"]}
    return {**cost, "notes": about["notes"][:2], "own": ahead_of(twin, name), "whole": whole(twin, kind, name)}


def ahead_of(twin: tp.Twin, name: str) -> dict[str, Any]:
    """Mean and spread of a forecast's logarithm, and the draws behind it."""
    ahead = tp.forecast(twin, times=twin.now + 60.0 * np.array(AHEAD), key=jax.random.key(9))
    draws = np.log(ahead.group("predicted_outputs")[name].values.reshape(-1, len(AHEAD)))
    return {"mean": draws.mean(0).tolist(), "sd": draws.std(0).tolist(), "worth": twin.effective_draws}


def whole(twin: tp.Twin, kind: str, name: str) -> dict[str, Any] | None:
    """The same by the whole record at once; None where that is what the twin is."""
    if twin.past is None:
        return None
    if kind == "pressure":  # too many knots for any fit: particle filters, written apart
        return forecasts(twin, twin.now + 60.0 * np.array(AHEAD), constants=500, particles=PARTICLES)
    return ahead_of(tp.fit(twin.model, twin.record, key=jax.random.key(2), method=tp.NUTS(), window=math.inf), name)


def alone(kind: str, hours: int) -> dict[str, Any]:
    """Run `fitted` in a process of its own, so that its memory is its own."""
    command = [sys.executable, "-m", "tests.validation.v08_15", kind, str(hours)]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def apart(one: dict, other: dict) -> float:
    """How far two forecasts lie apart, in standard errors: the most of their means and log spreads."""
    errors = 1.0 / one["worth"] + 1.0 / other["worth"]
    means, sds = (np.array([x[part] for x in (one, other)]) for part in ("mean", "sd"))
    by_mean = np.abs(means[0] - means[1]) / sds[1] / math.sqrt(errors)
    by_spread = np.abs(np.log(sds[0] / sds[1])) / math.sqrt(errors / 2.0)
    return float(max(by_mean.max(), by_spread.max()))


def measure() -> Result:
    """Fit every stay in a process of its own, with what the whole record says beside it."""
    found, parts, holds = {}, [], True
    for kind in KINDS:
        own = {hours: alone(kind, hours) for hours in STAYS}
        growth = own[STAYS[-1]]["seconds"][-1] / own[STAYS[0]]["seconds"][-1]
        most, worst = (float(np.max([one[figure] for one in own.values()])) for figure in ("gigabytes", "khat"))
        differs = {hours: apart(one["own"], one["whole"]) for hours, one in own.items() if one["whole"]}
        holds &= growth <= 3.0 and most <= 1.0 and worst < 0.7 and max(differs.values()) < SAME
        seconds = "/".join(f"{own[hours]['seconds'][-1]:.1f}" for hours in STAYS)
        parts.append(
            f"{kind}: {seconds} s of processor time for {'/'.join(map(str, STAYS))} h, {growth:.2f} × from first to "
            f"last; {most:.2f} GB at most; k-hat {worst:.2f} at most; forecast of the whole "
            + ", ".join(f"{away:.1f} standard errors away at {hours} h" for hours, away in differs.items())
        )
        found[kind] = {"stays": own, "apart": differs}
    return Result(figure="; ".join(parts), holds=bool(holds), details=found)


if __name__ == "__main__":
    print(json.dumps(fitted(sys.argv[1], int(sys.argv[2]))))
