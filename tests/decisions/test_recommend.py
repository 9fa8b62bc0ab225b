"""Risks and costs are those of the draws by hand; what may not be recommended is not, and the reason is told."""

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array
from scipy import stats

import twinprob as tp
from tests.twins import small_twin
from twinprob.decisions import abstention
from twinprob.decisions.goal import sized
from twinprob.diagnostics.determination import NOT_DETERMINED
from twinprob.forecasting.alternatives import alternatives
from twinprob.inference.outcomes import GROUP, Outcomes
from twinprob.labels import tree
from twinprob.modeling.model import AbstractModel, parameter, quantity
from twinprob.modeling.observation import Gaussian, Observation
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record, Series

DECAY = 0.01  # 1/min
OWN = ("level", "drive", "potassium")
KEY = jax.random.key(3)
GOAL = tp.Goal("level", "4 to 6 mmol/L", below=4.0, above=1.0)
LIMIT = "level < 3 mmol/L"


class Drip(AbstractModel):
    """dx/dt = -decay x + supply - gain drive: more drive, lower level."""

    step = 5.0

    class State(eqx.Module):
        level: Array = quantity("mmol/L", "level")

    class Input(eqx.Module):
        drive: Array = quantity("U/h", "drive")

    class Output(eqx.Module):
        level: Array = quantity("mmol/L", "level", noise=Observation(Gaussian(additive=0.3)))

    supply: float = parameter(dist.Normal(0.08, 0.03), unit="mmol/L/min", source="test")
    gain: float = parameter(dist.LogNormal(-4.0, 0.7), unit="mmol/L/min/(U/h)", source="test")
    first: float = parameter(dist.Normal(8.0, 2.0), unit="mmol/L", source="test")

    def initial(self, inputs):
        return self.State(level=jnp.asarray(self.first))

    def vector_field(self, time, state, inputs):
        return self.State(level=-DECAY * state.level + self.supply - self.gain * inputs.drive)

    def output(self, state, inputs):
        return self.Output(level=state.level)


def record(changed=True, drive=1.0, supply=0.08):
    """Eight hours of hourly levels; where `changed`, the drive began at two hours."""
    chance, times = np.random.default_rng(1), 60.0 * np.arange(9)
    rates = np.where(times >= 120.0, drive, 0.0) if changed else np.full(9, drive)
    x, values = 8.0, []
    for rate in rates:
        values.append(x + 0.3 * chance.standard_normal())
        x = x * np.exp(-60 * DECAY) + (supply - 0.02 * rate) / DECAY * (1 - np.exp(-60 * DECAY))
    start = 120.0 if changed else -np.inf
    return Record.build(
        {"level": (times, values, "mmol/L")}, Inputs.infusions("drive", start, np.inf, drive, "U/h", own=OWN), own=OWN
    )


@cache
def drip():
    return tp.fit(Drip(), record(), key=jax.random.key(0))


def asked(twin=None, candidates=None, **changes):
    asked = {"goal": GOAL, "limits": {LIMIT: 0.05}, "key": KEY, "hours": 3.0} | changes
    return tp.recommend(drip() if twin is None else twin, candidates or tp.grid(drive="0 to 4 U/h by 0.5"), **asked)


@cache
def usual():
    return asked()


def by_hand(twin, rate, hours=3.0):
    """Levels (draw, time) every ten minutes under a constant drive, in closed form."""
    posterior, state = twin.group("posterior"), twin.group("state")
    supply, gain, x = (v.values.ravel()[:, None] for v in (posterior["supply"], posterior["gain"], state["level"]))
    t = 10.0 * np.arange(1, round(6 * hours) + 1)
    return x * np.exp(-DECAY * t) + (supply - gain * rate) / DECAY * (1 - np.exp(-DECAY * t))


# ---- forecasts -------------------------------------------------------------------------------------------------------


def test_each_of_many_plans_goes_as_a_forecast_of_it_alone():
    twin = small_twin()
    times = twin.now + np.array([30.0, 60.0, 120.0])
    plans = [tp.plan(twin, insulin=text) for text in ("0 U/h", ["2 U/h at +20 min", "1 U/h at +70 min"], "5 U")]
    found = alternatives(twin, plans, times, key=KEY)
    assert found.solved.all()
    for place, plan in enumerate(plans):
        alone = tp.forecast(twin, times=times, inputs=plan, key=KEY).tree["predicted_outputs"]["glucose"]
        # More borders between the same times: another rounding and other steps of the integration, no other patient.
        np.testing.assert_allclose(found.outputs["glucose"][place], alone.values.reshape(twin.draws, 3), rtol=2e-4)


