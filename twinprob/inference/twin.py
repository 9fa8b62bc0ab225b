"""What is believed about one patient now; saved to and loaded from one netCDF file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..display import drawn, section, table
from ..dynamics.integrators import AbstractIntegrator
from ..modeling.model import AbstractModel
from ..modeling.observation import Observation
from ..patient.record import Record
from ..patient.require import require_probability
from ..patient.units import span
from .classes import Classes, Misfit
from .encoding import decode, decode_observations, decode_record, encode, encode_record, require_hash, require_kind
from .format import opened, require_groups, require_numbers, require_plain_texts, save
from .methods.sampled import AbstractMethod
from .past import Past, cut

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 3  # unknowns in a line of text


@dataclass(frozen=True, repr=False)
class Twin:
    """One patient's posterior with everything needed to ask it questions.

    Attributes
    ----------
    model : AbstractModel
    record : Record
        What has been seen; `record.end` is the twin's present.
    tree : xarray.DataTree
        Draws and data in the ArviZ schema: `posterior`, `prior`, `posterior_predictive`, `prior_predictive`,
        `log_likelihood`, `log_prior`, `sample_stats`, `observed_data`, `constant_data`; beside them `trajectory`
        (outputs over time), `state` (the state now), `modes` (where each mode is, and its weight) and `unconstrained`
        (positions for the library's own use). Of an updated twin, `filtered` holds quantiles of the outputs over time.
    observations : mapping of str to Observation
        How outputs are measured, where not as the model declares.
    integrator : AbstractIntegrator
    method : AbstractMethod or None
        As `fit` was asked, None for its default; an update that fits the whole record again asks the same.
    past : Past or None
        Of a long record only the end was fitted at once, from `past.time` on: what was known then.
    """

    model: AbstractModel
    record: Record
    tree: xr.DataTree
    observations: Mapping[str, Observation]
    integrator: AbstractIntegrator
    method: Any = None
    past: Past | None = None

    @property
    def now(self) -> float:
        """The time up to which the record is known, min."""
        return self.record.end

    @property
    def recent(self) -> Record:
        """The part of the record that was fitted at once: all of it, but of a long one."""
        return self.record if self.past is None else cut(self.model, self.record, self.past.time)[1]

    @property
    def provenance(self) -> dict[str, Any]:
        """Method, settings, key, versions, data hash and the figures that judge the draws."""
        return json.loads(self.tree.attrs["provenance"])

    def group(self, name: str) -> xr.Dataset:
        """Return one group of the tree as a dataset."""
        return self.tree[name].to_dataset()

    @property
    def draws(self) -> int:
        """Number of posterior draws, all chains together."""
        posterior = self.group("posterior")
        return posterior.sizes["chain"] * posterior.sizes["draw"]

    @property
    def effective_draws(self) -> float:
        """Number of independent draws these are worth, for Monte Carlo errors."""
        return float(self.provenance["effective_draws"])

    def summary(self, *, ci_prob: float = 0.9) -> "pd.DataFrame":
        """Return medians and equal-tailed credible intervals of every parameter.

        Parameters
        ----------
        ci_prob : float
            Probability inside the interval.

        Returns
        -------
        frame : pandas.DataFrame
            Columns parameter, time (min; from when the value holds, empty where constant), unit, median, lower, upper,
            ci_prob, ci_kind, draws, effective_draws, source.

        Raises
        ------
        TypeError, ValueError
            If `ci_prob` is no number between 0 and 1.
        """
        import pandas as pd  # here because importing it takes long

        require_probability("ci_prob", ci_prob)
        levels = [(1 - ci_prob) / 2, 0.5, (1 + ci_prob) / 2]
        posterior, frames = self.group("posterior"), []
        for name, values in posterior.data_vars.items():
            low, middle, high = np.quantile(values.values.reshape(self.draws, -1), levels, axis=0)
            times = posterior[f"{name}_knot"].values if values.ndim > 2 else [np.nan]
            unit, source = values.attrs.get("units", "1"), values.attrs.get("source", "")
            columns = {"parameter": name, "time": times, "unit": unit, "median": middle, "lower": low, "upper": high}
            about = {"draws": self.draws, "effective_draws": self.effective_draws, "source": source}
            frames.append(pd.DataFrame({**columns, "ci_prob": ci_prob, "ci_kind": "eti", **about}))
        return pd.concat(frames, ignore_index=True)

    def plot(self, variable: str | None = None, **how: Any) -> Any:
        """Draw what was measured and what the twin makes of it, as `plots.fan` does.

        Parameters
        ----------
        variable : str, optional
            An output; the first measured one by default.
        **how
            `target` and `start`, as `plots.fan` takes them.

        Returns
        -------
        figure : matplotlib Figure
        """
        return drawn("fan", self, variable, **how)

    def save(self, path) -> None:
        """Write the twin to one netCDF file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            Replaced if it exists.

        Raises
        ------
        OSError
            If it cannot be written: no such folder, a full disk. What was there is untouched, and so is the twin.
        ValueError
            If the twin holds what no file could give back, such as a function.
        """
        save(path, "twin", self.tree, encode_twin(self), [self.model])

    def __repr__(self) -> str:
        """Say in a few lines what is believed about whom, until when, and from what."""
        about = self.provenance
        measured = ", ".join(f"{name} × {one.times.size}" for name, one in self.record.observations.items())
        believed = [
            f"{name} {middle:.3g} ({low:.3g} to {high:.3g}) {unit}" for name, low, middle, high, unit in self._now()
        ]
        more = f", and {len(believed) - _SHOWN} more" if len(believed) > _SHOWN else ""
        return (
            f"Twin: {type(self.model).__name__}, known until {span(self.now)}\n"
            f"  seen: {measured or 'no measurement'}\n"
            f"  {about['method']}, {self.draws} draws worth {self.effective_draws:.0f}\n"
            f"  now, median and 90 % interval: {'; '.join(believed[:_SHOWN])}{more}\n"
            "  `diagnose(twin)` says how far to trust it. Research software, not a medical device."
        )

    def _now(self) -> list[tuple[str, float, float, float, str]]:
        """Return name, 5 %, median, 95 % and unit of each unknown at the twin's present."""
        posterior, found = self.group("posterior"), []
        for name, declared in self.model.parameters().items():
            if name in posterior:
                values = posterior[name].values
                low, middle, high = np.quantile(values if values.ndim == 2 else values[..., -1], [0.05, 0.5, 0.95])
                found.append((name, float(low), float(middle), float(high), declared.unit))
        return found

    def _repr_html_(self) -> str:
        provenance = self.provenance
        posterior = self.group("posterior")
        rows = [
            (
                name,
                middle,
                f"{low:.3g} to {high:.3g}",
                unit,
                "" if posterior[name].ndim == 2 else "now",
                self._removed(name),
            )
            for name, low, middle, high, unit in self._now()
        ]
        about = (
            f"{provenance['method']}, {self.draws} draws (worth {self.effective_draws:.0f}), "
            f"known until {span(self.now)}. Research software, not a medical device."
        )
        title = f"Twin: {type(self.model).__name__}"
        return section(
            title, table(about, ("parameter", "median", "90 % interval", "unit", "at", "removed by data"), rows)
        )

    def _removed(self, name: str) -> str:
        """Say which share of a parameter's prior variance the data removed; `identify` says what follows."""
        if "prior" not in self.tree.children or name not in self.tree["prior"]:
            return ""
        values = [self.group(group)[name].values for group in ("prior", "posterior")]
        last = [x if x.ndim == 2 else x[..., -1] for x in values]
        positive = all(np.all(x > 0) for x in last)
        spread = [float(np.var(np.log(x) if positive else x)) for x in last]
        return f"{max(0.0, 1.0 - spread[1] / max(spread[0], 1e-300)):.0%} of prior variance"


def load(path, *, model: AbstractModel | type[AbstractModel] | None = None, own: Iterable[type] = ()) -> Twin:
    """Read a twin that `Twin.save` wrote, here or with version 0.1.

    Nothing is run or imported on the file's word: it may name twinprob's own classes and those that are passed here or
    were defined before in this process. A warning says once where twinprob, jax or the model changed since.

    Parameters
    ----------
    path : str or Path
    model : AbstractModel or its class, optional
        The user's own model of this twin; the file's must be of its class. Of an instance, the classes of what it
        holds are known too.
    own : iterable of classes
        Further classes of the user's own that the twin uses: noises, processes, methods, parts of a coupled model.

    Returns
    -------
    Twin

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If `model` is no model or `own` holds what is no class.
    ValueError
        If the file is foreign, cut short, changed since it was written or of a newer version, or names a class that is
        neither twinprob's nor known here; the message says what does not fit.
    """
    classes = Classes.passed("load", model, own)
    with opened(path, "twin") as stored:
        twin = decode_twin(stored.described, stored.tree, classes, stored.version)
        stored.compare([twin.model], twin.provenance["versions"])
    return twin


def encode_twin(twin: Twin) -> dict[str, Any]:
    """Return what a file says of a twin beside its tree."""
    described = {
        "model": encode(twin.model),
        "record": encode_record(twin.record),
        "observations": {name: encode(value) for name, value in twin.observations.items()},
        "integrator": encode(twin.integrator),
        "method": encode(twin.method),
    }
    return described | ({} if twin.past is None else {"past": encode(twin.past)})


def decode_twin(described: Mapping[str, Any], tree: xr.DataTree, classes: Classes, version: int) -> Twin:
    """Return the twin that `encode_twin` described, or version 0.1 did.

    Raises
    ------
    Misfit
        If a part is missing, or is not what it should be.
    """
    require_groups(tree, "posterior", "state", "constant_data", *_beside("unconstrained" in tree.children))
    require_numbers(tree, "posterior")
    held = classes.require_model(decode(described["model"], classes))
    twin = Twin(
        model=_known_then(held, tree) if version == 1 else held,
        record=decode_record(described["record"]),
        tree=tree,
        observations=decode_observations(described.get("observations", {}), classes),
        integrator=require_kind(decode(described["integrator"], classes), AbstractIntegrator),
        method=require_kind(decode(described.get("method"), classes), AbstractMethod | None),
        past=require_kind(decode(described.get("past"), classes), Past | None),
    )
    provenance = twin.provenance
    require_plain_texts(provenance, "provenance")
    require_hash(twin.record, provenance["data_hash"])
    _require_draws(twin)
    return twin


def _beside(fitted: bool) -> tuple[str, ...]:
    """Return the groups that a twin has beside its posterior: one that was fitted, or one that was updated."""
    return ("prior", "sample_stats", "trajectory", "unconstrained") if fitted else ("filter", "filtered")


def _known_then(model: AbstractModel, tree: xr.DataTree) -> AbstractModel:
    """Return the model of a file of version 0.1 with parameters that it has only since then at their declared value."""
    later = [name for name in model.unknowns() if name not in tree["posterior"].data_vars]
    return model.fix(**{name: getattr(model, name) for name in later if getattr(model, name) is not None})


def _require_draws(twin: Twin) -> None:
    """Refuse a twin whose draws are not those of its model, or whose provenance does not say where they come from."""
    shape = tuple(twin.group("posterior").sizes[dim] for dim in ("chain", "draw"))
    states, posterior = twin.group("state"), twin.group("posterior")
    wanted = {("state", name): states for name in twin.model.quantities(twin.model.State)}
    wanted |= {("posterior", name): posterior for name in twin.model.unknowns()}
    for (group, name), held in wanted.items():
        if name not in held or held[name].dims[:2] != ("chain", "draw") or held[name].shape[:2] != shape:
            raise Misfit(f"variable `{group}/{name}`, with a value for each draw, is missing")
    for name in twin.model.processes():
        if f"{name}_knot" not in posterior.coords:
            raise Misfit(f"the times of the knots of `{name}` are missing")
    if not twin.draws or not isinstance(twin.provenance["method"], str) or not twin.effective_draws >= 0:
        raise Misfit("its provenance names no method, or it holds no draws")
