"""The reader of charted hemodynamics, and the mistakes that are made at the bedside."""

import numpy as np
import pytest

import twinprob as tp
from twinprob.readers import bedside, hemodynamics

# An invented person; the columns are those of the public schema.


def day(clock):
    return f"2150-01-02 {clock}:00"


def chart(*rows):
    head = "icustay_id,itemid,charttime,valuenum,valueuom,error\n"
    return head + "".join(f"111,{item},{day(clock)},{value},mmHg,{error}\n" for item, clock, value, error in rows)


def running(*rows):
    head = (
        "icustay_id,itemid,starttime,endtime,amount,amountuom,rate,rateuom,statusdescription,ordercategoryname,"
        "patientweight\n"
    )
    return head + "".join(f"111,{item},{day(a)},{day(b)},{rest},80\n" for item, a, b, rest in rows)


def charted(*rows):
    head = "icustay_id,itemid,charttime,amount,amountuom,rate,rateuom,linkorderid,stopped\n"
    return head + "".join(f"111,{item},{day(clock)},{rest}\n" for item, clock, rest in rows)


@pytest.fixture
def stay(tmp_path):
    """Read the invented stay with the given tables."""

    def read(measured=((220052, "09:00", 70, 0),), given="", noted="", **options):
        tables = {
            "icustays": f"subject_id,hadm_id,icustay_id,intime,outtime\n1,11,111,{day('08:00')},2150-01-05 08:00:00\n",
            "patients": "subject_id,gender,dob\n1,F,2090-06-05 00:00:00\n",
            "chartevents": chart(*measured),
        }
        if given:
            tables["inputevents_mv"] = given
        if noted:
            tables["inputevents_cv"] = noted
        for name, text in tables.items():
            (tmp_path / f"{name}.csv").write_text(text)
        return hemodynamics.read(tmp_path, 111, **options)

    return read


# ---- pressures -------------------------------------------------------------------------------------------------------


def test_line_and_cuff_are_kept_apart(stay):
    record = stay([(220052, "09:00", 70, 0), (220181, "09:00", 82, 0)])
    assert record.observations["mean_arterial_pressure"].values.tolist() == [70.0]
    assert record.observations["cuff_mean_pressure"].values.tolist() == [82.0]


@pytest.mark.parametrize("value", [0, 300, 650, -6])
def test_an_artefact_is_left_out_and_counted(stay, value):
    record = stay([(220052, "09:00", 70, 0), (220052, "10:00", value, 0)])
    assert record.observations["mean_arterial_pressure"].times.tolist() == [60.0]
    assert record.skipped["mean_arterial_pressure: artefact, not 20 to 200"] == 1


def test_a_value_charted_as_an_error_is_left_out_and_counted(stay):
    record = stay([(220052, "09:00", 70, 0), (220052, "10:00", 75, 1)])
    assert record.skipped["mean_arterial_pressure: charted as an error"] == 1


def test_a_systole_below_diastole_takes_the_mean_with_it(stay):
    rows = [(220050, "10:00", 60, 0), (220051, "10:00", 80, 0), (220052, "10:00", 66, 0), (220052, "11:00", 70, 0)]
    record = stay(rows)
    assert record.observations["mean_arterial_pressure"].times.tolist() == [180.0]
    assert "systolic_pressure" not in record.observations
    assert record.skipped["systolic_pressure: systolic not above diastolic"] == 1


def test_a_systole_equal_to_diastole_is_no_pulse(stay):
    record = stay([(220050, "10:00", 60, 0), (220051, "10:00", 60, 0), (220052, "11:00", 70, 0)])
    assert record.names == ("mean_arterial_pressure",)


def test_two_lines_at_one_time_are_averaged_and_counted(stay):
    record = stay([(220052, "09:00", 70, 0), (225312, "09:00", 80, 0)])
    assert record.observations["mean_arterial_pressure"].values.tolist() == [75.0]
    assert record.skipped["mean_arterial_pressure: averaged with another value at the same time"] == 1


# ---- drugs -----------------------------------------------------------------------------------------------------------

DRIP = "0.48,mg,0.1,mcg/kg/min,FinishedRunning,01-Drips"


