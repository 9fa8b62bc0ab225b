"""A fresh copy of the project and commands run in it as a newcomer would."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from tests import ROOT, project_files


@dataclass(frozen=True)
class Run:
    """What a command left: status, seconds, and all it printed."""

    status: int
    seconds: float
    text: str


def clone(folder: Path) -> str:
    """Clone the project into an absent folder and return what was cloned.

    A history without a commit cannot be cloned; then the files that git would keep are copied.
    """
    head = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(head, cwd=ROOT, capture_output=True, text=True)
    if commit.returncode == 0:
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
        return f"commit {commit.stdout.strip()}"
    for path in project_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        copyfile(ROOT / path, folder / path)
    return "copy of the files (no commit yet)"


def run(command: list[str], folder: Path) -> Run:
    """Run a command without the settings that this process gave JAX and Python."""
    own = ("JAX_", "XLA_", "PYTEST_", "TWINPROB_SMALL", "VIRTUAL_ENV", "PYTHONPATH", "MPLBACKEND")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return Run(done.returncode, round(time.perf_counter() - began, 1), done.stdout)
