"""Say in words how far a twin can be trusted, and what to do about it."""

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..display import paragraph, section, table
from ..dynamics.integrators import FixedStep
from ..inference.twin import Twin
from ..patient.require import require_kinds
from ..patient.units import span
from .determination import MOST_OF_PRIOR, MOST_REJECTED, NOT_DETERMINED, beliefs, listed, parameters_of, prior_failures
from .finding import CARE, GOOD, ORDER, REFUSE, Finding
from .memory import memory
from .misfit import drift, held, misfit, since_the_last_fit

_MOST_FAILED = 0.005
# The other limits are settings, not published.
_FAR = 3.0  # prior standard deviations
_NEAR_ZERO = 0.2  # of the prior's median
_OLD, _LATE = 360.0, 3.0  # min, and usual spacings, after which a last measurement is called old


@dataclass(frozen=True)
class Diagnosis:
    """The findings about one twin; the verdict is that of the worst.

    Attributes
    ----------
    findings : tuple of Finding, worst first
    holds_for : tuple of str
        The measured outputs that a good verdict speaks of, as they were treated so far.
    open : tuple of str
        What the data leave to the prior: responses to inputs that never changed, and parameters.
    """

    findings: tuple[Finding, ...]
    holds_for: tuple[str, ...] = ()
    open: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """One of "trustworthy", "use with care", "do not use"."""
        return max((f.verdict for f in self.findings), key=ORDER.index)

    @property
    def headline(self) -> str:
        """The verdict in one sentence that names what it holds for, and what it does not."""
        if self.verdict != GOOD:
            worst = [finding.subject for finding in self.findings if finding.verdict == self.verdict]
            return f"{self.verdict}. First look at: {', '.join(worst[:3])}."
        scope = f"{GOOD} for {listed(self.holds_for)}, treated as so far" if self.holds_for else f"{GOOD} as its prior"
        return f"{scope}; not determined: {listed(self.open)}." if self.open else f"{scope}."

    def __str__(self) -> str:
        """Write headline and findings as lines of text."""
        lines = [f"Verdict: {self.headline}"]
        for f in self.findings:
            lines.append(f"  {f.subject}: {f.verdict}. {f.evidence}" + (f" {f.action}" if f.action else ""))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [(f.subject, f.verdict, f.evidence, f.action) for f in self.findings]
        header = ("what", "verdict", "evidence", "what to do")
        return section(
            f"Diagnosis: {self.headline}",
            table("", header, rows),
            paragraph("Research software, not a medical device."),
        )


def diagnose(twin: Twin) -> Diagnosis:
    """Judge a twin: its draws, solves, modes and priors, what is determined, noise, fit, and how its forecasts did.

    Parameters
    ----------
    twin : Twin

    Returns
    -------
    Diagnosis
        Prints as text; its findings carry evidence and one action each.
    """
    require_kinds(twin=(twin, Twin))
    provenance = twin.provenance
    findings = [
        _JUDGES.get(provenance["method"], _weights)(twin),
        _failures(twin),
        _integration(twin),
        _modes(provenance),
        *_tails(provenance),
        *_conflicts(twin),
        _undetermined(twin),
        *_sizes(twin),
        *misfit(twin),
        *drift(twin),
        *held(twin),
        *memory(twin),
        *_present(twin),
    ]
    findings += [Finding("method", GOOD, note) for note in provenance["notes"]]
    order = tuple(sorted(findings, key=lambda f: -ORDER.index(f.verdict)))
    outputs = twin.model.quantities(twin.model.Output)
    seen = tuple(name for name in outputs if name in twin.record.observations)
    untold = [f"the response to {name}, which never changed" for name in untried(twin)]
    return Diagnosis(order, seen, (*untold, *_loose(twin)))


def untried(twin: Twin) -> list[str]:
    """Return the inputs whose response no measurement speaks of: they never changed while something was measured."""
    names, model = [], twin.model
    last = max((float(s.times[-1]) for s in twin.record.observations.values()), default=-math.inf)
    for name, declared in model.quantities(model.Input).items():
        if declared.measured:
            continue
        times = twin.record.inputs[name].steps()[0] if name in twin.record.inputs else np.zeros(0)
        if not np.any((times >= twin.record.start) & (times < last)):
            names.append(name)
    return names


def _loose(twin: Twin) -> list[str]:
    return [name for name, row in parameters_of(twin).items() if row.verdict == NOT_DETERMINED]


def _present(twin: Twin) -> list[Finding]:
    """Say how old the last measurement is, and mind where it is much older than they used to become."""
    found = []
    for name in twin.model.quantities(twin.model.Output):
        if name not in twin.record.observations:
            continue
        times = twin.record.observations[name].times
        age = twin.now - float(times[-1])
        usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        evidence = f"The last {name} was measured {span(age)} before the twin's present at {span(twin.now)}."
        if age > max(_OLD, _LATE * usual):
            action = "Measure, or cut the record where it was last known: `record.until(time)`."
            found.append(Finding(f"last measurement: {name}", CARE, evidence, action))
        else:
            found.append(Finding(f"last measurement: {name}", GOOD, evidence))
    return found


