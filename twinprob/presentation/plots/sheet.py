"""The sheet every picture is drawn on: colors, bands, axes, and the sentence at its foot."""

import io
import re
import textwrap
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullFormatter

from ...inference.update import LEVELS

# Okabe and Ito's colors, told apart by color-blind readers too.
BLUE, BLACK, GREEN, GRAY = "#0072B2", "#000000", "#009E73", "#8C8C8C"
INPUT_COLORS = ("#D55E00", "#E69F00", "#CC79A7", "#56B4E9")
BANDS = ((0.95, 0.16), (0.80, 0.20), (0.50, 0.28))
_THIN_DRAWS = 20
WIDTH = 8.6
_HOURS_BETWEEN_TICKS = (0.25, 0.5, 1, 2, 3, 4, 6, 12, 24, 48, 96)
NOTE = "Research software, not a medical device."


class Picture(Figure):
    """A matplotlib figure that no window manager holds: it shows itself in a notebook; save it with `savefig`."""

    def _repr_png_(self) -> bytes:
        return png(self)


def backend() -> str:
    """Say which matplotlib draws, and how."""
    return f"matplotlib {matplotlib.__version__}, {matplotlib.get_backend()}"


def png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi)
    return buffer.getvalue()


def sheet(height: float, sentence: str, rows: int, columns: int, **options) -> tuple[Picture, np.ndarray]:
    """Return an empty figure with a sentence at its foot, and its axes (row, column)."""
    lines = textwrap.wrap(sentence, 142)
    foot = 0.16 * len(lines) + 0.1
    figure = Picture(figsize=(WIDTH, height + foot), dpi=110)
    share = foot / (height + foot)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, share, 1, 1 - share), w_pad=0.06, h_pad=0.05))
    where = (0.1 / WIDTH, 0.07 / (height + foot))
    figure.text(*where, "\n".join(lines), fontsize=8, color="#404040", va="bottom", linespacing=1.3)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def panels(below: int, sentence: str) -> tuple[Picture, list[Axes]]:
    """Return a figure with one tall panel and `below` low ones, on one axis of time."""
    heights = [3.5, *[0.95] * below]
    figure, grid = sheet(sum(heights) + 0.4, sentence, 1 + below, 1, sharex=True, height_ratios=heights)
    return figure, list(grid[:, 0])


def flat_draws(group: Any, name: str) -> np.ndarray:
    """Return the draws of one variable, shape (draw, time)."""
    values = np.asarray(group[name])
    return values.reshape(values.shape[0] * values.shape[1], -1)


def band(axis: Axes, hours: np.ndarray, draws: np.ndarray, step: str | None = None) -> None:
    """Draw nested bands and their median; `draws` has shape (draw, time)."""
    nested(axis, hours, np.nanquantile(draws, LEVELS, axis=0), step)


def nested(axis: Axes, hours: np.ndarray, quantiles: np.ndarray, step: str | None = None) -> None:
    """Draw bands between quantiles at `LEVELS`, shape (quantile, time), and their median."""
    for i, (_, alpha) in enumerate(BANDS):
        low, high = quantiles[i], quantiles[-1 - i]
        axis.fill_between(hours, low, high, step=step, color=BLUE, alpha=alpha, lw=0)  # type: ignore[arg-type]
    axis.plot(hours, quantiles[len(BANDS)], color=BLUE, lw=1.6, drawstyle=f"steps-{step}" if step else "default")


def thin_lines(axis: Axes, hours: np.ndarray, draws: np.ndarray) -> None:
    """Draw a few single draws, shape (draw, time), as thin lines."""
    chosen = np.unique(np.linspace(0, len(draws) - 1, _THIN_DRAWS).astype(int))
    axis.plot(hours, draws[chosen].T, color=BLUE, lw=0.5, alpha=0.35)


def finish(axes: list[Axes], begin: float, end: float, now: float | None) -> None:
    """Give panels their ticks of time in hours, and the line of now."""
    hours = max(end - begin, 1e-6) / 60
    step = next((step for step in _HOURS_BETWEEN_TICKS if hours / step <= 12), None)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8.5)
        if step is not None:
            axis.xaxis.set_major_locator(MultipleLocator(step))
        if now is not None:
            axis.axvline(now / 60, color="#404040", lw=1.0, ls=(0, (4, 3)))
    if now is not None:
        place, offset = (now / 60, 1.0), "offset points"
        axes[0].annotate(
            "now", place, (3, -2), ("data", "axes fraction"), offset, va="top", fontsize=9, color="#404040"
        )
    # Half a marker of room, so that the last measurement is whole.
    axes[0].set_xlim(begin / 60 - 0.006 * hours, begin / 60 + 1.006 * hours)
    axes[-1].set_xlabel("time since the record's origin (h)")


def logarithmic(axis: Axes, which: str) -> None:
    """Scale an axis by the logarithm, with ticks at 1, 2, 5 written as plain numbers."""
    axis.set(**{f"{which}scale": "log"})
    scale = axis.xaxis if which == "x" else axis.yaxis
    scale.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    scale.set_minor_formatter(NullFormatter())


def typeset(words: str) -> str:
    """Set symbols such as S_I with a lowered index, and everything else as it stands."""
    return re.sub(r"\b([A-Za-z])_(\w+)\b", r"$\1_{\2}$", literal(words))


def literal(words: str) -> str:
    """Keep matplotlib from reading dollar signs as the borders of a formula: a file may hold any text."""
    return words.replace("$", r"\$")
