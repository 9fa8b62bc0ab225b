"""How well the data determine one quantity: the fixed words, their meaning in numbers, parameters by their draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from ..dynamics.segments import knots
from ..inference.linearize import scalar_moments
from ..inference.twin import Twin
from ..modeling.model import AbstractModel

STRUCTURAL = "structurally unidentifiable"
NOT_DETERMINED = "not determined by these data"
WEAK = "weakly determined"
DETERMINED = "determined"
CONFLICT = "in conflict with its prior"
UNDECIDED = "undecided"
VOCABULARY = (STRUCTURAL, NOT_DETERMINED, WEAK, DETERMINED, CONFLICT, UNDECIDED)
MOST_OF_PRIOR, MOST_REJECTED = 0.05, 0.02  # shares of the prior, of proposals, whose solves may fail; settings


@dataclass(frozen=True)
class Grades:
    """Where one verdict ends and the next begins; all are settings, not published.

    Attributes
    ----------
    determined : float
        Contraction from which a quantity is determined: at 0.75 the data outweigh the prior three to one, and the
        standard deviation is at most half of the prior's. A constant must reach it by the measurements alone too:
        else it is known only as far as the priors of what it trades with.
    undetermined : float
        Contraction below which it is not: at 0.25 the prior outweighs the data three to one.
    conflict : float
        Prior standard deviations between posterior and prior mean from which they contradict each other; `diagnose`
        uses the same.
    confounded : float
        Share of what is said about a parameter that another could equally explain: at 0.9 not knowing the other makes
        its standard error three times larger.
    accuracy : float
        Half the width of a prediction's 90 % interval, relative to its middle, up to which it is determined: narrower
        than its prior is not enough. Of outputs that may be zero or negative nothing relative is asked.
    correlated : float
        Posterior correlation of a ridge pair: at 0.7 one explains half of the other's variance.
    """

    determined: float = 0.75
    undetermined: float = 0.25
    conflict: float = 3.0
    confounded: float = 0.9
    correlated: float = 0.7
    accuracy: float = 0.2

    def __post_init__(self) -> None:
        """Refuse grades in the wrong order."""
        if not 0 <= self.undetermined <= self.determined <= 1:
            raise ValueError(
                f"Grades need 0 <= undetermined <= determined <= 1, but undetermined = {self.undetermined}, "
                f"determined = {self.determined}."
            )

    def verdict(self, contraction: float, shift: float = 0.0) -> str:
        """Return the word for a contraction and a shift in prior standard deviations."""
        if abs(shift) >= self.conflict:
            return CONFLICT
        if contraction >= self.determined:
            return DETERMINED
        return WEAK if contraction >= self.undetermined else NOT_DETERMINED


@dataclass(frozen=True)
class Determination:
    """What the data determine of one quantity; true if it is determined.

    Attributes
    ----------
    subject : str
    kind : str
        "parameter", "path" (a parameter that varies), "noise" (a size of noise or volatility), "prediction".
    verdict : str
        One of "structurally unidentifiable", "not determined by these data", "weakly determined", "determined",
        "in conflict with its prior", "undecided" (nothing is known where solves fail, or draws and structure disagree).
    contraction : float
        1 - posterior variance / prior variance, on the logarithm where the quantity is positive.
    mcse : float
        Its Monte Carlo standard error.
    shift : float
        Posterior mean minus prior mean, in prior standard deviations.
    spread, prior_spread : float
        Posterior and prior standard deviation, on the same scale.
    alone : float
        For a constant, the contraction by the measurements alone, to first order: no constant keeps its prior. NaN
        where not known.
    confounded_with : tuple of str
        Parameters that could explain the same data, worst first.
    prior_sensitivity, likelihood_sensitivity : float
        Of the posterior to a power of the prior or of the likelihood; NaN where not known.
    evidence, remedy : str
    """

    subject: str
    kind: str
    verdict: str
    contraction: float
    mcse: float
    shift: float
    spread: float
    prior_spread: float
    alone: float = math.nan
    confounded_with: tuple[str, ...] = ()
    prior_sensitivity: float = math.nan
    likelihood_sensitivity: float = math.nan
    evidence: str = ""
    remedy: str = ""

    def __bool__(self) -> bool:
        """Say whether the quantity is determined."""
        return self.verdict == DETERMINED

    def __str__(self) -> str:
        """Write it as a sentence."""
        return f"{self.subject}: {self.verdict}. {self.evidence}" + (f" {self.remedy}" if self.remedy else "")


def prior_failures(twin: Twin) -> float:
    """Return the share of draws from the prior at which the model could not be solved; 0 where no draws are kept."""
    if "prior" not in twin.tree.children:
        return 0.0
    prior = twin.group("prior")
    return float(prior.attrs.get("draws_failed", 0)) / max(prior.sizes.get("draw", 1), 1)


def cut_by_solver(twin: Twin) -> str:
    """Say that a posterior may end where the solver does rather than where the data say; empty where it does not."""
    prior, rejected = prior_failures(twin), twin.provenance.get("rejected", 0.0)
    if prior <= MOST_OF_PRIOR and rejected <= MOST_REJECTED:
        return ""
    where = f"{prior:.0%} of the prior" if prior > MOST_OF_PRIOR else f"{rejected:.0%} of the proposals"
    return f"But the model could not be solved at {where}: the posterior may end there and not where the data say."


class Belief(NamedTuple):
    """One parameter before and after the data, on the unconstrained scale.

    Attributes
    ----------
    kind : str
    mean, variance : (knot,) of the prior
    draws : (draw, knot) of the posterior
    """

    kind: str
    mean: np.ndarray
    variance: np.ndarray
    draws: np.ndarray

    @property
    def contraction(self) -> np.ndarray:
        """Return 1 - posterior variance / prior variance, (knot,)."""
        return 1.0 - self.draws.var(axis=0) / np.maximum(self.variance, 1e-300)

    @property
    def shift(self) -> np.ndarray:
        """Return posterior minus prior mean in prior standard deviations, (knot,)."""
        return (self.draws.mean(axis=0) - self.mean) / np.sqrt(np.maximum(self.variance, 1e-300))


def beliefs(twin: Twin) -> dict[str, Belief]:
    """Return every unknown of a twin before and after the data, by name; innovations are part of their path."""
    model, posterior, found = twin.model, twin.group("posterior"), {}
    processes = model.processes()
    declared = [site for name in model.unknowns() for site in (name, f"{name}_start") if site in posterior]
    sizes = [str(label) for label in posterior.data_vars if str(label) not in declared]
    for name in (*declared, *sizes):
        values, base = posterior[name], name.removesuffix("_start")
        if name in processes:
            count = values.shape[-1]
            mean, variance = path_moments(model, name, knots(processes[name], twin.record.start, twin.now))
            draws = _free(model.prior(name), values.values.reshape(-1, count))
            found[name] = Belief("path", mean[-count:], variance[-count:], draws)
            continue
        kind = "parameter" if name in model.unknowns() or base in processes else "noise"
        prior = model.prior(base if base in processes else name) if kind == "parameter" else _size_prior(twin, name)
        if prior is not None:
            moments = scalar_moments(prior)
            draws = _free(prior, values.values.reshape(-1, 1))
            found[name] = Belief(kind, np.array([moments[0]]), np.array([moments[1]]), draws)
    return found


def _free(prior: dist.Distribution, values: np.ndarray) -> np.ndarray:
    return np.asarray(dist.biject_to(prior.support).inv(jnp.asarray(values)))


def _size_prior(twin: Twin, name: str) -> dist.Distribution | None:
    """Return the prior of a volatility or of a size of noise."""
    for varying, process in twin.model.processes().items():
        if name == f"{varying}_volatility":
            return process.sd
    for output, declared in twin.model.quantities(twin.model.Output).items():
        observation = twin.observations.get(output, declared.noise)
        for field, prior in observation.unknowns().items() if observation is not None else ():
            if name == observation.sites(output)[field]:
                return prior
    return None


def path_moments(model: AbstractModel, name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return prior mean and variance of each knot of a path, (knot,), on the unconstrained scale.

    Paths are linear in their innovations, and these scale with the volatility.
    """
    process = model.processes()[name]
    mean, variance = scalar_moments(model.prior(name))
    kicks = np.asarray(jax.vmap(lambda e: process.path(jnp.zeros(()), e, 1.0))(jnp.eye(count)))
    sd = process.sd
    square = float(sd.mean) ** 2 + float(sd.variance) if isinstance(sd, dist.Distribution) else float(sd) ** 2
    return np.full(count, mean), variance + square * np.sum(kicks**2, axis=0)


