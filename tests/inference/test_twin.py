import dataclasses

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr

import twinprob as tp
from tests.inference.test_fit import QUICK, record, twin  # noqa: F401  fixtures shared with the fit's tests


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


def test_the_model_survives_with_its_priors_and_processes(twin, tmp_path):  # noqa: F811
    model = twin.model.free(glucose_volume=dist.TruncatedNormal(13.0, 2.0, low=5.0)).vary(
        insulin_sensitivity=tp.RandomWalk(sd=0.3, every="2 h")
    )
    dataclasses.replace(twin, model=model).save(tmp_path / "other.nc")
    back = tp.load(tmp_path / "other.nc").model
    assert back.unknowns() == model.unknowns()
    assert back.processes()["insulin_sensitivity"].interval == 120.0
    assert float(back.prior("glucose_volume").log_prob(12.0)) == float(model.prior("glucose_volume").log_prob(12.0))


def test_a_truncated_file_is_refused(saved, tmp_path):
    broken = tmp_path / "broken.nc"
    broken.write_bytes(saved.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"`broken\.nc` is not a readable netCDF file"):
        tp.load(broken)


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "foreign.nc"
    xr.Dataset({"x": ("t", [1.0, 2.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ValueError, match=r"was not written by `Twin\.save`"):
        tp.load(path)


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


def test_a_class_of_the_users_own_must_be_passed(saved):
    text = saved.read_bytes().replace(
        b"twinprob.models.metabolic.icing:ICING", b"elsewhere.models.metabolic.icin:ICING"
    )
    own = saved.parent / "own.nc"
    own.write_bytes(text)
    with pytest.raises(ValueError, match=r"own=\(ICING,\)"):
        tp.load(own)


def test_a_twin_shows_itself_as_html(twin):  # noqa: F811
    shown = twin._repr_html_()
    assert "not a medical device" in shown
    assert "90 % interval" in shown
    prior, posterior = (np.log(twin.group(g)["initial_glucose"].values).var() for g in ("prior", "posterior"))
    assert f"{1 - posterior / prior:.0%} of prior variance" in shown
