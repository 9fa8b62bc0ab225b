"""Learn the distribution of a model's unknowns over patients from many records."""

import dataclasses
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import jax
import numpy as np

from ..dynamics.integrators import AbstractIntegrator
from ..dynamics.precision import in_double_precision
from ..labels import Labelled, dataset, tree
from ..modeling.model import AbstractModel, nearest
from ..modeling.observation import Observation
from ..patient.record import Record
from ..patient.require import require_count, require_each, require_key, require_kinds
from ..patient.units import convert
from .describe import VERSIONS
from .joint import Joint, joint
from .methods.hierarchy import Hyperparameters, Patients, effective, mode, sample, spread_at
from .methods.laplace import Laplace
from .methods.sampled import AbstractMethod, Sampler, generator
from .population import Population, Term
from .simulable import simulable
from .sites import located, moments, shared_sites, with_priors

_METHOD = Laplace(starts=3, draws=250, proposals=1500, rounds=2)
_LAST = Laplace(starts=3, draws=500, proposals=3000, rounds=2)
_WIDER = 1.25
_SETTLED = 0.5
_HYPER_DRAWS = 2000
_CHAINS = 4
_FEWEST = 3


@overload
def fit_population(
    model: AbstractModel, records: Sequence[Record], *, leave_one_out: Literal[False] = ..., **settings: Any
) -> Population: ...
@overload
def fit_population(
    model: AbstractModel, records: Sequence[Record], *, leave_one_out: Literal[True], **settings: Any
) -> tuple[Population, ...]: ...
@in_double_precision
def fit_population(
    model: AbstractModel,
    records: Sequence[Record],
    *,
    key,
    leave_one_out: bool = False,
    covariates: Mapping[str, Sequence[str]] | None = None,
    observations: Mapping[str, Observation] | None = None,
    integrator: AbstractIntegrator | None = None,
    method: AbstractMethod | None = None,
    rounds: int = 20,
    source: str = "",
    progress: Callable[[str, float], None] | None = None,
) -> Population | tuple[Population, ...]:
    """Learn how a model's unknowns are distributed over patients.

    Each patient is fitted under a common reference prior; the draws are reweighted to find the distribution under which
    all records together are most probable; this becomes, a little wider, the next reference. When it has settled, the
    hyperparameters are drawn from their posterior. Volatilities and noise sizes that have priors are learned too.

    Parameters
    ----------
    model : AbstractModel
        Its declared priors set the scale of what is believed about the population beforehand: centers are
        Normal around the declared center with the declared width, spreads LogNormal around half that width. States at
        the origin (`parameter(…, origin=True)`) are no part of a population.
    records : sequence of Record
        One per patient, or several stays of one where `Record.person` tells.
    key : jax PRNG key
    leave_one_out : bool
        Learn for each record from the records of other persons alone. For scores: what was learned from patients may be
        judged on other patients only, as in
        ``evaluate(model, records, population=fit_population(model, records, leave_one_out=True, key=key), key=key)``.
    covariates : mapping of str to sequence of str, optional
        Which covariates move the center of which parameter, e.g. ``{"clearance": ("weight", "diabetic_status")}``;
        numbers enter as logarithms, categories by level.
    observations : mapping of str to Observation, optional
        How outputs are measured, where not as the model declares.
    integrator : AbstractIntegrator, optional
    method : Laplace or NUTS, optional
        How each patient is fitted; a light `Laplace` by default.
    rounds : int
        Most references tried.
    source : str
        Who the patients are, in one phrase; kept in the provenance and shown.
    progress : function of (stage, fraction), optional

    Returns
    -------
    Population, or a tuple of them, one per record, with `leave_one_out`

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If fewer than three records (four to leave one out) hold an output of the model, or a covariate is absent,
        constant or unknown.

    Notes
    -----
    To leave one out costs no fit: patients are fitted once, under one reference that all records have led to. It only
    proposes draws and is weighted away, patient by patient; leaving one out takes its factor out of the
    hyperparameters' density.
    """
    require_key(key)
    require_kinds(model=(model, AbstractModel), records=(records, Iterable), leave_one_out=(leave_one_out, bool))
    require_kinds(method=(method, Sampler, None))
    records = tuple(records)
    require_each("records", records, Record)
    require_count("rounds", rounds, 1, 1_000)
    group = _group(model, records, covariates or {}, observations, integrator)
    if leave_one_out and len(group.records) <= _FEWEST:
        raise ValueError(
            f"To leave one out, a population needs more than {_FEWEST} records with an output of model "
            f"`{type(model).__name__}`, but {len(group.records)} of {len(records)} have one."
        )
    learned = _learn(group, method, rounds, key, progress, source)
    if not leave_one_out:
        return learned.population(range(len(learned.rows)), observations, key)
    found = []
    for number, record in enumerate(records):
        others = [
            place
            for place, i in enumerate(learned.rows)
            if group.places[i] != number and not (record.person and record.person == group.records[i].person)
        ]
        found.append(learned.population(others, observations, jax.random.fold_in(key, number)))
    return tuple(found)


