"""What a run of a line leaves behind: one JSON file each, and the table in the documentation made from all of them."""

import datetime
import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests import ROOT, shared_data_folder
from tests.validation.acceptance import Line

FOLDER = ROOT / "docs" / "validation"

HOLDS, MISSES, SKIPPED, BROKE, SLOW = "holds", "**misses**", "skipped: data absent", "**broke**", "**over its time**"
PENDING = "not measured"


@dataclass(frozen=True)
class Row:
    """One line of the table, as last measured."""

    line: str
    title: str
    bar: str
    status: str = PENDING
    figure: str = ""
    seconds: float | None = None
    date: str = ""
    machine: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def machine() -> str:
    """Return what a time on this machine depends on, without its name."""
    return f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"


def today() -> str:
    """Return the date in universal time."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def plain(value: Any) -> Any:
    """Turn a detail into what JSON holds: lists for arrays, names for what is not finite, no machine paths."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, str | Path):
        return without_paths(str(value))
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return plain(np.asarray(value).tolist())


def without_paths(text: str) -> str:
    """Remove the folders of this machine from a text."""
    shared = shared_data_folder()
    folders = [*([shared] if shared else []), ROOT, Path.home()]
    for folder in sorted({str(folder.resolve()) for folder in folders}, key=len, reverse=True):
        text = text.replace(folder, "…")
    return text


def json_file(line: str) -> Path:
    """Return the file that keeps a line's last measurement."""
    return FOLDER / f"{line}.json"


def write(row: Row) -> None:
    """Keep a row; a file is replaced whole or not at all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    target = json_file(row.line)
    part = target.with_suffix(".part")
    part.write_text(json.dumps(plain(asdict(row)), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(target)


def read(line: str, stated: Line) -> Row:
    """Return a line as last measured, under the title and bar it has now."""
    file = json_file(line)
    if not file.is_file():
        return Row(line, stated.title, stated.bar)
    kept = json.loads(file.read_text(encoding="utf-8"))
    return Row(**{**kept, "title": stated.title, "bar": stated.bar})


def write_table(rows: list[Row]) -> None:
    """Write the documentation's page from the rows."""
    count = {status: sum(row.status == status for row in rows) for status in {row.status for row in rows}}
    tally = ", ".join(f"{number} {status.strip('*')}" for status, number in sorted(count.items()))
    text = [
        "# Validation",
        "",
        "Each line is a claim with a bar set before it was measured; `python -m tests.validation 01.3` measures one",
        "again and `make validate` all. This page is written by those commands, misses included; the numbers behind",
        "each figure are in the JSON files beside it.",
        "",
        f"{len(rows)} lines: {tally}.",
        "",
        "| line | what | bar | figure | status | seconds | measured |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        seconds = "" if row.seconds is None else f"{row.seconds:.0f}"
        measured = f"{row.date}, {row.machine}" if row.date else ""
        cells = [row.line, row.title, row.bar, row.figure, row.status, seconds, measured]
        text.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "index.md").write_text("\n".join(text) + "\n", encoding="utf-8")
