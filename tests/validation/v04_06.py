"""Mechanical power of 1,000 random settings against Gattinoni's equation and Giosa's surrogate."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.validation import Result
from twinprob.models.respiratory.mechanics import Patient, gattinoni, giosa, volume_control

COUNT = 1000


def measure() -> Result:
    """Draw patients and settings, and compare the work of the simulated breath per minute."""
    chance = np.random.default_rng(6)
    low_high = {
        "E": (10, 60),
        "R": (4, 20),
        "peep": (0, 18),
        "volume": (0.25, 0.65),
        "rate": (10, 32),
        "ratio": (0.33, 0.9),
    }
    x = {name: chance.uniform(low, high, COUNT) for name, (low, high) in low_high.items()}
    inspiration = 60.0 / x["rate"] * x["ratio"] / (1 + x["ratio"])

    def breath(E, R, peep, volume, rate, time):
        return volume_control(Patient(E, R), peep=peep, tidal_volume=volume, rate=rate, inspiratory_time=time)

    with jax.enable_x64(True):
        args = [jnp.asarray(v) for v in (x["E"], x["R"], x["peep"], x["volume"], x["rate"], inspiration)]
        found = jax.tree.map(np.asarray, jax.jit(jax.vmap(breath))(*args))
    # Gattinoni's equation knows no intrinsic PEEP: it is given the total PEEP of the same breath.
    total = x["peep"] + found.intrinsic_peep
    expected = gattinoni(
        elastance=x["E"], resistance=x["R"], peep=total, tidal_volume=x["volume"], rate=x["rate"],
        inspiratory_to_expiratory=x["ratio"],
    )  # fmt: skip
    blind = gattinoni(
        elastance=x["E"], resistance=x["R"], peep=x["peep"], tidal_volume=x["volume"], rate=x["rate"],
        inspiratory_to_expiratory=x["ratio"],
    )  # fmt: skip
    off = np.abs(found.mechanical_power / blind - 1)
    # Work of the pressure waveform itself, by quadrature over the inspired volume
    grid = np.linspace(0.0, 1.0, 201)[:, None]
    flow = x["volume"] / inspiration
    pressure = total + x["E"] * x["volume"] * grid + x["R"] * flow
    work = 0.0980665 * x["rate"] * np.trapezoid(pressure, grid * x["volume"], axis=0)
    apart = np.abs(found.mechanical_power / expected - 1).max()
    quadrature = np.abs(found.mechanical_power / work - 1).max()
    surrogate = giosa(peak=found.peak, peep=total, minute_volume=x["volume"] * x["rate"], flow=60 * flow)
    bias = float(np.mean(surrogate - found.mechanical_power))
    return Result(
        figure=f"at most {apart:.2%} from Gattinoni at total PEEP (at set PEEP {off.max():.1%}, median "
        f"{np.median(off):.2%}, which is intrinsic PEEP), {quadrature:.1e} from the "
        f"waveform's work; Giosa's bias {bias:+.2f} J/min, SD {np.std(surrogate - found.mechanical_power):.2f}",
        holds=bool(apart <= 0.01 and quadrature < 1e-6 and abs(bias) <= 0.6),
        details={
            "settings": {name: list(v) for name, v in low_high.items()},
            "median_power": float(np.median(expected)),
        },
    )