def _learn(group: "_Group", method: AbstractMethod | None, rounds: int, key, progress, source: str) -> "_Learned":
    """Fit the patients under one reference after another until it has settled."""
    report, at = progress or (lambda stage, fraction: None), None
    for turn in range(rounds):

        def done(share, turn=turn):
            report(f"round {turn + 1}", (turn + share) / rounds)

        patients, failures = _drawn(group, at, method or _METHOD, jax.random.fold_in(key, turn + 1), done)
        start = _start(patients) if at is None else patients.join(*at)
        peak = mode(patients, start)
        at = tuple(np.asarray(x) for x in patients.split(peak))
        moved = _moved(patients, start, peak)
        if moved < _SETTLED:
            break
    patients, failures = _drawn(group, at, method or _LAST, jax.random.fold_in(key, 0), done)
    report("done", 1.0)
    rows = tuple(i for i in range(len(group.records)) if i not in failures)
    return _Learned(group, patients, rows, peak, {"rounds": turn + 1, "moved": moved, "source": source}, failures)


@dataclass(frozen=True)
class _Learned:
    """Every patient's draws under the reference that was settled on, and where the hyperparameters' mode was."""

    group: "_Group"
    patients: Patients
    rows: tuple[int, ...]
    peak: np.ndarray
    about: dict[str, Any]
    failures: dict[int, str]

    def population(self, chosen: Iterable[int], observations, key) -> Population:
        """Draw the hyperparameters from what the chosen patients, places among `rows`, say of them."""
        chosen = list(chosen)
        group, rows = self.group, [self.rows[place] for place in chosen]
        patients = self.patients.select(chosen)
        hyper = sample(patients, mode(patients, self.peak), _HYPER_DRAWS, generator(jax.random.fold_in(key, 0)))
        provenance = {
            **_figures(patients, hyper, self.about, self.failures),
            "patients": _persons([group.records[i] for i in rows]),
            "records": len(rows),
            "key": np.asarray(jax.random.key_data(key)).tolist(),
            "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
            "model": type(group.model).__name__,
            "data_hashes": [group.records[i].data_hash for i in rows],
            "persons": sorted({group.records[i].person for i in rows} - {""}),
        }
        found = _tree(group, patients, rows, hyper, provenance)
        return Population(group.model, dict(observations or {}), group.terms, found)


@dataclass(frozen=True)
class _Group:
    """The patients and what their unknowns are regressed on."""

    model: AbstractModel
    records: tuple[Record, ...]
    places: tuple[int, ...]  # among the records that were given
    densities: tuple[Joint, ...]
    sites: tuple[str, ...]
    terms: tuple[Term, ...]
    used: tuple[tuple[int, int], ...]
    design: np.ndarray
    centers: np.ndarray
    widths: np.ndarray
    present: np.ndarray


