"""Whether a twin's model can have produced its measurements: residuals, their order, and values that do not move."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from ..inference.twin import Twin
from ..modeling.observation import Observation
from ..patient.units import convert
from .finding import CARE, GOOD, REFUSE, Finding

# The limits are settings, not published.
_FOLLOWS = 0.5  # correlation of neighbors from which a twin is refused
_FEWEST_OUTSIDE = 5
_RARE = 0.01
_GROSS = 3.0  # predictive standard deviations, root mean square
_FEWEST_HELD = 4
_CHANCE = 1e-3  # of so long a run by chance
_PAIRS = 4000


def since_the_last_fit(twin: Twin) -> list[dict]:
    """Return the log of the updates after the last fit of the whole record, as far as it is kept."""
    updates = twin.provenance["updates"]
    return list(itertools.takewhile(lambda entry: entry["refit"] is None, reversed(updates)))


def misfit(twin: Twin) -> list[Finding]:
    """Compare measurements with their posterior replicates: too many outside means noise or model is wrong."""
    if twin.provenance["method"] == "Filter":
        return [_surprises(twin)]
    if "posterior_predictive" not in twin.tree.children:
        return [Finding("fit", GOOD, "No measurement yet: the twin is its prior.")]
    limits, findings = twin.group("constant_data"), []
    for name, replicates in twin.group("posterior_predictive").items():
        side = limits[f"{name}_limit"].values
        drawn = replicates.values.reshape(-1, replicates.shape[-1])
        drawn = drawn[np.isfinite(drawn).all(axis=1)]
        if len(drawn):
            findings.append(_far_off(f"fit: {name}", twin.group("observed_data")[name].values, side, drawn))
    return findings


def _far_off(subject: str, observed: np.ndarray, side: np.ndarray, drawn: np.ndarray) -> Finding:
    """Judge any number of residuals by those of replicates, which have the same number, noise and uncertainty.

    Parameters
    ----------
    subject : str
    observed, side : (time,) measurements, and on which side of a limit each lies
    drawn : (draw, time) replicates
    """
    center, (low, high) = np.median(drawn, axis=0), np.quantile(drawn, [0.1587, 0.8413], axis=0)
    spread = np.maximum((high - low) / 2, 1e-12 * np.maximum(np.abs(center), 1.0))
    away = (observed - center) / spread
    # Beyond a limit everything is possible: only a prediction on its other side is a residual.
    away = np.where(side == 0, away, np.where(side < 0, np.minimum(away, 0.0), np.maximum(away, 0.0)))
    replicated = (drawn - center) / spread
    together, worst = (_reach(of(away**2), of(replicated**2)) for of in (_whole, _worst))
    rms = float(np.sqrt(np.mean(away**2)))
    evidence = (
        f"Residuals ({len(observed)}): root mean square {rms:.1f}, largest {np.max(np.abs(away)):.1f} predictive "
        f"standard deviations; of {len(drawn)} replicates {together:.1%} are as far off together, {worst:.1%} at their "
        "worst."
    )
    exact = side == 0
    outer = np.quantile(drawn[:, exact], [0.005, 0.995], axis=0) if exact.any() else np.zeros((2, 0))
    outside = int(np.sum((observed[exact] < outer[0]) | (observed[exact] > outer[1])))
    if exact.sum() >= _FEWEST_OUTSIDE:
        evidence += f" {outside} of {exact.sum()} lie outside their own 99 % replicated interval."
    if together < 0.5 / len(drawn) and rms > _GROSS:
        action = (
            "The model cannot have produced these: check units, times, and what was given before the record begins."
        )
        return Finding(subject, REFUSE, evidence, action)
    few = exact.sum() >= _FEWEST_OUTSIDE and _at_least(outside, int(exact.sum()), 0.01) < 0.05
    if min(together, worst) < _RARE / 2 or few:
        action = "Allow for outliers with `StudentT` or `Contaminated` noise, or look for missing inputs."
        return Finding(subject, CARE, evidence, action)
    return Finding(subject, GOOD, evidence)


def _whole(squares: np.ndarray) -> np.ndarray:
    return np.sum(squares, axis=-1)


def _worst(squares: np.ndarray) -> np.ndarray:
    return np.max(squares, axis=-1)


def _reach(observed: np.ndarray, replicated: np.ndarray) -> float:
    """Return the share of replicates that are as far off."""
    return float(np.mean(replicated >= observed))


def _outside(subject: str, outside: int, count: int, evidence: str) -> Finding:
    """Judge how many of `count` measurements lie outside an interval that holds 99 %."""
    if _at_least(outside, count, 0.01) < 0.05:
        action = "Allow for outliers with `StudentT` or `Contaminated` noise, or look for missing inputs."
        return Finding(subject, CARE, evidence, action)
    return Finding(subject, GOOD, evidence)


def _surprises(twin: Twin) -> Finding:
    """Judge an updated twin by what it predicted of each measurement before it heard it: it keeps no replicates."""
    recent = since_the_last_fit(twin)
    outside, heard = sum(entry["tail"] < 0.01 for entry in recent), sum(entry["heard"] for entry in recent)
    evidence = (
        f"Measurements heard by updates since the last fit: {heard}. Updates in which one lay outside the 99 % "
        f"interval predicted for it: {outside}."
    )
    return _outside("fit", outside, heard, evidence)


def drift(twin: Twin) -> list[Finding]:
    """Look for residuals that are not white: an error that lasts, something held constant that moved, or smoothing."""
    if "neighbors" not in twin.tree.children:
        return []
    found, known = [], twin.group("neighbors")
    for name, replicates in twin.group("posterior_predictive").items():
        observed, replicated = (known[label].values.ravel() for label in (name, f"{name}_replicated"))
        lasting = twin.observations.get(str(name), twin.model.quantities(twin.model.Output)[str(name)].noise).drift
        found.append(_white(str(name), observed, replicated, replicates.shape[-1], lasting=lasting is not None))
    return found


def _white(name: str, observed: np.ndarray, replicated: np.ndarray, count: int, *, lasting: bool) -> Finding:
    """Judge how neighboring residuals correlate, (draw,), by those of replicates around the same draw's output.

    Given a draw, its replicate's residuals are distributed as those of the measurements would be if it were the truth:
    a reference for any number of residuals, whatever their noise and however closely the twin follows them.
    """
    fine = np.isfinite(observed) & np.isfinite(replicated)
    observed, replicated = observed[fine], replicated[fine]
    subject = f"drift: {name}"
    if not len(observed):
        return Finding(subject, GOOD, f"No draw of {name} has residuals.")
    middle = float(np.median(observed))
    above, below = float(np.mean(replicated >= observed)), float(np.mean(replicated <= observed))
    share = min(above, below)
    evidence = (
        f"Residuals of {name} ({count}): neighbors correlate by {middle:+.2f}; of {len(observed)} replicates "
        f"{share:.1%} do so as {'much' if above < below else 'little'}."
    )
    if share >= _RARE / 2:
        return Finding(subject, GOOD, evidence)
    if above < below:
        action = (
            "Its declared error does not last long enough, or"
            if lasting
            else f"The error lasts: declare it, `{name!r}: Observation(…, drift=Correlated(sd=…, timescale=…))`; or"
        )
        action += " something held constant moves, `model.vary(name=RandomWalk(...))`, or an input is missing."
        return Finding(subject, CARE if middle < _FOLLOWS else REFUSE, evidence, action)
    action = (
        "Each residual takes back the one before: the values were smoothed or corrected, or the noise is too large."
    )
    return Finding(subject, CARE, evidence, action)


def _at_least(count: int, trials: int, chance: float) -> float:
    """Return the probability of `count` or more hits in independent trials."""
    return 1.0 - sum(math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(count))


def held(twin: Twin) -> list[Finding]:
    """Look for one value repeated more often than its noise allows: a display that held it, or a cuff."""
    found = []
    for name, declared in twin.model.quantities(twin.model.Output).items():
        observation = twin.observations.get(name, declared.noise)
        if name not in twin.record.observations or observation is None:
            continue
        series = twin.record.observations[name]
        begin, count = _longest_run(np.where(series.limits == 0, series.values, np.nan))
        times = series.times[begin : begin + count]
        repeats = observation.repeats
        if count < _FEWEST_HELD or (repeats is not None and np.diff(times).max() <= repeats.within):
            continue
        value = float(convert(series.values[begin], series.unit, declared.unit, variable=name))
        step = float(convert(_step(series.values), series.unit, declared.unit, variable=name))
        alone = bool(np.all(series.values == series.values[begin]))
        same = _same_by_chance(_sized(twin, name, observation), value, step, alone=alone)
        if len(series.values) * same ** (count - 1) < _CHANCE:
            evidence = (
                f"{count} values in a row, from {times[0]:g} to {times[-1]:g} min, are the same to the last digit; "
                f"with the noise assumed, neighbors agree with probability {same:.2g}: they are one value held."
            )
            action = (
                "They narrow the twin as that many measurements would: keep one of them (`series.select`), or say "
                "`Observation(…, repeats=Repeats(within=…, correlation=0.99))`."
            )
            found.append(Finding(f"held value: {name}", CARE, evidence, action))
    return found


def _longest_run(values: np.ndarray) -> tuple[int, int]:
    """Return where the longest run of equal values begins, and how long it is."""
    borders = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    lengths = np.diff(np.append(borders, len(values)))
    longest = int(np.argmax(lengths))
    return int(borders[longest]), int(lengths[longest])


def _step(values: np.ndarray) -> float:
    """Return the last digit in which values are written: the largest power of ten that divides all of them."""
    steps = (10.0**power for power in range(2, -9, -1))
    return next((step for step in steps if np.allclose(values / step, np.round(values / step), atol=1e-6)), 1e-9)


def _sized(twin: Twin, name: str, observation: Observation) -> Observation:
    """Return how an output is measured with one size of noise: the posterior's median where it was inferred."""
    posterior, noise = twin.group("posterior"), observation.noise
    sizes = {field: float(np.median(posterior[site])) for field, site in observation.sites(name).items()}
    arrays = {f.name: getattr(noise, f.name) for f in dataclasses.fields(noise)}
    sizes |= {field: float(np.median(value)) for field, value in arrays.items() if isinstance(value, np.ndarray)}
    return observation.sized(sizes)


def _same_by_chance(observation: Observation, value: float, step: float, *, alone: bool) -> float:
    """Return the probability that two measurements of one output are written alike."""
    draws = np.asarray(observation.noise.distribution(jnp.asarray(value)).sample(jax.random.key(0), (2, _PAIRS)), float)
    # A value that stands alone does not say how finely it is written: 100 need not be one of hundreds.
    width = float(np.subtract(*np.quantile(draws, (0.84, 0.16)))) / 2
    one, other = np.round(draws / (min(step, width) if alone and width > 0 else step))
    return float(max(np.mean(one == other), 1.0 / _PAIRS))
