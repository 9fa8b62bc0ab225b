"""Times of a table: clocks that change, epochs, spreadsheets, midnight, and when a value was known."""

import io
import tempfile
import zoneinfo
from pathlib import Path
from typing import Any

import pandas as pd

import twinprob as tp
from tests.validation.door import Check, amount, judged, rates, tidy, times, values, wide
from tests.validation.door.folders import STAY, chart, eicu_folder, lab, mimic_folder
from twinprob.readers import eicu, mimic

AUTUMN = "".join(
    f"2024-10-27T{hour},glucose,{value},mmol/L\n"
    for hour, value in (("01:00", 9), ("02:30", 8), ("02:30", 7), ("04:00", 7))
)
SPRING = "2024-03-10T01:00,glucose,9,mmol/L\n2024-03-10T04:00,glucose,8,mmol/L\n"


def _folder() -> Path:
    return Path(tempfile.mkdtemp())


CLOCKS_CHANGE: dict[str, Check] = {
    "autumn in Berlin": lambda: judged(
        lambda: tidy(AUTUMN, timezone="Europe/Berlin"),
        lambda r: times(r, "glucose") == [0, 90, 150, 240],
        refusable=False,
    ),
    "autumn in New York, a drip over the night": lambda: judged(
        lambda: tidy(
            "2024-11-03T00:00,glucose,9,mmol/L\n2024-11-03T05:00,glucose,8,mmol/L\n",
            "2024-11-03T00:00,2024-11-03T05:00,insulin,2,U/h\n",
            timezone="America/New_York",
        ),
        lambda r: abs(amount(r, "insulin") - 12 * 60) < 1e-6 and times(r, "glucose") == [0, 360],
        refusable=False,
    ),
    "spring in New York": lambda: judged(
        lambda: tidy(SPRING, timezone="America/New_York"), lambda r: times(r, "glucose") == [0, 120], refusable=False
    ),
    "an hour that was not": lambda: judged(
        lambda: tidy(SPRING + "2024-03-10T02:30,lactate,2,mmol/L\n", timezone="America/New_York"),
        lambda r: False,
        names=["row 4"],
    ),
    "half an hour on Lord Howe Island": lambda: judged(
        lambda: tidy(
            "2024-04-07T01:00,glucose,9,mmol/L\n2024-04-07T03:00,glucose,8,mmol/L\n", timezone="Australia/Lord_Howe"
        ),
        lambda r: times(r, "glucose") == [0, 150],
        refusable=False,
    ),
    "zoneinfo itself": lambda: judged(
        lambda: tidy(AUTUMN, timezone=zoneinfo.ZoneInfo("Europe/Berlin")),
        lambda r: times(r, "glucose") == [0, 90, 150, 240],
        refusable=False,
    ),
    "offsets in the text": lambda: judged(
        lambda: tidy("2024-10-27T02:30+02:00,glucose,9,mmol/L\n2024-10-27T02:30+01:00,glucose,8,mmol/L\n"),
        lambda r: times(r, "glucose") == [0, 60],
        refusable=False,
    ),
    "a wide table": lambda: judged(
        lambda: wide(
            "t,BG\n2024-03-31T01:00,9\n2024-03-31T04:00,8\n",
            time="t",
            columns={"BG": ("glucose", "mmol/L")},
            timezone="Europe/Berlin",
        ),
        lambda r: times(r, "glucose") == [0, 120],
        refusable=False,
    ),
    "no zone is said, an hour comes twice": lambda: judged(lambda: tidy(AUTUMN), lambda r: False, names=["row 4"]),
    "no zone is said": lambda: judged(lambda: tidy(SPRING), lambda r: times(r, "glucose") == [0, 180], says=["zone"]),
    "no such zone": lambda: judged(lambda: tidy(AUTUMN, timezone="Mars/Olympus"), lambda r: False, names=["timezone"]),
    "some with an offset, some without": lambda: judged(
        lambda: tidy("2024-10-27T02:30+02:00,glucose,9,mmol/L\n2024-10-27T03:30,glucose,8,mmol/L\n"),
        lambda r: False,
        names=["row"],
    ),
}

