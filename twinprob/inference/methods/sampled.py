"""What every method is asked for, and what it returns."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import numpy as np

from ..joint import Joint

TRUSTED = 0.7


@dataclass(frozen=True)
class Sampled:
    """What a method returns: positions and how they came about.

    Attributes
    ----------
    positions : (chain, draw, unknown) on the unconstrained scale
    stats : mapping of str to (chain, draw) arrays, named as in the ArviZ schema
    khat : float, Pareto k-hat of the importance weights; NaN where no weights were used
    importance_ess : float, effective number of independent draws behind the resampled ones
    modes : tuple of (position, log density, weight), most probable first
    failed : int, solves that failed among the `tried` ones
    rejected : float, share of the last proposals whose solve failed; zero where none were made
    notes : tuple of str, what the user should know
    lost : tuple of (place of an unknown, level, share), quantiles below which moved draws had another share
    """

    positions: np.ndarray
    stats: dict[str, np.ndarray]
    khat: float
    importance_ess: float
    modes: tuple[tuple[np.ndarray, float, float], ...]
    failed: int
    tried: int
    method: str
    notes: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    rejected: float = 0.0
    lost: tuple[tuple[int, float, float], ...] = ()

    def at_places(self, places: np.ndarray) -> "Sampled":
        """Return the same draws of some of the unknowns (unknown,): what is believed of these, whatever the others."""
        kept = list(places)
        lost = tuple((kept.index(place), level, share) for place, level, share in self.lost if place in kept)
        modes = tuple((position[places], density, weight) for position, density, weight in self.modes)
        return replace(self, positions=self.positions[..., places], modes=modes, lost=lost)

    @property
    def trusted(self) -> bool:
        """Whether the importance weights can be relied on (k-hat below 0.7); True where none were used."""
        return not self.khat >= TRUSTED


@runtime_checkable
class Sampler(Protocol):
    """What a verb asks of a method: one's own needs `sample`, as `AbstractMethod` describes it, and no base class."""

    def sample(self, joint: Joint, *, key, progress: Callable[[str, float], None] | None = None) -> Sampled:
        """Draw from the posterior."""
        ...


class AbstractMethod(eqx.Module):
    """Frozen settings of one way to infer."""

    @abstractmethod
    def sample(self, joint: Joint, *, key, progress: Callable[[str, float], None] | None = None) -> Sampled:
        """Draw from the posterior.

        Parameters
        ----------
        joint : Joint
        key : jax PRNG key
        progress : function of (stage, fraction), optional

        Returns
        -------
        Sampled
            Of a method that estimates it, `stats["log_marginal_likelihood"]` holds the log evidence by chain.

        Raises
        ------
        RuntimeError
            If the model can be solved at none of the starting points, or a method does not reach the posterior.
        """


def generator(key) -> np.random.Generator:
    """Return a NumPy generator that continues a JAX key: small random work needs no compilation."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().astype(np.uint64))
