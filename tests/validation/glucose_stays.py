"""The stays on insulin of the MIMIC-III demo, what the others teach each, and forecasts rolled along them."""

import importlib.util
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pandas as pd

import twinprob as tp
from tests import ROOT
from tests.validation import persons, shared_data
from twinprob.inference.methods.filter import Filter
from twinprob.patient.units import convert
from twinprob.validation.evaluate import Evaluation, evaluate

NAME = "icing-mimic3"
USUAL = 8.0  # mmol/L
CLASSES = ("0.4–1.5 h", "1.5–2.5 h")
# No refits: one of the 640 h of the longest stay costs minutes. A surprise is taken in stages instead.
ROLLING = Filter(particles=4096, collapse=0.0, surprise=0.0)


def generator() -> ModuleType:
    """Return the script that made the population that ships."""
    file = ROOT / "datasets" / "populations" / NAME / "generate.py"
    spec = importlib.util.spec_from_file_location("generate_icing_mimic3", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cuts() -> list[tuple[tp.Record, float]]:
    """Return every stay on insulin, and how long after its start the insulin begins (min)."""
    return generator().stays(shared_data("mimic-iii-demo"))


def of_others(stays: Sequence[tuple[tp.Record, float]]) -> tuple[tp.Population, ...]:
    """Return for each stay what the stays of other persons teach, learned as the population that ships is."""
    began = time.perf_counter()
    found = generator().learn(stays, leave_one_out=True)
    print(f"  populations, {time.perf_counter() - began:.0f} s; {found[0].verdict}", flush=True)
    return found


def rolled(stays, populations, *, rolling: Filter = ROLLING, key=None) -> Evaluation:
    """Forecast the next glucose at every value from the first insulin on, from the past alone."""
    return evaluate(
        tp.models.metabolic.ICING.charted(),
        [record for record, _ in stays],
        first=[begin - 1e-6 for _, begin in stays],
        following=1,
        method=tp.Laplace(),
        rolling=rolling,
        population=populations,
        key=jax.random.key(1) if key is None else key,
    )


def judged(evaluation: Evaluation, records: Sequence[tp.Record]) -> pd.DataFrame:
    """Return the table of all forecasters, one row per forecaster and pair, with the insulin that ran (U/h)."""
    frame = evaluation.scores.table()
    pairs = frame[["patient", "origin"]].drop_duplicates()
    rates = {(i, t): insulin(records[i], t) for i, t in pairs.itertuples(index=False)}
    frame["insulin"] = [rates[pair] for pair in frame[["patient", "origin"]].itertuples(index=False, name=None)]
    frame["person"] = [records[i].person or str(i) for i in frame["patient"]]
    return frame


def insulin(record: tp.Record, time: float) -> float:
    """Return the insulin (U/h) that was known at a time to run."""
    if "insulin" not in record.inputs:
        return 0.0
    course = record.inputs["insulin"].until(time)
    return float(convert(course.at(time), course.unit, "U/h", variable="insulin"))


def told(population: tp.Population) -> dict[str, Any]:
    """Return typical value and 90 % of patients for each unknown, and what judges the draws."""
    judging = {name: value for name, value in population.provenance.items() if isinstance(value, int | float)}
    return {"typical, 5 %, 95 %": {name: row for name, *row, _ in population.summary()}, **judging}


def means(frame: pd.DataFrame, forecaster: str, column: str) -> pd.Series:
    """Return the mean of a column over each stay's pairs."""
    return frame[frame["forecaster"] == forecaster].groupby("patient")[column].mean()


def ratio(
    frame: pd.DataFrame, rival: str, column: str = "interval_score", *, who: str = "twin"
) -> tuple[float, float, float]:
    """Return a forecaster's mean over stays to the rival's, and its 90 % bootstrap interval over persons."""
    twin, other = means(frame, who, column), means(frame, rival, column)
    person = frame.groupby("patient")["person"].first().loc[twin.index].to_numpy()
    a, b = twin.to_numpy(), other.loc[twin.index].to_numpy()
    low, high = persons.bootstrap(lambda rows: a[rows].mean() / b[rows].mean(), person)
    return float(a.mean() / b.mean()), low, high


def slopes(frame: pd.DataFrame, forecaster: str = "twin") -> dict[str, tuple]:
    """Return the slope of log(value / median) on log(last / 8) and on log(1 + insulin in U/h), with standard errors."""
    mine = frame[frame["forecaster"] == forecaster]
    residuals = np.log(mine["value"] / mine["median"]).to_numpy()
    groups = mine["person"].to_numpy()
    against = {"last value": np.log(mine["last"] / USUAL), "insulin rate": np.log1p(mine["insulin"])}
    return {name: persons.slope(residuals, values.to_numpy(), groups) for name, values in against.items()}