EPOCHS: dict[str, Check] = {
    "seconds": lambda: judged(
        lambda: tidy("1583999000,glucose,9,mmol/L\n1584006200,glucose,8,mmol/L\n", time_unit="s"),
        lambda r: times(r, "glucose") == [0, 120] and r.start == 0,
    ),
    "milliseconds": lambda: judged(
        lambda: tidy("1583999000000,glucose,9,mmol/L\n1584006200000,glucose,8,mmol/L\n", time_unit="ms"),
        lambda r: times(r, "glucose") == [0, 120],
    ),
    "seconds called minutes": lambda: judged(
        lambda: tidy("1583999000,glucose,9,mmol/L\n1584006200,glucose,8,mmol/L\n"),
        lambda r: False,
        names=["time_unit='s'"],
    ),
    "milliseconds called seconds": lambda: judged(
        lambda: tidy("1583999000000,glucose,9,mmol/L\n1584006200000,glucose,8,mmol/L\n", time_unit="s"),
        lambda r: False,
        names=["time_unit='ms'"],
    ),
    "seconds called milliseconds": lambda: judged(
        lambda: tidy("1583999000,glucose,9,mmol/L\n1584006200,glucose,8,mmol/L\n", time_unit="ms"),
        lambda r: False,
        names=["time_unit='s'"],
    ),
    "spreadsheet days": lambda: judged(
        lambda: tidy("43902.25,glucose,9,mmol/L\n43902.375,glucose,8,mmol/L\n", time_unit="d"),
        lambda r: times(r, "glucose") == [0, 180],
    ),
    "spreadsheet days called minutes": lambda: judged(
        lambda: tidy("43902.25,glucose,9,mmol/L\n43902.375,glucose,8,mmol/L\n"),
        lambda r: False,
        names=["time_unit='d'"],
    ),
    "spreadsheet days called hours": lambda: judged(
        lambda: tidy("43902.25,glucose,9,mmol/L\n43902.375,glucose,8,mmol/L\n", time_unit="h"),
        lambda r: False,
        names=["time_unit='d'"],
    ),
    "a drip in seconds": lambda: judged(
        lambda: tidy(
            "1583999000,glucose,9,mmol/L\n1584006200,glucose,8,mmol/L\n",
            "1583999000,1584002600,insulin,2,U/h\n",
            time_unit="s",
        ),
        lambda r: amount(r, "insulin") == 120,
    ),
    "one stray epoch among minutes": lambda: judged(
        lambda: tidy("0,glucose,9,mmol/L\n1584006200,glucose,8,mmol/L\n"), lambda r: False, names=["row 3"]
    ),
    "dates without separators": lambda: judged(
        lambda: tidy("202003120800,glucose,9,mmol/L\n202003120900,glucose,8,mmol/L\n"),
        lambda r: False,
        names=["date_format"],
    ),
    "microseconds": lambda: judged(
        lambda: tidy("1583999000000000,glucose,9,mmol/L\n", time_unit="ms"), lambda r: False, names=["µs"]
    ),
    "a gap of weeks": lambda: judged(
        lambda: tidy("0,glucose,9,mmol/L\n60000,glucose,8,mmol/L\n"), lambda r: False, names=["row 3"]
    ),
    "milliseconds straight to a record": lambda: judged(
        lambda: tp.Record.build({"glucose": ([1583999000000.0, 1584006200000.0], [9, 8], "mmol/L")}),
        lambda r: False,
        names=["longest"],
    ),
    "a frame of moments": lambda: judged(
        lambda: tp.read_tidy(
            pd.DataFrame(
                {
                    "time": pd.to_datetime(["2020-03-12 08:00", "2020-03-12 10:00"]),
                    "variable": "glucose",
                    "value": [9, 8],
                    "unit": "mmol/L",
                }
            )
        ),
        lambda r: times(r, "glucose") == [0, 120],
    ),
    "a wide table in seconds": lambda: judged(
        lambda: wide(
            "t,BG\n1583999000,9\n1584006200,8\n", time="t", columns={"BG": ("glucose", "mmol/L")}, time_unit="s"
        ),
        lambda r: times(r, "glucose") == [0, 120],
    ),
}


