"""The page over its own protocol: its numbers are the verbs', it refuses what it must, nothing leaves the machine."""

import dataclasses
import re
from importlib.resources import files

import jax
import numpy as np
import pytest

import twinprob as tp
from tests.twins import small_twin
from twinprob.forecasting.risk import Risk
from twinprob.presentation.page.answer import LEVELS, Asked, frequency
from twinprob.presentation.page.svg import dots
from twinprob.presentation.page.treatments import RANGES, read_caps, treatments

pytest.importorskip("starlette", reason="the extra `app` is not installed")
pytest.importorskip("httpx2")


@pytest.fixture(scope="module")
def client():
    from starlette.testclient import TestClient

    from twinprob.presentation.page import site

    with TestClient(site(small_twin()), base_url="http://127.0.0.1") as client:
        yield client


def test_numbers_are_those_of_the_verbs(client):
    told = client.get("/api/answer", params={"insulin": "3", "hours": "2", "key": "4"}).json()
    twin = small_twin()
    ahead = tp.forecast(twin, inputs=tp.plan(twin, insulin="3 U/h"), hours=2, key=jax.random.key(4))
    assert np.array_equal(told["outputs"]["glucose"]["measured"], ahead.quantiles("glucose", LEVELS))
    assert [one["said"] for one in told["risks"]] == [str(tp.risk(ahead, one["event"])) for one in told["risks"]]
    assert len(told["risks"]) == 2


def test_the_page_shows_what_the_numbers_say(client):
    query = {"insulin": "3", "hours": "2"}
    page, told = client.get("/", params=query).text, client.get("/api/answer", params=query).json()
    assert all(one["said"].replace("<", "&lt;").replace(">", "&gt;") in page for one in told["risks"])
    assert "insulin 3 U/h" in page
    assert page.count('type="range"') == len(treatments(small_twin()))
    assert page.count("Research software, not a medical device.") >= 2


def test_a_slider_left_alone_changes_nothing(client):
    offered = treatments(small_twin())
    still = {one.name: f"{one.now!r}" for one in offered}
    assert Asked.read(still, offered).given == {}
    assert client.get("/api/answer", params=still).json() == client.get("/api/answer").json()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"insulin": "13"}, "from 0 to 12 U/h"),
        ({"insulin": "lots"}, "must be a number"),
        ({"hours": "nan"}, "must be a number"),
        ({"hours": "-1"}, "hours"),
        ({"hours": "1e9"}, "hours"),
    ],
)
def test_what_lies_beyond_a_range_is_refused(client, query, says):
    answered = client.get("/api/answer", params=query)
    assert answered.status_code == 422
    assert says in answered.json()["error"]


def test_what_was_typed_is_escaped(client):
    text = client.get("/answer", params={"insulin": "<script>1</script>"}).text
    assert "<script" not in text


def test_it_answers_under_no_other_name_and_asks_nobody(client):
    assert client.get("/", headers={"Host": "elsewhere.example"}).status_code == 400
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    for name in ("page.html", "answer.html", "page.css", "page.js", "options.html"):
        text = files("twinprob.presentation.page").joinpath(name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|//\w+\.\w+|@import|url\(", text)


def test_options_stand_side_by_side_and_none_is_chosen(client):
    query = {
        "treatment": "insulin",
        "goal": "glucose 7.8 to 11.1 mmol/L",
        "limit": "glucose < 3.9 mmol/L",
        "most": "0.05",
    }
    told, page = client.get("/api/options", params=query).json(), client.get("/options", params=query).text
    names = {one["option"] for one in told["options"]}
    assert {"no change", "measure first", "insulin 3 U/h"} <= names
    assert page.count("<article") == len(told["options"])
    assert "None of these is chosen for you" in page
    assert "checked" not in page


@pytest.mark.slow
def test_why_it_is_unsure_and_what_to_measure_next_are_told(client):
    unsure, following = client.get("/why"), client.get("/next")
    assert "insulin_sensitivity" in unsure.text
    assert "To know glucose" in following.text
    assert "glucose in 30 min" in following.text


@pytest.mark.parametrize("missing", ["goal", "limit", "treatment"])
def test_a_goal_and_a_limit_are_asked_for(client, missing):
    query = {"treatment": "insulin", "goal": "glucose 7.8 to 11.1 mmol/L", "limit": "glucose < 3.9 mmol/L"}
    assert client.get("/options", params={**query, missing: ""}).status_code == 422


def test_a_stale_twin_is_grayed_with_its_reason():
    from starlette.testclient import TestClient

    from twinprob.presentation.page import site

    twin = small_twin()
    late = dataclasses.replace(twin, record=dataclasses.replace(twin.record, end=twin.now + 600.0))
    with TestClient(site(late), base_url="http://127.0.0.1") as client:
        told = client.get("/api/standing").json()
    assert any("old" in reason for reason in told["grayed"])


@pytest.mark.parametrize(
    ("probability", "draws", "says"),
    [
        (0.2, 2000, "10 of 50 patients"),
        (0.003, 2000, "about 1 in 300 patients"),
        (0.999, 2000, "all but about 1 in 1000 patients"),
        (0.0, 2000, "fewer than 1 in 668 patients"),
        (float("nan"), 0, "not known"),
    ],
)
def test_risks_are_natural_frequencies_and_never_zero(probability, draws, says):
    assert says in frequency(Risk(probability, 0.01, "glucose < 4 mmol/L", 4.0, draws, float(draws)))


def test_fifty_dots_are_counted():
    assert dots(7).count('class="hit"') == 7
    assert dots(7).count("<circle") == 50
    assert dots(None) == ""


def test_caps_end_a_slider_and_are_named():
    one = {t.name: t for t in treatments(small_twin(), read_caps(["insulin=4 U/h"]))}["insulin"]
    assert (one.most, one.unit, one.cap) == (4.0, "U/h", "cap of the caller")
    with pytest.raises(ValueError, match="no input of the model"):
        treatments(small_twin(), read_caps(["peep=4 cmH2O"]))


@pytest.mark.parametrize("name", sorted(RANGES))
def test_a_range_is_plausible_in_its_unit(name):
    least, most, step, unit = RANGES[name]
    tp.patient.units.require_plausible(name, np.array([least, most]), unit)
    assert 0.0 < step <= most - least
