"""Two parameters that act only as their product, one of them with a tight prior."""

import jax
import numpy as np

import twinprob as tp
from tests.confounded import TIGHT, Product, product_record
from tests.validation import Result


def measure() -> Result:
    """Fit the product and read what is said of its factors."""
    twin = tp.fit(Product(), product_record(), key=jax.random.key(0))
    found = tp.identify(twin, key=jax.random.key(1), hours=(1.0,))
    factors = ("uptake", "fraction")
    named = all("uptake · fraction" in found[name].evidence for name in factors)
    prior = all("posterior of each is its prior" in found[name].evidence for name in factors)
    verdicts = {name: found[name].verdict for name in factors}
    draws = twin.group("posterior")
    product = np.std(np.log((draws["uptake"] * draws["fraction"]).values))
    tight = found["fraction"]
    holds = named and prior and set(verdicts.values()) == {"structurally unidentifiable"}
    return Result(
        figure=f"both {verdicts['uptake']}, the product named: {named}, the posterior of each called its prior: "
        f"{prior}; fraction keeps its prior (sd of log {tight.spread:.3f} of {TIGHT}), the product has {product:.3f}; "
        f"forecast in 1 h {found['amount in 1 h'].verdict}",
        holds=bool(holds and bool(found["amount in 1 h"])),
        details={"text": str(found).splitlines(), "verdicts": verdicts},
    )
