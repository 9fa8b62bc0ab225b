"""Profile likelihood: how much worse the data are explained when a parameter, or a prediction, is held elsewhere."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpyro.distributions as dist
import pandas as pd

from ..display import section, table
from ..dynamics.integrators import AbstractIntegrator
from ..dynamics.precision import in_double_precision
from ..inference.joint import Joint, joint
from ..inference.linearize import best_position, carry, center_of, scalar_moments, subject_of
from ..inference.methods.climb import split
from ..inference.twin import Twin
from ..modeling.model import AbstractModel, nearest
from ..modeling.observation import Observation
from ..patient.inputs import Inputs
from ..patient.record import Record
from ..patient.require import number, require_count, require_hours, require_kinds, require_probability, require_within
from .continuation import Course, follow
from .information import prolonged

_FLAT = 0.1


@dataclass(frozen=True)
class Profile:
    """The profile of one parameter or prediction.

    Attributes
    ----------
    name, unit : str
    values : (point,) increasing, in the unit
    deviance : (point,)
        Twice the log likelihood lost against the best fit.
    best : float
    lower, upper : float
        Where the deviance crosses the threshold; the end of what is possible (zero, infinity) where it never does.
    shape : str
        "bounded", "open below", "open above", "open" (both) or "flat" (open, and nothing is lost anywhere).
    level, threshold : float
        Probability of the interval and the chi-square quantile that belongs to it.
    """

    name: str
    unit: str
    values: np.ndarray
    deviance: np.ndarray
    best: float
    lower: float
    upper: float
    shape: str
    level: float
    threshold: float

    def __str__(self) -> str:
        """Write best value, interval and shape as a sentence."""
        where = {
            "bounded": "",
            "flat": f"; flat from {self.values[0]:.3g} to {self.values[-1]:.3g}: any value explains the data as well",
            "open": f"; open on both sides, looked at from {self.values[0]:.3g} to {self.values[-1]:.3g}",
            "open above": f"; open above, looked at up to {self.values[-1]:.3g}",
            "open below": f"; open below, looked at down to {self.values[0]:.3g}",
        }[self.shape]
        return (
            f"{self.name}: {self.best:.3g} {self.unit}, {100 * self.level:g} % interval {self.lower:.3g} to "
            f"{self.upper:.3g}{where}."
        )


@dataclass(frozen=True)
class Profiles:
    """Profiles by name, and what the other unknowns did meanwhile.

    Attributes
    ----------
    profiles : mapping of str to Profile
    nuisances : mapping of str to pandas.DataFrame
        The other constant parameters along each profile, one row a point.
    log_likelihood : float
        Of the best fit.
    """

    profiles: Mapping[str, Profile]
    nuisances: Mapping[str, pd.DataFrame]
    log_likelihood: float

    def __getitem__(self, name: str) -> Profile:
        """Return the profile of one parameter or prediction."""
        if name not in self.profiles:
            raise KeyError(f"There is no profile of `{name}`; {nearest(name, self.profiles)}")
        return self.profiles[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.profiles)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a profile: best value, interval, shape."""
        names = ("name", "unit", "best", "lower", "upper", "shape", "level")
        return pd.DataFrame([{n: getattr(p, n) for n in names} for p in self.profiles.values()])

    def __str__(self) -> str:
        """Write one line a profile."""
        return "\n".join(str(p) for p in self.profiles.values())

    def _repr_html_(self) -> str:
        rows = [(p.name, p.best, p.lower, p.upper, p.unit, p.shape) for p in self.profiles.values()]
        header = ("what", "best", "from", "to", "unit", "shape")
        return section("Profile likelihood", table("", header, rows))


