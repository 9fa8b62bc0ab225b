"""Tables as they are typed and exported: limits, units, doubles, orders, times."""

import twinprob as tp
from tests.validation.door import Check, judged, rates, tidy, values, wide

METER = {"glucose": (20, 600, "mg/dL")}
SUGAR = "0,glucose,9,mmol/L\n300,glucose,8,mmol/L\n"


def _sides(record: tp.Record, name: str) -> list[int]:
    return record.observations[name].limits.tolist() if name in record.names else []


def _mgdl(record: tp.Record, name: str = "glucose") -> list[float]:
    """Return glucose in mg/dL, by hand."""
    one = record.observations[name]
    return [round(float(v) * (18.016 if one.unit == "mmol/L" else 1.0)) for v in one.values]


BEYOND_A_LIMIT: dict[str, Check] = {
    "a meter's LO without its limit": lambda: judged(
        lambda: tidy("0,glucose,7.1,mmol/L\n45,glucose,5.0,mmol/L\n95,glucose,LO,mmol/L\n"),
        lambda r: False,
        names=["row 4", "LO"],
    ),
    "HI with the limit in the other unit": lambda: judged(
        lambda: tidy("0,glucose,21,mmol/L\n45,glucose,HI,mmol/L\n", limits=METER),
        lambda r: _mgdl(r)[1] == 600 and _sides(r, "glucose") == [0, 1] and r.end == 45,
        refusable=False,
    ),
    "a meter's limits in another unit": lambda: judged(
        lambda: tidy("0,glucose,9,mmol/L\n45,glucose,LO,mmol/L\n", limits={"glucose": (20, 600, "mmol/L")}),
        lambda r: False,
        names=["limits", "mg/dL"],
    ),
    "a meter's limits exchanged": lambda: judged(
        lambda: tidy("0,glucose,9,mmol/L\n45,glucose,LO,mmol/L\n", limits={"glucose": (33, 1.1, "mmol/L")}),
        lambda r: False,
        names=["limits", "order"],
    ),
    "a lowest reading in another unit": lambda: judged(
        lambda: tidy("0,glucose,9,mmol/L\n45,glucose,LO,mmol/L\n", limits={"glucose": (20, None, "mmol/L")}),
        lambda r: False,
        names=["limits", "unit"],
    ),
    "LOW in mg/dL": lambda: judged(
        lambda: tidy("0,glucose,88,mg/dL\n30,glucose,low,mg/dL\n", limits=METER),
        lambda r: _mgdl(r)[1] == 20 and _sides(r, "glucose") == [0, -1],
        refusable=False,
    ),
    "a limit with its unit inside the cell": lambda: judged(
        lambda: tidy("0,lactate,1.9,mmol/L\n60,lactate,< 0.6 mmol/L,mmol/L\n"),
        lambda r: values(r, "lactate")[1] == 0.6 and _sides(r, "lactate") == [0, -1],
        refusable=False,
    ),
    "another unit inside the cell": lambda: judged(
        lambda: tidy("0,glucose,120,mg/dL\n60,glucose,<2.2 mmol/L,mg/dL\n"),
        lambda r: _mgdl(r) == [120, 40] and _sides(r, "glucose") == [0, -1],
    ),
    "above 500": lambda: judged(
        lambda: tidy("0,glucose,220,mg/dL\n60,glucose,>500,mg/dL\n"),
        lambda r: _mgdl(r)[1] == 500 and _sides(r, "glucose") == [0, 1],
        refusable=False,
    ),
    "a wide table": lambda: judged(
        lambda: wide("t,BG\n0,110\n60,LO\n", time="t", columns={"BG": ("glucose", "mg/dL")}, limits=METER),
        lambda r: _mgdl(r) == [110, 20] and _sides(r, "glucose") == [0, -1],
        refusable=False,
    ),
    "a wide table without the limit": lambda: judged(
        lambda: wide("t,BG\n0,110\n60,LO\n", time="t", columns={"BG": ("glucose", "mg/dL")}),
        lambda r: False,
        names=["LO"],
    ),
    "flags beside the number": lambda: judged(
        lambda: tidy("0,lactate,4.0 H,mmol/L\n60,lactate,5.0*,mmol/L\n"), lambda r: values(r, "lactate") == [4.0, 5.0]
    ),
    "what is no number": lambda: judged(
        lambda: tidy("0,lactate,4.0,mmol/L\n60,lactate,hemolyzed,mmol/L\n"),
        lambda r: values(r, "lactate") == [4.0],
        says=["hemolyzed"],
    ),
    "LO straight to a record": lambda: judged(
        lambda: tp.Record.build({"glucose": ([0, 45], [5.1, "LO"], "mmol/L")}),
        lambda r: False,
        names=["glucose[1]", "limit"],
    ),
    "an oxygen pressure above the meter": lambda: judged(
        lambda: tidy("0,arterial_oxygen,95,mmHg\n60,arterial_oxygen,>500,mmHg\n"),
        lambda r: _sides(r, "arterial_oxygen") == [0, 1],
        refusable=False,
    ),
}

