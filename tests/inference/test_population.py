import dataclasses
import importlib
import json
import math
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jaxtyping import Array

import twinprob as tp
from twinprob.inference.population import Term
from twinprob.inference.sites import declared_sites, moments, shared_sites
from twinprob.models.metabolic import ICING

LEARNING = importlib.import_module("twinprob.inference.fit_population")
NOISE = 0.5
TRACES: list[int] = []


class Level(tp.AbstractModel):
    """A level that never changes: patient i has Normal measurements around it, so that everything is closed-form."""

    time_unit = "min"
    step = 60.0

    class State(eqx.Module):
        """The level."""

        level: Array = tp.quantity("1", "level")

    class Input(eqx.Module):
        """Nothing."""

    class Output(eqx.Module):
        """The level is measured."""

        marker: Array = tp.quantity("1", "level", noise=tp.Observation(tp.Gaussian(additive=NOISE)))

    level: float = tp.parameter(dist.Normal(0.0, 2.0), unit="1", source="setting of this test")
    weight: float = tp.covariate("kg", value=70.0)

    def initial(self, inputs):
        """Start at the level."""
        return self.State(level=jnp.asarray(self.level))

    def vector_field(self, time, state, inputs):
        """Stay."""
        TRACES.append(1)
        return self.State(level=jnp.zeros(()) * state.level)

    def output(self, state, inputs):
        """Measure."""
        return self.Output(marker=state.level)


class Other(Level):
    """The same under another name."""


def record(values, **covariates):
    times = 10.0 * np.arange(len(values))
    return tp.Record.build({"marker": (times, values, "1")}, covariates=covariates, own=("marker",))


def people(count, center=3.0, spread=0.6, samples=4, seed=0, noise=NOISE, slope=0.0):
    chance = np.random.default_rng(seed)
    weights = chance.uniform(50, 110, count)
    levels = center + slope * np.log(weights / 80.0) + spread * chance.normal(size=count)
    return [
        record(level + noise * chance.normal(size=samples), weight=(weight, "kg"))
        for level, weight in zip(levels, weights, strict=True)
    ]


QUICK = tp.Laplace(starts=2, draws=250, proposals=1000, rounds=2)


@pytest.fixture(scope="module")
def records():
    return people(20)


@pytest.fixture(scope="module")
def population(records):
    return tp.fit_population(Level(), records, key=jax.random.key(1), method=QUICK)


# Someone so unlike the rest that leaving them out, or not, shows.
NINE = 9
STRANGER = record([4.4, 4.6, 4.5, 4.5], weight=(80.0, "kg"))


@pytest.fixture(scope="module")
def others(records):
    return tp.fit_population(
        Level(), [*records[:NINE], STRANGER], leave_one_out=True, key=jax.random.key(6), method=QUICK
    )


def draws(population, name, *index):
    values = population.tree["hyperparameters"][name].values
    return values.reshape(-1, *values.shape[2:])[(slice(None), *index)]


def exact(records):
    """The posterior of center and log spread on a grid, from the closed-form marginal likelihood."""
    means = np.array([r.observations["marker"].values.mean() for r in records])
    error = NOISE**2 / len(records[0].observations["marker"].values)
    centers, logs = np.linspace(1.5, 4.5, 400)[:, None, None], np.linspace(math.log(0.05), math.log(3.0), 400)[:, None]
    spread = np.exp(logs)
    variance = spread**2 + error
    density = np.sum(-0.5 * (means - centers) ** 2 / variance - 0.5 * np.log(variance), axis=-1)
    density += (-0.5 * (centers / 2.0) ** 2 - 0.5 * (logs / 0.7) ** 2)[..., 0]  # spreads around half the width of 2
    weights = np.exp(density - density.max())
    return weights / weights.sum(), centers[:, 0, 0], logs[:, 0]


@pytest.mark.parametrize("which", ["center", "log spread"])
def test_hyperparameters_equal_the_closed_form(population, records, which):
    weights, centers, logs = exact(records)
    grid, marginal = (centers, weights.sum(1)) if which == "center" else (logs, weights.sum(0))
    mean = marginal @ grid
    sd = math.sqrt(marginal @ (grid - mean) ** 2)
    found = draws(population, "coefficient", 0, 0) if which == "center" else np.log(draws(population, "spread", 0))
    # Draws of the hyperparameters, and draws of each patient, which shift the posterior by about sd / sqrt(draws).
    figures = population.provenance
    error = sd * math.sqrt(1 / figures["effective_draws"] + 1 / figures["fewest_effective_draws_of_a_patient"])
    assert abs(found.mean() - mean) < 5 * error
    assert abs(found.std() / sd - 1) < 5 * error / sd


