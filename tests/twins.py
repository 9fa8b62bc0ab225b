"""One small twin and its forecast, fitted once and shared by the tests of what is made from them."""

from functools import cache

import jax

import twinprob as tp
from twinprob.forecasting.forecast import Forecast
from twinprob.inference.twin import Twin

# One for all fits of ICING, so that they share programs; draws enough for a picture, not for a claim.
QUICK = tp.Laplace(starts=2, chains=2, draws=200, proposals=800)
KNOWN = "10 h"
HOURS = 3.0


@cache
def small_twin() -> Twin:
    """A twin of the third bundled stay, from its first ten hours."""
    stay = tp.load_example("icu_glucose", stay=3)
    return tp.fit(tp.models.metabolic.ICING(), stay.until(KNOWN), key=jax.random.key(0), method=QUICK)


@cache
def small_forecast() -> Forecast:
    """Its next three hours."""
    return tp.forecast(small_twin(), hours=HOURS, key=jax.random.key(1))
