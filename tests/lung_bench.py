"""A test lung behind a ventilator, by small implicit steps: tubing, inertance, a late sensor, and gas of any weight."""

from typing import NamedTuple

import numpy as np
import pandas as pd

import twinprob as tp
from twinprob.models.respiratory.breaths import Breath, segment

# ISO 80601-2-12, Table 201.105, cases 1 to 8 as they were run: C mL/cmH2O, R cmH2O s/L, rate, PIP, PEEP, share of
# inspiration.
CASES = (
    (50, 5, 20, 15, 5, 1 / 3),
    (50, 20, 12, 25, 10, 0.2),
    (20, 5, 20, 30, 5, 1 / 3),
    (20, 20, 20, 35, 10, 1 / 3),
    (20, 20, 20, 20, 5, 1 / 3),
    (20, 50, 12, 35, 10, 0.2),
    (10, 50, 20, 35, 5, 1 / 3),
    (10, 20, 20, 35, 10, 1 / 3),
)
RATE = 100.0


class Bench(NamedTuple):
    """One apparatus: tubing mL/cmH2O, delay of the flow s, inertance cmH2O s²/L, gain, viscosity, density to air's."""

    circuit: float = 0.5
    delay: float = 0.006
    inertance: float = 0.01
    gain: float = 1.0
    viscosity: float = 1.0
    density: float = 1.0


def record_cases(benches: list[Bench], *, seconds: float = 31.0, seed: int = 0) -> list[list[list[Breath]]]:
    """Return the breaths of each of the eight cases on each bench, [bench][case][breath]."""
    pairs = [(bench, case) for bench in benches for case in CASES]
    C, R, rate, top, bottom, duty = np.array([case for _, case in pairs], float).T
    circuit, delay, inertance, gain, viscosity, density = np.array([bench for bench, _ in pairs]).T
    # A restrictor whose nominal resistance is read between half a liter and one a second: a third of it laminar.
    laminar, turbulent, E = 0.2 * R * viscosity, R * density, 1000.0 / C
    sub, h = 20, 1.0 / RATE / 20
    count = int(seconds * RATE)
    source, airway, volume, flow = bottom.copy(), bottom.copy(), np.zeros_like(C), np.zeros_like(C)
    pressures, flows = np.empty((count * sub, len(C))), np.empty((count * sub, len(C)))
    for k in range(count * sub):
        inspiring = (k * h) % (60.0 / rate) < 60.0 / rate * duty
        source += (np.where(inspiring, top, bottom) - source) * h / 0.03
        valve = np.where(inspiring, 4.0, 10.0)
        share = 1000.0 * h / circuit
        airway = (airway + share * (source / valve - flow)) / (1.0 + share / valve)
        drive = airway - bottom - E * volume
        flow = (flow + h / inertance * drive) / (1.0 + h / inertance * (laminar + turbulent * np.abs(flow)))
        volume = volume + flow * h
        pressures[k], flows[k] = airway, (source - airway) / valve
    clock, chance = np.arange(count * sub) * h, np.random.default_rng(seed)
    found = []
    for j in range(len(C)):
        late = np.interp(clock - delay[j], clock, flows[:, j])
        table = pd.DataFrame(
            {
                "time": np.arange(count) / RATE,
                "pressure": pressures[:, j].reshape(count, sub).mean(axis=1) + 0.25 * chance.normal(size=count),
                "flow": gain[j] * late.reshape(count, sub).mean(axis=1) + 0.03 * chance.normal(size=count),
            }
        )
        record = tp.readers.waveform.read(
            table, pressure=("pressure", "cmH2O"), flow=("flow", "L/s"), time=("time", "s")
        )
        found.append(list(segment(record)))
    return [found[i : i + len(CASES)] for i in range(0, len(found), len(CASES))]
