import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr

import twinprob as tp
from tests.inference.test_fit import record, twin  # noqa: F401  fixtures shared with the fit's tests
from tests.twins import QUICK
from twinprob.diagnostics.diagnose import _convergence
from twinprob.diagnostics.finding import CARE, GOOD, REFUSE
from twinprob.models.metabolic import ICING


def changed(twin, **figures):  # noqa: F811
    """The same twin with other figures in its provenance."""
    tree = twin.tree.copy()
    tree.attrs = {**twin.tree.attrs, "provenance": json.dumps({**twin.provenance, **figures})}
    return dataclasses.replace(twin, tree=tree)


def finding(twin, subject):  # noqa: F811
    return next(f for f in tp.diagnose(twin).findings if f.subject.startswith(subject))


def test_a_sound_twin_has_no_refusal(twin):  # noqa: F811
    assert tp.diagnose(twin).verdict != "do not use"


@pytest.mark.parametrize(("khat", "verdict"), [(0.3, "trustworthy"), (0.8, "use with care"), (1.2, "do not use")])
def test_khat_judges_the_weights(twin, khat, verdict):  # noqa: F811
    assert finding(changed(twin, khat=khat, importance_ess=900.0), "importance").verdict == verdict


def test_one_percent_of_failed_solves_is_refused(twin):  # noqa: F811
    found = finding(changed(twin, failed=4, tried=400), "failed")
    assert found.verdict == "do not use"
    assert "Rosenbrock" in found.action


@pytest.mark.parametrize("figure", ["failed", "solves_failed"])
@pytest.mark.parametrize(("failed", "verdict"), [(5, "trustworthy"), (6, "do not use")])
def test_more_than_half_a_percent_of_failed_solves_is_refused(twin, figure, failed, verdict):  # noqa: F811
    found = finding(changed(twin, **{figure: failed}, tried=1000, rejected=0.0), "failed")
    assert (found.verdict, found.evidence) == (verdict, f"{failed} of 1000 solves at posterior draws failed.")


def test_chains_that_disagree_about_several_modes_are_sent_to_smc(twin):  # noqa: F811
    positions = twin.group("unconstrained")["position"]
    apart = positions.values + 50.0 * np.arange(len(positions))[:, None, None]
    stats = {"diverging": (("chain", "draw"), np.zeros(positions.shape[:2], bool))}
    twin = edited(twin, unconstrained={"position": (positions.dims, apart)}, sample_stats=stats)
    twin = changed(twin, method="NUTS", modes=[[-10.0, 0.6], [-11.0, 0.4]])
    assert "method=SMC()" in finding(twin, "convergence").action


def test_a_coarse_integration_is_refused(twin):  # noqa: F811
    assert finding(changed(twin, integration_error=0.9), "integration").verdict == "do not use"


def test_a_second_mode_is_said(twin):  # noqa: F811
    found = finding(changed(twin, modes=[[-10.0, 0.7], [-11.0, 0.3]]), "modes")
    assert found.verdict == "use with care"
    assert "0.7, 0.3" in found.evidence


def test_a_parameter_far_from_its_prior_is_named(twin):  # noqa: F811
    before = twin.group("posterior")["initial_glucose"]
    found = tp.diagnose(edited(twin, posterior={"initial_glucose": (before.dims, 5.0 * before.values)}))
    assert any(f.subject == "prior and data: initial_glucose" for f in found.findings)


@pytest.mark.slow
def test_a_prior_far_from_the_data_is_named(record):  # noqa: F811
    wrong = ICING().free(initial_glucose=dist.LogNormal(np.log(4.0), 0.05))
    found = tp.diagnose(tp.fit(wrong, record, key=jax.random.key(1), method=QUICK))
    assert any(f.subject == "prior and data: initial_glucose" for f in found.findings)


def test_gross_outliers_are_noticed(record):  # noqa: F811
    glucose = record.observations["glucose"]
    values = glucose.values.copy()
    values[[3, 6, 9]] *= np.array([2.2, 0.4, 2.0])
    spoiled = record.with_observations({"glucose": (glucose.times, values, "mg/dL")})
    twin = tp.fit(ICING(), spoiled, key=jax.random.key(1), method=QUICK)  # noqa: F811
    found = tp.diagnose(twin)
    assert found.verdict != "trustworthy"


def test_a_diagnosis_prints_verdict_evidence_and_action(twin):  # noqa: F811
    text = str(tp.diagnose(changed(twin, khat=0.8)))
    assert text.startswith("Verdict: use with care.")
    assert "Check the tails" in text


