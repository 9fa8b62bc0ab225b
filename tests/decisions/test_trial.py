import dataclasses
import warnings

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import twinprob as tp
from tests import ROOT
from twinprob.decisions import (
    AbstractProtocol,
    Delivery,
    Measuring,
    Orders,
    VirtualPatients,
    World,
    load_trial,
    trial,
)
from twinprob.decisions.protocols.circulation import NurseTitration
from twinprob.decisions.protocols.metabolic import FixedRate, Yale2012
from twinprob.decisions.protocols.respiratory import DrivingPressure

KEY, FEED = jax.random.key(3), tp.Inputs.constant(enteral_glucose=(7.0, "g/h"))
ARMS = {"Yale": Yale2012(), "fixed": FixedRate(rate=2.0, interval=60.0)}


@pytest.fixture(scope="module")
def patients():
    return VirtualPatients.drawn(tp.models.metabolic.ICING(), 6, hours=12, key=jax.random.key(0), inputs=FEED)


@pytest.fixture(scope="module")
def done(patients):
    return trial(ARMS, patients, hours=12, key=KEY, batch_size=3)


class Threshold(AbstractProtocol):
    """Insulin above 10 mmol/L; in plain Python or traceable, as `plain` says."""

    reads = {"glucose": "mmol/L"}  # noqa: RUF012
    gives = {"insulin": "U/h"}  # noqa: RUF012
    plain: bool = False

    def decide(self, bedside):
        glucose = bedside.seen("glucose").value
        if self.plain:
            return Orders({"insulin": (3.0 if glucose > 10.0 else 0.0, "U/h")}, measure_in=60.0)
        return Orders({"insulin": (jax.numpy.where(glucose > 10.0, 3.0, 0.0), "U/h")}, measure_in=60.0)


# ---- the loop ------------------------------------------------------------------------------------------------------


def test_a_constant_rate_gives_what_simulate_gives():
    model = tp.models.metabolic.ICING().vary(insulin_sensitivity=None)
    few = VirtualPatients.drawn(model, 3, hours=12, key=jax.random.key(1), inputs=FEED)
    found = trial({"fixed": FixedRate(rate=3.0)}, few, hours=12, key=KEY)
    for i in range(2):
        known = model.fix(**{name: float(values[i]) for name, values in few.values.items()})
        given = FEED.merge(tp.Inputs.infusions("insulin", [0.0], ["12 h"], [3.0], "U/h"))
        times = found.group("truth")["time"].values
        course = tp.simulate(known, given, times, start=0.0)
        np.testing.assert_allclose(found.group("truth")["glucose"].values[0, i], course.output.glucose, rtol=1e-4)


def test_arms_see_the_same_patient_and_the_same_noise_until_they_act_differently(done):
    first = done.group("measured")["glucose"].values[:, :, 0]
    np.testing.assert_allclose(first[0], first[1] * 18.016, rtol=1e-6)  # one arm reads mg/dL, the other mmol/L


def test_two_arms_of_one_protocol_end_alike(patients):
    twice = trial({"one": FixedRate(), "other": FixedRate()}, patients, hours=12, key=KEY, batch_size=3)
    np.testing.assert_array_equal(*twice.group("measured")["glucose"].values)


def test_what_is_charted_reaches_the_patient_in_the_plants_unit(done):
    charted = done.group("charted")["insulin"].sel(arm="fixed").values
    assert np.all(charted == 2.0)
    np.testing.assert_allclose(done.group("given")["insulin"].sel(arm="fixed").values, 2000 / 60)


def test_a_bolus_is_given_whole(done):
    rules = done.group("decisions")["rule"].sel(arm="Yale").values
    charted = done.group("charted")["insulin"].sel(arm="Yale").values
    beyond = done.group("given")["insulin"].sel(arm="Yale").values * 15 / 1000 - charted * 0.25  # U in each step
    started = rules == Yale2012.Rule.start
    assert started.any()
    np.testing.assert_allclose(beyond[started], charted[started])  # as many units at once as an hour
    np.testing.assert_allclose(beyond[~started], 0.0, atol=1e-9)


