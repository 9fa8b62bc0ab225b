import gc
from collections import Counter

import jax
import numpy as np
import pytest

import twinprob as tp
from tests.cases import Washout
from tests.validation.service import Clearance, compiling, drug
from twinprob.dynamics import programs
from twinprob.dynamics.programs import held

FEW = tp.Laplace(starts=8, draws=50, proposals=250, rounds=2, nodes=8)
ROLLING = tp.Filter(particles=256)
# (number, hours, hours between measurements): the weights differ too.
PATIENTS = ((1, 20.0, 1.0), (2, 36.0, 2.0), (3, 50.0, 1.5))
FUNCTIONS = {"_quadratics", "_densities", "_prior_draws", "_described", "_compared", "_at_prior", "_spread"} | {
    "advance", "draw", "_outputs", "_ahead",
}  # fmt: skip


def treat(number, hours, every, chance):
    """Fit a patient, update and forecast; return the twin and the forecast."""
    record = drug(number, hours + 1, every)
    twin = tp.fit(Clearance(), record.until(60 * hours), key=chance, method=FEW)
    twin = tp.update(twin, record.between(twin.now, twin.now + 60.0), key=chance, method=ROLLING)
    return twin, tp.forecast(twin, hours=4, key=chance)


@pytest.fixture(scope="module")
def warmed():
    """What was compiled ahead for a day."""
    # Programs of the tests before would take the memory maps beyond which new ones go.
    programs._held.clear()
    jax.clear_caches()
    gc.collect()
    return tp.warm(Clearance(), hours=24, method=FEW, rolling=ROLLING)


@pytest.mark.slow
def test_what_was_warmed_needs_no_program_whatever_weight_length_and_number_of_measurements(warmed):
    assert set(warmed) >= FUNCTIONS
    with compiling() as found:
        for number, hours, every in PATIENTS:
            treat(number, hours, every, jax.random.key(number))
    assert {name: found.functions[name] for name in FUNCTIONS if found.functions[name]} == {}


def test_what_is_warm_already_is_not_compiled_again(warmed):
    assert tp.warm(Clearance(), hours=30, method=FEW, rolling=ROLLING) == ()


def test_each_function_of_a_verb_has_one_program_for_one_size(warmed):
    counts = Counter(held())
    assert {name: counts[name] for name in FUNCTIONS} == dict.fromkeys(FUNCTIONS, 1)


@pytest.mark.slow
@pytest.mark.parametrize("hours", [0, -1.0, (24, np.nan)])
def test_a_length_that_no_record_has_is_refused(hours):
    with pytest.raises(ValueError, match="Argument `hours` must be positive"):
        tp.warm(Washout(), hours=hours)


def test_the_first_hours_of_a_forecast_do_not_depend_on_how_far_it_reaches(warmed):
    twin, short = treat(*PATIENTS[0], jax.random.key(1))
    long = tp.forecast(twin, hours=9, key=jax.random.key(1))
    first = short.tree["predicted_outputs"]["concentration"].values
    np.testing.assert_allclose(long.tree["predicted_outputs"]["concentration"].values[..., :24], first, rtol=1e-9)
