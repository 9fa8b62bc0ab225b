"""The table of docs/cardiovascular.md is what the code beside it gives."""

import pytest

from tests import circulation_tiers
from tests.tiers import on_the_page, rows, table, verdicts


@pytest.mark.slow
def test_the_page_says_what_each_tier_of_data_determines():
    found = table(verdicts(circulation_tiers.tiers()))
    assert on_the_page("cardiovascular", "| data | determined") == rows(found)
