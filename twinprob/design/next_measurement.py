"""Which measurement, when, and after which maneuver would settle a question best."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
import numpyro.distributions as dist
from scipy.special import ndtri

from ..dynamics.precision import in_double_precision
from ..forecasting.forecast import forecast
from ..inference.methods.sampled import generator
from ..inference.twin import Twin
from ..modeling.model import nearest
from ..modeling.observation import Observation
from ..patient.inputs import Inputs
from ..patient.require import require_count, require_each, require_key, require_kinds
from ..patient.units import convert
from .candidate import (
    Candidate,
    Choice,
    Future,
    Question,
    Threshold,
    asked_times,
    check_candidates,
    check_output,
    time_of,
    times_of,
)
from .preposterior import AbstractLoss, Misjudged, Regret, Sensed, Spread, expected_losses, log_scaled, nested_loss
from .ranking import Ranking, rank

_MOST_FAILED = 0.005
_NORMALS = 1000


@in_double_precision
def next_measurement(
    twin: Twin,
    candidates: Sequence[Candidate],
    *,
    quantity: Question,
    key,
    nested: int = 200,
) -> Ranking:
    """Rank measurements, times and maneuvers by how well they are expected to settle a question.

    Parameters
    ----------
    twin : Twin
    candidates : sequence of Candidate
    quantity : str, Future, Threshold or Choice
        A parameter's name (of one that varies, its value now) or an output to come, whose variance is to fall; or a
        decision, whose expected loss is to fall. It is the same for all candidates: an output to come is the one under
        its own plan, not after a candidate's maneuver.
    key : jax PRNG key
    nested : int
        Measurements simulated for the nested Monte Carlo check of each candidate; 0 leaves it out.

    Returns
    -------
    Ranking

    Raises
    ------
    ValueError
        If there are no candidates, two have the same name, one lies in the past, or an output, input or parameter is
        unknown, known already, or has no declared noise.
    RuntimeError
        If a candidate cannot be simulated at more than 0.5 % of the draws.

    Notes
    -----
    The ranking takes quantity and measurements to be jointly normal, each on the scale on which its noise or its prior
    suggests that (log for positive ones): expected variance = var(q) - cov(q, y) Σ⁻¹ cov(y, q), with the covariances of
    the twin's draws and the declared noise [1]. It is exact for linear models with normal noise. The check simulates
    measurements from some draws and weighs the others by them, without that assumption. A measurement declared "now"
    is taken 60 ms later.

    References
    ----------
    .. [1] Chaloner K, Verdinelli I. Bayesian experimental design: a review. Stat Sci 1995;10:273-304,
       doi:10.1214/ss/1177009939.
    """
    require_key(key)
    require_kinds(twin=(twin, Twin), quantity=(quantity, str, Future, Threshold, Choice))
    require_each("candidates", candidates, Candidate)
    require_count("nested", nested, 0, 100_000)
    check_candidates(twin, candidates)
    when = [times_of(w, twin.now) for candidate in candidates for w in candidate.measure.values()]
    times = np.unique(np.concatenate([asked_times(quantity, twin.now), *when]))
    ahead_key, size_key, loss_key, check_key = jax.random.split(key, 4)
    worlds = _Worlds(twin, times, ahead_key, size_key)
    target = _target(worlds, quantity, loss_key)
    sensed = [worlds.sensed(candidate) for candidate in candidates]
    failed = [_failed(f"Candidate `{c.name}`", [p.means for p in s]) for c, s in zip(candidates, sensed, strict=True)]
    kept = ~np.any([_failed("The quantity of interest", [target.values]), *failed], axis=0)
    values = target.values[kept]
    choices = [tuple(part.select(kept) for part in parts) for parts in sensed]
    chance = generator(check_key)
    losses, deviations = expected_losses(target.loss, values, choices, chance, twin.effective_draws)
    rows = _spread_out(values, nested, chance)
    groups = _copies(twin)[kept]
    # One key for all: the same chances of noise make the candidates comparable.
    checked = choices if len(rows) else []
    checks = [nested_loss(target.loss, values, choice, rows, groups, check_key) for choice in checked]
    names, counts = [candidate.name for candidate in candidates], [int(one.sum()) for one in failed]
    floor = 2 * target.loss.one_draw / twin.effective_draws
    frame, notes = rank(names, losses, deviations, checks, counts, floor)
    now = float(losses[0])
    return Ranking(frame, target.name, target.about, now, now < floor, len(values), twin.effective_draws, notes)


def _spread_out(values: np.ndarray, count: int, chance: np.random.Generator) -> np.ndarray:
    """Return draws to take for the truth in turn, evenly spread over the quantity: fewer serve than at random."""
    order = np.argsort(values[:, 0] - (values[:, 1] if values.shape[1] > 1 else 0.0), kind="stable")
    count = min(count, len(order))
    return order[((np.arange(count) + chance.uniform(size=count)) / max(count, 1) * len(order)).astype(int)]


# ---- worlds to come ----------------------------------------------------------------------------------------------


class _Worlds:
    """Noise-free outputs of every draw under one plan after another, with the same chances in each."""

    def __init__(self, twin: Twin, times: np.ndarray, key, size_key):
        self.twin, self.times, self.key, self.size_key = twin, times, key, size_key
        self._seen: list[tuple[Inputs, Mapping[str, np.ndarray]]] = []

    def outputs(self, plan: Inputs) -> Mapping[str, np.ndarray]:
        """Return every output under a plan, (draw, time)."""
        for seen, found in self._seen:
            if seen == plan:
                return found
        # The same key and the same last time continue each draw's parameters alike in every world.
        ahead = forecast(self.twin, times=self.times, inputs=plan, key=self.key)
        found = {
            str(name): values.values.reshape(-1, len(self.times))
            for name, values in ahead.group("predicted_outputs").data_vars.items()
        }
        self._seen.append((plan, found))
        return found

    def at(self, plan: Inputs, variable: str, when) -> np.ndarray:
        """Return one output at given times, (draw, time)."""
        return self.outputs(plan)[variable][:, np.searchsorted(self.times, when)]

    def noise_of(self, variable: str, means: np.ndarray, own: Mapping[str, Observation]) -> Sensed | None:
        """Return an output as it would be measured; none where the model says nothing of its noise."""
        twin = self.twin
        declared = twin.model.quantities(twin.model.Output)[variable].noise
        observation = own.get(variable, twin.observations.get(variable, declared))
        if observation is None:
            return None
        posterior, sizes = twin.group("posterior"), {}
        for i, (part, prior) in enumerate(observation.unknowns().items()):
            label, key = observation.sites(variable)[part], jax.random.fold_in(self.size_key, i)
            known = label in posterior and variable not in own
            drawn = posterior[label].values.ravel() if known else prior.sample(key, (twin.draws,))
            sizes[part] = np.asarray(drawn, float)
        return Sensed(observation, sizes, means)

    def sensed(self, candidate: Candidate) -> list[Sensed]:
        """Return what a candidate would measure."""
        plan, found = candidate.plan(self.twin.record, self.twin.now), []
        for variable, when in candidate.measure.items():
            means = self.at(plan, variable, times_of(when, self.twin.now))
            part = self.noise_of(variable, means, candidate.observations)
            if part is None or any(np.ndim(x) for x in jax.tree.leaves(part.observation)):
                raise ValueError(
                    f"Candidate `{candidate.name}` measures `{variable}`, for which no noise of a measurement to come "
                    f'is declared; say how: `observations={{"{variable}": Observation(Gaussian(additive=...))}}`.'
                )
            found.append(part)
        return found


def _failed(who: str, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return at which draws something could not be simulated, (draw,); refuse too many."""
    failed = np.any([~np.all(np.isfinite(part), axis=-1) for part in parts], axis=0)
    if failed.mean() > _MOST_FAILED:
        raise RuntimeError(
            f"{who} could not be simulated at {failed.sum()} of {failed.size} draws (at most {_MOST_FAILED:.1%} may "
            "fail): give less, measure earlier, or fit with `integrator=Adaptive()`."
        )
    return failed