def determine(name: str, belief: Belief, draws: float, grades: Grades) -> Determination:
    """Return what the draws say of one parameter; a path is judged by the median over its knots.

    Parameters
    ----------
    name : str
    belief : Belief
    draws : float
        Independent draws that the posterior is worth.
    grades : Grades
    """
    contraction, shift = float(np.median(belief.contraction)), float(np.median(belief.shift))
    spread = float(np.median(belief.draws.std(axis=0)))
    before = float(np.median(np.sqrt(belief.variance)))
    return Determination(
        name, belief.kind, grades.verdict(contraction, shift), contraction,
        variance_error(contraction, draws), shift, spread, before,
    )  # fmt: skip


def variance_error(contraction: float, draws: float) -> float:
    """Return the Monte Carlo error of a contraction whose posterior variance comes from so many independent draws."""
    return (1.0 - contraction) * math.sqrt(2.0 / max(draws, 1.0))  # normal draws: var(s²) = 2 σ⁴ / n


def parameters_of(twin: Twin, grades: Grades | None = None) -> dict[str, Determination]:
    """Return what the draws of a twin say of each unknown, by name: no solve, no structure, no partner."""
    settings = Grades() if grades is None else grades
    return {name: determine(name, belief, twin.effective_draws, settings) for name, belief in beliefs(twin).items()}


# ---- in words ------------------------------------------------------------------------------------------------------


def narrowed(row: Determination) -> str:
    """Say in words how far the data narrow a parameter."""
    kept = f"{row.contraction:.2f} ± {row.mcse:.2f}"
    text = (
        f"The data narrow its standard deviation from {row.prior_spread:.2g} to {row.spread:.2g} (contraction {kept})."
    )
    if row.verdict == CONFLICT:
        text += f" They move it by {row.shift:+.1f} prior standard deviations."
    return text


def remedy_of(row: Determination) -> str:
    """Say what to do about a quantity that is not determined."""
    if row.verdict == STRUCTURAL:
        return f"Measure another output, or take one of {listed((row.subject, *row.confounded_with))} from elsewhere."
    if row.verdict == CONFLICT:
        return "Check the record's units and whether the prior fits this patient."
    if row.verdict == UNDECIDED:
        return "See that the model solves over its whole prior: `diagnose` says where it does not."
    if row.verdict == DETERMINED:
        return ""
    if row.kind == "prediction":
        return "Measure sooner; `next_measurement` ranks what would narrow it."
    if row.confounded_with:
        return f"Fix it, or measure what tells it from {row.confounded_with[0]}."
    return "Read its posterior as its prior; `next_measurement` ranks what would narrow it."


def listed(names: Sequence[str]) -> str:
    """Join names with commas and an "and"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
