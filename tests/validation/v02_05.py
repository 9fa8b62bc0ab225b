"""Rolling forecast of the next glucose value in the MIMIC-III demo, from the past only, beside simple forecasters."""

import dataclasses
import math
import time
from collections.abc import Sequence

import jax
import numpy as np
import numpyro.distributions as dist

import twinprob as tp
from tests.validation import Result, shared_data
from twinprob.inference.methods.filter import Filter
from twinprob.models.metabolic import ICING
from twinprob.readers import mimic
from twinprob.validation.evaluate import Evaluation, evaluate

LIMIT = 3600
ROUNDS = 4
LEARNING = tp.Laplace(starts=2, draws=500, proposals=2000, rounds=3)
LEAD, LEARNED = 12 * 60.0, 24 * 60.0  # min before the first insulin, and after it
BARS = {"0.4–1.5 h": 0.90, "1.5–2.5 h": 0.78}
# No refits: one of the 640 h of the longest stay costs minutes. A surprise is taken in stages instead.
ROLLING = Filter(particles=4096, collapse=0.0, surprise=0.0)
_SETTING = "setting of this validation; what it is for a patient is learned on the other stays"


class ChartedICING(ICING):
    """ICING for charted data: contents of feeds are not known, and glucose comes and goes that nobody charted."""

    nutrition_content: float = tp.parameter(
        dist.LogNormal(0.0, 0.8),
        unit="1",
        source=_SETTING,
        about="glucose in feeds over what was read from their names",
    )
    uncharted_glucose: float = tp.parameter(
        dist.Normal(0.0, 0.05),
        unit="mmol/min",
        source=_SETTING,
        about="glucose that was not charted",
        varies=tp.OrnsteinUhlenbeck(sd=dist.LogNormal(math.log(0.3), 0.8), timescale="4 h", every="1 h"),
    )

    def vector_field(self, time, state, inputs):
        """Scale the charted feeds and add what was not charted."""
        content = self.nutrition_content
        given = self.Input(
            insulin=inputs.insulin,
            enteral_glucose=content * inputs.enteral_glucose,
            parenteral_glucose=content * inputs.parenteral_glucose,
        )
        rates = super().vector_field(time, state, given)
        return dataclasses.replace(rates, glucose=rates.glucose + self.uncharted_glucose / self.glucose_volume)


def model() -> ICING:
    """Return the model with wide priors for a patient of an unselected unit; sizes of all that moves are unknown."""
    wide = ChartedICING().free(
        "secretion_factor",
        insulin_sensitivity=dist.LogNormal(-7.6, 1.0),
        endogenous_glucose_production=dist.LogNormal(math.log(1.16), 0.6),
        secretion_factor=dist.LogNormal(0.0, 0.7),
    )
    return wide.vary(
        insulin_sensitivity=tp.OrnsteinUhlenbeck(sd=dist.LogNormal(math.log(0.5), 0.5), timescale="12 h", every="1 h"),
        uncharted_glucose=tp.OrnsteinUhlenbeck(sd=dist.LogNormal(math.log(0.2), 0.8), timescale="4 h", every="1 h"),
    )


# Heavy-tailed, of a size to be learned.
NOISE = {"glucose": tp.Observation(tp.StudentT(relative=dist.LogNormal(math.log(0.06), 0.5), df=4.0))}


def on_insulin(record: tp.Record) -> tuple[tp.Record, float] | None:
    """Return the record around its insulin infusions, and how long after its start they begin (min)."""
    if "insulin" not in record.inputs or record.inputs["insulin"].bolus.all():
        return None
    course = record.inputs["insulin"]
    infused = ~course.bolus
    begin = float(course.starts[infused].min())
    end = float(np.where(np.isfinite(course.ends), course.ends, course.starts)[infused].max())
    series = record.observations["glucose"]
    if np.sum((series.times >= begin) & (series.times <= end)) < 6:
        return None
    start = max(record.start, begin - LEAD)
    kept = series.select((series.times >= start) & (series.times <= end))
    inputs = record.inputs.until(end)
    cut = dataclasses.replace(record, observations={"glucose": kept}, inputs=inputs, start=start, end=end)
    return cut, begin - start


def measure() -> Result:
    """Learn a population for each stay from the others, and forecast the stay with it."""
    tables = mimic.load(shared_data("mimic-iii-demo"))
    cuts = []
    for stay in mimic.stays(tables).query("insulin > 0 and glucose >= 6")["stay"]:
        cuts.append(on_insulin(mimic.read(tables, int(stay), only="glucose")))
    found = [cut for cut in cuts if cut is not None]
    began = time.perf_counter()
    # From the neighborhood of each stay's first day on insulin.
    days = [record.until(min(record.end, record.start + begin + LEARNED)) for record, begin in found]
    populations = tp.fit_population(
        model(), days, leave_one_out=True, observations=NOISE, method=LEARNING, rounds=ROUNDS, key=jax.random.key(0)
    )
    print(f"  populations, {time.perf_counter() - began:.0f} s", flush=True)
    for row in populations[0].summary():
        print("   ", *row, flush=True)
    evaluation = evaluate(
        model(),
        [record for record, _ in found],
        first=[begin - 1e-6 for _, begin in found],
        following=1,
        method=tp.Laplace(),
        rolling=ROLLING,
        population=populations,
        key=jax.random.key(1),
    )
    return judged(evaluation, populations)


def judged(evaluation: Evaluation, populations: Sequence[tp.Population]) -> Result:
    """Compare the twin with persistence and with the other patients' interval."""
    means = evaluation.summary().set_index(["forecaster", "horizon"]).sort_index()
    figures, holds = [], True
    for horizon, bar in BARS.items():
        twin, last, others = (means.loc[(name, horizon)] for name in ("twin", "persistence", "other patients"))
        ratio = twin["interval_score"] / others["interval_score"]
        error, share = "mean_absolute_error", "median_absolute_percentage_error"
        holds &= bool(
            ratio <= bar
            and twin[error] < last[error]
            and twin[share] < last[share]
            and 0.87 <= twin["coverage"] <= 0.93
            and not twin["lowest_coverage"] < 0.75
        )
        figures.append(
            f"{horizon}: {int(twin['pairs'])} pairs of {int(twin['patients'])} stays, "
            f"interval score {twin['interval_score']:.2f} = {ratio:.2f} × the empirical, "
            f"MAE {twin[error]:.2f} (persistence {last[error]:.2f}) mmol/L, "
            f"median APE {twin[share]:.1f} % ({last[share]:.1f} %), "
            f"coverage {twin['coverage']:.3f} (lowest with ≥ 20 pairs {twin['lowest_coverage']:.2f}), "
            f"CRPS {twin['crps']:.2f}"
        )
    details = {
        "means over stays": means.reset_index().to_dict("list"),
        "pooled": evaluation.pooled().to_dict("list"),
        "by stay, numbered": evaluation.per_patient().to_dict("list"),
        "populations": [told(one) for one in populations],
        "refits": int((evaluation.origins["method"] != "Filter").sum()),
    }
    return Result(figure="; ".join(figures), holds=holds, details=details)


def told(population: tp.Population) -> dict:
    """Return typical value and 90 % of patients for each unknown, and what judges the draws."""
    judging = {name: value for name, value in population.provenance.items() if isinstance(value, int | float)}
    return {"typical, 5 %, 95 %": {name: row for name, *row, _ in population.summary()}, **judging}
