"""Calibration of every fitted model of the circulation by simulation, and the speed of the six-chamber beat."""

import hashlib
import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import twinprob as tp
from tests import ROOT
from tests.circulation import level
from tests.validation import Result
from tests.validation.septic_design import septic_hours
from twinprob.models.cardiovascular import Preload, SixChamber, ThreeChamber, Windkessel2, Windkessel3, Windkessel4
from twinprob.models.cardiovascular.periodic import Scheme
from twinprob.models.cardiovascular.smith import FINE, START, beat, steady_beat, summarize
from twinprob.models.sepsis import VasopressorPressure
from twinprob.validation.calibrate import Calibration, calibrate

LIMIT = 14400
REPLICATES = 200
SHARE = 20
PATIENTS = 1000
BEATS = 53  # of 0.75 s in 40 s
LIGHT = tp.Laplace(starts=4, proposals=1000, rounds=3)
# Where every output is a steady beat to be found, only as much is solved as 99 ranks need.
METHODS = {
    # A long thin tail toward small ventricular elastances needs many proposals; k-hat is good with too few as well.
    "ThreeChamber": tp.Laplace(starts=2, proposals=8000, rounds=3, draws=100),
    "SixChamber": tp.Laplace(starts=1, nodes=24, proposals=250, rounds=2, draws=100, tolerance=1e-3),
}
PIECES = ROOT / ".cache" / "validation" / "05.11"  # a model calibrated once is not again while its sources last
COARSE = Scheme(steps=7)  # of the beats that are simulated *and* fitted: the model calibrated is this one
OWN = FINE.parts * FINE.steps  # steps of a steady beat
GRADIENT = ("left_elastance", "systemic_resistance", "aortic_elastance")


def pressures(model, *names, times=(0.0, 30.0)) -> tp.Record:
    """Return a design: beat summaries before and a quarter of an hour after a known 250 mL."""
    times = np.array(times)
    units = {name: model.quantities(model.Output)[name].unit for name in names}
    values = {"%": 10.0, "mL": 60.0, "1/min": 80.0}
    shown = {name: (times, np.full(times.size, values.get(unit, 50.0)), unit) for name, unit in units.items()}
    given = level("volume_change", [15.0], [250.0], "mL")
    return tp.Record.build(shown, given, own=(*names, "volume_change"), end=times[-1])


def ventilated() -> tp.Record:
    """Return the same at the bedside, with a breath that gets smaller."""
    names = ("mean_arterial_pressure", "systolic_pressure", "central_venous_pressure", "stroke_volume", "heart_rate")
    whole = pressures(Preload(), *names, "pulse_pressure_variation", times=(0.0, 30.0, 60.0))
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
        "SixChamber": (SixChamber(scheme=COARSE), pressures(SixChamber(), *beats)),
    }


def measure() -> Result:
    """Calibrate every model, then time."""
    found = {name: kept(name) or keep(name) for name in designs()}
    clock = speed()
    fine, coarse = (clock[key] / clock["steady beat with gradient"] for key in ("40 s at 0.5 ms", "40 s at its step"))
    text = "; ".join(f"{name}: {one['figure']}" for name, one in found.items())
    return Result(
        figure=f"{text}; the six chambers at {COARSE.parts * COARSE.steps} steps a beat in simulation and fit; steady "
        f"beat with gradient {1000 * clock['steady beat with gradient']:.1f} ms = 1/{fine:.0f} of simulating 40 s at "
        f"0.5 ms, as the golden values were, and 1/{coarse:.0f} at its own step of {750 / OWN:.0f} ms; {PATIENTS} "
        f"patients, 50 at a time under vmap, {clock['patients']:.1f} s",
        holds=all(one["good"] for one in found.values()) and fine >= SHARE,
        details={"clock": clock, "calibration": {n: one["summary"] for n, one in found.items()}},
    )


def calibrated(name: str) -> Calibration:
    """Calibrate one model on its design."""
    model, design = designs()[name]
    key = jax.random.key(sorted(designs()).index(name))
    hours = (1.0,) if name == "VasopressorPressure" else ()
    method = METHODS.get(name, LIGHT)
    return calibrate(model, record_like=design, replicates=REPLICATES, method=method, hours=hours, key=key)


def keep(name: str) -> dict:
    """Calibrate a model, return what that comes to, and write it where the rest of the line finds it."""
    sources, found = fingerprint(name), calibrated(name)
    summary = found.summary()
    inside, covered, failed = int(summary["inside"].sum()), summary["coverage_90"], int(found.judged["failed"].sum())
    said = f"{inside} of {len(summary)} inside, 90 % coverage {covered.min():.2f}–{covered.max():.2f}, "
    said += f"k-hat below 0.7 in {np.mean(found.judged['khat'] < 0.7):.0%}" + (f", {failed} failed" if failed else "")
    result = {
        "figure": said,
        "good": bool(found.calibrated() and not failed),
        "summary": summary.reset_index().to_dict("list"),
        "sources": sources,
    }
    PIECES.mkdir(parents=True, exist_ok=True)
    (PIECES / f"{name}.json").write_text(json.dumps(result), encoding="utf-8")
    return result


def kept(name: str) -> dict | None:
    """Return what this model's calibration came to, if that was with the present sources."""
    file = PIECES / f"{name}.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found if found.get("sources") == fingerprint(name) else None


def fingerprint(name: str) -> str:
    """Return a hash of everything that a model's calibration runs through."""
    package = ROOT / "twinprob"
    some = ("calibrate", "joint", "model", "observation", "process", "segments", "simulate")
    files = [package / f"{each}.py" for each in some]
    folders = ("methods", "models/cardiovascular", "models/sepsis")
    files += [file for folder in folders for file in (package / folder).glob("*.py")]
    model, design = designs()[name]
    asked = f"{model!r} {design.data_hash} {METHODS.get(name, LIGHT)!r} {REPLICATES}".encode()
    return hashlib.sha256(asked + b"".join(file.read_bytes() for file in sorted(files))).hexdigest()


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
            steps: jax.jit(lambda h, steps=steps: beat(h, START, steps=steps, beats=BEATS)[0]) for steps in (OWN, 1500)
        }
        many = start * jnp.exp(0.2 * jax.random.normal(jax.random.key(0), (PATIENTS, len(GRADIENT))))
        all_ = jax.jit(lambda x: jax.lax.map(lambda v: mean(v, 1500.0), x, batch_size=50))
        return {
            "steady beat with gradient": _best(lambda: steady(start, 1500.0), 20),
            "40 s at its step": _best(lambda: long[OWN](heart), 5),
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


if __name__ == "__main__":  # in pieces: python -m tests.validation.v05_11 SixChamber
    for each in sys.argv[1:]:
        print(each, keep(each)["figure"], flush=True)
