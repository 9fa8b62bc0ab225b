import jax
import numpy as np
import pytest
import xarray as xr

import twinprob as tp
from tests.inference.test_fit import record, twin  # noqa: F401  fixtures shared with the fit's tests


@pytest.fixture(scope="module")
def saved(twin, tmp_path_factory):  # noqa: F811
    path = tmp_path_factory.mktemp("twin") / "twin.nc"
    twin.save(path)
    return path


def test_a_loaded_twin_equals_the_saved_one(twin, saved):  # noqa: F811
    back = tp.load(saved)
    assert back.record == twin.record
    for name in twin.tree.children:
        xr.testing.assert_equal(back.tree[name].to_dataset(), twin.tree[name].to_dataset())


def test_a_loaded_twin_forecasts_bit_for_bit(twin, saved):  # noqa: F811
    key = jax.random.key(1)
    ours, theirs = (tp.forecast(t, hours=2, key=key).group("predictions")["glucose"] for t in (twin, tp.load(saved)))
    np.testing.assert_array_equal(ours, theirs)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no twin at"):
        tp.load(tmp_path / "none.nc")


def test_a_failed_save_leaves_the_old_file(twin, saved, monkeypatch):  # noqa: F811
    before = saved.read_bytes()
    monkeypatch.setattr(xr.DataTree, "to_netcdf", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        twin.save(saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_a_twin_shows_itself_as_html(twin):  # noqa: F811
    shown = twin._repr_html_()
    assert "not a medical device" in shown
    assert "90 % interval" in shown
    prior, posterior = (np.log(twin.group(g)["initial_glucose"].values).var() for g in ("prior", "posterior"))
    assert f"{1 - posterior / prior:.0%} of prior variance" in shown


def test_a_trajectory_begins_where_the_record_does(twin):  # noqa: F811
    assert twin.group("trajectory")["time"].values[0] == twin.record.start


def test_halving_the_steps_changes_something(twin):  # noqa: F811
    assert 0.0 < twin.provenance["integration_error"] < 0.05
