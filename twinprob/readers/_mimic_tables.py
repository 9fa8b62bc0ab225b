"""MIMIC's tables as `twinprob.readers.mimic` needs them: the right files, the right rows, one set of column names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ._mimic_items import CHART_ITEMS, FEEDS, GIVEN_ITEMS, LAB_ITEMS, given_item, looks_like
from ._readable import readable, require_columns

if TYPE_CHECKING:
    import pandas as pd

PIECE = 100_000  # rows of a table read at a time: a table of any length takes this much memory
NUTRITION = ("13-", "14-")  # MetaVision's order categories of what goes through mouth or tube
ROUTES = ("Gastric/Feeding Tube", "Nasogastric", "Oral")  # CareVue's

_STAY = {"icustay_id": "stay", "stay_id": "stay", "subject_id": "subject"}
_CHART = {
    **_STAY, "itemid": "item", "charttime": "time", "storetime": "stored", "value": "text", "valuenum": "number",
    "error": "error",
}  # fmt: skip
_LAB = {
    "subject_id": "subject", "itemid": "item", "charttime": "time", "storetime": "stored", "value": "text",
    "valuenum": "number", "specimen_id": "specimen",
}  # fmt: skip
_RUNNING = {
    **_STAY, "itemid": "item", "starttime": "start", "endtime": "end", "amount": "amount",
    "amountuom": "amount_unit", "rate": "rate", "rateuom": "rate_unit", "statusdescription": "status",
    "ordercategoryname": "order", "patientweight": "patient_weight", "orderid": "order_id", "linkorderid": "chain",
}  # fmt: skip
_CHARTED = {
    **_STAY, "itemid": "item", "charttime": "time", "amount": "amount", "amountuom": "amount_unit", "rate": "rate",
    "rateuom": "rate_unit", "linkorderid": "chain", "stopped": "stopped", "originalroute": "route",
}  # fmt: skip
_TIMES = ("time", "stored", "start", "end", "intime", "outtime")
_WORDS = ("unit", "amount_unit", "rate_unit", "status", "order", "stopped", "route")
_TEXTS = {*_TIMES, *_WORDS, "text", "code", "born", "label", "sex", "table"}


@dataclass(frozen=True)
class Tables:
    """The rows of MIMIC that this reader uses or must account for, loaded once for many stays.

    Attributes
    ----------
    stays : DataFrame
        One row per ICU stay: stay, subject, admission, intime, outtime, age (year), sex.
    chart, labs, running, charted : DataFrame
        Measurements, laboratory values, inputs with start and end (MetaVision, MIMIC-IV) and inputs with a chart time
        (CareVue), sorted by stay (laboratory: by person); `row` is the number in the file. A row without a stay has
        minus its person's number as its stay.
    diagnoses : DataFrame or None
        Codes.
    labels : mapping of int to str
        What an item is called.
    sources : mapping of str to str
        Each table's name in the folder.
    """

    stays: pd.DataFrame
    chart: pd.DataFrame
    labs: pd.DataFrame
    running: pd.DataFrame
    charted: pd.DataFrame
    diagnoses: pd.DataFrame | None
    labels: Mapping[int, str]
    sources: Mapping[str, str]

    def of(self, table: str, *keys: int) -> pd.DataFrame:
        """Return the rows of some stays, or of a person in the laboratory's table; in the order of the file."""
        import pandas as pd

        frame: pd.DataFrame = getattr(self, table)
        sorted_by = frame["subject" if table == "labs" else "stay"].to_numpy()
        parts = [slice(*np.searchsorted(sorted_by, [key, key + 1])) for key in keys]
        filled = [frame.iloc[part] for part in parts if part.stop > part.start]
        return filled[0] if len(filled) == 1 else pd.concat(filled) if filled else frame.iloc[:0]


def load(folder: str | PathLike[str]) -> Tables:
    """Load the rows of all domains, from the III layout or from the IV layout (folders ``icu`` and ``hosp``).

    Parameters
    ----------
    folder : path
        With ``.csv`` or ``.csv.gz`` files, column names in lower or upper case.

    Returns
    -------
    tables : Tables
        To be passed to `read` and `stays`. Tables are read in pieces: memory follows the rows that are kept.

    Raises
    ------
    FileNotFoundError
        If the table of stays, of patients or of charted events is missing.
    """
    root = Path(folder)
    files = {
        path.name.lower().split(".")[0]: path
        for sub in ("hosp", "icu", ".")
        for path in sorted((root / sub).glob("*.csv*"))
    }
    for needed in ("icustays", "patients", "chartevents"):
        if needed not in files:
            raise FileNotFoundError(
                f"No table {needed}.csv or {needed}.csv.gz in the MIMIC folder, its icu or its hosp folder: "
                "give the folder that holds the tables."
            )
    names = _table(files.get("d_items"), {"itemid": "item", "label": "label", "linksto": "table"})
    tests = _table(files.get("d_labitems"), {"itemid": "item", "label": "label"})
    labels = _labels(names)
    given = {int(i) for i, table in zip(names["item"], names["table"], strict=True) if "input" in str(table).lower()}
    alike = {item for item, label in labels.items() if looks_like(label)}
    inputs = {*GIVEN_ITEMS, *FEEDS, *alike, *(item for item in given if given_item(item, labels[item]))}
    assays = {item for item, label in _labels(tests).items() if looks_like(label)}
    running = "inputevents_mv" if "inputevents_mv" in files else "inputevents"
    return Tables(
        _stays(files),
        _sorted(_table(files["chartevents"], _CHART, {*CHART_ITEMS, *(alike - given)})),
        _sorted(_table(files.get("labevents"), _LAB, {*LAB_ITEMS, *assays}), "subject"),
        _sorted(_table(files.get(running), _RUNNING, inputs, nutrition=("order", NUTRITION))),
        _sorted(_table(files.get("inputevents_cv"), _CHARTED, inputs, nutrition=("route", ROUTES))),
        _diagnoses(files),
        MappingProxyType({**_labels(tests), **labels}),
        MappingProxyType(
            {"chart": "chartevents", "labs": "labevents", "running": running, "charted": "inputevents_cv"}
        ),
    )


