"""Would it work: arms of a trial on the same virtual patients, paths and noise; saved, resumed, and reported."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import xarray as xr

from ..display import section, table
from ..dynamics.precision import in_double_precision
from ..inference.format import opened, require_groups, save
from ..patient.require import require_count, require_hours, require_key, require_kind, require_kinds
from .closed_loop import run
from .mismatch import Mismatch, Together
from .outcomes import Outcome, outcomes_of
from .paired import Difference, Summary, difference, summary
from .parts import Parts, fingerprint
from .prepare import batch, grid, prepared, require_arms
from .protocol import AbstractProtocol, held_by
from .report import tree_of
from .virtual_patients import VirtualPatients
from .world import World

BATCH = 250
_NOTE = "Virtual patients of a model; research software, not a medical device."


@dataclass(frozen=True, repr=False)
class Trial:
    """What came of each arm, patient by patient.

    Attributes
    ----------
    tree : xarray.DataTree
        `truth`: noise-free outputs (arm, patient, time); `given`: what reached the patient, `charted`: what was
        ordered; `measured`: results as they arrived, NaN where none did; `decisions`: whether a sample was drawn, the
        rule that spoke and the cap that bound (-1 where nothing was decided); `outcomes`: (arm, patient), NaN where a
        patient could not be solved.
    notes : tuple of str
        What must be known beside the numbers.
    """

    tree: xr.DataTree
    notes: tuple[str, ...] = ()

    @property
    def provenance(self) -> dict[str, Any]:
        """Arms with their settings, patients, world, key, and what was put in."""
        return json.loads(self.tree.attrs["provenance"])

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms."""
        return tuple(str(name) for name in self.group("outcomes")["arm"].values)

    @property
    def patients(self) -> int:
        """How many patients every arm has treated."""
        return self.group("outcomes").sizes["patient"]

    def group(self, name: str) -> xr.Dataset:
        """Return one group of the tree as a dataset."""
        return self.tree[name].to_dataset()

    @property
    def solves_failed(self) -> dict[str, int]:
        """How many patients of each arm could not be solved; their outcomes are NaN."""
        solved = self.group("outcomes")["solved"]
        return {arm: int((~solved.sel(arm=arm).values.astype(bool)).sum()) for arm in self.arms}

    @property
    def lost(self) -> dict[str, int]:
        """How many samples of each arm gave no result."""
        decisions = self.group("decisions")
        drawn, decided = decisions["drawn"], decisions["rule"] >= 0
        return {a: int(drawn.sel(arm=a).sum()) - int(decided.sel(arm=a).sum()) for a in self.arms}

    def outcome(self, name: str, arm: str) -> np.ndarray:
        """Return one outcome of every patient of an arm, (patient,).

        Raises
        ------
        ValueError
            If there is no such outcome or arm.
        """
        outcomes = self.group("outcomes")
        if name not in outcomes or arm not in self.arms:
            raise ValueError(
                f"The trial has no `{name}` of `{arm}`: it has {', '.join(map(str, outcomes.data_vars))} of "
                f"{', '.join(self.arms)}."
            )
        return outcomes[name].sel(arm=arm).values.astype(float)

    def summary(self, name: str, arm: str) -> Summary:
        """Return median and quartiles over patients, with n and Monte Carlo error; of a yes or no, its share."""
        counted = self.group("outcomes")[name].attrs.get("counted", 0) == 1
        return summary(self.outcome(name, arm), counted=counted)

    def difference(
        self, name: str, arm: str, other: str, *, ci_prob: float = 0.95, margin: float | None = None
    ) -> Difference:
        """Compare two arms in the same patients.

        Parameters
        ----------
        name : str
            An outcome.
        arm, other : str
            The first less the second.
        ci_prob : float
            Of the bootstrap interval of the mean difference.
        margin : float, optional
            In the outcome's unit, stated beforehand: equivalent where the 90 % interval lies within it. Lows need a
            margin of their own.
        """
        return difference(self.outcome(name, arm), self.outcome(name, other), ci_prob=ci_prob, margin=margin)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per outcome and arm.

        Returns
        -------
        frame : pandas.DataFrame
            Columns outcome, arm, unit, n, median, low, high (quartiles; of a yes or no its share in % and Wilson's
            interval of 95 %), mcse, mean.
        """
        rows, outcomes = [], self.group("outcomes")
        for label, values in outcomes.data_vars.items():
            if str(label) == "solved":
                continue
            for arm in self.arms:
                found = self.summary(str(label), arm)
                unit = "% of patients" if values.attrs.get("counted") else values.attrs.get("units", "")
                rows.append((str(label), arm, unit, *found[:4], found.error, found.mean))
        return pd.DataFrame(rows, columns=["outcome", "arm", "unit", "n", "median", "low", "high", "mcse", "mean"])

    def save(self, path) -> None:
        """Write the trial to one netCDF file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            Replaced if it exists.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        save(path, "trial", self.tree, {"notes": list(self.notes)}, [])

    def __repr__(self) -> str:
        """Say how many patients and arms, for how long."""
        hours = float(self.group("truth")["time"].values[-1]) / 60.0
        return f"Trial({self.patients} patients, {hours:g} h, arms {', '.join(self.arms)})"

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        rows = []
        for name, part in frame.groupby("outcome", sort=False):
            cells = [f"{r.median:.3g} [{r.low:.3g}, {r.high:.3g}]" for r in part.itertuples()]
            rows.append((name, part["unit"].iloc[0], *cells))
        about = " ".join((f"{self.patients} patients; median [IQR], or share.", *self.notes, _NOTE))
        return section("Trial", table(about, ("outcome", "unit", *self.arms), rows))


