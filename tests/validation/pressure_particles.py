"""Forecasts of `VasopressorPressure` by particle filters written in NumPy: exact in the limit, and apart from fits.

Constants are proposed from a twin's draws, wider and with tails, and weighed by prior, proposal and the unbiased
likelihood of a bootstrap particle filter over level and swing (pseudo-marginal importance sampling). Volumes are
assumed not to be given.
"""

import math

import numpy as np
from scipy import stats

import twinprob as tp

NAME = "mean_arterial_pressure"
# Constant: on the log scale, center and standard deviation of the declared prior there.
CONSTANTS = {
    "level_start": (True, math.log(65.0), 0.17),
    "level_volatility": (True, math.log(0.11), 0.5),
    "swing_start": (False, 0.0, 1.0),
    "swing_volatility": (True, math.log(8.0), 0.5),
    "greatest_rise": (True, math.log(12.0), 0.7),
    "half_rate": (True, math.log(0.156), 0.5),
    f"{NAME}_additive": (True, math.log(5.0), 0.4),
}
RATE, DF = math.log(2) / 3.5, 4.0
HOUR, QUARTER = 60.0, 15.0  # min between knots of level and swing
LEFT = (math.exp(-HOUR / 720.0), math.exp(-QUARTER / 90.0))


def proposed(twin: tp.Twin, count: int, chance):
    """Constants (count, constant) around a twin's draws, and the log of prior over proposal."""
    posterior = twin.group("posterior")
    draws = np.stack([posterior[name].values.ravel() for name in CONSTANTS], axis=1)
    logs = [log for log, _, _ in CONSTANTS.values()]
    draws[:, logs] = np.log(draws[:, logs])
    over = stats.multivariate_t(draws.mean(0), 1.3 * np.cov(draws.T), df=8, seed=chance)
    found = over.rvs(count)
    prior = sum(stats.norm(*p[1:]).logpdf(found[:, i]) for i, p in enumerate(CONSTANTS.values()))
    return found, prior - over.logpdf(found)


def acting(record: tp.Record, times):
    """The dose that has reached its effect at these times, in closed form minute by minute."""
    course = record.inputs["norepinephrine"]
    minutes = np.arange(times[-1] + 1.0)
    given = np.array([float(course.at(minute)) for minute in minutes])
    level = np.empty(len(minutes))
    level[0] = float(course.at(-1e-9))
    for i in range(1, len(minutes)):
        level[i] = given[i - 1] + (level[i - 1] - given[i - 1]) * math.exp(-RATE)
    return np.interp(times, minutes, level)


def resampled(weights, chance):
    """Indices (constant, particle) by systematic resampling of each row."""
    rows, count = weights.shape
    edges = np.cumsum(weights, axis=1)
    edges /= edges[:, -1:]
    row = np.arange(rows)[:, None]
    ticks = (np.arange(count) + chance.random((rows, 1))) / count
    found = np.searchsorted((edges + row).ravel(), (ticks + row).ravel()).reshape(rows, count) - row * count
    return np.clip(found, 0, count - 1)


def forecasts(twin: tp.Twin, ahead, *, constants: int, particles: int, seed: int = 0) -> dict:
    """Mean and spread of the log pressure, noise-free, at times `ahead`, and how many constants mattered."""
    chance, series = np.random.default_rng(seed), twin.record.observations[NAME]
    points, logs = proposed(twin, constants, chance)
    base, level_sd, swing_base, swing_sd, greatest, half, noise = (points[:, i : i + 1] for i in range(points.shape[1]))
    level_sd, swing_sd, greatest, half, noise = map(np.exp, (level_sd, swing_sd, greatest, half, noise))
    shape = (constants, particles)
    level = base + level_sd * chance.standard_normal(shape)
    swing = swing_base + swing_sd * chance.standard_normal(shape)
    seen, times = dict(zip(series.times, series.values, strict=True)), np.append(series.times, ahead)
    hours = quarters = 0
    found = []
    for time, drug in zip(times, acting(twin.record, times), strict=True):
        while (quarters + 1) * QUARTER < time - 1e-9:  # what is measured at a knot belongs to what was before
            quarters += 1
            kick = swing_sd * math.sqrt(1 - LEFT[1] ** 2) * chance.standard_normal(shape)
            swing = swing_base + LEFT[1] * (swing - swing_base) + kick
        while (hours + 1) * HOUR < time - 1e-9:
            hours += 1
            level = base + LEFT[0] * (level - base)
            level = level + level_sd * math.sqrt(1 - LEFT[0] ** 2) * chance.standard_normal(shape)
        pressure = np.exp(level) + swing + greatest * drug / (half + drug)
        if time not in seen:
            found.append(np.log(np.maximum(pressure, 1.0)))
            continue
        likely = stats.t(DF).logpdf((seen[time] - pressure) / noise) - np.log(noise)
        most = likely.max(axis=1, keepdims=True)
        weights = np.exp(likely - most)
        logs = logs + (most[:, 0] + np.log(weights.mean(axis=1)))
        chosen = resampled(weights, chance)
        level, swing = (np.take_along_axis(x, chosen, axis=1) for x in (level, swing))
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    means = np.array([shares @ x.mean(axis=1) for x in found])
    spreads = [math.sqrt(shares @ ((x - m) ** 2).mean(axis=1)) for x, m in zip(found, means, strict=True)]
    return {"mean": means.tolist(), "sd": spreads, "worth": float(1.0 / np.sum(shares**2))}
