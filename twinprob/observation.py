"""How one output is measured: noise, outliers and detection limits."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Float

_TINY = 1e-300


class AbstractNoise(eqx.Module):
    """The distribution of one measurement around the noise-free output.

    Any numeric field may be a numpyro Distribution instead: it then is an unknown named `<output>_<field>`.
    """

    def distribution(self, mean: Float[Array, " time"]) -> dist.Distribution:
        """Return the distribution of measurements whose noise-free values are `mean`, in the output's unit."""
        raise NotImplementedError

    def log_survival(self, value, mean, side: int):
        """Return log P(measurement > value) for side +1, log P(measurement < value) for side -1."""
        below = jnp.clip(self.distribution(mean).cdf(value), _TINY, 1.0)
        return jnp.log(below) if side < 0 else jnp.log(jnp.clip(1.0 - below, _TINY, 1.0))

    def padded(self, count: int, length: int):
        """Return this noise with fields given for each of `count` measurements padded to `length`."""

        def pad(x):
            return np.pad(x, (0, length - count), mode="edge") if np.ndim(x) else x

        if any(np.ndim(x) and np.shape(x) != (count,) for x in jax.tree.leaves(self)):
            raise ValueError(f"Noise given per measurement must have one value for each of the {count} measurements.")
        return jax.tree.map(pad, self)

    def unknowns(self) -> dict[str, dist.Distribution]:
        """Return the priors of the fields that are unknown."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, dist.Distribution)}


class Gaussian(AbstractNoise):
    """Normal noise whose standard deviation is sqrt(additive² + (relative · mean)²).

    `additive` is in the output's unit; `relative` is a coefficient of variation. Either may be an array with one value
    per measurement, where each has its own known error; such an observation cannot forecast.
    """

    additive: float = 0.0
    relative: float = 0.0

    def __check_init__(self):
        """Refuse a noise of no size."""
        _check_scales(self)

    def scale(self, mean):
        """Return the standard deviation of a measurement, in the output's unit."""
        return jnp.sqrt(jnp.asarray(self.additive) ** 2 + (self.relative * mean) ** 2 + 1e-24)

    def distribution(self, mean):  # noqa: D102
        return dist.Normal(mean, self.scale(mean))

    def log_survival(self, value, mean, side):  # noqa: D102
        return log_ndtr(-side * (value - mean) / self.scale(mean))


class StudentT(Gaussian):
    """Heavy-tailed noise; `additive` and `relative` give its scale, `df` its degrees of freedom (> 2)."""

    df: float = eqx.field(static=True, default=4.0)

    def distribution(self, mean):  # noqa: D102
        return dist.StudentT(self.df, mean, self.scale(mean))

    log_survival = AbstractNoise.log_survival


class Contaminated(Gaussian):
    """Normal noise in which a `fraction` of the measurements is gross error, `inflation` times wider."""

    fraction: float = 0.02
    inflation: float = 10.0

    def distribution(self, mean):  # noqa: D102
        scales = self.scale(mean)[..., None] * jnp.stack([jnp.ones(()), jnp.asarray(self.inflation, float)])
        weights = jnp.stack([1.0 - jnp.asarray(self.fraction), jnp.asarray(self.fraction)])
        components = dist.Normal(mean[..., None], scales)
        return dist.MixtureSameFamily(dist.Categorical(probs=weights), components)

    log_survival = AbstractNoise.log_survival


class Multiplicative(AbstractNoise):
    """Log-normal noise: the logarithm of a measurement is normal around the logarithm of the output."""

    sd: float

    def distribution(self, mean):  # noqa: D102
        return dist.LogNormal(jnp.log(jnp.maximum(mean, _TINY)), self.sd)


class Observation(eqx.Module):
    """How one output is measured.

    Parameters
    ----------
    noise : AbstractNoise
        Distribution around the noise-free output, in the output's unit.
    lower, upper : float, optional
        Detection limits in the output's unit; a value at or beyond one is known only to lie there.
    """

    noise: AbstractNoise
    lower: float = eqx.field(static=True, default=-math.inf)
    upper: float = eqx.field(static=True, default=math.inf)

    def __check_init__(self):
        """Refuse limits in the wrong order."""
        if not self.lower < self.upper:
            raise ValueError(f"Detection limit `lower` = {self.lower} must be below `upper` = {self.upper}.")

    def sized(self, sizes: Mapping[str, Any]) -> "Observation":
        """Return how the output is measured with these values in place of fields of its noise."""
        return dataclasses.replace(self, noise=dataclasses.replace(self.noise, **sizes))

    def log_density(self, value, mean, limits):
        """Return the log density of measurements, or the log probability beyond a limit where `limits` is -1 or +1."""
        exact = self.noise.distribution(mean).log_prob(value)
        below, above = (self.noise.log_survival(value, mean, side) for side in (-1, 1))
        return jnp.where(limits == 0, exact, jnp.where(limits < 0, below, above))


class Measured(dist.Distribution):
    """Measurements of one output as a numpyro distribution: censored values and absent (padded) ones included.

    Parameters
    ----------
    observation : Observation
    mean : (time,) noise-free output, in its unit
    limits : (time,) int, -1 below a limit, 0 measured, +1 above
    present : (time,) bool, False where nothing was measured
    """

    support = dist.constraints.real_vector

    def __init__(self, observation: Observation, mean, limits, present):
        self.observation, self.mean_output, self.limits, self.present = observation, mean, limits, present
        super().__init__(batch_shape=(), event_shape=jnp.shape(mean), validate_args=False)

    def sample(self, key, sample_shape=()):
        """Draw replicated measurements; detection limits do not truncate them."""
        return self.observation.noise.distribution(self.mean_output).sample(key, sample_shape)

    def elementwise(self, value):
        """Return the log density of each measurement, zero where absent; shape (time,)."""
        return jnp.where(self.present, self.observation.log_density(value, self.mean_output, self.limits), 0.0)

    def log_prob(self, value):
        """Return the log density of all measurements together."""
        return jnp.sum(self.elementwise(value), axis=-1)


def _check_scales(noise: Gaussian) -> None:
    sizes = (noise.additive, noise.relative)
    if all(isinstance(size, int | float) for size in sizes) and (min(sizes) < 0 or max(sizes) == 0):
        raise ValueError(
            f"Noise needs `additive` or `relative` above zero and neither below, but additive = {sizes[0]}, "
            f"relative = {sizes[1]}."
        )
