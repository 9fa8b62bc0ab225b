"""Pictures of a twin and its forecast: the fan, the path of a parameter, belief before and after."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...forecasting.forecast import Forecast
from ...inference.twin import Twin
from ...inference.update import LEVELS
from ...modeling.model import nearest
from ...patient.course import Course
from ...patient.inputs import Inputs
from ...patient.record import Record
from ...patient.units import convert, minutes
from ...patient.vocabulary import VOCABULARY
from .sheet import (
    BLACK,
    BLUE,
    GRAY,
    GREEN,
    INPUT_COLORS,
    NOTE,
    band,
    finish,
    flat_draws,
    literal,
    logarithmic,
    nested,
    panels,
    sheet,
    thin_lines,
    typeset,
)


def fan(
    shown: Twin | Forecast,
    variable: str | None = None,
    *,
    twin: Twin | None = None,
    later: Record | None = None,
    target: tuple[float, float] | None = None,
    start: float | str | None = None,
) -> Figure:
    """Draw what was, what will be, and how sure that is: a fan over past and future, inputs below.

    Parameters
    ----------
    shown : Twin or Forecast
        A twin shows its past, a forecast the future.
    variable : str, optional
        An output; the first measured one by default.
    twin : Twin, optional
        The twin that made the forecast, to draw its past in front of it.
    later : Record, optional
        What was measured after now, drawn as open circles.
    target : (float, float), optional
        Limits of the target band, in the unit of the axis.
    start : float or str, min, optional
        Where the picture begins; at the record's start by default.

    Returns
    -------
    figure : matplotlib Figure
        Bands hold the noise-free output with 50, 80 and 95 % probability; dotted lines hold 95 % of future
        measurements. Time is in hours. Of an updated twin, the past is what was believed at each update, without the
        measurements that came later, and the last 48 measurements are shown.

    Raises
    ------
    TypeError
        If `shown` is neither a twin nor a forecast.
    ValueError
        If there is no such variable, or `twin` is not the one that made the forecast.
    """
    past, ahead = _past_and_future(shown, twin)
    group = shown.tree[_outputs(shown) if isinstance(shown, Twin) else "predicted_outputs"]
    name = _variable([str(name) for name in group.data_vars], past, variable)
    inputs = shown.record.inputs if isinstance(shown, Twin) else shown.inputs
    begin = minutes(start) if start is not None else past.record.start if past is not None else shown.now
    end = shown.now if isinstance(shown, Twin) else float(shown.times[-1])
    given = _visible(inputs, begin, end)
    figure, axes = panels(len(given), _sentence(past, ahead, later))
    unit, about = str(group[name].attrs.get("units", "")), str(group[name].attrs.get("long_name", name))
    axes[0].set_ylabel(f"{typeset(about.removesuffix(', noise-free'))}\n({literal(unit)})")
    if target is not None:
        _target(axes[0], target)
    if past is not None:
        _past(axes[0], past, name, begin)
    if ahead is not None:
        _future(axes[0], ahead, past, name)
    if later is not None and name in later.observations:
        series = later.observations[name]
        these = (series.times > shown.now) & (series.times <= end)
        values = np.asarray(convert(series.values[these], series.unit, unit, variable=name))
        axes[0].plot(series.times[these] / 60, values, "o", ms=6, mfc="white", mec=BLACK, mew=1.2, zorder=5)
    for i, (label, course) in enumerate(given.items()):
        _course(axes[1 + i], label, course, (begin, end), INPUT_COLORS[i % len(INPUT_COLORS)])
    finish(axes, begin, end, shown.now if ahead is not None else None)
    return figure


def _outputs(past: Twin) -> str:
    """Return the group that holds a twin's outputs over time: draws where it was fitted, quantiles where updated."""
    return "trajectory" if "trajectory" in past.tree.children else "filtered"


def _past_and_future(shown: Any, twin: Twin | None) -> tuple[Twin | None, Forecast | None]:
    if isinstance(shown, Twin) and twin is None:
        return shown, None
    if not isinstance(shown, Forecast):
        raise TypeError(
            f"`fan` draws a Twin, or a Forecast with its `twin=`, but was given a {type(shown).__name__}"
            f"{' and a twin' if twin is not None else ''}: `fan(forecast(twin, ...), twin=twin)`."
        )
    if twin is not None and twin.now != shown.now:
        raise ValueError(
            f"Argument `twin` knows its patient until {twin.now:g} min, but the forecast begins at {shown.now:g} min: "
            f"pass the twin that made the forecast."
        )
    return twin, shown


def _variable(names: list[str], past: Twin | None, variable: str | None) -> str:
    if variable is None:
        seen = [name for name in names if past is not None and name in past.record.observations]
        return (seen or names)[0]
    if variable not in names:
        raise ValueError(f"There is no output `{variable}` to draw; {nearest(variable, names)}")
    return variable


