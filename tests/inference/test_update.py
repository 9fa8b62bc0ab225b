import itertools

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

from tests.cases import Washout
from tests.tank import DECAY, NOISE, OWN, WALK, Tank, beliefs, kalman, predictive, stay
from twinprob.forecasting.forecast import forecast
from twinprob.inference.fit import fit
from twinprob.inference.methods.filter import Filter
from twinprob.inference.methods.laplace import Laplace
from twinprob.inference.twin import load
from twinprob.inference.update import update
from twinprob.modeling.observation import Gaussian, Observation
from twinprob.modeling.process import RandomWalk
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record
from twinprob.patient.stay import join

HOURS = 16


@pytest.fixture(scope="module")
def begun():
    """The tank after four hours, fitted."""
    return fit(Tank(), stay(HOURS)[0].until(240), key=jax.random.key(1))


@pytest.fixture(scope="module")
def updated(begun):
    """The tank after six hours, two of them by updates."""
    record, _ = stay(HOURS)
    for hour in (5, 6):
        begun = update(begun, record.between(begun.now, 60.0 * hour), key=jax.random.key(hour))
    return begun


def values_at(*pairs, name="level", start=240.0, inputs=None, limits=None):
    times, values = zip(*pairs, strict=True)
    given = (list(times), list(values), "1") if limits is None else (list(times), list(values), "1", limits)
    return Record.build({name: given}, inputs, own=OWN, start=start)


def monte_carlo_error(*twins):
    return np.sqrt(sum(1 / t.effective_draws for t in twins) + 4 / Filter().particles)


# ---- what an update says -------------------------------------------------------------------------------------------


def test_the_old_twin_is_unchanged(begun):
    before = begun.tree.copy(deep=True)
    update(begun, stay(HOURS)[0].between(240, 300), key=jax.random.key(5))
    assert begun.tree.identical(before)
    assert begun.now == 240


def test_the_updated_record_is_the_whole_one(updated):
    assert updated.record == stay(HOURS)[0].until(360)


def test_a_late_measurement_says_what_it_would_have_said_in_order(begun, updated):
    record, _ = stay(HOURS)
    level = record.between(240, 360).observations["level"]
    early = Record({"level": level.select(level.times > 300)}, Inputs(), {}, 240.0, 360.0)
    late = Record({"level": level.select(level.times <= 300)}, Inputs(), {}, 240.0, 300.0)
    twin = update(update(begun, early, key=jax.random.key(8)), late, key=jax.random.key(9))
    mean, sd = kalman(stay(HOURS)[1])[6]
    draws = beliefs(twin)
    assert twin.record == updated.record
    assert np.max(np.abs(draws.mean(0) - mean) / sd) < 5 * monte_carlo_error(twin, begun)
    assert np.max(np.abs(np.log(draws.std(0) / sd))) < 5 * monte_carlo_error(twin, begun)
    assert twin.provenance["updates"][-1]["late"]


def test_values_of_two_outputs_at_once_both_count(begun):
    values = stay(HOURS)[1]
    both = Record.build(
        {n: ([300.0], [v], "1") for n, v in (("level", values[5]), ("double", 2 * values[5] + 0.5))},
        own=OWN,
        start=240.0,
    )
    twin = update(begun, both, key=jax.random.key(3))
    mean, variance = predictive(kalman(values), values, 5)
    # two measurements of one normal level: precisions add, the doubled one's noise is halved
    precision = 1 / variance + 1 / NOISE**2 + 4 / NOISE**2
    expected = (mean / variance + values[5] / NOISE**2 + (values[5] + 0.25) * 4 / NOISE**2) / precision
    level = beliefs(twin)[:, 3]
    assert abs(level.mean() - expected) * np.sqrt(precision) < 5 * monte_carlo_error(twin, begun)
    assert abs(np.log(level.std() * np.sqrt(precision))) < 5 * monte_carlo_error(twin, begun)