def test_a_drip_holds_from_start_to_end(stay):
    course = stay(given=running((221906, "09:00", "10:00", DRIP))).inputs["norepinephrine"]
    assert (course.at(59.0), course.at(60.0), course.at(119.0), course.at(120.0)) == (0.0, 0.1, 0.1, 0.0)
    assert course.unit == "ug/kg/min"


def test_a_rewritten_row_is_left_out_and_counted(stay):
    old = DRIP.replace("FinishedRunning", "Rewritten")
    record = stay(given=running((221906, "09:00", "10:00", old), (221906, "09:00", "11:00", DRIP)))
    assert record.inputs["norepinephrine"].at(90.0) == pytest.approx(0.1)
    assert record.skipped["norepinephrine: rewritten"] == 1


def test_a_rate_per_minute_is_divided_by_the_weight(stay):
    drip = DRIP.replace("0.1,mcg/kg/min", "8,mcg/min")
    assert stay(given=running((221906, "09:00", "10:00", drip))).inputs["norepinephrine"].at(90.0) == pytest.approx(0.1)


def test_vasopressin_in_units_an_hour_becomes_units_a_minute(stay):
    drip = "2.4,units,2.4,units/hour,FinishedRunning,01-Drips"
    assert stay(given=running((222315, "09:00", "10:00", drip))).inputs["vasopressin"].at(90.0) == pytest.approx(0.04)


def test_a_pump_rate_without_a_concentration_is_left_out_and_counted(stay):
    drip = DRIP.replace("0.1,mcg/kg/min", "8,mL/hour")
    record = stay(given=running((221906, "09:00", "10:00", drip)))
    assert "norepinephrine" not in record.inputs
    assert record.skipped["norepinephrine: unit that needs a concentration or a weight"] == 1


def test_a_rate_per_minute_charted_as_one_per_kilogram_is_left_out_and_counted(stay):
    record = stay(given=running((221906, "09:00", "10:00", DRIP.replace("0.48,mg,0.1,", "38.4,mg,8,"))))
    assert record.skipped["norepinephrine: rate above 6 ug/kg/min"] == 1


def test_a_carevue_rate_holds_until_the_next_and_a_stop_ends_it(stay):
    rows = [(30120, "09:00", ",,0.1,mcgkgmin,1,"), (30120, "10:00", ",,0.2,mcgkgmin,1,"),
            (30120, "11:00", ",,0.2,mcgkgmin,1,Stopped")]  # fmt: skip
    weighed = [(220052, "09:00", 70, 0), (762, "09:00", 80, 0)]
    course = stay(weighed, noted=charted(*rows)).inputs["norepinephrine"]
    assert course.at(np.array([90.0, 150.0, 200.0])).tolist() == [0.1, 0.2, 0.0]


@pytest.mark.parametrize(("first", "second", "counts"), [("", "", 0.2), ("Stopped", "", 0.0), ("", "Stopped", 0.0)])
def test_of_two_carevue_rows_at_one_time_a_stop_counts_and_else_the_later(stay, first, second, counts):
    rows = [(30120, "09:00", f",,0.1,mcgkgmin,1,{first}"), (30120, "09:00", f",,0.2,mcgkgmin,1,{second}"),
            (30120, "08:30", ",,0.3,mcgkgmin,1,")]  # fmt: skip
    weighed = [(220052, "09:00", 70, 0), (762, "09:00", 80, 0)]
    assert stay(weighed, noted=charted(*rows)).inputs["norepinephrine"].at(90.0) == counts


def test_a_carevue_rate_without_another_row_holds_for_four_hours(stay):
    weighed = [(220052, "09:00", 70, 0), (762, "09:00", 80, 0)]
    course = stay(weighed, noted=charted((30120, "09:00", ",,0.1,mcgkgmin,1,"))).inputs["norepinephrine"]
    assert course.at(np.array([60.0, 299.0, 300.0])).tolist() == [0.1, 0.1, 0.0]


# ---- fluids ----------------------------------------------------------------------------------------------------------

PUSH = "500,ml,,,FinishedRunning,03-IV Fluid Bolus"


def test_a_bolus_without_a_duration_is_left_out_and_counted(stay):
    record = stay(given=running((225158, "09:00", "09:01", PUSH)))
    assert "crystalloid" not in record.inputs
    assert record.skipped["crystalloid: bolus without a duration (give `bolus_duration`)"] == 1


