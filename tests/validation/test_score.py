import dataclasses
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.integrate
import scipy.stats
from jaxtyping import Array

from twinprob import AbstractModel, Gaussian, Inputs, Observation, Record, parameter, quantity
from twinprob.forecasting import forecast
from twinprob.inference.fit import fit
from twinprob.inference.methods.filter import Filter
from twinprob.inference.methods.laplace import Laplace
from twinprob.modeling.process import RandomWalk
from twinprob.models.metabolic import ICING
from twinprob.validation.evaluate import HORIZONS, Evaluation, evaluate, pairs_ahead
from twinprob.validation.score import Scores, of_draws, quantiles, score

METHOD = Laplace(starts=2, chains=1, draws=200, proposals=500, rounds=1)


class Level(AbstractModel):
    """A level that a drug pushes up and that wanders."""

    time_unit = "min"
    step = 30.0

    class State(eqx.Module):
        rise: Array = quantity("mmol/L")

    class Input(eqx.Module):
        drug: Array = quantity("mmol/L/min")

    class Output(eqx.Module):
        glucose: Array = quantity("mmol/L", noise=Observation(Gaussian(additive=0.5)))

    base: float = parameter(
        dist.Normal(10.0, 1.0), unit="mmol/L", source="test", varies=RandomWalk(sd=0.3, every="1 h")
    )

    def initial(self, inputs):
        return self.State(rise=jnp.zeros(()))

    def vector_field(self, time, state, inputs):
        return self.State(rise=inputs.drug - 0.01 * state.rise)

    def output(self, state, inputs):
        return self.Output(glucose=self.base + state.rise)


def a_record(values=(10.0, 11.0, 9.5, 10.5, 10.0), times=(0, 60, 120, 180, 240), stop=400.0):
    inputs = Inputs.infusions("drug", [30.0, 250.0], [90.0, stop], [0.02, 0.05], "mmol/L/min", own=("drug",))
    return Record.build({"glucose": (times, values, "mmol/L")}, inputs, own=("drug",), end=500.0)


# ---- one distribution and one value ----------------------------------------------------------------------------------


def test_the_score_of_many_normal_draws_is_the_closed_form():
    mean, sd, value = 2.0, 1.5, 3.1
    draws = scipy.stats.norm(mean, sd).ppf((np.arange(20_000) + 0.5) / 20_000)
    z = (value - mean) / sd
    normal = scipy.stats.norm
    closed = sd * (z * (2 * normal.cdf(z) - 1) + 2 * normal.pdf(z) - 1 / np.sqrt(np.pi))
    assert of_draws([value], [draws]).table()["crps"][0] == pytest.approx(closed, rel=1e-3)


@pytest.mark.parametrize(("value", "expected"), [(5.0, 9.0), (0.0, 9.0 + 20 * 0.5), (12.0, 9.0 + 20 * 2.5)])
def test_the_interval_score_is_width_plus_the_penalty_outside(value, expected):
    draws = np.linspace(0.0, 10.0, 11)
    found = of_draws([value], [draws]).table(ci_prob=0.9)
    assert found["interval_score"][0] == pytest.approx(expected)


def test_the_interval_is_that_of_numpy_quantiles():
    draws = np.array([1.0, 4.0, 2.0, 8.0])
    found = of_draws([3.0], [draws]).table(ci_prob=0.5)
    assert found[["lower", "upper"]].to_numpy()[0] == pytest.approx(np.quantile(draws, [0.25, 0.75]))


def test_equal_weights_change_no_quantile():
    draws = np.array([5.0, 1.0, 4.0, 2.0, 8.0])
    levels = [0.05, 0.3, 0.5, 0.95]
    assert quantiles(draws, levels, np.full(5, 0.2)) == pytest.approx(np.quantile(draws, levels))


def test_weighted_quantiles_are_read_between_the_middles_of_the_weights():
    # middles 1/4, 5/8 and 7/8 of the whole, stretched to 0, 3/5 and 1
    found = quantiles(np.array([3.0, 0.0, 1.0]), [0.0, 0.3, 0.6, 0.8, 1.0], np.array([0.25, 0.5, 0.25]))
    assert found == pytest.approx([0.0, 0.5, 1.0, 2.0, 3.0])


