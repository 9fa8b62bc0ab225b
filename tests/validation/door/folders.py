"""Small folders in the layout of MIMIC-IV and of eICU, of one invented patient."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

STAY = 4001
_TABLES = {
    "icu/icustays": ("subject_id", "hadm_id", "stay_id", "intime", "outtime"),
    "hosp/patients": ("subject_id", "gender", "anchor_age", "anchor_year"),
    "icu/d_items": ("itemid", "label", "linksto"),
    "icu/chartevents": (
        "subject_id",
        "hadm_id",
        "stay_id",
        "charttime",
        "storetime",
        "itemid",
        "value",
        "valuenum",
        "valueuom",
    ),
    "hosp/labevents": (
        "labevent_id",
        "subject_id",
        "hadm_id",
        "specimen_id",
        "itemid",
        "charttime",
        "storetime",
        "value",
        "valuenum",
        "valueuom",
    ),
    "icu/inputevents": (
        "subject_id",
        "hadm_id",
        "stay_id",
        "starttime",
        "endtime",
        "storetime",
        "itemid",
        "amount",
        "amountuom",
        "rate",
        "rateuom",
        "orderid",
        "linkorderid",
        "ordercategoryname",
        "ordercategorydescription",
        "patientweight",
        "statusdescription",
    ),
}
_WHO = {"subject_id": 31, "hadm_id": 310, "stay_id": STAY}
_DRIP = {"ordercategoryname": "01-Drips", "ordercategorydescription": "Continuous Med", "patientweight": 75,
         "statusdescription": "FinishedRunning"}  # fmt: skip


def moment(text: str) -> str:
    """Return "08:30" as a moment of the stay's first day, "1 08:30" of its second, "-1 08:30" of the day before."""
    days, _, clock = text.rpartition(" ")
    return f"2171-03-{11 + int(days or 0):02d} {clock}:00"


def chart(when: str, item: int, value: Any, *, stored: str = "") -> dict[str, Any]:
    """Return a row of the chart."""
    number = value if isinstance(value, int | float) else ""
    times = {"charttime": moment(when), "storetime": moment(stored or when)}
    return {**times, "itemid": item, "value": value, "valuenum": number}


def lab(when: str, item: int, value: Any, *, stored: str = "", specimen: int = 1) -> dict[str, Any]:
    """Return a row of the laboratory."""
    return {**chart(when, item, value, stored=stored), "specimen_id": specimen}


def given(begin: str, end: str, item: int, *, order: int = 1, chain: int | None = None, **cells: Any) -> dict[str, Any]:
    """Return a row of what ran in."""
    row = {"starttime": moment(begin), "endtime": moment(end), "storetime": moment(end), "itemid": item}
    return {**row, "orderid": order, "linkorderid": order if chain is None else chain, **_DRIP, **cells}


def mimic_folder(
    home: Path,
    *,
    charted: Iterable[Mapping[str, Any]] = (),
    labs: Iterable[Mapping[str, Any]] = (),
    inputs: Iterable[Mapping[str, Any]] = (),
    items: Mapping[int, str] | None = None,
) -> Path:
    """Write a folder and return it."""
    rows: dict[str, Iterable[Mapping[str, Any]]] = {
        "icu/icustays": [{"intime": moment("00:00"), "outtime": moment("3 00:00")}],
        "hosp/patients": [{"gender": "F", "anchor_age": 58, "anchor_year": 2171}],
        "icu/d_items": [{"itemid": i, "label": label, "linksto": "inputevents"} for i, label in (items or {}).items()],
        "icu/chartevents": charted,
        "hosp/labevents": [{"labevent_id": i, **row} for i, row in enumerate(labs)],
        "icu/inputevents": inputs,
    }
    for name, columns in _TABLES.items():
        _write(home / f"{name}.csv", columns, [{**_WHO, **row} for row in rows[name]])
    return home


_EICU = {
    "patient": (
        "patientunitstayid",
        "patienthealthsystemstayid",
        "uniquepid",
        "gender",
        "age",
        "admissionheight",
        "admissionweight",
        "hospitaladmitoffset",
        "unitdischargeoffset",
    ),
    "lab": (
        "labid",
        "patientunitstayid",
        "labresultoffset",
        "labname",
        "labresult",
        "labresulttext",
        "labmeasurenamesystem",
        "labresultrevisedoffset",
    ),
    "infusionDrug": (
        "infusiondrugid",
        "patientunitstayid",
        "infusionoffset",
        "drugname",
        "drugrate",
        "infusionrate",
        "drugamount",
        "volumeoffluid",
        "patientweight",
    ),
    "respiratoryCharting": (
        "respchartid",
        "patientunitstayid",
        "respchartoffset",
        "respchartentryoffset",
        "respchartvaluelabel",
        "respchartvalue",
    ),
}


def eicu_folder(home: Path, **tables: Iterable[Mapping[str, Any]]) -> Path:
    """Write a folder in the layout of eICU and return it."""
    who = {"patientunitstayid": STAY}
    patient = {**who, "patienthealthsystemstayid": 9, "uniquepid": "9-1", "gender": "Female", "age": "58",
               "admissionheight": 168, "admissionweight": 75, "unitdischargeoffset": 4000}  # fmt: skip
    for name, columns in _EICU.items():
        found = [patient] if name == "patient" else [{**who, **row} for row in tables.get(name, ())]
        _write(home / f"{name}.csv", columns, found)
    return home


def _write(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
