"""Calibration of every fitted model of the circulation by simulation, and the speed of the six-chamber beat."""

import time

import jax
import jax.numpy as jnp
import numpy as np

import twinprob as tp
from tests.circulation import level
from tests.validation import Result
from tests.validation.septic_design import septic_hours
from twinprob.calibrate import Calibration, calibrate
from twinprob.models.cardiovascular import Preload, SixChamber, ThreeChamber, Windkessel2, Windkessel3, Windkessel4
from twinprob.models.cardiovascular.smith import START, beat, steady_beat, summarize
from twinprob.models.sepsis import VasopressorPressure

LIMIT = 14400
REPLICATES = 200
SHARE = 20
PATIENTS = 1000
BEATS = 53  # of 0.75 s in 40 s
LIGHT = tp.Laplace(starts=4, proposals=1000, rounds=3)
LIGHTER = tp.Laplace(starts=2, proposals=500, rounds=2, draws=100)  # where every output is a steady beat to be found
HOURS = ("ThreeChamber", "SixChamber")  # every evaluation finds a steady beat
GRADIENT = ("left_elastance", "systemic_resistance", "aortic_elastance")


def pressures(model, *names, fluid: bool = True) -> tp.Record:
    """Return a design: beat summaries before and half an hour after a known 250 mL."""
    times = np.array([0.0, 30.0, 60.0])
    units = {name: model.quantities(model.Output)[name].unit for name in names}
    values = {"%": 10.0, "mL": 60.0, "1/min": 80.0}
    shown = {name: (times, np.full(3, values.get(unit, 50.0)), unit) for name, unit in units.items()}
    return tp.Record.build(
        shown, level("volume_change", [15.0], [250.0 if fluid else 0.0], "mL"), own=(*names, "volume_change"), end=60.0
    )


def ventilated() -> tp.Record:
    """Return the same at the bedside, with a breath that gets smaller."""
    names = ("mean_arterial_pressure", "systolic_pressure", "central_venous_pressure", "stroke_volume", "heart_rate")
    whole = pressures(Preload(), *names, "pulse_pressure_variation")
    breaths = tp.Inputs.infusions("tidal_volume", [-60.0, 45.0], [45.0, 180.0], [0.6, 0.4], "L")
    rate = tp.Inputs.infusions("respiratory_rate", [-60.0], [180.0], [12.0], "1/min")
    return tp.Record.build(
        {name: (s.times, s.values, s.unit) for name, s in whole.observations.items()},
        whole.inputs | breaths | rate,
        own=(*names, "pulse_pressure_variation", "volume_change"),
        end=60.0,
    )


def waves() -> tp.Record:
    """Return one beat and a half of aortic flow and pressure, every 20 ms."""
    seconds = np.arange(0.0, 1.1, 0.02)
    phase = seconds % 0.75
    flow = np.where(phase < 0.3, 390.0 * np.sin(np.pi * phase / 0.3), 0.0)
    return tp.Record.build(
        {
            "aortic_flow": (seconds / 60.0, flow, "mL/s"),
            "aortic_pressure": (seconds / 60.0, np.full(len(seconds), 90.0), "mmHg"),
        },
        tp.Inputs(),
        own=("aortic_flow", "aortic_pressure"),
    )


def designs():
    """Return each model with the design of its records."""
    beats = ("systolic_pressure", "diastolic_pressure", "central_venous_pressure", "stroke_volume")
    return {
        "VasopressorPressure": (VasopressorPressure(), septic_hours()),
        "Preload": (Preload(), ventilated()),
        "Windkessel2": (Windkessel2(), waves()),
        "Windkessel3": (Windkessel3(), waves()),
        "Windkessel4": (Windkessel4(), waves()),
        "ThreeChamber": (ThreeChamber(), pressures(ThreeChamber(), *beats)),
        "SixChamber": (SixChamber(), pressures(SixChamber(), *beats)),
    }


def measure() -> Result:
    """Calibrate those that can be in an hour, then time; a line with a model left out does not hold."""
    found = {name: calibrated(name) for name in designs() if name not in HOURS}
    verdicts = {name: verdict(result) for name, result in found.items()}
    clock = speed()
    fine, coarse = (clock[key] / clock["steady beat with gradient"] for key in ("40 s at 0.5 ms", "40 s at 2 ms"))
    text = "; ".join(f"{name}: {said}" for name, (_, said) in verdicts.items())
    text += f"; not calibrated, for it takes hours: {', '.join(HOURS)}"
    return Result(
        figure=f"{text}; steady beat with gradient {1000 * clock['steady beat with gradient']:.1f} ms = 1/{fine:.0f} "
        f"of simulating 40 s at 0.5 ms, as the golden values were, and 1/{coarse:.0f} at its own 2 ms; {PATIENTS} "
        f"patients, 50 at a time under vmap, {clock['patients']:.1f} s",
        holds=not HOURS and all(good for good, _ in verdicts.values()) and fine >= SHARE,
        details={
            "clock": clock,
            "calibration": {n: r.summary().reset_index().to_dict("list") for n, r in found.items()},
        },
    )


def calibrated(name: str) -> Calibration:
    """Calibrate one model on its design."""
    model, design = designs()[name]
    key = jax.random.key(sorted(designs()).index(name))
    method = LIGHTER if name in HOURS else LIGHT
    hours = (1.0,) if name == "VasopressorPressure" else ()
    return calibrate(model, record_like=design, replicates=REPLICATES, method=method, hours=hours, key=key)


def verdict(found: Calibration) -> tuple[bool, str]:
    """Return whether all ranks stay inside, and the figure."""
    summary = found.summary()
    inside, covered = int(summary["inside"].sum()), summary["coverage_90"]
    figure = f"{inside} of {len(summary)} inside, 90 % coverage {covered.min():.2f}–{covered.max():.2f}"
    failed = int(found.judged["failed"].sum())
    return found.calibrated() and not failed, figure + (f", {failed} failed" if failed else "")


def speed() -> dict[str, float]:
    """Return the processor seconds of each task, the best of a few runs, warm: others may share the machine."""
    with jax.enable_x64(True):
        heart = SixChamber().heart()

        def mean(values, volume):
            patient = SixChamber().install(GRADIENT, values).heart()
            return summarize(patient, steady_beat(patient, volume)).aortic_mean

        start = jnp.asarray([getattr(SixChamber(), name) for name in GRADIENT])
        steady = jax.jit(jax.value_and_grad(mean, argnums=(0, 1)))
        long = {
            steps: jax.jit(lambda h, steps=steps: beat(h, START, steps=steps, beats=BEATS)[0]) for steps in (375, 1500)
        }
        many = start * jnp.exp(0.2 * jax.random.normal(jax.random.key(0), (PATIENTS, len(GRADIENT))))
        all_ = jax.jit(lambda x: jax.lax.map(lambda v: mean(v, 1500.0), x, batch_size=50))
        return {
            "steady beat with gradient": _best(lambda: steady(start, 1500.0), 20),
            "40 s at 2 ms": _best(lambda: long[375](heart), 5),
            "40 s at 0.5 ms": _best(lambda: long[1500](heart), 3),
            "patients": _best(lambda: all_(many), 1),
        }


def _best(run, times):
    jax.block_until_ready(run())
    taken = []
    for _ in range(times):
        began = time.process_time()
        jax.block_until_ready(run())
        taken.append(time.process_time() - began)
    return min(taken)
