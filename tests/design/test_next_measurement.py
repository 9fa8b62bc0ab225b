"""Candidate measurements are ranked as the exact answers of a linear model say, and refused with their names."""

import dataclasses
from functools import cache

import jax
import numpy as np
import pytest
from scipy import stats

import twinprob as tp
from tests.tank import DECAY, NOISE, OWN, WALK, Tank, stay
from tests.twins import small_twin
from twinprob.design.next_measurement import next_measurement
from twinprob.design.preposterior import AbstractLoss, Misjudged, Regret, Sensed, nested_loss, told
from twinprob.modeling.observation import Contaminated, Gaussian, Observation, StudentT
from twinprob.patient.inputs import Inputs

HOURS = 5
DRAWS = 4 * 500


@cache
def tank():
    """A twin of a linear model: its posterior is normal, a Kalman filter gives it exactly."""
    record, _ = stay(HOURS)
    return tp.fit(Tank(), record, key=jax.random.key(0))


def drive(minutes, rate=1.0):
    return Inputs.infusions("drive", 60.0 * HOURS, 60.0 * HOURS + minutes, rate, "1/min", own=OWN)


CANDIDATES = (
    tp.Candidate("twice the level now", {"double": "now"}),
    tp.Candidate("level in 1 h", {"level": "+1 h"}),
    tp.Candidate("both in 1 h", {"level": "+1 h", "double": "+1 h"}),
    tp.Candidate("level in 1 h after a push", {"level": "+1 h"}, extra=drive(10.0)),
    tp.Candidate("level in 30 and 60 min", {"level": ["+30 min", "+60 min"]}),
)


@cache
def ranking(quantity="supply", nested=200):
    return next_measurement(tank(), CANDIDATES, quantity=quantity, key=jax.random.key(1), nested=nested)


def row(found, name):
    return found.frame.set_index("candidate").loc[name]


def covariance_now():
    """Covariance of (supply now, level now) after the hourly values, by the Kalman filter's recursion."""
    cov = np.diag([0.03**2, 2.0**2])
    fade, gain = np.exp(-60 * DECAY), (1 - np.exp(-60 * DECAY)) / DECAY
    for hour in range(HOURS + 1):
        if hour > 0:
            if hour > 1:
                cov[0, 0] += (WALK * 0.03) ** 2
            step = np.array([[1.0, 0.0], [gain, fade]])
            cov = step @ cov @ step.T
        column = cov[:, 1].copy()
        cov = cov - np.outer(column, column) / (column[1] + NOISE**2)
    return cov


def exact_variance_of_supply(minutes, scales):
    """Variance of the supply now after measuring scale · level at one time, `minutes` ahead: a new hour's knot."""
    fade, gain = np.exp(-minutes * DECAY), (1 - np.exp(-minutes * DECAY)) / DECAY
    cov = covariance_now()
    # Supply of the coming hour is supply now plus a step of the walk that the measurement sees as noise.
    ahead = np.array([gain, fade])
    outputs = np.outer(scales, ahead)
    walk = (WALK * 0.03 * gain) ** 2 * np.outer(scales, scales)
    spread = outputs @ cov @ outputs.T + walk + NOISE**2 * np.eye(len(scales))
    cross = cov @ outputs.T
    return (cov - cross @ np.linalg.solve(spread, cross.T))[0, 0], cov[0, 0]


@pytest.mark.parametrize(
    ("name", "minutes", "scales"),
    [
        ("twice the level now", 0.0, [2.0]),
        ("level in 1 h", 60.0, [1.0]),
        ("both in 1 h", 60.0, [1.0, 2.0]),
        ("level in 1 h after a push", 60.0, [1.0]),
    ],
)
def test_the_expected_variance_of_a_linear_model_is_the_exact_one(name, minutes, scales):
    after, now = exact_variance_of_supply(minutes, scales)
    found = row(ranking(), name)
    assert abs(found["reduction"] - (1 - after / now)) < 4 * found["reduction_mcse"]


