"""A twin decides on insulin again and again: virtual patients whose truth the same model moves, and what came of it."""

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
from jax import lax

import twinprob as tp
from tests.decisions.insulin_trial import FEED, patients
from twinprob.decisions import VirtualPatients, World
from twinprob.decisions.prepare import prepared
from twinprob.decisions.protocols.metabolic import FixedRate
from twinprob.decisions.recommend import recommend

MINUTES, EVERY, RUN_IN, DECISIONS, HORIZON = 5.0, 60.0, 12.0, 24, 2.0
BAND, FLOOR, MOST, CAP = (4.4, 8.0), 4.4, 0.05, 6.0
GRID = tp.grid(insulin="0 to 7 U/h by 0.5")
# Lower than the band that is counted, so that the limit and not the goal holds many plans back.
GOAL = tp.Goal("glucose", "4.4 to 6 mmol/L")
CAPS = {"insulin": tp.Cap(f"{CAP:g} U/h")}
EVENT = f"glucose < {FLOOR:g} mmol/L"
FEED_ON = tp.Inputs.constant(enteral_glucose=(FEED, "g/h"))


@eqx.filter_jit
def lived(loop, charts, bodies, insulin, first, steps: int):
    """Return the bodies (patient, state) and glucose (patient, step) after some steps of a constant rate, mU/min."""
    place = loop.names().index("insulin")

    def one(chart, body, rate):
        inputs = jnp.asarray(chart.background, float).at[place].set(rate)

        def step(body, i):
            time = first + i * MINUTES
            body, _ = loop.live(chart, SimpleNamespace(body=body), inputs, time)
            return body, loop.truth(chart, body, inputs, time + MINUTES - 1e-6)["glucose"]

        return lax.scan(step, body, jnp.arange(steps))

    return jax.vmap(one)(charts, bodies, insulin)


@dataclasses.dataclass
class Ward:
    """Patients whose truth is known, and what was charted of them."""

    loop: Any
    charts: Any
    bodies: Any
    noise: Callable[[np.ndarray], np.ndarray]
    time: float = 0.0

    def __post_init__(self) -> None:
        """Begin the charts."""
        self.glucose: list[tuple[float, np.ndarray]] = []
        self.rates: list[tuple[float, np.ndarray]] = []
        self.measure()

    @classmethod
    def of(cls, who: VirtualPatients, noise) -> "Ward":
        """Return patients at the beginning."""
        clock = (round(60.0 * who.hours / MINUTES), MINUTES)
        with jax.enable_x64(True):
            ready = prepared("fixed", FixedRate(), who, World(), clock, jax.random.split(jax.random.key(0), len(who)))
            charts = jax.tree.map(jnp.asarray, ready.charts)
            bodies = charts.state
        return cls(ready.loop, charts, bodies, noise)

    def measure(self) -> None:
        """Chart what a meter shows now."""
        place = list(self.loop.plant.quantities(self.loop.plant.State)).index("glucose")
        self.glucose.append((self.time, self.noise(np.asarray(self.bodies)[:, place])))

    def go_on(self, insulin: np.ndarray, hours: float) -> np.ndarray:
        """Give insulin (patient,) U/h for some hours, measure every hour; return glucose (patient, step)."""
        self.rates.append((self.time, insulin))
        seen = []
        for _ in range(round(hours * 60.0 / EVERY)):
            with jax.enable_x64(True):
                rate = jnp.asarray(insulin * 1000.0 / 60.0)
                self.bodies, truth = lived(self.loop, self.charts, self.bodies, rate, self.time, round(EVERY / MINUTES))
            self.time += EVERY
            seen.append(np.asarray(truth))
            self.measure()
        return np.concatenate(seen, axis=1)

    def record(self, patient: int) -> tp.Record:
        """Return what is charted of one patient."""
        times = np.array([time for time, _ in self.glucose])
        values = np.array([value[patient] for _, value in self.glucose])
        starts = np.array([time for time, _ in self.rates])
        rates = np.array([rate[patient] for _, rate in self.rates])
        given = tp.Inputs.infusions("insulin", starts, np.append(starts[1:], np.inf), rates, "U/h")
        return tp.Record.build({"glucose": (times, values, "mmol/L")}, given | FEED_ON, start=0.0, end=self.time)


