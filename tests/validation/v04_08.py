"""Contents and dissociation: round trips, balances, order, and gradients."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.validation import Result
from twinprob.models.respiratory import GasExchange
from twinprob.models.respiratory.blood import (
    acidity,
    carbon_dioxide_content,
    carbon_dioxide_pressure,
    oxygen_content,
    oxygen_pressure,
)

COUNT = 1000


def measure() -> Result:
    """Go there and back at 1,000 conditions, and close both balances for 1,000 lungs."""
    chance = np.random.default_rng(8)
    with jax.enable_x64(True):
        P, Hb, pH = (jnp.asarray(chance.uniform(a, b, COUNT)) for a, b in ((5, 700), (5, 18), (7.0, 7.7)))
        oxygen = jax.jit(jax.vmap(lambda p, h, a: oxygen_pressure(oxygen_content(p, h, pH=a), h, pH=a)))(P, Hb, pH)
        C, excess = (jnp.asarray(chance.uniform(a, b, COUNT)) for a, b in ((15, 140), (-15, 8)))

        def back(p, be, h):
            return carbon_dioxide_pressure(carbon_dioxide_content(p, acidity(p, be), h, 0.9), be, h, 0.9)

        dioxide = jax.jit(jax.vmap(back))(C, excess, Hb)
        grid = jnp.linspace(5.0, 700.0, 2000)
        content = oxygen_content(grid, 12.0)
        along = jax.jit(jax.vmap(lambda p: carbon_dioxide_content(p, acidity(p, 0.0), 12.0, 0.9)))(grid[grid < 200])
        inverse = jax.jit(jax.vmap(jax.grad(lambda c: oxygen_pressure(c, 12.0))))(content)
        slopes = jax.jit(jax.vmap(jax.grad(lambda p: oxygen_content(p, 12.0))))(grid)
        balances = _balances(chance)
    errors = {
        "oxygen round trip": float(np.abs(np.asarray(oxygen) / np.asarray(P) - 1).max()),
        "carbon dioxide round trip": float(np.abs(np.asarray(dioxide) / np.asarray(C) - 1).max()),
        **balances,
    }
    rising = bool(np.all(np.diff(np.asarray(content)) > 0) and np.all(np.diff(np.asarray(along)) > 0))
    finite = bool(np.all(np.isfinite(slopes)) and np.all(np.isfinite(inverse)) and errors.pop("not finite") == 0)
    return Result(
        figure=", ".join(f"{name} {value:.1e}" for name, value in errors.items())
        + f"; {'monotone' if rising else 'not monotone'}; "
        f"gradients {'finite' if finite else 'not finite'} from 5 to 700 mmHg",
        holds=bool(max(errors.values()) <= 1e-6 and rising and finite),
        details=errors,
    )


def _balances(chance):
    low, high = np.array([(0, 0.6), (0.15, 0.89), (20, 90), (0.21, 0.99), (1.5, 12), (2.5, 10), (6, 16)]).T
    x = low + (high - low) * chance.random((COUNT, 7))

    def oxygen(row):
        lung = GasExchange().install(("shunt", "matched_ventilation"), row[:2])
        gases = lung.gases(*row[2:])
        taken = 10 * row[5] * (gases.arterial_content - gases.venous_content)
        V = row[4] * jnp.stack([1 - row[1], row[1]])
        F = row[3]
        nitrogen = 713.0 - row[2] - gases.alveolar
        given = jnp.sum(V * (F / (1 - F) * nitrogen - gases.alveolar)) / 0.863
        return jnp.stack([taken, given]) / 250.0 - 1.0, gases.arterial

    both, _ = jax.jit(jax.vmap(oxygen))(jnp.asarray(x))
    slope = jax.jit(jax.vmap(jax.grad(lambda row: oxygen(row)[1])))(jnp.asarray(x))
    model = GasExchange()
    state = model.State(*(jnp.asarray(chance.uniform(20, 90, COUNT)) for _ in range(2)))
    zero = jnp.zeros(COUNT)
    ventilated = jnp.asarray(chance.uniform(0, 10, COUNT))
    rate = model.vector_field(0.0, state, model.Input(zero, ventilated, zero, zero))
    stored = model.fast_store * rate.carbon_dioxide + model.slow_store * rate.tissue_carbon_dioxide
    produced = 0.863 * model.carbon_dioxide_production
    lost = stored + ventilated * state.carbon_dioxide
    return {
        "oxygen balance of blood": float(np.abs(np.asarray(both)[:, 0]).max()),
        "oxygen balance of gas": float(np.abs(np.asarray(both)[:, 1]).max()),
        "carbon dioxide balance": float(np.abs(np.asarray(lost) / produced - 1).max()),
        "not finite": float(np.sum(~np.isfinite(np.asarray(slope)))),
    }