@pytest.mark.parametrize("name", [candidate.name for candidate in CANDIDATES])
def test_nested_monte_carlo_agrees_on_a_linear_model(name):
    found = row(ranking(), name)
    assert abs(found["nested"] - found["linear"]) < 4 * np.hypot(found["nested_mcse"], found["linear_mcse"])


def test_two_measurements_tell_more_than_one_of_them():
    assert row(ranking(), "both in 1 h")["expected"] < row(ranking(), "level in 1 h")["expected"]


def test_a_known_push_tells_nothing_more_in_a_linear_model():
    pushed, plain = (row(ranking(), name) for name in ("level in 1 h after a push", "level in 1 h"))
    assert pushed["expected"] == pytest.approx(plain["expected"], rel=1e-3)


def test_candidates_that_cannot_be_told_apart_share_a_rank():
    assert row(ranking(), "level in 1 h after a push")["rank"] == row(ranking(), "level in 1 h")["rank"]


def test_the_best_candidate_comes_first():
    assert ranking().best == ranking().to_frame().sort_values("expected")["candidate"].iloc[0]


def test_a_measurement_of_the_asked_output_itself_leaves_what_its_noise_leaves():
    asked = tp.Future("level", "+1 h")
    found = ranking(asked)
    fade, gain = np.exp(-60 * DECAY), (1 - np.exp(-60 * DECAY)) / DECAY
    ahead = np.array([gain, fade])
    before = ahead @ covariance_now() @ ahead + (WALK * 0.03 * gain) ** 2
    exact = before * NOISE**2 / (before + NOISE**2)
    direct = row(found, "level in 1 h")
    assert abs(direct["expected"] - exact) < 4 * direct["mcse"]


def test_an_output_to_come_is_the_one_under_its_own_plan():
    off = tp.Future("level", "+1 h", inputs=Inputs.constant(drive=(0.0, "1/min"), own=OWN))
    on = tp.Future("level", "+1 h")
    # Linear: another drive moves every draw alike, and changes no variance.
    assert ask(LATER, quantity=off).now == pytest.approx(ask(LATER, quantity=on).now, rel=1e-6)


def test_the_same_key_gives_the_same_ranking():
    again = next_measurement(tank(), CANDIDATES, quantity="supply", key=jax.random.key(1))
    assert again.frame.equals(ranking().frame)


@pytest.mark.parametrize(("minutes", "rate"), [(5.0, 1.05), (30.0, 0.05)])
def test_something_extra_is_given_on_top_of_what_runs(minutes, rate):
    plan = CANDIDATES[3].plan(tank().record, tank().now)
    assert plan["drive"].at(tank().now + minutes) == pytest.approx(rate)


def test_a_better_instrument_is_worth_more():
    bad, good = (Observation(Gaussian(additive=size)) for size in (2.0, 0.1))
    candidates = [
        tp.Candidate("bad", {"level": "+1 h"}, observations={"level": bad}),
        tp.Candidate("good", {"level": "+1 h"}, observations={"level": good}),
    ]
    found = next_measurement(tank(), candidates, quantity="supply", key=jax.random.key(2), nested=0)
    assert (found.best, found.tied) == ("good", ("good",))


def test_without_the_check_its_columns_are_empty():
    assert ranking(nested=0).frame[["nested", "khat"]].isna().all(axis=None)


# ---- decisions ---------------------------------------------------------------------------------------------------


def wrong_side(correlation, limit, count=400_000):
    """P(wrong side of a limit) for a standard normal, before and after seeing a normal correlated with it."""
    pair = np.random.default_rng(0).multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], count)
    # The better guess of the side, knowing the second, is the side of the conditional mean.
    guessed, true = correlation * pair[:, 1] < limit, pair[:, 0] < limit
    return min(np.mean(true), 1 - np.mean(true)), np.mean(guessed != true)


def normal_pair(noise, count=4000):
    """Draws of a standard normal quantity, and a measurement of it."""
    draws = np.random.default_rng(1).standard_normal((count, 1))
    return draws, (Sensed(Observation(Gaussian(additive=noise)), {}, draws),)