ANOTHER_UNIT: dict[str, Check] = {
    "three low sugars in mg/dL": lambda: judged(
        lambda: tidy("0,glucose,81,mmol/L\n30,glucose,58,mmol/L\n60,glucose,47,mmol/L\n") and None,
        lambda r: False,
        names=["glucose", "mg/dL"],
    ),
    "one among three": lambda: judged(
        lambda: tidy("0,glucose,6.2,mmol/L\n30,glucose,4.9,mmol/L\n60,glucose,41,mmol/L\n"),
        lambda r: values(r, "glucose") == [6.2, 4.9],
        says=["glucose", "mg/dL"],
    ),
    "oxygen in kPa called mmHg": lambda: judged(
        lambda: tidy("0,arterial_oxygen,11.2,mmHg\n60,arterial_oxygen,12.9,mmHg\n"),
        lambda r: False,
        names=["arterial_oxygen", "kPa"],
    ),
    "one oxygen in kPa": lambda: judged(
        lambda: tidy("0,arterial_oxygen,88,mmHg\n60,arterial_oxygen,11.4,mmHg\n120,arterial_oxygen,92,mmHg\n"),
        lambda r: values(r, "arterial_oxygen") == [88, 92],
        says=["arterial_oxygen"],
    ),
    "lactate in mg/dL called mmol/L": lambda: judged(
        lambda: tidy("0,lactate,19,mmol/L\n60,lactate,24,mmol/L\n120,lactate,31,mmol/L\n"),
        lambda r: False,
        names=["lactate", "mg/dL"],
    ),
    "pressure in kPa": lambda: judged(
        lambda: tidy("0,mean_arterial_pressure,9.3,mmHg\n5,mean_arterial_pressure,10.1,mmHg\n"),
        lambda r: False,
        names=["mean_arterial_pressure"],
    ),
    "weight in pounds": lambda: judged(
        lambda: tp.Record.build(
            {"glucose": ([0], [8], "mmol/L")}, None, {"weight": (198, "kg"), "height": (178, "cm")}
        ),
        lambda r: False,
        names=["weight", "lb"],
    ),
    "height in inches": lambda: judged(
        lambda: tp.Record.build({"glucose": ([0], [8], "mmol/L")}, None, {"height": (69, "cm")}),
        lambda r: False,
        names=["height", "in"],
    ),
    "norepinephrine per minute called per kilogram": lambda: judged(
        lambda: tidy(
            "0,mean_arterial_pressure,66,mmHg\n0,weight,78,kg\n",
            "0,60,norepinephrine,9,ug/kg/min\n60,120,norepinephrine,12,ug/kg/min\n",
        ),
        lambda r: False,
        names=["norepinephrine"],
    ),
    "insulin per minute called per hour": lambda: judged(
        lambda: tidy(SUGAR, "0,60,insulin,2,U/min\n60,120,insulin,3,U/min\n"), lambda r: False, names=["insulin", "U/h"]
    ),
    "one insulin row in mU/min": lambda: judged(
        lambda: tidy(SUGAR, "0,60,insulin,2,U/h\n60,120,insulin,50,U/h\n120,180,insulin,3,U/h\n"),
        lambda r: rates(r, "insulin", 90.0) != [50.0],
        says=["insulin"],
    ),
    "hemoglobin in g/L called g/dL": lambda: judged(
        lambda: tp.Inputs.constant(hemoglobin=(98, "g/dL")), lambda r: False, names=["hemoglobin"]
    ),
    "a wide table in the other unit": lambda: judged(
        lambda: wide("t,BG\n0,118\n60,139\n", time="t", columns={"BG": ("glucose", "mmol/L")}),
        lambda r: False,
        names=["glucose"],
    ),
    "dopamine per kilogram called per minute": lambda: judged(
        lambda: tidy(
            "0,mean_arterial_pressure,66,mmHg\n0,weight,78,kg\n", "0,60,dopamine,5,ug/min\n60,120,dopamine,8,ug/min\n"
        ),
        lambda r: False,
        names=["dopamine"],
    ),
    "norepinephrine per kilogram called per minute": lambda: judged(
        lambda: tidy(
            "0,mean_arterial_pressure,66,mmHg\n0,weight,78,kg\n",
            "0,60,norepinephrine,0.1,ug/min\n60,120,norepinephrine,0.15,ug/min\n",
        ),
        lambda r: False,
        names=["norepinephrine"],
    ),
    "one norepinephrine row per minute among rows per kilogram": lambda: judged(
        lambda: tidy(
            "0,mean_arterial_pressure,66,mmHg\n0,weight,78,kg\n",
            "0,60,norepinephrine,0.1,ug/kg/min\n60,120,norepinephrine,5,ug/kg/min\n120,180,norepinephrine,0.12,ug/kg/min\n",
        ),
        lambda r: rates(r, "norepinephrine", 90.0) != [5.0],
        says=["norepinephrine"],
        names=["norepinephrine"],
    ),
    "one vasopressin row per hour among rows per minute": lambda: judged(
        lambda: tidy(
            "0,mean_arterial_pressure,66,mmHg\n",
            "0,60,vasopressin,0.04,U/min\n60,120,vasopressin,1.2,U/min\n120,180,vasopressin,0.03,U/min\n",
        ),
        lambda r: rates(r, "vasopressin", 90.0) != [1.2],
        says=["vasopressin"],
        names=["vasopressin"],
    ),
    "sugars of 40 in mmol/L": lambda: judged(
        lambda: tidy("0,glucose,35,mmol/L\n30,glucose,41,mmol/L\n60,glucose,44,mmol/L\n"),
        lambda r: False,
        names=["glucose", "mg/dL"],
    ),
    "carbon dioxide in kPa": lambda: judged(
        lambda: tidy("0,arterial_carbon_dioxide,5.3,mmHg\n60,arterial_carbon_dioxide,6.1,mmHg\n"),
        lambda r: False,
        names=["arterial_carbon_dioxide", "kPa"],
    ),
    "one tidal volume in mL called L": lambda: judged(
        lambda: tidy("0,expired_tidal_volume,0.45,L\n10,expired_tidal_volume,440,L\n"),
        lambda r: values(r, "expired_tidal_volume") == [0.45],
        says=["expired_tidal_volume", "mL"],
    ),
    "a plateau in kPa": lambda: judged(
        lambda: tidy("0,plateau_pressure,2.4,cmH2O\n10,plateau_pressure,2.6,cmH2O\n"),
        lambda r: False,
        names=["plateau_pressure"],
    ),
    "a saturation as a fraction": lambda: judged(
        lambda: tidy("0,pulse_saturation,0.96,%\n10,pulse_saturation,0.94,%\n"),
        lambda r: False,
        names=["pulse_saturation"],
    ),
    "a patient's own low sugar is trusted": lambda: judged(
        lambda: tidy("0,glucose,2.1,mmol/L\n30,glucose,5.5,mmol/L\n60,glucose,6.1,mmol/L\n"),
        lambda r: values(r, "glucose") == [2.1, 5.5, 6.1],
        refusable=False,
    ),
}


