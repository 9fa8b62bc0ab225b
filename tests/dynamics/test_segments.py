import equinox as eqx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Array

from tests.cases import OWN, Drift, Washout
from twinprob.dynamics.segments import bucket, build, doubled, drives, knots, padded, scale
from twinprob.modeling.model import quantity
from twinprob.models.metabolic import ICING
from twinprob.models.respiratory import ChartedMechanics
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Series
from twinprob.patient.units import minutes

PUMP = Inputs.infusions("drive", [13.0, 101.5], [101.5, 150.0], [0.3, 0.05], "1/min", own=OWN)
TIMES = np.array([0.0, 10.0, 101.5, 160.0, 240.0])


@pytest.fixture(scope="module")
def built():
    model = Washout()
    segments, index = build(model, drives(model, PUMP, {}), 0.0, 240.0, TIMES)
    return padded(segments, 3 * len(segments.start)), index


def test_padding_has_no_length(built):
    segments, _ = built
    np.testing.assert_allclose(segments.length.sum(), 240.0)


def test_report_times_are_borders(built):
    segments, index = built
    borders = np.append(0.0, np.cumsum(segments.length))
    np.testing.assert_allclose(borders[index], TIMES)


def test_no_step_is_longer_than_the_model_allows(built):
    segments, _ = built
    assert np.max(segments.length) / segments.substeps <= Washout.step + 1e-9


@pytest.mark.parametrize(
    ("time", "drive"), [(0.0, 0.0), (12.9, 0.0), (13.0, 0.3), (101.4, 0.3), (120.0, 0.05), (150.0, 0.0)]
)
def test_inputs_change_at_borders(built, time, drive):
    segments, _ = built
    real = segments.length > 0
    row = np.searchsorted(segments.start[real], time + 1e-6, side="right") - 1
    assert segments.level[row, 0] == drive


def test_measured_inputs_run_linearly():
    from twinprob.models.metabolic import MinimalModel

    series = Series(np.array([0.0, 10.0, 30.0]), np.array([5.0, 25.0, 5.0]), "mU/L", np.zeros(3, np.int8))
    model = MinimalModel()
    segments, _ = build(model, drives(model, Inputs({}), {"plasma_insulin": series}), 0.0, 30.0, np.array([30.0]))
    real = segments.length > 0
    expected = np.interp(segments.start[real], series.times, series.values)
    np.testing.assert_allclose(segments.level[real, 0], expected)


def test_a_measured_input_that_is_absent_is_named():
    from twinprob.models.metabolic import MinimalModel

    with pytest.raises(ValueError, match="driven by measured `plasma_insulin`"):
        drives(MinimalModel(), Inputs({}), {})


def test_an_input_nobody_gave_is_zero():
    segments, _ = build(Washout(), drives(Washout(), Inputs({}), {}), 0.0, 60.0, np.array([60.0]))
    assert not segments.level.any()


def test_each_segment_lies_within_one_knot():
    model = Drift()
    segments, _ = build(model, {}, 0.0, 200.0, np.array([0.0, 200.0]))
    real = segments.length > 0
    ends = segments.start[real] + segments.length[real]
    knot = segments.knot[real, 0]
    assert np.all((segments.start[real] >= 60.0 * knot - 1e-6) & (ends <= 60.0 * (knot + 1) + 1e-6))


def test_knots_cover_the_span():
    process = Drift().processes()["slope"]
    assert knots(process, 0.0, minutes("2 h") + 1) == 3


@given(st.integers(1, 5000))
def test_a_bucket_holds_its_content_with_little_waste(count):
    assert count <= bucket(count) <= max(8, 1.25 * count + 1)


@given(st.lists(st.integers(1, 300), min_size=2, max_size=40))
def test_longer_content_never_has_a_smaller_bucket(counts):
    sizes = [bucket(count) for count in sorted(counts)]
    assert sizes == sorted(sizes)


@given(st.integers(1, 5000), st.integers(1, 64))
def test_a_doubled_length_is_the_least_that_holds_its_content(count, smallest):
    sizes = [smallest * 2**k for k in range(20)]
    assert doubled(count, smallest) == next(size for size in sizes if size >= count)


@given(st.lists(st.tuples(st.integers(0, 3000), st.sampled_from([8, 64, 128])), min_size=1, max_size=4))
def test_one_scale_is_the_least_that_holds_every_length(sizes):
    ladder = [0.25, *(2.0**k for k in range(12))]
    assert scale(*sizes) == next(k for k in ladder if all(count <= k * unit for count, unit in sizes))


@pytest.mark.parametrize("hours", [3, 24, 100])
@pytest.mark.parametrize("every", [31.0, 60.0, 100.0])
def test_timelines_that_shall_be_alike_have_the_same_steps_in_a_segment(hours, every):
    model, times = ICING(), np.arange(0.0, 60.0 * hours, every)
    segments, _ = build(model, drives(model, Inputs({}), {}), 0.0, 60.0 * hours, times, alike=True)
    assert segments.substeps == 6