@pytest.mark.parametrize("place", [0, 7, NINE])
def test_the_population_of_others_equals_the_closed_form_without_the_patient(records, others, place):
    rest = [r for i, r in enumerate([*records[:NINE], STRANGER]) if i != place]
    weights, centers, logs = exact(rest)
    for found, grid, marginal in (
        (draws(others[place], "coefficient", 0, 0), centers, weights.sum(1)),
        (np.log(draws(others[place], "spread", 0)), logs, weights.sum(0)),
    ):
        mean, figures = marginal @ grid, others[place].provenance
        sd = math.sqrt(marginal @ (grid - mean) ** 2)
        error = sd * math.sqrt(1 / figures["effective_draws"] + 1 / figures["fewest_effective_draws_of_a_patient"])
        assert abs(found.mean() - mean) < 5 * error
        assert abs(found.std() / sd - 1) < 5 * error / sd


def test_who_is_left_out_is_not_in_the_population(records, others):
    for i, found in enumerate(others):
        hashes = [r.data_hash for j, r in enumerate([*records[:NINE], STRANGER]) if j != i]
        assert found.provenance["data_hashes"] == hashes
        assert found.tree["patients"].sizes["patient"] == found.provenance["patients"] == NINE


def test_leaving_one_of_three_out_is_refused(records):
    with pytest.raises(ValueError, match="more than 3 records with an output of model `Level`, but 3 of 3 have one"):
        tp.fit_population(Level(), records[:3], leave_one_out=True, key=jax.random.key(0))


def test_the_prior_of_a_patient_is_the_predictive_distribution(population, records):
    weights, centers, logs = exact(records)
    tails = 5 / 3  # the variance of a Student t with five degrees of freedom
    variance = (
        tails * np.sum(weights * np.exp(2 * logs)) + weights.sum(1) @ centers**2 - (weights.sum(1) @ centers) ** 2
    )
    prior = population.priors(Level(), tp.Record.admission({"weight": (80, "kg")}))["level"]
    assert float(prior.loc) == pytest.approx(weights.sum(1) @ centers, abs=0.1)
    assert float(prior.scale) == pytest.approx(math.sqrt(variance), rel=0.1)


def test_a_patient_without_data_is_a_twin_that_equals_the_population(population):
    admitted = tp.Record.admission({"weight": (80, "kg")})
    twin = tp.fit(Level(), admitted, key=jax.random.key(2), population=population, method=QUICK)
    prior = population.priors(Level(), admitted)["level"]
    found, count = twin.group("posterior")["level"].values.ravel(), twin.effective_draws
    assert abs(found.mean() - prior.loc) < 5 * prior.scale / math.sqrt(count)
    assert abs(found.std() / prior.scale - 1) < 5 / math.sqrt(2 * count)


def test_a_twin_at_admission_forecasts_and_is_diagnosed(population):
    admitted = tp.Record.admission({"weight": (80, "kg")})
    twin = tp.fit(Level(), admitted, key=jax.random.key(2), population=population, method=QUICK)
    ahead = tp.forecast(twin, hours=1, key=jax.random.key(3))
    assert np.all(np.isfinite(ahead.quantiles("marker", [0.05, 0.95])))
    assert "No measurement yet" in str(tp.diagnose(twin))


def test_one_measurement_is_shrunk_to_the_population_as_in_closed_form(population):
    prior = population.priors(Level(), record([5.0]))["level"]
    gain = prior.scale**2 / (prior.scale**2 + NOISE**2)
    twin = tp.fit(Level(), record([5.0], weight=(80, "kg")), key=jax.random.key(4), population=population, method=QUICK)
    found, sd = twin.group("posterior")["level"].values.ravel(), math.sqrt(gain) * NOISE
    assert abs(found.mean() - (prior.loc + gain * (5.0 - prior.loc))) < 5 * sd / math.sqrt(twin.effective_draws)


@pytest.mark.slow
def test_the_effect_of_a_covariate_is_found(key):
    people_ = people(20, slope=2.0, spread=0.2, seed=5)
    found = tp.fit_population(Level(), people_, key=key, covariates={"level": ("weight",)}, method=QUICK)
    slopes = draws(found, "coefficient", 0, 1) / found.terms[0].scale
    assert abs(slopes.mean() - 2.0) < 4 * slopes.std()
    light, heavy = (found.priors(Level(), record([0.0], weight=(w, "kg")))["level"].loc for w in (50, 100))
    assert float(heavy - light) == pytest.approx(slopes.mean() * math.log(2), rel=1e-6)


