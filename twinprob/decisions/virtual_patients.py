"""Patients who exist in the computer alone: a model, their parameters and how these will move, and what runs."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from ..dynamics.integrators import FixedStep
from ..dynamics.precision import in_double_precision
from ..dynamics.programs import compiled
from ..dynamics.segments import knots
from ..inference.cohort import Cohort
from ..inference.joint import Joint
from ..inference.sites import measured
from ..inference.twin import Twin
from ..modeling.model import AbstractModel, nearest
from ..modeling.observation import Observation
from ..patient.inputs import Inputs
from ..patient.require import require_count, require_hours, require_key, require_kinds
from ..patient.units import convert, require_plausible
from ..patient.vocabulary import VOCABULARY

Amount = tuple[np.ndarray, str]  # (patient,) and its unit


@dataclass(frozen=True, repr=False)
class VirtualPatients:
    """Many patients of one model whose truth is known: what a trial treats.

    Attributes
    ----------
    model : AbstractModel
        The plant; what is known of it is the same in everyone.
    values : mapping of str to (patient,) array
        What differs between patients and does not move, in the model's units.
    paths : mapping of str to (patient, knot) array
        What moves, at its knots.
    bases : mapping of str to (patient,) array
        Around what each path moves, in the model's units.
    elapsed : mapping of str to (patient,) array, min
        How long before the trial the first knot of each path began.
    observations : mapping of str to Observation
        How outputs are measured; of a patient's own size where `values` has `<output>_<field>`.
    inputs : mapping of str to ((patient,) array, unit)
        What runs before the trial, and on during it where no arm orders it.
    covariates : mapping of str to ((patient,) array, unit)
        Sex as 1 for male, 0 for female.
    hours : float
        How far the paths reach.
    state : (patient, state) array or None
        Where the patients are; None for the model's own start under `inputs`.
    about : str
        Where they come from.
    """

    model: AbstractModel
    values: Mapping[str, np.ndarray]
    paths: Mapping[str, np.ndarray]
    bases: Mapping[str, np.ndarray]
    elapsed: Mapping[str, np.ndarray]
    observations: Mapping[str, Observation]
    inputs: Mapping[str, Amount]
    covariates: Mapping[str, Amount]
    hours: float
    state: np.ndarray | None = None
    about: str = ""
    changes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        """Return the number of patients."""
        return len(next(iter((*self.values.values(), *self.paths.values()))))

    def __repr__(self) -> str:
        """Say how many there are, of what, and what was changed."""
        changed = f"; {'; '.join(self.changes)}" if self.changes else ""
        return f"VirtualPatients({len(self)} of {type(self.model).__name__}, {self.about}, {self.hours:g} h{changed})"

    # ---- where they come from --------------------------------------------------------------------------------------

    @classmethod
    @in_double_precision
    def drawn(
        cls,
        model: AbstractModel,
        patients: int,
        *,
        hours: float,
        key,
        inputs: Inputs | None = None,
        covariates: Mapping[str, tuple[Any, str]] | None = None,
        observations: Mapping[str, Observation] | None = None,
    ) -> "VirtualPatients":
        """Draw patients from the priors of a model, paths included.

        Parameters
        ----------
        model : AbstractModel
            With the priors of a population: those it declares, or those of `population.personalize(model, record)`.
        patients : int
        hours : float
            How long the trial may be.
        key : jax PRNG key
            Patient i is drawn with `fold_in(key, i)`: more patients leave the first ones as they are.
        inputs : Inputs, optional
            What runs when the trial begins, such as nutrition: constants.
        covariates : mapping of str to (value or (patient,) array, unit), optional
            What the bedside knows, such as `{"weight": (80.0, "kg")}`; also given to a model that uses it.
        observations : mapping of str to Observation, optional
            How outputs are measured, where not as the model declares.

        Returns
        -------
        VirtualPatients

        Raises
        ------
        TypeError, ValueError
            If the model has no unknown, or an argument is of another kind or outside its range.
        """
        require_key(key)
        require_kinds(model=(model, AbstractModel), inputs=(inputs, Inputs, None))
        require_count("patients", patients, 1, 1_000_000)
        hours = require_hours(hours)
        if not model.unknowns():
            raise ValueError("All patients would be the same: every parameter of the model is known; `free` some.")
        covariates = {name: _spread(name, *given, patients) for name, given in (covariates or {}).items()}
        how = measured(model, dict(observations or {}))
        counts = tuple((name, knots(process, 0.0, 60.0 * hours)) for name, process in model.processes().items())
        nobody: Any = None
        density = Joint(model, nobody, {}, how, FixedStep(), counts)
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(np.arange(patients))
        drawn, walked = _drawn(density, keys)
        paths = {name: np.asarray(walked[name]) for name, _ in counts}
        flat = {n: np.asarray(v) for n, v in drawn.items() if n not in paths and not n.endswith("_innovations")}
        bases = {name: flat.pop(f"{name}_start") for name in paths}
        flat = {n: v for n, v in flat.items() if not n.endswith("_volatility")}
        return cls(
            model=model,
            values={**flat, **_in_model(model, covariates)},
            paths=paths,
            bases=bases,
            elapsed={name: np.zeros(patients) for name in paths},
            observations=how,
            inputs=_running(model, [inputs or Inputs()] * patients, np.zeros(patients)),
            covariates=covariates,
            hours=hours,
            about="drawn from the model's priors",
        )

    @classmethod
    @in_double_precision
    def of(cls, twins: Cohort | Sequence[Twin], *, hours: float, key, draws: int = 1) -> "VirtualPatients":
        """Make patients of the posteriors of real ones: they go on from where each twin is now.

        Parameters
        ----------
        twins : Cohort or sequence of Twin
            Of one model with the same unknowns; those of a cohort that were refused are left out.
        hours : float
        key : jax PRNG key
        draws : int
            How many patients each twin gives, each one draw of its posterior.

        Returns
        -------
        VirtualPatients

        Notes
        -----
        The sensitivity of a drug that was fitted under a protocol carries that protocol's confounding with it.
        """
        require_key(key)
        require_count("draws", draws, 1, 10_000)
        hours = require_hours(hours)
        given = [twins[i] for i, m in enumerate(twins.members) if m.sampled] if isinstance(twins, Cohort) else [*twins]
        if not given:
            raise ValueError("Argument `twins` holds no twin: there is nobody to make patients of.")
        first = given[0].model
        for twin in given:
            if type(twin.model) is not type(first) or twin.model.unknowns() != first.unknowns():
                raise ValueError("All twins must be of one model with the same unknowns, so that one program runs all.")
        made = [
            _of_one(twin, draw, hours, jax.random.fold_in(key, i * draws + draw))
            for i, twin in enumerate(given)
            for draw in range(draws)
        ]
        length = {name: max(len(one.paths[name]) for one in made) for name in first.processes()}
        times = np.array([twin.now for twin in given for _ in range(draws)])
        charts = [twin.record.inputs for twin in given for _ in range(draws)]
        covariates = _covariates([twin.record for twin in given for _ in range(draws)])
        return cls(
            model=dataclasses.replace(first, priors={}),
            values={**_stacked(one.values for one in made), **_in_model(first, covariates)},
            paths={n: np.stack([_to(one.paths[n], size) for one in made]) for n, size in length.items()},
            bases=_stacked(one.bases for one in made),
            elapsed=_stacked(one.elapsed for one in made),
            observations={**measured(first, given[0].observations)},
            inputs=_running(first, charts, times),
            covariates=covariates,
            hours=hours,
            state=np.stack([one.state for one in made]),
            about=f"from the posteriors of {len(given)} twins",
        )

    # ---- other patients made of them -------------------------------------------------------------------------------

    def as_model(self, model: AbstractModel) -> "VirtualPatients":
        """Return the same patients with another plant: other constants or another form, the same unknowns."""
        if set(model.unknowns()) != set(self.model.unknowns()) or type(model) is not type(self.model):
            raise ValueError("The other plant must be of the same class with the same unknowns; `free` and `fix` them.")
        return replace(self, model=model, changes=(*self.changes, "another plant"))

    def scaled(self, **factors: float) -> "VirtualPatients":
        """Return patients with parameters multiplied by factors."""
        values, paths, bases = dict(self.values), dict(self.paths), dict(self.bases)
        for name, factor in factors.items():
            for held in (values, paths, bases):
                if name in held:
                    held[name] = held[name] * factor
            if name not in values and name not in paths:
                raise ValueError(f"No patient has `{name}`; {nearest(name, (*values, *paths))}")
        said = ", ".join(f"{name} x {factor:g}" for name, factor in factors.items())
        return replace(self, values=values, paths=paths, bases=bases, changes=(*self.changes, said))

    def stepped(self, hour: float, **factors: float) -> "VirtualPatients":
        """Return patients in whom parameters that move are multiplied by factors from an hour on."""
        paths = dict(self.paths)
        for name, factor in factors.items():
            if name not in paths:
                raise ValueError(f"`{name}` moves in no patient; {nearest(name, tuple(paths))}")
            interval = self.model.processes()[name].interval
            when = interval * np.arange(paths[name].shape[1]) - np.asarray(self.elapsed[name])[:, None]
            paths[name] = np.where(when >= 60.0 * hour - 1e-6, factor * paths[name], paths[name])
        said = ", ".join(f"{name} x {factor:g} from {hour:g} h" for name, factor in factors.items())
        return replace(self, paths=paths, changes=(*self.changes, said))

    @in_double_precision
    def restless(self, factor: float) -> "VirtualPatients":
        """Return patients whose parameters move so many times as far around their bases."""
        paths = {}
        for name, path in self.paths.items():
            bijector = dist.biject_to(self.model.prior(name).support)
            base = np.asarray(bijector.inv(jnp.asarray(self.bases[name])))[:, None]
            away = np.asarray(bijector.inv(jnp.asarray(path))) - base
            paths[name] = np.asarray(bijector(jnp.asarray(base + factor * away)))
        return replace(self, paths=paths, changes=(*self.changes, f"paths move {factor:g} times as far"))


@dataclass(frozen=True)
class _One:
    values: dict[str, Any]
    paths: dict[str, np.ndarray]
    bases: dict[str, Any]
    elapsed: dict[str, Any]
    state: np.ndarray


@compiled
def _drawn(density: Joint, keys):
    def one(key):
        values = density.constrain(density.draw_prior(key))
        return values, density.paths(values)

    return jax.vmap(one)(keys)


def _of_one(twin: Twin, draw: int, hours: float, key) -> _One:
    """Take one draw of a twin and let its paths run on."""
    posterior, state = twin.group("posterior"), twin.group("state")
    pick, *keys = jax.random.split(key, 1 + max(len(twin.model.processes()), 1))
    chosen = int(jax.random.randint(pick, (), 0, twin.draws))
    flat = {str(n): v.values.reshape(twin.draws, *v.shape[2:])[chosen] for n, v in posterior.data_vars.items()}
    paths, bases, elapsed = {}, {}, {}
    for (name, process), one in zip(twin.model.processes().items(), keys, strict=False):
        bijector = dist.biject_to(twin.model.prior(name).support)
        base, last = (bijector.inv(jnp.asarray(x)) for x in (flat[f"{name}_start"], flat[name][-1]))
        since = twin.now - float(posterior[f"{name}_knot"].values[-1])
        count = knots(process, 0.0, 60.0 * hours + since)
        kicks = jax.random.normal(one, (count - 1,))
        ahead = bijector(process.extend(base, last, kicks, flat.get(f"{name}_volatility", process.sd)))
        paths[name] = np.concatenate([flat[name][-1:], np.asarray(ahead)])
        bases[name], elapsed[name] = flat[f"{name}_start"], since
    apart = {f"{name}{end}" for name in paths for end in ("", "_start", "_volatility", "_innovations")}
    return _One(
        values={name: value for name, value in flat.items() if name not in apart},
        paths=paths,
        bases=bases,
        elapsed=elapsed,
        state=np.array([v.values.ravel()[chosen] for v in state.data_vars.values()]),
    )


def _stacked(parts: Iterable[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    listed = list(parts)
    return {name: np.stack([np.asarray(part[name], float) for part in listed]) for name in listed[0]}


def _to(path: np.ndarray, size: int) -> np.ndarray:
    return np.pad(path, (0, size - len(path)), mode="edge")


def _spread(name: str, value: Any, unit: str, patients: int) -> Amount:
    """Return a covariate of every patient."""
    values = np.broadcast_to(np.asarray(value, float), (patients,)).copy()
    if name in VOCABULARY and VOCABULARY[name].unit:
        require_plausible(name, values, unit)
    return values, unit


def _in_model(model: AbstractModel, covariates: Mapping[str, Amount]) -> dict[str, np.ndarray]:
    """Return the covariates that the equations use, in the model's units."""
    declared = model.covariates()
    return {n: convert(v, unit, declared[n].unit, variable=n) for n, (v, unit) in covariates.items() if n in declared}


