"""From arms, patients and a world to the numbers that the loop runs on; everything is checked here, before any work."""

import dataclasses
import math
from collections.abc import Mapping

import jax
import numpy as np

from ..dynamics.programs import as_data
from ..dynamics.segments import minutes_per_unit
from ..patient.require import require_kind
from ..patient.units import convert, minutes, per_weight
from .closed_loop import Arm, Charts, Clock, Loop, arm_of, states_at_first
from .protocol import AbstractProtocol
from .virtual_patients import VirtualPatients
from .world import World


@dataclasses.dataclass(frozen=True)
class Prepared:
    """One arm ready to run.

    Attributes
    ----------
    loop : Loop
    charts : Charts of all patients
    notes : tuple of str
        What of the arm the plant has not.
    """

    loop: Loop
    charts: Charts
    notes: tuple[str, ...]


def require_arms(arms: Mapping[str, AbstractProtocol]) -> None:
    """Refuse what is no mapping of protocols by name.

    Raises
    ------
    TypeError, ValueError
    """
    if not isinstance(arms, Mapping) or not arms:
        raise TypeError('Argument `arms` must map names to protocols, such as {"Yale": Yale2012()}.')
    for name, protocol in arms.items():
        require_kind(f"arms[{name!r}]", protocol, AbstractProtocol)
        if not isinstance(name, str) or not name.strip():
            raise ValueError("Every arm needs a name.")


def grid(arms: Mapping[str, AbstractProtocol], hours: float) -> tuple[int, float]:
    """Return steps and minutes of the grid on which every arm can act: the finest resolution of them."""
    step = min(minutes(protocol.resolution) for protocol in arms.values())
    for name, protocol in arms.items():
        share = minutes(protocol.resolution) / step
        if abs(share - round(share)) > 1e-9:
            raise ValueError(
                f"Arm `{name}` acts every {protocol.resolution}, which is no multiple of the {step:g} min of another "
                "arm: give both a resolution that fits."
            )
    count = 60.0 * hours / step
    if abs(count - round(count)) > 1e-9:
        raise ValueError(f"Argument `hours` must be a multiple of the arms' {step:g} min, but is {hours:g} h.")
    return round(count), step


def prepared(
    name: str, protocol: AbstractProtocol, patients: VirtualPatients, world: World, clock: tuple[int, float], keys
) -> Prepared:
    """Return one arm ready to run on all patients.

    Raises
    ------
    ValueError
        If the plant has nothing of what the arm reads or gives, or a unit needs a weight that nobody has.
    """
    plant, weight = patients.model, _weight(patients)
    outputs, inputs = (plant.quantities(kind) for kind in (plant.Output, plant.Input))
    if not set(protocol.reads) & set(patients.observations):
        raise ValueError(
            f"Arm `{name}` reads {', '.join(protocol.reads)}, of which the plant has nothing that is measured: it has "
            f"{', '.join(patients.observations)}."
        )
    if not set(protocol.gives) & set(inputs):
        raise ValueError(f"Arm `{name}` gives {', '.join(protocol.gives)}, of which the plant has nothing.")
    notes = [
        f"Arm `{name}` reads {n}, which these patients have not: never measured."
        for n in protocol.reads
        if n not in patients.observations
    ]
    notes += [
        f"Arm `{name}` gives {n}, which has no effect in these patients." for n in protocol.gives if n not in inputs
    ]
    if not protocol.traceable:
        notes.append(f"Arm `{name}` is plain Python: it runs patient by patient, far slower than a compiled rule.")
    arm, count = arm_of(protocol), len(patients)
    names = list(inputs)
    background = np.stack([patients.inputs[n][0] for n in names], axis=-1)

    def factors(n: str, unit: str) -> np.ndarray:
        return _factor(n, unit, inputs[n].unit, weight, count)

    give = {n: factors(n, unit) for n, unit in protocol.gives.items() if n in inputs}
    uncharted = np.zeros_like(background)
    for n, unit in world.units:
        if n in inputs:
            uncharted[:, names.index(n)] = world.uncharted[n] * factors(n, unit)
    fields = {field.name for field in dataclasses.fields(plant)}
    values = {n: v for n, v in patients.values.items() if n in fields}
    bare = dataclasses.replace(plant, priors={}, motions={}, unknown=tuple(plant.unknowns()))
    charts = Charts(
        values=values,
        sizes={n: v for n, v in patients.values.items() if n not in fields},
        paths=dict(patients.paths),
        elapsed=dict(patients.elapsed),
        background=background,
        uncharted=uncharted,
        charted={n: background[:, names.index(n)] / give[n] if n in give else np.zeros(count) for n in protocol.gives},
        give=give,
        bolus={n: factors(n, f"{unit}/min") for n, unit, _ in arm.example().given if n in inputs},
        covariates={n: _covariate(name, n, unit, patients) for n, unit in protocol.knows.items()},
        state=_first(bare, patients, values, background),
        keys=keys,
    )
    units = {n: outputs[n].unit for n in protocol.reads if n in outputs}
    read = {n: float(convert(1.0, units[n], protocol.reads[n], variable=n)) for n in units}
    return Prepared(_loop(arm, bare, patients, world, clock, read, protocol.traceable), charts, tuple(notes))


def _loop(arm: Arm, plant, patients: VirtualPatients, world: World, clock, read, traceable: bool) -> Loop:
    (steps, step), unit = clock, minutes_per_unit(plant)
    processes = patients.model.processes()
    return Loop(
        protocol=as_data(arm) if traceable else arm,
        plant=plant,
        observations=as_data(dict(patients.observations)),
        measuring=as_data(world.measuring),
        delivery=as_data(world.delivery),
        interval=as_data(world.interval),
        read=as_data(read),
        clock=Clock(steps, step, max(1, math.ceil(step / (plant.step * unit) - 1e-9))),
        intervals=tuple((n, processes[n].interval) for n in patients.paths),
        time_unit=unit,
    )


def _first(plant, patients: VirtualPatients, values, background) -> np.ndarray:
    """Return where the patients are: as they say, or where the model starts under what runs."""
    if patients.state is not None:
        return patients.state
    knots = {name: path[:, 0] for name, path in patients.paths.items()}
    return np.asarray(states_at_first(plant, {**values, **knots}, background))


def _weight(patients: VirtualPatients) -> np.ndarray | None:
    if "weight" not in patients.covariates:
        return None
    values, unit = patients.covariates["weight"]
    return convert(values, unit, "kg", variable="weight")


def _factor(name: str, unit: str, to: str, weight: np.ndarray | None, count: int) -> np.ndarray:
    """Return what one unit is in another, for each patient where a unit is per kilogram."""
    if per_weight(unit) == per_weight(to):
        return np.full(count, float(convert(1.0, unit, to, variable=name)))
    if weight is None:
        raise ValueError(
            f"`{name}` in {unit} needs the patients' weight: give `covariates={{'weight': (80.0, 'kg')}}`."
        )
    per_kilogram = float(convert(1.0, unit, to, variable=name, weight=1.0))
    return per_kilogram * (weight if per_weight(unit) else 1.0 / weight)


def _covariate(arm: str, name: str, unit: str, patients: VirtualPatients) -> np.ndarray:
    if name not in patients.covariates:
        raise ValueError(
            f"Arm `{arm}` needs to know `{name}` ({unit}), which the patients have not: give it in `covariates`."
        )
    values, given = patients.covariates[name]
    return values if name == "sex" else convert(values, given, unit, variable=name)


def batch(charts: Charts, chosen: np.ndarray) -> Charts:
    """Return some of the patients."""
    return jax.tree.map(lambda leaf: leaf[chosen], charts)
