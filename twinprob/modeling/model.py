"""What a model author writes: one patient's physiology at one instant, with units, priors and sources."""

import dataclasses
import difflib
import math
from typing import Any, ClassVar, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float

from ..patient.require import require_kind
from ..patient.vocabulary import VOCABULARY
from .process import AbstractProcess

Prior: TypeAlias = Any  # a numpyro Distribution, or a function from the model to one


@dataclasses.dataclass(frozen=True)
class Parameter:
    """The declaration of one parameter: unit, prior, source, and whether and how it moves."""

    prior: Prior
    unit: str
    source: str
    about: str
    varies: AbstractProcess | None
    known: bool
    origin: bool = False


@dataclasses.dataclass(frozen=True)
class Quantity:
    """The declaration of one state, input or output: unit, meaning, noise, and what an input is where none is given."""

    unit: str
    about: str
    noise: Any
    measured: bool
    default: float | None
    setting: bool = False


@dataclasses.dataclass(frozen=True)
class Covariate:
    """The declaration of one fixed patient property that the equations use."""

    unit: str


def parameter(
    prior: Prior,
    *,
    unit: str,
    source: str,
    value=None,
    about: str = "",
    varies=None,
    known: bool = False,
    origin: bool = False,
):
    """Declare a parameter of a model.

    Parameters
    ----------
    prior : numpyro Distribution, or a function from the model to one
        What is believed before any data; a function may use the model's covariates and known parameters.
    unit : str
        Unit of the value, the prior and the equations alike.
    source : str
        Where prior and value come from; a number from memory says that it is a prior or a setting.
    value : float, optional
        Value while the parameter is known; the prior's median where it is a `Normal` or `LogNormal`.
    about : str
        One phrase for tables and figures.
    varies : AbstractProcess, optional
        How the parameter moves in time; the equations then read its value now.
    known : bool
        Start as a known constant; `model.free(name)` makes it unknown.
    origin : bool
        Whether it is a state at the record's origin. Where records begin is no property that patients share, so that
        a population leaves it its declared prior, which should be wide.
    """
    if value is None:
        value = _median(prior)
    declaration = Parameter(prior, unit, source, about, varies, known, origin)
    return eqx.field(default=value, metadata={"parameter": declaration})


def quantity(
    unit: str,
    about: str = "",
    *,
    noise=None,
    measured: bool = False,
    setting: bool = False,
    default: float | None = None,
) -> Any:
    """Declare a state, input or output with its unit.

    Parameters
    ----------
    unit : str
    about : str
        One phrase for tables and figures.
    noise : Observation, optional
        How an output is measured where the caller says nothing else.
    measured : bool
        Whether an input is a measured signal, which runs linearly between its samples.
    setting : bool
        Whether an input is a setting, which holds until its next row and is unknown before the first; those that the
        vocabulary calls settings need not say so. What is neither measured nor a setting is given to the patient, as a
        rate or a dose.
    default : float, optional
        What the equations take where a setting was never charted and they can do without it (a model's word for "not
        used"). Without it an uncharted setting is unknown and the model cannot be simulated there; what is given to
        the patient is 0 where nothing was charted.
    """
    return dataclasses.field(metadata={"quantity": Quantity(unit, about, noise, measured, default, setting)})


def covariate(unit: str, *, value: float) -> Any:
    """Declare a fixed patient property that the equations use; `value` stands where the record has none."""
    return eqx.field(default=value, metadata={"covariate": Covariate(unit)})


def _median(prior) -> float:
    if isinstance(prior, dist.LogNormal) and isinstance(prior.loc, int | float):
        return math.exp(prior.loc)
    if isinstance(prior, dist.Normal) and isinstance(prior.loc, int | float):
        return float(prior.loc)
    return math.nan


