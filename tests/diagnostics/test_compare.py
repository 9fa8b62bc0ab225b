import math
from dataclasses import replace

import jax
import numpy as np
import pytest

from tests.cases import OWN, Drift, Washout, drift_posterior
from twinprob.diagnostics.compare import Compared, Comparison, compare, log_evidence
from twinprob.inference.fit import fit
from twinprob.inference.methods.laplace import Laplace
from twinprob.modeling.observation import Gaussian, Observation
from twinprob.modeling.process import RandomWalk
from twinprob.patient.inputs import Inputs
from twinprob.patient.record import Record

pytestmark = pytest.mark.slow

METHOD = Laplace(draws=250, proposals=2000)
HOURS = 30


def bent():
    """Hourly values of a level that rises and bends, and their record."""
    hours = np.arange(HOURS + 1.0)
    noise = 0.5 * np.random.default_rng(5).standard_normal(len(hours))
    values = 4.0 + 1.2 * hours + 1.5 * np.sin(hours / 5.0) + noise
    return Record.build({"level": (60.0 * hours, values, "1")}, Inputs({}), own=OWN, start=0.0), values


@pytest.fixture(scope="module")
def twins():
    """A rise that bends, explained by a random walk of the slope and by a constant slope."""
    record, _ = bent()
    flat = Drift().vary(slope=RandomWalk(sd=1e-6, every="1 h"))
    return {
        "steady": fit(flat, record, key=jax.random.key(1), method=METHOD),
        "drifting": fit(Drift(), record, key=jax.random.key(2), method=METHOD),
    }


@pytest.fixture(scope="module")
def comparison(twins):
    return compare(twins)


def exact_left_out(sd):
    """The exact log density of each hourly value given all others."""
    _, values = bent()
    knots = HOURS
    every = drift_posterior(values, knots, sd=sd)[2]
    return np.array([every - _without(values, knots, sd, i) for i in range(len(values))])


def _without(values, knots, sd, left_out):
    """The exact log evidence of all values but one."""
    count = len(values)
    design = np.zeros((count, knots + 2))
    design[:, -1] = 1.0
    for i in range(count):
        design[i, 0] = 60.0 * i
        for k in range(1, min(i, knots)):
            design[i, 1 + k] = 60.0 * sd * (i - k)
    prior = np.diag([0.02**2, *np.ones(knots), 2.0**2])
    kept = np.arange(count) != left_out
    spread = (design @ prior @ design.T + 0.25 * np.eye(count))[np.ix_(kept, kept)]
    miss = (values - 5.0)[kept]
    return -0.5 * (miss @ np.linalg.solve(spread, miss) + np.linalg.slogdet(2 * np.pi * spread)[1])


def test_the_better_model_comes_first(comparison):
    assert [model.name for model in comparison.models] == ["drifting", "steady"]


def test_a_steady_model_leaves_out_as_in_closed_form(comparison):
    # Two unknowns and thirty values: importance weights are mild and their error is far below one nat.
    steady = comparison["steady"]
    assert abs(steady.elpd - exact_left_out(1e-6).sum()) < 0.05 * abs(exact_left_out(1e-6).sum()) / math.sqrt(HOURS)


def test_measurements_that_could_be_judged_are_as_in_closed_form(comparison):
    drifting = comparison["drifting"]
    judged = drifting.khats < 0.5
    assert judged.sum() > 5
    assert np.max(np.abs(drifting.elpds - exact_left_out(0.01))[judged]) < 0.5


def test_the_difference_is_paired_over_measurements(comparison):
    gaps = comparison["drifting"].elpds - comparison["steady"].elpds
    assert comparison["steady"].behind == pytest.approx(gaps.sum())
    assert comparison["steady"].behind_se == pytest.approx(np.sqrt(len(gaps)) * gaps.std())


def test_a_clear_difference_is_said(comparison):
    assert "`drifting` predicts a measurement left out better than `steady`" in str(comparison)


def test_measurements_that_cannot_be_left_out_are_counted(comparison):
    assert comparison["drifting"].unjudged == np.sum(comparison["drifting"].khats > comparison["drifting"].limit)


def made(name, elpd, khats, evidence=math.nan, behind=0.0, se=0.0):
    count = len(khats)
    return Compared(name, elpd, 1.0, 2.0, behind, se, evidence, 0.1, np.zeros(count), np.array(khats), 0.7)


MEASURED = tuple(("level", float(t)) for t in range(40))


def test_many_bad_khats_make_it_unreliable():
    shown = Comparison((made("a", -1.0, [0.1] * 40), made("b", -9.0, [0.9] * 25 + [0.1] * 15, behind=8.0)), MEASURED)
    assert not shown.reliable
    assert "Unreliable: in `b` 25 of 40 measurements have a k-hat above 0.70 (largest 0.90)" in str(shown)


