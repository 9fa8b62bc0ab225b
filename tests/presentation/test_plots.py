import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.twins import HOURS, small_forecast, small_twin
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record
from twinprob.presentation import plots
from twinprob.presentation.plots import sheet
from twinprob.presentation.plots.twin import _course

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def twin():
    return small_twin()


@pytest.fixture(scope="module")
def ahead():
    return small_forecast()


@pytest.fixture(scope="module")
def figure(twin, ahead):
    return plots.fan(ahead, twin=twin, target=(4.4, 8.0))


def labels(figure):
    return [axis.get_ylabel().replace("\n", " ") for axis in figure.axes]


def words(figure):
    inside = [text.get_text() for axis in figure.axes for text in axis.texts]
    return " ".join(" ".join([*inside, *(text.get_text() for text in figure.texts)]).split())


def drawn(figure):
    """Return the x values of every line of the main panel that has any."""
    return [np.asarray(line.get_xdata(), float) for line in figure.axes[0].lines if len(line.get_xdata())]


def test_a_fan_has_a_panel_for_each_input(figure):
    assert labels(figure) == [
        "blood glucose (mmol/L)", "insulin (U/h)", "parenteral glucose (g/h)", "enteral glucose (g/h)",
    ]  # fmt: skip


def test_a_fan_covers_past_and_future_in_hours(figure, twin):
    low, high = figure.axes[0].get_xlim()
    assert (round(low), round(high)) == (0, round(twin.now / 60 + HOURS))


def test_a_fan_says_how_to_read_it(figure):
    assert "How to read this: shaded bands hold the patient's true value with 50, 80 and 95 %" in words(figure)


def test_a_fan_says_that_it_is_no_medical_device(figure):
    assert "Research software, not a medical device." in words(figure)


def test_a_fan_marks_now_at_the_twins_present(figure, twin):
    marks = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert (marks, "now" in words(figure)) == ([twin.now / 60], True)


def test_a_fan_names_the_target_band(figure):
    assert "target 4.4–8" in words(figure)


def test_a_fan_shows_every_measurement(figure, twin):
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(dots[0].get_ydata(), twin.record.observations["glucose"].values)


def test_the_bands_hold_the_stated_share_of_the_draws(ahead):
    figure = plots.fan(ahead)
    draws = ahead.tree["predicted_outputs"]["glucose"].values.reshape(-1, ahead.times.size)[:, -1]
    shares = []
    for band in figure.axes[0].collections:
        edge = np.asarray(band.get_paths()[0].vertices)
        low, high = np.sort(edge[edge[:, 0] == edge[:, 0].max(), 1])[[0, -1]]
        shares.append(np.mean((draws >= low) & (draws <= high)))
    np.testing.assert_allclose(shares, [0.95, 0.80, 0.50], atol=0.01)


def test_a_fan_draws_twenty_thin_lines_in_the_future(ahead):
    thin = [line for line in plots.fan(ahead).axes[0].lines if line.get_linewidth() == 0.5]
    assert len(thin) == 20


def test_the_future_begins_where_the_past_ends(figure, twin):
    starts = [x[0] for x in drawn(figure) if x.size > 2 and x[0] == twin.now / 60]
    assert len(starts) == 21


def test_a_twin_alone_shows_its_past(twin):
    figure = plots.fan(twin)
    assert max(x.max() for x in drawn(figure)) == twin.now / 60


def test_a_forecast_alone_shows_the_future(ahead):
    assert min(x.min() for x in drawn(plots.fan(ahead))) >= ahead.now / 60


def test_later_measurements_are_open_circles(twin, ahead):
    later = Record.build({"glucose": ([twin.now, twin.now + 60, twin.now + 600], [6.0, 7.0, 8.0], "mmol/L")})
    figure = plots.fan(ahead, twin=twin, later=later)
    circles = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    np.testing.assert_array_equal(circles[0].get_xdata(), [(twin.now + 60) / 60])


def test_later_measurements_are_converted_to_the_axis(twin, ahead):
    later = Record.build({"glucose": ([twin.now + 60], [126.0], "mg/dL")})
    figure = plots.fan(ahead, twin=twin, later=later)
    circles = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    np.testing.assert_allclose(np.asarray(circles[0].get_ydata(), float), [126 / 18.016], rtol=1e-6)


