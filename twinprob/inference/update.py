"""Keep a twin current: the next measurements move its draws, at a cost that does not depend on how long the stay is."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from ..dynamics.precision import in_double_precision
from ..dynamics.programs import compiled
from ..dynamics.segments import knots
from ..labels import Labelled, dataset, tree
from ..patient.record import Record
from ..patient.require import require_key, require_kinds
from ..patient.stay import Joined, join
from ..patient.units import convert
from .data import require_noise, with_covariates
from .describe import error_labels
from .fit import fit
from .methods.cloud import Cloud, cloud_of, follow, observed_outputs
from .methods.filter import Filter, Heard, draw
from .methods.particle import columns
from .methods.rows import rows_of
from .methods.sampled import generator
from .outcomes import GROUP, Outcomes, outcomes_of
from .twin import Twin

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)  # the edges of 95, 80 and 50 %, and the median
_LOG = 48
_TIMES = 288


@in_double_precision
def update(twin: Twin, new_data: Record, *, key, method: Filter | None = None) -> Twin:
    """Bring a twin to the present with what became known since, or late.

    Parameters
    ----------
    twin : Twin
        Stays as it is.
    new_data : Record
        What is new, e.g. ``record.between("24 h", "25 h")``: measurements the twin has not seen and, for the inputs it
        names, what they did from its start on; inputs it does not name run on as they are. It may hold no measurement.
    key : jax PRNG key
        The number of updates so far is folded in: the same key in every update gives each its own chance.
    method : Filter, optional
        Settings of the particle filter, `Filter()` by default.

    Returns
    -------
    Twin
        Its record is the old one with the new data, its draws are those of now: of a varying parameter only the
        present value is kept; of the outputs, group `filtered` keeps quantiles at each update. `provenance["updates"]`
        lists time, method, effective share of the particles, what the new data were (`brought`: how many values, late
        values, repeats, corrections, input rows, late input rows, ended orders and changed covariates), and why the
        whole record was fitted again, by the method the twin was fitted with, where it was: too few particles mattered,
        the measurement was far outside what was predicted, or it came later than the filter remembers. Group
        `outcomes` keeps where each new value lay in what had been predicted for it, across fits too; `diagnose` judges
        the twin by them.

    Raises
    ------
    TypeError
        If `new_data` is no `Record`, or another argument of another kind.
    ValueError
        If there is nothing new, a measurement is older than the twin's origin or contradicts one that was known no
        earlier, a unit cannot be converted, a covariate or the person differs from the twin's, or it cannot be told
        which order an input's new rows replace.

    Notes
    -----
    A measurement that comes late, or out of order, is replayed from the last remembered cloud before it, and so is a
    correction (another value of the same time, known later; the old one is set aside in the record's ledger) and an
    input charted late. An exact repeat is counted as merged. A changed weight holds from the twin's present on.

    Examples
    --------
    >>> later = update(twin, record.between(twin.now, "25 h"), key=jax.random.key(2))  # doctest: +SKIP
    """
    require_kinds(new_data=(new_data, Record))
    require_key(key)
    require_kinds(twin=(twin, Twin), method=(method, Filter, None))
    if beside := twin.provenance.get("experiments"):
        raise ValueError(
            f"This twin was fitted together with others ({', '.join(beside)}), which an update alone would forget: "
            "fit all records again, `fit(model, {name: record, …}, key=key)`."
        )
    settings = Filter() if method is None else method
    joined = join(twin.record, new_data)
    record, since = joined.record, joined.since
    twin = replace(twin, model=with_covariates(twin.model, record))
    declared = twin.model.quantities(twin.model.Output)
    seen = (name for name in declared if name in record.observations)
    require_noise(twin.model, {name: twin.observations.get(name, declared[name].noise) for name in seen})
    if since == np.inf and record.end == twin.now:
        return _said(_unmoved(twin, record), joined)
    # One key for every hour would repeat each particle's kick: errors that should average out would add up.
    key = jax.random.fold_in(key, twin.provenance.get("updated", 0))
    chance = generator(key)
    start_key, follow_key, draw_key = jax.random.split(key, 3)
    clouds = _remembered(twin, settings) or [cloud_of(twin, settings, chance)]
    usable = [cloud for cloud in clouds if cloud.time <= since]
    late = bool(clouds[-1].time > since)
    if not usable:
        begun = round(since, 3) + 0.0  # not the last number below it
        reason = (
            f"the new data reach back to {begun:g} min, before the filter's memory begins at {clouds[0].time:g} min"
        )
        return _said(_refitted(twin, record, reason, late, outcomes_of(twin), key=start_key), joined)
    cloud, heard, outcomes = follow(
        usable[-1], twin.model, record, twin.observations, twin.integrator, settings, key=follow_key
    )
    outcomes, reason = outcomes_of(twin).then(outcomes), _distrust(heard, settings)
    if reason:
        return _said(_refitted(twin, record, reason, late, outcomes, key=start_key), joined)
    clouds = [*usable, cloud][-settings.memory :]
    return _said(_updated(twin, record, clouds, heard, late, outcomes, key=draw_key), joined)


def _unmoved(twin: Twin, record: Record) -> Twin:
    """Return the same draws with what does not move them: repeats alone, or a property from now on."""
    entry = {"time": record.end, "method": twin.provenance["method"], "share": 1.0, "late": False, "refit": None}
    entry |= {"stages": 0, "tail": 1.0, "log_evidence": 0.0, "heard": 0}
    provenance = {**twin.provenance, **_logged(twin.provenance, entry), "data_hash": record.data_hash}
    return _with_provenance(replace(twin, record=record), provenance)


def _said(twin: Twin, joined: Joined) -> Twin:
    """Say in the log of updates what the new data were, by kind, and in the notes what they replaced."""
    provenance = twin.provenance
    *before, last = provenance["updates"]
    updates = [*before, {**last, "brought": dict(joined.brought)}]
    return _with_provenance(twin, {**provenance, "updates": updates, "notes": [*joined.notes, *provenance["notes"]]})


def _with_provenance(twin: Twin, provenance: dict[str, Any]) -> Twin:
    groups = {name: node.to_dataset() for name, node in twin.tree.children.items()}
    attrs: Any = {**twin.tree.attrs, "provenance": provenance}
    return replace(twin, tree=tree(groups, attrs))


def _distrust(heard: Heard, settings: Filter) -> str:
    """Say why the filter's answer should not be used; nothing where it may."""
    if not np.isfinite(heard.evidence):
        return "no particle could explain a measurement"
    if heard.share < settings.collapse:
        return f"only {heard.share:.2%} of the particles mattered after a measurement (limit {settings.collapse:.2%})"
    if heard.tail < settings.surprise:
        return f"a measurement was far outside its prediction (tail {heard.tail:.1e}, limit {settings.surprise:.1e})"
    return ""


def _refitted(twin: Twin, record: Record, reason: str, late: bool, outcomes: Outcomes, *, key) -> Twin:
    """Fit the whole record again as the twin was fitted, and say so."""
    how = {"observations": twin.observations, "integrator": twin.integrator, "method": twin.method}
    again = fit(twin.model, record, key=key, **how)
    # The population's priors are the model's by now.
    provenance = {**again.provenance, "population": twin.provenance["population"]}
    note = f"Updated at {record.end / 60:.2f} h by a fit of the whole record, because {reason}."
    entry = {"time": record.end, "method": provenance["method"], "share": None, "late": late, "refit": reason}
    provenance = {**provenance, **_logged(twin.provenance, entry), "notes": [note, *provenance["notes"]]}
    attrs: dict[str, Any] = {str(name): value for name, value in again.tree.attrs.items()} | {"provenance": provenance}
    groups: dict[str, Any] = {str(name): node.to_dataset() for name, node in again.tree.children.items()}
    return replace(again, tree=tree({**groups, **_remembering(outcomes)}, attrs))


def _remembering(outcomes: Outcomes) -> dict[str, xr.Dataset]:
    return {GROUP: outcomes.labeled()} if len(outcomes) else {}


def _logged(provenance: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "updates": [*provenance.get("updates", ()), entry][-_LOG:],
        "updated": provenance.get("updated", 0) + 1,
    }


def _remembered(twin: Twin, settings: Filter) -> list[Cloud]:
    """Return the clouds inside an updated twin, oldest first; none where it was fitted or filtered otherwise."""
    if "filter" not in twin.tree.children:
        return []
    kept = twin.group("filter")
    if kept.sizes["particle"] != settings.particles:
        return []
    times = kept["cloud_time"].values
    held = ((kept[f"values_{i}"].values, kept[f"log_weight_{i}"].values) for i in range(len(times)))
    return [Cloud(float(t), values, weights) for t, (values, weights) in zip(times, held, strict=True)]


# ---- the updated twin ----------------------------------------------------------------------------------------------


def _updated(
    twin: Twin, record: Record, clouds: list[Cloud], heard: Heard, late: bool, outcomes: Outcomes, *, key
) -> Twin:
    model, cloud = twin.model, clouds[-1]
    how = observed_outputs(model, twin.observations)
    old = twin.tree["posterior"]
    shape = (old.sizes["chain"], old.sizes["draw"])
    parameters, states, errors = draw(model, how, (cloud.values, cloud.log_weights), shape[0] * shape[1], key)
    coords = {}
    for name, process in model.processes().items():
        start = record.start + process.interval * (knots(process, record.start, record.end) - 1)
        coords[f"{name}_knot"] = Labelled(
            (f"{name}_knot",), np.array([start]), "min", f"times from which each value of {name} holds"
        )
    groups: dict[str, Any] = {
        "posterior": dataset(_parameters(model, parameters, shape), coords, {}),
        "state": dataset(_states(model, np.asarray(states), shape), {}, {"time": record.end, "time_units": "min"}),
        "filter": dataset(_kept(model, how, clouds), {}, {}),
        "filtered": _filtered(twin, record, how, parameters, states),
        **_observed(twin, record, how),
        **_remembering(outcomes),
    }
    if errors:
        known = {n: tuple(np.asarray(part).reshape(shape) for part in error) for n, error in errors.items()}
        groups["error"] = dataset(error_labels(model, known), {}, {"time": record.end, "time_units": "min"})
    if "prior" in twin.tree.children:
        groups["prior"] = twin.group("prior")
    provenance = _provenance(twin, record, cloud, heard, late, shape[0] * shape[1], key)
    attrs: Any = {**twin.tree.attrs, "provenance": provenance}
    return replace(twin, record=record, tree=tree(groups, attrs))


def _parameters(model, parameters, shape) -> dict[str, Labelled]:
    declared, processes, dims = model.parameters(), model.processes(), ("chain", "draw")
    found = {}
    for name, values in parameters.items():
        values = np.asarray(values).reshape(shape)
        base = name.removesuffix("_start")
        if name in processes:
            about = declared[name]
            found[name] = Labelled(
                (*dims, f"{name}_knot"), values[..., None], about.unit, f"{about.about}: now", about.source
            )
        elif base in processes:
            found[name] = Labelled(
                dims, values, declared[base].unit, f"{declared[base].about}: base", declared[base].source
            )
        elif name in declared:
            found[name] = Labelled(dims, values, declared[name].unit, declared[name].about, declared[name].source)
        else:
            found[name] = Labelled(dims, values, "", "size of noise or volatility")
    return found


def _states(model, states, shape) -> dict[str, Labelled]:
    return {
        name: Labelled(("chain", "draw"), states[:, i].reshape(shape), q.unit, q.about)
        for i, (name, q) in enumerate(model.quantities(model.State).items())
    }


def _kept(model, how, clouds: list[Cloud]) -> dict[str, Labelled]:
    # A variable per cloud: one array of all would copy every cloud at every measurement.
    found = {
        "cloud_time": Labelled(("cloud",), np.array([c.time for c in clouds]), "min", "time of each cloud"),
        "column_name": Labelled(("column",), np.array(columns(model, how))),
    }
    for i, cloud in enumerate(clouds):
        found[f"values_{i}"] = Labelled(("particle", "column"), cloud.values, "", "unconstrained particles")
        found[f"log_weight_{i}"] = Labelled(("particle",), cloud.log_weights)
    return found


def _observed(twin: Twin, record: Record, how) -> dict[str, xr.Dataset]:
    """Return the last measurements, in the model's units, and on which side of a limit each lies."""
    declared, coords = twin.model.quantities(twin.model.Output), {}
    found: dict[str, Labelled] = {}
    sides: dict[str, Labelled] = {}
    for name in (name for name in how if name in record.observations):
        series, quantity, dims = record.observations[name], declared[name], (f"{name}_time",)
        recent = series.select(np.arange(len(series.times)) >= len(series.times) - _LOG)
        values = np.asarray(convert(recent.values, recent.unit, quantity.unit, variable=name), float)
        values, limits = how[name].censored(values, recent.limits)
        found[name] = Labelled(dims, values, quantity.unit, quantity.about)
        sides[f"{name}_limit"] = Labelled(dims, limits, "", "-1 below, 0 measured, +1 above")
        coords[dims[0]] = Labelled(dims, recent.times, "min", f"times at which {name} was measured")
    groups = {"observed_data": dataset(found, coords, {}), "constant_data": dataset(sides, coords, {})}
    return groups if found else {}


def _filtered(twin: Twin, record: Record, how, parameters, states) -> xr.Dataset:
    """Return quantiles of the outputs over time: of the last fit, and of each update as it was believed then."""
    model, declared = twin.model, twin.model.quantities(twin.model.Output)
    rows, layout = rows_of(model, record, how, record.end)
    level = rows.timeline[0, 2 : 2 + layout.inputs]
    outputs = _outputs(model, [parameters[name] for name in model.unknowns()], states, level)
    now = {name: np.nanquantile(np.asarray(getattr(outputs, name)), LEVELS)[:, None] for name in declared}
    times, before = np.array([record.end]), _filtered_before(twin)
    if before is not None:
        earlier = before["time"].values < record.end  # what came late replaces what was believed then
        times = np.append(before["time"].values[earlier], times)[-_TIMES:]
        now = {n: np.append(before[n].values[:, earlier], x, axis=1)[:, -_TIMES:] for n, x in now.items()}
    found = {
        name: Labelled(("quantile", "time"), values, declared[name].unit, f"{declared[name].about}, noise-free")
        for name, values in now.items()
    }
    coords = {
        "quantile": Labelled(("quantile",), np.array(LEVELS)),
        "time": Labelled(("time",), times, "min", "time since the record's origin"),
    }
    return dataset(found, coords, {})


def _filtered_before(twin: Twin) -> xr.Dataset | None:
    """Return the quantiles an updated twin has, or those of a fitted twin's trajectory."""
    if "filtered" in twin.tree.children:
        return twin.group("filtered")
    if "trajectory" not in twin.tree.children:
        return None
    return twin.group("trajectory").quantile(list(LEVELS), dim=("chain", "draw"))


@compiled
def _outputs(model, parameters, states, level):
    """Return the noise-free outputs of every draw."""

    def one(own, state):
        return model.install(model.unknowns(), own).output(model.State(*state), model.Input(*level))

    return jax.vmap(one)(jnp.stack(parameters, axis=-1), states)


def _provenance(twin: Twin, record: Record, cloud: Cloud, heard: Heard, late: bool, draws: int, key) -> dict[str, Any]:
    before = twin.provenance
    particles = len(cloud.values)
    entry = {"time": record.end, "method": "Filter", "share": float(heard.share), "late": late, "refit": None}
    entry |= {"stages": int(heard.stages), "tail": float(heard.tail), "log_evidence": float(heard.evidence)}
    entry["heard"] = _measurements(twin.model, record) - _measurements(twin.model, twin.record)
    return {
        **before,
        **_logged(before, entry),
        "method": "Filter",
        "settings": {"particles": particles},
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "data_hash": record.data_hash,
        "importance_ess": float(heard.share) * particles,
        "effective_draws": float(min(draws, before["effective_draws"], cloud.effective)),
        "failed": int(heard.failed),
        "tried": particles,
        "solves_failed": 0,
    }


def _measurements(model, record: Record) -> int:
    outputs = model.quantities(model.Output)
    return sum(len(series.times) for name, series in record.observations.items() if name in outputs)
