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

from ..patient.require import number, require_kind, require_settings, require_sizes
from .correlated import Correlated, Error, Heard, either

_TINY = 1e-300
_LN10 = math.log(10.0)
_T_PARTS = 12
_DRIFT = "drift_"


def one_number(value: Any) -> float:
    """Return a setting that is one number, of whatever library, as Python's own: it becomes part of programs."""
    if isinstance(value, str | bool) or (not np.isscalar(value) and np.shape(value) != ()):
        raise ValueError(f"A detection limit or a number of degrees of freedom is one number, but is {value!r:.40}.")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"A detection limit or a number of degrees of freedom is a known number, but is a `{type(value).__name__}`."
        ) from None


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

    def blurred(self, factor, extra):
        """Return this noise `factor` times wider, with an independent error of standard deviation `extra` added."""
        raise NotImplementedError

    def parts(self, mean):
        """Return this noise as a mixture of normals around the mean: their shares (part,) and variances (…, part)."""
        raise NotImplementedError

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
        require_sizes(self, additive=number(0.0), relative=number(0.0))
        if all(isinstance(size, int | float) and size == 0 for size in (self.additive, self.relative)):
            raise ValueError(
                f"Noise `{type(self).__name__}` has no size: give `additive`, in the output's unit, or `relative`, "
                "above zero."
            )

    def scale(self, mean):
        """Return the standard deviation of a measurement, in the output's unit."""
        return jnp.sqrt(jnp.asarray(self.additive) ** 2 + (self.relative * mean) ** 2 + 1e-24)

    def blurred(self, factor, extra):  # noqa: D102
        additive = jnp.sqrt((factor * self.additive) ** 2 + extra**2 + 1e-24)
        return dataclasses.replace(self, additive=additive, relative=factor * self.relative)  # type: ignore[arg-type]

    def parts(self, mean):  # noqa: D102
        return jnp.ones(1), jnp.square(self.scale(mean))[..., None]

    def distribution(self, mean):  # noqa: D102
        return dist.Normal(mean, self.scale(mean))

    def log_survival(self, value, mean, side):  # noqa: D102
        return log_ndtr(-side * (value - mean) / self.scale(mean))


class StudentT(Gaussian):
    """Heavy-tailed noise; `additive` and `relative` give its scale, `df` its degrees of freedom (> 2)."""

    df: float = eqx.field(static=True, default=4.0, converter=one_number)

    def __check_init__(self):
        """Refuse tails so heavy that no variance is left."""
        require_settings(self, df=number(2.0, above=True))

    def parts(self, mean):  # noqa: D102
        shares, widths = _parts_of_t(self.df)
        return jnp.asarray(shares), jnp.square(self.scale(mean))[..., None] * widths

    def distribution(self, mean):  # noqa: D102
        return dist.StudentT(self.df, mean, self.scale(mean))

    log_survival = AbstractNoise.log_survival


class Contaminated(Gaussian):
    """Normal noise in which a `fraction` of the measurements is gross error, `inflation` times wider."""

    fraction: float = 0.02
    inflation: float = 10.0

    def __check_init__(self):
        """Refuse what is no share, and gross errors smaller than the others."""
        require_sizes(self, fraction=number(0.0, 1.0, below=True), inflation=number(1.0))

    def parts(self, mean):  # noqa: D102
        share, wide = jnp.asarray(self.fraction, float), jnp.asarray(self.inflation, float)
        variances = jnp.square(self.scale(mean))[..., None] * jnp.stack([jnp.ones(()), wide**2])
        return jnp.stack([1.0 - share, share]), variances

    def distribution(self, mean):  # noqa: D102
        scales = self.scale(mean)[..., None] * jnp.stack([jnp.ones(()), jnp.asarray(self.inflation, float)])
        weights = jnp.stack([1.0 - jnp.asarray(self.fraction), jnp.asarray(self.fraction)])
        components = dist.Normal(mean[..., None], scales)
        return dist.MixtureSameFamily(dist.Categorical(probs=weights), components)

    log_survival = AbstractNoise.log_survival


class Multiplicative(AbstractNoise):
    """Log-normal noise: the logarithm of a measurement is normal around the logarithm of the output."""

    sd: float

    def __check_init__(self):
        """Refuse a noise of no size."""
        require_sizes(self, sd=number(0.0, above=True))

    @classmethod
    def on_log10(cls, sd: float) -> "Multiplicative":
        """Return the noise whose decimal logarithm has deviation `sd`, or a LogNormal or LogUniform prior of it.

        The unknown size is that of the natural logarithm, log(10) times as large.
        """
        if isinstance(sd, dist.LogNormal):
            return cls(sd=dist.LogNormal(sd.loc + math.log(_LN10), sd.scale))
        if isinstance(sd, dist.LogUniform):
            return cls(sd=dist.LogUniform(sd.low * _LN10, sd.high * _LN10))
        return cls(sd=sd * _LN10)

    def blurred(self, factor, extra):  # noqa: D102
        return dataclasses.replace(self, sd=factor * self.sd)

    def distribution(self, mean):  # noqa: D102
        return dist.LogNormal(jnp.log(jnp.maximum(mean, _TINY)), self.sd)