def _group(model, records, covariates, observations, integrator) -> _Group:
    outputs = model.quantities(model.Output)
    places = tuple(i for i, r in enumerate(records) if set(outputs) & set(r.observations))
    kept = tuple(simulable(model, records[i]) for i in places)
    if len(kept) < _FEWEST:
        raise ValueError(
            f"A population needs at least {_FEWEST} records with an output of model `{type(model).__name__}` "
            f"({', '.join(outputs)}), but {len(kept)} of {len(records)} have one."
        )
    densities = tuple(joint(model, r, observations=observations, integrator=integrator) for r in kept)
    sites = tuple(dict.fromkeys(name for d in densities for name in shared_sites(d)))
    terms, moves = _terms(model, kept, covariates)
    used = [(i, 0) for i in range(len(sites))]
    for name, mine in moves.items():
        place = sites.index(f"{name}_start" if f"{name}_start" in sites else name)
        used += [(place, 1 + terms.index(term)) for term in mine]
    design = np.array([[1.0, *(term.of(record) for term in terms)] for record in kept])
    centers, widths, present = np.zeros((3, len(kept), len(sites)))
    for i, density in enumerate(densities):
        for name, prior in shared_sites(density).items():
            j = sites.index(name)
            centers[i, j], widths[i, j] = moments(prior)
            present[i, j] = 1.0
    widths = widths.sum(0) / present.sum(0)
    return _Group(model, kept, places, densities, sites, terms, tuple(used), design, centers, widths, present)


def _terms(model, records, covariates) -> tuple[tuple[Term, ...], dict[str, list[Term]]]:
    """Turn names of covariates into the columns of the regression."""
    found: dict[str, list[Term]] = {}
    moves = {}
    for name, wanted in covariates.items():
        if name not in model.unknowns():
            raise ValueError(
                f"`covariates` names `{name}`, which is no unknown of the model; {nearest(name, model.unknowns())}"
            )
        for covariate in (wanted,) if isinstance(wanted, str) else wanted:
            if covariate not in found:
                found[covariate] = _columns(covariate, records)
        moves[name] = [term for c in ((wanted,) if isinstance(wanted, str) else wanted) for term in found[c]]
    return tuple(term for terms in found.values() for term in terms), moves


def _columns(covariate: str, records) -> list[Term]:
    for i, record in enumerate(records):
        if covariate not in record.covariates:
            raise ValueError(
                f"Record {i} lacks covariate `{covariate}`; give it to every record, or leave it out of `covariates`."
            )
    given = [record.covariates[covariate] for record in records]
    if isinstance(given[0].value, str):
        levels = sorted({str(c.value) for c in given}, key=lambda level: (-sum(c.value == level for c in given), level))
        if len(levels) < 2:
            raise ValueError(
                f"Covariate `{covariate}` is `{levels[0]}` in every record: nothing can be learned about it."
            )
        return [Term(covariate, None, level) for level in levels[1:]]
    unit = given[0].unit
    logs = np.log([float(convert(c.value, c.unit, unit, variable=covariate)) for c in given])
    if not np.all(np.isfinite(logs)) or np.ptp(logs) < 1e-9:
        raise ValueError(
            f"Covariate `{covariate}` must be positive and differ between records, since it enters as a logarithm."
        )
    return [Term(covariate, unit, None, float(logs.mean()), float(logs.std()))]


def _drawn(group: _Group, at, method: AbstractMethod, key, done) -> tuple[Patients, dict[int, str]]:
    """Draw from every patient's posterior under the present reference."""
    shifts, spreads = np.zeros(group.centers.shape), np.broadcast_to(group.widths, group.centers.shape)
    if at is not None:
        shifts, spreads = group.design @ at[0].T, np.broadcast_to(_WIDER * at[1], group.centers.shape)
    draws, failures = {}, {}
    for i, density in enumerate(group.densities):
        priors = {
            name: located(prior, np.asarray(group.centers[i, j] + shifts[i, j]), np.asarray(spreads[i, j]))
            for name, prior in shared_sites(density).items()
            for j in [group.sites.index(name)]
        }
        model, how = with_priors(density.model, density.observations, priors)
        there = _traced(dataclasses.replace(density, model=model, observations=how))
        try:
            positions = method.sample(there, key=jax.random.fold_in(key, i)).positions
            draws[i] = positions.reshape(-1, positions.shape[-1])
        except RuntimeError as error:
            failures[i] = str(error)
        done((i + 1) / len(group.densities))
    if len(draws) < max(_FEWEST, 0.5 * len(group.densities)):
        raise RuntimeError(
            f"{len(failures)} of {len(group.densities)} records could not be fitted; the first: "
            f"{next(iter(failures.values()))}"
        )
    return _patients(group, draws, shifts, spreads), failures


