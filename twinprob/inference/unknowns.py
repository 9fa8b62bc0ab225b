"""Where unknowns stand in a position, the vector on the unconstrained scale that inference works on."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

from ..dynamics.programs import as_data
from ..modeling.measured import Measured
from .data import Data
from .past import Past

IMPOSSIBLE = 1e30
LARGEST = 150.0  # exp(150)^4 is still finite


class AbstractUnknowns(eqx.Module):
    """Unknowns by sample site: a density over `position`, all sites concatenated on the unconstrained scale.

    Their prior is the product of those of the sites; a past speaks of the constants in their place.
    """

    @abstractmethod
    def sites(self) -> dict[str, dist.Distribution]:
        """Return the prior of every unknown, by sample site."""

    @property
    def known(self) -> Past | None:
        """What earlier measurements say of the constants."""
        return None

    def innovations(self) -> tuple[str, ...]:
        """Return the sites of innovations: of paths, and of the state where a past says what was known of it."""
        return ()

    def scales(self) -> dict[str, bool]:
        """Return the sites of volatilities and noise sizes, and whether each is held while a path climbs."""
        return {}

    def sizes(self) -> tuple[str, ...]:
        """Return the sites of noise sizes."""
        return ()

    def layout(self) -> dict[str, slice]:
        """Return where each site stands in a position."""
        slices, begin = {}, 0
        for name, prior in self.sites().items():
            size = int(np.prod(prior.event_shape, dtype=int))
            slices[name] = slice(begin, begin + size)
            begin += size
        return slices

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return max((s.stop for s in self.layout().values()), default=0)

    def constrain(self, position: Float[Array | np.ndarray, " unknown"]) -> dict[str, Array]:
        """Return the value of every site at a position."""
        sites, layout = self.sites(), self.layout()
        return {
            name: dist.biject_to(prior.support)(position[layout[name]].reshape(prior.event_shape))
            for name, prior in sites.items()
        }

    def unconstrain(self, values: Mapping[str, Any]) -> Float[Array | np.ndarray, " unknown"]:
        """Return the position of given site values."""
        sites = self.sites()
        parts = [
            jnp.ravel(dist.biject_to(prior.support).inv(jnp.asarray(values[name], float)))
            for name, prior in sites.items()
        ]
        return jnp.concatenate(parts) if parts else jnp.zeros(0)

    def draw_prior(self, key) -> Float[Array | np.ndarray, " unknown"]:
        """Draw a position from the prior."""
        sites = self.sites()
        keys = jax.random.split(key, max(len(sites), 1))
        drawn = {name: prior.sample(k) for (name, prior), k in zip(sites.items(), keys, strict=False)}
        position = self.unconstrain(drawn)
        if self.known is None:
            return position
        constants = self.known.constants(jax.random.normal(jax.random.fold_in(key, 1), (len(self.known.names),)))
        return jnp.asarray(position).at[self.places()].set(constants)

    def places(self) -> np.ndarray:
        """Return where the constants stand that the past speaks of."""
        layout, names = self.layout(), () if self.known is None else self.known.names
        return np.array([layout[name].start for name in names], int)

    def log_prior(self, position: Float[Array | np.ndarray, " unknown"]) -> Array:
        """Return the log prior density of a position on the unconstrained scale."""
        layout, total, known = self.layout(), jnp.zeros(()), () if self.known is None else self.known.names
        if self.known is not None:
            total = self.known.log_density(position[self.places()])
        for name, prior in self.sites().items():
            if name in known:
                continue
            raw = position[layout[name]].reshape(prior.event_shape)
            bijector = dist.biject_to(prior.support)
            value = bijector(raw)
            total = total + jnp.sum(prior.log_prob(value)) + jnp.sum(bijector.log_abs_det_jacobian(raw, value))
        return total

    def possible(self, position):
        """Replace unknowns at which the densities would overflow by safe ones, and say whether there were any.

        The gradient would otherwise be infinity times zero there, which no `where` further down can mend.
        """
        limits = np.full(self.size, LARGEST)
        layout = self.layout()
        for name, prior in self.sites().items():
            if is_real(dist.biject_to(prior.support)) and prior.event_shape == ():
                limits[layout[name]] = IMPOSSIBLE
        fine = jnp.abs(position) < limits  # False for NaN
        return jnp.where(fine, position, 0.0), jnp.all(fine)

    def traced(self):
        """Return this density with every number as an array, so that other numbers need no new compilation."""
        return as_data(self)


class AbstractDensity(AbstractUnknowns):
    """The joint density of unknowns and measurements, by what a solve lets expect of each measurement."""

    @abstractmethod
    def measurements(self) -> dict[str, Data]:
        """Return the measurements of each output."""

    @abstractmethod
    def means(self, values: Mapping[str, Any]) -> tuple[dict[str, Array], Array]:
        """Return the noise-free output at each measurement by output name, and whether the solve succeeded."""

    @abstractmethod
    def measured(self, means: Mapping[str, Array], values: Mapping[str, Any]) -> dict[str, Measured]:
        """Return the distribution of each output's measurements around the given means."""

    def log_likelihood(self, values: Mapping[str, Any], means: Mapping[str, Array]) -> dict[str, Array]:
        """Return the log density of each measurement by output; padding counts zero."""
        measured, seen = self.measured(means, values), self.measurements()
        return {name: d.elementwise(jnp.asarray(seen[name].values)) for name, d in measured.items()}

    def log_density(self, position: Float[Array | np.ndarray, " unknown"]) -> Array:
        """Return log p(position, data); minus infinity where the model cannot be solved."""
        position, possible = self.possible(position)
        values = self.constrain(position)
        means, solved = self.means(values)
        likelihood = sum((jnp.sum(x) for x in self.log_likelihood(values, means).values()), jnp.zeros(()))
        total = self.log_prior(position) + likelihood
        fine = solved & possible & jnp.isfinite(total)
        return jnp.where(fine, jnp.where(fine, total, 0.0), -jnp.inf)


def is_real(bijector) -> bool:
    """Whether values and positions are the same: only then may a position be large."""
    return isinstance(bijector, dist.transforms.IdentityTransform)