def _parts_of_t(df: float) -> tuple[np.ndarray, np.ndarray]:
    """Return shares and variances, (part,) each, of normals whose mixture is Student's t of scale 1.

    Its precision is gamma-distributed; the trapezoidal rule on the logarithm of the precision converges so fast that
    twelve parts follow the log density within 0.01 out to 20 scales.
    """
    shape, far = 0.5 * df, math.log((df + 1.0) / (df + 20.0**2))
    logs = np.linspace(far - 4.0 / math.sqrt(shape + 0.5), math.log1p(3.25 / math.sqrt(shape)), _T_PARTS)
    shares = np.exp(shape * logs - shape * np.exp(logs))
    return shares / shares.sum(), np.exp(-logs)


class Repeats(eqx.Module):
    """Draws that repeat one another: values soon after each other share part of their error.

    Each of n such values then counts as if its noise were sqrt(1 + (n - 1) correlation) times wider, so that together
    they say about the output between them what n equally correlated readings say of their common mean.

    Parameters
    ----------
    within : float, min
        Values that follow the one before by no more than this are repeats.
    correlation : float
        Of their errors, from 0 (independent) to below 1 (the same error every time).
    """

    within: float = eqx.field(static=True)
    correlation: float = eqx.field(static=True)

    def __check_init__(self):
        """Refuse a correlation that no errors have."""
        require_settings(self, within=number(0.0), correlation=number(0.0, 1.0, below=True))

    def widths(self, times: np.ndarray) -> np.ndarray:
        """Return the factor on each value's noise, (time,), for sorted times in minutes."""
        group = np.cumsum(np.append(True, np.diff(times) > self.within)[: len(times)]) - 1
        sizes = np.bincount(group, minlength=1)[group] if len(times) else np.zeros(0)
        return np.sqrt(1.0 + (sizes - 1.0) * self.correlation)

    def widths_in_turn(self, times: np.ndarray) -> np.ndarray:
        """Return factors for values taken one by one: each adds what the ones before it have not said yet.

        After n values of a group the information is the same as with `widths`, and none looks ahead.
        """
        start = np.append(True, np.diff(times) > self.within)[: len(times)]
        place = np.arange(len(times))
        turn = place - np.maximum.accumulate(np.where(start, place, 0))  # 0 for the first of a group
        share = self.correlation
        later = (1.0 + turn * share) * (1.0 + (turn - 1.0) * share) / (1.0 - share)
        return np.sqrt(np.where(turn > 0, later, 1.0))