def test_a_weight_of_two_counts_like_the_value_twice_in_the_score():
    weighted = of_draws([3.0], [np.array([1.0, 4.0])], weights=[np.array([1.0, 2.0])]).table()["crps"][0]
    grid = np.linspace(-1, 6, 70_001)
    ecdf = (grid >= 1.0) / 3 + 2 * (grid >= 4.0) / 3
    assert weighted == pytest.approx(scipy.integrate.trapezoid((ecdf - (grid >= 3.0)) ** 2, grid), abs=1e-3)


def test_the_transform_is_the_share_of_draws_below():
    assert of_draws([3.5], [np.array([1.0, 2.0, 3.0, 4.0])]).table()["pit"][0] == 0.75


def test_the_error_is_the_median_minus_the_value():
    found = of_draws([4.0], [np.array([1.0, 5.0, 9.0])]).table()
    assert found[["error", "absolute_error", "absolute_percentage_error"]].to_numpy()[0] == pytest.approx(
        [1.0, 1.0, 25.0]
    )


def test_a_single_member_is_a_forecast_without_an_interval():
    found = of_draws([4.0], [np.array([5.0])]).table()
    assert found["crps"][0] == 1.0
    assert found[["covered", "width", "interval_score", "pit"]].isna().all(axis=None)


def test_draws_that_failed_are_counted_and_left_out():
    found = of_draws([4.0], [np.array([5.0, np.nan, 3.0])]).table()
    assert (found["failed"][0], found["median"][0]) == (1, 4.0)


def test_coverage_at_every_level_is_the_level_for_calibrated_forecasts(key):
    centers, truths = np.asarray(jax.random.normal(key, (2, 800)))
    grid = scipy.stats.norm.ppf((np.arange(400) + 0.5) / 400)
    scores = of_draws(centers + truths, [c + grid for c in centers])
    for level in (0.5, 0.8, 0.95):
        allowed = 4.5 * np.sqrt(level * (1 - level) / 800) + 1 / 400
        assert scores.summary(ci_prob=level)["coverage"][0] == pytest.approx(level, abs=allowed)


def test_an_impossible_probability_is_refused():
    with pytest.raises(ValueError, match="`ci_prob` must be a number above 0 and below 1"):
        of_draws([1.0], [np.zeros(3)]).table(ci_prob=90)


def test_as_many_forecasts_as_values_are_needed():
    with pytest.raises(ValueError, match="2 values, but 1 forecasts"):
        of_draws([1.0, 2.0], [np.zeros(3)])


# ---- score -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twin():
    return fit(Level(), a_record().until(180.0), key=jax.random.key(1), method=METHOD)


def test_only_measurements_that_the_forecast_reaches_are_scored(twin):
    ahead = forecast(twin, times=[240.0], key=jax.random.key(2))
    scores = score(ahead, a_record())
    assert scores.pairs[["time", "hours_ahead", "value"]].to_numpy() == pytest.approx(np.array([[240.0, 1.0, 10.0]]))
    assert scores.table()["median"][0] == pytest.approx(ahead.quantiles("glucose", [0.5])[0, 0])


def test_measurements_in_another_unit_are_converted(twin):
    ahead = forecast(twin, times=[240.0], key=jax.random.key(2))
    later = Record.build({"glucose": ([240.0], [180.16], "mg/dL")})
    assert score(ahead, later).pairs["value"][0] == pytest.approx(10.0)


def test_a_censored_measurement_is_counted_and_not_scored(twin):
    ahead = forecast(twin, times=[240.0, 300.0], key=jax.random.key(2))
    later = Record.build({"glucose": ([240.0, 300.0], [27.0, 10.0], "mmol/L", [1, 0])})
    assert (len(score(ahead, later)), score(ahead, later).censored) == (1, 1)


def test_a_forecast_at_other_times_is_refused_with_the_remedy(twin):
    ahead = forecast(twin, times=[230.0, 250.0], key=jax.random.key(2))
    with pytest.raises(ValueError, match=r"no value at 1 of 1 times.*name them: `forecast"):
        score(ahead, a_record())


def test_a_record_without_later_measurements_is_refused(twin):
    ahead = forecast(twin, times=[240.0], key=jax.random.key(2))
    with pytest.raises(ValueError, match="no measurement between the forecast's present, 180 min"):
        score(ahead, a_record().until(180.0))


# ---- evaluate --------------------------------------------------------------------------------------------------------


def run(records, **settings) -> Evaluation:
    return evaluate(Level(), records, key=jax.random.key(3), horizon="2.5 h", method=METHOD, **settings)


@pytest.fixture(scope="module")
def two_patients():
    return run({"a": a_record(), "b": a_record((8.0, 9.0, 9.9), (0, 60, 120))})


