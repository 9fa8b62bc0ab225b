"""One breath after another: cutting an airway waveform into breaths, and saying what is wrong with each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from ...patient.record import Record
from ...patient.units import convert

# Settings of this library, not published.
_TRIGGER = 0.25  # of the strong flows: beyond it, a breath in or out has certainly begun
_GAP = 1.5  # sampling intervals between neighbors that count as a gap
_SHORTEST = 0.25  # s, of either phase
_EFFORT = 1.0  # cmH2O below the end-expiratory pressure that shows a patient pulling
_LEAK = 0.35  # of the tidal volume that does not come back


@dataclass(frozen=True)
class Breath:
    """One breath: its samples, when it turned, and what is wrong with it.

    Attributes
    ----------
    times : (sample,) s since the record's origin
    pressures : (sample,) cmH2O
    flows : (sample,) L/s, into the patient
    turn : int, the first sample of expiration
    flags : tuple of str
        "gap", "no expiration", "no inspiration", "volume lost", "effort": what makes a breath less than passive and
        whole. A flagged breath is kept: estimation gives it less weight.
    """

    times: np.ndarray
    pressures: np.ndarray
    flows: np.ndarray
    turn: int
    flags: tuple[str, ...] = ()

    @property
    def volumes(self) -> np.ndarray:
        """Volume above that at the beginning, (sample,) L."""
        steps = 0.5 * (self.flows[1:] + self.flows[:-1]) * np.diff(self.times)
        return np.append(0.0, np.cumsum(steps))

    @property
    def tidal_volume(self) -> float:
        """Largest inspired volume, L."""
        return float(self.volumes.max())

    @property
    def end_expiratory_pressure(self) -> float:
        """Airway pressure over the last tenth of the breath, cmH2O."""
        return float(np.median(self.pressures[-max(3, len(self.pressures) // 10) :]))


@dataclass(frozen=True)
class Breaths:
    """The breaths of one record, in time, with what was left out.

    Attributes
    ----------
    breaths : tuple of Breath
    skipped : mapping of str to int
        Samples before the first and after the last whole breath, and gaps.
    """

    breaths: tuple[Breath, ...]
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def flagged(self) -> dict[str, int]:
        """How many breaths carry each flag."""
        return dict(Counter(flag for breath in self.breaths for flag in breath.flags))

    def __len__(self) -> int:
        return len(self.breaths)

    def __iter__(self):
        return iter(self.breaths)

    def __getitem__(self, index: int) -> Breath:
        return self.breaths[index]


def segment(record: Record) -> Breaths:
    """Cut the airway waveform of a record into breaths.

    A breath begins where flow into the patient begins. A strong flow in either direction says that a phase has begun,
    and the last sample of the other sign before it says when; weak flows around zero, such as a pause or the swinging
    of a valve, begin nothing.

    Parameters
    ----------
    record : Record
        With `airway_pressure` and `airway_flow` at the same times.

    Returns
    -------
    breaths : Breaths

    Raises
    ------
    ValueError
        If either waveform is absent, or they were not sampled together.
    """
    for name in ("airway_pressure", "airway_flow"):
        if name not in record.observations:
            raise ValueError(
                f"Breaths need `airway_pressure` and `airway_flow`, but the record holds no `{name}`; it holds "
                f"{', '.join(record.observations) or 'nothing'}."
            )
    pressure, flow = record.observations["airway_pressure"], record.observations["airway_flow"]
    if not np.array_equal(pressure.times, flow.times):
        raise ValueError(
            "Observations `airway_pressure` and `airway_flow` must be sampled at the same times; keep the samples that "
            "have both. Nothing is interpolated here."
        )
    times = 60.0 * flow.times
    pressures = np.asarray(convert(pressure.values, pressure.unit, "cmH2O"), float)
    flows = np.asarray(convert(flow.values, flow.unit, "L/s"), float)
    starts, turns = _phases(flows)
    skipped = {}
    if len(starts) < 2:
        return Breaths((), {"samples outside whole breaths": len(times)})
    outside = int(starts[0] + len(times) - starts[-1])
    if outside:
        skipped["samples outside whole breaths"] = outside
    interval = float(np.median(np.diff(times)))
    gaps = np.flatnonzero(np.diff(times) > _GAP * interval)
    if gaps.size:
        skipped["gaps"] = int(gaps.size)
    found = []
    for begin, end in pairwise(starts):
        inside = turns[(turns > begin) & (turns < end)]
        turn = int(inside[0] - begin) if inside.size else int(end - begin)
        breath = Breath(times[begin:end], pressures[begin:end], flows[begin:end], turn)
        broken = bool(np.any((gaps >= begin) & (gaps < end - 1)))
        found.append(replace(breath, flags=_flags(breath, broken)))
    return Breaths(tuple(found), skipped)


def _phases(flows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples at which inspirations and expirations begin."""
    strong_in = _TRIGGER * np.quantile(np.maximum(flows, 0.0), 0.95)
    strong_out = _TRIGGER * np.quantile(np.maximum(-flows, 0.0), 0.95)
    direction = np.where(flows > strong_in, 1, np.where(flows < -strong_out, -1, 0))
    strong = np.flatnonzero(direction)
    if not strong.size:
        return np.zeros(0, int), np.zeros(0, int)
    changed = strong[np.append(True, np.diff(direction[strong]) != 0)]
    begins: dict[int, list[int]] = {1: [], -1: []}
    previous = 0
    for sample in changed:
        sign = direction[sample]
        other = np.flatnonzero(sign * flows[previous:sample] <= 0)
        begins[sign].append(previous + int(other[-1]) + 1 if other.size else int(sample))
        previous = int(sample)
    return np.array(begins[1], int), np.array(begins[-1], int)


def _flags(breath: Breath, broken: bool) -> tuple[str, ...]:
    """Say what is wrong with one breath."""
    flags = ["gap"] if broken else []
    inspiration = breath.times[min(breath.turn, len(breath.times) - 1)] - breath.times[0]
    expiration = breath.times[-1] - breath.times[0] - inspiration
    if expiration < _SHORTEST:
        flags.append("no expiration")
    if inspiration < _SHORTEST:
        flags.append("no inspiration")
    volumes = breath.volumes
    if abs(volumes[-1]) > _LEAK * max(float(volumes.max()), 1e-3):
        flags.append("volume lost")
    early = breath.pressures[: max(1, breath.turn // 2)]
    if early.min() < breath.end_expiratory_pressure - _EFFORT:
        flags.append("effort")
    return tuple(flags)
