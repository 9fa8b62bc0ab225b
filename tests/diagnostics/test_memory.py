"""What a diagnosis says of a twin's own forecasts, from outcomes of known distribution."""

import numpy as np
import pytest
from scipy import stats

from twinprob.diagnostics.memory import _judged
from twinprob.inference.outcomes import Outcomes


def outcomes(pits):
    count = len(pits)
    return Outcomes(60.0 * np.arange(count), np.full(count, 60.0), np.asarray(pits), np.full(count, "glucose"))


@pytest.mark.parametrize(
    ("inside", "count", "verdict"),
    [
        (5, 8, "do not use"),
        (6, 8, "trustworthy"),
        (2, 7, "trustworthy"),
        (28, 40, "use with care"),
        (37, 40, "trustworthy"),
    ],
)
def test_a_twin_is_refused_when_its_intervals_did_not_hold(inside, count, verdict):
    pits = np.append(np.linspace(0.06, 0.94, inside), np.resize([0.01, 0.99], count - inside))
    found = _judged("glucose", outcomes(pits))
    assert found.verdict == verdict
    assert f"{inside} lay in their 90 % interval" in found.evidence


@pytest.mark.parametrize(
    ("pits", "words"),
    [
        (np.linspace(0.52, 0.94, 20), "too low"),
        (np.linspace(0.06, 0.48, 20), "too high"),
        (np.linspace(0.3, 0.7, 20), "too wide"),
    ],
)
def test_bias_and_width_are_said(pits, words):
    found = _judged("glucose", outcomes(pits))
    assert (found.verdict, words in found.evidence + found.action) == ("use with care", True)


def test_a_right_twin_is_seldom_suspected():
    chance = np.random.default_rng(0)
    verdicts = [_judged("glucose", outcomes(chance.random(20))).verdict for _ in range(400)]
    # Three tests of at most 1 % each.
    assert verdicts.count("trustworthy") >= 400 - stats.binom.ppf(0.999, 400, 0.03)
