"""A newcomer's first hour, the doubts: solves that fail, a model that cannot be, files, ArviZ."""

import math

import arviz_stats
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array

import twinprob as tp
from tests.cases import OWN
from tests.twins import small_forecast, small_twin

KEY = jax.random.key(0)
STAY = tp.load_example("icu_glucose", stay=3)
QUICK = tp.Laplace(starts=2, chains=2, draws=100, proposals=400)


class Explosive(tp.AbstractModel):
    """dx/dt = growth x²: beyond a growth that depends on where it begins, no solution reaches the end."""

    step = 1.0

    class State(eqx.Module):
        amount: Array = tp.quantity("1", "amount")

    class Input(eqx.Module):
        drive: Array = tp.quantity("1/min", "drive")

    class Output(eqx.Module):
        amount: Array = tp.quantity("1", "amount", noise=tp.Observation(tp.Gaussian(additive=5.0)))

    growth: float = tp.parameter(dist.LogNormal(math.log(0.0012), 0.8), unit="1/min", source="test")

    def initial(self, inputs):
        """Begin with ten."""
        return self.State(amount=jnp.asarray(10.0))

    def vector_field(self, time, state, inputs):
        """Grow by the square."""
        return self.State(amount=self.growth * state.amount**2)

    def output(self, state, inputs):
        """Show the amount."""
        return self.Output(amount=state.amount)


@pytest.fixture(scope="module")
def exploding():
    record = tp.Record.build({"amount": ([0.0, 20.0, 40.0], [10.0, 13.0, 17.0], "1")}, own=OWN)
    return tp.fit(Explosive(), record, key=KEY, method=QUICK)


def test_06_solves_that_fail_are_counted_and_said(exploding):
    ahead = tp.forecast(exploding, hours=3, key=KEY)
    assert ahead.solves_failed > 0
    assert f"{ahead.solves_failed} of them could not be solved" in repr(ahead)
    said = tp.risk(ahead, "amount > 40 1")
    assert said.failed == ahead.solves_failed
    assert "more could not be solved" in str(said)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: tp.fit(tp.models.metabolic.ICING, STAY, key=KEY), r"write `ICING\(\)`"),  # type: ignore[call-overload]
        (lambda: tp.fit(tp.models.metabolic.ICING(), STAY, key=0), r"jax\.random\.key"),
        (lambda: tp.forecast(small_twin(), hours="4 h", key=KEY), "hours=4"),
        (lambda: tp.risk(small_forecast(), "glucose < 4 mg/dL"), r"outside the plausible range.*check the"),
        (lambda: tp.models.metabolic.ICING().free("sensitivity"), "The nearest of 19 names: insulin_sensitivity"),
        (lambda: tp.risk(small_forecast(), "insulin < 4 mU/L"), "no variable `insulin`; did you mean `glucose`"),
        (lambda: tp.forcast, "nearest names: forecast"),
    ],
)  # fmt: skip
def test_07_first_mistakes_meet_an_error_with_its_remedy(call, says):
    with pytest.raises((TypeError, ValueError, AttributeError), match=says):
        call()


def test_07_a_bad_model_is_refused_by_name():
    class Unsaid(Explosive):
        growth: float = tp.parameter(dist.Normal(0.0, 1.0), unit="1/min", source="test")

        def vector_field(self, time, state, inputs):
            """Return something that is no state."""
            return state.amount

    with pytest.raises((TypeError, ValueError), match="Unsaid"):
        tp.fit(Unsaid(), tp.Record.build({"amount": ([0.0], [10.0], "1")}, own=OWN), key=KEY, method=QUICK)


def test_07_none_of_n_draws_is_an_upper_bound():
    said = str(tp.risk(small_forecast(), "glucose > 30 mmol/L"))
    assert "± 0.000" not in said
    assert "< 0.0" in said
    assert "none of" in said


def test_08_a_twin_comes_back_bit_for_bit(tmp_path):
    twin = small_twin()
    twin.save(tmp_path / "twin.nc")
    again = tp.load(tmp_path / "twin.nc")
    assert again.record == twin.record
    assert all(again.tree[name].to_dataset().identical(twin.tree[name].to_dataset()) for name in twin.tree.children)
    one, other = (tp.forecast(each, hours=1, key=KEY).group("predictions")["glucose"] for each in (twin, again))
    assert np.array_equal(one.values, other.values)


def test_09_arviz_takes_the_tree():
    frame = arviz_stats.summary(small_twin().tree, kind="stats")
    assert set(small_twin().model.unknowns()) <= {name.split("[")[0] for name in frame.index}
    assert np.isfinite(float(arviz_stats.ess(small_twin().tree)["endogenous_glucose_production"]))


def test_a_twin_and_a_forecast_sum_themselves_up_and_draw_themselves():
    twin, ahead = small_twin(), small_forecast()
    assert set(twin.model.unknowns()) <= set(twin.summary()["parameter"])
    assert {len(repr(noun).splitlines()) for noun in (twin, ahead)} == {5}
    assert "3 h ahead" in repr(ahead)
    assert len(twin.plot(target=(4.4, 8.0)).axes) == len(ahead.plot(twin=twin).axes)
