"""A recalibration as a file: JSON with a hash of what it says, whole or refused."""

import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..modeling.model import nearest
from ..patient.require import require_kinds
from ..storage import bundled, write
from .recalibration import Recalibration, Taught

_FORMAT = "twinprob.recalibration/1"
_LARGEST = 1 << 20  # bytes


def save_recalibration(path: str | os.PathLike[str], recalibration: Recalibration) -> None:
    """Write what other patients taught about a twin's errors, with nothing of any single patient.

    Parameters
    ----------
    path : str or Path
        A JSON file; an existing one is replaced.
    recalibration : Recalibration

    Raises
    ------
    TypeError
        If `recalibration` is of another kind.
    OSError
        If it cannot be written; what was there is untouched.
    """
    require_kinds(recalibration=(recalibration, Recalibration))
    says = {name: _written(taught) for name, taught in recalibration.taught.items()}
    write(path, json.dumps({"format": _FORMAT, "sha256": _hash(says), "taught": says}, indent=1) + "\n")


def load_recalibration(path: str | os.PathLike[str]) -> Recalibration:
    """Read a recalibration that ships with twinprob, or one that `save_recalibration` wrote.

    Parameters
    ----------
    path : str or Path
        A file, or the name of a population that ships with a recalibration, e.g. "icing-mimic3".

    Returns
    -------
    Recalibration

    Raises
    ------
    FileNotFoundError
        If there is neither such a file nor such a name.
    ValueError
        If the file is foreign, cut short, changed since it was written or of a newer version.
    """
    file = _file(path)
    if file.stat().st_size > _LARGEST:
        raise ValueError(f"File {file.name} is no recalibration: it is larger than any.")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        form, says, stated = found["format"], found["taught"], found["sha256"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"File {file.name} is no recalibration, or was cut short ({type(error).__name__}).") from None
    if form != _FORMAT:
        raise ValueError(f"File {file.name} is of format {str(form)[:60]!r}; this twinprob reads {_FORMAT!r}.")
    if stated != _hash(says):
        raise ValueError(f"File {file.name} changed since it was written: its contents do not fit their hash.")
    return Recalibration({str(name): _read(taught) for name, taught in says.items()})


def _file(path: str | os.PathLike[str]) -> Path:
    if isinstance(path, str) and re.fullmatch(r"[\w-]+", path) and not Path(path).exists():
        folder = bundled() / "populations"
        known = sorted(file.parent.name for file in folder.glob("*/recalibration.json"))
        if path not in known:
            raise FileNotFoundError(f"There is no recalibration at `{path}`, and none ships; {nearest(path, known)}")
        return folder / path / "recalibration.json"
    return Path(path)


def _written(taught: Taught) -> dict[str, Any]:
    plain = dataclasses.asdict(taught)
    return plain | {name: _rows(plain[name]) for name in ("widening", "shift")}


def _rows(table: Mapping[tuple[int, bool], float]) -> list[list[Any]]:
    return [[place, bool(changed), float(value)] for (place, changed), value in table.items()]


def _read(says: Mapping[str, Any]) -> Taught:
    widening, shift = ({(int(p), bool(c)): float(v) for p, c, v in says[name]} for name in ("widening", "shift"))
    spread, between = float(says["spread"]), float(says["shift_spread"])
    if not all(math.isfinite(x) for x in (*widening.values(), *shift.values(), spread, between)):
        raise ValueError("The recalibration holds what is no number.")
    if min([*widening.values(), spread]) <= 0:
        raise ValueError("The recalibration holds a widening or spread that is not above zero.")
    return Taught(widening, shift, spread, between, int(says["patients"]), int(says["pairs"]))


def _hash(says: Any) -> str:
    return hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()
