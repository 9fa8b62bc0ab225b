"""What became of every row of a source: used, merged with another, or set aside, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from .frozen import freeze

if TYPE_CHECKING:
    import pandas as pd

Fate: TypeAlias = Literal["used", "merged", "set aside"]
FATES: tuple[Fate, ...] = ("used", "merged", "set aside")


@dataclass(frozen=True, eq=False)
class Line:
    """Rows of one source table about one variable that met the same fate for the same reason.

    Attributes
    ----------
    source : str
        The table, for example "chartevents"; empty where rows came from memory.
    variable : str
    fate : {"used", "merged", "set aside"}
    reason : str
        Empty for rows that were used as they are.
    rows : (row,) int
        Numbers of the rows in their file, the header being row 1; -1 where there is no file.
    times : (row,) min
        When each row was known, or taken where nothing else is known; NaN where it has no time.
    """

    source: str
    variable: str
    fate: Fate
    reason: str
    rows: np.ndarray
    times: np.ndarray

    def __post_init__(self) -> None:
        if self.fate not in FATES:
            raise ValueError(f"A row's fate must be one of {', '.join(FATES)}, but is {self.fate!r}.")
        times = np.atleast_1d(np.asarray(self.times, float))
        rows = np.full(times.size, -1) if np.size(self.rows) == 0 else np.atleast_1d(self.rows)
        if rows.size != times.size:
            raise ValueError(f"A ledger's line needs as many rows as times, but has {rows.size} and {times.size}.")
        object.__setattr__(self, "times", freeze(times))
        object.__setattr__(self, "rows", freeze(rows, np.int64))

    @property
    def count(self) -> int:
        """How many rows."""
        return int(self.times.size)

    @property
    def why(self) -> str:
        """Variable and reason in one phrase."""
        return f"{self.variable}: {self.reason}" if self.variable else self.reason

    def select(self, keep: np.ndarray) -> Line:
        """Keep some of the rows; `keep` is (row,) bool."""
        return Line(self.source, self.variable, self.fate, self.reason, self.rows[keep], self.times[keep])


@dataclass(frozen=True, eq=False)
class Ledger:
    """The account of a record's rows: rows in = used + merged + set aside, by source, variable and reason.

    Attributes
    ----------
    lines : tuple of Line
        Lines that agree in source, variable, fate and reason are one.
    """

    lines: tuple[Line, ...] = field(default=())

    def __post_init__(self) -> None:
        together: dict[tuple[str, str, Fate, str], list[Line]] = {}
        for line in self.lines:
            if line.count:
                together.setdefault((line.source, line.variable, line.fate, line.reason), []).append(line)
        joined = tuple(
            Line(*about, np.concatenate([line.rows for line in same]), np.concatenate([line.times for line in same]))
            for about, same in together.items()
        )
        object.__setattr__(self, "lines", joined)

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)

    def __add__(self, other: Ledger | Iterable[Line]) -> Ledger:
        return Ledger((*self.lines, *other))

    def noted(
        self, variable: str, reason: str, times: Any, *, fate: Fate = "set aside", source: str = "", rows: Any = ()
    ) -> Ledger:
        """Return this ledger with one more line; `times` is (row,) min, `rows` (row,) their numbers in the file."""
        return Ledger((*self.lines, Line(source, variable, fate, reason, np.asarray(rows), np.asarray(times, float))))

    @classmethod
    def of_reasons(cls, reasons: Mapping[str, Any], *, source: str = "") -> Ledger:
        """Return rows set aside, by "variable: reason" to times (row,) in min."""
        lines = []
        for why, times in reasons.items():
            variable, colon, reason = why.partition(": ")
            about = (variable, reason) if colon else ("", why)
            lines.append(Line(source, about[0], "set aside", about[1], np.zeros(0), np.asarray(times, float)))
        return cls(tuple(lines))

    def select(self, *, source: str | None = None, variable: str | None = None, fate: Fate | None = None) -> Ledger:
        """Keep the lines of one source, variable or fate."""
        asked = {"source": source, "variable": variable, "fate": fate}
        return Ledger(
            tuple(
                line
                for line in self.lines
                if all(value is None or getattr(line, name) == value for name, value in asked.items())
            )
        )

    @property
    def count(self) -> int:
        """How many rows came in."""
        return sum(line.count for line in self.lines)

    def until(self, time: float, after: float = -np.inf) -> Ledger:
        """Keep rows known after one time and until another; rows without a time belong to the record as a whole."""
        kept = (
            line.select(np.isnan(line.times) | ((line.times > after) & (line.times <= time))) for line in self.lines
        )
        return Ledger(tuple(kept))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per line.

        Returns
        -------
        frame : pandas.DataFrame
            Columns source, variable, fate, reason, rows (how many), first (number of the first row in its file, or -1).
        """
        import pandas as pd

        columns = ["source", "variable", "fate", "reason", "rows", "first"]
        rows = [(line.source, line.variable, line.fate, line.reason, line.count, int(line.rows.min())) for line in self]
        return pd.DataFrame(rows, columns=columns)

    @property
    def lost(self) -> bool:
        """Whether any row was not used as it is."""
        return any(line.fate != "used" for line in self)

    def said(self, most: int = 6) -> str:
        """Say in one sentence how many rows came in and what became of them; nothing where none came from a source."""
        if not self.lines:
            return ""
        totals = {fate: self.select(fate=fate).count for fate in FATES}
        text = f"{self.count} rows: " + ", ".join(f"{number} {fate}" for fate, number in totals.items() if number)
        lost = sorted((line for line in self if line.fate != "used"), key=lambda line: -line.count)
        reasons = "; ".join(f"{line.why} ({line.count})" for line in lost[:most])
        more = f"; {len(lost) - most} more reasons" if len(lost) > most else ""
        return f"{text}{f' ({reasons}{more})' if reasons else ''}."
