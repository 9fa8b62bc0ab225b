"""Do population intervals hold what patients left out have, for every unknown? One row per model and set of stays."""

from collections.abc import Callable, Sequence

import jax
import numpy as np
import numpyro.distributions as dist

import twinprob as tp
from tests.validation import Result, glucose_stays
from twinprob.inference.sites import declared_sites, moments

LIMIT = 5400
INFORMED = 0.5  # of the prior's variance: a patient whose data leave more than that says little of an unknown
INSIDE = 1.645  # standard deviations of a 90 % interval
FEWEST = 5  # patients who say something of an unknown


def glucose() -> tuple[tp.AbstractModel, Sequence[tp.Record], Sequence[tp.Population]]:
    """Return the charted glucose model, the first hours of each stay on insulin, and what other persons teach each."""
    stays = glucose_stays.cuts()
    days = [glucose_stays.generator().first_hours(record, begin) for record, begin in stays]
    return tp.models.metabolic.ICING.charted(), days, glucose_stays.of_others(stays)


ROWS: dict[str, Callable] = {"glucose": glucose}


def measure() -> Result:
    """Count for each model and unknown the patients left out that the interval of the others holds."""
    parts, holds, details = [], True, {}
    for name, row in ROWS.items():
        each = coverage(*row())
        shares = {site: one["covered"] / one["patients"] for site, one in each.items() if one["patients"] >= FEWEST}
        patients = sum(each[site]["patients"] for site in shares)
        pooled = sum(each[site]["covered"] for site in shares) / max(patients, 1)
        low = {site: share for site, share in shares.items() if not 0.85 <= share <= 0.95}
        outside = ", ".join(f"{site} {share:.2f}" for site, share in low.items()) or "none"
        parts.append(f"{name}: {pooled:.2f} of {patients} in {len(shares)} unknowns, outside 85–95 %: {outside}")
        holds &= not low
        details[name] = each
    return Result(figure="; ".join(parts), holds=holds, details=details)


def coverage(model, records, populations, *, method: tp.Laplace | None = None) -> dict[str, dict]:
    """Return by unknown how many patients say something of it, and how many of them the others' interval covers.

    A patient's own word is what the posterior under the declared prior adds to that prior; the interval is widened by
    its standard error. States at the origin have the declared prior as their interval.
    """
    found: dict[str, dict] = {}
    for i, (record, population) in enumerate(zip(records, populations, strict=True)):
        twin = tp.fit(model, record, key=jax.random.key(i), method=method or tp.Laplace())
        posterior, declared = twin.group("posterior"), declared_sites(model, {})
        others = {**declared, **population.priors(model, record)}
        for site, prior in declared.items():
            center, width = moments(prior)
            draws = np.asarray(dist.biject_to(prior.support).inv(posterior[site].values))
            share = float(np.var(draws)) / width**2
            if not share < INFORMED:
                continue
            precision = (1 / share - 1) / width**2
            said = (float(np.mean(draws)) / (share * width**2) - center / width**2) / precision
            middle, spread = moments(others[site])
            held = abs(said - middle) <= INSIDE * np.sqrt(spread**2 + 1 / precision)
            told = found.setdefault(site, {"patients": 0, "covered": 0, "away": []})
            told["patients"] += 1
            told["covered"] += int(held)
            told["away"].append(float((said - middle) / np.sqrt(spread**2 + 1 / precision)))
    return found
