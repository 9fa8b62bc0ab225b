"""Rows of what was given: charted twice, replaced, ended before they began, without ends."""

import io

import numpy as np

import twinprob as tp
from tests.validation.door import Check, amount, judged, rates, tidy, values, wide
from twinprob.readers import bedside

SUGAR = "0,glucose,9,mmol/L\n300,glucose,8,mmol/L\n"

CHARTED_TWICE: dict[str, Check] = {
    "a dose twice": lambda: judged(
        lambda: tidy(SUGAR, "20,,insulin,4,U\n20,,insulin,4,U\n"),
        lambda r: amount(r, "insulin") == 4,
        says=["insulin", "twice"],
    ),
    "a dose in both tables": lambda: judged(
        lambda: tp.read_tidy(
            io.StringIO("time,end,variable,value,unit\n0,,glucose,9,mmol/L\n20,,insulin,4,U\n"),
            io.StringIO("start,end,variable,rate,unit\n20,,insulin,4,U\n"),
        ),
        lambda r: amount(r, "insulin") == 4,
        says=["insulin"],
    ),
    "a dose twice, once in mU": lambda: judged(
        lambda: tidy(SUGAR, "20,,insulin,4,U\n20,,insulin,4000,mU\n"),
        lambda r: amount(r, "insulin") == 4,
        says=["insulin"],
    ),
    "a drip twice": lambda: judged(
        lambda: tidy(SUGAR, "0,120,insulin,3,U/h\n0,120,insulin,3,U/h\n"),
        lambda r: amount(r, "insulin") == 360,
        says=["insulin"],
    ),
    "glucose by mouth twice": lambda: judged(
        lambda: tidy(SUGAR, "30,40,oral_glucose,20,g\n30,40,oral_glucose,20,g\n"),
        lambda r: (
            abs(r.inputs["oral_glucose"].to("mmol/min", variable="oral_glucose").amount(0, 100) - 20 / 0.18016) < 1e-3
        ),
        says=["oral_glucose"],
    ),
    "two orders of one dose are two": lambda: judged(
        lambda: tidy(SUGAR, "start,end,variable,rate,unit,order\n20,,insulin,4,U,a\n20,,insulin,4,U,b\n"),
        lambda r: amount(r, "insulin") == 8,
    ),
    "twice by hand": lambda: judged(
        lambda: tp.Inputs.bolus("insulin", [20, 20], [4, 4], "U"),
        lambda i: i["insulin"].amount(0, 60) == 4,
        names=["insulin"],
    ),
    "a measurement twice": lambda: judged(
        lambda: tidy("0,glucose,9,mmol/L\n0,glucose,9,mmol/L\n60,glucose,8,mmol/L\n"),
        lambda r: values(r, "glucose") == [9, 8],
        says=["glucose"],
    ),
    "two values of one time": lambda: judged(
        lambda: tidy("0,glucose,9,mmol/L\n0,glucose,7,mmol/L\n60,glucose,8,mmol/L\n"),
        lambda r: False,
        names=["glucose"],
    ),
    "two settings of one time": lambda: judged(
        lambda: tidy(
            "0,plateau_pressure,24,cmH2O\n", "start,end,variable,rate,unit\n0,,peep,8,cmH2O\n0,,peep,12,cmH2O\n"
        ),
        lambda r: False,
        names=["peep"],
    ),
    "a setting twice": lambda: judged(
        lambda: tidy(
            "0,plateau_pressure,24,cmH2O\n", "start,end,variable,rate,unit\n0,,peep,8,cmH2O\n0,,peep,8,cmH2O\n"
        ),
        lambda r: rates(r, "peep", 30.0) == [8],
        says=["peep"],
    ),
}

A_NEW_ROW_REPLACES: dict[str, Check] = {
    "a drip stopped": lambda: judged(
        lambda: tidy(SUGAR, "0,inf,insulin,1.5,U/h\n40,80,insulin,0,U/h\n"),
        lambda r: rates(r, "insulin", 20, 60, 100) == [1.5, 0, 0],
    ),
    "three that overlap": lambda: judged(
        lambda: tidy(SUGAR, "0,30,insulin,4,U/h\n10,40,insulin,1,U/h\n20,50,insulin,2.5,U/h\n"),
        lambda r: rates(r, "insulin", 5, 15, 25, 45, 55) == [4, 1, 2.5, 2.5, 0],
    ),
    "in another order of rows": lambda: judged(
        lambda: tidy(SUGAR, "20,50,insulin,2.5,U/h\n0,30,insulin,4,U/h\n10,40,insulin,1,U/h\n"),
        lambda r: rates(r, "insulin", 5, 15, 25, 45, 55) == [4, 1, 2.5, 2.5, 0],
    ),
    "rows in two units": lambda: judged(
        lambda: tidy(SUGAR, "0,120,insulin,3,U/h\n60,120,insulin,20,mU/min\n"),
        lambda r: np.allclose(r.inputs["insulin"].to("U/h").at([30, 90]), [3, 1.2]),
    ),
    "a vasopressor": lambda: judged(
        lambda: tidy(
            "0,mean_arterial_pressure,66,mmHg\n0,weight,78,kg\n",
            "0,120,norepinephrine,0.2,ug/kg/min\n60,120,norepinephrine,0.1,ug/kg/min\n",
        ),
        lambda r: np.allclose(r.inputs["norepinephrine"].to("ug/kg/min", weight=78).at([30, 90]), [0.2, 0.1]),
    ),
    "a second PEEP": lambda: judged(
        lambda: tidy(
            "0,plateau_pressure,24,cmH2O\n", "start,end,variable,rate,unit\n0,600,peep,8,cmH2O\n60,600,peep,12,cmH2O\n"
        ),
        lambda r: rates(r, "peep", 30, 90) == [8, 12],
    ),
    "two orders add": lambda: judged(
        lambda: tidy(SUGAR, "start,end,variable,rate,unit,order\n0,120,insulin,1,U/h,a\n60,120,insulin,2,U/h,b\n"),
        lambda r: rates(r, "insulin", 30, 90) == [1, 3],
    ),
    "a bolus beside a drip adds": lambda: judged(
        lambda: tidy(SUGAR, "0,120,insulin,1,U/h\n60,,insulin,5,U\n"),
        lambda r: abs(r.inputs["insulin"].to("U/min").amount(0, 120) - 7) < 1e-9,
    ),
    "a wide table": lambda: judged(
        lambda: wide(
            "t,BG,pump\n0,9,2\n60,8,\n120,8,0\n180,7,\n",
            time="t",
            columns={"BG": ("glucose", "mmol/L")},
            inputs={"pump": ("insulin", "U/h")},
        ),
        lambda r: rates(r, "insulin", 30, 90, 150) == [2, 2, 0],
    ),
    "too much in sum": lambda: judged(
        lambda: tidy(
            "0,plateau_pressure,24,cmH2O\n",
            "start,end,variable,rate,unit,order\n0,60,crystalloid,300,mL/min,a\n0,60,crystalloid,300,mL/min,b\n",
        ),
        lambda r: False,
        names=["crystalloid"],
    ),
}