def test_the_probability_of_a_wrong_decision_is_the_one_of_the_bivariate_normal():
    values, sensed = normal_pair(1.0)
    loss = Misjudged(0.5, 1.0, 1.0)
    before, after = wrong_side(np.sqrt(0.5), 0.5)
    found = [loss.expected(values, covariance) for covariance in (np.zeros((1, 1)), told(values, sensed))]
    assert found == pytest.approx([before, after], abs=4 * 0.5 / np.sqrt(4000))


def test_nested_monte_carlo_finds_the_same_wrong_decisions():
    values, sensed = normal_pair(1.0)
    rows = np.argsort(values[:, 0])[::20]
    found = nested_loss(Misjudged(0.5, 1.0, 1.0), values, sensed, rows, np.arange(4000), jax.random.key(0))
    assert abs(found.mean - wrong_side(np.sqrt(0.5), 0.5)[1]) < 4 * (found.mcse + 0.5 / np.sqrt(4000))


def test_a_perfect_measurement_leaves_no_regret():
    values = np.random.default_rng(2).standard_normal((4000, 2))
    perfect = tuple(Sensed(Observation(Gaussian(additive=1e-3)), {}, values[:, [i]]) for i in range(2))
    loss = Regret(np.random.default_rng(3).standard_normal((4000, 2)))
    before, after = (loss.expected(values, c) for c in (np.zeros((2, 2)), told(values, perfect)))
    # E max of two independent standard normals is 1/sqrt(pi).
    assert (before, after) == pytest.approx((1 / np.sqrt(np.pi), 0.0), abs=4 / np.sqrt(4000))


def test_a_decided_question_needs_no_measurement():
    found = ranking(tp.Threshold("supply", -1.0, "1/min"))
    assert "none of these measurements is needed" in str(found)


def test_a_choice_is_settled_by_measuring_what_its_utility_is_made_of():
    plans = {"on": Inputs(), "off": Inputs.constant(drive=(0.0, "1/min"), own=OWN)}
    choice = tp.Choice(plans, lambda outputs: -np.abs(outputs["level"][:, 0] - 5.0), ("+1 h",))
    found = next_measurement(tank(), CANDIDATES, quantity=choice, key=jax.random.key(1))
    assert found.best == "both in 1 h"


# ---- noise -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noise", "exact"),
    [
        (Gaussian(additive=0.3), 0.09),
        # Fisher information of a location in Student's t: (df + 1) / (df + 3) / scale².
        (StudentT(additive=0.3, df=4.0), 0.09 * 7 / 5),
        (Contaminated(additive=0.3, fraction=0.0), 0.09),
    ],
)
def test_noise_counts_by_its_information(noise, exact):
    assert Sensed(Observation(noise), {}, np.full((3, 2), 5.0)).variance == pytest.approx(
        np.full((3, 2), exact), rel=2e-3
    )


@pytest.mark.parametrize(("noise", "logarithmic"), [(Gaussian(additive=0.3), False), (Gaussian(relative=0.05), True)])
def test_measurements_are_taken_on_the_scale_of_constant_noise(noise, logarithmic):
    means = np.random.default_rng(0).lognormal(2.0, 0.4, (50, 1))
    assert Sensed(Observation(noise), {}, means).logarithmic is logarithmic


class Seen(AbstractLoss):
    """Keep the weights that a loss is given."""

    def weighted(self, weights, values):
        self.weights = weights
        return np.zeros(len(weights))


def test_copies_of_a_draw_do_not_betray_it():
    values, sensed = normal_pair(0.5, count=200)
    twice = np.concatenate([values, values])
    doubled = (dataclasses.replace(sensed[0], means=twice),)
    seen, groups, rows = Seen(), np.tile(np.arange(200), 2), np.arange(0, 200, 10)
    nested_loss(seen, twice, doubled, rows, groups, jax.random.key(0))
    itself = np.stack([rows, rows + 200], axis=1)
    assert np.all(np.take_along_axis(seen.weights, itself, axis=1) == 0)


# ---- words -------------------------------------------------------------------------------------------------------


def test_the_ranking_says_its_best_candidate_in_words():
    assert "To know supply: measure" in str(ranking())


