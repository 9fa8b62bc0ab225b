"""Join models where the outputs of one are inputs of another: one model, one joint posterior."""

import dataclasses
import re
import types
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import numpyro.distributions as dist
from jaxtyping import Array

from ..patient.units import convert
from .model import AbstractModel, nearest, parameter

_KINDS = ("State", "Input", "Output")


class _Wiring(NamedTuple):
    """Where the names of one part are found in the whole; `links` gives (output of the whole, factor) by input."""

    parameters: Mapping[str, str]
    covariates: tuple[str, ...]
    State: Mapping[str, str]
    Input: Mapping[str, str]
    Output: Mapping[str, str]
    links: Mapping[str, tuple[str, float]]
    pace: float


class Coupled(AbstractModel):
    """Several models as one: what `couple` returns. The parameters are fields of the whole; `part` gives them back."""

    wiring: ClassVar[tuple[_Wiring, ...]]
    links: ClassVar[dict[str, str]]
    parts: tuple[AbstractModel, ...] = eqx.field(default=(), kw_only=True)

    def part(self, place: int) -> AbstractModel:
        """Return one part with the values that its parameters and covariates have in the whole."""
        wiring = self.wiring[place]
        values = {own: getattr(self, name) for own, name in wiring.parameters.items()}
        values |= {name: getattr(self, name) for name in wiring.covariates}
        return dataclasses.replace(self.parts[place], **values)

    def initial(self, inputs):
        """Start each part in turn, under the outputs of those before it."""
        state: dict[str, Any] = {}
        for _ in self._walk(state, inputs):
            pass
        return self.State(**state)

    def vector_field(self, time, state, inputs):
        """Return every part's derivative, at the outputs that the parts before it have at this instant."""
        known = {name: getattr(state, name) for name in self.quantities(self.State)}
        rates: dict[str, Any] = {}
        for place, part, own, given in self._walk(known, inputs):
            wiring = self.wiring[place]
            change = part.vector_field(time / wiring.pace, own, given)
            rates |= {name: getattr(change, field) / wiring.pace for field, name in wiring.State.items()}
        return self.State(**rates)

    def output(self, state, inputs):
        """Return the outputs of all parts."""
        known = {name: getattr(state, name) for name in self.quantities(self.State)}
        seen: dict[str, Any] = {}
        for _ in self._walk(known, inputs, seen):
            pass
        return self.Output(**seen)

    def _walk(self, state: dict[str, Any], inputs, seen: dict[str, Any] | None = None) -> Iterator:
        """Yield place, part, its state and its inputs; missing states are begun, outputs written to `seen`."""
        seen = {} if seen is None else seen
        for place, wiring in enumerate(self.wiring):
            part = self.part(place)
            given = {field: getattr(inputs, name) for field, name in wiring.Input.items()}
            given |= {field: seen[name] * factor for field, (name, factor) in wiring.links.items()}
            given = part.Input(**given)
            if not all(name in state for name in wiring.State.values()):
                begun = part.initial(given)
                state |= {name: getattr(begun, field) for field, name in wiring.State.items()}
            own = part.State(**{field: state[name] for field, name in wiring.State.items()})
            out = part.output(own, given)
            seen |= {name: getattr(out, field) for field, name in wiring.Output.items()}
            yield place, part, own, given


def couple(*parts: AbstractModel, links: Mapping[str, str]) -> Coupled:
    """Join models to one whose unknowns have one joint posterior.

    Parameters
    ----------
    *parts : AbstractModel
        In the order in which they drive each other: a part may use the outputs of the parts before it.
    links : mapping of str to str
        Input of a part to the output of an earlier part that drives it. Inputs that are not linked stay inputs of the
        whole; parts that share such a name share the input.

    Returns
    -------
    Coupled
        Parameters, states and outputs keep their names; one that two parts use is prefixed by the part's class, as in
        `single_compartment_resistance`. What was unknown, fixed or moving in a part is so in the whole. Linked
        units are converted; the time unit is the first part's.

    Raises
    ------
    ValueError
        If a link names no input, or no output of an earlier part, or their units do not measure the same.

    Examples
    --------
    >>> import twinprob as tp
    >>> lung = tp.models.respiratory.GasExchange()
    >>> tp.couple(lung, links={})
    Coupled[GasExchange](...)
    """
    if not parts:
        raise ValueError("`couple` needs at least one model.")
    whole = _joined(tuple(type(part) for part in parts), tuple(sorted(links.items())))
    values: dict[str, Any] = {}
    unknown: list[str] = []
    priors: dict[str, dist.Distribution] = {}
    motions: dict[str, Any] = {}
    for wiring, part in zip(reversed(whole.wiring), reversed(parts), strict=True):
        names = wiring.parameters
        values |= {name: getattr(part, own) for own, name in names.items()}
        values |= {name: getattr(part, name) for name in wiring.covariates}
        unknown += [names[own] for own in part.unknowns()]
        priors |= {names[own]: prior for own, prior in part.priors.items()}
        motions |= {names[own]: motion for own, motion in part.motions.items()}
    bare = tuple(dataclasses.replace(part, priors={}, motions={}, unknown=None) for part in parts)
    return whole(**values, parts=bare, unknown=tuple(unknown), priors=priors, motions=motions)


