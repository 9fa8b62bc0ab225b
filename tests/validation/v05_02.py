"""The linear model of three chambers: what each tier of data tells of its seven parameters."""

import jax
import jax.numpy as jnp
import numpy as np

import twinprob as tp
from tests.circulation import level
from tests.validation import Result
from twinprob.diagnostics.determination import DETERMINED, NOT_DETERMINED, STRUCTURAL, WEAK, Grades
from twinprob.diagnostics.information import information
from twinprob.models.cardiovascular import ThreeChamber

NAMES = (
    "arterial_elastance", "venous_elastance", "ventricular_elastance", "inflow_resistance", "outflow_resistance",
    "circulation_resistance", "initial_volume",
)  # fmt: skip
PRIOR = 0.5  # SD of each logarithm
FLUID = 500.0  # mL
PUBLISHED = {
    1: (3, (0.43, 0.21, 0.00, 0.37, 0.00, 0.42, 0.37)),
    2: (4, (0.77, 0.21, 0.00, 0.68, 0.00, 0.80, 0.37)),
    3: (4, (0.45, 0.81, 0.01, 0.39, 0.00, 0.43, 0.91)),
    4: (5, (0.89, 0.84, 0.01, 0.84, 0.00, 0.90, 0.92)),
    5: (7, (0.91, 0.89, 0.74, 0.85, 0.35, 0.91, 0.98)),
}  # the table of the domain notes, section 4, computed there by another program
NEVER = ("ventricular_elastance", "outflow_resistance")


def measure() -> Result:
    """Linearize the steady beat in both states, ask for a verdict in each tier of summaries, and scale volume."""
    with jax.enable_x64(True):
        tiers = {tier: _tier(tier) for tier in PUBLISHED}
        homogeneous = _homogeneous()
    verdicts = {tier: _verdicts(tier) for tier in (1, 2, 3, 4)}
    ranks = [tiers[tier]["rank"] for tier in tiers]
    apart = max(float(np.abs(np.subtract(row["contraction"], PUBLISHED[tier][1])).max()) for tier, row in tiers.items())
    called = [
        f"{name} in tier {tier}: {verdicts[tier][name]}"
        for tier in verdicts
        for name in NEVER
        if verdicts[tier][name] not in (NOT_DETERMINED, STRUCTURAL)
    ]
    alone, fluid = tiers[1]["contraction"][-1], tiers[3]["contraction"][-1]
    return Result(
        figure=f"ranks {'/'.join(map(str, ranks))}; ventricular elastance and outflow resistance not "
        f"determined in {8 - len(called)} of 8 verdicts; ΔSV % against ΔSBV % apart by {homogeneous:.0e}; SBV "
        f"contraction {alone:.2f} without and {fluid:.2f} with a known fluid step; contractions "
        f"within {apart:.3f} of the table",
        holds=ranks == [3, 4, 4, 5, 7]
        and not called
        and homogeneous <= 1e-3
        and bool(abs(alone - 0.37) < 0.01)
        and bool(fluid >= 0.85),
        details={"tiers": tiers, "verdicts": verdicts, "called": called},
    )


def _signals(logs, tier, volume):
    """Return what a tier measures at one stressed volume, each over its noise."""
    patient = ThreeChamber().install(NAMES, jnp.exp(logs))
    shown = patient.waves(volume)
    P_a = shown.arterial
    parts = [jnp.max(P_a) / 2.0, jnp.min(P_a) / 2.0, jnp.mean(shown.venous)]
    if tier in (2, 4, 5):
        parts.append(10.0 * jnp.log(jnp.max(shown.volume) - jnp.min(shown.volume)))
    rows = jnp.stack(parts)
    if tier == 5:
        step = 0.75 / P_a.size
        places = np.round(np.arange(0.0, 0.75, 0.025) / step).astype(int)
        rows = jnp.concatenate([rows, P_a[places] / 2.0])
    return rows


def _tier(tier):
    start = jnp.log(jnp.asarray([float(getattr(ThreeChamber(), name)) for name in NAMES]))

    def signals(logs):
        rest = _signals(logs, tier, jnp.exp(logs[-1]))
        if tier < 3:
            return rest
        return jnp.concatenate([rest, _signals(logs, tier, jnp.exp(logs[-1]) + FLUID)])

    J = np.asarray(jax.jit(jax.jacfwd(signals))(start))
    information = J.T @ J
    values = np.linalg.eigvalsh(information)[::-1]
    left = np.sqrt(np.diag(np.linalg.inv(information + np.eye(len(NAMES)) / PRIOR**2)))
    return {
        "rank": int(np.sum(values > 1.0)),
        "eigenvalues": values.tolist(),
        "contraction": (1.0 - left / PRIOR).tolist(),
        "published": PUBLISHED[tier],
    }


def _verdicts(tier):
    """Ask the library, to first order at the nominal patient, of summaries before and (tiers 3, 4) after fluid."""
    times = np.array([0.0, 60.0]) if tier >= 3 else np.array([0.0])
    given = level("volume_change", [30.0], [FLUID], "mL") if tier >= 3 else tp.Inputs()
    names = ["systolic_pressure", "diastolic_pressure", "central_venous_pressure"]
    names += ["stroke_volume"] if tier in (2, 4) else []
    # What was read does not matter: the information is taken at the nominal patient.
    units = {name: "mL" if name == "stroke_volume" else "mmHg" for name in names}
    values = {name: (times, np.full(len(times), 50.0), unit) for name, unit in units.items()}
    record = tp.Record.build(values, given, own=(*names, "volume_change"), end=float(times[-1]))
    nominal = {name: float(getattr(ThreeChamber(), name)) for name in NAMES}
    said = information(ThreeChamber(), record, at=nominal)
    contraction = said.contraction()
    grades = Grades()
    words = {name: grades.verdict(float(np.median(contraction[name]))) for name in NAMES}
    # As `identify` does: what is known only as far as the priors of what it trades with is weak at most.
    return {
        name: WEAK if word == DETERMINED and said.alone(name) < grades.determined else word
        for name, word in words.items()
    }


def _homogeneous():
    """Return the largest difference between the relative change of stroke volume and that of stressed volume."""
    stroke = jax.jit(lambda v: (lambda w: jnp.max(w.volume) - jnp.min(w.volume))(ThreeChamber().waves(v)))
    base = float(stroke(560.0))
    return max(abs(float(stroke(560.0 + dv)) / base - 1.0 - dv / 560.0) for dv in (-200.0, 50.0, 250.0, FLUID))