def _convergence(twin: Twin) -> Finding:
    from arviz_stats.base.array import array_stats  # here because importing it loads matplotlib

    positions = twin.group("unconstrained")["position"].values
    rhat = max(float(array_stats.rhat(positions[..., i])) for i in range(positions.shape[-1]))
    ess, diverging = twin.effective_draws, int(twin.group("sample_stats")["diverging"].sum())
    evidence = f"Largest R-hat {rhat:.3f}, smallest effective sample size {ess:.0f}, {diverging} divergent transitions."
    if not rhat < 1.05 or ess < 50:
        apart = _stuck(positions)
        evidence += f" Chain {apart} stays apart from the others." if apart is not None else ""
        action = "The chains disagree: run `NUTS(warmup=1000, draws=1000)`."
        if len(_weighty(twin.provenance)) > 1:
            action = "The chains disagree, and there are several modes: fit with `method=SMC()`."
        return Finding("convergence", REFUSE, evidence, action)
    if rhat > 1.01 or ess < 400 or diverging > 0:
        return Finding(
            "convergence", CARE, evidence, "Run longer chains: `NUTS(draws=1000)`; raise `target` if divergent."
        )
    return Finding("convergence", GOOD, evidence)


def _stuck(positions: np.ndarray) -> int | None:
    """Return the one chain without which the others agree; positions have shape (chain, draw, unknown)."""
    from arviz_stats.base.array import array_stats

    if len(positions) < 3:
        return None
    rest = [np.delete(positions, chain, axis=0) for chain in range(len(positions))]
    worst = [max(float(array_stats.rhat(x[..., i])) for i in range(x.shape[-1])) for x in rest]
    return int(np.argmin(worst)) if sum(r < 1.05 for r in worst) == 1 else None


def _weights(twin: Twin) -> Finding:
    khat, ess = twin.provenance["khat"], twin.provenance["importance_ess"]
    evidence = f"Pareto k-hat {khat:.2f}, {ess:.0f} effective importance draws."
    if not khat < 1.0 or ess < 50:
        return Finding(
            "importance weights", REFUSE, evidence, "The approximation misses the posterior: fit with `method=NUTS()`."
        )
    if khat > 0.7 or ess < 200:
        return Finding("importance weights", CARE, evidence, "Check the tails: fit again with `method=NUTS()`.")
    return Finding("importance weights", GOOD, evidence)


def _particles(twin: Twin) -> Finding:
    """Judge an updated twin by its particles: the k-hat in its provenance is that of the fit it began with."""
    recent = since_the_last_fit(twin)
    share, ess = min(entry["share"] for entry in recent), twin.provenance["importance_ess"]
    evidence = (
        f"Updates since the last fit: {len(recent)}. {ess:.0f} of {twin.provenance['tried']} particles matter now, and "
        f"after none of these updates less than {share:.0%} did."
    )
    if ess < 200:
        return Finding("particles", CARE, evidence, "Check the tails: fit the whole record.")
    return Finding("particles", GOOD, evidence)


_JUDGES = {"NUTS": _convergence, "Filter": _particles}


def _failures(twin: Twin) -> Finding:
    """Judge failures wherever solves were tried: at the posterior's draws, at proposals around them, over the prior."""
    provenance = twin.provenance
    failed, tried = max(provenance["failed"], provenance["solves_failed"]), provenance["tried"]
    rejected, prior, share = provenance.get("rejected", 0.0), prior_failures(twin), failed / max(tried, 1)
    evidence = f"{failed} of {tried} solves at posterior draws failed."
    if rejected > MOST_REJECTED:
        evidence += f" Of the proposals around them {rejected:.0%} failed: the posterior ends where the solver does."
    if prior > MOST_OF_PRIOR:
        evidence += f" Of draws from the prior {prior:.0%} failed: nothing is known of the posterior where they lie."
    if share > _MOST_FAILED or rejected > MOST_REJECTED or prior > MOST_OF_PRIOR:
        action = "Failed solves hide what the data say: tighten priors, or fit a stiff model with `Rosenbrock()`."
        refused = share > _MOST_FAILED or rejected > 0.2 or prior > 0.5
        return Finding("failed solves", REFUSE if refused else CARE, evidence, action)
    return Finding("failed solves", GOOD, evidence)


