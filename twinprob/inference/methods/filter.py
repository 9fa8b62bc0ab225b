"""A particle filter over statics, the present value of what varies, and the state; kernels keep its particles apart."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import logsumexp

from ...dynamics.programs import compiled
from ...dynamics.segments import minutes_per_unit
from ...dynamics.simulate import Layout, flow, outputs_move
from ...modeling.correlated import learned
from ...modeling.observation import Observation
from ...patient.require import number, require_settings, whole
from .particle import columns, constrained, errors_of, flattened, raised, with_errors
from .roots import inverse_of_lower, lower_root

_FLOOR = 0.1
_MOST_STAGES = 12
_RIDGE = 1e-9


class Filter(eqx.Module):
    """Settings of the filter behind `update`.

    A particle holds the constants on their unconstrained scale, the present value of each varying parameter and the
    state. A measurement weighs the particles. Where too few of them matter, they are drawn anew from narrow normal
    kernels that are shrunk toward the mean, and the new cloud gets the mean and covariance of the weighted one; a
    surprising measurement is taken in stages, so that no stage leaves too few. An error that lasts is no column of
    chance: a particle holds its mean and variance given all else, as a Kalman filter knows them.

    Parameters
    ----------
    particles : int
    resample : float
        Draw anew where the effective particles fall below this fraction of all.
    width : float
        Width of a kernel over the width of the cloud, between 0 and 1.
    collapse : float
        Fraction of particles that must matter after one measurement; below it `update` refits the whole record.
    surprise : float
        Two-sided predictive tail probability of a measurement below which `update` refits the whole record.
    memory : int
        Past clouds kept for measurements that come late.

    References
    ----------
    .. [1] Liu J, West M. Combined parameter and state estimation in simulation-based filtering. In: Sequential Monte
       Carlo Methods in Practice, Springer 2001, 197-223. doi:10.1007/978-1-4757-3437-9_10.
    """

    particles: int = eqx.field(static=True, default=16384)
    resample: float = eqx.field(static=True, default=0.5)
    width: float = eqx.field(static=True, default=0.1)
    collapse: float = eqx.field(static=True, default=0.01)
    surprise: float = eqx.field(static=True, default=1e-4)
    memory: int = eqx.field(static=True, default=6)

    def __check_init__(self):
        """Refuse settings outside their range."""
        shares = dict.fromkeys(("resample", "width", "collapse", "surprise"), number(0.0, 1.0))
        require_settings(self, particles=whole(100, 4_194_304), memory=whole(1, 1_000), **shares)


class Rows(NamedTuple):
    """A stretch of the timeline, one row per segment; a row's measurements are taken at its end.

    Attributes
    ----------
    timeline : (row, column) start, length, inputs and, where inputs run linearly, slopes
    kick : (row, varying) bool, whether a varying parameter takes its next knot at the row's start
    values, limits, present : (row, output) measurements in the output's unit, their side, and whether there are any
    widths : (row, output) factors on the noise of measurements that repeat others
    """

    timeline: Any
    kick: Any
    values: Any
    limits: Any
    present: Any
    widths: Any


class Heard(NamedTuple):
    """What the measurements of a stretch did to the particles.

    Attributes
    ----------
    share : () smallest effective fraction of the particles after one whole measurement
    tail : () smallest two-sided predictive tail probability of a measurement
    evidence : () log predictive density of all measurements
    stages : () int, largest number of stages a measurement was taken in
    failed : () int, particles that could not be solved
    """

    share: Any
    tail: Any
    evidence: Any
    stages: Any
    failed: Any


@compiled
def advance(model, observations, integrator, settings: Filter, layout: Layout, rows: Rows, count, cloud, heard, key):
    """Carry a cloud over the first `count` rows; `cloud` is (values, log weights).

    Returns
    -------
    cloud, heard : as given, now
    pits : (row, output) probability predicted below each measurement before it was heard; NaN where there is none
    """

    def body(i, carry):
        values, weights, heard, key, pits = carry
        row = jax.tree.map(lambda x: x[i], rows)
        key, path_key, move_key = jax.random.split(key, 3)
        if model.processes():
            values = lax.cond(
                jnp.any(row.kick), lambda v: kicked(model, observations, row.kick, v, path_key), lambda v: v, values
            )
        values, solved = crossed(model, observations, integrator, layout, row, values)
        weights = jnp.where(solved, weights, -jnp.inf)
        heard = heard._replace(failed=heard.failed + jnp.sum(~solved))

        def listen(carry):
            values, weights, heard, _ = carry
            return _heard(model, observations, settings, layout, row, values, weights, heard, move_key)

        carry = values, weights, heard, jnp.full(rows.present.shape[1], jnp.nan)
        values, weights, heard, pit = lax.cond(jnp.any(row.present), listen, lambda c: c, carry)
        return values, weights, heard, key, pits.at[i].set(pit)

    pits = jnp.full(rows.present.shape, jnp.nan)
    values, weights, heard, _, pits = lax.fori_loop(0, count, body, (*cloud, heard, key, pits))
    return (values, weights), heard, pits


@compiled
def draw(model, observations, cloud, count: int, key):
    """Draw particles by their weights, with the cloud's mean and covariance: parameters, states, lasting errors."""
    values, weights = cloud
    tick_key, order_key = jax.random.split(key)
    chosen = jax.random.permutation(order_key, _systematic(weights, count, tick_key))
    flat, positive = flattened(model, values)
    picked = raised(_matched(flat[chosen], *_moments(flat, jnp.exp(_normalized(weights)))), positive)
    errors = errors_of(model, observations, picked)
    return constrained(model, observations, picked), picked[:, -len(model.quantities(model.State)) :], errors