class AbstractModel(eqx.Module):
    """One physiological system; an instance is one patient's parameter values.

    An author declares parameters with `parameter`, the nested classes `State`, `Input` and `Output` with `quantity`,
    the class attribute `step` (the longest fixed integration step, in `time_unit`), and the three methods below.
    Time, batching, noise, priors, units and labels are supplied by the library.
    """

    time_unit: ClassVar[str] = "min"
    step: ClassVar[float]
    State: ClassVar[type]
    Input: ClassVar[type]
    Output: ClassVar[type]

    unknown: tuple[str, ...] | None = eqx.field(static=True, default=None, kw_only=True)
    priors: dict[str, dist.Distribution] = eqx.field(default_factory=dict, kw_only=True)
    motions: dict[str, AbstractProcess | None] = eqx.field(default_factory=dict, kw_only=True)

    def __init_subclass__(cls, **kwargs):
        """Refuse a declaration without unit or source as soon as the file is read."""
        super().__init_subclass__(**kwargs)
        for name, field in vars(cls).items():
            declaration = getattr(field, "metadata", {}).get("parameter") if dataclasses.is_dataclass(cls) else None
            if declaration is None and isinstance(field, dataclasses.Field):
                declaration = field.metadata.get("parameter")
            if declaration is not None:
                _check_declaration(cls, name, declaration)
        for kind in ("State", "Input", "Output"):
            for field in dataclasses.fields(getattr(cls, kind)) if kind in vars(cls) else ():
                if "quantity" not in field.metadata or not field.metadata["quantity"].unit:
                    raise ValueError(
                        f"{kind} `{field.name}` of model `{cls.__name__}` has no unit; "
                        f'declare it as `{field.name}: Array = tp.quantity("unit", "meaning")` ("1" if it has none).'
                    )

    def initial(self, inputs) -> Any:
        """Return the state at the record's origin, given the inputs just before it."""
        raise NotImplementedError

    def vector_field(self, time, state, inputs) -> Any:
        """Return the time derivative of the state, as a `State`."""
        raise NotImplementedError

    def output(self, state, inputs) -> Any:
        """Return the noise-free outputs, as an `Output`."""
        raise NotImplementedError

    # ---- what the library reads off a model -------------------------------------------------------------------

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """Return every declared parameter by name."""
        return {f.name: f.metadata["parameter"] for f in dataclasses.fields(cls) if "parameter" in f.metadata}

    @classmethod
    def covariates(cls) -> dict[str, Covariate]:
        """Return every declared covariate by name."""
        return {f.name: f.metadata["covariate"] for f in dataclasses.fields(cls) if "covariate" in f.metadata}

    @classmethod
    def quantities(cls, kind: type) -> dict[str, Quantity]:
        """Return the declared states, inputs or outputs by name; `kind` is one of the nested classes."""
        return {f.name: _known_kind(f.name, f.metadata["quantity"]) for f in dataclasses.fields(kind)}

    def unknowns(self) -> tuple[str, ...]:
        """Return the names of the unknown parameters, in declaration order."""
        declared = self.parameters()
        if self.unknown is None:
            return tuple(name for name, declaration in declared.items() if not declaration.known)
        return tuple(name for name in declared if name in self.unknown)

    def prior(self, name: str) -> dist.Distribution:
        """Return the prior of one parameter for this patient."""
        if name in self.priors:
            return self.priors[name]
        prior = self.parameters()[name].prior
        return prior if isinstance(prior, dist.Distribution) else prior(self)

    def free(self, *names: str, **priors: dist.Distribution):
        """Return this model with parameters made unknown, each with its declared prior or the one given."""
        names = (*names, *priors)
        _check_names(self, names)
        for name, prior in priors.items():
            require_kind(name, prior, dist.Distribution)
        unknown = tuple(dict.fromkeys((*self.unknowns(), *names)))
        return dataclasses.replace(self, unknown=unknown, priors={**self.priors, **priors})

    def fix(self, **values: Any):
        """Return this model with parameters made known constants of the given values, in their declared units."""
        _check_names(self, tuple(values))
        for name, value in values.items():
            _check_value(self, name, value)
        unknown = tuple(name for name in self.unknowns() if name not in values)
        return dataclasses.replace(self, unknown=unknown, **values)

    def vary(self, **motions: AbstractProcess | None):
        """Return this model with parameters moving in time by the given processes; None holds one constant."""
        _check_names(self, tuple(motions))
        for name, motion in motions.items():
            require_kind(name, motion, AbstractProcess, None)
        return dataclasses.replace(self, motions={**self.motions, **motions})

    def processes(self) -> dict[str, AbstractProcess]:
        """Return how the unknown parameters that move in time do so, by name."""
        declared = self.parameters()
        motions = {name: self.motions.get(name, declared[name].varies) for name in self.unknowns()}
        return {name: process for name, process in motions.items() if process is not None}

    def declared_apart(self, as_data):
        """Return this model with `as_data` of every number that does not stand in its file: what patients differ in."""
        changed = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, AbstractModel):
                changed[field.name] = value.declared_apart(as_data)
            elif not field.metadata.get("static") and (
                "covariate" in field.metadata or not _same(value, field.default)
            ):
                changed[field.name] = as_data(value)
        return dataclasses.replace(self, **changed)

    def install(self, names: tuple[str, ...], values):
        """Return the patient whose named parameters have these values (used inside compiled code)."""
        changed: dict[str, Any] = {name: values[i] for i, name in enumerate(names)}
        return dataclasses.replace(self, **changed)

    def _repr_html_(self) -> str:
        from ..display import table

        rows = []
        for name, declared in self.parameters().items():
            free = name in self.unknowns()
            motion = type(self.processes()[name]).__name__ if name in self.processes() else ""
            rows.append(
                (
                    name,
                    f"{getattr(self, name):.4g}",
                    declared.unit,
                    "unknown" if free else "known",
                    motion,
                    declared.source,
                )
            )
        return table(f"Model {type(self).__name__}", ("parameter", "value", "unit", "status", "varies", "source"), rows)


