import dataclasses
from enum import IntEnum

import jax.numpy as jnp
import numpy as np
import pytest

from tests import ROOT
from tests.decisions.bedsides import Ward
from tests.decisions.printed import every_print
from tests.decisions.totality import every_grid
from twinprob.decisions import AbstractProtocol, Bolus, Orders, protocols, setting
from twinprob.decisions.listing import page
from twinprob.decisions.protocols.circulation import (
    FluidByResponsiveness,
    FluidByRule,
    NurseTitration,
    PIController,
    TwinTitration,
)
from twinprob.decisions.protocols.metabolic import FixedRate, Leuven, StarLike, WashingtonColumns, Yale2005, Yale2012
from twinprob.decisions.protocols.respiratory import (
    ARDSNetHigh,
    ARDSNetLow,
    DrivingPressure,
    MinimalElastance,
    SaturationTarget,
)

PRINTS = ("Yale 2005", "Yale 2005, steps", "Yale 2012", "Yale 2012, steps", "Washington", "Leuven, starts",
          "Leuven, changes", "ARDSNet low", "ARDSNet high", "FACTT-Lite")  # fmt: skip
MAN = {"height": 177.8, "sex": 1.0}  # 70 inches: 73 kg of predicted weight
VENTILATED = {"inspired_oxygen": 0.5, "peep": 8.0, "tidal_volume": 584.0, "respiratory_rate": 16.0}


@pytest.fixture(scope="module")
def prints():
    return every_print()


@pytest.mark.parametrize("name", PRINTS)
def test_every_cell_of_a_printed_table_is_as_printed(name, prints):
    assert (prints[name].points > 0, prints[name].wrong) == (True, [])


@pytest.mark.slow
def test_every_protocol_gives_an_order_everywhere():
    assert {name: count.wrong for name, count in every_grid(thin=7).items() if count.wrong} == {}


# ---- what is discovered --------------------------------------------------------------------------------------------

SHIPPED = protocols.by_name()


def test_the_protocols_were_found():
    assert set(SHIPPED) >= {"StarLike", "Yale2012", "ARDSNetLow", "NurseTitration", "FluidByRule"}


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_protocol_says_where_it_comes_from_and_what_its_settings_are(name):
    cls = SHIPPED[name]
    declared = {f.name for f in dataclasses.fields(cls) if not f.name.startswith("_")}
    assert cls.source
    assert set(cls.settings()) == declared
    assert all(s.about and s.source and s.unit for s in cls.settings().values())


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_protocol_is_compiled(name):
    with_band = {"StarLike": lambda: StarLike.star_2012(), "SaturationTarget": lambda: SaturationTarget.close()}
    assert with_band.get(name, SHIPPED[name])().traceable


# ---- traces made by hand -------------------------------------------------------------------------------------------


def test_yale_2012_holds_then_takes_two_steps_off():
    ward = Ward(Yale2012()).at(0, glucose=240)
    assert (ward.rule, ward.running["insulin"], ward.given("insulin"), ward.again) == ("start", 2.5, 2.5, 60)
    assert (ward.at(60, glucose=250).rule, ward.running["insulin"]) == ("up_two", 3.5)  # rising, step 0.5 below 3 U/h
    assert (ward.at(120, glucose=200).rule, ward.running["insulin"]) == ("keep", 3.5)  # -50
    ward.at(180, glucose=135)  # -65: below -40
    assert (ward.rule, ward.running["insulin"], ward.again) == ("hold", 0.0, 30)
    ward.at(210, glucose=130)
    assert (ward.rule, ward.running["insulin"], ward.again) == ("resume", 1.5, 60)  # 3.5 - 2 steps of 1


def test_yale_2012_stops_below_100_and_restarts_after_30_min_at_140():
    ward = Ward(Yale2012()).at(0, glucose=400).at(60, glucose=330)
    assert ward.running["insulin"] == 3.0  # -70: one step of 1 down from 4
    ward.at(120, glucose=95)
    assert (ward.rule, ward.running["insulin"], ward.again, ward.given("parenteral_glucose")) == ("stop", 0, 60, 0)
    ward.at(180, glucose=60)
    assert (ward.rule, ward.again, ward.given("parenteral_glucose")) == ("stay_stopped", 15, 12.5)
    ward.at(195, glucose=45)
    assert ward.given("parenteral_glucose") == 25.0
    assert (ward.at(255, glucose=139).rule, ward.again) == ("stay_stopped", 60)
    assert (ward.at(315, glucose=140).rule, ward.again, ward.running["insulin"]) == ("restart_soon", 30, 0)
    ward.at(345, glucose=150)
    assert (ward.rule, ward.running["insulin"]) == ("restart", 1.5)  # half of 3 after less than 75


