"""What the MIMIC reader makes of rows that mean two things, come late, or come twice; and its account of them all."""

import gzip

import numpy as np
import pandas as pd
import pytest

from tests.readers.mimic_folder import given, write
from twinprob.readers import hemodynamics, mimic, ventilation

INSULIN, NOREPINEPHRINE, VASOPRESSIN, SALINE, D5 = 223258, 221906, 222315, 225158, 220949
GLUCOSE, PRESSURE, SATURATION, FRACTION = 225664, 220052, 220277, 223835
SEEN = [("00:30", GLUCOSE, 150)]
BEATS = [("00:30", PRESSURE, 65)]


def ran(course):
    """Return what a course gave in all."""
    return float(np.sum(course.rates * (course.lasting() - course.starts)))


# ---- known times -----------------------------------------------------------------------------------------------------


def test_a_laboratory_value_is_known_when_its_result_is_stored(tmp_path):
    record = mimic.read(write(tmp_path, labs=[("01:50", 50931, 250, "02:40")]), 100)
    assert (record.observations["glucose"].times[0], record.observations["glucose"].known[0]) == (110.0, 160.0)


def test_until_hides_a_result_that_is_not_stored_yet(tmp_path):
    folder = write(tmp_path, chart=SEEN, labs=[("01:50", 50931, 250, "02:40")])
    assert mimic.read(folder, 100, until="2 h").observations["glucose"].values.tolist() == [150.0]


@pytest.mark.parametrize(("chart_stored", "known"), [("02:10", 130.0), ("03:10", 160.0)])
def test_of_a_result_and_its_copy_the_earlier_known_time_holds(tmp_path, chart_stored, known):
    chart = [("01:50", 220621, 250, chart_stored)]
    series = mimic.read(write(tmp_path, chart=chart, labs=[("01:50", 50931, 250, "02:40")]), 100).observations[
        "glucose"
    ]
    assert (series.times.tolist(), series.known.tolist()) == ([110.0], [known])


def test_a_bedside_value_is_known_when_it_was_charted_though_validated_later(tmp_path):
    record = mimic.read(write(tmp_path, chart=[("00:30", GLUCOSE, 150, "04:00")]), 100)
    assert record.observations["glucose"].known.tolist() == [30.0]


def test_a_setting_that_reaches_back_is_known_at_its_row(tmp_path):
    chart = [("00:30", SATURATION, 97), ("02:00", 220339, 8)]
    course = ventilation.read(write(tmp_path, chart=chart), 100, lead="30 min").inputs["peep"]
    assert (course.starts.tolist(), course.known.tolist()) == ([90.0], [120.0])


def test_a_peep_does_not_reach_back_over_a_pressure_below_it(tmp_path):
    chart = [("01:50", 224696, 10), ("02:00", 220339, 14)]
    record = ventilation.read(write(tmp_path, chart=chart), 100, lead="30 min")
    assert record.observations["plateau_pressure"].values.tolist() == [10.0]
    assert record.inputs["peep"].starts.tolist() == [111.0]


# ---- the laboratory's clock ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "copy", "values"), [(50821, 220224, (70, 190)), (50818, 220235, (40, 61)), (50820, 223830, (7.31, 7.44))]
)
def test_two_samples_are_not_averaged_because_the_laboratory_is_an_hour_behind(tmp_path, item, copy, values):
    labs = [("00:30", item, values[0], None, 5), ("01:30", item, values[1], None, 6)]
    labs += [("01:30", 52033, "ART.", None, 6)]
    record = ventilation.read(write(tmp_path, chart=[("01:30", copy, values[0])], labs=labs), 100)
    (series,) = record.observations.values()
    assert (series.times.tolist(), series.values.tolist()) == ([90.0, 150.0], list(values))


def test_a_glucose_moves_with_the_clock_that_a_gas_shows(tmp_path):
    labs = [("00:30", 50821, 70), ("00:40", 50931, 180)]
    record = mimic.read(write(tmp_path, chart=[("01:30", 220224, 70)], labs=labs), 100)
    assert record.observations["glucose"].times.tolist() == [100.0]


# ---- whose blood -----------------------------------------------------------------------------------------------------


def gases(folder, label, oxygen, chart=()):
    labs = [("01:00", 50821, oxygen, None, 5), ("01:00", 50818, 52, None, 5)]
    labs += [("01:00", 52033, label, None, 5)] if label else []
    return ventilation.read(write(folder, chart=[("00:30", SATURATION, 97), *chart], labs=labs), 100)


