"""Ctrl-C while something is computed or written: nothing is half done, and the process goes on as before."""

import signal
import sys
import threading
from typing import Any

import jax
import numpy as np
import pytest

from tests.tank import Tank, stay
from twinprob.inference.fit import fit
from twinprob.inference.fit_population import fit_population
from twinprob.inference.methods.laplace import Laplace
from twinprob.inference.methods.nuts import NUTS
from twinprob.inference.update import update
from twinprob.presentation import report
from twinprob.validation.evaluate import evaluate

KEY = jax.random.key(2)
SMALL = Laplace(starts=2, chains=2, draws=60, proposals=500, rounds=1)
METHODS = {"Laplace": SMALL, "NUTS": NUTS(chains=2, draws=60, warmup=60, starts=2)}


def stop_after(count):
    """Return a progress function that presses Ctrl-C the `count`-th time it is called."""
    calls = []

    def progress(stage, fraction):
        calls.append(stage)
        if len(calls) == count:
            signal.raise_signal(signal.SIGINT)

    return progress


def stop(*args, **kwargs):
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def heard():
    """Let Ctrl-C interrupt: a process that a shell started in the background ignores it from birth."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def record():
    return stay(4)[0]


@pytest.mark.parametrize("name", METHODS)
def test_a_fit_after_an_interrupted_one_is_that_of_a_fresh_process(name, record):
    method = METHODS[name]
    whole = fit(Tank(), record, key=KEY, method=method)
    for count in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            fit(Tank(), record, key=KEY, method=method, progress=stop_after(count))
    again = fit(Tank(), record, key=KEY, method=method)
    assert again.tree["posterior"].identical(whole.tree["posterior"])


def test_an_interrupted_fit_leaves_the_precision_setting_alone(record):
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(Tank(), record, key=KEY, method=SMALL, progress=stop_after(1))
        assert not jax.config.read("jax_enable_x64")
    finally:
        jax.config.update("jax_enable_x64", before)


def test_interrupted_chains_leave_no_thread_behind(record):
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        fit(Tank(), record, key=KEY, method=METHODS["NUTS"], progress=stop_after(8))
    assert threading.active_count() == before


@pytest.mark.parametrize("part", ["follow", "draw"])
def test_an_interrupted_update_leaves_the_twin_and_can_be_repeated(part, record, monkeypatch):
    twin = fit(Tank(), record, key=KEY, method=SMALL)
    new = stay(5)[0].between(twin.now, 300.0)
    whole, before = update(twin, new, key=KEY), twin.tree.copy(deep=True)
    with monkeypatch.context() as patched:
        # The package shows the verb under the module's name, so the module is taken from where Python keeps it.
        patched.setattr(sys.modules["twinprob.inference.update"], part, stop)
        with pytest.raises(KeyboardInterrupt):
            update(twin, new, key=KEY)
    assert twin.tree.identical(before)
    assert update(twin, new, key=KEY).tree["posterior"].identical(whole.tree["posterior"])


def test_an_interrupted_save_leaves_the_old_file_and_no_other(record, tmp_path, monkeypatch):
    twin = fit(Tank(), record, key=KEY, method=SMALL)
    twin.save(tmp_path / "twin.nc")
    before = (tmp_path / "twin.nc").read_bytes()
    monkeypatch.setattr("xarray.DataTree.to_netcdf", stop)
    with pytest.raises(KeyboardInterrupt):
        twin.save(tmp_path / "twin.nc")
    assert [(file.name, file.read_bytes() == before) for file in tmp_path.iterdir()] == [("twin.nc", True)]


def test_an_interrupted_report_leaves_no_file(record, tmp_path, monkeypatch):
    twin = fit(Tank(), record, key=KEY, method=SMALL)
    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        report.write(twin, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_interrupted_population_can_be_learned_again():
    records = [stay(3, seed=seed)[0] for seed in range(4)]
    settings: Any = {"key": KEY, "method": SMALL, "rounds": 1}
    with pytest.raises(KeyboardInterrupt):
        fit_population(Tank(), records, **settings, progress=stop_after(3))
    assert np.isfinite(fit_population(Tank(), records, **settings).provenance["khat"])


@pytest.mark.slow
def test_an_interrupted_evaluation_ends_and_is_not_taken_for_a_patient_that_cannot_be_fitted(record):
    with pytest.raises(KeyboardInterrupt):
        evaluate(Tank(), record, key=KEY, method=SMALL, progress=stop_after(2))