FLOW_FOR_FRACTION: dict[str, Check] = {
    "15 % given always": lambda: judged(
        lambda: tp.Inputs.constant(inspired_oxygen=(15, "%")), lambda i: False, names=["inspired_oxygen", "flow"]
    ),
    "a fraction of 6": lambda: judged(
        lambda: tp.Inputs.settings("inspired_oxygen", [0], [6], "1"), lambda i: False, names=["inspired_oxygen"]
    ),
    "a tidy row of 10 %": lambda: judged(
        lambda: tidy("0,pulse_saturation,94,%\n", "0,60,inspired_oxygen,10,%\n"),
        lambda r: False,
        names=["inspired_oxygen"],
    ),
    "a tidy row of 4 among fractions": lambda: judged(
        lambda: tidy(
            "0,pulse_saturation,94,%\n", "start,variable,rate,unit\n0,inspired_oxygen,0.5,1\n60,inspired_oxygen,4,1\n"
        ),
        lambda r: rates(r, "inspired_oxygen", 90) == [0.5],
        says=["inspired_oxygen"],
        names=["inspired_oxygen", "row 3"],
    ),
    "a wide column of flows": lambda: judged(
        lambda: wide(
            "t,sat,O2\n0,94,2\n60,95,3\n",
            time="t",
            columns={"sat": ("pulse_saturation", "%")},
            inputs={"O2": ("inspired_oxygen", "%")},
        ),
        lambda r: False,
        names=["inspired_oxygen"],
    ),
    "room air": lambda: judged(
        lambda: tp.Inputs.constant(inspired_oxygen=(21, "%")),
        lambda i: abs(i["inspired_oxygen"].at(0) - 21) < 1e-9 or i["inspired_oxygen"].at(0) == 0.21,
        refusable=False,
    ),
}


KINDS = {
    "05 beyond a limit is a value": BEYOND_A_LIMIT,
    "06 values that fit another unit": ANOTHER_UNIT,
    "13 an oxygen flow for a fraction": FLOW_FOR_FRACTION,
}
