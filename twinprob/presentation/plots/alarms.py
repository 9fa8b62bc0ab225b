"""What a monitor said in the course of a stay, and how well alarms announce an event."""

from collections.abc import Sequence

import numpy as np

from ...decisions.monitor import Said
from ...forecasting.watch import Watch
from ...patient.record import Series
from ...patient.require import require_kinds
from ...patient.units import span
from ...validation.alarms import Alarms
from .sheet import BLACK, BLUE, GRAY, GREEN, INPUT_COLORS, NOTE, Picture, finish, sheet

_COLORS = (BLUE, INPUT_COLORS[0], GREEN, INPUT_COLORS[2], BLACK)
_ALARM = INPUT_COLORS[0]


def watched(said: Sequence[Said], name: str, *, watch: Watch, series: Series) -> Picture:
    """Draw values, the risk within each horizon, alarms and onsets on one axis of time.

    Parameters
    ----------
    said : sequence of Said
        What `monitor` said, oldest first.
    name : str
        The event, as the monitor was asked to watch it.
    watch : Watch
        Its definition: limit and onsets.
    series : Series
        What was measured, the onsets' readings included.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If nothing was said of such an event.
    """
    require_kinds(watch=(watch, Watch), series=(series, Series))
    told = [one for one in said if name in one.risks]
    if not told:
        raise ValueError(f"Nothing was said of {name!r}: the monitor watched {', '.join(said[0].risks) or 'nothing'}."
                         if said else "Nothing was said: give what `monitor` yielded.")  # fmt: skip
    hours = np.array([one.time for one in told]) / 60.0
    alarms = [one.time / 60.0 for one in told if any(alarm.name == name for alarm in one.alarms)]
    onsets = watch.onsets(series) / 60.0
    sentence = (
        f"Above: measured {watch.read().output.replace('_', ' ')} (points), the limit of `{watch.event}` (dashed) and "
        f"where such an event began (triangles). Below: its probability within each horizon if all runs on as it does; "
        f"bars are alarms. {NOTE}"
    )
    figure, grid = sheet(4.6, sentence, 2, 1, sharex=True, height_ratios=(1.2, 1.0))
    above, below = grid[:, 0]
    above.plot(series.times / 60.0, watch.values(series), "o", ms=3.0, color=BLACK)
    above.axhline(watch.read().limit, color=GRAY, lw=1.0, ls="--")
    above.plot(onsets, np.full(len(onsets), watch.read().limit), "v", ms=7.0, color=_ALARM)
    above.set_ylabel(f"{watch.read().output.replace('_', ' ')}\n({watch.unit})")
    count = len(told[0].risks[name])
    for place in range(count):
        risks = np.array([one.risks[name][place].probability for one in told])
        label = span(60.0 * told[0].risks[name][place].hours)
        below.plot(hours, risks, drawstyle="steps-post", color=BLUE, alpha=(place + 1) / count, lw=1.3, label=label)
    for when in alarms:
        for axis in (above, below):
            axis.axvline(when, color=_ALARM, lw=1.2, alpha=0.7)
    below.set(ylim=(-0.02, 1.02), ylabel="probability within")
    below.legend(fontsize=7.5, frameon=False, ncols=count, loc="upper left")
    begin, end = min(series.times[0], told[0].time), max(series.times[-1], told[-1].time)
    finish([above, below], begin, end, None)
    return figure


def alarm_curves(alarms: Alarms) -> Picture:
    """Draw precision against recall, and recall against alarms per patient-day, for every forecaster.

    Parameters
    ----------
    alarms : Alarms
        From `judge_alarms`.

    Returns
    -------
    Picture
    """
    require_kinds(alarms=(alarms, Alarms))
    sentence = (
        f"Each point is a threshold. An alarm is true if `{alarms.watch.event}` was measured within "
        f"{span(alarms.horizon)}, an onset is caught if an alarm came within that time before it; "
        f"{len(alarms.days)} patients, {sum(alarms.days.values()):.0f} patient-days, every time counted. {NOTE}"
    )
    figure, grid = sheet(3.6, sentence, 1, 2)
    left, right = grid[0]
    for (name, curve), color in zip(
        alarms.curves.groupby("forecaster", sort=False), _COLORS * len(alarms.frame), strict=False
    ):
        left.plot(curve["recall"], curve["precision"], "-", marker=".", ms=4, lw=1.2, color=color, label=str(name))
        right.plot(curve["alarms_per_day"], curve["recall"], "-", marker=".", ms=4, lw=1.2, color=color)
    left.set(xlabel="recall: share of onsets caught", ylabel="precision: share of alarms that are true",
             xlim=(0, 1.02), ylim=(0, 1.02))  # fmt: skip
    right.set(xlabel="alarms per patient-day", ylabel="recall", ylim=(0, 1.02))
    left.legend(fontsize=8, frameon=False)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8.5)
    return figure
