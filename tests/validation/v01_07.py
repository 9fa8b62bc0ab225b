"""Simulation-based calibration of both metabolic models with the default method."""

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result
from twinprob.models.metabolic import ICING, MinimalModel
from twinprob.validation.calibrate import Calibration, calibrate

LIMIT = 1500
REPLICATES = 400  # 200 leave a standard error of 0.021 in a coverage: one of fifteen would leave 0.85–0.95 by chance


def icing_day() -> tp.Record:
    """Return the design of a day: glucose every two hours, insulin and feed that change."""
    insulin = tp.Inputs.infusions("insulin", ["0 h", "6 h", "15 h"], ["6 h", "15 h", "24 h"], [2.0, 4.0, 3.0], "U/h")
    feed = tp.Inputs.infusions("enteral_glucose", ["0 h", "12 h"], ["10 h", "32 h"], [0.4, 0.6], "mmol/min")
    times = 120.0 * np.arange(13)
    return tp.Record.build({"glucose": (times, np.full(13, 8.0), "mmol/L")}, insulin | feed)


def verdict(found: Calibration, name: str) -> tuple[bool, str, dict[str, object]]:
    """Return whether the bar holds, the figure, and the details."""
    summary = found.summary()
    inside, covered = summary["inside"], summary["coverage_90"]
    holds = bool(inside.all() and covered.between(0.85, 0.95).all() and not found.judged["failed"].any())
    figure = (
        f"{name}: {int(inside.sum())} of {len(inside)} quantities inside (all together: {found.calibrated()}), "
        f"90 % coverage {covered.min():.3f}–{covered.max():.3f}, largest k-hat {found.judged['khat'].max():.2f}"
    )
    details = {"quantities": summary.reset_index().to_dict("list"), "khat": found.judged["khat"].describe().to_dict()}
    return holds, figure, details


def measure() -> Result:
    """Calibrate ICING on a day and the minimal model on the published tolerance test."""
    designs = {"ICING": (ICING(), icing_day()), "MinimalModel": (MinimalModel(), tp.load_example("fsigt"))}
    parts = {}
    for number, (name, (model, design)) in enumerate(designs.items()):
        hours = (1.0, 2.0, 4.0) if name == "ICING" else (1.0,)
        found = calibrate(
            model,
            record_like=design,
            replicates=REPLICATES,
            method=tp.Laplace(),
            hours=hours,
            key=jax.random.key(number),
        )
        parts[name] = verdict(found, name)
    return Result(
        figure="; ".join(figure for _, figure, _ in parts.values()),
        holds=all(holds for holds, _, _ in parts.values()),
        details={name: details for name, (_, _, details) in parts.items()},
    )
