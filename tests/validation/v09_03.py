"""Stiff and large networks with default settings: solved, as accurate as very fine steps, and the choice said."""

import dataclasses
import math
import time
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

import twinprob as tp
from tests import petab_problems as petab
from tests.own_models import Shuttle, shuttle_record
from tests.validation import Result
from twinprob.inference.fit import posed

FINE = tp.Rosenbrock(rtol=1e-10, atol=1e-13, max_steps=200_000)
DRAWS = 16


class Robertson(tp.AbstractModel):
    """Robertson's kinetics: rates nine orders of magnitude apart (Hairer and Wanner, Solving ODEs II, IV.1)."""

    step = 1.0

    class State(eqx.Module):
        a: Array = tp.quantity("1")
        b: Array = tp.quantity("1")
        c: Array = tp.quantity("1")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        a: Array = tp.quantity("1", noise=tp.Observation(tp.Gaussian(additive=0.01)))
        c: Array = tp.quantity("1", noise=tp.Observation(tp.Gaussian(additive=0.01)))

    k1: float = tp.parameter(dist.LogNormal(math.log(0.04), 0.5), unit="1/min", source="test")
    k2: float = tp.parameter(dist.LogNormal(math.log(3e7), 0.5), unit="1/min", source="test")
    k3: float = tp.parameter(dist.LogNormal(math.log(1e4), 0.5), unit="1/min", source="test")

    def initial(self, inputs):
        return self.State(jnp.ones(()), jnp.zeros(()), jnp.zeros(()))

    def vector_field(self, time, state, inputs):
        slow, fast, back = self.k1 * state.a, self.k2 * state.b**2, self.k3 * state.b * state.c
        return self.State(a=back - slow, b=slow - back - fast, c=fast)

    def output(self, state, inputs):
        return self.Output(a=state.a, c=state.c)


LENGTH = 50


def _chain():
    """Return a chain of 50 compartments, each emptying into the next."""
    places = [f"x{i}" for i in range(LENGTH)]
    kind = types.new_class(
        "State",
        (eqx.Module,),
        exec_body=lambda space: space.update(
            {"__module__": __name__, "__annotations__": dict.fromkeys(places, Array)}
            | {name: tp.quantity("1") for name in places}
        ),
    )

    class Chain(tp.AbstractModel):
        """Fifty compartments in a row."""

        step = 1.0
        State = kind

        class Input(eqx.Module):
            pass

        class Output(eqx.Module):
            last: Array = tp.quantity("1", noise=tp.Observation(tp.Gaussian(additive=0.01)))

        rate: float = tp.parameter(dist.LogNormal(0.0, 0.3), unit="1/min", source="test")
        loss: float = tp.parameter(dist.LogNormal(math.log(0.01), 0.5), unit="1/min", source="test")

        def initial(self, inputs):
            return self.State(jnp.ones(()), *[jnp.zeros(())] * (LENGTH - 1))

        def vector_field(self, time, state, inputs):
            x = jnp.stack([getattr(state, name) for name in places])
            into = jnp.concatenate([jnp.zeros(1), self.rate * x[:-1]])
            change = into - (self.rate + self.loss) * x
            return self.State(*change)

        def output(self, state, inputs):
            return self.Output(last=state.x49)

    return Chain


def robertson_record():
    """Levels of Robertson's kinetics, from very fine steps."""
    times = np.array([0.5, 2.0, 10.0, 40.0, 200.0, 1000.0])
    run = tp.simulate(Robertson(), tp.Inputs(), np.array([0.0, *times]), integrator=FINE)
    seen = {name: (times, np.asarray(getattr(run.output, name))[1:], "1") for name in ("a", "c")}
    return tp.Record.build(seen, own=("a", "c"), start=0.0)


def chain_record():
    """What leaves the chain: with losses, an Erlang density in time."""
    times = np.array([20.0, 35.0, 50.0, 65.0, 80.0])
    logs = (LENGTH - 1) * np.log(times) - times - math.lgamma(LENGTH) - 0.01 * times
    return tp.Record.build({"last": (times, np.exp(logs), "1")}, own=("last",), start=0.0)


@eqx.filter_jit
def _densities(density, positions):
    return jax.lax.map(density.log_density, positions)


def one(model, record, nominal=None) -> dict:
    """Return how far the density with default settings is from that of very fine steps, at prior draws."""
    density, _, _, notes = posed(model, record, None, None, None)
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(1), DRAWS)
        positions = jnp.stack([density.draw_prior(key) for key in keys])
        if nominal is not None:
            positions = jnp.concatenate([density.unconstrain(nominal)[None], positions])
        found = np.asarray(_densities(density, positions))
        exact = np.asarray(_densities(dataclasses.replace(density, integrator=FINE), positions))
    solved, known = np.isfinite(found), np.isfinite(exact)
    # Where the data say next to nothing of a draw, its density is large and its relative error counts.
    off = np.abs(found - exact)[solved & known] / np.maximum(1.0, np.abs(exact[solved & known]) / 100.0)
    return {
        "integrator": repr(density.integrator),
        "said": list(notes),
        "solved": int(solved.sum()),
        "of": len(positions),
        "at nominal": None if nominal is None else float(found[0] - exact[0]),
        "worst": float(off.max()),
        "by draw": off.tolist(),
    }


def cost() -> dict:
    """Return seconds of a warm fit with the implicit integrator and with fixed steps."""
    record, seconds = shuttle_record(), {}
    for name, how in (("implicit", tp.Rosenbrock()), ("fixed", tp.FixedStep())):
        tp.fit(Shuttle(), record, key=jax.random.key(0), integrator=how)
        begun = time.perf_counter()
        tp.fit(Shuttle(), record, key=jax.random.key(1), integrator=how)
        seconds[name] = time.perf_counter() - begun
    return seconds


def measure() -> Result:
    """Each network in turn, then the cost."""
    rows = {
        "Robertson": one(Robertson(), robertson_record()),
        "chain of 50": one(_chain()(), chain_record()),
        "Boehm": one(petab.Boehm(), petab.boehm_record(), petab.BOEHM_NOMINAL),
        "Elowitz": one(petab.Elowitz(), petab.elowitz_record(), petab.ELOWITZ_NOMINAL),
    }
    seconds = cost()
    times = seconds["implicit"] / seconds["fixed"]
    solved = [name for name, row in rows.items() if row["solved"] == row["of"]]
    close = [name for name, row in rows.items() if row["worst"] < 2e-3]
    said = [name for name, row in rows.items() if row["said"] or "FixedStep(refine=1)" in row["integrator"]]
    counts = ", ".join(f"{name} {row['solved']} of {row['of']}" for name, row in rows.items())
    errors = ", ".join(f"{name} {row['worst']:.1e}" for name, row in rows.items())
    figure = (
        f"solved {counts}; density off by {errors}; choice said in {len(said)} of {len(rows)}; stiff fit "
        f"{seconds['implicit']:.1f} s, {times:.1f} × the fixed-step one"
    )
    holds = len(solved) == len(close) == len(said) == len(rows) and times <= 10.0
    return Result(figure, bool(holds), {"networks": rows, "seconds": seconds})
