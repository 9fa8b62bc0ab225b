"""Why a twin does not recommend: reasons as values, each found before or after its forecasts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..diagnostics.determination import NOT_DETERMINED, Grades, listed, parameters_of
from ..diagnostics.diagnose import diagnose, untried
from ..diagnostics.finding import REFUSE
from ..forecasting.alternatives import alternatives
from ..inference.twin import Twin
from ..labels import Labelled, dataset, tree
from ..patient.inputs import Inputs
from ..patient.units import convert, span

DIAGNOSIS = "the twin's diagnosis failed"
STALE = "the last measurement is too old"
EFFECT = "the effect of the treatment is not determined"
CHARTED = "the effect of a setting is known from charts alone"
OUTSIDE = "the patient lies outside what the population covers"
POTASSIUM = "potassium is low, or was measured too long ago"
NOTHING = "no candidate is within the limits"
FAILED = "too many draws could not be solved"
RESTS_ON_OTHERS = "The effect of a treatment rests on published or prior knowledge, not on this patient's data."
_POTASSIUM, _POTASSIUM_AGE = 3.3, 360.0  # mmol/L, min; a rule for ketoacidosis, taken as a setting
_PRIOR_DRAWS = 500


@dataclass(frozen=True)
class Reason:
    """Why nothing is recommended: one of the sentences of this module, the evidence, and what to do."""

    what: str
    evidence: str
    action: str

    def __str__(self) -> str:
        """Write it as a sentence."""
        return f"{self.what[0].upper()}{self.what[1:]}: {self.evidence} {self.action}"


def diagnosed(twin: Twin) -> list[Reason]:
    """Return a reason where the twin's own diagnosis says not to use it."""
    found = diagnose(twin)
    if found.verdict != REFUSE:
        return []
    worst = next(f for f in found.findings if f.verdict == REFUSE)
    return [Reason(DIAGNOSIS, f"{worst.subject}: {worst.evidence}", worst.action or "See `diagnose(twin)`.")]


def stale(twin: Twin, output: str, oldest: float) -> list[Reason]:
    """Return a reason where an output was last measured more than `oldest` (min) ago, or never."""
    action = f"Measure {output} first."
    if output not in twin.record.observations or not len(twin.record.observations[output].times):
        return [Reason(STALE, f"{output} was never measured.", action)]
    age = twin.now - float(twin.record.observations[output].times[-1])
    if age <= oldest:
        return []
    return [Reason(STALE, f"the last {output} is {span(age)} old, more than {span(oldest)}.", action)]


def outside(twin: Twin) -> list[Reason]:
    """Return a reason where the data put a parameter far from what patients have."""
    grades = Grades()
    far = {n: row.shift for n, row in parameters_of(twin, grades).items() if abs(row.shift) >= grades.conflict}
    if not far:
        return []
    said = listed([f"{name} {shift:+.1f} SD" for name, shift in far.items()])
    action = "Check units and inputs of the record; a population that covers such a patient may serve."
    return [Reason(OUTSIDE, f"{said} from the center of its prior.", action)]


def charted(twin: Twin, given: Sequence[str]) -> list[Reason]:
    """Return a reason where what a plan changes has only the effect that charts show: it is set for a reason there."""
    told = twin.model.told_by_charts()
    return [
        Reason(
            CHARTED,
            f"how outputs follow {name} is `{told[name]}`, and says what is charted beside it, not what it does.",
            f"Fit with `model.fix({told[name]}={getattr(twin.model, told[name]):g})` to decide on it.",
        )
        for name in given
        if name in told
    ]


def potassium(twin: Twin, given: Sequence[str]) -> tuple[list[Reason], list[str]]:
    """Return reason and caveat about potassium where insulin is decided: no model here knows it."""
    if "insulin" not in given:
        return [], []
    if "potassium" not in twin.record.observations:
        return [], ["Potassium is not charted here and in no model: insulin lowers it. Check it first."]
    series = twin.record.observations["potassium"]
    age = twin.now - float(series.times[-1])
    value = float(convert(series.values[-1], series.unit, "mmol/L", variable="potassium"))
    if age > _POTASSIUM_AGE:
        said = f"it was measured {span(age)} ago, more than {span(_POTASSIUM_AGE)}."
        return [Reason(POTASSIUM, said, "Measure it first.")], []
    if value < _POTASSIUM:
        return [Reason(POTASSIUM, f"it was last below {_POTASSIUM} mmol/L.", "Replace it first.")], []
    return [], ["Potassium is in no model here: insulin lowers it."]


