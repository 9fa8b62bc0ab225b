"""Structural verdicts on published models, against what the literature or a derivation by hand says of each."""

import time

import jax

from tests.published_models import every, verdict
from tests.validation import Result

ENOUGH = 29 / 30


def measure() -> Result:
    """Judge every model once, with one key, and list every parameter set that differs."""
    cases, rows, began = every(), [], time.perf_counter()
    for number, case in enumerate(cases):
        found, unidentifiable = verdict(case, jax.random.fold_in(jax.random.key(3), number))
        rows.append(
            {
                "model": case.name,
                "source": case.source,
                "unidentifiable": sorted(unidentifiable),
                "published": sorted(case.unidentifiable),
                "agrees": unidentifiable == case.unidentifiable,
                "functions_named": set(case.functions) <= set(found.functions),
                "functions": list(found.functions),
                "exact": found.exact,
                "rank": found.rank,
                "unknowns": len(found.unknowns),
            }
        )
    took = time.perf_counter() - began
    right = [row for row in rows if row["agrees"]]
    cited = [row for row in rows if not str(row["source"]).startswith("derived")]
    cited_right = sum(bool(row["agrees"]) for row in cited)
    named = [row for row, case in zip(rows, cases, strict=True) if case.functions]
    misses = [str(row["model"]) for row in rows if not row["agrees"]]
    return Result(
        figure=f"{len(right)} of {len(rows)} parameter sets right, {cited_right} of the {len(cited)} with a cited "
        f"verdict, {len(rows) - len(cited)} derived by hand; identifiable functions as expected in "
        f"{sum(bool(row['functions_named']) for row in named)} of {len(named)}; {took:.1f} s in all; "
        f"misses: {', '.join(misses) or 'none'}",
        holds=len(rows) >= 30 and len(right) >= ENOUGH * len(rows) and cited_right >= ENOUGH * len(cited),
        details={"models": rows, "seconds": took},
    )
