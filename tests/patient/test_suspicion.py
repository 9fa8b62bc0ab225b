import numpy as np
import pytest

import twinprob as tp
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record
from twinprob.readers import bedside


def glucose(*values, unit="mmol/L", **how):
    return Record.build({"glucose": (60.0 * np.arange(len(values)), values, unit)}, **how)


def measured(name, values, unit, **how):
    return Record.build({name: (60.0 * np.arange(len(values)), values, unit)}, **how)


def given(name, rates, unit, weight=80.0, **how):
    starts = 60.0 * np.arange(len(rates))
    inputs = Inputs.infusions(name, starts, [*starts[1:], np.inf], rates, unit)
    covariates = {} if weight is None else {"weight": (weight, "kg")}
    return Record.build({"glucose": ([0], [8.0], "mmol/L")}, inputs, covariates, **how)


@pytest.mark.parametrize(
    ("name", "values", "unit", "message"),
    [
        ("glucose", [78, 62, 45], "mmol/L", "glucose in mmol/L fits better in mg/dL, a factor of 18"),
        ("glucose", [35, 41, 44], "mmol/L", "glucose in mmol/L fits better in mg/dL, a factor of 18"),
        ("glucose", [11, 12, 9.5], "mg/dL", "glucose in mg/dL fits better in mmol/L, a factor of 18"),
        ("arterial_oxygen", [11, 10.5], "mmHg", r"fits better in kPa, a factor of 7\.5"),
        ("arterial_oxygen", [90, 80], "kPa", r"fits better in mmHg, a factor of 7\.5"),
        ("arterial_carbon_dioxide", [5.3, 6.1], "mmHg", "fits better in kPa"),
        ("lactate", [18, 22, 20], "mmol/L", r"fits better in mg/dL, a factor of 9\.01"),
        ("mean_arterial_pressure", [9, 10, 11], "mmHg", "fits better in kPa"),
        ("pulse_pressure_variation", [0.12, 0.2], "%", "fits better in 1, a factor of 100"),
    ],
)
def test_a_series_that_fits_another_unit_is_refused(name, values, unit, message):
    with pytest.raises(ValueError, match=message):
        measured(name, values, unit)


@pytest.mark.parametrize(
    ("name", "rates", "unit", "message"),
    [
        ("norepinephrine", [5, 5.5, 4.5], "ug/kg/min", "fits better in ug/min, a factor of 80"),
        ("norepinephrine", [0.1, 0.2], "ug/min", "fits better in ug/kg/min, a factor of 80"),
        ("norepinephrine", [0.1, 0.1, 5.0], "ug/kg/min", "fits better in ug/min, .* one of its rates is"),
        ("vasopressin", [1.2, 1.2], "U/min", "fits better in U/h, a factor of 60"),
        ("dopamine", [45, 50], "ug/kg/min", None),
        ("insulin", [1.0, 1.5], "U/min", "fits better in U/h, a factor of 60"),
    ],
)
def test_rates_that_fit_another_unit_are_refused(name, rates, unit, message):
    if message is None:
        assert name in given(name, rates, unit).inputs
        return
    with pytest.raises(ValueError, match=message):
        given(name, rates, unit)


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        ({"weight": (180, "kg")}, "weight in kg fits better in lb"),
        ({"weight": (200, "kg"), "height": (170, "cm")}, "weight in kg fits better in lb"),
        ({"height": (67, "cm"), "weight": (80, "kg")}, "height in cm fits better in in, a factor of 2.54"),
    ],
)
def test_a_body_that_fits_other_units_is_refused(covariates, message):
    with pytest.raises(ValueError, match=message):
        glucose(8.0, covariates=covariates)


@pytest.mark.parametrize(
    "covariates",
    [
        {"weight": (139.9, "kg"), "height": (157, "cm")},  # as in a stay of the MIMIC demo
        {"weight": (3.4, "kg"), "height": (50, "cm")},
        {"weight": (150, "kg")},
        {"weight": (180, "lb"), "height": (67, "in")},
        {"age": (4, "year"), "height": (98, "cm")},
    ],
)
def test_a_body_that_may_be_is_kept(covariates):
    assert set(glucose(8.0, covariates=covariates).covariates) == set(covariates)