# ---- between measurements ------------------------------------------------------------------------------------------


def kicked(model, observations, kick, values, key):
    """Give the varying parameters their next knot."""
    named = constrained(model, observations, values)
    names = columns(model, observations)
    for i, (name, process) in enumerate(model.processes().items()):
        base, now = names.index(f"{name}_start"), names.index(name)
        sd = named[f"{name}_volatility"] if f"{name}_volatility" in named else jnp.full(len(values), process.sd)
        innovations = _standard(jax.random.fold_in(key, i), len(values))
        step = jax.vmap(lambda b, last, z, s, p=process: p.extend(b, last, z[None], s)[0])
        moved = step(values[:, base], values[:, now], innovations, sd)
        values = values.at[:, now].set(jnp.where(kick[i], moved, values[:, now]))
    return values


def _standard(key, count: int):
    """Return normals whose mean is zero and whose variance is one, exactly: half the noise of a cloud's moments."""
    draws = jax.random.normal(key, (count,))
    draws = draws - jnp.mean(draws)
    return draws / jnp.sqrt(jnp.mean(draws**2))


def _unknowns(model, observations, values):
    named = constrained(model, observations, values)
    found = [named[name] for name in model.unknowns()]
    return jnp.stack(found, axis=-1) if found else jnp.zeros((len(values), 0))


def crossed(model, observations, integrator, layout, row, values):
    """Carry every particle's state, and what it knows of lasting errors, over one segment."""
    size = len(model.quantities(model.State))
    parameters = _unknowns(model, observations, values)
    cross = jax.vmap(lambda state, own: flow(model, integrator, layout, state, jnp.concatenate([row.timeline, own])))
    states, solved = cross(values[:, -size:], parameters)
    return _worn(model, observations, row, values.at[:, -size:].set(states)), solved > 0


def _worn(model, observations, row, values):
    """Let lasting errors fade and come anew over one segment."""
    errors = errors_of(model, observations, values)
    if not errors:
        return values
    named, gap = constrained(model, observations, values), row.timeline[1] * minutes_per_unit(model)
    for name, error in errors.items():
        errors[name] = observations[name].sized_by(name, named).drift.carried(error, gap)
    return with_errors(model, observations, values, errors)


# ---- at a measurement ----------------------------------------------------------------------------------------------


def outputs_now(model, observations, layout, row, values):
    """Return the noise-free outputs of every particle at the end of a row."""
    size, inputs = len(model.quantities(model.State)), layout.inputs
    level = row.timeline[2 : 2 + inputs]
    if layout.linear:
        level = level + row.timeline[2 + inputs :] * row.timeline[1]
    at = lambda state, own: model.install(model.unknowns(), own).output(model.State(*state), model.Input(*level))  # noqa: E731
    return jax.vmap(at)(values[:, -size:], _unknowns(model, observations, values))


def _slopes(model, observations, layout, row, values):
    """Return how fast every particle's outputs move at the end of a row (per min), where an observation asks."""
    if not any(observation.clock for observation in observations.values()):
        return {}
    size, inputs, unit = len(model.quantities(model.State)), layout.inputs, minutes_per_unit(model)
    level, moving = row.timeline[2 : 2 + inputs], jnp.zeros(inputs)
    if layout.linear:
        moving = row.timeline[2 + inputs :]
        level = level + moving * row.timeline[1]

    end, installed = row.timeline[0] + row.timeline[1], model.unknowns()
    one = lambda state, own: outputs_move(model.install(installed, own), state, level, moving, end)  # noqa: E731
    found = jax.vmap(one)(values[:, -size:], _unknowns(model, observations, values))
    return {name: getattr(found, name) / unit for name, o in observations.items() if o.clock}


