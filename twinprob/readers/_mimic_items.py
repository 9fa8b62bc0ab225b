"""Where MIMIC charts what this library reads, which charted values are artefacts, and what only looks like it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..patient.nutrition import glucose_content

DOMAINS = ("glucose", "lungs", "circulation")


@dataclass(frozen=True)
class Charted:
    """One measured variable or setting in the chart.

    Attributes
    ----------
    items : tuple of int
        MetaVision (and MIMIC-IV) first, then CareVue.
    unit : str
        The unit a record holds.
    low, high : float or None
        A value outside is an artefact of the line (a flush, an open stopcock) or of the keyboard; settings of this
        library, not published. None leaves it to the vocabulary's plausible range.
    per : float
        What a charted value is divided by.
    """

    items: tuple[int, ...]
    unit: str
    low: float | None = None
    high: float | None = None
    per: float = 1.0


GLUCOSE = Charted((220621, 225664, 226537, 807, 811, 1529, 3744, 3745, 1310, 1455, 2338), "mg/dL")
LUNGS = {
    "plateau_pressure": Charted((224696, 543), "cmH2O"),
    "peak_pressure": Charted((224695, 535), "cmH2O"),
    "mean_airway_pressure": Charted((224697, 444), "cmH2O"),
    "expired_tidal_volume": Charted((224685, 682), "L", per=1000.0),
    "pulse_saturation": Charted((220277, 646), "%"),
    "arterial_oxygen": Charted((220224, 779), "mmHg"),
    "arterial_carbon_dioxide": Charted((220235, 778), "mmHg"),
    "arterial_pH": Charted((223830, 780), "1"),
}
# What is set; where no setting is charted at a time, what was measured then stands for it.
SETTINGS: dict[str, tuple[Charted, Charted | None]] = {
    "peep": (Charted((220339, 506, 505), "cmH2O"), None),
    "tidal_volume": (Charted((224684, 683), "L", per=1000.0), Charted((224685, 682), "L", per=1000.0)),
    "respiratory_rate": (Charted((224688, 619), "1/min"), Charted((224690, 615), "1/min")),
    "inspired_oxygen": (Charted((223835, 190, 3420), "1"), None),
}
VENTILATOR_MODE, STANDBY = (223849, 229314), "standby"
CIRCULATION = {
    "mean_arterial_pressure": Charted((220052, 225312, 52, 6702, 6927), "mmHg", 20.0, 200.0),
    "systolic_pressure": Charted((220050, 225309, 51, 6701), "mmHg", 30.0, 280.0),
    "diastolic_pressure": Charted((220051, 225310, 8368, 8555), "mmHg", 10.0, 180.0),
    "cuff_mean_pressure": Charted((220181, 456), "mmHg", 20.0, 200.0),
    "central_venous_pressure": Charted((220074, 113), "mmHg", -5.0, 45.0),
    "heart_rate": Charted((220045, 211), "1/min", 20.0, 260.0),
    "cardiac_output": Charted((220088, 224842, 228369, 227543, 90, 89), "L/min", 0.5, 25.0),
}
# The chart's copies of laboratory values. Their chart time is when the blood was drawn, so they were known when they
# were stored: in the demo 66 min later (median) for the laboratory's glucose, 3 min for gases.
COPIES = (220621, 226537, 811, 1529, 220224, 779, 220235, 778, 223830, 780)

# Laboratory items; one that says which blood it was, in MIMIC-III and in MIMIC-IV.
GLUCOSE_LAB = (50931, 50809, 52569, 52027)
GASES = {"arterial_oxygen": 50821, "arterial_carbon_dioxide": 50818, "arterial_pH": 50820}
SPECIMEN = (50800, 52033)
# Item to the factor that makes it kg or cm; the earlier in the list, the more a height is trusted.
WEIGHT = {226512: 1.0, 762: 1.0, 226531: 0.45359237, 3580: 1.0, 763: 1.0, 224639: 1.0, 3693: 1.0, 3581: 0.45359237}
HEIGHT = {226730: 1.0, 226707: 2.54, 920: 2.54, 1394: 2.54}


@dataclass(frozen=True)
class Given:
    """One vasoactive drug in the chart.

    Attributes
    ----------
    items : tuple of int
        MetaVision (and MIMIC-IV) first, then CareVue.
    unit : str
        The unit a record holds.
    high : float
        In `unit`; a rate above it is a mistake of unit.
    least : float
        In ug/min; a rate per minute below it is one per kilogram. 0 where the drug is not given per kilogram.

    Notes
    -----
    The limits are settings of this library, not published.
    """

    items: tuple[int, ...]
    unit: str
    high: float
    least: float = 0.0


DRUGS = {
    "norepinephrine": Given((221906, 30047, 30120), "ug/kg/min", 6.0, 0.5),
    "vasopressin": Given((222315, 30051), "U/min", 1.5),
    "phenylephrine": Given((221749, 30127, 30128), "ug/kg/min", 20.0, 4.0),
    "epinephrine": Given((221289, 30044, 30119, 30309), "ug/kg/min", 4.0, 0.5),
    "dopamine": Given((221662, 30043, 30307), "ug/kg/min", 60.0, 20.0),
}
# U/min; vasopressin runs at 0.01 to 0.1 U/min, which is 0.6 to 6 U/h: from here on it is one per hour. Setting.
HOURLY_VASOPRESSIN = 0.3
# Items of intravenous volume, by what they are.
FLUIDS = {
    "crystalloid": (225158, 225828, 225159, 30018, 30021, 30020, 30058),
    "albumin": (220862, 220864, 225174, 30008, 30009),
    "blood": (225168, 220970, 225170, 225171, 30001, 30005, 30006),
}
HIGHEST_FLOW = 500.0  # mL/min; a rapid infuser, setting
INSULIN_REGULAR = (223258, 30045, 30100, 30310)
INSULIN_OTHER = (223257, 223259, 223260, 223261, 223262, 229299, 229619)
# Feeds of MIMIC-IV, which are read by their labels as all feeds are.
FEEDS = (229010, 229011, 229012, 229013, 229014, 229295, 229296, 229297)

# A label that looks like a variable, whose item is in no list above: its rows are counted by name.
_LIKE = (
    ("insulin", r"insulin"),
    ("parenteral_glucose", r"dextrose|\bd5|\bd10|\bd50|\btpn|\bppn\b"),
    ("enteral_glucose", r"tube feed|tubefeed|enteral nutr"),
    ("norepinephrine", r"norepi|levophed|noradren"),
    ("vasopressin", r"vasopres|pitressin"),
    ("phenylephrine", r"phenyleph|neosyn"),
    ("epinephrine", r"epineph|adrenalin"),
    ("dopamine", r"dopamine"),
    ("glucose", r"glucose|finger ?stick|blood sugar"),
    ("inspired_oxygen", r"fi ?o2|inspired o2"),
    ("peep", r"\bpeep"),
    ("tidal_volume", r"tidal"),
    ("plateau_pressure", r"plateau"),
    ("peak_pressure", r"peak insp"),
    ("pulse_saturation", r"sp ?o2|sa ?o2|pulseox"),
    ("arterial_oxygen", r"pa ?o2|^po2|arterial o2"),
    ("arterial_carbon_dioxide", r"pa ?co2|^pco2|arterial co2"),
    ("arterial_pH", r"^ph\b|arterial ph\b"),
    ("central_venous_pressure", r"\bcvp\b|central venous pressure"),
    ("heart_rate", r"heart rate"),
    ("cardiac_output", r"cardiac output|^c\.?o\.?\b"),
    ("mean_arterial_pressure", r"arterial|\babp\b|\bart bp"),
    ("albumin", r"albumin"),
    ("weight", r"\bweight|\bwt\b"),
    ("height", r"\bheight"),
)
_PATTERNS = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _LIKE)
_DOMAIN = {
    **dict.fromkeys(("glucose", "insulin", "subcutaneous_insulin", "parenteral_glucose", "enteral_glucose"), "glucose"),
    **dict.fromkeys((*LUNGS, *SETTINGS, "specimen", "ventilator_mode"), "lungs"),
    **dict.fromkeys((*CIRCULATION, *DRUGS, *FLUIDS), "circulation"),
}


def domain(variable: str) -> str | None:
    """Return which domain a variable belongs to; None for weight and height, which belong to all."""
    return _DOMAIN.get(variable)


def looks_like(label: str) -> str | None:
    """Return the variable that an item's label looks like, or None."""
    return next((name for name, pattern in _PATTERNS if pattern.search(label)), None)


