"""What other stays teach about a charted elastance: hyperparameters by the evidence of a robust Kalman filter.

The equations are those of `ChartedMechanics`, linearized at each plateau, with its constants written out once more in
plain NumPy: a filter for a grid of drifts and noises costs a tenth of a second for all stays, a fit of each some
minutes.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln

MEMORY = 96.0  # h, of the drift
USUAL = 22.0  # cmH2O, the plateau at which noise that grows with it is quoted; a setting
DRIFTS, NOISES = (0.05, 0.08, 0.12, 0.18, 0.27, 0.4), (0.55, 0.9, 1.3, 2.0, 2.9)  # of the log; cmH2O
WIDENINGS = (1.0, 1.15, 1.3, 1.45, 1.6)
MEMBERS = 400  # draws of a patient in a forecast
# How far a patient's PEEP effect (1/cmH2O) and log expiratory time lie from the others'; settings, not published.
OWN_EFFECT, OWN_TIME = 0.012, 0.25
GRID = np.array([(sd, noise) for sd in DRIFTS for noise in NOISES])
# Weak priors of the hyperparameters (center, sd): log elastance, log of its spread, PEEP effect, log expiratory time.
WEAK = np.array([[np.log(23.0), 0.3], [np.log(0.4), 0.3], [-0.015, 0.015], [np.log(0.9), 0.3]])


@dataclass(frozen=True)
class Form:
    """How a plateau is misread: by so many cmH2O or by a share of itself, and how heavy Student's tails are."""

    proportional: bool
    freedom: float

    def scale(self, noise, plateau):
        """Return the scale of the noise in cmH2O; `noise` is that at the usual plateau."""
        return noise * plateau / USUAL if self.proportional else noise + 0.0 * plateau


FORMS = tuple(Form(proportional, freedom) for proportional in (False, True) for freedom in (4.0, 6.0))


@dataclass(frozen=True)
class Learned:
    """Hyperparameters.

    Attributes
    ----------
    elastance, drift, noise : (center, spread) of the logarithm over patients; the noise in cmH2O at the usual plateau
    peep_effect : float, 1/cmH2O
    expiratory_time : float, s
    form : Form
        Of the noise: the most probable of four.
    widening : float
        By which drift and noise are larger than the evidence says, so that the 90 % intervals of the next plateaus of
        these stays score best: what is wrong with the model widens them too.
    """

    elastance: tuple[float, float]
    drift: tuple[float, float]
    noise: tuple[float, float]
    peep_effect: float
    expiratory_time: float
    form: Form = FORMS[0]
    widening: float = 1.0


def learn(stays: list[np.ndarray]) -> Learned:
    """Return the hyperparameters under which the stays are most probable, weakly regularized.

    Parameters
    ----------
    stays : list of (plateau, 5) arrays
        Columns hours, plateau, PEEP, tidal volume in L, rate.

    Returns
    -------
    Learned
    """
    padded = _padded(stays)
    shares = np.full(len(GRID), 1.0 / len(GRID))

    def misfit(at):
        nonlocal shares
        evidence = _evidence(padded, at, FORMS[0])
        shares, total = _shares(evidence, shares)
        return -total + 0.5 * np.sum(((at - WEAK[:, 0]) / WEAK[:, 1]) ** 2)

    start = np.vstack([WEAK[:, 0], WEAK[:, 0] + np.diag(0.7 * WEAK[:, 1])])
    found = minimize(
        misfit, WEAK[:, 0], method="Nelder-Mead",
        options={"initial_simplex": start, "maxfev": 80, "xatol": 1e-3, "fatol": 0.05},
    ).x  # fmt: skip
    told = max((_under(padded, found, form, shares) for form in FORMS), key=lambda one: one[1])[0]
    return min((_widened(told, by) for by in WIDENINGS), key=lambda wider: _interval_score(stays, wider))


def _under(padded, found, form: Form, shares) -> tuple[Learned, float]:
    """Return what the stays teach of drift and noise under one form of the noise, and how probable they then are."""
    evidence = _evidence(padded, found, form)
    for _ in range(60):
        shares, total = _shares(evidence, shares)
    logs = np.log(GRID)
    center = shares @ logs
    # A cell of the grid has a width of its own, and what stays teach is not known better than that.
    spread = np.sqrt(shares @ (logs - center) ** 2 + 0.2**2)
    drift, noise = ((float(middle), float(width)) for middle, width in zip(center, spread, strict=True))
    level = (float(found[0]), float(np.exp(found[1])))
    return Learned(level, drift, noise, float(found[2]), float(np.exp(found[3])), form), total


def _widened(told: Learned, by: float) -> Learned:
    """Return hyperparameters with drift and noise larger by a factor."""
    more = np.log(by)
    drift, noise = (told.drift[0] + more, told.drift[1]), (told.noise[0] + more, told.noise[1])
    return replace(told, drift=drift, noise=noise, widening=by)


def _interval_score(stays: list[np.ndarray], told: Learned) -> float:
    """Return the score of the filter's 90 % intervals on these stays, a mean over stays; less is better."""
    chance, scores = np.random.default_rng(0), []
    for stay in stays:
        each = [
            high - low + 20.0 * (max(low - value, 0.0) + max(value - high, 0.0))
            for value, low, high in _forecasts(stay, told, chance)
        ]
        if each:
            scores.append(np.mean(each))
    return float(np.mean(scores))


