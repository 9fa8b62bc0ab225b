"""From a hospital's extract to the stays of a study, each with what became of it."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...patient.record import Record
from ...patient.units import minutes
from ...readers import eicu, mimic
from ...readers._mimic_person import token
from ...readers.tidy import read_tidy
from .protocol import Inclusion, Source

_EDGE = 64 * 1024  # bytes at either end of a file that tell it from another
_EPS = 1e-6


@dataclass(frozen=True)
class Listed:
    """The stays of a source by patient, and the tables they are read from.

    Attributes
    ----------
    patients : mapping of str to tuple
        What each patient is called here, and the patient's stays in order.
    """

    source: Source
    folder: Path
    patients: Mapping[str, tuple[Any, ...]]
    tables: Any = field(repr=False, default=None)

    def read(self, stay: Any) -> Record:
        """Read one stay."""
        if self.source.reader == "tidy":
            return read_tidy(self.folder / stay)
        reader: Any = mimic if self.source.reader == "mimic" else eicu
        return reader.read(self.tables, int(stay), only=self.source.domains)


def listed(source: Source, folder: Path) -> Listed:
    """List the stays of a source.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or nothing in it to read.
    ValueError
        As the reader: a missing table, a wrong header, a truncated file.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder `{folder.name}` to read the study's data from.")
    if source.reader == "tidy":
        names = sorted(path.name for path in folder.iterdir() if path.name.endswith((".csv", ".csv.gz")))
        if not names:
            raise FileNotFoundError(
                f"Folder `{folder.name}` holds no .csv or .csv.gz, of which reader tidy takes one a patient."
            )
        return Listed(source, folder, {name.removesuffix(".gz").removesuffix(".csv"): (name,) for name in names})
    tables: Any
    if source.reader == "mimic":
        tables = mimic.load(folder)
        rows = [(token("mimic", row.subject), int(row.stay)) for row in tables.stays.itertuples()]
    else:
        tables = eicu.load(folder)
        rows = [
            (token("eicu", row.person) if row.person else f"stay-{row.stay}", int(row.stay))
            for row in tables.patients.itertuples()
        ]
    patients: dict[str, tuple[Any, ...]] = {}
    for person, stay in sorted(rows):
        patients[person] = (*patients.get(person, ()), stay)
    return Listed(source, folder, patients, tables)


def fingerprint(folder: Path) -> str:
    """Return what tells an extract from another: names, sizes and both ends of its files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            size = path.stat().st_size
            digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
            with path.open("rb") as file:
                digest.update(file.read(_EDGE))
                file.seek(max(0, size - _EDGE))
                digest.update(file.read(_EDGE))
    return digest.hexdigest()


class Excluded(Exception):
    """A stay is not one of the study's; the message is the rule."""


def included(record: Record, rules: Inclusion) -> tuple[Record, float]:
    """Return the part of a stay that the study uses, and how long after its start forecasts may begin (min).

    Raises
    ------
    Excluded
        If a rule leaves the stay out.
    """
    main = rules.keep[0]
    if main not in record.observations:
        raise Excluded(f"no {main}")
    for name in (*rules.given, *rules.known, *((rules.infusion,) if rules.infusion else ())):
        if name not in record.inputs:
            raise Excluded(f"no {name}")
    start, begin, end = record.start, record.start, record.end
    series = record.observations[main]
    if rules.infusion:
        course = record.inputs[rules.infusion]
        infused = ~course.bolus
        if not infused.any():
            raise Excluded(f"no infusion of {rules.infusion}")
        begin = float(course.starts[infused].min())
        end = float(np.where(np.isfinite(course.ends), course.ends, course.starts)[infused].max())
    if rules.known:
        series = series.select(_settings_known(record, rules, series.times))
        if not len(series.times):
            raise Excluded(f"no {main} with known settings")
        begin, end = max(begin, float(series.times[0]) - 1.0), min(end, float(series.known.max()))
    start = max(start, begin - minutes(rules.lead))
    if rules.longest is not None:
        end = min(end, begin + minutes(rules.longest))
    if np.sum((series.times >= begin) & (series.times <= end)) < rules.fewest:
        raise Excluded(f"fewer than {rules.fewest} {main} in the window")
    kept = {main: series}
    kept |= {name: record.observations[name] for name in rules.keep[1:] if name in record.observations}
    kept = {name: one.select((one.times >= start) & (one.times <= end)) for name, one in kept.items()}
    kept = {name: one for name, one in kept.items() if len(one.times)}
    inputs = record.inputs.until(end)
    lost = [name for name in (*rules.given, *rules.known) if name not in inputs]
    if lost:
        raise Excluded(f"no {lost[0]} in the window")
    cut = dataclasses.replace(record, observations=kept, inputs=inputs, start=start, end=end)
    # Nothing is measured while a ventilator is on standby; what it was set to is taken to hold.
    settings: dict[str, Any] = dict.fromkeys(rules.known, "last")
    return (cut.assuming(**settings) if settings else cut), begin - start


def _settings_known(record: Record, rules: Inclusion, times: np.ndarray) -> np.ndarray:
    levels = {name: record.inputs[name].at(times - 0.01) for name in rules.known}
    # An end-expiratory pressure may be 0; a breath of no volume or rate is no breath.
    return np.all([np.isfinite(x) & ((x > 0) | (name == "peep")) for name, x in levels.items()], axis=0)


def around(record: Record, begin: float, before: str, after: str) -> Record:
    """Return what a population learns from: a stay around `begin`, min after its start."""
    first = record.start + begin
    later = record.since(max(record.start, first - minutes(before)), "long before the window's beginning")
    return later.until(min(record.end, first + minutes(after)))


def treatments(record: Record, names: tuple[str, ...]) -> np.ndarray:
    """Return the times (time,) min at which any of these inputs changed or began."""
    found = [record.inputs[name].steps()[0] for name in names if name in record.inputs]
    times = np.unique(np.concatenate(found)) if found else np.zeros(0)
    return times[np.isfinite(times) & (times > record.start + _EPS) & (times <= record.end)]
