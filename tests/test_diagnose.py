import dataclasses
import json

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import twinprob as tp
from tests.test_fit import QUICK, record, twin  # noqa: F401  fixtures shared with the fit's tests
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
    assert "Adaptive" in found.action


def test_a_coarse_integration_is_refused(twin):  # noqa: F811
    assert finding(changed(twin, integration_error=0.9), "integration").verdict == "do not use"


def test_a_second_mode_is_said(twin):  # noqa: F811
    found = finding(changed(twin, modes=[[-10.0, 0.7], [-11.0, 0.3]]), "modes")
    assert found.verdict == "use with care"
    assert "0.7, 0.3" in found.evidence


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
