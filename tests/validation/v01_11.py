"""Gradient of the 48-h ICING log density against reverse mode of `diffeqsolve`; simulation against a plain scan."""

import statistics
import time

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.validation import Result
from tests.validation.stays import synthetic_stay
from twinprob.inference.joint import joint
from twinprob.modeling.model import pack
from twinprob.models.metabolic import ICING

LIMIT = 600
ROUNDS = 40
ADAPTIVE = diffrax.PIDController(rtol=1e-5, atol=1e-6)


def measure() -> Result:
    """Time the four programs interleaved and compare medians."""
    with jax.enable_x64(True):
        # 49 unknowns: 48 innovations and the start of the sensitivity.
        model = ICING().fix(endogenous_glucose_production=1.16, initial_glucose=9.0, initial_insulin=1.0)
        density = joint(model, synthetic_stay(0, hours=48, every=2.0, model=model)[0])
        position = jnp.asarray(0.3 * density.draw_prior(jax.random.key(0))).at[0].set(-8.05)
        programs = {
            "our gradient": jax.jit(jax.value_and_grad(density.log_density)),
            "reverse, adaptive": jax.jit(jax.value_and_grad(plain_density(density, ADAPTIVE))),
            "reverse, constant": jax.jit(jax.value_and_grad(plain_density(density, diffrax.ConstantStepSize()))),
            "our simulation": jax.jit(lambda q: density.states(density.paths(density.constrain(q)))[0][:, 0]),
            "hand-written scan": jax.jit(hand_written(density)),
        }
        answers = {name: program(position) for name, program in programs.items()}
        (ours, slope), (theirs, other) = answers["our gradient"], answers["reverse, adaptive"]
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(ROUNDS):
            for name, program in programs.items():
                begin = time.perf_counter()
                for _ in range(5):
                    answer = program(position)
                jax.block_until_ready(answer)
                times[name].append((time.perf_counter() - begin) / 5 * 1e3)
    medians = {name: statistics.median(values) for name, values in times.items()}
    gradient = medians["our gradient"] / min(medians["reverse, adaptive"], medians["reverse, constant"])
    simulation = medians["our simulation"] / medians["hand-written scan"]
    agree = float(np.max(np.abs(slope - other)) / np.max(np.abs(other)))
    simulated, plain = answers["our simulation"], answers["hand-written scan"]
    same = float(abs(simulated[-1] - plain[-1]))
    holds = gradient <= 0.5 and simulation <= 3.0 and agree < 1e-3 and same < 1e-3
    return Result(
        f"gradient {gradient:.2f} × the faster reverse mode through diffeqsolve "
        f"({medians['our gradient']:.2f} ms, {density.size} unknowns), "
        f"simulation {simulation:.2f} × a hand-written RK4 scan ({medians['our simulation']:.3f} ms)",
        bool(holds),
        {
            "median_ms": medians,
            "gradient_ratio": gradient,
            "simulation_ratio": simulation,
            "gradient_relative_difference": agree,
            "log_density_difference": float(ours - theirs),
            "last_glucose_difference": same,
        },
    )


def plain_density(density, controller):
    """The same density as a good user would write it: `diffeqsolve` from change to change, its default adjoint."""
    model, segments, data = density.model, density.segments, density.data["glucose"]
    real = np.asarray(segments.length) > 0
    columns = (segments.start[real], segments.length[real], segments.level[real], segments.knot[real, 0])
    borders = tuple(jnp.asarray(column) for column in columns)
    index = np.minimum(data.index, real.sum())

    def log_density(position):
        values = density.constrain(position)
        path = density.path("insulin_sensitivity", values)
        patient = model.install(("insulin_sensitivity",), path[:1])
        first = pack(patient.initial(model.Input(*jnp.asarray(segments.before))))

        def cross(y, row):
            start, length, level, knot = row
            now = model.install(("insulin_sensitivity",), path[knot][None])
            term = diffrax.ODETerm(lambda t, y, args: pack(now.vector_field(t, model.State(*y), model.Input(*level))))
            solution = diffrax.diffeqsolve(
                term, diffrax.Tsit5(), start, start + length, 10.0, y, stepsize_controller=controller, max_steps=64
            )
            return solution.ys[-1], solution.ys[-1]

        _, states = lax.scan(cross, first, borders)
        means = {"glucose": jnp.concatenate([first[None], states])[index, 0]}
        return density.log_prior(position) + jnp.sum(density.log_likelihood(values, means)["glucose"])

    return log_density


def hand_written(density):
    """ICING with classical Runge–Kutta steps of 5 min in a scan, taking the same inputs as arrays."""
    model, segments = density.model, density.segments
    real = np.asarray(segments.length) > 0
    row = np.searchsorted(np.asarray(segments.start)[real], 60.0 * np.arange(48) + 1e-6, side="right") - 1
    levels, knots = jnp.asarray(segments.level[real][row]), jnp.asarray(segments.knot[real, 0][row])
    c = {name: float(getattr(model, name)) for name in model.parameters() if name != "insulin_sensitivity"}
    secretion = model.secretion

    def field(y, s_i, u):
        G, Q, I, P1, P2 = y
        effect = Q / (1 + c["insulin_effect_saturation"] * Q)
        absorbed = jnp.minimum(c["gut_absorption"] * P2, c["greatest_absorption"])
        made = jnp.clip(secretion.slope * G + secretion.offset, secretion.lowest, secretion.highest)
        into = (u[0] + (1 - c["first_pass_extraction"]) * c["secretion_factor"] * made) / c["insulin_volume"]
        balance = absorbed + u[2] + c["endogenous_glucose_production"] - c["central_glucose_uptake"]
        cleared = c["kidney_clearance"] * I + c["liver_clearance"] * I / (1 + c["clearance_saturation"] * I)
        moved = c["transcapillary_diffusion"] * (I - Q)
        return jnp.stack(
            [
                -c["glucose_clearance"] * G - s_i * G * effect + balance / c["glucose_volume"],
                moved - c["cellular_degradation"] * effect,
                into - cleared - moved,
                -c["gastric_emptying"] * P1 + u[1],
                -absorbed + c["gastric_emptying"] * P1,
            ]
        )

    def run(position):
        values = density.constrain(position)
        path = density.path("insulin_sensitivity", values)
        patient = model.install(("insulin_sensitivity",), path[:1])
        first = pack(patient.initial(model.Input(*jnp.asarray(segments.before))))

        def hour(y, row):
            s_i, u = row

            def step(y, _):
                k1 = field(y, s_i, u)
                k2 = field(y + 2.5 * k1, s_i, u)
                k3 = field(y + 2.5 * k2, s_i, u)
                k4 = field(y + 5.0 * k3, s_i, u)
                return y + 5.0 / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4), None

            y, _ = lax.scan(step, y, None, length=12)
            return y, y[0]

        return lax.scan(hour, first, (path[knots], levels))[1]

    return run
