"""Next glucose in the MIMIC-III demo by the charted twin, beside the empirical interval and a regression."""

import itertools

import numpy as np
import pandas as pd

from tests.validation import Result, glucose_stays
from tests.validation.glucose_stays import CLASSES, means, ratio

LIMIT = 5400
BARS = dict(zip(CLASSES, (0.85, 0.70), strict=True))
JUDGED = "recalibrated twin"
FORECASTERS = ("twin", JUDGED, "twin and regression")
EARLY = 8 * 60.0  # min after the first insulin


def measure() -> Result:
    """Learn a population for each stay from other persons, forecast the stay with it, and judge."""
    stays = glucose_stays.cuts()
    records = [record for record, _ in stays]
    populations = glucose_stays.of_others(stays)
    evaluation = glucose_stays.rolled(stays, populations)
    frame = glucose_stays.judged(evaluation, records)
    frame["since"] = frame["origin"] - [records[i].start + stays[i][1] for i in frame["patient"]]
    return result(frame, {"populations": [glucose_stays.told(one) for one in populations]})


def result(frame: pd.DataFrame, details: dict) -> Result:
    """Compare the twin with its rivals in each class, and look at what its errors depend on."""
    parts, holds = [], True
    for name, bar in BARS.items():
        text, passed, told = one_class(frame[frame["horizon"] == name], bar)
        parts.append(f"{name}: {text}")
        holds &= passed
        details[name] = told
    near = frame[frame["horizon"] == CLASSES[0]]
    for name, (found, error) in glucose_stays.slopes(near, JUDGED).items():
        parts.append(f"slope on {name} {found:.3f} ± {error:.3f}")
        holds &= abs(found) <= 2 * error
    early = near[near["since"] < EARLY]
    twin, last = (float(means(early, who, "absolute_error").mean()) for who in (JUDGED, "persistence"))
    parts.append(f"first 8 h: MAE {twin:.2f} (persistence {last:.2f})")
    details["by insulin rate and last value"] = bins(near)
    return Result(figure="; ".join(parts), holds=bool(holds and twin < last), details=details)


def one_class(frame: pd.DataFrame, bar: float) -> tuple[str, bool, dict]:
    """Judge one class of hours ahead: means over stays, with intervals by bootstrap over persons.

    Judged is the twin as it is given at the bedside, recalibrated; the bare twin and the stack stand beside it.
    """
    parts, good = [], {}
    rivals = {who: means(frame, who, "absolute_error") for who in ("regression", "persistence")}
    for who in FORECASTERS:
        empirical, regression = ratio(frame, "other patients", who=who), ratio(frame, "regression", who=who)
        coverage, errors = float(means(frame, who, "covered").mean()), means(frame, who, "absolute_error")
        parts.append(
            f"{who} score {said(empirical)} × the empirical, {said(regression)} × the regression's, coverage "
            f"{coverage:.3f}, MAE {errors.mean():.2f} (median over stays {errors.median():.2f})"
        )
        less = errors.mean() <= rivals["regression"].mean()
        good[who] = empirical[0] <= bar and regression[0] <= 1.0 and less and 0.87 <= coverage <= 0.93
    pairs = int((frame["forecaster"] == "twin").sum())
    text = (
        f"{pairs} pairs of {frame['patient'].nunique()} stays, {', '.join(parts)}; MAE of the regression "
        f"{rivals['regression'].mean():.2f}, of persistence {rivals['persistence'].mean():.2f} mmol/L, medians over "
        f"stays {rivals['regression'].median():.2f}, {rivals['persistence'].median():.2f}"
    )
    pooled = frame.groupby("forecaster")[["interval_score", "absolute_error", "covered", "crps"]].mean()
    each = frame.pivot_table(index="patient", columns="forecaster", values="interval_score", aggfunc="mean")
    details = {"pooled": pooled.T.to_dict(), "interval score by stay": each.to_dict("list"), "holds": good}
    return text, bool(good[JUDGED]), details


def said(found: tuple[float, float, float]) -> str:
    """Return a ratio with its interval."""
    return f"{found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]"


def bins(frame: pd.DataFrame) -> dict:
    """Return how glucose moved and how the twin said, in logs, by insulin rate (U/h) and by last value (mmol/L)."""
    mine = frame[frame["forecaster"] == "twin"]
    moved = np.log(mine["value"] / mine["last"]).to_numpy()
    meant = np.log(mine["median"] / mine["last"]).to_numpy()
    found = {}
    cuts = {
        "U/h": (mine["insulin"].to_numpy(), (-0.1, 0.5, 2.0, 4.0, 8.0, 1e3)),
        "mmol/L": (mine["last"].to_numpy(), (0.0, 5.0, 7.0, 9.0, 12.0, 1e3)),
    }
    for unit, (values, edges) in cuts.items():
        for low, high in itertools.pairwise(edges):
            inside = (values > low) & (values <= high)
            if inside.any():
                both = [float(moved[inside].mean()), float(meant[inside].mean())]
                found[f"to {high:g} {unit}"] = [int(inside.sum()), *both]
    return found