@in_double_precision
def profile(
    subject: Twin | AbstractModel,
    record: Record | None = None,
    *,
    names: Sequence[str] | None = None,
    predictions: Mapping[str, Sequence[float]] | None = None,
    inputs: Inputs | None = None,
    level: float = 0.95,
    widen: float = 10.0,
    reach: float = 4.0,
    points: int = 18,
    observations: Mapping[str, Observation] | None = None,
    integrator: AbstractIntegrator | None = None,
) -> Profiles:
    """Profile the likelihood along parameters and predictions, all at once, each point started from its neighbor.

    Parameters
    ----------
    subject : Twin or AbstractModel
    record : Record, optional
        Needed for a model; a twin has its own.
    names : sequence of str, optional
        Constant parameters, or the base `<name>_start` of one that varies; all by default.
    predictions : mapping of str to (horizon,) hours, optional
        Outputs and how far after the record's end.
    inputs : Inputs, optional
        What will be done until then; infusions run on as they are by default.
    level : float
        Probability of the intervals.
    widen : float
        Factor on the standard deviation of every parameter's prior. At 10 a prior weighs a hundredth: enough to keep
        what the data say nothing about among the numbers, too little to bound its own profile (a partner's prior that
        is much tighter may still do so: widen more). At 1 the posterior density is profiled.
    reach : float
        How far to look, in prior standard deviations to either side of the best value.
    points : int
        Most points to either side.
    observations, integrator
        As for `fit`; a twin has its own.

    Returns
    -------
    Profiles

    Raises
    ------
    ValueError
        If the record holds no measurement, is missing or given twice, or there is no such parameter or output.

    Notes
    -----
    Paths are part of the model: each is re-optimized under its own process, whose volatility is held, as are the sizes
    of noise where there is a path (together with one they have no maximum). A prediction is profiled with an imagined
    measurement (Kreutz and others).

    References
    ----------
    - Raue A et al. Structural and practical identifiability analysis of partially observed dynamical models by
      exploiting the profile likelihood. Bioinformatics 2009;25:1923-1929. doi:10.1093/bioinformatics/btp358
    - Kreutz C, Raue A, Timmer J. Likelihood based observability analysis and confidence intervals for predictions
      of dynamic models. BMC Syst Biol 2012;6:120. doi:10.1186/1752-0509-6-120
    """
    require_kinds(inputs=(inputs, Inputs, None))
    require_probability("level", level)
    require_count("points", points, 1, 10_000)
    for name, factor in (("widen", widen), ("reach", reach)):
        require_within(f"Argument `{name}`", factor, number(0.0, 1e6, above=True))
    model, record, observations, integrator, past = subject_of(subject, record, observations, integrator)
    asked = _asked(model, record, predictions or {})
    whole = prolonged(model, record, {}, [time for _, time in asked], inputs)
    flat = widened(model, widen)
    times = np.unique([time for _, time in asked])
    density = joint(flat, whole, observations=observations, integrator=integrator, times=times, past=past)
    if isinstance(subject, Twin) and "unconstrained" in subject.tree.children:
        seen = joint(model, record, observations=observations, integrator=integrator, past=past)
        begin = carry(seen, density, center_of(subject))
    else:
        how = {"observations": observations, "integrator": integrator, "past": past}
        begin = best_position(joint(model, whole, times=times, **how))
    chosen = _chosen(density, names)
    if not chosen and not asked:
        raise ValueError("There is nothing to profile: name a constant parameter, or `predictions`.")
    limit = _threshold(level)
    course = follow(density, chosen, asked, begin, reach=reach, widen=widen, points=points, stop=1.3 * limit)
    return _told(density, chosen, asked, course, record.end, level, limit)


def widened(model: AbstractModel, factor: float) -> AbstractModel:
    """Return the model with every parameter's prior standard deviation multiplied, on the unconstrained scale."""
    priors = {}
    for name in model.unknowns():
        mean, variance = scalar_moments(model.prior(name))
        normal, support = dist.Normal(mean, factor * math.sqrt(variance)), model.prior(name).support
        bijector = dist.biject_to(support)
        real = isinstance(bijector, dist.transforms.IdentityTransform)
        if isinstance(bijector, dist.transforms.ExpTransform):
            priors[name] = dist.LogNormal(normal.loc, normal.scale)
        else:
            priors[name] = normal if real else dist.TransformedDistribution(normal, bijector)
    return model.free(**priors)


