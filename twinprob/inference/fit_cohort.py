"""Fit many patients together, in one process."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Event, Lock
from typing import Any

import jax
import numpy as np

from ..dynamics.integrators import AbstractIntegrator, FixedStep
from ..dynamics.precision import in_double_precision
from ..modeling.model import AbstractModel
from ..modeling.observation import Observation
from ..patient.record import Record
from ..patient.require import require_count, require_each, require_key, require_kinds
from .cohort import Cohort, Member
from .fit import Personal, posed
from .methods.laplace import Laplace
from .methods.pool import Patient, Pool, patient_of

# Fewer starts, proposals and draws than for one patient: draws of ten thousand patients must fit into memory.
METHOD = Laplace(starts=2, chains=4, draws=100, proposals=750, nodes=8, tolerance=1e-3)
_ABREAST = 8


@in_double_precision
def fit_cohort(
    model: AbstractModel,
    records: Iterable[Record],
    *,
    key,
    method: Laplace | None = None,
    population: Personal | None = None,
    observations: Mapping[str, Observation] | None = None,
    integrator: AbstractIntegrator | None = None,
    threads: int = 2,
    progress: Callable[[str, float], None] | None = None,
) -> Cohort:
    """Fit many patients together.

    Patients whose charts fill the same buckets share compiled programs, and the steps of their climbs share batches.
    Patient i gets what `fit(model, records[i], key=jax.random.fold_in(key, i), method=method)` would give, up to
    rounding. A record that cannot be fitted is counted and named by its index; it stops nobody else.

    Parameters
    ----------
    model : AbstractModel
        What is known and unknown about the physiology.
    records : iterable of Record
    key : jax PRNG key
    method : Laplace, optional
        By default with fewer starts, proposals and draws than a single fit, so that ten thousand patients fit into
        memory: a patient with 52 unknowns keeps 170 kB.
    population : Population, optional
        What other patients taught, in place of the model's declared priors.
    observations : mapping of str to Observation, optional
        How outputs are measured, where not as the model declares.
    integrator : AbstractIntegrator, optional
        `FixedStep()` by default.
    threads : int
        Threads that share the patients; results do not depend on it beyond rounding.
    progress : function of (stage, fraction), optional
        Called a few times a second.

    Returns
    -------
    Cohort

    Raises
    ------
    TypeError
        If the method cannot be interleaved: only `Laplace` can, `Cohort.refitted` takes the others; or another argument
        is of another kind.
    ValueError
        If there is no record, or the model has no unknown parameter.
    """
    require_key(key)
    require_kinds(model=(model, AbstractModel), population=(population, Personal, None))
    require_kinds(records=(records, Iterable), integrator=(integrator, AbstractIntegrator, None))
    require_each("observations", observations, Observation)
    require_count("threads", threads, 1, 256)
    method, records = METHOD if method is None else method, list(records)
    if not isinstance(method, Laplace):
        raise TypeError(
            f"Argument `method` must be a `Laplace`, but is a `{type(method).__name__}`: fit the cohort first, then "
            "`cohort.refitted(method=…)`."
        )
    if not records or not model.unknowns():
        what = "the model has no unknown parameter" if records else "argument `records` is empty"
        raise ValueError(f"There is nothing to fit: {what}.")
    integrator = FixedStep() if integrator is None else integrator
    question = _Question(model, population, dict(observations or {}), integrator, method, key)
    members = _work(question, records, threads, progress or (lambda stage, fraction: None))
    return Cohort(members, integrator, key, "" if population is None else repr(population))


@dataclass(frozen=True)
class _Question:
    """What all patients share."""

    model: AbstractModel
    population: Personal | None
    observations: dict[str, Observation]
    integrator: AbstractIntegrator
    method: Laplace
    key: Any

    def pose(self, record) -> tuple[Member, Patient | None]:
        """Return a patient ready to be fitted, or the reason why not."""
        try:
            density, record, given, _ = posed(
                self.model, record, self.population, self.observations or None, self.integrator
            )
        except (ValueError, TypeError, RuntimeError) as error:
            return Member(record, self.model, self.observations, None, str(error)), None
        return Member(record, density.model, given, None), patient_of(density)


def _work(question: _Question, records: list[Any], threads: int, report) -> tuple[Member, ...]:
    """Share the patients among threads; an interrupt ends them before their next batch and nothing is left behind."""
    members: list[Any] = [None] * len(records)
    turn, lock, stop = iter(range(len(records))), Lock(), Event()
    keys = jax.vmap(lambda i: jax.random.split(jax.random.fold_in(question.key, i))[0])(np.arange(len(records)))

    def coming() -> Iterator[tuple[int, Patient, Any]]:
        while True:
            with lock:
                i = next(turn, None)
            if i is None:
                return
            members[i], patient = question.pose(records[i])
            if patient is not None:
                yield i, patient, question.method.sampling(patient.parts, key=keys[i])

    def share() -> None:
        with jax.enable_x64(True):  # JAX keeps this setting per thread
            for i, result in Pool(abreast=_ABREAST, stopped=stop.is_set).run(coming()):
                failed = isinstance(result, Exception)
                members[i] = replace(members[i], **({"reason": str(result)} if failed else {"sampled": result}))

    with ThreadPoolExecutor(threads) as executor:
        shares = [executor.submit(share) for _ in range(threads)]
        try:
            while wait(shares, timeout=0.25).not_done:
                report("patients", sum(m is not None and m.sampled is not None for m in members) / len(members))
            for one in shares:
                one.result()
        finally:
            stop.set()
    report("patients", 1.0)
    return tuple(members)
