"""Join a model and a record to a twin."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol, overload, runtime_checkable

import jax
import numpy as np

from ..dynamics.integrators import AbstractIntegrator, FixedStep
from ..dynamics.precision import in_double_precision
from ..modeling.model import AbstractModel, nearest
from ..modeling.observation import Observation
from ..patient.record import Record
from ..patient.require import require_key, require_kinds
from .describe import twin_of
from .experiments import Experiments
from .integration import chosen_integrator, is_tested
from .joint import joint
from .methods.laplace import Laplace
from .methods.nuts import NUTS
from .methods.sampled import AbstractMethod, Sampled, Sampler
from .simulable import noted, simulable
from .together import Together, together
from .twin import Twin
from .vanishing import require_draws_of_something, require_something
from .window import require_window, windowed


@runtime_checkable
class Personal(Protocol):
    """What `fit` needs of a population."""

    def personalize(self, model: AbstractModel, record: Record, observations=None):
        """Return model and observations with this patient's priors."""
        ...


@overload
def fit(
    model: AbstractModel,
    record: Record,
    *,
    key,
    method: AbstractMethod | None = None,
    population: Personal | None = None,
    observations: Mapping[str, Observation] | None = None,
    integrator: AbstractIntegrator | None = None,
    progress: Callable[[str, float], None] | None = None,
    window: float | None = None,
) -> Twin: ...


@overload
def fit(
    model: AbstractModel,
    record: Mapping[str, Record],
    *,
    key,
    method: AbstractMethod | None = None,
    population: Personal | None = None,
    observations: Mapping[str, Observation] | None = None,
    integrator: AbstractIntegrator | None = None,
    progress: Callable[[str, float], None] | None = None,
    window: float | None = None,
    shared: tuple[str, ...] = (),
    own: tuple[str, ...] = (),
) -> Experiments: ...


@in_double_precision
def fit(
    model: AbstractModel,
    record: Record | Mapping[str, Record],
    *,
    key,
    method: AbstractMethod | None = None,
    population: Personal | None = None,
    observations: Mapping[str, Observation] | None = None,
    integrator: AbstractIntegrator | None = None,
    progress: Callable[[str, float], None] | None = None,
    window: float | None = None,
    shared: tuple[str, ...] = (),
    own: tuple[str, ...] = (),
) -> Twin | Experiments:
    """Personalize a model to one patient's record, or to several experiments at once.

    Parameters
    ----------
    model : AbstractModel
        What is known and unknown about the physiology.
    record : Record, or mapping of str to Record
        What has been seen; use `record.until(t)` to speak for time t. Several records by name are experiments on one
        system: they have one joint posterior.
    key : jax PRNG key
    method : Laplace, NUTS, SMC or Variational, optional
        By default Laplace, judged by its k-hat; NUTS where that is 0.7 or more, and the twin says so.
    population : Population, optional
        What other patients taught, in place of the model's declared priors.
    observations : mapping of str to Observation, optional
        How outputs are measured, where not as the model declares.
    integrator : AbstractIntegrator, optional
        By default `FixedStep()`; for a model of one's own the error and the failures of its steps are measured at draws
        from the prior first, and finer steps or the implicit `Rosenbrock()` are taken where these need it: the twin's
        notes say so.
    progress : function of (stage, fraction), optional
        Called between stages.
    window : float, hours, optional
        How much of a long record's end is fitted at once; what was measured before is filtered, in one pass, and enters
        as what was known then. By default 32 knots of the varying parameter whose knots are closest, where the record
        is longer than 96 of them; `math.inf` fits all at once. Experiments are fitted whole.
    shared, own : tuple of str
        Of several experiments: unknown parameters and noise sizes (`<output>_<field>`) that differ from the default. By
        default these are shared; states at the origin (declared `origin=True`) and what moves in time are each
        experiment's own.

    Returns
    -------
    Twin, or Experiments
        Its record's notes say which inputs of the record the model does not have; its own say what was fitted at once.

    Raises
    ------
    TypeError
        If an argument is of another kind: a key that is a number, a class in place of a model, and the like.
    ValueError
        If the record holds measurements but none of the model's outputs, or only such as were taken before a setting
        was charted that the model needs; the model has no unknown parameter, the population was learned for another
        model, or what is to be shared or owned is no unknown.
    RuntimeError
        If the model can be solved at no starting point, or predicts 0 where something was measured with relative noise.
    """
    require_key(key)
    require_kinds(method=(method, Sampler, None))
    require_window(window)
    if isinstance(record, Mapping):
        return _together(model, record, population, observations, integrator, (shared, own), method, progress, key)
    if shared or own:
        raise ValueError("`shared` and `own` speak of several experiments: give records by name, `{name: record, …}`.")
    model, whole, given = personal(model, record, population, observations)
    integrator, notes = suited(model, whole, given, integrator)
    sample_key, _ = jax.random.split(key)
    found = windowed(model, whole, given, integrator, window, key=jax.random.fold_in(sample_key, 1))
    recent, past = (whole, None) if found is None else (found.record, found.past)
    density = joint(model, recent, observations=given, integrator=integrator, past=past)
    notes = notes if found is None else (*notes, found.said(whole.start))
    try:
        sampled, why = sampled_by(density, method, sample_key, progress)
    except (RuntimeError, ValueError):
        require_something(density, {name: recent.observations[name].times for name in density.data})
        raise
    notes = (*notes, *why)
    learned = "" if population is None else repr(population)
    if found is not None:
        sampled = dataclasses.replace(
            sampled,
            khat=float(np.fmax(sampled.khat, found.khat)),
            importance_ess=float(np.fmin(sampled.importance_ess, found.effective)),
        )
    how = dict(given or {})
    twin = twin_of(density, recent, how, sampled, key=key, population=learned, notes=notes, whole=whole)
    require_draws_of_something(twin)
    return dataclasses.replace(twin, method=method)


