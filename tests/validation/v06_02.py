"""Hostile and broken files through every door, and what hostile text becomes on a page and in a table."""

import csv
import re
import shutil
import subprocess
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import jax
from typer.testing import CliRunner

import twinprob as tp
from tests import hostile
from tests.hostile import FORMULA, LOADERS, SCRIPT
from tests.validation import Result
from twinprob import cli
from twinprob.presentation import export, report

TITLE = "Hostile and broken files through load, load_cohort, load_population, the command and the report"
BAR = (
    "0 run, 0 tracebacks of a lower library, each refused by name; report and CSV inert in a browser and a spreadsheet"
)
FORMULAS = (FORMULA, "+1+1", "-1+1", "@SUM(A1)", "\t=1+1")
OURS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "h2",
    "p",
    "strong",
    "div",
    "table",
    "tr",
    "th",
    "td",
    "img",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def measure() -> Result:
    """Send every file of the corpus through the loaders and the command; read what hostile text became."""
    with tempfile.TemporaryDirectory() as folder:
        files, beside = Path(folder) / "files", Path(folder) / "beside"
        files.mkdir()
        beside.mkdir()
        cases = hostile.corpus(files, beside / "canary")
        unlike = [found for case in cases for found in (*_loaders(case), *_command(case))]
        ran = (beside / "canary").exists()
        page = _page(beside)
        wrong = {"elements": _foreign_elements(page), "cells": _live_cells(beside), "browser": _browser(page, beside)}
    script_ran = wrong["browser"] not in ("inert", "no browser here")
    holds = (
        len(cases) >= 60 and not unlike and not ran and not wrong["elements"] and not wrong["cells"] and not script_ran
    )
    return Result(
        figure=f"{len(cases)} files through 3 loaders and the command: {int(ran)} ran anything, {len(unlike)} not "
        f"refused in one line by name; page of hostile text: {len(wrong['elements'])} foreign elements, browser: "
        f"{wrong['browser']}; {len(wrong['cells'])} live cells in CSV",
        holds=holds,
        details={"unlike": unlike[:20], **wrong},
    )


def _loaders(case: hostile.Case) -> list[str]:
    """Return what is wrong with how a file is refused by the loader of its kind and by the other two."""
    wrong = []
    for noun, load in LOADERS.items():
        said, kind = "", "loaded"
        try:
            load(case.path)
        except BaseException as error:  # noqa: BLE001  whatever comes is judged
            said, kind = str(error), type(error).__name__
            if error.__cause__ is not None or not (error.__suppress_context__ or error.__context__ is None):
                kind = f"{kind} from {type(error.__context__).__name__}"
        named = case.path.name in said and "\n" not in said and (noun != case.noun or re.search(case.says, said))
        # A file that pretends to be what it is not may be a whole file of another kind.
        if kind == "loaded" and case.name.startswith(f"a {noun} for a "):
            continue
        if kind not in ("ValueError", "FileNotFoundError") or not named:
            wrong.append(f"{case.name} by load of a {noun}: {kind} {said[:200]}")
    return wrong


def _command(case: hostile.Case) -> list[str]:
    result = CliRunner().invoke(cli.app, ["forecast", str(case.path), "--hours", "1"])
    if case.name.startswith("a twin for a "):
        return []
    lines = result.output.strip().splitlines()
    if result.exit_code == 2 and len(lines) == 1 and lines[0].startswith("Error: ") and "Traceback" not in lines[0]:
        return []
    return [f"{case.name} by the command: exit {result.exit_code}, {len(lines)} lines, {result.output[:200]}"]


def _page(folder: Path) -> str:
    """Return the report, and what notebooks show, of a twin whose every text is a script."""
    (folder / "script.nc").write_bytes(hostile.speaking(SCRIPT))
    twin = tp.load(folder / "script.nc")
    ahead = tp.forecast(twin, hours=1, key=jax.random.key(0))
    notebook = "".join(shown._repr_html_() for shown in (twin, twin.record, twin.model, ahead, tp.diagnose(twin)))
    return report.html(twin, ahead, events=("glucose < 4 mmol/L",)).replace("</body>", f"{notebook}</body>")


class _Elements(HTMLParser):
    """Collects elements and attributes that no page of ours has."""

    def __init__(self):
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag, attrs):
        known = OURS | {"caption", "thead", "tbody", "b", "br", "ul", "li", "span", "details", "summary"}
        if tag not in known:
            self.foreign.append(tag)
        for name, value in attrs:
            away = name in ("src", "href") and not (value or "").startswith("data:image/png;base64,")
            if name.startswith("on") or away:
                self.foreign.append(f"{tag} {name}")


def _foreign_elements(page: str) -> list[str]:
    elements = _Elements()
    elements.feed(page)
    return elements.foreign


def _live_cells(folder: Path) -> list[str]:
    """Return the cells of tables that a spreadsheet would compute, of twins whose every text is a formula."""
    live = []
    for i, formula in enumerate(FORMULAS):
        (folder / "formula.nc").write_bytes(hostile.speaking(formula))
        twin = tp.load(folder / "formula.nc")
        ahead = tp.forecast(twin, hours=1, key=jax.random.key(0))
        export.parameters_csv(twin, folder / f"{i}_parameters.csv")
        export.forecast_csv(ahead, folder / f"{i}_forecast.csv")
        export.draws_csv(ahead, folder / f"{i}_draws.csv")
    tables = sorted(folder.glob("*.csv"))
    if len(tables) != 3 * len(FORMULAS):
        raise RuntimeError("a table is missing")
    for table in tables:
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                live += [cell for cell in row if cell.startswith(tuple("=+-@\t\r")) and not _is_number(cell)]
    return live


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _browser(page: str, folder: Path) -> str:
    """Return whether a browser ran a script of the page; a page with the bare script shows that it would."""
    browser = next((found for found in map(shutil.which, BROWSERS) if found), None)
    if browser is None:
        return "no browser here"
    titles = []
    for name, text in (("page", page), ("control", f"<html><title>still</title>{SCRIPT}</html>")):
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom")
        command = [browser, *flags, (folder / f"{name}.html").as_uri()]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
        titles.append("".join(re.findall(r"<title>(.*?)</title>", shown)))
    if titles[1] != "run":
        return "no browser here"
    return "ran a script" if titles[0] == "run" else "inert"
