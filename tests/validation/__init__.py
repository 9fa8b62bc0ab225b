"""The measured claims of twinprob: one line of an acceptance table each, run by `python -m tests.validation`.

A line such as 01.3 is the module `v01_03.py` with

- `TITLE` and `BAR`, two sentences, where those of `acceptance.py` need other words;
- `LIMIT`, optional, the seconds it may take (default 1800);
- `measure() -> Result`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import shared_data_folder


@dataclass(frozen=True)
class Result:
    """What a line measured.

    Parameters
    ----------
    figure : str
        The figure in one line, with units, to stand beside the bar.
    holds : bool
        Whether the figure meets the bar.
    details : mapping
        What the figure was made from; kept as JSON, so numbers, text, lists and mappings of these.
    """

    figure: str
    holds: bool
    details: Mapping[str, object] = field(default_factory=dict)


class DataAbsent(Exception):
    """The open data that a line needs are not on this machine: neither a hit nor a miss."""


def shared_data(name: str = "") -> Path:
    """Return a folder of the open data kept outside the project.

    Parameters
    ----------
    name : str
        Folder of one dataset, e.g. `"mimic-iii-demo"`; empty for the folder of all.

    Raises
    ------
    DataAbsent
        If it is not there; the runner then reports `skipped: data absent` and exits with status 3.
    """
    folder = shared_data_folder()
    if folder is None or not (folder / name).is_dir():
        raise DataAbsent(f"open data {name or 'folder'} absent: set TWINPROB_SHARED_DATA to the folder that holds it")
    return folder / name
