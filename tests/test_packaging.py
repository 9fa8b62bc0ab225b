import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests import ROOT, project_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Every example that a page of the project tells its reader to load.
PROMISED = sorted(
    {
        name
        for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "datasets").rglob("README.md")]
        if page.is_file()
        for name in re.findall(r"load_example\(\"([^\"]+)\"\)", page.read_text(encoding="utf-8"))
    }
)


def run(command: list[str], **options) -> str:
    """Run a command, fail with what it said, and return its output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the checkout without a registry."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    run([sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(ROOT)])
    (built,) = folder.glob("twinprob-*.whl")
    return built


@pytest.fixture(scope="module")
def empty_python(wheel, tmp_path_factory):
    """The Python of an environment that holds the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    options = ["--no-deps", "--no-index", "--disable-pip-version-check", "--quiet"]
    run([sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel)])
    return python


PROBE = """
import json, sys, traceback
import twinprob

def problem(name):
    try:
        twinprob.load_example(name)
    except Exception:
        return traceback.format_exc()

print(json.dumps([twinprob.__file__, twinprob.__version__, {name: problem(name) for name in sys.argv[1:]}]))
from twinprob.cli import app
app(["--help"])
"""


@pytest.fixture(scope="module")
def told(empty_python, tmp_path_factory):
    """What the installed wheel says with the dependencies of the environment that runs the tests, in one process.

    Its place, its version, what went wrong with each promised example, and the help of its command.
    """
    # A folder on PYTHONPATH, unlike a site folder, does not follow the editable install back to the checkout.
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    command = [str(empty_python), "-c", PROBE, *PROMISED]
    first, _, help_text = run(command, cwd=tmp_path_factory.mktemp("elsewhere"), env=environment).partition("\n")
    return *json.loads(first), help_text


def test_the_wheel_holds_the_package_and_its_datasets_and_nothing_else(wheel):
    expected = {path.as_posix() for path in project_files() if path.parts[0] == "twinprob"}
    expected |= {f"twinprob/{path.as_posix()}" for path in project_files() if path.parts[0] == "datasets"}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == expected


def test_the_wheel_carries_the_license(wheel):
    assert any(name.endswith("licenses/LICENSE") for name in zipfile.ZipFile(wheel).namelist())


def test_the_installed_package_is_the_wheels(empty_python, told):
    assert Path(told[0]).is_relative_to(empty_python.parent.parent)


def test_some_bundled_data_are_promised():
    assert PROMISED


@pytest.mark.parametrize("name", PROMISED)
def test_the_installed_package_opens_the_bundled_data_it_promises(name, told):
    assert told[2][name] is None, told[2][name]


def test_the_installed_command_answers(told):
    assert "demo" in told[3]


def test_the_version_is_stated_once(told):
    assert told[1] == PROJECT["version"]


@pytest.mark.slow
def test_the_wheel_brings_its_dependencies_into_an_empty_environment(wheel, tmp_path):
    run([sys.executable, "-m", "venv", str(tmp_path / "empty")])
    scripts = tmp_path / "empty" / ("Scripts" if os.name == "nt" else "bin")
    run([str(scripts / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    assert "jax" in run([str(scripts / "twinprob"), "doctor"], cwd=tmp_path, env=environment)
