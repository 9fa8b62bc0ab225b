"""A twin recommends insulin again and again to patients that its own model moves: stated risk against what came."""

import argparse
import sys

from tests.validation import Result
from tests.validation.glucose_decisions import DECISIONS, FLOOR, HORIZON, MOST, by_oracle, followed, judged

LIMIT = 14400
COUNT = 500
LEAST, LARGEST, VIOLATED, APART = 0.85, 1.15, 0.065, 0.03


def measure(count: int = COUNT) -> Result:
    """Let twins decide and an oracle beside them, on patients of the same draw."""
    rows = followed(count, lambda model: model, say=True)
    found, oracle = judged(rows), by_oracle(count)
    band, thirds = found["in band"], found["O/E by thirds"]
    held = {
        "O/E over all": LEAST <= found["O/E"] <= LARGEST,
        "O/E by thirds": all(LEAST <= part <= LARGEST for part in thirds),
        "violations where the limit bound": found["crossed where bound"] <= VIOLATED,
        "time in band near the oracle's": abs(oracle - band) <= APART,
        "no cap broken": found["caps broken"] == 0,
        "as many patients as asked": count >= COUNT,
    }
    return Result(
        f"{count} patients × {DECISIONS} decisions of {HORIZON:g} h, limit {100 * MOST:g} % below {FLOOR:g} mmol/L: "
        f"{found['accepted']} of {found['decisions']} recommended, O/E {found['O/E']:.2f} (90 % {found['90 %'][0]:.2f} "
        f"to {found['90 %'][1]:.2f}; {found['crossed']} crossed, {found['expected']:.0f} stated), by thirds of stated "
        f"risk {', '.join(f'{part:.2f}' for part in thirds)}; the limit held a plan back in "
        f"{100 * found['share bound']:.0f} % and {100 * found['crossed where bound']:.1f} % of these crossed; "
        f"{100 * band:.1f} % of time in band (oracle {100 * oracle:.1f} %); caps broken {found['caps broken']}",
        all(held.values()),
        {**found, "oracle in band": oracle, "held": held},
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=COUNT)
    result = measure(parser.parse_args().patients)
    print(result.figure)
    print(result.details)
    sys.exit(0 if result.holds else 1)
