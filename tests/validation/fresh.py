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
    """What a command left: status, seconds, all it printed, and when each line came (s)."""

    status: int
    seconds: float
    text: str
    when: tuple[float, ...] = ()

    def until(self, *beginnings: str) -> float:
        """Return when the first line came that begins with one of these; infinity where none did."""
        came = zip(self.text.splitlines(), self.when, strict=True)
        return next((seconds for line, seconds in came if line.startswith(beginnings)), float("inf"))


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
    began, lines, when = time.perf_counter(), [], []
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            when.append(round(time.perf_counter() - began, 1))
    return Run(process.returncode, round(time.perf_counter() - began, 1), "\n".join(lines), tuple(when))