@pytest.mark.slow
def test_a_category_moves_the_center(key):
    status = ["none"] * 10 + ["type2"] * 10
    people_ = [
        dataclasses.replace(r, covariates=record([0.0], diabetic_status=s).covariates)
        for r, s in zip(people(10, 3.0, 0.2) + people(10, 4.0, 0.2, seed=1), status, strict=True)
    ]
    found = tp.fit_population(Level(), people_, key=key, covariates={"level": ("diabetic_status",)}, method=QUICK)
    assert found.terms[0].name == "diabetic_status = type2"
    shift = draws(found, "coefficient", 0, 1)
    assert abs(shift.mean() - 1.0) < 4 * shift.std() + 0.3


UNKNOWN = {"marker": tp.Observation(tp.Gaussian(additive=dist.LogNormal(0.0, 1.0)))}


@pytest.mark.slow
def test_the_size_of_the_noise_is_learned(key):
    found = tp.fit_population(Level(), people(20, samples=8), key=key, observations=UNKNOWN, method=QUICK)
    assert "marker_additive" in found.parameters
    center = draws(found, "coefficient", found.parameters.index("marker_additive"), 0)
    assert abs(center.mean() - math.log(NOISE)) < 4 * center.std()


def test_patients_share_one_compiled_program(population):
    before = len(TRACES)
    tp.fit_population(Level(), people(20, seed=9), key=jax.random.key(1), method=QUICK, rounds=1)
    assert len(TRACES) == before


def test_a_population_survives_save_and_load(population, tmp_path):
    population.save(tmp_path / "population.nc")
    loaded = tp.load_population(tmp_path / "population.nc", own=(Level,))
    mine, theirs = (p.priors(Level(), record([1.0]))["level"] for p in (population, loaded))
    assert (float(mine.loc), float(mine.scale)) == (float(theirs.loc), float(theirs.scale))
    assert loaded.provenance == population.provenance


def test_a_file_that_is_no_population_is_refused(population, tmp_path):
    path = tmp_path / "cut.nc"
    population.save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not a readable netCDF file"):
        tp.load_population(path, own=(Level,))


def test_a_twin_of_a_population_survives_save_and_load(population, tmp_path):
    twin = tp.fit(Level(), record([2.0]), key=jax.random.key(5), population=population, method=QUICK)
    twin.save(tmp_path / "twin.nc")
    loaded = tp.load(tmp_path / "twin.nc", own=(Level,))
    assert float(loaded.model.prior("level").loc) == float(twin.model.prior("level").loc)


BOUNDED = Level().free(level=dist.Uniform(1.0, 5.0))


@pytest.fixture(scope="module")
def narrow():
    """Of a bounded parameter and an unknown size of the noise."""
    few = people(6, samples=8)
    return tp.fit_population(BOUNDED, few, key=jax.random.key(6), observations=UNKNOWN, method=QUICK, rounds=2)


@pytest.mark.slow
def test_the_size_of_the_noise_is_a_parameter_of_the_population(narrow):
    center = draws(narrow, "coefficient", narrow.parameters.index("marker_additive"), 0)
    assert abs(center.mean() - math.log(NOISE)) < 4 * center.std()


@pytest.mark.slow
def test_a_bounded_parameter_stays_in_its_bounds_after_save_and_load(narrow, tmp_path):
    settings = {"population": narrow, "observations": UNKNOWN, "method": QUICK}
    twin = tp.fit(BOUNDED, record([2.0]), key=jax.random.key(5), **settings)
    twin.save(tmp_path / "twin.nc")
    prior = tp.load(tmp_path / "twin.nc", own=(Level,)).model.prior("level")
    values = np.asarray(prior.sample(jax.random.key(0), (500,)))
    assert np.all((values > 1.0) & (values < 5.0))
    assert float(prior.log_prob(2.0)) == pytest.approx(float(twin.model.prior("level").log_prob(2.0)), rel=1e-6)


def test_another_model_is_refused_by_name(population):
    with pytest.raises(ValueError, match="learned for model `Level`, not for `Other`"):
        tp.fit(Other(), record([1.0]), key=jax.random.key(0), population=population)


@pytest.fixture(scope="module")
def moving():
    return tp.fit_population(
        Level().vary(level=tp.RandomWalk(sd=dist.LogNormal(-3.0, 0.5))), people(3), key=jax.random.key(0),
        method=QUICK, rounds=1,
    )  # fmt: skip