def test_alike_or_not_the_steps_are_short_enough_and_cover_the_span():
    model = Washout()
    segments, index = build(model, drives(model, PUMP, {}), 0.0, 240.0, TIMES, alike=True)
    assert np.max(segments.length) / segments.substeps <= Washout.step + 1e-9
    np.testing.assert_allclose(np.append(0.0, np.cumsum(segments.length))[index], TIMES)


# ---- what just before, between and after a sample means ------------------------------------------------------------

SIGNAL = (np.array([0.0, 10.0, 30.0]), np.array([1.0, 3.0, 2.0]), True)


def test_a_measured_signal_runs_in_straight_lines_between_its_samples():
    segments, _ = build(Washout(), {"drive": SIGNAL}, 5.0, 25.0, np.zeros(0))
    by_hand = [1.0 + 0.2 * t if t < 10 else 3.0 - 0.05 * (t - 10.0) for t in segments.start]
    np.testing.assert_allclose(segments.level[:, 0], by_hand, rtol=1e-12)
    np.testing.assert_allclose(segments.slope[:, 0], np.where(segments.start < 10, 0.2, -0.05), rtol=1e-12)


def test_before_the_start_a_measured_signal_is_what_it_was_there():
    segments, _ = build(Washout(), {"drive": SIGNAL}, 2.5, 25.0, np.zeros(0))
    assert segments.before[0] == pytest.approx(1.5)


def test_before_a_change_at_the_start_an_input_is_what_it_was():
    steps = (np.array([-np.inf, 5.0]), np.array([1.0, 4.0]), False)
    segments, _ = build(Washout(), {"drive": steps}, 5.0, 25.0, np.zeros(0))
    assert (segments.before[0], segments.level[0, 0]) == (1.0, 4.0)


def test_knots_are_counted_from_the_origin_and_not_from_the_start():
    model = ICING()
    (process,) = model.processes().values()
    start = 2.5 * process.interval
    nothing = drives(model, Inputs(), {})
    segments, _ = build(model, nothing, start, start + process.interval, np.zeros(0), origin=0.0)
    middle = segments.start + 0.5 * segments.length
    np.testing.assert_array_equal(segments.knot[:, 0], np.floor(middle / process.interval))


@pytest.mark.parametrize(
    ("rows", "span", "remedy"),
    [
        (([60], [np.inf], [8.0]), "0 to 60", "'first'"),
        (([0, 180], [120, np.inf], [8.0, 12.0]), "120 to 180", "'last'"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_assumption_that_would_help(rows, span, remedy):
    starts, ends, values = rows
    given = Inputs.infusions("peep", starts, ends, values, "cmH2O")
    others = Inputs.infusions("tidal_volume", -np.inf, np.inf, 0.45, "L")
    others |= Inputs.infusions("respiratory_rate", -np.inf, np.inf, 16.0, "1/min")
    with pytest.raises(ValueError, match=rf"`peep` is unknown from {span} min.*assuming\(peep={remedy}\)"):
        build(ChartedMechanics(), drives(ChartedMechanics(), given | others, {}), 0.0, 240.0, np.array([240.0]))


# ---- measured signals with a longest gap -----------------------------------------------------------------------------


class Listening(Washout):
    """A washout that also hears a signal, believed for 10 min between samples."""

    class Input(eqx.Module):
        """What drives it."""

        heard: Array = quantity("1", "a signal", measured=True, longest_gap="10 min")


def heard(start, stop, times=(0.0, 10.0, 30.0, 40.0)):
    """Return the segments of a signal that is its own time."""
    signal = drives(Listening(), Inputs(), {"heard": Series(np.array(times), np.array(times), "1")})
    return build(Listening(), signal, start, stop, np.array([stop]))[0]


@pytest.mark.parametrize(("start", "stop"), [(0, 10), (2.5, 7.5), (30, 40)])
def test_a_measured_signal_runs_linearly_between_samples_no_further_apart_than_believed(start, stop):
    found = heard(start, stop)
    np.testing.assert_allclose(found.level[:, 0], found.start, rtol=1e-12)
    np.testing.assert_allclose(found.slope[:, 0], 1.0, rtol=1e-12)


def test_a_measured_signal_holds_for_its_longest_gap_after_its_last_sample():
    found = heard(40, 50)
    assert (set(found.level[:, 0]), set(found.slope[:, 0])) == ({40.0}, {0.0})


@pytest.mark.parametrize(
    ("start", "stop", "span"), [(0, 40, "10 to 30"), (12, 20, "12 to 20"), (40, 60, "50 to 60"), (-20, 5, "-20 to -10")]
)
def test_a_measured_signal_is_unknown_where_its_samples_are_too_far_apart(start, stop, span):
    with pytest.raises(ValueError, match=f"Measured `heard` is unknown from {span} min.*Give samples in between"):
        heard(start, stop)
