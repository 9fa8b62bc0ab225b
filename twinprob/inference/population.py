"""What many patients teach about the next one: the distribution of every unknown over patients."""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpyro.distributions as dist
import xarray as xr

from ..display import section, table
from ..modeling.model import AbstractModel, nearest
from ..modeling.observation import Observation
from ..patient.record import Record
from ..patient.require import require_count
from ..patient.units import convert
from ..storage import bundled
from .classes import Classes
from .data import with_covariates
from .encoding import decode, decode_observations, encode
from .format import opened, require_groups, require_numbers, save
from .sites import declared_sites, located, measured, moments, with_priors

# Patients have tails that a normal learned on a few of them lacks: a new patient's prior has the variance of a Student
# t with so many degrees of freedom. A setting.
_DEGREES = 5.0
_TAILS = _DEGREES / (_DEGREES - 2.0)
_SETTLED, _TRUSTED, _ENOUGH = 0.5, 0.7, 100  # what `verdict` asks of the learning; settings


@dataclass(frozen=True)
class Term:
    """One column of the regression: the logarithm of a number, centered and scaled, or one level of a category.

    Attributes
    ----------
    covariate : str
    unit : str or None
    level : str or None
        The level it marks, where the covariate is a category.
    middle, scale : float
        Of the logarithm over the patients learned from, where it is a number.
    """

    covariate: str
    unit: str | None
    level: str | None
    middle: float = 0.0
    scale: float = 1.0

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"log {self.covariate}" if self.level is None else f"{self.covariate} = {self.level}"

    def of(self, record: Record) -> float:
        """Return the term's value for one patient."""
        if self.covariate not in record.covariates:
            raise ValueError(
                f"The population was learned with covariate `{self.covariate}`, which the record lacks; add it. "
                f"The record holds: {', '.join(record.covariates) or 'none'}."
            )
        given = record.covariates[self.covariate]
        if self.level is not None:
            return float(given.value == self.level)
        value = float(convert(given.value, given.unit or "", self.unit or "", variable=self.covariate))
        return (np.log(value) - self.middle) / self.scale


