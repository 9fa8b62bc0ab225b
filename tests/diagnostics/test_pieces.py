"""Equations made of pieces: no structural verdict that the record refutes."""

import jax
import pytest

import twinprob as tp
from tests.own_models import Lagged, lagged_record
from twinprob.diagnostics.determination import STRUCTURAL
from twinprob.diagnostics.evidence import _refuted
from twinprob.diagnostics.structural import structural

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows():
    twin = tp.fit(
        Lagged(), lagged_record(), key=jax.random.key(0), method=tp.Laplace(draws=250, proposals=1000),
        integrator=tp.FixedStep(refine=2),
    )  # fmt: skip
    return tp.identify(twin, key=jax.random.key(1), hours=())


def test_where_the_equations_start_nothing_depends_on_an_absorption_after_a_lag():
    said = structural(Lagged(), key=jax.random.key(0))
    assert said.identifiable == {"absorption": False, "elimination": False, "lag": False}


def test_a_later_piece_identifies_what_acts_there_and_leaves_the_lag_undecided():
    said = structural(Lagged(), moments=(60.0, 240.0, 600.0), key=jax.random.key(0))
    assert said.identifiable == {"absorption": True, "elimination": True}
    assert "`lag`" in said.notes[-1]


def test_moments_on_the_first_piece_alone_change_nothing():
    said = structural(Lagged(), moments=(6.0, 12.0), key=jax.random.key(0))
    assert not any(said.identifiable.values())


def test_no_parameter_that_the_data_narrow_is_called_structurally_unidentifiable(rows):
    for name in ("absorption", "elimination", "lag"):
        assert rows[name].contraction > 0.5
        assert rows[name].verdict != STRUCTURAL


def test_a_structural_verdict_is_refuted_by_a_contraction_that_has_no_partner(rows):
    row, grades = rows["absorption"], tp.Grades()
    assert _refuted(row, 0.0, (), grades)
    assert not _refuted(row, 0.0, ("elimination",), grades)
    assert _refuted(row, 0.9, ("elimination",), grades)