def test_more_patients_leave_the_first_as_they_are(patients):
    more = VirtualPatients.drawn(tp.models.metabolic.ICING(), 8, hours=12, key=jax.random.key(0), inputs=FEED)
    np.testing.assert_allclose(more.paths["insulin_sensitivity"][:6], patients.paths["insulin_sensitivity"], rtol=1e-12)


def test_a_rule_in_plain_python_does_what_the_compiled_one_does_and_says_so(patients):
    both = trial({"compiled": Threshold(), "plain": Threshold(plain=True)}, patients, hours=2, key=KEY)
    compiled, plain = both.group("truth")["glucose"].values
    np.testing.assert_allclose(plain, compiled, rtol=1e-12)
    assert "plain Python" in both.notes[0]


# ---- the world -----------------------------------------------------------------------------------------------------


def test_a_late_result_is_decided_on_when_it_comes(patients):
    late = World(measuring={"glucose": Measuring(earliest=30.0, latest=30.0)})
    found = trial({"fixed": FixedRate()}, patients, hours=12, key=KEY, world=late, batch_size=3)
    rules, drawn = (found.group("decisions")[name].values[0, 0] for name in ("rule", "drawn"))
    assert list(np.flatnonzero(drawn)) == [0, 18, 36]
    assert list(np.flatnonzero(rules >= 0)) == [2, 20, 38]  # steps of 15 min; 4 h from the decision on


def test_a_lost_sample_is_drawn_again_and_counted(patients):
    lossy = World(measuring={"glucose": Measuring(lost=0.5)})
    found = trial({"fixed": FixedRate(interval=60.0)}, patients, hours=12, key=KEY, world=lossy, batch_size=3)
    drawn, decided = (int((found.group("decisions")[n] >= low).sum()) for n, low in (("drawn", 1), ("rule", 0)))
    assert found.lost["fixed"] == drawn - decided
    assert abs(found.lost["fixed"] / drawn - 0.5) < 5 * 0.5 / np.sqrt(drawn)


def test_what_is_charted_and_not_given_does_not_reach_the_patient(patients):
    never = World(delivery=Delivery(undelivered=1.0))
    found = trial({"fixed": FixedRate()}, patients, hours=12, key=KEY, world=never, batch_size=3)
    assert np.all(found.group("charted")["insulin"].values == 2.0)
    assert np.all(found.group("given")["insulin"].values == 0.0)


def test_a_bag_change_stops_the_pump_for_its_minutes(patients):
    bags = World(delivery=Delivery(bag_every={"insulin": 1.0}, bag_minutes={"insulin": 3.0}))
    found = trial({"fixed": FixedRate()}, patients, hours=12, key=KEY, world=bags, batch_size=3)
    given = found.group("given")["insulin"].values[0, 0] * 60 / 1000
    np.testing.assert_allclose(given[:8], [2, 2, 2, 2, 2 * 12 / 15, 2, 2, 2])


def test_uncharted_glucose_raises_glucose_and_is_not_charted(patients):
    extra = World(uncharted={"parenteral_glucose": (10.0, "g/h")})
    plain, fed = (
        trial({"fixed": FixedRate()}, patients, hours=12, key=KEY, world=w, batch_size=3) for w in (None, extra)
    )
    assert np.all(fed.group("truth")["glucose"].values[..., -1] > plain.group("truth")["glucose"].values[..., -1] + 0.3)
    assert "parenteral_glucose" not in fed.group("charted")


# ---- what is reported ----------------------------------------------------------------------------------------------