def of(evaluation: Evaluation, forecaster: str, patient="a") -> Scores:
    pairs = evaluation.scores.pairs
    return evaluation.scores.select((pairs["forecaster"] == forecaster) & (pairs["patient"] == patient))


def test_every_pair_within_the_horizon_is_forecast_once(two_patients):
    pairs = of(two_patients, "twin").pairs
    expected = [(0, 60), (0, 120), (60, 120), (60, 180), (120, 180), (120, 240), (180, 240)]
    assert list(pairs[["origin", "time"]].itertuples(index=False, name=None)) == expected


def test_following_limits_the_pairs_to_the_next_measurements():
    from twinprob.validation.evaluate import pairs_ahead

    pairs = pairs_ahead(Level(), a_record(), 150.0, 0.0, 1, ((0.4, 1.5),))
    assert pairs["time"].tolist() == [60, 120, 180, 240]


def test_all_forecasters_forecast_the_same_pairs(two_patients):
    columns = ["origin", "time", "value"]
    twin = of(two_patients, "twin").pairs[columns]
    for name in ("persistence", "linear trend", "other patients", "prior"):
        assert of(two_patients, name).pairs[columns].equals(twin)


def test_persistence_forecasts_the_last_value(two_patients):
    found = of(two_patients, "persistence")
    assert [m[0] for m in found.members] == found.pairs["last"].tolist() == [10.0, 10.0, 11.0, 11.0, 9.5, 9.5, 10.5]


def test_the_linear_trend_goes_through_the_last_two_values(two_patients):
    found = of(two_patients, "linear trend")
    assert [m[0] for m in found.members] == pytest.approx([10.0, 10.0, 12.0, 13.0, 8.0, 6.5, 11.5])


def test_the_interval_of_the_other_patients_uses_only_their_changes(two_patients):
    found = of(two_patients, "other patients")
    one_hour = 10.0 * np.array([9.0 / 8.0, 9.9 / 9.0])
    assert found.members[0] == pytest.approx(one_hour)


def test_every_other_patient_has_the_same_weight():
    evaluation = run(
        {"a": a_record(), "b": a_record((8.0, 9.0), (0, 60)), "c": a_record((8.0, 9.0, 9.5), (0, 60, 120))}
    )
    found = of(evaluation, "other patients")
    assert found.weights[0] == pytest.approx([1.0, 0.5, 0.5])


def test_the_prior_forecast_has_the_spread_of_the_prior(two_patients):
    members = of(two_patients, "prior").members[0]
    sd = np.sqrt(1.0 + 0.5**2)
    assert members.std() == pytest.approx(sd, abs=5 * sd / np.sqrt(2 * len(members)))


def test_the_twin_is_the_forecast_of_a_fit_to_the_past(two_patients):
    found = of(two_patients, "twin")
    assert found.table()["median"].std() > 0
    members = np.concatenate([found.members[0], found.members[-1]])
    assert np.isfinite(members).all()
    assert found.members[-1].std() < of(two_patients, "prior").members[-1].std()


def test_summary_is_the_mean_of_the_patients(two_patients):
    index = ["forecaster", "horizon", "patient"]
    each = two_patients.per_patient().set_index(index)["mean_absolute_error"].sort_index()
    whole = two_patients.summary().set_index(["forecaster", "horizon"])["mean_absolute_error"]
    assert whole["twin", "0.4–1.5 h"] == pytest.approx(each["twin", "0.4–1.5 h"].mean())


def test_pooled_figures_count_every_pair_alike(two_patients):
    pooled = two_patients.pooled().set_index(["forecaster", "horizon"]).sort_index()
    assert pooled.loc[("twin", "0.4–1.5 h"), "pairs"] == 6


ALTERED = {
    "values after the origin": a_record((10.0, 11.0, 9.5, 14.0, 6.0)),
    "values shuffled": a_record((10.0, 11.0, 9.5, 10.0, 10.5)),
    "inputs after the window": a_record(stop=330.0),
    "the end of the record": a_record().until(270.0),
    "a measurement more": a_record((10.0, 11.0, 9.5, 10.5, 10.0, 7.0), (0, 60, 120, 180, 240, 300)),
}


def late_laboratory(values=(10.0, 11.0, 9.5, 10.5, 10.0), shown=(0, 90, 125, 190, 260)):
    """The record with each value known some time after it was taken."""
    series = a_record(values).observations["glucose"]
    return a_record().with_observations({"glucose": (series.times, values, "mmol/L", None, shown)})