def _copies(twin: Twin) -> np.ndarray:
    """Return a number for each draw, the same for draws that are copies of each other."""
    posterior, state = twin.group("posterior"), twin.group("state")
    columns = [v.values.reshape(twin.draws, -1)[:, -1] for v in posterior.data_vars.values()]
    columns += [v.values.ravel() for v in state.data_vars.values()]
    return np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)[1].ravel()


# ---- what is asked -----------------------------------------------------------------------------------------------


class _Target(NamedTuple):
    """A question about the draws: values (draw, quantity), the loss, and words for both."""

    values: np.ndarray
    loss: AbstractLoss
    name: str
    about: str


def _target(worlds: _Worlds, quantity: Question, key) -> _Target:
    if isinstance(quantity, Choice):
        return _choice(worlds, quantity, key)
    asked = quantity.quantity if isinstance(quantity, Threshold) else quantity
    found = _future(worlds, asked) if isinstance(asked, Future) else _parameter(worlds.twin, asked)
    values, scaled, unit, name, about = found
    _refuse_known(values, name)
    if isinstance(quantity, Threshold):
        return _threshold(quantity, values, unit, name)
    return _Target(scaled[:, None], Spread(), name, about)


def _parameter(twin: Twin, name: str) -> tuple[np.ndarray, np.ndarray, str, str, str]:
    """Return a parameter now: its draws, these on its prior's scale, its unit, its name, and what the scale is."""
    declared = twin.model.parameters()
    if name not in declared:
        raise ValueError(
            f"Model `{type(twin.model).__name__}` has no parameter `{name}`; {nearest(name, declared)} "
            'For an output to come ask for `Future("output", "+4 h")`.'
        )
    if name not in twin.model.unknowns():
        raise ValueError(
            f"Parameter `{name}` is known in this twin: nothing can narrow it; fit with `model.free(name)`."
        )
    values = twin.group("posterior")[name].values.reshape(twin.draws, -1)[:, -1]
    bijector = dist.biject_to(twin.model.prior(name).support)
    unit = declared[name].unit
    if isinstance(bijector, dist.transforms.IdentityTransform):
        return values, values, unit, name, f"variance ({unit})²"
    log = isinstance(bijector, dist.transforms.ExpTransform)
    scale = "logarithm" if log else "value on the unbounded scale"
    return values, np.asarray(bijector.inv(values)), unit, name, f"variance of its {scale}"