def _threshold(level: float) -> float:
    from scipy.stats import chi2  # here because importing it takes as long as half of JAX

    return float(chi2.ppf(level, 1))


def _asked(model, record: Record, predictions) -> list[tuple[str, float]]:
    """Return the predictions asked for as (output, time in min)."""
    outputs = model.quantities(model.Output)
    for name, hours in predictions.items():
        if name not in outputs:
            raise ValueError(f"Model `{type(model).__name__}` has no output `{name}`; {nearest(name, outputs)}")
        for each in np.atleast_1d(hours):
            require_hours(each, f"predictions[{name!r}]")
    return [(n, record.end + 60.0 * float(h)) for n, hours in predictions.items() for h in np.atleast_1d(hours)]


def _chosen(density: Joint, names) -> list[str]:
    """Return the sites to profile."""
    parts, layout = split(density), density.layout()
    constant = [n for n, p in layout.items() if not parts.path[p].any() and not parts.scale[p].any()]
    for name in names or ():
        if name not in constant:
            raise ValueError(f"There is no constant unknown `{name}` to profile; {nearest(name, constant)}")
    return list(constant if names is None else names)


# ---- from the course to profiles ------------------------------------------------------------------------------------


def _told(density: Joint, chosen, asked, course: Course, now: float, level: float, limit: float) -> Profiles:
    model, layout = density.model, density.layout()
    outputs = model.quantities(model.Output)
    profiles, nuisances = {}, {}
    for i, name in enumerate((*chosen, *asked)):
        coordinates, deviance, positions = course.joined(i)
        if isinstance(name, tuple):
            output, time = name
            label = f"{output} in {(time - now) / 60:g} h"
            profiles[label] = _profile(label, outputs[output].unit, coordinates, deviance, lambda x: x, level, limit)
        else:
            label, declared = name, model.parameters()[name.removesuffix("_start")]
            bijector = dist.biject_to(density.sites()[name].support)
            profiles[label] = _profile(
                label,
                declared.unit,
                coordinates,
                deviance,
                lambda x, b=bijector: np.asarray(b(np.asarray(x))),
                level,
                limit,
            )
        kept = [site for site in _chosen(density, None) if site != name]
        nuisances[label] = pd.DataFrame(
            {
                site: np.asarray(dist.biject_to(density.sites()[site].support)(positions[:, layout[site].start]))
                for site in kept
            }
        )
    return Profiles(profiles, nuisances, course.log_likelihood)


def _profile(name, unit, coordinates, deviance, natural, level: float, limit: float) -> Profile:
    """Find where a profile crosses its threshold on either side, along the root of the deviance, which is straight."""
    best = int(np.argmin(deviance))
    roots = np.sqrt(np.maximum(deviance, 0.0))
    edges = [
        _crossing(coordinates[best::-1], roots[best::-1], math.sqrt(limit)),
        _crossing(coordinates[best:], roots[best:], math.sqrt(limit)),
    ]
    closed = [edge is not None for edge in edges]
    shape = {(True, True): "bounded", (True, False): "open above", (False, True): "open below", (False, False): "open"}
    word = "flat" if not any(closed) and deviance.max() < _FLAT else shape[closed[0], closed[1]]
    ends = [natural(np.array(x)) for x in (-np.inf, np.inf)]
    found = [float(end if edge is None else natural(np.array(edge))) for edge, end in zip(edges, ends, strict=True)]
    return Profile(
        name, unit, np.asarray(natural(coordinates)), deviance, float(natural(coordinates[best])), found[0], found[1],
        word, level, limit,
    )  # fmt: skip


def _crossing(coordinates, roots, limit: float) -> float | None:
    """Return where the root of the deviance first reaches the limit, going away from the best value."""
    above = np.flatnonzero(roots >= limit)
    if not above.size:
        return None
    i = int(above[0])
    share = (limit - roots[i - 1]) / (roots[i] - roots[i - 1])
    return float(coordinates[i - 1] + share * (coordinates[i] - coordinates[i - 1]))
