"""How elastance, resistance and intrinsic PEEP move from breath to breath, with bands, and where they jump."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from ..models.respiratory.breaths import Breath
from . import levels
from .bands import FEWEST, band
from .estimates import TYPICAL_FLOW, BreathFit, estimate
from .levels import Levels, Watch

FALSE_CHANGES = 1e-5  # per breath: at 20 a minute, one false change in three and a half days; a setting
KEPT = 6400  # breaths that bands are told from, some five hours; a setting
_CHUNK = 256
_OPENED = 0.2  # SD by which a jump opens the level, of a logarithm; a setting
_SLOWLY = 0.005  # share of each breath in the usual error and spread; a setting


@dataclass(frozen=True)
class Belief:
    """What is believed about one drifting quantity after some breaths.

    Attributes
    ----------
    levels : Levels, of the level, by how it drifts, how breaths scatter about it and how long that lasts
    watch : Watch, for changes too large for drift
    chunks, recent : past values and how wide each counted, (2, value) in chunks and (2, value) of the last few; those
        before the last change are gone, as are those too long ago
    error : float, the breaths' own SD, a geometric mean
    spread : float, how much wider they counted, a geometric mean
    breaths : int
    """

    levels: Levels
    watch: Watch
    chunks: tuple[np.ndarray, ...] = ()
    recent: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))
    error: float = 1e-6
    spread: float = 1.0
    breaths: int = 0

    @property
    def changed(self) -> bool:
        """Whether the last breath completed a change too large for drift."""
        return self.watch.called

    @property
    def past(self) -> np.ndarray:
        """Values since the last change, and how wide each counted, (2, breath), at most some 6400."""
        return np.concatenate([*self.chunks, self.recent], axis=1)

    def interval(
        self, ci_prob: float = 0.9, *, ahead: int = 0, measured: bool = False, spread: float | None = None
    ) -> tuple[float, float, float]:
        """Return median, lower and upper end of the level, or of what a breath would measure, some breaths ahead.

        Parameters
        ----------
        ci_prob : float
        ahead : int
            Breaths from now; the level drifts on.
        measured : bool
            Of what one breath will measure, its scatter included, rather than of the level. Told from the breaths since
            the last change where there are twenty (`bands.band`), else from the filters of the level.
        spread : float, optional
            Of that breath, where its flags are known: the band is that of breaths with such flags, where there are
            fifty.
        """
        if measured:
            values, spreads = self.past
            if spread is not None and np.sum(spreads == spread) >= 50:
                ahead = round(ahead * float(np.mean(spreads == spread)))
                values = values[spreads == spread]
            if values.size >= FEWEST:
                return band(values, max(ahead, 1), ci_prob)
        wide = self.spread if spread is None else spread
        middle, low, high = (
            self.levels.quantile(target, ahead, measured=measured, spread=wide)
            for target in (0.5, 0.5 - ci_prob / 2, 0.5 + ci_prob / 2)
        )
        return middle, low, high


def begin(value: float, sd: float, *, false_changes: float = FALSE_CHANGES) -> Belief:
    """Return the belief before any breath.

    Parameters
    ----------
    value, sd : float
        Of the level; every drift and scatter is alike.
    false_changes : float
        Changes called per breath that nothing stands behind.

    Raises
    ------
    ValueError
        If `false_changes` is not above 0 and at most 0.1.
    """
    if not 0.0 < false_changes <= 0.1:
        raise ValueError(f"Argument `false_changes` must be above 0 and at most 0.1, but is {false_changes:g}.")
    return Belief(levels.start(value, sd), Watch(false_changes))


def follow(belief: Belief, value: float, sd: float, *, spread: float = 1.0) -> Belief:
    """Return the belief after one more breath; the cost does not grow with the breaths before.

    Parameters
    ----------
    belief : Belief
    value : float
        What the breath measured.
    sd : float
        Its own error, above zero.
    spread : float
        How much wider it counts, error and scatter alike, because of what is wrong with it.

    Returns
    -------
    Belief
    """
    # How far breaths scatter is learned from them; a breath's own error only says how it compares with the others.
    usual = belief.error if belief.breaths else sd
    after, surprise = levels.step(belief.levels, value, spread * max(sd / usual, 1.0))
    watch = levels.watched(belief.watch, surprise)
    chunks, recent = belief.chunks, np.append(belief.recent, [[value], [spread]], axis=1)
    if watch.called:
        chunks, recent = (), np.concatenate([*chunks, recent], axis=1)[:, -watch.running :]
        after = levels.opened(after, _OPENED)
    if recent.shape[1] >= _CHUNK:
        chunks, recent = (*chunks, recent)[-(KEPT // _CHUNK) :], np.zeros((2, 0))
    share = max(1.0 / (belief.breaths + 1), _SLOWLY)
    return Belief(
        levels=after,
        watch=watch,
        chunks=chunks,
        recent=recent,
        error=usual ** (1 - share) * sd**share,
        spread=belief.spread ** (1 - share) * spread**share,
        breaths=belief.breaths + 1,
    )


@dataclass(frozen=True)
class Tracking:
    """What is believed about the mechanics after some breaths.

    Attributes
    ----------
    elastance, resistance : Belief, of the logarithms of cmH2O/L and of cmH2O s/L at 0.5 L/s
    intrinsic_peep : Belief, of tens of cmH2O
    fit : BreathFit or None, the last breath alone
    supported : int, breaths so far that the patient helped with and no effort was modeled for; they moved nothing
    """

    elastance: Belief = field(default_factory=lambda: begin(math.log(30.0), 0.7))
    resistance: Belief = field(default_factory=lambda: begin(math.log(10.0), 0.7))
    intrinsic_peep: Belief = field(default_factory=lambda: begin(0.1, 0.3))
    fit: BreathFit | None = None
    supported: int = 0


def update_breath(
    tracking: Tracking, breath: Breath, *, circuit_compliance: float = 0.0, muscle: bool = False
) -> Tracking:
    """Return the belief after one more breath.

    Parameters
    ----------
    tracking : Tracking
        `Tracking()` before the first.
    breath : Breath
        A flagged one moves the belief less; one whose elastance or resistance comes out negative says nothing of it.
    circuit_compliance : float, L/cmH2O
    muscle : bool
        Let the patient pull in breaths that carry the flag "effort", as `estimate` does. Without it such a breath has
        no elastance, is counted in `supported`, and moves nothing.

    Returns
    -------
    Tracking
    """
    fit = estimate(breath, circuit_compliance=circuit_compliance, muscle=muscle and "effort" in breath.flags)
    if fit.supported:
        # What was called at the breath before was not called at this one.
        return Tracking(
            _unmoved(tracking.elastance),
            _unmoved(tracking.resistance),
            _unmoved(tracking.intrinsic_peep),
            fit,
            tracking.supported + 1,
        )

    def positive(belief, value, variance):
        if value <= 0.0:
            return _unmoved(belief)
        return follow(belief, math.log(value), math.sqrt(variance) / value, spread=fit.spread)

    at_flow = np.array([0.0, 1.0, TYPICAL_FLOW, 0.0])
    return Tracking(
        positive(tracking.elastance, fit.elastance, fit.covariance[0, 0]),
        positive(tracking.resistance, fit.resistance(), at_flow @ fit.covariance @ at_flow),
        follow(
            tracking.intrinsic_peep,
            fit.intrinsic_peep / 10.0,
            math.sqrt(fit.covariance[3, 3]) / 10.0,
            spread=fit.spread,
        ),
        fit,
        tracking.supported,
    )


def _unmoved(belief: Belief) -> Belief:
    """Return the same belief after a breath that said nothing: no change was called at it."""
    return replace(belief, watch=replace(belief.watch, called=False)) if belief.changed else belief
