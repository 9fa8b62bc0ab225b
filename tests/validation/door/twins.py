"""What reaches a twin: history, settings not charted, misfit, values held, streams."""

import math
from functools import cache

import jax
import numpy as np

import twinprob as tp
from tests.validation.door import Check, judged, told
from tests.validation.door.drug import (
    OWN,
    RATE,
    RELATIVE,
    VOLUME,
    after_a_dose,
    at,
    dose,
    during,
    fitted,
    record,
)

TIMES = np.array([30.0, 90.0, 180.0, 300.0])


def _near(found, expected, relative: float = 2e-3) -> bool:
    return bool(np.allclose(found, expected, rtol=relative, atol=1e-4))


def _felt(inputs: tp.Inputs, expected, **how):
    """Build a record of true values and simulate what its inputs do, from where it begins."""
    data = record(TIMES, expected, inputs, **how)
    return at(data.inputs, TIMES, start=data.start)


def _drip(begin: float, end: float, rate: float = 8.0) -> tp.Inputs:
    return tp.Inputs.infusions("drug", [begin], [end], [rate], "mg/h", own=OWN)


DOSED = after_a_dose((TIMES + 24.5) / 60)
BEFORE: dict[str, Check] = {
    "a dose 25 min before": lambda: judged(lambda: _felt(dose(-25.0), DOSED), lambda c: _near(c, DOSED)),
    "a drip begun 5 min before is 5 min old": lambda: judged(
        lambda: _felt(_drip(-5, math.inf), during((TIMES + 5) / 60, 8.0)),
        lambda c: _near(c, during((TIMES + 5) / 60, 8.0)),
    ),
    "a drip that ended before": lambda: judged(
        lambda: _felt(_drip(-90, -30), during(1.0, 8.0) * np.exp(-RATE * (TIMES + 30) / 60)),
        lambda c: _near(c, during(1.0, 8.0) * np.exp(-RATE * (TIMES + 30) / 60)),
    ),
    "a dose of the week before last": lambda: judged(
        lambda: record(TIMES, DOSED, dose(-15000.0)), lambda r: r.start == 0, says=["drug: dose more than a week"]
    ),
    "a drip that always ran": lambda: judged(
        lambda: _felt(_drip(-math.inf, math.inf), [2.0] * 4), lambda c: _near(c, [8.0 / (RATE * VOLUME)] * 4)
    ),
    "a declared start after the dose": lambda: judged(
        lambda: record(TIMES, DOSED, dose(-25.0), start=0.0),
        lambda r: r.start == 0,
        says=["dose before the declared start"],
    ),
    "a declared start in a drip": lambda: judged(
        lambda: record(TIMES, DOSED, _drip(-5, math.inf), start=0.0), lambda r: r.start == 0, says=["steady state"]
    ),
    "a dose first, measured an hour later": lambda: judged(
        lambda: record(TIMES + 60, DOSED, dose(35.0)),
        lambda r: r.start == 0 and _near(at(r.inputs, TIMES + 60, start=r.start), DOSED),
    ),
    "no start is said to simulate": lambda: judged(
        lambda: at(dose(5.5), TIMES), lambda c: _near(c, after_a_dose((TIMES - 6) / 60))
    ),
    "a fit feels the dose": lambda: judged(
        lambda: fitted(record(TIMES, DOSED, dose(-25.0))),
        lambda twin: (
            np.max(np.abs(np.median(twin.tree["posterior_predictive"]["concentration"].values, axis=(0, 1)) - DOSED))
            < 0.2
        ),
        refusable=False,
    ),
    "a dose before admission, nothing measured yet": lambda: judged(
        lambda: tp.Record.admission(None, dose(-25.0), own=OWN), lambda r: r.start == -25
    ),
    "cut later, the dose stays": lambda: judged(
        lambda: record(TIMES, DOSED, dose(-25.0)).until(100.0),
        lambda r: _near(at(r.inputs, TIMES, start=r.start), DOSED),
    ),
}

BREATHING = tp.Inputs.constant(alveolar_ventilation=(5, "L/min"))


def _oxygen(begin: float = 120.0, unit: str = "%") -> tp.Inputs:
    return BREATHING | tp.Inputs.settings("inspired_oxygen", [begin], [50 if unit == "%" else 0.5], unit)


