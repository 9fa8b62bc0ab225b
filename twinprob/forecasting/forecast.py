"""What happens next under given inputs, with intervals that widen as knowledge runs out."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import xarray as xr

from ..display import drawn, number, section, table
from ..dynamics.precision import in_double_precision
from ..dynamics.programs import as_data, compiled
from ..dynamics.segments import build, drives, knots, padded, scale
from ..inference.data import to_length
from ..inference.joint import Joint
from ..inference.twin import Twin
from ..labels import Labelled, dataset, tree
from ..modeling.correlated import Error
from ..modeling.model import nearest
from ..modeling.observation import Observation
from ..patient.inputs import Inputs
from ..patient.require import (
    require_hours,
    require_key,
    require_kinds,
    require_probability,
    require_room,
    require_spacing,
    require_times,
)
from ..patient.units import span
from ..patient.wall_clock import moments
from .plan import ages, require_from_now, said

# Times `scale`: four hours every ten minutes, with a few changes of the inputs, are the size of one.
_SEGMENTS, _TIMES, _KNOTS = 64, 32, 8
_SHOWN = 3  # outputs in a line of text


@dataclass(frozen=True, repr=False)
class Forecast:
    """Draws of the future of one twin under stated inputs.

    Attributes
    ----------
    tree : xarray.DataTree
        `predictions`: future measurements, noise included; `predicted_outputs`: the noise-free outputs;
        `predictions_constant_data`: the inputs. Dimensions (chain, draw, time).
    now : float, min
        When the twin spoke.
    inputs : Inputs
        What was assumed to be done.
    effective_draws : float
        Independent draws behind the intervals.
    solves_failed : int
    notes : tuple of str
        How old the last measurements are, and what of the plan is not used.
    recalibration : tuple of str
        What `recalibrate` did to the predictions of each output; empty where it did nothing.
    origin : datetime or None
        The moment of t = 0, where the twin's record knows it.
    """

    tree: xr.DataTree
    now: float
    inputs: Inputs
    effective_draws: float
    solves_failed: int
    notes: tuple[str, ...] = ()
    recalibration: tuple[str, ...] = ()
    origin: datetime | None = None

    def __repr__(self) -> str:
        """Say in five lines from when it speaks and how far, what it expects, and what must be known beside it."""
        outputs = self.group("predicted_outputs").data_vars
        ends = {n: (*self.quantiles(str(n), [0.5, 0.05, 0.95])[:, -1], v.attrs["units"]) for n, v in outputs.items()}
        last = [f"{n} {number(m)} ({number(a)} to {number(b)}) {unit}" for n, (m, a, b, unit) in ends.items()]
        shown = "; ".join(last[:_SHOWN]) + (f", and {len(last) - _SHOWN} more" if len(last) > _SHOWN else "")
        return (
            f"Forecast: {', '.join(map(str, outputs))}, {span(self.times[-1] - self.now)} ahead\n"
            f"  at its end, median and 90 % interval: {shown}\n"
            f"  under: {', '.join(self.inputs.names) or 'no input'}\n"
            f"  {self.said()}\n"
            "  `risk(forecast, event)` says how probable an event is. Research software, not a medical device."
        )

    def plot(self, variable: str | None = None, **how: Any) -> Any:
        """Draw the fan of what comes, as `plots.fan` does.

        Parameters
        ----------
        variable : str, optional
            An output; the first one by default.
        **how
            `twin` for its past in front, `later` for what came, `target` and `start`, as `plots.fan` takes them.

        Returns
        -------
        figure : matplotlib Figure
        """
        return drawn("fan", self, variable, **how)

    def said(self) -> str:
        """Return span, draws, failures and notes in words."""
        failed = f", {self.solves_failed} of them could not be solved" if self.solves_failed else ""
        draws = math.prod(self.group("predictions").sizes[d] for d in ("chain", "draw"))
        reach = f"{span(self.times[-1] - self.now)} from {span(self.now)} on"
        recalibrated = (f"Recalibrated. {'; '.join(self.recalibration)}.",) if self.recalibration else ()
        return " ".join((f"{reach}; {draws} draws{failed}.", *recalibrated, *self.notes))

    def group(self, name: str) -> xr.Dataset:
        """Return one group of the tree as a dataset."""
        return self.tree[name].to_dataset()

    @property
    def times(self) -> np.ndarray:
        """Times of the forecast, (time,) min."""
        return self.group("predictions")["time"].values

    def quantiles(self, variable: str, levels, *, measured: bool = True) -> np.ndarray:
        """Return quantiles of one variable, shape (level, time), in its unit; noise-free ones if not `measured`."""
        group = self.group("predictions" if measured else "predicted_outputs")
        return np.nanquantile(group[variable].values, levels, axis=(0, 1))

    def summary(self, *, ci_prob: float = 0.9) -> pd.DataFrame:
        """Return medians and equal-tailed credible intervals of every variable and time.

        Parameters
        ----------
        ci_prob : float
            Probability inside the interval.

        Returns
        -------
        frame : pandas.DataFrame
            Columns time (min), hours_ahead, variable, unit, median, lower, upper (of future measurements),
            output_median, output_lower, output_upper (noise-free), ci_prob, ci_kind, draws, effective_draws,
            mcse_median, and clock (the moment) where the record knows its origin.
        """
        require_probability("ci_prob", ci_prob)
        levels = [(1 - ci_prob) / 2, 0.5, (1 + ci_prob) / 2]
        draws = math.prod(self.group("predictions").sizes[d] for d in ("chain", "draw"))
        # Asymptotic error of a median of normal-like draws.
        error = 1.2533 / math.sqrt(max(self.effective_draws, 1.0))
        frames = []
        for label, values in self.group("predictions").items():
            name = str(label)
            low, middle, high = self.quantiles(name, levels)
            out = self.quantiles(name, levels, measured=False)
            frames.append(
                pd.DataFrame(
                    {
                        "time": self.times,
                        "hours_ahead": (self.times - self.now) / 60,
                        "variable": name,
                        "unit": values.attrs.get("units", ""),
                        "median": middle,
                        "lower": low,
                        "upper": high,
                        "output_median": out[1],
                        "output_lower": out[0],
                        "output_upper": out[2],
                        "ci_prob": ci_prob,
                        "ci_kind": "eti",
                        "draws": draws,
                        "effective_draws": self.effective_draws,
                        "mcse_median": error * np.nanstd(values.values, axis=(0, 1)),
                    }
                )
            )
        whole = pd.concat(frames, ignore_index=True)
        return whole if self.origin is None else whole.assign(clock=moments(self.origin, whole["time"]))

    def _repr_html_(self) -> str:
        frame = self.summary()
        ahead = frame["hours_ahead"].to_numpy()
        last = math.ceil(ahead.max())
        rows = [
            (f"{r.hours_ahead:.1f} h", r.variable, r.median, f"{r.lower:.3g} to {r.upper:.3g}", r.unit)
            for h in range(1, last + 1)
            for r in frame.iloc[[int(np.argmin(np.abs(ahead - h)))]].itertuples()
        ]
        about = f"Future measurements, {self.said()} Research software."
        return section("Forecast", table(about, ("ahead", "variable", "median", "90 % interval", "unit"), rows))


@in_double_precision
def forecast(
    twin: Twin, *, key, hours: float | None = None, times=None, inputs: Inputs | None = None, every: str = "10 min"
) -> Forecast:
    """Forecast measurements and outputs of a twin.

    Parameters
    ----------
    twin : Twin
    key : jax PRNG key
    hours : float, optional
        How far ahead; needed unless `times` are given.
    times : (time,) min, optional
        When, as times of the record, all after the twin's present; every `every` until `hours` by default.
    inputs : Inputs, optional
        What will be done, in the record's time (`plan` writes it); inputs it does not name run on as they are, boluses
        end.
    every : str
        Spacing of the default times.

    Returns
    -------
    Forecast

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If neither or both of `hours` and `times` are given, a time is not after the twin's present, an input is
        unknown, or its plan lies before the present, as one written in time from now does.
    """
    require_key(key)
    require_kinds(twin=(twin, Twin), inputs=(inputs, Inputs, None))
    times = _times(twin, hours, times, every)
    model = twin.model
    plan = Inputs() if inputs is None else inputs
    for name in plan.names:
        known = tuple(model.quantities(model.Input))
        if name not in known:
            raise ValueError(f"Model `{type(model).__name__}` has no input `{name}`; {nearest(name, known)}")
    require_from_now(twin, plan)
    given = twin.record.inputs.then(plan, twin.now)
    driven = drives(model, given, twin.record.observations, weight=twin.record.weight)
    segments, index = build(model, driven, twin.now, float(times[-1]), times, origin=twin.record.start, delays=True)
    posterior, state = twin.group("posterior"), twin.group("state")
    require_room("A forecast", twin.draws * len(segments.start) * len(state), "fewer hours, times or draws")
    draws = twin.draws
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    flat = {str(n): v.values.reshape(draws, *v.shape[2:]) for n, v in posterior.data_vars.items()}
    first = np.stack([v.values.ravel() for v in state.data_vars.values()], axis=-1)
    segments, counts = from_last_knots(twin, posterior, segments, flat, times[-1])
    # One size for all: a few knots too many cost nothing, and spare a program for every horizon.
    size = scale((len(segments.start), _SEGMENTS), (len(times), _TIMES), *((count, _KNOTS) for _, count in counts))
    segments, index = padded(segments, int(size * _SEGMENTS)), to_length(index, int(size * _TIMES))
    ahead_knots = tuple((name, int(size * _KNOTS)) for name, _ in counts)
    declared = model.quantities(model.Output)
    how = _noises(twin)
    ahead = Joint(model.declared_apart(as_data), segments, {}, how, twin.integrator, ahead_knots)
    gaps = to_length(np.diff(times, prepend=twin.now), len(index))
    outputs, measured, solved = _ahead(ahead, flat, first, index, _errors(twin), gaps, key)
    coords = {"time": Labelled(("time",), times, "min", "time since the record's origin")}

    def labelled(values, about):
        return {
            n: Labelled(
                ("chain", "draw", "time"),
                np.asarray(v)[:, : len(times)].reshape(*shape, -1),
                declared[n].unit,
                f"{declared[n].about}, {about}",
            )
            for n, v in values.items()
        }

    shown = {n: np.asarray(getattr(outputs, n)) for n in declared}
    failed = ~np.asarray(solved)
    groups = {
        "predictions": dataset(labelled({**shown, **measured}, "as measured"), coords, {"now": twin.now}),
        "predicted_outputs": dataset(labelled(shown, "noise-free"), coords, {"now": twin.now}),
        "predictions_constant_data": dataset(_inputs(given, twin.now, times[-1]), {}, {}),
    }
    attrs = {"inference_library": "twinprob", "provenance": twin.tree.attrs["provenance"]}
    notes = (*ages(twin), *said(twin, plan, float(times[-1])))
    how_sure = (twin.effective_draws, int(failed.sum()), notes)
    return Forecast(tree(groups, attrs), twin.now, given, *how_sure, origin=twin.record.origin)


def _noises(twin: Twin) -> dict[str, Observation]:
    """Return how each output will be measured, where anything says so."""
    declared = twin.model.quantities(twin.model.Output)
    how = {
        n: as_data(twin.observations[n]) if n in twin.observations else q.noise
        for n, q in declared.items()
        if n in twin.observations or q.noise is not None
    }
    for name, observation in how.items():
        if any(np.ndim(x) for x in jax.tree.leaves(observation)):
            raise ValueError(
                f"The noise of `{name}` is given per past measurement, which says nothing of future ones; fit with one "
                "`additive` or `relative` size to forecast."
            )
    return how


def _errors(twin: Twin) -> dict[str, Error]:
    """Return what is known now of each lasting error that was measured, by output; leaves (draw,)."""
    known = twin.group("error") if "error" in twin.tree.children else {}
    names = [str(name) for name in known if f"{name}_sd" in known]
    return {n: Error(known[n].values.ravel(), np.square(known[f"{n}_sd"].values.ravel())) for n in names}


def _times(twin: Twin, hours, times, every) -> np.ndarray:
    if (hours is None) == (times is None):
        raise ValueError("Give either `hours` or `times`, not both and not neither.")
    if times is None:
        hours, step = require_hours(hours), require_spacing("Argument `every`", every)
        require_room("A forecast", twin.draws * math.ceil(60 * hours / step), "fewer hours, or a larger `every`")
        return twin.now + np.minimum(step * np.arange(1, math.ceil(60 * hours / step - 1e-9) + 1), 60 * hours)
    times = require_times(times)
    if times[0] <= twin.now:
        raise ValueError(
            f"Argument `times` must lie after the twin's present, {twin.now:g} min, but begins with {times[0]:g} min."
        )
    require_hours((times[-1] - twin.now) / 60, "times[-1] - twin.now")
    return times


def from_last_knots(twin: Twin, posterior, segments, flat, stop: float):
    """Cut each path to its last knot and count from there, so that no shape depends on how long the stay is."""
    counts, lasts = [], []
    for name, process in twin.model.processes().items():
        when = float(posterior[f"{name}_knot"].values[-1])
        lasts.append(round((when - twin.record.start) / process.interval))
        counts.append((name, knots(process, twin.record.start, stop) - lasts[-1]))
        flat[name] = flat[name][:, -1:]
    shifted = segments.knot - np.asarray(lasts, segments.knot.dtype)[None, :]
    return eqx.tree_at(lambda s: s.knot, segments, np.maximum(shifted, 0)), tuple(counts)


@compiled(floats=False)  # what stands in a model's file is part of the program, as it was in version 0.1: bit for bit
def _ahead(ahead: Joint, draws, first, index, errors, gaps, key):
    """Carry every draw from its last state through the future segments."""
    processes = ahead.model.processes()

    def one(values, state, errors, key):
        noise_key, *path_keys = jax.random.split(key, 1 + len(processes))
        outputs, solved = carried(ahead, values, state, index, path_keys)
        measured = {}
        for name, key in zip(
            ahead.observations, jax.random.split(noise_key, max(len(ahead.observations), 1)), strict=False
        ):
            how = _sized(ahead.observations[name], name, values, jax.random.fold_in(key, 1))
            sample = how.noise.distribution(getattr(outputs, name)).sample(key)
            if how.drift is not None:
                sample = sample + how.drift.path(jax.random.fold_in(key, 2), gaps, errors.get(name))
            measured[name] = jnp.where(solved, how.shown(sample), jnp.nan)
        return jax.tree.map(lambda x: jnp.where(solved, x, jnp.nan), outputs), measured, solved

    return jax.vmap(one)(draws, first, errors, jax.random.split(key, len(first)))


def carried(ahead: Joint, values, state, index, path_keys):
    """Carry one draw on from its last state; return its outputs at borders `index`, and whether it was solved."""
    model, processes = ahead.model, ahead.model.processes()
    parameters = {name: values[name] for name in model.unknowns() if name not in processes}
    for (name, process), path_key in zip(processes.items(), path_keys, strict=True):
        parameters[name] = _extended(model, name, process, values, dict(ahead.knots)[name], path_key)
    states, solved, rows = ahead.states(parameters, state)
    outputs = ahead.outputs(states, rows, index)
    return outputs, solved & ahead.within_reach(
        {name: getattr(outputs, name) for name in model.quantities(model.Output)}
    )


def _extended(model, name: str, process, values, count: int, key):
    """Continue a path from its last knot to `count` knots in all."""
    past = values[name]
    if count <= past.shape[0]:
        return past
    bijector = dist.biject_to(model.prior(name).support)
    base, last = bijector.inv(values[f"{name}_start"]), bijector.inv(past[-1])
    sd = values.get(f"{name}_volatility", process.sd)
    kicks = jax.random.normal(key, (count - past.shape[0],))
    return jnp.concatenate([past, bijector(process.extend(base, last, kicks, sd))])


def _sized(observation: Observation, output: str, values, key) -> Observation:
    """Return how an output is measured with noise of the draw's size, or of one from its prior while unmeasured."""
    priors = observation.unknowns()
    keys = jax.random.split(key, max(len(priors), 1))
    sites = observation.sites(output)
    sizes = {
        field: values[sites[field]] if sites[field] in values else prior.sample(k)
        for (field, prior), k in zip(priors.items(), keys, strict=False)
    }
    return observation.sized(sizes)


def _inputs(given: Inputs, start: float, stop: float) -> dict[str, Labelled]:
    found = {}
    for name, course in given.courses.items():
        times, values = course.steps()
        inside = (times > start) & (times <= stop)
        when, what = np.append(start, times[inside]), np.append(course.at(start), values[inside])
        found[name] = Labelled((f"{name}_change",), what, course.unit, f"{name} from each change on")
        found[f"{name}_change_time"] = Labelled((f"{name}_change",), when, "min", f"times of change of {name}")
    return found
