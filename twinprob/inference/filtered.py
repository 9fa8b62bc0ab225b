"""The density of a patient's constants alone: paths, states and lasting errors are filtered out of a long record."""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import lax

from ..dynamics.integrators import AbstractIntegrator
from ..dynamics.programs import compiled
from ..dynamics.segments import bucket, minutes_per_unit
from ..dynamics.simulate import Layout, flow, outputs_move
from ..modeling.correlated import either, heard
from ..modeling.model import AbstractModel, pack
from ..modeling.observation import AbstractNoise, Observation
from ..patient.record import Record
from ..patient.units import convert
from .joint import Joint
from .methods.climb import Split
from .methods.filter import Rows
from .methods.rows import rows_of
from .sites import constant_sites
from .timeline import timeline
from .unknowns import AbstractUnknowns

_ROWS = 64
_CERTAIN, _TINY = 1.0 - 1e-9, 1e-9


class Normal(NamedTuple):
    """What is known of what moves, given the constants: `mean` (moving,) and `covariance` (moving, moving).

    In this order: varying parameters on their unconstrained scale, states, lasting errors.
    """

    mean: Any
    covariance: Any


class Told(NamedTuple):
    """What each measurement of a record said, (row, output): see `modeling.correlated.Heard`, and its innovation."""

    density: Any
    error: Any
    log_variance: Any
    weight: Any


class Filtered(AbstractUnknowns):
    """The density of one patient's constants, with everything that moves integrated out by a Kalman filter.

    The state and the paths are carried from row to row by the flow made linear at their mean (extended Kalman filter),
    and take in each measurement by its first two moments (assumed-density filtering [1]_): exact for linear models with
    `Gaussian` noise. The cost is one pass over the record, and so grows with its length and not faster.

    Attributes
    ----------
    bare : Joint, without segments and data
    rows : Rows, one for each segment, its measurements at its end
    before : (input,) the inputs just before the first row
    names : tuple of str, the outputs of the columns of `rows`
    limited : tuple of bool, whether an output has values beyond a limit

    References
    ----------
    .. [1] Minka TP. Expectation propagation for approximate Bayesian inference. UAI 2001, 362-369. arXiv:1301.2294.
    """

    bare: Joint
    rows: Rows
    before: np.ndarray
    names: tuple[str, ...] = eqx.field(static=True)
    limited: tuple[bool, ...] = eqx.field(static=True)
    row: Layout = eqx.field(static=True)

    def sites(self) -> dict[str, dist.Distribution]:
        """Return the prior of every constant, by sample site."""
        return constant_sites(self.bare)

    @property
    def parts(self) -> Split:
        """Which unknowns are what: none is a path, and all sizes can climb with the others."""
        return Split(np.zeros(self.size, bool), np.zeros(self.size, bool))

    def log_density(self, position):
        """Return log p(position, data); minus infinity where the model cannot be solved."""
        position, possible = self.possible(position)
        _, told, solved = self.passed(position)
        total = self.log_prior(position) + jnp.sum(told.density)
        return jnp.where(solved & possible & jnp.isfinite(total), total, -jnp.inf)

    def quadratic(self, position):
        """Return log density, gradient and expected curvature, as `methods.climb.quadratic` does."""

        def likelihood(q):
            _, told, solved = self.passed(q)
            total = jnp.sum(told.density)
            return (total, told.error, told.log_variance), (total, told.weight, solved)

        (slope, errors, sizes), (value, weights, solved) = jax.jacfwd(likelihood, has_aux=True)(position)
        prior, ones = self.log_prior(position), jnp.ones_like(position)
        prior_slope, prior_bend = jax.jvp(jax.grad(self.log_prior), (position,), (ones,))
        gradient, total = prior_slope + slope, prior + value
        curvature = jnp.diag(jnp.clip(-prior_bend, 1e-8)) + jnp.einsum("tai,ta,taj->ij", errors, weights, errors)
        curvature = curvature + 0.5 * jnp.einsum("tai,ta,taj->ij", sizes, jnp.where(weights > 0, 1.0, 0.0), sizes)
        fine = solved & jnp.isfinite(total) & jnp.all(jnp.isfinite(gradient)) & jnp.all(jnp.isfinite(curvature))
        return (
            jnp.where(fine, total, -jnp.inf),
            jnp.where(fine, gradient, 0.0),
            jnp.where(fine, curvature, jnp.eye(self.size)),
        )

    def passed(self, position) -> tuple[Normal, Told, Any]:
        """Filter the record: what is known at its end of what moves, what each measurement said, whether it solved."""
        given = self._given(position)
        begin = (given.first(self.before), jnp.ones((), bool))

        def step(carry, row):
            known, solved = carry
            known, fine = given.crossed(known, row)
            known, told = given.taken_in(known, row)
            return (known, solved & fine), told

        (last, solved), told = lax.scan(step, begin, self.rows)
        return last, told, solved & jnp.all(jnp.isfinite(last.mean))

    def _given(self, position) -> "_Given":
        values, bare = self.constrain(position), self.bare
        how = []
        for name in self.names:
            how.append(bare.observations[name].sized_by(name, values))
        model = dataclasses.replace(bare.model, priors={}, motions={})
        bijectors = {n: dist.biject_to(bare.model.prior(n).support) for n in bare.model.processes()}
        return _Given(model, bare.model.processes(), bijectors, values, how, bare.integrator, self)