def test_yale_2012_restarts_at_three_quarters_where_it_was_never_below_75():
    ward = Ward(Yale2012()).at(0, glucose=400).at(60, glucose=90).at(120, glucose=150).at(150, glucose=150)
    assert (ward.rule, ward.running["insulin"]) == ("restart", 3.0)


def test_yale_measures_two_hourly_after_three_results_in_target():
    ward = Ward(Yale2012()).at(0, glucose=200).at(60, glucose=159).at(120, glucose=140).at(180, glucose=135)
    assert (ward.rule, ward.again) == ("keep", 120)


def test_yale_2005_restarts_at_the_lower_target_at_three_quarters():
    ward = Ward(Yale2005()).at(0, glucose=280)
    assert (ward.running["insulin"], ward.given("insulin")) == (4.0, 4.0)  # 280 / 70
    ward.at(60, glucose=74)
    assert (ward.rule, ward.again) == ("stop", 30)
    assert (ward.at(90, glucose=95).rule, ward.again) == ("stay_stopped", 60)
    assert (ward.at(150, glucose=100).rule, ward.running["insulin"]) == ("restart", 3.0)


def test_yale_waits_while_glucose_is_in_target():
    ward = Ward(Yale2012()).at(0, glucose=150)
    assert (ward.rule, ward.running["insulin"]) == ("wait", 0.0)


def test_leuven_starts_scales_halves_and_stops():
    ward = Ward(Leuven()).at(0, glucose=105)
    assert (ward.rule, ward.running["insulin"]) == ("wait", 0.0)
    assert ward.at(120, glucose=200).running["insulin"] == 2.0
    assert ward.at(240, glucose=250).running["insulin"] == 4.0
    assert (ward.at(360, glucose=120).rule, ward.running["insulin"]) == ("fell_by_half", 2.0)
    assert (ward.at(480, glucose=70).rule, ward.running["insulin"]) == ("halve", 1.0)
    assert (ward.at(600, glucose=39).rule, ward.given("parenteral_glucose")) == ("stop", 10.0)


def test_washington_goes_up_while_glucose_does_not_fall_and_down_after_two_lows():
    ward = Ward(WashingtonColumns()).at(0, glucose=200)
    assert (ward.rule, ward.running["insulin"]) == ("column", 2.0)
    assert (ward.at(60, glucose=190).rule, ward.running["insulin"]) == ("up", 3.0)
    assert (ward.at(120, glucose=130).rule, ward.running["insulin"]) == ("column", 1.5)  # fell by 60
    assert (ward.at(180, glucose=65).rule, ward.running["insulin"]) == ("off", 0.0)
    assert (ward.at(240, glucose=62).rule, int(ward.state.column)) == ("down", 1)


def test_ardsnet_walks_its_list_by_place_and_lowers_the_volume():
    ward = Ward(ARDSNetLow(), VENTILATED, **MAN)
    calm = {"arterial_pH": 7.38, "arterial_carbon_dioxide": 45, "plateau_pressure": 28}
    ward.at(0, pulse_saturation=84, **calm)
    assert (ward.running["inspired_oxygen"], ward.running["peep"], ward.rule) == (0.5, 10, "start")
    assert ward.running["tidal_volume"] == pytest.approx(8 * 73)
    ward.at(120, arterial_oxygen=50, pulse_saturation=97, **calm)  # the blood gas decides
    assert (ward.running["inspired_oxygen"], ward.running["peep"]) == (0.6, 10)
    assert (ward.rule, ward.running["tidal_volume"]) == ("toward_six", pytest.approx(7 * 73))
    ward.at(240, arterial_oxygen=60, **calm)
    assert (ward.running["peep"], ward.running["tidal_volume"]) == (10, pytest.approx(6 * 73))
    ward.at(360, arterial_oxygen=90, **calm)
    assert (ward.running["inspired_oxygen"], ward.running["peep"], ward.rule) == (0.5, 10, "keep")


