"""Rolling forecast of the next glucose value in the MIMIC-III demo, from the past only, beside simple forecasters."""

import dataclasses
import math
import time
from collections.abc import Sequence

import jax
import numpy as np
import numpyro.distributions as dist
import pandas as pd

import twinprob as tp
from tests.validation import Result, shared_data
from twinprob.evaluate import Evaluation, evaluate
from twinprob.methods.filter import Filter
from twinprob.models.metabolic import ICING
from twinprob.readers import mimic
from twinprob.score import Scores

LIMIT = 3600
LEAD = 12 * 60.0
BARS = {"0.4–1.5 h": 0.90, "1.5–2.5 h": 0.78}
# No refits: one of the 640 h of the longest stay costs minutes. A surprise is taken in stages instead.
ROLLING = Filter(particles=4096, collapse=0.0, surprise=0.0)
_SETTING = "setting of this validation; its center was found on these stays, its size is chosen on the other ones"


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


def model(volatility: float, uncharted: float) -> ICING:
    """Return the model with priors for a patient of an unselected unit; two sizes say how fast the patient changes."""
    wide = ChartedICING().free(
        "secretion_factor",
        insulin_sensitivity=dist.LogNormal(-7.6, 1.0),
        endogenous_glucose_production=dist.LogNormal(math.log(1.16), 0.6),
        secretion_factor=dist.LogNormal(0.0, 0.7),
    )
    size = dist.LogNormal(math.log(uncharted), 0.8)
    return wide.vary(
        insulin_sensitivity=tp.OrnsteinUhlenbeck(
            sd=dist.LogNormal(math.log(volatility), 0.5), timescale="12 h", every="1 h"
        ),
        uncharted_glucose=tp.OrnsteinUhlenbeck(sd=size, timescale="4 h", every="1 h"),
    )


def noise(relative: float) -> dict[str, tp.Observation]:
    """Return heavy-tailed noise of a size to be learned, about `relative`."""
    return {"glucose": tp.Observation(tp.StudentT(relative=dist.LogNormal(math.log(relative), 0.5), df=4.0))}


# What a stay's forecasts are made with is chosen on the other stays, among these: (volatility, uncharted, noise).
CANDIDATES = ((0.6, 0.3, 0.08), (0.35, 0.15, 0.08), (0.35, 0.3, 0.05))


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
    """Evaluate every candidate on all stays; each stay is scored with the candidate that served the others best."""
    tables = mimic.load(shared_data("mimic-iii-demo"))
    cuts = []
    for stay in mimic.stays(tables).query("insulin > 0 and glucose >= 6")["stay"]:
        cuts.append(on_insulin(mimic.read(tables, int(stay))))
    found = [cut for cut in cuts if cut is not None]
    evaluations = []
    for number, (volatility, uncharted, relative) in enumerate(CANDIDATES):
        jax.clear_caches()  # programs for every length of stay would exhaust the process's memory maps
        began = time.perf_counter()
        evaluations.append(
            evaluate(
                model(volatility, uncharted),
                [record for record, _ in found],
                first=[begin - 1e-6 for _, begin in found],
                following=1,
                observations=noise(relative),
                method=tp.Laplace(),
                rolling=ROLLING,
                key=jax.random.key(1),
            )
        )
        seconds = time.perf_counter() - began
        print(
            f"  candidate {number + 1} of {len(CANDIDATES)}, {seconds:.0f} s: {judged(evaluations[-1]).figure}",
            flush=True,
        )
    return judged(*learned_elsewhere(evaluations))


def learned_elsewhere(evaluations: Sequence[Evaluation]) -> tuple[Evaluation, list[int]]:
    """Put each stay's forecasts together from the candidate with the least mean interval score over the other stays."""
    figures = [one.per_patient().query("forecaster == 'twin'") for one in evaluations]
    by_stay = pd.DataFrame([one.groupby("patient")["interval_score"].mean() for one in figures]).reset_index(drop=True)
    stays = list(by_stay.columns)
    chosen = [int(by_stay.drop(columns=stay).mean(axis=1).idxmin()) for stay in stays]
    parts = []
    for number, one in enumerate(evaluations):
        mine = [stay for stay, choice in zip(stays, chosen, strict=True) if choice == number]
        scores, origins = one.scores, one.origins
        parts.append(
            (scores.select(scores.pairs["patient"].isin(mine)), origins[origins["patient"].isin(mine)]),
        )
    joined = Scores(
        pairs=pd.concat([scores.pairs for scores, _ in parts], ignore_index=True),
        members=tuple(member for scores, _ in parts for member in scores.members),
        weights=tuple(weight for scores, _ in parts for weight in scores.weights),
    )
    return Evaluation(joined, pd.concat([origins for _, origins in parts], ignore_index=True)), chosen


def judged(evaluation: Evaluation, chosen: Sequence[int] = ()) -> Result:
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
        "candidate of each stay": list(chosen),
        "refits": int((evaluation.origins["method"] != "Filter").sum()),
    }
    return Result(figure="; ".join(figures), holds=holds, details=details)