def test_outcomes_come_from_the_truth(done):
    truth = done.group("truth")["glucose"].sel(arm="Yale").values[:, 3::4]  # on the hour
    share = 100 * np.mean((truth >= 4.4) & (truth <= 8.0), axis=1)
    np.testing.assert_allclose(done.outcome("in_4.4_to_8.0", "Yale"), share)
    frame = done.to_frame()
    row = frame[(frame.outcome == "in_4.4_to_8.0") & (frame.arm == "Yale")].iloc[0]
    assert (row["n"], row["median"]) == (6, pytest.approx(np.median(share)))


def test_a_trial_survives_its_file(done, tmp_path):
    done.save(tmp_path / "trial.nc")
    again = load_trial(tmp_path / "trial.nc")
    assert (again.provenance, again.notes, again.arms) == (done.provenance, done.notes, done.arms)
    for name in ("truth", "given", "charted", "measured", "decisions", "outcomes"):
        assert again.group(name).identical(done.group(name))


def test_a_trial_shows_itself(done):
    assert "6 patients" in repr(done)
    assert "in_4.4_to_8.0" in done._repr_html_()


def test_a_patient_that_cannot_be_solved_is_counted_and_left_out(patients):
    values = dict(patients.values)
    values["endogenous_glucose_production"] = values["endogenous_glucose_production"].copy()
    values["endogenous_glucose_production"][2] = 1e40
    broken = dataclasses.replace(patients, values=values)
    found = trial({"fixed": FixedRate()}, broken, hours=12, key=KEY, batch_size=3)
    assert found.solves_failed == {"fixed": 1}
    assert found.summary("mean_glucose", "fixed").n == 5


# ---- kept, resumed, interrupted ------------------------------------------------------------------------------------


def same(one, other):
    return all(one.group(name).identical(other.group(name)) for name in ("truth", "measured", "decisions", "outcomes"))


def test_a_trial_goes_on_from_what_is_kept_bit_for_bit(patients, done, tmp_path):
    kept = trial(ARMS, patients, hours=12, key=KEY, batch_size=3, folder=tmp_path)
    files = sorted(tmp_path.glob("batch-*.nc"))
    assert len(files) == 4
    files[1].unlink()
    files[2].write_bytes(files[2].read_bytes()[:1000])  # as a full disk would leave it
    again = trial(ARMS, patients, hours=12, key=KEY, batch_size=3, folder=tmp_path)
    assert (same(kept, done), same(again, done)) == (True, True)


def test_a_folder_of_another_trial_is_refused(patients, tmp_path):
    trial({"fixed": FixedRate()}, patients, hours=12, key=KEY, folder=tmp_path, batch_size=3)
    with pytest.raises(ValueError, match="holds batches of another trial"):
        trial({"fixed": FixedRate(rate=1.0)}, patients, hours=12, key=KEY, folder=tmp_path, batch_size=3)


def test_an_interrupt_keeps_the_patients_that_every_arm_has_treated(patients, done):
    seen = []

    def stop(arm, share, left):
        seen.append((arm, share, left))
        if len(seen) == 3:
            raise KeyboardInterrupt

    part = trial(ARMS, patients, hours=12, key=KEY, batch_size=3, progress=stop)
    assert part.patients == 3
    assert "3 of 6 patients were not treated" in part.notes[-1]
    np.testing.assert_array_equal(part.group("truth")["glucose"], done.group("truth")["glucose"][:, :3])
    assert [share for _, share, _ in seen] == [0.25, 0.5, 0.75]


# ---- where patients come from --------------------------------------------------------------------------------------


def test_patients_of_a_twin_go_on_from_where_it_is():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the file says which version wrote it
        twin = tp.load(ROOT / "tests" / "saved" / "v01" / "fitted.nc")
    few = VirtualPatients.of([twin], hours=12, key=KEY, draws=3)
    states = np.stack([v.values.ravel() for v in twin.group("state").data_vars.values()], axis=-1)
    for i in range(3):
        assert np.any(np.all(np.isclose(few.state[i], states), axis=1))
    found = trial({"fixed": FixedRate()}, few, hours=12, key=KEY)
    assert found.solves_failed == {"fixed": 0}


