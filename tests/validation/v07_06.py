"""Bad files and tables, made at random, through every reader and the command.

Each is a good table with one fault put in at a random place, so that it is known which row and column are at fault; or
a file that is no table at all. A reader answers with one line that names the place and what to do, the command with one
line and exit code 2, and nothing is written.
"""

import contextlib
import gzip
import io
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import twinprob as tp
from tests.validation import Result
from twinprob import cli
from twinprob.readers import arterial, bedside, hemodynamics, mimic, ventilation, waveform

FILES = 320  # tried; those whose fault happens to be harmless do not count
FEWEST = 200
WIDE: dict[str, Any] = {
    "time": "Time",
    "columns": {"Glucose (mg/dL)": ("glucose", "mg/dL"), "Lactate": ("lactate", "mmol/L")},
    "inputs": {"Insulin": ("insulin", "U/h")},
}
REMEDIES = re.compile(
    r"check|write|name the|say |declare|give|choose|keep|leave|did you mean|known names|must (?:be|hold|have)|needs"
    r"|save|pass |mend|rename|sort|in .* every value|there is no|has no|copy|exchanged|which\?", re.IGNORECASE
)  # fmt: skip
DATE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{2,4}")


@dataclass(frozen=True)
class Bad:
    """One bad file and where its fault lies."""

    kind: str
    data: bytes
    reader: str
    row: int | None = None
    column: str = ""