@dataclass(frozen=True)
class Effect:
    """How far this patient's data say what a treatment does.

    Attributes
    ----------
    input, output : str
    median, low, high : float
        What the most of it changes in the output at the horizon against the least, with its 90 % interval.
    unit : str
    contraction : float
        1 - (its interquartile range / that under the prior of the treatment's own parameters)².
    verdict : str
        As for any determination; `NOT_DETERMINED` too where the input never changed while something was measured.
    """

    input: str
    output: str
    median: float
    low: float
    high: float
    unit: str
    contraction: float
    verdict: str

    def __str__(self) -> str:
        """Say what is known of the effect, and from where."""
        begin = (
            f"The most {self.input} against the least changes {self.output} by {self.median:+.2g} "
            f"({self.low:+.2g} to {self.high:+.2g}) {self.unit} at the horizon"
        )
        if self.verdict == NOT_DETERMINED:
            return f"{begin}; this rests on published or prior knowledge, not on this patient's data."
        return f"{begin}; this patient's data narrow it ({self.verdict}, contraction {self.contraction:.2f})."


def effects(twin: Twin, plans: Sequence[Inputs], output: str, end: float, key) -> list[Effect]:
    """Return what each input that the plans change does, by this patient's draws and by the prior's.

    The prior's draws of the parameters start from the same states as the posterior's, so that only what the treatment
    does differs.
    """
    found, unit = [], twin.model.quantities(twin.model.Output)[output].unit
    believed, never = _with_prior(twin), untried(twin)
    for name, (least, most) in _extremes(twin, plans).items():
        draws = []
        for one in (twin, believed):
            if one is None:
                continue
            values = alternatives(one, (least, most), [end], key=key).outputs[output][..., 0]
            change = values[1] - values[0]
            draws.append(change[np.isfinite(change)])
        contraction = 0.0
        if len(draws) == 2 and min(map(len, draws)) > 1:
            mine, prior = (np.subtract(*np.quantile(x, [0.75, 0.25])) for x in draws)
            contraction = float(1.0 - (mine / max(prior, 1e-300)) ** 2)
        low, median, high = np.quantile(draws[0], [0.05, 0.5, 0.95]) if len(draws[0]) else (np.nan,) * 3
        # What was never tried on this patient is known from elsewhere, however narrow the model makes it.
        verdict = NOT_DETERMINED if name in never else Grades().verdict(contraction)
        found.append(Effect(name, output, float(median), float(low), float(high), unit, contraction, verdict))
    return found


def undetermined(found: Sequence[Effect]) -> list[Reason]:
    """Return a reason for every effect that the data leave to the prior."""
    action = (
        "Change the treatment and measure, or accept published knowledge of it by `published=True`; every option then "
        "says so."
    )
    return [Reason(EFFECT, str(one), action) for one in found if one.verdict == NOT_DETERMINED]


def _extremes(twin: Twin, plans: Sequence[Inputs]) -> dict[str, tuple[Inputs, Inputs]]:
    """Return for each input that the plans change the plan that gives the least and the one that gives the most."""
    given: Mapping[str, list[tuple[float, Inputs]]] = {}
    for inputs in plans:
        for name in inputs.names:
            course = inputs[name]
            unit = twin.model.quantities(twin.model.Input)[name].unit
            later = course.keep(course.ends > twin.now)
            rates = np.asarray(convert(later.rates, course.unit, unit, variable=name, weight=twin.record.weight), float)
            size = float(np.sum(rates * np.minimum(later.ends - later.starts, 60.0)))
            given.setdefault(name, []).append((size, Inputs({name: course})))  # type: ignore[attr-defined]
    found = {}
    for name, sized in given.items():
        ordered = sorted(sized, key=lambda pair: pair[0])
        least, most = ordered[0], ordered[-1]
        found[name] = (least[1] if most[0] > least[0] else Inputs(), most[1])
    return found


def _with_prior(twin: Twin) -> Twin | None:
    """Return the twin with parameters of its prior and the states of its posterior; None where it holds no prior."""
    if "prior" not in twin.tree.children:
        return None
    prior, posterior, state = twin.group("prior"), twin.group("posterior"), twin.group("state")
    count = min(_PRIOR_DRAWS, prior.sizes["chain"] * prior.sizes["draw"])
    kept = {}
    for name in (str(n) for n in prior.data_vars if n in posterior):
        values, dims = prior[name].values, prior[name].dims[2:]
        flat = values.reshape(-1, *values.shape[2:])[:count]
        kept[name] = Labelled(("chain", "draw", *map(str, dims)), (flat[:, -1:] if dims else flat)[None])
    knots = {
        f"{name}_knot": Labelled((f"{name}_knot",), posterior[f"{name}_knot"].values[-1:])
        for name in twin.model.processes()
    }
    rows = np.linspace(0, twin.draws - 1, count).round().astype(int)
    held = {str(n): Labelled(("chain", "draw"), v.values.ravel()[rows][None]) for n, v in state.data_vars.items()}
    groups = {"posterior": dataset(kept, knots, {}), "state": dataset(held, {}, {})}
    return replace(twin, tree=tree(groups, {str(name): value for name, value in twin.tree.attrs.items()}))
