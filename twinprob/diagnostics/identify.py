"""What these data can and cannot say: a verdict, its evidence and a remedy for every parameter and every prediction."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np
import pandas as pd

from ..display import paragraph, section, table
from ..dynamics.precision import in_double_precision
from ..inference.fit import fit
from ..inference.linearize import subject_of
from ..inference.methods.sampled import AbstractMethod, Sampler
from ..inference.twin import Twin
from ..modeling.model import AbstractModel, nearest
from ..modeling.observation import Observation
from ..patient.inputs import Inputs
from ..patient.record import Record
from ..patient.require import require_each, require_key, require_kinds
from .determination import (
    CONFLICT,
    DETERMINED,
    NOT_DETERMINED,
    STRUCTURAL,
    UNDECIDED,
    WEAK,
    Belief,
    Determination,
    Grades,
    beliefs,
    cut_by_solver,
    determine,
    listed,
)
from .evidence import explained, undecided
from .information import Information, information
from .prospect import ahead, predictions_of
from .structural import Structural, structural

_TIMES, _MOMENTS = 24, 6
_ORDER = (STRUCTURAL, CONFLICT, UNDECIDED, NOT_DETERMINED, WEAK, DETERMINED)


@dataclass(frozen=True)
class Identification:
    """What the data of one patient determine, and what they do not.

    Attributes
    ----------
    rows : tuple of Determination
        Parameters, then predictions.
    ridges : tuple of (str, str, float)
        Pairs of parameters that trade off in the posterior, with their correlation, strongest first.
    information : Information
        The first-order answer, for its spectrum and collinearity.
    structural : Structural
        What could be told from perfect data.
    contraction_over_time : pandas.DataFrame
        Columns time (min), parameter, contraction: to first order, by what was measured until then.
    """

    rows: tuple[Determination, ...]
    ridges: tuple[tuple[str, str, float], ...]
    information: Information
    structural: Structural
    contraction_over_time: pd.DataFrame

    @property
    def parameters(self) -> tuple[Determination, ...]:
        """The rows about parameters, paths and sizes of noise."""
        return tuple(row for row in self.rows if row.kind != "prediction")

    @property
    def predictions(self) -> tuple[Determination, ...]:
        """The rows about future outputs."""
        return tuple(row for row in self.rows if row.kind == "prediction")

    def __getitem__(self, subject: str) -> Determination:
        """Return the row about a parameter, or a prediction such as "glucose in 2 h"."""
        subjects = {row.subject: row for row in self.rows}
        if subject not in subjects:
            raise KeyError(f"Nothing is said about `{subject}`; {nearest(subject, subjects)}")
        return subjects[subject]

    @property
    def summary(self) -> str:
        """What is determined and what is not, in one or two sentences."""
        loose = [row.subject for row in self.parameters if row.verdict in (STRUCTURAL, NOT_DETERMINED)]
        firm = [row.subject for row in self.predictions if row]
        soft = [row.subject for row in self.predictions if row.verdict == WEAK]
        open_ = [row.subject for row in self.predictions if row.verdict not in (DETERMINED, WEAK)]
        parts = []
        if loose:
            parts.append(
                f"These data do not determine {listed(loose)}: to read a posterior there is to read the prior."
            )
        elif self.parameters:
            parts.append("These data say something about every parameter.")
        if firm:
            parts.append(f"They do determine {listed(firm)}" + (", although not every parameter." if loose else "."))
        if soft:
            parts.append(f"They determine {listed(soft)} only weakly.")
        if open_:
            parts.append(f"They do not determine {listed(open_)}.")
        return " ".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a quantity, with the attributes of `Determination` as columns."""
        frame = pd.DataFrame([dataclasses.asdict(row) for row in self.rows])
        return frame.assign(confounded_with=[", ".join(row.confounded_with) for row in self.rows])

    def __str__(self) -> str:
        """Write summary and rows as lines of text, the least determined parameter first."""
        lines = [self.summary]
        lines += [f"  {row}" for row in _sorted(self.parameters)]
        lines += [f"  {row}" for row in self.predictions]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [
            (row.subject, row.verdict, f"{row.contraction:.2f} ± {row.mcse:.2f}", row.evidence, row.remedy)
            for row in (*_sorted(self.parameters), *self.predictions)
        ]
        header = ("what", "verdict", "contraction", "evidence", "what to do")
        note = (
            "Contraction: share of the prior variance that the data removed. Research software, not a medical device."
        )
        return section("What these data determine", paragraph(self.summary), table("", header, rows), paragraph(note))