def _visible(inputs: Inputs, begin: float, end: float) -> dict[str, Course]:
    """Return the inputs that do anything in the picture, always in the same order."""
    order = [*VOCABULARY, *inputs.names]
    courses = {name: inputs[name] for name in sorted(inputs.names, key=order.index)}
    return {n: c for n, c in courses.items() if np.any((c.starts < end) & (c.ends > begin) & (c.rates > 0))}


def _sentence(past: Twin | None, ahead: Forecast | None, later: Record | None) -> str:
    parts = ["shaded bands hold the patient's true value with 50, 80 and 95 % probability (darkest to lightest)"]
    if ahead is not None or (past is not None and _outputs(past) == "trajectory"):
        parts.append("thin lines are single draws of what it may do")
    if past is not None and _outputs(past) == "filtered":
        parts.append("the past is shown as it was believed at each update")
    if past is not None:
        parts.append("dots are measurements")
    if ahead is not None:
        parts.append("dotted lines hold 95 % of future measurements, their error included")
    if later is not None:
        parts.append("open circles were measured after the twin spoke")
    return f"How to read this: {', '.join(parts[:-1])}, and {parts[-1]}. {NOTE}"


def _past(axis: Axes, past: Twin, name: str, begin: float) -> None:
    group = past.tree[_outputs(past)]
    hours = np.asarray(group["time"]) / 60
    # One time more, so that the band begins at the edge and not inside the picture.
    first = max(int(np.searchsorted(hours, begin / 60)) - 1, 0) if begin > past.record.start else 0
    if _outputs(past) == "trajectory":
        draws = flat_draws(group, name)
        band(axis, hours[first:], draws[:, first:])
        thin_lines(axis, hours[first:], draws[:, first:])
    else:
        nested(axis, hours[first:], np.asarray(group[name])[:, first:])
    if "observed_data" not in past.tree.children or name not in past.tree["observed_data"]:
        return
    observed = past.tree["observed_data"]
    times, values = np.asarray(observed[f"{name}_time"]), np.asarray(observed[name])
    limits = np.asarray(past.tree["constant_data"][f"{name}_limit"])
    for side, marker in ((0, "o"), (-1, "v"), (1, "^")):
        these = (limits == side) & (times >= begin)
        axis.plot(times[these] / 60, values[these], marker, ms=5, mfc=BLACK, mec="white", mew=0.7, zorder=5)


def _future(axis: Axes, ahead: Forecast, past: Twin | None, name: str) -> None:
    hours, draws = ahead.times / 60, flat_draws(ahead.tree["predicted_outputs"], name)
    for edge in ahead.quantiles(name, [0.025, 0.975]):
        axis.plot(hours, edge, color=BLUE, lw=1.0, ls=":")
    if past is not None and _outputs(past) == "filtered":
        thin_lines(axis, hours, draws)
        quantiles = np.nanquantile(draws, LEVELS, axis=0)
        last = np.asarray(past.tree["filtered"][name])[:, -1:]
        nested(axis, np.append(past.now / 60, hours), np.concatenate([last, quantiles], axis=1))
        return
    if past is not None:
        # The fan starts where the past ends: the same draws, at the twin's present.
        hours = np.append(past.now / 60, hours)
        draws = np.concatenate([flat_draws(past.tree["trajectory"], name)[:, -1:], draws], axis=1)
    band(axis, hours, draws)
    thin_lines(axis, hours, draws)


def _course(axis: Axes, name: str, course: Course, window: tuple[float, float], color: str) -> None:
    """Draw infusions as steps, and doses as arrows with their amounts."""
    begin, end = window
    running = course.infusions()
    changes, after = running.steps()
    inside = (changes > begin) & (changes < end)
    hours = np.concatenate([[begin], changes[inside], [end]]) / 60
    rates = np.concatenate([[running.at(begin)], after[inside], after[inside][-1:]])
    rates = rates if rates.size == hours.size else np.full(2, rates[0])
    axis.fill_between(hours, rates, step="post", color=color, alpha=0.30, lw=0)
    axis.step(hours, rates, where="post", color=color, lw=1.4)
    doses = np.flatnonzero(course.bolus & (course.starts >= begin) & (course.starts < end) & (course.rates > 0))
    top = max(float(rates.max()), 1e-9) * (1.7 if doses.size else 1.35)
    amount, _, per = course.unit.rpartition("/")
    for i in doses:
        given = course.rates[i] * (course.ends[i] - course.starts[i]) / minutes(f"1 {per}")
        place = (course.starts[i] / 60, 0.85 * top)
        axis.plot(*place, marker="v", color=color, ms=5, ls="none")
        if doses.size <= 12:
            axis.annotate(literal(f"{given:.3g} {amount}"), place, (4, -3), textcoords="offset points", fontsize=7)
    axis.set_ylim(0, top)
    axis.yaxis.set_major_locator(MaxNLocator(3))
    if not running.rates.size:
        axis.set_yticks([])
    title = f"{name.replace('_', chr(10), 1).replace('_', ' ')}\n({course.unit})"
    axis.set_ylabel(literal(title), fontsize=8.5)