def test_a_censored_value_cuts_the_predictive(begun):
    values = stay(HOURS)[1]
    mean, variance = predictive(kalman(values), values, 5)
    total = np.sqrt(variance + NOISE**2)
    limit = mean - 0.5 * total
    twin = update(begun, values_at((300.0, limit), limits=[-1]), key=jax.random.key(4))
    z = (limit - mean) / total
    hazard = norm.pdf(z) / norm.cdf(z)  # level given level + noise < limit: a skewed normal with known moments
    expected = mean - variance / total * hazard
    sd = np.sqrt(variance - variance**2 / total**2 * hazard * (hazard + z))
    level = beliefs(twin)[:, 3]
    assert abs(level.mean() - expected) / sd < 5 * monte_carlo_error(twin, begun)
    assert abs(np.log(level.std() / sd)) < 5 * monte_carlo_error(twin, begun)


def test_time_passes_without_a_measurement(begun):
    record, values = stay(HOURS)
    quiet = Record({}, record.inputs.between(240, 300), {}, 240.0, 300.0)
    twin = update(begun, quiet, key=jax.random.key(6))
    mean, variance = predictive(kalman(values), values, 5)
    level = beliefs(twin)[:, 3]
    assert twin.now == 300
    assert abs(level.mean() - mean) / np.sqrt(variance) < 5 * monte_carlo_error(twin, begun)


def test_one_key_for_every_hour_spreads_as_far_as_the_walk_does(begun):
    twin, hours, key = begun, 8, jax.random.key(6)
    for _ in range(hours):
        twin = update(twin, Record({}, Inputs(), {}, twin.now, twin.now + 60.0), key=key)
    before = kalman(stay(HOURS)[1])[4][1][2]
    expected = np.sqrt(before**2 + hours * (WALK * 0.03) ** 2)  # hours² if kicks repeated
    assert abs(np.log(beliefs(twin)[:, 2].std() / expected)) < 5 * monte_carlo_error(twin, begun)


def test_the_same_key_and_the_same_data_give_the_same_twin(begun):
    hour = stay(HOURS)[0].between(240, 300)
    one, other = (update(begun, hour, key=jax.random.key(5)) for _ in range(2))
    assert one.tree.identical(other.tree)


def test_an_input_that_changes_inside_the_window_drives_the_state(begun):
    plan = Inputs.infusions("drive", [240.0, 270.0], [270.0, np.inf], [0.05, 0.25], "1/min", own=OWN)
    quiet = Record({}, plan, {}, 240.0, 300.0)
    twin = update(begun, quiet, key=jax.random.key(6))
    mean, variance = predictive(kalman(stay(HOURS)[1]), stay(HOURS)[1], 5)
    extra = 0.2 * (1 - np.exp(-30 * DECAY)) / DECAY
    level = beliefs(twin)[:, 3]
    assert abs(level.mean() - mean - extra) / np.sqrt(variance) < 5 * monte_carlo_error(twin, begun)


def test_a_forecast_continues_from_the_updated_state(updated):
    ahead = forecast(updated, hours=1, key=jax.random.key(11), every="1 h")
    values = stay(HOURS)[1]
    mean, variance = predictive(kalman(values), values, 7)
    level = ahead.tree["predicted_outputs"]["level"].values[..., -1].ravel()
    assert abs(level.mean() - mean) / np.sqrt(variance) < 5 * monte_carlo_error(updated)
    assert abs(np.log(level.std() / np.sqrt(variance))) < 5 * monte_carlo_error(updated)


def test_a_saved_twin_updates_as_the_one_in_memory(updated, tmp_path):
    updated.save(tmp_path / "twin.nc")
    new = stay(HOURS)[0].between(360, 420)
    one, other = (update(t, new, key=jax.random.key(7)) for t in (updated, load(tmp_path / "twin.nc", own=(Tank,))))
    assert np.array_equal(beliefs(one), beliefs(other))


