"""Models, noises, methods and records as text that JSON can hold, and back; numbers bit for bit."""

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import numpy as np
import numpyro.distributions as dist

from ..dynamics.precision import in_double_precision
from ..dynamics.solvers import CONSTANTS
from ..modeling.couple import Coupled, couple
from ..modeling.model import AbstractModel
from ..modeling.observation import Observation
from ..patient import wall_clock
from ..patient.course import Course
from ..patient.inputs import Inputs
from ..patient.ledger import Ledger, Line
from ..patient.record import Record
from ..patient.series import Covariate, Series
from .classes import PRIORS, Classes, Misfit, named, shown

_DIGITS = 9  # setting: declarations that agree to this many digits are the same on every machine


def encode(value: Any) -> Any:
    """Return a model, noise, process, method, integrator, distribution or number as JSON.

    Raises
    ------
    ValueError
        If it holds something that no file could give back: a function, an array of text, a distribution not in
        `PRIORS`.
    """
    if isinstance(value, dist.Distribution):
        return _encode_distribution(value)
    if isinstance(value, eqx.Module):
        fields = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value) if _said(f, value)}
        kind = {"coupled": encode(value.links)} if isinstance(value, Coupled) else named(type(value))
        return {**kind, "fields": fields}
    if isinstance(value, Mapping):
        return {"mapping": {name: encode(item) for name, item in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if name := _constant_name(value):
        return {"constant": name}
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        raise ValueError(
            f"A `{type(value).__name__}` cannot be saved; models, noises and methods hold numbers, texts, tuples, "
            "mappings, distributions and other modules."
        ) from None
    if array.ndim == 0:
        return {"float": float(array).hex()}
    return {"array": [x.hex() for x in array.ravel().tolist()], "shape": array.shape}


def _said(field: dataclasses.Field, value: Any) -> bool:
    """Whether a field is written: one that came later is not where it holds nothing, so that hashes stay."""
    return field.init and ("unsaid" not in field.metadata or getattr(value, field.name) is not field.metadata["unsaid"])


def _constant_name(value: Any) -> str:
    return next((name for name, constant in CONSTANTS.items() if value is constant), "")


def _encode_distribution(value: dist.Distribution) -> dict[str, Any]:
    if type(value) is dist.TransformedDistribution:  # a normal on the unconstrained scale of a bounded parameter
        bounds = [getattr(value.support, f"{side}_bound", None) for side in ("lower", "upper")]
        return {"base": encode(value.base_dist), "bounds": [None if b is None else encode(b) for b in bounds]}
    name = type(value).__name__
    if PRIORS.get(name) is not type(value):
        raise ValueError(f"A prior `{name}` cannot be saved; those that can are {', '.join(PRIORS)}.")
    return {"distribution": name, "arguments": {n: encode(getattr(value, n)) for n in _arguments(value)}}


def _arguments(value: dist.Distribution) -> tuple[str, ...]:
    truncated = hasattr(value, "base_dist") and not isinstance(value, dist.LogNormal | dist.LogUniform)
    if truncated and "base_dist" not in value.arg_constraints:
        return ("base_dist", *value.arg_constraints)
    return tuple(value.arg_constraints)


def decode(value: Any, classes: Classes) -> Any:
    """Return what `encode` was given, here or in version 0.1.

    Raises
    ------
    Misfit
        If it names a class or a distribution that a file may not, or is not what `encode` writes.
    """
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise Misfit("a list stands where a value should")
        return value
    for kind, read in _READERS.items():
        if kind in value:
            return read(value, classes)
    raise Misfit(f"a value says {shown(', '.join(map(str, value)))}, which is nothing twinprob writes")


def _module(value: dict[str, Any], classes: Classes) -> Any:
    if "own" in value:
        own, cls = True, classes.find_own(_text(value["own"]))
    else:
        name = _text(value["class"])
        cls = classes.find_old(name) if ":" in name else classes.find(name)
        own = named(cls).keys() == {"own"}
    fields = _mapping(value.get("fields"), classes)
    declared = {field.name: field.type for field in dataclasses.fields(cls) if field.init}
    for name, held in fields.items():
        if name not in declared:
            raise Misfit(f"`{cls.__name__}` has no field {shown(name)}: the class is another than when it was saved")
        if not own and not _fits(held, declared[name]):
            raise Misfit(f"`{name}` of `{cls.__name__}` is a `{type(held).__name__}`")
    return _made(cls, fields)


def _fits(held: Any, declared: Any) -> bool:
    """Tell whether a value is of the kind that a field of twinprob's own classes declares."""
    parts = typing.get_args(declared) if isinstance(declared, types.UnionType) else (declared,)
    kinds = tuple(typing.get_origin(part) or part for part in parts)
    if Any in kinds or not all(isinstance(kind, type) for kind in kinds) or _constant_name(held):
        return True
    numbers = (int, np.ndarray, dist.Distribution) if float in kinds else ()
    return isinstance(held, (*kinds, *numbers))


def _coupled(value: dict[str, Any], classes: Classes) -> Any:
    fields, links = _mapping(value.get("fields"), classes), decode(value["coupled"], classes)
    parts = fields.get("parts")
    if not isinstance(parts, tuple) or not all(isinstance(part, AbstractModel) for part in parts):
        raise Misfit("a coupled model has parts that are no models")
    return _made(type(_made(couple, {"links": links}, *parts)), fields)


def _distribution(value: dict[str, Any], classes: Classes) -> Any:
    name = _text(value["distribution"])
    if name not in PRIORS:
        raise Misfit(f"it names distribution {shown(name)}; those that a file may name are {', '.join(PRIORS)}")
    return _made(PRIORS[name], _mapping(value.get("arguments"), classes))


def _transformed(value: dict[str, Any], classes: Classes) -> Any:
    base, bounds = decode(value["base"], classes), value.get("bounds")
    if not isinstance(base, dist.Distribution) or not isinstance(bounds, list) or len(bounds) != 2:
        raise Misfit("a prior between bounds has no base or no bounds")
    low, high = (decode(bound, classes) for bound in bounds)
    within = dist.constraints.greater_than(low) if high is None else dist.constraints.interval(low, high)
    return dist.TransformedDistribution(base, dist.biject_to(within))


def _array(value: dict[str, Any], classes: Classes) -> np.ndarray:
    numbers = np.array([float.fromhex(_text(x)) for x in value["array"]])
    if numbers.size != np.prod(value["shape"], dtype=float):
        raise Misfit(f"an array of {numbers.size} numbers says that its shape is {shown(value['shape'])}")
    return numbers.reshape(value["shape"])


def _constant(value: dict[str, Any], classes: Classes) -> Any:
    if value["constant"] not in CONSTANTS:
        raise Misfit(f"it names {shown(value['constant'])}; the constants of a solver are {', '.join(CONSTANTS)}")
    return CONSTANTS[value["constant"]]


_READERS: Mapping[str, Callable[[dict[str, Any], Classes], Any]] = {
    "distribution": _distribution,
    "base": _transformed,
    "coupled": _coupled,
    "class": _module,
    "own": _module,
    "mapping": lambda value, classes: _mapping(value["mapping"], classes),
    "tuple": lambda value, classes: tuple(decode(item, classes) for item in value["tuple"]),
    "float": lambda value, classes: float.fromhex(_text(value["float"])),
    "array": _array,
    "constant": _constant,
}


def _mapping(items: Any, classes: Classes) -> dict[str, Any]:
    if not isinstance(items, dict):
        raise Misfit(f"a `{type(items).__name__}` stands where names and values should")
    return {name: decode(item, classes) for name, item in items.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Misfit(f"a `{type(value).__name__}` stands where a text should")
    return value


def _made(make: Callable[..., Any], fields: Mapping[str, Any], *parts: Any) -> Any:
    """Call a class of the table with what a file says, and say what it refuses."""
    try:
        return make(*parts, **fields)
    except Exception as error:  # noqa: BLE001  whatever a constructor says of a hostile file is said by name
        raise Misfit(f"`{getattr(make, '__name__', make)}` cannot be made from what it says: {error}") from None


def decode_observations(described: Any, classes: Classes) -> dict[str, Observation]:
    """Return how outputs are measured, by name.

    Raises
    ------
    Misfit
        If one of them is no `Observation`, or its name is none.
    """
    found = _mapping(described, classes)
    for name, observation in found.items():
        require_name(name)
        require_kind(observation, Observation)
    return found


def require_kind(value: Any, kind: Any) -> Any:
    """Return a value that is of this kind; refuse any other."""
    if not isinstance(value, kind):
        raise Misfit(f"a `{type(value).__name__}` stands where `{getattr(kind, '__name__', kind)}` should")
    return value


# ---- what a model declares ------------------------------------------------------------------------------------------


@in_double_precision
def declarations(model: AbstractModel) -> dict[str, str]:
    """Return a hash of what a model declares of each parameter, state, input and output: unit, prior, motion."""
    found = {}
    for name, declared in model.parameters().items():
        prior = declared.prior if isinstance(declared.prior, dist.Distribution) else declared.prior(model)
        found[name] = _digest([declared.unit, _rounded(prior), _rounded(declared.varies), declared.known])
    for kind in (model.State, model.Input, model.Output):
        for name, quantity in model.quantities(kind).items():
            about = [quantity.unit, _rounded(quantity.noise), quantity.measured, _rounded(quantity.default)]
            found[f"{kind.__name__}.{name}"] = _digest(about)
    return found


def _digest(about: Any) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def _rounded(value: Any) -> Any:
    """Return what `encode` says of a declaration, with numbers rounded; its class where it says nothing."""
    try:
        encoded = encode(value)
    except ValueError:
        return type(value).__name__

    def rounded(part: Any) -> Any:
        if isinstance(part, dict) and "float" in part:
            return f"{float.fromhex(part['float']):.{_DIGITS}g}"
        if isinstance(part, dict) and "array" in part:
            return [f"{float.fromhex(x):.{_DIGITS}g}" for x in part["array"]]
        if isinstance(part, dict):
            return {name: rounded(item) for name, item in part.items()}
        return [rounded(item) for item in part] if isinstance(part, list) else part

    return rounded(encoded)


# ---- records --------------------------------------------------------------------------------------------------------


def encode_record(record: Record) -> dict[str, Any]:
    """Return a record as text and exact numbers that JSON can hold."""
    return {
        "observations": {
            name: {
                "times": _exact(s.times),
                "values": _exact(s.values),
                "unit": s.unit,
                "limits": [int(x) for x in s.limits],
                "known": _exact(s.known),
            }
            for name, s in record.observations.items()
        },
        "inputs": {
            name: {
                **{part: _exact(getattr(c, part)) for part in ("starts", "ends", "rates")},
                "unit": c.unit,
                "bolus": [bool(b) for b in c.bolus],
                "orders": c.orders.tolist(),
                "known": _exact(c.known),
                "setting": c.setting,
            }
            for name, c in record.inputs.courses.items()
        },
        "covariates": {name: [c.value, c.unit, *_changes(c)] for name, c in record.covariates.items()},
        "span": _exact([record.start, record.end]),
        "ledger": [[x.source, x.variable, x.fate, x.reason, x.rows.tolist(), _exact(x.times)] for x in record.ledger],
        "person": record.person,
        "notes": list(record.notes),
        "origin": wall_clock.written(record.origin),
        "hash": record.data_hash,
    }


def decode_record(described: Mapping[str, Any]) -> Record:
    """Return the record that `encode_record` described; what an earlier version did not write has its default.

    Raises
    ------
    Misfit
        If its numbers are not those of its hash, or a name is none.
    """
    observations = {
        name: Series(
            _numbers(s["times"]),
            _numbers(s["values"]),
            s["unit"],
            np.array(s.get("limits", []), np.int8),
            _numbers(s.get("known", s["times"])),
        )
        for name, s in described["observations"].items()
    }
    courses = {
        name: Course(
            _numbers(c["starts"]),
            _numbers(c["ends"]),
            _numbers(c["rates"]),
            c["unit"],
            np.array(c.get("bolus", [False] * len(c["starts"])), bool),
            # Files of version 0.1 know no orders: there overlapping rows add.
            np.array(c.get("orders", [f"#{i}" for i in range(len(c["starts"]))]), str),
            _numbers(c.get("known", c["starts"])),
            bool(c.get("setting", False)),
        )
        for name, c in described["inputs"].items()
    }
    covariates = {
        name: Covariate(value, unit, tuple(zip(*map(_numbers, changes[0]), strict=True)) if changes else ())
        for name, (value, unit, *changes) in described.get("covariates", {}).items()
    }
    for name in (*observations, *courses, *covariates):
        require_name(name)
    start, end = map(float, _numbers(described["span"]))
    lines = (
        Line(source, variable, fate, reason, np.array(rows, int), _numbers(times))
        for source, variable, fate, reason, rows, times in described.get("ledger", ())
    )
    dropped = {why: _numbers(times) for why, times in described.get("dropped", {}).items()}
    ledger = Ledger(tuple(lines)) + Ledger.of_reasons(dropped)
    about = (ledger, described.get("person", ""), tuple(described.get("notes", ())))
    origin = wall_clock.read(described.get("origin"))
    record = Record(observations, Inputs(courses), covariates, start, end, *about, origin)
    require_hash(record, described.get("hash"))
    return record


def _changes(covariate: Covariate) -> list[Any]:
    """Return times and values of a property's changes, where it has some."""
    return [[_exact(column) for column in zip(*covariate.changes, strict=True)]] if covariate.changes else []


def require_hash(record: Record, stated: str | None) -> None:
    """Refuse a record whose data are not those of the hash stated beside it; None states nothing."""
    if stated is not None and record.data_hash != stated:
        raise Misfit("its record holds other data than the hash beside it says: a value, time, unit or limit changed")


def require_name(name: str) -> None:
    """Refuse a name that would lead elsewhere as a part of a path, or that a screen would obey."""
    if not name or not name.isprintable() or set(name) & set("/\\") or name in (".", "..") or len(name) > 200:
        raise Misfit(f"it holds a variable named {shown(name)}; names hold neither `/`, `\\` nor control characters")


def _exact(array: Any) -> list[str]:
    return [float(x).hex() for x in array]


def _numbers(texts: Any) -> np.ndarray:
    return np.array([float.fromhex(x) for x in texts])
