"""The ranking of candidate measurements as a picture."""

import textwrap

import numpy as np
from matplotlib.figure import Figure

from ...design.ranking import Ranking
from .sheet import BLACK, BLUE, GRAY, NOTE, sheet

_LETTERS = 34


def next_measurement(ranking: Ranking) -> Figure:
    """Draw how much each candidate measurement is expected to settle, with its Monte Carlo error.

    Parameters
    ----------
    ranking : Ranking
        From `twinprob.next_measurement`.

    Returns
    -------
    figure : matplotlib Figure
        One row per candidate, best on top; those that cannot be told from the best are blue.
    """
    frame = ranking.frame
    places = np.arange(len(frame))
    first = (frame["rank"] == 1).to_numpy()
    best = "the blue ones share the first rank" if first.sum() > 1 else "the blue one is the best"
    words = (
        f"How to read this: dots say by how much each measurement is expected to lower the {ranking.loss}, lines hold "
        f"95 % of the Monte Carlo error, and {best}"
    )
    checked = bool(frame["nested"].notna().all())
    words += "; diamonds are the check by nested Monte Carlo" if checked else ""
    figure, grid = sheet(0.38 * len(frame) + 1.0, f"{words}. {NOTE}", 1, 1)
    axis = grid[0, 0]
    share, error = 100 * frame["reduction"].to_numpy(), 196 * frame["reduction_mcse"].to_numpy()
    for these, color in ((first, BLUE), (~first, GRAY)):
        axis.hlines(places[these], 0, share[these], color=color, lw=1.2, alpha=0.5)
        axis.errorbar(share[these], places[these], xerr=error[these], fmt="o", ms=7, color=color, elinewidth=2.2)
    if checked:
        nested = 100 * (1 - frame["nested"].to_numpy() / max(ranking.now, 1e-300))
        axis.plot(nested, places, "D", ms=4.5, mfc="white", mec=BLACK, mew=1.0, zorder=5)
    axis.axvline(0, color="#404040", lw=0.8)
    axis.set_yticks(places, ["\n".join(textwrap.wrap(name, _LETTERS)) for name in frame["candidate"]], fontsize=9)
    axis.set_ylim(len(frame) - 0.5, -0.5)
    axis.set_xlim(min(0.0, float(np.min(share - error))) - 1, None)
    axis.set_xlabel(f"expected reduction of the {ranking.loss} (%)", fontsize=9)
    axis.set_title(f"To know {ranking.quantity.replace('_', ' ')}", fontsize=10, loc="left")
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=8.5)
    return figure
