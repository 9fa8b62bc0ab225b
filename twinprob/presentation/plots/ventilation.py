"""What a ventilator person looks at: loops, strips, and elastance from breath to breath."""

from collections.abc import Mapping, Sequence

import numpy as np

from ...breaths.estimates import BreathFit, estimate
from ...breaths.tracking import Tracking
from ...forecasting.forecast import Forecast
from ...forecasting.risk import risk
from ...models.respiratory.breaths import Breath, Breaths
from ...models.respiratory.limits import LIMITS, Limit
from .sheet import BLUE, GRAY, INPUT_COLORS, NOTE, Picture, band, flat_draws, sheet

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
    supported = int(np.sum(np.isnan(values)))
    without = f", {supported} of them supported and without an elastance" if supported else ""
    figure, ((axis,),) = sheet(3.4, f"{len(seen)} breaths{without}; band: 90 % of the level. {NOTE}", 1, 1)
    axis.plot(minutes[plain], values[plain], ".", color=GRAY, ms=4, label="breath")
    axis.plot(minutes[~plain], values[~plain], "o", mfc="none", color=_FLAGGED, ms=3.5, mew=0.7, label="flagged breath")
    axis.fill_between(minutes, low, high, color=BLUE, alpha=0.25, lw=0)
    axis.plot(minutes, middle, color=BLUE, lw=1.6, label="believed")
    for minute, tracking in zip(minutes, seen, strict=True):
        if tracking.elastance.changed:
            axis.axvline(minute, color="#404040", lw=1.0, ls=(0, (4, 3)))
    axis.set(xlabel="time since the record's origin (min)", ylabel="elastance (cmH2O/L)")
    axis.set_ylim(0.0, 1.3 * float(np.nanquantile(np.append(values, high), 0.98)))
    axis.legend(frameon=False, fontsize=8.5)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def elastance_against_peep(
    ahead: Mapping[float, Forecast], *, tidal_volume: float, history: Sequence[Tracking] = ()
) -> Picture:
    """Draw the elastance that each PEEP would give, and how probably it is the lowest of them.

    Parameters
    ----------
    ahead : mapping of float (cmH2O) to Forecast
        By PEEP; from the same twin and key, at one tidal volume, long enough for the lung to settle.
    tidal_volume : float, L
        Of all of them: elastance is the driving pressure at the last time over it.
    history : sequence of Tracking
        Breaths that were measured, drawn at the PEEP each had.

    Returns
    -------
    Picture
        Bands are of the noise-free output; between two levels of PEEP they are drawn straight.

    Raises
    ------
    ValueError
        If fewer than two levels are given, the tidal volume is no liter, or a forecast has no driving pressure.
    """
    if len(ahead) < 2:
        raise ValueError(f"Argument `ahead` must hold forecasts at two levels of PEEP or more, but holds {len(ahead)}.")
    if not 0.0 < tidal_volume < 3.0:
        raise ValueError(f"Argument `tidal_volume` must be in L, above 0 and below 3, but is {tidal_volume:g}.")
    groups = {peep: ahead[peep].group("predicted_outputs") for peep in sorted(ahead)}
    if any("driving_pressure" not in group for group in groups.values()):
        raise ValueError("Every forecast in `ahead` must have `driving_pressure`; this model puts out none.")
    levels = np.array(list(groups))
    draws = np.stack([flat_draws(group, "driving_pressure")[:, -1] for group in groups.values()], axis=1) / tidal_volume
    solved = draws[np.isfinite(draws).all(axis=1)]  # a failed draw says nothing of which is lowest
    lowest = np.bincount(np.argmin(solved, axis=1), minlength=levels.size) / max(len(solved), 1)
    words = f"Bands: 50, 80 and 95 % of driving pressure over tidal volume. Above: P(lowest of these). {NOTE}"
    figure, ((axis,),) = sheet(3.6, words, 1, 1)
    band(axis, levels, draws)
    fits = [tracking.fit for tracking in history if tracking.fit is not None]
    if fits:
        axis.plot([fit.peep for fit in fits], [fit.elastance for fit in fits], ".", color=GRAY, ms=4, label="breath")
        axis.legend(frameon=False, fontsize=8.5)
    for level, share in zip(levels, lowest, strict=True):
        axis.annotate(
            f"{share:.2f}", (level, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8.5
        )
    axis.set(xlabel="PEEP (cmH2O)", ylabel="elastance (cmH2O/L)", xticks=levels)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def settings_fan(ahead: Mapping[str, Forecast], *, limits: Sequence[Limit] = LIMITS) -> Picture:
    """Draw what each candidate setting would do: a row per limited output, a column per candidate.

    Parameters
    ----------
    ahead : mapping of str to Forecast
        By the words that name the setting; from the same twin and key.
    limits : sequence of Limit
        Those whose output the forecasts have are drawn as lines; over each panel stands the probability of crossing.

    Returns
    -------
    Picture
        Bands are of the noise-free output.

    Raises
    ------
    ValueError
        If there is no forecast, or no limit names an output of all of them.
    """
    if not ahead:
        raise ValueError("Argument `ahead` must hold at least one forecast.")
    outputs = [one.group("predicted_outputs") for one in ahead.values()]
    drawn = [limit for limit in limits if all(limit.event.split()[0] in group for group in outputs)]
    if not drawn:
        names = ", ".join(limit.event.split()[0] for limit in limits)
        raise ValueError(f"No forecast has any of the limited outputs: {names}.")
    words = f"Bands: 50, 80 and 95 % of the output, without noise of measurement. Orange: the limit. {NOTE}"
    figure, grid = sheet(2.1 * len(drawn), words, len(drawn), len(ahead), sharey="row", sharex=True)
    for axes, limit in zip(grid, drawn, strict=True):
        name, _, number, unit = limit.event.split()
        for axis, (title, one), group in zip(axes, ahead.items(), outputs, strict=True):
            band(axis, (one.times - one.now) / 60.0, flat_draws(group, name))
            axis.axhline(float(number), color=_FLAGGED, lw=1.0, ls=(0, (4, 2)))
            crossed = f"P({limit.event.split(maxsplit=1)[1]}) = {risk(one, limit.event).probability:.2f}"
            axis.set_title(f"{title}\n{crossed}" if limit is drawn[0] else crossed, fontsize=8.5)
            axis.tick_params(labelsize=8.5)
            axis.spines[["top", "right"]].set_visible(False)
        axes[0].set_ylabel(f"{name.replace('_', ' ')}\n({unit})", fontsize=8.5)
    for axis in grid[-1]:
        axis.set_xlabel("hours from now")
    return figure


def _sentence(breaths: Sequence[Breath], fits: Sequence[BreathFit]) -> str:
    found = float(np.median([fit.elastance for fit in fits]))
    flagged = sum(bool(breath.flags) for breath in breaths)
    return f"{len(breaths)} breaths, {flagged} flagged; median elastance {found:.1f} cmH2O/L. {NOTE}"
