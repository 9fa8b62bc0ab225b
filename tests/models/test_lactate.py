"""The flagged model of lactate: its closed forms, and that it says that it is flagged."""

import jax
import numpy as np
import pytest

import twinprob as tp
from twinprob.models.cardiovascular import Preload
from twinprob.models.sepsis import Lactate


def under(flow, times, model=None):
    given = tp.Inputs.constant(cardiac_output=(flow, "L/min"))
    return tp.simulate(model or Lactate(), given, np.asarray(times, float)).output.lactate


def test_with_plenty_of_oxygen_lactate_settles_where_it_is_cleared_as_it_is_made():
    assert float(under(10.0, [0.0, 3000.0])[1]) == pytest.approx(0.9 / 0.6, rel=1e-3)


def test_it_falls_with_its_volume_over_its_clearance():
    found = under(10.0, [0.0, 60.0])
    kept = (float(found[1]) - 1.5) / (float(found[0]) - 1.5)
    assert kept == pytest.approx(np.exp(-60.0 * 0.6 / 35.0), rel=1e-3)


def test_oxygen_far_short_makes_its_gain_of_lactate():
    # 1 L/min carries 128.64 mL/min, 291.36 below the critical 420; the bend adds s log(1 + exp(-x)).
    short = 420.0 - 13.4 * 10.0 * 0.96
    made = 0.9 + 0.02 * (short + 50.0 * np.log1p(np.exp(-short / 50.0)))
    assert float(under(1.0, [0.0, 6000.0])[1]) == pytest.approx(made / 0.6, rel=1e-4)


def test_it_joins_the_circulation():
    model = tp.couple(Preload(), Lactate(), links={"cardiac_output": "cardiac_output"})
    run = tp.simulate(model, tp.Inputs(), np.array([0.0, 60.0]))
    assert bool(run.solved)


def test_it_says_that_it_is_flagged():
    assert "**Flagged.**" in (Lactate.__doc__ or "")
    assert all("not published" in declared.source for declared in Lactate.parameters().values())


def test_its_priors_are_wide():
    for name in Lactate().unknowns():
        low, high = np.quantile(np.asarray(Lactate().prior(name).sample(jax.random.key(0), (4000,))), [0.05, 0.95])
        assert high / low > 3.0
