"""An invented stay in the layout of MIMIC-IV, written for a test; columns are those of the public schema."""

import csv
from pathlib import Path

COLUMNS = {
    "icu/icustays": "subject_id,hadm_id,stay_id,intime,outtime",
    "hosp/patients": "subject_id,gender,anchor_age,anchor_year",
    "icu/d_items": "itemid,label,linksto",
    "icu/chartevents": "subject_id,hadm_id,stay_id,charttime,storetime,itemid,value,valuenum",
    "hosp/labevents": "subject_id,specimen_id,itemid,charttime,storetime,value,valuenum",
    "icu/inputevents": (
        "subject_id,hadm_id,stay_id,starttime,endtime,itemid,amount,amountuom,rate,rateuom,orderid,linkorderid,"
        "ordercategoryname,patientweight,statusdescription"
    ),
}
STAYS = ({"subject_id": 1, "hadm_id": 10, "stay_id": 100},)


def clock(text):
    """Turn "10:30" into a time of the invented day."""
    return f"2150-06-01 {text}:00" if text and len(text) == 5 else text


def given(item, begin, end, amount, unit="units", rate="", rate_unit="", **rest):
    """Return a row of inputs."""
    row = {"starttime": clock(begin), "endtime": clock(end), "itemid": item, "amount": amount, "amountuom": unit}
    return {**row, "rate": rate, "rateuom": rate_unit, **rest}


def write(folder, *, chart=(), labs=(), inputs=(), items=(), stays=STAYS):
    """Write a folder.

    `chart` holds (clock, item, value[, stored]), `labs` (clock, item, value[, stored, specimen]), `inputs` rows of
    `given`, `items` (item, label). A value may be a pair of its text and the number beside it.
    """
    rows: dict[str, list[dict]] = {name: [] for name in COLUMNS}
    rows["icu/icustays"] = [{**stay, "intime": clock("00:00"), "outtime": "2150-06-03 00:00:00"} for stay in stays]
    rows["hosp/patients"] = [{"subject_id": 1, "gender": "M", "anchor_age": 60, "anchor_year": 2150}]
    rows["icu/d_items"] = [{"itemid": item, "label": label, "linksto": "inputevents"} for item, label in items]
    for time, item, value, *stored in chart:
        late = clock(stored[0]) if stored else clock(time)
        times = {"charttime": clock(time), "storetime": late}
        value, number = _both(value)
        rows["icu/chartevents"].append({**STAYS[0], **times, "itemid": item, "value": value, "valuenum": number})
    for place, (time, item, value, *rest) in enumerate(labs):
        late = clock(rest[0]) if rest and rest[0] else clock(time)
        value, number = _both(value)
        row = {"subject_id": 1, "itemid": item, "charttime": clock(time), "storetime": late, "value": value}
        rows["hosp/labevents"].append({**row, "valuenum": number, "specimen_id": rest[1] if len(rest) > 1 else place})
    rows["icu/inputevents"] = [
        {**STAYS[0], "patientweight": 80, "statusdescription": "FinishedRunning", **row} for row in inputs
    ]
    for name, header in COLUMNS.items():
        path = Path(folder) / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, header.split(","))
            table.writeheader()
            table.writerows(rows[name])
    return folder


def _both(value):
    """Return what stands in the columns value and valuenum."""
    return value if isinstance(value, tuple) else (value, value if isinstance(value, int | float) else "")
