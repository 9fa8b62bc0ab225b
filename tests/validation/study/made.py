"""A study whose patients are made of known distributions: no twin is fitted."""

import numpy as np
import pandas as pd

from twinprob.validation.study.parts import Part
from twinprob.validation.study.protocol import Protocol

PLAN = """version: 1
name: made
title: Made of normal distributions
context_of_use: Tests of the figures.
source: {reader: tidy}
inclusion: {keep: [glucose], fewest: 2}
model: {name: ICING, variant: charted}
forecast: {horizon: 2 h, following: 1, classes: [[0.4, 1.5]]}
events: [glucose < 6 mmol/L]
subgroups: [{covariate: sex}, {covariate: age, edges: [65]}]
smallest_cell: 3
thresholds:
  - {figure: coverage, horizon: 0.4–1.5 h, at_least: 0.8, at_most: 1.0}
  - {figure: crps, horizon: 0.4–1.5 h, relative_to: persistence, below: 1}
seed: 3
"""


def plan(**changes) -> Protocol:
    """Return the study, some of its fields changed."""
    import yaml

    return Protocol.model_validate({**yaml.safe_load(PLAN), **changes})


def part(number: int, *, width: float = 1.0, pairs: int = 30, draws: int = 400, failed: int = 0, seed: int = 0) -> Part:
    """Return a patient whose values are Normal(mean, 1) with a mean of their own, forecast `width` times as wide."""
    chance = np.random.default_rng([seed, number])
    mean = chance.uniform(5.0, 9.0, pairs)
    value = mean + chance.standard_normal(pairs)
    time = 60.0 * np.arange(1.0, pairs + 1.0)
    frame = pd.DataFrame({
        "variable": "glucose", "unit": "mmol/L", "origin": time - 60.0, "time": time, "last": mean + 1.5,
        "trend": mean + 2.0, "value": value, "hours_ahead": 1.0, "horizon": "0.4–1.5 h", "smoothed": mean + 1.0,
        "usual": 2.0, "own": 0.1, "move": 0.0, "stay": 0, "known": time, "changed": False,
    })  # fmt: skip
    twin = [m + width * chance.standard_normal(draws) for m in mean]
    for i in range(failed):
        twin[i] = np.full(1, np.nan)
    prior = [7.0 + 3.0 * chance.standard_normal(100) for _ in mean]
    origins = pd.DataFrame({
        "origin": time - 60.0, "method": "Filter", "khat": np.nan, "failed_solves": 0.0, "failed": False, "stay": 0,
    })  # fmt: skip
    about = {"number": 0, "fate": "rolled", "reason": "", "hours": 30.0, "ledger": {"used": 31, "set aside": 2},
             "covariates": {"sex": "female" if number < 2 else "male", "age": 50.0 + 5.0 * number}}  # fmt: skip
    return Part(f"p{number:02d}", "done", (about,), frame, {"twin": twin, "prior": prior}, origins)


def excluded(number: int) -> Part:
    """Return a patient whom a rule left out."""
    return Part(f"p{number:02d}", "excluded", ({"number": 0, "fate": "excluded", "reason": "no insulin"},))


def broken(number: int) -> Part:
    """Return a patient who could not be read."""
    return Part(f"p{number:02d}", "failed", ({"number": 0, "fate": "failed", "reason": "ValueError: no unit"},))
