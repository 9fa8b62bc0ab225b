"""What a rule sees at the bedside, and what it orders: one patient at one moment, without the truth."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from ..modeling.model import nearest
from ..patient.units import check
from ..patient.vocabulary import VOCABULARY

HISTORY = 4  # results of each variable that a bedside shows


class Seen(eqx.Module):
    """The last results of one variable, the newest first; NaN where there is none.

    Attributes
    ----------
    values : (result,) in the unit the protocol reads
    times : (result,) min, when each was taken, on the bedside's clock
    """

    values: Float[Array | np.ndarray, " result"]
    times: Float[Array | np.ndarray, " result"]

    @property
    def value(self) -> Any:
        """The newest result; NaN where there is none."""
        return self.values[0]

    @property
    def time(self) -> Any:
        """When the newest was taken, min."""
        return self.times[0]

    @property
    def change_per_hour(self) -> Any:
        """Change from the result before to the newest, per hour; NaN where there is only one."""
        return 60.0 * (self.values[0] - self.values[1]) / (self.times[0] - self.times[1])


class Bedside(eqx.Module):
    """What a bedside has: results as they were measured, late and maybe missing, what runs, who it is, the clock.

    Attributes
    ----------
    clock : () min since the protocol began
    measured : mapping from the variables a protocol `reads` to `Seen`
    running : mapping from the inputs a protocol `gives` to the rate or setting charted now, in its unit
    covariates : mapping from the covariates a protocol `knows` to their values, in its units
    state : what the protocol carries from its last decision, as its `start` made it
    """

    clock: Any
    measured: dict[str, Seen]
    running: dict[str, Any]
    covariates: dict[str, Any]
    state: Any = ()

    def seen(self, name: str) -> Seen:
        """Return the last results of one variable.

        Raises
        ------
        ValueError
            If the protocol does not read it: a bedside shows nothing else, and never the truth.
        """
        return _found("reads", self.measured, name)

    def runs(self, name: str) -> Any:
        """Return what is charted to run of one input, in the protocol's unit.

        Raises
        ------
        ValueError
            If the protocol does not give it.
        """
        return _found("gives", self.running, name)

    def covariate(self, name: str) -> Any:
        """Return one covariate, in the protocol's unit.

        Raises
        ------
        ValueError
            If the protocol does not declare that it knows it.
        """
        return _found("knows", self.covariates, name)


class Bolus(NamedTuple):
    """An amount given within a few minutes.

    Attributes
    ----------
    amount : () in `unit`; zero for none
    unit : str, an amount such as ``"g"`` or ``"mL"``
    duration : float, min
    """

    amount: Any
    unit: str
    duration: float = 5.0


class Orders(eqx.Module):
    """What a rule orders.

    Parameters
    ----------
    inputs : mapping of str to (value, unit)
        Rates and settings from now on; inputs that are not named run on.
    measure_in : () min
        When to measure next, and to decide on it.
    rule : () int
        The rule that spoke, a member of the protocol's `Rule`.
    cap : () int
        The limit that bound, a member of its `Cap`; 0 for none.
    state : pytree
        What the protocol carries to its next decision, of the form `start` made.
    boluses : mapping of str to Bolus

    Raises
    ------
    ValueError
        If a name is no input of the vocabulary, or a unit cannot be that of the input.
    """

    values: dict[str, Any]
    amounts: dict[str, Any]
    measure_in: Any
    rule: Any
    cap: Any
    state: Any
    units: tuple[tuple[str, str], ...] = eqx.field(static=True)
    given: tuple[tuple[str, str, float], ...] = eqx.field(static=True)

    def __init__(
        self,
        inputs: Mapping[str, tuple[Any, str]],
        *,
        measure_in: Any,
        rule: Any = 0,
        cap: Any = 0,
        state: Any = (),
        boluses: Mapping[str, Bolus] | None = None,
    ):
        boluses = boluses or {}
        for name, (_, unit) in inputs.items():
            require_unit(name, unit, "input")
        for name, bolus in boluses.items():
            require_unit(name, f"{bolus.unit}/min", "input")
        self.values = {name: value for name, (value, _) in inputs.items()}
        self.amounts = {name: bolus.amount for name, bolus in boluses.items()}
        self.units = tuple((name, unit) for name, (_, unit) in inputs.items())
        self.given = tuple((name, bolus.unit, float(bolus.duration)) for name, bolus in boluses.items())
        self.measure_in, self.rule, self.cap, self.state = measure_in, rule, cap, state


def require_name(name: str, kind: str, protocol: str = "") -> None:
    """Refuse a variable of another kind than asked for.

    Raises
    ------
    ValueError
        With what a bedside has instead.
    """
    if name not in VOCABULARY or VOCABULARY[name].kind != kind:
        names = [known for known, entry in VOCABULARY.items() if entry.kind == kind]
        seen = "can be measured" if kind == "observation" else f"is known as {kind}"
        whose = f"Protocol `{protocol}` cannot be written so. " if protocol else ""
        raise ValueError(f"{whose}A bedside has no `{name}`: it is nothing that {seen}; {nearest(name, names)}")


def require_unit(name: str, unit: str, kind: str) -> None:
    """Refuse a variable of another kind than asked for, or a unit that cannot be its own.

    Raises
    ------
    ValueError
    """
    require_name(name, kind)
    like = VOCABULARY[name].unit
    if like and unit != like:
        per_kilogram = "/kg" in unit and "/kg" not in like
        check(unit.replace("/kg", "") if per_kilogram else unit, like=like, variable=name)


def blank(reads, gives, knows, state) -> Bedside:
    """Return a bedside with numbers of no meaning, to see what a protocol reads and orders."""
    seen = {name: Seen(np.linspace(9.0, 8.0, HISTORY), np.linspace(240.0, 60.0, HISTORY)) for name in reads}
    ones = {name: np.ones(()) for name in gives}
    return Bedside(np.asarray(240.0), seen, ones, {name: np.ones(()) for name in knows}, state)


def _found(declared: str, held: Mapping[str, Any], name: str) -> Any:
    if name not in held:
        shown = ", ".join(held) or "nothing"
        raise ValueError(
            f"The bedside shows no `{name}`: it is not among what the protocol `{declared}` ({shown}). Declare it, if "
            "it can be measured or charted; a bedside never shows the truth."
        )
    return held[name]
