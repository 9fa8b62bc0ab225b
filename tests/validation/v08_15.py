"""What a fit costs by length of stay, pressure and glucose, and whether its forecast is that of the whole record."""

import json
import math
import os
import resource
import subprocess
import sys
import time
from typing import Any

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result

LIMIT = 14400
STAYS = (24, 96, 240)
AHEAD = (1.0, 2.0, 4.0)  # h
SAME = 4.0  # standard errors; of 12 comparisons a stay each passes 3 by chance in three of a hundred
DF, NOISE = 4, 4.0


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
    return tp.Record.build({"mean_arterial_pressure": (times, values, "mmHg")}, given, start=0.0, end=end)


def glucose(hours: float, seed: int = 0) -> tp.Record:
    """A stay with a glucose each hour under insulin that follows it; one patient of `ICING`, hour by hour."""
    chance, model = np.random.default_rng(seed), tp.models.metabolic.ICING()
    sensitivity = np.exp(-8.05 + wander(60.0 * np.arange(hours), 0.4, 720.0, chance))
    truth, rate, rates, values = None, 2.0, [], []
    changes = 60.0 * np.arange(hours)
    for hour in range(int(hours)):
        now = 9.0 if truth is None else float(truth.glucose)
        values.append(now * math.exp(0.06 * chance.standard_t(DF)))
        rate = float(np.clip(rate + 0.4 * (values[-1] - 8.0), 0.0, 8.0))
        rates.append(rate)
        truth = following_hour(model, truth, rate, sensitivity[hour])
    given = tp.Inputs.infusions("insulin", changes, [*changes[1:], np.inf], rates, "U/h")
    given = given | tp.Inputs.infusions("enteral_glucose", [0.0], [np.inf], [0.6], "mmol/min")
    return tp.Record.build({"glucose": (changes, values, "mmol/L")}, given, start=0.0, end=60.0 * hours)
