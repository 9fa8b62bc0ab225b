import dataclasses
import threading

import jax
import numpy as np
import pytest

from tests.cases import OWN, Washout, washout
from twinprob.forecasting.forecast import forecast
from twinprob.inference.cohort import Cohort, load_cohort
from twinprob.inference.fit import fit
from twinprob.inference.fit_cohort import fit_cohort
from twinprob.inference.methods.laplace import Laplace
from twinprob.inference.methods.nuts import NUTS
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record

LIGHT = Laplace(starts=2, chains=2, draws=40, proposals=500, nodes=12)
KEY = jax.random.key(7)


def patient(number, count=4):
    """A chart of its own: times, drive and weight differ; the amount is the closed form's, with 10 % noise."""
    chance = np.random.default_rng(number)
    times = np.sort(chance.choice(np.arange(5.0, 90.0), count, replace=False))
    rate, first, drive = 0.01 * np.exp(0.3 * chance.standard_normal()), 10.0, 0.02 * number
    values = washout(times, rate, first, (0.0,), (drive,)) * (1 + 0.1 * chance.standard_normal(count))
    given = Inputs.infusions("drive", 0.0, np.inf, drive, "1/min", own=OWN)
    return Record.build({"amount": (times, values, "1")}, given, {"weight": (70.0, "kg")}, start=0.0, end=90.0, own=OWN)


@pytest.fixture(scope="module")
def records():
    chosen = [patient(number) for number in range(5)]
    chosen[2] = None
    return chosen


@pytest.fixture(scope="module")
def cohort(records):
    return fit_cohort(Washout(), records, key=KEY, method=LIGHT)


def same(one: Cohort, other: Cohort) -> bool:
    pairs = [(a.sampled, b.sampled) for a, b in zip(one.members, other.members, strict=True)]
    return all(
        (a is None and b is None) or (a is not None and b is not None and np.array_equal(a.positions, b.positions))
        for a, b in pairs
    )


@pytest.mark.parametrize("i", [0, 1, 3, 4])
def test_each_patient_equals_its_single_fit(cohort, records, i):
    alone = fit(Washout(), records[i], key=jax.random.fold_in(KEY, i), method=LIGHT)
    np.testing.assert_allclose(
        cohort[i].group("unconstrained")["position"], alone.group("unconstrained")["position"], rtol=1e-9, atol=1e-9
    )


def test_a_patient_is_described_as_its_single_fit(cohort, records):
    alone = fit(Washout(), records[1], key=jax.random.fold_in(KEY, 1), method=LIGHT)
    twin = cohort[1]
    assert (twin.provenance["key"], twin.provenance["data_hash"]) == (
        alone.provenance["key"],
        alone.provenance["data_hash"],
    )


def test_a_record_that_is_none_is_counted_and_stops_nobody(cohort):
    assert cohort.counts == {"fitted": 4, "untrusted": 0, "unsolved": 0, "refused": 1}


def test_failures_are_named_by_index(cohort):
    assert list(cohort.failures) == [2]


def test_the_reason_of_a_failure_says_what_was_wrong(cohort):
    assert "NoneType" in cohort.to_frame()["reason"][2]


def test_asking_for_a_patient_who_could_not_be_fitted_says_why(cohort):
    with pytest.raises(ValueError, match="Patient 2 could not be fitted"):
        cohort[2]


def test_there_is_no_patient_beyond_the_last(cohort):
    with pytest.raises(IndexError, match="no patient 5 in a cohort of 5"):
        cohort[5]


def test_the_frame_has_one_row_per_record(cohort):
    assert list(cohort.to_frame().index) == [0, 1, 2, 3, 4]


def test_the_number_of_threads_changes_nothing(cohort, records):
    other = fit_cohort(Washout(), records, key=KEY, method=LIGHT, threads=1)
    for one, two in zip(cohort.members, other.members, strict=True):
        if one.sampled is not None:
            np.testing.assert_allclose(one.sampled.positions, two.sampled.positions, rtol=1e-9, atol=1e-9)


