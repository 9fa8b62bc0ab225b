import re

import pytest

from tests import ROOT
from twinprob.models.metabolic import ICING, MinimalModel

PAGE = (ROOT / "docs" / "metabolic.md").read_text(encoding="utf-8")


def rows(columns: int) -> dict[str, list[str]]:
    """Return the rows of the page's table with so many columns, by their first cell's name."""
    found = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in PAGE.splitlines() if line[:3] == "| `"]
    return {cells[0].strip("`"): cells[1:] for cells in found if len(cells) == columns}


@pytest.mark.parametrize("name", ICING.parameters())
def test_the_page_gives_the_values_of_both_sets_of_icing(name):
    told = rows(7)[name][1:3]
    assert told == [f"{getattr(model, name):.4g}" for model in (ICING.icing2016(), ICING.lin2011())]


@pytest.mark.parametrize("name", MinimalModel.parameters())
def test_the_page_gives_the_values_of_the_minimal_model(name):
    assert rows(6)[name][1] == f"{getattr(MinimalModel(), name):.4g}"


@pytest.mark.parametrize(("model", "columns"), [(ICING, 7), (MinimalModel, 6)])
def test_the_page_gives_every_unit(model, columns):
    assert {name: cells[-3] for name, cells in rows(columns).items()} == {
        n: d.unit for n, d in model.parameters().items()
    }


def test_every_number_of_the_page_has_a_mark():
    assert all(re.search(r"\[(code|setting|paper|computed)", cells[-1]) for n in (6, 7) for cells in rows(n).values())
