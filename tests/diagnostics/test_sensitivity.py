import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from tests.published_models import build
from tests.twins import small_twin
from twinprob import Inputs, Morris, Sobol
from twinprob.diagnostics import sensitivity
from twinprob.modeling.model import AbstractModel
from twinprob.presentation import plots

NOTHING = Inputs({})
TIMES = np.array([0.0, 30.0, 60.0, 120.0])
MEAN = {"gain": (0.5, 0.3), "slope": (0.04, 0.02), "first": (3.0, 1.0)}
RANGE = (-np.pi, np.pi)


def ramp() -> AbstractModel:
    """first + gain · slope · t: every share of its variance is known."""
    model = build("Ramp", "gain slope first", "x", lambda p, x, u: (p.gain * p.slope,), lambda p, x, u: (x.x,))
    start = type("Ramp", (type(model),), {"initial": lambda p, u: p.State(jnp.asarray(p.first)), "step": 30.0})
    return start().free(**{name: dist.Normal(*moments) for name, moments in MEAN.items()})


def ramp_shares(time):
    """First-order and total shares of gain, slope and first."""
    (m1, s1), (m2, s2), (_, s0) = MEAN.values()
    both = (s1 * s2 * time) ** 2
    alone = np.array([(m2 * s1 * time) ** 2, (m1 * s2 * time) ** 2, s0**2])
    whole = alone.sum() + both
    return alone / whole, (alone + np.array([both, both, 0.0])) / whole


def ishigami() -> AbstractModel:
    return build(
        "Ishigami", "a b c", "x", lambda p, x, u: (0.0 * x.x,),
        lambda p, x, u: (jnp.sin(p.a) + 7 * jnp.sin(p.b) ** 2 + 0.1 * p.c**4 * jnp.sin(p.a) + 0.0 * x.x,),
    )  # fmt: skip


@pytest.fixture(scope="module")
def shares():
    return sensitivity(ramp(), NOTHING, TIMES, method=Sobol(4096), key=jax.random.key(0))


@pytest.fixture(scope="module")
def effects():
    return sensitivity(ramp(), NOTHING, TIMES, method=Morris(), key=jax.random.key(0))


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize(("which", "name"), [(0, "first_order"), (1, "total_order")])
def test_shares_are_those_of_the_closed_form(which, name, time, shares):
    found, bounds = (shares.data[n].sel(output="y1", time=time) for n in (name, f"{name}_ci"))
    width = (bounds.sel(ci_bound="upper") - bounds.sel(ci_bound="lower")).values / (2 * 1.96)
    assert np.all(np.abs(found.values - ramp_shares(time)[which]) <= 5 * width + 1e-6)


# Closed form of Ishigami and Homma 1990 with a = 7, b = 0.1, doi:10.1109/ISUMA.1990.151285.
@pytest.mark.parametrize(
    ("name", "expected"), [("first_order", [0.3139, 0.4424, 0.0]), ("total_order", [0.5576, 0.4424, 0.2437])]
)
def test_shares_of_the_ishigami_function_are_the_published_ones(name, expected, key):
    within = dict.fromkeys("abc", RANGE)
    found = sensitivity(ishigami(), NOTHING, [0.0, 1.0], within=within, method=Sobol(4096), key=key)
    np.testing.assert_allclose(found.data[name].sel(output="y1").values[:, 0], expected, atol=0.03)


def test_a_linear_effect_is_the_slope_across_the_belief(effects):
    # On four levels a step goes from 0 to 2/3 or from 1/3 to 1, equally far for a symmetric belief.
    low, high = dist.Normal(0.0, MEAN["first"][1]).icdf(jnp.array([0.025, 0.025 + 0.95 * 2 / 3]))
    found = effects.data["mean_effect"].sel(output="y1", parameter="first", time=0.0)
    assert float(found) == pytest.approx(float(high - low) / (2 / 3))


def test_an_output_that_nothing_moves_has_no_shares(key):
    found = sensitivity(ramp().fix(first=1.0), NOTHING, [0.0, 60.0], method=Sobol(16), key=key)
    assert np.isnan(found.data["total_order"].sel(time=0.0)).all()


def test_dimensions_have_the_names_of_the_house(shares):
    assert shares.data["total_order_ci"].dims == ("output", "parameter", "time", "ci_bound")


@pytest.mark.parametrize(("method", "count"), [(Sobol(16), 16 * 5), (Morris(10), 10 * 4)])
def test_evaluations_are_counted(method, count, key):
    assert sensitivity(ramp(), NOTHING, TIMES, method=method, key=key).evaluations == count


