"""A study is gone on with where it was left; hands that hold patients are made of stubs here."""

import threading
import time
from typing import ClassVar

import pytest

pytest.importorskip("zarr")

from tests.validation.study import made
from twinprob.validation.study import run
from twinprob.validation.study.hand import Gone
from twinprob.validation.study.store import Store

COUNT = 6


class Stub:
    """A hand whose patients come at once, die, or wait for ever."""

    held: ClassVar[list[str]] = []
    dies: ClassVar[dict[str, int]] = {}
    interrupts = ""

    def __init__(self, protocol, folder):
        self.closed = threading.Event()

    def roll(self, patient, populations, limit, tell=None):
        Stub.held.append(patient)
        if Stub.dies.get(patient, 0):
            Stub.dies[patient] -= 1
            raise Gone("killed")
        if patient == Stub.interrupts:
            raise KeyboardInterrupt
        time.sleep(0.01)
        return made.part(int(patient[1:]), pairs=6, draws=50)

    def close(self):
        self.closed.set()


class Go:
    """Runs the study over `data` into `store`."""

    def __init__(self, data, store):
        self.data, self.store = data, store

    def __call__(self, workers=2, plan=None, **more):
        return run.study(plan or made.plan(), data=self.data, store=self.store, workers=workers, **more)


@pytest.fixture
def go(tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    for number in range(COUNT):
        (data / f"p{number:02d}.csv").write_text(str(number))
    monkeypatch.setattr(run, "Hand", Stub)
    Stub.held, Stub.dies, Stub.interrupts = [], {}, ""

    return Go(data, tmp_path / "s")


def test_every_patient_is_done_once(go):
    found = go()
    assert sorted(Stub.held) == [f"p{n:02d}" for n in range(COUNT)]
    assert found.flow["patient"].tolist() == sorted(Stub.held)
    Stub.held = []
    assert go().flow["patient"].tolist() == [f"p{n:02d}" for n in range(COUNT)]
    assert Stub.held == []


def test_an_interrupt_keeps_what_is_done_and_the_rest_follows(go):
    Stub.interrupts = "p03"
    with pytest.raises(KeyboardInterrupt):
        go(workers=1)
    assert Store.read(go.store).done() == ["p00", "p01", "p02"]
    Stub.held, Stub.interrupts = [], ""
    go()
    assert sorted(Stub.held) == ["p03", "p04", "p05"]


def test_a_process_that_dies_is_tried_once_more(go):
    Stub.dies = {"p01": 1, "p02": 2}
    flow = go().flow.set_index("patient")
    assert flow.loc["p01", "fate"] == "rolled"
    assert flow.loc["p02", "fate"] == "failed"
    assert "died twice" in flow.loc["p02", "reason"]
    assert len(flow) == COUNT


def test_progress_ends_at_one_with_nothing_left(go):
    told = []
    go(progress=lambda *said: told.append(said))
    assert [share for _, share, _ in told] == pytest.approx([(i + 1) / COUNT for i in range(COUNT)])
    assert told[-1][2] == 0.0
    assert all(left > 0 for _, _, left in told[:-1])


def test_another_study_or_another_extract_does_not_go_on(go):
    go()
    with pytest.raises(ValueError, match="as another file states it"):
        go(plan=made.plan(seed=9))
    (go.data / "p00.csv").write_text("changed")
    with pytest.raises(ValueError, match="another extract"):
        go()


def test_bad_arguments_are_refused_before_any_work(go, tmp_path):
    with pytest.raises(ValueError, match="workers"):
        go(workers=0)
    with pytest.raises(FileNotFoundError, match="no folder"):
        run.study(made.plan(), data=tmp_path / "none", store=tmp_path / "t")
    assert Stub.held == []
    assert not (tmp_path / "t").exists()


def test_a_patient_lost_as_a_whole_has_a_row_for_every_stay():
    lost = run._lost("a", "it died")
    assert [row["number"] for row in run._whole(lost, 3).stays] == [0, 1, 2]
    assert run._whole(made.part(1), 3).stays == made.part(1).stays
