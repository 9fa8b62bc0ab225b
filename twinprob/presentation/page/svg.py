"""The fan as one SVG: measurements, bands, draws and treatments on one axis of time, in colors of the page's own."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from ...display import number
from ...inference.twin import Twin
from ...patient.units import convert
from ...patient.wall_clock import at
from .answer import DOTS, LEVELS, Answer

_WIDTH, _HEIGHT, _ROW = 720.0, 300.0, 46.0
_LEFT, _RIGHT, _TOP = 58.0, 26.0, 26.0
_PAST = 12.0  # h of the past in the picture
_LINES = 12


def fan(twin: Twin, answer: Answer, name: str, units: Mapping[str, str]) -> str:
    """Draw one output.

    Parameters
    ----------
    twin : Twin
    answer : Answer
    name : str
        The output.
    units : mapping of str to str
        Those of the sliders, by input.

    Returns
    -------
    svg : str
        With a title and a description for those who hear it; `cells` has its numbers.
    """
    ahead = answer.ahead
    begin, end = max(twin.record.start, twin.now - 60 * _PAST), float(ahead.times[-1])
    draws = ahead.group("predicted_outputs")[name].values
    flat = draws.reshape(-1, draws.shape[-1])
    unit = str(ahead.group("predicted_outputs")[name].attrs.get("units", ""))
    seen = _seen(twin, name, unit, begin)
    bands, times = ahead.quantiles(name, LEVELS, measured=False), ahead.times
    past, last = _past(twin, name, begin)
    if last is not None:  # the fan starts where the past ends: the same draws, at the twin's present
        times = np.append(twin.now, times)
        bands = np.concatenate([np.nanquantile(last, LEVELS)[:, None], bands], axis=1)
        flat = np.concatenate([last[:, None], flat], axis=1)
    known = [bands, *(rows[1:] for rows in (past,) if rows is not None), seen[1][None]]
    low, high = _range(known)
    across = lambda t: _LEFT + (np.asarray(t, float) - begin) / (end - begin) * (_WIDTH - _LEFT - _RIGHT)  # noqa: E731
    up = lambda v: _TOP + (high - np.asarray(v, float)) / (high - low) * (_HEIGHT - _TOP - 10)  # noqa: E731
    given = [one for one in ahead.inputs.names if np.any(ahead.inputs[one].rates > 0)]
    tall = _HEIGHT + _ROW * len(given) + 26
    parts = [_axes(low, high, begin, end, twin, across, up, tall, unit)]
    if past is not None:
        parts += [_area(across(past[0]), up(past[1]), up(past[3]), "band1"), _line(across(past[0]), up(past[2]), "mid")]
    for width, (a, b) in enumerate(((0, 6), (1, 5), (2, 4))):
        parts.append(_area(across(times), up(bands[a]), up(bands[b]), f"band{width}"))
    some = flat[np.linspace(0, len(flat) - 1, _LINES).astype(int)]
    parts += [_line(across(times), up(row), "draw") for row in some if np.all(np.isfinite(row))]
    parts.append(_line(across(times), up(bands[3]), "mid"))
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="seen"/>' for x, y in zip(across(seen[0]), up(seen[1]),
                                                                                        strict=True)]  # fmt: skip
    for place, one in enumerate(given):
        course = ahead.inputs[one]
        shown = course.to(units[one], variable=one, weight=twin.record.weight) if one in units else course
        parts.append(_course(shown, one, begin, end, across, _HEIGHT + _ROW * place))
    x = float(across(twin.now))
    parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{tall - 22:.0f}" class="now"/>')
    said = (
        f"{name}: median {number(float(bands[3][-1]))} {unit} at the end, 95 % from {number(float(bands[0][-1]))} to "
    )
    said += f"{number(float(bands[6][-1]))}."
    title = f"Past and forecast of {name.replace('_', ' ')}"
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {tall:.0f}" role="img" aria-labelledby="t-{name} d-{name}" class="fan">'
        f'<title id="t-{name}">{escape(title)}</title><desc id="d-{name}">{escape(said)} The table below holds the '
        f"numbers.</desc>{''.join(parts)}</svg>"
    )


def cells(answer: Answer, name: str) -> list[tuple[str, ...]]:
    """Return the picture's numbers as rows: hours ahead, wall clock, median, 50 %, 95 %, 95 % of measurements."""
    ahead = answer.ahead
    own = ahead.quantiles(name, [0.025, 0.25, 0.5, 0.75, 0.975], measured=False)
    read = ahead.quantiles(name, [0.025, 0.975])
    rows: list[tuple[str, ...]] = []
    places = np.unique(np.linspace(0, len(ahead.times) - 1, 9).round().astype(int)[1:])
    for i in places:
        clock = "" if ahead.origin is None else f"{at(ahead.origin, float(ahead.times[i])):%d %b %H:%M}"
        a, b, c, d, e = (number(float(x)) for x in own[:, i])
        low, high = (number(float(x)) for x in read[:, i])
        rows.append(
            (f"{(ahead.times[i] - ahead.now) / 60:.3g} h", clock, c, f"{b} to {d}", f"{a} to {e}", f"{low} to {high}")
        )
    return rows


