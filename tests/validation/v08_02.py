"""What three lines of code give: the charted model with a population as it ships, against line 08.1's settings."""

import tempfile
from pathlib import Path

import jax

import twinprob as tp
from tests.validation import Result, glucose_stays
from tests.validation.glucose_stays import CLASSES, means

LIMIT = 5400
FIRST = (
    36 * 60.0
)  # min after the first insulin; a refit, which the plain user's update may ask for, costs with the stay
WITHIN = 0.02


def measure() -> Result:
    """Forecast the first day and a half on insulin both ways, each stay with what other persons teach."""
    stays = [
        (record.until(min(record.end, record.start + begin + FIRST)), begin) for record, begin in glucose_stays.cuts()
    ]
    populations = glucose_stays.of_others(stays)
    line = glucose_stays.rolled(stays, populations)
    with tempfile.TemporaryDirectory() as folder:
        shipped = [as_shipped(one, Path(folder) / "population.nc") for one in populations]
    plain = glucose_stays.rolled(stays, shipped, rolling=tp.Filter(), key=jax.random.key(2))
    parts, holds, details = [f"ships: {tp.load_population(glucose_stays.NAME).verdict}"], True, {}
    for name in CLASSES:
        found = {}
        for who, evaluation in (("plain", plain), ("line 08.1", line)):
            frame = evaluation.scores.table()
            frame = frame[frame["horizon"] == name]
            found[who] = {c: float(means(frame, "twin", c).mean()) for c in ("interval_score", "covered", "crps")}
        share = found["plain"]["interval_score"] / found["line 08.1"]["interval_score"]
        parts.append(f"{name}: score {share:.3f} × that of line 08.1, coverage {found['plain']['covered']:.3f}")
        holds &= abs(share - 1) <= WITHIN
        details[name] = found
    return Result(figure="; ".join(parts), holds=bool(holds), details=details)


def as_shipped(population: tp.Population, file: Path) -> tp.Population:
    """Return a population as a user gets it: anonymous, by way of a file."""
    population.anonymous().save(file)
    return tp.load_population(file)
