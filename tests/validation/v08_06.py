"""Next arterial oxygen and saturation on real stays of two sets, by `ChartedOxygenation` as it ships."""

import pandas as pd

from tests.validation import Result, gas_stays
from tests.validation.gas_stays import GAS, PULSE

LIMIT = 5400
SETS = {"MIMIC-III demo": (gas_stays.mimic, 1), "physionet2012": (gas_stays.physionet, 20)}
NAMES = {GAS: ("PaO2", "P/F persistence", 0.9, "mmHg"), PULSE: ("SpO2", "last SpO2", 1.0, "%")}


def measure() -> Result:
    """Forecast two days of every stay of the demo, and of every twentieth of physionet2012."""
    return measured()


def measured(every: int = 1, progress=None) -> Result:
    """Measure, on every so many-th of these stays where not on all."""
    details: dict[str, object] = {}
    parts, holds = [], True
    for name, (read, thinned) in SETS.items():
        table = gas_stays.judged(read(every * thinned), progress)
        text, passed, told = one_set(table)
        parts.append(f"{name}: {text}")
        holds &= passed
        details[name] = told
    details["learned"] = (
        "nothing on these stays by the script; priors and errors of the model are settings chosen with stays of both "
        "sets in view, some of them in this table: the figure is not of patients left out"
    )
    details["left out"] = "what is said of a stay after its second day; gases whose inspired fraction is not charted"
    return Result(figure="; ".join(parts), holds=holds, details=details)


def one_set(table: pd.DataFrame) -> tuple[str, bool, dict]:
    """Judge one set, each stay alike."""
    parts, holds, details = [], True, {}
    table = table[table["simple"].notna()]
    for variable, (name, rival, share, unit) in NAMES.items():
        mine = table[table["variable"] == variable]
        if mine.empty:
            continue
        stays = mine.groupby("patient")[["error", "rival", "covered", "score"]].mean().mean()
        highest = float(mine["highest"].max())
        parts.append(
            f"{name}: {len(mine)} pairs of {mine['patient'].nunique()} stays, MAE {stays['error']:.2f} {unit} ({rival} "
            f"{stays['rival']:.2f}, ratio {stays['error'] / stays['rival']:.2f}), coverage {stays['covered']:.3f}"
            + (f", highest draw {highest:.0f} %" if variable == PULSE else "")
        )
        holds &= stays["error"] <= share * stays["rival"] and 0.87 <= stays["covered"] <= 0.93
        holds &= variable != PULSE or highest <= 100.0
        pooled = mine[["error", "rival", "covered", "score"]].mean()
        details[name] = {"means over stays": stays.to_dict(), "all pairs": pooled.to_dict()}
    return ", ".join(parts), bool(holds), details
