"""What simulated patients truly were against what a method made of them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...modeling.model import nearest
from ...validation.calibrate import Calibration
from .sheet import BLUE, GRAY, INPUT_COLORS, NOTE, logarithmic, sheet

_MOST = 9


def recovery(calibration: Calibration, quantities: Sequence[str] | None = None) -> Figure:
    """Draw true against estimated values of simulated patients, with their 90 % intervals.

    Parameters
    ----------
    calibration : Calibration
        From `twinprob.calibrate`.
    quantities : sequence of str, optional
        Which; all by default, at most nine.

    Returns
    -------
    figure : matplotlib Figure
        One panel each: intervals that hold the truth cross the diagonal, the others are orange.

    Raises
    ------
    ValueError
        If there is no such quantity, or more than nine are asked for.
    """
    truth, estimate = (calibration.tree[name].to_dataset() for name in ("truth", "estimate"))
    known = [str(name) for name in truth.data_vars]
    names = known[:_MOST] if quantities is None else list(quantities)
    for name in names:
        if name not in known:
            raise ValueError(f"There is no quantity `{name}` in this calibration; {nearest(name, known)}")
    if len(names) > _MOST:
        raise ValueError(f"Argument `quantities` may name at most {_MOST}, but names {len(names)}.")
    columns = 2 if len(names) in (2, 4) else min(3, len(names))
    rows = -(-len(names) // columns)
    left_out = len(known) - len(names) if quantities is None else 0
    words = (
        "How to read this: each line is the 90 % interval of one simulated patient, its dot the median; blue lines "
        "cross the diagonal and so hold the truth, orange ones miss it: about one in ten should."
        + (f" {left_out} further quantities are not drawn." if left_out else "")
    )
    figure, grid = sheet(2.6 * rows + 0.2, f"{words} {NOTE}", rows, columns)
    for axis, name in zip(grid.ravel(), names, strict=False):
        _panel(axis, name, truth[name].values[0], estimate[name].sel(quantile=[0.05, 0.5, 0.95]).values[0])
    for axis in grid.ravel()[len(names) :]:
        axis.set_visible(False)
    for axis in grid[:, 0]:
        axis.set_ylabel("estimated", fontsize=9)
    for axis in grid[-1]:
        axis.set_xlabel("true", fontsize=9)
    return figure


def _panel(axis: Axes, name: str, truth: np.ndarray, bounds: np.ndarray) -> None:
    low, middle, high = bounds.T
    inside = (low <= truth) & (truth <= high)
    for these, color in ((inside, BLUE), (~inside, INPUT_COLORS[0])):
        axis.vlines(truth[these], low[these], high[these], color=color, lw=1.1, alpha=0.5)
        axis.plot(truth[these], middle[these], "o", ms=2.8, color=color, mec="none")
    scaled, positive = (truth, middle), bool(np.all(truth > 0) and np.all(low > 0))
    if positive:
        for which in ("x", "y"):
            logarithmic(axis, which)
        scaled = (np.log(truth), np.log(middle))
    edges = [min(truth.min(), low.min()), max(truth.max(), high.max())]
    axis.plot(edges, edges, color=GRAY, lw=1.0, zorder=0)
    spread = min(float(np.std(values)) for values in scaled)
    together = f", correlation {np.corrcoef(*scaled)[0, 1]:.2f}" if spread > 0 else ""
    axis.set_title(f"{name.replace('_', ' ')}\n{100 * inside.mean():.0f} % inside{together}", fontsize=8.5)
    axis.tick_params(labelsize=7.5)
    axis.spines[["top", "right"]].set_visible(False)
