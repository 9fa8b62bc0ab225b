"""Which parameters move the outputs, and when: global sensitivity over everything that is thought possible."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import xarray as xr
from jax import lax

from ..display import paragraph, section, table
from ..dynamics.integrators import AbstractIntegrator, FixedStep
from ..dynamics.precision import in_double_precision
from ..dynamics.programs import compiled
from ..dynamics.segments import build, drives
from ..dynamics.simulate import borders, layout_of, outputs_at, timeline_of
from ..inference.twin import Twin
from ..labels import Labelled, dataset
from ..modeling.model import AbstractModel, nearest, pack
from ..patient.inputs import Inputs
from ..patient.record import Series
from ..patient.require import (
    require_each,
    require_key,
    require_kinds,
    require_probability,
    require_settings,
    require_times,
    whole,
)

_BATCH = 256
_NEAR = 1e-6  # quantiles outside [_NEAR, 1 - _NEAR] are not asked for: they may be infinite
_QUANTILES = 4096
_STILL = 1e-9  # an output whose spread is a smaller part of its size does not move


@dataclass(frozen=True)
class Sobol:
    """Shares of the output's variance: of each parameter alone, and with all its interactions.

    Parameters
    ----------
    samples : int
        A power of two; the model is evaluated (number of parameters + 2) times as often.
    resamples : int
        Bootstrap resamples behind the confidence intervals.
    """

    samples: int = 512
    resamples: int = 100

    def __post_init__(self) -> None:
        """Refuse settings outside their range."""
        require_settings(self, samples=whole(2, 1_048_576), resamples=whole(1, 100_000))
        if self.samples & (self.samples - 1):
            raise ValueError(f"Setting `samples` of `Sobol` must be a power of two such as 512, but is {self.samples}.")


@dataclass(frozen=True)
class Morris:
    """Elementary effects: the change of the output when one parameter crosses 95 % of its belief, from many points.

    Parameters
    ----------
    trajectories : int
        The model is evaluated (number of parameters + 1) times as often.
    levels : int
        Levels of the grid, even.
    resamples : int
        Bootstrap resamples behind the confidence intervals.
    """

    trajectories: int = 64
    levels: int = 4
    resamples: int = 100

    def __post_init__(self) -> None:
        """Refuse settings outside their range."""
        require_settings(self, trajectories=whole(2, 1_000_000), levels=whole(2, 1_000), resamples=whole(1, 100_000))
        if self.levels % 2:
            raise ValueError(f"Setting `levels` of `Morris` must be even, such as 4, but is {self.levels}.")


@dataclass(frozen=True)
class Sensitivity:
    """How the outputs depend on the parameters over time.

    Attributes
    ----------
    data : xarray.Dataset
        Sobol: `first_order` and `total_order`, dimensionless; Morris: `mean_effect`, `mean_absolute_effect` and
        `effect_spread`, in the output's unit. Dimensions output, parameter, time; `…_ci` with ci_bound as well. NaN
        where an output does not move.
    evaluations, failed : int
        Simulations in all, and those that failed; what depends on a failed one is left out.
    """

    data: xr.Dataset
    evaluations: int
    failed: int

    @property
    def main(self) -> str:
        """Name of the variable to rank by: `total_order` or `mean_absolute_effect`."""
        return "total_order" if "total_order" in self.data else "mean_absolute_effect"

    def ranking(self, output: str | None = None) -> pd.DataFrame:
        """Return the parameters from the most to the least influential, averaged over time.

        Parameters
        ----------
        output : str, optional
            The model's first output by default.

        Returns
        -------
        DataFrame with a row for each parameter: mean over time, greatest value and the time (min) of that.
        """
        chosen = self.data[self.main].sel(output=self._output(output))
        still = chosen.fillna(0.0)
        frame = pd.DataFrame(
            {
                "mean": still.mean("time").values,
                "greatest": still.max("time").values,
                "at": self.data["time"].values[still.argmax("time").values],
            },
            index=pd.Index(self.data["parameter"].values, name="parameter"),
        )
        return frame.sort_values("mean", ascending=False)

    def _output(self, output: str | None) -> str:
        names = [str(name) for name in self.data["output"].values]
        if output is not None and output not in names:
            raise ValueError(f"There is no output `{output}` here; {nearest(output, names)}")
        return names[0] if output is None else output

    def __str__(self) -> str:
        """Name the parameters of each output in the order of their influence."""
        lines = [f"{self.evaluations} simulations, {self.failed} failed."]
        for name in self.data["output"].values:
            order = [f"{p} {row['mean']:.2g}" for p, row in self.ranking(str(name)).iterrows()]
            lines.append(f"  {name}: {', '.join(order)} ({self.main.replace('_', ' ')}, mean over time).")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = []
        for name in self.data["output"].values:
            rows = [
                (p, float(r["mean"]), float(r["greatest"]), float(r["at"])) for p, r in self.ranking(name).iterrows()
            ]
            parts.append(table(str(name), ("parameter", "mean over time", "greatest", "at (min)"), rows))
        title = f"Global sensitivity: {self.main.replace('_', ' ')}"
        return section(title, *parts, paragraph(f"{self.evaluations} simulations, {self.failed} failed."))


@in_double_precision
def sensitivity(
    model: AbstractModel,
    inputs: Inputs,
    times,
    *,
    within: Twin | Mapping[str, Any] | None = None,
    method: Sobol | Morris | None = None,
    measured: Mapping[str, Series] | None = None,
    integrator: AbstractIntegrator | None = None,
    ci_prob: float = 0.95,
    key,
) -> Sensitivity:
    """Measure how each unknown parameter moves the outputs, over all it may be.

    Parameters
    ----------
    model : AbstractModel
        Its unknown parameters are studied; those that vary in time are held at one value.
    inputs : Inputs
    times : (time,) min
        Strictly increasing; the first is that of the initial state.
    within : Twin, or mapping of str to (low, high) or to a numpyro Distribution, optional
        What is believed, each parameter for itself: a twin's posterior marginals (the latest value of a parameter that
        varies), or ranges and distributions by name. The model's priors where nothing else is given.
    method : Sobol or Morris, optional
        `Sobol()` by default.
    measured : mapping of str to Series, optional
        Measured inputs of models that declare them.
    integrator : AbstractIntegrator, optional
        `FixedStep()` by default.
    ci_prob : float
        Probability of the confidence intervals, which are bootstrapped.
    key : jax PRNG key

    Returns
    -------
    Sensitivity

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If the model has no unknown parameter, `within` names none of them or an empty range, `samples` is no power of
        two, `times` are fewer than two or not increasing, or fewer than two blocks of simulations succeed.

    Notes
    -----
    Sampling and analysis by SALib [1]; parameters are taken as independent, so that correlations in a posterior are
    left out: use the first-order shares of a posterior with care.

    References
    ----------
    .. [1] Herman J, Usher W. SALib: an open-source Python library for sensitivity analysis. J Open Source Softw
       2017;2:97. doi:10.21105/joss.00097
    """
    require_key(key)
    require_kinds(model=(model, AbstractModel), inputs=(inputs, Inputs), method=(method, Sobol, Morris, None))
    require_kinds(within=(within, Twin, Mapping, None), integrator=(integrator, AbstractIntegrator, None))
    require_each("measured", measured, Series)
    require_probability("ci_prob", ci_prob)
    method = Sobol() if method is None else method
    names = model.unknowns()
    if not names:
        raise ValueError(
            f"Model `{type(model).__name__}` has no unknown parameter; make one unknown with `model.free(name)`."
        )
    times = require_times(times)
    if len(times) < 2:
        raise ValueError(f"Argument `times` needs a later time than {times[0]} min, at which the simulations begin.")
    prior_key, sample_key = jax.random.split(key)
    seed = int(jax.random.randint(sample_key, (), 0, 2**31 - 1))
    problem = {"num_vars": len(names), "names": list(names), "bounds": [[0.0, 1.0]] * len(names)}
    cube = _samples(method, problem, seed)
    quantiles = np.clip(cube, _NEAR, 1 - _NEAR) if isinstance(method, Sobol) else 0.025 + 0.95 * cube
    values = _values(model, names, quantiles, within, prior_key)
    typical: Any = {name: float(np.median(values[:, i])) for i, name in enumerate(names)}
    known = dataclasses.replace(model, unknown=(), **typical)  # `within` may lie where the priors do not reach
    driven = drives(known, inputs, measured or {})
    segments, index = build(known, driven, float(times[0]), float(times[-1]), times)
    integrator = FixedStep() if integrator is None else integrator
    outputs, solved = map(np.asarray, _simulated(known, names, jnp.asarray(values), segments, index, integrator))
    block = len(names) + (2 if isinstance(method, Sobol) else 1)
    whole = np.repeat(solved.reshape(-1, block).all(axis=1), block)
    if whole.sum() < 2 * block:
        raise ValueError(
            f"{int(np.sum(~solved))} of {len(solved)} simulations failed, too many to go on; narrow the priors, or use "
            "`integrator=Adaptive()` for a stiff model."
        )
    analyzed = _analyzed(method, problem, cube[whole], outputs[whole], ci_prob, seed)
    return _labelled(model, names, times, analyzed, ci_prob, len(solved), int(np.sum(~solved)))


def _samples(method, problem, seed: int) -> np.ndarray:
    """Return points of the unit cube, (evaluation, parameter)."""
    if isinstance(method, Sobol):
        from SALib.sample import sobol

        return sobol.sample(problem, method.samples, calc_second_order=False, seed=seed)
    from SALib.sample import morris

    return morris.sample(problem, method.trajectories, num_levels=method.levels, seed=seed)


# ---- from the unit cube to patients ---------------------------------------------------------------------------------


def _values(model, names, quantiles: np.ndarray, within, key) -> np.ndarray:
    """Return the parameters' values at given quantiles of their beliefs, (evaluation, parameter)."""
    posterior = within.group("posterior") if isinstance(within, Twin) else None
    given = within if isinstance(within, Mapping) else {}
    for name in given:
        if name not in names:
            raise ValueError(f"Argument `within` names `{name}`, which is not unknown; {nearest(name, names)}")
    columns = []
    for i, (name, chance) in enumerate(zip(names, jax.random.split(key, len(names)), strict=True)):
        if posterior is not None and name in posterior:
            draws = posterior[name].values
            latest = draws if draws.ndim == 2 else draws[..., -1]
            columns.append(np.quantile(latest.ravel(), quantiles[:, i]))
        else:
            columns.append(
                _at_quantiles(name, given[name] if name in given else model.prior(name), quantiles[:, i], chance)
            )
    return np.stack(columns, axis=1)


