"""Many patients fitted together: their twins, their failures, and the file that holds them."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from ..display import section, table
from ..dynamics.integrators import AbstractIntegrator
from ..dynamics.precision import in_double_precision
from ..labels import tree
from ..modeling.model import AbstractModel
from ..modeling.observation import Observation
from ..patient.record import Record
from ..patient.require import require_kinds
from .classes import Classes, Misfit, shown
from .describe import twin_of
from .encoding import decode, decode_observations, decode_record, encode, encode_record, require_kind
from .format import opened, require_groups, require_plain_texts, save
from .joint import joint
from .methods.nuts import NUTS
from .methods.sampled import TRUSTED, AbstractMethod, Sampled, Sampler
from .resize import resized
from .twin import Twin

_FAILED = 0.005
_KINDS = ("<f8", "<f4", "<i8", "<i4", "|b1")  # of the statistics of draws, as files name them
FITTED, UNTRUSTED, UNSOLVED, REFUSED = "fitted", "untrusted", "unsolved", "refused"


@dataclass(frozen=True, repr=False)
class Member:
    """One patient of a cohort: the draws, or the reason why there are none.

    `record` is a `Record`, or what was given in place of one.
    """

    record: Any
    model: AbstractModel
    observations: Mapping[str, Observation]
    sampled: Sampled | None
    reason: str = ""

    @property
    def status(self) -> str:
        """One of fitted, untrusted (k-hat of 0.7 or more), unsolved (over 0.5 % failed solves) and refused."""
        if self.sampled is None:
            return REFUSED
        if self.sampled.failed > _FAILED * self.sampled.tried:
            return UNSOLVED
        return FITTED if self.sampled.trusted else UNTRUSTED

    @property
    def why(self) -> str:
        """Why the patient's draws are absent or not to be relied on; empty where they are."""
        sampled = self.sampled
        if sampled is None:
            return self.reason
        if self.status == UNTRUSTED:
            return f"k-hat {sampled.khat:.2f} is not below {TRUSTED}: refit with NUTS, see `Cohort.refitted`"
        if self.status == UNSOLVED:
            return f"{sampled.failed} of {sampled.tried} solves failed at the draws: check the inputs and the priors"
        return ""


