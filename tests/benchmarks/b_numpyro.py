"""Plain NumPyro and diffrax, as a good user would write them, on the density of a 48-h ICING stay."""

import importlib.metadata
import time
from dataclasses import dataclass
from functools import cache

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS, init_to_median

from tests.benchmarks import Comparison
from tests.benchmarks.sensitivity import FIRST, HOURS, VOLATILITY, agreement, bulk, density, our_chains, our_fit, record
from twinprob.models.metabolic import ICING
from twinprob.models.metabolic.icing import SECRETION_NORMAL

TITLE = "Effective draws per second against plain NumPyro and diffrax"
HOW = (
    "48-h ICING stay, 24 glucose values, hourly random walk of log insulin sensitivity: 49 unknowns, float64. The "
    "contender is one file of NumPyro and diffrax: non-centered walk, `diffeqsolve` with Tsit5, adaptive steps, "
    "`jump_ts` at every change and `SaveAt` at the measurements, `NUTS` with its defaults but for "
    "`init_to_median` (its default finds no start). It is too slow to be run to "
    "its end. So its warm-up counts nothing; its step size, its mass matrix and how many effective draws a draw is "
    "worth come from NumPyro's NUTS with the same defaults on the same density with our gradient; and only the seconds "
    "per draw are measured on `diffeqsolve`, from where that chain ends. All of this is in its favor. Ours includes "
    "the search for modes, warm-up and, for `fit`, everything a twin holds. Figures without compilation. Effective "
    "draws are the smallest bulk ESS over the unknowns, for `fit` those of the importance weights."
)
WARMUP, DRAWS = 250, 250
TIMED_DRAWS, TIME_LIMIT = 12, 90.0


def program(times, values, changes, levels, first):
    """The user's program: equations, prior and likelihood in one function.

    `changes` (change,) min and `levels` (change, 3) are insulin, enteral and parenteral glucose from each change on;
    `first` (5,) is the state at the start.
    """
    c = {name: getattr(ICING(), name) for name in ICING().parameters()} | FIRST
    secretion = SECRETION_NORMAL
    jumps = np.unique(np.concatenate([changes[changes > 0], 60.0 * np.arange(1, HOURS)]))

    def field(t, y, s_I):
        G, Q, I, P1, P2 = y
        u_ex, D, PN = levels[jnp.searchsorted(changes, t, side="right") - 1]
        S_I = s_I[jnp.clip((t / 60.0).astype(int), 0, HOURS - 1)]
        effect = Q / (1 + c["insulin_effect_saturation"] * Q)
        absorbed = jnp.minimum(c["gut_absorption"] * P2, c["greatest_absorption"])
        u_en = jnp.clip(secretion.slope * G + secretion.offset, secretion.lowest, secretion.highest)
        P = absorbed + PN + c["endogenous_glucose_production"] - c["central_glucose_uptake"]
        moved = c["transcapillary_diffusion"] * (I - Q)
        cleared = c["kidney_clearance"] * I + c["liver_clearance"] * I / (1 + c["clearance_saturation"] * I)
        return jnp.stack(
            [
                -c["glucose_clearance"] * G - S_I * G * effect + P / c["glucose_volume"],
                moved - c["cellular_degradation"] * effect,
                (u_ex + (1 - c["first_pass_extraction"]) * u_en) / c["insulin_volume"] - cleared - moved,
                -c["gastric_emptying"] * P1 + D,
                -absorbed + c["gastric_emptying"] * P1,
            ]
        )

    def model():
        start = numpyro.sample("insulin_sensitivity_start", dist.LogNormal(-8.05, 0.7))
        # As in our joint density, the first innovation is there and moves nothing.
        steps = numpyro.sample("insulin_sensitivity_innovations", dist.Normal(0, 1).expand([HOURS]).to_event(1))
        path = jnp.exp(jnp.log(start) + VOLATILITY * jnp.concatenate([jnp.zeros(1), jnp.cumsum(steps[1:])]))
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Tsit5(), 0.0, 60.0 * HOURS, 5.0, first, args=path,
            saveat=diffrax.SaveAt(ts=times), max_steps=4096, throw=False,
            stepsize_controller=diffrax.ClipStepSizeController(
                diffrax.PIDController(rtol=1e-5, atol=1e-6), jump_ts=jumps
            ),
        )  # fmt: skip
        glucose = solution.ys[:, 0]
        numpyro.sample("glucose", dist.Normal(glucose, 0.05 * glucose), obs=values)

    return model