def test_proposals_that_fail_beside_the_draws_are_said(twin):  # noqa: F811
    found = finding(changed(twin, rejected=0.1), "failed")
    assert found.verdict == "use with care"
    assert "10% failed" in found.evidence


def edited(twin, **groups):  # noqa: F811
    """The same twin with other variables in its groups: group=dict(name=(dims, values))."""
    tree = twin.tree.copy(deep=True)
    for group, variables in groups.items():
        tree[group] = tree[group].to_dataset().assign(variables)
    tree.attrs = dict(twin.tree.attrs)
    return dataclasses.replace(twin, tree=tree)


def test_the_one_chain_that_stays_apart_is_named(twin):  # noqa: F811
    positions = np.random.default_rng(0).normal(size=(4, 250, 3))
    positions[2] += 9.0
    dims = ("chain", "draw", "place")
    stuck = edited(
        changed(twin, method="NUTS"),
        unconstrained={"position": (("chain_", "draw_", "place"), positions)},
        sample_stats={"diverging": (dims[:2], np.zeros(twin.group("sample_stats")["lp"].shape, bool))},
    )
    found = finding(stuck, "convergence")
    assert found.verdict == "do not use"
    assert "Chain 2 stays apart" in found.evidence


@pytest.mark.parametrize(
    ("correlation", "verdict", "words"),
    [
        (0.9, "do not use", "drift=Correlated("),
        (0.0, "trustworthy", ""),
        (-0.9, "use with care", "takes back the one before"),
    ],
)
def test_residuals_that_are_not_white_are_said_on_both_sides(twin, correlation, verdict, words):  # noqa: F811
    replicated = np.tanh(np.random.default_rng(1).normal(size=twin.group("neighbors")["glucose"].shape))
    dims = ("chain", "draw")
    odd = edited(
        twin,
        neighbors={"glucose": (dims, 0 * replicated + correlation), "glucose_replicated": (dims, 0.1 * replicated)},
    )
    found = finding(odd, "drift: glucose")
    assert (found.verdict, words in found.action) == (verdict, True)
    assert f"neighbors correlate by {correlation:+.2f}" in found.evidence


@pytest.mark.parametrize(
    ("name", "words"), [("insulin_sensitivity_volatility", "show no movement"), ("glucose_relative", "follows every")]
)
def test_a_size_near_zero_is_named(twin, name, words):  # noqa: F811
    chance, dims = np.random.default_rng(2), ("chain", "draw")
    sizes = {group: twin.group(group).sizes for group in ("prior", "posterior")}
    drawn = {g: np.exp(chance.normal(size=(s["chain"], s["draw"]))) for g, s in sizes.items()}
    small = edited(twin, prior={name: (dims, drawn["prior"])}, posterior={name: (dims, 0.05 * drawn["posterior"])})
    moving = tp.RandomWalk(sd=dist.LogNormal(0.0, 1.0), every="1 h")
    small = dataclasses.replace(small, model=small.model.vary(insulin_sensitivity=moving))
    found = finding(small, f"size near zero: {name}")
    assert found.verdict == "use with care"
    assert words in found.action


def test_a_path_that_leaves_its_prior_at_one_knot_is_a_conflict(twin):  # noqa: F811
    path = twin.group("posterior")["insulin_sensitivity"]
    moved = path.values.copy()
    moved[..., 2] *= 1e4
    found = finding(edited(twin, posterior={"insulin_sensitivity": (path.dims, moved)}), "prior and data: insulin_s")
    assert found.verdict == "do not use"


@pytest.mark.parametrize(
    ("effective", "diverging", "apart", "verdict"),
    [
        (900.0, 0, 0.0, GOOD),
        (300.0, 0, 0.0, CARE),
        (900.0, 1, 0.0, CARE),
        (900.0, 0, 0.4, CARE),
        (900.0, 0, 3.0, REFUSE),
    ],
)
def test_few_draws_a_divergence_or_chains_apart_are_each_enough_for_care(effective, diverging, apart, verdict):
    positions = np.random.default_rng(0).normal(size=(4, 500, 1))
    positions[0] += apart
    groups = {
        "unconstrained": {"position": xr.DataArray(positions, dims=("chain", "draw", "unknown"))},
        "sample_stats": {"diverging": xr.DataArray(np.r_[np.ones(diverging), np.zeros(9)])},
    }
    chains: Any = SimpleNamespace(group=groups.__getitem__, effective_draws=effective, provenance={"modes": []})
    assert _convergence(chains).verdict == verdict
