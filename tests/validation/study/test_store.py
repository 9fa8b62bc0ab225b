"""What is kept of a patient is what was said, once."""

import numpy as np
import pandas as pd
import pytest

zarr = pytest.importorskip("zarr")

from tests.validation.study import made  # noqa: E402
from twinprob.validation.study.gather import gather, read  # noqa: E402
from twinprob.validation.study.parts import Part  # noqa: E402
from twinprob.validation.study.store import Store  # noqa: E402


def same(one: Part, other: Part) -> bool:
    pd.testing.assert_frame_equal(one.pairs, other.pairs, check_dtype=False, check_exact=True)
    pd.testing.assert_frame_equal(one.origins, other.origins, check_dtype=False, check_exact=True)
    return (one.patient, one.status, one.stays) == (other.patient, other.status, other.stays) and all(
        np.array_equal(a, b, equal_nan=True)
        for name in one.members
        for a, b in zip(one.members[name], other.members[name], strict=True)
    )


@pytest.mark.parametrize("part", [made.part(3, failed=2), made.excluded(4), made.broken(5)])
def test_a_patient_comes_back_bit_for_bit(tmp_path, part):
    store = Store.open(tmp_path / "s", made.plan(), "data")
    store.write(part, 1.5)
    found, seconds = Store.read(tmp_path / "s").part(part.patient)
    assert same(found, part)
    assert seconds == 1.5
    about, content = part.pack()
    assert same(Part.unpack(about, content), part)


def test_a_patient_is_kept_once(tmp_path):
    store = Store.open(tmp_path / "s", made.plan(), "data")
    store.write(made.part(1), 1.0)
    store.write(made.part(1, seed=9), 2.0)
    assert store.done() == ["p01"]
    assert same(store.part("p01")[0], made.part(1))


def test_what_a_killed_writer_left_is_nobody(tmp_path):
    store = Store.open(tmp_path / "s", made.plan(), "data")
    (tmp_path / "s" / "patients" / ".p01.00.partial").mkdir()
    assert store.done() == []
    again = Store.open(tmp_path / "s", made.plan(), "data")
    assert again.done() == []
    assert not list((tmp_path / "s" / "patients").glob(".*.partial"))


def test_a_store_of_another_study_is_refused(tmp_path):
    Store.open(tmp_path / "s", made.plan(), "data")
    with pytest.raises(ValueError, match="as another file states it"):
        Store.open(tmp_path / "s", made.plan(seed=4), "data")
    with pytest.raises(ValueError, match="another extract"):
        Store.open(tmp_path / "s", made.plan(), "other")


def test_a_study_is_not_gone_on_with_by_another_version(tmp_path, monkeypatch):
    Store.open(tmp_path / "s", made.plan(), "data")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99.0")
    with pytest.raises(ValueError, match=r"and this is 99\.0"):
        Store.open(tmp_path / "s", made.plan(), "data")


def test_another_folder_is_never_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="no store of a study"):
        Store.open(tmp_path, made.plan(), "data")
    zarr.open_group(str(tmp_path / "z"), mode="w")
    with pytest.raises(ValueError, match="no store of a study"):
        Store.open(tmp_path / "z", made.plan(), "data")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_populations_are_there_all_or_not_at_all(tmp_path):
    store = Store.open(tmp_path / "s", made.plan(), "data")
    assert store.populations() is None
    files = {("a", 0): b"first", ("a", 1): b"second"}
    store.keep_populations(files)
    assert store.populations() == files
    import shutil

    shutil.rmtree(tmp_path / "s" / "populations" / "p00001")
    assert store.populations() is None


def test_a_study_that_forecast_nobody_says_so(tmp_path):
    store = Store.open(tmp_path / "s", made.plan(), "data")
    store.write(made.excluded(1), 0.1)
    with pytest.raises(ValueError, match="No stay of the study was forecast"):
        gather(store)
    with pytest.raises(ValueError, match="no store"):
        read(tmp_path / "none")
