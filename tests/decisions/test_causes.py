"""Causes of a change are weighed as a linear Gaussian model weighs them, and their parts add up."""

from functools import cache

import equinox as eqx
import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array
from scipy import stats

import twinprob as tp
from twinprob.decisions.causes import NOTHING, Cause, Explanation, explain
from twinprob.modeling.model import AbstractModel, parameter, quantity
from twinprob.modeling.observation import Gaussian, Observation
from twinprob.patient.record import Record

KEY, OWN, NOISE = jax.random.key(3), ("seen", "beside"), 0.5


class Flat(AbstractModel):
    """Nothing moves: a reading is the place plus noise, so that every evidence is that of a normal."""

    step = 10.0

    class State(eqx.Module):
        idle: Array = quantity("1", "idle")

    class Input(eqx.Module):
        pass

    class Output(eqx.Module):
        seen: Array = quantity("1", "place", noise=Observation(Gaussian(additive=NOISE)))
        beside: Array = quantity("1", "twice the place", noise=Observation(Gaussian(additive=NOISE)))

    place: float = parameter(dist.Normal(0.0, 1.0), unit="1", source="test")

    def initial(self, inputs):
        return self.State(idle=jax.numpy.zeros(()))

    def vector_field(self, time, state, inputs):
        return self.State(idle=0.0 * state.idle)

    def output(self, state, inputs):
        return self.Output(seen=self.place + 0.0 * state.idle, beside=2.0 * self.place + 0.0 * state.idle)


JUMP = Cause("the place moved", parameter="place", size=dist.Normal(0.0, 2.0))
ERROR = Cause("line error", output="seen", size=dist.Normal(0.0, 2.0))
ONCE = Cause("a wild reading", output="seen", size=dist.Normal(0.0, 2.0), once=True)
CAUSES, TIMES = (JUMP, ERROR, ONCE), 60.0 * np.arange(1, 4)


@cache
def twin():
    record = Record.build({"seen": ([0.0, -0.0 + 1e-3], [0.3, 0.1], "1")}, own=OWN, start=0.0)
    return tp.fit(Flat(), record, key=KEY)


def read(**values):
    end = twin().now
    return Record.build({n: (end + TIMES[: len(v)], v, "1") for n, v in values.items()}, own=OWN, start=end)


def exact(values):
    """Log evidences of nothing, a jump (equally seen as an error), and one wild reading, of readings of `seen`."""
    values, count = np.asarray(values), len(values)
    precision = 1.0 + 2 / NOISE**2
    mean, plain = 0.4 / NOISE**2 / precision, np.full((count, count), 1 / precision) + NOISE**2 * np.eye(count)
    dense = lambda extra: stats.multivariate_normal.logpdf(values, np.full(count, mean), plain + extra)  # noqa: E731
    # a jump in 10-minute rows: the first of the window begins with it, so it is in every hour's rows alike
    later = [(np.arange(count) >= hour).astype(float) for hour in range(count)]
    jump = np.mean([np.exp(dense(4.0 * np.outer(on, on))) for on in later])
    once = np.mean([np.exp(dense(4.0 * np.outer(on, on))) for on in np.eye(count)])
    return np.array([dense(0.0), np.log(jump), np.log(jump), np.log(once)])


@pytest.mark.parametrize("values", [[0.2, 0.1, 0.3], [0.2, 3.0, 3.1], [0.1, 2.5, 0.2]])
def test_evidences_are_those_of_normals(values):
    found = explain(twin(), read(seen=values), CAUSES, key=KEY, particles=16384)
    assert np.all(np.abs(found.log_evidences - exact(values)) < 4 * found.errors + 0.1)
    assert found.probabilities.sum() == pytest.approx(1.0)


def test_what_cannot_be_told_apart_is_not_picked_and_what_can_is_named():
    alike = explain(twin(), read(seen=[0.2, 3.5, 3.6]), (JUMP, ERROR), key=KEY)
    assert set(alike.candidates()) == {"the place moved", "line error"}
    assert "cannot tell between" in str(alike)
    told = explain(twin(), read(seen=[0.2, 3.5, 3.6], beside=[0.4, 7.0, 7.2]), (JUMP, ERROR), key=KEY)
    assert told.candidates() == ("the place moved",)
    wrong = explain(twin(), read(seen=[0.2, 3.5, 3.6], beside=[0.4, 0.1, 0.3]), (JUMP, ERROR), key=KEY)
    assert wrong.candidates() == ("line error",)


def test_without_a_change_none_is_named():
    assert explain(twin(), read(seen=[0.2, 0.1, 0.3]), CAUSES, key=KEY).candidates() == (NOTHING,)


def test_parts_add_up_in_every_draw_and_hold_the_truth():
    found = explain(twin(), read(seen=[0.2, 3.5, 3.6], beside=[0.4, 7.0, 7.2]), (JUMP, ERROR), key=KEY)
    for name in ("seen", "beside"):
        np.testing.assert_allclose(found.parts[name].sum(axis=1), found.changes[name], atol=1e-6)
    middle, low, high = found.split("seen")["the place moved"]
    assert low < 3.35 < high
    assert middle == pytest.approx(3.3, abs=0.4)


@pytest.mark.parametrize(
    ("causes", "says"),
    [
        ((), "causes"),
        ((JUMP, JUMP), "words of their own"),
        ((Cause("other", parameter="plase"),), "did you mean `place`"),
        ((Cause("other", input="drip"),), "none of the twin's"),
    ],
)
def test_what_is_no_bank_of_causes_is_refused(causes, says):
    with pytest.raises(ValueError, match=says):
        explain(twin(), read(seen=[0.2]), causes, key=KEY)


def test_the_error_of_a_probability_follows_from_those_of_the_evidences():
    logs, errors = np.log([2.0, 1.0, 0.5]), np.array([0.02, 0.05, 0.1])
    share = lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)  # noqa: E731
    found = Explanation(("nothing changed", "a", "b"), share(logs), logs, errors, {}, {})
    drawn = share(logs + errors * np.random.default_rng(0).standard_normal((200_000, 3))).std(axis=0)
    assert found.probability_errors == pytest.approx(drawn, rel=0.02)
