"""The loop of one arm: measure, decide, give, live on; all patients of a batch in one compiled program."""

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..dynamics.integrators import FixedStep
from ..dynamics.programs import compiled
from ..dynamics.simulate import Layout, flow
from ..modeling.model import AbstractModel, pack
from ..modeling.observation import Observation
from .bedside import HISTORY, Bedside, Seen
from .protocol import AbstractProtocol, example
from .world import Delivery, Measuring

_SAME = 1e-6  # min
NEVER = -1


class Charts(eqx.Module):
    """What the loop needs of a batch of patients; every leaf begins with the patient.

    Attributes
    ----------
    values : by parameter, what does not move
    sizes : by `<output>_<field>`, sizes of the noise
    paths, elapsed : by parameter, what moves, and how long its first knot began before the trial (min)
    background : (patient, input) what runs of the plant's inputs where no arm orders it
    uncharted : (patient, input) what runs beside all orders
    charted : by input the protocol gives, what is charted at first, in its units
    give, bolus : by input, from the protocol's unit to the plant's
    covariates : by name, in the protocol's units
    state : (patient, state)
    keys : (patient,) random keys
    """

    values: dict[str, Any]
    sizes: dict[str, Any]
    paths: dict[str, Any]
    elapsed: dict[str, Any]
    background: Any
    uncharted: Any
    charted: dict[str, Any]
    give: dict[str, Any]
    bolus: dict[str, Any]
    covariates: dict[str, Any]
    state: Any
    keys: Any


class Clock(NamedTuple):
    """The grid: how many steps of how many minutes, and steps of integration within one."""

    steps: int
    minutes: float
    substeps: int


class Ward(NamedTuple):
    """What one patient carries from step to step."""

    body: Any
    solved: Any
    charted: dict[str, Any]
    given: dict[str, Any]  # in the plant's units, before bag changes
    pushes: dict[str, tuple[Any, Any]]  # rate in the plant's units, until when
    results: dict[str, tuple[Any, Any]]  # values and times, the newest first
    pending: dict[str, Any]
    drawn_at: Any
    ready: Any
    waiting: Any
    next: Any
    memory: Any