def _sized(observation: Observation, output: str, named, row, place: int, slopes) -> Observation:
    """Return how a row's measurement of an output is made, with the noise sizes of one particle."""
    sized = observation.sized_by(output, named)
    return sized.blurred(row.widths[place] if observation.repeats else None, slopes.get(output))


def log_likelihood(model, observations, layout, row, values):
    """Return the log density of a row's measurements for every particle, shape (particle,)."""

    def one(outputs, named, slopes, errors):
        total = jnp.zeros(())
        for i, (name, observation) in enumerate(observations.items()):
            how, mean, value, limit = (
                _sized(observation, name, named, row, i, slopes),
                getattr(outputs, name),
                row.values[i],
                row.limits[i],
            )
            if name in errors:
                told = how.told(value, mean, limit, errors[name])
                total = total + jnp.where(row.present[i], told.density, 0.0)
                continue
            branches = (
                lambda h=how, v=value, m=mean: h.noise.log_survival(v, m, -1),
                lambda h=how, v=value, m=mean: h.noise.distribution(m).log_prob(v),
                lambda h=how, v=value, m=mean: h.noise.log_survival(v, m, 1),
            )
            # A branch, not a choice: the tails of some noises cost far more than their density.
            total = total + jnp.where(row.present[i], lax.switch(limit + 1, branches), 0.0)
        return jnp.where(jnp.isfinite(total), total, -jnp.inf)

    outputs = outputs_now(model, observations, layout, row, values)
    slopes = _slopes(model, observations, layout, row, values)
    errors = errors_of(model, observations, values)
    return jax.vmap(one)(outputs, constrained(model, observations, values), slopes, errors)


def _tail(model, observations, layout, row, values, weights):
    """Return the smallest two-sided tail probability of a row's measurements, and the probability below each (output,).

    The latter is NaN where there is no value, or only the side of a limit.
    """
    outputs, named = outputs_now(model, observations, layout, row, values), constrained(model, observations, values)
    slopes, errors = _slopes(model, observations, layout, row, values), errors_of(model, observations, values)
    share, smallest, pits = jnp.exp(_normalized(weights)), jnp.ones(()), []
    for i, (name, observation) in enumerate(observations.items()):

        def tails(mean, own, moving, error, name=name, observation=observation, i=i):
            return _sized(observation, name, own, row, i, moving).tails(row.values[i], mean, error)

        parts = jax.vmap(tails)(getattr(outputs, name), named, slopes, errors.get(name))
        below, above = (share @ part for part in parts)
        # A value beyond a limit says only this: the probability of its own side is what may surprise.
        tail = jnp.where(row.limits[i] == 0, 2 * jnp.minimum(below, above), jnp.where(row.limits[i] < 0, below, above))
        smallest = jnp.minimum(smallest, jnp.where(row.present[i], tail, 1.0))
        exact = row.present[i] & (row.limits[i] == 0)
        pits.append(jnp.where(exact, below / (below + above), jnp.nan))
    return smallest, jnp.stack(pits)


def _heard(model, observations, settings, layout, row, values, weights, heard, key):
    """Weigh the particles by a row's measurements, in stages where one would leave too few."""
    count = len(values)
    likely = lambda v: log_likelihood(model, observations, layout, row, v)  # noqa: E731
    tail, pits = _tail(model, observations, layout, row, values, weights)
    first = likely(values)
    share = _effective(weights + first) / count

    def stage(carry):
        values, weights, likelihood, left, stages, key = carry
        key, move_key = jax.random.split(key)
        whole = _effective(weights + left * likelihood) >= _FLOOR * count
        part = jnp.where(whole | (stages >= _MOST_STAGES), left, _bisected(weights, likelihood, left, 0.5 * count))
        weights, left = _normalized(weights + part * likelihood), left - part
        few = _effective(weights) < settings.resample * count
        values, weights = lax.cond(
            few | (left > 0), lambda c: _renewed(model, settings, c[0], c[1], move_key), lambda c: c, (values, weights)
        )
        return values, weights, likely(values), left, stages + 1, key

    begin = (values, weights, first, jnp.ones(()), jnp.zeros((), int), key)
    values, weights, _, _, stages, _ = lax.while_loop(lambda c: c[3] > 0, stage, begin)
    values = learned_of(model, observations, layout, row, values)
    evidence = logsumexp(begin[1] + first) - logsumexp(begin[1])
    smallest = jnp.minimum(heard.share, share), jnp.minimum(heard.tail, tail)
    stages = jnp.maximum(heard.stages, stages)
    return values, weights, Heard(*smallest, heard.evidence + evidence, stages, heard.failed), pits


