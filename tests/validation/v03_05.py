"""Profile likelihood: the time for nine parameters of ICING on a real stay, and coverage on synthetic twins."""

import time

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result
from tests.validation.stays import synthetic_stay
from tests.validation.v03_02 import freed, real_stay
from twinprob.models.metabolic import MinimalModel

LIMIT = 2400
TESTS, STAYS = 60, 6


def _synthetic_test(number: int) -> tuple[tp.Record, dict[str, float]]:
    """Return a glucose tolerance test drawn from the minimal model's prior, with its truth."""
    example = tp.load_example("fsigt")
    glucose = example.observations["glucose"]
    late = glucose.times >= 4
    insulin = {"plasma_insulin": example.observations["plasma_insulin"]}
    empty = tp.Record.build({"glucose": (glucose.times[late], glucose.values[late], "mg/dL"), **insulin}, start=0.0)
    density = tp.joint(MinimalModel(), empty)
    truth = density.constrain(density.draw_prior(jax.random.key(number)))
    clean = np.asarray(density.means(truth)[0]["glucose"])[: int(late.sum())]
    noisy = clean * (1 + 0.03 * np.random.default_rng(number).standard_normal(len(clean)))
    record = tp.Record.build({"glucose": (glucose.times[late], noisy, "mg/dL"), **insulin}, start=0.0)
    return record, {name: float(value) for name, value in truth.items()}


def _covered(model, record, truth) -> list[dict]:
    found = tp.profile(model, record)
    return [
        {"name": name, "covered": found[name].lower <= truth[name] <= found[name].upper, "shape": found[name].shape}
        for name in found
    ]


def measure() -> Result:
    """Profile a real stay twice, the first time to compile; then tests and stays with known truth."""
    stay = real_stay()
    tp.profile(freed(), stay)
    begin = time.perf_counter()
    found = tp.profile(freed(), stay)
    seconds = time.perf_counter() - begin
    rows = []
    for number in range(TESTS):
        record, truth = _synthetic_test(number)
        rows += [{"set": "tests", **row} for row in _covered(MinimalModel(), record, truth)]
    for number in range(STAYS):
        record, position = synthetic_stay(number, model=freed())
        truth = {n: float(v) for n, v in tp.joint(freed(), record).constrain(position).items() if np.ndim(v) == 0}
        rows += [{"set": "stays", **row} for row in _covered(freed(), record, truth)]
    share = {
        which: float(np.mean([row["covered"] for row in rows if row["set"] == which])) for which in ("tests", "stays")
    }
    bounded = [row["covered"] for row in rows if row["shape"] == "bounded"]
    whole = float(np.mean([row["covered"] for row in rows]))
    return Result(
        figure=f"{len(list(found))} parameters in {seconds:.0f} s; coverage of {len(rows)} intervals {whole:.3f} "
        f"({TESTS} glucose tolerance tests {share['tests']:.3f}, {STAYS} ICING stays {share['stays']:.3f}; of the "
        f"{len(bounded)} bounded on both sides {np.mean(bounded):.3f})",
        holds=bool(seconds <= 60 and len(list(found)) >= 8 and 0.90 <= whole <= 0.98),
        details={"profiles": str(found).splitlines(), "rows": rows, "seconds": seconds},
    )
