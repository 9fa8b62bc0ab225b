"""Every row of every stay of the demo in its ledger, against a count of the raw tables made without the reader."""

import re
from collections import Counter

import numpy as np
import pandas as pd

from tests.validation import Result, shared_data
from twinprob.readers import mimic
from twinprob.readers._mimic_items import CHART_ITEMS, GIVEN_ITEMS, LAB_ITEMS

TITLE = "Ledger on all 136 stays of the MIMIC-III demo, all domains"
BAR = "balances to zero on every stay and table; the ten largest reasons printed"
# What must not leave without a line, by the names that a label may carry; written down anew, not taken from the reader.
ALIKE = [
    *("dextrose", "insulin", "norepi", "levophed", "vasopressin", "pitressin", "phenyleph", "neosyn", "epinephrine"),
    *("dopamine", "albumin", "glucose", "fio2", "tidal", "plateau", "spo2", "arterial", "peep"),
]
FED_MV, FED_CV = ("13-", "14-"), ("Gastric/Feeding Tube", "Nasogastric", "Oral")
TABLES = {
    "chartevents": CHART_ITEMS,
    "labevents": LAB_ITEMS,
    "inputevents_mv": GIVEN_ITEMS,
    "inputevents_cv": GIVEN_ITEMS,
}


def measure() -> Result:
    """Count rows stay by stay, table by table, both ways."""
    folder = shared_data("mimic-iii-demo")
    tables = mimic.load(folder)
    stays = pd.read_csv(folder / "icustays.csv.gz")
    raw = {name: pd.read_csv(folder / f"{name}.csv.gz", low_memory=False) for name in TABLES}
    labels = pd.concat([pd.read_csv(folder / f"{name}.csv.gz") for name in ("d_items", "d_labitems")])
    alike = {
        int(item)
        for item, label in zip(labels["itemid"], labels["label"].fillna(""), strict=True)
        if any(re.search(rf"\b{word}" if word == "peep" else word, label.lower()) for word in ALIKE)
    }
    gone, unknown, total, records, refused = 0, 0, 0, 0, 0
    reasons: Counter[str] = Counter()
    fates: Counter[str] = Counter()
    for stay, person in zip(stays["icustay_id"].astype(int), stays["subject_id"].astype(int), strict=True):
        try:
            ledger = mimic.read(tables, stay).ledger
        except ValueError:
            refused += 1
            continue
        records += 1
        for line in ledger:
            fates[line.fate] += line.count
            if line.fate != "used":
                reasons[f"{line.source} {line.variable}: {line.reason} ({line.fate})"] += line.count
        for name, items in TABLES.items():
            lines = [line for line in ledger if line.source == name]
            rows = np.concatenate([np.zeros(0, int), *(line.rows for line in lines)])
            table = raw[name]
            own = table["subject_id"] == person if name == "labevents" else table["icustay_id"] == stay
            if name != "labevents":
                own |= table["icustay_id"].isna() & (table["subject_id"] == person)
            named = table["itemid"].isin({*items, *alike})
            if name == "inputevents_mv":
                named |= table["ordercategoryname"].fillna("").str.startswith(FED_MV)
            if name == "inputevents_cv":
                named |= table["originalroute"].isin(FED_CV)
            must = np.flatnonzero(own & named) + 2
            total += rows.size
            gone += np.setdiff1d(must, rows).size
            # A row twice in the ledger, or one of somebody else, is an imbalance as well.
            unknown += rows.size - np.unique(rows).size + np.setdiff1d(rows, np.flatnonzero(own) + 2).size
    for reason, count in reasons.most_common(10):
        print(f"  {count:6d} {reason}")
    share = mimic.recognized(tables)
    return Result(
        f"{gone} of {total} rows without a line, {unknown} counted twice or foreign, on {records} stays ({refused} "
        f"without any measured variable refused by name); {100 * share:.0f} % of the volume by mouth and tube known",
        gone == 0 and unknown == 0 and records + refused == len(stays),
        {"fates": dict(fates), "ten largest reasons": dict(reasons.most_common(10)), "recognized": share},
    )