def dots(count: int | None) -> str:
    """Draw so many of fifty dots filled; nothing where it is not known."""
    if count is None:
        return ""
    circles = "".join(
        f'<circle cx="{8 + 13 * (i % 25)}" cy="{8 + 14 * (i // 25)}" r="5" class="{"hit" if i < count else "miss"}"/>'
        for i in range(DOTS)
    )
    return f'<svg viewBox="0 0 330 32" class="dots" role="img" aria-label="{count} of {DOTS} dots">{circles}</svg>'


def _seen(twin: Twin, name: str, unit: str, begin: float) -> tuple[np.ndarray, np.ndarray]:
    if name not in twin.record.observations:
        return np.zeros(0), np.zeros(0)
    series = twin.record.observations[name]
    these = series.times >= begin
    return series.times[these], np.asarray(convert(series.values[these], series.unit, unit, variable=name), float)


def _past(twin: Twin, name: str, begin: float) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return times, 2.5 %, median and 97.5 % of what the output was, (4, time), and its draws now, where there are."""
    for group in ("trajectory", "filtered"):
        if group in twin.tree.children and name in twin.tree[group].data_vars:
            held = twin.group(group)
            times = held["time"].values
            values = held[name].values
            if group == "trajectory":
                found, last = np.nanquantile(values, [0.025, 0.5, 0.975], axis=(0, 1)), values[..., -1].ravel()
            else:
                found, last = values[[0, len(values) // 2, -1]], None
            these = times >= begin
            return (np.concatenate([times[None, these], found[:, these]]) if these.sum() > 1 else None), last
    return None, None


def _range(known: Sequence[np.ndarray]) -> tuple[float, float]:
    values = np.concatenate([np.ravel(one) for one in known])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.5
    return low - room, high + room


def _ticks(low: float, high: float, most: int) -> np.ndarray:
    """Return at most about so many round numbers inside a range."""
    raw = (high - low) / most
    size = 10.0 ** np.floor(np.log10(raw))
    step = size * next(m for m in (1, 2, 5, 10) if m * size >= raw)
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step


def _axes(low, high, begin, end, twin: Twin, across, up, tall: float, unit: str) -> str:
    parts = [f'<text x="4" y="17" class="label">{escape(unit)}</text>']
    for value in _ticks(low, high, 5):
        y = float(up(value))
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="tick end">{number(float(value))}</text>')
    hours = _ticks((begin - twin.now) / 60, (end - twin.now) / 60, 8)
    for hour in hours:
        x = float(across(twin.now + 60 * hour))
        said = "now" if abs(hour) < 1e-9 else f"{hour:+.3g} h"
        if twin.record.origin is not None:
            said = f"{at(twin.record.origin, twin.now + 60 * float(hour)):%H:%M}"
        parts.append(f'<text x="{x:.1f}" y="{tall - 6:.0f}" class="tick middle">{said}</text>')
    return "".join(parts)


def _course(course, name: str, begin: float, end: float, across, top: float) -> str:
    """Draw what is given as steps below the fan, with its name and highest rate."""
    running = course if course.setting else course.infusions()
    changes, after = running.steps()
    inside = (changes > begin) & (changes < end)
    times = np.concatenate([[begin], changes[inside], [end]])
    rates = np.nan_to_num(np.concatenate([[running.at(begin)], after[inside]]))
    most = max(float(rates.max()), 1e-9)
    floor = top + _ROW - 8
    points = []
    for i, rate in enumerate(rates):
        y = floor - rate / most * (_ROW - 24)
        points += [(float(across(times[i])), y), (float(across(times[i + 1])), y)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    area = f"{points[0][0]:.1f},{floor:.1f} {line} {points[-1][0]:.1f},{floor:.1f}"
    doses = course.starts[course.bolus & (course.starts > begin) & (course.starts < end)]
    marks = "".join(f'<path d="M{x - 4:.1f} {floor - 22:.0f}h8l-4 7z" class="dose"/>' for x in across(doses))
    words = f"{name.replace('_', ' ')}, up to {number(most)} {course.unit}"
    return (
        f'<polygon points="{area}" class="given"/><polyline points="{line}" class="rate"/>{marks}'
        f'<text x="{_LEFT}" y="{top + 10:.0f}" class="label">{escape(words)}</text>'
    )


def _area(x, low, high, kind: str) -> str:
    there = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, low, strict=True) if np.isfinite(b))
    back = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[::-1], high[::-1], strict=True) if np.isfinite(b))
    return f'<polygon points="{there} {back}" class="{kind}"/>'


def _line(x, y, kind: str) -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b))
    return f'<polyline points="{points}" class="{kind}"/>'
