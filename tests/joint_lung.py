"""Mechanics and gas exchange of one patient, fitted as one: what settings would do, and which maneuver comes next.

Shown in docs/respiratory.md; `tests/models/test_lung_tiers.py` (slow) runs it and holds the page's tables against it.
"""

import jax
import numpy as np

import twinprob as tp
from twinprob.models.respiratory import ChartedMechanics, GasExchange
from twinprob.models.respiratory.limits import LIMITS

PLANS = {
    "as it is": tp.Inputs(),
    "350 mL, rate 21": tp.Inputs.constant(tidal_volume=(350.0, "mL"), respiratory_rate=(21.0, "1/min")),
    "PEEP 14": tp.Inputs.constant(peep=(14.0, "cmH2O")),
    "FiO2 0.4": tp.Inputs.constant(inspired_oxygen=(40.0, "%")),
}
GASES = {"arterial_oxygen": "+20 min", "pulse_saturation": "+20 min"}
MANEUVERS = [
    tp.Candidate("pause and blood gas as it is", {"plateau_pressure": "+20 min", **GASES}),
    tp.Candidate("expiratory hold", {"intrinsic_peep": "+20 min"}),
    tp.Candidate("PEEP 14, then a pause", {"plateau_pressure": "+20 min"}, inputs=PLANS["PEEP 14"]),
    tp.Candidate("FiO2 0.4, then a blood gas", GASES, inputs=PLANS["FiO2 0.4"]),
]
QUESTIONS = ("expiratory_time", "peep_effect", "matched_ventilation")


def fitted() -> tp.Twin:
    """Fit both parts at once: the ventilation that the pressures tell drives the gases."""
    lung = tp.couple(
        ChartedMechanics().free("dead_space"),
        GasExchange().free("matched_ventilation"),
        links={"alveolar_ventilation": "alveolar_ventilation"},
    )
    times, drawn = 240.0 * np.arange(6), 240.0 * np.array([1, 5])
    day = tp.Record.build(
        {
            "plateau_pressure": (times, [26.0, 25.0, 27.0, 26.0, 27.0, 28.0], "cmH2O"),
            "peak_pressure": (times, [32.0, 31.0, 34.0, 32.0, 33.0, 35.0], "cmH2O"),
            "pulse_saturation": (times, [93.0, 92.0, 94.0, 92.0, 93.0, 91.0], "%"),
            "arterial_oxygen": (drawn, [66.0, 64.0], "mmHg"),
            "arterial_carbon_dioxide": (drawn, [45.0, 47.0], "mmHg"),
            "arterial_pH": (drawn, [7.36, 7.34], "1"),
        },
        tp.Inputs.constant(peep=(10.0, "cmH2O"), tidal_volume=(400.0, "mL"), respiratory_rate=(18.0, "1/min"))
        | tp.Inputs.constant(inspired_oxygen=(60.0, "%")),
    )
    return tp.fit(lung, day, key=jax.random.key(4), method=tp.Laplace())


def risks(twin: tp.Twin) -> dict[str, list[float]]:
    """Return the probability of crossing each limit within two hours of each plan, from one joint posterior."""
    ahead = {
        name: tp.forecast(twin, hours=2, every="30 min", inputs=plan, key=jax.random.key(5))
        for name, plan in PLANS.items()
    }
    return {name: [tp.risk(one, limit.event).probability for limit in LIMITS] for name, one in ahead.items()}


def rankings(twin: tp.Twin) -> dict[str, tp.Ranking]:
    """Rank the maneuvers by what each would teach about each question."""
    return {
        question: tp.next_measurement(twin, MANEUVERS, quantity=question, key=jax.random.key(6), nested=0)
        for question in QUESTIONS
    }


def risk_table(found: dict[str, list[float]]) -> str:
    """Write the risks as the page's table."""
    lines = ["| plan | " + " | ".join(f"P({limit.event})" for limit in LIMITS) + " |", "|---" * (1 + len(LIMITS)) + "|"]
    return "\n".join(
        lines + [f"| {name} | " + " | ".join(f"{p:.2f}" for p in row) + " |" for name, row in found.items()]
    )


def maneuver_table(found: dict[str, tp.Ranking]) -> str:
    """Write the best maneuver for each question, and the share of its variance that it is expected to remove."""
    lines = ["| to know | best maneuver | variance removed |", "|---|---|---|"]
    for question, ranking in found.items():
        share = float(ranking.frame["reduction"].iloc[0])
        lines.append(f"| `{question}` | {ranking.best} | {share:.0%} |")
    return "\n".join(lines)