def test_some_of_the_draws_are_those_of_all():
    twin, times = small_twin(), small_twin().now + np.array([60.0])
    some = alternatives(twin, [Inputs()], times, key=KEY, draws=20).outputs["glucose"][0]
    every = alternatives(twin, [Inputs()], times, key=KEY).outputs["glucose"][0]
    assert np.allclose(some, every[np.linspace(0, twin.draws - 1, 20).round().astype(int)], rtol=1e-9)


@pytest.mark.parametrize(
    ("plans", "times", "message"),
    [([], [600.0], "`plans` is empty"), ([Inputs()], [0.0], "begins at 0.0 min"), ([Inputs()], [np.nan], "finite")],
)
def test_plans_that_cannot_be_carried_on_are_refused(plans, times, message):
    with pytest.raises(ValueError, match=message):
        alternatives(drip(), plans, times, key=KEY)


# ---- what is recommended ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 1.0, 2.5])
def test_risk_tail_and_cost_are_those_of_the_draws_by_hand(rate):
    option, levels = usual()[f"drive {rate:g} U/h"], by_hand(drip(), rate)
    # A plan that is clearly beyond a limit was looked at with a part of the draws.
    levels = levels[np.linspace(0, len(levels) - 1, option.draws).round().astype(int)]
    below = (levels < 3.0).any(axis=1)
    assert option.risks[0].probability == pytest.approx(below.mean(), abs=1.5 / len(levels))
    worst = np.sort(levels.min(axis=1))[: int(np.ceil(0.05 * len(levels)))]
    assert option.tails[0] == pytest.approx(worst.mean(), rel=1e-4)
    costs = (4.0 * np.maximum(4.0 - levels, 0) + np.maximum(levels - 6.0, 0)).mean(axis=1)
    assert option.cost == pytest.approx(costs.mean(), rel=1e-3, abs=1e-4)
    middle = np.quantile(levels, 0.5, axis=0)
    np.testing.assert_allclose(option.fans["level"][2], middle, rtol=1e-4)


def test_the_tail_of_a_high_limit_is_that_of_the_highest_values():
    option, levels = asked(limits={"level > 8 mmol/L": 0.05})["drive 1 U/h"], by_hand(drip(), 1.0)
    worst = np.sort(levels.max(axis=1))[-int(np.ceil(0.05 * len(levels))) :]
    assert option.tails[0] == pytest.approx(worst.mean(), rel=1e-4)


def test_a_plan_is_offered_where_probability_and_two_errors_are_within_the_limit():
    for option in usual().options:
        if option.risks:
            (risk,) = option.risks
            assert option.feasible == (risk.probability + 2 * risk.mcse <= 0.05)
            assert (option.rank is None) == (not option.feasible)
    assert not all(option.feasible for option in usual().options if option.risks)


def test_the_cheapest_within_the_limits_comes_first():
    costs = {o.name: o.cost for o in usual().options if o.feasible and o.risks}
    assert min(costs, key=costs.__getitem__) in {o.name for o in usual().best}


def test_risk_does_not_fall_with_more_drive_and_less_is_never_riskier():
    found = [usual()[name].risks[0].probability for name in tp.grid(drive="0 to 4 U/h by 0.5")]
    assert np.all(np.diff(found) >= 0)


def test_the_largest_drive_offered_falls_with_the_risk_allowed():
    largest = []
    for most in (0.3, 0.1, 0.03):
        offered = [o.name for o in asked(limits={LIMIT: most}).options if o.rank is not None and o.name != "no change"]
        largest.append(max(float(name.split()[1]) for name in offered))
    assert largest == sorted(largest, reverse=True)
    assert largest[0] > largest[-1]


def test_order_and_units_of_the_candidates_do_not_matter():
    names = list(tp.grid(drive="0 to 4 U/h by 0.5"))
    backward = {name: {"drive": f"{1000 * float(name.split()[1]):g} mU/h"} for name in reversed(names)}
    other = asked(candidates=backward)
    for name in names:
        assert other[name].rank == usual()[name].rank
        assert other[name].risks[0].probability == usual()[name].risks[0].probability


def test_the_same_key_gives_the_same_answer():
    assert str(asked()) == str(usual())