class _Given:
    """One patient with known constants, inside compiled code."""

    def __init__(self, model, processes, bijectors, values, how, integrator, density: Filtered):
        self.model, self.values, self.how, self.integrator = model, values, how, integrator
        self.density, self.bijectors, self.unit = density, bijectors, minutes_per_unit(model)
        self.moving = []
        for name, process in processes.items():
            base, sd = bijectors[name].inv(values[f"{name}_start"]), values.get(f"{name}_volatility", process.sd)
            self.moving.append((process, base, sd))
        self.lasting = [i for i, one in enumerate(how) if one.drift is not None]

    def unknowns(self, paths):
        """Return the unknown parameters that act while the paths are here (varying,)."""
        names = tuple(self.bijectors)
        found = [
            self.bijectors[n](paths[names.index(n)]) if n in names else self.values[n] for n in self.model.unknowns()
        ]
        return jnp.stack(found)

    def first(self, before) -> Normal:
        """Return what is known at the origin."""
        zero = jnp.zeros(1)
        knots = [(lambda z, p=p, b=b, sd=sd: p.path(b, z, sd)[0]) for p, b, sd in self.moving]
        paths = jnp.stack([knot(zero) for knot in knots])
        kicks = jnp.diag(jnp.stack([jax.jvp(knot, (zero,), (jnp.ones(1),))[1] for knot in knots]))

        def start(paths):
            patient = self.model.install(self.model.unknowns(), self.unknowns(paths))
            return pack(patient.initial(self.model.Input(*jnp.asarray(before, float))))

        root = jnp.concatenate([kicks, jax.jacfwd(start)(paths) @ kicks])
        mean = jnp.concatenate([paths, start(paths), jnp.zeros(len(self.lasting))])
        errors = jnp.array([self.how[i].drift.sd ** 2 for i in self.lasting], float).reshape(-1)
        size = len(root)
        covariance = jnp.diag(jnp.concatenate([jnp.zeros(size), errors]))
        return Normal(mean, covariance.at[:size, :size].add(root @ root.T))

    def crossed(self, known: Normal, row: Rows) -> tuple[Normal, Any]:
        """Carry what is known over one segment."""
        mean, covariance = known
        count, apart = len(self.moving), len(mean) - len(self.lasting)
        paths, left, fresh = [], jnp.ones(len(mean)), jnp.zeros(len(mean))
        for i, (process, base, sd) in enumerate(self.moving):
            then = lambda last, z, p=process, b=base, sd=sd: p.extend(b, last, z[None], sd)[0]  # noqa: E731
            at, zero, one = mean[i], jnp.zeros(()), jnp.ones(())
            moved, share = jax.jvp(then, (at, zero), (one, zero))
            kick = jax.jvp(then, (at, zero), (zero, one))[1]
            paths.append(jnp.where(row.kick[i], moved, at))
            left = left.at[i].set(jnp.where(row.kick[i], share, 1.0))
            fresh = fresh.at[i].set(jnp.where(row.kick[i], kick**2, 0.0))
        errors = mean[apart:]
        for j, i in enumerate(self.lasting):
            share, come = self.how[i].drift.steps(row.timeline[1] * self.unit)
            left, fresh = left.at[apart + j].set(share), fresh.at[apart + j].set(come)
            errors = errors.at[j].multiply(share)
        covariance = covariance * left * left[:, None] + jnp.diag(fresh)

        def cross(v):
            whole = jnp.concatenate([row.timeline, self.unknowns(v[:count])])
            ended, solved = flow(self.model, self.integrator, self.density.row, v[count:], whole)
            return ended, (ended, solved)

        inner = jnp.concatenate([jnp.stack(paths), mean[count:apart]])
        jacobian, (ended, solved) = jax.jacfwd(cross, has_aux=True)(inner)
        change = jnp.eye(len(mean)).at[count:apart, :apart].set(jnp.where(jnp.isfinite(jacobian), jacobian, 0.0))
        return Normal(jnp.concatenate([inner[:count], ended, errors]), change @ covariance @ change.T), solved > 0

    def taken_in(self, known: Normal, row: Rows) -> tuple[Normal, Told]:
        """Learn from the measurements at the end of a segment, one after another."""
        mean, covariance = known
        apart, names = len(mean) - len(self.lasting), self.density.names
        outputs, by = self._outputs(mean[:apart], row)
        slopes, begin, said = self._slopes(mean[:apart], row), mean, []
        for i, name in enumerate(names):
            gradient = jnp.zeros(len(mean)).at[:apart].set(by[i])
            if i in self.lasting:
                gradient = gradient.at[apart + self.lasting.index(i)].set(1.0)
            expected = outputs[i] + gradient @ (mean - begin) + (gradient[apart:] @ begin[apart:])
            how = self.how[i].blurred(row.widths[i] if self.how[i].repeats else None, slopes.get(name))
            shares, variances = _parts(how.noise, outputs[i])
            gain = covariance @ gradient
            spread = gradient @ gain
            given = (row.values[i] - expected, shares, variances + spread)
            told = either(*given, row.limits[i]) if self.density.limited[i] else heard(*given)
            told = jax.tree.map(lambda x, here=row.present[i]: jnp.where(here, x, 0.0), told)
            noise = shares @ variances
            bend = jnp.minimum(told.bend, _CERTAIN / (spread + _TINY * noise))
            mean, covariance = mean + gain * told.slope, covariance - bend * jnp.outer(gain, gain)
            size = jnp.log(spread + noise)
            said.append(Told(told.density, given[0], size, lax.stop_gradient(told.weight)))
        return Normal(mean, 0.5 * (covariance + covariance.T)), jax.tree.map(lambda *x: jnp.stack(x), *said)

    def _input(self, row: Rows):
        """Return the inputs at the end of a segment, and how fast they move."""
        count, layout = self.density.row.inputs, self.density.row
        level, moving = row.timeline[2 : 2 + count], jnp.zeros(count)
        if layout.linear:
            moving = row.timeline[2 + count :]
            level = level + moving * row.timeline[1]
        return level, moving

    def _outputs(self, inner, row: Rows):
        """Return the measured outputs (output,) and their slopes (output, path or state)."""
        count, (level, _) = len(self.moving), self._input(row)

        def at(v):
            patient = self.model.install(self.model.unknowns(), self.unknowns(v[:count]))
            found = patient.output(self.model.State(*v[count:]), self.model.Input(*level))
            values = jnp.stack([getattr(found, name) for name in self.density.names])
            return values, values

        by, values = jax.jacfwd(at, has_aux=True)(inner)
        return values, by

    def _slopes(self, inner, row: Rows) -> dict[str, Any]:
        """Return how fast the outputs move (per min), where a clock errs."""
        late = [name for name, one in zip(self.density.names, self.how, strict=True) if one.clock]
        if not late:
            return {}
        count, (level, moving) = len(self.moving), self._input(row)
        patient = self.model.install(self.model.unknowns(), self.unknowns(inner[:count]))
        found = outputs_move(patient, inner[count:], level, moving, row.timeline[0] + row.timeline[1])
        return {name: getattr(found, name) / self.unit for name in late}


