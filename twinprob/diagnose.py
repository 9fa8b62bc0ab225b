"""Say in words how far a twin can be trusted, and what to do about it."""

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from .display import paragraph, section, table
from .twin import Twin

GOOD, CARE, REFUSE = "trustworthy", "use with care", "do not use"
_ORDER = (GOOD, CARE, REFUSE)
_MOST_FAILED = 0.005


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, the verdict, the evidence in numbers, and one action where it is not good."""

    subject: str
    verdict: str
    evidence: str
    action: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The findings about one twin; the verdict is that of the worst.

    Attributes
    ----------
    findings : tuple of Finding, worst first
    """

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """One of "trustworthy", "use with care", "do not use"."""
        return max((f.verdict for f in self.findings), key=_ORDER.index)

    def __str__(self) -> str:
        """Write verdict and findings as lines of text."""
        lines = [f"Verdict: {self.verdict}."]
        for f in self.findings:
            lines.append(f"  {f.subject}: {f.verdict}. {f.evidence}" + (f" {f.action}" if f.action else ""))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [(f.subject, f.verdict, f.evidence, f.action) for f in self.findings]
        header = ("what", "verdict", "evidence", "what to do")
        return section(
            f"Diagnosis: {self.verdict}", table("", header, rows), paragraph("Research software, not a medical device.")
        )


def diagnose(twin: Twin) -> Diagnosis:
    """Judge a twin: convergence, importance weights, failed solves, integration error, fit, prior-data conflict, modes.

    Parameters
    ----------
    twin : Twin

    Returns
    -------
    Diagnosis
        Prints as text; its findings carry evidence and one action each.
    """
    provenance = twin.provenance
    findings = [
        _convergence(twin) if provenance["method"] == "NUTS" else _weights(provenance),
        _failures(provenance),
        _integration(provenance),
        _modes(provenance),
        *_conflicts(twin),
        *_misfit(twin),
    ]
    findings += [Finding("method", GOOD, note) for note in provenance["notes"]]
    return Diagnosis(tuple(sorted(findings, key=lambda f: -_ORDER.index(f.verdict))))


def _convergence(twin: Twin) -> Finding:
    from arviz_stats.base.array import array_stats  # here because importing it loads matplotlib

    positions = twin.group("unconstrained")["position"].values
    rhat = max(float(array_stats.rhat(positions[..., i])) for i in range(positions.shape[-1]))
    ess, diverging = twin.effective_draws, int(twin.group("sample_stats")["diverging"].sum())
    evidence = f"Largest R-hat {rhat:.3f}, smallest effective sample size {ess:.0f}, {diverging} divergent transitions."
    if not rhat < 1.05 or ess < 50:
        return Finding("convergence", REFUSE, evidence, "The chains disagree: run `NUTS(warmup=1000, draws=1000)`.")
    if rhat > 1.01 or ess < 400 or diverging > 0:
        return Finding(
            "convergence", CARE, evidence, "Run longer chains: `NUTS(draws=1000)`; raise `target` if divergent."
        )
    return Finding("convergence", GOOD, evidence)


def _weights(provenance) -> Finding:
    khat, ess = provenance["khat"], provenance["importance_ess"]
    evidence = f"Pareto k-hat {khat:.2f}, {ess:.0f} effective importance draws."
    if not khat < 1.0 or ess < 50:
        return Finding(
            "importance weights", REFUSE, evidence, "The approximation misses the posterior: fit with `method=NUTS()`."
        )
    if khat > 0.7 or ess < 200:
        return Finding("importance weights", CARE, evidence, "Check the tails: fit again with `method=NUTS()`.")
    return Finding("importance weights", GOOD, evidence)


def _failures(provenance) -> Finding:
    failed, tried = max(provenance["failed"], provenance["solves_failed"]), provenance["tried"]
    share = failed / max(tried, 1)
    evidence = f"{failed} of {tried} solves at posterior draws failed."
    if share > _MOST_FAILED:
        action = (
            "Failed solves hide what the data say: tighten priors, or use `integrator=Adaptive()` for a stiff model."
        )
        return Finding("failed solves", REFUSE, evidence, action)
    return Finding("failed solves", GOOD, evidence)


def _integration(provenance) -> Finding:
    error = provenance["integration_error"]
    evidence = f"Halving every step moves no output by more than {error:.2g} noise standard deviations."
    if not error < 0.5:
        return Finding("integration", REFUSE, evidence, "Use `integrator=FixedStep(refine=4)` or `Adaptive()`.")
    if error > 0.1:
        return Finding("integration", CARE, evidence, "Use `integrator=FixedStep(refine=2)`.")
    return Finding("integration", GOOD, evidence)


def _modes(provenance) -> Finding:
    weights = [weight for _, weight in provenance["modes"]]
    evidence = f"{len(weights)} mode{'s' if len(weights) != 1 else ''} found" + (
        f" with weights {', '.join(f'{w:.2g}' for w in weights)}." if len(weights) > 1 else "."
    )
    if len(weights) > 1 and weights[1] > 0.01:
        return Finding("modes", CARE, evidence, "Look at `tree['posterior']`: means lie between the modes.")
    return Finding("modes", GOOD, evidence)


def _conflicts(twin: Twin) -> list[Finding]:
    """Compare each posterior with its prior: a posterior far in the tail of its prior contradicts it."""
    posterior, prior = twin.group("posterior"), twin.group("prior")
    conflicts = []
    for name in twin.model.unknowns():
        if name not in posterior.data_vars:
            continue
        site = f"{name}_start" if f"{name}_start" in posterior.data_vars else name
        belief, data = _scale_free(prior[site]), _scale_free(posterior[site])
        shift = (data.mean() - belief.mean()) / max(belief.std(), 1e-12)
        if abs(shift) > 3.0:
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


def _scale_free(values: xr.DataArray) -> np.ndarray:
    flat = values.values.ravel()
    return np.log(flat) if np.all(flat > 0) else flat


def _misfit(twin: Twin) -> list[Finding]:
    """Compare measurements with their posterior replicates: too many outside means noise or model is wrong."""
    if "posterior_predictive" not in twin.tree.children:
        return [Finding("fit", GOOD, "No measurement yet: the twin is its prior.")]
    findings = []
    limits = twin.group("constant_data")
    for name, replicates in twin.group("posterior_predictive").items():
        name = str(name)
        exact = limits[f"{name}_limit"].values == 0
        observed = twin.group("observed_data")[name].values[exact]
        drawn = replicates.values.reshape(-1, replicates.shape[-1])[:, exact]
        if observed.size < 5:
            continue
        low, high = np.nanquantile(drawn, [0.005, 0.995], axis=0)
        outside = int(np.sum((observed < low) | (observed > high)))
        unlikely = _at_least(outside, observed.size, 0.01) < 0.05
        evidence = f"{outside} of {observed.size} measurements lie outside their own 99 % replicated interval."
        action = (
            "Allow for outliers with `StudentT` or `Contaminated` noise, or look for missing inputs."
            if unlikely
            else ""
        )
        findings.append(Finding(f"fit: {name}", CARE if unlikely else GOOD, evidence, action))
    return findings


def _at_least(count: int, trials: int, chance: float) -> float:
    """Return the probability of `count` or more hits in independent trials."""
    return 1.0 - sum(math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(count))