def _clock(cell: str, how: str = "2024-02-29T22:00", **more: Any) -> tp.Record:
    return tidy(f"{how},glucose,9,mmol/L\n{cell},glucose,8,mmol/L\n", **more)


MIDNIGHT: dict[str, Check] = {
    "24:00 at the end of February": lambda: judged(
        lambda: _clock("2024-02-29T24:00"), lambda r: times(r, "glucose") == [0, 120]
    ),
    "24:00:00 at the year's end": lambda: judged(
        lambda: _clock("2023-12-31 24:00:00", "2023-12-31 23:00:00"), lambda r: times(r, "glucose") == [0, 60]
    ),
    "24:30": lambda: judged(lambda: _clock("2024-02-29T24:30"), lambda r: False, names=["row 3"]),
    "half past eleven in the evening": lambda: judged(
        lambda: _clock("2024-02-29 11:30 PM", "2024-02-29 10:00 PM"), lambda r: times(r, "glucose") == [0, 90]
    ),
    "noon and midnight by halves": lambda: judged(
        lambda: _clock("2024-02-29 12:30 PM", "2024-02-29 12:30 AM"), lambda r: times(r, "glucose") == [0, 720]
    ),
    "day and month may be exchanged": lambda: judged(
        lambda: _clock("02/03/2024 23:00", "01/03/2024 23:00"), lambda r: False, names=["row 2", "date_format"]
    ),
    "a format is declared": lambda: judged(
        lambda: _clock("01.03.2024 01:00", "29.02.2024 23:00", date_format="%d.%m.%Y %H:%M"),
        lambda r: times(r, "glucose") == [0, 120],
    ),
    "a time of day alone": lambda: judged(lambda: _clock("23:30", "22:00"), lambda r: False, names=["row"]),
    "24:00 as the end of a drip": lambda: judged(
        lambda: tidy(
            "2024-02-29T20:00,glucose,9,mmol/L\n2024-03-01T02:00,glucose,8,mmol/L\n",
            "2024-02-29T22:00,2024-02-29T24:00,insulin,3,U/h\n",
        ),
        lambda r: amount(r, "insulin") == 360,
    ),
    "24:00 in the night of summer time": lambda: judged(
        lambda: _clock("2024-03-30T24:00", "2024-03-30T22:00", timezone="Europe/Berlin"),
        lambda r: times(r, "glucose") == [0, 120],
    ),
    "a date alone": lambda: judged(
        lambda: _clock("2024-03-01", "2024-02-29"), lambda r: times(r, "glucose") == [0, 1440], says=["midnight"]
    ),
}

SUGAR, DRAWN = chart("00:20", 225664, 160), lab("02:10", 50931, 240, stored="03:05")


def _known(until: str, **tables) -> tp.Record:
    return mimic.read(
        mimic_folder(_folder(), **{"charted": [SUGAR], "labs": [DRAWN], **tables}), STAY, only="glucose", until=until
    )


def _offsets(until: str) -> tp.Record:
    rows = [
        {"labresultoffset": time, "labname": "glucose", "labresult": value, "labresultrevisedoffset": known}
        for time, value, known in ((20, 160, 30), (130, 240, 185))
    ]
    return eicu.read(eicu_folder(_folder(), lab=rows), STAY, until=until)


def _typed(until: float) -> tp.Record:
    table = "time,variable,value,unit,known\n20,glucose,9,mmol/L,20\n130,glucose,13,mmol/L,185\n"
    return tidy(table).until(until)


