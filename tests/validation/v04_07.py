"""Shunt and mismatch from one inspired oxygen fraction and from four: how far the posterior leaves the prior.

A blood gas comes with the saturation of its co-oximeter, which is read within half a percent point; a pulse oximeter's
two percent points are not enough in severe impairment, whatever the steps.

The question is asked of the pair: as both must contract with steps, the pair is determined no better than its less
determined member. At one FiO2 the saturation itself is a reading of shunt, so a verdict on shunt alone says less than
one on the pair; each is printed. A model with shunt alone is fitted to the same steps. Its P/F against FiO2 gives it
away where a third of the ventilation or less reaches most of the blood; of the mismatch in the mild and severe states
here, shunt alone can imitate all that four steps show.
"""

import jax
import numpy as np

import twinprob as tp
from tests.validation import Result
from twinprob.diagnostics.determination import CONFLICT, DETERMINED, NOT_DETERMINED, STRUCTURAL, WEAK
from twinprob.diagnostics.identify import identify
from twinprob.models.respiratory import GasExchange

TRUTHS = {"mild": (0.10, 0.75), "severe": (0.35, 0.45)}  # shunt, fA2
UNEVEN = (0.10, 0.30)  # in which P/F rises and falls with FiO2 as no shunt alone makes it
STEPS, FLAT = (0.25, 0.35, 0.55, 0.90), (0.6,)
NAMES = ("shunt", "matched_ventilation")
COOXIMETER, OXIMETER = 0.5, 2.0  # % points, SD; settings, not published
UNITS = {"arterial_oxygen": "mmHg", "pulse_saturation": "%"}
KNOWN = {"carbon_dioxide_production": 200.0, "base_excess": 0.0}
WORST_FIRST = (STRUCTURAL, NOT_DETERMINED, WEAK, CONFLICT, DETERMINED)
NATS = 3.0  # log evidence from which one form is preferred, odds of 20; a setting


def measure() -> Result:
    """Fit each truth to each experiment; one FiO2 is measured as often as four are."""
    rows, flagged = {}, {}
    for number, (state, truth) in enumerate(TRUTHS.items()):
        for label, levels, outputs in (
            ("steps", STEPS, tuple(UNITS)),
            ("one, flat, SpO2 only", FLAT * 4, ("pulse_saturation",)),
            ("one, with blood gases", FLAT * 4, tuple(UNITS)),
        ):
            record, how = experiment(truth, levels, outputs, number)
            twin = fitted(GasExchange().fix(**KNOWN).free("matched_ventilation"), record, how, number)
            rows[f"{state}: {label}"] = judged(twin, truth, number)
            if label == "steps":
                alone = fitted(GasExchange().fix(**KNOWN), record, how, number + 20)
                flagged[state] = given_away(alone, twin)
    record, how = experiment(UNEVEN, STEPS, tuple(UNITS), len(TRUTHS))
    forms = GasExchange().fix(**KNOWN), GasExchange().fix(**KNOWN).free("matched_ventilation")
    flagged["uneven"] = given_away(*(fitted(form, record, how, 30 + k) for k, form in enumerate(forms)))
    worst = min(row["contraction"][name] for key, row in rows.items() if key.endswith("steps") for name in NAMES)
    flat = {key: row for key, row in rows.items() if "flat" in key}
    missed = [key for key, row in flat.items() if row["pair"] != NOT_DETERMINED]
    return Result(
        figure="contraction of (shunt, fA2): "
        + "; ".join(f"{key} ({row['contraction']['shunt']:.2f}, {row['contraction']['matched_ventilation']:.2f})"
                    for key, row in rows.items())
        + "; verdicts with one FiO2 on the flat part: "
        + "; ".join(f"{key.split(':')[0]}: pair {row['pair']} (shunt {row['verdict']['shunt']}, fA2 "
                    f"{row['verdict']['matched_ventilation']})" for key, row in flat.items())
        + "; shunt alone on the steps: "
        + "; ".join(f"{state}: {said['outside']} of {len(STEPS)} P/F outside its 90 % band, "
                    f"{said['nats']:+.1f} nats for both, {'' if said['flagged'] else 'not '}flagged"
                    for state, said in flagged.items()),
        holds=bool(worst > 0.7 and not missed),
        details={
            "rows": rows,
            "shunt alone": flagged,
            "contraction": "1 - posterior variance / prior variance",
            "pair": "the verdict of the less determined of shunt and fA2",
            "chosen after errors were seen": "the saturation of the co-oximeter in place of the pulse oximeter's; more "
            "or higher steps of FiO2 were tried with the latter and gave 0.1 to 0.7 for fA2 in the severe state. And "
            "that the verdict is the pair's: of shunt alone one saturation says something; and the uneven state, after "
            "shunt alone was not given away by the other two",
        },
    )  # fmt: skip


