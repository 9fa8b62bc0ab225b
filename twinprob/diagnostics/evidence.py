"""What is said of one parameter, by its draws, the linear answer and the structure together."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from .determination import (
    DETERMINED,
    STRUCTURAL,
    UNDECIDED,
    WEAK,
    Belief,
    Determination,
    Grades,
    listed,
    narrowed,
    remedy_of,
)
from .information import Information
from .structural import Structural


def explained(row: Determination, belief: Belief, said: Information, structure: Structural, sensitive, settings):
    """Add structure, partners, evidence and remedy to what the draws say of a parameter."""
    partners: tuple[str, ...] = ()
    verdict, extra, alone = row.verdict, "", math.nan
    if row.kind != "noise":
        shares = _shares(row.subject, said)
        partners = tuple(name for name, share in shares.items() if share >= settings.confounded)
        if row.kind == "parameter":
            alone = said.alone(row.subject)
            if verdict == DETERMINED and alone < settings.determined:
                verdict = WEAK
                extra = _leaning(alone, shares)
        if partners and verdict != DETERMINED:
            extra += (
                f" Confounded with {listed(partners)}: {shares[partners[0]]:.0%} of what they say about it, that "
                "explains as well."
            )
    if row.kind == "parameter" and not structure.identifiable.get(row.subject, True):
        others = structure.confounded[row.subject]
        if _refuted(row, alone, others, settings):
            verdict = UNDECIDED
            extra = " By its equations no data could do so: they were expanded where this record does not live."
        else:
            verdict, partners = STRUCTURAL, others
            extra = _structural_evidence(row.subject, structure)
    if row.kind == "path":
        firm = int(np.sum(belief.contraction >= settings.determined))
        extra += f" Determined at {firm} of {len(belief.contraction)} of its knots."
        extra += f" Its level leans on the priors of {listed(partners)}." if partners else ""
    prior, likelihood = sensitive.get(row.subject, (math.nan, math.nan))
    row = dataclasses.replace(
        row, verdict=verdict, alone=alone, confounded_with=partners if verdict != DETERMINED else (),
        prior_sensitivity=prior, likelihood_sensitivity=likelihood,
    )  # fmt: skip
    return dataclasses.replace(row, evidence=narrowed(row) + extra, remedy=remedy_of(row))


def _refuted(row: Determination, alone: float, others: Sequence[str], settings: Grades) -> bool:
    """Whether the data narrow a parameter that no data should: by themselves, or where it has nothing to trade with."""
    narrow = row.contraction - 3.0 * row.mcse > settings.undetermined
    return alone >= settings.determined or (narrow and not others)


def undecided(row: Determination, why: str) -> Determination:
    """Return a row without its verdict, and why there is none."""
    row = dataclasses.replace(row, verdict=UNDECIDED)
    return dataclasses.replace(row, evidence=f"{row.evidence} {why}", remedy=remedy_of(row))


def _shares(subject: str, said: Information) -> dict[str, float]:
    """Return how much of what is said about a parameter each other one could explain, most first."""
    base = subject.removesuffix("_start")
    name = base if base in said.groups else subject
    shares = {other: said.confounding(name, other) for other in said.groups if other != name}
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def _leaning(alone: float, shares: Mapping[str, float]) -> str:
    """Say that a parameter is known only thanks to the priors of others."""
    most = f", most of all of {next(iter(shares))}" if shares else ""
    return f" By the measurements alone its contraction would be {alone:.2f}: it leans on the priors of others{most}."


def _structural_evidence(name: str, structure: Structural) -> str:
    others = structure.confounded[name]
    seen = f"; of these the outputs see only {listed(structure.functions)}" if structure.functions else ""
    given = f" Given {listed(structure.functions)}, the" if structure.functions else " The"
    return (
        f" Even perfect data could not tell it from {listed(others)}{seen}.{given} posterior of each is its prior."
        if others
        else " No output depends on it: its posterior is its prior."
    )