NEITHER_END_NOR_DOSE: dict[str, Check] = {
    "no column of ends": lambda: judged(
        lambda: tidy(SUGAR, "start,variable,rate,unit\n0,insulin,1,U/h\n60,insulin,4,U/h\n150,insulin,0,U/h\n"),
        lambda r: rates(r, "insulin", 30, 90, 200) == [1, 4, 0],
        refusable=False,
    ),
    "the last row has no end": lambda: judged(
        lambda: tidy(SUGAR, "start,variable,rate,unit\n0,insulin,1,U/h\n60,insulin,4,U/h\n"),
        lambda r: False,
        names=["insulin", "row 3"],
    ),
    "volume without a concentration": lambda: judged(
        lambda: tidy(SUGAR, "0,90,insulin,3,mL/h\n"), lambda r: False, names=["insulin", "concentration"]
    ),
    "volume with a concentration": lambda: judged(
        lambda: tidy(SUGAR, "0,90,insulin,3,mL/h\n", concentrations={"insulin": (0.5, "U/mL")}),
        lambda r: abs(r.inputs["insulin"].to("U/h").at(30.0) - 1.5) < 1e-12,
    ),
    "a bolus of no length": lambda: judged(
        lambda: tidy(SUGAR, "15,15,insulin,6,U\n"), lambda r: abs(r.inputs["insulin"].amount(0, 60) - 6) < 1e-9
    ),
    "a rate of no length": lambda: judged(
        lambda: tidy(SUGAR, "15,15,insulin,6,U/h\n"), lambda r: False, names=["insulin", "row 2"]
    ),
    "an amount over its span": lambda: judged(
        lambda: tidy(SUGAR, "0,120,insulin,6,U\n"), lambda r: abs(r.inputs["insulin"].to("U/h").at(60.0) - 3) < 1e-9
    ),
    "a syringe of norepinephrine": lambda: judged(
        lambda: bedside.infusion("norepinephrine", 0, 60, 6, "mL/h", concentration=(80, "ug/mL"), weight=80)[
            "norepinephrine"
        ].at(30.0),
        lambda rate: abs(rate - 0.1) < 1e-12,
        refusable=False,
    ),
    "amount and rate that disagree": lambda: judged(
        lambda: tidy(SUGAR, "start,end,variable,rate,unit,amount,amount_unit\n0,120,insulin,2,U/h,9,U\n"),
        lambda r: False,
        says=["insulin"],
        names=["insulin", "row 2"],
    ),
}

ENDS_FIRST: dict[str, Check] = {
    "a tidy drip": lambda: judged(
        lambda: tidy(SUGAR, "120,60,insulin,2,U/h\n"), lambda r: False, names=["insulin", "row 2"]
    ),
    "a dose": lambda: judged(lambda: tidy(SUGAR, "120,60,insulin,2,U\n"), lambda r: False, names=["insulin", "row 2"]),
    "a feed": lambda: judged(
        lambda: tidy(SUGAR, "240,180,enteral_glucose,0.4,mmol/min\n"),
        lambda r: False,
        names=["enteral_glucose", "row 2"],
    ),
    "a negative rate": lambda: judged(
        lambda: tidy(SUGAR, "0,60,insulin,-2,U/h\n"), lambda r: False, names=["insulin", "row 2"]
    ),
    "a negative dose": lambda: judged(
        lambda: tidy(SUGAR, "0,,insulin,-2,U\n"), lambda r: False, names=["insulin", "row 2"]
    ),
    "a setting": lambda: judged(
        lambda: tidy("0,plateau_pressure,24,cmH2O\n", "60,0,peep,8,cmH2O\n"), lambda r: False, names=["peep", "row 2"]
    ),
    "at the bedside": lambda: judged(
        lambda: bedside.infusion("dopamine", 60, 0, 5, "ug/kg/min", weight=80), lambda i: False, names=["dopamine"]
    ),
}

KINDS = {
    "08 charted twice": CHARTED_TWICE,
    "09 a new row replaces the old": A_NEW_ROW_REPLACES,
    "19 ends before it starts": ENDS_FIRST,
    "32 rates without ends, volumes, doses of no length": NEITHER_END_NOR_DOSE,
}