def _patients(group: _Group, draws, shifts, spreads) -> Patients:
    rows = list(draws)
    count = min(len(d) for d in draws.values())
    deviations = np.zeros((len(rows), count, len(group.sites)))
    for k, i in enumerate(rows):
        layout = group.densities[i].layout()
        for name in shared_sites(group.densities[i]):
            j = group.sites.index(name)
            deviations[k, :, j] = draws[i][:count, layout[name].start] - group.centers[i, j]
    return Patients(
        deviations,
        group.present[rows],
        group.design[rows],
        shifts[rows],
        np.array(spreads[rows]),
        group.widths,
        group.used,
    )


def _traced(density: Joint) -> Joint:
    """Turn covariates and priors into arrays, so that patients share compiled programs."""
    model = density.model
    own: dict[str, Any] = {name: np.asarray(getattr(model, name), float) for name in model.covariates()}
    return dataclasses.replace(density, model=dataclasses.replace(model, **own))


def _start(patients: Patients) -> np.ndarray:
    """Return the first guess, which is the first reference: the declared center and width."""
    blank = np.zeros((len(patients.widths), patients.design.shape[1]))
    return patients.join(blank, patients.widths)


def _moved(patients: Patients, start, peak) -> float:
    """Return the largest change of a hyperparameter in its own posterior standard deviations."""
    return float(np.max(np.abs(peak - start) / np.sqrt(np.diag(spread_at(patients, peak)))))


def _figures(patients: Patients, hyper: Hyperparameters, about, failures) -> dict[str, Any]:
    middle = patients.join(hyper.coefficients.mean(0), np.exp(np.log(hyper.spreads).mean(0)))
    shares = effective(patients, middle)
    return {
        **about,
        "khat": hyper.khat,
        "effective_draws": hyper.ess,
        "fewest_effective_draws_of_a_patient": float(shares.min() * patients.deviations.shape[1]),
        "failed": {str(i): why for i, why in failures.items()},
    }


def _persons(records) -> int:
    """Count the persons behind records; one without a token counts as a person."""
    known = [record.person for record in records if record.person]
    return len(set(known)) + len(records) - len(known)


def _tree(group: _Group, patients: Patients, rows, hyper: Hyperparameters, provenance):
    shape = (_CHAINS, _HYPER_DRAWS // _CHAINS)
    coords = {
        "parameter": Labelled(("parameter",), np.array(group.sites)),
        "term": Labelled(("term",), np.array(["center", *(term.name for term in group.terms)])),
    }
    found = {
        "coefficient": Labelled(
            ("chain", "draw", "parameter", "term"),
            hyper.coefficients.reshape(*shape, *hyper.coefficients.shape[1:]),
            about="shift of the center from the declared one, and effects of covariates; unconstrained scale",
        ),
        "spread": Labelled(
            ("chain", "draw", "parameter"),
            hyper.spreads.reshape(*shape, -1),
            about="standard deviation over patients; unconstrained scale",
        ),
    }
    declared = group.centers[rows]
    each = {
        "declared_center": Labelled(("patient", "parameter"), declared),
        "mean": Labelled(("patient", "parameter"), patients.deviations.mean(1) + declared),
        "sd": Labelled(("patient", "parameter"), patients.deviations.std(1)),
    }
    groups = {"hyperparameters": dataset(found, coords, {}), "patients": dataset(each, coords, {})}
    return tree(groups, {"title": f"twinprob: population of {type(group.model).__name__}", "provenance": provenance})
