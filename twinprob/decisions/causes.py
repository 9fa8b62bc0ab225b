"""Why it changed: single causes, each weighed by what the readings since then say, and a change split over them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy.special import logsumexp

from ..dynamics.precision import in_double_precision
from ..dynamics.segments import minutes_per_unit
from ..inference.methods.cloud import cloud_of, observed_outputs
from ..inference.methods.filter import Filter, Rows
from ..inference.methods.hypotheses import Disturbed, heard_under
from ..inference.methods.particle import columns
from ..inference.methods.rows import rows_of
from ..inference.methods.sampled import generator
from ..inference.twin import Twin
from ..modeling.model import nearest
from ..patient.record import Record
from ..patient.require import require_count, require_each, require_key, require_kinds, require_probability
from ..patient.stay import join

NOTHING = "nothing changed"
ITSELF = "by itself"
_SIZE = dist.Normal(0.0, 1.0)
_CAPACITY = 64
_ENOUGH = 100  # particles that must matter under the best cause


@dataclass(frozen=True)
class Cause:
    """One thing that may have changed once since a twin's present; exactly one of three is named.

    Parameters
    ----------
    words : str
        How it is called.
    parameter : str
        It jumps, by a size on its prior's unconstrained scale (the logarithm of a factor for a positive one), and so
        does the base it returns to.
    input : str
        From then on it is given times the exponential of the size; ``dist.Delta(-20.0)`` for a pump that stopped.
    output : str
        Its readings are off by the size, in the output's unit.
    size : numpyro distribution, optional
        A standard normal by default.
        A setting, no published number.
    once : bool
        One reading of the output is off, not all from then on.
    """

    words: str
    parameter: str = ""
    input: str = ""
    output: str = ""
    size: dist.Distribution = _SIZE
    once: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no single cause."""
        if sum(map(bool, (self.parameter, self.input, self.output))) != 1 or not self.words:
            raise ValueError(f"Cause {self.words!r} needs words and one of `parameter`, `input` and `output`.")
        if self.once and not self.output:
            raise ValueError(f"Cause {self.words!r} happens `once`, which only an error of an output's reading does.")


