"""Variations tried after the kinds were mended, that passed in silence then: each by another reader or another way."""

import io
from typing import Any

import numpy as np

import twinprob as tp
from tests.validation.door import Check, judged, rates, tidy, values, wide
from tests.validation.door.databases import SATURATION, WEIGHED, read_eicu, read_mimic
from tests.validation.door.folders import chart, lab
from twinprob.patient.stay import join

SUGARS = "0,glucose,9,mmol/L\n300,glucose,8,mmol/L\n"
PLATEAU, SETTINGS = "0,plateau_pressure,24,cmH2O\n", "start,end,variable,rate,unit\n"
ORDERED = "start,end,variable,rate,unit,order\n"
FINGER, PEEP, MODE, OXYGEN = 225664, 220339, 223849, 50821
METER = {"glucose": (20, 600, "mg/dL")}


def _result(time: int, value: Any, revised: int, name: str = "glucose") -> dict[str, Any]:
    return {"labresultoffset": time, "labname": name, "labresult": value, "labresultrevisedoffset": revised}


def _breath(time: int, label: str, value: Any) -> dict[str, Any]:
    about = {"respchartoffset": time, "respchartentryoffset": time}
    return {**about, "respchartvaluelabel": label, "respchartvalue": value}


def _limits(record: tp.Record) -> list[tuple[float, int]]:
    series = record.observations["glucose"]
    return [(round(float(value), 6), int(limit)) for value, limit in zip(series.values, series.limits, strict=True)]


KNOWN: dict[str, Check] = {
    "a result revised to another value, eICU": lambda: judged(
        lambda: read_eicu(lab=[_result(60, 180, 110), _result(60, 120, 200)]),
        lambda r: values(r, "glucose") == [120] and r.observations["glucose"].known.tolist() == [200],
        says=["corrected"],
    ),
}
BLOOD: dict[str, Check] = {
    "a venous gas charted again later in the arterial field": lambda: judged(
        lambda: read_mimic(
            charted=(SATURATION, chart("01:20", 220224, 45)),
            labs=(lab("01:00", OXYGEN, 45), lab("01:00", 52033, "VEN")),
        ),
        lambda r: "arterial_oxygen" not in r.names,
        says=["not arterial blood"],
    ),
}
BEYOND: dict[str, Check] = {
    "HI in MIMIC, the meter's limit not said": lambda: judged(
        lambda: read_mimic(charted=(chart("01:00", FINGER, 150), chart("02:00", FINGER, "HI"))),
        lambda r: values(r, "glucose") == [150],
        says=["above the meter's limit"],
    ),
    "LO in MIMIC, its limit said": lambda: judged(
        lambda: read_mimic(charted=(chart("01:00", FINGER, "LO"),), limits=METER), lambda r: _limits(r) == [(20, -1)]
    ),
    "a number beside > 500": lambda: judged(
        lambda: read_mimic(charted=({**chart("01:00", FINGER, "> 500"), "valuenum": 500},)),
        lambda r: _limits(r) == [(500, 1)],
    ),
    "a limit and a value of one time": lambda: judged(
        lambda: read_mimic(charted=(chart("01:00", FINGER, "<40"), chart("01:00", FINGER, 62))),
        lambda r: _limits(r) == [(62, 0)],
        says=["a limit beside a value"],
    ),
    "a range in eICU": lambda: judged(
        lambda: read_eicu(lab=[_result(10, 160, 10), _result(60, "90-110", 60)]),
        lambda r: values(r, "glucose") == [160],
        says=["no number"],
    ),
    "HIGH in eICU": lambda: judged(
        lambda: read_eicu(lab=[_result(60, "HIGH", 60)], limits=METER), lambda r: _limits(r) == [(600, 1)]
    ),
}
UNITS: dict[str, Check] = {
    "vasopressin per hour charted in mU": lambda: judged(
        lambda: tidy("0,mean_arterial_pressure,66,mmHg\n", "0,120,vasopressin,40,mU/h\n"),
        lambda r: False,
        names=["vasopressin", "mU/min"],
    ),
}
TWICE: dict[str, Check] = {
    "a dose in the table and in inputs beside it": lambda: judged(
        lambda: tp.read_tidy(
            io.StringIO("time,end,variable,value,unit\n0,,glucose,9,mmol/L\n20,,insulin,4,U\n"),
            tp.Inputs.bolus("insulin", 20, 4, "U"),
        ),
        lambda r: r.inputs["insulin"].amount(0, 60) == 4,
        names=["insulin", "keep one"],
    ),
    "two settings of one time in MIMIC": lambda: judged(
        lambda: read_mimic(charted=(SATURATION, *(chart(*row) for row in (("01:00", PEEP, 8), ("03:00", PEEP, 5),
                                                                          ("03:00", PEEP, 12))))),
        lambda r: rates(r, "peep", 200) == [8],
        says=["peep", "two different settings"],
    ),
    "two settings of one time in eICU": lambda: judged(
        lambda: read_eicu(
            respiratoryCharting=[_breath(time, "PEEP", value) for time, value in ((60, 8), (90, 5), (90, 12))]
        ),
        lambda r: rates(r, "peep", 200) == [8],
        says=["peep", "two different settings"],
    ),
}  # fmt: skip
REPLACES: dict[str, Check] = {
    "two rates of one order that begin together, by hand": lambda: judged(
        lambda: tp.Inputs.infusions("insulin", [0, 0], [60, 120], [1, 2], "U/h"),
        lambda i: False,
        names=["insulin", "two different rates"],
    ),
    "a row without an order beside named ones": lambda: judged(
        lambda: tidy(SUGARS, f"{ORDERED}0,100,insulin,1,U/h,a\n20,40,insulin,2,U/h,\n60,80,insulin,4,U/h,\n"),
        lambda r: rates(r, "insulin", 10, 30, 50, 70) == [1, 3, 1, 5],
    ),
    "two rows without an order at once beside named ones": lambda: judged(
        lambda: tidy(SUGARS, f"{ORDERED}0,100,insulin,1,U/h,a\n20,40,insulin,2,U/h,\n30,80,insulin,4,U/h,\n"),
        lambda r: False,
        names=["order", "row 3"],
    ),
}  # fmt: skip
UNKNOWN: dict[str, Check] = {
    "an impossible assumption": lambda: judged(
        lambda: tidy(PLATEAU, f"{SETTINGS}60,,peep,8,cmH2O\n").assuming(peep=(400, "cmH2O")),
        lambda r: False,
        names=["peep"],
    ),
    "an assumption in one text": lambda: judged(
        lambda: tidy("0,pulse_saturation,97,%\n").assuming(inspired_oxygen="21 %"),
        lambda r: rates(r, "inspired_oxygen", 0) == [0.21],
        names=["inspired_oxygen", "(value, unit)"],
    ),
    "an assumption of a setting misspelt": lambda: judged(
        lambda: tidy("0,pulse_saturation,97,%\n").assuming(fio2=(21, "%")), lambda r: False, names=["fio2"]
    ),
    "after a ventilator's standby, a number beside the word": lambda: judged(
        lambda: read_mimic(
            charted=(SATURATION, chart("01:00", PEEP, 8), {**chart("03:00", MODE, "Standby"), "valuenum": 30})
        ),
        lambda r: np.isnan(r.inputs["peep"].at(200.0)),
    ),
    "held over a standby on request": lambda: judged(
        lambda: read_mimic(
            charted=(SATURATION, chart("01:00", PEEP, 8), chart("03:00", MODE, "Standby"))
        ).assuming(peep="last"),
        lambda r: rates(r, "peep", 200) == [8],
        says=["kept its last charted value"],
    ),
}  # fmt: skip
WEIGHT: dict[str, Check] = {
    "weighed again in a wide table": lambda: judged(
        lambda: wide(
            "t,BG,kg\n0,9,80\n60,8,80\n2000,8,83\n", time="t",
            columns={"BG": ("glucose", "mmol/L"), "kg": ("weight", "kg")},
        ),
        lambda r: r.weight == 80 and r.covariates["weight"].changes == ((2000.0, 83.0),),
        says=["charted again"],
    ),
    "a slip of the first day beside two others": lambda: judged(
        lambda: read_mimic(charted=(SATURATION, WEIGHED, *(chart(*row) for row in (("04:00", 224639, 77),
                                                                                   ("09:00", 224639, 76))))),
        lambda r: r.weight == 76,
    ),
}  # fmt: skip
VOLUMES: dict[str, Check] = {
    "a concentration per 50 mL": lambda: judged(
        lambda: tidy(
            "0,mean_arterial_pressure,66,mmHg\n", "0,60,norepinephrine,10,mL/h\n",
            concentrations={"norepinephrine": (4, "mg/50mL")},
        ),
        lambda r: abs(r.inputs["norepinephrine"].to("ug/min").at(30) - 40 / 3) < 1e-9,
        names=["norepinephrine", "concentrations"],
    ),
}  # fmt: skip


