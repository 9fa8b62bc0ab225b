import dataclasses
import json
import os
import re
from html.parser import HTMLParser

import pytest

from tests.twins import small_forecast, small_twin
from twinprob.presentation import report

VOID = {"meta", "img", "br", "hr", "link"}


class Balance(HTMLParser):
    """Collects the tags that were not closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def page():
    return report.html(small_twin(), small_forecast(), events=("glucose < 4 mmol/L",), target=(4.4, 8.0))


@pytest.fixture(scope="module")
def text(page):
    parser = Balance()
    parser.feed(page)
    return " ".join(" ".join(parser.words).split())


def test_every_tag_is_closed(page):
    parser = Balance()
    parser.feed(page)
    assert (parser.open, parser.wrong) == ([], [])


def test_a_report_says_that_it_is_no_medical_device(text):
    assert "Research software, not a medical device." in text


def test_a_report_holds_its_pictures(page):
    assert page.count('src="data:image/png;base64,') == 3


def test_every_picture_has_words_for_those_who_cannot_see_it(page):
    assert all(re.search(r'alt="[^"]{20,}"', tag) for tag in re.findall(r"<img[^>]*?>", page))


def test_a_report_needs_nothing_from_elsewhere(page):
    assert re.findall(r"https?://|<script|<link|src=\"(?!data:)", page) == []


def test_a_report_gives_verdict_risk_and_provenance(text):
    found = [re.search(pattern, text) is not None for pattern in (
        r"How far to trust it: (trustworthy|use with care|do not use)",
        r"P\(glucose < 4 mmol/L within 3 h\) [=<] 0\.\d+",
        r"data_hash [0-9a-f]{64}",
    )]  # fmt: skip
    assert found == [True, True, True]


def test_a_report_gives_units_and_levels(text):
    assert "90 % credible intervals" in text
    assert "mmol/min" in text


def test_a_report_without_a_forecast_is_about_the_past():
    assert "Forecast" not in report.html(small_twin())


def test_risks_need_a_forecast():
    with pytest.raises(ValueError, match="`events` needs a forecast"):
        report.html(small_twin(), events=("glucose < 4 mmol/L",))


def test_a_report_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def fail(path, target):
        raise OSError("no space left")

    monkeypatch.setattr(report, "html", lambda *args, **kwargs: "<p>page</p>")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        report.write(small_twin(), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_a_written_report_is_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "html", lambda *args, **kwargs: "<p>page</p>")
    report.write(small_twin(), tmp_path / "report.html")
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [
        ("report.html", "<p>page</p>")
    ]


SCRIPT = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">$\\frac$"


@pytest.fixture(scope="module")
def speaking():
    """The small twin with a script, and a formula for matplotlib, in every text that may be any text."""
    tree = small_twin().tree.copy()
    for group in tree.subtree:
        for values in group.dataset.variables.values():
            values.attrs.update({name: SCRIPT for name in ("units", "long_name", "source") if name in values.attrs})
    provenance = small_twin().provenance
    provenance |= {"notes": [SCRIPT], "population": SCRIPT, "method": SCRIPT, "settings": {SCRIPT: SCRIPT}}
    tree.attrs |= {"title": SCRIPT, "provenance": json.dumps(provenance)}
    return dataclasses.replace(small_twin(), tree=tree)


class Elements(HTMLParser):
    """Collects the elements of a page, and its attributes that could run or load something."""

    def __init__(self):
        super().__init__()
        self.names, self.live = set(), []

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.live += [
            name for name, value in attrs if name.startswith("on") or (name == "src" and value[:5] != "data:")
        ]


@pytest.mark.parametrize("page", [report.html, lambda twin: twin._repr_html_()], ids=["report", "notebook"])
def test_text_of_a_twin_stays_text_on_a_page(speaking, page):
    elements = Elements()
    elements.feed(page(speaking))
    assert ("table" in elements.names, "script" in elements.names, elements.live) == (True, False, [])