def pack(values) -> Float[Array, " state"]:
    """Stack the fields of a `State`, `Input` or `Output` of scalars into a vector."""
    return jnp.stack([jnp.asarray(getattr(values, f.name), float) for f in dataclasses.fields(values)])


def nearest(name: str, valid) -> str:
    """Return a hint naming the closest valid name, for error messages."""
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.0)
    return f"did you mean `{close[0]}`? Valid names: {', '.join(valid)}." if close else "there are none."


def _known_kind(name: str, declared: Quantity) -> Quantity:
    """Return a declaration with what the vocabulary adds: whether it is a setting, and 0 where nothing is given."""
    setting = declared.setting or (name in VOCABULARY and VOCABULARY[name].setting)
    default = 0.0 if declared.default is None and not setting else declared.default
    return dataclasses.replace(declared, setting=setting, default=default)


def _same(value, default) -> bool:
    return type(value) is type(default) and bool(value == default)


def _check_names(model: AbstractModel, names) -> None:
    declared = model.parameters()
    for name in names:
        if name not in declared:
            raise ValueError(f"Model `{type(model).__name__}` has no parameter `{name}`; {nearest(name, declared)}")


def _check_value(model: AbstractModel, name: str, value: Any) -> None:
    if not math.isfinite(value):
        raise ValueError(f"Parameter `{name}` must be finite, but is {value}.")
    prior, unit = model.prior(name), model.parameters()[name].unit
    # Zero, the end of what a log-normal prior reaches, switches a mechanism off.
    if not (bool(prior.support(value)) or (value == 0.0 and bool(prior.support(1e-30)))):
        raise ValueError(
            f"Parameter `{name}` of model `{type(model).__name__}` cannot be {value:g} {unit}, which its prior "
            f"({type(prior).__name__}) holds impossible: check value and unit, or give it another prior first, "
            f"`model.free({name}=…)`."
        )


def _check_declaration(cls, name: str, declaration: Parameter) -> None:
    for what in ("unit", "source"):
        if not getattr(declaration, what):
            raise ValueError(
                f"Parameter `{name}` of model `{cls.__name__}` has no {what}; every parameter states its unit, prior "
                f'and source, e.g. `{name}: float = tp.parameter(prior, unit="1/min", source="doi:…, Table 2")`.'
            )
