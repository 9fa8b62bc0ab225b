"""Do charted peaks harm the bands of plateaus? The same forecasts with the peaks charted and without."""

from tests.validation import Result, plateau_stays
from tests.validation.v08_03 import SETS, WHAT

LIMIT = 5400


def measure() -> Result:
    """Forecast every plateau of both sets twice."""
    return measured()


def measured(every: int = 1, progress=None) -> Result:
    """Measure, on every so many-th stay where not on all."""
    parts, holds, details = [], True, {}
    ways = {"twin": plateau_stays.twin, "twin with peaks": plateau_stays.with_peaks}
    for name, read in SETS.items():
        records = [record for record in read(every) if "peak_pressure" in record.observations]
        table = plateau_stays.judged(records, ways, progress)
        found, low, high = plateau_stays.ratio(table, "twin with peaks", "twin")
        stays = table.groupby(["forecaster", "patient"])[WHAT].mean().groupby("forecaster").mean().loc[list(ways)]
        pooled = table.groupby("forecaster")[WHAT].mean().loc[list(ways)]
        alike = float(pooled.loc["twin with peaks", WHAT[2]] / pooled.loc["twin", WHAT[2]])
        mine = table[table["forecaster"] == "twin"]
        parts.append(
            f"{name}: {len(mine)} pairs of {mine['patient'].nunique()} stays, score {found:.3f} [{low:.2f}, {high:.2f}]"
            f" x that without peaks, all pairs alike {alike:.3f} x; coverage {stays['covered'].iloc[1]:.3f} for "
            f"{stays['covered'].iloc[0]:.3f}, MAE {stays[WHAT[0]].iloc[1]:.2f} for {stays[WHAT[0]].iloc[0]:.2f} cmH2O"
        )
        holds &= found <= 1.0
        details[name] = {"means over stays": stays.T.to_dict(), "all pairs": pooled.T.to_dict()}
    return Result(figure="; ".join(parts), holds=bool(holds), details=details)