def test_plans_that_cannot_be_told_apart_share_a_rank():
    found = asked(candidates={"a": {"drive": "1 U/h"}, "b": {"drive": "1 U/h"}, "c": {"drive": "0 U/h"}})
    assert found["a"].rank == found["b"].rank == found["no change"].rank
    assert found["c"].rank != found["a"].rank


def test_no_change_and_measuring_first_are_always_among_the_options():
    names = [option.name for option in usual().options]
    assert names.count("no change") == names.count("measure first") == 1
    assert usual()["no change"].cost == pytest.approx(usual()["drive 1 U/h"].cost)


def test_measuring_first_leads_where_it_saves_more_than_waiting_costs():
    near = tp.grid(drive=("1 U/h", "1.2 U/h", "1.4 U/h", "1.6 U/h"))
    precise = tp.Candidate(
        "level exactly", {"level": "now"}, observations={"level": Observation(Gaussian(additive=0.01))}
    )
    cheap = asked(candidates=near, measure=precise, waiting=1e-9)
    dear = asked(candidates=near, measure=precise, waiting=10.0)
    assert [o.name for o in cheap.best] == ["measure first"]
    assert dear["measure first"].rank is None
    assert "waiting costs 10" in dear["measure first"].why


def test_the_limits_that_hold_plans_back_and_the_draws_are_said():
    said = str(usual())
    assert f"candidates held back by the limit: {LIMIT}" in said
    assert "2000 draws" in said
    assert "not a medical device" in said


# ---- own errors ------------------------------------------------------------------------------------------------------


def with_outcomes(scores):
    """The twin after own forecasts whose values lay so many standard deviations from their medians."""
    count = len(scores)
    kept = Outcomes(30.0 * np.arange(count), np.full(count, 60.0), stats.norm.cdf(scores), np.full(count, "level"))
    groups = {name: node.to_dataset() for name, node in drip().tree.children.items()}
    return dataclasses.replace(drip(), tree=tree({**groups, GROUP: kept.labeled()}, drip().tree.attrs))


EVEN = np.random.default_rng(0).permutation(stats.norm.ppf((np.arange(60) + 0.5) / 60))


@pytest.mark.parametrize("scores", [EVEN[:20], 3.0 * EVEN[:7]])
def test_a_twin_that_was_right_or_is_hardly_known_is_left_as_it_is(scores):
    found = asked(with_outcomes(scores))
    assert found["drive 1.5 U/h"].risks == usual()["drive 1.5 U/h"].risks
    assert not [text for text in found.caveats if "own forecasts" in text]


def test_a_twin_that_was_too_narrow_is_widened_by_what_it_erred():
    found = asked(with_outcomes(1.6 * EVEN))
    wide, own = (x["drive 1.5 U/h"].fans["level"][:, -1] for x in (found, usual()))
    factor = (wide[4] - wide[0]) / (own[4] - own[0])
    assert factor == pytest.approx(1.6, rel=3 / np.sqrt(2 * 40))  # 60 fading forecasts are worth about 40
    assert wide[2] == pytest.approx(own[2], abs=0.1 * (own[4] - own[0]))
    assert found["drive 2.5 U/h"].risks[0].probability > usual()["drive 2.5 U/h"].risks[0].probability
    assert any("errors of 60 own forecasts" in text for text in found.caveats)


def test_a_twin_that_forecast_too_high_is_moved_down():
    found = asked(with_outcomes(EVEN - 1.0))
    low, own = (x["drive 1.5 U/h"].fans["level"][:, -1] for x in (found, usual()))
    spread = (own[4] - own[0]) / 3.29
    assert (low[2] - own[2]) / spread == pytest.approx(-1.0, abs=0.5)


# ---- caps ------------------------------------------------------------------------------------------------------------


def test_caps_come_before_everything_and_are_named():
    found = asked(caps={"drive": tp.Cap("2 U/h", step="0.5 U/h", source="the ward")})
    assert found["drive 3 U/h"].why == "drive above 2 U/h (the ward)."
    assert found["drive 2 U/h"].why == "drive changed by more than 0.5 U/h at once (the ward)."
    assert {o.name for o in found.options if o.risks} == {"no change", *(f"drive {x} U/h" for x in ("0.5", "1", "1.5"))}
    assert sum(found.capped.values()) == 6
    assert "4 candidates beyond the cap: drive above 2 U/h" in str(found)


