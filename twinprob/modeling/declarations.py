"""What a model's author wrote is checked: when the class is read, and once more when it is first used."""

import dataclasses
import math
from typing import Any
from weakref import WeakSet

import jax
import numpyro.distributions as dist

from .observation import Observation

# The dimensions of the library's tables: a quantity of such a name could not stand in one.
DIMENSIONS = (
    "chain",
    "draw",
    "time",
    "change",
    "patient",
    "candidate",
    "arm",
    "parameter",
    "state",
    "output",
    "experiment",
)
_SITES = ("start", "innovations", "volatility")
_UNKNOWN_NUMBER = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)
_METHODS = {"initial": "State", "vector_field": "State", "output": "Output"}


# ---- when the class is read ------------------------------------------------------------------------------------------


def require_declared(model: type, parent: type, parameters: dict[str, Any], covariates: dict[str, Any]) -> None:
    """Refuse declarations that lack unit or source, and names that mean something else already.

    Parameters
    ----------
    model : type
        The author's class.
    parent : type
        The abstract model, whose names are taken.
    parameters, covariates : mapping of str to declaration
        Those that the class itself declares.

    Raises
    ------
    ValueError
    """
    for name, declared in parameters.items():
        _require_texts(model, name, declared)
        _require_prior(model, name, declared.prior)
    taken = {name for name in dir(parent) if not name.startswith("_")} | {*parent.__annotations__}
    for name in (*parameters, *covariates):
        if name in taken:
            raise ValueError(
                f"Model `{model.__name__}` declares `{name}`, a name that every model has already (`model.{name}`): "
                f"call it something else, for example `{name}_value`."
            )
    for kind in ("State", "Input", "Output"):
        for field in dataclasses.fields(vars(model)[kind]) if kind in vars(model) else ():
            _require_unit(model, kind, field)
            _require_observation(model, kind, field)
    every = {**_declared(model, "parameter"), **parameters}
    _require_distinct(model, every)
    _require_lags(model, every)


def _declared(cls: type, what: str) -> dict[str, Any]:
    """Return what the classes above declare."""
    return {
        name: field.metadata[what]
        for name, field in getattr(cls, "__dataclass_fields__", {}).items()
        if what in field.metadata
    }


def _require_texts(cls: type, name: str, declared) -> None:
    for what in ("unit", "source"):
        if not getattr(declared, what):
            raise ValueError(
                f"Parameter `{name}` of model `{cls.__name__}` has no {what}; every parameter states its unit, prior "
                f'and source, e.g. `{name}: float = tp.parameter(prior, unit="1/min", source="doi:…, Table 2")`.'
            )


def _require_prior(cls: type, name: str, prior: Any) -> None:
    who = f"Parameter `{name}` of model `{cls.__name__}`"
    if not isinstance(prior, dist.Distribution):
        if callable(prior) and not isinstance(prior, type) and not hasattr(prior, "rvs"):
            return
        raise ValueError(
            f"{who} has a `{type(prior).__name__}` as prior: give a distribution of numpyro, such as "
            "`dist.LogNormal(0.0, 0.5)`, or a function from the model to one."
        )
    if prior.is_discrete or prior.batch_shape or prior.event_shape:
        kind = "of whole numbers" if prior.is_discrete else f"of shape {prior.batch_shape + prior.event_shape}"
        raise ValueError(
            f"{who} has a prior {kind} (`{type(prior).__name__}`), but a parameter is one real number: give a "
            "continuous prior of a single one, and declare a parameter for each element."
        )


def _require_observation(cls: type, kind: str, field) -> None:
    noise = field.metadata["quantity"].noise
    if noise is not None and not isinstance(noise, Observation):
        raise ValueError(
            f"{kind} `{field.name}` of model `{cls.__name__}` has a `{type(noise).__name__}` as noise: write "
            "`noise=tp.Observation(tp.Gaussian(additive=…))`, which says how it is measured."
        )


def _require_unit(cls: type, kind: str, field) -> None:
    if "quantity" not in field.metadata or not field.metadata["quantity"].unit:
        raise ValueError(
            f"{kind} `{field.name}` of model `{cls.__name__}` has no unit; "
            f'declare it as `{field.name}: Array = tp.quantity("unit", "meaning")` ("1" if it has none).'
        )