@dataclass(frozen=True, repr=False)
class Cohort(Sequence[Twin]):
    """Many patients fitted together; `cohort[i]` is the twin of the i-th record, built when it is asked for.

    Attributes
    ----------
    members : tuple of Member
        In the order of the records, those that could not be fitted included.
    integrator : AbstractIntegrator
    key : jax PRNG key
        Patient i was fitted with `jax.random.fold_in(key, i)`.
    population : str
        The population behind the priors, empty where the model's own were used.
    """

    members: tuple[Member, ...]
    integrator: AbstractIntegrator
    key: Any
    population: str = ""

    def __len__(self) -> int:
        """Return the number of patients, those that could not be fitted included."""
        return len(self.members)

    @overload
    def __getitem__(self, index: int) -> Twin: ...
    @overload
    def __getitem__(self, index: slice) -> list[Twin]: ...
    def __getitem__(self, index):
        """Build the twin of one patient.

        Raises
        ------
        IndexError
            If there is no such patient.
        ValueError
            If this patient could not be fitted.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"There is no patient {index} in a cohort of {len(self)}.")
        return self._twin(index % len(self))

    @in_double_precision
    def _twin(self, index: int) -> Twin:
        member = self.members[index]
        if member.sampled is None:
            raise ValueError(f"Patient {index} could not be fitted. {member.reason}")
        density = joint(member.model, member.record, observations=dict(member.observations), integrator=self.integrator)
        return twin_of(
            density,
            member.record,
            dict(member.observations),
            resized(density, member.sampled),
            key=jax.random.fold_in(self.key, index),
            population=self.population,
        )

    @property
    def khats(self) -> np.ndarray:
        """Pareto k-hat of each patient (patient,); NaN where no weights were used or nothing was fitted."""
        return np.array([np.nan if m.sampled is None else m.sampled.khat for m in self.members])

    @property
    def failures(self) -> dict[int, str]:
        """The patients whose draws are absent or not to be relied on, by index, with the reason."""
        return {i: f"{m.status}: {m.why}" for i, m in enumerate(self.members) if m.status != FITTED}

    @property
    def counts(self) -> dict[str, int]:
        """How many patients are fitted, untrusted, unsolved and refused."""
        found = Counter(member.status for member in self.members)
        return {status: found[status] for status in (FITTED, UNTRUSTED, UNSOLVED, REFUSED)}

    def to_frame(self) -> pd.DataFrame:
        """Return one row per patient.

        Returns
        -------
        frame : pandas.DataFrame
            Index patient; columns status, reason, method, khat, effective_draws, draws, modes, measurements and hours
            (length of the record).
        """
        rows = []
        for member in self.members:
            sampled = member.sampled
            rows.append(
                {
                    "status": member.status,
                    "reason": member.why,
                    "method": "" if sampled is None else sampled.method,
                    "khat": np.nan if sampled is None else sampled.khat,
                    "effective_draws": np.nan if sampled is None else sampled.importance_ess,
                    "draws": 0 if sampled is None else int(np.prod(sampled.positions.shape[:2])),
                    "modes": 0 if sampled is None else len(sampled.modes),
                    "measurements": _measurements(member.record),
                    "hours": _hours(member.record),
                }
            )
        return pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="patient"))

    @in_double_precision
    def refitted(
        self,
        *,
        method: AbstractMethod | None = None,
        patients: Iterable[int] | None = None,
        progress: Callable[[str, float], None] | None = None,
    ) -> "Cohort":
        """Return the cohort with some patients fitted again by another method, one by one.

        Parameters
        ----------
        method : NUTS or Laplace, optional
            `NUTS()` by default.
        patients : iterable of int, optional
            Those whose k-hat is 0.7 or more by default.
        progress : function of (stage, fraction), optional
            Called after each patient.

        Returns
        -------
        Cohort

        Raises
        ------
        ValueError
            If one of the patients was refused: there is nothing to fit.
        """
        require_kinds(method=(method, Sampler, None))
        untrusted = [i for i, member in enumerate(self.members) if member.status == UNTRUSTED]
        chosen, members = untrusted if patients is None else [int(i) for i in patients], list(self.members)
        for done, i in enumerate(chosen, 1):
            member = members[i]
            if member.sampled is None:
                raise ValueError(f"Patient {i} cannot be fitted again. {member.reason}")
            given = dict(member.observations)
            density = joint(member.model, member.record, observations=given, integrator=self.integrator)
            sample_key, _ = jax.random.split(jax.random.fold_in(self.key, i))
            sampled = (NUTS() if method is None else method).sample(density, key=sample_key)
            members[i] = replace(member, sampled=sampled)
            if progress:
                progress("patients", done / len(chosen))
        return replace(self, members=tuple(members))

    def save(self, path) -> None:
        """Write the cohort to one netCDF file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            Replaced if it exists.

        Raises
        ------
        OSError
            If it cannot be written: no such folder, a full disk. What was there is untouched.
        ValueError
            If a model holds what no file could give back, such as a function.
        """
        content, described = _stored(self)
        save(path, "cohort", content, described, {type(m.model).__name__: m.model for m in self.members}.values())

    def __repr__(self) -> str:
        """Count the patients by status in one line."""
        counts = ", ".join(f"{count} {status}" for status, count in self.counts.items() if count)
        return f"Cohort({len(self)} patients: {counts})"

    def _repr_html_(self) -> str:
        khats = self.khats[np.isfinite(self.khats)]
        judged = f", k-hat {np.median(khats):.2f} (median), {khats.max():.2f} (largest)" if len(khats) else ""
        counts = ", ".join(f"{count} {status}" for status, count in self.counts.items())
        about = f"{len(self)} patients: {counts}{judged}. Research software, not a medical device."
        return section("Cohort", table(about, ("patient", "failure"), list(self.failures.items())[:20]))


def _hours(record) -> float:
    return (record.end - record.start) / 60.0 if isinstance(record, Record) else np.nan


def _measurements(record) -> int:
    return sum(len(series.times) for series in record.observations.values()) if isinstance(record, Record) else 0


# ---- files -----------------------------------------------------------------------------------------------------------


def _stored(cohort: Cohort) -> tuple[xr.DataTree, dict[str, Any]]:
    """Return what the patients share, after a tree: all their numbers end to end, their records as text."""
    descriptions: list[str] = []
    models: list[str] = []
    arrays: dict[str, list[np.ndarray]] = {}
    for member in cohort.members:
        about = json.dumps([encode(member.model), encode(dict(member.observations))], sort_keys=True)
        if not models or models[-1] != about:
            models.append(about)
        described: dict[str, Any] = {"model": len(models) - 1, "reason": member.reason}
        if member.sampled is not None:
            described |= _described(member.sampled, arrays)
        record = encode_record(member.record) if isinstance(member.record, Record) else None
        descriptions.append(json.dumps({**described, "record": record}))
    variables = {name: ((f"{name}_number",), np.concatenate(parts)) for name, parts in arrays.items()}
    variables["patients"] = (("patient",), np.array(descriptions, object))
    variables["models"] = (("model",), np.array(models, object))
    shared = {
        "key": np.asarray(jax.random.key_data(cohort.key)).tolist(),
        "integrator": encode(cohort.integrator),
        "population": cohort.population,
    }
    return tree({"cohort": xr.Dataset(variables)}, {}), shared


def _described(sampled: Sampled, arrays: dict[str, list[np.ndarray]]) -> dict[str, Any]:
    """Append a patient's numbers to those of the others and return the rest."""
    arrays.setdefault("positions", []).append(np.ravel(sampled.positions))
    kinds = {}
    for name, values in sampled.stats.items():
        kinds[name] = values.dtype.str
        arrays.setdefault(f"stats_{name}", []).append(np.ravel(values).astype(float))
    for position, *_ in sampled.modes:
        arrays.setdefault("modes", []).append(position)
    figures = [float(x).hex() for x in (sampled.khat, sampled.importance_ess, sampled.rejected)]
    return {
        "shape": sampled.positions.shape,
        "stats": kinds,
        "modes": [[float(x).hex() for x in mode[1:]] for mode in sampled.modes],
        "figures": figures,
        "counts": [sampled.failed, sampled.tried],
        "method": sampled.method,
        "notes": list(sampled.notes),
        "settings": sampled.settings,
    }


