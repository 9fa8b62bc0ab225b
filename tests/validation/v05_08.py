"""The response to 250 mL foretold from before, one patient left out at a time."""

from functools import partial

import jax
import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from tests.validation import Result, shared_data
from tests.validation.v05_07 import FIRST
from tests.ventilator_study import FILLINGS, Learned, Study, learner, read, weights

RESPONSE = 0.10  # more than this share of stroke volume
RESAMPLES = 4000


def measure() -> Result:
    """Learn on 23 with their responses, see the 24th before fluid at one setting."""
    study = read(shared_data("ppv-fluid-response"))
    with jax.enable_x64(True):
        learn = learner(FILLINGS, after=True)
        believe = jax.jit(partial(weights, settings=FIRST, after=False, fillings=FILLINGS))
        found = [_patient(study, i, learn, believe) for i in range(len(study.rate))]
    told, expected = np.array([part[:2] for part in found]).T
    responded = study.response > RESPONSE
    alone, venous = study.variation[:, 0], -study.venous
    slope, shift = _calibration(told, responded)
    chance = np.random.default_rng(8)
    picks = [chance.integers(0, len(told), len(told)) for _ in range(RESAMPLES)]
    picks = [pick for pick in picks if 0 < responded[pick].sum() < len(pick)]
    scores = {"twin": told, "PPV alone": alone, "CVP": venous}
    areas = {name: _area(score, responded) for name, score in scores.items()}
    ranges = {
        name: np.quantile([_area(score[pick], responded[pick]) for pick in picks], [0.025, 0.975])
        for name, score in scores.items()
    }
    slopes = np.quantile([_calibration(told[pick], responded[pick])[0] for pick in picks[:400]], [0.025, 0.975])
    brier, base = np.mean((told - responded) ** 2), np.mean((_others(responded) - responded) ** 2)
    text = ", ".join(f"{n} {areas[n]:.2f} [{ranges[n][0]:.2f}–{ranges[n][1]:.2f}]" for n in scores)
    few = int(responded.sum())
    return Result(
        figure=f"{few} responders of {len(told)}: too few to tell much; reliability slope {slope:.2f} "
        f"[{slopes[0]:.2f}–{slopes[1]:.2f}], mean probability {told.mean():.2f} against {responded.mean():.2f}; AUC "
        f"{text}; Brier {brier:.3f} against {base:.3f} for the others' share of responders; error of the change of "
        f"stroke volume {100 * np.abs(expected - study.response).mean():.1f} points, of their mean "
        f"{100 * np.abs(_others(study.response) - study.response).mean():.1f}; that central venous pressure "
        "strays from filling by a learned amount was put in after a first run took it as filling (slope 0.18)",
        holds=0.7 <= slope <= 1.3,
        details={
            "probability": told.tolist(),
            "response": study.response.tolist(),
            "shift": shift,
            "learned": [dict(zip(Learned._fields, np.round(part[2], 3).tolist(), strict=True)) for part in found],
        },
    )


def _patient(study: Study, i: int, learn, believe):
    """Return the probability of a response, the expected change, and what was learned from the others."""
    learned = learn(study, np.arange(len(study.rate)) != i)
    total, _, change = (np.asarray(x) for x in believe(Study(*(x[i] for x in study)), learned))
    weight = np.exp(total - total.max())
    weight /= weight.sum()
    noise = np.exp(learned.stroke_noise)
    return float(weight @ norm.sf(RESPONSE, change, noise)), float(weight @ change), learned


def _others(values):
    """Return the mean of all others."""
    return (values.sum() - values) / (len(values) - 1)


def _area(score, responded):
    """Return the area under the receiver operating characteristic, ties counted half."""
    apart = score[responded][:, None] - score[~responded][None]
    return float(np.mean((apart > 0) + 0.5 * (apart == 0)))


def _calibration(told, responded):
    """Return slope and shift of the logistic regression of what happened on the logit of what was told."""
    x = np.log(told / (1.0 - told))

    def loss(v):
        z = v[0] * x + v[1]
        return np.sum(np.logaddexp(0.0, z) - responded * z) + 1e-6 * np.sum(v**2)

    found = minimize(loss, [1.0, 0.0], method="BFGS")
    return float(found.x[0]), float(found.x[1])
