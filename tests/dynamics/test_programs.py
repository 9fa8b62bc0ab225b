import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import ROOT
from twinprob.dynamics import programs
from twinprob.dynamics.programs import compiled, held


class Scale(eqx.Module):
    factor: float
    power: int = eqx.field(static=True, default=1)


@pytest.fixture
def alone(monkeypatch):
    """No programs but those of the test."""
    monkeypatch.setattr(programs, "_held", type(programs._held)())


@pytest.fixture
def scaled(alone):
    """A compiled function, and how often it was traced."""
    traces = []

    def scaled(scale, values):
        traces.append(scale)
        return scale.factor * values**scale.power

    return compiled(scaled), traces


@pytest.mark.parametrize("factor", [3.0, np.float64(3.0), jnp.asarray(3.0), float("nan")])
def test_another_number_needs_no_program(scaled, factor):
    function, traces = scaled
    function(Scale(2.0), np.arange(3.0))
    np.testing.assert_array_equal(function(Scale(factor), np.arange(3.0)), np.asarray(factor) * np.arange(3.0))
    assert len(traces) == len(held()) == 1


@pytest.mark.parametrize(
    ("scale", "values"),
    [(Scale(2.0, power=2), np.arange(3.0)), (Scale(2.0), np.arange(4.0)), (Scale(2), np.arange(3.0))],
)
def test_another_setting_length_or_integer_is_another_program(scaled, scale, values):
    function, traces = scaled
    function(Scale(2.0), np.arange(3.0))
    np.testing.assert_array_equal(function(scale, values), 2 * values**scale.power)
    assert len(traces) == 2


def test_inside_compiled_code_a_function_is_a_part_of_it(scaled):
    function, _ = scaled
    slope = jax.jit(jax.grad(lambda x: function(Scale(2.0), x)))(5.0)
    np.testing.assert_array_equal(slope, 2.0)
    assert held() == ()


def test_the_program_used_longest_ago_goes_first(scaled, monkeypatch):
    function, traces = scaled
    monkeypatch.setattr(programs, "HELD", 2)
    for length in (1, 2, 1, 3, 1, 3):
        function(Scale(2.0), np.ones(length))
    assert len(traces) == 3
    function(Scale(2.0), np.ones(2))
    assert len(traces) == 4
    assert len(held()) == 2


def test_old_programs_go_where_memory_maps_run_short(scaled, monkeypatch):
    function, _ = scaled
    for length in range(1, 9):
        function(Scale(2.0), np.ones(length))
    before = programs._taken()
    monkeypatch.setattr(programs, "_granted", lambda: (before - 1) / programs._SHARE)
    function(Scale(2.0), np.ones(9))
    assert 1 <= len(held()) < 9 or programs._taken() == 0


def test_a_program_frees_its_memory_maps_when_it_goes(scaled, monkeypatch):
    if programs._taken() == 0:
        pytest.skip("this system does not say how many memory maps a process has")
    function, _ = scaled
    monkeypatch.setattr(programs, "HELD", 1)
    counts = []
    for length in range(1, 40):
        function(Scale(2.0), np.ones(length))
        counts.append(programs._taken())
    assert counts[-1] <= counts[5] + 20


def test_a_program_may_go_while_threads_run_it(alone, monkeypatch):
    monkeypatch.setattr(programs, "HELD", 1)

    @compiled
    def total(values):
        return jax.lax.fori_loop(0, 2000, lambda i, x: x + jnp.cos(values) ** 2, values).sum()

    def run(length):
        with jax.enable_x64(True):
            return float(total(np.arange(float(length))))

    lengths = [5, 6, 7, 8] * 6
    expected = [np.sum(np.arange(float(n)) + 2000 * np.cos(np.arange(float(n))) ** 2) for n in lengths]
    with ThreadPoolExecutor(4) as threads:
        np.testing.assert_allclose(list(threads.map(run, lengths)), expected, rtol=1e-10)


def test_threads_take_turns_in_lapack(alone):
    @compiled
    def root(matrix):
        return jnp.linalg.cholesky(matrix)

    chance = np.random.default_rng(0)
    matrices = [np.eye(60) * 60 + x @ x.T for x in chance.normal(size=(8, 60, 60))]
    found: dict[int, bool] = {}

    def run(place):
        with jax.enable_x64(True):
            for _ in range(200):
                result = np.asarray(root(matrices[place]))
        found[place] = np.allclose(result, np.linalg.cholesky(matrices[place]))

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert found == dict.fromkeys(range(8), True)


@pytest.mark.parametrize("precise", [True, False])
def test_each_thread_keeps_its_precision(alone, precise):
    @compiled
    def third(x):
        return x / 3.0

    def run(precise):
        with jax.enable_x64(precise):
            return np.asarray(third(1.0))

    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(run, [precise, not precise]))
    wide, narrow = both if precise else both[::-1]
    assert (wide, wide.dtype) == (1.0 / 3.0, np.float64)
    assert (narrow, narrow.dtype) == (np.float32(1.0) / np.float32(3.0), np.float32)


FORK = """
import os
import numpy as np
from twinprob.dynamics.programs import compiled

@compiled
def doubled(x):
    return 2 * x

{before}
child = os.fork()
if child == 0:
    try:
        print("child", float(doubled(np.ones(1))[0]), flush=True)
    except RuntimeError as error:
        print("refused", error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(
    ("before", "said"), [("doubled(np.ones(1))", "refused This process was forked"), ("pass", "child 2.0")]
)
def test_a_process_forked_after_use_is_refused_and_told_to_spawn(before, said):
    command = [sys.executable, "-c", FORK.format(before=before)]
    run = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=120)
    assert run.stdout.startswith(said)
    assert ("spawn" in run.stdout) == (before != "pass")
