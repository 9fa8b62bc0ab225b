import dataclasses
import importlib.metadata
import json
import os
import re
import stat
import subprocess
import sys

import jax
import pytest
from typer.testing import CliRunner

from tests import ROOT, hostile
from tests.twins import small_twin
from twinprob import cli
from twinprob.inference.methods.nuts import NUTS
from twinprob.inference.seal import sealed
from twinprob.models.metabolic import ICING, MinimalModel


@pytest.fixture(scope="module")
def twin():
    return small_twin()


@pytest.fixture
def run(twin, monkeypatch):
    """Run a command with the small twin in place of every fit."""
    monkeypatch.setattr(cli, "fit_twin", lambda *args, **kwargs: twin)
    return lambda *words: CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture
def saved(twin, tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    twin.save(folder / "twin.nc")
    return folder / "twin.nc"


STAY = ROOT / "datasets" / "icu_glucose" / "stay_3.csv"


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(demo_folder, twin):
    """The demonstration, run once with the small twin in place of both fits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "fit_twin", lambda *args, **kwargs: twin)
        return CliRunner().invoke(cli.app, ["demo", "--out", str(demo_folder / "out")])


def test_the_demo_ends_well(demo):
    assert demo.exit_code == 0, demo.output


def test_the_demo_leaves_its_files(demo, demo_folder):
    names = {path.name for path in (demo_folder / "out").iterdir()}
    assert names >= {"twin.nc", "forecast.csv", "fan.png", "report.html"}


def test_the_demo_leaves_nothing_else(demo, demo_folder):
    assert [path.name for path in demo_folder.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "words",
    ["90 % credible interval", "L/mU/min", "Verdict: ", "P(glucose < 4 mmol/L within 4 h) ", "not a medical device"],
)
def test_the_demo_prints(words, demo):
    assert words in demo.output


def test_a_record_is_fitted(run, tmp_path):
    result = run("fit", STAY, "--model", "icing", "--until", "10 h", "--out", tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert (result.exit_code, names) == (0, ["fan.png", "parameters.csv", "report.html", "twin.nc"])


def test_a_fit_hands_on_what_it_was_told(run, tmp_path, twin, monkeypatch):
    told: dict[str, object] = {}

    def remember(model, record, **settings):
        told.update(model=type(model), end=record.end, method=settings["method"])
        return twin

    monkeypatch.setattr(cli, "fit_twin", remember)
    run("fit", STAY, "--model", "icing", "--until", "6 h", "--method", "nuts", "--out", tmp_path / "out")
    assert told == {"model": ICING, "end": 360.0, "method": NUTS()}


def test_a_saved_twin_is_forecast(run, saved, tmp_path):
    result = run("forecast", saved, "--hours", 2, "--event", "glucose < 4 mmol/L", "--out", tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert (result.exit_code, names) == (0, ["fan.png", "forecast.csv", "report.html"])


def test_a_forecast_without_a_folder_only_prints(run, saved, tmp_path):
    result = run("forecast", saved, "--hours", 2)
    assert ("hours ahead" in result.output, [path.name for path in tmp_path.iterdir()]) == (True, ["saved"])


def test_a_forecast_follows_a_plan(run, saved, tmp_path):
    plan = tmp_path / "plan.csv"
    plan.write_text("start,end,variable,rate,unit\n600,inf,insulin,6,U/h\n", encoding="utf-8")

    def median(result):
        return float(
            next(line for line in result.output.splitlines() if line.split()[:2] == ["2.0", "glucose"]).split()[2]
        )

    assert median(run("forecast", saved, "--hours", 2, "--inputs", plan)) < median(run("forecast", saved, "--hours", 2))


def plan_of(text, tmp_path, run, saved, *words):
    plan = tmp_path / "plan.csv"
    plan.write_text(text, encoding="utf-8")
    return run("forecast", saved, "--hours", 2, "--inputs", plan, *words)


def test_a_plan_may_hold_dates_doses_and_other_units(run, saved, tmp_path):
    text = "start,variable,rate,unit\n2024-03-01T10:00,insulin,50,mU/min\n2024-03-01T10:30,insulin,2,U\n"
    result = plan_of(text, tmp_path, run, saved, "--origin", "2024-03-01T00:00")
    assert (result.exit_code, "hours ahead" in result.output) == (0, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start,variable,rate,unit\n2024-03-01T10:00,insulin,2,U/h\n", "need the argument `origin`"),
        ("start,variable,rate,unit\n600,insulin,two,U/h\n", "Row 2 of the inputs (insulin), column 'rate'"),
        ("start,variable,rate,unit\n600,insuline,2,U/h\n", "Row 2 of the inputs (insuline), column 'variable'"),
        ("variable,rate,unit\ninsulin,2,U/h\n", "needs the columns start, end, variable"),
        ("", "There is nothing in the inputs"),
    ],
)
def test_a_mistake_in_a_plan_is_one_line(text, message, run, saved, tmp_path):
    result = plan_of(text, tmp_path, run, saved)
    assert (result.exit_code, result.stderr.count("\n"), message in result.stderr) == (2, 1, True)


def test_a_fit_takes_a_population_and_its_model_and_says_on_whom_it_was_learned(run, tmp_path, twin, monkeypatch):
    taken: dict = {}
    monkeypatch.setattr(cli, "fit_twin", lambda model, record, **settings: taken.update(settings, model=model) or twin)
    result = run("fit", STAY, "--population", "icing-mimic3", "--until", "10 h", "--out", tmp_path / "out")
    assert type(taken["model"]).__name__ == type(taken["population"].model).__name__ == "ChartedICING"
    assert "MIMIC-III demo" in result.output


def test_a_fit_says_what_became_of_the_rows(run, tmp_path, twin, monkeypatch):
    monkeypatch.setattr(cli, "fit_twin", lambda model, record, **settings: dataclasses.replace(twin, record=record))
    result = run("fit", STAY, "--model", "icing", "--until", "10 h", "--out", tmp_path / "out")
    assert re.search(r"\d+ rows: \d+ used", result.output)


@pytest.mark.parametrize("what", ["devices", "precision", "compile cache", "plot backend", "netCDF engine", "jax"])
def test_the_doctor_tells(what, run):
    assert f"\n{what} " in run("doctor").output


def test_models_are_found_by_themselves():
    assert [type(cli._model(name)) for name in ("icing", "minimal")] == [ICING, MinimalModel]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fit", "absent.csv", "--model", "icing"), "There is no record at `absent.csv`."),
        (("fit", STAY), "Say which model, `--model icing`, or a population"),
        (("fit", STAY, "--population", "nobody"), "There is no population at `nobody`, and none of this name ships"),
        (("fit", STAY, "--model", "icin"), "There is no model `icin`; did you mean `icing`?"),
        (("fit", STAY, "--model", "icing", "--method", "nut"), "There is no method `nut`; did you mean `nuts`?"),
        (("forecast", "absent.nc"), "There is no twin at `absent.nc`."),
        (("forecast", STAY), "is not a readable netCDF file"),
        (("fit", STAY, "--model", "icing", "--out", STAY), "is a file"),
    ],
)
def test_a_mistake_is_one_line(words, message, run):
    result = run(*words)
    assert (result.exit_code, result.stderr.count("\n"), message in result.stderr) == (2, 1, True)


def test_a_mistake_leaves_nothing(run, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr("twinprob.presentation.export.parameters_csv", fail)
    run("fit", STAY, "--model", "icing", "--until", "10 h", "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


CACHE = "import jax; from twinprob import cli; cli._prepare(); print(jax.config.jax_compilation_cache_dir)"


def cache_folder(tmp_path, **settings):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), **settings}
    command = [sys.executable, "-c", CACHE]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT).stdout.strip()


def test_the_command_keeps_what_jax_compiled(tmp_path):
    assert cache_folder(tmp_path) == str(tmp_path / "twinprob" / "jax")


def test_the_environment_decides_where_compiled_programs_are_kept(tmp_path):
    assert cache_folder(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "mine")) == str(tmp_path / "mine")


def test_progress_shows_the_stage(capsys, monkeypatch, twin):
    stages = []

    def fit(model, record, *, key, method, population, progress):
        for stage in ("search for modes", "importance sampling"):
            progress(stage, 0.5)
            stages.append(stage)
        return twin

    monkeypatch.setattr(cli, "fit_twin", fit)
    cli._fit(ICING(), twin.record, key=jax.random.key(0))
    assert stages == ["search for modes", "importance sampling"]


def test_a_file_that_is_no_twin_is_refused_in_one_line(run, tmp_path):
    (tmp_path / "page.nc").write_bytes(b"<html>")
    result = run("forecast", tmp_path / "page.nc")
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert result.output.startswith("Error: `page.nc` cannot be read as a twin: it is not a readable netCDF file")


def test_a_file_of_another_version_is_noted_in_one_line(run, saved):
    content = hostile.unsealed(saved.read_bytes())
    version = importlib.metadata.version("jax").encode()
    held = content.replace(b'"versions": {"jax": "' + version, b'"versions": {"jax": "' + b"9" * len(version))
    saved.write_bytes(sealed(held))
    result = run("forecast", saved, "--hours", 1)
    notes = [line for line in result.output.splitlines() if line.startswith("Note: `twin.nc`: it was written by jax 9")]
    assert (result.exit_code, len(notes)) == (0, 1)


def test_results_keep_the_mode_of_the_files_they_replace(run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "twin.nc").write_bytes(b"old")
    (out / "twin.nc").chmod(0o600)
    run("fit", STAY, "--model", "icing", "--until", "10 h", "--out", out)
    assert stat.S_IMODE((out / "twin.nc").stat().st_mode) == 0o600


def test_a_forecast_says_from_when_it_speaks_in_hours(run, saved):
    assert "Forecast of measurements from 10 h" in run("forecast", saved, "--hours", 2).output


@pytest.fixture
def news(tmp_path, twin):
    """Two glucose values after the twin's present, and a line that is none."""
    now, path = twin.now, tmp_path / "news.csv"
    rows = [f"{now + 30},glucose,8.5,mmol/L", "soon,glucose,?,mmol/L", f"{now + 60},glucose,8.1,mmol/L"]
    path.write_text("\n".join(["time,variable,value,unit", *rows]) + "\n")
    return path


def test_a_watch_says_one_line_a_measurement_and_what_it_left_out(run, saved, news):
    done = run("watch", saved, "--from", news, "--event", "hypoglycemia")
    lines = [line for line in done.stdout.splitlines() if "glucose 8." in line]
    assert done.exit_code == 0, done.output
    assert len(lines) == 2
    assert all("hypoglycemia 15 min" in line for line in lines)
    assert "1 lines left out" in done.stderr


def test_a_watch_writes_json_lines(run, saved, news):
    done = run("watch", saved, "--from", news, "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["heard"]["glucose"] for one in told] == [[8.5], [8.1]]
    assert set(told[0]["risks"]) == {"hypoglycemia", "hyperglycemia"}


def test_the_band_of_the_demo_is_that_of_trials():
    # 80 to 145 mg/dL, the band of STAR.
    assert pytest.approx([80 / 18.016, 145 / 18.016], abs=0.06) == cli._TARGET