def _together(model, records, population, observations, integrator, shares, method, progress, key) -> Experiments:
    """Fit several experiments at once."""
    density, posed_, notes = posed_together(model, records, population, observations, integrator, *shares)
    sample_key, describe_key = jax.random.split(key)
    sampled, why = sampled_by(density, method, sample_key, progress)
    learned, twins = "" if population is None else repr(population), {}
    for i, (name, (_, record, given)) in enumerate(posed_.items()):
        twin = twin_of(
            density.members[name],
            record,
            dict(given or {}),
            sampled.at_places(density.places_of(name)),
            key=jax.random.fold_in(describe_key, i),
            population=learned,
            notes=(*notes, *why),
            experiments=tuple(records),
        )
        twins[name] = dataclasses.replace(twin, method=method)
    return Experiments(twins, density.own)


def posed_together(
    model, records: Mapping[str, Record], population, observations, integrator, shared, own
) -> tuple[Together, dict[str, Any], tuple[str, ...]]:
    """Return the density of several experiments; model, record and observations of each; and notes."""
    if not records or not all(isinstance(name, str) and name.isidentifier() for name in records):
        raise ValueError("Experiments are records by name, `{name: record, …}`, each name a word such as `control`.")
    for name, each in records.items():
        if not isinstance(each, Record):
            raise TypeError(
                f"Argument `record` must be a `Record`, or a mapping of such by name, but its `{name}` is a "
                f"`{type(each).__name__}`: `Record.build` makes one of measurements and inputs."
            )
    posed_ = {name: personal(model, record, population, observations) for name, record in records.items()}
    chosen = [suited(one, record, given, integrator) for one, record, given in posed_.values()]
    how = max((one for one, _ in chosen), key=_effort)
    members = {
        name: joint(one, record, observations=given, integrator=how) for name, (one, record, given) in posed_.items()
    }
    notes = tuple(dict.fromkeys(why for _, whys in chosen for why in whys))
    return together(members, shared=tuple(shared), own=tuple(own)), posed_, notes


def _effort(integrator: AbstractIntegrator | None) -> tuple[bool, int]:
    """Order integrators by what they can do: experiments of one model share that which the hardest needs."""
    steps = isinstance(integrator, FixedStep) or integrator is None
    return not steps, integrator.refine if isinstance(integrator, FixedStep) else 0


def sampled_by(density: Any, method, key, progress=None) -> tuple[Sampled, tuple[str, ...]]:
    """Return what a method sampled, by default Laplace, or NUTS where k-hat says so, with a note of it."""
    sampled = (Laplace() if method is None else method).sample(density, key=key, progress=progress)
    if method is not None or sampled.khat < 0.7:
        return sampled, ()
    why = f"Laplace's k-hat was {sampled.khat:.2f}, so the posterior was sampled with NUTS instead."
    return NUTS().sample(density, key=key, progress=progress), (why,)


def posed(model: AbstractModel, record: Record, population: Personal | None, observations, integrator):
    """Return the density of a fit, the record it uses, how outputs are measured where not as declared, and notes."""
    model, record, observations = personal(model, record, population, observations)
    integrator, notes = suited(model, record, observations, integrator)
    density = joint(model, record, observations=observations, integrator=integrator)
    return density, record, dict(observations or {}), notes


def suited(
    model: AbstractModel, record: Record, observations, integrator
) -> tuple[AbstractIntegrator | None, tuple[str, ...]]:
    """Return how to integrate where the caller does not say, and a note of why where it is not the model's own step."""
    if integrator is not None or is_tested(model):
        return integrator, ()
    chosen, why = chosen_integrator(joint(model, record, observations=observations))
    return (chosen, (why,)) if why else (None, ())


def personal(model: AbstractModel, record: Record, population: Personal | None, observations):
    """Return the model with this patient's priors, the record it can use, and how outputs are measured."""
    require_kinds(model=(model, AbstractModel), record=(record, Record), population=(population, Personal, None))
    record = noted(model, simulable(model, record))
    if population is not None:
        model, observations = population.personalize(model, record, observations)
    return _checked(model, record), record, observations


def _checked(model: AbstractModel, record: Record) -> AbstractModel:
    if not model.unknowns():
        raise ValueError(
            f"Model `{type(model).__name__}` has no unknown parameter; make one unknown with `model.free(name)`."
        )
    outputs = tuple(model.quantities(model.Output))
    if record.observations and not set(outputs) & set(record.observations):
        names = tuple(record.observations)
        raise ValueError(
            f"The record holds none of the outputs of model `{type(model).__name__}` ({', '.join(outputs)}); it holds "
            f"`{names[0]}`: {nearest(names[0], outputs)}"
        )
    return model
