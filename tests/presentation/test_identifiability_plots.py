import jax
import numpy as np
import pytest

import twinprob as tp
from tests.confounded import Product, product_record
from twinprob.presentation import plots

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def twin():
    return tp.fit(Product(), product_record(), key=jax.random.key(0), method=tp.Laplace(draws=100, proposals=500))


@pytest.fixture(scope="module")
def found(twin):
    return tp.identify(twin, key=jax.random.key(1), hours=(1.0,))


@pytest.fixture(scope="module")
def profiles():
    return tp.profile(Product().fix(fraction=0.5), product_record(), predictions={"amount": [1.0]})


def words(figure):
    return " ".join(text.get_text() for axis in figure.axes for text in axis.texts)


def test_a_grid_has_a_panel_for_each_profile(profiles):
    titles = [axis.get_title() for axis in plots.profile_grid(profiles).axes if axis.get_title()]
    assert titles == ["uptake", "amount in 1 h"]


def test_a_panel_shades_the_interval(profiles):
    shaded = plots.profile_grid(profiles).axes[0].patches[0].get_extents()
    axis = plots.profile_grid(profiles).axes[0]
    low, high = axis.transData.inverted().transform([(shaded.x0, 0), (shaded.x1, 0)])[:, 0]
    assert low < high


def test_a_spectrum_counts_what_it_leaves_out(found):
    # Of the two directions of a product only one is seen.
    assert "1 more below" in words(plots.eigen_spectrum(found.information))


def test_a_spectrum_shows_the_share_of_every_parameter(found):
    shares = np.asarray(plots.eigen_spectrum(found.information).axes[1].images[0].get_array())
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, rtol=1e-9)


def test_contraction_is_drawn_for_every_row(found):
    figure = plots.contraction_against_shift(found)
    points = [len(np.asarray(group.get_offsets())) for group in figure.axes[0].collections]
    assert sum(points) == len(found.rows)


def test_every_point_of_a_contraction_picture_has_its_name(found):
    assert "fraction" in words(plots.contraction_against_shift(found))


def test_the_lines_of_a_contraction_picture_follow_the_grades(found):
    figure = plots.contraction_against_shift(found, tp.Grades(determined=0.9))
    assert 0.9 in [np.asarray(line.get_xdata())[0] for line in figure.axes[0].lines]


def test_pictures_are_written_as_png(profiles):
    assert plots.png(plots.profile_grid(profiles)).startswith(b"\x89PNG")