def test_memory_does_not_grow_with_the_stay(updated):
    record, _ = stay(HOURS)
    twin = updated
    for hour in range(7, 13):
        twin = update(twin, record.between(twin.now, 60.0 * hour), key=jax.random.key(hour))
    bounded = ("posterior", "state", "filter")
    one_hour_on = update(twin, record.between(twin.now, twin.now + 60), key=jax.random.key(1))
    assert [one_hour_on.group(n).nbytes for n in bounded] == [twin.group(n).nbytes for n in bounded]


# ---- what streams bring --------------------------------------------------------------------------------------------


def brought(twin):
    return twin.provenance["updates"][-1]["brought"]


def test_a_value_sent_again_moves_nothing_and_is_counted(begun):
    values = stay(HOURS)[1]
    twin = update(begun, values_at((240.0, values[4])), key=jax.random.key(0))
    assert np.array_equal(beliefs(twin), beliefs(begun))
    assert brought(twin) == {"repeated": 1}
    assert twin.record.ledger.select(fate="merged").count == 1


def test_a_value_sent_again_with_a_new_one_says_what_the_new_one_says(begun):
    values = stay(HOURS)[1]
    both, one = (values_at(*pairs) for pairs in (((240.0, values[4]), (300.0, values[5])), ((300.0, values[5]),)))
    twins = [update(begun, new, key=jax.random.key(0)) for new in (both, one)]
    assert np.array_equal(*(beliefs(twin) for twin in twins))
    assert brought(twins[0]) == {"values": 1, "repeated": 1}


def test_a_corrected_value_says_what_it_would_have_said_at_first(begun, updated):
    values = stay(HOURS)[1]
    wrong = update(begun, values_at((300.0, values[5] + 1.0)), key=jax.random.key(3))
    fixed = values_at((300.0, values[5]), (360.0, values[6]))
    twin = update(wrong, fixed, key=jax.random.key(4))
    mean, sd = kalman(values)[6]
    assert np.max(np.abs(beliefs(twin).mean(0) - mean) / sd) < 5 * monte_carlo_error(twin, begun)
    assert brought(twin) == {"values": 1, "corrected": 1}
    assert "1 of level corrected" in twin.provenance["notes"][0]


def test_an_input_charted_late_is_felt_from_its_own_start(begun):
    record, values = stay(HOURS)
    known = update(begun, record.between(240, 300), key=jax.random.key(3))
    late = Inputs.infusions("drive", 270.0, 360.0, 0.1, "1/min", order="extra", known=350.0, own=OWN)
    twin = update(known, Record({}, record.inputs.between(300, 360) | late, {}, 300.0, 360.0), key=jax.random.key(6))
    # What the late drive added before the last value is the same as a value lower by it, and it fades from there.
    added, fade = 0.1 * (1 - np.exp(-30 * DECAY)) / DECAY, np.exp(-60 * DECAY)
    lower = np.where(np.arange(len(values)) == 5, values - added, values)
    mean, variance = predictive(kalman(lower), lower, 6)
    expected = mean + added * fade + 0.1 * (1 - fade) / DECAY
    assert abs(beliefs(twin)[:, 3].mean() - expected) / np.sqrt(variance) < 5 * monte_carlo_error(twin, begun)
    assert brought(twin)["late input rows"] == 1
    assert twin.provenance["updates"][-1]["late"]


def test_a_weight_that_changed_holds_from_now_on_and_is_said():
    record = Record.build(
        {"amount": ([60.0, 120.0], [8.0, 7.0], "1")}, None, {"weight": (80, "kg")}, own=("amount",), start=0.0
    )
    begun = fit(Washout(), record, key=jax.random.key(0), method=Laplace(draws=200, proposals=800))
    heavier = Record.build(
        {"amount": ([180.0], [6.0], "1")}, None, {"weight": (84, "kg")}, own=("amount",), start=120.0
    )
    twin = update(begun, heavier, key=jax.random.key(1))
    weights = [vars(one.model)["weight"] for one in (twin, begun)]
    assert weights == [84.0, 80.0]
    assert brought(twin) == {"values": 1, "covariates": 1}
    assert twin.provenance["notes"][0] == "weight is 84 kg from 2.00 h on (80 kg before)."


