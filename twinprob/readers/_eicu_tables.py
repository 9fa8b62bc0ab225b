"""eICU's tables as `twinprob.readers.eicu` needs them: one long table of what was charted, labels as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..patient.nutrition import glucose_content
from ._mimic_items import looks_like
from ._readable import readable

if TYPE_CHECKING:
    import pandas as pd

PIECE = 200_000  # rows of a table read at a time


@dataclass(frozen=True)
class Layout:
    """Where a table holds when something was so, when it was entered, what it is, and its value."""

    time: str
    known: str
    label: str
    value: str
    weight: str = ""


LAYOUTS = {
    "lab": Layout("labresultoffset", "labresultrevisedoffset", "labname", "labresult"),
    "respiratorycharting": Layout("respchartoffset", "respchartentryoffset", "respchartvaluelabel", "respchartvalue"),
    "nursecharting": Layout(
        "nursingchartoffset", "nursingchartentryoffset", "nursingchartcelltypevallabel", "nursingchartvalue"
    ),
    "infusiondrug": Layout("infusionoffset", "infusionoffset", "drugname", "drugrate", "patientweight"),
    "intakeoutput": Layout("intakeoutputoffset", "intakeoutputentryoffset", "celllabel", "cellvaluenumeric"),
}
# Tables with a column for each variable.
WIDE = {
    "vitalperiodic": {
        "systemicmean": "mean_arterial_pressure", "systemicsystolic": "systolic_pressure",
        "systemicdiastolic": "diastolic_pressure", "cvp": "central_venous_pressure", "heartrate": "heart_rate",
        "sao2": "pulse_saturation",
    },
    "vitalaperiodic": {"noninvasivemean": "cuff_mean_pressure", "cardiacoutput": "cardiac_output"},
}  # fmt: skip

MEASURED = {
    "lab": {
        "glucose": "glucose", "bedside glucose": "glucose", "pao2": "arterial_oxygen",
        "paco2": "arterial_carbon_dioxide", "ph": "arterial_pH",
    },
    "nursecharting": {"bedside glucose": "glucose"},
    "respiratorycharting": {
        "plateau pressure": "plateau_pressure", "peak insp. pressure": "peak_pressure",
        "peak pressure": "peak_pressure", "mean airway pressure": "mean_airway_pressure",
        "exhaled tv (patient)": "expired_tidal_volume", "exhaled tv (machine)": "expired_tidal_volume",
        "tidal volume observed (vt)": "expired_tidal_volume", "tidal volume, delivered": "expired_tidal_volume",
        "exhaled vt": "expired_tidal_volume", "sao2": "pulse_saturation",
    },
}  # fmt: skip
# What is set; what is measured stands in where nothing is set at a time.
SET = {
    "peep": "peep", "peep/cpap": "peep", "tidal volume (set)": "tidal_volume", "set vt (servo,ltv)": "tidal_volume",
    "adult con setting set vt": "tidal_volume", "vent rate": "respiratory_rate",
    "adult con setting set rr": "respiratory_rate", "fio2": "inspired_oxygen", "fio2 (%)": "inspired_oxygen",
    "o2 percentage": "inspired_oxygen",
}  # fmt: skip
STAND_IN = {
    "total rr": "respiratory_rate", "f total": "respiratory_rate", "rr (patient)": "respiratory_rate",
    "resp rate total": "respiratory_rate",
}  # fmt: skip
FLOW = ("lpm o2",)
_DRUGS = (
    ("norepinephrine", r"norepi|levophed"),
    ("epinephrine", r"epineph|adrenalin"),
    ("vasopressin", r"vasopres|pitressin"),
    ("phenylephrine", r"phenyleph|neo-?syn"),
    ("dopamine", r"dopamine"),
    ("insulin", r"insulin"),
)
_FLUIDS = (("crystalloid", r"normal saline|lactated|\bns\b|\blr\b"), ("albumin", r"albumin"))
_UNIT = re.compile(r"\(([^()]*)\)\s*$")


def drug(name: str) -> tuple[str, str] | None:
    """Read a free-text name such as "Norepinephrine (mcg/min)".

    Parameters
    ----------
    name : str
        What the drug's name may also say, a dilution in dextrose for example, does not count.

    Returns
    -------
    input, unit : (str, str) or None
        The unit as written, empty where there is none; None for a drug that is no input here.
    """
    text = name.strip().lower()
    written = _UNIT.search(text)
    unit = written[1].strip() if written else ""
    for about, pattern in _DRUGS:
        if re.search(pattern, text):
            return about, unit
    content = glucose_content(text[: written.start()] if written else text)
    return (content[0], unit) if content else None


def fluid(label: str) -> str | None:
    """Return the input that a label of intake is about, or None."""
    content = glucose_content(label)
    if content:
        return content[0]
    return next((name for name, pattern in _FLUIDS if re.search(pattern, label, re.IGNORECASE)), None)


def variable_of(source: str, label: str) -> str | None:
    """Return the variable that a label of a table is about or looks like, or None."""
    text = label.strip().lower()
    if source in WIDE:
        return label
    found = MEASURED.get(source, {}).get(text)
    if source == "respiratorycharting":
        found = found or SET.get(text) or STAND_IN.get(text) or ("inspired_oxygen" if text in FLOW else None)
    if source == "infusiondrug":
        about = drug(label)
        found = about[0] if about else None
    if source == "intakeoutput":
        found = fluid(label)
    return found or looks_like(label)


@dataclass(frozen=True)
class Tables:
    """The rows of eICU that this reader uses or must account for, loaded once for many stays.

    Attributes
    ----------
    patients : DataFrame
        One row per stay: stay, person, sex, age (text), height, weight, discharge (min).
    rows : DataFrame
        source, stay, time, known (min), label, value (text), weight (kg), row; sorted by stay.
    """

    patients: pd.DataFrame
    rows: pd.DataFrame

    def of(self, stay: int) -> pd.DataFrame:
        """Return a stay's rows."""
        low, high = np.searchsorted(self.rows["stay"].to_numpy(), [stay, stay + 1])
        return self.rows.iloc[low:high]


