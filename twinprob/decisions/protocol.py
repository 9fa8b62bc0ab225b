"""What the author of a bedside rule writes: settings, what it reads and gives, and one decision for one patient."""

import dataclasses
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..patient.require import require_spacing
from .bedside import Bedside, Orders, blank, require_name, require_unit

MEMORY = "setting from memory, not published"


class Setting(NamedTuple):
    """What stands beside a setting: unit, meaning and source."""

    unit: str
    about: str
    source: str


def setting(
    value: Any = dataclasses.MISSING,
    *,
    unit: str = "1",
    about: str = "",
    source: str = "setting of this library",
    static: bool = False,
) -> Any:
    """Declare one setting of a protocol.

    Parameters
    ----------
    value : object
        What it is where the caller says nothing.
    unit : str
    about : str
        One phrase for the table of the documentation.
    source : str
        Where the value comes from; one from memory or a web page says so.
    static : bool
        Whether it decides the form of what is computed, such as how many doses there are.
    """
    chosen = {} if value is dataclasses.MISSING else {"default": value}
    return eqx.field(**chosen, static=static, metadata={"setting": Setting(unit, about, source)})


class AbstractProtocol(eqx.Module):
    """A rule of the bedside: a frozen value of settings that decides for one patient at one moment.

    An author declares what the protocol `reads` (variable to unit), `gives` (input to unit) and `knows` (covariate to
    unit), names its rules and caps, and writes `decide`. Written with `jax.numpy` (`jnp.where`, `table[index]`), it is
    batched over patients and compiled; plain Python with `if` runs too, once per patient and decision, much slower.

    Attributes
    ----------
    reads, gives, knows : mapping of str to str
        Names of the vocabulary, with the unit in which the protocol thinks of each.
    source : str
        Where the rule is printed.
    gaps : tuple of str
        What the print does not say, and what was done.
    resolution : str
        The shortest time between two decisions; `measure_in` is a multiple of it.
    """

    reads: ClassVar[Mapping[str, str]] = {}
    gives: ClassVar[Mapping[str, str]] = {}
    knows: ClassVar[Mapping[str, str]] = {}
    source: ClassVar[str] = ""
    gaps: ClassVar[tuple[str, ...]] = ()
    resolution: ClassVar[str] = "15 min"

    class Rule(IntEnum):
        """The rules that may speak."""

        only = 0

    class Cap(IntEnum):
        """The limits that may bind."""

        none = 0

    def __init_subclass__(cls, **kwargs):
        """Refuse a protocol that asks for what a bedside cannot see, as soon as it is written."""
        super().__init_subclass__(**kwargs)
        for name, kind, _ in cls.declared():
            require_name(name, kind, cls.__name__)
        require_spacing(f"`resolution` of protocol `{cls.__name__}`", cls.resolution)

    def __check_init__(self):
        """Refuse a rule that reads what it did not declare, or orders what it does not give."""
        require_orders(self)

    def start(self) -> Any:
        """Return what the protocol carries before its first decision; nothing by default."""
        return ()

    def decide(self, bedside: Bedside) -> Orders:
        """Decide for one patient at one moment.

        Parameters
        ----------
        bedside : Bedside
            Measurements in the units of `reads`, what runs in those of `gives`.

        Returns
        -------
        Orders
        """
        raise NotImplementedError

    def aims(self) -> dict[str, float]:
        """Return what the protocol steers to, by variable, in the unit it reads; nothing by default."""
        return {}

    @classmethod
    def declared(cls) -> list[tuple[str, str, str]]:
        """Return what it reads, gives and knows: name, kind and unit of each."""
        kinds = ((cls.reads, "observation"), (cls.gives, "input"), (cls.knows, "covariate"))
        return [(name, kind, unit) for named, kind in kinds for name, unit in named.items()]

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """Return every declared setting with its unit, meaning and source."""
        return {f.name: f.metadata["setting"] for f in dataclasses.fields(cls) if "setting" in f.metadata}

    @property
    def traceable(self) -> bool:
        """Whether `decide` can be compiled; a plain Python rule cannot, and runs patient by patient."""
        return _tried(self) is not None


def example(protocol: AbstractProtocol) -> Orders:
    """Return what a protocol orders on numbers of no meaning, for the form of its orders alone."""
    bedside = blank(protocol.reads, protocol.gives, protocol.knows, protocol.start())
    found = _tried(protocol)
    return protocol.decide(bedside) if found is None else found


def require_orders(protocol: AbstractProtocol) -> None:
    """Refuse a protocol that reads what it did not declare, or orders what it does not give.

    Raises
    ------
    TypeError, ValueError
    """
    for variable, kind, unit in protocol.declared():
        require_unit(variable, unit, kind)
    name, orders = type(protocol).__name__, example(protocol)
    if not isinstance(orders, Orders):
        raise TypeError(f"`decide` of protocol `{name}` must return `Orders`, but returned {type(orders).__name__}.")
    for given, unit in (*orders.units, *((n, "") for n, _, _ in orders.given)):
        if given not in protocol.gives:
            raise ValueError(f"Protocol `{name}` orders `{given}`, which is not among what it gives: declare it.")
        if unit and unit != protocol.gives[given]:
            raise ValueError(
                f"Protocol `{name}` orders `{given}` in {unit}, but declares to give it in {protocol.gives[given]}."
            )
    before, after = (str(jax.tree.structure(x)) for x in (protocol.start(), orders.state))
    if before != after:
        raise ValueError(
            f"Protocol `{name}` begins with a state of another form than it hands on: return "
            "`Orders(..., state=…)` of the form that `start` returns."
        )


def _tried(protocol: AbstractProtocol) -> Orders | None:
    """Return the form of a protocol's orders, None where it can only be found by running plain Python."""
    bedside = blank(protocol.reads, protocol.gives, protocol.knows, protocol.start())
    try:
        return eqx.filter_eval_shape(lambda at: protocol.decide(at), jax.tree.map(jnp.asarray, bedside))
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):
        return None


def held_by(protocol: AbstractProtocol) -> dict[str, Any]:
    """Return a protocol's settings as numbers and text, for a file."""
    held = {}
    for field in dataclasses.fields(protocol):
        value = getattr(protocol, field.name)
        held[field.name] = value if isinstance(value, str | int | float | bool) else repr(value)
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in held.items()}