def test_ardsnet_obeys_plateau_and_then_pH():
    ward = Ward(ARDSNetHigh(), VENTILATED, **MAN)
    fine = {"arterial_oxygen": 70, "arterial_carbon_dioxide": 40}
    ward.at(0, **fine, arterial_pH=7.38, plateau_pressure=34)
    volumes = [float(ward.at(120 * i, **fine, arterial_pH=7.38, plateau_pressure=34).state.volume) for i in range(1, 6)]
    assert (volumes, ward.cap) == ([7, 6, 5, 4, 4], "volume_floor")
    ward.at(720, **fine, arterial_pH=7.10, plateau_pressure=34)
    assert (ward.rule, ward.running["respiratory_rate"]) == ("acidosis_rate", 35)
    ward.at(840, **fine, arterial_pH=7.10, plateau_pressure=34)
    assert (ward.rule, float(ward.state.volume)) == ("acidosis_volume", 5)  # plateau may be exceeded
    ward.at(960, **fine, arterial_pH=7.50, plateau_pressure=20)
    assert (ward.rule, float(ward.state.volume)) == ("plateau_low", 6)
    assert (ward.at(1080, **fine, arterial_pH=7.50, plateau_pressure=20).rule) == "alkalosis_rate"


def test_ardsnet_raises_the_rate_until_carbon_dioxide_is_low():
    ward = Ward(ARDSNetLow(), VENTILATED, **MAN)
    for i in range(4):
        ward.at(120 * i, arterial_oxygen=70, arterial_pH=7.25, arterial_carbon_dioxide=50, plateau_pressure=26)
    assert (ward.rule, ward.running["respiratory_rate"]) == ("acidosis_rate", 20)
    ward.at(600, arterial_oxygen=70, arterial_pH=7.25, arterial_carbon_dioxide=24, plateau_pressure=26)
    assert ward.rule == "keep"


def test_driving_pressure_sets_the_volume_within_its_limits():
    ward = Ward(DrivingPressure(), VENTILATED, **MAN).at(0, plateau_pressure=28)  # 20 cmH2O at 584 mL
    assert ward.running["tidal_volume"] == pytest.approx(584 * 15 / 20)
    ward.at(240, plateau_pressure=60)
    assert (ward.cap, ward.running["tidal_volume"]) == ("least", pytest.approx(4 * 73))


def test_minimal_elastance_turns_where_the_lung_gets_stiffer():
    ward = Ward(MinimalElastance(), {"peep": 8, "tidal_volume": 400})
    assert ward.at(0, plateau_pressure=20).running["peep"] == 10
    assert ward.at(30, plateau_pressure=21).running["peep"] == 12  # 30 to 27.5 cmH2O/L
    assert (ward.at(60, plateau_pressure=24).rule, ward.running["peep"]) == ("turn", 10)
    assert (ward.at(90, plateau_pressure=31).rule, ward.running["peep"]) == ("plateau", 8)


def test_saturation_target_steps_and_says_when_it_is_at_room_air():
    ward = Ward(SaturationTarget.close(), {"inspired_oxygen": 0.4})
    assert (ward.at(0, pulse_saturation=86).running["inspired_oxygen"], ward.again) == (pytest.approx(0.45), 15)
    assert ward.at(15, pulse_saturation=80).running["inspired_oxygen"] == pytest.approx(0.55)
    for i in range(8):
        ward.at(75 + 60 * i, pulse_saturation=99)
    assert (ward.running["inspired_oxygen"], ward.cap) == (0.21, "room_air")


def test_a_nurse_acts_outside_the_dead_band_only():
    ward = Ward(NurseTitration(), {"norepinephrine": 0.1})
    assert (ward.at(0, mean_arterial_pressure=70).rule, ward.running["norepinephrine"]) == (
        "inside",
        pytest.approx(0.1),
    )
    assert ward.at(30, mean_arterial_pressure=60).running["norepinephrine"] == pytest.approx(0.13)
    assert ward.at(45, mean_arterial_pressure=80).running["norepinephrine"] == pytest.approx(0.11)


def test_a_controller_leaves_its_limit_at_once():
    ward = Ward(PIController(most=0.2))
    for minute in range(60):  # an hour at the limit
        ward.at(minute, mean_arterial_pressure=40)
    assert (ward.cap, ward.running["norepinephrine"]) == ("most", pytest.approx(0.2))
    ward.at(60, mean_arterial_pressure=75)
    assert ward.running["norepinephrine"] < 0.2