def _forecasts(stay: np.ndarray, told: Learned, chance):
    """Yield each plateau within a day of the one before, and the 5 and 95 % quantiles of its forecast."""
    drift, noise = (np.exp(chance.normal(*pair, MEMBERS)) for pair in (told.drift, told.noise))
    effect = chance.normal(told.peep_effect, OWN_EFFECT, MEMBERS)
    time, freedom = told.expiratory_time * np.exp(chance.normal(0.0, OWN_TIME, MEMBERS)), told.form.freedom
    level, shift = np.full(MEMBERS, told.elastance[0]), np.zeros(MEMBERS)
    base, cross, moved = np.full(MEMBERS, told.elastance[1] ** 2), np.zeros(MEMBERS), drift**2
    evidence = np.zeros(MEMBERS)
    for k, (hours, plateau, peep, tidal, rate) in enumerate(stay):
        gap = hours - stay[k - 1, 0] if k else 0.0
        kept = np.exp(-gap / MEMORY)
        shift, cross, moved = kept * shift, kept * cross, kept**2 * moved + drift**2 * (1 - kept**2)
        rise = tidal * np.exp(effect * (peep - 8.0)) / -np.expm1(-40.0 / rate / time)
        driving = np.exp(level + shift) * rise
        if k and gap <= 24.0:
            weights = np.exp(evidence - evidence.max())
            member = chance.choice(MEMBERS, 4 * MEMBERS, p=weights / weights.sum())
            spread = np.sqrt(base + 2 * cross + moved)[member] * chance.normal(size=member.size)
            middle = peep + driving[member] * np.exp(spread)
            misread = told.form.scale(noise[member], middle) * chance.standard_t(freedom, size=member.size)
            drawn = middle + misread
            yield (plateau, *np.quantile(drawn, [0.05, 0.95]))
        off, variance, floor = (
            plateau - peep - driving,
            driving**2 * (base + 2 * cross + moved),
            told.form.scale(noise, peep + driving),
        )
        total = variance + floor**2
        evidence = evidence + _log_density(off, total, freedom)
        inflated = variance + floor**2 * (freedom + off**2 / total) / (freedom + 1)
        first, second = driving * (base + cross) / inflated, driving * (cross + moved) / inflated
        level, shift, base, cross, moved = (
            level + first * off, shift + second * off, base - first * driving * (base + cross),
            cross - first * driving * (cross + moved), moved - second * driving * (cross + moved),
        )  # fmt: skip


def _log_density(off, square, freedom: float):
    """Return the log density of Student's t of this squared scale; SciPy's own takes ten times as long."""
    constant = gammaln(0.5 * (freedom + 1)) - gammaln(0.5 * freedom) - 0.5 * np.log(np.pi * freedom)
    return constant - 0.5 * np.log(square) - 0.5 * (freedom + 1) * np.log1p(off**2 / (square * freedom))


def _padded(stays) -> np.ndarray:
    """Stack stays of unequal length; rows without a plateau are NaN."""
    length = max(len(stay) for stay in stays)
    filled = np.full((len(stays), length, 5), np.nan)
    for i, stay in enumerate(stays):
        filled[i, : len(stay)] = stay
    return filled


def _shares(evidence, shares) -> tuple[np.ndarray, float]:
    """Return the grid's weights after one step of expectation maximization, and the evidence of all stays."""
    top = evidence.max(axis=1, keepdims=True)
    weighed = np.exp(evidence - top) * shares
    total = weighed.sum(axis=1, keepdims=True)
    uniform = 2.0 / len(GRID)  # as if two more stays had taught nothing
    return ((weighed / total).sum(axis=0) + uniform) / (len(evidence) + 2.0), float(np.sum(np.log(total) + top))


def _evidence(padded: np.ndarray, at, form: Form) -> np.ndarray:
    """Return the log evidence of each stay for each pair of drift and noise, (stay, member)."""
    center, log_spread, effect, log_time = at
    (drift, noise), freedom = GRID.T, form.freedom
    count = len(padded)
    level, shift = np.full((count, len(GRID)), center), np.zeros((count, len(GRID)))
    base, cross, moved = (
        np.full_like(level, np.exp(2 * log_spread)), np.zeros_like(level), np.broadcast_to(drift**2, level.shape),
    )  # fmt: skip
    evidence = np.zeros_like(level)
    for k in range(padded.shape[1]):
        hours, plateau, peep, tidal, rate = (column[:, None] for column in padded[:, k].T)
        if k:
            kept = np.exp(-(hours - padded[:, k - 1, :1]) / MEMORY)
            shift, cross, moved = kept * shift, kept * cross, kept**2 * moved + drift**2 * (1 - kept**2)
        rise = tidal * np.exp(effect * (peep - 8.0)) / -np.expm1(-40.0 / rate / np.exp(log_time))
        driving = np.exp(level + shift) * rise
        variance, floor = driving**2 * (base + 2 * cross + moved), form.scale(noise, peep + driving) ** 2
        off = plateau - peep - driving
        total = variance + floor
        square = off**2 / total
        told = _log_density(off, total, freedom)
        inflated = variance + floor * (freedom + square) / (freedom + 1)
        first, second = driving * (base + cross) / inflated, driving * (cross + moved) / inflated
        seen = np.isfinite(off)
        evidence = evidence + np.where(seen, told, 0.0)
        updated = (
            level + first * off, shift + second * off, base - first * driving * (base + cross),
            cross - first * driving * (cross + moved), moved - second * driving * (cross + moved),
        )  # fmt: skip
        level, shift, base, cross, moved = (
            np.where(seen, new, old) for new, old in zip(updated, (level, shift, base, cross, moved), strict=True)
        )
    return evidence