def plain():
    """Return the user's program for our stay."""
    glucose, inputs = record().observations["glucose"], record().inputs
    changes = np.unique(np.concatenate([[0.0], *(course.steps()[0] for course in inputs.courses.values())]))
    segments = density().segments
    row = np.searchsorted(np.asarray(segments.start)[np.asarray(segments.length) > 0], changes + 1e-9, side="right") - 1
    model = density().model
    patient = model.install(("insulin_sensitivity",), np.array([3e-4]))
    first = patient.initial(model.Input(*np.asarray(segments.before)))
    levels = np.asarray(segments.level)[row]
    return program(glucose.times, glucose.values, changes, jnp.asarray(levels), jnp.stack(jax.tree.leaves(first)))


@dataclass(frozen=True)
class Plain:
    """What plain NumPyro costs and yields.

    Attributes
    ----------
    positions : (1, draw, unknown), from our gradient
    ess_per_draw : float
    leapfrogs : float, per draw
    seconds : float, per draw on `diffeqsolve`
    timed : int, draws behind `seconds`
    gap : float, difference of both log densities between two positions
    """

    positions: np.ndarray
    ess_per_draw: float
    leapfrogs: float
    seconds: float
    timed: int
    gap: float

    @property
    def per_second(self) -> float:
        """Effective draws per second, its warm-up not counted."""
        return self.ess_per_draw / self.seconds


@cache
def measured() -> Plain:
    """Run NUTS with NumPyro's defaults on our gradient, then time its draws on `diffeqsolve`."""
    with jax.enable_x64(True):
        chain = MCMC(
            NUTS(density(), init_strategy=init_to_median),
            num_warmup=WARMUP,
            num_samples=DRAWS,
            num_chains=1,
            progress_bar=False,
        )
        chain.run(jax.random.key(0), extra_fields=("num_steps",))
        draws = chain.get_samples(group_by_chain=True)
        start, innovations = draws["insulin_sensitivity_start"], draws["insulin_sensitivity_innovations"]
        positions = np.concatenate([np.log(start)[..., None], innovations], axis=-1)
        kernel = NUTS(plain(), init_strategy=init_to_median)
        fresh = kernel.init(jax.random.key(1), 0, None, (), {})
        state = chain.last_state._replace(
            rng_key=fresh.rng_key,
            potential_energy=None,
            z_grad=None,
            i=fresh.i,
            mean_accept_prob=fresh.mean_accept_prob,
        )
        potential = jax.jit(jax.value_and_grad(kernel.get_potential_fn()))
        energy, slope = potential(state.z)
        state = state._replace(potential_energy=energy, z_grad=slope)
        other = {name: 0.9 * value for name, value in state.z.items()}
        ours = [-float(density().log_density(_position(z))) for z in (state.z, other)]
        gap = (float(energy) - float(potential(other)[0])) - (ours[0] - ours[1])
        advance = jax.jit(lambda s: kernel.sample(s, (), {}))
        state = jax.block_until_ready(advance(state))  # compiles
        leapfrogs: list[int] = []
        began = time.perf_counter()
        while len(leapfrogs) < TIMED_DRAWS and time.perf_counter() - began < TIME_LIMIT:
            state = jax.block_until_ready(advance(state))
            leapfrogs.append(int(state.num_steps))
        spent = time.perf_counter() - began
        typical = float(np.mean(chain.get_extra_fields()["num_steps"]))
        # Few draws are timed: what they cost is counted per leapfrog, and the long chain says how many a draw takes.
        seconds = spent / sum(leapfrogs) * typical
        return Plain(positions, float(bulk(positions).min()) / DRAWS, typical, seconds, len(leapfrogs), gap)


def _position(z):
    return jnp.concatenate([jnp.ravel(z["insulin_sensitivity_start"]), z["insulin_sensitivity_innovations"]])


def measure() -> list[Comparison]:
    """Return both ratios of one run."""
    plain_, chains = measured(), our_chains()
    other = f"NumPyro {importlib.metadata.version('numpyro')} + diffrax {importlib.metadata.version('diffrax')}"
    whole = 4 * 2000 * plain_.seconds / 3600
    note = (
        f"{plain_.leapfrogs:.0f} leapfrogs and {plain_.seconds:.2g} s a draw ({plain_.timed} timed): its default "
        f"4 x (1000 + 1000) would take {whole:.1f} h; {agreement(chains, plain_.positions)}"
    )
    unit = "effective draws / s"
    return [
        Comparison(
            "`NUTS()`, mode search and warm-up included",
            unit,
            chains.per_second,
            other,
            plain_.per_second,
            "higher",
            note,
        ),
        Comparison("`fit` with no options, whole", unit, our_fit().per_second, other, plain_.per_second, "higher"),
    ]
