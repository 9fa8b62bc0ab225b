"""Scores of probabilities against values worked out by hand, and intervals that hold as often as they say."""

import numpy as np
import pytest
import scoringrules

from twinprob.validation.probabilities import (
    auprc,
    bootstrap,
    judge_probabilities,
    logistic,
    mean_interval,
    net_benefit,
)
from twinprob.validation.score import log_score


def test_average_precision_by_hand():
    # Ranked: hit, miss, hit, miss: precision 1 at recall 1/2, 2/3 at recall 1.
    assert auprc(np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])) == pytest.approx(
        0.5 + 0.5 * 2 / 3
    )
    assert auprc(np.full(4, 0.5), np.array([True, False, False, False])) == pytest.approx(0.25)
    assert np.isnan(auprc(np.array([0.1]), np.array([False])))


def test_net_benefit_by_hand():
    stated, happened = np.array([0.8, 0.6, 0.1]), np.array([True, False, False])
    assert net_benefit(stated, happened, [0.5]) == pytest.approx([1 / 3 - 1 / 3])
    assert net_benefit(stated, happened, [0.7]) == pytest.approx([1 / 3])


@pytest.mark.slow
def test_calibration_of_right_and_of_exaggerated_probabilities():
    chance = np.random.default_rng(0)
    logit = chance.normal(-1.0, 1.5, 20000)
    happened = chance.random(20000) < 1 / (1 + np.exp(-logit))
    patients = np.repeat(np.arange(200), 100)
    right = judge_probabilities(1 / (1 + np.exp(-logit)), happened, patients)
    # Standard error of the slope near 0.02.
    assert right["slope"] == pytest.approx(1.0, abs=0.08)
    assert right["intercept"] == pytest.approx(0.0, abs=0.08)
    assert right["observed_over_expected_low"] < 1 < right["observed_over_expected_high"]
    twice = judge_probabilities(1 / (1 + np.exp(-2 * logit)), happened, patients)
    assert twice["slope"] == pytest.approx(0.5, abs=0.04)
    assert twice["auroc"] == pytest.approx(right["auroc"])
    assert twice["brier"] > right["brier"]


def test_an_event_that_never_came_leaves_slopes_open():
    found = judge_probabilities(np.array([0.1, 0.2]), np.array([False, False]), np.array([0, 1]))
    assert np.isnan(found["slope"])
    assert np.isnan(found["auroc"])
    assert found["brier"] == pytest.approx(0.025)


def test_a_separated_regression_is_open():
    design = np.c_[np.ones(4), [-1.0, -0.5, 0.5, 1.0]]
    assert np.isnan(logistic(design, np.array([0.0, 0.0, 1.0, 1.0]))).all()


def test_intervals_over_patients_hold_as_often_as_they_say():
    chance, hits = np.random.default_rng(1), 0
    for seed in range(200):
        low, high = mean_interval(chance.standard_normal(40), seed=seed)
        hits += low <= 0.0 <= high
    assert hits / 200 == pytest.approx(0.9, abs=3.5 * np.sqrt(0.09 / 200))


def test_patients_are_drawn_with_all_their_rows():
    groups = np.repeat([0, 1], [3, 1])
    sizes: set[tuple] = set()

    def figure(rows: np.ndarray) -> float:
        sizes.add(tuple(np.bincount(groups[rows], minlength=2)))
        return 0.0

    bootstrap(figure, groups)
    assert sizes == {(6, 0), (3, 1), (0, 2)}


def test_the_log_score_is_that_of_scoringrules():
    draws = np.random.default_rng(2).normal(5.0, 1.0, (5, 300))
    for row, value in zip(draws, (2.5, 4.0, 5.0, 6.0, 9.0), strict=True):
        assert log_score(value, row) == pytest.approx(float(scoringrules.logs_ensemble(value, row)), rel=1e-10)
        assert log_score(value, row, np.full(300, 0.2)) == pytest.approx(log_score(value, row), rel=1e-2)


def test_the_log_score_of_a_point_is_none():
    assert np.isnan(log_score(1.0, np.array([1.0])))
    assert np.isnan(log_score(1.0, np.ones(10)))
