"""The reader of charted ventilation, on invented tables in both public layouts and on the demo where it is at hand."""

import numpy as np
import pytest

import twinprob as tp
from twinprob.readers import ventilation

ADMITTED = "2150-01-02 08:00:00"


def day(clock):
    return f"2150-01-02 {clock}:00"


def table(head, rows):
    return "\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n"


def write(folder, chart, labs=(), *, fourth=False):
    """Write one stay; `chart` holds (item, clock, value[, error]), `labs` (item, clock, text, value)."""
    stay = "stay_id" if fourth else "icustay_id"
    icu, hospital = (folder / "icu", folder / "hosp") if fourth else (folder, folder)
    for place in {icu, hospital}:
        place.mkdir(exist_ok=True)
    stays = table(f"subject_id,hadm_id,{stay},intime,outtime", [(1, 11, 111, ADMITTED, "2150-01-05 08:00:00")])
    (icu / "icustays.csv").write_text(stays)
    people = ("anchor_age,anchor_year", "60,2150") if fourth else ("dob", "2090-06-05 00:00:00")
    (hospital / "patients.csv").write_text(f"subject_id,gender,{people[0]}\n1,M,{people[1]}\n")
    rows = [(111, item, day(clock), value, (error or (0,))[0]) for item, clock, value, *error in chart]
    (icu / "chartevents.csv").write_text(table(f"{stay},itemid,charttime,valuenum,error", rows))
    drawn = [(1, item, day(clock), text, value) for item, clock, text, value in labs]
    (hospital / "labevents.csv").write_text(table("subject_id,itemid,charttime,value,valuenum", drawn))
    return folder


META = [(220339, "10:00", 8), (224684, "10:00", 450), (224688, "10:00", 18), (223835, "10:00", 40),
        (224696, "10:00", 22), (224695, "10:00", 28), (224685, "10:00", 471)]  # fmt: skip
CARE = [(506, "10:00", 8), (683, "10:00", 450), (619, "10:00", 18), (190, "10:00", 0.4),
        (543, "10:00", 22), (535, "10:00", 28), (682, "10:00", 471)]  # fmt: skip


def read(folder, chart, labs=(), **options):
    return ventilation.read(write(folder, chart, labs), 111, **options)


@pytest.mark.parametrize("chart", [META, CARE], ids=["MetaVision", "CareVue"])
def test_both_systems_give_the_same_settings_and_pressures(tmp_path, chart):
    record = read(tmp_path, chart)
    settings = {name: float(record.inputs[name].at(119.0)) for name in record.inputs.names}
    assert settings == {"peep": 8.0, "tidal_volume": 0.45, "respiratory_rate": 18.0, "inspired_oxygen": 0.4}
    seen = {name: float(series.values[0]) for name, series in record.observations.items()}
    assert seen == {"plateau_pressure": 22.0, "peak_pressure": 28.0, "expired_tidal_volume": 0.471}


def test_the_fourth_layout_is_read(tmp_path):
    record = ventilation.read(write(tmp_path, META, fourth=True), 111)
    assert record.observations["plateau_pressure"].times[0] == 120.0


def test_a_setting_holds_from_before_its_row_to_the_next_row(tmp_path):
    chart = [(506, "10:00", 8), (506, "14:00", 12), (543, "10:00", 22)]
    peep = read(tmp_path, chart, lead="30 min").inputs["peep"]
    np.testing.assert_array_equal(peep.at([89.0, 91.0, 329.0, 331.0]), [np.nan, 8.0, 8.0, 12.0])


def test_a_setting_does_not_reach_back_to_the_row_before(tmp_path):
    chart = [(506, "10:00", 8), (543, "10:10", 22), (506, "10:20", 12)]
    peep = read(tmp_path, chart, lead="30 min").inputs["peep"]
    np.testing.assert_array_equal(peep.at([120.0, 139.0]), [8.0, 12.0])


def test_a_measured_volume_stands_in_only_where_none_is_set(tmp_path):
    chart = [(543, "10:00", 22), (683, "10:00", 450), (682, "10:00", 480), (682, "14:00", 480)]
    volume = read(tmp_path, chart).inputs["tidal_volume"]
    np.testing.assert_allclose(volume.at([120.0, 360.0]), [0.45, 0.48])


