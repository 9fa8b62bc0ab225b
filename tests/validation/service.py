"""What the lines about a service that lives long share: a user's model, records of many lengths, what was compiled."""

import collections
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

import twinprob as tp

OWN = ("concentration", "dose")


class Clearance(tp.AbstractModel):
    """A drug in one compartment whose volume goes with the patient's weight: what a user writes."""

    step = 5.0

    class State(eqx.Module):
        """What changes."""

        amount: Array = tp.quantity("mg", "drug in the body")

    class Input(eqx.Module):
        """What is given."""

        dose: Array = tp.quantity("mg/min", "infused drug")

    class Output(eqx.Module):
        """What is measured."""

        noise = tp.Observation(tp.Gaussian(relative=0.08))
        concentration: Array = tp.quantity("mg/L", "drug in plasma", noise=noise)

    clearance: float = tp.parameter(
        dist.LogNormal(np.log(0.1), 0.4),
        unit="L/min",
        source="setting of this validation",
        varies=tp.OrnsteinUhlenbeck(sd=0.3, timescale="12 h", every="1 h"),
    )
    volume: float = tp.parameter(dist.LogNormal(np.log(0.4), 0.3), unit="L/kg", source="setting of this validation")
    weight: float = tp.covariate("kg", value=70.0)

    def initial(self, inputs):
        """Begin without any."""
        return self.State(amount=jnp.asarray(0.0))

    def vector_field(self, time, state, inputs):
        """Give and clear."""
        return self.State(amount=inputs.dose - self.clearance / (self.volume * self.weight) * state.amount)

    def output(self, state, inputs):
        """Measure in plasma."""
        return self.Output(concentration=state.amount / (self.volume * self.weight))


def glucose(number: int, hours: float, every: float) -> tp.Record:
    """Return a made-up stay on insulin of so many hours, with its own weight and times of measurement."""
    chance = np.random.default_rng(6100 + number)
    times = _times(hours, every, chance)
    values = np.clip(8.0 + np.cumsum(chance.normal(0.0, 0.3, len(times))), 4.5, 13.0)
    changes = np.arange(0.0, 60.0 * hours, 240.0)
    ends = np.append(changes[1:], np.inf)
    given = tp.Inputs.infusions("insulin", changes, ends, chance.uniform(0.0, 4.0, len(changes)), "U/h")
    feed = chance.uniform(0.2, 0.9, len(changes))
    given = given | tp.Inputs.infusions("enteral_glucose", changes, ends, feed, "mmol/min")
    weight = (float(chance.uniform(50, 110)), "kg")
    return tp.Record.build({"glucose": (times, values, "mmol/L")}, given, {"weight": weight}, start=0, end=60.0 * hours)


def drug(number: int, hours: float, every: float) -> tp.Record:
    """Return a made-up record of the user's model."""
    chance = np.random.default_rng(6200 + number)
    times, weight = _times(hours, every, chance), float(chance.uniform(50, 110))
    level = 10.0 * (1.0 - np.exp(-times / (4 * weight))) + 0.1
    values = level * np.exp(np.cumsum(chance.normal(0.0, 0.04, len(times))))
    changes = np.arange(0.0, 60.0 * hours, 360.0)
    rates = chance.uniform(0.8, 1.2, len(changes))
    given = tp.Inputs.infusions("dose", changes, np.append(changes[1:], np.inf), rates, "mg/min", own=OWN)
    seen = {"concentration": (times, values, "mg/L")}
    return tp.Record.build(seen, given, {"weight": (weight, "kg")}, own=OWN, start=0, end=60.0 * hours)


def _times(hours: float, every: float, chance) -> np.ndarray:
    whole = np.arange(every, hours + 1e-9, every) * 60.0
    return whole - np.floor(chance.uniform(0.0, 10.0, len(whole)))


@dataclass
class Compiled:
    """What was compiled: how often by function, and how long it took, tracing and lowering included."""

    functions: collections.Counter = field(default_factory=collections.Counter)
    seconds: float = 0.0


_LISTENING: list[Compiled] = []


def _hear(event: str, duration_secs: float, **about: str | int) -> None:
    for one in _LISTENING:
        if event.startswith("/jax/core/compile/"):
            one.seconds += duration_secs
        if event == "/jax/core/compile/backend_compile_duration":
            one.functions[str(about.get("fun_name", "?")).removeprefix("jit(").removesuffix(")")] += 1


@cache
def _listen() -> None:
    """Ask JAX once: it calls every listener it was ever given."""
    jax.monitoring.register_event_duration_secs_listener(_hear)


@contextmanager
def compiling() -> Iterator[Compiled]:
    """Count what JAX compiles meanwhile."""
    _listen()
    found = Compiled()
    _LISTENING.append(found)
    try:
        yield found
    finally:
        _LISTENING.remove(found)


def maps() -> int:
    """Return how many memory maps this process has."""
    return len(Path("/proc/self/maps").read_bytes().splitlines())


def resident() -> float:
    """Return the memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def most_resident() -> float:
    """Return the most memory this process ever had in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def clock() -> float:
    """Return the time in seconds."""
    return time.perf_counter()