def test_a_controller_settles_where_its_process_says():
    protocol, rate, pressure = PIController(), 0.0, 50.0
    ward = Ward(protocol)
    for minute in range(240):  # a lag of 5 min with the gain that the tuning believes
        pressure += (50.0 + 60.0 * rate - pressure) / 5.0
        ward.at(minute, mean_arterial_pressure=pressure)
        rate = ward.running["norepinephrine"]
    assert pressure == pytest.approx(70.0, abs=0.1)
    assert rate == pytest.approx(20.0 / 60.0, rel=0.01)


def test_a_carried_twin_learns_what_least_squares_learns():
    protocol = TwinTitration(level_walk=0.0, swing_sd=1e-6)
    rates, rng = np.array([0.0, 0.05, 0.1, 0.2, 0.3]), np.random.default_rng(4)
    by = np.stack([np.ones(5), rates / (0.156 + rates)], axis=1)
    pressures = by @ [58.0, 25.0] + rng.normal(0.0, 2.0, 5)
    mean, covariance = protocol.start().mean, protocol.start().covariance
    for rate, pressure in zip(rates, pressures, strict=True):
        mean, covariance = protocol.ahead(mean, covariance, jnp.asarray(5.0))
        mean, covariance = protocol.learned(mean, covariance, jnp.asarray(rate), pressure)
    prior = np.diag([1 / 11.0**2, 1 / 12.0**2])
    precision = by.T @ by / 25.0 + prior
    expected = np.linalg.solve(precision, by.T @ pressures / 25.0 + prior @ [65.0, 15.0])
    np.testing.assert_allclose(np.asarray(mean)[[0, 2]], expected, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(covariance)[np.ix_([0, 2], [0, 2])], np.linalg.inv(precision), rtol=1e-6)


def test_a_carried_twin_brings_the_pressure_to_its_target():
    ward, rate, pressure, effect = Ward(TwinTitration()), 0.0, 50.0, 0.0
    for minute in range(0, 600, 5):
        effect = rate + (effect - rate) * np.exp(-np.log(2) / 3.5 * 5)
        pressure = 50.0 + 40.0 * effect / (0.156 + effect)
        ward.at(minute, mean_arterial_pressure=pressure)
        rate = ward.running["norepinephrine"]
    assert pressure == pytest.approx(70.0, abs=2.0)


def test_fluid_by_rule_gives_30_mL_per_kg_in_shock_and_waits_12_h_after_a_vasopressor():
    ward = Ward(FluidByRule(), {"norepinephrine": 0.1}, weight=80)
    shock = {"mean_arterial_pressure": 50, "central_venous_pressure": 3, "urine_output": 20}
    volumes = [ward.at(30 * i, **shock).given("crystalloid") for i in range(4)]
    assert (volumes, ward.cap) == ([1250, 1150, 0, 0], "first_volume")
    ward.running["norepinephrine"] = 0.0
    calm = {"mean_arterial_pressure": 70, "central_venous_pressure": 10, "urine_output": 20}
    assert ward.at(200, **calm).rule == "too_soon"
    ward.at(90 + 720, **calm)
    assert (ward.rule, ward.given("furosemide"), ward.again) == ("furosemide", 20, 60)
    assert ward.at(870, **calm).given("furosemide") == 40


def test_fluid_goes_to_responders_and_a_vasopressor_to_the_others():
    ward = Ward(FluidByResponsiveness(), weight=80)
    low = {"mean_arterial_pressure": 55}
    assert (ward.at(0, stroke_volume=50, **low).rule, ward.running["leg_raise"]) == ("raise_legs", 1)
    ward.at(3, stroke_volume=56, **low)
    assert (ward.rule, ward.given("crystalloid"), ward.running["leg_raise"]) == ("responder", 500, 0)
    ward.at(33, stroke_volume=56, **low)
    ward.at(36, stroke_volume=58, **low)
    assert (ward.rule, ward.running["norepinephrine"]) == ("non_responder", pytest.approx(0.05))


# ---- the stochastic target -----------------------------------------------------------------------------------------


def test_star_gives_more_where_glucose_is_high_and_none_where_it_fell_below_its_range():
    ward = Ward(StarLike.star_2012(), {"enteral_glucose": 0.6})
    assert ward.at(0, glucose=12.0).rule == "lower"
    ward.at(60, glucose=13.0)
    assert (ward.rule, ward.again) == ("lower", 60)
    assert 0 < ward.running["insulin"] <= 6.0
    ward.at(120, glucose=max(1.5, float(ward.state.lowest) - 1.5))
    assert (ward.rule, ward.running["insulin"]) == ("stop", 0.0)


