"""One cell of a table: a number, a reading beyond a meter's limit, a number with a flag, or no number at all."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..patient import units
from ..patient.vocabulary import from_ratio

_NUMBER = r"[-+\u2212]?(?:\d[\d.,']*|[.,]\d+)(?:[eE][-+]?\d+)?"
_BELOW = r"<=?|≤|less than(?: or equal to)?|below|under|lt|not above|at most|up to"
_ABOVE = r">=?|≥|(?:more|greater|higher) than(?: or equal to)?|above|over|gt|at least"
_BOUND = re.compile(rf"(?:(?P<below>{_BELOW})|(?P<above>{_ABOVE}))\s*=?\s*(?P<rest>\S.*)", re.IGNORECASE)
_OFF_SCALE = (
    (re.compile(r"(?:lo|low|<+|under ?range|below(?: range| limit)?|too low|undetectable)!?", re.IGNORECASE), -1),
    (re.compile(r"(?:hi|high|>+|over ?range|above(?: range| limit)?|too high|\+{2,})!?", re.IGNORECASE), 1),
)
_FLAG = re.compile(
    r"(?:[*#!^~]+|[\[(]?(?:h+|l+|hi|lo|high|low|crit(?:ical)?|panic|abnormal|abn|a|n|c|alert|repeat(?:ed)?|rept|rpt|"
    r"verified|confirmed|corrected|final|est(?:imated)?|calc(?:ulated)?|poct?)[*!]?[\])]?|"
    r"\([^()\d]{1,20}\))",
    re.IGNORECASE,
)
# What laboratories write where no number is; only such words are repeated in a ledger, as others may name somebody.
_LABORATORY = """
    aborted absent air art artefact artifact bad blood bubble calibrating calibration canceled cancelled clot clotted
    coagulated code comment contaminated damaged declined delayed device discarded disconnected done drawn duplicate
    empty err error expired failed failure for given hemolysed hemolysis hemolyzed held icteric
    in inadequate incorrect insufficient interference invalid iv lab label leaking line lipemic lost machine
    measured meter mislabeled missing na nan nil no none not note null number obtained of off ok on out patient
    pending performed possible qns quantity questionable range received refused rejected repeat report result sample
    see sensor short specimen spilled strip technical test to tnp too tube unable unavailable unknown unreadable
    unsuitable value void volume waiting withheld wrong n/a
