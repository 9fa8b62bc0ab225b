"""Name a measurement that a model cannot have produced: it predicts zero there, and zero has no relative noise."""

import equinox as eqx
import jax
import numpy as np

from .joint import Joint
from .twin import Twin

_NOTHING = 1e-6  # of what was measured
_DRAWS = 32


def require_draws_of_something(twin: Twin) -> None:
    """Refuse a twin whose every replicate is zero where something was measured.

    Raises
    ------
    RuntimeError
        As `require_something`.
    """
    if "posterior_predictive" not in twin.tree.children:
        return
    limits, observed = twin.group("constant_data"), twin.group("observed_data")
    for name, replicates in twin.group("posterior_predictive").items():
        drawn = replicates.values.reshape(-1, replicates.shape[-1])
        times = observed[f"{name}_time"].values
        exact = limits[f"{name}_limit"].values == 0
        _refuse(type(twin.model).__name__, str(name), times, observed[name].values, drawn, exact)


def require_something(density: Joint, times) -> None:
    """Refuse a record in which every patient of the prior has zero where something was measured.

    Parameters
    ----------
    density : Joint
    times : mapping of str to (time,) min
        When each output was measured.

    Raises
    ------
    RuntimeError
        If so, naming the output, the time and the remedy.
    """
    means = {name: np.asarray(found) for name, found in _prior_means(density).items()}
    for name, data in density.data.items():
        count = int(np.sum(data.present))
        exact = np.asarray(data.limits)[:count] == 0
        values = np.asarray(data.values)[:count]
        _refuse(type(density.model).__name__, name, times[name], values, means[name][:, :count], exact)


@eqx.filter_jit
def _prior_means(density: Joint):
    def one(key):
        means, _ = density.means(density.constrain(density.draw_prior(key)))
        return {name: means[name] for name in density.data}

    return jax.lax.map(one, jax.random.split(jax.random.key(0), _DRAWS))


def _refuse(model: str, name: str, times, observed, drawn, exact) -> None:
    found = np.isfinite(drawn).all(axis=1)
    if not found.any():
        return
    zero = exact & (np.abs(drawn[found]).max(axis=0) < _NOTHING * np.abs(observed))
    for i in np.flatnonzero(zero)[:1]:
        raise RuntimeError(
            f"Model `{model}` predicts 0 for `{name}` at {times[i]:g} min, whatever its parameters, from every start, "
            "where something else was measured, and relative noise allows nothing but 0 there: give what came before "
            f"(a dose before the record's start), or give the noise of `{name}` an `additive` part."
        )
