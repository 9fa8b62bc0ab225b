"""What the page lets a reader change: each treatment with its unit, its range and what runs now."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...decisions.goal import Cap, sized
from ...inference.twin import Twin
from ...patient.units import convert
from ...patient.vocabulary import VOCABULARY

# Lowest, highest, step and unit of each slider: settings of this page from clinical experience, not published, and no
# recommendation. A cap of the caller's own stands in their place.
RANGES: Mapping[str, tuple[float, float, float, str]] = {
    "insulin": (0.0, 12.0, 0.5, "U/h"),
    "enteral_glucose": (0.0, 16.0, 0.5, "g/h"),
    "parenteral_glucose": (0.0, 16.0, 0.5, "g/h"),
    "peep": (0.0, 24.0, 1.0, "cmH2O"),
    "tidal_volume": (0.2, 0.8, 0.02, "L"),
    "respiratory_rate": (6.0, 36.0, 1.0, "1/min"),
    "inspired_oxygen": (0.21, 1.0, 0.01, "1"),
    "alveolar_ventilation": (1.0, 15.0, 0.5, "L/min"),
    "norepinephrine": (0.0, 60.0, 1.0, "ug/min"),
    "epinephrine": (0.0, 30.0, 1.0, "ug/min"),
    "phenylephrine": (0.0, 300.0, 10.0, "ug/min"),
    "dopamine": (0.0, 1500.0, 50.0, "ug/min"),
    "vasopressin": (0.0, 0.06, 0.01, "U/min"),
    "crystalloid": (0.0, 50.0, 1.0, "mL/min"),
    "albumin": (0.0, 20.0, 1.0, "mL/min"),
    "blood": (0.0, 20.0, 1.0, "mL/min"),
    "leg_raise": (0.0, 1.0, 1.0, "1"),
}


@dataclass(frozen=True)
class Treatment:
    """One slider.

    Attributes
    ----------
    name, words, unit : str
    least, most, step : float
        In `unit`.
    now : float
        What runs, doses apart; NaN where a setting is not known.
    cap : str
        Where the range comes from.
    """

    name: str
    words: str
    unit: str
    least: float
    most: float
    step: float
    now: float
    cap: str

    @property
    def shown(self) -> float:
        """Where the slider stands at first: what runs now, within the range."""
        return self.least if math.isnan(self.now) else min(max(self.now, self.least), self.most)

    @property
    def beyond(self) -> bool:
        """Whether what runs now lies outside the range."""
        return not math.isnan(self.now) and not self.least - 1e-9 <= self.now <= self.most + 1e-9


def treatments(twin: Twin, caps: Mapping[str, Cap] | None = None) -> tuple[Treatment, ...]:
    """Return the treatments of a twin's model that the page offers.

    Parameters
    ----------
    twin : Twin
    caps : mapping of str to Cap, optional
        By input; elsewhere the ranges of this file.

    Raises
    ------
    ValueError
        If a cap names no treatment of the model, or its unit is none of it.
    """
    caps, inputs, found = caps or {}, twin.model.quantities(twin.model.Input), []
    for name in caps:
        if name not in inputs:
            raise ValueError(f"A cap names `{name}`, which is no input of the model: {', '.join(inputs)}.")
    for name in inputs:
        if name not in RANGES and name not in caps:
            continue
        least, most, step, unit = RANGES.get(name, (0.0, math.nan, math.nan, inputs[name].unit))
        said = "range of this page, a setting"
        if name in caps:
            most, unit = sized("most", caps[name].most)
            lowest = caps[name].least
            low = (0.0, unit) if lowest is None else sized("least", lowest)
            least = float(convert(*low, unit, variable=name, weight=twin.record.weight))
            step, said = (most - least) / 24.0, caps[name].source
        words = VOCABULARY[name].long_name if name in VOCABULARY else name.replace("_", " ")
        found.append(Treatment(name, words, unit, least, most, step, _running(twin, name, unit), said))
    return tuple(found)


def read_caps(texts: Iterable[str]) -> dict[str, Cap]:
    """Read caps such as ``"insulin=6 U/h"``.

    Raises
    ------
    ValueError
        If one cannot be read.
    """
    return {name.strip(): Cap(most.strip()) for name, _, most in (text.partition("=") for text in texts)}


def _running(twin: Twin, name: str, unit: str) -> float:
    if name not in twin.record.inputs:
        entry = VOCABULARY.get(name)
        return math.nan if entry is not None and entry.setting else 0.0
    course = twin.record.inputs[name]
    level = course.at(twin.now) if course.setting else course.infusions().at(twin.now)
    return float(convert(float(level), course.unit, unit, variable=name, weight=twin.record.weight))