"""
_WORDS = frozenset(_LABORATORY.split())


@dataclass(frozen=True)
class Cell:
    """What one cell says.

    Attributes
    ----------
    value : float
        NaN where there is no number, and where a reading is off a meter's scale without a number.
    limit : int
        -1 below, +1 above the value, 0 measured.
    unit : str
        Written in the cell itself; empty where it is not.
    note : str
        What was read over, or why there is no number; empty for a plain number.
    """

    value: float
    limit: int = 0
    unit: str = ""
    note: str = ""

    @property
    def off_scale(self) -> bool:
        """Whether this is a reading beyond a limit that the cell does not name."""
        return self.limit != 0 and math.isnan(self.value)


def read_cell(cell: Any, variable: str, *, decimal: str = ".") -> Cell:
    """Read one cell.

    Parameters
    ----------
    cell : str, number or None
    variable : str
        What is measured, to know its units.
    decimal : {".", ","}
        As in `Sheet`.

    Returns
    -------
    cell : Cell

    Raises
    ------
    ValueError
        If a number has two meanings, such as 1,234.
    """
    if cell is None:
        return Cell(math.nan, note="no value")
    cell = from_ratio(variable, cell)
    if not isinstance(cell, str):
        return _of_object(cell)
    text = re.sub(r"\s+", " ", cell.replace("\u2212", "-")).strip()
    for pattern, side in _OFF_SCALE:
        if pattern.fullmatch(text):
            return Cell(math.nan, side)
    bound = _BOUND.fullmatch(text)
    found = _measured(bound["rest"] if bound else text, variable, decimal)
    if found is None:
        return Cell(math.nan, note=_why(text))
    if bound:
        return Cell(found.value, -1 if bound["below"] else 1, found.unit, found.note)
    return found


def _of_object(cell: Any) -> Cell:
    if isinstance(cell, bool | np.bool_):
        return Cell(math.nan, note="no number but true or false")
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return Cell(math.nan, note=f"no number but {type(cell).__name__}")
    return Cell(value) if math.isfinite(value) else Cell(math.nan, note="infinite")


def _measured(text: str, variable: str, decimal: str) -> Cell | None:
    """Return a number with what stands around it, or None."""
    before = re.match(r"([*#!^~]+|[HL]{1,2}) ?(?=[-\d.])", text)
    flags = [before[1]] if before else []
    text = text[before.end() :] if before else text
    number = re.match(_NUMBER, text)
    if not number:
        return Cell(math.nan, note="infinite") if re.fullmatch(r"[-+]?inf(inity)?", text, re.IGNORECASE) else None
    value, how = _decimal(number[0], decimal)
    if value is None:
        return None
    rest, unit = text[number.end() :].strip(), ""
    while rest:
        flag = _FLAG.match(rest)
        after = rest[flag.end() :] if flag else ""
        if flag and (not after or not after[0].isalnum()) and not _volume(flag[0], variable):
            flags.append(flag[0])
            rest = after.strip(" ,;")
            continue
        word = re.match(r"\S+", rest)
        whole = next((words for words in (rest, word[0] if word else "") if words and _is_unit(words, variable)), "")
        if not whole or unit:
            return None
        unit, rest = whole, rest[len(whole) :].strip(" ,;")
    note = "number with a flag" if flags else how
    return Cell(value, 0, unit, note) if math.isfinite(value) else Cell(math.nan, note="infinite")


def _volume(word: str, variable: str) -> bool:
    """Say whether L after a number is liters here, not low."""
    entry = units.VOCABULARY.get(variable)
    return word in ("L", "l") and entry is not None and entry.unit == "L"


def _is_unit(word: str, variable: str) -> bool:
    entry = units.VOCABULARY.get(variable)
    if word[0] in "*#!([":
        return False
    try:
        units.check(word, like=entry.unit if entry and entry.unit else word, variable=variable)
    except ValueError:
        return False
    return True


def _decimal(text: str, decimal: str) -> tuple[float | None, str]:
    """Return a number and, where its comma was read as a decimal sign in a table of points, a note."""
    plain = text.replace("'", "")
    commas, points = plain.count(","), plain.count(".")
    if commas and points:
        last = max(plain.rindex(","), plain.rindex("."))
        other = "," if plain[last] == "." else "."
        groups = plain[:last].lstrip("+-").split(other)
        if any(len(group) != 3 for group in groups[1:]) or plain.count(plain[last]) > 1:
            return None, ""
        return _float(plain.replace(other, "").replace(",", ".")), ""
    if points > 1:
        return None, ""
    if not commas:
        return _float(plain), ""
    if decimal == "," and commas == 1:
        return _float(plain.replace(",", ".")), ""
    if re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+", plain):
        raise ValueError(
            "holds a number with a comma before three digits, which may be a decimal comma or thousands: say "
            'decimal="," or decimal="."'
            if decimal == "." and commas == 1
            else "holds a number with commas for thousands: write it without them"
        )
    return (_float(plain.replace(",", ".")), "decimal comma") if commas == 1 else (None, "")


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _why(text: str) -> str:
    """Say what stands where a number was expected, without repeating what might identify somebody."""
    if not re.search(r"\w", text):
        return "no number but a mark" if text.strip("-–—. ?/") else "no value"
    words = re.findall(r"[a-z/]+", text.lower().replace("haem", "hem"))
    if len(text) <= 30 and words and not re.search(r"\d", text) and all(word in _WORDS for word in words):
        return f"no number but {' '.join(words)!r}"
    return "no number but another text"


def number(cell: Any, variable: str, *, decimal: str = ".") -> float:
    """Read a cell that must be a plain number, such as a rate.

    Raises
    ------
    ValueError
        Naming what is wrong with it, to be completed with row and column.
    """
    found = read_cell(cell, variable, decimal=decimal)
    if found.limit or found.note.startswith(("no ", "infinite")) or math.isnan(found.value):
        raise ValueError(f"must hold a finite number, but holds {shown(cell)}")
    return found.value


def shown(cell: Any) -> str:
    """Return a malformed cell's text for a message, or words for it where it may be a date or name somebody."""
    text = str(cell).strip()
    if len(text) > 20 or re.search(r"\d[-/.:]\d+[-/.:]|\d:\d|[^\W\d_]{9,}", text):
        return "another text"
    return repr(text)
