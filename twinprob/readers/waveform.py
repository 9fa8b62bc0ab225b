"""Airway waveforms: a CSV file of pressure and flow with declared columns and units, to a `Record`.

A sample is known when it is taken: the device that writes it shows it.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from ..patient import units
from ..patient.record import Record
from ._sheet import open_samples

if TYPE_CHECKING:
    import pandas as pd

# Settings: between these, in L/s, lies the strong (99th percentile) flow of anybody's breath.
_WEAKEST, _STRONGEST = 0.03, 5.0


def read(
    table: str | PathLike[str] | pd.DataFrame,
    *,
    pressure: tuple[str, str],
    flow: tuple[str, str],
    time: tuple[str, str] | None = None,
    rate: float | None = None,
    begin: float | str = 0.0,
) -> Record:
    """Read an airway waveform.

    Samples stay as they are: nothing is resampled, and nothing is filled in where samples are missing.

    Parameters
    ----------
    table : path or DataFrame
    pressure : tuple of (column, unit)
        Airway pressure, e.g. ``("pressure", "cmH2O")``.
    flow : tuple of (column, unit)
        Airway flow into the patient, e.g. ``("flow", "L/min")``.
    time : tuple of (column, unit), optional
        Clock of the samples, forward only.
    rate : float, 1/s, optional
        Samples per second where the file has no clock: its samples then follow each other without gaps. Exactly one of
        `time` and `rate` is given.
    begin : float or str, min
        When the first sample was taken, where the record's origin is another moment.

    Returns
    -------
    record : Record
        With `airway_pressure` and `airway_flow` at the same times; `record.skipped` counts samples without both.

    Raises
    ------
    ValueError
        If a column is missing, neither or both of `time` and `rate` are given, the clock jumps back or stands still, or
        the flow is 60 times what its unit says, or a sixtieth of it.

    Examples
    --------
    >>> import pandas as pd
    >>> samples = pd.DataFrame({"p": [5.0, 9.0, 12.0], "q": [0.0, 30.0, 31.0]})
    >>> read(samples, pressure=("p", "cmH2O"), flow=("q", "L/min"), rate=50).observations["airway_flow"].values
    array([ 0., 30., 31.])
    """
    frame = open_samples(table)
    if (time is None) == (rate is None):
        raise ValueError(
            "Give exactly one of `time` (a column of the file and its unit) and `rate` (samples per second)."
        )
    pressures, flows = (_column(frame, *which) for which in (pressure, flow))
    if time is not None:
        clock = _column(frame, *time)
        times = clock * units.minutes(f"1 {time[1]}")
        _check_clock(times)
        times = times - times[0]
    else:
        if not rate or rate <= 0:
            raise ValueError(f"Argument `rate` must be above zero samples per second, but is {rate}.")
        times = np.arange(len(flows)) / (60.0 * rate)
    times = times + units.minutes(begin)
    _check_flow(flows, flow[1])
    whole = np.isfinite(pressures) & np.isfinite(flows)
    # A sample without its partner goes from both, and is counted once, with the pressure.
    partner = np.where(whole, pressures, np.nan)
    return Record.build(
        {"airway_pressure": (times, partner, pressure[1]), "airway_flow": (times[whole], flows[whole], flow[1])}
    )


def _column(frame: pd.DataFrame, column: str, unit: str) -> np.ndarray:
    import pandas as pd

    if column not in frame.columns:
        raise ValueError(f"The file has no column {column!r}; it has {', '.join(map(str, frame.columns))}.")
    return np.asarray(pd.to_numeric(frame[column], errors="coerce"), float)


def _check_clock(times: np.ndarray) -> None:
    if not np.all(np.isfinite(times)):
        sample = np.flatnonzero(~np.isfinite(times))[0]
        raise ValueError(
            f"The clock has no number at sample {sample} (row {sample + 2}): mend or leave it out, or give `rate`."
        )
    for index in np.flatnonzero(np.diff(times) <= 0)[:1] + 1:
        raise ValueError(
            f"The clock must go forward, but sample {index} is not later than sample {index - 1} (row {index + 2}). "
            "Cut the file where the clock was set, and read the parts with `begin`."
        )


def _check_flow(flows: np.ndarray, unit: str) -> None:
    """Refuse a flow whose size only the other common unit explains."""
    strong = float(np.nanquantile(np.abs(flows), 0.99)) if np.isfinite(flows).any() else np.nan
    found = float(units.convert(strong, unit, "L/s"))
    for wrong, likely, size in (
        (found > _STRONGEST, "L/min", "60 times what"),
        (found < _WEAKEST, "L/s", "a 60th of what"),
    ):
        if wrong and likely != units.normalize(unit) and len(flows) > 50:
            raise ValueError(
                f"Flows declared in {unit} are about {size} breaths have (a factor of 60): is their unit {likely}?"
            )