CHART_ITEMS: Mapping[int, str] = {
    **{item: name for name, pair in SETTINGS.items() for one in pair if one is not None for item in one.items},
    **{item: name for name, charted in {**LUNGS, **CIRCULATION}.items() for item in charted.items},
    **dict.fromkeys(GLUCOSE.items, "glucose"),
    **dict.fromkeys(WEIGHT, "weight"),
    **dict.fromkeys(HEIGHT, "height"),
    **dict.fromkeys(VENTILATOR_MODE, "ventilator_mode"),
}
LAB_ITEMS: Mapping[int, str] = {
    **dict.fromkeys(GLUCOSE_LAB, "glucose"),
    **{item: name for name, item in GASES.items()},
    **dict.fromkeys(SPECIMEN, "specimen"),
}
GIVEN_ITEMS: Mapping[int, str] = {
    **dict.fromkeys(INSULIN_REGULAR, "insulin"),
    **dict.fromkeys(INSULIN_OTHER, "subcutaneous_insulin"),
    **{item: name for name, drug in DRUGS.items() for item in drug.items},
    **{item: name for name, items in FLUIDS.items() for item in items},
}


def given_item(item: int, label: str) -> str | None:
    """Return the input that an item of a table of inputs is read as, or None."""
    if item in GIVEN_ITEMS:
        return GIVEN_ITEMS[item]
    content = glucose_content(label)
    if content is None and item in FEEDS:
        return "enteral_glucose"
    return content[0] if content else None