def test_charts_that_fill_the_same_buckets_share_programs(cohort):
    before = len(Washout.traces)
    fit_cohort(Washout(), [patient(11), patient(12)], key=KEY, method=LIGHT)
    assert len(Washout.traces) == before


@pytest.mark.slow
def test_an_interrupt_ends_the_work_and_the_process_goes_on(cohort, records):
    def interrupt(stage, fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_cohort(Washout(), [patient(i) for i in range(60)], key=KEY, method=LIGHT, progress=interrupt)
    assert same(fit_cohort(Washout(), records, key=KEY, method=LIGHT), cohort)


@pytest.mark.slow
def test_an_interrupt_leaves_no_thread_behind():
    def interrupt(stage, fraction):
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        fit_cohort(Washout(), [patient(i) for i in range(60)], key=KEY, method=LIGHT, progress=interrupt)
    assert threading.active_count() == before


def test_a_cohort_survives_saving_and_loading_bit_for_bit(cohort, tmp_path):
    cohort.save(tmp_path / "cohort.nc")
    assert same(load_cohort(tmp_path / "cohort.nc", own=(Washout,)), cohort)


def test_a_loaded_cohort_has_the_same_failures(cohort, tmp_path):
    cohort.save(tmp_path / "cohort.nc")
    assert load_cohort(tmp_path / "cohort.nc", own=(Washout,)).failures == cohort.failures


def test_a_failed_save_leaves_no_file(cohort, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("xarray.DataTree.to_netcdf", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cohort.save(tmp_path / "cohort.nc")
    assert list(tmp_path.iterdir()) == []


def test_patients_not_trusted_are_named(cohort):
    member = cohort.members[0]
    doubtful = type(member)(member.record, member.model, member.observations, _with_khat(member.sampled, 0.9))
    assert doubtful.why.startswith("k-hat 0.90 is not below 0.7")


@pytest.mark.parametrize(("failed", "status"), [(5, "fitted"), (6, "unsolved")])
def test_more_than_half_a_percent_of_failed_solves_is_counted_and_named(cohort, failed, status):
    sampled = dataclasses.replace(cohort.members[0].sampled, failed=failed, tried=1000, khat=0.2)
    members = (dataclasses.replace(cohort.members[0], sampled=sampled), *cohort.members[1:2])
    found = Cohort(members, cohort.integrator, cohort.key)
    assert found.counts[status] == 1 + (status == "fitted")
    assert ("6 of 1000 solves failed" in found.failures.get(0, "")) == (status == "unsolved")


@pytest.mark.slow
def test_patients_not_trusted_can_be_refitted_with_nuts(cohort):
    members = list(cohort.members)
    members[0] = type(members[0])(
        members[0].record, members[0].model, members[0].observations, _with_khat(members[0].sampled, 0.9)
    )
    doubtful = Cohort(tuple(members), cohort.integrator, cohort.key)
    again = doubtful.refitted(method=NUTS(chains=2, draws=50, warmup=50, starts=2))
    assert (doubtful.counts["untrusted"], again.counts["untrusted"], again.members[0].sampled.method) == (1, 0, "NUTS")


def _with_khat(sampled, khat):
    return dataclasses.replace(sampled, khat=khat)


def test_a_twin_of_a_cohort_forecasts(cohort):
    ahead = forecast(cohort[0], hours=1, key=jax.random.key(1))
    assert np.all(np.isfinite(ahead.tree["predictions"]["amount"]))


def test_other_methods_are_refused_with_the_way_to_use_them(records):
    with pytest.raises(TypeError, match="refitted"):
        fit_cohort(Washout(), records, key=KEY, method=NUTS())


def test_an_empty_cohort_is_refused():
    with pytest.raises(ValueError, match="`records` is empty"):
        fit_cohort(Washout(), [], key=KEY)