def _require_lags(cls: type, parameters: dict[str, Any]) -> None:
    """Refuse a lag that is no parameter, or one that moves in time."""
    inputs = getattr(cls, "Input", None)
    for field in dataclasses.fields(inputs) if dataclasses.is_dataclass(inputs) else ():
        lag = field.metadata["quantity"].lag
        if lag is None or (lag in parameters and parameters[lag].varies is None):
            continue
        what = "moves in time" if lag in parameters else "is no parameter of it"
        raise ValueError(
            f"Input `{field.name}` of model `{cls.__name__}` has the lag `{lag}`, which {what}: declare it, constant, "
            f"as `{lag}: float = tp.parameter(…)`."
        )


def _require_distinct(cls: type, parameters: dict[str, Any]) -> None:
    """Refuse names that the library itself gives: of dimensions, of a path's parts and of the sizes of noise."""
    given = {f"{name}_{part}": f"part of the path of `{name}`" for name in parameters for part in _SITES}
    outputs = getattr(cls, "Output", None)
    for field in dataclasses.fields(outputs) if dataclasses.is_dataclass(outputs) else ():
        noise = field.metadata["quantity"].noise
        sites = noise.sites(field.name) if noise is not None else {}
        given |= dict.fromkeys(sites.values(), f"the unknown size of the noise of `{field.name}`")
        if field.name in DIMENSIONS:
            raise ValueError(
                f"Output `{field.name}` of model `{cls.__name__}` has the name of a dimension of every table: call it "
                f"something else, for example `{field.name}_value`."
            )
    given |= dict.fromkeys(DIMENSIONS, "a dimension of every table")
    for name in parameters:
        if name in given:
            raise ValueError(
                f"Parameter `{name}` of model `{cls.__name__}` has the name of {given[name]}: call it something else."
            )


def log10_normal(center: float, sd: float) -> dist.LogNormal:
    """Return the log-normal prior of a quantity whose decimal logarithm is normal.

    Parameters
    ----------
    center, sd : float
        Mean and standard deviation of the decimal logarithm: `log10_normal(-2.0, 0.3)` has its median at 0.01, and
        two thirds of it lie within a factor of two.

    Returns
    -------
    numpyro LogNormal

    Raises
    ------
    ValueError
        If the standard deviation is not above zero.

    Examples
    --------
    >>> round(float(log10_normal(-2.0, 0.3).icdf(0.5)), 6)
    0.01
    """
    if not (math.isfinite(center) and 0.0 < sd < math.inf):
        raise ValueError(f"`log10_normal` needs a finite `center` and an `sd` above zero, but has {center} and {sd}.")
    return dist.LogNormal(center * _LN10, sd * _LN10)


def median(prior: Any) -> float:
    """Return the median of a prior where it is known in closed form, else NaN: a parameter's value while it is known.

    Nothing here asks JAX for a device.
    """
    if isinstance(prior, dist.LogNormal) and isinstance(prior.loc, int | float):
        return math.exp(prior.loc)
    for kind, fields, rule in _MEDIANS:
        if type(prior) is kind:
            values = [getattr(prior, field) for field in fields]
            return float(rule(*values)) if all(isinstance(value, int | float) for value in values) else math.nan
    return math.nan


_LN10 = math.log(10.0)
_NORMAL_QUARTILE = 0.6744897501960817
_MEDIANS: tuple[tuple[type, tuple[str, ...], Any], ...] = (
    (dist.Normal, ("loc",), lambda loc: loc),
    (dist.StudentT, ("loc",), lambda loc: loc),
    (dist.Cauchy, ("loc",), lambda loc: loc),
    (dist.Laplace, ("loc",), lambda loc: loc),
    (dist.Logistic, ("loc",), lambda loc: loc),
    (dist.Gumbel, ("loc", "scale"), lambda loc, scale: loc - scale * math.log(math.log(2.0))),
    (dist.HalfNormal, ("scale",), lambda scale: _NORMAL_QUARTILE * scale),
    (dist.HalfCauchy, ("scale",), lambda scale: scale),
    (dist.Exponential, ("rate",), lambda rate: math.log(2.0) / rate),
    (dist.Uniform, ("low", "high"), lambda low, high: 0.5 * (low + high)),
    (dist.LogUniform, ("low", "high"), lambda low, high: math.sqrt(low * high)),
    (dist.Pareto, ("scale", "alpha"), lambda scale, alpha: scale * 2.0 ** (1.0 / alpha)),
    (dist.Weibull, ("scale", "concentration"), lambda scale, shape: scale * math.log(2.0) ** (1.0 / shape)),
    (dist.Gamma, ("concentration", "rate"), lambda shape, rate: _special("gammaincinv", shape, 0.5) / rate),
    (
        dist.InverseGamma,
        ("concentration", "rate"),
        lambda shape, rate: rate / _special("gammaincinv", shape, 0.5),
    ),
    (dist.Beta, ("concentration1", "concentration0"), lambda a, b: _special("betaincinv", a, b, 0.5)),
)