def _saturations(inputs: tp.Inputs | None = None) -> tp.Record:
    times = [40.0, 150.0, 240.0]
    return tp.Record.build(
        {"pulse_saturation": (times, [94.0, 96.0, 97.0], "%")}, _oxygen() if inputs is None else inputs
    )


def _lung(inputs: tp.Inputs, times=(30.0, 150.0), **how):
    return tp.simulate(
        tp.models.respiratory.GasExchange(), inputs, np.array(times), start=0.0, **how
    ).output.arterial_oxygen


@cache
def _lung_twin(assumed: bool = False) -> tp.Twin:
    data = _saturations().assuming(inspired_oxygen="first") if assumed else _saturations()
    return fitted(data, tp.models.respiratory.GasExchange())


UNCHARTED: dict[str, Check] = {
    "simulated before the first row": lambda: judged(
        lambda: _lung(_oxygen()), lambda o: False, names=["inspired_oxygen"]
    ),
    "simulated from the first row": lambda: judged(
        lambda: _lung(_oxygen(), (150.0,)), lambda o: False, names=["inspired_oxygen"]
    ),
    "as an infusion of 21 to 100 %": lambda: judged(
        lambda: _lung(BREATHING | tp.Inputs.infusions("inspired_oxygen", [120], [math.inf], [0.5], "1")),
        lambda o: False,
        names=["inspired_oxygen"],
    ),
    "ventilation not charted": lambda: judged(
        lambda: _lung(
            tp.Inputs.constant(inspired_oxygen=(50, "%"))
            | tp.Inputs.settings("alveolar_ventilation", [120], [5], "L/min")
        ),
        lambda o: False,
        names=["alveolar_ventilation"],
    ),
    "a fit leaves out what it cannot know": lambda: judged(_lung_twin, lambda t: True, says=["inspired_oxygen"]),
    "a fit with the first value carried back": lambda: judged(
        lambda: _lung_twin(True), lambda t: True, says=["Assumed: inspired_oxygen"]
    ),
    "a forecast of it": lambda: judged(
        lambda: tp.forecast(_lung_twin(), hours=1, key=jax.random.key(1)).quantiles("pulse_saturation", [0.5]),
        lambda q: np.all(q > 80),
    ),
    "its risk": lambda: judged(
        lambda: tp.risk(tp.forecast(_lung_twin(), hours=1, key=jax.random.key(1)), "pulse_saturation < 85 %"),
        lambda r: r.probability < 0.2,
    ),
    "until before the first row": lambda: judged(
        lambda: fitted(_saturations().until(60.0), tp.models.respiratory.GasExchange()),
        lambda t: False,
        names=["inspired_oxygen"],
    ),
    "a first value given": lambda: judged(
        lambda: _saturations().assuming(inspired_oxygen=(21, "%")),
        lambda r: abs(float(r.inputs["inspired_oxygen"].to("1").at(10)) - 0.21) < 1e-9,
        says=["Assumed: inspired_oxygen before 120 min"],
    ),
    "PEEP before its first row": lambda: judged(
        lambda: tp.Inputs.settings("peep", [60], [8], "cmH2O")["peep"].at(10.0), lambda v: math.isnan(v)
    ),
    "a plan that sets it": lambda: judged(
        lambda: tp.forecast(
            _lung_twin(), hours=1, key=jax.random.key(1), inputs=tp.plan(_lung_twin(), inspired_oxygen="30 %")
        ).quantiles("arterial_oxygen", [0.5])[0, -1],
        lambda v: (
            v
            < float(
                tp.forecast(_lung_twin(), hours=1, key=jax.random.key(1)).quantiles("arterial_oxygen", [0.5])[0, -1]
            )
        ),
    ),
}

START = record([60.0, 120.0], after_a_dose(np.array([59.5, 119.5]) / 60), dose(0.0), covariates={"weight": (80, "kg")})


@cache
def _stay() -> tp.Twin:
    return fitted(START, observations=RELATIVE)


def _true(minutes: float) -> float:
    return float(after_a_dose((minutes - 0.5) / 60))


def _new(times, values, inputs=None, *, weight: float = 80.0, **how) -> tp.Record:
    return record(times, values, inputs, covariates={"weight": (weight, "kg")}, **{"start": 120.0, **how})


def _updated(new: tp.Record) -> tp.Twin:
    return tp.update(_stay(), new, key=jax.random.key(4))


def _brought(twin: tp.Twin) -> str:
    return f"{twin.provenance['updates'][-1]}; {told(twin)}"


