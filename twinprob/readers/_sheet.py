"""A table from a file or a frame: its rows as they are numbered in the file, whatever wrote it."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import itertools
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# Compared without case, spaces and underscores.
_IDENTIFIERS = """
    patient patientid patid patientno patientnumber patientunitstayid patienthealthsystemstayid uniquepid subject
    subjectid subjid person personid hadmid stayid icustayid icustay admission admissionid admissionno encounter
    encounterid visit visitid visitoccurrenceid case caseid caseno mrn medicalrecordnumber csn pid id recordid
"""
_MOST = 6  # columns that a note names
_PATIENTS = frozenset(_IDENTIFIERS.split())
_DELIMITERS = (",", ";", "\t", "|")
_SEVERAL = "which one twin cannot mix"
_FOREIGN = {
    b"PK\x03\x04": "a spreadsheet workbook such as .xlsx, or another zip archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of the old .xls kind",
    b"%PDF": "a PDF document",
    b"PAR1": "a Parquet file",
    b"\x89HDF": "an HDF5 or netCDF file",
    b"{\\rtf": "a rich-text document",
}


@dataclass(frozen=True, eq=False)
class Sheet:
    """One table, cell by cell.

    Attributes
    ----------
    name : str
        What the ledger and messages call it: "table" or "inputs".
    columns : mapping of str to list
        Header as it is written, stripped, to cells; an absent cell is None.
    rows : list of int
        Each row's number in the file, the header being row 1.
    decimal : {".", ","}
        The decimal sign where a comma between digits would mean two things.
    """

    name: str
    columns: Mapping[str, list[Any]]
    rows: list[int]
    decimal: str = "."

    @property
    def by_name(self) -> dict[str, str]:
        """Headers in lower case to headers as they are written."""
        return {header.lower(): header for header in self.columns}

    def keep(self, chosen: Iterable[bool]) -> Sheet:
        """Keep some rows."""
        chosen = list(chosen)
        columns = {name: list(itertools.compress(cells, chosen)) for name, cells in self.columns.items()}
        return Sheet(self.name, columns, list(itertools.compress(self.rows, chosen)), self.decimal)


def open_sheet(table: Any, *, name: str = "table", decimal: str | None = None) -> Sheet:
    """Read a table: commas, semicolons or tabs, points or commas as decimals, gzip, and the usual encodings.

    Parameters
    ----------
    table : path, text stream or DataFrame
    name : str
        As for `Sheet`.
    decimal : {".", ","}, optional
        By default found from the cells.

    Returns
    -------
    sheet : Sheet

    Raises
    ------
    ValueError
        If it is no table of text, is empty, has a header twice or none, or a row has more cells than the header.
    """
    import pandas as pd

    if decimal not in (None, ".", ","):
        raise ValueError(f'Argument `decimal` must be "." or ",", but is {decimal!r}.')
    if isinstance(table, pd.DataFrame):
        return _of_frame(table, name, decimal or ".")
    text = table.read() if hasattr(table, "read") else _text(table, name)
    if isinstance(text, bytes):
        text = _decoded(text, name)
    lines, delimiter = _split(text.removeprefix("\ufeff"), name)
    (_, header), *body = lines
    headers = _headers(header, name)
    for number, cells in body:
        if any(cell.strip() for cell in cells[len(headers) :]):
            raise ValueError(
                f"Row {number} of the {name} has {len(cells)} cells, but the header has {len(headers)}: a comma inside "
                "a cell needs quotes around it, or semicolons between the cells."
            )
    columns = {
        header: [_cell(cells[place]) if place < len(cells) else None for _, cells in body]
        for place, header in enumerate(headers)
        if header
    }
    sign = decimal or _decimal_sign(columns, delimiter)
    return Sheet(name, columns, [number for number, _ in body], sign)


def open_samples(table: Any) -> pd.DataFrame:
    """Read a table of samples, which is long: the same files as `open_sheet`, numbers and columns left to pandas.

    Parameters
    ----------
    table : path, text stream or DataFrame

    Returns
    -------
    frame : pandas.DataFrame

    Raises
    ------
    ValueError
        If it is no table of text, is empty, or a row has more cells than the header.
    """
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return table
    text = table.read() if hasattr(table, "read") else _text(table, "file")
    text = (_decoded(text, "file") if isinstance(text, bytes) else text).removeprefix("\ufeff")
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    _headers(first.split(delimiter), "file")
    sign = "," if delimiter != "," and re.search(r"\d,\d", text[:100_000]) else "."
    try:
        return pd.read_csv(io.StringIO(text), sep=delimiter, decimal=sign, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"Row {line[1]} of the file" if line else "A row of the file"
        raise ValueError(f"{where} cannot be split into the header's cells: check its commas and quotes.") from None


def _of_frame(frame: pd.DataFrame, name: str, decimal: str) -> Sheet:
    headers = _headers([str(column) for column in frame.columns], name)
    columns = {
        header: [_cell(value) for value in frame.iloc[:, place].tolist()]
        for place, header in enumerate(headers)
        if header
    }
    return Sheet(name, columns, list(range(2, len(frame) + 2)), decimal)


def _cell(value: Any) -> Any:
    """Return a cell, or None where it is empty."""
    if isinstance(value, str):
        return value.replace("\u00a0", " ").strip() or None
    import pandas as pd

    return None if np.ndim(value) == 0 and pd.isna(value) else value


def _text(path: Any, name: str) -> str:
    try:
        with open(path, "rb") as file:
            return _decoded(file.read(), name)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"There is no {name} at `{os.fspath(path)}`.") from None
    except IsADirectoryError:
        raise ValueError(f"The {name} must be one file, but `{os.fspath(path)}` is a folder.") from None


def _decoded(data: bytes, name: str) -> str:
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise ValueError(f"The {name} is a gzip file that is cut short or damaged: copy it again.") from None
    for start, what in _FOREIGN.items():
        if data.startswith(start):
            raise ValueError(
                f"The {name} is {what}, not text, whatever its name says: save the one sheet as CSV (UTF-8), or pass a "
                "DataFrame."
            )
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data:
        raise ValueError(f"The {name} is not text (it holds zero bytes): save it as CSV (UTF-8), or pass a DataFrame.")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _split(text: str, name: str) -> tuple[list[tuple[int, list[str]]], str]:
    """Return numbered rows of cells, header first, and what stood between the cells."""
    skipped = 0
    declared = re.match(r"sep=(.)\r?\n", text)  # a spreadsheet's way to say its delimiter
    if declared:
        text, skipped = text[declared.end() :], 1
    first = next((line for line in text.splitlines() if line.strip()), "")
    unquoted = re.sub(r'"[^"]*"', "", first)
    delimiter = declared[1] if declared else max(_DELIMITERS, key=unquoted.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=delimiter != "\t")
    found: list[tuple[int, list[str]]] = []
    before = skipped
    try:
        for cells in reader:
            number, before = before + 1, reader.line_num + skipped
            if any(cell.strip() for cell in cells):
                found.append((number, cells))
    except csv.Error:
        raise ValueError(
            f"Row {reader.line_num + skipped} of the {name} cannot be split into cells: check its quotes."
        ) from None
    if not found:
        raise ValueError(f"There is nothing in the {name}: it has no header and no row.")
    return found, delimiter


def _headers(cells: list[str], name: str) -> list[str]:
    headers = [re.sub(r"\s+", " ", cell.replace("\u00a0", " ")).strip() for cell in cells]
    if not any(headers) or any(re.fullmatch(r"[-+]?\d[\d.,:/T -]*", header) for header in headers):
        # What stands there may be dates and values of a patient, so it is not repeated.
        raise ValueError(f"Row 1 of the {name} must hold the columns' names, but holds numbers, dates or nothing.")
    twice = [header for header, count in Counter(h.lower() for h in headers if h).items() if count > 1]
    if twice:
        raise ValueError(f"The {name} has the column {twice[0]!r} twice: rename or leave out one.")
    return headers


def _decimal_sign(columns: Mapping[str, list[Any]], delimiter: str) -> str:
    """Return a comma where cells show that it stands for the decimal point, and no cell shows the opposite."""
    if delimiter == ",":
        return "."
    cells = [cell.lstrip("<>≤≥= ") for cells in columns.values() for cell in cells if cell is not None]
    # Three digits after the comma may be thousands, so they show nothing.
    comma = any(re.match(r"-?(?:\d+,(?:\d{1,2}|\d{4,})|0,\d+)(?![\d,])", cell) for cell in cells)
    point = any(re.fullmatch(r"-?\d+\.\d+\D*", cell) for cell in cells)
    return "," if comma and not point else "."


def one_patient(sheet: Sheet, patient: Any) -> tuple[Sheet, list[int]]:
    """Keep one patient's rows, and refuse a table of several from which none is chosen.

    Parameters
    ----------
    sheet : Sheet
    patient : str, int or None
        As it stands in a column of patients, stays or persons.

    Returns
    -------
    sheet : Sheet
        Rows of the one.
    others : list of int
        Numbers of the rows left out.

    Raises
    ------
    ValueError
        If several are left, or the chosen one is not there; nobody's identifier is repeated.
    """
    named = [header for header in sheet.columns if _plain(header) in _PATIENTS]
    others: list[int] = []
    if patient is not None:
        wanted = _identity(patient)
        holding = [header for header in named if wanted in map(_identity, sheet.columns[header])]
        if not holding:
            where = f"in {' or '.join(map(repr, named))}" if named else "as the table has no column of patients"
            raise ValueError(f"Argument `patient` names nobody of the {sheet.name} {where}.")
        mine = [_identity(cell) == wanted for cell in sheet.columns[holding[0]]]
        others = [row for row, kept in zip(sheet.rows, mine, strict=True) if not kept]
        sheet = sheet.keep(mine)
    for header in named:
        count = len({_identity(cell) for cell in sheet.columns[header] if cell is not None})
        if count > 1:
            raise ValueError(
                f"The {sheet.name} holds {count} patients or stays in column {header!r}, {_SEVERAL}: choose one with "
                "`patient=`, or pass the rows of one."
            )
    return sheet, others


def unread(sheet: Sheet, read: Iterable[str]) -> tuple[str, ...]:
    """Say which columns are not among those read, nor name patients."""
    read = set(read)
    left = [header for header in sheet.columns if header not in read and _plain(header) not in _PATIENTS]
    if not left:
        return ()
    more = f" and {len(left) - _MOST} more" if len(left) > _MOST else ""
    return (f"Columns not read: {', '.join(left[:_MOST])}{more}.",)


def _plain(header: str) -> str:
    return re.sub(r"[\W_]+", "", header.lower())


def _identity(cell: Any) -> str:
    text = str(cell).strip()
    return text[:-2] if re.fullmatch(r"\d+\.0", text) else text


def require_columns(sheet: Sheet, needed: Iterable[str], known: Iterable[str], example: str) -> None:
    """Refuse a table without a needed column, or with one whose name is nearly a known one.

    Raises
    ------
    ValueError
    """
    columns, known = sheet.by_name, tuple(known)
    if any(not set(choice.split("/")) & set(columns) for choice in needed):
        raise ValueError(
            f"A table of this kind needs the columns {example}, but has {', '.join(columns)} ({sheet.name})."
        )
    for header in columns:
        swapped = [name for name in known if sorted(name) == sorted(header)]
        near = swapped or difflib.get_close_matches(header, known, n=1, cutoff=0.84)
        if header not in known and near and near[0] not in columns:
            raise ValueError(
                f"The {sheet.name} has a column {header!r}, which is not read: did you mean {near[0]!r}? Rename it."
            )
