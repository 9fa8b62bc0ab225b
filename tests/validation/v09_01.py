"""Models of a modeler's own: stiff, with two modes, and with a lag; each with a known answer, over 20 keys."""

import jax
import numpy as np

import twinprob as tp
from tests.own_models import (
    Bent,
    Lagged,
    Shuttle,
    bent_posterior,
    bent_record,
    lagged_record,
    shuttle_quantiles,
    shuttle_record,
)
from tests.validation import Result
from twinprob.diagnostics.determination import STRUCTURAL

KEYS = 20
FEW_KEYS = 5  # of verdicts, which take a fit each and no chance to speak of
PROBABILITIES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
ERRORS = 4.0  # Monte Carlo standard errors


def stiff() -> dict:
    """The uptake's quantiles against quadrature, by the share of draws below each, and the integrator chosen."""
    record = shuttle_record()
    exact, rows = shuttle_quantiles(record, PROBABILITIES), []
    for k in range(KEYS):
        twin = tp.fit(Shuttle(), record, key=jax.random.key(k))
        shares = np.mean(twin.tree["posterior"]["uptake"].values.reshape(-1, 1) < exact, axis=0)
        error = np.sqrt(PROBABILITIES * (1 - PROBABILITIES) / twin.effective_draws)
        rows.append((np.max(np.abs(shares - PROBABILITIES) / error), isinstance(twin.integrator, tp.Rosenbrock)))
    cut = []
    for k in range(FEW_KEYS):
        twin = tp.fit(Shuttle(), record, key=jax.random.key(k), integrator=tp.FixedStep())
        verdicts = {f.subject: f.verdict for f in tp.diagnose(twin).findings}
        cut.append(verdicts["failed solves"] != "trustworthy")
    right = sum(bool(off < ERRORS and chosen) for off, chosen in rows)
    return {"right": right, "of": KEYS, "worst": float(max(off for off, _ in rows)), "cut refused": sum(cut)}


def modes() -> dict:
    """The smaller mode's weight against quadrature."""
    record = bent_record()
    roots, _, weights = bent_posterior(record)
    exact, shares, right = float(weights[roots < 0].sum()), [], 0
    for k in range(KEYS):
        twin = tp.fit(Bent(), record, key=jax.random.key(k))
        shares.append(float(np.mean(twin.tree["posterior"]["root"].values < 0)))
        right += abs(shares[-1] - exact) < ERRORS * np.sqrt(exact * (1 - exact) / twin.effective_draws)
    return {"right": int(right), "of": KEYS, "exact": exact, "least": min(shares), "most": max(shares)}


def lag() -> dict:
    """No parameter that the data narrow by more than half is called structurally unidentifiable."""
    right = 0
    for k in range(FEW_KEYS):
        rows = tp.identify(Lagged(), lagged_record(k), key=jax.random.key(k), hours=())
        right += all(row.verdict != STRUCTURAL for row in rows.parameters if row.contraction > 0.5)
    return {"right": right, "of": FEW_KEYS}


def measure() -> Result:
    """Each kind in turn."""
    found = {"stiff": stiff(), "modes": modes(), "lag": lag()}
    holds = all(row["right"] == row["of"] for row in found.values()) and found["stiff"]["cut refused"] == FEW_KEYS
    stiffness, two, late = found["stiff"], found["modes"], found["lag"]
    figure = (
        f"stiff: {stiffness['right']} of {KEYS} right (open to the right as by quadrature, `Rosenbrock` taken), cut by "
        f"fixed steps refused {stiffness['cut refused']} of {FEW_KEYS}; two modes: {two['right']} of {KEYS} (smaller "
        f"{two['least']:.3f} to {two['most']:.3f}, {two['exact']:.3f} by quadrature); lag: no refuted structural "
        f"verdict in {late['right']} of {FEW_KEYS}"
    )
    return Result(figure, bool(holds), found)
