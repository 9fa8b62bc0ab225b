"""What is believed about one patient now; saved to and loaded from one netCDF file."""

import dataclasses
import importlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import numpyro.distributions as dist
import xarray as xr

from ..display import section, table
from ..dynamics.simulate import AbstractIntegrator
from ..modeling.couple import Coupled, couple
from ..modeling.model import AbstractModel
from ..modeling.observation import Observation
from ..patient.course import Course
from ..patient.inputs import Inputs
from ..patient.ledger import Ledger, Line
from ..patient.record import Record
from ..patient.series import Covariate, Series

FORMAT = "twinprob.twin/1"


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
    """

    model: AbstractModel
    record: Record
    tree: xr.DataTree
    observations: Mapping[str, Observation]
    integrator: AbstractIntegrator
    method: Any = None

    @property
    def now(self) -> float:
        """The time up to which the record is known, min."""
        return self.record.end

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

    def save(self, path) -> None:
        """Write the twin to one netCDF file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            Replaced if it exists.
        """
        content = self.tree.copy()
        content.attrs = {**self.tree.attrs, "format": FORMAT, "twin": json.dumps(_encode_twin(self), sort_keys=True)}
        write_tree(content, path)

    def __repr__(self) -> str:
        """Name model, method and present in one line."""
        method = self.provenance["method"]
        return f"Twin({type(self.model).__name__}, {method}, {self.draws} draws, known until {self.now:g} min)"

    def _repr_html_(self) -> str:
        provenance = self.provenance
        posterior = self.group("posterior")
        rows = []
        for name, declared in self.model.parameters().items():
            if name in posterior:
                values = posterior[name]
                last = values if values.ndim == 2 else values[..., -1]
                low, middle, high = np.quantile(last.values, [0.05, 0.5, 0.95])
                when = "" if values.ndim == 2 else "now"
                rows.append((name, float(middle), f"{low:.3g} to {high:.3g}", declared.unit, when, self._removed(name)))
        about = (
            f"{provenance['method']}, {self.draws} draws (worth {self.effective_draws:.0f}), "
            f"known until {self.now / 60:.1f} h. Research software, not a medical device."
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


def load(path, *, own: Iterable[type] = ()) -> Twin:
    """Read a twin that `Twin.save` wrote.

    Parameters
    ----------
    path : str or Path
    own : iterable of classes
        Model, noise, process or method classes defined outside twinprob that the twin uses.

    Returns
    -------
    Twin

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, was not written by twinprob, or uses a class that is not in `own`.
    """
    content = read_tree(path, FORMAT, "twin", "Twin.save")
    attrs = dict(content.attrs)
    described, classes = json.loads(attrs.pop("twin")), {f"{c.__module__}:{c.__qualname__}": c for c in own}
    attrs.pop("format")
    content.attrs = attrs
    return Twin(
        model=decode(described["model"], classes),
        record=decode_record(described["record"]),
        tree=content,
        observations={name: decode(value, classes) for name, value in described["observations"].items()},
        integrator=decode(described["integrator"], classes),
        method=decode(described.get("method"), classes),
    )


def write_tree(content: xr.DataTree, path) -> None:
    """Write a tree to one netCDF file, whole or not at all."""
    path = Path(path)
    # A name of our own rather than a temporary file, whose permissions would be the owner's alone.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        content.to_netcdf(partial, engine="h5netcdf")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_tree(path, format: str, noun: str, writer: str) -> xr.DataTree:
    """Read a tree that `write_tree` wrote, or say why the file is none: absent, truncated, or of another format."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no {noun} at `{path}`.")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            content = opened.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ValueError(
            f"`{path.name}` is not a readable netCDF file (truncated or foreign): save the {noun} again."
        ) from error
    if content.attrs.get("format") != format:
        raise ValueError(
            f"`{path.name}` was not written by `{writer}` (format {content.attrs.get('format', 'absent')!r}, "
            f"expected {format!r}); open it with xarray.open_datatree instead."
        )
    return content


# ---- nested values as JSON ------------------------------------------------------------------------------------------


def _encode_twin(twin: Twin) -> dict[str, Any]:
    return {
        "model": encode(twin.model),
        "record": encode_record(twin.record),
        "observations": {name: encode(value) for name, value in twin.observations.items()},
        "integrator": encode(twin.integrator),
        "method": encode(twin.method),
    }


