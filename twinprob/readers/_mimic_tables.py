"""MIMIC's tables as `twinprob.readers.mimic` needs them: the right files, the right rows, one set of column names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..patient.frozen import Frozen
from ..patient.nutrition import glucose_content

if TYPE_CHECKING:
    import pandas as pd

GLUCOSE_CHART = (807, 811, 1529, 3744, 3745, 1310, 1455, 2338, 220621, 225664, 226537)
GLUCOSE_LAB = (50931, 50809)
GLUCOSE_COPIES = (220621, 226537)  # the chart's copies of laboratory values
INSULIN_CAREVUE = (30045, 30100, 30310)
INSULIN_REGULAR = 223258
INSULIN_OTHER = (223257, 223259, 223260, 223261, 223262, 229299, 229619)
# Item to the factor that makes it kg or cm; the earlier in the list, the more it is trusted.
WEIGHT = {226512: 1.0, 762: 1.0, 226531: 0.45359237, 3580: 1.0, 763: 1.0, 224639: 1.0, 3693: 1.0, 3581: 0.45359237}
HEIGHT = {226730: 1.0, 226707: 2.54, 920: 2.54, 1394: 2.54}

_CHART = {
    "icustay_id": "stay",
    "itemid": "item",
    "charttime": "time",
    "valuenum": "number",
    "valueuom": "unit",
    "error": "error",
}
_LAB = {
    "subject_id": "subject",
    "itemid": "item",
    "charttime": "time",
    "value": "text",
    "valuenum": "number",
    "valueuom": "unit",
}
_RUNNING = {
    "icustay_id": "stay",
    "itemid": "item",
    "starttime": "start",
    "endtime": "end",
    "amount": "amount",
    "amountuom": "amount_unit",
    "rate": "rate",
    "rateuom": "rate_unit",
    "statusdescription": "status",
    "ordercategoryname": "order",
}
_CHARTED = {
    "icustay_id": "stay",
    "itemid": "item",
    "charttime": "time",
    "amount": "amount",
    "rate": "rate",
    "linkorderid": "order",
    "stopped": "stopped",
}


@dataclass(frozen=True)
class Tables:
    """The rows of MIMIC that this reader uses, loaded once for many stays.

    Attributes
    ----------
    stays : DataFrame
        One row per ICU stay: stay, subject, admission, intime, outtime, age (year), sex.
    chart, labs, running, charted, diagnoses : DataFrame
        Measurements, laboratory values, inputs with start and end (MetaVision, MIMIC-IV), inputs with a chart time
        (CareVue), and codes.
    labels : mapping of int to str
        What an item is called.
    """

    stays: pd.DataFrame
    chart: pd.DataFrame
    labs: pd.DataFrame
    running: pd.DataFrame
    charted: pd.DataFrame
    diagnoses: pd.DataFrame | None
    labels: Mapping[int, str]


def load(folder: str | PathLike[str]) -> Tables:
    """Load the rows this reader uses, from the III layout or from the IV layout (folders ``icu`` and ``hosp``).

    Parameters
    ----------
    folder : path
        With ``.csv`` or ``.csv.gz`` files, column names in lower or upper case.

    Returns
    -------
    tables : Tables
        To be passed to `read` and `stays`.

    Raises
    ------
    FileNotFoundError
        If the table of stays or of items is missing.
    """
    root = Path(folder)
    files = {
        path.name.lower().split(".")[0]: path
        for sub in ("hosp", "icu", ".")
        for path in sorted((root / sub).glob("*.csv*"))
    }
    for needed in ("icustays", "patients", "d_items"):
        if needed not in files:
            raise FileNotFoundError(
                f"No table {needed}.csv or {needed}.csv.gz in the MIMIC folder, its icu or its hosp folder."
            )
    names = _table(files["d_items"], {"itemid": "item", "label": "label", "linksto": "table"})
    labels = {int(item): str(label) for item, label in zip(names["item"], names["label"], strict=True)}
    drips = {
        int(item)
        for item, table in zip(names["item"], names["table"], strict=True)
        if str(table).lower().startswith("input")
    }
    wanted = {
        *INSULIN_CAREVUE,
        INSULIN_REGULAR,
        *INSULIN_OTHER,
        *(item for item in drips if glucose_content(labels[item])),
    }
    running = files.get("inputevents_mv", files.get("inputevents"))
    return Tables(
        _stays(files),
        _table(files.get("chartevents"), _CHART, {*GLUCOSE_CHART, *WEIGHT, *HEIGHT}),
        _table(files.get("labevents"), _LAB, set(GLUCOSE_LAB)),
        _table(running, _RUNNING, wanted),
        _table(files.get("inputevents_cv"), _CHARTED, wanted),
        _table(
            files["diagnoses_icd"],
            {"hadm_id": "admission", "icd9_code": "code", "icd_code": "code", "icd_version": "version"},
        )
        if "diagnoses_icd" in files
        else None,
        Frozen(labels),  # type: ignore[arg-type]
    )


def _table(path: Path | None, columns: Mapping[str, str], items: set[int] | None = None) -> pd.DataFrame:
    import pandas as pd

    if path is None:
        return pd.DataFrame(columns=sorted(set(columns.values())))
    names = {**columns, **({"stay_id": "stay"} if "icustay_id" in columns else {})}
    parts = pd.read_csv(
        path, usecols=lambda name: name.lower() in names, dtype=_dtype(path, names), chunksize=2_000_000,
        na_values=["___"], low_memory=False
    )  # fmt: skip
    kept = []
    for part in parts:
        part = part.rename(columns={name: names[name.lower()] for name in part.columns})
        kept.append(part if items is None else part[part["item"].isin(items)])
    frame = pd.concat(kept, ignore_index=True)
    for name in set(columns.values()) - set(frame.columns):
        frame[name] = np.nan
    for name in ("time", "start", "end", "intime", "outtime"):
        if name in frame:
            frame[name] = frame[name].fillna("NaT").to_numpy("datetime64[s]")
    return frame


def _dtype(path: Path, names: Mapping[str, str]) -> dict[str, str]:
    import pandas as pd

    texts = {
        "time",
        "start",
        "end",
        "intime",
        "outtime",
        "text",
        "unit",
        "amount_unit",
        "rate_unit",
        "status",
        "code",
        "stopped",
        "born",
        "label",
    }
    return {name: "str" for name in pd.read_csv(path, nrows=0).columns if names.get(name.lower()) in texts}


def _stays(files: Mapping[str, Path]) -> pd.DataFrame:
    columns = {
        "icustay_id": "stay",
        "subject_id": "subject",
        "hadm_id": "admission",
        "intime": "intime",
        "outtime": "outtime",
    }
    table = _table(files["icustays"], columns)
    people = {
        "subject_id": "subject",
        "gender": "sex",
        "dob": "born",
        "anchor_age": "anchor_age",
        "anchor_year": "anchor_year",
    }
    table = table.merge(_table(files["patients"], people), on="subject", how="left")
    year = table["intime"].dt.year
    if table["anchor_age"].notna().any():
        age = table["anchor_age"].astype(float) + year - table["anchor_year"].astype(float)
    else:
        # Years first: the 300 years added to hide an age above 89 do not fit a nanosecond difference.
        born = table["born"].str[:10].str.split("-", expand=True).astype(float)
        before = (table["intime"].dt.month * 100 + table["intime"].dt.day) < (born[1] * 100 + born[2])
        age = year - born[0] - before
    table["age"] = age.where(age <= 89, 90.0).where(age.notna())
    return table.drop(columns=["born", "anchor_age", "anchor_year"])