def _sorted(rows: Sequence[Determination]) -> list[Determination]:
    return sorted(rows, key=lambda row: (_ORDER.index(row.verdict), row.contraction))


@in_double_precision
def identify(
    subject: Twin | AbstractModel,
    record: Record | None = None,
    *,
    key,
    hours: Sequence[float] = (1.0, 2.0, 3.0, 4.0),
    inputs: Inputs | None = None,
    method: AbstractMethod | None = None,
    observations: Mapping[str, Observation] | None = None,
    grades: Grades | None = None,
) -> Identification:
    """Say of every parameter and every prediction whether the data determine it, why, and what to do if not.

    Parameters
    ----------
    subject : Twin or AbstractModel
        A model is fitted to the record first.
    record : Record, optional
        Needed for a model; a twin has its own.
    key : jax PRNG key
    hours : sequence of float
        Horizons of the predictions, hours from the twin's present; none for parameters alone.
    inputs : Inputs, optional
        What will be done; infusions run on as they are by default.
    method : Laplace or NUTS, optional
    observations : mapping of str to Observation, optional
        As for `fit`, for a model.
    grades : Grades, optional

    Returns
    -------
    Identification

    Raises
    ------
    ValueError
        If the record holds no measurement of an output, is missing or given twice, or a horizon is not positive.
    """
    require_key(key)
    require_kinds(inputs=(inputs, Inputs, None), method=(method, Sampler, None), grades=(grades, Grades, None))
    require_each("observations", observations, Observation)
    fit_key, structure_key, ahead_key = jax.random.split(key, 3)
    model, known_until_now, observations, *_ = subject_of(subject, record, observations)
    _require_observation(model, known_until_now)
    twin = (
        subject
        if isinstance(subject, Twin)
        else fit(model, known_until_now, key=fit_key, method=method, observations=observations)
    )
    settings = Grades() if grades is None else grades
    said = information(twin)
    structure = _structure(twin, key=structure_key)
    known = beliefs(twin)
    rows = _rows(twin, known, said, structure, settings)
    rows += predictions_of(twin, hours, inputs, settings, key=ahead_key) if len(hours) else []
    return Identification(tuple(rows), _ridges(known, settings), said, structure, _over_time(said))


@in_double_precision
def determined(
    twin: Twin,
    quantity: str,
    *,
    key,
    hours: float | None = None,
    inputs: Inputs | None = None,
    grades: Grades | None = None,
) -> Determination:
    """Say whether the data of a twin determine one quantity: what a recommendation asks before it relies on it.

    Parameters
    ----------
    twin : Twin
    quantity : str
        A parameter, or an output `hours` ahead.
    key : jax PRNG key
    hours : float, optional
        Needed for an output.
    inputs : Inputs, optional
        What will be done; infusions run on as they are by default.
    grades : Grades, optional

    Returns
    -------
    Determination
        True if the quantity is determined; prints its reason.

    Raises
    ------
    ValueError
        If the model has no such unknown or output, or an output comes without `hours`.
    """
    require_key(key)
    require_kinds(twin=(twin, Twin), inputs=(inputs, Inputs, None), grades=(grades, Grades, None))
    settings = Grades() if grades is None else grades
    outputs = twin.model.quantities(twin.model.Output)
    if quantity in outputs:
        if hours is None:
            raise ValueError(f"A prediction of `{quantity}` needs `hours`: how far ahead.")
        rows = predictions_of(twin, (hours,), inputs, settings, key=key)
        return next(row for row in rows if row.subject == ahead(quantity, hours))
    known = beliefs(twin)
    if quantity not in known:
        raise ValueError(
            f"Model `{type(twin.model).__name__}` has no unknown or output `{quantity}`; "
            f"{nearest(quantity, (*outputs, *known))}"
        )
    rows = _rows(twin, known, information(twin), _structure(twin, key=key), settings)
    return next(row for row in rows if row.subject == quantity)


