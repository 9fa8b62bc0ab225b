"""What version 0.1 saved is read and forecasts as it did; so does what is saved now."""

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

import twinprob as tp
from tests.hostile import SAVED
from tests.validation import Result

TITLE = "Every file that version 0.1 saved: fitted, updated, cohort, population"
BAR = "loads, forecasts bit-identically; also after saving anew"
KEY = 11
HOURS = 4


def measure() -> Result:
    """Compare forecasts of every fixture with those that version 0.1 made, and with those after saving anew."""
    expected = json.loads((SAVED / "expected.json").read_text(encoding="utf-8"))
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", UserWarning)  # of another jax than that of the fixtures
        twins = _twins(SAVED / "cohort.nc", SAVED)
        population = tp.load_population(SAVED / "population.nc")
        again = _saved_and_read(twins, population, Path(folder))
        compared = {name: _compare(twin, expected[name]) for name, twin in twins.items()}
        compared["population"] = _priors(population, expected["population"])
        same = {name: _draws(twin) == _draws(again[name]) for name, twin in twins.items()}
        same["population"] = _centers(population) == _centers(again["population"])
    numbers = sum(one["numbers"] for one in compared.values())
    exact = sum(one["exact"] for one in compared.values())
    largest = max(one["largest"] for one in compared.values())
    return Result(
        figure=f"{len(compared)} of {len(expected)} saved by version 0.1 read; {exact} of {numbers} numbers "
        f"bit-identical, largest relative difference {largest:.1e}; after saving anew and loading "
        f"{sum(same.values())} of {len(same)} bit-identical",
        holds=exact == numbers and all(same.values()) and compared.keys() == expected.keys(),
        details={"compared": compared, "same": same},
    )


def _twins(cohort: Path, folder: Path) -> dict[str, tp.Twin]:
    names = ("charted_lung", "fitted", "noise_and_process", "pressure", "updated")
    found = {name: tp.load(folder / f"{name}.nc") for name in names}
    return found | {f"cohort_{i}": twin for i, twin in enumerate(tp.load_cohort(cohort))}


def _saved_and_read(twins: dict[str, tp.Twin], population: tp.Population, folder: Path) -> dict[str, Any]:
    for name, twin in twins.items():
        if not name.startswith("cohort"):
            twin.save(folder / f"{name}.nc")
    tp.load_cohort(SAVED / "cohort.nc").save(folder / "cohort.nc")
    population.save(folder / "population.nc")
    return {**_twins(folder / "cohort.nc", folder), "population": tp.load_population(folder / "population.nc")}


def _draws(twin: tp.Twin) -> dict[str, list[str]]:
    outputs = tp.forecast(twin, hours=HOURS, key=jax.random.key(KEY)).tree["predicted_outputs"]
    return {
        str(name): [float(x).hex() for x in v.values[..., -1].ravel()[:20]] for name, v in outputs.data_vars.items()
    }


def _compare(twin: tp.Twin, expected: dict[str, Any]) -> dict[str, Any]:
    found = _draws(twin)
    if found.keys() != expected["forecast"].keys() or twin.record.data_hash != expected["data_hash"]:
        raise ValueError("the fixture holds other outputs or another record than when it was saved")
    pairs = [(one, other) for name in found for one, other in zip(found[name], expected["forecast"][name], strict=True)]
    return _agreement([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def _centers(population: tp.Population) -> dict[str, list[str]]:
    stay = tp.load_example("icu_glucose", stay=5).until("6 h")
    priors = population.priors(tp.models.metabolic.ICING(), stay)
    return {name: [float(getattr(prior, "base_dist", prior).loc).hex()] for name, prior in priors.items()}


def _priors(population: tp.Population, expected: dict[str, list[str]]) -> dict[str, Any]:
    found = _centers(population)
    names = sorted(expected)
    return _agreement([found[name][0] for name in names], [expected[name][0] for name in names])


def _agreement(found: list[str], wanted: list[str]) -> dict[str, Any]:
    one, other = (np.array([float.fromhex(x) for x in texts]) for texts in (found, wanted))
    apart = np.abs(one - other) / np.maximum(np.abs(other), 1e-300)
    return {"numbers": len(found), "exact": int(np.sum(one == other)), "largest": float(apart.max())}