def _labels(names: pd.DataFrame) -> dict[int, str]:
    return {int(item): str(label) for item, label in zip(names["item"], names["label"], strict=True)}


def _sorted(frame: pd.DataFrame, by: str = "stay") -> pd.DataFrame:
    """Sort by stay; what has none goes to minus its person."""
    if by == "stay":
        frame = frame.assign(stay=frame["stay"].fillna(-frame["subject"].fillna(0)).astype(np.int64))
        frame = frame.drop(columns="subject")
    return frame.sort_values(by, kind="stable", ignore_index=True)


def _table(
    path: Path | None,
    columns: Mapping[str, str],
    items: set[int] | None = None,
    *,
    nutrition: tuple[str, tuple[str, ...]] | None = None,
) -> pd.DataFrame:
    """Read a table in pieces and keep the rows of some items, and what went through mouth or tube."""
    import pandas as pd

    wanted = sorted({*columns.values(), "row"})
    if path is None:
        return _typed(pd.DataFrame({name: pd.Series(dtype="str" if name in _TEXTS else float) for name in wanted}))
    with readable(path):
        head = pd.read_csv(path, nrows=0).columns
    require_columns(path, head, columns)
    texts = {name: "str" for name in head if columns.get(name.lower()) in _TEXTS}
    kept = []
    with readable(path), pd.read_csv(
        path, usecols=lambda name: name.lower() in columns, dtype=texts, chunksize=PIECE, na_values=["___"],
        low_memory=False
    ) as parts:  # fmt: skip
        for part in parts:
            part = part.rename(columns={name: columns[name.lower()] for name in part.columns})
            keep = np.ones(len(part), bool) if items is None else part["item"].isin(items).to_numpy()
            if nutrition is not None and nutrition[0] in part:
                keep = keep | part[nutrition[0]].fillna("").str.startswith(nutrition[1]).to_numpy(bool)
            part = part.assign(row=np.asarray(part.index, np.int64) + 2)[keep]
            if {"text", "number"} <= set(part.columns):
                # A text is needed only where it says more than the number beside it: ">500", or a ventilator's mode.
                said = part["number"].isna() | part["text"].str.match(r"\s*[^\s\d.+-]", na=False)
                part["text"] = part["text"].where(said)
            if "error" in part:
                part["error"] = part["error"].fillna(0).astype(np.int8)
            if items is not None:
                part = part.astype({"item": np.int32, "row": np.int32})
            kept.append(_typed(part))
    frame = pd.concat(kept, ignore_index=True)
    for name in set(wanted) - set(frame.columns):
        frame[name] = np.datetime64("NaT", "s") if name in _TIMES else "" if name in _TEXTS else np.nan
    return frame


def _typed(part: pd.DataFrame) -> pd.DataFrame:
    """Turn the texts of times into times."""
    for name in _TIMES:
        if name in part:
            part[name] = part[name].fillna("NaT").to_numpy("datetime64[s]")
    return part


def _stays(files: Mapping[str, Path]) -> pd.DataFrame:
    columns = {
        "icustay_id": "stay", "stay_id": "stay", "subject_id": "subject", "hadm_id": "admission", "intime": "intime",
        "outtime": "outtime",
    }  # fmt: skip
    people = {
        "subject_id": "subject", "gender": "sex", "dob": "born", "anchor_age": "anchor_age",
        "anchor_year": "anchor_year",
    }  # fmt: skip
    table = _table(files["icustays"], columns)
    table = table.merge(_table(files["patients"], people).drop(columns="row"), on="subject", how="left")
    year = table["intime"].dt.year
    if table["anchor_age"].notna().any():
        age = table["anchor_age"].astype(float) + year - table["anchor_year"].astype(float)
    else:
        # Years first: the 300 years added to hide an age above 89 do not fit a nanosecond difference.
        born = table["born"].str[:10].str.split("-", expand=True).astype(float)
        before = (table["intime"].dt.month * 100 + table["intime"].dt.day) < (born[1] * 100 + born[2])
        age = year - born[0] - before
    table["age"] = age.where(age <= 89, 90.0).where(age.notna())
    return table.drop(columns=["born", "anchor_age", "anchor_year", "row"])


def _diagnoses(files: Mapping[str, Path]) -> pd.DataFrame | None:
    columns = {"hadm_id": "admission", "icd9_code": "code", "icd_code": "code"}
    return _table(files["diagnoses_icd"], columns) if "diagnoses_icd" in files else None
