"""Synthetic ICU stays drawn from the model's own prior, for the validation of fits."""

import equinox as eqx
import jax
import numpy as np

from twinprob.inference.joint import joint
from twinprob.models.metabolic import ICING
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record


def synthetic_stay(number, *, hours=48, every=2.0, model=None, noise=0.05):
    """Return the record of one synthetic stay, and the position it was drawn from.

    Insulin and feed change every four hours; glucose is measured about every `every` hours with 5 % noise. Draws from
    the prior whose glucose leaves 2…25 mmol/L are drawn again: nobody charts those for two days.
    """
    model = ICING() if model is None else model
    chance = np.random.default_rng(1000 + number)
    times = np.unique(np.round(np.arange(0.0, hours + 1e-9, every) * 60))
    changes = np.arange(0.0, hours * 60.0, 240.0)
    ends = np.append(changes[1:], np.inf)
    inputs = Inputs.infusions("insulin", changes, ends, chance.uniform(0, 5, len(changes)), "U/h") | Inputs.infusions(
        "enteral_glucose", changes, ends, chance.uniform(0.2, 1.0, len(changes)), "mmol/min"
    )
    empty = joint(
        model, Record.build({"glucose": (times, 7 + 0 * times, "mmol/L")}, inputs, start=0.0, end=hours * 60.0)
    )
    for key in jax.random.split(jax.random.key(number), 200):
        truth = np.asarray(empty.draw_prior(key))
        clean = np.asarray(_glucose(empty, truth))[: len(times)]
        if clean.min() > 2 and clean.max() < 25:
            break
    values = clean * (1 + noise * chance.standard_normal(len(times)))
    return Record.build({"glucose": (times, values, "mmol/L")}, inputs, start=0.0, end=hours * 60.0), truth


@eqx.filter_jit
def _glucose(density, position):
    return density.means(density.constrain(position))[0]["glucose"]