def ran_in(who: VirtualPatients, cv: float, seed: int) -> Ward:
    """Return patients after hours of insulin by a rough rule of thumb, doses varied at random."""
    chance = np.random.default_rng(seed)
    ward = Ward.of(who, lambda values: values * (1.0 + cv * chance.standard_normal(len(values))))
    for _ in range(round(RUN_IN / 2.0)):
        last = ward.glucose[-1][1]
        rule = np.clip((last - 6.0) * 0.6, 0.0, 4.0) * chance.uniform(0.3, 1.7, len(last))
        ward.go_on(np.where(last < 5.0, 0.0, np.round(rule, 1)), 2.0)
    return ward


def followed(count: int, believed: Callable[[Any], Any], *, seed: int = 0, cv: float = 0.05, decisions: int = DECISIONS,
             observations=None, method=None, published: bool = True, say: bool = False,
             **changed) -> pd.DataFrame:  # fmt: skip
    """Let a twin decide for many patients, and return one row per decision.

    Parameters
    ----------
    believed : function of the plant's model
        Returns the model that the twins are of.
    """
    who = patients(count, hours=RUN_IN + HORIZON * decisions + 1.0, **changed)
    ward = ran_in(who, cv, seed)
    model = believed(who.model)
    twins: list[Any] = []
    for i in range(count):
        twins.append(tp.fit(model, ward.record(i), key=jax.random.key(i), observations=observations, method=method))
    rows: list[dict[str, Any]] = []
    for turn in range(decisions):
        rates, begun = np.zeros(count), len(rows)
        for i, twin in enumerate(twins):
            # The sensitivity's law is the population's: to decide on it is no guess here.
            asked = recommend(twin, GRID, goal=GOAL, limits={EVENT: MOST}, caps=CAPS, hours=HORIZON,
                              published=published, key=jax.random.key(turn))  # fmt: skip
            looked_at = [option for option in asked.options if option.risks]
            best = next((option for option in asked.options if option.rank == 1), None)
            wished = min(looked_at, key=lambda o: o.cost)
            chosen = best if best is not None else min(looked_at, key=lambda o: o.risks[0].probability)
            rates[i] = ward.rates[-1][1][i] if chosen.name == "no change" else float(chosen.name.split()[1])
            rows.append({
                "patient": i, "turn": turn, "accepted": best is not None, "rate": rates[i],
                "stated": chosen.risks[0].probability, "bound": not wished.feasible,
                "reason": "" if best is not None else "; ".join(reason.what for reason in asked.reasons),
            })  # fmt: skip
        truth = ward.go_on(rates, HORIZON)[:, 1::2]  # the ten-minute grid on which the risk was stated
        for i, row in enumerate(rows[begun:]):
            row["crossed"] = bool((truth[i] < FLOOR).any())
            row["in_band"] = float(np.mean((truth[i] >= BAND[0]) & (truth[i] <= BAND[1])))
        twins = [
            tp.update(twin, ward.record(i).between(twin.now, ward.time), key=jax.random.key(i))
            for i, twin in enumerate(twins)
        ]
        if say:
            print(turn, judged(pd.DataFrame(rows)), flush=True)
    return pd.DataFrame(rows)


