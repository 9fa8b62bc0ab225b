import io
import json
import warnings

import h5py
import jax
import numpy as np
import pytest
import xarray as xr

import twinprob as tp
from tests import hostile
from tests.cases import Washout
from tests.hostile import LOADERS, SAVED, edited, flipped, whole
from twinprob.inference.seal import sealed

EXPECTED = json.loads((SAVED / "expected.json").read_text(encoding="utf-8"))
TWINS = ("charted_lung", "fitted", "noise_and_process", "pressure", "updated")


def load(path, noun="twin"):
    """Another jax than that of the fixtures is none of these tests' business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return LOADERS[noun](path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder, beside = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("canary")
    return hostile.corpus(folder, beside / "canary"), beside / "canary"


@pytest.mark.parametrize("part", range(8))
def test_a_hostile_or_broken_file_is_refused_by_name_and_runs_nothing(corpus, part):
    cases, canary = corpus
    assert len(cases) >= 60
    for case in cases[5 * part :: 40]:
        with pytest.raises((ValueError, FileNotFoundError), match=case.says) as refusal:
            load(case.path, case.noun)
        assert "\n" not in str(refusal.value), case.name
        assert case.path.name in str(refusal.value), case.name
    assert not canary.exists()


# ---- version 0.1


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_of_version_0_1_is_read(name):
    assert load(SAVED / f"{name}.nc").record.data_hash == EXPECTED[name]["data_hash"]


def test_a_cohort_of_version_0_1_is_read():
    found = load(SAVED / "cohort.nc", "cohort")
    assert [m.record.data_hash for m in found.members] == [EXPECTED[f"cohort_{i}"]["data_hash"] for i in range(3)]


def test_a_population_of_version_0_1_gives_the_priors_it_gave():
    stay = tp.load_example("icu_glucose", stay=5).until("6 h")
    priors = load(SAVED / "population.nc", "population").priors(tp.models.metabolic.ICING(), stay)
    found = {name: getattr(prior, "base_dist", prior).loc for name, prior in priors.items()}
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {name: float.fromhex(value[0]) for name, value in EXPECTED["population"].items()}, rel=1e-9
    )


def test_a_twin_of_version_0_1_forecasts_as_it_did():
    ahead = tp.forecast(load(SAVED / "fitted.nc"), hours=4, key=jax.random.key(11))
    found = ahead.tree["predicted_outputs"]["glucose"].values[..., -1].ravel()[:20]
    wanted = [float.fromhex(x) for x in EXPECTED["fitted"]["forecast"]["glucose"]]
    np.testing.assert_allclose(found, wanted, rtol=1e-9)  # bit for bit on one machine: line 06.3


# ---- version 2


@pytest.fixture(scope="module", params=["twin", "cohort", "population"])
def saved(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "saved.nc"
    path.write_bytes(whole(request.param))
    return request.param, path


def test_a_file_names_no_module(saved):
    noun, path = saved
    with h5py.File(path) as file:
        said = file.attrs[noun] + (str(file["cohort/models"][0]) if noun == "cohort" else "")
    assert ("FixedStep" in said or "ICING" in said, "twinprob." in said) == (True, False)


def test_a_saved_file_says_nothing_new_when_saved_again(saved, tmp_path):
    noun, path = saved
    load(path, noun).save(tmp_path / "again.nc")
    assert (tmp_path / "again.nc").read_bytes() == path.read_bytes()


def test_other_programs_read_a_sealed_file(saved):
    noun, path = saved
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        assert tree.attrs["format"] == f"twinprob.{noun}/2"


@pytest.mark.parametrize("turn", range(10))
def test_a_file_with_any_byte_changed_is_refused_for_what_changed(saved, turn, tmp_path):
    noun, path = saved
    (tmp_path / "flipped.nc").write_bytes(flipped(path.read_bytes(), np.random.default_rng(turn)))
    with pytest.raises(ValueError, match=r"(variable `|its structure|its seal|the seal).*(changed|missing)"):
        load(tmp_path / "flipped.nc", noun)


def test_the_variable_whose_numbers_changed_is_named(tmp_path):
    content = whole("twin")
    with h5py.File(io.BytesIO(content)) as file:
        place = file["posterior/initial_glucose"].id.get_offset()
    changed = bytearray(content)
    changed[place + 3] ^= 1
    (tmp_path / "changed.nc").write_bytes(bytes(changed))
    with pytest.raises(ValueError, match="variable `posterior/initial_glucose` changed since"):
        load(tmp_path / "changed.nc")


def test_an_attribute_edited_in_place_is_noticed(tmp_path):
    path = tmp_path / "edited.nc"
    path.write_bytes(whole("twin"))
    with h5py.File(path, "r+") as file:
        file.attrs["provenance"] = file.attrs["provenance"].replace('"khat": 0.7', '"khat": 0.1')
    with pytest.raises(ValueError, match=r"its structure, a text or an attribute changed|the seal at its end"):
        load(path)


# ---- what changed since


def rewritten(change, tmp_path):
    path = tmp_path / "older.nc"
    path.write_bytes(edited("twin", hostile.redescribed("written", change)))
    return path


@pytest.mark.parametrize("library", ["twinprob", "jax"])
def test_a_file_of_another_version_says_so_once(library, tmp_path):
    path = rewritten(hostile.put("versions", library)("0.0.7"), tmp_path)
    with pytest.warns(UserWarning, match=f"older.nc.*written by {library} 0.0.7") as said:
        tp.load(path)
    assert (len(said), said[0].filename) == (1, __file__)


def test_a_file_whose_model_changed_says_which_parameter(tmp_path):
    path = rewritten(hostile.put("declared", "ICING", "glucose_volume")("0" * 16), tmp_path)
    with pytest.warns(UserWarning, match="model `ICING` declares `glucose_volume` otherwise"):
        tp.load(path)


def test_a_file_of_this_version_says_nothing(tmp_path):
    path = tmp_path / "twin.nc"
    path.write_bytes(whole("twin"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tp.load(path).draws == 80


# ---- models of the user's own


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    record = tp.Record.build(
        {"amount": ([10.0, 30.0, 60.0], [9.0, 7.5, 5.5], "1")}, start=0.0, end=60.0, own=("amount",)
    )
    path = tmp_path_factory.mktemp("own") / "own.nc"
    method = tp.Laplace(starts=2, chains=2, draws=20, proposals=200)
    tp.fit(Washout(), record, key=jax.random.key(1), method=method).save(path)
    return path


@pytest.mark.parametrize("given", [{}, {"model": Washout}, {"model": Washout()}, {"own": (Washout,)}])
def test_a_model_of_the_users_own_is_passed_or_was_defined(own, given):
    assert type(tp.load(own, **given).model) is Washout


def test_a_model_that_is_not_the_files_is_refused(own):
    with pytest.raises(ValueError, match="its model is `Washout`, but argument `model` is `ICING`"):
        tp.load(own, model=tp.models.metabolic.ICING)


def test_a_model_that_was_never_defined_is_refused_with_the_remedy(own, tmp_path):
    changed = own.read_bytes().replace(b'"own": "Washout"', b'"own": "Unheard"')
    (tmp_path / "own.nc").write_bytes(sealed(hostile.unsealed(changed)))
    with pytest.raises(
        ValueError, match=r"`Unheard`, which is not twinprob's; if it is yours, pass it: `load\(path, model="
    ):
        tp.load(tmp_path / "own.nc")
