"""Stiffness and accuracy of an author's own model: found before the fit, said, and judged where solves fail."""

import dataclasses

import jax
import numpy as np
import pytest

import twinprob as tp
from tests.own_models import Shuttle, shuttle_quantiles, shuttle_record
from tests.tank import Tank, stay
from twinprob.diagnostics.determination import UNDECIDED
from twinprob.inference.integration import chosen_integrator, integration_error

SMALL = tp.Laplace(draws=250, proposals=1000, starts=4)


@pytest.fixture(scope="module")
def record():
    return shuttle_record()


@pytest.fixture(scope="module")
def chosen(record):
    return tp.fit(Shuttle(), record, key=jax.random.key(0), method=SMALL)


@pytest.fixture(scope="module")
def cut(record):
    """The same, held to steps that a fast import breaks."""
    return tp.fit(Shuttle(), record, key=jax.random.key(0), method=SMALL, integrator=tp.FixedStep())


@pytest.mark.slow
def test_a_stiff_model_of_ones_own_is_fitted_with_an_implicit_integrator(chosen):
    assert isinstance(chosen.integrator, tp.Rosenbrock)


def test_the_choice_is_said_with_its_reason(chosen):
    (note,) = (n for n in chosen.provenance["notes"] if "Rosenbrock" in n)
    assert "draws from the prior could not be solved" in note


def test_the_posterior_is_as_open_as_quadrature_says(chosen, record):
    draws = chosen.tree["posterior"]["uptake"].values.ravel()
    exact = np.log(shuttle_quantiles(record, [0.05, 0.5, 0.95]))
    shares = [np.mean(np.log(draws) < q) for q in exact]
    error = 5 * np.sqrt(np.array([0.05 * 0.95, 0.25, 0.05 * 0.95]) / chosen.effective_draws)
    np.testing.assert_array_less(np.abs(np.array(shares) - [0.05, 0.5, 0.95]), error)


def test_the_integration_of_an_adaptive_choice_is_measured(chosen):
    assert 0.0 < chosen.provenance["integration_error"] < 0.01


def test_a_posterior_cut_by_the_solver_is_never_trustworthy(cut):
    finding = next(f for f in tp.diagnose(cut).findings if f.subject == "failed solves")
    assert finding.verdict != "trustworthy"
    assert "prior" in finding.evidence


def test_a_parameter_cut_by_the_solver_is_undecided(cut):
    rows = tp.identify(cut, key=jax.random.key(1), hours=())
    assert rows["uptake"].verdict in (UNDECIDED, "not determined by these data")


def test_the_packages_own_models_keep_their_steps():
    model = tp.models.metabolic.MinimalModel()
    density = tp.joint(model, tp.load_example("fsigt"))
    assert chosen_integrator(density) == (tp.FixedStep(), "")


@pytest.mark.slow
def test_a_loose_adaptive_integrator_has_a_larger_error(record):
    positions = np.zeros((16, 2))
    errors = []
    with jax.enable_x64(True):
        for rtol in (1e-2, 1e-6):
            density = tp.joint(Shuttle(), record, integrator=tp.Rosenbrock(rtol=rtol, atol=1e-3 * rtol))
            errors.append(integration_error(density, positions))
    assert errors[0] > 10 * errors[1] > 0


def test_fixed_steps_are_compared_with_steps_of_half_their_length():
    with jax.enable_x64(True):
        density = tp.joint(Tank(), stay(4)[0])
        positions = np.zeros((16, density.size))
        coarse, fine = (
            integration_error(dataclasses.replace(density, integrator=tp.FixedStep(refine=n)), positions)
            for n in (1, 2)
        )
    assert coarse > 0.0
    assert coarse / fine == pytest.approx(16.0, rel=0.3)  # of fourth order
