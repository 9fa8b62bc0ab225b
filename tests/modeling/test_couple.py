"""Joined models: the whole is what one would have written by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.flatten_util import ravel_pytree

import twinprob as tp
from twinprob.inference.joint import joint


class Basin(tp.AbstractModel):
    """Water that drains, in minutes."""

    time_unit = "min"
    step = 2.0

    class State(eqx.Module):
        """One."""

        water: jax.Array = tp.quantity("mL")

    class Input(eqx.Module):
        """Poured, and how steep the floor is where nobody says."""

        pour: jax.Array = tp.quantity("mL/min")
        slope: jax.Array = tp.quantity("1", default=1.0)

    class Output(eqx.Module):
        """What runs off."""

        runoff: jax.Array = tp.quantity("mL/min", noise=tp.Observation(tp.Gaussian(additive=0.5)))

    rate: float = tp.parameter(dist.LogNormal(-2.0, 0.3), unit="1/min", source="made up")
    full: float = tp.parameter(
        lambda model: dist.LogNormal(jnp.log(model.size), 0.1), unit="mL", source="made up", value=50.0
    )
    size: float = tp.covariate("mL", value=60.0)

    def initial(self, inputs):
        return self.State(jnp.asarray(self.full))

    def vector_field(self, time, state, inputs):
        return self.State(inputs.pour - self.rate * inputs.slope * state.water)

    def output(self, state, inputs):
        return self.Output(self.rate * inputs.slope * state.water)


class Wheel(tp.AbstractModel):
    """A wheel driven by water, in hours."""

    time_unit = "h"
    step = 0.1

    class State(eqx.Module):
        """One."""

        speed: jax.Array = tp.quantity("1")

    class Input(eqx.Module):
        """What drives it."""

        stream: jax.Array = tp.quantity("L/h")

    class Output(eqx.Module):
        """How fast it turns."""

        speed: jax.Array = tp.quantity("1", noise=tp.Observation(tp.Gaussian(additive=0.02)))

    rate: float = tp.parameter(dist.LogNormal(0.5, 0.3), unit="1/h", source="made up")

    def initial(self, inputs):
        return self.State(inputs.stream)

    def vector_field(self, time, state, inputs):
        return self.State(self.rate * (inputs.stream - state.speed))

    def output(self, state, inputs):
        return self.Output(state.speed)


LINKS = {"stream": "runoff"}


@pytest.fixture(scope="module")
def whole():
    return tp.couple(Basin(), Wheel(), links=LINKS)


def closed_form(t, a, full, b, pour):
    """Return the wheel's speed for constant pouring from t = 0: the solution of the two linear equations."""
    # runoff in L/h: u(t) = .06 [pour + (a full - pour) exp(-a t)]
    steady, excess = 0.06 * pour, 0.06 * (a * full - pour)
    first = 0.06 * a * full
    lag = b / 60.0
    return (
        steady
        + excess * lag / (lag - a) * np.exp(-a * t)
        + (first - steady - excess * lag / (lag - a)) * np.exp(-lag * t)
    )


def test_the_whole_follows_the_closed_form_of_both_equations_with_units_and_time_converted(whole):
    patient = whole.fix(basin_rate=0.1, full=50.0, wheel_rate=1.5)
    times = np.array([0.0, 7.0, 30.0, 90.0])
    found = tp.simulate(patient, tp.Inputs.constant(pour=(3.0, "mL/min"), own=("pour",)), times=times)
    speed = np.asarray(found.output.speed)
    assert np.allclose(speed, closed_form(times, 0.1, 50.0, 1.5, 3.0), rtol=2e-4)


def test_the_whole_steps_as_finely_as_its_finest_part(whole):
    assert whole.step == pytest.approx(min(2.0, 60 * 0.1))  # min, the time unit of the first part


def test_names_that_two_parts_use_carry_their_class_and_others_stay(whole):
    assert list(whole.parameters()) == ["basin_rate", "full", "wheel_rate"]
    assert list(whole.quantities(whole.Input)) == ["pour", "slope"]
    assert whole.unknowns() == ("basin_rate", "full", "wheel_rate")
    assert list(whole.covariates()) == ["size"]


def test_a_prior_that_reads_the_patient_reads_the_part():
    whole = tp.couple(Basin(size=80.0), Wheel(), links=LINKS)
    assert float(whole.prior("full").loc) == pytest.approx(np.log(80.0))
    record = tp.Record.build(
        {"speed": ([0.0], [1.0], "1")}, tp.Inputs({}), {"size": (33.0, "mL")}, own=("speed", "size")
    )
    assert float(joint(whole, record).model.prior("full").loc) == pytest.approx(np.log(33.0))


