"""The reader of eICU, on invented tables with the public columns and on the ventilated half of the demo."""

import gzip

import numpy as np
import pytest

from twinprob.readers import eicu

PATIENT = (
    "patientunitstayid,uniquepid,gender,age,admissionheight,admissionweight,unitdischargeoffset\n"
    "100,001-1,Male,> 89,175,80,3000\n101,001-1,Male,> 89,175,80,900\n"
)
HEADS = {
    "lab": "patientunitstayid,labresultoffset,labname,labresult,labresultrevisedoffset",
    "respiratoryCharting": (
        "patientunitstayid,respchartoffset,respchartentryoffset,respchartvaluelabel,respchartvalue"
    ),
    "nurseCharting": (
        "patientunitstayid,nursingchartoffset,nursingchartentryoffset,nursingchartcelltypevallabel,nursingchartvalue"
    ),
    "infusionDrug": "patientunitstayid,infusionoffset,drugname,drugrate,patientweight",
    "vitalPeriodic": (
        "patientunitstayid,observationoffset,sao2,heartrate,cvp,systemicsystolic,systemicdiastolic,systemicmean"
    ),
    "vitalAperiodic": "patientunitstayid,observationoffset,noninvasivemean,cardiacoutput",
    "intakeOutput": "patientunitstayid,intakeoutputoffset,celllabel,cellvaluenumeric,intakeoutputentryoffset",
}  # fmt: skip
VITALS = {"vitalPeriodic": ["30,97,88,10,120,60,80"]}


def write(folder, tables, *, upper=False, packed=False):
    texts = {"patient": PATIENT}
    for name, rows in tables.items():
        head = HEADS[name].upper() if upper else HEADS[name]
        texts[name] = "\n".join([head, *(f"100,{row}" for row in rows)]) + "\n"
    for name, text in texts.items():
        path = folder / (name + (".csv.gz" if packed else ".csv"))
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return folder


def read(folder, options=None, **tables):
    return eicu.read(write(folder, {**VITALS, **tables}), 100, **(options or {}))


@pytest.mark.parametrize(("upper", "packed"), [(False, False), (True, False), (False, True)])
def test_the_layout_is_read_in_every_spelling(tmp_path, upper, packed):
    record = eicu.read(write(tmp_path, VITALS, upper=upper, packed=packed), 100)
    seen = {name: float(series.values[0]) for name, series in record.observations.items()}
    assert seen == {
        "pulse_saturation": 97.0, "heart_rate": 88.0, "central_venous_pressure": 10.0, "systolic_pressure": 120.0,
        "diastolic_pressure": 60.0, "mean_arterial_pressure": 80.0,
    }  # fmt: skip


def test_what_is_fixed_about_a_patient_is_read(tmp_path):
    record = read(tmp_path)
    found = {name: covariate.value for name, covariate in record.covariates.items()}
    assert found == {"weight": 80.0, "height": 175.0, "age": 90.0, "sex": "male"}


def test_a_result_is_known_when_it_was_revised(tmp_path):
    folder = write(tmp_path, {**VITALS, "lab": ["60,glucose,180,110"]})
    series = eicu.read(folder, 100).observations["glucose"]
    assert (series.times.tolist(), series.known.tolist()) == ([60.0], [110.0])
    assert "glucose" not in eicu.read(folder, 100, until=100.0).observations


def test_what_was_charted_is_known_when_it_was_entered(tmp_path):
    record = read(tmp_path, respiratoryCharting=["60,95,PEEP,8"], nurseCharting=["60,70,Bedside Glucose,150"])
    assert record.inputs["peep"].known.tolist() == [95.0]
    assert record.observations["glucose"].known.tolist() == [70.0]


@pytest.mark.parametrize(
    ("value", "expected", "limit"), [("LO", 20.0, -1), ("HIGH", 600.0, 1), (">500", 500.0, 1), ("61 L", 61.0, 0)]
)
def test_a_text_that_is_a_value_is_one(tmp_path, value, expected, limit):
    record = read(tmp_path, {"limits": {"glucose": (20, 600, "mg/dL")}}, lab=[f"60,bedside glucose,{value},60"])
    series = record.observations["glucose"]
    assert (series.values.tolist(), series.limits.tolist()) == ([expected], [limit])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("HI", "above the meter's limit, which is not known (say limits=)"),
        ("clotted", "no number but 'clotted'"),
        ("90-110", "no number but another text"),
    ],
)
def test_a_text_that_is_none_is_counted_by_its_words(tmp_path, value, reason):
    record = read(tmp_path, lab=[f"60,glucose,{value},60"])
    assert "glucose" not in record.observations
    assert record.skipped[f"glucose: {reason}"] == 1


