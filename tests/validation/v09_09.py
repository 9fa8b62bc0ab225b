"""A modeler's usual mistakes, each answered by one sentence that names it and its remedy; and the page."""

import math
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

import twinprob as tp
from tests import ROOT
from tests.test_docs import python_blocks
from tests.validation import Result

RATE = dist.LogNormal(-3.0, 0.5)
FEED = tp.Inputs.infusions("feed", [0.0], [5.0], [1.0], "mmol/min", own=("feed",))
NOISE = tp.Observation(tp.Gaussian(additive=0.1))
KEY = jax.random.key(0)
SMALL = tp.Laplace(draws=50, proposals=300)


def tank(noise=NOISE, prior=RATE, name="rate", field=None, first=None, returns=None, lag=None):
    """Return a model class of one compartment with one mistake in it."""

    class State(eqx.Module):
        amount: Array = tp.quantity("mmol")

    class Input(eqx.Module):
        feed: Array = tp.quantity("mmol/min", lag=lag)

    class Output(eqx.Module):
        level: Array = tp.quantity("mmol/L", noise=noise)

    def vector_field(self, time, state, inputs):
        change = inputs.feed - getattr(self, name) * state.amount if field is None else field(self, state.amount)
        return self.State(amount=change) if returns is None else returns(change)

    space = {
        "__module__": __name__,
        "__doc__": "A tank.",
        "__annotations__": {name: float},
        "step": 5.0,
        "State": State,
        "Input": Input,
        "Output": Output,
        name: tp.parameter(prior, unit="1/min", source="setting"),
        "initial": lambda self, inputs: self.State(amount=jnp.zeros(()) if first is None else first),
        "vector_field": vector_field,
        "output": lambda self, state, inputs: self.Output(level=state.amount / 10.0),
    }
    return type("Tank", (tp.AbstractModel,), space)


def run(model):
    """Simulate a tank."""
    return tp.simulate(model, FEED, [30.0, 60.0])


def record(levels=(0.2, 0.1), times=(30.0, 60.0), **more):
    """Two levels."""
    return tp.Record.build({"level": (times, levels, "mmol/L", *more.values())}, FEED, own=("level", "feed"))


def fitted(model):
    """Fit a tank."""
    return tp.fit(model, record(), key=KEY, method=SMALL)


TRUNCATED = dist.TruncatedNormal(0.0, 1.0, low=0.3)
MISTAKES = {
    "a parameter called `unknown`": lambda: tank(name="unknown"),
    "a parameter called `prior`": lambda: tank(name="prior"),
    "a parameter called `step`": lambda: tank(name="step"),
    "an output without noise, fitted": lambda: fitted(tank(noise=None)()),
    "a bare noise in place of an observation": lambda: tank(noise=tp.Gaussian(additive=0.1)),
    "a state that is an array": lambda: run(tank(first=jnp.zeros(3))()),
    "a tuple returned": lambda: run(tank(returns=lambda change: (change,))()),
    "nothing returned": lambda: run(tank(returns=lambda change: None)()),
    "a prior without a median, simulated": lambda: run(tank(prior=TRUNCATED)()),
    "a prior that is a number": lambda: tank(prior=0.5),
    "a prior of whole numbers": lambda: tank(prior=dist.Poisson(3.0)),
    "a prior of several numbers": lambda: tank(prior=dist.Normal(np.zeros(2), 1.0)),
    "`math` in the equations": lambda: run(tank(field=lambda self, x: math.exp(-x))()),
    "`if` in the equations": lambda: run(tank(field=lambda self, x: x if x > 1.0 else 1.0)()),
    "a class in place of a model": lambda: run(tank()),
    "a lag that is no parameter": lambda: tank(lag="late"),
    "a side of a limit that is none": lambda: record(limits=[0.5, 0]),
    "a detection limit that is a text": lambda: tp.Observation(tp.Gaussian(additive=0.1), lower="0.1"),  # type: ignore[arg-type]
    "replicates not said to be some": lambda: record((0.2, 0.3), (30.0, 30.0)),
    "an update of one of several experiments": lambda: tp.update(
        tp.fit(tank()(), {"A": record(), "B": record()}, key=KEY, method=SMALL)["A"],
        record((0.1,), (90.0,)),
        key=KEY,
    ),
}


