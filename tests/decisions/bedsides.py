"""A bedside made by hand, one decision after another."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from twinprob.decisions import Bedside, Seen


class Ward:
    """A patient whose measurements are typed in: keeps clock, history, what runs, and the protocol's state."""

    def __init__(self, protocol, running=None, **covariates):
        self.protocol, self.state, self.clock = protocol, protocol.start(), 0.0
        self.running = dict.fromkeys(protocol.gives, 0.0) | (running or {})
        self.covariates = covariates
        self.history = {name: ([np.nan] * 4, [np.nan] * 4) for name in protocol.reads}
        self.orders: Any = None
        self.decide = jax.jit(lambda bedside: protocol.decide(bedside))

    def bedside(self):
        measured = {n: Seen(jnp.asarray(v), jnp.asarray(t)) for n, (v, t) in self.history.items()}
        running = {name: jnp.asarray(float(value)) for name, value in self.running.items()}
        covariates = {name: jnp.asarray(float(value)) for name, value in self.covariates.items()}
        return Bedside(jnp.asarray(self.clock), measured, running, covariates, self.state)

    def at(self, clock, **values):
        """Measure and decide; return what was ordered, with names."""
        self.clock = float(clock)
        for name, value in values.items():
            seen, times = self.history[name]
            self.history[name] = ([float(value), *seen[:3]], [self.clock, *times[:3]])
        self.orders = self.decide(self.bedside())
        self.state = self.orders.state
        self.running |= {name: float(value) for name, value in self.orders.values.items()}
        return self

    @property
    def rule(self):
        return self.protocol.Rule(int(self.orders.rule)).name

    @property
    def cap(self):
        return self.protocol.Cap(int(self.orders.cap)).name

    @property
    def again(self):
        return float(self.orders.measure_in)

    def given(self, name):
        return float(self.orders.amounts[name])