# ---- when it does not trust itself ---------------------------------------------------------------------------------


def test_a_value_far_outside_the_prediction_refits_the_record_and_says_so(begun):
    twin = update(begun, values_at((300.0, 60.0)), key=jax.random.key(5))
    assert "far outside" in twin.provenance["notes"][0] or "particles mattered" in twin.provenance["notes"][0]
    assert twin.provenance["updates"][-1]["refit"]
    assert "trajectory" in twin.tree.children


def test_a_value_older_than_the_memory_refits_the_record_and_says_so(begun):
    twin = update(begun, values_at((210.0, 8.0), start=200.0), key=jax.random.key(5))
    assert "memory begins at 240 min" in twin.provenance["notes"][0]
    assert twin.now == 240


# ---- what is refused -----------------------------------------------------------------------------------------------


def glucose(times, values, unit="mmol/L", **rest):
    return Record.build({"glucose": (times, values, unit)}, **{"start": 0.0, **rest})


KNOWN = glucose(
    [60, 120], [8.0, 9.0], inputs=Inputs.constant(insulin=(3.0, "U/h")), covariates={"weight": (80, "kg")}, start=30.0
)

REFUSED = {
    "reach back to 10 min, before the twin's origin at 30 min": glucose([10], [7.0]),
    "`glucose` at 60 min contradicts a measurement": glucose([60], [9.9]),
    "Covariate `weight` of the new data differs": glucose([150], [9.0], covariates={"weight": (50, "kg")}),
    "hold nothing new": Record({}, Inputs(), {}, 120.0, 120.0),
    "Input `insulin` of the new data contradicts": glucose([150], [9.0], inputs=Inputs.constant(insulin=(2.0, "U/h"))),
}


@pytest.mark.parametrize("message", REFUSED)
def test_new_data_that_do_not_fit_the_twin_are_refused_by_name(message):
    with pytest.raises(ValueError, match=message):
        join(KNOWN, REFUSED[message])


def test_new_data_that_are_no_record_are_refused_with_the_remedy(begun):
    with pytest.raises(
        TypeError, match=r"`new_data` must be a `Record` as `Record.build` makes .* but is of type `dict`"
    ):
        update(begun, {"glucose": ([250.0], [7.0], "mmol/L")}, key=jax.random.key(0))


def joined_of(record, new_data):
    joined = join(record, new_data)
    return joined.record, joined.since


def test_a_unit_of_another_dimension_is_refused():
    strange = Record.build({"glucose": ([150], [9.0], "mmol/L")}, start=120.0)
    strange = Record(
        {"glucose": type(strange.observations["glucose"])(np.array([150.0]), np.array([9.0]), "kg")},
        Inputs(),
        {},
        120.0,
        150.0,
    )
    with pytest.raises(ValueError, match=r"glucose.*dimensions differ"):
        join(KNOWN, strange)


def test_an_input_in_a_unit_of_another_dimension_is_refused():
    course = type(KNOWN.inputs["insulin"])([120.0], [np.inf], [2.0], "mL/h", [False])
    with pytest.raises(ValueError, match="insulin"):
        join(KNOWN, Record({}, Inputs({"insulin": course}), {}, 120.0, 150.0))


def test_a_convertible_unit_is_converted():
    joined, since = joined_of(KNOWN, glucose([150], [180.0], "mg/dL", start=120.0))
    assert joined.observations["glucose"].unit == "mmol/L"
    assert joined.observations["glucose"].values[-1] == pytest.approx(180 / 18.016)
    assert 149 < since < 150


def test_the_same_weight_in_another_unit_is_the_same_patient():
    joined, _ = joined_of(KNOWN, glucose([150], [9.0], covariates={"weight": (80000, "g")}, start=120.0))
    assert joined.covariates["weight"].value == 80


