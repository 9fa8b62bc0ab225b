"""The MIMIC-III demo written in the layout of MIMIC-IV, for lines that must hold in both."""

from pathlib import Path

import numpy as np
import pandas as pd

DELAYS = (10, 45, 66, 130)  # min from drawing to storing; MIMIC-III does not say, its chart's copies are stored so late


def write(source: Path, folder: Path) -> Path:
    """Write the tables that the reader reads.

    Parameters
    ----------
    source : path
        The demo's folder.
    folder : path
        Is made.

    Returns
    -------
    folder : path
        With `icu` and `hosp`. Inputs are MetaVision's; stays of CareVue have none.
    """
    for name in ("icu", "hosp"):
        (folder / name).mkdir(parents=True, exist_ok=True)

    def read(name: str) -> pd.DataFrame:
        return pd.read_csv(source / f"{name}.csv.gz", low_memory=False)

    stay = {"icustay_id": "stay_id"}
    chart = read("chartevents")
    chart = chart[~(chart["error"] == 1)].rename(columns=stay)
    columns = ["subject_id", "hadm_id", "stay_id", "charttime", "storetime", "itemid", "value", "valuenum", "valueuom"]
    chart[columns].to_csv(folder / "icu/chartevents.csv", index=False)
    read("inputevents_mv").rename(columns=stay).to_csv(folder / "icu/inputevents.csv", index=False)
    read("icustays").rename(columns=stay).to_csv(folder / "icu/icustays.csv", index=False)
    read("d_items").to_csv(folder / "icu/d_items.csv", index=False)
    read("d_labitems").to_csv(folder / "hosp/d_labitems.csv", index=False)
    labs = read("labevents").replace({"itemid": {50800: 52033}})
    labs["specimen_id"] = labs.groupby(["subject_id", "charttime"]).ngroup()
    delay = pd.to_timedelta(np.array(DELAYS)[labs["specimen_id"] % len(DELAYS)], unit="min")
    labs["storetime"] = (pd.to_datetime(labs["charttime"]) + delay).dt.strftime("%Y-%m-%d %H:%M:%S")
    labs.to_csv(folder / "hosp/labevents.csv", index=False)
    people = read("patients")
    first = read("icustays").groupby("subject_id")["intime"].min().str[:4].astype(int)
    year = people["subject_id"].map(first)
    people["anchor_year"], people["anchor_age"] = year, (year - people["dob"].str[:4].astype(int)).clip(upper=91)
    people.drop(columns="dob").to_csv(folder / "hosp/patients.csv", index=False)
    return folder
