"""The grids on which every protocol must give an order: 1 mg/dL by 0.1 U/h, and their like."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from tests.decisions.printed import Count, totality
from twinprob.decisions.protocols.circulation import (
    FluidByResponsiveness,
    FluidByRule,
    NurseTitration,
    PIController,
    TwinTitration,
)
from twinprob.decisions.protocols.metabolic import FixedRate, Leuven, StarLike, WashingtonColumns, Yale2005, Yale2012
from twinprob.decisions.protocols.respiratory import (
    ARDSNetHigh,
    ARDSNetLow,
    DrivingPressure,
    MinimalElastance,
    SaturationTarget,
)

GLUCOSE = {"glucose": np.arange(20.0, 501.0), "insulin": np.arange(0.0, 30.05, 0.1)}
CHANGING = {"glucose": np.arange(20.0, 501.0), "before glucose": np.arange(20.0, 501.0, 7.0)}
LUNG = {"height": 175.0, "sex": 1.0}
SETTINGS = {"inspired_oxygen": 0.5, "peep": 8.0, "tidal_volume": 450.0, "respiratory_rate": 20.0}


def yale_states(protocol):
    """The five modes of the machine, with a rate to return to."""
    first = protocol.start()
    return [dataclasses.replace(first, mode=jnp.asarray(mode), rate=jnp.asarray(3.5)) for mode in range(5)]


def started(protocol, **values):
    """A state after the first decision."""
    return dataclasses.replace(protocol.start(), started=jnp.ones((), bool), **values)


def every_grid(thin: int = 1) -> dict[str, Count]:
    """Return the count of each protocol, on every `thin`-th value of the grids."""
    return {**metabolic(thin), **respiratory(thin), **circulation(thin)}


def metabolic(thin) -> dict[str, Count]:
    found = {}
    for protocol in (Yale2005(), Yale2005.aiming(140.0, 140.0), Yale2012()):
        name, states = f"{type(protocol).__name__} {protocol.lower:g}", yale_states(protocol)
        found[f"{name}, by rate"] = totality(protocol, {}, {}, GLUCOSE, states, thin=thin)
        found[f"{name}, by change"] = totality(protocol, {"insulin": 3.0}, {}, CHANGING, states, thin=thin)
    for scale in (Leuven(), WashingtonColumns()):
        states = [scale.start(), started(scale)]
        found[f"{type(scale).__name__}, by rate"] = totality(scale, {}, {}, GLUCOSE, states, thin=thin)
        found[f"{type(scale).__name__}, by change"] = totality(scale, {"insulin": 3.0}, {}, CHANGING, states, thin=thin)
    found["FixedRate"] = totality(FixedRate(), {}, {}, GLUCOSE, thin=thin)
    star = StarLike.star_2012()
    body = jnp.array([8.0, 10.0, 12.0, 20.0, 80.0])
    after = dataclasses.replace(started(star), body=body, taken=jnp.asarray(480.0), sensitivity=jnp.asarray(3e-4))
    coarse = {"glucose": np.arange(1.0, 28.0, 0.5), "insulin": np.arange(0.0, 6.1, 1.0)}
    found["StarLike"] = totality(star, {"enteral_glucose": 0.6}, {}, coarse, [star.start(), after], thin=thin)
    return found


def respiratory(thin) -> dict[str, Count]:
    found = {}
    values = {
        "pulse_saturation": np.array([60.0, 87.0, 88.0, 95.0, 96.0, 100.0, np.nan]),
        "arterial_oxygen": np.array([30.0, 54.9, 55.0, 80.0, 80.1, np.nan]),
        "arterial_pH": np.array([6.9, 7.149, 7.15, 7.2, 7.3, 7.45, 7.46, np.nan]),
        "arterial_carbon_dioxide": np.array([20.0, 25.0, 60.0, np.nan]),
        "plateau_pressure": np.array([10.0, 24.9, 25.0, 30.0, 30.1, 45.0, np.nan]),
        "respiratory_rate": np.array([6.0, 20.0, 35.0]),
    }
    for protocol in (ARDSNetLow(), ARDSNetHigh()):
        places = [
            started(protocol, place=jnp.asarray(i), volume=jnp.asarray(v)) for i in (0, 9, 16) for v in (4.0, 6, 8)
        ]
        found[type(protocol).__name__] = totality(
            protocol, SETTINGS, LUNG, values, [protocol.start(), *places], thin=thin
        )
    plateaus = {"plateau_pressure": np.append(np.arange(2.0, 60.0, 0.1), np.nan), "peep": np.arange(0.0, 25.0)}
    found["DrivingPressure"] = totality(DrivingPressure(), SETTINGS, LUNG, plateaus, thin=thin)
    research = MinimalElastance()
    searching = [
        dataclasses.replace(research.start(), elastance=jnp.asarray(e), turns=jnp.asarray(t))
        for e in (0.0, 20.0)
        for t in (0, 1, 2)
    ]
    found["MinimalElastance"] = totality(research, SETTINGS, LUNG, plateaus, searching, thin=thin)
    saturations = {"pulse_saturation": np.arange(50.0, 100.1, 0.1), "inspired_oxygen": np.arange(0.21, 1.0, 0.01)}
    for band in (SaturationTarget.close(), SaturationTarget.iconic_low(), SaturationTarget.iconic_high()):
        found[f"SaturationTarget {band.low:g}"] = totality(band, {}, {}, saturations, thin=thin)
    return found


def circulation(thin) -> dict[str, Count]:
    pressures = {"mean_arterial_pressure": np.arange(20.0, 160.0), "norepinephrine": np.arange(0.0, 1.0, 0.01)}
    found = {
        type(p).__name__: totality(p, {}, {}, pressures, thin=thin)
        for p in (NurseTitration(), PIController(), TwinTitration())
    }
    fluids = {
        "mean_arterial_pressure": np.arange(30.0, 120.0, 5.0),
        "central_venous_pressure": np.arange(-5.0, 25.0, 0.5),
        "urine_output": np.arange(0.0, 300.0, 5.0),
        "norepinephrine": np.array([0.0, 0.1]),
    }
    found["FluidByRule"] = totality(FluidByRule(), {}, {"weight": 80.0}, fluids, thin=thin)
    legs = {
        "mean_arterial_pressure": np.arange(30.0, 120.0),
        "stroke_volume": np.arange(10.0, 120.0),
        "norepinephrine": np.array([0.0, 0.2]),
    }
    responding = FluidByResponsiveness()
    states = [
        dataclasses.replace(responding.start(), phase=jnp.asarray(p), before=jnp.asarray(50.0), given=jnp.asarray(g))
        for p in (0, 1)
        for g in (0.0, 5000.0)
    ]
    found["FluidByResponsiveness"] = totality(responding, {}, {"weight": 80.0}, legs, states, thin=thin)
    return found