def test_star_finds_the_sensitivity_that_made_the_next_glucose():
    protocol = StarLike.star_2012()
    ward = Ward(protocol, {"enteral_glucose": 0.6}).at(0, glucose=9.0)
    model, minutes = protocol._model(), 60.0
    after = protocol._carried(model, ward.state.body, 4e-4, ward.running["insulin"], (0.6, 0.0), minutes, 18)
    ward.at(minutes, glucose=float(after[0]))
    assert float(ward.state.sensitivity) == pytest.approx(4e-4, rel=0.03)  # the grid is 35 % wide, interpolated


def test_star_keeps_its_caps_at_every_decision():
    ward, dose, key = Ward(StarLike.star_2011(), {"enteral_glucose": 0.6}), 0.0, np.random.default_rng(1)
    for hour in range(40):
        ward.at(60 * hour, glucose=float(key.uniform(3.0, 15.0)))
        assert ward.running["insulin"] <= min(6.0, dose + 3.0) + 1e-9
        assert ward.running["insulin"] != 0.5
        dose = ward.running["insulin"]


@pytest.mark.parametrize(("low", "high", "words"), [(3.9, 6.0, "below 4 mmol/L"), (6.0, 6.0, "must end above")])
def test_a_band_nobody_should_aim_at_is_refused(low, high, words):
    with pytest.raises(ValueError, match=words):
        StarLike(low=low, high=high)


def test_a_target_has_no_default():
    with pytest.raises(TypeError, match="low"):
        StarLike()


# ---- what an author may not write ----------------------------------------------------------------------------------


def test_a_protocol_that_reads_a_parameter_is_refused_when_it_is_written():
    with pytest.raises(ValueError, match="A bedside has no `insulin_sensitivity`"):

        class Seer(AbstractProtocol):
            reads = {"insulin_sensitivity": "L/mU/min"}  # noqa: RUF012


def test_a_protocol_that_reads_what_it_did_not_declare_is_refused_when_it_is_made():
    class Reader(AbstractProtocol):
        reads = {"glucose": "mmol/L"}  # noqa: RUF012
        gives = {"insulin": "U/h"}  # noqa: RUF012

        def decide(self, bedside):
            return Orders({"insulin": (bedside.seen("lactate").value, "U/h")}, measure_in=60.0)

    with pytest.raises(ValueError, match="The bedside shows no `lactate`"):
        Reader()


@pytest.mark.parametrize(("unit", "words"), [("mmol/L", "cannot become"), ("mU/min", "declares to give it in U/h")])
def test_orders_of_another_unit_are_refused(unit, words):
    class Wrong(AbstractProtocol):
        reads = {"glucose": "mmol/L"}  # noqa: RUF012
        gives = {"insulin": "U/h"}  # noqa: RUF012

        def decide(self, bedside):
            return Orders({"insulin": (1.0, unit)}, measure_in=60.0)

    with pytest.raises(ValueError, match=words):
        Wrong()


def test_a_plain_python_rule_runs_and_says_that_it_is_not_compiled():
    class Plain(AbstractProtocol):
        reads = {"glucose": "mmol/L"}  # noqa: RUF012
        gives = {"insulin": "U/h"}  # noqa: RUF012
        dose: float = setting(2.0, unit="U/h", about="a dose")

        class Rule(IntEnum):
            low = 0
            high = 1

        def decide(self, bedside):
            if bedside.seen("glucose").value > 10:
                return Orders({"insulin": (self.dose, "U/h")}, measure_in=60.0, rule=self.Rule.high)
            return Orders({"insulin": (0.0, "U/h")}, measure_in=60.0, rule=self.Rule.low)

    assert (Plain().traceable, FixedRate().traceable) == (False, True)


def test_orders_name_inputs_of_the_vocabulary():
    with pytest.raises(ValueError, match="did you mean `insulin`"):
        Orders({"insuline": (1.0, "U/h")}, measure_in=60.0)
    with pytest.raises(ValueError, match="cannot become"):
        Orders({}, measure_in=60.0, boluses={"insulin": Bolus(jnp.ones(()), "g")})


def test_the_page_of_protocols_is_made_from_their_classes():
    assert (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8") == page()