def _at_quantiles(name: str, belief, quantiles: np.ndarray, key) -> np.ndarray:
    if not isinstance(belief, dist.Distribution):
        low, high = belief
        if not low < high:
            raise ValueError(f"The range of `{name}` in `within` must rise, but is from {low} to {high}.")
        return low + (high - low) * quantiles
    try:
        return np.asarray(_inverse(belief, jnp.asarray(quantiles)))
    except NotImplementedError:  # no inverse in closed form: quantiles of many draws
        return np.quantile(np.asarray(belief.sample(key, (_QUANTILES,))), quantiles)


def _inverse(belief: dist.Distribution, quantiles):
    """Return the inverse distribution function, through increasing transforms where there are any."""
    if isinstance(belief, dist.TransformedDistribution):
        values = _inverse(belief.base_dist, quantiles)
        for transform in belief.transforms:
            if transform.sign != 1:
                raise NotImplementedError
            values = transform(values)
        return values
    return belief.icdf(quantiles)


@compiled
def _simulated(model, names: tuple[str, ...], values, segments, index, integrator):
    """Return the outputs of every patient, (evaluation, output, time), and whether each simulation succeeded."""
    timeline, layout = timeline_of(segments), layout_of(segments, names)

    def one(row):
        patient = model.install(names, row)
        first = pack(patient.initial(patient.Input(*jnp.asarray(segments.before, float))))
        rows = jnp.broadcast_to(row, (timeline.shape[0], len(names)))
        states, solved = borders(first, rows, timeline, model, integrator=integrator, layout=layout)
        outputs = jax.vmap(pack)(outputs_at(patient, states[index], index, segments)).T
        return outputs, (solved > 0) & jnp.all(jnp.isfinite(outputs))

    return lax.map(one, values, batch_size=_BATCH)