def encode(value: Any) -> Any:
    """Return a model, noise, process, distribution or number as JSON; floats bit for bit."""
    if type(value) is dist.TransformedDistribution:  # a normal on the unconstrained scale of a bounded parameter
        bounds = [getattr(value.support, f"{side}_bound", None) for side in ("lower", "upper")]
        return {"base": encode(value.base_dist), "bounds": [None if b is None else encode(b) for b in bounds]}
    if isinstance(value, dist.Distribution):
        return {
            "distribution": type(value).__name__,
            "arguments": {n: encode(getattr(value, n)) for n in _arguments(value)},
        }
    if isinstance(value, eqx.Module):
        cls = type(value)
        fields = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        if isinstance(value, Coupled):
            return {"coupled": encode(value.links), "fields": fields}
        return {"class": f"{cls.__module__}:{cls.__qualname__}", "fields": fields}
    if isinstance(value, Mapping):
        return {"mapping": {name: encode(item) for name, item in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if value is None or isinstance(value, str | bool | int):
        return value
    array = np.asarray(value, float)
    return (
        {"float": float(array).hex()}
        if array.ndim == 0
        else {"array": [x.hex() for x in array.ravel().tolist()], "shape": array.shape}
    )


def _arguments(value: dist.Distribution) -> tuple[str, ...]:
    if (
        hasattr(value, "base_dist")
        and "base_dist" not in value.arg_constraints
        and not isinstance(value, dist.LogNormal)
    ):
        return ("base_dist", *(name for name in value.arg_constraints if name != "base_dist"))
    return tuple(value.arg_constraints)


def decode(value: Any, classes: Mapping[str, type]) -> Any:
    """Return what `encode` was given; `classes` by "module:name" for those outside twinprob."""
    if not isinstance(value, dict):
        return value
    if "distribution" in value:
        return getattr(dist, value["distribution"])(**{n: decode(v, classes) for n, v in value["arguments"].items()})
    if "base" in value:
        low, high = (decode(bound, classes) for bound in value["bounds"])
        within = dist.constraints.greater_than(low) if high is None else dist.constraints.interval(low, high)
        return dist.TransformedDistribution(decode(value["base"], classes), dist.biject_to(within))
    if "coupled" in value:
        fields = {name: decode(item, classes) for name, item in value["fields"].items()}
        return type(couple(*fields["parts"], links=decode(value["coupled"], classes)))(**fields)
    if "class" in value:
        fields = {name: decode(item, classes) for name, item in value["fields"].items()}
        return _class(value["class"], classes)(**fields)
    if "mapping" in value:
        return {name: decode(item, classes) for name, item in value["mapping"].items()}
    if "tuple" in value:
        return tuple(decode(item, classes) for item in value["tuple"])
    if "float" in value:
        return float.fromhex(value["float"])
    return np.array([float.fromhex(x) for x in value["array"]]).reshape(value["shape"])


def _class(name: str, classes: Mapping[str, type]) -> type:
    """Find a class; only twinprob's and diffrax's own modules are imported on a file's word."""
    if name in classes:
        return classes[name]
    module, qualname = name.split(":")
    if module.split(".")[0] not in ("twinprob", "diffrax", "optimistix", "lineax"):
        raise ValueError(
            f"The twin uses class `{qualname}` of module `{module}`; pass it: `load(path, own=({qualname},))`."
        )
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def encode_record(record: Record) -> dict[str, Any]:
    """Return a record as text and exact numbers that JSON can hold."""

    def exact(array) -> list[str]:
        return [float(x).hex() for x in array]

    return {
        "observations": {
            name: {
                "times": exact(s.times),
                "values": exact(s.values),
                "unit": s.unit,
                "limits": [int(x) for x in s.limits],
                "known": exact(s.known),
            }
            for name, s in record.observations.items()
        },
        "inputs": {
            name: {
                **{part: exact(getattr(c, part)) for part in ("starts", "ends", "rates")},
                "unit": c.unit,
                "bolus": [bool(b) for b in c.bolus],
                "orders": c.orders.tolist(),
                "known": exact(c.known),
                "setting": c.setting,
            }
            for name, c in record.inputs.courses.items()
        },
        "covariates": {name: [c.value, c.unit] for name, c in record.covariates.items()},
        "span": exact([record.start, record.end]),
        "ledger": [[x.source, x.variable, x.fate, x.reason, x.rows.tolist(), exact(x.times)] for x in record.ledger],
        "person": record.person,
        "notes": list(record.notes),
    }


def decode_record(described: dict[str, Any]) -> Record:
    """Return the record that `encode_record` described."""

    def exact(texts) -> np.ndarray:
        return np.array([float.fromhex(x) for x in texts])

    observations = {
        name: Series(
            exact(s["times"]),
            exact(s["values"]),
            s["unit"],
            np.array(s["limits"], np.int8),
            exact(s.get("known", s["times"])),
        )
        for name, s in described["observations"].items()
    }
    courses = {
        name: Course(
            exact(c["starts"]),
            exact(c["ends"]),
            exact(c["rates"]),
            c["unit"],
            np.array(c["bolus"], bool),
            # Files of the first format know no orders: there overlapping rows add.
            np.array(c.get("orders", [f"#{i}" for i in range(len(c["starts"]))]), str),
            exact(c.get("known", c["starts"])),
            c.get("setting", False),
        )
        for name, c in described["inputs"].items()
    }
    covariates = {name: Covariate(value, unit) for name, (value, unit) in described["covariates"].items()}
    start, end = exact(described["span"])
    lines = [
        Line(source, variable, fate, reason, np.array(rows, int), exact(times))
        for source, variable, fate, reason, rows, times in described.get("ledger", ())
    ]
    ledger = Ledger(tuple(lines)) + Ledger.of_reasons({w: exact(t) for w, t in described.get("dropped", {}).items()})
    about = (ledger, described.get("person", ""), tuple(described.get("notes", ())))
    return Record(observations, Inputs(courses), covariates, float(start), float(end), *about)