def by_oracle(count: int, *, seed: int = 0, cv: float = 0.05, decisions: int = DECISIONS, futures: int = 200) -> float:
    """Return the share of time in the band where the present is known exactly and the future's law as it is."""
    who = patients(count, hours=RUN_IN + HORIZON * decisions + 1.0)
    ward = ran_in(who, cv, seed)
    (name, process), = who.model.processes().items()  # fmt: skip
    bijector = dist.biject_to(who.model.prior(name).support)
    chance, options = np.random.default_rng(seed + 1), np.arange(0.0, CAP + 0.1, 0.5)
    steps, knots, held = round(60.0 * HORIZON / MINUTES), 4, []
    for _ in range(decisions):
        with jax.enable_x64(True):
            path = np.asarray(ward.charts.paths[name])
            now = int(np.floor(ward.time / process.interval + 1e-6))
            base, last = (np.asarray(bijector.inv(jnp.asarray(x))) for x in (np.asarray(who.bases[name]), path[:, now]))
            kicks = chance.standard_normal((count, futures, knots))
            ahead = jax.vmap(lambda b, x, k: jax.vmap(lambda one: process.extend(b, x, one, process.sd))(k))(
                jnp.asarray(base), jnp.asarray(last), jnp.asarray(kicks)
            )
            moved = np.repeat(path[:, None, :], futures, axis=1)
            reach = min(knots, moved.shape[2] - now - 1)
            moved[..., now + 1 : now + 1 + reach] = np.asarray(bijector(ahead))[..., :reach]
            many = jax.tree.map(lambda x: jnp.repeat(x, futures, axis=0), ward.charts)
            many = eqx.tree_at(lambda c: c.paths[name], many, jnp.asarray(moved.reshape(count * futures, -1)))
            bodies = jnp.repeat(jnp.asarray(ward.bodies), futures, axis=0)
            rates, costs = np.zeros(count), np.full((len(options), count), np.inf)
            for place, option in enumerate(options):
                rate = jnp.full(count * futures, option * 1000.0 / 60.0)
                glucose = np.asarray(lived(ward.loop, many, bodies, rate, ward.time, steps)[1])[:, 1::2]
                glucose = glucose.reshape(count, futures, -1)
                risk = (glucose < FLOOR).any(axis=2).mean(axis=1)
                cost = GOAL.cost(glucose, np.zeros(0), "mmol/L").mean(axis=1)
                costs[place] = np.where(risk <= MOST, cost, 1e6 + risk)
        rates = options[costs.argmin(axis=0)]
        truth = ward.go_on(rates, HORIZON)[:, 1::2]
        held.append(np.mean((truth >= BAND[0]) & (truth <= BAND[1])))
    return float(np.mean(held))


def judged(rows: pd.DataFrame) -> dict[str, Any]:
    """Return observed over stated risk with its bootstrap interval over patients, by thirds, and what else is asked."""
    taken = rows[rows["accepted"]]
    if taken.empty:
        return {"decisions": len(rows), "accepted": 0}
    whole = float(taken["crossed"].sum() / max(taken["stated"].sum(), 1e-9))
    order = taken["stated"].rank(method="first")
    third = np.ceil(3.0 * order / len(taken)).astype(int)
    parts = taken.groupby(third)[["crossed", "stated"]].sum()
    by_patient = taken.groupby("patient")[["crossed", "stated"]].sum().to_numpy(float)
    picks = np.random.default_rng(0).integers(0, len(by_patient), (2000, len(by_patient)))
    sums = by_patient[picks].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / np.maximum(sums[:, 1], 1e-9), [0.05, 0.95])
    bound = taken[taken["bound"]]
    return {
        "decisions": len(rows), "accepted": len(taken), "O/E": round(whole, 3), "90 %": (round(low, 2), round(high, 2)),
        "crossed": int(taken["crossed"].sum()), "expected": round(float(taken["stated"].sum()), 1),
        "O/E by thirds": [round(float(x), 2) for x in parts["crossed"] / np.maximum(parts["stated"], 1e-9)],
        "share bound": round(float(taken["bound"].mean()), 3),
        "crossed where bound": round(float(bound["crossed"].mean()), 4) if len(bound) else np.nan,
        "crossed where it abstained": round(float(rows[~rows["accepted"]]["crossed"].mean()), 4),
        "caps broken": int((taken["rate"] > CAP + 1e-9).sum()), "in band": round(float(rows["in_band"].mean()), 3),
        "reasons": rows[~rows["accepted"]]["reason"].value_counts().to_dict(),
    }  # fmt: skip