def test_a_khat_that_is_no_number_is_unjudged():
    assert made("a", -1.0, [0.1, math.nan]).unjudged == 1


def test_a_small_difference_is_no_difference():
    shown = Comparison((made("a", -1.0, [0.1] * 40), made("b", -4.0, [0.1] * 40, behind=3.0, se=0.1)), MEASURED)
    assert "predict a measurement left out about alike: 3.0 ± 0.1 nats" in str(shown)


def test_an_uncertain_difference_is_no_difference():
    shown = Comparison((made("a", -1.0, [0.1] * 40), made("b", -9.0, [0.1] * 40, behind=8.0, se=5.0)), MEASURED)
    assert "about alike" in str(shown)


def test_few_measurements_are_said_to_be_few():
    shown = Comparison((made("a", -1.0, [0.1] * 5), made("b", -9.0, [0.1] * 5)), MEASURED[:5])
    assert "With 5 measurements the errors of the differences are themselves too small." in str(shown)


def test_evidence_is_said_as_odds():
    shown = Comparison(
        (made("a", -1.0, [0.1] * 40, -10.0), made("b", -2.0, [0.1] * 40, -10.0 - math.log(1000))), MEASURED
    )
    assert "The evidence is for `a` over `b`: 6.9 ± 0.1 nats, odds of 1e+03 to 1" in str(shown)


def test_evidence_that_is_unknown_is_said_to_be():
    shown = Comparison((made("a", -1.0, [0.1] * 40, -10.0), made("b", -2.0, [0.1] * 40)), MEASURED)
    assert "No log evidence is known of `b`" in str(shown)


def test_a_notebook_shows_every_model_escaped():
    shown = Comparison((made("<a>", -1.0, [0.1] * 40), made("b", -2.0, [0.1] * 40)), MEASURED)
    assert "&lt;a&gt;" in shown._repr_html_()
    assert "<a>" not in shown._repr_html_()


def test_a_name_that_was_not_compared_is_refused(comparison):
    with pytest.raises(KeyError, match="No model is called `other`; compared were `drifting`, `steady`"):
        comparison["other"]


def test_one_twin_is_nothing_to_compare(twins):
    with pytest.raises(ValueError, match="must hold at least two twins to compare, but holds 1"):
        compare({"steady": twins["steady"]})


def changed(record, name, **series):
    return replace(record, observations={**record.observations, name: replace(record.observations[name], **series)})


def test_twins_of_different_values_are_refused_by_name(twins):
    record = twins["steady"].record
    values = record.observations["level"].values.copy()
    values[3] += 1.0
    other = replace(twins["drifting"], record=changed(record, "level", values=values))
    with pytest.raises(ValueError, match="Twins `steady` and `b` saw different data: `level` differs at measurement 3"):
        compare({"steady": twins["steady"], "b": other})


def test_twins_of_more_and_of_fewer_values_are_refused(twins):
    other = replace(twins["drifting"], record=twins["drifting"].record.until("10 h"))
    with pytest.raises(ValueError, match="`level` has 31 and 11 measurements"):
        compare({"steady": twins["steady"], "b": other})


def test_twins_of_different_inputs_are_refused(twins):
    other = replace(twins["drifting"].record, inputs=Inputs.constant(insulin=(1.0, "U/h")))
    with pytest.raises(ValueError, match="only one record holds `insulin`"):
        compare({"steady": twins["steady"], "b": replace(twins["drifting"], record=other)})


def test_a_twin_that_saw_nothing_is_refused(twins):
    nothing = Record.admission(covariates={"weight": (70.0, "kg")})
    empty = fit(Washout(), nothing, key=jax.random.key(3), method=METHOD)
    with pytest.raises(ValueError, match="Twin `empty` has no log likelihood, because it has seen no measurement"):
        compare({"steady": twins["steady"], "empty": empty})


def test_a_method_without_evidence_gives_no_number(twins):
    bare = replace(twins["steady"], tree=twins["steady"].tree.copy())
    bare.tree["sample_stats"] = bare.tree["sample_stats"].to_dataset()[["lp"]]
    assert math.isnan(log_evidence(bare)[0])


def test_draws_whose_solve_failed_are_left_aside(twins):
    tree = twins["steady"].tree.copy(deep=True)
    tree["log_likelihood"]["level"].values[0, 0] = -np.inf
    failed = replace(twins["steady"], tree=tree)
    both = compare({"whole": twins["steady"], "failed": failed})
    assert abs(both["whole"].elpd - both["failed"].elpd) < 0.1


def test_another_noise_changes_the_scores(twins):
    loud = {"level": Observation(Gaussian(additive=50.0))}
    twin = fit(Drift(), twins["steady"].record, key=jax.random.key(4), method=METHOD, observations=loud)
    shown = compare({"loud": twin, "drifting": twins["drifting"]})
    assert shown.models[0].name == "drifting"