@pytest.mark.parametrize("values", [[45, 30, 22, 15, 11], [2.2, 1.8, 1.4, 4.0], [33, 28, 25], [1.1, 9.0, 12.0]])
def test_glucose_that_may_be_is_kept(values):
    assert glucose(*values).observations["glucose"].values.tolist() == values


def test_a_moment_of_hypoglycemia_is_no_slip_of_the_unit():
    assert glucose(210, 120, 30, 95, unit="mg/dL").observations["glucose"].values.tolist() == [210, 120, 30, 95]


def test_one_value_in_another_unit_is_set_aside_and_counted():
    record = glucose(5.6, 4.4, 45)
    assert record.observations["glucose"].values.tolist() == [5.6, 4.4]
    assert dict(record.skipped) == {"glucose: one value among others in mmol/L that fits mg/dL": 1}


def test_one_value_that_would_be_implausible_is_set_aside_too():
    assert dict(glucose(110, 126, 6.2, 118, unit="mg/dL").skipped) == {
        "glucose: one value among others in mg/dL that fits mmol/L": 1
    }


def test_a_series_that_mixes_two_units_is_refused():
    with pytest.raises(ValueError, match="2 of its 5 values are outside"):
        glucose(5.6, 100, 6.0, 110, 5.8)


def test_values_whose_unit_is_trusted_are_kept():
    assert glucose(78, 62, 45, trusted=("glucose",)).observations["glucose"].values.tolist() == [78, 62, 45]


def test_rates_whose_unit_is_trusted_are_kept():
    record = given("vasopressin", [1.2], "U/min", trusted=("vasopressin",))
    assert record.inputs["vasopressin"].rates.tolist() == [1.2]


def test_values_beyond_a_limit_are_not_doubted():
    record = Record.build({"glucose": ([0, 60], [33.3, 33.3], "mmol/L", [1, 1])})
    assert record.observations["glucose"].limits.tolist() == [1, 1]


def test_the_refusal_names_the_remedy_and_no_value():
    with pytest.raises(ValueError, match=r"Declare mg/dL, or say trusted=\('glucose',\)") as caught:
        glucose(78, 62.5, 45)
    assert "62.5" not in str(caught.value)


def test_vasopressin_typed_in_per_minute_is_refused():
    with pytest.raises(ValueError, match="vasopressin in U/min fits better in U/h"):
        bedside.infusion("vasopressin", 0, 60, 1.2, "U/min")


def test_a_rate_in_tartrate_is_half_of_it_in_base():
    base, tartrate = (
        bedside.infusion("norepinephrine", 0, 60, 0.2, "ug/kg/min", salt=salt)["norepinephrine"].rates[0]
        for salt in ("base", "tartrate")
    )
    assert tartrate == pytest.approx(base / 2)


@pytest.mark.parametrize(("drug", "salt"), [("norepinephrine", "chloride"), ("dopamine", "tartrate")])
def test_a_salt_that_is_not_known_is_refused(drug, salt):
    with pytest.raises(ValueError, match=f"{drug}.*(must be base or tartrate|no salts)"):
        bedside.infusion(drug, 0, 60, 5.0, "ug/kg/min", salt=salt)


def test_an_oxygen_flow_in_the_field_of_the_fraction_is_refused_by_name():
    with pytest.raises(ValueError, match="may be an oxygen flow in L/min"):
        Inputs.constant(inspired_oxygen=(15, "%"))


def test_seconds_since_1970_called_minutes_are_refused():
    with pytest.raises(ValueError, match=r"longer than the 400 days of one stay.*say longest="):
        Record.build({"glucose": ([1709280000, 1709283600], [8.0, 7.0], "mmol/L")})


def test_bundled_records_are_not_doubted():
    stays = tp.load_example("icu_glucose")
    assert all(not any("fits" in why for why in stay.skipped) for stay in stays.values())
