"""Bundled data: opened by name, without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..modeling.model import nearest
from ..patient.record import Record
from ..storage import bundled
from .tidy import read_tidy

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_example"]


def load_example(name: str, *, stay: int | None = None) -> Any:
    """Open a bundled dataset.

    Parameters
    ----------
    name : str
        "fsigt": a published intravenous glucose tolerance test of one person, one `Record`.
        "icu_glucose": eight synthetic ICU stays, a `Record` by number of the stay.
        "septic_shock": six synthetic stays under norepinephrine and fluids, a `Record` by number of the stay.
        "ventilated_lung": four synthetic stays with charted plateau pressures, a `Record` by number of the stay.
        "reference": published and computed tables that tests compare with, a data frame by name.
    stay : int, optional
        One stay of "icu_glucose", "septic_shock" or "ventilated_lung".

    Returns
    -------
    record : Record, or dict of int to Record, or dict of str to pandas.DataFrame

    Raises
    ------
    ValueError
        If there is no dataset of this name, or no such stay in it.
    FileNotFoundError
        If the package was installed without its data.

    Examples
    --------
    >>> load_example("fsigt").observations["glucose"].unit
    'mg/dL'
    """
    openers: dict[str, Callable[[Path], Any]] = {
        "fsigt": _fsigt,
        "icu_glucose": _stays,
        "septic_shock": _stays,
        "ventilated_lung": _stays,
        "reference": _tables,
    }
    if name not in openers:
        raise ValueError(f"There is no example {name!r}; {nearest(name, openers)}")
    found = openers[name](bundled() / name)
    if stay is None:
        return found
    if openers[name] is not _stays:
        raise ValueError(f"Example {name!r} has no stays; leave out the argument `stay`.")
    if stay not in found:
        raise ValueError(f"Example {name!r} has no stay {stay}; its stays are {min(found)} to {max(found)}.")
    return found[stay]


def _fsigt(folder: Path) -> Record:
    return read_tidy(folder / "fsigt.csv")


def _stays(folder: Path) -> dict[int, Record]:
    return {int(path.stem.removeprefix("stay_")): read_tidy(path) for path in sorted(folder.glob("stay_*.csv"))}


def _tables(folder: Path) -> dict[str, pd.DataFrame]:
    import pandas as pd

    return {path.stem: pd.read_csv(path, comment="#") for path in sorted(folder.glob("*.csv"))}
