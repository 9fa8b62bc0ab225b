"""The tables of docs/respiratory.md are what the code beside them gives."""

import pytest

from tests import ROOT, joint_lung, lung_tiers

PAGE = (ROOT / "docs" / "respiratory.md").read_text(encoding="utf-8")


def rows(table: str) -> list[list[str]]:
    """Return the cells of a Markdown table, without its rule."""
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines() if "---" not in line]


def on_the_page(header: str) -> list[list[str]]:
    """Return the table of the page whose first line begins so."""
    table = next(block for block in PAGE.split("\n\n") if block.startswith(header))
    return rows(table)


@pytest.fixture(scope="module")
def twin():
    return joint_lung.fitted()


@pytest.mark.slow
def test_the_page_says_what_each_tier_of_data_determines():
    found = lung_tiers.table(lung_tiers.verdicts())
    assert on_the_page("| data | determined") == rows(found)


@pytest.mark.slow
def test_the_page_gives_the_risks_of_one_joint_posterior(twin):
    printed, found = on_the_page("| plan | P("), rows(joint_lung.risk_table(joint_lung.risks(twin)))
    assert [row[0] for row in printed] == [row[0] for row in found]
    # Five standard errors of a share of so many independent draws, and the rounding of both.
    tolerance = 5 * (0.25 / twin.effective_draws) ** 0.5 + 0.01
    for mine, new in zip(printed[1:], found[1:], strict=True):
        assert [float(p) for p in mine[1:]] == pytest.approx([float(p) for p in new[1:]], abs=tolerance)


@pytest.mark.slow
def test_the_page_names_the_best_maneuver_for_each_question(twin):
    found = rows(joint_lung.maneuver_table(joint_lung.rankings(twin)))
    assert [row[:2] for row in on_the_page("| to know | best maneuver")] == [row[:2] for row in found]