def _future(worlds: _Worlds, asked: Future) -> tuple[np.ndarray, np.ndarray, str, str, str]:
    """Return an output to come, as `_parameter` does."""
    twin = worlds.twin
    check_output(twin, asked.variable, "The quantity of interest")
    values = worlds.at(asked.inputs or Inputs(), asked.variable, time_of(asked.at, twin.now))
    unit = twin.model.quantities(twin.model.Output)[asked.variable].unit
    measured = worlds.noise_of(asked.variable, values[:, None], {})
    log = measured is not None and log_scaled(values[:, None], measured.variance)
    hours = (time_of(asked.at, twin.now) - twin.now) / 60
    scaled, about = (np.log(values), "variance of its logarithm") if log else (values, f"variance ({unit})²")
    return values, scaled, unit, f"{asked.variable} in {hours:.3g} h", about


def _threshold(asked: Threshold, values: np.ndarray, unit: str, name: str) -> _Target:
    """Turn a quantity to normal scores, so that only the order of its draws counts."""
    from scipy.stats import rankdata  # here because importing it is slow

    variable = asked.quantity.variable if isinstance(asked.quantity, Future) else asked.quantity
    limit = float(convert(asked.limit, asked.unit, unit, variable=variable))
    known = np.isfinite(values)
    scores = np.where(known, 0.0, np.nan)
    scores[known] = ndtri((rankdata(values[known]) - 0.5) / known.sum())
    below = np.clip(np.mean(values[known] < limit), 0.5 / known.sum(), 1 - 0.5 / known.sum())
    plain = asked.missed == asked.false_alarm == 1.0
    about = "probability of a wrong decision" if plain else "expected cost of a wrong decision"
    loss = Misjudged(float(ndtri(below)), asked.missed, asked.false_alarm)
    return _Target(scores[:, None], loss, f"whether {name} is below {asked.limit:g} {asked.unit}", about)


def _choice(worlds: _Worlds, asked: Choice, key) -> _Target:
    if len(asked.options) < 2:
        raise ValueError(f"A choice needs two options or more, but has {len(asked.options)}.")
    times, draws = times_of(asked.times, worlds.twin.now), worlds.twin.draws
    utilities = []
    for name, plan in asked.options.items():
        outputs = {variable: worlds.at(plan, variable, times) for variable in worlds.outputs(plan)}
        found = np.asarray(asked.utility(outputs), float)
        if found.shape != (draws,):
            raise ValueError(
                f"The utility of option `{name}` must have one value for each of the {draws} draws, but has shape "
                f"{found.shape}: reduce over the last axis, time."
            )
        utilities.append(found)
    values = np.stack(utilities, axis=1)
    normals = generator(key).standard_normal((_NORMALS, values.shape[1]))
    return _Target(values, Regret(normals), f"which of {', '.join(asked.options)} is best", "expected loss of utility")


def _refuse_known(values: np.ndarray, name: str) -> None:
    if not np.nanstd(values) > 0:
        raise ValueError(f"{name} is the same at every draw: it is known, and nothing can narrow it.")