KNOWN_LATER: dict[str, Check] = {
    "the laboratory of MIMIC, until the drawing": lambda: judged(
        lambda: _known("2.5 h"), lambda r: values(r, "glucose") == [160], refusable=False
    ),
    "until the result": lambda: judged(
        lambda: _known("3.2 h"), lambda r: times(r, "glucose") == [20, 130], refusable=False
    ),
    "cut afterwards": lambda: judged(
        lambda: _known("4 h").until("2.5 h"), lambda r: values(r, "glucose") == [160], refusable=False
    ),
    "the gas laboratory": lambda: judged(
        lambda: _known("2.5 h", labs=[lab("02:10", 50809, 240, stored="03:05")]),
        lambda r: values(r, "glucose") == [160],
        refusable=False,
    ),
    "a nurse knows the bedside value": lambda: judged(
        lambda: _known("2.5 h", charted=[chart("00:20", 225664, 160, stored="09:00")]),
        lambda r: values(r, "glucose") == [160],
        refusable=False,
    ),
    "a value copied from the laboratory is known when it is stored": lambda: judged(
        lambda: _known("2.5 h", charted=[SUGAR, chart("02:10", 220621, 240, stored="02:50")], labs=[]),
        lambda r: values(r, "glucose") == [160],
        refusable=False,
    ),
    "eICU": lambda: judged(lambda: _offsets("2.5 h"), lambda r: values(r, "glucose") == [160], refusable=False),
    "eICU, later": lambda: judged(
        lambda: _offsets("3.2 h"), lambda r: times(r, "glucose") == [20, 130], refusable=False
    ),
    "a tidy column": lambda: judged(lambda: _typed(150), lambda r: values(r, "glucose") == [9], refusable=False),
    "between two times": lambda: judged(
        lambda: _typed(400).between(150, 200),
        lambda r: times(r, "glucose") == [130] and values(r, "glucose") == [13],
        refusable=False,
    ),
    "a row of insulin charted late": lambda: judged(
        lambda: tidy(
            "0,glucose,9,mmol/L\n300,glucose,8,mmol/L\n",
            "start,end,variable,rate,unit,known\n60,120,insulin,3,U/h,150\n",
        ).until(100),
        lambda r: rates(r, "insulin", 90) in ([], [0.0]),
        refusable=False,
    ),
    "a column of knowing by another name": lambda: judged(
        lambda: tidy("time,variable,value,unit,storetime\n20,glucose,9,mmol/L,20\n130,glucose,13,mmol/L,185\n"),
        lambda r: times(r, "glucose") == [20, 130],
        says=["not read: storetime"],
    ),
    "known before it was taken": lambda: judged(
        lambda: tidy("time,variable,value,unit,known\n130,glucose,13,mmol/L,20\n"), lambda r: False, names=["known"]
    ),
    "a wide table": lambda: judged(
        lambda: tp.read_wide(
            io.StringIO("t,out,BG\n20,20,9\n130,185,13\n"), time="t", known="out", columns={"BG": ("glucose", "mmol/L")}
        ).until(150),
        lambda r: values(r, "glucose") == [9],
        refusable=False,
    ),
    "a moment known in local time": lambda: judged(
        lambda: tidy(
            "time,variable,value,unit,known\n2024-03-31T01:30,glucose,9,mmol/L,2024-03-31T01:30\n2024-03-31T03:30,glucose,13,mmol/L,2024-03-31T04:30\n",
            timezone="Europe/Berlin",
        ).until(100),
        lambda r: values(r, "glucose") == [9],
        refusable=False,
    ),
}

KINDS = {
    "03 known later than taken": KNOWN_LATER,
    "21 a clock is set back": CLOCKS_CHANGE,
    "26 epochs and spreadsheet days": EPOCHS,
    "30 midnight and the halves of a day": MIDNIGHT,
}
