"""Draws that are not normal are followed into their tails, and a tail that is missing has a name."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy.stats import chi2

import twinprob as tp
from tests.own_models import Saturable, saturable_record
from twinprob.inference.methods.importance import Weighted, kernels, smooth
from twinprob.inference.methods.laplace import Laplace, pursue
from twinprob.inference.methods.nested import Region, propose
from twinprob.inference.methods.tails import looks_normal, missing, moved

pytestmark = pytest.mark.slow


def banana(points):
    """A standard normal, bent: the second coordinate less the first one's square; its margins are known."""
    x, y = np.asarray(points).T
    return -0.5 * x**2 - 0.5 * (y - x**2) ** 2 / 0.1**2


def answered(method, density):
    """Run a method that asks for densities only."""
    question, found = next(method), None
    while True:
        try:
            found = density(question.positions)
            question = method.send(found)
        except StopIteration as end:
            return end.value


def weighted_by(density, points, weights, chance, count=4000):
    """Weighted draws from kernels around points, as a fit makes them, and their region."""
    region = Region(1.0, kernels(points, weights, 0.9, 4.0), None)
    positions, proposal, owners = propose([region], np.zeros(2, bool), count, chance)
    heights = density(positions)
    ratios = heights - proposal
    return Weighted(positions, heights, *smooth(ratios), owners, ratios), region


@pytest.fixture(scope="module")
def narrow():
    """Draws of a proposal that was fitted to one end of the bent density."""
    chance = np.random.default_rng(0)
    x = 0.4 * chance.normal(size=200)
    points = np.stack([x, x**2 + 0.1 * chance.normal(size=200)], axis=1)
    return weighted_by(banana, points, np.full(200, 1 / 200), chance)


def test_a_bent_density_does_not_look_normal():
    chance = np.random.default_rng(1)
    x = chance.normal(size=2000)
    points = np.stack([x, x**2 + 0.1 * chance.normal(size=2000)], axis=1)
    flat = Weighted(points, np.zeros(2000), np.full(2000, -np.log(2000)), 0.1, np.zeros(2000, int), np.zeros(2000))
    assert not looks_normal(flat)
    straight = dataclasses.replace(flat, positions=chance.normal(size=(2000, 2)) @ np.array([[2.0, 1.0], [0.0, 0.1]]))
    assert looks_normal(straight)


def test_moves_leave_the_density_as_it_is():
    chance = np.random.default_rng(2)
    x = chance.normal(size=4000)
    there = answered(moved(np.stack([x, x**2 + 0.1 * chance.normal(size=4000)], axis=1), 10, chance), banana)
    assert abs(np.mean(there[:, 0])) < 5 / np.sqrt(4000)
    level = chi2.ppf(0.95, 1)  # the second coordinate is a square, but for its little noise
    assert abs(np.mean(there[:, 1] > level) - 0.05) < 5 * np.sqrt(0.05 * 0.95 / 4000) + 0.002


def test_a_tail_that_the_proposal_missed_is_found(narrow):
    weighted, region = narrow
    best, lost = answered(pursue([region], weighted, Laplace(), np.random.default_rng(3)), banana)
    share = best.weights[best.positions[:, 1] > chi2.ppf(0.95, 1)].sum()
    assert abs(share - 0.05) < 5 * np.sqrt(0.05 * 0.95 / best.ess) + 0.002
    assert lost == []


def test_a_tail_that_draws_leave_is_named():
    chance = np.random.default_rng(4)
    points = 0.6 * chance.normal(size=(2000, 1))
    short = Weighted(points, np.zeros(2000), np.full(2000, -np.log(2000)), 0.1, np.zeros(2000, int), np.zeros(2000))
    assert [level for _, level, _ in missing(short, chance.normal(size=(2000, 1)))] == [0.05, 0.95]


@pytest.fixture(scope="module")
def fitted():
    return tp.fit(Saturable(), saturable_record(), key=jax.random.key(2), integrator=tp.FixedStep(refine=2))


def test_the_long_tail_of_a_michaelis_constant_is_drawn(fitted):
    draws = fitted.tree["posterior"]["K_m"].values.ravel()
    # Share above 8.37 mg/L by quadrature over all four unknowns, line 09.2.
    assert abs(np.mean(draws > 8.37) - 0.05) < 5 * np.sqrt(0.05 * 0.95 / len(draws))


def test_a_missing_tail_is_a_finding(fitted):
    attrs = fitted.tree.attrs
    assert not [f for f in tp.diagnose(fitted).findings if f.subject.startswith("tails")]
    from twinprob.diagnostics.diagnose import _tails

    (named,) = _tails({**fitted.provenance, "lost": [["K_m", 0.95, 0.9]]})
    assert named.verdict == "use with care"
    assert "K_m" in named.subject
    assert attrs == fitted.tree.attrs
