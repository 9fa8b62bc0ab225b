"""What a twin reports of its draws: parameters, outputs, replicates, and the figures that judge them."""

import dataclasses
import importlib.metadata
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from ..dynamics.programs import compiled
from ..dynamics.segments import doubled, knots, minutes_per_unit, padded
from ..labels import Labelled, dataset, tree
from ..patient.record import Record
from .data import to_length
from .integration import integration_error
from .joint import SEGMENTS, Joint
from .methods.pool import patient_of
from .methods.sampled import Sampled
from .timeline import timeline
from .twin import Twin

_BATCH, _MANY = 250, 5000  # draws at once, a fifth of them where measurements are more: caches are small
_SHOWN = 256
_PRIOR_DRAWS = 500
_TRAJECTORY_TIMES = 240
VERSIONS = ("twinprob", "jax", "numpyro", "diffrax", "equinox", "numpy", "xarray")


def twin_of(
    density: Joint,
    record: Record,
    observations,
    sampled: Sampled,
    *,
    key,
    population="",
    notes=(),
    whole=None,
    experiments=(),
) -> Twin:
    """Return the twin that holds what a method sampled; `key` is that of the whole fit.

    Where `record` is the end of a longer one, that is `whole`; where others were fitted with it, all are `experiments`.
    """
    whole = record if whole is None else whole
    _, describe_key = jax.random.split(key)
    integrator, model = density.integrator, density.model
    shown = _with_borders(density, record, _grid(record))
    describe_keys = jax.random.split(describe_key, 3)
    patient = patient_of(density)  # the method's own program, where it has one, draws from the prior too
    positions = np.asarray(patient.program.prior_draws(patient.numbers, describe_keys[1], _PRIOR_DRAWS))
    groups, figures = _groups(shown, record, sampled, positions, keys=describe_keys)
    provenance = {
        "method": sampled.method,
        "settings": sampled.settings,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
        "model": type(model).__name__,
        "data_hash": whole.data_hash,
        "khat": sampled.khat,
        "importance_ess": sampled.importance_ess,
        "modes": [[density_, weight] for _, density_, weight in sampled.modes],
        "failed": sampled.failed,
        "tried": sampled.tried,
        "rejected": sampled.rejected,
        "lost": [[_site_at(density, place), level, share] for place, level, share in sampled.lost],
        "population": population,
        "notes": [*notes, *record.notes, *([record.ledger.said()] if record.ledger.lost else []), *sampled.notes],
        **figures,
    }
    provenance |= {"experiments": list(experiments)} if experiments else {}
    attrs = {"title": f"twinprob: {type(model).__name__}", "inference_library": "twinprob", "provenance": provenance}
    return Twin(model, whole, tree(groups, attrs), observations, integrator, past=density.past)


def _with_borders(density: Joint, record: Record, times: np.ndarray) -> Joint:
    """Return the density of a record with segments that end at further times (time,) min too: the same, but slower."""
    seen = {name: record.observations[name].times for name in density.data}
    inside = any(data.after is not None for data in density.data.values())
    segments, places = timeline(density.model, record, seen, times, inside)
    # A day's worth beside a small record, and as many as are ever shown beside others: no further choice of lengths.
    count, size = len(segments.start), len(density.segments.start)
    room = _SHOWN // 4 if size < SEGMENTS and count <= size + _SHOWN // 4 else max(_SHOWN, count - size)
    segments = padded(segments, size + room)
    data = {n: dataclasses.replace(d, **vars(places[n].padded(len(d.index)))) for n, d in density.data.items()}
    return dataclasses.replace(density, segments=segments, data=data)


def _site_at(density: Joint, place: int) -> str:
    """Return the name of the unknown at a place of a position."""
    return next(name for name, places in density.layout().items() if places.start <= place < places.stop)


def _grid(record: Record) -> np.ndarray:
    """Return times that make trajectories smooth curves: every 15 min, or fewer in a long stay."""
    step = 15.0 * max(1.0, math.ceil((record.end - record.start) / (15.0 * _TRAJECTORY_TIMES)))
    return np.arange(record.start, record.end, step)