# ---- analysis -------------------------------------------------------------------------------------------------------


def _analyzed(method, problem, cube, outputs, ci_prob, seed) -> dict[str, np.ndarray]:
    """Return each index and the half width of its interval, (output, parameter, time)."""
    count, size, times = outputs.shape[1], problem["num_vars"], outputs.shape[2]
    found = {name: np.full((count, size, times), np.nan) for names in _named(method).values() for name in names}
    for output in range(count):
        for time in range(times):
            values = outputs[:, output, time]
            if np.std(values) <= _STILL * max(float(np.max(np.abs(values))), 1e-300):
                continue
            result = _analysis(method, problem, cube, values, ci_prob, seed)
            for theirs, ours in _named(method).items():
                for name, key in zip(ours, (theirs, f"{theirs}_conf"), strict=False):
                    found[name][output, :, time] = np.ma.filled(result[key], np.nan)
    return found


def _named(method) -> dict[str, tuple[str, ...]]:
    """Return our names of SALib's results, and of the half widths of their intervals."""
    if isinstance(method, Sobol):
        return {"S1": ("first_order", "first_order_ci"), "ST": ("total_order", "total_order_ci")}
    return {
        "mu": ("mean_effect",),
        "mu_star": ("mean_absolute_effect", "mean_absolute_effect_ci"),
        "sigma": ("effect_spread",),
    }


