"""News as it comes: rows of a pipe, a growing table or JSON lines, each value with what was given before it."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
import time as clock
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from ..patient.record import Record
from ..patient.require import require_kinds
from ..patient.units import minutes
from ..patient.vocabulary import VOCABULARY
from .tidy import read_tidy

_SHOWN = 80


class Stream:
    """Measurements one by one, as `monitor` and `update` take them.

    A line is a row of a tidy table, with the columns of `tidy.read_tidy`: text separated by commas below a header, or a
    JSON object. Rows of inputs wait for the next measurement and go with it. A line that cannot be read is counted by
    its reason and left out; it stops nothing.

    Parameters
    ----------
    source : path, "-" or iterable of str or mapping
        A file, the standard input, or lines from elsewhere.
    wait : str, optional
        Look again after this time when the file's end is reached, ``"2 s"`` such as while it grows; ends there by
        default.
    **how
        As for `read_tidy`: `origin` for dates, `limits` of meters, `own` names.

    Attributes
    ----------
    unread : collections.Counter
        Lines left out so far, by reason.
    rows : int
        Lines so far.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or the file is not there.
    """

    def __init__(
        self, source: str | PathLike[str] | Iterable[str | Mapping[str, Any]], *, wait: str | None = None, **how: Any
    ):
        require_kinds(wait=(wait, str, None))
        self.source, self.pause = source, None if wait is None else 60.0 * minutes(wait)
        self.how, self.unread, self.rows = how, Counter[str](), 0
        if isinstance(source, str | PathLike) and source != "-" and not Path(source).is_file():
            raise ValueError(f"There is no file {str(source)!r} to follow; `-` is the standard input.")

    def __repr__(self) -> str:
        """Say how much was read."""
        left = "".join(f"; {count} left out: {reason}" for reason, count in self.unread.items())
        return f"Stream({self.rows} lines{left})"

    def __iter__(self) -> Iterator[Record]:
        """Read on, and give a record for each measurement."""
        waiting: list[dict[str, Any]] = []
        for row in self._rows():
            self.rows += 1
            if _given(row):
                waiting.append(row)
                continue
            try:
                self._read([row])
            except (TypeError, ValueError) as error:
                self._leave(str(error))
                continue
            waiting = [one for one in waiting if self._fits(one, row)]
            try:
                news = self._read([*waiting, row])
            except (TypeError, ValueError) as error:  # they do not fit each other
                for _ in waiting:
                    self._leave(str(error))
                news = self._read([row])
            waiting = []
            yield news

    def _read(self, rows: list[dict[str, Any]]) -> Record:
        """Return a record of some rows that begins with the first of them."""
        import pandas as pd  # here because importing it takes long

        whole = read_tidy(pd.DataFrame(rows), ends="next", **self.how)
        times = [float(one.times[0]) for one in whole.observations.values()]
        times += [float(t) for name in whole.inputs.names for t in whole.inputs[name].starts if math.isfinite(t)]
        return whole.between(math.nextafter(min(times), -math.inf), whole.end)

    def _fits(self, given: dict[str, Any], measured: dict[str, Any]) -> bool:
        try:
            self._read([given, measured])
        except (TypeError, ValueError) as error:
            self._leave(str(error))
            return False
        return True

    def _leave(self, reason: str) -> None:
        aside = re.search(r"\(skipped: (.*?)(?: \(\d+\))?\)", reason)
        self.unread[(aside[1] if aside else reason)[:_SHOWN]] += 1

    def _rows(self) -> Iterator[dict[str, Any]]:
        header: list[str] | None = None
        objects = False
        for line in self._lines():
            if isinstance(line, Mapping):
                yield dict(line)
                continue
            text = line.strip()
            if not text:
                continue
            if objects or text.startswith("{"):
                objects = True
                try:
                    yield dict(json.loads(text))
                except (ValueError, TypeError):
                    self.rows += 1
                    self._leave("no JSON object")
                continue
            cells = next(csv.reader([text]))
            if header is None:
                header = [cell.strip() for cell in cells]
            elif len(cells) > len(header):
                self.rows += 1
                self._leave("more cells than the header has")
            else:
                yield dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=True))

    def _lines(self) -> Iterator[str | Mapping[str, Any]]:
        if not isinstance(self.source, str | PathLike):
            yield from self.source
        elif self.source == "-":
            yield from sys.stdin
        else:
            with Path(self.source).open(encoding="utf-8", errors="replace") as file:
                yield from _growing(file.readline, self.pause)


def _given(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is of something given to the patient or set at a device."""
    name = str(row.get("variable", ""))
    if name in VOCABULARY:
        return VOCABULARY[name].kind == "input"
    return any(row.get(column) not in (None, "") for column in ("rate", "amount"))


def _growing(read: Callable[[], str], pause: float | None) -> Iterator[str]:
    """Give whole lines; at the end wait for more, or give what is left."""
    part = ""
    while True:
        part += read()
        if part.endswith("\n"):
            yield part
            part = ""
        elif pause is None:
            if part:
                yield part
            return
        else:
            clock.sleep(pause)
