"""The ventilator-setting study, and `Preload` learned from some of its patients; the data stay where they are.

A patient has two unknowns here, the swing of pressure around the heart per liter of breath (E_cw) and the transmural
filling pressure (P); K, which only sets the scale of P, stays at its setting. Central venous pressure is P, the
pressure around the heart and the height of the transducer; how far it strays from P is learned. S follows from the
stroke volume, stressed volume from P. So a posterior is a sum over a grid, exact up to the grid.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.scipy.special import logsumexp
from jax.scipy.stats import norm
from scipy.optimize import minimize

from twinprob.models.cardiovascular import Preload

SETTINGS = ((10, 10), (8, 10), (6, 10), (4, 10), (8, 17), (8, 24), (8, 31), (6, 17), (6, 24), (6, 31))  # mL/kg, 1/min
WEIGHT = 70.0  # kg: the study gives volumes per kilogram only; E_cw takes up the difference
TYPICAL = 70.0  # mL, the stroke volume where a patient's own is missing; a setting
BOLUS = 250.0  # mL
WALLS = np.linspace(np.log(0.15), np.log(25.0), 36)  # grid of log E_cw, cmH2O/L
FILLINGS = np.linspace(np.log(0.7), np.log(30.0), 22)  # grid of log P, mmHg


class Study(NamedTuple):
    """The patients, one row each.

    Attributes
    ----------
    variation : (patient, setting) %, NaN where missing
    venous, rate, stroke : (patient,) mmHg, 1/min, mL: before fluid
    response : (patient,) relative change of stroke volume after 250 mL
    venous_rise : (patient,) mmHg, NaN where missing
    """

    variation: np.ndarray
    venous: np.ndarray
    rate: np.ndarray
    stroke: np.ndarray
    response: np.ndarray
    venous_rise: np.ndarray


class Learned(NamedTuple):
    """What patients have in common, by name; SDs of logarithms, noises in % points and relative."""

    wall: float
    wall_sd: float
    filling: float
    filling_sd: float
    around: float
    around_sd: float
    compliance: float
    floor: float
    delay: float
    yielding: float
    additive: float
    relative: float
    stroke_noise: float
    delay_sd: float
    yielding_sd: float


# Where the search begins, and how far from it a value is softly held: priors and settings, not published.
CENTER = Learned(np.log(4.0), np.log(0.5), np.log(6.0), np.log(0.4), 3.0, np.log(3.0), np.log(80.0), np.log(1.0),
                 np.log(0.004), np.log(2.0), np.log(0.6), np.log(0.1), np.log(0.06), np.log(0.4),
                 np.log(0.4))  # fmt: skip
WIDTH = Learned(0.7, 0.5, 0.5, 0.3, 2.0, 0.4, 0.3, 0.7, 0.7, 0.7, 0.7, 0.7, 0.4, 0.5, 0.5)
SAME = np.zeros((1, 2)), np.zeros(1)  # every patient has the others' delay and yielding volume
_AT, _SHARES = np.polynomial.hermite_e.hermegauss(5)
# Each patient has its own: standard normals of both, and the logarithms of their shares.
OWN = (
    np.stack(np.meshgrid(_AT, _AT, indexing="ij"), axis=-1).reshape(-1, 2),
    np.log(np.outer(_SHARES, _SHARES).ravel() / _SHARES.sum() ** 2),
)


def read(folder) -> Study:
    """Return the study; a missing stroke volume is a typical one."""
    settings = pd.read_csv(folder / "vent_setting_study-vent_protocol.csv")
    fluid = pd.read_csv(folder / "vent_setting_study-fluid_response.csv").set_index("id").sort_index()
    by = settings.set_index(["id", "vent_rel_vt", "vent_RR"])
    first = by.xs((10, 10), level=("vent_rel_vt", "vent_RR")).loc[fluid.index]
    variation = np.stack([by["PPV_gam"].xs(s, level=("vent_rel_vt", "vent_RR")).reindex(fluid.index) for s in SETTINGS])
    venous = fluid["CVP_pre_fluid_avg"].fillna(first["CVP"])
    return Study(
        variation.T,
        venous.to_numpy(float),
        first["heart_rate"].to_numpy(float),
        fluid["SV_pre_fluid_avg"].fillna(TYPICAL).to_numpy(float),
        fluid["SV_rel_fluid_response"].to_numpy(float),
        fluid["CVP_abs_fluid_response"].to_numpy(float),
    )


def shown(log_wall, log_filling, rate, stroke, learned: Learned, own=(0.0, 0.0)):
    """Return variation at each setting (%), and relative change of stroke volume and venous rise after the bolus."""
    model = Preload()
    P, K = jnp.exp(log_filling), jnp.asarray(model.half_filling)
    S, C = stroke * (P + K) / P, jnp.exp(learned.compliance)
    names = (
        "half_filling", "greatest_stroke_volume", "venous_compliance", "chest_wall_elastance", "resting_heart_rate",
        "variation_floor", "breath_delay", "yielding_volume", "stressed_volume",
    )  # fmt: skip
    # No breath: stressed volume is what makes central venous pressure and stroke volume what they are.
    systemic = P + model.venous_resistance * rate * stroke / 1000.0
    delay = learned.delay + jnp.exp(learned.delay_sd) * own[0]
    yielding = learned.yielding + jnp.exp(learned.yielding_sd) * own[1]
    shared = [K, S, C, jnp.exp(log_wall), rate, jnp.exp(learned.floor), jnp.exp(delay), jnp.exp(yielding), systemic * C]
    patient = model.install(names, shared)
    state = model.State(jnp.zeros(()))

    def output(volume, breath, frequency):
        given = {"volume_change": volume, "tidal_volume": breath, "respiratory_rate": frequency}
        rest = {name: jnp.asarray(q.default) for name, q in model.quantities(model.Input).items() if name not in given}
        return patient.output(state, model.Input(**given, **rest))

    volumes, rates = jnp.asarray(SETTINGS, float).T
    ventilated = jax.vmap(lambda v, r: output(jnp.zeros(()), WEIGHT * v / 1000.0, r).pulse_pressure_variation)
    before, after = (output(jnp.asarray(v), WEIGHT * 0.008, jnp.asarray(12.0)) for v in (0.0, BOLUS))
    rise = after.central_venous_pressure - before.central_venous_pressure
    return ventilated(volumes, rates), after.stroke_volume / before.stroke_volume - 1.0, rise


def spread(mean, learned: Learned):
    """Return the SD of a measured variation around its mean."""
    return jnp.sqrt(jnp.exp(2.0 * learned.additive) + (jnp.exp(learned.relative) * mean) ** 2)


def normal_at(values, mean, sd):
    """Return log densities; zero where there is no value, and a value at zero is one below it."""
    known = jnp.isfinite(values)
    filled = jnp.where(known, values, 0.0)
    density = jnp.where(filled > 0.0, norm.logpdf(filled, mean, sd), norm.logcdf(0.0, mean, sd))
    return jnp.where(known, density, 0.0)


def weights(row, learned: Learned, *, settings, after: bool, fillings=FILLINGS, own=SAME):
    """Return the log weight of each grid point for one patient, prior included, and what is shown at each.

    Parameters
    ----------
    row : Study of one patient
    learned : Learned
    settings : (setting,) bool, whose variation is used
    after : bool
        Whether the response to the bolus is used, too.
    fillings : (filling,) grid of log P
    own : (point, 2) and (point,)
        Standard normals of a patient's own breath delay and yielding volume, and the logarithms of their shares.
    """
    places = jnp.meshgrid(jnp.asarray(WALLS), jnp.asarray(fillings), jnp.arange(len(own[1])), indexing="ij")
    walls, fillings, which = (x.ravel() for x in places)
    points, shares = jnp.asarray(own[0])[which], jnp.asarray(own[1])[which]
    variation, change, rise = jax.vmap(lambda w, p, z: shown(w, p, row.rate, row.stroke, learned, z))(
        walls, fillings, points
    )
    total = shares + norm.logpdf(walls, learned.wall, jnp.exp(learned.wall_sd))
    total += norm.logpdf(fillings, learned.filling, jnp.exp(learned.filling_sd))
    total -= logsumexp(total)
    total += normal_at(row.venous, jnp.exp(fillings) + learned.around, jnp.exp(learned.around_sd))
    total += jnp.sum(normal_at(row.variation, variation, spread(variation, learned)) * jnp.asarray(settings), axis=1)
    if after:
        total += norm.logpdf(row.response, change, jnp.exp(learned.stroke_noise))
        risen = jnp.where(jnp.isfinite(row.venous_rise), row.venous_rise, rise)
        total += norm.logpdf(risen, rise, 1.5)
    return total, variation, change


def learner(fillings, *, after: bool, own=SAME):
    """Return a function of (study, which patients to learn from) that finds the most probable `Learned`."""

    def loss(vector, study, use):
        learned = Learned(*vector)
        each = jax.vmap(
            lambda *row: logsumexp(
                weights(
                    Study(*row), learned, settings=jnp.ones(len(SETTINGS)), after=after, fillings=fillings, own=own
                )[0]
            )
        )(*study)
        penalty = 0.5 * jnp.sum(((vector - jnp.asarray(CENTER)) / jnp.asarray(WIDTH)) ** 2)
        return penalty - jnp.sum(jnp.where(use, each, 0.0))

    slope = jax.jit(jax.value_and_grad(loss))

    def learn(study: Study, use) -> Learned:
        arrays = jax.tree.map(jnp.asarray, study)

        def both(vector):
            value, gradient = slope(jnp.asarray(vector), arrays, jnp.asarray(use))
            return float(value), np.asarray(gradient)

        found = minimize(both, np.array(CENTER), jac=True, method="BFGS", options={"gtol": 1e-3, "maxiter": 80})
        return Learned(*(float(x) for x in found.x))

    return learn