class Loop(eqx.Module):
    """One arm's settings and numbers; its functions are those of one patient at one step."""

    protocol: Any
    plant: AbstractModel
    observations: dict[str, Observation]
    measuring: dict[str, Measuring]
    delivery: Delivery
    interval: Any
    read: dict[str, Any]  # from the plant's unit to the protocol's
    clock: Clock
    intervals: tuple[tuple[str, float], ...] = eqx.field(static=True)
    time_unit: float = eqx.field(static=True)

    # ---- the truth -------------------------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        """Return the inputs of the plant, in their order."""
        return tuple(self.plant.quantities(self.plant.Input))

    def parameters(self, chart: Charts, time):
        """Return the values of a patient's parameters in the middle of a step, by name."""
        found = dict(chart.values)
        for name, interval in self.intervals:
            path = chart.paths[name]
            knot = jnp.floor((time + chart.elapsed[name]) / interval + _SAME).astype(int)
            found[name] = path[jnp.clip(knot, 0, path.shape[0] - 1)]
        return found

    def truth(self, chart: Charts, body, inputs, time):
        """Return the plant's outputs, by name."""
        values = self.parameters(chart, time)
        patient = self.plant.install(tuple(values), tuple(values.values()))
        output = patient.output(self.plant.State(*body), self.plant.Input(*inputs))
        return {name: getattr(output, name) for name in self.plant.quantities(self.plant.Output)}

    def inputs(self, chart: Charts, ward: Ward, time):
        """Return what reaches the patient during a step, (input,)."""
        reach, minutes, bags = [], self.clock.minutes, self.delivery
        for place, name in enumerate(self.names()):
            value = ward.given[name] if name in ward.given else chart.background[place]
            if name in bags.bag_every:
                since = jnp.mod(time, 60.0 * bags.bag_every[name])
                empty = jnp.clip(bags.bag_minutes[name] - since, 0.0, minutes) / minutes
                value = value * (1.0 - jnp.where(time >= 60.0 * bags.bag_every[name], empty, 0.0))
            value = value + chart.uncharted[place]
            if name in ward.pushes:
                rate, until = ward.pushes[name]
                value = value + rate * jnp.clip(until - time, 0.0, minutes) / minutes
            reach.append(value)
        return jnp.stack(reach)

    def live(self, chart: Charts, ward: Ward, inputs, time):
        """Carry the body over one step."""
        values = self.parameters(chart, time + 0.5 * self.clock.minutes)
        layout = Layout(len(inputs), False, self.clock.substeps, tuple(values))
        span = jnp.stack([time, jnp.asarray(self.clock.minutes, time.dtype)]) / self.time_unit
        row = jnp.concatenate([span, inputs, jnp.stack([jnp.asarray(v) for v in values.values()])])
        return flow(self.plant, FixedStep(), layout, ward.body, row)

    # ---- the bedside -----------------------------------------------------------------------------------------------

    def measure(self, chart: Charts, ward: Ward, inputs, time, key):
        """Draw a sample of everything the protocol reads, where one is due."""
        due = ~ward.waiting & (time >= ward.next - _SAME)
        truth = self.truth(chart, ward.body, inputs, time)
        pending, ready = {}, time
        for name in self.protocol.reads:
            if name not in truth:
                pending[name] = jnp.asarray(jnp.nan, float)
                continue
            how, own = self.measuring.get(name), jax.random.fold_in(key, zlib.crc32(name.encode()) & 0x7FFFFFFF)
            noise_key, late_key, lost_key = jax.random.split(own, 3)
            observation = self.observations[name]
            if how is not None and how.noise is not None:
                noise = how.noise
            else:
                sites = observation.sites(name)
                noise = observation.sized({f: chart.sizes[sites[f]] for f in observation.noise.unknowns()}).noise
            value = noise.distribution(truth[name]).sample(noise_key)
            value = jnp.clip(value, observation.lower, observation.upper)
            if how is not None:
                lost = jax.random.uniform(lost_key) < how.lost
                delay = how.earliest + (how.latest - how.earliest) * jax.random.uniform(late_key)
                value, ready = jnp.where(lost, jnp.nan, value), jnp.maximum(ready, time + delay)
            pending[name] = value * self.read[name]
        some = jnp.any(jnp.stack([~jnp.isnan(v) for v in pending.values()]))
        drawn = due & some
        ward = ward._replace(
            pending={n: jnp.where(drawn, v, ward.pending[n]) for n, v in pending.items()},
            drawn_at=jnp.where(drawn, time, ward.drawn_at),
            ready=jnp.where(drawn, ready, ward.ready),
            waiting=ward.waiting | drawn,
        )
        return ward, due

    def bedside(self, chart: Charts, ward: Ward, time) -> tuple[Bedside, dict[str, Any]]:
        """Return what the protocol sees, the pending results arrived."""
        results = {}
        for name, (values, times) in ward.results.items():
            new = ~jnp.isnan(ward.pending[name])
            pushed = jnp.roll(values, 1).at[0].set(ward.pending[name]), jnp.roll(times, 1).at[0].set(ward.drawn_at)
            results[name] = jnp.where(new, pushed[0], values), jnp.where(new, pushed[1], times)
        seen = {name: Seen(*pair) for name, pair in results.items()}
        return Bedside(time, seen, ward.charted, chart.covariates, ward.memory), results

    def decide(self, chart: Charts, ward: Ward, time, key):
        """Let the protocol decide for one patient."""
        bedside, results = self.bedside(chart, ward, time)
        orders = self.protocol.decide(bedside)
        works = jax.random.uniform(key) >= self.delivery.undelivered
        charted, given, pushes = dict(ward.charted), dict(ward.given), dict(ward.pushes)
        for name, value in orders.values.items():
            charted[name] = jnp.asarray(value, float)
            if name in given:
                kept = given[name] if self.plant.quantities(self.plant.Input)[name].setting else 0.0
                given[name] = jnp.where(works, charted[name] * chart.give[name], kept)
        for name, _, duration in orders.given:
            if name in pushes:
                rate, until = pushes[name]
                spread = jnp.maximum(duration, self.clock.minutes)
                amount = orders.amounts[name] * chart.bolus[name] * jnp.where(works, 1.0, 0.0)
                amount = amount + rate * jnp.maximum(until - time, 0.0)
                pushes[name] = amount / spread, jnp.where(amount > 0.0, time + spread, time)
        wait = jnp.maximum(orders.measure_in * self.interval, self.clock.minutes)
        after = ward._replace(
            charted=charted,
            given=given,
            pushes=pushes,
            results=results,
            waiting=jnp.zeros((), bool),
            next=jnp.asarray(time + wait, float),
            memory=jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), orders.state, ward.memory),
        )
        return after, (jnp.asarray(orders.rule, int), jnp.asarray(orders.cap, int))

    def begin(self, chart: Charts) -> Ward:
        """Return the ward of one patient before the first measurement."""
        nothing = jnp.full(HISTORY, jnp.nan), jnp.full(HISTORY, jnp.nan)
        zero, names = jnp.zeros(()), self.names()
        example_orders = self.protocol.example()
        return Ward(
            body=chart.state,
            solved=jnp.ones(()),
            charted={n: jnp.asarray(v, float) for n, v in chart.charted.items()},
            given={n: chart.background[names.index(n)] for n in self.protocol.gives if n in names},
            pushes={n: (zero, zero) for n, _, _ in example_orders.given if n in names},
            results=dict.fromkeys(self.protocol.reads, nothing),
            pending={n: jnp.asarray(jnp.nan) for n in self.protocol.reads},
            drawn_at=zero,
            ready=zero,
            waiting=jnp.zeros((), bool),
            next=zero,
            memory=jax.tree.map(jnp.asarray, self.protocol.start()),
        )


