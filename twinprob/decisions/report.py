"""From the batches of a trial to one labeled tree, with the outcomes of every patient."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..labels import Labelled, dataset, tree
from .outcomes import Course, Outcome
from .protocol import AbstractProtocol
from .virtual_patients import VirtualPatients


def tree_of(
    arms: Mapping[str, AbstractProtocol],
    patients: VirtualPatients,
    clock: tuple[int, float],
    done: Mapping[str, Sequence[Mapping[str, np.ndarray]]],
    about: Mapping[str, Any],
    outcomes: Mapping[str, Outcome],
) -> xr.DataTree:
    """Join the batches of every arm; see `Trial.tree`."""
    count = min(sum(len(part["solved"]) for part in parts) for parts in done.values())
    joined = {
        arm: {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}
        for arm, parts in done.items()
    }
    steps, step = clock
    coords = {
        "arm": Labelled(("arm",), np.array(list(arms))),
        "patient": Labelled(("patient",), np.arange(count)),
        "time": Labelled(("time",), step * np.arange(1, steps + 1), "min", "time since the trial began"),
    }
    units = _units(arms, patients)
    groups = {
        group: dataset(_stacked(joined, group, units[group], count, steps), coords, {})
        for group in ("truth", "given", "charted", "seen")
    }
    groups["measured"] = groups.pop("seen")
    groups["decisions"] = dataset(
        {name: _of(joined, f"decisions/{name}", "", about_) for name, about_ in _DECISIONS.items()}, coords, {}
    )
    groups["outcomes"] = _outcomes(arms, patients, step, joined, outcomes, coords)
    return tree(groups, {"provenance": dict(about)})


_DECISIONS = {
    "drawn": "whether a sample was drawn at the beginning of the step",
    "rule": "the rule that spoke then, -1 for none",
    "cap": "the limit that bound, 0 for none, -1 where nothing was decided",
}


def _of(joined, name: str, unit: str, about: str) -> Labelled:
    return Labelled(("arm", "patient", "time"), np.stack([arm[name] for arm in joined.values()]), unit, about)


def _stacked(joined, group: str, units: Mapping[str, str], count: int, steps: int) -> dict[str, Labelled]:
    """Return the variables of one group; an arm that has one not is NaN there."""
    names = list(dict.fromkeys(n.split("/")[1] for arm in joined.values() for n in arm if n.startswith(f"{group}/")))
    absent = np.full((count, steps), np.nan)
    found = {}
    for name in names:
        values = np.stack([arm.get(f"{group}/{name}", absent) for arm in joined.values()])
        found[name] = Labelled(("arm", "patient", "time"), values, units.get(name, ""), _ABOUT[group])
    return found


_ABOUT = {
    "truth": "noise-free, at the end of each step",
    "given": "what reached the patient during the step",
    "charted": "what was ordered, in the units of the arm that gives it",
    "seen": "result as it arrived, in the units of the arm that reads it",
}


def _units(arms: Mapping[str, AbstractProtocol], patients: VirtualPatients) -> dict[str, dict[str, str]]:
    plant = patients.model
    charted: dict[str, str] = {}
    seen: dict[str, str] = {}
    for protocol in arms.values():
        charted |= protocol.gives
        seen |= protocol.reads
    return {
        "truth": {name: q.unit for name, q in plant.quantities(plant.Output).items()},
        "given": {name: q.unit for name, q in plant.quantities(plant.Input).items()},
        "charted": charted,
        "seen": seen,
    }


def _outcomes(arms, patients, step: float, joined, outcomes: Mapping[str, Outcome], coords) -> xr.Dataset:
    rows: dict[str, list[np.ndarray]] = {name: [] for name in outcomes}
    for arm, protocol in arms.items():
        held = joined[arm]
        course = Course(
            minutes=step,
            truth={n.split("/")[1]: v for n, v in held.items() if n.startswith("truth/")},
            given={n.split("/")[1]: v for n, v in held.items() if n.startswith("given/")},
            measured=held["decisions/drawn"] > 0,
            decided=held["decisions/rule"] >= 0,
            charted={n.split("/")[1]: v for n, v in held.items() if n.startswith("charted/")},
            units=protocol.gives,
            targets=protocol.aims(),
        )
        for name, outcome in outcomes.items():
            rows[name].append(np.where(held["solved"] > 0, outcome.of(course), np.nan))
    found = {
        name: Labelled(("arm", "patient"), np.stack(values), outcomes[name].unit, outcomes[name].about)
        for name, values in rows.items()
    }
    solved = np.stack([held["solved"] for held in joined.values()]).astype(np.int8)
    found["solved"] = Labelled(("arm", "patient"), solved, "", "whether the patient could be solved to the end")
    made = dataset(found, coords, {})
    for name, outcome in outcomes.items():
        made[name].attrs["counted"] = int(outcome.counted)
    return made