def _joined(new: tp.Record, given: tp.Inputs, end: float = 90.0) -> tp.Record:
    old = tp.Record.build({"glucose": ([0, end], [9, 8], "mmol/L")}, given, {"weight": (80, "kg")})
    return join(old, new).record


def _again(setting: bool) -> tp.Record:
    """Return a stay in pieces whose rate, or PEEP, is charted each hour, unchanged."""
    name, unit = ("peep", "cmH2O") if setting else ("insulin", "U/h")
    given = tp.Inputs.infusions(name, [0, 60, 120], [np.inf] * 3, [8, 8, 8], unit)
    whole = tp.Record.build({"glucose": ([0, 300], [9, 8], "mmol/L")}, given)
    return join(whole.until(90), whole.between(90, 110)).record


STREAM: dict[str, Check] = {
    "a rate charted again unchanged": lambda: judged(lambda: _again(False), lambda r: rates(r, "insulin", 100) == [8]),
    "a setting charted again unchanged": lambda: judged(lambda: _again(True), lambda r: rates(r, "peep", 100) == [8]),
    "the same weight in pounds": lambda: judged(
        lambda: _joined(
            tp.Record.build({"glucose": ([120], [8], "mmol/L")}, None, {"weight": (176.4, "lb")}, start=90),
            tp.Inputs.infusions("parenteral_glucose", 0, np.inf, 2, "mg/kg/min"),
        ),
        lambda r: r.weight == 80 and r.inputs["parenteral_glucose"].unit == "mg/kg/min",
    ),
    "news of the past alone": lambda: judged(
        lambda: _joined(
            tp.Record({}, tp.Inputs.bolus("insulin", 30, 2, known=60), {}, 0.0, 60.0), tp.Inputs(), end=240.0
        ),
        lambda r: r.end == 240,
    ),
}
KINDS = {
    "03 known later than taken": KNOWN,
    "04 blood of another site": BLOOD,
    "05 beyond a limit is a value": BEYOND,
    "06 values that fit another unit": UNITS,
    "08 charted twice": TWICE,
    "09 a new row replaces the old": REPLACES,
    "14 a setting before its first row": UNKNOWN,
    "17 one wrong weight": WEIGHT,
    "32 rates without ends, volumes, doses of no length": VOLUMES,
    "33 what streams bring": STREAM,
}