def test_two_settings_of_one_time_that_differ_are_counted_and_the_one_before_holds_on(tmp_path):
    rows = ["60,60,PEEP,8", "180,180,PEEP,5", "180,180,PEEP,12", "300,300,PEEP/CPAP,10"]
    record = read(tmp_path, respiratoryCharting=rows)
    assert record.inputs["peep"].at([200.0, 310.0]).tolist() == [8.0, 10.0]
    assert record.skipped["peep: two different settings at one time, the one before holds on"] == 2


def test_a_result_below_a_limit_is_a_detection_limit(tmp_path):
    series = read(tmp_path, lab=["60,bedside glucose,<40,60"]).observations["glucose"]
    assert (series.values.tolist(), series.limits.tolist()) == ([40.0], [-1])


def test_settings_of_every_spelling_are_read(tmp_path):
    rows = ["60,60,PEEP/CPAP,8", "60,60,Set Vt (Servo,450", "60,60,Vent Rate,18", "60,60,FIO2 (%),40%"]
    rows[1] = '60,60,"Set Vt (Servo,LTV)",0.45'
    inputs = read(tmp_path, respiratoryCharting=rows).inputs
    found = {name: float(inputs[name].at(90.0)) for name in inputs.names}
    assert found == {"peep": 8.0, "tidal_volume": 0.45, "respiratory_rate": 18.0, "inspired_oxygen": 0.4}


def test_a_volume_in_milliliters_and_one_in_liters_are_the_same(tmp_path):
    rows = ["60,60,Exhaled TV (patient),480", "90,90,Tidal Volume Observed (VT),0.48"]
    assert read(tmp_path, respiratoryCharting=rows).observations["expired_tidal_volume"].values.tolist() == [0.48, 0.48]


def test_a_flow_of_oxygen_is_counted_and_not_a_fraction(tmp_path):
    record = read(tmp_path, respiratoryCharting=["60,60,LPM O2,4"])
    assert "inspired_oxygen" not in record.inputs
    assert record.skipped["inspired_oxygen: an oxygen flow in L/min, no fraction"] == 1


@pytest.mark.parametrize(
    ("name", "rate", "variable", "given"),
    [
        ("Norepinephrine (mcg/min)", 8, "norepinephrine", 0.1),
        ("Levophed (mcg/kg/min)", 0.1, "norepinephrine", 0.1),
        ("Norepinephrine STD 32 mg Dextrose 5% 500 ml (mcg/min)", 8, "norepinephrine", 0.1),
        ("EPINEPHrine(mcg/min)", 4, "epinephrine", 0.05),
        ("Vasopressin (units/min)", 0.04, "vasopressin", 0.04),
        ("Vasopressin 40 Units Sodium Chloride 0.9% 100 ml (units/hr)", 2.4, "vasopressin", 0.04),
        ("Insulin (units/hr)", 3, "insulin", 3.0),
        ("D5W (ml/hr)", 60, "parenteral_glucose", 0.2523),
    ],
)
def test_a_drug_is_read_with_the_unit_in_its_name(tmp_path, name, rate, variable, given):
    course = read(tmp_path, infusionDrug=[f"60,{name},{rate},80"]).inputs[variable]
    assert course.at(90.0) == pytest.approx(given, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "rate", "why"),
    [
        ("Norepinephrine (ml/hr)", 10, "norepinephrine: unit that needs a concentration or a weight"),
        ("Norepinephrine", 10, "norepinephrine: no unit in its name"),
        ("Vasopressin (units/min)", 1.2, "vasopressin: charted per minute, like units per hour"),
        ("Insulin (ml/hr)", 3, "insulin: unit that needs a concentration or a weight"),
        ("Insulin (units/hr)", "", "insulin: not a number"),
    ],
)
def test_a_rate_that_cannot_be_read_is_set_aside_and_counted(tmp_path, name, rate, why):
    record = read(tmp_path, infusionDrug=[f"60,{name},{rate},80"])
    assert record.inputs.names == ()
    assert record.skipped[why] == 1


