"""The outer quantiles of a posterior with long tails: the Michaelis–Menten benchmark of posteriordb."""

import jax
import numpy as np

import twinprob as tp
from tests.own_models import Saturable, saturable_quantiles, saturable_record
from tests.validation import Result

KEYS = 20
UNKNOWNS = ("k_a", "K_m", "V_m", "level_sd")
PROBABILITIES = (0.05, 0.5, 0.95)


def measure() -> Result:
    """All twelve quantiles of the default fit, by key, against quadrature over all four unknowns."""
    exact, ratios, named = saturable_quantiles(PROBABILITIES), [], []
    for k in range(KEYS):
        twin = tp.fit(Saturable(), saturable_record(), key=jax.random.key(k))
        posterior = twin.tree["posterior"]
        found = np.stack([np.quantile(posterior[name], PROBABILITIES) for name in UNKNOWNS])
        ratios.append(found / exact)
        named.append(any(f.subject.startswith("tails") for f in tp.diagnose(twin).findings))
    off = np.max(np.abs(np.array(ratios) - 1.0), axis=(1, 2))
    within = int(np.sum((off < 0.05) | np.array(named)))
    mean = np.exp(np.mean(np.log(ratios), axis=0))
    figure = (
        f"{within} of {KEYS} within 5 % or named, {int(np.sum(off < 0.1))} within 10 %; K_m at 5 %, 50 %, 95 %: "
        f"{', '.join(f'{x:.3f}' for x in mean[1])} of quadrature on average"
    )
    details = {"worst by key": off.tolist(), "named": named, "mean ratios": mean.tolist(), "exact": exact.tolist()}
    return Result(figure, within >= 19, details)
