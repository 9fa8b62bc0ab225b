"""One patient of a study, and the populations that patients are forecast with."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from ...inference.fit_population import fit_population
from ...inference.methods.filter import Filter
from ...inference.methods.laplace import Laplace
from ...inference.population import Population, load_population
from ...modeling.model import AbstractModel
from ...patient.ledger import FATES
from ...patient.record import Record
from ...patient.units import minutes
from ..evaluate import followed, pairs_ahead
from ..rivals import features
from .cohort import Excluded, Listed, around, included, listed, treatments
from .parts import Part
from .protocol import Elsewhere, Given, LeftOut, Protocol

# Settings, those of the population that ships.
_LEARNING = Laplace(starts=1, draws=500, proposals=2000, rounds=1, nodes=24)
_EPS = 1e-6


def key_of(protocol: Protocol, patient: str) -> jax.Array:
    """Return a patient's own key: results depend on nobody else, nor on order, batches and workers."""
    digest = hashlib.sha256(patient.encode()).digest()
    key = jax.random.key(protocol.seed)
    for start in (0, 4):
        key = jax.random.fold_in(key, int.from_bytes(digest[start : start + 4], "big"))
    return key


def roll(
    protocol: Protocol,
    source: Listed,
    patient: str,
    populations: Mapping[int, Population],
    *,
    known: Callable[[Part], None],
    tell: Callable[[float], None],
) -> Part:
    """Read a patient's stays, and forecast along each from the past alone.

    Parameters
    ----------
    protocol : Protocol
    source : Listed
    patient : str
    populations : mapping of int to Population
        By the number of the stay; under -1 that of all.
    known : function of a Part
        Called once it is known what is to be forecast, with forecasts that have all failed: what is left if the patient
        takes too long.
    tell : function of a share
    """
    model, key = protocol.model.build(), key_of(protocol, patient)
    about: list[dict[str, Any]] = []
    plans: list[tuple[int, Record, pd.DataFrame]] = []
    for number, stay in enumerate(source.patients[patient]):
        try:
            record, begin, said = _cut(protocol, source, stay)
            pairs = _pairs(protocol, model, record, begin)
            plans.append((number, record, pairs))
            about.append({"number": number, "fate": "rolled", "reason": "", **said})
        except Excluded as rule:
            about.append({"number": number, "fate": "excluded", "reason": str(rule)})
        except Exception as error:  # noqa: BLE001  a patient's failure is a row with a reason
            about.append({"number": number, "fate": "failed", "reason": _said(error)})
    names = _forecasters(protocol)
    known(
        _part(
            patient, about, plans, [({name: [np.full(1, np.nan)] * len(p) for name in names}, None) for *_, p in plans]
        )
    )
    found = []
    for done, (number, record, pairs) in enumerate(plans):
        try:
            found.append(_followed(protocol, model, record, pairs, populations, number, key, tell, (done, len(plans))))
        except Exception as error:  # noqa: BLE001  a patient's failure is a row with a reason
            about[number] |= {"fate": "failed", "reason": _said(error)}
            found.append(({name: [np.full(1, np.nan)] * len(pairs) for name in names}, None))
    return _part(patient, about, plans, found)


def _forecasters(protocol: Protocol) -> list[str]:
    bare = [f"twin without {' and '.join(protocol.forecast.without)}"] if protocol.forecast.without else []
    return ["twin", "prior", *bare]


def _followed(protocol, model, record, pairs, populations, number, key, tell, place):
    how, one = None, model
    taught = populations.get(number, populations.get(-1))
    if taught is not None:
        one, how = taught.personalize(model, record, None)
    # A surprise is taken in stages and not by a refit, one of which costs minutes late in a long stay.
    rolling = Filter(particles=protocol.forecast.particles, collapse=0.0, surprise=0.0)
    return followed(
        one, record, pairs, (Laplace(), rolling, how), key=jax.random.fold_in(key, number),
        without=protocol.forecast.without, report=lambda stage, share: tell(share), place=place,
    )  # fmt: skip


def _cut(protocol: Protocol, source: Listed, stay: Any) -> tuple[Record, float, dict[str, Any]]:
    """Return what the study uses of a stay, when forecasts begin, and what is said of it."""
    try:
        record = source.read(stay)
    except ValueError as error:
        if source.source.reader != "tidy" and str(error).startswith("Empty record"):
            raise Excluded("nothing measured that the study reads") from None
        raise
    cut, begin = included(record, protocol.inclusion)
    ledger = {fate: record.ledger.select(fate=fate).count for fate in FATES}
    fixed = {name: one.value for name, one in cut.covariates.items()}
    return cut, begin, {"ledger": ledger, "covariates": fixed, "hours": (cut.end - cut.start) / 60.0}


