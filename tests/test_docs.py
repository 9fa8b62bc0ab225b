import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys

import pytest

import twinprob
from tests import ROOT

FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(twinprob.__path__, "twinprob.") if not module.name.endswith(".cli")
)
# Pages whose examples take more than 20 s each, most of it to compile.
LONG = {
    f"docs/{name}.md"
    for name in (
        "add_a_model", "calibration", "cardiovascular", "cohort", "identifiability", "measurements", "metabolic",
        "next_measurement", "page", "population", "recommending", "respiratory", "sepsis", "virtual_trials", "watching",
        "write_a_protocol",
    )
}  # fmt: skip
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def python_blocks(page: str) -> list[str]:
    """Return the Python blocks of a Markdown page; a block meant to be read only has another language."""
    return FENCE.findall((ROOT / page).read_text(encoding="utf-8"))


def test_pages_left_to_the_slow_tests_exist():
    assert set(PAGES) >= LONG


def test_the_modules_were_found():
    assert len(MODULES) > 10


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    outcome = doctest.testmod(importlib.import_module(name), optionflags=options)
    assert outcome.failed == 0


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page in LONG)) for page in PAGES if python_blocks(page)],
)
def test_python_blocks_of_a_page_run_in_a_new_process(page, tmp_path):
    environment = {**os.environ, "TWINPROB_SMALL": "1", "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "\n".join(python_blocks(page))]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr


def test_the_readme_begins_with_an_example_of_at_most_12_lines():
    first = python_blocks("README.md")[0]
    assert 0 < len([line for line in first.splitlines() if line.strip()]) <= 12


@pytest.mark.parametrize("name", sorted(twinprob.__all__))
def test_a_public_name_appears_in_the_documentation(name):
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert re.search(rf"(?<!\w){re.escape(name)}(?!\w)", pages)


def test_links_between_pages_lead_somewhere():
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8")):
            if not ((ROOT / page).parent / target).exists():
                broken.append(f"{page}: {target}")
    assert broken == []
