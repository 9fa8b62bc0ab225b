"""Blood gases of MIMIC-IV and eICU: from which vessel, and by whose clock."""

import tempfile
from pathlib import Path
from typing import Any

import twinprob as tp
from tests.validation.door import Check, judged, times, values
from tests.validation.door.databases import FRACTION, SATURATION, read_eicu
from tests.validation.door.folders import STAY, chart, lab, mimic_folder
from twinprob.readers import mimic, ventilation


def _gases(*labs: Any, charted: Any = (SATURATION,)) -> tp.Record:
    return ventilation.read(mimic_folder(Path(tempfile.mkdtemp()), charted=charted, labs=labs), STAY)


def _sample(when: str, specimen: int, site: str, oxygen: float, carbon: float, item: int = 52033) -> list[Any]:
    cells = [(item, site)] if site else []
    return [lab(when, i, v, specimen=specimen) for i, v in [*cells, (50821, oxygen), (50818, carbon)]]


def _oxygen(record: tp.Record) -> list[float]:
    return values(record, "arterial_oxygen")


def _summer(*labs: Any, charted: Any) -> tp.Record:
    return mimic.read(mimic_folder(Path(tempfile.mkdtemp()), charted=[SATURATION, *charted], labs=labs), STAY)


SITE_OF_BLOOD: dict[str, Check] = {
    "venous, MIMIC-IV": lambda: judged(
        lambda: _gases(*_sample("01:00", 1, "VEN.", 41, 50), *_sample("03:00", 2, "ART.", 88, 39)),
        lambda r: _oxygen(r) == [88] and values(r, "arterial_carbon_dioxide") == [39],
        says=["venous"],
    ),
    "venous, the item of MIMIC-III": lambda: judged(
        lambda: _gases(*_sample("01:00", 1, "VEN", 41, 50, 50800), *_sample("03:00", 2, "ART", 88, 39, 50800)),
        lambda r: _oxygen(r) == [88],
        says=["venous"],
    ),
    "mixed venous": lambda: judged(
        lambda: _gases(*_sample("01:00", 1, "MIX.", 38, 50), *_sample("03:00", 2, "ART.", 88, 39)),
        lambda r: _oxygen(r) == [88],
        says=["arterial_oxygen"],
    ),
    "central venous, well oxygenated": lambda: judged(
        lambda: _gases(*_sample("01:00", 1, "CENTRAL VENOUS.", 72, 50), *_sample("03:00", 2, "ART.", 88, 39)),
        lambda r: _oxygen(r) == [88],
        says=["arterial_oxygen"],
    ),
    "unlabelled and low": lambda: judged(
        lambda: _gases(*_sample("01:00", 1, "", 41, 50), *_sample("03:00", 2, "ART.", 88, 39)),
        lambda r: _oxygen(r) == [88],
        says=["unknown"],
    ),
    "capillary": lambda: judged(
        lambda: _gases(*_sample("01:00", 1, "CAP.", 61, 50), *_sample("03:00", 2, "ART.", 88, 39)),
        lambda r: _oxygen(r) == [88],
        says=["arterial_oxygen"],
    ),
    "a pH of venous blood": lambda: judged(
        lambda: _gases(
            lab("01:00", 52033, "VEN."),
            lab("01:00", 50820, 7.29),
            lab("01:00", 50821, 40),
            *_sample("03:00", 2, "ART.", 88, 39),
            lab("03:00", 50820, 7.38, specimen=2),
        ),
        lambda r: values(r, "arterial_pH") == [7.38],
        says=["arterial_pH"],
    ),
    "the site stands after the gas": lambda: judged(
        lambda: _gases(
            lab("01:00", 50821, 41),
            lab("01:00", 50818, 50),
            lab("01:00", 52033, "VEN."),
            *_sample("03:00", 2, "ART.", 88, 39),
        ),
        lambda r: _oxygen(r) == [88],
        says=["venous"],
    ),
    "eICU names what is arterial": lambda: judged(
        lambda: read_eicu(
            lab=[
                {"labresultoffset": 5, "labname": "paO2", "labresult": 88, "labresultrevisedoffset": 9},
                {"labresultoffset": 90, "labname": "pH", "labresult": 7.29, "labresultrevisedoffset": 95},
            ]
        ),
        lambda r: _oxygen(r) == [88] and "arterial_pH" not in r.names,
        says=["arterial_pH"],
    ),
}

COPIED: dict[str, Check] = {
    "a gas an hour behind its copy": lambda: judged(
        lambda: _summer(
            lab("01:00", 50821, 74, specimen=1),
            lab("02:00", 50821, 160, specimen=2),
            charted=[chart("02:00", 220224, 74), chart("00:00", FRACTION, 40), chart("02:30", FRACTION, 80)],
        ),
        lambda r: times(r, "arterial_oxygen") == [120, 180] and _oxygen(r) == [74, 160],
        says=["again"],
    ),
    "carbon dioxide an hour behind": lambda: judged(
        lambda: _summer(
            lab("01:00", 52033, "ART.", specimen=1),
            lab("01:00", 50818, 41, specimen=1),
            lab("02:00", 52033, "ART.", specimen=2),
            lab("02:00", 50818, 55, specimen=2),
            charted=[chart("02:00", 220235, 41)],
        ),
        lambda r: (
            times(r, "arterial_carbon_dioxide") == [120, 180] and values(r, "arterial_carbon_dioxide") == [41, 55]
        ),
        says=["arterial_carbon_dioxide"],
    ),
    "a pH an hour behind": lambda: judged(
        lambda: _summer(
            lab("01:00", 52033, "ART.", specimen=1),
            lab("01:00", 50820, 7.31, specimen=1),
            lab("02:00", 52033, "ART.", specimen=2),
            lab("02:00", 50820, 7.22, specimen=2),
            charted=[chart("02:00", 223830, 7.31)],
        ),
        lambda r: times(r, "arterial_pH") == [120, 180] and values(r, "arterial_pH") == [7.31, 7.22],
        says=["arterial_pH"],
    ),
    "glucose an hour behind": lambda: judged(
        lambda: _summer(
            lab("01:00", 50931, 133, specimen=1),
            lab("02:00", 50931, 251, specimen=2),
            charted=[chart("02:00", 220621, 133)],
        ),
        lambda r: times(r, "glucose") == [120, 180] and values(r, "glucose") == [133, 251],
        says=["glucose"],
    ),
    "glucose says it for the gases too": lambda: judged(
        lambda: _summer(
            lab("01:00", 50931, 133, specimen=1),
            lab("01:30", 50821, 90, specimen=2),
            charted=[chart("02:00", 220621, 133)],
        ),
        lambda r: times(r, "arterial_oxygen") == [150],
        says=["glucose"],
    ),
    "in winter the clocks agree": lambda: judged(
        lambda: _summer(
            lab("01:00", 50821, 74, specimen=1),
            lab("02:00", 50821, 160, specimen=2),
            charted=[chart("01:00", 220224, 74)],
        ),
        lambda r: times(r, "arterial_oxygen") == [60, 120] and _oxygen(r) == [74, 160],
        says=["again"],
    ),
}

KINDS = {
    "04 blood of another site": SITE_OF_BLOOD,
    "16 the laboratory's clock": COPIED,
}
