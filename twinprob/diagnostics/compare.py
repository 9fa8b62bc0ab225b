"""Which of several models of one patient predicts better, and which is more probable."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..display import paragraph, section, table
from ..inference.methods.sampled import TRUSTED
from ..inference.methods.smc import pool
from ..inference.twin import Twin
from ..patient.require import require_each, require_kinds

# Settings, not published figures: a difference below four is small whatever its error, and the error of the
# difference is too small with few measurements (Sivula et al., arXiv:2008.10296).
_SMALL = 4.0
_FEW = 30
_ODDS = 3.0


@dataclass(frozen=True)
class Compared:
    """One model among those compared.

    Attributes
    ----------
    name : str
    elpd : float, expected log density of a measurement left out, summed over all of them
    elpd_se : float, its standard error
    effective_parameters : float
    behind, behind_se : float, how much lower `elpd` is than the best model's, and the error of that difference
    log_evidence, log_evidence_error : float, with its Monte Carlo error; NaN where the method gives none
    elpds : (measurement,) the parts of `elpd`
    khats : (measurement,) Pareto k-hat of leaving each out
    limit : float, the k-hat above which leaving one out could not be judged
    """

    name: str
    elpd: float
    elpd_se: float
    effective_parameters: float
    behind: float
    behind_se: float
    log_evidence: float
    log_evidence_error: float
    elpds: np.ndarray
    khats: np.ndarray
    limit: float

    @property
    def unjudged(self) -> int:
        """Number of measurements whose k-hat is above the limit."""
        return int(np.sum(~(self.khats <= self.limit)))


@dataclass(frozen=True, repr=False)
class Comparison:
    """Models of one record side by side, the best at leaving out first.

    Attributes
    ----------
    models : tuple of Compared
    measurements : tuple of (str, float), variable and time (min) of each measurement
    """

    models: tuple[Compared, ...]
    measurements: tuple[tuple[str, float], ...]

    def __getitem__(self, name: str) -> Compared:
        """Return one model by its name."""
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(f"No model is called `{name}`; compared were {', '.join(f'`{m.name}`' for m in self.models)}.")

    @property
    def reliable(self) -> bool:
        """Whether every measurement could be left out in every model."""
        return not any(model.unjudged for model in self.models)

    @property
    def words(self) -> tuple[str, ...]:
        """What the figures say, a sentence each, warnings last."""
        return (*self._predictions(), *self._evidence(), *self._warnings())

    def _predictions(self) -> list[str]:
        best, said = self.models[0], []
        for other in self.models[1:]:
            gap = f"{other.behind:.1f} ± {other.behind_se:.1f}"
            if other.behind > _SMALL and other.behind > 2.0 * other.behind_se:
                said.append(f"`{best.name}` predicts a measurement left out better than `{other.name}`: {gap} nats.")
            else:
                said.append(f"`{best.name}` and `{other.name}` predict a measurement left out about alike: {gap} nats.")
        return said

    def _evidence(self) -> list[str]:
        known = sorted((m for m in self.models if math.isfinite(m.log_evidence)), key=lambda m: -m.log_evidence)
        said = []
        for other in known[1:]:
            gap = known[0].log_evidence - other.log_evidence
            error = math.hypot(known[0].log_evidence_error, other.log_evidence_error)
            if gap - 2.0 * error > _ODDS:
                said.append(
                    f"The evidence is for `{known[0].name}` over `{other.name}`: {gap:.1f} ± {error:.1f} nats, odds of "
                    f"{math.exp(min(gap, 30.0)):.3g} to 1 under these priors."
                )
            else:
                said.append(
                    f"The evidence does not tell `{known[0].name}` from `{other.name}`: {gap:.1f} ± {error:.1f} nats."
                )
        without = [f"`{m.name}`" for m in self.models if m not in known]
        if without and len(self.models) > 1:
            said.append(f"No log evidence is known of {', '.join(without)}: fit with `method=SMC()`.")
        return said

    def _warnings(self) -> list[str]:
        count, said = len(self.measurements), []
        for model in self.models:
            if model.unjudged:
                said.append(
                    f"Unreliable: in `{model.name}` {model.unjudged} of {count} measurements have a k-hat above "
                    f"{model.limit:.2f} (largest {np.max(model.khats):.2f}); its path follows them so closely that "
                    "leaving one out cannot be judged from these draws. Trust the log evidence, or `evaluate`, instead."
                )
        if count < _FEW and len(self.models) > 1:
            said.append(f"With {count} measurements the errors of the differences are themselves too small.")
        return said

    def _rows(self) -> list[tuple[object, ...]]:
        return [
            (
                m.name,
                f"{m.elpd:.1f} ± {m.elpd_se:.1f}",
                f"{m.behind:.1f} ± {m.behind_se:.1f}" if i else "best",
                f"{m.effective_parameters:.1f}",
                f"{m.unjudged} of {len(m.khats)}",
                f"{m.log_evidence:.2f} ± {m.log_evidence_error:.2f}" if math.isfinite(m.log_evidence) else "unknown",
            )
            for i, m in enumerate(self.models)
        ]

    def __str__(self) -> str:
        """Write the table and what it says."""
        rows = [_HEADER, *self._rows()]
        widths = [max(len(str(row[i])) for row in rows) for i in range(len(_HEADER))]
        lines = ["  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([line.rstrip() for line in lines] + list(self.words))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        names = ", ".join(dict.fromkeys(name for name, _ in self.measurements))
        title = f"{len(self.models)} models of {len(self.measurements)} measurements ({names})"
        return section(title, table("", _HEADER, self._rows()), *(paragraph(sentence) for sentence in self.words))


_HEADER = ("model", "left-out log density", "behind", "effective parameters", "unjudged", "log evidence")


def compare(twins: Mapping[str, Twin]) -> Comparison:
    """Compare models fitted to one record: leave-one-measurement-out, and log evidence where known.

    Parameters
    ----------
    twins : mapping of str to Twin
        At least two, by the names to show. All must be fitted to the same record.

    Returns
    -------
    Comparison
        Prints as a table with what it says in words; a notebook shows it as HTML.

    Raises
    ------
    ValueError
        If fewer than two twins are given, one has no log likelihood (it was updated by the filter, or has seen no
        measurement), or they did not see the same data; the message names the twin and what differs.

    Notes
    -----
    Leaving out is by Pareto-smoothed importance sampling [1]. A measurement is left out between its neighbors in
    time, so this asks how well a gap is filled; how well the future is forecast, `evaluate` asks. A path flexible
    enough to follow each measurement has large k-hats, and is said to be unreliable. The log evidence is that of the
    whole record under each model's priors, and as sensitive to them.

    References
    ----------
    .. [1] Vehtari, Gelman and Gabry, 2017, Statistics and Computing 27, doi:10.1007/s11222-016-9696-4
    """
    require_kinds(twins=(twins, Mapping))
    require_each("twins", twins, Twin)
    if len(twins) < 2:
        raise ValueError(f"Argument `twins` must hold at least two twins to compare, but holds {len(twins)}.")
    first = next(iter(twins))
    for name, twin in twins.items():
        _check(name, twin, first, twins[first])
    left_out = {name: _leave_out(twin) for name, twin in twins.items()}
    order = sorted(twins, key=lambda name: -left_out[name].elpd)
    best = left_out[order[0]].elpd_i.values
    models = []
    for name in order:
        found = left_out[name]
        gaps = best - found.elpd_i.values
        evidence, error = log_evidence(twins[name])
        models.append(
            Compared(
                name=name,
                elpd=float(found.elpd),
                elpd_se=float(found.se),
                effective_parameters=float(found.p),
                behind=float(gaps.sum()),
                behind_se=float(np.sqrt(len(gaps) * np.var(gaps))),
                log_evidence=evidence,
                log_evidence_error=error,
                elpds=found.elpd_i.values,
                khats=found.pareto_k.values,
                limit=float(found.good_k),
            )
        )
    likelihood = twins[first].group("log_likelihood")
    measurements = [(str(n), float(t)) for n in likelihood.data_vars for t in likelihood[f"{n}_time"].values]
    return Comparison(tuple(models), tuple(measurements))


def log_evidence(twin: Twin) -> tuple[float, float]:
    """Return the log evidence of a twin's model and its Monte Carlo error.

    Parameters
    ----------
    twin : Twin
        Fitted by a method that estimates it, such as `SMC`.

    Returns
    -------
    log_evidence, error : float
        NaN where the method gives none, or where its k-hat of 0.7 or more says that it cannot be relied on.
    """
    require_kinds(twin=(twin, Twin))
    stats = twin.group("sample_stats") if "sample_stats" in twin.tree.children else xr.Dataset()
    if "log_marginal_likelihood" not in stats or twin.provenance["khat"] >= TRUSTED:
        return math.nan, math.nan
    return pool(stats["log_marginal_likelihood"].values[:, -1])


def _check(name: str, twin: Twin, first: str, other: Twin) -> None:
    """Refuse a twin that cannot be compared with the first."""
    if "log_likelihood" not in twin.tree.children:
        why = "was updated by the filter" if twin.provenance["method"] == "Filter" else "has seen no measurement"
        raise ValueError(f"Twin `{name}` has no log likelihood, because it {why}; compare twins that `fit` returned.")
    if twin.record != other.record:
        raise ValueError(
            f"Twins `{first}` and `{name}` saw different data: {_difference(other, twin)}. Fit both to one record."
        )
    if twin.recent.start != other.recent.start:
        begins = [one.recent.start / 60 for one in (other, twin)]
        raise ValueError(
            f"Twins `{first}` and `{name}` were fitted from {begins[0]:g} and {begins[1]:g} h on, and what came before "
            "was filtered: fit both with one `window`."
        )
    ours, theirs = twin.group("log_likelihood"), other.group("log_likelihood")
    if set(ours.data_vars) != set(theirs.data_vars):
        odd = sorted(str(v) for v in set(ours.data_vars) ^ set(theirs.data_vars))
        raise ValueError(
            f"Twins `{first}` and `{name}` explain different measurements: only one of them has the output "
            f"`{odd[0]}`. Leave it out of the record that both are fitted to."
        )
    for variable in ours.data_vars:
        units = [t.group("observed_data")[variable].attrs.get("units", "") for t in (other, twin)]
        if units[0] != units[1]:
            raise ValueError(
                f"Twins `{first}` and `{name}` state `{variable}` in {units[0]} and {units[1]}: densities per unit "
                "cannot be compared. Declare one unit in both models."
            )


def _difference(one: Twin, other: Twin) -> str:
    """Say what two records do not share, without their values."""
    a, b = one.record, other.record
    for name in sorted({*a.observations, *b.observations}):
        if name not in a.observations or name not in b.observations:
            return f"only one record holds `{name}`"
        first, second = a.observations[name], b.observations[name]
        if len(first.times) != len(second.times):
            return f"`{name}` has {len(first.times)} and {len(second.times)} measurements"
        if first.unit != second.unit:
            return f"`{name}` is in {first.unit} and {second.unit}"
        differing = (first.times != second.times) | (first.values != second.values) | (first.limits != second.limits)
        if differing.any():
            return f"`{name}` differs at measurement {int(np.argmax(differing))}"
    if (a.start, a.end) != (b.start, b.end):
        return f"one is known until {a.end:g} min, the other until {b.end:g} min"
    alone = sorted(set(a.inputs.courses) ^ set(b.inputs.courses)) + sorted(set(a.covariates) ^ set(b.covariates))
    return f"only one record holds `{alone[0]}`" if alone else "their inputs or covariates differ"


def _leave_out(twin: Twin):
    """Return ArviZ's leave-one-out result over all measurements of all outputs together."""
    from arviz_stats import loo  # here because importing it loads matplotlib

    likelihood = twin.group("log_likelihood")
    parts = [likelihood[name].values.reshape(-1, likelihood[name].shape[-1]) for name in likelihood.data_vars]
    values = np.concatenate(parts, axis=1)
    values = values[np.isfinite(values).all(axis=1)]  # a draw whose solve failed has none
    group = xr.Dataset({"measured": (("chain", "draw", "measurement"), values[None])})
    data = xr.DataTree.from_dict({"log_likelihood": group.assign_coords(chain=[0], draw=np.arange(len(values)))})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Estimated shape parameter", UserWarning)  # `Comparison` says it in words
        return loo(data, pointwise=True, reff=min(1.0, twin.effective_draws / max(len(values), 1)))