def test_a_rate_holds_until_the_next_of_its_name_and_off_ends_it(tmp_path):
    rows = [f"{time},Insulin (units/hr),{rate},80" for time, rate in ((60, 2), (120, 4), (180, "OFF"))]
    course = read(tmp_path, infusionDrug=rows).inputs["insulin"]
    assert course.at(np.array([90.0, 150.0, 200.0])).tolist() == [2.0, 4.0, 0.0]


def test_a_volume_ran_in_during_the_hour_before_it_was_charted(tmp_path):
    course = read(tmp_path, intakeOutput=["120,Normal saline,120,125"]).inputs["crystalloid"]
    assert (course.at(90.0), course.known.tolist()) == (2.0, [125.0])


def test_a_gas_is_arterial_by_name_and_a_ph_by_the_oxygen_beside_it(tmp_path):
    rows = ["60,paO2,90,60", "60,pH,7.4,60", "120,pH,7.3,120"]
    record = read(tmp_path, lab=rows)
    assert record.observations["arterial_pH"].values.tolist() == [7.4]
    assert any("unknown site" in why for why in record.skipped)


def test_every_row_about_a_known_variable_has_one_line(tmp_path):
    tables = {
        "lab": ["60,glucose,180,110", "60,glucose - CSF,60,110", "60,sodium,140,110"],
        "respiratoryCharting": ["60,60,PEEP,8", "60,60,TV/kg IBW,6", "60,60,RR (patient),20", "60,60,LPM O2,4"],
        "infusionDrug": ["60,Insulin (units/hr),3,80", "60,Propofol (ml/hr),5,80"],
    }
    ledger = read(tmp_path, **tables).ledger
    counts = {source: ledger.select(source=source).count for source in ("lab", "respiratorycharting", "infusiondrug")}
    assert counts == {"lab": 2, "respiratorycharting": 3, "infusiondrug": 1}


def test_stays_of_one_person_share_a_token(tmp_path):
    folder = write(tmp_path, VITALS)
    path = folder / "vitalPeriodic.csv"
    path.write_text(path.read_text() + "101,30,96,80,9,110,55,70\n")
    tables = eicu.load(folder)
    assert eicu.read(tables, 100).person == eicu.read(tables, 101).person != ""


def test_stays_are_listed_with_their_rows(tmp_path):
    listed = eicu.stays(write(tmp_path, VITALS))
    assert listed.to_dict("records") == [
        {"stay": 100, "hours": 50.0, "rows": 6}, {"stay": 101, "hours": 15.0, "rows": 0},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "stay", "message"),
    [
        ({}, 999, "`stay` must be a stay"),
        ({"only": "liver"}, 100, "`only` must name"),
        ({"lead": -5.0}, 100, "`lead`"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path, options, stay, message):
    with pytest.raises(ValueError, match=message):
        eicu.read(write(tmp_path, VITALS), stay, **options)


def test_a_weight_that_fits_better_in_pounds_is_left_out_and_said(tmp_path):
    row = PATIENT.splitlines()[1]
    head = PATIENT.splitlines()[0].split(",")
    cells = dict(zip(head, row.split(","), strict=True)) | {"admissionheight": "182.9", "admissionweight": "190"}
    folder = write(tmp_path, VITALS)
    (folder / "patient.csv").write_text(",".join(head) + "\n" + ",".join(cells[name] for name in head) + "\n")
    record = eicu.read(folder, 100)
    assert ("weight" in record.covariates, record.notes) == (
        False, ("The weight charted is left out: in another unit it would be usual.",),
    )  # fmt: skip


def test_a_folder_without_patients_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No table patient\.csv"):
        eicu.load(tmp_path)


def test_the_ventilated_half_of_the_demo_is_read_and_balances(shared_data):
    tables = eicu.load(shared_data / "eicu-demo-lungs")
    records = {stay: eicu.read(tables, int(stay)) for stay in tables.patients["stay"]}
    plateaus = sum(
        r.observations["plateau_pressure"].times.size for r in records.values() if "plateau_pressure" in r.names
    )
    assert len(records) == 88
    assert all(record.ledger.count == len(tables.of(stay)) for stay, record in records.items())
    # 1,321 rows: the rest are repeats and not plausible
    assert plateaus > 0.9 * 1321
