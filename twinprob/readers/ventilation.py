"""The ventilated part of MIMIC: settings, pressures, blood gases, saturation; `mimic.read` with ``only="lungs"``."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from ..patient.record import Record
from ._mimic_items import LUNGS, SETTINGS
from ._mimic_tables import Tables, load
from .mimic import counted, listed_stays
from .mimic import read as read_all

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NAMES", "load", "read", "stays"]

NAMES = (*LUNGS, *SETTINGS)  # what a record of this reader may hold


def stays(folder: str | PathLike[str] | Tables) -> pd.DataFrame:
    """List the ICU stays.

    Parameters
    ----------
    folder : path or Tables
        As for `read`.

    Returns
    -------
    stays : DataFrame
        Columns stay, hours (length), plateau (pressures charted), peep (settings charted); most plateaus first.
    """
    tables = folder if isinstance(folder, Tables) else load(folder)
    listed = listed_stays(tables)
    listed["plateau"] = counted(tables.chart, LUNGS["plateau_pressure"].items, listed["stay"])
    listed["peep"] = counted(tables.chart, SETTINGS["peep"][0].items, listed["stay"])
    return listed.sort_values("plateau", ascending=False, ignore_index=True, kind="stable")


def read(
    folder: str | PathLike[str] | Tables, stay: int, *, lead: float | str = "30 min", until: float | str | None = None
) -> Record:
    """Read the ventilation of one ICU stay.

    Parameters
    ----------
    folder, stay, lead, until
        As for `mimic.read`.

    Returns
    -------
    record : Record
        The lungs of `mimic.read`.

    Raises
    ------
    ValueError
        As `mimic.read`.

    Notes
    -----
    The tidal volume and the rate are the *set* ones where they are charted, else what was measured at the time: one
    reading of an expired volume scatters by a tenth around what the ventilator delivers. Inspired oxygen is charted
    as a fraction by CareVue and in percent by MetaVision; 40 becomes 0.4, and what lies between 1 and 20 is a flow of
    oxygen that somebody typed there. A plateau that is not above the PEEP in force is set aside.
    """
    return read_all(folder, stay, only="lungs", lead=lead, until=until)
