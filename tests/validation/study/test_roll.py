"""A patient's key, the populations that are refused, and a twin that is really rolled."""

import jax
import numpy as np
import pytest

from tests.validation.made_extract import PLAN, patient
from tests.validation.study import made
from twinprob.inference.population import load_population
from twinprob.validation.study import roll
from twinprob.validation.study.cohort import Listed, listed
from twinprob.validation.study.parts import Part
from twinprob.validation.study.protocol import Given, Protocol, Source

yaml = pytest.importorskip("yaml")


def data(key) -> list[int]:
    return np.asarray(jax.random.key_data(key)).tolist()


def test_a_patients_key_depends_on_seed_and_patient_alone():
    plan = made.plan()
    assert data(roll.key_of(plan, "a")) == data(roll.key_of(made.plan(), "a"))
    assert data(roll.key_of(plan, "a")) != data(roll.key_of(plan, "b"))
    assert data(roll.key_of(plan, "a")) != data(roll.key_of(made.plan(seed=4), "a"))


def test_a_population_of_unknown_patients_needs_a_reason(tmp_path):
    source = Listed(Source(reader="mimic"), tmp_path, {"a": (1,)})
    population = {"kind": "given", "name": "icing-mimic3"}
    with pytest.raises(ValueError, match=r"does not say whom it was learned on.*population\.others"):
        roll.learn(made.plan(population=population), source)
    found = roll.learn(made.plan(population={**population, "others": "They are of another hospital."}), source)
    assert list(found) == [("", -1)]


def test_a_population_learned_on_the_studys_patients_is_refused(tmp_path, monkeypatch):
    population = load_population("icing-mimic3")
    monkeypatch.setattr(type(population), "provenance", {"persons": ["a", "c"]})
    source = Listed(Source(reader="mimic"), tmp_path, {"a": (1,), "b": (2,)})
    with pytest.raises(ValueError, match="1 of the study's own patients"):
        roll._require_others(population, source, Given(kind="given", name="x", others="none"))


def test_a_population_of_another_model_is_refused(tmp_path):
    source = Listed(Source(reader="mimic"), tmp_path, {"a": (1,)})
    given = {"kind": "given", "name": "icing-mimic3", "others": "They are of another hospital."}
    with pytest.raises(ValueError, match="of model ChartedICING"):
        roll.learn(made.plan(population=given, model={"name": "ICING"}), source)


def test_a_populations_file_comes_back():
    population = load_population("icing-mimic3")
    assert roll.from_bytes(roll.to_bytes(population)).summary() == population.summary()


@pytest.fixture
def source(tmp_path):
    patient(tmp_path / "right.csv", 1, 3)
    patient(tmp_path / "unit.csv", 2, 3, unit="furlong")
    (tmp_path / "empty.csv").write_text("")
    patient(tmp_path / "few.csv", 3, 1)
    return listed(Source(reader="tidy"), tmp_path)


PROTOCOL = Protocol.model_validate(yaml.safe_load(PLAN.replace("LIMIT", "30 min")))


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [("unit", "failed", "furlong"), ("empty", "failed", "Error"), ("few", "excluded", "fewer than 2 plateau_pressure")],
)
def test_a_patient_that_cannot_be_forecast_is_a_row_with_a_reason(source, name, status, reason):
    part = roll.roll(PROTOCOL, source, name, {}, known=lambda part: None, tell=lambda share: None)
    assert part.status == status
    assert reason in part.stays[0]["reason"]


@pytest.mark.slow
def test_a_twin_is_rolled_and_is_the_same_again(source):
    kept: list[Part] = []
    parts = [roll.roll(PROTOCOL, source, "right", {}, known=kept.append, tell=lambda share: None) for _ in range(2)]
    assert parts[0].status == "done"
    assert [np.isnan(m).all() for m in kept[0].members["twin"]] == [True, True]
    assert all(np.array_equal(a, b) for a, b in zip(parts[0].members["twin"], parts[1].members["twin"], strict=True))
    assert len(parts[0].pairs) == 2
