"""The hemodynamic part of MIMIC: pressures, flows, vasopressors, fluids; `mimic.read` with ``only="circulation"``."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from ..patient.record import Record
from ._mimic_items import CIRCULATION, DRUGS, FLUIDS
from ._mimic_tables import Tables, load
from .mimic import counted, listed_stays
from .mimic import read as read_all

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NAMES", "load", "read", "stays"]

# What a record of this reader may hold.
NAMES = (*CIRCULATION, *DRUGS, *FLUIDS)


def stays(folder: str | PathLike[str] | Tables) -> pd.DataFrame:
    """List the ICU stays.

    Parameters
    ----------
    folder : path or Tables
        As for `read`.

    Returns
    -------
    stays : DataFrame
        Columns stay, hours (length), arterial (mean arterial pressures charted from a line), norepinephrine (rows with
        a rate); most arterial pressures first.
    """
    tables = folder if isinstance(folder, Tables) else load(folder)
    listed = listed_stays(tables)
    listed["arterial"] = counted(tables.chart, CIRCULATION["mean_arterial_pressure"].items, listed["stay"])
    listed["norepinephrine"] = sum(
        counted(part[part["rate"] > 0], DRUGS["norepinephrine"].items, listed["stay"])
        for part in (tables.running, tables.charted)
    )
    return listed.sort_values("arterial", ascending=False, ignore_index=True, kind="stable")


def read(
    folder: str | PathLike[str] | Tables,
    stay: int,
    *,
    bolus_duration: float | str | None = None,
    until: float | str | None = None,
) -> Record:
    """Read the circulation of one ICU stay.

    Parameters
    ----------
    folder, stay, bolus_duration, until
        As for `mimic.read`.

    Returns
    -------
    record : Record
        The circulation of `mimic.read`. Artefacts (a flush, a line open to air), a systolic pressure not above the
        diastolic one, rewritten orders and rates in units that need a concentration are set aside.

    Raises
    ------
    ValueError
        As `mimic.read`.
    """
    return read_all(folder, stay, only="circulation", bolus_duration=bolus_duration, until=until)