def test_ranking_begins_with_what_matters_most(shares):
    mean = np.mean([ramp_shares(time)[1] for time in TIMES], axis=0)
    assert list(shares.ranking().index) == [tuple(MEAN)[i] for i in np.argsort(-mean)]


def test_the_same_key_gives_the_same_shares(key):
    found = [sensitivity(ramp(), NOTHING, TIMES, method=Sobol(16), key=key).data for _ in range(2)]
    assert found[0].equals(found[1])


def test_a_narrow_belief_takes_the_influence_away(key):
    within = {"slope": dist.Normal(0.04, 1e-6)}
    found = sensitivity(ramp(), NOTHING, TIMES, within=within, method=Sobol(256), key=key)
    assert float(found.data["total_order"].sel(parameter="slope").max()) < 1e-3


def exploding() -> AbstractModel:
    """Constant, unless the rate is above 0.1: then it leaves the numbers in a few minutes."""
    model = build(
        "Exploding", "rate size", "x",
        lambda p, x, u: (jnp.where(p.rate > 0.1, 1.2e29, 0.0) + 0.0 * x.x,), lambda p, x, u: (p.size * x.x,),
    )  # fmt: skip
    return model.free(rate=dist.Uniform(0.0, 0.11), size=dist.Uniform(0.5, 1.5))


@pytest.fixture(scope="module")
def exploded():
    return sensitivity(exploding(), NOTHING, [0.0, 10.0], method=Sobol(64), key=jax.random.key(2))


def test_failed_simulations_are_counted(exploded):
    assert 0 < exploded.failed < exploded.evaluations / 2


def test_failed_simulations_are_left_out(exploded):
    assert float(exploded.data["total_order"].sel(output="y1", parameter="rate", time=10.0)) == pytest.approx(0.0)


def test_a_prior_without_an_inverse_is_sampled(key):
    model = ramp().free(first=dist.MixtureSameFamily(dist.Categorical(jnp.ones(2) / 2), dist.Normal(jnp.arange(2.0))))
    assert float(sensitivity(model, NOTHING, [0.0, 1.0], method=Sobol(64), key=key).data["total_order"].max()) > 0.9


def test_a_twin_gives_its_posterior_marginals(key):
    twin = small_twin()
    times = np.array([0.0, 120.0, 240.0])
    within = [None, twin]
    spread = []
    for belief in within:
        found = sensitivity(
            twin.model,
            twin.record.inputs,
            times,
            within=belief,
            method=Morris(8),
            measured=twin.record.observations,
            key=key,
        )
        spread.append(float(found.data["mean_absolute_effect"].sel(time=240.0).max()))
    assert spread[1] < spread[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"within": {"gains": (0, 1)}}, "names `gains`, which is not unknown; did you mean `gain`"),
        ({"times": [5.0]}, "needs a later time than 5.0 min, at which"),
        ({"within": {"gain": (1.0, 1.0)}}, "range of `gain` in `within` must rise, but is from 1.0 to 1.0"),
    ],
)
def test_bad_settings_are_refused(options, message, key):
    with pytest.raises(ValueError, match=message):
        sensitivity(ramp(), NOTHING, **{"times": TIMES, **options}, key=key)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sobol(100), "must be a power of two such as 512, but is 100"),
        (lambda: Morris(levels=3), "`levels` of `Morris` must be even, such as 4, but is 3"),
    ],
)
def test_a_grid_that_cannot_be_made_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_model_without_unknowns_is_refused(key):
    known = ramp().fix(gain=1.0, slope=1.0, first=1.0)
    with pytest.raises(ValueError, match="has no unknown parameter"):
        sensitivity(known, NOTHING, TIMES, key=key)


def test_a_picture_of_shares_names_every_parameter(shares):
    lines = plots.sensitivity_over_time(shares).axes[0].get_legend_handles_labels()[1]
    assert set(lines) == set(MEAN)


def test_a_picture_of_effects_carries_the_unit(effects):
    assert plots.sensitivity_over_time(effects).axes[0].get_ylabel() == "effect on y1 (1)"


def test_a_picture_of_an_unknown_output_is_refused(shares):
    with pytest.raises(ValueError, match="no output `y2`"):
        plots.sensitivity_over_time(shares, "y2")


def test_text_names_the_greatest_first(shares):
    assert str(shares).splitlines()[1].startswith("  y1: first")
