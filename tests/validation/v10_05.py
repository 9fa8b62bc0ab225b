"""Twins that should not recommend: shuffled doses, old data, a patient far outside, an unknown effect, a failed fit."""

import copy
import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd

import twinprob as tp
from tests.decisions.insulin_trial import MIDDLE, SPREAD, patients
from tests.validation import Result
from tests.validation.glucose_decisions import CAPS, EVENT, FLOOR, GOAL, GRID, HORIZON, MOST, RUN_IN, Ward, ran_in
from twinprob.decisions import abstention, recommend
from twinprob.labels import tree

LIMIT = 7200
COUNT, SEED, METER = 40, 1, 0.05
LEAST_RIGHT, MOST_SPARED, RATIO = 0.95, 0.10, 2.0
# Of doses that were not given so, several things may be seen first: that they do nothing, that the patient is like
# none, that the twin does not fit.
EXPECTED = {
    "shuffled doses": {abstention.EFFECT, abstention.OUTSIDE, abstention.DIAGNOSIS},
    "stale": {abstention.STALE},
    "6 SD outside": {abstention.OUTSIDE, abstention.DIAGNOSIS},
    "effect not identified": {abstention.EFFECT},
    "failed diagnosis": {abstention.DIAGNOSIS},
}


def measure(count: int = COUNT) -> Result:
    """Ask every twin, and let the patients live on under what it would have chosen, accepted or not."""
    who = patients(count, hours=RUN_IN + HORIZON + 1.0)
    ward = ran_in(who, METER, SEED)
    rows: list[dict[str, Any]] = []
    twins = fitted(who.model, ward)
    rows += asked("well measured", ward, twins)
    rows += asked("stale", ward, [later(twin) for twin in twins])
    rows += asked("failed diagnosis", ward, [failed(twin) for twin in twins])
    rows += asked("shuffled doses", ward, fitted(who.model, shuffled(ward)))
    path = np.full_like(who.paths["insulin_sensitivity"], MIDDLE * math.exp(6.0 * SPREAD))
    far = ran_in(dataclasses.replace(who, paths={"insulin_sensitivity": path}), METER, SEED)
    rows += asked("6 SD outside", far, fitted(who.model, far))
    chance = np.random.default_rng(SEED)
    untreated = Ward.of(who, lambda values: values * (1.0 + METER * chance.standard_normal(len(values))))
    untreated.go_on(np.zeros(count), RUN_IN)
    rows += asked("effect not identified", untreated, fitted(who.model, untreated))
    return judged(pd.DataFrame(rows), count)


def fitted(model, ward: Ward) -> list[tp.Twin]:
    """Fit a twin to each chart."""
    return [tp.fit(model, ward.record(i), key=jax.random.key(i)) for i in range(len(ward.bodies))]


def later(twin: tp.Twin) -> tp.Twin:
    """Return a twin five hours after its last measurement."""
    return dataclasses.replace(twin, record=dataclasses.replace(twin.record, end=twin.now + 300.0))


def failed(twin: tp.Twin) -> tp.Twin:
    """Return a twin a quarter of whose draws could not be solved."""
    told = {**twin.provenance, "solves_failed": twin.draws // 4}
    groups = {name: node.to_dataset() for name, node in twin.tree.children.items()}
    return dataclasses.replace(
        twin, tree=tree(groups, {**{str(k): v for k, v in twin.tree.attrs.items()}, "provenance": json.dumps(told)})
    )


def shuffled(ward: Ward) -> Ward:
    """Return charts in which each patient's doses stand at each other's times."""
    other, chance = copy.copy(ward), np.random.default_rng(SEED)
    rates = chance.permuted(np.stack([rate for _, rate in ward.rates]), axis=0)
    other.rates = [(time, row) for (time, _), row in zip(ward.rates, rates, strict=True)]
    return other


def asked(kind: str, ward: Ward, twins: Sequence[tp.Twin]) -> list[dict[str, Any]]:
    """Return for each twin whether it abstained and why, and whether its cheapest plan within the limits crossed."""
    rows: list[dict[str, Any]] = []
    rates = np.zeros(len(twins))
    for i, twin in enumerate(twins):
        said = recommend(twin, GRID, goal=GOAL, limits={EVENT: MOST}, caps=CAPS, hours=HORIZON, key=jax.random.key(i))
        within = [option for option in said.options if option.risks and option.feasible]
        within = within or [min((o for o in said.options if o.risks), key=lambda o: o.risks[0].probability)]
        chosen = min(within, key=lambda option: option.cost)
        rates[i] = ward.rates[-1][1][i] if chosen.name == "no change" else float(chosen.name.split()[1])
        rows.append({"kind": kind, "abstains": said.abstains, "reasons": {reason.what for reason in said.reasons}})
    lived = copy.copy(ward)
    lived.glucose, lived.rates = list(ward.glucose), list(ward.rates)
    crossed = np.any(lived.go_on(rates, HORIZON)[:, 1::2] < FLOOR, axis=1)
    return [{**row, "crossed": bool(one)} for row, one in zip(rows, crossed.tolist(), strict=True)]


def judged(rows: pd.DataFrame, count: int) -> Result:
    """Return the shares that abstain, for the right reason, and what the abstentions would have cost."""
    shares, right, why = {}, {}, {}
    for kind, mine in rows.groupby("kind", sort=False):
        shares[kind] = float(mine["abstains"].mean())
        found = [bool(reasons & EXPECTED.get(str(kind), set())) for reasons in mine["reasons"]]
        right[kind] = float(np.mean(found))
        why[kind] = pd.Series([reason for reasons in mine["reasons"] for reason in reasons]).value_counts().to_dict()
    spared, accepted = rows[rows["abstains"]]["crossed"].mean(), rows[~rows["abstains"]]["crossed"].mean()
    told = ", ".join(f"{kind} {100 * shares[kind]:.0f} % ({100 * right[kind]:.0f} %)" for kind in EXPECTED)
    holds = (
        all(right[kind] >= LEAST_RIGHT for kind in EXPECTED)
        and shares["well measured"] <= MOST_SPARED
        and spared >= RATIO * accepted
    )
    measured = 100 * shares["well measured"]
    return Result(
        f"{count} patients each, abstain (for a right reason): {told}; well measured {measured:.0f} %; the limit would "
        f"have been crossed in {100 * spared:.1f} % of the abstentions, {100 * accepted:.1f} % of the others",
        bool(holds),
        {"abstain": shares, "right": right, "reasons": why},
    )