@pytest.mark.parametrize(("label", "blood"), [("VEN.", "venous"), ("MIX.", "mixed"), ("CENTRAL VENOUS.", "venous")])
def test_other_blood_is_counted_as_what_it_is(tmp_path, label, blood):
    record = gases(tmp_path, label, 38)
    assert "arterial_oxygen" not in record.observations
    assert record.skipped[f"arterial_carbon_dioxide: not arterial blood ({blood})"] == 1


def test_a_copy_of_venous_blood_is_not_arterial_because_the_chart_says_so(tmp_path):
    record = gases(tmp_path, "VEN.", 38, chart=[("01:00", 220224, 38)])
    assert record.skipped["arterial_oxygen: copy of a sample that is not arterial blood"] == 1


@pytest.mark.parametrize(("oxygen", "used"), [(92, True), (38, False)])
def test_blood_without_a_label_is_arterial_only_by_its_oxygen(tmp_path, oxygen, used):
    record = gases(tmp_path, None, oxygen)
    assert ("arterial_carbon_dioxide" in record.observations) is used
    assert any("unknown site" in why for why in record.skipped) is not used


def test_blood_without_a_label_is_arterial_if_it_is_charted_so(tmp_path):
    record = gases(tmp_path, None, 38, chart=[("01:00", 220224, 38)])
    assert record.observations["arterial_carbon_dioxide"].values.tolist() == [52.0]


# ---- orders ----------------------------------------------------------------------------------------------------------

DRIP = given(INSULIN, "00:00", "02:00", 4, rate=2, rate_unit="units/hour", orderid=7, linkorderid=7)


def insulin(folder, *rows):
    return mimic.read(write(folder, chart=SEEN, inputs=rows, items=[(INSULIN, "Insulin - Regular")]), 100)


def test_the_same_row_of_the_same_order_counts_once_and_is_said(tmp_path):
    record = insulin(tmp_path, DRIP, DRIP)
    assert record.inputs["insulin"].at(60.0) == 2.0
    assert record.skipped["insulin: the same row of the same order once more"] == 1


def test_the_same_row_of_another_order_is_given_too(tmp_path):
    record = insulin(tmp_path, DRIP, {**DRIP, "orderid": 8, "linkorderid": 8})
    assert record.inputs["insulin"].at(60.0) == 4.0


def test_a_later_row_of_one_chain_replaces_the_earlier(tmp_path):
    later = given(INSULIN, "01:00", "03:00", 6, rate=3, rate_unit="units/hour", orderid=8, linkorderid=7)
    course = insulin(tmp_path, DRIP, later).inputs["insulin"]
    assert course.at(np.array([30.0, 90.0, 150.0])).tolist() == [2.0, 3.0, 3.0]


def test_two_doses_of_one_time_and_two_orders_are_two(tmp_path):
    dose = given(INSULIN, "01:00", "01:01", 5, orderid=1, linkorderid=1, ordercategoryname="05-Med Bolus")
    course = insulin(tmp_path, dose, {**dose, "orderid": 2, "linkorderid": 2}).inputs["insulin"]
    assert ran(course) / 60.0 == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (given(INSULIN, "03:00", "02:00", 2, rate=2, rate_unit="units/hour"), "ends before it starts"),
        (given(INSULIN, "02:00", "03:00", -2, rate=2, rate_unit="units/hour"), "negative amount"),
        (given(INSULIN, "02:00", "", 2, rate=2, rate_unit="units/hour"), "no time"),
        (given(INSULIN, "02:00", "03:00", 20, rate=2, rate_unit="units/hour"), "differ more than twofold"),
    ],
)
def test_a_row_that_cannot_be_is_set_aside_and_counted(tmp_path, row, why):
    record = insulin(tmp_path, row)
    assert "insulin" not in record.inputs
    assert sum(count for reason, count in record.skipped.items() if why in reason) == 1


def test_volumes_of_two_crystalloid_orders_add(tmp_path):
    rows = [given(SALINE, "01:00", "02:00", 60, "ml", 60, "mL/hour", orderid=n, linkorderid=n) for n in (1, 2)]
    record = hemodynamics.read(write(tmp_path, chart=BEATS, inputs=rows, items=[(SALINE, "NaCl 0.9%")]), 100)
    assert record.inputs["crystalloid"].at(90.0) == pytest.approx(2.0)


# ---- suspicion -------------------------------------------------------------------------------------------------------


def circulation(folder, *rows, chart=()):
    items = [(NOREPINEPHRINE, "Norepinephrine"), (VASOPRESSIN, "Vasopressin")]
    return hemodynamics.read(write(folder, chart=[*BEATS, *chart], inputs=rows, items=items), 100)


