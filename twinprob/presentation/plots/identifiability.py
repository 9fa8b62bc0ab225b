"""Pictures of what data can say: profiles, the spectrum of what they determine, contraction against conflict."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...diagnostics.determination import CONFLICT, DETERMINED, NOT_DETERMINED, STRUCTURAL, WEAK, Grades
from ...diagnostics.identify import Identification
from ...diagnostics.information import Information
from ...diagnostics.profiles import Profile, Profiles
from .sheet import BLACK, BLUE, GRAY, GREEN, INPUT_COLORS, NOTE, sheet

_COLUMNS = 3
_WORDS = {
    DETERMINED: (GREEN, "o"),
    WEAK: (BLUE, "s"),
    NOT_DETERMINED: (INPUT_COLORS[1], "^"),
    STRUCTURAL: (INPUT_COLORS[0], "X"),
    CONFLICT: (INPUT_COLORS[2], "D"),
}
_ROWS = 6
_CROWDED = 0.45


def profile_grid(found: Profiles) -> Figure:
    """Draw every profile: what the data lose when a parameter or prediction is held elsewhere.

    Parameters
    ----------
    found : Profiles

    Returns
    -------
    figure : matplotlib Figure
        One panel each; the dotted line is the threshold, the shaded range the interval, open where it never ends.
    """
    profiles = list(found.profiles.values())
    columns = min(_COLUMNS, len(profiles))
    rows = math.ceil(len(profiles) / columns)
    sentence = (
        "Twice the log likelihood lost against the best fit, all other unknowns fitted again at each point. Dotted: "
        f"the threshold of the {100 * profiles[0].level:g} % interval. A profile that stays below it is open: the data "
        f"do not limit that side. {NOTE}"
    )
    figure, grid = sheet(2.1 * rows + 0.2, sentence, rows, columns)
    for axis, one in zip(grid.ravel(), profiles, strict=False):
        _one_profile(axis, one)
    for axis in grid.ravel()[len(profiles) :]:
        axis.set_axis_off()
    for row in grid:
        row[0].set_ylabel("lost", fontsize=9)
    return figure


def _one_profile(axis: Axes, one: Profile) -> None:
    positive = bool(np.all(one.values > 0))
    axis.plot(one.values, one.deviance, color=BLUE, lw=1.6, marker=".", ms=4)
    axis.axhline(one.threshold, color=GRAY, lw=1.0, ls=":")
    low, high = max(one.lower, one.values[0]), min(one.upper, one.values[-1])
    axis.axvspan(low, high, color=BLUE, alpha=0.10, lw=0)
    axis.plot([one.best], [0.0], color=BLACK, marker="v", ms=5)
    axis.set_ylim(-0.06 * one.threshold, 1.5 * one.threshold)
    axis.set_title(one.name.replace("_", " "), fontsize=9)
    if positive and one.values[-1] > 2.0 * one.values[0]:
        axis.set_xscale("log")
        ticks = _ticks(one.values[0], one.values[-1])
        axis.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        axis.minorticks_off()
    words = one.shape if one.unit in ("", "1") else f"{one.unit}; {one.shape}"
    axis.set_xlabel(words, fontsize=8.5)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _ticks(low: float, high: float) -> list[float]:
    """Return about three round numbers within a logarithmic range."""
    round_ = [
        m * 10.0**e
        for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for m in (1, 2, 3, 5, 7)
    ]
    inside = [x for x in round_ if low <= x <= high]
    return inside[:: max(1, math.ceil(len(inside) / 4))] or [low, high]


def eigen_spectrum(said: Information) -> Figure:
    """Draw what the measurements say along independent directions, against the prior, and what these are made of.

    Parameters
    ----------
    said : Information

    Returns
    -------
    figure : matplotlib Figure
        Left: information over the prior's, best determined direction first; at 1 both weigh the same. Right: the share
        of each parameter in the first directions.
    """
    values, directions = said.spectrum()
    sentence = (
        "Each direction is a combination of unknowns, counted in prior standard deviations. Above the line the "
        "measurements say more than the prior, below it less; a fall over many decades is called sloppy. Right: the "
        f"share of each parameter (a path as a whole) in the best determined directions. {NOTE}"
    )
    figure, (row,) = sheet(3.6, sentence, 1, 2, width_ratios=[1.0, 1.25])
    left, right = row
    floor = 1e-4
    shown = values[values > floor]
    left.semilogy(np.arange(1, len(shown) + 1), shown, color=BLUE, marker="o", ms=3.5, lw=0.8)
    left.axhline(1.0, color=GRAY, lw=1.0, ls=":")
    left.set_xlabel("direction", fontsize=9)
    left.set_ylabel("information over the prior's", fontsize=9)
    rest = len(values) - len(shown)
    if rest:
        left.annotate(
            f"{rest} more below {floor:g}", (0.97, 0.95), xycoords="axes fraction", ha="right", va="top", fontsize=8
        )
    names = list(said.groups)
    count = min(_ROWS, len(values))
    shares = np.array([[np.sum(directions[i][said.groups[name]] ** 2) for i in range(count)] for name in names])
    image = right.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    right.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    right.set_xticks(range(count), [str(i + 1) for i in range(count)])
    right.set_xlabel("direction", fontsize=9)
    bar = figure.colorbar(image, ax=right, shrink=0.8)
    bar.set_label("share", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    for axis in row:
        axis.tick_params(labelsize=8)
    left.spines[["top", "right"]].set_visible(False)
    return figure


def contraction_against_shift(found: Identification, grades: Grades | None = None) -> Figure:
    """Draw how far the data narrow every quantity against how far they move it from its prior.

    Parameters
    ----------
    found : Identification
    grades : Grades, optional
        Where the lines between verdicts are drawn.

    Returns
    -------
    figure : matplotlib Figure
        To the right: determined. Above or below the dashed lines: in conflict with the prior.
    """
    settings = Grades() if grades is None else grades
    sentence = (
        "Contraction is the share of the prior variance that the data removed; the shift is the posterior mean against "
        "the prior's, in prior standard deviations. Dotted lines part the verdicts; beyond the dashed ones a posterior "
        f"contradicts its prior. {NOTE}"
    )
    figure, grid = sheet(4.4, sentence, 1, 1)
    axis = grid[0, 0]
    for word, (color, marker) in _WORDS.items():
        rows = [row for row in found.rows if row.verdict == word]
        if rows:
            x, y = [max(row.contraction, -0.08) for row in rows], [row.shift for row in rows]
            axis.scatter(x, y, color=color, marker=marker, s=34, label=word, zorder=3)
    for edge in (settings.undetermined, settings.determined):
        axis.axvline(edge, color=GRAY, lw=1.0, ls=":")
    far = max(1.2 * settings.conflict, *(1.2 * abs(row.shift) for row in found.rows))
    for edge in (-settings.conflict, settings.conflict):
        axis.axhline(edge, color=GRAY, lw=1.0, ls="--")
    axis.set_xlim(-0.1, 1.04)
    axis.set_ylim(-far, far)
    _name_points(axis, found)
    axis.set_xlabel("contraction", fontsize=9)
    axis.set_ylabel("shift (prior standard deviations)", fontsize=9)
    axis.tick_params(labelsize=8.5)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, loc="lower left", framealpha=0.9, edgecolor="none")
    return figure


def _name_points(axis: Axes, found: Identification) -> None:
    """Write names beside their points: where they crowd, at the right, in a column of their own."""
    low, high = axis.get_ylim()
    gap = 0.05 * (high - low)
    for right in (False, True):
        rows = sorted((r for r in found.rows if (r.contraction > _CROWDED) == right), key=lambda row: row.shift)
        for row, height in zip(rows, _apart([row.shift for row in rows], gap), strict=True):
            x = max(row.contraction, -0.08)
            axis.annotate(
                row.subject.replace("_", " "), (x, row.shift), (1.08 if right else x + 0.04, height), fontsize=7.5,
                va="center", color="#404040", annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": GRAY, "lw": 0.5},
            )  # fmt: skip


def _apart(heights: list[float], gap: float) -> np.ndarray:
    """Return increasing heights at least a gap apart, as close to those given as one move of all allows."""
    moved: list[float] = []
    for height in heights:
        moved.append(max([height, *(h + gap for h in moved[-1:])]))
    return np.array(moved) - (float(np.mean(np.subtract(moved, heights))) if moved else 0.0)