def table(reader: str, draw) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of a good table for one reader."""
    count = draw(st.integers(3, 9))
    times = np.cumsum([draw(st.integers(5, 90)) for _ in range(count)]).tolist()
    some = [draw(st.integers(5, 9)) for _ in times]
    pairs = list(zip(times, some, strict=True))
    if reader == "tidy":
        return ["time", "variable", "value", "unit"], [[f"{t}", "glucose", f"{x}", "mmol/L"] for t, x in pairs]
    if reader == "inputs":
        header = ["start", "end", "variable", "rate", "unit"]
        return header, [[f"{t}", f"{t + 4}", "insulin", f"{x}", "U/h"] for t, x in pairs]
    if reader == "wide":
        return ["Time", "Glucose (mg/dL)", "Lactate", "Insulin"], [[f"{t}", f"{20 * x}", f"{x}", "2"] for t, x in pairs]
    seconds = np.arange(60) / 50
    wave = 90 + 30 * np.sin(2 * np.pi * 1.2 * seconds) if reader == "arterial" else 10 + 5 * np.sin(6 * seconds)
    samples = zip(seconds, wave, 0.5 * np.cos(6 * seconds), strict=True)
    return ["time", "p", "q"], [[f"{t:.3f}", f"{p:.2f}", f"{q:.3f}"] for t, p, q in samples]


def without(cells: list[str], place: int) -> list[str]:
    """Return a row without one of its cells."""
    return [cell for index, cell in enumerate(cells) if index != place]


def later(header: list[str], cells: list[str], shift: float) -> list[str]:
    """Return a row whose times are shifted."""
    moments = ("time", "start", "end", "Time")
    return [f"{float(cell) + shift}" if name in moments else cell for name, cell in zip(header, cells, strict=True)]


PLACES = {
    "tidy": {"time": "time", "name": "variable", "size": "value", "unit": "unit"},
    "inputs": {"time": "start", "end": "end", "name": "variable", "size": "rate", "unit": "unit"},
    "wide": {"time": "Time", "size": "Insulin"},
    "waveform": {"time": "time"},
    "arterial": {"time": "time"},
}
FAULTS = {
    "time": ("soon", "03/01/2024 23:30", "2024-13-45T08:00", "25:61", "nan?", "1.2.3", "?"),
    "end": ("-5", "later"),
    "name": ("glucos", "Insulinn", "heart rat", "xyzzy", ""),
    "size": ("LO", "1,234", "-3", "two", "inf", "1e9"),
    "unit": ("mmHg", "furlong", "", "gr", "mol/"),
}


def with_a_fault(draw) -> Bad:
    """Return a good table with one bad cell."""
    reader = draw(st.sampled_from(sorted(PLACES)))
    header, rows = table(reader, draw)
    role = draw(st.sampled_from(sorted(PLACES[reader])))
    column = PLACES[reader][role]
    index = draw(st.integers(1 if role == "time" else 0, len(rows) - 1))
    fault = draw(st.sampled_from(FAULTS[role]))
    rows[index][header.index(column)] = f'"{fault}"' if "," in fault else fault
    return Bad(f"{role} {fault!r}", text(header, rows), reader, index + 2, column)


def with_a_bad_shape(draw) -> Bad:
    """Return a table that is wrong as a whole."""
    reader = draw(st.sampled_from(("tidy", "inputs", "wide")))
    header, rows = table(reader, draw)
    what = draw(st.sampled_from(("no header", "column left out", "column twice", "cell too many", "two patients",
                                 "weeks apart", "seconds since 1970", "backward", "misspelled column")))  # fmt: skip
    row: int | None = None
    if what == "no header":
        header, rows = rows[0], rows[1:]
    elif what == "column left out":
        gone = draw(st.integers(0, len(header) - 1)) if reader == "wide" else len(header) - 1
        header, rows = without(header, gone), [without(cells, gone) for cells in rows]
    elif what == "column twice":
        header, rows = [*header, header[-1]], [[*r, r[-1]] for r in rows]
    elif what == "cell too many":
        row = draw(st.integers(2, len(rows) + 1))
        rows[row - 2] = [*rows[row - 2], "5"]
    elif what == "two patients":
        name = draw(st.sampled_from(("patient", "Subject ID", "stay_id", "MRN", "encounter", "hadm_id", "PatientID")))
        header, rows = [*header, name], [[*r, "17" if i else "18"] for i, r in enumerate(rows)]
    elif what == "weeks apart":
        row = draw(st.integers(3, len(rows) + 1))
        rows[row - 2 :] = [later(header, cells, 50_000.0) for cells in rows[row - 2 :]]
    elif what == "seconds since 1970":
        rows = [later(header, cells, 1.7e9) for cells in rows]
    elif what == "backward":
        reader, (header, rows) = "tidy", table("tidy", draw)
        row = 3
        rows[1][0] = str(float(rows[0][0]) - 1)
    else:
        header = [{"variable": "varable", "Time": "Tme"}.get(name, name) for name in header]
    return Bad(what, text(header, rows), reader, row)


def no_table(draw) -> Bad:
    """Return a file that is no table of text."""
    reader = draw(st.sampled_from(sorted(PLACES)))
    good = text(*table(reader, draw))
    workbook = io.BytesIO()
    with zipfile.ZipFile(workbook, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    kinds = {
        "empty": b"",
        "blank": b"\n \n\n",
        "workbook": workbook.getvalue(),
        "old workbook": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
        "gzip cut short": gzip.compress(good)[:-9],
        "zero bytes": good[:20] + b"\0\0" + good[20:],
        "portable document": b"%PDF-1.7\n" + draw(st.binary(max_size=50)),
    }
    kind = draw(st.sampled_from(sorted(kinds)))
    return Bad(kind, kinds[kind], reader)


def folders(draw) -> Bad:
    """Return a broken folder of a database: one table is empty, damaged or absent."""
    kind = draw(st.sampled_from(("absent", "empty folder", "empty table", "damaged table", "wrong header")))
    return Bad(f"folder: {kind}", b"", draw(st.sampled_from(("mimic", "hemodynamics", "ventilation"))))


BEDSIDE: dict[str, Callable[[], object]] = {
    "unknown drug": lambda: bedside.infusion("noradrenalin", 0, 60, 1, "ug/min"),
    "per hour called per minute": lambda: bedside.infusion("vasopressin", 0, 60, 1.2, "U/min"),
    "no concentration": lambda: bedside.infusion("norepinephrine", 0, 60, 8, "mL/h"),
    "no weight": lambda: bedside.infusion("dopamine", 0, 60, 300, "ug/min"),
    "negative": lambda: bedside.infusion("norepinephrine", 0, 60, -1, "ug/kg/min"),
    "ends first": lambda: bedside.infusion("norepinephrine", 60, 0, 0.1, "ug/kg/min"),
    "unknown salt": lambda: bedside.infusion("norepinephrine", 0, 60, 0.1, "ug/kg/min", salt="chloride"),
    "no duration": lambda: bedside.fluid("crystalloid", 0, 250),
    "liters": lambda: bedside.fluid("crystalloid", 0, 1, duration=30),
    "exchanged": lambda: bedside.pressures([0], systolic=[60], diastolic=[110]),
    "flush": lambda: bedside.pressures([0], mean=[290]),
}


def typed(draw) -> Bad:
    """Return something typed in at the bedside."""
    return Bad(draw(st.sampled_from(sorted(BEDSIDE))), b"", "bedside")


def text(header: list[str], rows: list[list[str]]) -> bytes:
    """Return a table as CSV."""
    return "\n".join(",".join(cells) for cells in [header, *rows]).encode() + b"\n"


def broken_folder(home: Path, kind: str) -> Path:
    """Make the folder of a bad database and return it."""
    place = home / "database"
    if kind == "folder: absent":
        return place
    place.mkdir()
    contents = {"folder: empty table": b"", "folder: damaged table": gzip.compress(b"a,b\n1,2\n")[:-6]}
    if kind != "folder: empty folder":
        for name in ("icustays", "patients", "admissions", "chartevents", "labevents", "inputevents_mv", "d_items",
                     "inputevents_cv", "procedureevents_mv", "d_labitems", "outputevents"):  # fmt: skip
            (place / f"{name}.csv.gz").write_bytes(contents.get(kind, gzip.compress(b"what,else\n1,2\n")))
    return place


def attempt(bad: Bad, home: Path) -> str | None:
    """Read a bad file; return the message, or None where it was read and the record says what was left out."""
    path = home / "file.csv"
    good = home / "good.csv"
    good.write_text("time,variable,value,unit\n0,glucose,8,mmol/L\n", encoding="utf-8")
    path.write_bytes(bad.data)
    readers: dict[str, Callable[[], object]] = {
        "tidy": lambda: tp.read_tidy(path),
        "inputs": lambda: tp.read_tidy(good, path),
        "wide": lambda: tp.read_wide(path, **WIDE),
        "waveform": lambda: waveform.read(path, time=("time", "s"), pressure=("p", "cmH2O"), flow=("q", "L/s")),
        "arterial": lambda: arterial.read(path, time=("time", "s"), pressure=("p", "mmHg")),
        "bedside": lambda: BEDSIDE[bad.kind](),
        **{
            name: partial(lambda read: read(broken_folder(home, bad.kind), 1), reader.read)
            for name, reader in (("mimic", mimic), ("hemodynamics", hemodynamics), ("ventilation", ventilation))
        },
    }
    try:
        record = readers[bad.reader]()
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    said = isinstance(record, tp.Record) and (record.ledger.lost or record.notes)
    return None if said else "read in silence"


def command(bad: Bad, home: Path) -> str | None:
    """Give a bad file to `twinprob fit`; return what is wrong with its answer."""
    good, path, out = home / "good.csv", home / "file.csv", home / "out"
    words = ["fit", str(path)] if bad.reader == "tidy" else ["fit", str(good), "--inputs", str(path)]
    answer = CliRunner().invoke(cli.app, [*words, "--model", "icing", "--out", str(out)])
    lines = answer.stderr.strip().splitlines()
    if answer.exit_code != 2 or len(lines) != 1 or "Traceback" in answer.output or out.exists():
        return f"command: exit code {answer.exit_code}, {len(lines)} lines"
    return None


def fault_of(bad: Bad, message: str, home: Path) -> str | None:
    """Say what is wrong with a message, or None."""
    if "\n" in message or len(message) > 1000:
        return "not one line"
    if DATE.search(message.replace("2020-03-12T08:00", "")):
        return "a date is repeated"
    if bad.row is not None and not re.search(rf"\b[Rr]ow {bad.row}\b", message):
        return f"row {bad.row} is not named"
    tabular = bad.reader in ("tidy", "inputs", "wide")
    if bad.column and tabular and f"{bad.column!r}" not in message and "declared in" not in message:
        return f"column {bad.column!r} is not named"
    if not REMEDIES.search(message):
        return "no remedy"
    return None


def measure() -> Result:
    """Make bad files until enough were refused, and judge every answer."""
    refused: dict[str, int] = {}
    wrong: list[str] = []
    read = [0]

    @settings(max_examples=FILES, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def run(data):
        make = data.draw(st.sampled_from((with_a_fault, with_a_fault, with_a_bad_shape, no_table, folders, typed)))
        bad = make(data.draw)
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            home = Path(folder)
            try:
                message = attempt(bad, home)
            except Exception as error:  # noqa: BLE001 - a traceback is what this line is about
                wrong.append(f"{bad.reader}, {bad.kind}: {type(error).__name__}: {str(error)[:200]}")
                return
            if message is None:
                read[0] += 1
                return
            refused[bad.reader] = refused.get(bad.reader, 0) + 1
            found = fault_of(bad, message, home)
            if found is None and bad.reader in ("tidy", "inputs"):
                found = command(bad, home)
            left = {path.name for path in home.iterdir()} - {"file.csv", "good.csv", "database"}
            if found or left:
                wrong.append(f"{bad.reader}, {bad.kind}: {found or 'left behind: ' + ', '.join(left)}: {message}")

    run()
    total = sum(refused.values())
    by_reader = ", ".join(f"{reader} {count}" for reader, count in sorted(refused.items()))
    examples = ": " + "; ".join(sorted(set(wrong))[:3]) if wrong else ""
    return Result(
        figure=f"{total} bad files refused ({by_reader}), {read[0]} read with the fault counted; {len(wrong)} answers "
        f"wrong{examples}",
        holds=total >= FEWEST and not wrong,
        details={"refused": refused, "read": read[0], "wrong": sorted(set(wrong))},
    )
