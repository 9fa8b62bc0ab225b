"""Low pressures of the MIMIC-III demo announced by a twin, and by the last values on the screen."""

import argparse
import sys

from tests.validation import Result
from tests.validation.pressure_watch import HORIZONS, MAP, WATCH, watched
from twinprob.validation.alarms import judge_alarms

LIMIT = 14400
RATE, RECALL, AUROC, LEAST, LARGEST = 3.6, 0.80, 0.81, 0.9, 1.1


def measure(most: int | None = None) -> Result:
    """Score the model's own priors: nothing is learned."""
    records, scores, failed = watched(most)
    readings = {name: record.observations[MAP] for name, record in records.items()}
    words, details, held = [], {}, []
    for hours in HORIZONS:
        mine = f"twin {hours:g} h"
        columns = ["patient", "time", mine, "last value", "mean of three", "trend"]
        found = judge_alarms(WATCH, readings, scores[columns], horizon=f"{hours:g} h", probabilities=[mine])
        at, frame = found.at(RATE), found.frame
        twin, three = frame.loc[mine], frame.loc["mean of three"]
        words.append(
            f"{hours:g} h: AUROC {twin['auroc']:.3f} ({twin['auroc_low']:.3f} to {twin['auroc_high']:.3f}; mean of "
            f"three {three['auroc']:.3f}, last {frame.loc['last value', 'auroc']:.3f}), within stays "
            f"{twin['within']:.3f} ({three['within']:.3f}), O/E {twin['observed_over_expected']:.2f}, Brier "
            f"{twin['brier']:.3f}, recall at {RATE} alarms a day {at.loc[mine, 'recall']:.2f} "
            f"({at.loc['mean of three', 'recall']:.2f})"
        )
        details[mine] = {"frame": frame.to_dict(), "at the rate": at.to_dict()}
        if hours == 4.0:
            held = [
                twin["auroc"] >= AUROC, twin["within"] > three["within"], at.loc[mine, "recall"] >= RECALL,
                LEAST <= twin["observed_over_expected"] <= LARGEST,
            ]  # fmt: skip
    failing = f"; {len(failed)} could not be followed" if failed else ""
    return Result(f"{len(records)} stays{failing}; " + "; ".join(words), bool(all(held)), {**details, "failed": failed})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stays", type=int)
    result = measure(parser.parse_args().stays)
    print(result.figure)
    sys.exit(0 if result.holds else 1)