def test_vasopressin_charted_per_minute_is_per_hour_where_its_amount_says_so(tmp_path):
    record = circulation(tmp_path, given(VASOPRESSIN, "00:00", "01:00", 1.2, rate=1.2, rate_unit="units/min"))
    assert record.inputs["vasopressin"].at(30.0) == pytest.approx(0.02)
    assert "taken for a rate per hour, as its amount says" in [line.reason for line in record.ledger]


def test_vasopressin_like_units_per_hour_without_an_amount_is_set_aside(tmp_path):
    record = circulation(tmp_path, given(VASOPRESSIN, "00:00", "01:00", "", rate=1.2, rate_unit="units/min"))
    assert "vasopressin" not in record.inputs
    assert record.skipped["vasopressin: charted per minute, like units per hour"] == 1


def test_a_rate_per_kilogram_that_is_none_is_told_by_its_amount(tmp_path):
    row = given(NOREPINEPHRINE, "00:00", "01:00", 0.48, "mg", 8, "mcg/kg/min")
    record = circulation(tmp_path, row, chart=[("00:10", 226512, 80)])
    assert record.inputs["norepinephrine"].at(30.0) == pytest.approx(0.1)


def test_norepinephrine_per_minute_like_one_per_kilogram_is_set_aside(tmp_path):
    record = circulation(tmp_path, given(NOREPINEPHRINE, "00:00", "01:00", "", "mg", 0.1, "mcg/min"))
    assert record.skipped["norepinephrine: charted per minute, like a rate per kilogram"] == 1


@pytest.mark.parametrize("flow", [4, 6, 10, 15])
def test_an_oxygen_flow_is_no_fraction(tmp_path, flow):
    chart = [("00:30", SATURATION, 95), ("00:00", FRACTION, 50), ("02:00", FRACTION, flow), ("06:00", FRACTION, 0.4)]
    record = ventilation.read(write(tmp_path, chart=chart), 100)
    assert record.inputs["inspired_oxygen"].at(np.array([180.0, 400.0])).tolist() == [0.5, 0.4]
    assert record.skipped["inspired_oxygen: implausible, like an oxygen flow in L/min"] == 1


@pytest.mark.parametrize(("others", "value"), [((0.4, 0.5), 1.0), ((40, 50), 0.5)])
def test_a_one_is_pure_oxygen_among_fractions_and_a_flow_among_percentages(tmp_path, others, value):
    chart = [("00:30", SATURATION, 95), *[(f"0{n}:00", FRACTION, one) for n, one in enumerate((*others, 1), 1)]]
    record = ventilation.read(write(tmp_path, chart=chart), 100)
    assert record.inputs["inspired_oxygen"].at(200.0) == value


def test_one_wrong_weight_among_others_is_set_aside(tmp_path):
    chart = [("00:10", 226512, 182.0), ("06:00", 224639, 82.5), ("23:00", 224639, 83.0)]
    record = circulation(tmp_path, chart=chart)
    assert record.weight == 82.75
    assert record.skipped["weight: in another unit than charted, as the other readings say"] == 1


def test_a_weight_charted_again_is_a_change_that_is_not_known_before(tmp_path):
    days = [("2150-06-02 08:00:00", 84.0), ("2150-06-02 20:00:00", 84.0), ("2150-06-03 00:00:00", 86.0)]
    chart = [("00:10", 226512, 82.0), *[(time, 224639, value) for time, value in days]]
    record = circulation(tmp_path, chart=chart)
    assert record.weight == 82.0
    assert record.covariates["weight"].changes == ((1920.0, 84.0), (2880.0, 86.0))
    assert record.until(2000).covariates["weight"].changes == ((1920.0, 84.0),)
    assert record.between(2000, 2880).covariates["weight"].changes == ((2880.0, 86.0),)
    told = {line.reason: line.count for line in record.ledger.select(variable="weight")}
    assert told == {"": 1, "charted again: a change in the stay": 2, "says what was known": 1}


def test_a_weight_is_judged_by_what_the_pumps_were_set_to(tmp_path):
    row = given(NOREPINEPHRINE, "00:00", "01:00", 0.48, "mg", 0.1, "mcg/kg/min")
    assert circulation(tmp_path, row, chart=[("00:10", 226512, 176.4), ("02:00", 224639, 80)]).weight == 80.0


def test_a_height_in_inches_is_read_as_such(tmp_path):
    assert circulation(tmp_path, chart=[("00:10", 226730, 70)]).covariates["height"].value == pytest.approx(177.8)


