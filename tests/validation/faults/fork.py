"""Run tests of a copy of the project in a forked process, in which the large libraries are loaded already.

Loading them takes most of the time of a small test file; the copy itself is imported anew each time.
"""

import compileall
import importlib
import os
import py_compile
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

# None that starts JAX's backend, as blackjax does: its threads are lost in a fork, and the child would wait for them.
_LARGE = (
    "arviz_base", "arviz_stats.base.array", "diffrax", "equinox", "h5netcdf", "hypothesis", "jax.scipy.stats",
    "matplotlib.pyplot", "numpyro.infer", "optax", "optimistix", "pandas", "pint", "pytest", "SALib.analyze.sobol",
    "scipy.integrate", "scipy.signal", "scipy.stats", "scoringrules", "sympy", "typer.testing", "xarray",
)  # fmt: skip


def prepare(folder: Path) -> None:
    """Load the large libraries here, and compile a copy so that only files that change are compiled again."""
    for name in _LARGE:
        importlib.import_module(name)
    checked = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(folder / "twinprob", quiet=1, invalidation_mode=checked)


def run_tests(arguments: Sequence[str], folder: Path, limit: float | None = None) -> tuple[int | None, str]:
    """Run pytest on a copy and return its status and what it printed.

    The status is None where it did not end within `limit` seconds of processor time, or six times as many by the clock.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # JAX is loaded, but has no backend yet
            child = os.fork()
        if child == 0:
            os.setsid()
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
            _become(folder, arguments, output.fileno())
        status = _wait(child, None if limit is None else 6.0 * limit)
        output.seek(0)
        return status, output.read()


def _become(folder: Path, arguments: Sequence[str], output: int) -> None:
    """Turn this process into pytest on the copy; it never returns."""
    status = 3
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder)
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "twinprob")]:
            del sys.modules[name]
        sys.path.insert(0, str(folder))
        options = ["-o", "addopts=", "-m", "not slow", "-q", "--tb=no", "-rfE", "-W", "ignore:Module already imported"]
        status = int(sys.modules["pytest"].main([*options, *arguments]))
    except BaseException:  # noqa: BLE001  what went wrong is for the parent to read
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait(child: int, limit: float | None) -> int | None:
    """Wait for a process and return its status; end it, and what it started, after `limit` seconds."""
    end = time.monotonic() + (limit or float("inf"))
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return None if code in (-signal.SIGXCPU, -signal.SIGKILL) else code
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