def _covariates(records: Sequence[Any]) -> dict[str, Amount]:
    """Return what every record knows, as numbers."""
    shared = set.intersection(*({str(name) for name in record.covariates} for record in records))
    found: dict[str, Amount] = {}
    for name in sorted(shared):
        given = [record.covariates[name] for record in records]
        if all(isinstance(one.value, int | float) for one in given):
            unit = given[0].unit or ""
            found[name] = np.array([convert(float(g.value), g.unit, unit, variable=name) for g in given]), unit
        elif name == "sex":
            found[name] = np.array([float(one.value == "male") for one in given]), "1"
    return found


def _running(model: AbstractModel, charts: Sequence[Inputs], times: np.ndarray) -> dict[str, Amount]:
    """Return what runs of each of the model's inputs at a time of each chart, in the model's units."""
    found = {}
    if len({id(chart) for chart in charts}) == 1 and np.ptp(times) == 0.0 and len(charts) > 1:
        alone = _running(model, charts[:1], times[:1])
        return {name: (np.repeat(value, len(charts)), unit) for name, (value, unit) in alone.items()}
    for name, declared in model.quantities(model.Input).items():
        if declared.measured:
            raise ValueError(f"A model driven by measured `{name}` cannot be a virtual patient: nothing measures it.")
        rows = []
        for chart, time in zip(charts, times, strict=True):
            if name in chart:
                course = chart[name]
                rows.append(float(convert(course.at(float(time)), course.unit, declared.unit, variable=name)))
            else:
                rows.append(np.nan if declared.default is None else float(declared.default))
        values = np.asarray(rows)
        if np.isnan(values).any() and declared.default is not None:
            values = np.where(np.isnan(values), float(declared.default), values)
        if np.isnan(values).any():
            raise ValueError(f"Setting `{name}` is unknown when the trial begins: give it in `inputs`.")
        found[name] = values, declared.unit
    return found
