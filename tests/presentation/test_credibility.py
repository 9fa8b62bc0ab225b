"""The page of a study: its title, its lines, and what it never says."""

import json

import pandas as pd
import pytest

pytest.importorskip("zarr")

from tests.presentation.test_report import Balance
from tests.validation.study import made
from twinprob.presentation import credibility
from twinprob.presentation.credibility import Check
from twinprob.validation.study.gather import gather
from twinprob.validation.study.store import Store


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    store = Store.open(tmp_path_factory.mktemp("c") / "s", made.plan(), "data")
    for number in range(6):
        store.write(made.part(number, pairs=12, draws=60, width=0.4), 1.0)
    store.write(made.excluded(90), 0.1)
    return gather(store)


@pytest.fixture(scope="module")
def page(study):
    return credibility.html(study)


def test_every_tag_is_closed_and_the_page_needs_nothing_from_elsewhere(page):
    parser = Balance()
    parser.feed(page)
    assert (parser.open, parser.wrong) == ([], [])
    assert "http" not in page
    assert "<script" not in page
    assert page.count('src="data:image/png;base64,') == 4
    assert len(page) < 10e6


def test_no_object_of_python_is_shown(page):
    assert "object at" not in page
    assert "LogNormal, " in page
    assert ">nan<" not in page


def test_it_never_says_valid(page):
    words = page.split("base64")[0].lower()
    assert "valid" not in words.replace("invalid", "")


def test_what_was_falsified_is_said_first(study, page):
    failed = [one for one in credibility.lines(study) if one.verdict == "failed"]
    assert failed
    assert f"Falsified in {len(failed)} of" in page


def test_lines_that_were_not_done_are_there_with_what_would_do_them(study):
    missing = [one for one in credibility.lines(study) if one.verdict == "not done"]
    assert {"calibration on simulated patients", "solver tolerance", "priors twice as wide"} <= {
        m.line for m in missing
    }
    done = Check("Inference", "calibration on simulated patients", "passed", "200 replicates")
    found = credibility.lines(study, [done])
    assert [one for one in found if one.line == done.line] == [done]


def test_without_a_context_of_use_there_is_no_credibility(tmp_path, study):
    import dataclasses

    bare = dataclasses.replace(study, protocol=made.plan(context_of_use=""))
    page = credibility.html(bare)
    assert "Credibility report" not in page
    assert "Figures of a study without a context of use" in page


def test_the_document_holds_the_same_lines(study, tmp_path):
    credibility.write(study, tmp_path)
    said = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert said["format"] == credibility.FORMAT
    assert [one["line"] for one in said["lines"]] == [one.line for one in credibility.lines(study)]
    assert sum(row["stays"] for row in said["flow"][1:]) == said["flow"][0]["stays"] == 7
    assert len(pd.DataFrame(said["figures"])) == len(study.summary())


def test_a_twin_that_loses_to_a_simple_forecaster_has_failed(study):
    import dataclasses

    members = list(study.scores.members)
    for i in study.scores.pairs.index[study.scores.pairs["forecaster"] == "twin"]:
        members[i] = members[i] + 30.0
    worse = dataclasses.replace(study, scores=dataclasses.replace(study.scores, members=tuple(members)))
    rows = [one for one in credibility.lines(worse) if one.area == "Against simple forecasters"]
    assert rows
    assert {one.verdict for one in rows} == {"failed"}