class Observation(eqx.Module):
    """How one output is measured.

    Parameters
    ----------
    noise : AbstractNoise
        Distribution around the noise-free output, in the output's unit.
    lower, upper : float, optional
        Detection limits in the output's unit; a value at or beyond one is known only to lie there, and no predicted
        measurement lies beyond one: what a meter cannot show it is not predicted to show.
    clock : float, min, optional
        Standard deviation of the charted times around the true ones. A value counts less the faster the output moves:
        to first order its noise grows by clock times the output's slope. Not with `Multiplicative` noise.
    repeats : Repeats, optional
        Values drawn soon after each other share part of their error.
    drift : Correlated, optional
        An error that lasts, beside the noise: it wanders, and neighboring values share it. Predictions of measurements
        hold it, from what is known of it now; the noise-free output does not. Not with `Multiplicative` noise.
    resolution : float, optional
        To what the meter rounds, in the output's unit; None where it does not. Predicted measurements are rounded too.
        A fit takes a rounded value for exact, which matters only where the noise is narrower than the rounding.
    meter : str, optional
        Outputs that one meter measures share its unknown sizes, `<meter>_<field>`, in place of `<output>_<field>`.
    """

    noise: AbstractNoise
    lower: float = eqx.field(static=True, default=-math.inf, converter=one_number)
    upper: float = eqx.field(static=True, default=math.inf, converter=one_number)
    clock: float = eqx.field(static=True, default=0.0)
    repeats: Repeats | None = None
    # What a file or a hash says of an observation without it stays what it was.
    drift: Correlated | None = eqx.field(default=None, metadata={"unsaid": None})
    resolution: float | None = eqx.field(static=True, default=None, metadata={"unsaid": None})
    meter: str | None = eqx.field(static=True, default=None, metadata={"unsaid": None})

    def __check_init__(self):
        """Refuse limits in the wrong order, and a clock or a lasting error that no noise can hold."""
        require_kind("noise", self.noise, AbstractNoise)
        require_kind("repeats", self.repeats, Repeats, None)
        require_kind("drift", self.drift, Correlated, None)
        if not self.lower < self.upper:
            raise ValueError(f"Detection limit `lower` = {self.lower} must be below `upper` = {self.upper}.")
        require_settings(self, clock=number(0.0))
        if not (self.meter is None or (isinstance(self.meter, str) and self.meter.isidentifier())):
            raise ValueError(f'`meter` is a name such as "assay", but is {self.meter!r:.40}.')
        if self.resolution is not None:
            require_settings(self, resolution=number(0.0, above=True))
        if self.clock and isinstance(self.noise, Multiplicative):
            raise ValueError("`clock` needs noise in the output's unit: use `Gaussian`, `StudentT` or `Contaminated`.")
        if self.drift is not None and type(self.noise).parts is AbstractNoise.parts:
            raise ValueError(
                f"`drift` needs noise that is a mixture of normals, which `{type(self.noise).__name__}` does not say "
                "to be: use `Gaussian`, `StudentT` or `Contaminated`, or give your noise a method `parts`."
            )

    def unknowns(self) -> dict[str, dist.Distribution]:
        """Return the priors of the sizes that are unknown, by the name that follows `<output>_`."""
        lasting = {} if self.drift is None else self.drift.unknowns()
        return {**self.noise.unknowns(), **{f"{_DRIFT}{name}": prior for name, prior in lasting.items()}}

    def sites(self, output: str) -> dict[str, str]:
        """Return the name among the unknowns of each unknown size, by field: of its meter, or of the output itself."""
        return {field: f"{self.meter or output}_{field}" for field in self.unknowns()}

    def sized_by(self, output: str, values: Mapping[str, Any]) -> "Observation":
        """Return how an output is measured with the sizes that stand among these values."""
        return self.sized({field: values[site] for field, site in self.sites(output).items()})

    def blurred(self, width, slope) -> "Observation":
        """Return how values are measured whose noise is `width` times wider, while the output moves by `slope` per min.

        Parameters
        ----------
        width : (time,) or None
            From `repeats`.
        slope : (time,) or None
            In the output's unit per minute.
        """
        if width is None and slope is None:
            return self
        extra = 0.0 if slope is None else self.clock * slope
        return dataclasses.replace(self, noise=self.noise.blurred(1.0 if width is None else width, extra))

    def sized(self, sizes: Mapping[str, Any]) -> "Observation":
        """Return how the output is measured with these values in place of `unknowns`."""
        own = {name: value for name, value in sizes.items() if not name.startswith(_DRIFT)}
        lasting = {name.removeprefix(_DRIFT): value for name, value in sizes.items() if name.startswith(_DRIFT)}
        drift = dataclasses.replace(self.drift, **lasting) if self.drift is not None and lasting else self.drift
        return dataclasses.replace(self, noise=dataclasses.replace(self.noise, **own), drift=drift)

    def alone(self) -> "Observation":
        """Return how one measurement far from all others is made: the lasting error is part of its noise."""
        if self.drift is None:
            return self
        return dataclasses.replace(self, noise=self.noise.blurred(1.0, self.drift.sd), drift=None)

    def shown(self, drawn):
        """Return what the meter would show of measurements drawn (…) without its limits and its rounding."""
        if self.resolution is not None:
            drawn = jnp.round(drawn / self.resolution) * self.resolution
        return jnp.clip(drawn, self.lower, self.upper)

    def censored(self, values: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values no further than the detection limits, and the side on which each lies: -1, 0 or +1."""
        beyond = np.where(values <= self.lower, -1, np.where(values >= self.upper, 1, limits))
        return np.clip(values, self.lower, self.upper), beyond.astype(np.int8)

    def log_density(self, value, mean, limits):
        """Return the log density of measurements, or the log probability beyond a limit where `limits` is -1 or +1."""
        exact = self.noise.distribution(mean).log_prob(value)
        below, above = (self.noise.log_survival(value, mean, side) for side in (-1, 1))
        return jnp.where(limits == 0, exact, jnp.where(limits < 0, below, above))

    def told(self, value, mean, limits, error: Error) -> Heard:
        """Return what measurements say whose lasting error is known before each as `error`."""
        shares, variances = self.noise.parts(mean)
        return either(value - mean - error.mean, shares, variances + error.variance[..., None], limits)

    def tails(self, value, mean, error: Error):
        """Return the probabilities of a measurement below and above a value, with what is known of the lasting error.

        Both where there is no lasting error too: `error` then is not looked at.
        """
        if self.drift is None:
            return tuple(jnp.exp(self.noise.log_survival(value, mean, side)) for side in (-1, 1))
        shares, variances = self.noise.parts(mean)
        z = (value - mean - error.mean)[..., None] / jnp.sqrt(variances + error.variance[..., None])
        return tuple(jnp.sum(shares * jnp.exp(log_ndtr(sign * z)), axis=-1) for sign in (1, -1))
