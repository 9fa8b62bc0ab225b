import json
import re
import sys

import arviz_stats as azs
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr

import twinprob as tp
from tests.cases import Folded, folded_posterior, folded_record
from tests.twins import QUICK
from twinprob import parameter
from twinprob.models.metabolic import ICING, MinimalModel

GROUPS = {
    "posterior", "prior", "posterior_predictive", "prior_predictive", "log_likelihood", "log_prior", "sample_stats",
    "observed_data", "constant_data", "trajectory", "state", "unconstrained", "modes", "neighbors",
}  # fmt: skip


@pytest.fixture(scope="module")
def record():
    """Twelve hours of a patient on insulin and feed, simulated once with noise."""
    given = tp.Inputs.constant(insulin=(3.0, "U/h"), enteral_glucose=(0.6, "mmol/min"))
    times = np.arange(0.0, 721.0, 60.0)
    patient = ICING().fix(insulin_sensitivity=3e-4, initial_glucose=11.0)
    with jax.enable_x64(True):
        clean = np.asarray(tp.simulate(patient, given, times).output.glucose)
    noisy = clean * (1 + 0.05 * np.random.default_rng(1).normal(size=times.size))
    return tp.Record.build({"glucose": (times, noisy * 18.016, "mg/dL")}, given, {"weight": (80.0, "kg")})


@pytest.fixture(scope="module")
def twin(record):
    return tp.fit(ICING(), record, key=jax.random.key(3), method=QUICK)


def test_a_twin_holds_every_group_of_the_schema(twin):
    assert set(twin.tree.children) == GROUPS


def test_variables_carry_units_names_and_sources(twin):
    attrs = twin.group("posterior")["endogenous_glucose_production"].attrs
    assert attrs["units"] == "mmol/min"
    assert attrs["long_name"] == "EGP"
    assert attrs["source"]


def test_a_varying_parameter_has_its_own_time_axis(twin):
    knots = twin.group("posterior")["insulin_sensitivity"]["insulin_sensitivity_knot"].values
    np.testing.assert_array_equal(knots, 60.0 * np.arange(12))


def test_measurements_are_converted_to_the_models_unit(twin, record):
    seen = twin.group("observed_data")["glucose"]
    np.testing.assert_allclose(seen.values, record.observations["glucose"].values / 18.016, rtol=1e-6)
    assert seen.attrs["units"] == "mmol/L"


def test_the_posterior_covers_the_true_sensitivity(twin):
    path = twin.group("posterior")["insulin_sensitivity"].values[..., -1]
    low, high = np.quantile(path, [0.001, 0.999])
    assert low < 3e-4 < high


def test_trajectories_at_measurements_equal_the_likelihoods_means(twin):
    trajectory = twin.group("trajectory")["glucose"]
    last = trajectory.sel(time=720.0).values
    np.testing.assert_allclose(last, twin.group("state")["glucose"].values, rtol=1e-12)


def test_the_same_key_gives_the_same_twin(record, twin):
    again = tp.fit(ICING(), record, key=jax.random.key(3), method=QUICK)
    xr.testing.assert_identical(again.tree.to_dict()["/posterior"], twin.tree.to_dict()["/posterior"])


def test_provenance_names_method_key_versions_and_data(twin, record):
    provenance = json.loads(twin.tree.attrs["provenance"])
    assert provenance["method"] == "Laplace"
    assert provenance["data_hash"] == record.data_hash
    assert provenance["key"] == np.asarray(jax.random.key_data(jax.random.key(3))).tolist()
    assert {"jax", "numpyro", "twinprob"} <= set(provenance["versions"])


def test_arviz_summarizes_a_twin(twin):
    summary = azs.summary(twin.tree, var_names=["endogenous_glucose_production", "initial_glucose"])
    assert list(summary.index) == ["endogenous_glucose_production", "initial_glucose"]


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")  # a verdict on influential measurements, not a defect
def test_arviz_computes_loo_of_a_twin(twin):
    assert np.isfinite(azs.loo(twin.tree, var_name="glucose").elpd)


def test_fitting_leaves_the_precision_setting_alone(record):
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", False)
    try:
        found = tp.fit(ICING(), record, key=jax.random.key(3), method=QUICK)
        assert found.group("posterior")["initial_glucose"].dtype == np.float64
        assert not jax.config.read("jax_enable_x64")
    finally:
        jax.config.update("jax_enable_x64", before)


@pytest.fixture(scope="module")
def folded():
    return tp.fit(Folded(), folded_record(), key=jax.random.key(0))