def answered(mistake) -> tuple[bool, str]:
    """Return whether a mistake is answered by one sentence of ours, and what is said."""
    try:
        mistake()
    except (ValueError, TypeError, RuntimeError) as error:
        said = str(error)
        ours = "\n" not in said and len(said) < 420 and said.endswith((".", "`.")) and re.search(r"[:;,]", said)
        return bool(ours), said
    return False, "nothing is said"


def quiet() -> dict[str, bool]:
    """Return what is no mistake and passes without a word, or is put right."""
    early = np.asarray(run(tank(prior=dist.LogNormal(math.log(0.05), 0.5))()).output.level)
    medians = {type(p).__name__: tank(prior=p)().rate for p in (dist.HalfCauchy(2.0), dist.LogUniform(0.01, 4.0))}
    how = tp.Observation(tp.StudentT(additive=0.1, df=np.float64(4.0)), lower=jnp.asarray(0.01))  # type: ignore[arg-type]
    exact = (1 - math.exp(-0.25)) / 0.05 * math.exp(-0.05 * 25.0) / 10.0
    sizes = tank(noise=tp.Observation(tp.Gaussian(additive=dist.HalfNormal(1.0))))
    levels = np.asarray(run(sizes(rate=0.05)).output.level) * [1.001, 0.999]
    twin = tp.fit(sizes(), record(levels), key=KEY, method=SMALL)
    return {
        "a dose at 0, first report at 30 min": bool(abs(early[0] - exact) < 1e-4),
        "HalfCauchy and LogUniform at their medians": bool(
            abs(medians["HalfCauchy"] - 2.0) < 1e-9 and abs(medians["LogUniform"] - 0.2) < 1e-9
        ),
        "limits of other libraries": type(how.lower) is float,
        "no size near zero without a path": not any("near zero" in f.subject for f in tp.diagnose(twin).findings),
        "a class saved from `__main__`": _saved_from_main(),
        "replicates that are said to be some": len(
            tp.Record.build(
                {"level": ([30.0, 30.0], [0.2, 0.2], "mmol/L")}, FEED, own=("level", "feed"), replicates=("level",)
            )
            .observations["level"]
            .times
        )
        == 2,
    }


def _saved_from_main() -> bool:
    """Whether a twin of a class of `__main__` is loaded in another process where the class is of `__main__` too."""
    blocks = python_blocks("docs/add_a_model.md")
    model = blocks[0]
    given = """
        given = tp.Inputs.infusions("drug", [0.0], ["6 h"], [20.0], "mg/h", own=("drug",))
        seen = {"concentration": ([120.0, 360.0], [1.0, 2.0], "mg/L")}
        record = tp.Record.build(seen, given, own=("concentration", "drug"))
        twin = tp.fit(OneCompartment(), record, key=jax.random.key(0), method=tp.Laplace(draws=50, proposals=300))
        twin.save("main.nc")
    """
    with tempfile.TemporaryDirectory() as folder:
        saved = _python(model + textwrap.dedent(given), folder)
        loaded = _python(model + 'assert tp.load("main.nc", model=OneCompartment).draws == 200\n', folder)
    return saved and loaded


def _python(code: str, folder) -> bool:
    environment = {**os.environ, "TWINPROB_SMALL": "1", "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    if run.returncode:
        print(run.stderr[-2000:])
    return run.returncode == 0


def measure() -> Result:
    """Each mistake in turn, what passes, and the page."""
    said = {name: answered(mistake) for name, mistake in MISTAKES.items()}
    passed = quiet()
    page = (Path(ROOT) / "docs/add_a_model.md").read_text(encoding="utf-8")
    shown = all(word in page for word in ('"low": experiment', "lag=", "replicates=", "meter="))
    with tempfile.TemporaryDirectory() as folder:
        ran = _python("\n".join(python_blocks("docs/add_a_model.md")), folder)
    right, fine = sum(ok for ok, _ in said.values()), sum(passed.values())
    figure = (
        f"{right} of {len(said)} mistakes answered by one sentence, {fine} of {len(passed)} that are none pass; the "
        f"page shows two experiments, a lag, replicates and a shared noise, and its code {'runs' if ran else 'fails'}"
    )
    holds = right == len(said) and fine == len(passed) and shown and ran
    details = {"said": {name: text for name, (_, text) in said.items()}, "passed": passed}
    details["not one sentence"] = [name for name, (ok, _) in said.items() if not ok]
    return Result(figure, bool(holds), details)