@pytest.mark.slow
def test_volatility_is_part_of_the_population(moving):
    assert moving.parameters == ("level_start", "level_volatility")


def test_another_motion_is_refused_by_name(moving):
    with pytest.raises(ValueError, match=r"`level` moves in time as no process.*RandomWalk"):
        moving.priors(Level(), record([1.0]))


def test_other_unknowns_are_refused_by_name(population):
    model = Level().fix(level=1.0)
    with pytest.raises(ValueError, match="`level` is known in this model"):
        population.priors(model, record([1.0]))


def test_a_record_without_a_needed_covariate_is_refused(records, key):
    found = tp.fit_population(Level(), records, key=key, covariates={"level": "weight"}, method=QUICK, rounds=1)
    with pytest.raises(ValueError, match="covariate `weight`, which the record lacks"):
        found.priors(Level(), record([1.0]))


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        ({"levle": ("weight",)}, "did you mean `level`"),
        ({"level": ("age",)}, "Record 0 lacks covariate `age`"),
        ({"level": ("sex",)}, "`female` in every record"),
        ({"level": ("height",)}, "differ between records"),
    ],
)
def test_useless_covariates_are_refused(covariates, message, key):
    same = [record([float(i)], weight=(70 + i, "kg"), sex="female", height=(170, "cm")) for i in range(4)]
    with pytest.raises(ValueError, match=message):
        tp.fit_population(Level(), same, key=key, covariates=covariates)


def test_too_few_records_are_refused(records, key):
    with pytest.raises(ValueError, match="at least 3 records"):
        tp.fit_population(Level(), [*records[:2], tp.Record.admission()], key=key)


class Unlucky(eqx.Module):
    """A method that cannot fit patients whose first value is above a limit."""

    limit: float = eqx.field(static=True)

    def sample(self, joint, *, key, progress=None):
        if joint.data["marker"].values[0] > self.limit:
            raise RuntimeError("no starting point could be solved")
        return QUICK.sample(joint, key=key)


def test_a_patient_that_cannot_be_fitted_is_counted(records, key):
    above = record([99.0, 4.5, 4.5, 4.5], weight=(80.0, "kg"))
    found = tp.fit_population(Level(), [*records, above], key=key, method=Unlucky(50.0), rounds=1)
    assert len(found.provenance["failed"]) == 1
    assert found.provenance["patients"] == len(records)


def test_too_many_failures_are_an_error(records, key):
    with pytest.raises(RuntimeError, match="of 20 records could not be fitted"):
        tp.fit_population(Level(), records, key=key, method=Unlucky(-100.0), rounds=1)


def test_a_population_shows_itself(population):
    assert "Learned from 20 patients" in population._repr_html_()
    assert repr(population) == f"Population(Level, learned from 20 patients. {population.verdict})"


def judged(population, **figures):
    tree = population.tree.copy()
    tree.attrs["provenance"] = json.dumps({**population.provenance, **figures})
    return dataclasses.replace(population, tree=tree)


def test_a_population_that_settled_says_so(population):
    found = judged(population, moved=0.2, khat=0.3, effective_draws=900.0)
    assert found.settled
    assert found.verdict.startswith("Settled: at rest after")


@pytest.mark.parametrize("figure", [{"moved": 0.9}, {"khat": 0.8}, {"effective_draws": 30.0}])
def test_a_population_that_did_not_settle_says_so_and_what_to_do(population, figure):
    found = judged(population, **{"moved": 0.2, "khat": 0.3, "effective_draws": 900.0, **figure})
    assert not found.settled
    assert re.match(r"Not settled: .* more patients, with more `rounds`", found.verdict)


def test_it_says_on_whom_it_was_learned(records):
    found = tp.fit_population(Level(), records[:4], key=jax.random.key(1), method=QUICK, rounds=1, source="a ward")
    assert "learned from 4 patients: a ward." in repr(found)


def test_an_anonymous_population_has_the_same_priors_and_nothing_of_a_single_patient(population, tmp_path):
    bare = population.anonymous()
    mine, theirs = (p.priors(Level(), record([1.0]))["level"] for p in (population, bare))
    error = mine.scale / math.sqrt(bare.tree["hyperparameters"].to_dataset()["spread"].size)
    assert abs(theirs.loc - mine.loc) < 5 * error
    assert abs(theirs.scale - mine.scale) < 5 * error
    assert bare.tree["patients"].sizes["patient"] == 1
    assert "data_hashes" not in bare.provenance
    bare.save(tmp_path / "bare.nc")
    assert repr(tp.load_population(tmp_path / "bare.nc", own=(Level,))) == repr(population)