def test_the_ranking_is_a_table_in_a_notebook():
    assert "<table" in ranking()._repr_html_()


def test_a_glucose_twin_says_variances_of_logarithms():
    now = tp.Candidate("glucose now", {"glucose": "now"})
    found = next_measurement(small_twin(), [now], quantity="insulin_sensitivity", key=jax.random.key(0), nested=20)
    assert found.loss == "variance of its logarithm"


# ---- bad input ---------------------------------------------------------------------------------------------------


def ask(*candidates, quantity="supply"):
    return next_measurement(tank(), list(candidates), quantity=quantity, key=jax.random.key(0), nested=0)


LATER = tp.Candidate("later", {"level": "+1 h"})


@pytest.mark.parametrize(
    ("candidates", "words"),
    [
        ((), "There are no candidates to rank"),
        ((LATER, LATER), "Two candidates are called `later`"),
        (
            (tp.Candidate("old", {"level": "4 h"}),),
            "`old` measures `level` at 240 min, but must do so after .* 300 min",
        ),
        ((tp.Candidate("x", {"levl": "+1 h"}),), "`x` names `levl`, which is no output .* did you mean `level`"),
        (
            (tp.Candidate("x", {"level": "+1 h"}, inputs=Inputs.constant(driv=(1.0, "1/min"), own=("driv",))),),
            "`x` gives `driv`, which is no input .* did you mean `drive`",
        ),
        (
            (tp.Candidate("x", {"level": "+1 h"}, extra=Inputs.bolus("drive", 200.0, 1.0, "1", own=OWN)),),
            "`x` gives `drive` from 200 min, before the twin's present, 300 min",
        ),
    ],
)
def test_a_candidate_that_cannot_be_is_refused_by_name(candidates, words):
    with pytest.raises(ValueError, match=words):
        ask(*candidates)


@pytest.mark.parametrize(
    ("quantity", "words"),
    [
        ("suply", "has no parameter `suply`; did you mean `supply`"),
        (tp.Future("levl", "+1 h"), "The quantity of interest names `levl`, which is no output"),
        (tp.Future("level", "4 h"), "The quantity of interest lies at '4 h', but must do so after"),
        (tp.Threshold("supply", 1.0, "mmol/L"), "supply"),
        (tp.Choice({"one": Inputs()}, lambda o: o["level"][:, 0], ("+1 h",)), "two options or more, but has 1"),
        (
            tp.Choice({"a": Inputs(), "b": Inputs()}, lambda o: o["level"], ("+1 h", "+2 h")),
            "`a` must have one value for each of the 2000 draws",
        ),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(quantity, words):
    with pytest.raises(ValueError, match=words):
        ask(LATER, quantity=quantity)


def test_a_known_parameter_is_not_asked_for():
    candidate = tp.Candidate("glucose now", {"glucose": "now"})
    with pytest.raises(ValueError, match="`glucose_volume` is known in this twin"):
        next_measurement(small_twin(), [candidate], quantity="glucose_volume", key=jax.random.key(0))


def test_a_candidate_whose_simulation_fails_is_named():
    flood = tp.Candidate("flood", {"level": "+1 h"}, extra=drive(10.0, rate=1e300))
    with pytest.raises(RuntimeError, match="Candidate `flood` could not be simulated at 2000 of 2000 draws"):
        ask(LATER, flood)


def test_a_candidate_without_a_measurement_is_refused():
    with pytest.raises(ValueError, match="Candidate `x` measures nothing"):
        tp.Candidate("x", {})


def test_a_candidate_without_a_name_is_refused():
    with pytest.raises(ValueError, match="needs a name"):
        tp.Candidate(" ", {"level": "now"})


def test_a_missed_value_and_a_false_alarm_cost_what_each_of_them_costs():
    values = np.random.default_rng(0).normal(size=(100_000, 1))
    loss = Misjudged(float(stats.norm.ppf(0.05)), missed=10.0, false_alarm=1.0)
    # Nothing told: call it above and miss one in twenty, 10 x .05; or below and be wrong in .95.
    assert loss.expected(values, np.zeros((1, 1))) == pytest.approx(0.5, abs=0.02)
