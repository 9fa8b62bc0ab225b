"""Mean pressure after events in the MIMIC-III demo by the model as it ships: its declared priors, recalibrated."""

import jax
import numpy as np
import pandas as pd

import twinprob as tp
from tests.validation import Result, v05_06
from twinprob.models.sepsis import VasopressorPressure
from twinprob.validation.adapted import recalibrated

LIMIT = 3600
JUMP, COVERED = 20.0, 0.80  # mmHg
OLD = {"mean_absolute_error": 9.12, "ratio": 0.67}  # line 05.6 as it was first measured


def rolled(records: list[tp.Record], key) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Return every pair of every stay, and the draws of its forecast by the model's own priors."""
    frames, drawn = [], []
    for number, record in enumerate(records):
        wanted = v05_06.pairs(record)
        if wanted.empty:
            continue
        seen = v05_06.around(record, wanted)
        drawn += list(v05_06.members(VasopressorPressure(), seen, None, wanted, jax.random.fold_in(key, number)))
        known = record.observations[v05_06.MAP]
        heard = known.known[np.searchsorted(known.times, wanted["time"].to_numpy())]
        frames.append(wanted.assign(patient=number, person=record.person or str(number), known=heard))
    frame = pd.concat(frames, ignore_index=True)
    # Every pair follows an event: treatment changed in each window, or at its border.
    ahead = (frame["time"] - frame["origin"]) / 60.0
    return frame.assign(variable=v05_06.MAP, hours_ahead=ahead, changed=True), drawn


def measure() -> Result:
    """Roll through all stays; intervals are moved by other persons' errors and by its own."""
    frame, own = rolled(v05_06.load(), jax.random.key(6))
    drawn = recalibrated(frame, own).members
    tables = v05_06.scored(frame, drawn)
    means = {name: table.mean(numeric_only=True) for name, table in tables.items()}
    bare = v05_06.scored(frame, own)["twin"].mean(numeric_only=True)
    twin, error, score = means["twin"], "mean_absolute_error", "interval_score"
    ratio = twin[score] / means["empirical"][score]
    low, high = np.array([np.quantile(draws, [0.05, 0.95]) for draws in drawn]).T
    value = frame["value"].to_numpy()
    inside, move = (low <= value) & (value <= high), value - frame["last"].to_numpy()
    jumps = {name: rows for name, rows in (("rises", move > JUMP), ("falls", move < -JUMP)) if rows.any()}
    together = np.abs(move) > JUMP
    held = float(inside[together].mean())
    holds = (
        twin[error] <= OLD["mean_absolute_error"]
        and ratio <= OLD["ratio"]
        and 0.87 <= twin["coverage"] <= 0.93
        and held >= COVERED
    )
    told = ", ".join(f"{int(rows.sum())} {name} {100 * inside[rows].mean():.0f} %" for name, rows in jumps.items())
    return Result(
        figure=f"{len(frame)} pressures of {frame['patient'].nunique()} stays, means over stays: MAE {twin[error]:.2f} "
        f"(persistence {means['persistence'][error]:.2f}, linear {means['linear'][error]:.2f}) mmHg, coverage "
        f"{100 * twin['coverage']:.1f} % (own intervals {100 * bare['coverage']:.1f} %), interval score {ratio:.2f} × "
        f"the empirical (own {bare[score] / means['empirical'][score]:.2f} ×); of moves beyond {JUMP:g} mmHg "
        f"{100 * held:.0f} % covered ({told})",
        holds=bool(holds),
        details={
            "means over stays": {name: row.to_dict() for name, row in means.items()},
            "own intervals, means over stays": bare.to_dict(),
            "line 05.6 as first measured": OLD,
        },
    )