def test_a_state_at_the_origin_is_no_part_of_a_population():
    stay = tp.Record.build({"glucose": ([0.0, 60.0], [9.0, 8.0], "mmol/L")})
    assert set(shared_sites(tp.joint(ICING(), stay))) == {"insulin_sensitivity_start", "endogenous_glucose_production"}


def test_a_record_that_begins_later_for_the_model_is_left_out_too(records, monkeypatch):
    monkeypatch.setattr(LEARNING, "simulable", lambda model, one: dataclasses.replace(one))
    found = tp.fit_population(Level(), records[:5], leave_one_out=True, key=jax.random.key(6), method=QUICK, rounds=1)
    for left, one in zip(records, found, strict=False):
        assert left.data_hash not in one.provenance["data_hashes"]


def test_stays_of_one_person_are_left_out_together(records):
    same = [dataclasses.replace(r, person="one") for r in records[:2]]
    found = tp.fit_population(
        Level(), [*same, *records[2:8]], leave_one_out=True, key=jax.random.key(6), method=QUICK, rounds=1
    )
    assert [one.provenance["records"] for one in found] == [6, 6, *[7] * 6]
    assert [one.provenance["patients"] for one in found] == [6, 6, *[6] * 6]


@pytest.mark.parametrize("name", ["icing-mimc3", "icing"])
def test_a_name_that_does_not_ship_is_refused_with_those_that_do(name):
    with pytest.raises(FileNotFoundError, match="none of this name ships; did you mean `icing-mimic3`"):
        tp.load_population(name)


def test_the_declared_sites_of_icing_are_its_unknowns_and_start():
    sites = declared_sites(ICING(), {})
    assert set(sites) == {
        "insulin_sensitivity_start", "endogenous_glucose_production", "initial_glucose", "initial_insulin"
    }  # fmt: skip


def test_moments_of_a_uniform_are_those_of_a_logistic():
    center, width = moments(dist.Uniform(0.0, 1.0))
    assert abs(center) < 5 * math.pi / math.sqrt(3 * 4000)
    assert width == pytest.approx(math.pi / math.sqrt(3), rel=0.1)


@pytest.mark.slow
def test_hyperparameters_equal_those_of_numpyro_with_joint_inside():
    records = people(5, samples=3)
    densities = [tp.joint(Level(), r) for r in records]

    def hierarchy():
        center = numpyro.sample("center", dist.Normal(0.0, 2.0))
        spread = numpyro.sample("spread", dist.HalfNormal(2.0))
        for i, density in enumerate(densities):
            model = dataclasses.replace(density.model, priors={"level": dist.Normal(center, spread)})
            with numpyro.handlers.scope(prefix=f"patient{i}"):
                dataclasses.replace(density, model=model)()

    mcmc = numpyro.infer.MCMC(
        numpyro.infer.NUTS(hierarchy, target_accept_prob=0.95), num_warmup=1000, num_samples=4000, progress_bar=False
    )
    mcmc.run(jax.random.key(0))
    reference = {n: np.asarray(v) for n, v in mcmc.get_samples().items() if n in ("center", "spread")}
    found = tp.fit_population(Level(), records, key=jax.random.key(1))
    mine = {"center": draws(found, "coefficient", 0, 0), "spread": draws(found, "spread", 0)}
    few = min(found.provenance["effective_draws"], found.provenance["fewest_effective_draws_of_a_patient"], 400.0)
    for name, values in reference.items():
        middle = np.median(values)
        assert abs(np.median(mine[name]) - middle) < 5 * 1.2533 * values.std() * math.sqrt(2 / few), name


def test_a_term_is_the_logarithm_above_the_middle_in_its_scale():
    term = Term("weight", "kg", None, float(np.log(70.0)), 0.2)
    assert term.of(record([1.0], weight=(80.0, "kg"))) == pytest.approx(np.log(80.0 / 70.0) / 0.2)


def test_the_spread_of_a_new_patient_holds_patients_tails_and_what_is_not_known_of_their_center(population):
    hyper = population.tree["hyperparameters"].to_dataset()
    shift, spread = hyper["coefficient"].values[..., 0, 0], hyper["spread"].values[..., 0]
    prior = population.priors(Level(), record([1.0]))["level"]
    # The variance of a Student t of five degrees of freedom is 5/3 of its scale's square.
    assert float(prior.scale) ** 2 == pytest.approx(5 / 3 * np.mean(spread**2) + np.var(shift), rel=1e-9)
    assert np.var(shift) > 0.01 * float(prior.scale) ** 2
