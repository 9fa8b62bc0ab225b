"""Tests of twinprob, its measured claims (`tests.validation`) and its comparisons (`tests.benchmarks`).

Imported before JAX by every one of them, so this is where the compile cache is chosen: the library never does it.
"""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


def shared_data_folder() -> Path | None:
    """Return the folder of open data kept outside the project, or None where it is absent."""
    folder = Path(os.environ.get("TWINPROB_SHARED_DATA") or ROOT.parent / "shared" / "data")
    return folder if folder.is_dir() else None


def project_files() -> list[Path]:
    """Return every file of the project that git would keep, relative to the root."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        return sorted(Path(name) for name in set(names) if name and (ROOT / name).is_file())
    folders = ("twinprob", "tests", "docs", "datasets", "notebooks")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    found += [path for path in ROOT.iterdir() if path.is_file()]
    made = {"__pycache__", "_build", ".ipynb_checkpoints"}
    return sorted(path.relative_to(ROOT) for path in found if not made & set(path.parts))