def _integration(twin: Twin) -> Finding:
    error, own = twin.provenance["integration_error"], twin.integrator
    what = "Halving every step" if own is None or isinstance(own, FixedStep) else "Integrating far more finely"
    if not np.isfinite(error):
        evidence, error = f"{what} fails at draws that were solved.", math.inf
    else:
        evidence = f"{what} moves no output by more than {error:.2g} noise standard deviations."
    if not error < 0.5:
        return Finding("integration", REFUSE, evidence, "Use `integrator=FixedStep(refine=4)` or `Rosenbrock()`.")
    if error > 0.1:
        return Finding("integration", CARE, evidence, "Use `integrator=FixedStep(refine=2)` or `Rosenbrock()`.")
    return Finding("integration", GOOD, evidence)


def _modes(provenance) -> Finding:
    weights = [weight for _, weight in provenance["modes"]]
    evidence = f"{len(weights)} mode{'s' if len(weights) != 1 else ''} found" + (
        f" with weights {', '.join(f'{w:.2g}' for w in weights)}." if len(weights) > 1 else "."
    )
    if len(_weighty(provenance)) > 1:
        return Finding(
            "modes", CARE, evidence, "Means lie between the modes: look at `tree['posterior']` and at `modes`."
        )
    return Finding("modes", GOOD, evidence)


def _tails(provenance) -> list[Finding]:
    """Name the tails that the draws may miss: Markov chains that began at the draws left them."""
    return [
        Finding(
            f"tails: {name}",
            CARE,
            f"Moved on by Markov chains, {share:.1%} of the draws lie below what was their {level:.0%} quantile.",
            "Do not rely on outer quantiles: fit with `method=SMC()`, or `Laplace(proposals=20000)`, and compare.",
        )
        for name, level, share in provenance.get("lost", ())
    ]


def _weighty(provenance) -> list[float]:
    """Return the weights of the modes that matter."""
    return [weight for _, weight in provenance["modes"] if weight > 0.01]


def _conflicts(twin: Twin) -> list[Finding]:
    """Compare each posterior with its prior, at every knot: one far in the tail of its prior contradicts it."""
    conflicts = []
    for name, belief in beliefs(twin).items():
        shift = float(belief.shift[np.argmax(np.abs(belief.shift))])
        if name in twin.model.unknowns() and abs(shift) > _FAR:
            conflicts.append((name, shift))
    if not conflicts:
        return [
            Finding(
                "prior and data", GOOD, "No parameter lies further than 3 prior standard deviations from its prior."
            )
        ]
    return [
        Finding(
            f"prior and data: {name}",
            CARE if abs(shift) < 5 else REFUSE,
            f"The posterior mean lies {shift:+.1f} prior standard deviations from the prior mean.",
            "Check the record's units and whether the prior fits this patient; widen it: `model.free(name=prior)`.",
        )
        for name, shift in conflicts
    ]


def _undetermined(twin: Twin) -> Finding:
    """Name the parameters whose posterior is their prior: no fault of the twin, but nothing to read anything from."""
    rows = parameters_of(twin)
    loose = _loose(twin)
    if not loose:
        return Finding("what the data determine", GOOD, f"The data say something about each of {len(rows)} unknowns.")
    evidence = f"Not determined by these data: {listed(loose)}."
    action = (
        "Read such a posterior as its prior; `identify(twin, key=key)` says why, and which forecasts hold all the same."
    )
    return Finding("what the data determine", GOOD, evidence, action)


def _sizes(twin: Twin) -> list[Finding]:
    """Look at sizes that were inferred, of noise and of movement: near zero, or far from what was believed."""
    posterior, prior, findings = twin.group("posterior"), twin.group("prior"), []
    known = {*twin.model.parameters(), *(f"{name}_start" for name in twin.model.processes())}
    for name in (str(n) for n in posterior.data_vars if str(n) not in known and n in prior.data_vars):
        belief, data = _scale_free(prior[name]), _scale_free(posterior[name])
        shift = (data.mean() - belief.mean()) / max(belief.std(), 1e-12)
        # Half-normal and similar priors pile up at zero themselves: the ratio says what the logarithm cannot.
        smaller = float(np.median(posterior[name].values) / max(np.median(prior[name].values), 1e-300))
        moves = name.endswith("_volatility")
        evidence = f"{smaller:.2g} times its prior median, {shift:+.1f} prior standard deviations."
        if smaller < _NEAR_ZERO and twin.model.processes():  # without a path a small size is what was found
            what = (
                "The data show no movement: treat the parameter as constant, `model.vary(name=None)`, or keep its band."
                if moves
                else "The path follows every measurement: give the noise its known size, or a prior away from zero."
            )
            findings.append(Finding(f"size near zero: {name}", CARE, evidence, what))
        elif shift > _FAR:
            what = "Look for missing inputs, or a wrong unit, before believing a size this large."
            findings.append(Finding(f"prior and data: {name}", CARE, evidence, what))
    return findings


def _scale_free(values: xr.DataArray) -> np.ndarray:
    """Return draws, shape (draw, knot), as logarithms where all are positive; what does not vary has one knot."""
    flat = values.values.reshape(values.shape[0] * values.shape[1], -1)
    return np.log(flat) if np.all(flat > 0) else flat
