"""The tables of docs/respiratory.md are what the code beside them gives."""

import pytest

from tests import joint_lung, lung_tiers
from tests.tiers import on_the_page, rows, table, verdicts


@pytest.fixture(scope="module")
def twin():
    return joint_lung.fitted()


@pytest.mark.slow
def test_the_page_says_what_each_tier_of_data_determines():
    found = table(verdicts(lung_tiers.tiers()))
    assert on_the_page("respiratory", "| data | determined") == rows(found)


@pytest.mark.slow
def test_the_page_gives_the_risks_of_one_joint_posterior(twin):
    printed, found = (
        on_the_page("respiratory", "| plan | P("),
        rows(joint_lung.risk_table(joint_lung.risks(twin))),
    )
    assert [row[0] for row in printed] == [row[0] for row in found]
    # Five standard errors of a share of so many independent draws, and the rounding of both.
    tolerance = 5 * (0.25 / twin.effective_draws) ** 0.5 + 0.01
    for mine, new in zip(printed[1:], found[1:], strict=True):
        assert [float(p) for p in mine[1:]] == pytest.approx([float(p) for p in new[1:]], abs=tolerance)


@pytest.mark.slow
def test_the_page_names_the_best_maneuver_for_each_question(twin):
    found = rows(joint_lung.maneuver_table(joint_lung.rankings(twin)))
    assert [row[:2] for row in on_the_page("respiratory", "| to know | best maneuver")] == [row[:2] for row in found]