@pytest.fixture(scope="module")
def laboratory():
    return run({"a": late_laboratory()})


def test_origins_are_the_times_at_which_something_became_known(laboratory):
    pairs = of(laboratory, "twin").pairs
    # Nothing is taken after 260 min; from 190 min only the value of 240 min is left.
    expected = [(0, 60), (0, 120), (90, 120), (90, 180), (90, 240), (125, 180), (125, 240), (190, 240)]
    assert list(pairs[["origin", "time"]].itertuples(index=False, name=None)) == expected


def test_a_value_taken_and_not_yet_known_is_no_last_value(laboratory):
    pairs = of(laboratory, "persistence").pairs.set_index(["origin", "time"])["last"]
    assert pairs[0, 120] == 10.0
    assert pairs[125, 180] == 9.5


@pytest.mark.parametrize("rolling", [None, Filter(particles=500)])
def test_shuffling_what_was_known_later_changes_no_forecast(rolling, laboratory):
    plain = laboratory if rolling is None else run({"a": late_laboratory()}, rolling=rolling)
    shuffled = run({"a": late_laboratory((10.0, 11.0, 10.5, 10.0, 9.5))}, rolling=rolling)
    # At 90 min the value of 120 min and later ones are unknown; they differ from then on.
    assert same_members(of(plain, "twin"), of(shuffled, "twin"), 90) == [True] * 5
    assert same_members(of(plain, "persistence"), of(shuffled, "persistence"), 90) == [True] * 5


def test_treatment_charted_late_was_given_all_the_same():
    from twinprob.validation.evaluate import given

    drug = Inputs.infusions("drug", 90.0, 150.0, 0.02, "mmol/L/min", known=400.0, own=("drug",))
    record = Record.build({"glucose": ((0, 60), (10.0, 11.0), "mmol/L")}, drug, own=("drug",))
    assert given(Level(), record, 80.0, 120.0)["drug"].at(100.0) == 0.02


def test_treatment_that_is_over_is_zero_from_then_on():
    from twinprob.validation.evaluate import given

    drug = Inputs.infusions("drug", 90.0, 150.0, 0.02, "mmol/L/min", known=400.0, own=("drug",))
    record = Record.build({"glucose": ((0, 60), (10.0, 11.0), "mmol/L")}, drug, own=("drug",))
    later = given(Level(), record, 160.0, 300.0)["drug"]
    assert (later.starts.min(), later.at(200.0)) == (160.0, 0.0)
    assert "drug" not in given(Level(), record, 0.0, 80.0)


def test_treatment_charted_after_it_was_over_does_not_end_an_evaluation():
    late = Inputs.infusions("drug", 10.0, 30.0, 0.02, "mmol/L/min", known=400.0, own=("drug",))
    found = run({"a": dataclasses.replace(a_record(), inputs=late)})
    assert len(of(found, "twin").pairs) == 7


def same_members(plain: Scores, changed: Scores, last: float) -> list[bool]:
    """Whether each forecast of a pair with an origin until `last` is the same, bit for bit."""
    found = []
    for i in np.flatnonzero(plain.pairs["origin"] <= last):
        same = (changed.pairs["origin"] == plain.pairs["origin"][i]) & (changed.pairs["time"] == plain.pairs["time"][i])
        found.append(np.array_equal(changed.members[int(np.flatnonzero(same)[0])], plain.members[i]))
    return found


@pytest.mark.parametrize("what", ALTERED)
def test_nothing_after_the_origin_changes_a_forecast(what, two_patients):
    found = same_members(of(two_patients, "twin"), of(run({"a": ALTERED[what]}), "twin"), 120)
    assert found == [True] * 6


@pytest.fixture(scope="module")
def rolled():
    return run({"a": a_record()}, rolling=Filter(particles=500))


@pytest.mark.parametrize("what", ALTERED)
def test_nothing_after_the_origin_changes_a_forecast_that_rolls_on(what, rolled):
    changed = run({"a": ALTERED[what]}, rolling=Filter(particles=500))
    assert same_members(of(rolled, "twin"), of(changed, "twin"), 120) == [True] * 6


@pytest.mark.parametrize("forecaster", ["persistence", "linear trend", "prior"])
def test_no_later_value_changes_a_simple_forecast(forecaster, two_patients):
    changed = of(run({"a": ALTERED["values shuffled"]}), forecaster)
    assert same_members(of(two_patients, forecaster), changed, 120) == [True] * 6


