"""Recalibration under shift: twins whose standard deviations are wrong, in patients of another population."""

import numpy as np
import pandas as pd
from scipy import stats

from tests.validation import Result
from twinprob.forecasting.recalibration import Recalibration, State, Taught, learn_recalibration, transported
from twinprob.inference.outcomes import Outcomes

LIMIT = 3600
FACTORS = (0.6, 0.8, 1.0, 1.25, 1.6)  # the twin's standard deviation over the right one
PATIENTS = 200  # per factor and kind of error
OWN, JUDGED = 20, 10  # own forecasts before, and forecasts judged
DRAWS = 400
LEVELS = np.array([0.05, 0.95])
STEP = 0.02  # of adaptive conformal inference, as in its paper's examples
ERRORS = {"normal": stats.norm(), "heavy-tailed": stats.t(5)}


def teach(chance) -> Recalibration:
    """Learn on 40 patients of a population whose twins are nearly right: 10 % too wide, 15 % between patients."""
    rows = []
    for patient in range(40):
        factor, bias = np.exp(chance.normal(0.1, 0.15)), chance.normal(0.0, 0.15)
        pits = stats.norm.cdf((bias + chance.standard_normal(20)) / factor)
        rows.append(pd.DataFrame({"patient": patient, "variable": "y", "hours_ahead": 1.0, "pit": pits}))
    return learn_recalibration(pd.concat(rows))


def interval_score(value, low, high) -> float:
    """The 90 % interval's score."""
    return (high - low) + 20.0 * max(low - value, 0.0, value - high)


def patient(settings: Recalibration, factor: float, error, chance) -> list[dict]:
    """Forecast one patient's values 21 to 30 after 20 own forecasts, each way; every forecast is heard afterwards."""
    bias = chance.normal(0.0, 0.2) * error.std()
    values = bias + error.rvs(size=OWN + JUDGED, random_state=chance)
    levels = (np.arange(DRAWS) + 0.5) / DRAWS
    draws = factor * error.ppf(levels)
    pits = np.clip(np.searchsorted(draws, values) / DRAWS, 0.5 / DRAWS, 1 - 0.5 / DRAWS)
    right = bias + error.ppf(LEVELS)
    rows, width = [], 0.9
    for n in range(OWN + JUDGED):
        low, high = np.quantile(draws, [(1 - width) / 2, (1 + width) / 2])
        held = low <= values[n] <= high
        adaptive, width = (low, high), float(np.clip(width + STEP * (0.9 - held) * 1.0, 0.0, 0.999))
        if n < OWN:
            continue
        own = Outcomes(60.0 * np.arange(n), np.full(n, 60.0), pits[:n], np.full(n, "y"))
        state = settings.state("y", own)
        far = np.quantile(np.abs(values[:n]), min(1.0, 0.9 * (n + 1) / n))  # split conformal, around the twin's median
        ways = {
            "right": right,
            "twin": np.quantile(draws, LEVELS),
            "recalibrated": np.quantile(transported(draws, state.at(1.0)), LEVELS),
            "own quantiles": (-far, far),
            "adaptive conformal": adaptive,
        }
        for way, (low, high) in ways.items():
            covered = float(low <= values[n] <= high)
            rows.append({"way": way, "covered": covered, "score": interval_score(values[n], low, high)})
    return rows


def untaught() -> float:
    """The least factor on a twin's width where a patient has no forecast yet, whatever others taught."""
    least = []
    for widening in (0.5, 0.8, 1.0, 1.5):
        taught = Taught({(-1, False): widening}, {(-1, False): 0.0}, patients=40, pairs=800)
        state: State = Recalibration({"y": taught}).state("y", Outcomes())
        least.append(state.said(1.0)[0])
    return min(least)


def measure() -> Result:
    """Coverage and score of every way, by factor and kind of error."""
    chance = np.random.default_rng(8)
    settings, frames = teach(chance), []
    for kind, error in ERRORS.items():
        for factor in FACTORS:
            for _ in range(PATIENTS):
                frames.append(pd.DataFrame(patient(settings, factor, error, chance)).assign(kind=kind, factor=factor))
    every = pd.concat(frames)
    by = every.groupby(["kind", "factor", "way"])[["covered", "score"]].mean().unstack("way")
    ratio = by["score"].div(by["score"]["right"], axis=0)
    whole = every.groupby("way")[["covered", "score"]].mean()
    score = whole["score"] / whole["score"]["right"]
    coverage = by["covered"]["recalibrated"]
    least = untaught()
    holds = bool(coverage.between(0.87, 0.93).all() and ratio["recalibrated"].max() <= 1.10 and least >= 0.999)
    figure = (
        f"coverage of values 21 to 30: {coverage.min():.3f} to {coverage.max():.3f} over factors and kinds of error, "
        f"{whole['covered']['recalibrated']:.3f} together (twin as it is {whole['covered']['twin']:.3f}); interval "
        f"score {score['recalibrated']:.3f} of the right twin's together, {ratio['recalibrated'].max():.3f} at worst "
        f"(twin as it is {score['twin']:.2f}, quantiles of own errors {score['own quantiles']:.2f}, adaptive conformal "
        f"{score['adaptive conformal']:.2f}); before any own forecast x {least:.2f} at least"
    )
    table = {
        f"{kind} {factor:g}": {
            way: {"coverage": float(by["covered"][way][kind, factor]), "score": float(ratio[way][kind, factor])}
            for way in ratio.columns
        }
        for kind, factor in by.index
    }
    return Result(figure, holds, {"factors": table, "patients": PATIENTS, "own": OWN})
