"""What a ventilator person looks at: loops, strips, and elastance from breath to breath."""

from collections.abc import Sequence

import numpy as np

from ..methods.breaths import BreathFit, Tracking, estimate
from ..models.respiratory.breaths import Breath, Breaths
from .sheet import BLUE, GRAY, INPUT_COLORS, NOTE, Picture, sheet

_FLAGGED = INPUT_COLORS[0]


def loops(breaths: Breaths | Sequence[Breath], *, circuit_compliance: float = 0.0) -> Picture:
    """Draw pressure-volume loops, each breath's own, with the middle and the band of their fits.

    Parameters
    ----------
    breaths : Breaths or sequence of Breath
        Flagged breaths are drawn in another color and stay out of the fit that is drawn.
    circuit_compliance : float, L/cmH2O

    Returns
    -------
    Picture
    """
    kept = list(breaths)
    whole = [breath for breath in kept if not breath.flags] or kept
    fits = [estimate(breath, circuit_compliance=circuit_compliance) for breath in whole]
    figure, ((axis,),) = sheet(4.2, _sentence(kept, fits), 1, 1)
    for breath in kept:
        color = _FLAGGED if breath.flags else GRAY
        axis.plot(breath.pressures, 1000 * breath.volumes, color=color, lw=0.6, alpha=0.5)
    volumes = np.linspace(0.0, max(breath.tidal_volume for breath in whole), 60)
    static = np.array([fit.mean[3] + fit.mean[0] * volumes for fit in fits])
    low, middle, high = np.quantile(static, [0.05, 0.5, 0.95], axis=0)
    axis.fill_betweenx(1000 * volumes, low, high, color=BLUE, alpha=0.25, lw=0)
    axis.plot(middle, 1000 * volumes, color=BLUE, lw=1.8, label="static pressure, 90 % of breaths")
    axis.set(xlabel="airway pressure (cmH2O)", ylabel="volume (mL)")
    axis.legend(frameon=False, fontsize=8.5)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def strip(breaths: Breaths | Sequence[Breath]) -> Picture:
    """Draw pressure, flow and volume against time; breaths that carry a flag are shaded and named.

    Parameters
    ----------
    breaths : Breaths or sequence of Breath

    Returns
    -------
    Picture
    """
    kept = list(breaths)
    figure, grid = sheet(5.0, f"{len(kept)} breaths. {NOTE}", 3, 1, sharex=True)
    axes = grid[:, 0]
    for breath in kept:
        for axis, values in zip(axes, (breath.pressures, breath.flows, 1000 * breath.volumes), strict=True):
            axis.plot(breath.times, values, color=BLUE, lw=0.9)
            if breath.flags:
                axis.axvspan(breath.times[0], breath.times[-1], color=_FLAGGED, alpha=0.12, lw=0)
        if breath.flags:
            axes[0].text(
                breath.times[0], axes[0].get_ylim()[1], ", ".join(breath.flags), fontsize=7, va="top", color=_FLAGGED
            )
    for axis, label in zip(axes, ("pressure (cmH2O)", "flow (L/s)", "volume (mL)"), strict=True):
        axis.set_ylabel(label, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("time since the record's origin (s)")
    return figure


def elastance(history: Sequence[Tracking]) -> Picture:
    """Draw the elastance of each breath, what was believed of it, and where a change was called.

    Parameters
    ----------
    history : sequence of Tracking
        One after each breath.

    Returns
    -------
    Picture
    """
    seen = [tracking for tracking in history if tracking.fit is not None]
    minutes = np.array([tracking.fit.time for tracking in seen if tracking.fit is not None]) / 60.0
    values = np.array([tracking.fit.elastance for tracking in seen if tracking.fit is not None])
    plain = np.array([tracking.fit.spread <= 1.0 for tracking in seen if tracking.fit is not None])
    middle, low, high = np.exp([tracking.elastance.interval(0.9) for tracking in seen]).T
    figure, ((axis,),) = sheet(3.4, f"{len(seen)} breaths; band: 90 % of the level. {NOTE}", 1, 1)
    axis.plot(minutes[plain], values[plain], ".", color=GRAY, ms=4, label="breath")
    axis.plot(minutes[~plain], values[~plain], "o", mfc="none", color=_FLAGGED, ms=3.5, mew=0.7, label="flagged breath")
    axis.fill_between(minutes, low, high, color=BLUE, alpha=0.25, lw=0)
    axis.plot(minutes, middle, color=BLUE, lw=1.6, label="believed")
    for minute, tracking in zip(minutes, seen, strict=True):
        if tracking.elastance.changed:
            axis.axvline(minute, color="#404040", lw=1.0, ls=(0, (4, 3)))
    axis.set(xlabel="time since the record's origin (min)", ylabel="elastance (cmH2O/L)")
    axis.set_ylim(0.0, 1.3 * float(np.quantile(np.append(values, high), 0.98)))
    axis.legend(frameon=False, fontsize=8.5)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _sentence(breaths: Sequence[Breath], fits: Sequence[BreathFit]) -> str:
    found = float(np.median([fit.elastance for fit in fits]))
    flagged = sum(bool(breath.flags) for breath in breaths)
    return f"{len(breaths)} breaths, {flagged} flagged; median elastance {found:.1f} cmH2O/L. {NOTE}"
