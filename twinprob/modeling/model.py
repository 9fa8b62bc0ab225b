"""What a model author writes: one patient's physiology at one instant, with units, priors and sources."""

import dataclasses
import difflib
import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float

from ..patient.require import require_kind
from ..patient.units import minutes
from ..patient.vocabulary import VOCABULARY
from .declarations import median, require_declared
from .process import AbstractProcess

_NEAREST = 5

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
    """The declaration of one state, input or output: unit, meaning, noise, and what an input is where none is given.

    `longest_gap` is in min, None where it is not limited.
    """

    unit: str
    about: str
    noise: Any
    measured: bool
    default: float | None
    setting: bool = False
    longest_gap: float | None = None
    lag: str | None = None


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
        Value while the parameter is known; by default the prior's median, where that has a closed form.
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
        value = median(prior)
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
    longest_gap: float | str | None = None,
    lag: str | None = None,
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
    longest_gap : float or str, min, optional
        How far apart two samples of a measured signal may be for the line between them to be believed; before the
        first and after the last they hold for as long. Elsewhere the signal is unknown and the model cannot be
        simulated. Only the author of a model knows how fast its signal moves, so that nothing is assumed here; a
        measured input that is declared without it runs linearly over every gap, however long.
    lag : str, optional
        The parameter, in the model's time unit, that says how long after it is given an input acts. Steps of the
        integration end where a change arrives, so that outputs are as accurate as without a lag, and smooth in it. An
        input that is set to 1 when something begins makes of any switch at an unknown time such a change.

    Raises
    ------
    ValueError
        If a longest gap is given for what is not measured, or is not above zero; or a measured input has a lag.
    """
    if lag is not None and measured:
        raise ValueError(
            "A measured signal has no `lag`: delay its samples' times, or give it a state that follows it."
        )
    gap = None if longest_gap is None else minutes(longest_gap)
    if gap is not None and not (measured and gap > 0):
        raise ValueError(
            f"`longest_gap` must be above zero and is said of a measured input, but is {gap:g} min"
            f"{'' if measured else ' of one that is not: add measured=True, or leave it out'}."
        )
    return dataclasses.field(metadata={"quantity": Quantity(unit, about, noise, measured, default, setting, gap, lag)})


def covariate(unit: str, *, value: float) -> Any:
    """Declare a fixed patient property that the equations use; `value` stands where the record has none."""
    return eqx.field(default=value, metadata={"covariate": Covariate(unit)})


class AbstractModel(eqx.Module):
    """One physiological system; an instance is one patient's parameter values.

    An author declares parameters with `parameter`, the nested classes `State`, `Input` and `Output` with `quantity`,
    the class attribute `step` (the longest fixed integration step, in `time_unit`), and the three methods below.
    Time, batching, noise, priors, units and labels are supplied by the library.

    Where a parameter says how outputs follow an input *in charts*, in which it is set for a reason, the class attribute
    `as_charted` names it by the input: forecasts of a plan then say so, and nothing is recommended by it.
    """

    time_unit: ClassVar[str] = "min"
    as_charted: ClassVar[Mapping[str, str]] = {}
    step: ClassVar[float]
    State: ClassVar[type]
    Input: ClassVar[type]
    Output: ClassVar[type]

    unknown: tuple[str, ...] | None = eqx.field(static=True, default=None, kw_only=True)
    priors: dict[str, dist.Distribution] = eqx.field(default_factory=dict, kw_only=True)
    motions: dict[str, AbstractProcess | None] = eqx.field(default_factory=dict, kw_only=True)

    def __init_subclass__(cls, **kwargs):
        """Refuse a declaration without unit or source, or under a name that is taken, as soon as the file is read."""
        super().__init_subclass__(**kwargs)
        # equinox turns the class into a dataclass after this: its own declarations still stand as they were written.
        own = {name: field.metadata for name, field in vars(cls).items() if isinstance(field, dataclasses.Field)}
        parameters = {name: about["parameter"] for name, about in own.items() if "parameter" in about}
        covariates = {name: about["covariate"] for name, about in own.items() if "covariate" in about}
        require_declared(cls, AbstractModel, parameters, covariates)

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

    def told_by_charts(self) -> dict[str, str]:
        """Return the inputs whose effect is left to how charts follow them, each with the unknown that says so."""
        return {name: parameter for name, parameter in self.as_charted.items() if parameter in self.unknowns()}

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

    def __repr__(self) -> str:
        """Say in a few lines what the model is, what is unknown, and what goes in and comes out."""
        unknown, moving = self.unknowns(), self.processes()
        named = [f"{name}{' (moves)' if name in moving else ''}" for name in unknown]
        lines = [f"{type(self).__name__}: {len(unknown)} of {len(self.parameters())} parameters unknown"]
        lines += [f"  unknown: {', '.join(named)}"] if named else []
        for kind in (self.State, self.Input, self.Output):
            said = ", ".join(f"{name} ({declared.unit})" for name, declared in self.quantities(kind).items())
            lines += [f"  {kind.__name__.lower()}: {said}"] if said else []
        return "\n".join(lines)

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
    """Return a hint naming the closest valid name, and the closest five where there are many, for error messages."""
    names = [str(one) for one in valid]
    close = difflib.get_close_matches(name, names, n=_NEAREST, cutoff=0.0)
    if not close:
        return "there are none."
    if len(names) <= 2 * _NEAREST:
        return f"did you mean `{close[0]}`? Valid names: {', '.join(names)}."
    return f"did you mean `{close[0]}`? The nearest of {len(names)} names: {', '.join(close)}."


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