# ---- settings --------------------------------------------------------------------------------------------------------


def test_a_setting_holds_until_its_next_row_however_long(tmp_path):
    chart = [("00:30", SATURATION, 95), ("01:00", 220339, 8)]
    assert ventilation.read(write(tmp_path, chart=chart), 100).inputs["peep"].at(2800.0) == 8.0


@pytest.mark.parametrize("standby", ["Standby", ("Standby", 30)])  # MIMIC-III writes the mode's number beside it
def test_a_ventilator_on_standby_sets_nothing_but_oxygen(tmp_path, standby):
    chart = [("00:30", SATURATION, 95), ("01:00", 220339, 8), ("01:00", FRACTION, 40), ("03:00", 223849, standby)]
    inputs = ventilation.read(write(tmp_path, chart=chart), 100).inputs
    assert np.isnan(inputs["peep"].at(200.0))
    assert inputs["inspired_oxygen"].at(200.0) == 0.4


def test_two_settings_of_one_time_that_differ_are_counted_and_the_one_before_holds_on(tmp_path):
    chart = [("00:30", SATURATION, 95), *[(time, 220339, peep) for time, peep in (("01:00", 8), ("03:00", 5))]]
    record = ventilation.read(write(tmp_path, chart=[*chart, ("03:00", 220339, 12), ("05:00", 220339, 10)]), 100)
    assert record.inputs["peep"].at([200.0, 310.0]).tolist() == [8.0, 10.0]
    assert record.skipped["peep: two different settings at one time, the one before holds on"] == 2


def test_of_two_items_of_one_time_the_setting_counts_before_what_shows_it(tmp_path):
    chart = [("00:30", SATURATION, 95), ("01:00", 505, 9), ("01:00", 506, 8)]
    record = ventilation.read(write(tmp_path, chart=chart), 100)
    assert record.inputs["peep"].at(120.0) == 8.0
    assert record.skipped["peep: another item charts the setting itself at the same time"] == 1


# ---- texts -----------------------------------------------------------------------------------------------------------

METER = {"glucose": (1.1, 33.3, "mmol/L")}
FINGER = 225664


@pytest.mark.parametrize(
    ("value", "expected", "limit"),
    [
        ("LO", 1.1 * 18.016, -1),
        ("high", 33.3 * 18.016, 1),
        ("<40", 40.0, -1),
        (("> 500", 500), 500.0, 1),
        ("< 2.2 mmol/L", 2.2 * 18.016, -1),
        ("112*", 112.0, 0),
    ],
)
def test_a_text_that_is_a_value_is_one(tmp_path, value, expected, limit):
    record = mimic.read(write(tmp_path, chart=[("01:00", FINGER, value)]), 100, limits=METER)
    series = record.observations["glucose"]
    assert (series.values.tolist(), series.limits.tolist()) == ([pytest.approx(expected)], [limit])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("LO", r"below the meter's limit, which is not known (say limits=)"),
        ("clotted", "no number but 'clotted'"),
        ("see Dr. Miller", "no number but another text"),
        ("", "not a number"),
    ],
)
@pytest.mark.parametrize(("item", "name"), [(FINGER, "glucose"), (220045, "heart_rate"), (220224, "arterial_oxygen")])
def test_a_text_that_is_none_is_counted_by_its_words(tmp_path, value, reason, item, name):
    record = mimic.read(write(tmp_path, chart=[("01:00", SATURATION, 95), ("01:00", item, value)]), 100)
    assert name not in record.observations
    assert record.skipped[f"{name}: {reason}"] == 1


@pytest.mark.parametrize(
    ("values", "kept", "limits", "reason"),
    [
        (("<40", 62), [62.0], [0], "a limit beside a value measured at the same time"),
        (("<40", "<60"), [40.0], [-1], "a wider limit at the same time"),
    ],
)
def test_a_limit_is_never_averaged(tmp_path, values, kept, limits, reason):
    record = mimic.read(write(tmp_path, chart=[("01:00", FINGER, value) for value in values]), 100)
    series = record.observations["glucose"]
    assert (series.values.tolist(), series.limits.tolist()) == (kept, limits)
    assert record.skipped[f"glucose: {reason}"] == 1


def test_limits_that_no_meter_has_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Argument `limits` of glucose must be the lowest and the highest"):
        mimic.read(write(tmp_path, chart=SEEN), 100, limits={"glucose": (600, 20, "mg/dL")})


# ---- the whole record ------------------------------------------------------------------------------------------------