def test_changes_of_patients_do_what_they_say(patients):
    path = patients.paths["insulin_sensitivity"]
    np.testing.assert_allclose(patients.scaled(insulin_sensitivity=0.8).paths["insulin_sensitivity"], 0.8 * path)
    stepped = patients.stepped(6.0, insulin_sensitivity=0.4).paths["insulin_sensitivity"]
    np.testing.assert_allclose(stepped[:, :6], path[:, :6])
    np.testing.assert_allclose(stepped[:, 6:], 0.4 * path[:, 6:])
    base = np.log(patients.bases["insulin_sensitivity"])[:, None]
    restless = np.log(patients.restless(2.0).paths["insulin_sensitivity"])
    np.testing.assert_allclose(restless - base, 2.0 * (np.log(path) - base), rtol=1e-9)


@pytest.mark.slow
def test_pressure_has_noise_of_each_patients_own_and_varvels_four():
    model = tp.models.sepsis.VasopressorPressure()
    shocked = VirtualPatients.drawn(model, 4, hours=4, key=KEY)
    found = trial({"nurse": NurseTitration()}, shocked, hours=4, key=KEY)
    assert {"MDPE", "MDAPE", "wobble", "divergence", "within_5"} <= set(found.group("outcomes").data_vars)
    errors = 100 * (found.group("truth")["mean_arterial_pressure"].values[0] - 70) / 70
    np.testing.assert_allclose(found.outcome("MDPE", "nurse"), np.median(errors, axis=1))


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arms", "hours", "error", "words"),
    [
        ([FixedRate()], 6, TypeError, "must map names to protocols"),
        ({}, 6, TypeError, "must map names to protocols"),
        ({"fixed": FixedRate}, 6, TypeError, r"write `FixedRate\(\)`"),
        ({"fixed": FixedRate()}, 20, ValueError, "paths reach 12 h"),
        ({"fixed": FixedRate()}, 0.1, ValueError, "must be a multiple of"),
        ({"lung": DrivingPressure()}, 6, ValueError, "reads plateau_pressure, of which the plant has nothing"),
    ],
)
def test_what_cannot_be_run_is_refused_before_any_work(patients, arms, hours, error, words):
    with pytest.raises(error, match=words):
        trial(arms, patients, hours=hours, key=KEY)


def test_a_setting_unknown_at_the_beginning_is_refused():
    model = tp.models.respiratory.ChartedMechanics()
    with pytest.raises(ValueError, match="Setting `peep` is unknown when the trial begins"):
        VirtualPatients.drawn(model, 2, hours=4, key=KEY)


def test_a_covariate_nobody_has_is_refused():
    model = tp.models.respiratory.ChartedMechanics()
    charted = tp.Inputs.constant(peep=(8.0, "cmH2O"), tidal_volume=(0.45, "L"), respiratory_rate=(18.0, "1/min"))
    lungs = VirtualPatients.drawn(model, 2, hours=4, key=KEY, inputs=charted)
    with pytest.raises(ValueError, match="needs to know `height`"):
        trial({"lung": DrivingPressure()}, lungs, hours=4, key=KEY)


def test_patients_who_would_all_be_the_same_are_refused():
    model = tp.models.metabolic.MinimalModel()
    known = model.fix(**{name: float(getattr(model, name)) for name in model.unknowns()})
    with pytest.raises(ValueError, match="All patients would be the same"):
        VirtualPatients.drawn(known, 2, hours=4, key=KEY)


def test_a_population_is_the_priors_of_its_model():
    tight = (
        tp.models.metabolic.ICING().free(insulin_sensitivity=dist.LogNormal(-7.9, 1e-6)).vary(insulin_sensitivity=None)
    )
    few = VirtualPatients.drawn(tight, 3, hours=4, key=KEY)
    np.testing.assert_allclose(few.values["insulin_sensitivity"], np.exp(-7.9), rtol=1e-4)