def experiment(truth, levels, outputs, number) -> tuple[tp.Record, dict]:
    """Measure a patient fifteen minutes after each change of FiO2; return the record and how it was measured."""
    changes = 20.0 * np.arange(len(levels))
    given = tp.Inputs.infusions(
        "inspired_oxygen", changes, np.append(changes[1:], np.inf), list(levels), "1"
    ) | tp.Inputs.constant(alveolar_ventilation=(4.3, "L/min"))
    patient = GasExchange().fix(**KNOWN, shunt=truth[0], matched_ventilation=truth[1])
    times = changes + 15.0
    run = tp.simulate(patient, given, np.append(0.0, times))
    chance = np.random.default_rng(70 + number)
    clean = {name: np.asarray(getattr(run.output, name))[1:] for name in outputs}
    reading = COOXIMETER if "arterial_oxygen" in outputs else OXIMETER
    noisy = {
        "arterial_oxygen": lambda x: x * (1.0 + 0.04 * chance.standard_normal(x.size)),
        "pulse_saturation": lambda x: np.minimum(x + reading * chance.standard_normal(x.size), 100.0),
    }
    seen = {name: (times, noisy[name](clean[name]), UNITS[name]) for name in outputs}
    how = {"pulse_saturation": tp.Observation(tp.Gaussian(additive=reading), upper=100.0)}
    return tp.Record.build(seen, given, start=0.0), how


def fitted(model, record, how, number) -> tp.Twin:
    """Fit a model of gas exchange."""
    method = tp.Laplace(draws=400, proposals=2000)
    return tp.fit(model, record, key=jax.random.key(number), method=method, observations=how)


def judged(twin, truth, number) -> dict:
    """Say how far shunt and fA2 contracted, each one's verdict, and that of the pair."""
    posterior = twin.group("posterior")
    found = identify(twin, key=jax.random.key(number + 10), hours=())
    verdicts = {row.subject: row.verdict for row in found.rows if row.subject in NAMES}
    contraction = {
        name: float(1.0 - np.var(posterior[name].values) / float(twin.model.prior(name).variance)) for name in NAMES
    }
    draws = np.array([posterior[name].values.ravel() for name in NAMES])
    return {
        "contraction": contraction,
        "verdict": verdicts,
        "pair": min(verdicts.values(), key=WORST_FIRST.index),
        "correlation": float(np.corrcoef(draws)[0, 1]),
        "by measurements alone": {name: found[name].alone for name in NAMES},
        "median": {name: float(np.median(posterior[name])) for name in NAMES},
        "truth": dict(zip(NAMES, truth, strict=True)),
    }


def given_away(alone, both) -> dict:
    """Hold P/F at each FiO2 against what shunt alone foretells for it, and compare the evidence of the two forms."""
    F = np.array(STEPS)
    measured = alone.group("observed_data")["arterial_oxygen"].values / F
    drawn = alone.group("posterior_predictive")["arterial_oxygen"].values.reshape(-1, F.size) / F
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    compared = tp.compare({"alone": alone, "both": both})
    nats = compared["both"].log_evidence - compared["alone"].log_evidence
    return {
        "measured": measured.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "outside": int(np.sum((measured < low) | (measured > high))),
        "nats": float(nats),
        "flagged": bool(nats > NATS),
    }