WHOLE = {
    "chart": [*SEEN, *BEATS, ("00:30", SATURATION, 95), ("00:40", 226512, 80), ("00:50", 220050, "")],
    "labs": [("01:00", 50931, 170), ("01:00", 50821, 90)],
    "inputs": [
        DRIP,
        given(7, "01:00", "02:00", 30, "ml"),
        given(8, "01:00", "01:01", 50, "ml", ordercategoryname="14-x"),
    ],
    "items": [(INSULIN, "Insulin - Regular"), (7, "Levophed premixed"), (8, "PO Intake")],
}


def test_one_read_gives_every_domain_on_one_clock(tmp_path):
    record = mimic.read(write(tmp_path, **WHOLE), 100)
    assert set(record.names) == {"glucose", "pulse_saturation", "arterial_oxygen", "mean_arterial_pressure"}


@pytest.mark.parametrize(("only", "names"), [("glucose", {"glucose"}), (("circulation",), {"mean_arterial_pressure"})])
def test_only_some_domains_are_read_where_so_asked(tmp_path, only, names):
    assert set(mimic.read(write(tmp_path, **WHOLE), 100, only=only).names) == names


def test_an_unknown_domain_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="`only` must name domains among glucose, lungs, circulation, but has 'liver'"):
        mimic.read(write(tmp_path, **WHOLE), 100, only="liver")


def test_every_row_of_the_tables_has_one_line(tmp_path):
    ledger = mimic.read(write(tmp_path, **WHOLE), 100).ledger
    for table, count in (("chartevents", 5), ("labevents", 2), ("inputevents", 3)):
        rows = np.concatenate([line.rows for line in ledger.select(source=table)])
        assert sorted(rows.tolist()) == list(range(2, 2 + count)), table


def test_an_item_that_only_looks_like_a_drug_is_named(tmp_path):
    record = mimic.read(write(tmp_path, **WHOLE), 100)
    assert record.skipped["norepinephrine: item 'Levophed premixed' is not read"] == 1


def test_food_without_a_known_content_is_named(tmp_path):
    record = mimic.read(write(tmp_path, **WHOLE), 100)
    assert record.skipped["enteral_glucose: no carbohydrate known for 'PO Intake'"] == 1


def test_the_recognized_share_is_that_of_the_volume(tmp_path):
    rows = [given(n, "01:00", "02:00", ml, "ml", 60, "mL/hour", ordercategoryname="13-Enteral Nutrition")
            for n, ml in ((1, 60), (2, 30), (3, 10))]  # fmt: skip
    items = [(1, "Vital 1.5 (Full)"), (2, "Soup"), (3, "Free Water")]
    assert mimic.recognized(write(tmp_path, chart=SEEN, inputs=rows, items=items)) == pytest.approx(0.7)


def test_stays_of_one_person_share_a_token_that_does_not_name_them(tmp_path):
    stays = [{"subject_id": 1, "hadm_id": 10 + n, "stay_id": 100 + n} for n in (0, 1)]
    tables = mimic.load(write(tmp_path, chart=SEEN, labs=[("01:00", 50931, 170)], stays=stays))
    tokens = {mimic.read(tables, stay).person for stay in (100, 101)}
    assert len(tokens) == 1
    assert len(tokens.pop()) == 16


def test_a_stay_without_any_measurement_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="Empty record: no variable has a measured value"):
        mimic.read(write(tmp_path, inputs=[DRIP], items=[(INSULIN, "Insulin - Regular")]), 100)


def test_a_table_read_in_pieces_is_the_same(tmp_path, monkeypatch):
    folder = write(tmp_path, **WHOLE)
    whole = mimic.load(folder)
    monkeypatch.setattr("twinprob.readers._mimic_tables.PIECE", 2)
    pd.testing.assert_frame_equal(mimic.load(folder).chart, whole.chart, check_dtype=False)


# ---- tables that cannot be read --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"`chartevents\.csv` is empty, where row 1 must hold.*: export it again"),
        (b"what,else\n1,2\n", r"`chartevents\.csv` has no column itemid: row 1 must name"),
        (gzip.compress(b"subject_id,itemid\n" + b"1,2\n" * 999, mtime=0)[:-20], r"is cut short or damaged: copy or"),
    ],
    ids=["empty", "header", "cut"],
)
def test_a_table_that_cannot_be_read_is_named_with_the_remedy(tmp_path, content, said):
    folder = write(tmp_path, chart=SEEN)
    chart = tmp_path / "icu" / "chartevents.csv"
    chart.unlink()
    (chart if b"\x1f\x8b" not in content[:2] else chart.with_suffix(".csv.gz")).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        mimic.load(folder)
