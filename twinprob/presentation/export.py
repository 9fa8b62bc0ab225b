"""Tables for other programs: units, levels and draws in every row or its header."""

import os
from typing import Any

import numpy as np
import pandas as pd

from .. import storage
from ..forecasting.forecast import Forecast
from ..inference.twin import Twin

__all__ = ["draws_csv", "forecast_csv", "parameters_csv", "parameters_frame"]

_NOTE = "research software, not a medical device"


def forecast_csv(ahead: Forecast, path: str | os.PathLike[str], *, ci_prob: float = 0.9) -> None:
    """Write a forecast's medians and intervals, a row per variable and time.

    Parameters
    ----------
    ahead : Forecast
    path : str or Path
        Replaced if it exists; whole or not at all.
    ci_prob : float
        Probability inside the intervals.
    """
    _write(ahead.summary(ci_prob=ci_prob), path, _heading(ahead, "medians and equal-tailed credible intervals"))


def draws_csv(ahead: Forecast, path: str | os.PathLike[str], *, measured: bool = True) -> None:
    """Write every draw of a forecast, a row per variable, time and draw.

    Parameters
    ----------
    ahead : Forecast
    path : str or Path
        Replaced if it exists; whole or not at all.
    measured : bool
        Future measurements; the noise-free outputs if False.
    """
    group = ahead.tree["predictions" if measured else "predicted_outputs"]
    frames = []
    for name, values in group.data_vars.items():
        chains, draws, times = (np.asarray(group[dim]) for dim in ("chain", "draw", "time"))
        chain, draw, time = (x.ravel() for x in np.meshgrid(chains, draws, times, indexing="ij"))
        columns = {"time": time, "variable": name, "unit": values.attrs.get("units", ""), "chain": chain, "draw": draw}
        frames.append(pd.DataFrame({**columns, "value": values.transpose("chain", "draw", "time").values.ravel()}))
    kind = "draws of future measurements" if measured else "draws of the noise-free outputs"
    _write(pd.concat(frames, ignore_index=True), path, _heading(ahead, kind))


def parameters_csv(twin: Twin, path: str | os.PathLike[str], *, ci_prob: float = 0.9) -> None:
    """Write the posterior of every parameter, a row each, or a row per knot where it varies.

    Parameters
    ----------
    twin : Twin
    path : str or Path
        Replaced if it exists; whole or not at all.
    ci_prob : float
        Probability inside the intervals.
    """
    heading = [f"posterior of {type(twin.model).__name__}, known until {twin.now:g} min; time is in min", _NOTE]
    _write(parameters_frame(twin, ci_prob=ci_prob), path, heading)


def parameters_frame(twin: Twin, *, ci_prob: float = 0.9) -> pd.DataFrame:
    """Tabulate the posterior of every parameter.

    Parameters
    ----------
    twin : Twin
    ci_prob : float
        Probability inside the intervals.

    Returns
    -------
    frame : pandas.DataFrame
        Columns parameter, time (min; from when the value holds, empty where constant), unit, median, lower, upper,
        ci_prob, ci_kind, draws, effective_draws, source.

    Raises
    ------
    ValueError
        If `ci_prob` is not between 0 and 1.
    """
    return twin.summary(ci_prob=ci_prob)


def _heading(ahead: Forecast, kind: str) -> list[str]:
    about = f"{kind}; times in min since the record's origin, the twin spoke at {ahead.now:g} min"
    return [about, *(f"recalibrated, {line}" for line in ahead.recalibration), _NOTE]


def _write(frame: pd.DataFrame, path: str | os.PathLike[str], heading: list[str]) -> None:
    """Write a table under comment lines; read it again with `pandas.read_csv(path, comment="#")`."""
    texts = {name: cells.map(_inert) for name, cells in frame.items() if not pd.api.types.is_numeric_dtype(cells)}
    table = frame.assign(**texts).to_csv(index=False, lineterminator="\n", float_format="%.6g")
    storage.write(path, "".join(f"# {line}\n" for line in heading) + table)


def _inert(cell: Any) -> Any:
    """Put an apostrophe before text that a spreadsheet would take for a formula, and keep it in its row."""
    if not isinstance(cell, str):
        return cell
    live = cell.startswith(("\t", "\r")) or cell.lstrip().startswith(("=", "+", "-", "@"))
    return ("'" if live else "") + cell.replace("\r", " ")