def test_treatment_within_the_window_is_given(two_patients):
    other = Inputs.infusions("drug", 30.0, 90.0, 0.5, "mmol/L/min", own=("drug",))
    treated = Record.build({"glucose": ((0, 60), (10.0, 11.0), "mmol/L")}, other, own=("drug",))
    more = of(run({"a": treated}), "twin").members[0].mean() - of(two_patients, "twin").members[0].mean()
    rise = (0.5 - 0.02) * (1 - np.exp(-0.3)) / 0.01
    assert more == pytest.approx(rise, abs=0.5)


def test_a_record_with_one_measurement_has_nothing_to_evaluate():
    with pytest.raises(ValueError, match="No measurement follows another within the horizon"):
        run(a_record((10.0,), (0,)))


def test_one_model_per_record_is_needed():
    with pytest.raises(ValueError, match="`model` must be one, or one per record, but there are 2 for 3"):
        evaluate([Level()] * 2, [a_record()] * 3, key=jax.random.key(0))


def test_a_patient_that_cannot_be_fitted_is_reported_and_not_hidden(monkeypatch):
    def refuse(model, record, **settings):
        raise RuntimeError("no start")

    # The package shows the verb under the module's name, so the module is taken from where Python keeps it.
    monkeypatch.setattr(sys.modules["twinprob.validation.evaluate"], "fit", refuse)
    found = run(a_record())
    assert found.origins["failed"].all()
    assert of(found, "twin", 0).table()["crps"].isna().all()


def test_rolling_on_with_update_forecasts_what_fits_forecast(two_patients):
    rolled = of(run({"a": a_record()}, rolling=Filter(particles=2000)), "twin")
    fitted = of(two_patients, "twin")
    errors = [np.hypot(r.std(), f.std()) / np.sqrt(200) for r, f in zip(rolled.members, fitted.members, strict=True)]
    means = [r.mean() - f.mean() for r, f in zip(rolled.members, fitted.members, strict=True)]
    assert np.abs(np.array(means) / errors).max() < 5


STOPPED = Record.build(
    {"glucose": ([0.0, 60.0, 120.0, 180.0], [10.0, 10.5, 10.0, 9.8], "mmol/L")},
    Inputs.infusions("drug", 0.0, 60.0, 0.02, "mmol/L/min", own=("drug",)),
    own=("drug",),
)


def test_rolling_on_hears_what_an_update_of_the_record_hears(monkeypatch):
    heard, real = [], sys.modules["twinprob.validation.evaluate"].update

    def listen(twin, new_data, **settings):
        heard.append((twin.record, new_data))
        return real(twin, new_data, **settings)

    monkeypatch.setattr(sys.modules["twinprob.validation.evaluate"], "update", listen)
    run(STOPPED, rolling=Filter(particles=500))
    assert [(r.end, n.end) for r, n in heard] == [(0.0, 60.0), (60.0, 120.0)]
    assert [new == STOPPED.between(known.end, new.end) for known, new in heard] == [True, True]


def test_an_input_that_stopped_at_a_measurement_does_not_run_on_in_an_evaluation(monkeypatch):
    seen, real = [], sys.modules["twinprob.validation.evaluate"].update

    def keep(*arguments, **settings):
        seen.append(real(*arguments, **settings))
        return seen[-1]

    monkeypatch.setattr(sys.modules["twinprob.validation.evaluate"], "update", keep)
    run(STOPPED, rolling=Filter(particles=500))
    last = seen[-1].group("state")["rise"].values
    # dx/dt = 0.02 - 0.01 x for an hour, then decay alone for another.
    exact = 2.0 * (1 - np.exp(-0.6)) * np.exp(-0.6)
    np.testing.assert_allclose(last, exact, rtol=1e-3)


def test_a_value_on_the_edge_of_its_interval_is_covered():
    assert of_draws([1.0], [np.ones(10)]).table()["covered"].tolist() == [1.0]


def test_a_class_of_horizons_holds_its_lower_end_and_not_its_upper():
    record = Record.build({"glucose": ([0.0, 24.0, 90.0, 150.0], [8.0, 8.0, 8.0, 8.0], "mmol/L")})
    pairs = pairs_ahead(ICING(), record, 150.0, 0.0, None, HORIZONS)
    first = pairs[pairs["origin"] == 0.0].set_index("time")["horizon"]
    assert first.to_dict() == {24.0: "0.4–1.5 h", 90.0: "1.5–2.5 h", 150.0: ""}