def test_what_is_fixed_free_or_moving_in_a_part_is_so_in_the_whole():
    moving = tp.RandomWalk(sd=0.1, every="1 h")
    whole = tp.couple(
        Basin().fix(full=40.0).free(rate=dist.LogNormal(-1.0, 0.1)), Wheel().vary(rate=moving), links=LINKS
    )
    assert whole.unknowns() == ("basin_rate", "wheel_rate")
    assert whole.part(0).full == 40.0  # type: ignore[attr-defined]
    assert whole.prior("basin_rate").loc == -1.0
    assert whole.processes() == {"wheel_rate": moving}


def test_one_joint_posterior_has_exact_gradients(whole):
    record = tp.Record.build(
        {"speed": ([10.0, 60.0], [0.2, 0.18], "1"), "runoff": ([20.0], [3.1], "mL/min")},
        tp.Inputs.constant(pour=(3.0, "mL/min"), own=("pour",)),
        own=("speed", "runoff", "pour"),
    )
    density = joint(whole, record)
    position, steps = np.asarray(density.draw_prior(jax.random.key(1))), 1e-6 * np.eye(density.size)
    both = jax.jit(jax.vmap(jax.value_and_grad(density.log_density)))
    values, slopes = both(jnp.asarray([*(position + steps), *(position - steps), position]))
    for slope, above, below in zip(slopes[-1], values[: density.size], values[density.size : -1], strict=True):
        assert float(slope) == pytest.approx(float(above - below) / 2e-6, rel=1e-5, abs=1e-6)


def test_an_input_that_nobody_gave_has_its_declared_default():
    times = np.array([0.0, 20.0])
    plain = tp.simulate(
        Basin().fix(rate=0.1, full=50.0),
        tp.Inputs.constant(pour=(0.0, "mL/min"), own=("pour",)),
        times=times,
    )
    assert np.asarray(plain.output.runoff)[1] == pytest.approx(5.0 * np.exp(-2.0), rel=1e-3)


def test_the_same_parts_and_links_give_the_same_class(whole):
    assert type(whole) is type(tp.couple(Basin(), Wheel(), links=LINKS))
    assert type(whole) is not type(tp.couple(Basin(), Wheel(), links={}))


def test_a_twin_of_a_whole_is_saved_and_loaded_bit_for_bit(whole, tmp_path):
    record = tp.Record.build(
        {"speed": ([10.0, 60.0], [0.2, 0.18], "1")},
        tp.Inputs.constant(pour=(3.0, "mL/min"), own=("pour",)),
        own=("speed", "pour"),
    )
    twin = tp.fit(whole, record, key=jax.random.key(0))
    twin.save(tmp_path / "twin.nc")
    again = tp.load(tmp_path / "twin.nc", own=(Basin, Wheel))
    assert type(again.model) is type(whole)
    assert np.array_equal(ravel_pytree(again.model)[0], ravel_pytree(twin.model)[0])
    ahead = [tp.forecast(one, hours=1, key=jax.random.key(2)) for one in (twin, again)]
    assert np.array_equal(*(one.group("predictions")["speed"] for one in ahead))


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ({"strea": "runoff"}, "`links` drives `strea`, which is no input of any part; did you mean `stream`"),
        ({"stream": "runof"}, "linked to `runof`, which no earlier part puts out; did you mean `runoff`"),
        ({"pour": "speed"}, "Input `pour` of `Basin` is linked to `speed`, which no earlier part puts out"),
        ({}, None),
    ],
)
def test_a_link_that_leads_nowhere_is_named(links, message):
    if message is None:
        assert "stream" in tp.couple(Basin(), Wheel(), links=links).quantities(
            type(tp.couple(Basin(), Wheel(), links=links)).Input
        )
        return
    with pytest.raises(ValueError, match=message.replace("`", ".")):
        tp.couple(Basin(), Wheel(), links=links)


def test_units_that_do_not_measure_the_same_are_refused():
    class Clock(Wheel):
        class Input(eqx.Module):
            """In a unit that no flow has."""

            stream: jax.Array = tp.quantity("mmHg")

    with pytest.raises(ValueError, match="Input `stream` of `Clock` is in mmHg, but output `runoff` is in mL/min"):
        tp.couple(Basin(), Clock(), links=LINKS)