def learned_of(model, observations, layout, row, values):
    """Let every particle learn of the lasting errors from a row's measurements."""
    errors = errors_of(model, observations, values)
    if not errors:
        return values
    outputs, named = outputs_now(model, observations, layout, row, values), constrained(model, observations, values)
    slopes = _slopes(model, observations, layout, row, values)
    for i, (name, observation) in enumerate(observations.items()):
        if name in errors:

            def after(mean, own, moving, error, name=name, observation=observation, i=i):
                told = _sized(observation, name, own, row, i, moving).told(row.values[i], mean, row.limits[i], error)
                return jax.tree.map(lambda a, b: jnp.where(row.present[i], a, b), learned(error, told), error)

            errors[name] = jax.vmap(after)(getattr(outputs, name), named, slopes, errors[name])
    return with_errors(model, observations, values, errors)


def _normalized(weights):
    return weights - logsumexp(weights)


def _effective(weights):
    """Return how many particles matter; none where no weight is left."""
    best = jnp.max(weights)
    scaled = jnp.exp(weights - jnp.where(jnp.isfinite(best), best, 0.0))
    return jnp.where(jnp.isfinite(best), jnp.sum(scaled) ** 2 / jnp.maximum(jnp.sum(scaled**2), 1e-300), 0.0)


def _bisected(weights, likelihood, left, wanted):
    """Return the part of the likelihood that leaves the wanted number of effective particles."""

    def halve(_, bounds):
        low, high = bounds
        middle = 0.5 * (low + high)
        enough = _effective(weights + middle * likelihood) >= wanted
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    return lax.fori_loop(0, 16, halve, (left * 1e-6, left))[0]


def _systematic(weights, count: int, key):
    edges = jnp.cumsum(jnp.exp(_normalized(weights)))
    ticks = (jnp.arange(count) + jax.random.uniform(key)) / count * edges[-1]
    return jnp.minimum(jnp.searchsorted(edges, ticks), len(edges) - 1)


def _renewed(model, settings, values, weights, key):
    """Draw equally weighted particles from shrunk kernels; the cloud's mean and covariance stay exactly."""
    tick_key, noise_key = jax.random.split(key)
    count = len(values)
    flat, positive = flattened(model, values)
    mean, scale, root = _moments(flat, jnp.exp(_normalized(weights)))
    chosen = _systematic(weights, count, tick_key)
    # Pairs of opposite noise, in single precision: it only blurs, and would else take longer than the flow.
    half = jax.random.normal(noise_key, (-(-count // 2), flat.shape[1]), jnp.float32)
    noise = jnp.concatenate([half, -half])[:count].astype(flat.dtype) @ root.T
    moved = jnp.sqrt(1.0 - settings.width**2) * (flat[chosen] - mean) + settings.width * noise * scale
    return raised(_matched(moved, mean, scale, root), positive), jnp.full(count, -jnp.log(count))


def _matched(moved, mean, scale, root):
    """Move equally weighted particles so that they have exactly this mean and covariance; what never differs stays."""
    differs = scale > 0
    center, spread, own = _moments(moved, jnp.full(len(moved), 1.0 / len(moved)))
    # root own⁻¹ first: a small matrix, where a solve for every particle would take longer than the flow.
    back = inverse_of_lower(own).T @ root.T
    standard = (moved - center) / jnp.where(spread > 0, spread, 1.0)
    return jnp.where(differs, mean + scale * (standard @ back), mean)


def _moments(values, share):
    """Return mean, standard deviations (zero where nothing differs) and the root of the correlations of particles."""
    mean = share @ values
    away = values - mean
    scale = jnp.sqrt(share @ away**2)
    scale = jnp.where(scale > 1e-12 * jnp.abs(mean), scale, 0.0)
    away = away / jnp.where(scale > 0, scale, 1.0)
    correlation = (away * share[:, None]).T @ away
    return mean, scale, lower_root(correlation + _RIDGE * jnp.eye(len(mean)))
