import subprocess
import sys
from typing import Any

import numpy as np
import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinprob.patient import units

FINITE = st.floats(1e-6, 1e6, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "from_unit", "to_unit", "variable", "expected"),
    [
        (110.0, "mg/dL", "mmol/L", "glucose", 110 / 18.016),
        (3.0, "U/h", "mU/min", "insulin", 50.0),
        (6.0, "g/h", "mmol/min", "enteral_glucose", 6 / 0.18016 / 60),
        (100.0, "kcal/h", "mmol/min", "enteral_glucose", 100 / 4.0 / 0.18016 / 60),
        (100.0, "kcal/h", "mmol/min", "parenteral_glucose", 100 / 3.4 / 0.19817 / 60),
        (7.0, "uU/mL", "mU/L", "plasma_insulin", 7.0),
        (60.0, "pmol/L", "mU/L", "plasma_insulin", 10.0),
        (10.0, "cmH2O", "mbar", None, 9.80665),
        (1.0, "kPa", "mmHg", None, 7.500617),
        (50.0, "mL/cmH2O", "L/kPa", None, 0.05 / 0.0980665),
        (98.6, "degF", "degC", None, 37.0),
    ],
)
def test_conversions_give_the_textbook_value(value, from_unit, to_unit, variable, expected):
    assert units.convert(value, from_unit, to_unit, variable=variable) == pytest.approx(expected, rel=1e-6)


def test_a_dose_per_kilogram_is_multiplied_by_weight():
    assert units.convert(0.1, "ug/kg/min", "mg/h", weight=80.0) == pytest.approx(0.1 * 80 * 60 / 1000)


def test_a_glucose_infusion_per_kilogram_becomes_moles():
    found = units.convert(4.0, "mg/kg/min", "mmol/min", variable="parenteral_glucose", weight=80.0)
    assert found == pytest.approx(4 * 80 / 180.16)


@given(
    value=FINITE,
    pair=st.sampled_from(
        [
            ("mg/dL", "mmol/L", "glucose"),
            ("U/h", "mU/min", "insulin"),
            ("g/h", "mmol/min", "enteral_glucose"),
            ("kcal/d", "mmol/min", "parenteral_glucose"),
            ("mU/L", "pmol/L", "plasma_insulin"),
            ("lb", "kg", "weight"),
        ]
    ),
)
def test_conversion_there_and_back_is_the_identity(value, pair):
    one, other, variable = pair
    there = units.convert(value, one, other, variable=variable)
    assert units.convert(there, other, one, variable=variable) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("pair", "factor"), units._EVERYDAY.items())
def test_everyday_factors_agree_with_pint(pair, factor):
    registry: Any = pint.UnitRegistry()
    registry.define("insulin_unit = [insulin_activity]")
    one, other = (registry.Unit(units._spell(unit)) for unit in pair)
    assert registry.Quantity(1.0, one).to(other).magnitude == pytest.approx(factor, rel=1e-12)


def test_everyday_conversions_do_not_import_pint():
    code = (
        "import sys; from twinprob.patient import units;"
        "units.convert(3.0, 'U/h', 'mU/min'); units.convert(110.0, 'mg/dL', 'mmol/L', variable='glucose');"
        "sys.exit('pint' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("written", "house"),
    [
        ("units/hour", "U/h"),
        ("Uhr", "U/h"),
        ("mcg/kg/min", "ug/kg/min"),
        ("mcgkgmin", "ug/kg/min"),
        ("mg/dl", "mg/dL"),
        ("µIU/ml", "uU/mL"),
        ("mL per hour", "mL/h"),
        ("mmHg", "mmHg"),
    ],
)
def test_usual_spellings_become_the_house_spelling(written, house):
    assert units.normalize(written) == house


@pytest.mark.parametrize(
    ("text", "expected"), [("24 h", 1440), ("90 min", 90), ("2 d", 2880), ("30 s", 0.5), (12, 12), ("-1 h", -60)]
)
def test_times_are_read_in_minutes(text, expected):
    assert units.minutes(text) == expected


@pytest.mark.parametrize("text", ["12/03/2020 08:00", "90", "soon", "5 m", ""])
def test_a_text_that_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"must be a number with its unit, such as '24 h'"):
        units.minutes(text)


@pytest.mark.parametrize("thing", [None, True, [1.0]])
def test_a_time_of_another_type_is_refused(thing):
    with pytest.raises(TypeError, match="must be a number of minutes"):
        units.minutes(thing)


def test_a_time_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        units.minutes(float("nan"))


def test_a_dose_per_kilogram_without_weight_is_refused():
    with pytest.raises(ValueError, match=r"from ug/kg/min to ug/min needs the patient's weight: give a covariate"):
        units.convert(1.0, "ug/kg/min", "ug/min")


@pytest.mark.parametrize("unit", [None, "", "  ", float("nan")])
def test_a_missing_unit_is_refused(unit):
    with pytest.raises(ValueError, match="glucose has no unit: declare one such as 'mmol/L'"):
        units.check(unit, like="mmol/L", variable="glucose")


def test_a_unit_of_another_dimension_is_refused():
    with pytest.raises(ValueError, match="Unit 'mmHg' of glucose cannot become 'mmol/L': the dimensions differ"):
        units.check("mmHg", like="mmol/L", variable="glucose")


