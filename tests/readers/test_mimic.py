import gzip

import numpy as np
import pandas as pd
import pytest

from twinprob.patient.nutrition import glucose_content
from twinprob.readers import mimic

# Invented people; the columns are those of the public schema.
STAYS_OF_METABOLIC_8_1 = (249805, 203766, 201006, 273347, 210989, 286020, 256345, 290490, 248755, 290513, 228977,
                          258147, 210474)  # fmt: skip
DEMO = "mimic-iii-demo"
DRIPS = """itemid,label,linksto
30045,Insulin,inputevents_cv
30013,D5W,inputevents_cv
30090,Tube Feeding,inputevents_cv
223258,Insulin - Regular,inputevents_mv
223262,Insulin - Humalog,inputevents_mv
220949,Dextrose 5%,inputevents_mv
220952,Dextrose 50%,inputevents_mv
225936,Replete with Fiber (Full),inputevents_mv
226049,Replete with Fiber (2/3),inputevents_mv
"""


def day(clock, month="01"):
    return f"2150-{month}-02 {clock}:00"


def write(folder, tables, *, upper=False, packed=False):
    for name, text in tables.items():
        header, _, rows = text.partition("\n")
        text = (header.upper() if upper else header) + "\n" + rows
        path = folder / ((name.upper() if upper else name) + (".csv.gz" if packed else ".csv"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return folder


def third(**tables):
    return {
        "icustays": f"subject_id,hadm_id,icustay_id,intime,outtime\n1,11,111,{day('08:00')},2150-01-05 08:00:00\n",
        "patients": "subject_id,gender,dob\n1,F,2090-06-05 00:00:00\n",
        "d_items": DRIPS,
        "labevents": f"subject_id,itemid,charttime,value,valuenum,valueuom\n1,50931,{day('09:00')},180,180,mg/dL\n",
        "chartevents": "icustay_id,itemid,charttime,value,valuenum,valueuom,error\n",
        **tables,
    }


def charted(*rows):
    head = "icustay_id,itemid,charttime,amount,rate,linkorderid,stopped"
    return "\n".join([head, *(f"111,{item},{day(clock)},{rest}" for item, clock, rest in rows)]) + "\n"


def running(*rows):
    head = "icustay_id,itemid,starttime,endtime,amount,amountuom,rate,rateuom,statusdescription,ordercategoryname"
    return "\n".join([head, *(f"111,{item},{day(a)},{day(b)},{rest}" for item, a, b, rest in rows)]) + "\n"


def chart(*rows, month="01"):
    head = "icustay_id,itemid,charttime,value,valuenum,valueuom,error"
    return (
        "\n".join([head, *(f"111,{item},{day(clock, month)},{v},{v},mg/dL,{error}" for item, clock, v, error in rows)])
        + "\n"
    )


def read(folder, **tables):
    return mimic.read(write(folder, third(**tables)), 111)


@pytest.mark.parametrize(("upper", "packed"), [(False, False), (True, False), (False, True), (True, True)])
def test_the_third_layout_is_read_in_every_spelling(tmp_path, upper, packed):
    record = mimic.read(write(tmp_path, third(), upper=upper, packed=packed), 111)
    assert (record.observations["glucose"].times[0], record.observations["glucose"].values[0]) == (60.0, 180.0)


def test_the_fourth_layout_is_read(tmp_path):
    tables = {
        "icu/icustays": f"subject_id,hadm_id,stay_id,intime,outtime\n1,11,111,{day('08:00')},2150-01-05 08:00:00\n",
        "icu/d_items": DRIPS,
        "icu/chartevents": f"stay_id,itemid,charttime,valuenum,valueuom\n111,225664,{day('10:00')},150,mg/dL\n",
        "icu/inputevents": running((223258, "09:00", "11:00", "6,units,3,units/hour,Changed,01-Drips")).replace(
            "icustay_id", "stay_id"
        ),
        "hosp/labevents": third()["labevents"],
        "hosp/patients": "subject_id,gender,anchor_age,anchor_year\n1,M,60,2148\n",
        "hosp/diagnoses_icd": "subject_id,hadm_id,icd_code,icd_version\n1,11,E1165,10\n",
    }
    record = mimic.read(write(tmp_path, tables, packed=True), 111)
    found = {name: covariate.value for name, covariate in record.covariates.items()}
    assert found == {"age": 62.0, "sex": "male", "diabetic_status": "type2"}
    np.testing.assert_array_equal(record.observations["glucose"].times, [60, 120])
    assert record.inputs["insulin"].at(90) == 3.0


def test_a_folder_without_stays_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No table icustays\.csv"):
        mimic.load(tmp_path)


def test_an_unknown_stay_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`stay` must be a stay of the folder"):
        mimic.read(write(tmp_path, third()), 999)


def test_a_stay_without_glucose_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Empty record"):
        read(tmp_path, labevents="subject_id,itemid,charttime,value,valuenum,valueuom\n")


def test_a_laboratory_value_charted_again_counts_once(tmp_path):
    record = read(tmp_path, chartevents=chart((220621, "09:00", 180, 0)))
    assert (record.observations["glucose"].times.size, record.skipped["glucose: the same value charted twice"]) == (
        1,
        1,
    )


def test_in_summer_the_laboratory_value_moves_to_the_clock_of_the_chart(tmp_path):
    record = read(tmp_path, chartevents=chart((220621, "10:00", 180, 0)))
    np.testing.assert_array_equal(record.observations["glucose"].times, [120])


def test_different_values_at_one_time_are_averaged_and_counted(tmp_path):
    record = read(tmp_path, chartevents=chart((807, "09:00", 200, 0)))
    assert record.observations["glucose"].values[0] == 190.0
    assert record.skipped["glucose: averaged with another value at the same time"] == 1


@pytest.mark.parametrize(
    ("row", "why"),
    [((225664, "10:00", 150, 1), "charted as an error"), ((225664, "10:00", 99999, 0), "implausible"),
     ((225664, "10:00", "", 0), "not a number")],
)  # fmt: skip
def test_a_row_left_out_is_counted(tmp_path, row, why):
    record = read(tmp_path, chartevents=chart(row))
    assert (record.observations["glucose"].times.size, record.skipped[f"glucose: {why}"]) == (1, 1)


def test_a_value_beyond_the_analyzer_is_a_detection_limit(tmp_path):
    labs = third()["labevents"] + f"1,50931,{day('11:00')},GREATER THAN 500,,\n"
    series = read(tmp_path, labevents=labs).observations["glucose"]
    np.testing.assert_array_equal([series.values, series.limits], [[180, 500], [0, 1]])


def test_a_carevue_rate_holds_until_the_next(tmp_path):
    rows = ((30045, "09:00", ",2,7,"), (30045, "10:30", ",5,7,"), (30045, "12:00", ",5,7,Stopped"))
    course = read(tmp_path, inputevents_cv=charted(*rows)).inputs["insulin"]
    np.testing.assert_array_equal(course.at([59, 60, 149, 150, 239, 240]), [0, 2, 2, 5, 5, 0])


def test_a_carevue_rate_does_not_hold_forever(tmp_path):
    course = read(tmp_path, inputevents_cv=charted((30045, "09:00", ",2,7,"))).inputs["insulin"]
    assert course.ends[0] == 60 + mimic.HOLD


def test_carevue_amounts_beside_rates_are_not_given_twice(tmp_path):
    rows = (
        (30045, "09:00", ",2,7,"),
        (30045, "10:00", "2,,7,"),
        (30045, "10:00", ",2,7,"),
        (30045, "11:00", "2,,7,Stopped"),
    )
    record = read(tmp_path, inputevents_cv=charted(*rows))
    course = record.inputs["insulin"]
    assert (course.rates * (course.ends - course.starts)).sum() / 60 == pytest.approx(4.0)
    assert record.skipped["insulin: amount already counted by its charted rate"] == 2


def test_carevue_amounts_of_an_order_without_rates_are_boluses(tmp_path):
    course = read(tmp_path, inputevents_cv=charted((30045, "09:00", "5,,7,"))).inputs["insulin"]
    assert (course.bolus[0], course.at(60)) == (True, 300.0)


def test_carevue_volumes_ran_in_since_the_last_row(tmp_path):
    rows = ((30013, "09:00", "0,,7,"), (30013, "11:00", "200,,7,"))
    course = read(tmp_path, inputevents_cv=charted(*rows)).inputs["parenteral_glucose"]
    assert (course.starts[0], course.ends[0], course.rates[0]) == (
        60,
        180,
        pytest.approx(200 * 0.05 / 198.17 * 1000 / 120),
    )


def test_rewritten_rows_are_left_out_and_counted(tmp_path):
    rows = ((223258, "09:00", "11:00", "6,units,3,units/hour,Rewritten,01-Drips"),
            (223258, "09:00", "11:00", "8,units,4,units/hour,Changed,01-Drips"))  # fmt: skip
    record = read(tmp_path, inputevents_mv=running(*rows))
    assert (record.inputs["insulin"].at(90), record.skipped["insulin: rewritten"]) == (4.0, 1)


@pytest.mark.parametrize(
    ("item", "order", "name"),
    [(223258, "05-Med Bolus", "insulin"), (223258, "06-Insulin (Non IV)", "subcutaneous_insulin"),
     (223262, "06-Insulin (Non IV)", "subcutaneous_insulin")],
)  # fmt: skip
def test_insulin_under_the_skin_is_kept_apart(tmp_path, item, order, name):
    rows = (item, "09:00", "09:01", f"10,units,,,FinishedRunning,{order}")
    record = read(tmp_path, inputevents_mv=running(rows))
    assert (record.inputs.names, record.inputs[name].at(60)) == ((name,), pytest.approx(600.0))


def test_a_dextrose_push_delivers_its_glucose(tmp_path):
    rows = (220952, "09:00", "09:01", "50,ml,,,FinishedRunning,05-Med Bolus")
    course = read(tmp_path, inputevents_mv=running(rows)).inputs["parenteral_glucose"]
    assert (course.rates * (course.ends - course.starts)).sum() == pytest.approx(25 / 198.17 * 1000)


def test_a_diluted_feed_delivers_its_share(tmp_path):
    rows = ((225936, "09:00", "10:00", "60,ml,60,mL/hour,Changed,13-Enteral Nutrition"),
            (226049, "10:00", "11:00", "60,ml,60,mL/hour,Changed,13-Enteral Nutrition"))  # fmt: skip
    course = read(tmp_path, inputevents_mv=running(*rows)).inputs["enteral_glucose"]
    assert course.at(150) == pytest.approx(course.at(90) * 2 / 3)


def test_an_amount_in_another_unit_is_left_out_and_counted(tmp_path):
    rows = (223258, "09:00", "11:00", "6,dose,3,units/hour,Changed,01-Drips")
    record = read(tmp_path, inputevents_mv=running(rows))
    assert record.skipped["insulin: unusable unit"] == 1


def test_weight_is_the_median_of_the_first_day(tmp_path):
    rows = ((224639, "09:00", 90, 0), (226512, "10:00", 80, 0), (224639, "15:00", 81, 0))
    assert read(tmp_path, chartevents=chart(*rows)).weight == 81.0


@pytest.mark.parametrize(
    ("born", "age"), [("2090-06-05", 59), ("2090-01-02", 60), ("2061-01-02", 89), ("1850-01-01", 90)]
)
def test_age_is_counted_in_years_and_hidden_above_89(tmp_path, born, age):
    record = read(tmp_path, patients=f"subject_id,gender,dob\n1,F,{born} 00:00:00\n")
    assert record.covariates["age"].value == age


@pytest.mark.parametrize(
    ("code", "status"), [("25000", "type2"), ("25001", "type1"), ("25083", "type1"), ("4019", "none")]
)
def test_diabetic_status_is_read_from_the_codes(tmp_path, code, status):
    record = read(tmp_path, diagnoses_icd=f"subject_id,hadm_id,icd9_code\n1,11,{code}\n")
    assert record.covariates["diabetic_status"].value == status


def test_until_returns_what_was_known(tmp_path):
    folder = write(tmp_path, third(chartevents=chart((225664, "12:00", 150, 0))))
    assert mimic.read(folder, 111, until="2 h") == mimic.read(folder, 111).until("2 h")


def test_stays_are_listed(tmp_path):
    listed = mimic.stays(write(tmp_path, third()))
    assert listed.to_dict("records") == [{"stay": 111, "hours": 72.0, "glucose": 0, "insulin": 0}]


@pytest.mark.parametrize(
    ("label", "name", "content"),
    [
        ("Dextrose 5%", "parenteral_glucose", 0.2523),
        ("D5 1/2NS", "parenteral_glucose", 0.2523),
        ("D51/4NS+100MeqNaHCO3", "parenteral_glucose", 0.2523),
        ("D50.45%NS + 60MQ KCL", "parenteral_glucose", 0.2523),
        ("Dextrose 2,5% / Saline 0,45%", "parenteral_glucose", 0.1262),
        ("D10W", "parenteral_glucose", 0.5046),
        ("Dextrose 20.%", "parenteral_glucose", 1.0092),
        ("D50%", "parenteral_glucose", 2.5231),
        ("TPN D17.5", "parenteral_glucose", 0.8831),
        ("Impact with Fiber (1/2)", "enteral_glucose", 0.3747),
        ("Glucerna 1.5 (Full)", "enteral_glucose", 0.7388),
        ("Osmolite 1.5 (3/4)", "enteral_glucose", 0.8476),
        ("Jevity 1.2", "enteral_glucose", 0.9403),
        ("Vital 1.5 (Full)", "enteral_glucose", 1.0213),
        ("Nutren 2.0 (Full)", "enteral_glucose", 1.0879),
        ("Fibersource HN (Full)", "enteral_glucose", 0.8881),
        ("Nepro (Full)", "enteral_glucose", 0.9159),
        ("1/2 str. Nepro", "enteral_glucose", 0.4579),
        ("Imp/fiberHALF", "enteral_glucose", 0.3747),
        ("Unheard of 1.5 (Full)", "enteral_glucose", 1.0407),
        ("D5NS", "parenteral_glucose", 0.2523),
        ("Clinimix E 5/15", "parenteral_glucose", 0.7569),
    ],
)
def test_labels_are_read_for_their_glucose(label, name, content):
    found = glucose_content(label)
    assert found is not None
    assert found[0] == name
    assert found[1] == pytest.approx(content, rel=2e-3)


@pytest.mark.parametrize("label", ["NaCl 0.9%", "Dextran 40", "PD 2.5% Dextrose", "Lipids 20%", "Gastric Meds", "LR",
                                   "Beneprotein"])  # fmt: skip
def test_labels_without_glucose_for_the_blood_have_none(label):
    assert glucose_content(label) is None


@pytest.fixture(scope="module")
def demo(request):
    return mimic.load(request.getfixturevalue("shared_data") / DEMO)


@pytest.mark.parametrize("stay", STAYS_OF_METABOLIC_8_1)
def test_a_demo_stay_has_insulin_and_glucose(demo, stay):
    record = mimic.read(demo, stay)
    assert record.observations["glucose"].times.size >= 6
    assert "insulin" in record.inputs


def pairs(demo, stay):
    """Count what lies between the first and the last IV insulin: distinct times, averaged away, summer copies."""
    record = mimic.read(demo, stay)
    charted, running = demo.charted, demo.running
    old = charted[
        (charted["stay"] == stay) & (charted["item"] == 30045) & ((charted["rate"] > 0) | (charted["amount"] > 0))
    ]
    new = running[
        (running["stay"] == stay)
        & (running["item"] == 223258)
        & running["rate"].notna()
        & (running["status"] != "Rewritten")
    ]
    admission = demo.stays.set_index("stay")["intime"][stay]
    edges = pd.concat([old["time"], new["start"], new["end"]])
    first, last = ((edge - admission).total_seconds() / 60 for edge in (edges.min(), edges.max()))

    def inside(times):
        return int(((times >= first) & (times <= last)).sum())

    why = ("glucose: averaged with another value at the same time",
           "glucose: laboratory value charted again an hour later (summer time)")  # fmt: skip
    gone = [
        inside(np.concatenate([np.zeros(0), *(x.times for x in record.ledger if x.why == reason)])) for reason in why
    ]
    return np.array([inside(record.observations["glucose"].times), *gone])


def test_the_demo_reproduces_the_published_count_of_pairs(demo):
    moments, averaged, copies = sum(pairs(demo, stay) for stay in STAYS_OF_METABOLIC_8_1)
    # 995 pairs at 989 times by the recipe, which counts a laboratory value and its copy an hour later as two.
    assert (moments + averaged + copies, moments + copies) == (pytest.approx(995, abs=3), pytest.approx(989, abs=3))


def test_charted_amounts_agree_with_charted_rates_in_the_demo(demo):
    # Why amounts are no boluses: over all CareVue orders they add up to what the rates deliver.
    rows = demo.charted[demo.charted["item"] == 30045]
    with_rates = rows.groupby(["stay", "chain"])["rate"].transform("count") > 0
    amounts = rows["amount"][with_rates].sum()
    doses = 0.0
    for stay in rows["stay"].unique():
        course = mimic.read(demo, int(stay)).inputs["insulin"]
        carried = ~course.bolus
        doses += (course.rates * (course.ends - course.starts))[carried].sum() / 60
    assert amounts == pytest.approx(doses, rel=0.15)
