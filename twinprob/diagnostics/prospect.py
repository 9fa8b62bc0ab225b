"""Whether a forecast is determined: its interval against the one that the prior alone would give."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from ..dynamics.programs import compiled
from ..forecasting.forecast import forecast
from ..inference.joint import Joint, joint
from ..inference.linearize import border_index
from ..inference.twin import Twin
from ..patient.inputs import Inputs
from ..patient.require import require_hours
from .determination import DETERMINED, WEAK, Determination, Grades, remedy_of

_PRIOR_DRAWS = 1000


def ahead(name: str, hours: float) -> str:
    """Name a prediction, such as "glucose in 2 h"."""
    return f"{name} in {hours:g} h"


def predictions_of(twin: Twin, hours, inputs: Inputs | None, settings: Grades, *, key) -> list[Determination]:
    """Compare each future output with what would be predicted had nothing been measured.

    Raises
    ------
    ValueError
        If a horizon is not positive.
    """
    hours = np.unique(np.asarray(hours, float))
    for each in hours:
        require_hours(each)
    times = twin.now + 60.0 * hours
    after_key, before_key = jax.random.split(key)
    after = forecast(twin, times=times, inputs=inputs, key=after_key).group("predicted_outputs")
    plan = Inputs() if inputs is None else inputs
    whole = dataclasses.replace(twin.record, inputs=twin.record.inputs.then(plan, twin.now), end=float(times[-1]))
    density = joint(twin.model, whole, observations=twin.observations, integrator=twin.integrator, times=times)
    index = jnp.asarray(border_index(density, times))
    before = _prior_outputs(density, index, jax.random.split(before_key, _PRIOR_DRAWS))
    rows = []
    for label, values in after.items():
        name = str(label)
        believed = np.asarray(values.values).reshape(-1, len(times))
        guessed = np.asarray(before[name])
        for i, h in enumerate(hours):
            rows.append(_prediction(ahead(name, h), believed[:, i], guessed[:, i], twin.effective_draws, settings))
    return rows


@compiled
def _prior_outputs(density: Joint, index, keys):
    """Return outputs of prior draws at segment borders, (draw, time) by name; NaN where not solved."""

    def one(key):
        states, solved, rows = density.states(density.paths(density.constrain(density.draw_prior(key))))
        outputs = density.outputs(states, rows, index)
        return {
            name: jnp.where(solved, getattr(outputs, name), jnp.nan)
            for name in density.model.quantities(density.model.Output)
        }

    return jax.vmap(one)(keys)


def _prediction(subject: str, after, before, draws: float, settings: Grades) -> Determination:
    """Judge one prediction by the widths of its 90 % intervals, on the logarithm where everything is positive."""
    after, before = after[np.isfinite(after)], before[np.isfinite(before)]
    positive = min(after.min(initial=np.inf), before.min(initial=np.inf)) > 0
    if positive:
        after, before = np.log(after), np.log(before)
    (low, middle, high), (least, center, most) = (np.quantile(x, [0.05, 0.5, 0.95]) for x in (after, before))
    spread, wide = (high - low) / 3.29, (most - least) / 3.29
    # Where the prior leaves no doubt there is nothing to determine.
    contraction = float(1.0 - (spread / wide) ** 2) if wide > 0 else 1.0
    # A 90 % width of n normal draws has the relative variance 0.783 / n.
    error = 2.0 * (1.0 - contraction) * math.sqrt(0.783 * (1.0 / max(draws, 1.0) + 1.0 / len(before)))
    shift = float((middle - center) / wide) if wide > 0 else 0.0
    verdict = settings.verdict(contraction, shift)
    within = float(np.expm1((high - low) / 2))
    if positive and verdict == DETERMINED and within > settings.accuracy:
        verdict = WEAK  # narrower than a wide prior, and still too wide to go by
    row = Determination(subject, "prediction", verdict, contraction, error, shift, float(spread), float(wide))
    text = (
        f"Its 90 % interval is {math.sqrt(max(1 - contraction, 0.0)):.0%} as wide as without measurements "
        f"(contraction {contraction:.2f} ± {error:.2f})."
    )
    if positive:
        text += f" It reaches {within:.0%} from its middle; determined means within {settings.accuracy:.0%}."
    return dataclasses.replace(row, evidence=text, remedy=remedy_of(row))
