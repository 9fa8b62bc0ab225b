"""Which error of the model breaks which insulin arm: each error alone and all together, on the same patients."""

import jax
import numpy as np

from tests import ROOT
from tests.decisions.insulin_trial import ARMS, HOURS, meter, patients
from tests.validation import Result
from twinprob.decisions import mismatch, trial

COUNT = 200
KEY = jax.random.key(108)
PAGE = ROOT / "docs" / "validation" / "mismatches.md"
# Broken, by the rules stated here beforehand: lows that no published arm has, or the band lost.
LOWS, BAND = 3.0, 15.0  # % of patients ever below 2.2 mmol/L; points of time in 4.4-8.0 lost against no error
HEAD = """# Which error of the model breaks which arm

{count} virtual patients for {hours:g} h, the same in every cell; a cell gives the median share of hours in 4.4–8.0
mmol/L, and after it the share of patients ever below 2.2 mmol/L, both in %. **Bold**: broken by the rule stated before
the run — more than {lows:g} % of patients below 2.2, or {band:g} points of time in band less than without an error.
Made by `python -m tests.validation 10.8`.

"""


def measure() -> Result:
    """Run every arm under every error and write the table."""
    who, errors = patients(COUNT), {"none": None, **mismatch.INSULIN, "all together": mismatch.INSULIN_TOGETHER}
    cells: dict[str, dict[str, tuple[float, float]]] = {}
    failed = 0
    for name, error in errors.items():
        done = trial(ARMS, who, hours=HOURS, key=KEY, world=meter(0.05), mismatch=error)
        failed += sum(done.solves_failed.values())
        cells[name] = {
            arm: (done.summary("in_4.4_to_8.0", arm).middle, done.summary("ever_below_2.2", arm).middle) for arm in ARMS
        }
    broken = {
        arm: [name for name in errors if name != "none" and _broken(cells[name][arm], cells["none"][arm])]
        for arm in ARMS
    }
    _write(cells, broken)
    worst = max(broken, key=lambda arm: len(broken[arm]))
    return Result(
        f"{len(errors) - 1} errors × {len(ARMS)} arms × {COUNT} patients in docs/validation/mismatches.md; most often "
        f"broken: {worst} ({len(broken[worst])}), {failed} solves failed",
        bool(np.isfinite([[*row.values()] for row in cells.values()]).all()),
        {"cells (in band, below 2.2)": {k: {a: list(p) for a, p in v.items()} for k, v in cells.items()},
         "broken": broken},
    )  # fmt: skip


def _broken(cell: tuple[float, float], without: tuple[float, float]) -> bool:
    return cell[1] > LOWS or cell[0] < without[0] - BAND


def _write(cells, broken) -> None:
    rows = ["| error | " + " | ".join(ARMS) + " |", "|---" * (1 + len(ARMS)) + "|"]
    for name, row in cells.items():
        error = mismatch.INSULIN.get(name)
        said = name if error is None else error.about
        shown = []
        for arm, (band, low) in row.items():
            words = f"{band:.0f}; {low:.1f}"
            shown.append(f"**{words}**" if name in broken[arm] else words)
        rows.append(f"| {said} | " + " | ".join(shown) + " |")
    text = HEAD.format(count=COUNT, hours=HOURS, lows=LOWS, band=BAND) + "\n".join(rows) + "\n"
    PAGE.write_text(text, encoding="utf-8")
