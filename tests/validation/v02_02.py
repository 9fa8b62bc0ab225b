"""Effective draws per second on the 48-h ICING density against plain NumPyro and diffrax."""

import numpy as np

from tests.benchmarks import b_numpyro
from tests.benchmarks.sensitivity import disagreement, our_chains, our_fit
from tests.validation import Result

LIMIT = 1800
FASTER = 300.0
# Largest of 48 means and 48 variances: that of 96 normals is below 4.5 in all but one of 1,500 runs.
WITHIN = 4.5
MOST_COMPARED = 48


def measure() -> Result:
    """Compare NUTS with NUTS, and the default fit with NUTS; moments with both."""
    chains, fitted, plain = our_chains(), our_fit(), b_numpyro.measured()
    moments, resampled = disagreement(chains, plain.positions), disagreement(chains, fitted.positions)
    # Our NUTS is timed with its warm-up. NumPyro's defaults warm up for as many draws as they keep; a warm-up draw is
    # counted like a later one. For the default fit NumPyro's warm-up is free.
    nuts, fit = chains.per_second / (plain.per_second / 2), fitted.per_second / plain.per_second
    worst = max(moments["mean"], moments["spread"])
    return Result(
        f"NUTS {nuts:.0f} × ({chains.per_second:.0f} against {plain.per_second / 2:.2g} effective draws/s; "
        f"{nuts / 2:.0f} × were its warm-up free), default fit {fit:.0f} × ({fitted.per_second:.0f}/s, its warm-up "
        f"free); means and variances of {moments['compared']:.0f} unknowns within {worst:.1f} Monte Carlo errors",
        bool(min(nuts, fit) >= FASTER and worst < WITHIN and moments["compared"] == MOST_COMPARED),
        {
            "nuts_ratio": nuts,
            "nuts_ratio_were_its_warmup_free": nuts / 2,
            "fit_ratio_were_its_warmup_free": fit,
            "nuts_ess": chains.ess,
            "nuts_seconds": chains.seconds,
            "fit_ess": fitted.ess,
            "fit_seconds": fitted.seconds,
            "plain_ess_per_draw": plain.ess_per_draw,
            "plain_leapfrogs_per_draw": plain.leapfrogs,
            "plain_seconds_per_draw": plain.seconds,
            "plain_draws_timed": plain.timed,
            "density_gap_between_two_positions": plain.gap,
            "moments_against_plain_in_errors": moments,
            # Resampled draws repeat, so that their own error is understated: for information.
            "moments_against_fit_in_errors": resampled,
            "unknowns": int(np.shape(chains.positions)[-1]),
        },
    )