def test_a_picture_can_begin_later(twin):
    assert plots.fan(twin, start="5 h").axes[0].get_xlim()[0] == pytest.approx(5, abs=0.1)


def test_a_dose_is_written_as_an_amount():
    figure, (_, axis) = sheet.panels(1, "words")
    drip = Inputs.infusions("insulin", 0, 120, 1.0, "U/h")
    plots.twin._course(
        axis, "insulin", (drip | Inputs.bolus("insulin", 30, 5.0, "U"))["insulin"], (0.0, 120.0), "#000000"
    )
    assert words(figure).startswith("5 U")


def test_infusions_are_drawn_as_steps_until_they_change():
    _, (_, axis) = sheet.panels(1, "words")
    course = Inputs.infusions("insulin", [0, 60], [60, 90], [2.0, 3.0], "U/h")["insulin"]
    plots.twin._course(axis, "insulin", course, (0.0, 120.0), "#000000")
    assert axis.lines[0].get_drawstyle() == "steps-post"
    np.testing.assert_allclose(np.asarray(axis.lines[0].get_xydata()), [[0.0, 2.0], [1.0, 3.0], [1.5, 0.0], [2.0, 0.0]])


def test_a_path_is_drawn_with_its_unit(twin):
    assert labels(plots.path(twin, "insulin_sensitivity")) == ["insulin sensitivity $S_{I}$ (L/mU/min)"]


def test_a_path_reaches_from_start_to_now(twin):
    (median,) = [line for line in plots.path(twin, "insulin_sensitivity").axes[0].lines if line.get_linewidth() == 1.6]
    hours = np.asarray(median.get_xdata())
    assert (hours[0], hours[-1]) == (0.0, twin.now / 60)


def test_prior_and_posterior_have_a_panel_for_each_parameter(twin):
    shown = [axis.get_xlabel().split("\n")[0] for axis in plots.prior_posterior(twin).axes if axis.get_visible()]
    assert sorted(shown) == [
        "endogenous glucose production", "initial glucose", "initial insulin", "insulin sensitivity, now",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "draw", [plots.fan, plots.prior_posterior, lambda twin: plots.path(twin, "insulin_sensitivity")]
)
def test_a_figure_shows_itself_in_a_notebook(draw, twin):
    assert draw(twin)._repr_png_().startswith(PNG)


def test_figures_leave_those_of_the_user_alone(twin):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    mine = pyplot.figure()
    plots.fan(twin)
    assert pyplot.get_fignums() == [mine.number]
    pyplot.close(mine)


def test_something_else_than_a_twin_is_refused():
    with pytest.raises(TypeError, match=r"draws a Twin, or a Forecast .* given a dict"):
        plots.fan({})  # type: ignore[arg-type]


def test_a_twin_of_another_time_is_refused(twin, ahead):
    other = type(twin)(twin.model, twin.record.until("5 h"), twin.tree, twin.observations, twin.integrator)
    with pytest.raises(ValueError, match="knows its patient until 300 min, but the forecast begins at"):
        plots.fan(ahead, twin=other)


def test_an_unknown_output_names_the_nearest(twin):
    with pytest.raises(ValueError, match=r"no output `glucos` to draw; did you mean `glucose`"):
        plots.fan(twin, "glucos")


def test_a_constant_parameter_has_no_path(twin):
    with pytest.raises(ValueError, match="`glucose_volume` does not vary in time in model `ICING`"):
        plots.path(twin, "glucose_volume")


def test_a_dose_is_written_with_its_amount_however_long_it_took():
    stay = Record.build(
        {"glucose": ([0.0, 60.0, 120.0], [9.0, 8.0, 7.0], "mmol/L")},
        Inputs.bolus("insulin", 30, 5.0, "U", duration=2.0),
    )
    figure, axis = plt.subplots()
    _course(axis, "insulin", stay.inputs["insulin"], (0.0, 120.0), "black")
    assert [text.get_text() for text in axis.texts] == ["5 U"]
    plt.close(figure)