def _special(name: str, *values: float) -> float:
    import scipy.special

    return float(getattr(scipy.special, name)(*values))


# ---- when the model is first used ------------------------------------------------------------------------------------

_seen: WeakSet[type] = WeakSet()


def require_complete(model: Any) -> None:
    """Refuse a model that lacks a part, or whose equations return something else than one number a field.

    The equations are looked at once for each class, without computing anything.

    Raises
    ------
    TypeError
        If a method is missing or returns another kind.
    ValueError
        If `step`, a nested class or a number is missing, or a state or output is an array.
    """
    require_values(model)
    cls = type(model)
    if cls in _seen:
        return
    name = cls.__name__
    for part in ("State", "Input", "Output"):
        if not dataclasses.is_dataclass(getattr(cls, part, None)):
            raise ValueError(
                f"Model `{name}` has no class `{part}`: declare `class {part}(eqx.Module)` inside it, each field with "
                "`tp.quantity(unit)`, empty where there is nothing."
            )
    if not isinstance(getattr(cls, "step", None), int | float) or not 0 < cls.step < math.inf:
        raise ValueError(
            f"Model `{name}` has no `step`: give its longest integration step, in `{cls.time_unit}`, for example "
            "`step = 5.0`."
        )
    state, inputs = (_abstract(getattr(cls, part)) for part in ("State", "Input"))
    _look(model, "initial", inputs)
    _look(model, "vector_field", jax.ShapeDtypeStruct((), float), state, inputs)
    _look(model, "output", state, inputs)
    _seen.add(cls)


def require_values(model: Any) -> None:
    """Refuse a known parameter that was never given a value.

    Raises
    ------
    ValueError
    """
    unknown, fields = model.unknowns(), {field.name: field for field in dataclasses.fields(model)}
    for name in model.parameters():
        if name not in unknown and all(_nothing(x) for x in (getattr(model, name), fields[name].default)):
            raise ValueError(
                f"Parameter `{name}` of model `{type(model).__name__}` is known but has no value: its prior's median "
                f"is not known in closed form; give `tp.parameter(…, value=…)` or `model.fix({name}=…)`."
            )


def _nothing(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _abstract(kind: type):
    number = jax.ShapeDtypeStruct((), float)
    return kind(**{field.name: number for field in dataclasses.fields(kind)})


def _look(model, method: str, *given) -> None:
    """Trace one method for single numbers, and look at what it returns."""
    name, wanted = type(model).__name__, getattr(type(model), _METHODS[method])
    unknown = tuple(name for name, declared in model.parameters().items() if not declared.known)
    numbers = jax.ShapeDtypeStruct((len(unknown),), float)
    run = lambda own, *given: getattr(model.install(unknown, own), method)(*given)  # noqa: E731
    try:
        found = jax.eval_shape(run, numbers, *given)
    except _UNKNOWN_NUMBER as error:
        raise TypeError(
            f"`{method}` of model `{name}` decides by, or converts, a number that is not known when it is compiled: "
            "use `jax.numpy` in place of `math` and `numpy`, and `jnp.where(condition, one, other)` in place of `if`."
        ) from error
    except NotImplementedError:
        raise TypeError(f"Model `{name}` has no method `{method}`: write it in its class.") from None
    except TypeError as error:
        if not _returned_no_array(error):
            raise
        found = None
    fields = [field.name for field in dataclasses.fields(wanted)]
    if not all(hasattr(found, field) for field in fields) or (found is None and not fields):
        kind = "nothing" if found is None else f"a `{type(found).__name__}`"
        example = ", ".join(f"{field}=…" for field in fields)
        raise TypeError(
            f"`{method}` of model `{name}` must return a `{wanted.__name__}`, but returns {kind}: write "
            f"`return self.{wanted.__name__}({example})`."
        )
    for field in fields:
        shape = getattr(getattr(found, field), "shape", ())
        if shape != ():
            raise ValueError(
                f"`{method}` of model `{name}` returns `{field}` as an array of shape {shape}, but every field of "
                f"`{wanted.__name__}` is one number: declare one for each element, such as `{field}_1`, `{field}_2`."
            )


def _returned_no_array(error: TypeError) -> bool:
    return "not a valid JAX type" in str(error)