# ---- joining records -----------------------------------------------------------------------------------------------


def busy_record():
    insulin = Inputs.infusions("insulin", [0, 100, 240, 500], [100, 240, 480, np.inf], [1.0, 2.0, 3.0, 4.0], "U/h")
    bolus = Inputs.bolus("insulin", [110, 299], [2.0, 3.0], "U", duration=5.0)
    feed = Inputs.infusions("enteral_glucose", [30], [360], [0.5], "mmol/min")
    times = np.arange(0, 601, 30)
    return Record.build(
        {"glucose": (times, 8 + np.sin(times / 50), "mmol/L")},
        insulin | bolus | feed,
        {"weight": (80, "kg")},
        start=0.0,
    )


@pytest.mark.parametrize("hours", [(2, 4, 8), (1, 3, 5, 6, 9, 10), (5, 8)])
def test_pieces_of_a_record_join_to_the_record(hours):
    whole = busy_record()
    joined = whole.until(60.0 * hours[0])
    for begin, end in itertools.pairwise(hours):
        joined, since = joined_of(joined, whole.between(60.0 * begin, 60.0 * end))
        assert since >= 60.0 * begin
    assert joined == whole.until(60.0 * hours[-1])


def test_an_infusion_that_ended_at_the_border_does_not_run_on():
    whole = busy_record()
    joined, _ = joined_of(whole.until(480), whole.between(480, 490))
    assert joined.inputs["insulin"].at(485) == 0


def test_a_piece_cut_out_of_a_piece_still_knows_what_had_ended():
    whole = busy_record()
    piece = whole.between(480, 495).between(480, 490)
    joined, _ = joined_of(whole.until(480), piece)
    assert joined == whole.until(490)


def test_an_infusion_charted_late_as_never_given_is_taken_back():
    started = Record.build(
        {"glucose": ([60, 120], [8.0, 9.0], "mmol/L")}, Inputs.infusions("insulin", 100, np.inf, 2.0, "U/h"), start=0.0
    )
    never = Record({}, Inputs.infusions("insulin", 0, 10, 1.0, "U/h").between(90, 120), {}, 90.0, 120.0)
    joined, since = joined_of(started, never)
    assert (since, "insulin" in joined.inputs and joined.inputs["insulin"].at(110) > 0) == (100, False)


def test_an_input_that_new_data_do_not_name_runs_on():
    joined, _ = joined_of(busy_record().until(420), glucose([450], [8.0], start=420.0))
    assert joined.inputs["insulin"].at(440) == 3.0


def test_a_rate_charted_late_is_replayed_from_its_change():
    correction = Record({}, Inputs.infusions("insulin", [400], [420], [5.0], "U/h"), {}, 400.0, 420.0)
    joined, since = joined_of(busy_record().until(450), correction)
    assert since == 400
    assert [joined.inputs["insulin"].at(t) for t in (390, 410, 430)] == [3.0, 5.0, 3.0]


# ---- sizes of noise and volatility ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_volatility_and_noise_that_are_unknown_are_followed_too():
    model = Tank().vary(supply=RandomWalk(sd=dist.LogNormal(np.log(0.015), 0.5), every="1 h"))
    how = {"level": Observation(Gaussian(additive=dist.LogNormal(np.log(NOISE), 0.3)))}
    record, _ = stay(30, seed=3)
    twin = fit(model, record.until(600), key=jax.random.key(1), observations=how)
    for hour in range(11, 31):
        twin = update(twin, record.between(twin.now, 60.0 * hour), key=jax.random.key(hour))
    whole = fit(model, record, key=jax.random.key(2), observations=how)
    for name in ("supply_volatility", "level_additive"):
        mine, theirs = (np.log(t.group("posterior")[name].values) for t in (twin, whole))
        assert abs(mine.mean() - theirs.mean()) / theirs.std() < 0.2
        assert 0.85 < mine.std() / theirs.std() < 1.15
