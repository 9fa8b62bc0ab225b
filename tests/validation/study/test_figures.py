"""The figures of a study whose distributions are known."""

import numpy as np
import pytest
import scoringrules
from scipy.stats import norm

pytest.importorskip("zarr")

from tests.validation.study import made
from twinprob.validation.study.gather import gather
from twinprob.validation.study.store import Store

PATIENTS = 8


def study(folder, width=1.0, failed=0, **changes):
    store = Store.open(folder, made.plan(**changes), "data")
    for number in range(PATIENTS):
        store.write(made.part(number, width=width, failed=failed if number == 0 else 0), 1.0)
    store.write(made.excluded(90), 0.1)
    store.write(made.broken(91), 0.1)
    return gather(store)


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    return study(tmp_path_factory.mktemp("right") / "s")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    return study(tmp_path_factory.mktemp("narrow") / "s", width=0.5)


def twin(found):
    return found.summary().set_index("forecaster").loc["twin"]


def test_a_right_forecaster_is_inside_its_intervals(right):
    row = twin(right)
    assert all(row[f"covered {p:g} %_low"] <= p / 100 <= row[f"covered {p:g} %_high"] for p in (50, 80, 90))


def test_one_that_is_too_narrow_is_outside(narrow):
    assert twin(narrow)["covered 90 %_high"] < 0.9


def test_the_crps_is_that_of_the_normal(right):
    values, mean = (np.concatenate([x(i) for i in range(PATIENTS)]) for x in (lambda i: made.part(i).pairs["value"],
                    lambda i: made.part(i).pairs["last"] - 1.5))  # fmt: skip
    exact = scoringrules.crps_normal(values, mean, 1.0).mean()
    # 240 pairs of 400 draws: the mean over pairs errs by far less than one in a hundred.
    assert twin(right)["crps"] == pytest.approx(exact, abs=0.01)
    assert twin(right)["log_score"] == pytest.approx(-norm.logpdf(values, mean, 1.0).mean(), abs=0.05)


def test_probabilities_of_the_event_are_calibrated(right):
    row = right.events().set_index("forecaster").loc["twin"]
    assert row["observed_over_expected_low"] <= 1.0 <= row["observed_over_expected_high"]
    assert row["slope"] == pytest.approx(1.0, abs=0.4)
    assert row["threshold_weighted_crps"] < twin(right)["crps"]


def test_every_stay_is_in_the_flow(right):
    assert right.flow["fate"].value_counts().to_dict() == {"rolled": PATIENTS, "excluded": 1, "failed": 1}


def test_thresholds_are_judged_as_they_were_stated(right, narrow):
    assert right.thresholds()["verdict"].tolist() == ["passed", "passed"]
    assert narrow.thresholds()["verdict"].iloc[0] == "failed"


def test_small_cells_are_suppressed(right):
    frame = right.subgroups().set_index(["subgroup", "group"])
    assert np.isnan(frame.loc[("sex", "female"), "coverage"])
    assert np.isnan(frame.loc[("sex", "female"), "patients"])
    assert frame.loc[("sex", "male"), "patients"] == PATIENTS - 2
    assert frame.loc[("age", "≥ 65"), "patients"] == 5


def test_a_failed_forecast_stays_among_the_pairs(tmp_path, right):
    found = study(tmp_path / "s", failed=5)
    row, whole = twin(found), twin(right)
    assert (row["pairs"], row["failed"]) == (whole["pairs"], 5)
    pairs, members = found.scores.pairs, found.scores.members
    mine = pairs.index[(pairs["forecaster"] == "twin") & pairs["stood_in"]]
    others = pairs.index[pairs["forecaster"] == "other patients"][: len(mine)]
    assert len(mine) == 5
    assert all(np.array_equal(members[a], members[b]) for a, b in zip(mine, others, strict=True))


def test_only_the_stated_baselines_are_shown(tmp_path):
    found = study(tmp_path / "s", baselines=("persistence",))
    assert set(found.summary()["forecaster"]) == {"twin", "persistence"}