@dataclass(frozen=True, repr=False)
class Population:
    """The distribution of a model's unknowns over patients, as far as the patients learned from determine it.

    On its unconstrained scale each unknown is normal around center + effects, where the center is that of the model's
    declared prior for the patient plus a learned shift, and the effects are those of the patient's covariates. States
    at the origin keep their declared priors: where a record begins is no property that patients share.

    Attributes
    ----------
    model : AbstractModel
        The model it was learned for.
    observations : mapping of str to Observation
        How outputs were measured, where not as the model declares.
    terms : tuple of Term
        The columns of the regression after the first, which is one.
    tree : xarray.DataTree
        `hyperparameters`: draws of `coefficient` (chain, draw, parameter, term) and `spread` (chain, draw, parameter);
        `patients`: mean and standard deviation of each patient's unknowns. All on the unconstrained scale.
    """

    model: AbstractModel
    observations: Mapping[str, Observation]
    terms: tuple[Term, ...]
    tree: xr.DataTree

    @property
    def parameters(self) -> tuple[str, ...]:
        """The sample sites it describes: parameters, starts of varying ones, volatilities and noise sizes."""
        return tuple(str(name) for name in self.tree["hyperparameters"].to_dataset()["parameter"].values)

    @property
    def provenance(self) -> dict[str, Any]:
        """Who the patients are and how many, key, versions, and the figures that judge the draws."""
        return json.loads(self.tree.attrs["provenance"])

    @property
    def settled(self) -> bool:
        """Whether learning ended where it stayed, and the draws of the hyperparameters can be trusted."""
        told = self.provenance
        return bool(told["moved"] < _SETTLED and told["khat"] < _TRUSTED and told["effective_draws"] >= _ENOUGH)

    @property
    def verdict(self) -> str:
        """How far to trust it, in words."""
        told, rounds = self.provenance, self.provenance["rounds"]
        still = f"at rest after {rounds} rounds" if told["moved"] < _SETTLED else f"still moving after {rounds} rounds"
        remedy = "" if self.settled else " Learn it on more patients, with more `rounds` or more draws of each."
        return (
            f"{'Settled' if self.settled else 'Not settled'}: {still} (last move {told['moved']:.2f} of a posterior "
            f"standard deviation), k-hat {told['khat']:.2f}, {told['effective_draws']:.0f} effective draws, at least "
            f"{told['fewest_effective_draws_of_a_patient']:.0f} of each patient.{remedy}"
        )

    def anonymous(self, draws: int = 400) -> "Population":
        """Return the distribution alone, with nothing of any single patient, to be passed on.

        Parameters
        ----------
        draws : int
            Draws of the hyperparameters that are kept.

        Returns
        -------
        Population
            Gives new patients the same priors, but for the fewer draws.
        """
        require_count("draws", draws, 4, 1_000_000)
        tree = self.tree.copy(deep=True)
        step = max(1, self.tree["hyperparameters"].sizes["draw"] * self.tree["hyperparameters"].sizes["chain"] // draws)
        middle = tree["patients"].to_dataset()[["declared_center"]].mean("patient", keep_attrs=True)
        tree["hyperparameters"] = xr.DataTree(tree["hyperparameters"].to_dataset().isel(draw=slice(None, None, step)))
        tree["patients"] = xr.DataTree(middle.expand_dims(patient=1))
        private = ("data_hashes", "persons", "failed", "key")
        told = {name: value for name, value in self.provenance.items() if name not in private}
        tree.attrs["provenance"] = json.dumps({**told, "failed": {}})
        return dataclasses.replace(self, tree=tree)

    def priors(self, model: AbstractModel, record: Record) -> dict[str, dist.Distribution]:
        """Return the prior of every unknown for one patient, before any of the patient's measurements.

        Parameters
        ----------
        model : AbstractModel
            Of the class and with the unknowns the population was learned for.
        record : Record
            Its covariates are used, nothing else.

        Returns
        -------
        dict of str to numpyro Distribution
            By sample site; the uncertainty of the hyperparameters included, and the variance of a Student t with five
            degrees of freedom over patients. What the population does not describe keeps its declared prior.

        Raises
        ------
        ValueError
            If the population was learned for another model, or the record lacks a covariate it needs.
        """
        self._check(model)
        sites = declared_sites(with_covariates(model, record), self.observations)
        design = np.array([1.0, *(term.of(record) for term in self.terms)])
        hyper = self.tree["hyperparameters"].to_dataset()
        coefficients, spreads = (hyper[n].values.reshape(-1, *hyper[n].shape[2:]) for n in ("coefficient", "spread"))
        priors = {}
        for i, name in enumerate(self.parameters):
            shifts = coefficients[:, i] @ design
            spread = np.sqrt(_TAILS * np.mean(spreads[:, i] ** 2) + np.var(shifts))
            # Arrays, not floats: patients then share compiled programs.
            center = moments(sites[name])[0] + np.mean(shifts)
            priors[name] = located(sites[name], np.asarray(center), np.asarray(spread))
        return priors

    def personalize(self, model: AbstractModel, record: Record, observations: Mapping[str, Observation] | None = None):
        """Return the model and the observations whose priors are those of the population for this patient.

        Parameters
        ----------
        model : AbstractModel
        record : Record
        observations : mapping of str to Observation, optional
            Outputs measured otherwise than the population's were; the population says nothing about their noise.

        Returns
        -------
        model : AbstractModel
        observations : dict of str to Observation
        """
        priors = self.priors(model, record)
        model, how = with_priors(model, measured(model, self.observations), priors)
        return model, {**how, **(observations or {})}

    def _check(self, model: AbstractModel) -> None:
        mine = type(self.model)
        if (type(model).__module__, type(model).__qualname__) != (mine.__module__, mine.__qualname__):
            raise ValueError(
                f"The population was learned for model `{mine.__name__}`, not for `{type(model).__name__}`."
            )
        for name in set(model.unknowns()) ^ set(self.model.unknowns()):
            known = "known" if name in self.model.unknowns() else "unknown"
            raise ValueError(
                f"Parameter `{name}` is {known} in this model, but was not when the population was learned; give the "
                "same unknowns with `fix` and `free`, or learn the population again."
            )
        ours, theirs = self.model.processes(), model.processes()
        for name in self.model.unknowns():
            if _motion(ours.get(name)) != _motion(theirs.get(name)):
                raise ValueError(
                    f"Parameter `{name}` moves in time as {_motion(theirs.get(name))}, but the population was learned "
                    f"with {_motion(ours.get(name))}; use `model.vary({name}=…)` or learn the population again."
                )

    def save(self, path) -> None:
        """Write the population to one netCDF file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            Replaced if it exists.

        Raises
        ------
        OSError
            If it cannot be written: no such folder, a full disk. What was there is untouched.
        """
        described = {
            "model": encode(self.model),
            "observations": {name: encode(value) for name, value in self.observations.items()},
            "terms": [dataclasses.asdict(term) for term in self.terms],
        }
        save(path, "population", self.tree, described, [self.model])

    def summary(self) -> list[tuple[str, float, float, float, str]]:
        """Return parameter, typical value, and the 90 % interval of patients with average covariates, with units."""
        record = self.tree["patients"].to_dataset()["declared_center"].values
        hyper = self.tree["hyperparameters"].to_dataset()
        sites, declared, rows = declared_sites(self.model, self.observations), self.model.parameters(), []
        for i, name in enumerate(self.parameters):
            center = float(np.mean(record[:, i]) + hyper["coefficient"].values[..., i, 0].mean())
            spread = float(np.sqrt(_TAILS * np.mean(hyper["spread"].values[..., i] ** 2)))
            bijector = dist.biject_to(sites[name].support)
            low, middle, high = (float(bijector(center + z * spread)) for z in (-1.645, 0.0, 1.645))
            parameter = declared.get(name.removesuffix("_start"))
            rows.append((name, middle, low, high, parameter.unit if parameter else ""))
        return rows

    def __repr__(self) -> str:
        """Name model, patients, and how far to trust what was learned."""
        return f"Population({type(self.model).__name__}, learned from {self._learned_from()}. {self.verdict})"

    def _learned_from(self) -> str:
        source = self.provenance.get("source")
        return f"{self.provenance['patients']} patients{f': {source}' if source else ''}"

    def _repr_html_(self) -> str:
        rows = [(name, middle, f"{low:.3g} to {high:.3g}", unit) for name, middle, low, high, unit in self.summary()]
        hyper = self.tree["hyperparameters"].to_dataset()["coefficient"]
        effects = []
        for j, term in enumerate(self.terms, 1):
            for i, name in enumerate(self.parameters):
                draws = hyper.values[..., i, j]
                if np.ptp(draws) > 0:
                    low, middle, high = np.quantile(draws / term.scale, [0.05, 0.5, 0.95])
                    effects.append((name, term.name, float(middle), f"{low:.3g} to {high:.3g}"))
        about = f"Learned from {self._learned_from()}. {self.verdict} 90 % of patients lie in the interval."
        header = ("parameter", "typical", "90 % of patients", "unit")
        parts = [table(about, header, rows)]
        if effects:
            parts.append(table("Effects, unconstrained scale", ("parameter", "covariate", "median", "90 %"), effects))
        return section(f"Population: {type(self.model).__name__}", *parts)


def load_population(
    path, *, model: AbstractModel | type[AbstractModel] | None = None, own: Iterable[type] = ()
) -> Population:
    """Read a population that ships with twinprob, or one that `Population.save` wrote, here or with version 0.1.

    Parameters
    ----------
    path : str or Path
        A file, or the name of a population that ships, e.g. "icing-mimic3".
    model : AbstractModel or its class, optional
        The user's own model that it was learned for, as for `load`.
    own : iterable of classes
        Further classes of the user's own: noises and processes.

    Returns
    -------
    Population

    Raises
    ------
    FileNotFoundError
        If there is neither such a file nor such a name.
    TypeError
        If `model` is no model or `own` holds what is no class.
    ValueError
        If the file is foreign, cut short, changed since it was written or of a newer version, or names a class that is
        neither twinprob's nor known here; the message says what does not fit.
    """
    classes = Classes.passed("load_population", model, own)
    shipped = _shipped(path)
    with opened(shipped or path, "population") as stored:
        described = stored.described
        require_groups(stored.tree, "hyperparameters", "patients")
        require_numbers(stored.tree, "hyperparameters")
        population = Population(
            classes.require_model(decode(described["model"], classes)),
            decode_observations(described["observations"], classes),
            tuple(Term(**term) for term in described["terms"]),
            stored.tree,
        )
        population.summary()
        # One that ships is older than the twinprob it ships with; what its model declares must be the same.
        stored.compare([population.model], None if shipped else population.provenance["versions"])
    return population


def _shipped(name: Any) -> Path | None:
    """Return the file of a population that ships, None where a file or a path is meant."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name) or Path(name).exists():
        return None
    folder = bundled() / "populations"
    known = sorted(path.parent.name for path in folder.glob("*/population.nc"))
    if name not in known:
        raise FileNotFoundError(
            f"There is no population at `{name}`, and none of this name ships; {nearest(name, known)}"
        )
    return folder / name / "population.nc"


def _motion(process) -> str:
    if process is None:
        return "no process"
    static = {f.name: getattr(process, f.name) for f in dataclasses.fields(process) if f.metadata.get("static")}
    return f"{type(process).__name__}({', '.join(f'{name}={value!r}' for name, value in static.items())})"