def _require_observation(model: AbstractModel, record: Record) -> None:
    outputs = tuple(model.quantities(model.Output))
    if not any(name in record.observations and record.observations[name].times.size for name in outputs):
        raise ValueError(
            f"The record holds no measurement of any output of model `{type(model).__name__}` ({', '.join(outputs)}), "
            "so nothing can be said; `information` takes `planned` measurements."
        )


# ---- what perfect data could say ------------------------------------------------------------------------------------


def _structure(twin: Twin, *, key) -> Structural:
    """Ask for the structure under what this record measures and gives."""
    model, record = twin.model, twin.record
    outputs = [
        n for n in model.quantities(model.Output) if n in record.observations and len(record.observations[n].times)
    ]
    absent, constant = [], []
    for name, declared in model.quantities(model.Input).items():
        if declared.measured:
            continue
        times, values = record.inputs[name].steps() if name in record.inputs else (np.zeros(0), np.zeros(0))
        inside = values[(times > record.start) & (times < record.end)]
        levels = {float(record.inputs[name].at(record.start)) if name in record.inputs else 0.0, *map(float, inside)}
        if levels == {0.0}:
            absent.append(name)
        elif len(levels) == 1:
            constant.append(name)
    seen = np.concatenate([record.observations[name].times for name in outputs]) if outputs else np.zeros(0)
    moments = np.quantile(seen, np.linspace(0.0, 1.0, _MOMENTS)) if seen.size else ()
    return structural(model, outputs=outputs, absent=tuple(absent), constant=tuple(constant), moments=moments, key=key)


# ---- parameters -----------------------------------------------------------------------------------------------------


def _rows(twin: Twin, known: Mapping[str, Belief], said: Information, structure: Structural, settings: Grades):
    """Return what is said of every unknown."""
    sensitive, cut = _power_scaling(twin, known), cut_by_solver(twin)
    rows = [
        explained(determine(name, belief, twin.effective_draws, settings), belief, said, structure, sensitive, settings)
        for name, belief in known.items()
    ]
    return [undecided(row, cut) if cut and row.verdict in (WEAK, DETERMINED) else row for row in rows]


def _power_scaling(twin: Twin, known: Mapping[str, Belief]) -> dict[str, tuple[float, float]]:
    """Return how the posterior of each constant parameter follows a power of the priors and of the likelihood."""
    if "log_prior" not in twin.tree.children or "log_likelihood" not in twin.tree.children:
        return {}
    from arviz_stats import psense  # here because importing it loads matplotlib

    names = [name for name, belief in known.items() if belief.kind != "path"]
    priors = [str(n) for n in twin.group("log_prior").data_vars if not str(n).endswith("_innovations")]
    by_prior = psense(twin.tree, var_names=names, group="prior", group_var_names=priors)
    by_data = psense(twin.tree, var_names=names, group="likelihood")
    return {name: (float(by_prior[name]), float(by_data[name])) for name in names}


def _ridges(known: Mapping[str, Belief], settings: Grades) -> tuple[tuple[str, str, float], ...]:
    """Return the pairs that trade off; a path counts by its mean over time, its base is left out."""
    names = [n for n in known if n.removesuffix("_start") not in known or not n.endswith("_start")]
    if len(names) < 2:
        return ()
    correlation = np.corrcoef(np.stack([known[name].draws.mean(axis=1) for name in names]))
    pairs = [
        (names[i], names[j], float(correlation[i, j]))
        for i in range(len(names))
        for j in range(i)
        if abs(correlation[i, j]) >= settings.correlated
    ]
    return tuple(sorted(pairs, key=lambda pair: -abs(pair[2])))


def _over_time(said: Information) -> pd.DataFrame:
    """Return the contraction by what was measured until each of some times."""
    distinct = np.unique(said.times)
    times = distinct[np.unique(np.linspace(0, len(distinct) - 1, _TIMES).astype(int))]
    return pd.concat(
        [
            pd.DataFrame({"time": times, "parameter": name, "contraction": values})
            for name, values in said.over_time(times).items()
        ],
        ignore_index=True,
    )
