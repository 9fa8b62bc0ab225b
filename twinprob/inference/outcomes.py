"""What became of a twin's own forecasts: where each new value lay in what was predicted for it, kept as it updates."""

from dataclasses import dataclass, field, fields

import numpy as np
import xarray as xr

from ..labels import Labelled, dataset

GROUP = "outcomes"
_KEPT = 288


@dataclass(frozen=True)
class Outcomes:
    """Own one-step forecasts, oldest first; each was made before its value was heard.

    Attributes
    ----------
    times : (outcome,) min, when the value was taken
    ahead : (outcome,) min from what the twin had heard last
    pits : (outcome,) probability that was predicted below the value, from 0 to 1
    variables : (outcome,) str, the output
    """

    times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    ahead: np.ndarray = field(default_factory=lambda: np.zeros(0))
    pits: np.ndarray = field(default_factory=lambda: np.zeros(0))
    variables: np.ndarray = field(default_factory=lambda: np.zeros(0, "U1"))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.times)

    def select(self, rows) -> "Outcomes":
        """Return some of them; `rows` (outcome,) is boolean, or a slice."""
        return Outcomes(*(getattr(self, f.name)[rows] for f in fields(self)))

    def of(self, variable: str) -> "Outcomes":
        """Return those of one output."""
        return self.select(self.variables == variable)

    def then(self, later: "Outcomes") -> "Outcomes":
        """Return these and later ones, as many as are kept; of one value the first forecast counts."""
        known = set(zip(self.variables.tolist(), self.times.tolist(), strict=True))
        pairs = zip(later.variables.tolist(), later.times.tolist(), strict=True)
        new = later.select(np.array([pair not in known for pair in pairs], bool))
        joined = Outcomes(*(np.concatenate([getattr(x, f.name) for x in (self, new)]) for f in fields(self)))
        return joined.select(np.argsort(joined.times, kind="stable")).select(slice(-_KEPT, None))

    def labeled(self) -> xr.Dataset:
        """Return them as a group of a twin's tree."""
        about = {
            "times": ("time", "min", "time since the record's origin"),
            "ahead": ("ahead", "min", "time from what the twin had heard last"),
            "pits": ("pit", "", "probability that was predicted below the value"),
            "variables": ("variable", "", "output"),
        }
        found = {
            name: Labelled(("outcome",), getattr(self, own), unit, text) for own, (name, unit, text) in about.items()
        }
        return dataset(found, {}, {})


def outcomes_of(twin) -> Outcomes:
    """Return what became of a twin's own forecasts: of each value that `update` brought, none where it has none.

    Parameters
    ----------
    twin : Twin

    Returns
    -------
    Outcomes
    """
    if GROUP not in twin.tree.children:
        return Outcomes()
    kept = twin.group(GROUP)
    names = ("time", "ahead", "pit", "variable")
    return Outcomes(*(np.asarray(kept[name].values) for name in names))
