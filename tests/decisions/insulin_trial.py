"""The patients and arms of the insulin trials, stated before any of them was run."""

import math

import jax
import numpyro.distributions as dist

import twinprob as tp
from twinprob.decisions import Measuring, VirtualPatients, World
from twinprob.decisions.protocols.metabolic import FixedRate, Leuven, StarLike, WashingtonColumns, Yale2005, Yale2012

# Of 25 digitized points of a Belgian cohort, 5/25/50/75/95 %: .198/.291/.377/.529/.751 e-3 L/mU/min, unit inferred
# (chase-icing data/ICING BE SI Data.csv): median and the spread of the logarithm.
MIDDLE, SPREAD = 0.377e-3, (math.log(0.751) - math.log(0.198)) / (2 * 1.645)
FEED = 7.0  # g/h of carbohydrate: 25 kcal/kg/d at 70 kg, 38 % of it carbohydrate, at 4 kcal/g
HOURS = 72.0


def patients(count: int, hours: float = HOURS, **changed) -> VirtualPatients:
    """Return patients of the population: sensitivity moves as the model declares, glucose begins at 10 mmol/L."""
    model = tp.models.metabolic.ICING(**changed).free(
        insulin_sensitivity=dist.LogNormal(math.log(MIDDLE), SPREAD),
        initial_glucose=dist.LogNormal(math.log(10.0), 0.25),
    )
    inputs = tp.Inputs.constant(enteral_glucose=(FEED, "g/h"))
    return VirtualPatients.drawn(model, count, hours=hours, key=jax.random.key(10), inputs=inputs)


def meter(cv: float) -> World:
    """Return a world whose glucose meter has this coefficient of variation."""
    return World(measuring={"glucose": Measuring(noise=tp.Gaussian(relative=cv))})


# The controller believes the law of sensitivity that the population has, and may feed less, as the published one does.
STAR = StarLike.star_2012(center=MIDDLE, feed_goal=FEED / 60.0 / 0.18016)
ARMS = {
    "Yale 2005": Yale2005(),
    "Yale 2012": Yale2012(),
    "Leuven": Leuven(),
    "Washington": WashingtonColumns(),
    "STAR-like": STAR,
    "fixed 2 U/h": FixedRate(rate=2.0),
}
