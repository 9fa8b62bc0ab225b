"""Join a model and a record to a twin."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import jax
import numpy as np

from ..dynamics.integrators import AbstractIntegrator
from ..dynamics.precision import in_double_precision
from ..modeling.model import AbstractModel, nearest
from ..modeling.observation import Observation
from ..patient.record import Record
from ..patient.require import require_key, require_kinds
from .describe import twin_of
from .integration import chosen_integrator, is_tested
from .joint import joint
from .methods.laplace import Laplace
from .methods.nuts import NUTS
from .methods.sampled import AbstractMethod, Sampler
from .simulable import noted, simulable
from .twin import Twin
from .vanishing import require_draws_of_something, require_something
from .window import require_window, windowed


@runtime_checkable
class Personal(Protocol):
    """What `fit` needs of a population."""

    def personalize(self, model: AbstractModel, record: Record, observations=None):
        """Return model and observations with this patient's priors."""
        ...


@in_double_precision
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
) -> Twin:
    """Personalize a model to one patient's record.

    Parameters
    ----------
    model : AbstractModel
        What is known and unknown about the physiology.
    record : Record
        What has been seen; use `record.until(t)` to speak for time t.
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
        is longer than 96 of them; `math.inf` fits all at once.

    Returns
    -------
    Twin
        Its record's notes say which inputs of the record the model does not have; its own say what was fitted at once.

    Raises
    ------
    TypeError
        If an argument is of another kind: a key that is a number, a class in place of a model, and the like.
    ValueError
        If the record holds measurements but none of the model's outputs, or only such as were taken before a setting
        was charted that the model needs; the model has no unknown parameter, or the population was learned for another
        model.
    RuntimeError
        If the model can be solved at no starting point, or predicts 0 where something was measured with relative noise.
    """
    require_key(key)
    require_kinds(method=(method, Sampler, None))
    require_window(window)
    model, record, given = personal(model, record, population, observations)
    integrator, notes = suited(model, record, given, integrator)
    sample_key, _ = jax.random.split(key)
    found = windowed(model, record, given, integrator, window, key=jax.random.fold_in(sample_key, 1))
    recent, past = (record, None) if found is None else (found.record, found.past)
    density = joint(model, recent, observations=given, integrator=integrator, past=past)
    notes = notes if found is None else (*notes, found.said(record.start))
    try:
        sampled = (Laplace() if method is None else method).sample(density, key=sample_key, progress=progress)
    except (RuntimeError, ValueError):
        require_something(density, {name: recent.observations[name].times for name in density.data})
        raise
    if method is None and not sampled.khat < 0.7:
        notes = (*notes, f"Laplace's k-hat was {sampled.khat:.2f}, so the posterior was sampled with NUTS instead.")
        sampled = NUTS().sample(density, key=sample_key, progress=progress)
    learned = "" if population is None else repr(population)
    if found is not None:
        sampled = dataclasses.replace(
            sampled,
            khat=float(np.fmax(sampled.khat, found.khat)),
            importance_ess=float(np.fmin(sampled.importance_ess, found.effective)),
        )
    how = dict(given or {})
    twin = twin_of(density, recent, how, sampled, key=key, population=learned, notes=notes, whole=record)
    require_draws_of_something(twin)
    return dataclasses.replace(twin, method=method)


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