def _target(axis: Axes, limits: tuple[float, float]) -> None:
    axis.axhspan(*limits, color=GREEN, alpha=0.10, lw=0)
    for limit in limits:
        axis.axhline(limit, color=GREEN, lw=0.8, alpha=0.7)
    words, place, offset = f"target\n{limits[0]:g}–{limits[1]:g}", (1.0, sum(limits) / 2), "offset points"
    axis.annotate(words, place, (3, 0), ("axes fraction", "data"), offset, va="center", fontsize=8, color="#00664B")


def path(twin: Twin, parameter: str) -> Figure:
    """Draw how a parameter moved in time, in front of what was believed before the data.

    Parameters
    ----------
    twin : Twin
    parameter : str
        One that varies in time.

    Returns
    -------
    figure : matplotlib Figure

    Raises
    ------
    ValueError
        If the parameter is unknown, or does not vary.
    """
    moving = twin.model.processes()
    if parameter not in moving:
        model, hint = type(twin.model).__name__, nearest(parameter, moving)
        raise ValueError(f"Parameter `{parameter}` does not vary in time in model `{model}`; {hint}")
    posterior = twin.tree["posterior"]
    knots = np.asarray(posterior[f"{parameter}_knot"]) / 60
    edges = np.append(
        knots, twin.now / 60 if twin.now / 60 > knots[-1] else knots[-1] + moving[parameter].interval / 60
    )
    figure, (axis,) = panels(
        0,
        "How to read this: blue bands hold the parameter with 50, 80 and 95 % probability given the data, the blue "
        f"line is its median; before the data, it was believed to lie between the gray dashed lines with 95 %. {NOTE}",
    )
    draws = flat_draws(posterior, parameter)
    band(axis, edges, np.concatenate([draws, draws[:, -1:]], axis=1), step="post")
    for edge in np.quantile(flat_draws(twin.tree["prior"], parameter), [0.025, 0.975]):
        axis.axhline(edge, color=GRAY, lw=1.0, ls="--")
    if np.all(draws > 0):
        logarithmic(axis, "y")
    attrs = posterior[parameter].attrs
    axis.set_ylabel(f"{typeset(str(attrs.get('long_name', parameter)))}\n({literal(str(attrs.get('units', '')))})")
    finish([axis], float(edges[0] * 60), float(edges[-1] * 60), None)
    return figure


def prior_posterior(twin: Twin) -> Figure:
    """Draw every parameter before and after the data; of one that varies, its value now.

    Parameters
    ----------
    twin : Twin

    Returns
    -------
    figure : matplotlib Figure
        One panel each, with how much narrower the data made it.
    """
    posterior, prior = twin.tree["posterior"], twin.tree["prior"]
    names = [str(name) for name in posterior.data_vars if not str(name).endswith("_start")]
    columns = 2 if len(names) in (2, 4) else min(3, len(names))
    rows = -(-len(names) // columns)
    text = (
        "How to read this: gray is what was believed before the data, blue after; where they look alike, the data said "
    )
    figure, grid = sheet(2.15 * rows, f"{text}little about this parameter. {NOTE}", rows, columns)
    for axis, name in zip(grid.ravel(), names, strict=False):
        varies = posterior[name].ndim > 2
        _densities(axis, flat_draws(prior, name)[:, -1], flat_draws(posterior, name)[:, -1])
        unit = literal(str(posterior[name].attrs.get("units", "")))
        label = f"{literal(name.replace('_', ' '))}{', now' if varies else ''}"
        axis.set_xlabel(label + (f"\n({unit})" if unit not in ("", "1") else ""), fontsize=8.5)
    for axis in grid.ravel()[len(names) :]:
        axis.set_visible(False)
    return figure


def _densities(axis: Axes, before: np.ndarray, after: np.ndarray) -> None:
    positive = bool(np.all(before > 0) and np.all(after > 0))
    scaled = [np.log(x) if positive else x for x in (before, after)]
    # The widest tails of the prior would squeeze the rest into a corner.
    low = min(np.quantile(scaled[0], 0.01), scaled[1].min())
    high = max(np.quantile(scaled[0], 0.99), scaled[1].max())
    bins = np.linspace(low, high + 1e-12, 28)
    edges = np.exp(bins) if positive else bins
    for values, color in ((scaled[0], GRAY), (scaled[1], BLUE)):
        heights, _ = np.histogram(values, bins, density=True)
        axis.stairs(heights, edges, fill=True, color=color, alpha=0.45)
        axis.stairs(heights, edges, color=color, lw=1.0)
    if positive and high - low > 1.2:
        logarithmic(axis, "x")
    share = scaled[1].std() / max(scaled[0].std(), 1e-12)
    axis.set_title(f"spread {100 * share:.0f} % of the prior's", fontsize=8.5)
    axis.set_yticks([])
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right", "left"]].set_visible(False)
