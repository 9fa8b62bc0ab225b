"""ICING with glucose alone on a real stay: what it cannot tell from insulin sensitivity, and what it can forecast."""

import jax

import twinprob as tp
from tests.validation import Result, shared_data
from twinprob.models.metabolic import ICING
from twinprob.readers import mimic

# The stay of line 01.8: insulin and dextrose charted, glucose about hourly.
STAY = 286020
HOURS = (1.0, 2.0, 3.0, 4.0)
PARTNER = "insulin_sensitivity"
# Endogenous production is free in the model as it is; these five join it. Clearance is by kidney and liver.
CONFOUNDED = (
    "endogenous_glucose_production",
    "glucose_volume",
    "glucose_clearance",
    "secretion_factor",
    "kidney_clearance",
    "liver_clearance",
)


def real_stay(hours: float = 48.0) -> tp.Record:
    """Return the first hours of the stay."""
    return mimic.read(shared_data("mimic-iii-demo"), STAY, only="glucose").until(60.0 * hours)


def freed() -> ICING:
    """Return ICING with everything unknown that the literature reports as confounded with sensitivity."""
    return ICING().free(*CONFOUNDED)


def measure() -> Result:
    """Fit the stay with six confounders free, and ask what was determined."""
    stay = real_stay()
    twin = tp.fit(freed(), stay, key=jax.random.key(0))
    found = tp.identify(twin, key=jax.random.key(1), hours=HOURS)
    named = {name: PARTNER in found[name].confounded_with for name in CONFOUNDED}
    loose = {name: found[name].verdict for name in CONFOUNDED}
    ahead = {row.subject: row for row in found.predictions}
    path = found[PARTNER]
    holds = bool(path) and all(named.values()) and "determined" not in loose.values() and all(map(bool, ahead.values()))
    said = ", ".join(f"{name} {row.contraction:.2f} ± {row.mcse:.2f}" for name, row in ahead.items())
    return Result(
        figure=f"{len(stay.observations['glucose'].times)} glucose values: sensitivity path {path.verdict} "
        f"(contraction {path.contraction:.2f}); {sum(named.values())} of {len(named)} named as confounded with it, "
        f"{list(loose.values()).count('determined')} of them determined; forecasts: {said}",
        holds=bool(holds),
        details={
            "table": found.to_frame().to_dict("records"),
            "ridges": [list(pair) for pair in found.ridges],
            "khat": twin.provenance["khat"],
            "structural": str(found.structural),
        },
    )
