"""The scores of studies against closed forms and another library, and intervals that tell right from narrow."""

import numpy as np
import pandas as pd
import scoringrules
from scipy.stats import norm

from tests.validation import Result
from tests.validation.study.made import plan
from twinprob.validation.probabilities import auprc, judge_probabilities
from twinprob.validation.score import log_score, of_draws
from twinprob.validation.study.figures import Study

PATIENTS, PAIRS, DRAWS = 40, 60, 1000
QUANTILES = 1_000_000  # so many that none of them is the closed form's error
LEVELS = (0.5, 0.8, 0.9, 0.95)


def measure() -> Result:
    """Compare single scores, then whole studies of forecasters whose distributions are known."""
    apart = {"scoringrules": _ensembles(), "closed forms": _closed(), "probabilities": _probabilities()}
    right, narrow = _summary(1.0), _summary(0.8)
    names = [f"covered {100 * level:g} %" for level in LEVELS]
    inside = [right[f"{name}_low"] <= level <= right[f"{name}_high"] for name, level in zip(names, LEVELS, strict=True)]
    outside = [
        not narrow[f"{name}_low"] <= level <= narrow[f"{name}_high"] for name, level in zip(names, LEVELS, strict=True)
    ]
    exact = apart["scoringrules"] < 1e-10 and apart["closed forms"] < 1e-3 and apart["probabilities"] < 1e-12
    return Result(
        f"CRPS, threshold-weighted CRPS, interval and log score differ from scoringrules by at most "
        f"{apart['scoringrules']:.1g}, from the normal's closed forms on a million quantiles by "
        f"{apart['closed forms']:.1g}; "
        f"Brier, O/E, AUROC and AUPRC from values by hand by {apart['probabilities']:.1g}; right forecaster inside its "
        f"90 % intervals at {sum(inside)} of {len(inside)} levels (90 %: {_interval(right)}), 20 % too narrow "
        f"outside at {sum(outside)} of {len(outside)} (90 %: {_interval(narrow)})",
        bool(exact and all(inside) and all(outside)),
        {"largest differences": apart, "right": right, "narrow": narrow},
    )


def _interval(row: dict) -> str:
    return f"{row['covered 90 %']:.3f}, {row['covered 90 %_low']:.3f}–{row['covered 90 %_high']:.3f}"


def _ensembles() -> float:
    chance, worst = np.random.default_rng(0), 0.0
    for _ in range(50):
        members, value, limit = chance.gamma(2.0, 2.0, 200), float(chance.gamma(2.0, 2.0)), 3.0
        mine = of_draws([value], [members]).table(ci_prob=0.9).iloc[0]
        cut = of_draws([max(value, limit)], [np.maximum(members, limit)]).table().iloc[0]["crps"]
        low, high = np.quantile(members, [0.05, 0.95])
        pairs = [
            (mine["crps"], scoringrules.crps_ensemble(value, members)),
            (cut, scoringrules.twcrps_ensemble(value, members, a=limit)),
            (mine["interval_score"], scoringrules.interval_score(value, low, high, 0.1)),
            (log_score(value, members), scoringrules.logs_ensemble(value, members)),
        ]
        worst = max(worst, *(abs(float(a) - float(b)) for a, b in pairs))
    return worst


def _closed() -> float:
    members, worst = norm.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES), 0.0
    for value in (-2.0, -0.3, 0.0, 1.0, 2.5):
        mine = of_draws([value], [members]).table(ci_prob=0.9).iloc[0]
        z = norm.ppf(0.95)
        score = 2 * z + 20 * max(0.0, abs(value) - z)
        pairs = [
            (mine["crps"], value * (2 * norm.cdf(value) - 1) + 2 * norm.pdf(value) - 1 / np.sqrt(np.pi)),
            (mine["pit"], norm.cdf(value)),
            (mine["interval_score"], score),
        ]
        worst = max(worst, *(abs(float(a) - float(b)) for a, b in pairs))
    return worst


def _probabilities() -> float:
    stated, happened = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    found = judge_probabilities(stated, happened, np.arange(4))
    pairs = [
        (found["brier"], (0.01 + 0.64 + 0.09 + 0.01) / 4),
        (found["observed_over_expected"], 2 / 2.5),
        (found["auroc"], 3 / 4),
        (auprc(stated, happened), 0.5 + 0.5 * 2 / 3),
    ]
    return max(abs(a - b) for a, b in pairs)


def _summary(width: float) -> dict:
    """Return the figures of a study whose values are normal, forecast `width` times as wide as they are."""
    chance = np.random.default_rng(4)
    count = PATIENTS * PAIRS
    mean = chance.uniform(5.0, 9.0, count)
    value = mean + chance.standard_normal(count)
    members = [m + width * chance.standard_normal(DRAWS) for m in mean]
    patients = np.repeat([f"p{i:02d}" for i in range(PATIENTS)], PAIRS)
    scores = of_draws(
        value, members, variable="glucose", unit="mmol/L", forecaster="twin", horizon="0.4–1.5 h", patient=patients,
        stay=0, stood_in=False,
    )  # fmt: skip
    study = Study(plan(levels=LEVELS), pd.DataFrame(), scores, pd.DataFrame(), {})
    row = study.summary().iloc[0].to_dict()
    return {name: x.item() if hasattr(x, "item") else x for name, x in row.items()}