def _parts(noise: AbstractNoise, mean):
    """Return a noise as a mixture of normals; one that is none by its first two moments."""
    if type(noise).parts is AbstractNoise.parts:
        return jnp.ones(1), noise.distribution(mean).variance[None]
    return noise.parts(mean)


def filtered(
    model: AbstractModel, record: Record, observations: dict[str, Observation], integrator: AbstractIntegrator
) -> Filtered:
    """Join a model and a record to the density of the constants; `observations` of each output that was measured."""
    how = {name: observations[name] for name in sorted(observations)}
    rows, layout = rows_of(model, record, how, record.start)
    rows = _with_first(rows, model, record, how)
    missing = bucket(len(rows.timeline), _ROWS) - len(rows.timeline)
    still = np.arange(len(rows.timeline) + missing) >= len(rows.timeline)
    rows = Rows(*(np.pad(x, ((0, missing), (0, 0)), mode="edge") for x in rows))
    rows.timeline[still, 1], rows.present[still], rows.kick[still] = 0.0, False, False
    nothing: Any = None
    knots = tuple((name, 1) for name in model.processes())
    bare = Joint(model, nothing, {}, how, integrator, knots)
    limited = tuple(bool(np.any(rows.limits[:, i] != 0)) for i in range(len(how)))
    before = timeline(model, record, {}, (), False)[0].before
    return Filtered(bare, rows, before, tuple(how), limited, layout)


def _with_first(rows: Rows, model: AbstractModel, record: Record, how: dict[str, Observation]) -> Rows:
    """Return the rows after one of no length, which holds what was measured at the record's very start."""
    values, limits, present = (np.zeros((1, len(how)), x.dtype) for x in (rows.values, rows.limits, rows.present))
    declared = model.quantities(model.Output)
    for i, (name, observation) in enumerate(how.items()):
        series = record.observations[name]
        if series.times.size and series.times[0] <= record.start:
            value = convert(series.values[:1], series.unit, declared[name].unit, variable=name)
            values[0, i], limits[0, i] = (x[0] for x in observation.censored(np.asarray(value), series.limits[:1]))
            present[0, i] = True
    timeline = rows.timeline[:1].copy()
    timeline[0, 1] = 0.0
    first = Rows(timeline, np.zeros_like(rows.kick[:1]), values, limits, present, np.ones_like(rows.widths[:1]))
    return Rows(*(np.concatenate(pair) for pair in zip(first, rows, strict=True)))


@compiled
def known_at_end(density: Filtered, positions):
    """Return what is known at the record's end of what moves, for each of some positions (draw, unknown)."""
    return jax.vmap(lambda position: density.passed(position)[0])(positions)
