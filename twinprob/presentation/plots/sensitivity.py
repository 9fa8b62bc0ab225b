"""Pictures of what moves the outputs."""

import json

import numpy as np
from matplotlib.figure import Figure

from ...diagnostics.sensitivity import Sensitivity
from ...modeling.model import nearest
from .sheet import BLACK, BLUE, GRAY, GREEN, INPUT_COLORS, NOTE, finish, sheet

_COLORS = (BLUE, INPUT_COLORS[0], GREEN, INPUT_COLORS[2], INPUT_COLORS[1], INPUT_COLORS[3], BLACK)
_NEGLIGIBLE = 0.02


def sensitivity_over_time(found: Sensitivity, output: str | None = None) -> Figure:
    """Draw how much each parameter moves an output, over time.

    Parameters
    ----------
    found : Sensitivity
    output : str, optional
        The first output by default.

    Returns
    -------
    figure : matplotlib Figure
        Solid lines with their interval: total shares (Sobol) or mean absolute effects (Morris); dashed: first-order
        shares. Parameters that never matter share one gray line.

    Raises
    ------
    ValueError
        If there is no such output.
    """
    names = [str(name) for name in found.data["output"].values]
    if output is not None and output not in names:
        raise ValueError(f"There is no output `{output}` here; {nearest(output, names)}")
    output = names[0] if output is None else output
    chosen, main = found.data.sel(output=output), found.main
    sobol = main == "total_order"
    sentence = (
        f"{'Shares of the variance of' if sobol else 'Mean absolute effects on'} {output}: "
        f"{'solid, with all interactions; dashed, alone' if sobol else 'crossing 95 % of what is believed'}. Bands are "
        f"{100 * found.data.attrs['ci_prob']:g} % bootstrap intervals; {found.evaluations} simulations, "
        f"{found.failed} failed. {NOTE}"
    )
    figure, grid = sheet(3.6, sentence, 1, 1)
    axis, hours = grid[0, 0], found.data["time"].values / 60
    order = list(found.ranking(output).index)
    greatest = float(np.nanmax(chosen[main].values))
    loud = [p for p in order if np.nanmax(chosen[main].sel(parameter=p)) > _NEGLIGIBLE * greatest][: len(_COLORS)]
    ends = []
    for color, name in zip(_COLORS, loud, strict=False):
        one = chosen.sel(parameter=name)
        axis.fill_between(hours, *one[f"{main}_ci"].values.T, color=color, alpha=0.18, lw=0)
        axis.plot(hours, one[main], color=color, lw=1.7, label=name.replace("_", " "))
        if sobol:
            axis.plot(hours, one["first_order"], color=color, lw=1.1, ls=(0, (4, 2)))
        ends.append(name)
    rest = [p for p in order if p not in ends]
    if rest:
        most = chosen[main].sel(parameter=rest).max("parameter")
        words = f"the greatest of {len(rest)} others" if len(rest) > 1 else rest[0].replace("_", " ")
        axis.plot(hours, most, color=GRAY, lw=1.1, label=words)
    axis.set_ylim(bottom=0.0)
    if sobol:
        axis.set_ylim(top=min(1.1, axis.get_ylim()[1]))  # an estimate may exceed one, which no share does
    unit = json.loads(found.data.attrs["output_units"])[output]
    axis.set_ylabel("share of the variance" if sobol else f"effect on {output} ({unit})", fontsize=9)
    finish([axis], float(found.data["time"][0]), float(found.data["time"][-1]), None)
    axis.legend(fontsize=8.5, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
