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
_FEWEST_RESIDUALS = 8
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
    """Look for residuals that follow each other: something held constant moved, or an input is missing."""
    if "posterior_predictive" not in twin.tree.children:
        return []
    limits, findings = twin.group("constant_data"), []
    for name, replicates in twin.group("posterior_predictive").items():
        exact = limits[f"{name}_limit"].values == 0
        drawn = replicates.values.reshape(-1, replicates.shape[-1])[:, exact]
        if drawn.shape[1] < _FEWEST_RESIDUALS:
            continue
        center, spread = np.nanmedian(drawn, axis=0), np.nanstd(drawn, axis=0)
        observed, replicated = (
            _follow((x - center) / spread) for x in (twin.group("observed_data")[name].values[exact], drawn)
        )
        share = float(np.mean(replicated >= observed))
        evidence = (
            f"Residuals of {name} follow each other with correlation {observed:+.2f}; {share:.1%} of {len(drawn)} "
            "replicates follow as much."
        )
        if share < _RARE:
            action = "Something held constant moves: `model.vary(name=RandomWalk(...))`; or an input is missing."
            findings.append(Finding(f"drift: {name}", CARE if observed < 0.5 else REFUSE, evidence, action))
        else:
            findings.append(Finding(f"drift: {name}", GOOD, evidence))
    return findings


def _follow(residuals: np.ndarray) -> np.ndarray:
    """Return the correlation of neighbors along the last axis."""
    away = residuals - np.nanmean(residuals, axis=-1, keepdims=True)
    return np.nansum(away[..., 1:] * away[..., :-1], axis=-1) / np.nansum(away**2, axis=-1)


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
    sizes = {field: float(np.median(posterior[f"{name}_{field}"])) for field in observation.unknowns()}
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