@cache
def _joined(classes: tuple[type[AbstractModel], ...], links: tuple[tuple[str, str], ...]) -> Any:
    """Return the class of the whole; the same parts and links give the same class, so compiled programs are shared."""
    wirings = _wire(classes, dict(links))
    title = f"Coupled[{', '.join(one.__name__ for one in classes)}]"
    space: dict[str, Any] = {"__annotations__": {}, "__module__": __name__, "__qualname__": title}
    for place, (one, wiring) in enumerate(zip(classes, wirings, strict=True)):
        fields = {field.name: field for field in dataclasses.fields(one)}
        for own, name in wiring.parameters.items():
            space[name], space["__annotations__"][name] = _declared(one, own, place), float
        for name in wiring.covariates:
            if name not in space:
                space[name] = eqx.field(default=fields[name].default, metadata=dict(fields[name].metadata))
                space["__annotations__"][name] = float
    for kind in _KINDS:
        space[kind] = _quantities(kind, classes, wirings)
    space["time_unit"] = classes[0].time_unit
    space["step"] = min(one.step * wiring.pace for one, wiring in zip(classes, wirings, strict=True))
    space["as_charted"] = {
        wiring.Input[name]: wiring.parameters[parameter]
        for one, wiring in zip(classes, wirings, strict=True)
        for name, parameter in one.as_charted.items()
        if name in wiring.Input
    }
    space["wiring"], space["links"], space["__doc__"] = wirings, dict(links), f"{title}: see `couple`."
    space["__repr__"] = lambda self: f"{title}(...)"
    return types.new_class(title, (Coupled,), exec_body=lambda body: body.update(space))


def _wire(classes, links: dict[str, str]) -> tuple[_Wiring, ...]:
    """Name everything in the whole and resolve the links."""
    wirings: list[_Wiring] = []
    names = {
        kind: _unique(classes, [list(one.quantities(getattr(one, kind))) for one in classes])
        for kind in ("State", "Output")
    }
    parameters = _unique(classes, [list(one.parameters()) for one in classes])
    outputs: dict[str, str] = {}
    waiting = dict(links)
    for place, one in enumerate(classes):
        inputs = one.quantities(one.Input)
        driven = {}
        for name in [name for name in links if name in inputs]:
            driven[name] = (links[name], _factor(one, name, inputs[name].unit, links[name], outputs))
            waiting.pop(name, None)
        wirings.append(
            _Wiring(
                parameters=parameters[place],
                covariates=tuple(one.covariates()),
                State=names["State"][place],
                Input={name: name for name in inputs if name not in driven},
                Output=names["Output"][place],
                links=driven,
                pace=float(convert(1.0, one.time_unit, classes[0].time_unit)),
            )
        )
        declared = one.quantities(one.Output)
        outputs |= {whole: declared[own].unit for own, whole in names["Output"][place].items()}
    for name in waiting:
        valid = [i for one in classes for i in one.quantities(one.Input)]
        raise ValueError(f"`links` drives `{name}`, which is no input of any part; {nearest(name, valid)}")
    return tuple(wirings)


def _factor(one, name: str, unit: str, output: str, outputs: Mapping[str, str]) -> float:
    if output not in outputs:
        raise ValueError(
            f"Input `{name}` of `{one.__name__}` is linked to `{output}`, which no earlier part puts out; "
            f"{nearest(output, outputs)}"
        )
    try:
        return float(convert(1.0, outputs[output], unit, variable=output))
    except ValueError as error:
        raise ValueError(
            f"Input `{name}` of `{one.__name__}` is in {unit}, but output `{output}` is in {outputs[output]}: {error}"
        ) from None


def _unique(classes, declared: list[list[str]]) -> list[dict[str, str]]:
    """Prefix a name by its part's class where two parts use it."""
    often = {name for names in declared for name in names if sum(name in other for other in declared) > 1}
    return [
        {name: f"{_snake(one.__name__)}_{name}" if name in often else name for name in names}
        for one, names in zip(classes, declared, strict=True)
    ]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _declared(one, own: str, place: int):
    """Declare a part's parameter in the whole; a prior that reads the patient reads the part."""
    declared = one.parameters()[own]
    prior = declared.prior
    if not isinstance(prior, dist.Distribution):
        inner = prior

        def prior(whole):
            return inner(whole.part(place))

    default = next(field.default for field in dataclasses.fields(one) if field.name == own)
    return parameter(
        prior,
        unit=declared.unit,
        source=declared.source,
        value=default,
        about=declared.about,
        varies=declared.varies,
        known=declared.known,
    )


def _quantities(kind: str, classes, wirings) -> type:
    """Return the whole's `State`, `Input` or `Output`."""
    space: dict[str, Any] = {"__annotations__": {}, "__module__": __name__, "__qualname__": kind}
    units: dict[str, str] = {}
    for one, wiring in zip(classes, wirings, strict=True):
        fields = {field.name: field for field in dataclasses.fields(getattr(one, kind))}
        for own, name in getattr(wiring, kind).items():
            unit = fields[own].metadata["quantity"].unit
            if units.setdefault(name, unit) != unit:
                raise ValueError(
                    f"Input `{name}` is shared by several parts, in {units[name]} and in {unit} (`{one.__name__}`); "
                    "declare it in one unit."
                )
            space[name] = dataclasses.field(metadata=dict(fields[own].metadata))
            space["__annotations__"][name] = Array
    return types.new_class(kind, (eqx.Module,), exec_body=lambda body: body.update(space))