def test_a_bolus_runs_over_the_stated_duration(stay):
    course = stay(given=running((225158, "09:00", "09:01", PUSH)), bolus_duration="30 min").inputs["crystalloid"]
    assert (course.ends[0] - course.starts[0], course.rates[0], bool(course.bolus[0])) == (30.0, 500.0 / 30.0, True)


def test_an_infusion_of_an_hour_needs_no_other_duration(stay):
    given = running((225158, "09:00", "10:00", "500,ml,,,FinishedRunning,02-Fluids (Crystalloids)"))
    course = stay(given=given).inputs["crystalloid"]
    assert (course.ends[0] - course.starts[0], course.rates[0]) == (60.0, pytest.approx(500.0 / 60.0))


def test_a_negative_volume_is_left_out_and_counted(stay):
    record = stay(given=running((225158, "09:00", "10:00", PUSH.replace("500", "-500"))), bolus_duration=30.0)
    assert "crystalloid" not in record.inputs
    assert record.skipped["crystalloid: negative amount"] == 1


def test_a_carevue_volume_ran_in_during_the_hour_before(stay):
    course = stay(noted=charted((30018, "10:00", "120,ml,,,1,"))).inputs["crystalloid"]
    assert (course.starts[0], course.ends[0], course.rates[0]) == (60.0, 120.0, 2.0)


def test_nothing_of_the_future_is_read(stay):
    record = stay([(220052, "09:00", 70, 0), (220052, "10:00", 80, 0)], until="90 min")
    assert record.observations["mean_arterial_pressure"].times.tolist() == [60.0]


def test_the_fourth_layout_is_read_like_the_third(tmp_path):
    (tmp_path / "icu").mkdir()
    (tmp_path / "hosp").mkdir()
    tables = {
        "icu/icustays": f"subject_id,hadm_id,stay_id,intime,outtime\n1,11,111,{day('08:00')},2150-01-05 08:00:00\n",
        "hosp/patients": "subject_id,gender,anchor_age,anchor_year\n1,F,60,2150\n",
        "icu/chartevents": chart((220052, "09:00", 70, 0))
        .replace("icustay_id", "stay_id")
        .replace(",error", ",warning"),
        "icu/inputevents": running((221906, "09:00", "10:00", DRIP)).replace("icustay_id", "stay_id"),
    }
    for name, text in tables.items():
        (tmp_path / f"{name}.csv").write_text(text)
    record = hemodynamics.read(tmp_path, 111)
    assert record.observations["mean_arterial_pressure"].values.tolist() == [70.0]
    assert record.inputs["norepinephrine"].at(90.0) == 0.1
    assert record.covariates["age"].value == 60.0


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="No table icustays"):
        hemodynamics.load(tmp_path)


def test_a_stay_that_does_not_exist_is_refused(stay, tmp_path):
    stay()
    with pytest.raises(ValueError, match="Argument `stay` must be a stay of the folder"):
        hemodynamics.read(tmp_path, 999)


def test_the_demo_holds_the_stays_that_were_counted(shared_data):
    listed = hemodynamics.stays(shared_data / "mimic-iii-demo")
    assert len(listed.query("arterial > 0 and norepinephrine > 0")) == 25


# ---- typed in at the bedside -----------------------------------------------------------------------------------------


def test_a_pump_rate_needs_the_concentration():
    with pytest.raises(ValueError, match="mL/h, a pump's rate, which is no dose without the syringe's concentration"):
        bedside.infusion("norepinephrine", 0, 60, 8.0, "mL/h", weight=80.0)


def test_a_pump_rate_with_its_concentration_is_a_dose():
    given = bedside.infusion("norepinephrine", 0, 60, 8.0, "mL/h", concentration=(0.06, "mg/mL"), weight=80.0)
    assert given["norepinephrine"].rates[0] == pytest.approx(8.0 * 60.0 / 60.0 / 80.0)


def test_a_rate_per_minute_taken_for_one_per_kilogram_is_refused_with_the_unit_that_explains_it():
    with pytest.raises(ValueError, match=r"norepinephrine rate 0, declared in ug/kg/min.*In ug/min every rate would"):
        bedside.infusion("norepinephrine", 0, 60, 8.0, "ug/kg/min", weight=80.0)