def test_what_runs_beyond_a_cap_is_not_left_running():
    found = asked(caps={"drive": tp.Cap("0.5 U/h", source="the ward")})
    assert found["no change"].why == "drive already runs above 0.5 U/h (the ward)."
    assert (found["no change"].rank, found["no change"].feasible) == (None, False)
    assert {o.name for o in found.options if o.rank is not None} <= {"drive 0 U/h", "drive 0.5 U/h"}


def test_where_every_plan_is_beyond_a_cap_none_is_offered():
    found = asked(candidates=tp.grid(drive="3 to 4 U/h by 0.5"), caps={"drive": tp.Cap("0.5 U/h")})
    assert abstention.NOTHING in reasons(found)
    assert "every one is beyond a cap" in str(found)


def test_a_plan_of_ones_own_beyond_a_cap_is_refused():
    with pytest.raises(ValueError, match=r"Candidate `much` is beyond a cap: drive above 2 U/h"):
        asked(candidates={"much": {"drive": "3 U/h"}}, caps={"drive": tp.Cap("2 U/h")})


# ---- abstention ------------------------------------------------------------------------------------------------------


def reasons(found):
    assert found.abstains
    assert found.best == ()
    assert all(option.rank is None for option in found.options)
    assert found.headline.startswith("No recommendation: ")
    return {reason.what for reason in found.reasons}


def test_an_effect_that_the_data_do_not_tell_is_no_ground_for_a_recommendation():
    twin = tp.fit(Drip(), record(changed=False), key=jax.random.key(0))
    assert reasons(asked(twin)) == {abstention.EFFECT}
    accepted = asked(twin, published=True)
    assert not accepted.abstains
    assert "rests on published or prior knowledge" in " ".join(accepted.caveats)
    looked_at = [option for option in accepted.options if option.risks]
    assert looked_at
    assert all(abstention.RESTS_ON_OTHERS in option.why for option in looked_at)


def test_an_effect_that_was_seen_is_told_with_its_interval():
    (effect,) = usual().effects
    truth = -0.02 * 4.0 / DECAY * (1 - np.exp(-180 * DECAY))
    assert effect.low < truth < effect.high
    assert effect.verdict == "determined"


def test_what_was_never_tried_is_known_from_elsewhere_however_narrow():
    plans = [Inputs.infusions("drive", drip().now, np.inf, rate, "U/h", own=OWN) for rate in (0.0, 4.0)]
    untreated = dataclasses.replace(drip(), record=dataclasses.replace(drip().record, inputs=Inputs()))
    (tried,), (never,) = (
        abstention.effects(twin, plans, "level", drip().now + 180.0, KEY) for twin in (drip(), untreated)
    )
    assert never.contraction == pytest.approx(tried.contraction, abs=0.05)
    assert (tried.verdict, never.verdict) == ("determined", NOT_DETERMINED)


def test_an_old_measurement_is_no_ground_either():
    old = dataclasses.replace(drip(), record=dataclasses.replace(drip().record, end=drip().now + 300.0))
    assert abstention.STALE in reasons(asked(old))
    assert "5 h old, more than 4 h" in str(asked(old))
    assert abstention.STALE not in {r.what for r in asked(old, oldest="6 h").reasons}


def test_a_twin_that_is_not_to_be_used_does_not_recommend():
    told = {**drip().provenance, "solves_failed": 500}
    groups = {name: node.to_dataset() for name, node in drip().tree.children.items()}
    broken = dataclasses.replace(drip(), tree=tree(groups, {**drip().tree.attrs, "provenance": json.dumps(told)}))
    assert abstention.DIAGNOSIS in reasons(asked(broken))


def test_draws_that_cannot_be_carried_on_are_no_ground():
    groups = {name: node.to_dataset() for name, node in drip().tree.children.items()}
    level = groups["state"]["level"].copy(deep=True)
    level.values[0, :100] = np.nan
    lost = {**groups, "state": groups["state"].assign(level=level)}
    found = asked(dataclasses.replace(drip(), tree=tree(lost, drip().tree.attrs)))
    assert abstention.FAILED in reasons(found)
    assert "100 of 2000" in str(found)


@pytest.mark.slow
def test_a_patient_far_outside_the_population_is_none_to_decide_on():
    far = tp.fit(Drip(), record(supply=0.30), key=jax.random.key(0))
    assert abstention.OUTSIDE in reasons(asked(far, limits={"level < 3 mmol/L": 0.05}))


