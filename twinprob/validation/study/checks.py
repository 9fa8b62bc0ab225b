"""Lines by which a study can be falsified: passed, failed, not done, or for a human to judge."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...display import number
from ...patient.require import require_each, require_kinds
from .figures import Study

_KHAT, _FAILED = 0.7, 0.005  # beyond these an importance sample, and draws whose solves failed, are not trusted


@dataclass(frozen=True)
class Check:
    """One line of a credibility report.

    Attributes
    ----------
    area, line : str
    verdict : {"passed", "failed", "not done", "for a human"}
    evidence : str
    """

    area: str
    line: str
    verdict: Literal["passed", "failed", "not done", "for a human"]
    evidence: str


def lines(study: Study, others: Sequence[Check] = ()) -> tuple[Check, ...]:
    """Return every line of a study's credibility report.

    Parameters
    ----------
    study : Study
    others : sequence of Check
        What was done elsewhere, such as a calibration on simulated patients; it takes the place of the line of the same
        name that would be "not done".

    Returns
    -------
    checks : tuple of Check
    """
    require_kinds(study=(study, Study))
    require_each("others", others, Check)
    found = [*_calculation(study), *_intervals(study), *_against_rivals(study), *_stated(study), *_not_done()]
    told = {(one.area, one.line) for one in others}
    return (*(one for one in found if (one.area, one.line) not in told), *others)


def _verdict(holds: bool) -> Literal["passed", "failed"]:
    return "passed" if holds else "failed"


def _calculation(study: Study) -> list[Check]:
    flow, area = study.flow, "Data and calculation"
    fates = flow["fate"].value_counts()
    failed = flow[flow["fate"] == "failed"]
    found = [
        Check(
            area, "every stay is accounted for", _verdict(int(fates.sum()) == len(flow)),
            f"{len(flow)} stays: " + ", ".join(f"{count} {fate}" for fate, count in fates.items()),
        ),
        Check(
            area, "no stay failed", _verdict(failed.empty),
            f"{len(failed)} failed" + (f": {failed['reason'].value_counts().index[0]}" if len(failed) else ""),
        ),
        Check(area, "the code passes its tests", "for a human", "run the tests of the installed version"),
    ]  # fmt: skip
    origins = study.origins
    if not origins.empty:
        khat, solves = origins["khat"].to_numpy(float), origins["failed_solves"].to_numpy(float)
        fits = khat[np.isfinite(khat)]
        found += [
            Check(
                area, f"importance sampling of every fit is trusted (k-hat < {_KHAT:g})",
                _verdict(bool((fits < _KHAT).all())),
                f"{int((fits >= _KHAT).sum())} of {len(fits)} are not; largest {number(float(fits.max(initial=0.0)))}",
            ),
            Check(
                area, f"solves fail in at most {100 * _FAILED:g} % of the draws of a forecast",
                _verdict(bool(np.nanmax(solves, initial=0.0) <= _FAILED)),
                f"at most {100 * float(np.nanmax(solves, initial=0.0)):.2g} %",
            ),
        ]  # fmt: skip
    return found


def _enough(study: Study, patients: int, low: float) -> bool:
    """Tell whether a bootstrap over patients means something."""
    return bool(np.isfinite(low) and patients >= study.protocol.smallest_cell)


def _intervals(study: Study) -> list[Check]:
    found = []
    frame = study.summary()
    for row in frame[frame["forecaster"] == "twin"].to_dict("records"):
        for level in study.protocol.levels:
            name = f"covered {100 * level:g} %"
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            found.append(
                Check(
                    "Intervals", f"{row['variable']}, {row['horizon']}: {100 * level:g} % intervals hold so many",
                    _verdict(low <= level <= high) if _enough(study, row["patients"], low) else "not done",
                    f"{100 * row[name]:.1f} % ({100 * low:.1f}–{100 * high:.1f} %), {row['patients']} patients",
                )
            )  # fmt: skip
    return found


def _against_rivals(study: Study) -> list[Check]:
    """Compare the CRPS with every simple forecaster: a twin that is worse than one has failed."""
    found = []
    frame = study.summary()
    for variable, horizon in frame[["variable", "horizon"]].drop_duplicates().itertuples(index=False):
        for rival in study.protocol.baselines:
            ratio, low, high = study.ratio("crps", variable, horizon, rival)
            if not np.isfinite(ratio):
                continue
            verdict: Any = "passed" if high < 1.0 else ("failed" if ratio > 1.0 else "for a human")
            if not _enough(study, int(frame["patients"].max()), low):
                verdict = "not done"
            found.append(
                Check(
                    "Against simple forecasters", f"{variable}, {horizon}: better than {rival}", verdict,
                    f"CRPS {ratio:.2f} × ({low:.2f}–{high:.2f})",
                )
            )  # fmt: skip
    return found


def _stated(study: Study) -> list[Check]:
    return [
        Check(
            "Stated before the results", row.threshold, row.verdict,
            "nothing came to be judged" if np.isnan(row.figure) else f"{row.figure:.3g} ({row.low:.3g}–{row.high:.3g})",
        )
        for row in study.thresholds().itertuples()
    ]  # fmt: skip


def _not_done() -> list[Check]:
    """Return what a study of charts cannot do, with what would."""
    missing = {
        ("Inference", "calibration on simulated patients"): "`tp.calibrate(model, …)` of the variant that was used",
        ("Inference", "unknowns are determined by what is charted"): "`tp.identify(twin)` of typical patients",
        ("Calculation", "solver tolerance"): "forecasts with `tp.Adaptive(rtol=1e-10)` beside the fixed step",
        ("Robustness", "more noise, missing values, a wrong unit"): "the study again on an extract so changed",
        ("Robustness", "priors twice as wide"): "the study again with the model's `free`",
    }
    found = [Check(area, line, "not done", f"would show it: {how}") for (area, line), how in missing.items()]
    found.append(
        Check("Use", "the physiology is adequate for the context of use", "for a human", "read the model's page")
    )
    return found
