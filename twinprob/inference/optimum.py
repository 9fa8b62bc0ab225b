"""The best fit: the largest likelihood of a model's unknowns, from many starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..display import section, table
from ..dynamics.integrators import AbstractIntegrator
from ..dynamics.precision import in_double_precision
from ..dynamics.programs import compiled
from ..modeling.model import AbstractModel
from ..modeling.observation import Observation
from ..patient.record import Record
from .fit import posed, posed_together
from .linearize import spread_starts
from .methods.climb import split
from .methods.modes import climb_from
from .unknowns import AbstractDensity

_ITERATIONS, _TOLERANCE = (30, 200), 1e-9
_SAME = 0.1  # nats: starts that ended so near the best found the same optimum


class Likelihood(AbstractDensity):
    """A joint density without its prior: what the measurements alone say, within the priors' bounds."""

    density: AbstractDensity

    def measurements(self):  # noqa: D102
        return self.density.measurements()

    def sites(self):  # noqa: D102
        return self.density.sites()

    def innovations(self):  # noqa: D102
        return self.density.innovations()

    def scales(self):  # noqa: D102
        return self.density.scales()

    def sizes(self):  # noqa: D102
        return self.density.sizes()

    def means(self, values):  # noqa: D102
        return self.density.means(values)

    def measured(self, means, values):  # noqa: D102
        return self.density.measured(means, values)

    def log_prior(self, position):
        """Return zero."""
        return 0.0 * jnp.sum(position)


@dataclass(frozen=True, repr=False)
class Optimum:
    """The best fit of a model, and how the starts of its search ended.

    Attributes
    ----------
    values : mapping of str to float
        The unknowns there, in their units; of several experiments an own one is named `<name>[<experiment>]`.
    log_likelihood : float
        The largest log likelihood found, in nats.
    waterfall : (start,) nats
        The log likelihood at which each start ended, the best first; minus infinity where none could be solved.
    measurements : int
    """

    values: Mapping[str, float]
    log_likelihood: float
    waterfall: np.ndarray
    measurements: int

    @property
    def found(self) -> int:
        """How many starts ended at the best, within 0.1 nats: one alone may have missed a better optimum."""
        return int(np.sum(self.waterfall > self.log_likelihood - _SAME))

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 × unknowns − 2 × log likelihood."""
        return 2.0 * len(self.values) - 2.0 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, log(measurements) × unknowns − 2 × log likelihood."""
        return float(np.log(self.measurements)) * len(self.values) - 2.0 * self.log_likelihood

    def _said(self) -> str:
        ends = ", ".join(f"{end:.2f}" for end in self.waterfall[:8])
        more = ", …" if len(self.waterfall) > 8 else ""
        return (
            f"log likelihood {self.log_likelihood:.3f} of {self.measurements} measurements; found by {self.found} of "
            f"{len(self.waterfall)} starts (ends: {ends}{more})"
        )

    def __repr__(self) -> str:
        """Say the best fit, and how many starts found it."""
        return "\n".join([f"Optimum: {self._said()}", *(f"  {name} {x:.5g}" for name, x in self.values.items())])

    def _repr_html_(self) -> str:
        return section("Optimum", table(self._said(), ("unknown", "value"), list(self.values.items())))


@in_double_precision
def optimum(
    model: AbstractModel,
    record: Record | Mapping[str, Record],
    *,
    starts: int = 16,
    observations: Mapping[str, Observation] | None = None,
    integrator: AbstractIntegrator | None = None,
    shared: tuple[str, ...] = (),
    own: tuple[str, ...] = (),
) -> Optimum:
    """Find the values of a model's unknowns that make the measurements most likely.

    Priors say where the search starts and, where they are bounded, where it ends; they do not enter the likelihood.

    Parameters
    ----------
    model : AbstractModel
    record : Record, or mapping of str to Record
        Several records by name are experiments, as for `fit`.
    starts : int
        Of Gauss–Newton climbs, evenly spread over the prior: no chance enters.
    observations : mapping of str to Observation, optional
        How outputs are measured, where not as the model declares.
    integrator : AbstractIntegrator, optional
        As for `fit`.
    shared, own : tuple of str
        As for `fit`.

    Returns
    -------
    Optimum

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        As `fit`; also if a parameter moves in time: its path would follow every measurement.
    RuntimeError
        If the model can be solved at no start.
    """
    if not (isinstance(starts, int) and starts >= 1):
        raise ValueError(f"Argument `starts` must be a whole number from 1, but is {starts!r:.20}.")
    density: Any
    if isinstance(record, Mapping):
        density = posed_together(model, record, None, observations, integrator, shared, own)[0]
    else:
        density = posed(model, record, None, observations, integrator)[0]
    parts = split(density)
    if parts.path.any():
        raise ValueError(
            "A model with a parameter that moves in time has no largest likelihood: its path would follow every "
            "measurement. Hold it still, `model.vary(name=None)`, or use `fit`."
        )
    alone: Any = Likelihood(density)
    begin = spread_starts(density, starts)
    if parts.scale.any():
        begin = climb_from(alone, begin, ~parts.scale, _ITERATIONS[0], _TOLERANCE).positions
    ends = climb_from(alone, begin, np.ones(density.size, bool), _ITERATIONS[1], _TOLERANCE)
    levels = np.where(np.isfinite(ends.values), np.asarray(_levels(alone, ends.positions)), -np.inf)
    order = np.argsort(-levels, kind="stable")
    if not np.isfinite(levels[order[0]]):
        raise RuntimeError(
            f"The model could not be solved at any of {starts} starts; check the units of the record's inputs, and the "
            "priors (`simulate` shows one patient)."
        )
    values: dict[str, Any] = density.constrain(ends.positions[order[0]])
    count = sum(int(np.sum(data.present)) for data in density.measurements().values())
    return Optimum({name: float(x) for name, x in values.items()}, float(levels[order[0]]), levels[order], count)


@compiled
def _levels(density, positions):
    return jax.lax.map(density.log_density, positions)
