import ast

import pytest

from tests import ROOT
from tests.validation import v06_09
from tests.validation.faults import Fault
from tests.validation.v06_09 import ALL, FEWEST, judged, require_fresh

WINGS = sorted(path.parent.name for path in (ROOT / "twinprob").glob("*/__init__.py"))


def test_every_fault_can_be_put_in():
    require_fresh(ALL)


def test_there_are_as_many_faults_as_the_line_asks_for():
    assert len({fault.name for fault in ALL}) == len(ALL) >= FEWEST


@pytest.mark.parametrize("wing", WINGS)
def test_every_wing_has_faults(wing):
    assert any(fault.wing == wing for fault in ALL)


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)
def test_a_fault_is_code_and_names_tests(fault):
    text = (ROOT / "twinprob" / fault.file).read_text(encoding="utf-8")
    ast.parse(text.replace(fault.old, fault.new))
    assert fault.tests
    assert all((ROOT / "tests" / name).is_file() for name in fault.tests)


def test_a_fault_whose_text_is_gone_is_refused_by_name():
    with pytest.raises(LookupError, match=r"patient/units.py: no such text"):
        require_fresh([Fault("patient/units.py", "no such text", "", ("patient/test_units.py",))])


@pytest.mark.parametrize(("reason", "holds"), [("equal in every number", True), ("", False)])
def test_a_survivor_without_a_reason_is_a_miss(reason, holds, monkeypatch):
    survivor = ALL[0].name
    monkeypatch.setattr(v06_09, "REASONS", {survivor: reason} if reason else {})
    result = judged({fault.name: {"noticed": fault.name != survivor, "by": "", "seconds": 1.0} for fault in ALL})
    assert result.holds == holds


def test_a_fault_not_yet_tried_is_a_miss():
    result = judged({fault.name: {"noticed": True, "by": "", "seconds": 1.0} for fault in ALL[1:]})
    assert not result.holds
    assert "1 not yet tried" in result.figure