class Charted(Drip):
    """A drip whose gain is only how charts follow the drive."""

    as_charted: ClassVar[Mapping[str, str]] = {"drive": "gain"}


def test_what_charts_alone_tell_of_a_setting_is_no_ground_whatever_is_accepted():
    twin = tp.fit(Charted(), record(), key=jax.random.key(0))
    found = asked(twin, published=True)
    assert reasons(found) == {abstention.CHARTED}
    assert "model.fix(gain=" in str(found)
    plan = tp.plan(twin, drive="2 U/h")
    assert "taken as charts show it" in " ".join(tp.forecast(twin, hours=1, inputs=plan, key=KEY).notes)
    assert abstention.charted(dataclasses.replace(twin, model=Charted().fix(gain=0.02)), ("drive",)) == []


def test_where_no_plan_is_within_the_limits_none_is_offered():
    found = asked(limits={"level > 3.5 mmol/L": 0.05})
    assert reasons(found) == {abstention.NOTHING}
    assert "the least risky" in str(found)


def test_a_risk_too_small_for_the_draws_is_not_promised():
    assert reasons(asked(limits={LIMIT: 1e-3})) == {abstention.NOTHING}


@pytest.mark.parametrize(
    ("value", "time", "expected"),
    [(4.0, 580.0, None), (3.0, 580.0, "below 3.3 mmol/L"), (4.0, 60.0, "ago, more than 6 h")],
)
def test_potassium_low_or_old_stops_insulin(value, time, expected):
    twin = small_twin()
    series = Series(np.array([time]), np.array([value]), "mmol/L")
    known = dataclasses.replace(twin.record, observations={**twin.record.observations, "potassium": series})
    found, caveats = abstention.potassium(dataclasses.replace(twin, record=known), ("insulin",))
    assert [expected in str(reason) for reason in found] == ([] if expected is None else [True])
    assert bool(caveats) == (expected is None)
    assert abstention.potassium(twin, ("enteral_glucose",)) == ([], [])
    assert "not charted" in abstention.potassium(twin, ("insulin",))[1][0]


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limits": {}}, "`limits` is empty"),
        ({"limits": {"glucose < 4 mmol/L": 0.05}}, "no variable `glucose`"),
        ({"limits": {LIMIT: 1.5}}, r"limits\['level < 3 mmol/L'\]"),
        ({"goal": tp.Goal("other", "4 to 6 mmol/L")}, "no output of model `Drip`"),
        ({"candidates": {"early": {"drive": "1 U/h at 10 min"}}}, "before the twin's present"),
        ({"candidates": {"other": {"insulin": "1 U/h"}}}, "no input `insulin`"),
        ({"candidates": {"unit": {"drive": "1 mmol/L"}}}, "mmol/L"),
        ({"caps": {"insulin": tp.Cap("6 U/h")}}, "`caps` names `insulin`"),
        ({"waiting": -1.0}, "the cost of waiting"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        asked(**changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tp.Goal("glucose", "3 to 6 mmol/L"), "must not begin below 4 mmol/L"),
        (lambda: tp.Goal("glucose", "60 to 110 mg/dL"), "must not begin below 4 mmol/L"),
        (lambda: tp.Goal("glucose", "8 to 6 mmol/L"), "low before high"),
        (lambda: tp.Goal("glucose", "6 to 8 mmol/L", below=-1.0), "Cost `below`"),
        (lambda: tp.grid(), "names no input"),
        (lambda: tp.grid(insulin="0 to 6 U/h by 0"), "upward in steps above zero"),
        (lambda: tp.grid(insulin=()), "are empty"),
        (lambda: tp.grid(insulin="0 to 900 U/h by 1", peep="0 to 9 cmH2O by 1"), "number of combinations"),
        (lambda: tp.Cap("much"), "must be a number with its unit"),
    ],
)
def test_goals_grids_and_caps_say_what_is_wrong_with_them(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_band_may_be_in_another_unit():
    same = tp.Goal("glucose", "108 to 180 mg/dL"), tp.Goal("glucose", "6 to 10 mmol/L")
    values, times = np.array([[5.0, 12.0]]), np.array([10.0, 20.0])
    one, other = (goal.cost(values, times, "mmol/L") for goal in same)
    assert np.allclose(one, other, rtol=3e-3)
    assert same[1].cost(values, times, "mmol/L") == pytest.approx((1.0 + 2.0) / 2.0)
    assert sized("most", "6 U/h") == (6.0, "U/h")
