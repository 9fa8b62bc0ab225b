"""Rows as MIMIC-IV and eICU chart them, in small folders written here."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import twinprob as tp
from tests.validation.door import Check, amount, judged, rates
from tests.validation.door.folders import STAY, chart, eicu_folder, given, mimic_folder
from twinprob.readers import eicu, hemodynamics, mimic, ventilation

ITEMS = {
    222315: "Vasopressin",
    221906: "Norepinephrine",
    221662: "Dopamine",
    223258: "Insulin - Regular",
    220949: "Dextrose 5%",
    225158: "NaCl 0.9%",
    221749: "Phenylephrine",
    220950: "Dextrose 10%",
    221289: "Epinephrine",
}
PRESSURE, WEIGHED, SUGAR, SATURATION = (
    chart("00:30", 220052, 68),
    chart("00:10", 226512, 75),
    chart("00:30", 225664, 160),
    chart("00:30", 220277, 96),
)


def read_mimic(*inputs: Any, charted: Any = (), labs: Any = (), **how: Any) -> tp.Record:
    home = mimic_folder(
        Path(tempfile.mkdtemp()), charted=charted or (PRESSURE, WEIGHED, SUGAR), labs=labs, inputs=inputs, items=ITEMS
    )
    return mimic.read(home, STAY, **how)


def read_eicu(*, limits: Any = None, **tables: Any) -> tp.Record:
    rows = {
        "lab": [{"labresultoffset": 5, "labname": "glucose", "labresult": 160, "labresultrevisedoffset": 9}],
        **tables,
    }
    return eicu.read(eicu_folder(Path(tempfile.mkdtemp()), **rows), STAY, limits=limits)


def _drip(
    begin: str, end: str, item: int, rate: float, unit: str, total: float, of: str, **more: Any
) -> dict[str, Any]:
    return given(begin, end, item, rate=rate, rateuom=unit, amount=total, amountuom=of, **more)


PER_HOUR_PER_MINUTE: dict[str, Check] = {
    "vasopressin per hour charted per minute": lambda: judged(
        lambda: read_mimic(
            _drip("00:00", "02:00", 222315, 1.8, "units/min", 3.6, "units"),
            _drip("02:00", "04:00", 222315, 2.4, "units/hour", 4.8, "units"),
        ),
        lambda r: np.allclose(r.inputs["vasopressin"].to("U/min").at([60, 180]), [0.03, 0.04]),
        says=["vasopressin"],
    ),
    "one row among right ones": lambda: judged(
        lambda: read_mimic(
            _drip("00:00", "02:00", 222315, 0.04, "units/min", 4.8, "units"),
            _drip("02:00", "04:00", 222315, 2.4, "units/min", 4.8, "units"),
        ),
        lambda r: np.allclose(r.inputs["vasopressin"].to("U/min").at([60, 180]), [0.04, 0.04]),
        says=["vasopressin"],
    ),
    "norepinephrine per minute charted per kilogram": lambda: judged(
        lambda: read_mimic(_drip("00:00", "02:00", 221906, 7.5, "mcg/kg/min", 0.9, "mg")),
        lambda r: np.allclose(r.inputs["norepinephrine"].to("ug/kg/min", weight=75).at(60), 0.1),
        says=["norepinephrine"],
    ),
    "norepinephrine per kilogram charted per minute": lambda: judged(
        lambda: read_mimic(_drip("00:00", "02:00", 221906, 0.1, "mcg/min", 0.9, "mg")),
        lambda r: (
            "norepinephrine" not in r.inputs
            or np.allclose(r.inputs["norepinephrine"].to("ug/kg/min", weight=75).at(60), 0.1)
        ),
        says=["norepinephrine"],
    ),
    "insulin per minute charted per hour": lambda: judged(
        lambda: read_mimic(_drip("00:00", "02:00", 223258, 0.05, "units/hour", 6, "units")),
        lambda r: "insulin" not in r.inputs or abs(r.inputs["insulin"].to("U/min").amount(0, 200) - 6) < 0.1,
        says=["insulin"],
    ),
    "phenylephrine, right": lambda: judged(
        lambda: read_mimic(_drip("00:00", "02:00", 221749, 1.0, "mcg/kg/min", 9.0, "mg")),
        lambda r: np.allclose(r.inputs["phenylephrine"].to("ug/kg/min", weight=75).at(60), 1.0),
        refusable=False,
    ),
    "eICU's vasopressin in units per hour": lambda: judged(
        lambda: read_eicu(
            infusionDrug=[
                {"infusionoffset": 0, "drugname": "Vasopressin (units/min)", "drugrate": 2.4},
                {"infusionoffset": 60, "drugname": "Vasopressin (units/min)", "drugrate": 0},
            ]
        ),
        lambda r: "vasopressin" not in r.inputs or r.inputs["vasopressin"].to("U/min").at(30) == 0.04,
        says=["vasopressin"],
        names=["vasopressin"],
    ),
}


def _fractions(*rows: Any) -> tp.Record:
    return ventilation.read(mimic_folder(Path(tempfile.mkdtemp()), charted=[SATURATION, *rows]), STAY)


FRACTION = 223835
FLOWS: dict[str, Check] = {
    "flows among percent": lambda: judged(
        lambda: _fractions(chart("00:00", FRACTION, 60), chart("02:00", FRACTION, 12), chart("05:00", FRACTION, 0.4)),
        lambda r: rates(r, "inspired_oxygen", 180, 330) in ([0.6, 0.4], [60, 40]),
        says=["inspired_oxygen"],
    ),
    "only flows": lambda: judged(
        lambda: _fractions(chart("00:00", FRACTION, 4), chart("02:00", FRACTION, 6)),
        lambda r: "inspired_oxygen" not in r.inputs,
        says=["inspired_oxygen"],
    ),
    "above everything": lambda: judged(
        lambda: _fractions(chart("00:00", FRACTION, 50), chart("02:00", FRACTION, 400)),
        lambda r: rates(r, "inspired_oxygen", 180) in ([0.5], [50]),
        says=["inspired_oxygen"],
    ),
    "zero": lambda: judged(
        lambda: _fractions(chart("00:00", FRACTION, 50), chart("02:00", FRACTION, 0)),
        lambda r: rates(r, "inspired_oxygen", 180) in ([0.5], [50]),
        says=["inspired_oxygen"],
    ),
    "eICU's liters per minute": lambda: judged(
        lambda: read_eicu(
            respiratoryCharting=[
                {"respchartoffset": 0, "respchartentryoffset": 2, "respchartvaluelabel": "LPM O2", "respchartvalue": 6},
                {
                    "respchartoffset": 60,
                    "respchartentryoffset": 62,
                    "respchartvaluelabel": "FiO2",
                    "respchartvalue": 50,
                },
            ]
        ),
        lambda r: rates(r, "inspired_oxygen", 90) in ([0.5], [50]),
        says=["flow"],
    ),
}


def _weighed(*readings: tuple[str, int, float], drug: Any = None) -> tp.Record:
    drug = drug or _drip("00:00", "02:00", 221906, 9, "mcg/min", 1.08, "mg", patientweight="")
    return hemodynamics.read(
        mimic_folder(
            Path(tempfile.mkdtemp()), charted=[PRESSURE, *(chart(*row) for row in readings)], inputs=[drug], items=ITEMS
        ),
        STAY,
    )


def _dose(record: tp.Record, weight: float) -> bool:
    return (
        abs(float(record.weight or 0) - weight) < 1
        and abs(record.inputs["norepinephrine"].to("ug/kg/min", weight=record.weight).at(60) - 9 / weight) < 0.002
    )


WEIGHT: dict[str, Check] = {
    "the first of three in pounds": lambda: judged(
        lambda: _weighed(("00:10", 226512, 165.0), ("06:00", 224639, 75.2), ("12:00", 224639, 75.0)),
        lambda r: _dose(r, 75),
        says=["weight"],
    ),
    "one of five in pounds": lambda: judged(
        lambda: _weighed(
            ("00:10", 226512, 75.0),
            ("06:00", 224639, 75.4),
            ("12:00", 224639, 166.0),
            ("18:00", 224639, 74.8),
            ("1 06:00", 224639, 75.1),
        ),
        lambda r: _dose(r, 75),
        says=["weight"],
    ),
    "the last": lambda: judged(
        lambda: _weighed(("00:10", 226512, 75.0), ("06:00", 224639, 75.4), ("12:00", 224639, 166.0)),
        lambda r: _dose(r, 75),
        says=["weight"],
    ),
    "the item of pounds": lambda: judged(
        lambda: _weighed(("00:10", 226531, 165.3), ("06:00", 224639, 75.2)), lambda r: _dose(r, 75), refusable=False
    ),
    "a digit lost": lambda: judged(
        lambda: _weighed(("00:10", 226512, 7.5), ("06:00", 224639, 75.2), ("12:00", 224639, 75.0)),
        lambda r: _dose(r, 75),
        says=["weight"],
    ),
    "two that contradict each other": lambda: judged(
        lambda: _weighed(("00:10", 226512, 165.0), ("06:00", 224639, 75.0)), lambda r: _dose(r, 75), says=["weight"]
    ),
    "kilograms in the item of pounds": lambda: judged(
        lambda: _weighed(("00:10", 226531, 75.0), ("06:00", 224639, 75.2), ("12:00", 224639, 75.0)),
        lambda r: _dose(r, 75),
        says=["weight"],
    ),
}

BACKWARD: dict[str, Check] = {
    "insulin": lambda: judged(
        lambda: read_mimic(_drip("03:00", "02:00", 223258, 3, "units/hour", -3, "units")),
        lambda r: "insulin" not in r.inputs,
        says=["insulin", "ends before"],
    ),
    "dextrose": lambda: judged(
        lambda: read_mimic(given("04:00", "03:30", 220949, amount=120, amountuom="ml")),
        lambda r: "parenteral_glucose" not in r.inputs,
        says=["parenteral_glucose"],
    ),
    "norepinephrine": lambda: judged(
        lambda: read_mimic(_drip("04:00", "03:00", 221906, 0.1, "mcg/kg/min", 0.45, "mg")),
        lambda r: "norepinephrine" not in r.inputs,
        says=["norepinephrine"],
    ),
    "saline": lambda: judged(
        lambda: read_mimic(given("04:00", "03:00", 225158, amount=500, amountuom="ml")),
        lambda r: "crystalloid" not in r.inputs,
        says=["crystalloid"],
    ),
    "a negative amount": lambda: judged(
        lambda: read_mimic(given("03:00", "04:00", 220949, amount=-120, amountuom="ml")),
        lambda r: "parenteral_glucose" not in r.inputs,
        says=["parenteral_glucose"],
    ),
    "one among good rows": lambda: judged(
        lambda: read_mimic(
            _drip("01:00", "02:00", 223258, 3, "units/hour", 3, "units"),
            _drip("05:00", "04:00", 223258, 3, "units/hour", 3, "units", order=2),
        ),
        lambda r: abs(r.inputs["insulin"].to("U/min").amount(0, 600) - 3) < 1e-9,
        says=["insulin"],
    ),
}

ONE_ORDER = _drip("00:00", "03:00", 223258, 2, "units/hour", 6, "units", order=5)
TWICE: dict[str, Check] = {
    "a row of one order three times": lambda: judged(
        lambda: read_mimic(ONE_ORDER, dict(ONE_ORDER), dict(ONE_ORDER)),
        lambda r: abs(r.inputs["insulin"].to("U/h").at(60) - 2) < 1e-9,
        says=["insulin"],
    ),
    "two orders": lambda: judged(
        lambda: read_mimic(ONE_ORDER, {**ONE_ORDER, "orderid": 6, "linkorderid": 6}),
        lambda r: abs(r.inputs["insulin"].to("U/h").at(60) - 4) < 1e-9,
    ),
    "dextrose of one order": lambda: judged(
        lambda: read_mimic(*[given("00:00", "02:00", 220949, amount=200, amountuom="ml", order=9)] * 2),
        lambda r: abs(amount(r, "parenteral_glucose") - 200 * 0.05 / 0.18016) < 8,
        says=["parenteral_glucose"],
    ),
    "a new rate in the chain of an order": lambda: judged(
        lambda: read_mimic(ONE_ORDER, _drip("01:00", "03:00", 223258, 5, "units/hour", 10, "units", order=6, chain=5)),
        lambda r: np.allclose(r.inputs["insulin"].to("U/h").at([30, 90]), [2, 5]),
    ),
}
BEFORE_ADMISSION: dict[str, Check] = {
    "insulin on the ward": lambda: judged(
        lambda: read_mimic(_drip("-1 23:00", "02:00", 223258, 2, "units/hour", 6, "units")),
        lambda r: r.start == -60 and abs(r.inputs["insulin"].to("U/h").at(-30) - 2) < 1e-9,
    ),
    "dextrose on the ward": lambda: judged(
        lambda: read_mimic(given("-1 22:00", "-1 23:00", 220950, amount=250, amountuom="ml")),
        lambda r: r.start == -120 and amount(r, "parenteral_glucose") > 0,
    ),
}

KINDS = {
    "01 given before the record begins": BEFORE_ADMISSION,
    "08 charted twice": TWICE,
    "11 per hour for per minute": PER_HOUR_PER_MINUTE,
    "13 an oxygen flow for a fraction": FLOWS,
    "17 one wrong weight": WEIGHT,
    "19 ends before it starts": BACKWARD,
}
