"""What other programs read of a recommendation says the same numbers, validates, and never acts."""

import json
import math

import jsonschema
import numpy as np
import pytest

import twinprob as tp
from twinprob.decisions import Effect, Option, Reason, Recommendation
from twinprob.forecasting.risk import Risk
from twinprob.patient.inputs import Inputs
from twinprob.presentation.messages import RECOMMENDATION_SCHEMA, cds_hooks, fhir_bundle, recommendation_json

EVENT = "glucose < 4.4 mmol/L"
GOAL = tp.Goal("glucose", "7.8 to 10 mmol/L", below=4.0)


def option(name, probability, rank):
    mcse = math.sqrt(max(probability * (1 - probability), 1e-6) / 1000)
    risk = Risk(probability, mcse, EVENT, 4.0, 2000, 1000.0, 0)
    return Option(name, Inputs(), rank is not None, "", (risk,), (4.1,), 0.5, 0.01, rank, 2000, 0)


def made(reasons=()):
    rows = (("insulin 1 U/h", 0.02, 1), ("no change", 0.0, 2), ("insulin 4 U/h", 0.3, None))
    some = tuple(option(*row) for row in rows)
    if reasons:
        some = tuple(Option(o.name, o.inputs, o.feasible, o.why, o.risks, o.tails, o.cost, o.cost_mcse) for o in some)
    waiting = Option("measure first", None, True, "Measure glucose now first.")
    effect = Effect("insulin", "glucose", -2.0, -3.0, -1.0, "mmol/L", 0.8, "determined")
    return Recommendation(
        (*some, waiting), reasons, ("Check potassium <b>first</b>.",), GOAL, ((EVENT, 0.05),), 4.0, (effect,),
        np.array([60.0]), 2000, 1000.0,
    )  # fmt: skip


ABSTAINING = made((Reason("the last measurement is too old", "the last glucose is 9 h old.", "Measure it first."),))


@pytest.mark.parametrize("one", [made(), ABSTAINING], ids=["recommends", "abstains"])
def test_json_follows_its_schema(one):
    jsonschema.validate(json.loads(recommendation_json(one)), RECOMMENDATION_SCHEMA)


def test_json_says_the_numbers_of_the_recommendation():
    found = json.loads(recommendation_json(made()))
    first = found["options"][0]
    assert (first["rank"], first["risks"][0]["probability"], found["limits"]) == (
        1,
        0.02,
        [{"event": EVENT, "most": 0.05}],
    )
    assert found["options"][-1]["cost"] is None


def test_a_schema_that_is_not_followed_is_seen():
    broken = json.loads(recommendation_json(made())) | {"abstains": "no"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, RECOMMENDATION_SCHEMA)


def test_the_card_marks_no_option_and_holds_no_action():
    (card,) = cds_hooks(made())["cards"]
    assert [s["label"] for s in card["suggestions"]] == ["insulin 1 U/h", "no change", "measure first"]
    assert not any({"isRecommended", "actions"} & set(suggestion) for suggestion in card["suggestions"])
    assert "systemActions" not in cds_hooks(made())
    assert len(card["summary"]) < 140
    assert card["selectionBehavior"] == "at-most-one"


def test_an_abstention_is_an_info_card_with_its_reason():
    (card,) = cds_hooks(ABSTAINING)["cards"]
    assert card["indicator"] == "info"
    assert "the last glucose is 9 h old" in card["detail"]
    assert "suggestions" not in card


def test_risks_in_fhir_are_ranges_in_percent():
    resources = [entry["resource"] for entry in fhir_bundle(made(), subject="Patient/7")["entry"]]
    risks = [one["prediction"][0]["probabilityRange"] for one in resources if one["resourceType"] == "RiskAssessment"]
    low, high = (risks[0][side]["value"] for side in ("low", "high"))
    error = 100 * 2 * math.sqrt(0.02 * 0.98 / 1000)
    assert (low, high) == pytest.approx((2.0 - error, 2.0 + error))
    # No draw of a thousand: at most 1 - 0.05^(1/1000).
    assert risks[1]["low"]["value"] == 0.0
    assert risks[1]["high"]["value"] >= 100 * (1 - 0.05 ** (1 / 1000))
    assert all("probabilityDecimal" not in one["prediction"][0] for one in resources if "prediction" in one)


def test_plans_in_fhir_are_drafts_and_an_abstention_has_none():
    offered = [e["resource"] for e in fhir_bundle(made())["entry"] if e["resource"]["resourceType"] == "CarePlan"]
    assert {(one["status"], one["intent"]) for one in offered} == {("draft", "option")}
    kinds = [entry["resource"]["resourceType"] for entry in fhir_bundle(ABSTAINING)["entry"]]
    assert "CarePlan" not in kinds
    assert kinds[-1] == "GuidanceResponse"


def test_a_subject_that_is_no_reference_is_refused():
    with pytest.raises(ValueError, match="`subject` must be a reference"):
        fhir_bundle(made(), subject="somebody")


@pytest.mark.parametrize("one", [made(), ABSTAINING], ids=["recommends", "abstains"])
def test_the_resources_are_valid_fhir(one):
    bundles = pytest.importorskip("fhir.resources.R4B.bundle", reason="the extra `fhir` is not installed")
    bundles.Bundle.model_validate(fhir_bundle(one))


def test_the_page_shows_fifty_dots_and_runs_nothing():
    shown = made()._repr_html_()
    assert shown.count("●") == 1 + 0 + 15
    assert "<b>first" not in shown
