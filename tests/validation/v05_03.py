"""Windkessels: recovered from a noisy pressure, and identifiable not only nearby but everywhere; a T-tube is not."""

import jax
import numpy as np

import twinprob as tp
from tests.published_models import circulation
from tests.validation import Result
from twinprob.diagnostics.structural import structural
from twinprob.models.cardiovascular import Windkessel2, Windkessel3, Windkessel4

TRUTH = {"resistance": 1.0, "compliance": 1.6, "impedance": 0.06, "inertance": 0.006, "initial_pressure": 72.0}
MODELS = {"2": Windkessel2, "3": Windkessel3, "4": Windkessel4}
PERIOD, EJECTION, PEAK = 0.75, 0.3, 390.0  # s, s, mL/s
SAMPLE, BEATS, NOISE = 0.01, 3, 1.0  # s, -, mmHg
NEAR = 0.05


def measure() -> Result:
    """Fit each to its own pressure with noise; ask whether other parameters could give the same impedance."""
    fits = {name: _recovered(model, int(name)) for name, model in MODELS.items()}
    local = {name: structural(model(), key=jax.random.key(3)) for name, model in MODELS.items()}
    locally = {name: all(found.identifiable.values()) for name, found in local.items()}
    globally = {name: _inverted(int(name)) for name in MODELS}
    arms = next(case for case in circulation() if "T-tube" in case.name)
    tube_local = all(structural(arms.model, **arms.options, key=jax.random.key(4)).identifiable.values())
    exchanged = _exchange()
    worst = max(row["error"] for fit in fits.values() for row in fit.values())
    inside = sum(row["inside"] for fit in fits.values() for row in fit.values())
    count = sum(len(fit) for fit in fits.values())
    text = "; ".join(
        f"{name} elements: {'locally' if locally[name] else 'not locally'}, inverse error {globally[name]:.0e}"
        for name in MODELS
    )
    return Result(
        figure=f"largest error {100 * worst:.1f} % of {count} parameters, {inside} inside their 90 % intervals; "
        f"{text}; T-tube of lumped arms: {'locally' if tube_local else 'not locally'}, and its arms exchanged "
        f"give the same flow to {exchanged:.0e}, so not globally",
        holds=bool(
            worst <= NEAR
            and all(locally.values())
            and max(globally.values()) < 1e-9
            and exchanged < 1e-12
            and inside >= count - 2
        ),
        details={"fits": fits, "local": {n: str(f) for n, f in local.items()}, "inverse": globally},
    )


def _recovered(model, number):
    times = np.arange(0.0, BEATS * PERIOD, SAMPLE)
    phase = times % PERIOD
    flow = np.where(phase < EJECTION, PEAK * np.sin(np.pi * phase / EJECTION), 0.0)
    series = tp.Series(times / 60.0, flow, "mL/s")
    patient = model().fix(**{name: value for name, value in TRUTH.items() if name in model.parameters()})
    run = tp.simulate(patient, tp.Inputs(), times / 60.0, measured={"aortic_flow": series})
    noisy = np.asarray(run.output.aortic_pressure) + NOISE * np.random.default_rng(number).standard_normal(len(times))
    record = tp.Record.build(
        {"aortic_flow": (times / 60.0, flow, "mL/s"), "aortic_pressure": (times / 60.0, noisy, "mmHg")},
        tp.Inputs(),
        own=("aortic_flow", "aortic_pressure"),
    )
    twin = tp.fit(model(), record, method=tp.Laplace(starts=3, proposals=1000), key=jax.random.key(number))
    rows = {}
    for name in model().unknowns():
        draws = twin.group("posterior")[name].values.ravel()
        low, high = np.quantile(draws, [0.05, 0.95])
        rows[name] = {
            "mean": float(draws.mean()),
            "error": float(abs(draws.mean() / TRUTH[name] - 1.0)),
            "inside": bool(low <= TRUTH[name] <= high),
        }
    return rows


def _inverted(elements):
    """Return the largest error of the parameters computed back from the impedance: an inverse is a proof.

    Z(s) = R / (1 + R C s), plus Z or s L Z / (Z + s L), is a fraction whose numbers data of flow and pressure fix once
    its denominator begins with 1; each Windkessel's parameters follow from these numbers by formulas without a choice.
    """
    R, C, Z, L = np.exp(np.random.default_rng(elements).normal(0.0, 1.0, (4, 1000)))
    if elements == 2:
        n0, d1 = R, R * C
        back: tuple[np.ndarray, ...] = (n0, d1 / n0)
    elif elements == 3:
        n0, n1, d1 = R + Z, Z * R * C, R * C
        impedance = n1 / d1
        back = (n0 - impedance, d1 / (n0 - impedance), impedance)
    else:
        n0, n1, n2, d2 = R, L * (R / Z + 1.0), L * R * C, R * C * L / Z
        impedance = n2 / d2
        inertance = n1 / (n0 / impedance + 1.0)
        back = (n0, n2 / (inertance * n0), impedance, inertance)
    return float(max(np.abs(x / y - 1.0).max() for x, y in zip(back, (R, C, Z, L)[:elements], strict=True)))


def _exchange():
    """Return how much the admittance of two arms changes, relative, when they change places."""
    chance = np.random.default_rng(5)
    L, C, R = np.exp(chance.normal(0.0, 1.0, (3, 2, 500)))
    s = 1j * np.exp(chance.normal(0.0, 2.0, 500))

    def admittance(order):
        return sum(1.0 / (s * L[i] + R[i] / (1.0 + s * R[i] * C[i])) for i in order)

    one, other = admittance((0, 1)), admittance((1, 0))
    return float(np.abs(other / one - 1.0).max())
