"""The test lung's compliance with every choice of the apparatus fixed beforehand, on air and on simulated oxygen.

The choices, each argued from the apparatus or from simulated lungs and the same for both gases; what one changed at a
time would have given stands beside:

- Lung and tubing together come from slow samples, .15 s and more after a switch (`Apparatus.settling`), breaths without
  a flag, each with a level of its own, resistance with Rohrer's term (`slow_compliance`).
- The tubing has .5 mL/cmH2O with an SD of .3: half a liter to a liter of gas in rigid tubes. All recordings of one gas
  together update that by what goes astray at the switches (`circuit_compliance`); delay and inertance are unknown with
  SDs of 10 ms and .01 cmH2O s²/L.
- The flow sensor is a venturi that takes every gas for air of 1.225 kg/m³ (the ventilator's published software); the
  gas in it is at 22 °C. So it reads air 1 % too low and oxygen 4 % too high. Beyond that its gain has an SD of 3 %.

Simulated oxygen: 12 apparatuses drawn at random, tubing of .2 to 1 mL/cmH2O, a flow read 10 ms early to 15 ms late, an
inertance of .005 to .02, a gain with the SD that the apparatus states, gas with 1.11 times the viscosity and 1.105
times the density of air; eight lungs each.
"""

import math

import numpy as np
import pandas as pd

import twinprob as tp
from tests.lung_bench import CASES, Bench, record_cases
from tests.validation import Result, shared_data
from twinprob.breaths.apparatus import Apparatus, circuit_compliance, lung_compliance
from twinprob.models.respiratory.breaths import segment

APPARATUS = Apparatus(sensor_density=1.225)
BENCHES = 12


def judged(recordings, nominal, oxygen: float, apparatus: Apparatus = APPARATUS) -> dict:
    """Estimate each recording's lung with one circuit for all, and hold it against the nominal."""
    circuit = circuit_compliance(*recordings, apparatus=apparatus)
    found = [lung_compliance(breaths, circuit, apparatus=apparatus, oxygen=oxygen) for breaths in recordings]
    ends = [one.interval(0.9) for one in found]
    ratios = [one.value / C for one, C in zip(found, nominal, strict=True)]
    return {
        "circuit": [circuit.compliance, circuit.error],
        "delay_ms": [1000 * circuit.delay, 1000 * circuit.delay_error],
        "inertance": [circuit.inertance, circuit.inertance_error],
        "misfit of the switches": circuit.misfit,
        "C over nominal": ratios,
        "interval over nominal": [[low / C, high / C] for (low, high), C in zip(ends, nominal, strict=True)],
        "close": int(sum(abs(ratio - 1.0) <= 0.05 for ratio in ratios)),
        "covered": int(sum(low <= C <= high for (low, high), C in zip(ends, nominal, strict=True))),
    }


def air() -> tuple[list, list[float]]:
    """Return the breaths of the eight recordings on air, and their nominal compliances."""
    table = pd.read_csv(shared_data("respiraworks-testlung") / "runforrecord2_20200621.csv.gz")
    recordings, nominal = [], []
    for _, samples in table.groupby("test"):
        record = tp.readers.waveform.read(
            samples, pressure=("pressure_cmH2O", "cmH2O"), flow=("net_flow_mL_s", "mL/s"), time=("time_s", "s")
        )
        recordings.append(list(segment(record)))
        nominal.append(float(samples["C_nominal_mL_cmH2O"].iloc[0]))
    return recordings, nominal


def oxygen_benches() -> list[Bench]:
    """Draw the apparatuses of the simulated oxygen."""
    chance = np.random.default_rng(88)
    return [
        Bench(
            circuit=chance.uniform(0.2, 1.0),
            delay=chance.uniform(-0.010, 0.015),
            inertance=chance.uniform(0.005, 0.02),
            gain=APPARATUS.gain(1.0) * math.exp(APPARATUS.gain_error * chance.standard_normal()),
            viscosity=1.11,
            density=1.105,
        )
        for _ in range(BENCHES)
    ]


def measure() -> Result:
    """Judge the air recordings, the same with one choice changed at a time, and the simulated oxygen."""
    recordings, nominal = air()
    real = judged(recordings, nominal, 0.21)
    others = {
        "settling .1 s": Apparatus(settling=0.1, sensor_density=1.225),
        "settling .2 s": Apparatus(settling=0.2, sensor_density=1.225),
        "sensor knows the gas": Apparatus(),
        "circuit believed .25 ± .15": Apparatus(circuit=0.25, circuit_error=0.15, sensor_density=1.225),
        "circuit believed 1.0 ± .5": Apparatus(circuit=1.0, circuit_error=0.5, sensor_density=1.225),
    }
    varied = {name: judged(recordings, nominal, 0.21, apparatus) for name, apparatus in others.items()}
    benches = oxygen_benches()
    lungs = [float(case[0]) for case in CASES]
    oxygen = [judged(one, lungs, 1.0) for one in record_cases(benches)]
    close, covered = (np.array([one[name] for one in oxygen]) for name in ("close", "covered"))
    missed = np.array([one["circuit"][0] - bench.circuit for one, bench in zip(oxygen, benches, strict=True)])
    ratios = np.array([one["C over nominal"] for one in oxygen])
    gains = np.array([bench.gain for bench in benches])[:, None] / APPARATUS.gain(1.0)
    changed = "; ".join(f"{name}: {one['close']} and {one['covered']}" for name, one in varied.items())
    figure = (
        f"air: C within 5 % in {real['close']} of 8, 90 % interval covers in {real['covered']} of 8 (C over nominal "
        f"{', '.join(f'{ratio:.3f}' for ratio in real['C over nominal'])}), circuit {real['circuit'][0]:.2f} ± "
        f"{real['circuit'][1]:.2f} mL/cmH2O; simulated oxygen, {BENCHES} apparatuses: within 5 % in a mean of "
        f"{close.mean():.1f} of 8 (median {np.median(close):.0f}), covered in {covered.mean():.1f} (median "
        f"{np.median(covered):.0f}); within 5 % in {np.mean(np.abs(ratios / gains - 1) <= 0.05) * 8:.1f} once the "
        f"sensor's own gain is taken out; circuit off by {np.abs(missed).mean():.2f} mL/cmH2O in the mean (bias "
        f"{missed.mean():+.2f}); one choice changed on air: {changed}"
    )
    holds = real["close"] >= 7 and real["covered"] >= 7 and close.mean() >= 7.0 and covered.mean() >= 7.0
    return Result(
        figure,
        bool(holds),
        {
            "air": real,
            "one choice changed": varied,
            "oxygen": [one | {"bench": bench._asdict()} for one, bench in zip(oxygen, benches, strict=True)],
        },
    )