def load(folder: str | PathLike[str]) -> Tables:
    """Load the rows of all domains.

    Parameters
    ----------
    folder : path
        With ``.csv`` or ``.csv.gz`` files, names and columns in lower or upper case. Only `patient` must be there.

    Returns
    -------
    tables : Tables
        To be passed to `read` and `stays`.

    Raises
    ------
    FileNotFoundError
        If the table of patients is missing.
    """
    import pandas as pd

    files = {path.name.lower().split(".")[0]: path for path in sorted(Path(folder).glob("*.csv*"))}
    if "patient" not in files:
        raise FileNotFoundError(
            "No table patient.csv or patient.csv.gz in the eICU folder: give the folder that holds the tables."
        )
    parts = [_long(files[name], name, layout) for name, layout in LAYOUTS.items() if name in files]
    parts += [_wide(files[name], name, columns) for name, columns in WIDE.items() if name in files]
    columns = ["source", "stay", "time", "known", "label", "value", "weight", "row"]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return Tables(_patients(files["patient"]), rows.sort_values("stay", kind="stable", ignore_index=True))


def _pieces(path: Path, names: Mapping[str, str]) -> Iterator[pd.DataFrame]:
    """Yield a table piece by piece, columns by their names here."""
    import pandas as pd

    with readable(path):
        head = pd.read_csv(path, nrows=0).columns
    texts = {name: "str" for name in head if names.get(name.lower()) in ("label", "value", "person", "sex", "age")}
    with (
        readable(path),
        pd.read_csv(
            path, usecols=lambda name: name.lower() in names, dtype=texts, chunksize=PIECE, low_memory=False
        ) as pieces,
    ):
        for piece in pieces:
            yield piece.rename(columns={name: names[name.lower()] for name in piece.columns})


def _long(path: Path, source: str, layout: Layout) -> pd.DataFrame:
    import pandas as pd

    names = {"patientunitstayid": "stay", layout.label: "label", layout.value: "value", layout.time: "time"}
    names |= {layout.known: "known"} if layout.known != layout.time else {}
    names |= {layout.weight: "weight"} if layout.weight else {}
    kept = []
    for part in _pieces(path, names):
        about = {label: variable_of(source, label) for label in part["label"].dropna().unique()}
        part = part.assign(row=np.asarray(part.index, np.int64) + 2, source=source)
        kept.append(part[part["label"].map(about).notna()])
    found = pd.concat(kept, ignore_index=True)
    found["known"] = found["known"] if "known" in found else found["time"]
    found["weight"] = pd.to_numeric(found["weight"], errors="coerce") if "weight" in found else np.nan
    return found


def _wide(path: Path, source: str, columns: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    names = {"patientunitstayid": "stay", "observationoffset": "time", **columns}
    kept = []
    for part in _pieces(path, names):
        part = part.assign(row=np.asarray(part.index, np.int64) + 2)
        cells = part.melt(["stay", "time", "row"], var_name="label", value_name="value").dropna(subset=["value"])
        kept.append(cells.assign(source=source, known=cells["time"], value=cells["value"].astype("str"), weight=np.nan))
    return pd.concat(kept, ignore_index=True)


def _patients(path: Path) -> pd.DataFrame:
    import pandas as pd

    names = {
        "patientunitstayid": "stay", "uniquepid": "person", "gender": "sex", "age": "age",
        "admissionheight": "height", "admissionweight": "weight", "unitdischargeoffset": "discharge",
    }  # fmt: skip
    table = pd.concat(_pieces(path, names), ignore_index=True)
    for name in set(names.values()) - set(table.columns):
        table[name] = "" if name in ("person", "sex", "age") else np.nan
    for name in ("height", "weight", "discharge"):
        table[name] = pd.to_numeric(table[name], errors="coerce")
    return table