def test_every_mode_is_kept_with_where_it_is(folded):
    # The maxima of the closed density, on a grid of 1e-4.
    grid = np.linspace(-4.0, 4.0, 80_001)
    density = folded_posterior(grid)
    exact = [part[np.argmax(folded_posterior(part))] for part in (grid[grid > 0], grid[grid < 0])]
    assert density.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(folded.group("modes")["root"], exact, atol=2e-4)


def test_every_mode_is_kept_with_its_exact_weight(folded):
    grid = np.linspace(-4.0, 4.0, 80_001)
    share = folded_posterior(grid)[grid > 0].sum()
    error = 5 * np.sqrt(share * (1 - share) / folded.provenance["importance_ess"])
    np.testing.assert_allclose(folded.group("modes")["weight"], [share, 1 - share], atol=error)


def test_of_a_path_a_mode_holds_every_knot(twin):
    assert twin.group("modes")["insulin_sensitivity"].dims == ("mode", "insulin_sensitivity_knot")
    assert twin.group("modes").sizes["insulin_sensitivity_knot"] == 12


class Product(Folded):
    """A constant level, the product of three unknowns measured nearly exactly: thin bent sheets in four octants."""

    root: float = parameter(dist.Normal(0.0, 1.0), unit="1", source="test")
    second: float = parameter(dist.Normal(0.0, 1.0), unit="1", source="test")
    third: float = parameter(dist.Normal(0.0, 1.0), unit="1", source="test")

    def initial(self, inputs):
        return self.State(level=jnp.asarray(self.root * self.second * self.third))


EXACT = {"level": tp.Observation(tp.Gaussian(additive=0.001))}


@pytest.mark.slow
def test_where_laplace_fails_the_default_samples_with_nuts_and_says_so(monkeypatch):
    # The package shows the verb under the module's name, so the module is taken from where Python keeps it.
    short = tp.NUTS(chains=2, draws=40, warmup=40, starts=2)
    monkeypatch.setattr(sys.modules["twinprob.inference.fit"], "NUTS", lambda: short)
    twin = tp.fit(Product(), folded_record(), key=jax.random.key(0), observations=EXACT)
    assert (twin.provenance["method"], twin.method) == ("NUTS", None)
    assert re.search(r"Laplace's k-hat was (0\.[7-9]|[1-9])", str(tp.diagnose(twin)))


@pytest.mark.slow
def test_a_method_that_was_asked_for_is_kept():
    twin = tp.fit(Product(), folded_record(), key=jax.random.key(0), observations=EXACT, method=tp.Laplace())
    assert (twin.provenance["method"], twin.provenance["notes"]) == ("Laplace", [])
    assert twin.provenance["khat"] > 0.7
    assert tp.diagnose(twin).verdict != "trustworthy"


def test_a_record_without_any_output_is_refused_with_the_nearest_name():
    record = tp.Record.build({"glucos": ([0.0, 1.0], [5.0, 6.0], "mmol/L")}, own=("glucos",))
    with pytest.raises(ValueError, match=r"holds none of the outputs of model `ICING`.*did you mean `glucose`"):
        tp.fit(ICING(), record, key=jax.random.key(0))


def test_a_model_without_unknowns_is_refused(record):
    known = MinimalModel().fix(
        glucose_effectiveness=0.02, insulin_sensitivity=5e-4, insulin_action_rate=0.03, initial_glucose=280.0
    )
    with pytest.raises(ValueError, match="`MinimalModel` has no unknown parameter"):
        tp.fit(known, record, key=jax.random.key(0))


def test_a_missing_measured_input_is_named():
    record = tp.Record.build({"glucose": ([0.0, 10.0], [280.0, 200.0], "mg/dL")})
    with pytest.raises(ValueError, match="driven by measured `plasma_insulin`"):
        tp.fit(MinimalModel(), record, key=jax.random.key(0))


def test_an_observation_for_no_output_is_refused(record):
    with pytest.raises(ValueError, match="no output `glucos`; did you mean `glucose`"):
        tp.fit(
            ICING(), record, key=jax.random.key(0), observations={"glucos": tp.Observation(tp.Gaussian(relative=0.1))}
        )


def test_what_is_no_record_is_refused_with_the_remedy():
    given = {"glucose": ([0.0], [7.0], "mmol/L")}
    with pytest.raises(TypeError, match=r"its `glucose` is a `tuple`: `Record.build` makes one"):
        tp.fit(ICING(), given, key=jax.random.key(0))  # type: ignore[arg-type]