def _pairs(protocol: Protocol, model: AbstractModel, record: Record, begin: float) -> pd.DataFrame:
    ahead = protocol.forecast
    origins = treatments(record, ahead.treatments) if ahead.origins == "treatments" else None
    if origins is not None:  # a twin needs something measured before its first forecast
        first = min(series.known.min() for series in record.observations.values())
        origins = origins[origins >= first]
    frame = pairs_ahead(
        model, record, minutes(ahead.horizon), begin - _EPS, ahead.following, ahead.classes, origins
    )  # fmt: skip
    frame = frame[frame["horizon"] != ""].reset_index(drop=True)
    if frame.empty:
        raise Excluded("nothing to forecast within the horizon")
    return frame.join(features(model, record, frame))


def _part(patient: str, about: Sequence[dict[str, Any]], plans, found) -> Part:
    fates = {one["fate"] for one in about}
    status = "failed" if "failed" in fates else ("done" if "rolled" in fates else "excluded")
    if not plans:
        return Part(patient, status, tuple(about))
    pairs = pd.concat([frame.assign(stay=number) for number, _, frame in plans], ignore_index=True)
    members: dict[str, list[np.ndarray]] = {}
    for drawn, _ in found:
        for name, one in drawn.items():
            members.setdefault(name, []).extend(one)
    figures = [one.assign(stay=plan[0]) for plan, (_, one) in zip(plans, found, strict=True) if one is not None]
    origins = pd.concat(figures, ignore_index=True) if figures else pd.DataFrame()
    return Part(patient, status, tuple(dict(one) for one in about), pairs, members, origins)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


# ---- populations -----------------------------------------------------------------------------------------------------


def learn(protocol: Protocol, source: Listed) -> dict[tuple[str, int], Population]:
    """Return the population of every stay by patient and number, or one for all under ("", -1).

    Raises
    ------
    ValueError
        If a population was, or may have been, learned on the study's own patients, or is of another model.
    """
    how, model = protocol.population, protocol.model.build()
    if how is None:
        return {}
    if isinstance(how, Given):
        population = load_population(how.name)
        _require_others(population, source, how)
        if type(population.model) is not type(model):
            raise ValueError(
                f"Population `{how.name}` is of model {type(population.model).__name__}, the study's is "
                f"{type(model).__name__}; name the variant it was learned for."
            )
        return {("", -1): population}
    places, records = _records(protocol, source if isinstance(how, LeftOut) else _elsewhere(how), how)
    told: dict[str, Any] = {"method": _LEARNING, "rounds": how.rounds, "key": jax.random.key(protocol.seed)}
    if isinstance(how, Elsewhere):
        population = fit_population(model, records, source=f"the other source of study {protocol.name}", **told)
        _require_others(population, source, how)
        return {("", -1): population}
    found = fit_population(model, records, leave_one_out=True, source=f"study {protocol.name}", **told)
    return dict(zip(places, found, strict=True))


def _elsewhere(how: Elsewhere) -> Listed:
    return listed(how.source, Path(how.folder))


def _records(protocol: Protocol, source: Listed, how: LeftOut | Elsewhere):
    places, records = [], []
    for patient, stays in source.patients.items():
        for number, stay in enumerate(stays):
            try:
                record, begin, _ = _cut(protocol, source, stay)
                records.append(around(record, begin, how.before, how.after))
                places.append((patient, number))
            except (Excluded, ValueError, OSError, EOFError):
                continue  # what became of it is said where it is rolled
    return places, records


def _require_others(population: Population, source: Listed, how: Given | Elsewhere) -> None:
    known = population.provenance.get("persons")
    if known:
        shared = sorted(set(known) & set(source.patients))
        if shared:
            raise ValueError(
                f"The population was learned on {len(shared)} of the study's own patients; learn it on others, or "
                "state `population: {kind: leave-one-patient-out}`."
            )
    elif isinstance(how, Given) and not how.others:
        raise ValueError(
            f"Population `{how.name}` does not say whom it was learned on ({population.provenance.get('source', '')}); "
            "state in `population.others` why none of them is in the study."
        )


def to_bytes(population: Population) -> bytes:
    """Return the file of a population."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "population.nc"
        population.save(path)
        return path.read_bytes()


def from_bytes(content: bytes) -> Population:
    """Return the population of a file's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "population.nc"
        path.write_bytes(content)
        return load_population(path)