@dataclass(frozen=True)
class Explanation:
    """What the readings since a twin's present say of causes.

    Attributes
    ----------
    causes : tuple of str
        `NOTHING` first.
    probabilities : (cause,)
    log_evidences : (cause,) of the readings
    errors : (cause,) Monte Carlo standard error of each log evidence
    parts : mapping of str to (draw, cause + 1)
        By output, in the model's units: how much of its change each cause made, `ITSELF` last. They add up.
    changes : mapping of str to (draw,)
        The whole change, of what a reading without noise would show.
    notes : tuple of str
    """

    causes: tuple[str, ...]
    probabilities: np.ndarray
    log_evidences: np.ndarray
    errors: np.ndarray
    parts: Mapping[str, np.ndarray]
    changes: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()

    def split(self, output: str, *, ci_prob: float = 0.9) -> dict[str, tuple[float, float, float]]:
        """Return median, lower and upper part of an output's change by cause, as equal-tailed intervals."""
        require_probability("ci_prob", ci_prob)
        levels = [0.5, 0.5 * (1 - ci_prob), 0.5 * (1 + ci_prob)]
        found = np.quantile(self.parts[output], levels, axis=0).T
        named = zip((*self.causes[1:], ITSELF), found.tolist(), strict=True)
        return {name: (median, lower, upper) for name, (median, lower, upper) in named}

    @property
    def probability_errors(self) -> np.ndarray:
        """Monte Carlo standard error of each probability, (cause,), as if the evidences erred independently."""
        p, errors = self.probabilities, np.nan_to_num(self.errors)
        moves = np.eye(len(p)) - p[None, :]  # of the logarithm of each probability with each log evidence
        return p * np.sqrt((moves**2) @ errors**2)

    def candidates(self, probability: float = 0.8) -> tuple[str, ...]:
        """Return the fewest causes that hold this probability together, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")
        count = int(np.searchsorted(np.cumsum(self.probabilities[order]), probability - 1e-12)) + 1
        return tuple(self.causes[i] for i in order[:count])

    def __str__(self) -> str:
        """Name the cause at a probability of .8, else those that it cannot be told between."""
        shown = dict(zip(self.causes, zip(self.probabilities, self.probability_errors, strict=True), strict=True))
        named = self.candidates()
        said = ", ".join(f"{name} ({shown[name][0]:.2f} ± {shown[name][1]:.2f})" for name in named)
        told = said if len(named) == 1 else f"cannot tell between {said}"
        return " ".join((f"{told}.", *self.notes))


@in_double_precision
def explain(
    twin: Twin,
    news: Record,
    causes: Sequence[Cause],
    *,
    key,
    nothing: float = 0.9,
    particles: int = 4096,
    draws: int = 1000,
) -> Explanation:
    """Weigh single causes of what was read since a twin's present.

    Parameters
    ----------
    twin : Twin
        As it was when the window began, some hours ago.
    news : Record
        What became known since, as for `update`.
    causes : sequence of Cause
        Each as probable before the readings as the next.
    key : jax PRNG key
    nothing : float
        Probability, before the readings, that nothing changed: a setting.
    particles : int
    draws : int
        Of the split.

    Returns
    -------
    Explanation

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If there are no causes, two have the same words, one is about what the model does not have or has as known, or
        the news hold no reading after the twin's present.
    RuntimeError
        If no particle can explain the readings under any cause.

    Notes
    -----
    A cause begins at any time of the window alike, in the row of the flow that holds it. Evidences are means over
    particles drawn from the twin and each cause's prior; all causes share the twin's chances. Research software, not a
    medical device.
    """
    require_key(key)
    require_kinds(twin=(twin, Twin), news=(news, Record))
    require_each("causes", causes, Cause)
    require_count("particles", particles, 100, 1_000_000)
    require_count("draws", draws, 1, 100_000)
    require_probability("nothing", nothing)
    _require_known(twin, causes)
    record, how = join(twin.record, news).record, observed_outputs(twin.model, twin.observations)
    rows, layout = rows_of(twin.model, record, how, twin.now)
    if not np.any(rows.present):
        raise ValueError(f"News hold no reading after the twin's present, {twin.now:g} min: nothing can be explained.")
    borders = rows.timeline[:, 0] * minutes_per_unit(twin.model)
    cloud_key, cause_key, path_key, draw_key = jax.random.split(key, 4)
    cloud = cloud_of(twin, Filter(particles=particles), generator(cloud_key))
    disturbed = _disturbed(twin, record, how, causes, borders, particles, cause_key)
    count, size = np.asarray(len(rows.timeline)), _CAPACITY * 2 ** max(0, math.ceil(math.log2(len(rows.timeline) / 64)))
    fitted = Rows(*(np.concatenate([x, np.repeat(x[-1:], size - len(x), axis=0)]) for x in rows))
    found = heard_under(twin.model, how, twin.integrator, layout, fitted, count, cloud.values, disturbed, path_key)
    logs, first, last = jax.tree.map(np.asarray, found)
    logs = np.where(np.isfinite(logs), logs, -np.inf)
    evidences = logsumexp(logs, axis=1) - math.log(particles)
    if not np.isfinite(evidences).any():
        raise RuntimeError(
            "No particle can explain the readings under any of the causes: look at them, or add one about an output."
        )
    possible = np.isfinite(evidences)
    weights = np.zeros_like(logs)
    weights[possible] = np.exp(logs[possible] - logsumexp(logs[possible], axis=1, keepdims=True))
    effective = np.where(possible, 1.0 / np.maximum(np.sum(weights**2, axis=1), 1e-12), 0.0)
    errors = np.where(possible, np.sqrt(np.maximum(1.0 / np.maximum(effective, 1.0) - 1.0 / particles, 0.0)), np.nan)
    before = np.log(np.append(nothing, np.full(len(causes), (1.0 - nothing) / len(causes))))
    probabilities = np.exp(before + evidences - logsumexp(before + evidences))
    best = int(np.argmax(probabilities))
    few = () if effective[best] >= _ENOUGH else (f"Only {effective[best]:.0f} particles matter: uncertain.",)
    chance = generator(draw_key)
    owners = chance.choice(len(probabilities), draws, p=probabilities)
    picked = np.array([chance.choice(particles, p=weights[cause]) for cause in owners])
    parts = _parts(first, last, _shown(disturbed, how, record), owners, picked)
    changes = {name: part.sum(axis=1) for name, part in parts.items()}
    words = (NOTHING, *(cause.words for cause in causes))
    return Explanation(words, probabilities, evidences, errors, parts, changes, few)


def _require_known(twin: Twin, causes: Sequence[Cause]) -> None:
    words = [cause.words for cause in causes]
    if not words or len(set(words)) < len(words) or NOTHING in words:
        raise ValueError(f"Argument `causes` needs causes with words of their own, but has {words}.")
    model = twin.model
    known = {
        "parameter": model.unknowns(),
        "input": model.quantities(model.Input),
        "output": observed_outputs(model, twin.observations),
    }
    for cause in causes:
        for kind, names in known.items():
            name = getattr(cause, kind)
            if name and name not in names:
                raise ValueError(
                    f"Cause {cause.words!r} is about {kind} `{name}`, which is none of the twin's; "
                    f"{nearest(name, tuple(names))}"
                )


def _disturbed(twin: Twin, record: Record, how, causes: Sequence[Cause], borders, particles: int, key) -> Disturbed:
    """Draw size and time of each cause for each particle; the first does nothing."""
    names, inputs = columns(twin.model, how), tuple(twin.model.quantities(twin.model.Input))
    outputs, rows = tuple(how), 1 + len(causes)
    size, begin, end = (np.full((rows, particles), x) for x in (0.0, np.inf, np.inf))
    column, given, read = (np.zeros((rows, len(x))) for x in (names, inputs, outputs))
    for i, cause in enumerate(causes, start=1):
        size_key, time_key = jax.random.split(jax.random.fold_in(key, i))
        size[i] = np.asarray(cause.size.sample(size_key, (particles,)))
        chance = generator(time_key)
        moments = twin.now + (record.end - twin.now) * chance.uniform(size=particles)
        begin[i] = borders[np.searchsorted(borders, moments, side="right") - 1]
        if cause.once:
            series = record.observations.get(cause.output)
            times = series.times[series.times > twin.now] if series is not None else np.zeros(0)
            if len(times):
                end[i] = chance.choice(times, particles)
                begin[i] = borders[np.searchsorted(borders, end[i] - 1e-6) - 1]
            else:
                size[i] = 0.0
        for name in (cause.parameter, f"{cause.parameter}_start"):
            if cause.parameter and name in names:
                column[i, names.index(name)] = 1.0
        if cause.input:
            given[i, inputs.index(cause.input)] = 1.0
        if cause.output:
            read[i, outputs.index(cause.output)] = 1.0
    return Disturbed(*(jnp.asarray(x) for x in (size, begin, end, column, given, read)))


def _shown(disturbed: Disturbed, how, record: Record) -> dict[str, np.ndarray]:
    """Return by how much a reading at the end would be off under each cause, (cause, particle)."""
    size, end, read = (np.asarray(x) for x in (disturbed.size, disturbed.end, disturbed.output))
    acts = np.where(end >= record.end - 1e-6, size, 0.0)
    return {name: acts * read[:, i : i + 1] for i, name in enumerate(how)}


def _parts(first, last, shown, owners, picked) -> dict[str, np.ndarray]:
    """Split each draw's change: what its own cause made of it against the same particle without, and the rest."""
    found, count = {}, len(next(iter(first.values())))
    for name, ended in last.items():
        apparent = ended + shown.get(name, 0.0)
        part = np.zeros((len(owners), count))
        without = ended[0, picked]
        caused = owners > 0
        part[caused, owners[caused] - 1] = (apparent[owners, picked] - without)[caused]
        part[:, -1] = without - first[name][0, picked]
        found[name] = part
    return found


__all__ = ["ITSELF", "NOTHING", "Cause", "Explanation", "explain"]
