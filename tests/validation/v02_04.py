"""Line 02.4: an update costs the same after any history, and says what a fit of the whole record says."""

import time
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist

from tests.validation import Result, shared_data
from twinprob.inference.fit import fit
from twinprob.inference.joint import joint
from twinprob.inference.methods.laplace import Laplace
from twinprob.inference.update import update
from twinprob.models.metabolic import ICING
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record
from twinprob.readers import mimic

LIMIT = 5400
SYNTHETIC, REAL, CHECKPOINTS = 20, 5, 10
FIRST, LAST = 6 * 60.0, 48 * 60.0
HISTORIES = (6, 48, 240)
REPEATS = 200
# The reference has more proposals than the default fit, so that its own Monte Carlo error stays small beside the bar.
REFERENCE = Laplace(proposals=16000, draws=2000)
# So has the fit that is updated: with the default's 2,000 draws, theirs is half of the error.
BEGIN = Laplace(proposals=16000, draws=1000)


def synthetic_stay(seed: int, hours: float = 48.0, every: float = 120.0) -> Record:
    """Return a stay drawn from the model's own prior whose glucose stays between 3 and 20 mmol/L."""
    chance = np.random.default_rng(seed)
    starts = np.arange(0.0, hours * 60, 240.0)
    ends = np.append(starts[1:], np.inf)
    insulin = Inputs.infusions("insulin", starts, ends, chance.uniform(0.5, 5.0, len(starts)), "U/h")
    feed = Inputs.infusions("enteral_glucose", [120.0], [np.inf], [chance.uniform(0.3, 0.8)], "mmol/min")
    times = np.arange(0.0, hours * 60 + 1, every)
    blank = Record.build({"glucose": (times, np.full(len(times), 8.0), "mmol/L")}, insulin | feed, start=0.0)
    with jax.enable_x64(True):
        density = joint(ICING(), blank)
        for _ in range(200):
            values = density.constrain(density.draw_prior(jax.random.key(int(chance.integers(2**31)))))
            means, solved = density.means(values)
            glucose = np.asarray(means["glucose"])[: len(times)]
            if solved and glucose.min() > 3 and glucose.max() < 20:
                break
    noisy = glucose * (1 + 0.05 * chance.standard_normal(len(times)))
    return Record.build({"glucose": (times, noisy, "mmol/L")}, insulin | feed, start=0.0)


def real_stays(count: int) -> list[Record]:
    """Return the demo's stays with most glucose values under insulin, from their first insulin's neighborhood on."""
    folder = shared_data("mimic-iii-demo")
    tables = mimic.load(folder)
    listed = mimic.stays(tables)
    found = []
    for stay in listed[(listed["insulin"] > 0) & (listed["glucose"] >= 24)]["stay"]:
        record = mimic.read(tables, int(stay), only="glucose")
        if "glucose" in record.observations and np.sum(record.observations["glucose"].times <= LAST) >= 20:
            found.append(record)
        if len(found) == count:
            break
    return found


def moments(twin) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of every unknown and state now, parameters on their unconstrained scale."""
    model, found = twin.model, {}
    for name, values in twin.group("posterior").data_vars.items():
        draws = values.values[..., -1] if values.ndim == 3 else values.values
        base = str(name).removesuffix("_start")
        with jax.enable_x64(True):
            support = model.prior(base).support if base in model.parameters() else dist.constraints.positive
            draws = np.asarray(dist.biject_to(support).inv(draws))
        found[str(name)] = (float(draws.mean()), float(draws.std()))
    for name, values in twin.group("state").data_vars.items():
        mean, sd = float(values.mean()), float(values.std())
        if sd > 1e-6 * abs(mean):
            found[f"state {name}"] = (mean, sd)
    return found


def follow(record: Record, seed: int, **settings):
    """Fit a stay's first hours, take in one measurement at a time, and yield the twin at each checkpoint."""
    times = record.observations["glucose"].times
    times = times[(times > FIRST) & (times <= LAST)]
    chosen = set(np.linspace(0, len(times) - 1, CHECKPOINTS + 1).round().astype(int)[1:])
    twin = fit(ICING(), record.until(FIRST), key=jax.random.key(seed), method=BEGIN)
    for i, t in enumerate(times):
        twin = update(twin, record.between(twin.now, t), key=jax.random.key(1000 * seed + i), **settings)
        if i in chosen:
            yield twin