def test_moles_of_an_unnamed_substance_are_refused():
    with pytest.raises(ValueError, match="cannot become 'mmol/L'"):
        units.convert(1.0, "mg/dL", "mmol/L")


def test_the_enzyme_unit_is_not_the_insulin_unit():
    with pytest.raises(ValueError, match="the dimensions differ"):
        units.convert(1.0, "U", "umol/min")


@pytest.mark.parametrize("unit", ["foo/L", "mmol/", "//"])
def test_an_unknown_unit_is_refused(unit):
    with pytest.raises(ValueError, match="Unknown unit"):
        units.check(unit, like="mmol/L", variable="glucose")


def test_an_unknown_variable_names_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown variable 'glucos': did you mean 'glucose'\? .*own=\('glucos',\)"):
        units.known("glucos")


def test_an_input_among_observations_is_refused():
    with pytest.raises(ValueError, match="'insulin' belongs among the inputs, but was given among the observations"):
        units.known("insulin", kind="observation")


@pytest.mark.parametrize(
    ("variable", "unit", "expected"),
    [
        ("glucose", "mmol/L", 10 * 80.0),
        ("glucose", "mg/dL", 10 * 80.0 * 18.016),
        ("insulin", "U/h", 10 * 2000.0 * 0.06),
        ("temper", "1", np.inf),
    ],
)
def test_the_reach_is_ten_times_the_largest_plausible_value(variable, unit, expected):
    assert units.reach(variable, unit) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("value", "inside"), [(0.499, False), (0.5, True), (80.0, True), (80.1, False), (np.nan, False)]
)
def test_a_range_includes_its_ends_and_nothing_beyond(value, inside):
    assert units.plausible("glucose", np.array([value]), "mmol/L")[0] == inside


def test_glucose_in_the_wrong_unit_is_refused_with_the_right_one():
    with pytest.raises(ValueError, match=r"glucose\[1\], declared in mmol/L, is outside .* In mg/dL every value"):
        units.require_plausible("glucose", np.array([80.0, 110.0]), "mmol/L")


def test_a_refused_measurement_stays_out_of_the_message():
    with pytest.raises(ValueError, match="outside the plausible range") as caught:
        units.require_plausible("glucose", np.array([117.25]), "mmol/L")
    assert "117" not in str(caught.value)


def test_one_wrong_value_among_right_ones_is_named_by_its_index():
    with pytest.raises(ValueError, match=r"glucose\[2\].*1 of 3 values"):
        units.require_plausible("glucose", np.array([5.0, 6.0, 900.0]), "mmol/L")


def test_of_several_wrong_values_the_first_is_named():
    with pytest.raises(ValueError, match=r"glucose\[1\].*2 of 4 values"):
        units.require_plausible("glucose", np.array([5.0, 900.0, 6.0, 900.0]), "mmol/L")


@pytest.mark.parametrize(
    ("written", "house"),
    [
        ("mm[Hg]", "mmHg"),
        ("mm Hg", "mmHg"),
        ("cm[H2O]", "cmH2O"),
        ("cm H20", "cmH2O"),
        ("[iU]/h", "U/h"),
        ("m[iU]/L", "mU/L"),
        ("u[IU]/mL", "uU/mL"),
        ("bpm", "1/min"),
        ("rpm", "1/min"),
        ("insp/min", "1/min"),
        ("breaths/min", "1/min"),
        ("{beats}/min", "1/min"),
        ("/min", "1/min"),
        ("mcg/kg/minute", "ug/kg/min"),
        ("µg/(kg.min)", "ug/kg/min"),
        ("ug.kg-1.min-1", "ug/kg/min"),
        ("mcg.kg^-1.min^-1", "ug/kg/min"),
        ("gamma/kg/min", "ug/kg/min"),
        ("IE/h", "U/h"),
        ("mL/hr.", "mL/h"),
        ("L/min", "L/min"),
        ("mL/cmH2O", "mL/cmH2O"),
        ("mg%", "mg/dL"),
        ("[lb_av]", "lb"),
        ("inches", "in"),
    ],
)
def test_spellings_of_charts_and_of_ucum_become_the_house_spelling(written, house):
    assert units.normalize(written) == house


@pytest.mark.parametrize("unit", ["gr", "gr/h", "GR"])
def test_gr_is_asked_about(unit):
    with pytest.raises(ValueError, match=r"may mean grams or grains \(65 mg\): which\?"):
        units.check(unit, like="mmol/min", variable="enteral_glucose")


@pytest.mark.parametrize(
    ("value", "unit", "expected"), [(9.0, "mmol/L", 14.5), (145.0, "g/L", 14.5), (14.5, "g/dL", 14.5)]
)
def test_hemoglobin_is_read_in_moles_and_per_liter(value, unit, expected):
    # 1 mmol/L of the monomer is 1.611 g/dL.
    assert units.convert(value, unit, "g/dL", variable="hemoglobin") == pytest.approx(expected, rel=1e-3)


def test_equivalents_of_lactate_are_moles():
    assert units.convert(2.0, "mEq/L", "mmol/L", variable="lactate") == pytest.approx(2.0)


def test_equivalents_of_glucose_are_refused():
    with pytest.raises(ValueError, match="Unknown unit 'mEq/L'"):
        units.check("mEq/L", like="mmol/L", variable="glucose")