def _analysis(method, problem, cube, values, ci_prob, seed):
    options = {"num_resamples": method.resamples, "conf_level": ci_prob, "seed": seed}
    if isinstance(method, Sobol):
        from SALib.analyze import sobol

        return sobol.analyze(problem, values, calc_second_order=False, **options)
    from SALib.analyze import morris

    return morris.analyze(problem, cube, values, num_levels=method.levels, **options)


def _labelled(model, names, times, analyzed, ci_prob, evaluations: int, failed: int) -> Sensitivity:
    quantities, dims = model.quantities(model.Output), ("output", "parameter", "time")
    variables = {}
    for name, values in analyzed.items():
        about = name.removesuffix("_ci").replace("_", " ")
        if name.endswith("_ci"):
            center = analyzed[name.removesuffix("_ci")]
            bounds = np.stack([center - values, center + values], axis=-1)
            variables[name] = Labelled((*dims, "ci_bound"), bounds, "", f"{about}, bootstrapped interval")
        else:
            variables[name] = Labelled(dims, values, "", about)
    coords = {
        "output": Labelled(("output",), list(quantities)),
        "parameter": Labelled(("parameter",), list(names)),
        "time": Labelled(("time",), times, "min"),
        "ci_bound": Labelled(("ci_bound",), ["lower", "upper"]),
    }
    units = {name: quantity.unit for name, quantity in quantities.items()}
    attrs = {"ci_prob": ci_prob, "evaluations": evaluations, "failed": failed, "output_units": units}
    return Sensitivity(dataset(variables, coords, attrs), evaluations, failed)