# ---- what the draws say ---------------------------------------------------------------------------------------------


def _describe(density: Joint, positions, index, key, shape, later):
    """Return everything reported about draws (draw, unknown), leaves of this shape in front: in batches of one size.

    So a posterior of any number of draws, and the prior, share a program.
    """
    count = len(positions)
    batch = _BATCH if max((len(data.values) for data in density.data.values()), default=0) <= _MANY else _BATCH // 5
    rows = np.minimum(np.arange(-(-count // batch) * batch), count - 1).reshape(-1, batch)

    def describe(mine):
        with jax.enable_x64(precise):  # JAX keeps this setting per thread
            return jax.tree.map(np.asarray, _described(density, positions[mine], index, key, mine, later))

    precise = jax.dtypes.canonicalize_dtype(float) == np.float64
    with ThreadPoolExecutor(2) as threads:
        parts = list(threads.map(describe, rows))
    return jax.tree.map(lambda *x: np.concatenate(x)[:count].reshape(*shape, *x[0].shape[1:]), *parts)


@compiled
def _described(density: Joint, positions, index, key, rows, later):
    """Return what is reported about a batch of draws; a draw's chance depends on its own place alone.

    `later` (): min from the last measurement of each output whose error lasts to the present.
    """

    def one(position, row):
        values = density.constrain(position)
        parameters = density.paths(values)
        states, solved, rows = density.states(parameters, density.first(values))
        means = density.at_measurements(states, rows)
        measured = density.measured(means, values)
        keys = jax.random.split(jax.random.fold_in(key, row), max(len(measured), 1))
        replicates = {name: d.sample(k) for (name, d), k in zip(measured.items(), keys, strict=False)}
        sites = density.sites()
        values_of = {name: jnp.asarray(data.values) for name, data in density.data.items()}
        heard = {name: d.described(values_of[name], later.get(name)) for name, d in measured.items()}
        return {
            "values": values,
            "parameters": parameters,
            "solved": solved,
            "state": states[-1],
            "outputs": density.outputs(states, rows, index),
            "means": means,
            "replicates": replicates,
            "neighbors": {name: (heard[name][1], d.neighbors(replicates[name])) for name, d in measured.items()},
            "log_likelihood": {name: density_ for name, (density_, _, _) in heard.items()},
            "errors": {name: heard[name][2] for name in later},
            "log_prior": {name: jnp.sum(sites[name].log_prob(value)) for name, value in values.items()},
        }

    return jax.vmap(one)(positions, rows)


def _groups(
    density: Joint, record: Record, sampled: Sampled, prior_positions, *, keys
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    shape = sampled.positions.shape[:2]
    borders = _borders(density, record)
    keep = np.unique(np.linspace(0, len(borders) - 1, _TRAJECTORY_TIMES).astype(int))
    # Padded to what a record of this size may show, so that all share a program; cut again where it is labeled.
    most = min(_TRAJECTORY_TIMES, len(density.segments.start) + 1)
    index = to_length(keep, most if density.knots else min(most, doubled(len(keep), 16)))
    flat = sampled.positions.reshape(-1, density.size)
    later = _later(density, record)
    described = _describe(density, flat, index, keys[0], shape, later)
    prior = _describe(density, prior_positions, index, keys[2], (1, _PRIOR_DRAWS), later)
    coords = _coords(density, record, borders[keep])
    groups = {
        "posterior": dataset(_parameters(density, record, described), coords, {}),
        "sample_stats": dataset({n: Labelled(("chain", "draw"), v) for n, v in sampled.stats.items()}, {}, {}),
        "prior": dataset(_parameters(density, record, prior), coords, {"draws_failed": int(np.sum(~prior["solved"]))}),
        "constant_data": dataset(_constants(density, record), coords, {}),
        "trajectory": dataset(_trajectory(density, described, len(keep)), coords, {}),
        "state": dataset(_state(density, described), {}, {"time": record.end, "time_units": "min"}),
        "unconstrained": dataset({"position": Labelled(("chain", "draw", "unknown"), sampled.positions)}, {}, {}),
        "log_prior": dataset({n: Labelled(("chain", "draw"), v) for n, v in described["log_prior"].items()}, {}, {}),
    }
    if sampled.modes:  # a method of the user's own may know of none
        groups["modes"] = dataset(_modes(density, record, sampled, index, keys[0], later), coords, {})
    if density.data:
        groups["posterior_predictive"] = dataset(_measured(density, described["replicates"]), coords, {})
        groups["prior_predictive"] = dataset(_measured(density, prior["replicates"]), coords, {})
        groups["log_likelihood"] = dataset(_measured(density, described["log_likelihood"], unit=""), coords, {})
        groups["observed_data"] = dataset(_observed(density), coords, {})
        groups["neighbors"] = dataset(_neighbors(described["neighbors"]), {}, {})
    if later:
        found = error_labels(density.model, described["errors"])
        groups["error"] = dataset(found, {}, {"time": record.end, "time_units": "min"})
    figures = {
        "solves_failed": int(np.sum(~described["solved"])),
        "effective_draws": _effective_draws(sampled, described),
        "integration_error": integration_error(density, flat),
    }
    return groups, figures


def _borders(density: Joint, record: Record) -> np.ndarray:
    """Return the times of the segment borders in min, padding left out."""
    lengths = np.asarray(density.segments.length)
    count = int(np.sum(lengths > 0))
    ends = np.asarray(density.segments.start[:count]) + lengths[:count]
    return np.concatenate([[record.start], ends * minutes_per_unit(density.model)])


def _path_length(density: Joint, record: Record, name: str) -> int:
    return knots(density.model.processes()[name], record.start, max(record.end, record.start + 1e-6))


def _coords(density: Joint, record: Record, times) -> dict[str, Labelled]:
    coords = {"time": Labelled(("time",), times, "min", "time since the record's origin")}
    for name, data in density.data.items():
        seen = record.observations[name].times[: int(np.sum(data.present))]
        coords[f"{name}_time"] = Labelled((f"{name}_time",), seen, "min", f"times at which {name} was measured")
    for name, process in density.model.processes().items():
        starts = record.start + process.interval * np.arange(_path_length(density, record, name))
        coords[f"{name}_knot"] = Labelled(
            (f"{name}_knot",), starts, "min", f"times from which each value of {name} holds"
        )
    return coords


def _modes(density: Joint, record: Record, sampled: Sampled, index, key, later) -> dict[str, Labelled]:
    """Return where each mode is, most probable first, its log density and its share of the posterior."""
    positions, densities, weights = (np.stack(parts) for parts in zip(*sampled.modes, strict=True))
    described = _describe(density, positions, index, key, (len(positions),), later)
    found = _parameters(density, record, described, ("mode",))
    found["log_density"] = Labelled(("mode",), densities, "", "log density on the unconstrained scale")
    return {**found, "weight": Labelled(("mode",), weights, "", "share of the posterior")}


def _parameters(density: Joint, record: Record, described, dims=("chain", "draw")) -> dict[str, Labelled]:
    declared, found = density.model.parameters(), {}
    processes = density.model.processes()
    for name, values in described["parameters"].items():
        about = (declared[name].unit, declared[name].about, declared[name].source)
        if name in processes:
            length = _path_length(density, record, name)
            found[name] = Labelled((*dims, f"{name}_knot"), values[..., :length], *about)
            found[f"{name}_start"] = Labelled(
                dims, described["values"][f"{name}_start"], about[0], f"{about[1]}: base", about[2]
            )
        else:
            found[name] = Labelled(dims, values, *about)
    for name, values in described["values"].items():
        if name not in found and not name.endswith("_innovations"):
            found[name] = Labelled(dims, values, "", "size of noise or volatility")
    return found


def _constants(density: Joint, record: Record) -> dict[str, Labelled]:
    """Return inputs as change times and values, censoring flags and covariates."""
    found = {}
    for name, course in record.inputs.courses.items():
        times, values = course.steps()
        times, values = np.append(record.start, times), np.append(course.at(record.start), values)
        found[name] = Labelled((f"{name}_change",), values, course.unit, f"{name} from each change on")
        found[f"{name}_change_time"] = Labelled((f"{name}_change",), times, "min", f"times of change of {name}")
    for name, data in density.data.items():
        count = int(np.sum(data.present))
        found[f"{name}_limit"] = Labelled((f"{name}_time",), data.limits[:count], "", "-1 below, 0 measured, +1 above")
    for name, covariate in record.covariates.items():
        if isinstance(covariate.value, int | float):
            found[name] = Labelled((), covariate.value, covariate.unit or "", "covariate")
    return found


def _trajectory(density: Joint, described, count: int) -> dict[str, Labelled]:
    quantities = density.model.quantities(density.model.Output)
    return {
        name: Labelled(
            ("chain", "draw", "time"),
            getattr(described["outputs"], name)[..., :count],
            q.unit,
            f"{q.about}, noise-free",
        )
        for name, q in quantities.items()
    }


def _state(density: Joint, described) -> dict[str, Labelled]:
    quantities = density.model.quantities(density.model.State)
    return {
        name: Labelled(("chain", "draw"), described["state"][..., i], q.unit, q.about)
        for i, (name, q) in enumerate(quantities.items())
    }


def _neighbors(correlations) -> dict[str, Labelled]:
    """Return how the residuals of each draw correlate with the one before, and those of its replicate."""
    found, dims = {}, ("chain", "draw")
    for name, (observed, replicated) in correlations.items():
        found[name] = Labelled(dims, observed, "", "correlation of neighboring residuals around this draw's output")
        found[f"{name}_replicated"] = Labelled(dims, replicated, "", "the same of this draw's replicate")
    return found


def _later(density: Joint, record: Record) -> dict[str, np.ndarray]:
    """Return how long ago each output whose error lasts was last measured, min."""
    lasting = (name for name in density.data if density.observations[name].drift is not None)
    return {name: np.asarray(record.end - record.observations[name].times[-1]) for name in lasting}


def error_labels(model, errors) -> dict[str, Labelled]:
    """Return what is known now of each lasting error, by output: mean and standard deviation, (chain, draw)."""
    declared, found = model.quantities(model.Output), {}
    for name, (mean, variance) in errors.items():
        unit, dims = declared[name].unit, ("chain", "draw")
        found[name] = Labelled(dims, mean, unit, "mean of the lasting error now")
        found[f"{name}_sd"] = Labelled(dims, np.sqrt(variance), unit, "standard deviation of the lasting error now")
    return found


def _measured(density: Joint, values, *, unit: str | None = None) -> dict[str, Labelled]:
    quantities = density.model.quantities(density.model.Output)
    found = {}
    for name, data in density.data.items():
        count = int(np.sum(data.present))
        units = quantities[name].unit if unit is None else unit
        found[name] = Labelled(
            ("chain", "draw", f"{name}_time"), values[name][..., :count], units, quantities[name].about
        )
    return found


def _observed(density: Joint) -> dict[str, Labelled]:
    quantities = density.model.quantities(density.model.Output)
    return {
        name: Labelled(
            (f"{name}_time",), d.values[: int(np.sum(d.present))], quantities[name].unit, quantities[name].about
        )
        for name, d in density.data.items()
    }


# ---- figures that judge them ----------------------------------------------------------------------------------------


def _effective_draws(sampled: Sampled, described) -> float:
    """Return the independent draws behind the posterior: those of the weights, or the smallest bulk ESS."""
    from arviz_stats.base.array import array_stats  # here because importing it loads matplotlib

    total = float(np.prod(sampled.positions.shape[:2]))
    if np.isfinite(sampled.importance_ess):
        return min(total, sampled.importance_ess)
    sizes = [float(array_stats.ess(sampled.positions[..., i])) for i in range(sampled.positions.shape[-1])]
    return float(np.nanmin([total, *sizes]))