@in_double_precision
def trial(
    arms: Mapping[str, AbstractProtocol],
    patients: VirtualPatients,
    *,
    hours: float,
    key,
    world: World | None = None,
    mismatch: Mismatch | Together | None = None,
    folder: str | Path | None = None,
    batch_size: int = BATCH,
    progress: Callable[[str, float, float], None] | None = None,
) -> Trial:
    """Run protocols in closed loop on the same virtual patients, the same paths and the same noise.

    Parameters
    ----------
    arms : mapping of str to AbstractProtocol
    patients : VirtualPatients
    hours : float
        At most what the patients' paths reach.
    key : jax PRNG key
        Of noise, delays and losses: patient i has `fold_in(key, i)` in every arm.
    world : World, optional
        How the bedside measures and delivers, and what nobody charts.
    mismatch : Mismatch or Together, optional
        An error of the model to put in, such as `mismatch.INSULIN["sensitivity falls"]`.
    folder : path, optional
        Where each batch is kept as soon as it is done. A trial that was interrupted or killed goes on from there when
        it is asked for again with the same arguments, and ends bit for bit as if nothing had happened.
    batch_size : int
        Patients in one program, at most.
    progress : function of (stage, fraction, seconds left), optional

    Returns
    -------
    Trial
        Interrupted from the keyboard, of the batches that every arm has finished.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, an arm reads or gives what the plant has not, or the folder holds another
        trial.
    """
    require_key(key)
    require_arms(arms)
    require_kinds(patients=(patients, VirtualPatients), world=(world, World, None))
    require_kind("mismatch", mismatch, Mismatch, Together, None)
    require_count("batch_size", batch_size, 1, 100_000)
    hours = require_hours(hours)
    if hours > patients.hours + 1e-9:
        raise ValueError(f"The patients' paths reach {patients.hours:g} h, not the {hours:g} h asked for.")
    world = World() if world is None else world
    if mismatch is not None:
        patients, world = mismatch.put(patients, world)
    clock = grid(arms, hours)
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(np.arange(len(patients)))
    ready = {n: prepared(n, protocol, patients, world, clock, keys) for n, protocol in arms.items()}
    about = _provenance(arms, patients, world, mismatch, hours, key, batch_size)
    size = min(batch_size, len(patients))
    parts = Parts(folder, fingerprint(ready, about), len(ready), -(-len(patients) // size), progress)
    done = _work(ready, parts, len(patients), size)
    content = tree_of(arms, patients, clock, done, about, _outcomes(patients))
    found = Trial(content, tuple(note for one in ready.values() for note in one.notes))
    short = len(patients) - found.patients
    cut = (f"Interrupted: {short} of {len(patients)} patients were not treated.",) if short else ()
    return replace(found, notes=(*found.notes, *cut))


def _work(ready, parts: Parts, patients: int, size: int) -> dict[str, list[dict[str, np.ndarray]]]:
    """Run batch after batch, every arm of one before the next, and keep what is done."""
    done: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in ready}
    try:
        for number in range(-(-patients // size)):
            chosen = np.arange(number * size, min((number + 1) * size, patients))
            full = np.resize(chosen, size)  # one program for the last batch too
            finished = {}
            for place, (name, one) in enumerate(ready.items()):
                found = parts.read(number, place)
                if found is None:
                    told, solved = run(one.loop, batch(one.charts, full))
                    found = _flat(told, solved, len(chosen))
                    parts.write(number, place, found)
                finished[name] = found
                parts.tell(name)
            for name, found in finished.items():
                done[name].append(found)
    except KeyboardInterrupt:
        if not next(iter(done.values())):
            raise
    return done


def _flat(told, solved, count: int) -> dict[str, np.ndarray]:
    """Return a batch as arrays by name, (patient, time)."""
    found = {"solved": np.asarray(solved)[:count]}
    for group in ("truth", "given", "charted", "seen"):
        found |= {f"{group}/{name}": _by_patient(v, count) for name, v in told[group].items()}
    for name in ("rule", "cap"):
        found[f"decisions/{name}"] = _by_patient(told[name], count).astype(np.int8)
    found["decisions/drawn"] = _by_patient(told["drawn"], count).astype(np.int8)
    return found


def _by_patient(values, count: int) -> np.ndarray:
    """Return values of (step, patient) as (patient, step), laid out as a file gives them back: sums then agree."""
    return np.ascontiguousarray(np.asarray(values).T[:count])


def _outcomes(patients: VirtualPatients) -> dict[str, Outcome]:
    plant = patients.model
    return outcomes_of(tuple(plant.quantities(plant.Output)), tuple(plant.quantities(plant.Input)))


def _provenance(arms, patients, world, mismatch, hours, key, batch_size) -> dict[str, Any]:
    return {
        "arms": {name: {"protocol": type(p).__name__, "settings": held_by(p)} for name, p in arms.items()},
        "patients": repr(patients),
        "mismatch": "none" if mismatch is None else mismatch.about,
        "world": repr(world),
        "hours": hours,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "batch_size": batch_size,
    }


def load_trial(path) -> Trial:
    """Read a trial that `Trial.save` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Trial

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is foreign, cut short, changed since it was written or of a newer version.
    """
    with opened(path, "trial") as stored:
        require_groups(stored.tree, "truth", "outcomes", "decisions")
        notes = tuple(str(note) for note in stored.described["notes"])
        found = Trial(stored.tree, notes)
        found.provenance  # noqa: B018  a file without it is refused here, not later
    return found
