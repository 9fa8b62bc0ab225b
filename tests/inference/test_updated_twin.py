"""What an updated twin shows and says of itself, and how it is fitted again."""

import dataclasses
import json
import sys
from typing import Any

import jax
import numpy as np
import pytest
from scipy.stats import norm

from tests.presentation.test_report import Balance
from tests.tank import NOISE, OWN, Tank, kalman, stay
from twinprob import FixedStep
from twinprob.diagnostics.diagnose import diagnose
from twinprob.forecasting.forecast import forecast
from twinprob.inference.fit import fit
from twinprob.inference.methods.filter import Filter
from twinprob.inference.methods.laplace import Laplace
from twinprob.inference.methods.nuts import NUTS
from twinprob.inference.twin import load
from twinprob.inference.update import LEVELS, update
from twinprob.modeling.observation import Gaussian, Observation, StudentT
from twinprob.patient.record import Record
from twinprob.presentation import plots, report

SMALL = Laplace(starts=2, chains=3, draws=70, proposals=600)
SURPRISE = Record.build({"level": ([300.0], [60.0], "1")}, own=OWN, start=240.0)


def rolled(twin, record, hours):
    """Hear the record hour by hour."""
    for hour in hours:
        twin = update(twin, record.between(twin.now, 60.0 * hour), key=jax.random.key(hour))
    return twin


@pytest.fixture(scope="module")
def begun():
    """The tank after four hours, with few draws."""
    return fit(Tank(), stay(16)[0].until(240), key=jax.random.key(1), method=SMALL)


@pytest.fixture(scope="module")
def updated():
    """The tank after eight hours, four of them by updates."""
    return rolled(fit(Tank(), stay(16)[0].until(240), key=jax.random.key(1)), stay(16)[0], range(5, 9))


@pytest.fixture(scope="module")
def ahead(updated):
    return forecast(updated, hours=2, key=jax.random.key(3))


def with_provenance(twin, **figures):
    tree = twin.tree.copy()
    tree.attrs = {**twin.tree.attrs, "provenance": json.dumps({**twin.provenance, **figures})}
    return dataclasses.replace(twin, tree=tree)


def finding(twin, subject):
    return next(f for f in diagnose(twin).findings if f.subject.startswith(subject))


def words(figure):
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())


# ---- fitted again --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_refit_draws_as_the_twin_was_asked_to(begun):
    twin = update(begun, SURPRISE, key=jax.random.key(5))
    assert twin.provenance["updates"][-1]["refit"]
    assert (twin.group("posterior").sizes["chain"], twin.group("posterior").sizes["draw"]) == (3, 70)
    assert twin.method == SMALL


@pytest.mark.slow
def test_a_refit_samples_with_nuts_where_the_twin_was_sampled_so():
    short = NUTS(chains=2, draws=60, warmup=60, starts=2)
    twin = fit(Tank(), stay(4)[0], key=jax.random.key(1), method=short)
    again = update(twin, SURPRISE, key=jax.random.key(5))
    assert (again.provenance["method"], again.draws) == ("NUTS", 120)


def test_a_loaded_twin_is_refitted_as_the_one_in_memory(begun, tmp_path):
    begun.save(tmp_path / "twin.nc")
    loaded = load(tmp_path / "twin.nc", own=(Tank,))
    one, other = (update(twin, SURPRISE, key=jax.random.key(5)) for twin in (begun, loaded))
    assert loaded.method == SMALL
    assert one.tree["posterior"].identical(other.tree["posterior"])


@pytest.mark.slow
def test_a_refit_keeps_how_outputs_are_measured_and_integrated():
    how = {"level": Observation(StudentT(additive=NOISE, df=5.0))}
    settings: dict[str, Any] = {"observations": how, "integrator": FixedStep(refine=2), "method": SMALL}
    twin = fit(Tank(), stay(4)[0], key=jax.random.key(1), **settings)
    again = update(twin, SURPRISE, key=jax.random.key(5))
    assert again.provenance["updates"][-1]["refit"]
    assert (again.observations, again.integrator) == (how, FixedStep(refine=2))


def test_a_refit_remembers_the_population(begun):
    again = update(with_provenance(begun, population="Population(Tank)"), SURPRISE, key=jax.random.key(5))
    assert again.provenance["population"] == "Population(Tank)"


# ---- what is shown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hour", [5, 6, 7, 8])
def test_quantiles_at_each_update_are_those_of_the_exact_kalman_filter(updated, hour):
    mean, sd = kalman(stay(16)[1])[hour]
    found = updated.group("filtered")["level"].sel(time=60.0 * hour).values
    density = norm.pdf(norm.ppf(LEVELS)) / sd[3]
    error = np.sqrt(np.array(LEVELS) * (1 - np.array(LEVELS)) / updated.effective_draws) / density
    exact = mean[3] + sd[3] * norm.ppf(LEVELS)
    assert np.all(np.abs(found - exact) < 5 * error)


def test_before_the_first_update_stands_what_the_fit_believed(begun):
    before = begun.group("trajectory")["level"].quantile(LEVELS, dim=("chain", "draw"))
    twin = rolled(begun, stay(16)[0], [5])
    found = twin.group("filtered")["level"].values[:, :-1]
    earlier = begun.group("trajectory")["time"].values < 300
    np.testing.assert_allclose(found, before.values[:, earlier], rtol=1e-12)