def compare(twin, reference: dict[str, tuple[float, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the differences of means over the reference's standard deviations, and the ratios of deviations."""
    mine = moments(twin)
    shifts = {n: abs(mine[n][0] - m) / s for n, (m, s) in reference.items()}
    return shifts, {n: mine[n][1] / s for n, (_, s) in reference.items()}


def agreement(records: list[Record], offset: int) -> dict[str, Any]:
    """Compare updated twins with fits of the whole record."""
    shifts, ratios, refits, checks, updates = [], [], 0, 0, 0
    for k, record in enumerate(records):
        for twin in follow(record, offset + k):
            reference = moments(fit(ICING(), twin.record, key=jax.random.key(7), method=REFERENCE))
            shift, ratio = compare(twin, reference)
            shifts.append(max(shift.values()))
            ratios.append(max(abs(np.log(r)) for r in ratio.values()))
            checks += 1
        print(f"stay {offset + k}: {checks} checkpoints, worst shift {max(shifts):.2f}", flush=True)
        refits += sum(entry["refit"] is not None for entry in twin.provenance["updates"])
        updates += twin.provenance["updated"]
    inside = np.mean([(s <= 0.2) and (-r >= np.log(0.85)) for s, r in zip(shifts, ratios, strict=True)])
    return {
        "checkpoints": checks, "updates": updates, "refits": refits, "inside": float(inside),
        "median_shift": float(np.median(shifts)), "worst_shift": float(np.max(shifts)),
        "worst_ratio": float(np.exp(np.max(ratios))), "shifts": shifts, "log_ratios": ratios,
    }  # fmt: skip


def speed() -> dict[str, Any]:
    """Time updates with one glucose value after histories of several lengths."""
    longest = max(HISTORIES)
    record = synthetic_stay(1, hours=longest + 2.0, every=60.0)
    twin = fit(ICING(), record.until(FIRST), key=jax.random.key(0))
    found = {}
    for hours in HISTORIES:
        while twin.now < hours * 60 - 1:
            twin = update(twin, record.between(twin.now, twin.now + 60), key=jax.random.key(int(twin.now)))
        new = record.between(twin.now, twin.now + 60)
        update(twin, new, key=jax.random.key(0))
        seconds = []
        for i in range(REPEATS):
            begin = time.perf_counter()
            update(twin, new, key=jax.random.key(i))
            seconds.append(time.perf_counter() - begin)
        found[f"{hours} h"] = {
            "median_ms": 1e3 * float(np.median(seconds)),
            "p99_ms": 1e3 * float(np.quantile(seconds, 0.99)),
        }
    return found


def measure() -> Result:
    """Measure cost and agreement."""
    times = speed()
    synthetic = agreement([synthetic_stay(seed) for seed in range(SYNTHETIC)], 0)
    real = agreement(real_stays(REAL), 100)
    medians = [times[f"{h} h"]["median_ms"] for h in HISTORIES]
    fast = all(times[f"{h} h"]["p99_ms"] <= 50 for h in HISTORIES) and max(medians) <= 1.3 * medians[0]
    draws = BEGIN.chains * BEGIN.draws
    p99 = " / ".join(f"{times[f'{h} h']['p99_ms']:.0f}" for h in HISTORIES)
    figure = f"p99 {p99} ms after 6 / 48 / 240 h; from fits of {draws:,} draws: " + "; ".join(
        f"{name}: {part['inside']:.0%} of {part['checkpoints']} inside, worst shift {part['worst_shift']:.2f} sd, "
        f"worst sd ratio {part['worst_ratio']:.2f}, {part['refits']} refits in {part['updates']} updates"
        for name, part in (("synthetic", synthetic), ("real", real))
    )
    holds = fast and synthetic["inside"] == 1.0 and real["inside"] == 1.0
    return Result(figure, holds, {"seconds": times, "synthetic": synthetic, "real": real})