def test_vasopressin_an_hour_taken_for_a_minute_is_refused():
    with pytest.raises(ValueError, match=r"vasopressin rate 0, declared in U/min.*In U/h every rate would"):
        bedside.infusion("vasopressin", 0, 60, 2.4, "U/min")


def test_a_dose_without_a_weight_says_that_it_needs_one():
    with pytest.raises(ValueError, match="needs the patient's weight"):
        bedside.infusion("norepinephrine", 0, 60, 8.0, "ug/min")


def test_an_unknown_drug_lists_the_known_ones():
    with pytest.raises(ValueError, match="must be one of norepinephrine, vasopressin"):
        bedside.infusion("levophed", 0, 60, 8.0, "ug/min")


def test_a_mean_pressure_of_650_is_refused_without_its_value():
    with pytest.raises(ValueError, match=r"mean_arterial_pressure\[1\] is outside 20 to 200 mmHg") as caught:
        bedside.pressures([0.0, 60.0], mean=[70.0, 650.0])
    assert "650" not in str(caught.value)


def test_kilopascals_are_read_as_such():
    found = bedside.pressures([0.0], mean=[9.3], unit="kPa")["mean_arterial_pressure"]
    assert found[1][0] == pytest.approx(69.76, abs=0.01)


def test_a_systolic_below_the_diastolic_is_refused():
    with pytest.raises(ValueError, match=r"systolic_pressure\[0\] must be above diastolic_pressure\[0\]"):
        bedside.pressures([0.0], systolic=[60.0], diastolic=[80.0])


def test_a_bolus_needs_its_duration():
    with pytest.raises(ValueError, match="crystalloid: a bolus needs the `duration` it took"):
        bedside.fluid("crystalloid", 0, 500.0)


def test_a_negative_bolus_is_refused():
    with pytest.raises(ValueError, match="crystalloid bolus 1 must have a volume of 0 or more"):
        bedside.fluid("crystalloid", [0, 60], [500.0, -250.0], duration="15 min")


def test_a_bolus_in_liters_taken_for_milliliters_flows_too_fast():
    with pytest.raises(ValueError, match="crystalloid bolus 0 would flow faster than 500 mL/min"):
        bedside.fluid("crystalloid", 0, 500.0, "L", duration="15 min")


def test_a_bolus_in_milliliters_that_are_liters_is_refused():
    with pytest.raises(ValueError, match="crystalloid bolus 0 is less than 2 mL: check its `unit`, which may be L"):
        bedside.fluid("crystalloid", 0, 0.5, "mL", duration="15 min")


@pytest.mark.parametrize("concentration", [(0.0, "ug/mL"), (-60.0, "ug/mL"), (60.0, "ug")])
def test_a_concentration_that_is_none_is_refused(concentration):
    with pytest.raises(ValueError, match="`concentration` of norepinephrine must be above zero and in a unit of drug"):
        bedside.infusion("norepinephrine", 0, 60, 8.0, "mL/h", concentration=concentration, weight=80.0)


@pytest.mark.parametrize("given", [{"systolic": [110.0, 70.0]}, {"diastolic": [60.0, 85.0]}])
def test_a_mean_beyond_the_other_two_is_refused(given):
    with pytest.raises(ValueError, match=r"mean_arterial_pressure\[1\] must lie between diastolic and systolic"):
        bedside.pressures([0.0, 60.0], mean=[75.0, 80.0], **given)


def test_pressures_without_a_time_each_are_refused():
    with pytest.raises(ValueError, match="mean_arterial_pressure must have one value for each of 1 times, but has 2"):
        bedside.pressures([0.0], mean=[70.0, 72.0])


def test_a_checked_bedside_makes_a_record():
    given = bedside.infusion("norepinephrine", 0, np.inf, 8.0, "ug/min", weight=80.0)
    given = given | bedside.fluid("crystalloid", 30, 500.0, duration="15 min")
    record = tp.Record.build(
        bedside.pressures([0.0, 60.0], mean=[62.0, 70.0]), given, {"weight": (80.0, "kg")}, own=hemodynamics.NAMES
    )
    assert record.inputs["crystalloid"].at(35.0) == pytest.approx(500.0 / 15.0)
