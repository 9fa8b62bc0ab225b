"""Rolling forecast of the next glucose value in the MIMIC-III demo, from the past only, beside simple forecasters."""

from collections.abc import Sequence

import twinprob as tp
from tests.validation import Result, glucose_stays
from twinprob.validation.evaluate import Evaluation

LIMIT = 5400
BARS = {"0.4–1.5 h": 0.90, "1.5–2.5 h": 0.78}


def measure() -> Result:
    """Learn a population for each stay from other persons, and forecast the stay with it."""
    stays = glucose_stays.cuts()
    populations = glucose_stays.of_others(stays)
    return judged(glucose_stays.rolled(stays, populations), populations)


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
        "populations": [glucose_stays.told(one) for one in populations],
        "refits": int((evaluation.origins["method"] != "Filter").sum()),
    }
    return Result(figure="; ".join(figures), holds=holds, details=details)