def load_cohort(path, *, model: AbstractModel | type[AbstractModel] | None = None, own: Iterable[type] = ()) -> Cohort:
    """Read a cohort that `Cohort.save` wrote, here or with version 0.1.

    Parameters
    ----------
    path : str or Path
    model : AbstractModel or its class, optional
        The user's own model of these patients, as for `load`.
    own : iterable of classes
        Further classes of the user's own: noises and processes.

    Returns
    -------
    Cohort

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If `model` is no model or `own` holds what is no class.
    ValueError
        If the file is foreign, cut short, changed since it was written or of a newer version, or names a class that is
        neither twinprob's nor known here; the message says what does not fit.
    """
    classes = Classes.passed("load_cohort", model, own)
    with opened(path, "cohort") as stored:
        require_groups(stored.tree, "cohort")
        shared = stored.described or _shared_of_version_1(stored.tree)
        cohort = _restored(stored.tree["cohort"].to_dataset(), shared, classes)
        stored.compare({type(m.model).__name__: m.model for m in cohort.members}.values(), {})
    return cohort


def _shared_of_version_1(content: xr.DataTree) -> dict[str, Any]:
    attrs = content.attrs
    key = np.asarray(attrs["key"]).tolist()
    return {"key": key, "integrator": json.loads(attrs["integrator"]), "population": attrs["population"]}


def _restored(group: xr.Dataset, shared: dict[str, Any], classes: Classes) -> Cohort:
    models = []
    for text in group["models"].values:
        described, observations = json.loads(text)
        own = classes.require_model(decode(described, classes))
        models.append((own, decode_observations(observations["mapping"], classes)))
    stored, places = {str(name): v.values for name, v in group.data_vars.items()}, Counter[str]()

    def take(name: str, shape, kind="<f8") -> np.ndarray:
        begin, count = places[name], int(np.prod(shape, dtype=float))
        if kind not in _KINDS or begin + count > stored[name].size:
            raise Misfit(f"a patient says to have {count} numbers of kind {shown(kind)} in `{name}`, which it lacks")
        places[name] += count
        return stored[name][begin : begin + count].reshape(shape).astype(kind)

    members = []
    for text in stored["patients"]:
        described = json.loads(text)
        require_plain_texts(described, "patients")
        patient_model, how = models[described["model"]]
        record = None if described["record"] is None else decode_record(described["record"])
        sampled = _sampled(described, take) if "shape" in described else None
        members.append(Member(record, patient_model, how, sampled, described["reason"]))
    key = jax.random.wrap_key_data(jnp.asarray(shared["key"], jnp.uint32))
    integrator = require_kind(decode(shared["integrator"], classes), AbstractIntegrator)
    return Cohort(tuple(members), integrator, key, require_kind(shared["population"], str))


def _sampled(described: dict[str, Any], take) -> Sampled:
    shape = tuple(described["shape"])
    khat, importance_ess, rejected = (float.fromhex(x) for x in described["figures"])
    modes = [(take("modes", shape[-1:]), *map(float.fromhex, figures)) for figures in described["modes"]]
    return Sampled(
        positions=take("positions", shape),
        stats={name: take(f"stats_{name}", shape[:2], kind) for name, kind in described["stats"].items()},
        khat=khat,
        importance_ess=importance_ess,
        modes=tuple(modes),
        failed=described["counts"][0],
        tried=described["counts"][1],
        method=described["method"],
        notes=tuple(described["notes"]),
        settings=described["settings"],
        rejected=rejected,
    )
