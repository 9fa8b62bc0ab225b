"""What is watched for: an event as data, and which of its readings begin one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..patient.record import Series
from ..patient.require import require_count
from ..patient.units import convert, minutes
from ..patient.vocabulary import VOCABULARY
from .risk import Event, parts


@dataclass(frozen=True)
class Watch:
    """An event that is watched for, and what makes an alarm about it a nuisance.

    Parameters
    ----------
    event : str
        Variable, comparison, number and unit: ``"mean_arterial_pressure < 65 mmHg"``.
    since : str
        A bad reading begins an event only if a good one came at most this long before it.
    quiet : str
        And if no bad one came within this time before it.
    readings : int
        How many bad readings in a row make an event.
    grace : str
        No alarm within this time after a bad reading: the event is there already.
    silence : str
        No alarm within this time after another.

    Raises
    ------
    ValueError
        If the event cannot be read, a time is no time, or `readings` is below 1.
    """

    event: str
    since: str = "2 h"
    quiet: str = "1 h"
    readings: int = 1
    grace: str = "25 min"
    silence: str = "30 min"

    def __post_init__(self) -> None:
        """Refuse what cannot be watched."""
        self.read()
        for name in ("since", "quiet", "grace", "silence"):
            minutes(getattr(self, name))
        require_count("readings", self.readings, 1, 100)

    def read(self) -> Event:
        """Return the event, its limit in the vocabulary's unit, or in its own for a variable of one's own."""
        name, _, _, unit = parts(self.event)
        known = {name: entry.unit for name, entry in VOCABULARY.items()}
        return Event.read(self.event, {**({name: unit} if unit else {}), **known})

    @property
    def unit(self) -> str:
        """The unit of the limit as `read` gives it."""
        name, _, _, unit = parts(self.event)
        return VOCABULARY[name].unit if name in VOCABULARY else unit

    def values(self, series: Series) -> np.ndarray:
        """Return the readings of a series (reading,) in the unit of the limit."""
        return np.asarray(convert(series.values, series.unit, self.unit, variable=self.read().output), float)

    def bad(self, series: Series) -> np.ndarray:
        """Say of each reading (reading,) whether it lies beyond the limit; a meter's own limit counts as the value."""
        return self.read().happens(self.values(series)[:, None])

    def onsets(self, series: Series) -> np.ndarray:
        """Return when events begin (onset,), min: by what came, the future included.

        A bad reading begins one if the last good reading came at most `since` before it and no bad one within `quiet`;
        of events of several readings, if the next ones are bad too.
        """
        bad, times = self.bad(series), series.times
        found = []
        for i in np.flatnonzero(bad):
            run = bad[i : i + self.readings]
            good = times[:i][~bad[:i]]
            before = times[:i][bad[:i]]
            near = len(good) > 0 and times[i] - good[-1] <= minutes(self.since) + 1e-9
            alone = not len(before) or times[i] - before[-1] > minutes(self.quiet)
            if len(run) == self.readings and run.all() and near and alone:
                found.append(times[i])
        return np.array(found, float)


# A good reading comes at most 2 h before (8 h for glucose, 12 h for pressures of the lung), no bad one in the last hour
# (2 h for those): settings that fit how often each is charted.
WATCHED: Mapping[str, Watch] = {
    "hypotension": Watch("mean_arterial_pressure < 65 mmHg"),
    "hypoglycemia": Watch("glucose < 3.9 mmol/L", since="8 h", quiet="2 h", silence="2 h"),
    "hyperglycemia": Watch("glucose > 10 mmol/L", since="8 h", quiet="2 h", silence="2 h"),
    "hypoxemia": Watch("pulse_saturation < 90 %", silence="2 h"),
    "plateau": Watch("plateau_pressure > 30 cmH2O", since="12 h", quiet="2 h", silence="2 h"),
    "driving pressure": Watch("driving_pressure > 15 cmH2O", since="12 h", quiet="2 h", silence="2 h"),
}