def _has(twin: tp.Twin, times, values) -> bool:
    one = twin.record.observations["concentration"]
    return one.times.tolist() == list(times) and _near(one.values, values)


STREAM: dict[str, Check] = {
    "a value comes again": lambda: judged(
        lambda: _updated(_new([120.0, 180.0], [_true(120), _true(180)])),
        lambda t: _has(t, [60, 120, 180], [_true(m) for m in (60, 120, 180)]),
        says=["repeat"],
        account=_brought,
        refusable=False,
    ),
    "only what was known comes again": lambda: judged(
        lambda: _updated(_new([120.0], [_true(120)])),
        lambda t: _has(t, [60, 120], [_true(60), _true(120)]),
        says=["repeat"],
        account=_brought,
    ),
    "a corrected value": lambda: judged(
        lambda: _updated(_new([120.0, 180.0], [1.1 * _true(120), _true(180)], more=(None, [180.0, 180.0]))),
        lambda t: _has(t, [60, 120, 180], [_true(60), 1.1 * _true(120), _true(180)]),
        says=["correct"],
        account=_brought,
        refusable=False,
    ),
    "a corrected value that says no time of knowing": lambda: judged(
        lambda: _updated(_new([120.0, 180.0], [1.1 * _true(120), _true(180)])),
        lambda t: _has(t, [60, 120, 180], [_true(60), 1.1 * _true(120), _true(180)]),
        says=["correct"],
        account=_brought,
    ),
    "a new weight": lambda: judged(
        lambda: _updated(_new([180.0], [_true(180)], weight=86.0)),
        lambda t: t.record.weight == 86,
        says=["weight"],
        account=_brought,
        refusable=False,
    ),
    "a value of an hour ago": lambda: judged(
        lambda: _updated(_new([90.0, 180.0], [_true(90), _true(180)], start=60.0, more=(None, [170.0, 180.0]))),
        lambda t: _has(t, [60, 90, 120, 180], [_true(m) for m in (60, 90, 120, 180)]),
        says=["late"],
        account=_brought,
        refusable=False,
    ),
    "a dose charted late": lambda: judged(
        lambda: _updated(
            _new(
                [180.0],
                [_true(180)],
                tp.Inputs.bolus("drug", 100.0, 20, "mg", known=150.0, order="late", own=OWN),
                start=90.0,
            )
        ),
        lambda t: (
            abs(float(t.record.inputs["drug"].amount(-10, 200)) / 60 - 100) < 1e-6
            or abs(float(t.record.inputs["drug"].to("mg/min").amount(-10, 200)) - 100) < 1e-6
        ),
        says=["late"],
        account=_brought,
    ),
    "a dose comes again": lambda: judged(
        lambda: _updated(_new([180.0], [_true(180)], dose(0.0), start=0.0)),
        lambda t: abs(float(t.record.inputs["drug"].to("mg/min").amount(-10, 200)) - 80) < 1e-6,
        says=["repeat"],
        account=_brought,
    ),
    "another patient's weight in pounds": lambda: judged(
        lambda: _updated(_new([180.0], [_true(180)], weight=176.0)), lambda t: False, names=["weight"]
    ),
    "a plan beyond the forecast": lambda: judged(
        lambda: tp.forecast(_stay(), hours=1, key=jax.random.key(1), inputs=dose(600.0)),
        lambda f: True,
        says=["drug begins at 600"],
        account=lambda f: "; ".join(f.notes),
    ),
    "a plan in the past and on": lambda: judged(
        lambda: tp.forecast(_stay(), hours=2, key=jax.random.key(1), inputs=_drip(60, 200)),
        lambda f: f.inputs["drug"].at(100.0) == 0,
        says=["before the twin's present"],
        account=lambda f: "; ".join(f.notes),
    ),
    "a risk between two times": lambda: judged(
        lambda: tp.risk(tp.forecast(_stay(), times=[240.0], key=jax.random.key(1)), "concentration < 1 mg/L", hours=1),
        lambda r: False,
        names=["forecast", "60 min"],
    ),
    "a plan in hours from now": lambda: judged(
        lambda: tp.forecast(_stay(), hours=2, key=jax.random.key(1), inputs=_drip(0, 2)),
        lambda f: False,
        names=["plan"],
    ),
}

KINDS = {
    "01 given before the record begins": BEFORE,
    "14 a setting before its first row": UNCHARTED,
    "33 what streams bring": STREAM,
}