def test_quantiles_do_not_grow_with_the_stay(begun, monkeypatch):
    # The package shows the verb under the module's name, so the module is taken from where Python keeps it.
    monkeypatch.setattr(sys.modules["twinprob.inference.update"], "_TIMES", 4)
    twin = rolled(begun, stay(16)[0], range(5, 8))
    np.testing.assert_array_equal(twin.group("filtered")["time"], [240.0, 300.0, 360.0, 420.0])


def test_a_late_value_replaces_what_was_believed_since(begun):
    record = stay(16)[0]
    level = record.between(240, 360).observations["level"]
    parts = [
        Record({"level": level.select(keep)}, record.inputs.between(240, end), {}, 240.0, end)
        for keep, end in ((level.times > 300, 360.0), (level.times <= 300, 300.0))
    ]
    twin = update(update(begun, parts[0], key=jax.random.key(8)), parts[1], key=jax.random.key(9))
    times = twin.group("filtered")["time"].values
    assert list(times[-2:]) == [240.0, 360.0]


def test_a_fan_shows_the_measurements_of_an_updated_twin(updated, ahead):
    figure = plots.fan(ahead, twin=updated)
    dots = next(line for line in figure.axes[0].lines if line.get_marker() == "o")
    np.testing.assert_allclose(np.asarray(dots.get_xydata(), float), np.stack([np.arange(9), stay(16)[1][:9]], axis=1))


def test_a_fan_of_an_updated_twin_says_what_its_past_is(updated):
    assert "the past is shown as it was believed at each update" in words(plots.fan(updated))


def test_the_future_of_an_updated_twin_begins_where_its_past_ends(updated, ahead):
    medians = [line for line in plots.fan(ahead, twin=updated).axes[0].lines if line.get_linewidth() == 1.6]
    past, future = (np.asarray(line.get_xydata(), float) for line in medians)
    np.testing.assert_allclose(past[-1], future[0])
    assert past[-1, 0] == updated.now / 60


def test_a_censored_value_is_drawn_as_a_triangle(begun):
    below = {"level": Observation(Gaussian(additive=NOISE), lower=4.0)}
    twin = fit(Tank(), stay(16)[0].until(240), key=jax.random.key(1), method=SMALL, observations=below)
    new = Record.build({"level": ([300.0], [3.5], "1")}, own=OWN, start=240.0)
    twin = update(twin, new, key=jax.random.key(2), method=Filter(collapse=0.0, surprise=0.0))
    assert twin.provenance["method"] == "Filter"
    triangles = [line for line in plots.fan(twin).axes[0].lines if line.get_marker() == "v"]
    assert np.asarray(triangles[0].get_xydata(), float)[-1].tolist() == [5.0, 4.0]


def test_a_report_of_an_updated_twin_is_whole(updated, ahead):
    page = report.html(updated, ahead)
    parser = Balance()
    parser.feed(page)
    assert (parser.open, parser.wrong, page.count('src="data:image/png;base64,')) == ([], [], 3)


def test_the_share_of_the_prior_removed_is_told_on_one_scale(updated):
    # Every draw of the posterior is positive and not every one of the prior: variances are compared as they are.
    prior, posterior = (updated.group(g)["first"].values for g in ("prior", "posterior"))
    assert posterior.min() > 0 > prior.min()
    assert updated._removed("first") == f"{1 - posterior.var() / prior.var():.0%} of prior variance"


# ---- what it says of itself ----------------------------------------------------------------------------------------


def test_a_sound_updated_twin_is_not_refused(updated):
    assert diagnose(updated).verdict != "do not use"


def test_a_twin_sampled_with_nuts_is_judged_by_its_particles_once_updated(updated):
    # NUTS has no k-hat; what the weights of a fit were worth says nothing of an update.
    assert finding(with_provenance(updated, khat=float("nan")), "particles").verdict == "trustworthy"


def test_few_particles_that_matter_ask_for_care(updated):
    assert finding(with_provenance(updated, importance_ess=150.0), "particles").verdict == "use with care"


def test_an_updated_twin_does_not_say_that_nothing_was_measured(updated):
    assert "heard by updates since the last fit: 4." in finding(updated, "fit").evidence


@pytest.mark.parametrize(("surprises", "verdict"), [(0, "trustworthy"), (1, "trustworthy"), (2, "use with care")])
def test_more_surprises_than_a_hundredth_ask_for_care(updated, surprises, verdict):
    # Of 12 measurements, one or more lie outside a 99 % interval with 11 %, two or more with 0.6 %.
    tails = [0.005] * surprises + [0.5] * (4 - surprises)
    updates = [dict(u, tail=t, heard=3) for u, t in zip(updated.provenance["updates"], tails, strict=True)]
    assert finding(with_provenance(updated, updates=updates), "fit").verdict == verdict


def test_updates_before_a_refit_no_longer_count(updated):
    updates = updated.provenance["updates"]
    refitted = dict(updates[1], refit="only few", share=None)
    twin = with_provenance(updated, updates=[updates[0], refitted, *updates[2:]])
    assert finding(twin, "particles").evidence.startswith("Updates since the last fit: 2.")


def test_a_posterior_on_one_side_of_zero_is_no_conflict_with_a_prior_on_both(updated):
    # The supply has become positive in every draw; its logarithm must not be held against a prior around zero.
    supply = updated.group("posterior")["supply"].values
    positive = dataclasses.replace(updated, tree=updated.tree.copy())
    positive.tree["posterior"] = updated.group("posterior").assign(
        supply=(updated.group("posterior")["supply"].dims, np.abs(supply) + 1e-9)
    )
    subjects = [f.subject for f in diagnose(positive).findings if f.verdict != "trustworthy"]
    assert "prior and data: supply" not in subjects