class Arm(eqx.Module):
    """A protocol as the loop uses it: a compiled one as data."""

    rule: AbstractProtocol

    @property
    def reads(self) -> Mapping[str, str]:
        """What it reads."""
        return self.rule.reads

    @property
    def gives(self) -> Mapping[str, str]:
        """What it gives."""
        return self.rule.gives

    def start(self) -> Any:
        """Return what it carries at first."""
        return self.rule.start()

    def example(self) -> Any:
        """Return the form of its orders."""
        return example(self.rule)

    def decide(self, bedside: Bedside) -> Any:
        """Decide for one patient."""
        return self.rule.decide(bedside)


class PlainArm(Arm):
    """A rule in plain Python, called back patient by patient."""

    rule: AbstractProtocol = eqx.field(static=True)

    def decide(self, bedside: Bedside) -> Any:
        """Leave the program, decide in Python, and come back."""
        form = jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), np.result_type(x)), self.example())

        def call(at: Bedside) -> Any:
            orders = self.rule.decide(jax.tree.map(np.asarray, at))
            return jax.tree.map(lambda x, like: np.asarray(x, like.dtype), orders, form)

        return jax.pure_callback(call, form, bedside, vmap_method="sequential")


def arm_of(protocol: AbstractProtocol) -> Arm:
    """Return a protocol as the loop uses it."""
    return Arm(protocol) if protocol.traceable else PlainArm(protocol)


@compiled
def run(loop: Loop, charts: Charts):
    """Run one arm on a batch of patients.

    Returns
    -------
    dict of arrays (step, patient)
        `truth`, by output, at the end of each step; `given` and `charted`, by input, during it; `drawn`, `rule` and
        `cap` (-1 where nothing was decided); and `seen`, the result that arrived, by variable.
    solved : (patient,)
    """
    over = jax.vmap

    def step(wards, i):
        time = i * jnp.asarray(loop.clock.minutes, float)
        keys = over(lambda key: jax.random.fold_in(key, i))(charts.keys)
        before = over(lambda c, w: loop.inputs(c, w, time))(charts, wards)
        wards, due = over(lambda c, w, u, k: loop.measure(c, w, u, time, k))(charts, wards, before, keys)
        now = wards.waiting & (time >= wards.ready - _SAME)

        def act(wards):
            decided, said = over(lambda c, w, k: loop.decide(c, w, time, jax.random.fold_in(k, 1)))(charts, wards, keys)
            chosen = jax.tree.map(lambda new, old: jnp.where(_like(now, new), new, old), decided, wards)
            return chosen, tuple(jnp.where(now, words, NEVER) for words in said)

        def rest(wards):
            never = jnp.full(now.shape, NEVER, jnp.asarray(0).dtype)
            return wards, (never, never)

        seen = {n: jnp.where(now, v, jnp.nan) for n, v in wards.pending.items()}
        wards, (rule, cap) = lax.cond(jnp.any(now), act, rest, wards)
        reach = over(lambda c, w: loop.inputs(c, w, time))(charts, wards)
        body, ok = over(lambda c, w, u: loop.live(c, w, u, time))(charts, wards, reach)
        wards = wards._replace(body=body, solved=wards.solved * ok)
        end = time + loop.clock.minutes
        truth = over(lambda c, b, u: loop.truth(c, b, u, end - _SAME))(charts, body, reach)
        given = {name: reach[:, place] for place, name in enumerate(loop.names())}
        return wards, {
            "truth": truth,
            "given": given,
            "charted": wards.charted,
            "seen": seen,
            "drawn": due,
            "rule": rule,
            "cap": cap,
        }

    wards = over(loop.begin)(charts)
    wards, told = lax.scan(step, wards, jnp.arange(loop.clock.steps))
    return told, wards.solved


def _like(now, leaf):
    return now.reshape(now.shape + (1,) * (leaf.ndim - 1))


@compiled
def states_at_first(plant: AbstractModel, values, background):
    """Return where each patient is when the model itself says so, (patient, state)."""

    def one(values, background):
        patient = plant.install(tuple(values), tuple(values.values()))
        return pack(patient.initial(plant.Input(*background)))

    return jax.vmap(one)(values, background)