def test_until_hides_every_later_row(tmp_path):
    chart = [*META, (220339, "12:00", 14), (224696, "12:00", 30)]
    record = read(tmp_path, chart, until=239.0)
    assert (record.observations["plateau_pressure"].times.size, float(record.inputs["peep"].at(239.0))) == (1, 8.0)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((224696, "11:00", 5), "plateau_pressure: not above PEEP"),
        ((224696, "11:00", 25, 1), "plateau_pressure: charted as an error"),
        ((224695, "11:00", 2222221.7), "peak_pressure: implausible"),
        ((220277, "11:00", 0.97), "pulse_saturation: implausible"),
        ((223835, "11:00", 4), "inspired_oxygen: implausible, like an oxygen flow in L/min"),
        ((224696, "11:00", ""), "plateau_pressure: not a number"),
    ],
)
def test_a_row_left_out_is_counted(tmp_path, row, why):
    record = read(tmp_path, [*META, (220339, "11:00", 10), row])
    assert (record.skipped[why], record.observations["plateau_pressure"].times.size) == (1, 1)


def test_a_blood_gas_counts_once_on_the_clock_of_the_chart(tmp_path):
    labs = [(50821, "11:00", "", 88), (50821, "13:00", "", 92)]
    record = read(tmp_path, [*META, (220224, "12:00", 88)], labs)
    series = record.observations["arterial_oxygen"]
    np.testing.assert_array_equal([series.times, series.values], [[240.0, 360.0], [88.0, 92.0]])
    assert record.skipped["arterial_oxygen: laboratory value charted again"] == 1


def test_venous_blood_is_no_arterial_gas(tmp_path):
    labs = [
        (50800, "11:00", "VEN", ""),
        (50821, "11:00", "", 38),
        (50800, "13:00", "ART", ""),
        (50821, "13:00", "", 92),
    ]
    record = read(tmp_path, META, labs)
    assert record.observations["arterial_oxygen"].values.tolist() == [92.0]
    assert record.skipped["arterial_oxygen: not arterial blood (venous)"] == 1


def test_different_values_at_one_time_are_averaged_and_counted(tmp_path):
    record = read(tmp_path, [*META, (543, "10:00", 24)])
    assert record.observations["plateau_pressure"].values[0] == 23.0
    assert record.skipped["plateau_pressure: averaged with another value at the same time"] == 1


def test_an_unknown_stay_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`stay` must be a stay of the folder"):
        ventilation.read(write(tmp_path, META), 999)


def test_a_negative_lead_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`lead` must not be negative, but is -5 min"):
        ventilation.read(write(tmp_path, META), 111, lead=-5.0)


def test_a_folder_without_chart_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No table icustays\.csv"):
        ventilation.load(tmp_path)


def test_stays_are_listed_with_their_plateaus(tmp_path):
    listed = ventilation.stays(write(tmp_path, META))
    assert listed[["stay", "plateau", "peep"]].to_numpy().tolist() == [[111, 1, 1]]


def test_a_percentage_given_as_a_fraction_names_the_unit():
    with pytest.raises(ValueError, match=r"inspired_oxygen.*In % every value would be plausible"):
        tp.Inputs.constant(inspired_oxygen=(40.0, "1"))


def test_a_saturation_given_as_a_fraction_names_the_unit():
    with pytest.raises(ValueError, match=r"pulse_saturation.*In 1 every value would be plausible"):
        tp.Record.build({"pulse_saturation": ([0.0, 5.0], [0.97, 0.96], "%")})


def test_the_demo_holds_the_plateaus_that_were_counted(shared_data):
    tables = ventilation.load(shared_data / "mimic-iii-demo")
    found = ventilation.stays(tables).query("plateau > 0")["stay"]
    records = [ventilation.read(tables, int(stay)) for stay in found]
    sizes = [r.observations["plateau_pressure"].times.size for r in records if "plateau_pressure" in r.observations]
    # 836 rows of 44 stays at distinct times, one of them not above its PEEP
    assert (sum(sizes), len(sizes)) == (835, 44)
