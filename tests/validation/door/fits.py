"""What a diagnosis says of a few values far off, of nothing predicted, and of one value held."""

import math

import numpy as np
import numpyro.distributions as dist

import twinprob as tp
from tests.validation.door import Check, judged
from tests.validation.door.drug import OWN, RELATIVE, Absorbed, after_a_dose, dose, findings, fitted, record


def _drip(begin: float, end: float, rate: float = 8.0) -> tp.Inputs:
    return tp.Inputs.infusions("drug", [begin], [end], [rate], "mg/h", own=OWN)


WHEN = np.array([30.0, 90.0, 180.0, 300.0])
FAR = after_a_dose((WHEN - 0.5) / 60)


def _verdict(data: tp.Record, **how) -> str:
    return findings(fitted(data, **how))


def _doubted(text: str) -> bool:
    return "trustworthy" not in text.splitlines()[0]


MISFIT: dict[str, Check] = {
    "four values of a dose never charted": lambda: judged(
        lambda: _verdict(record(WHEN, FAR, dose(1000.0).until(0) | _drip(400, 401))), _doubted, refusable=False
    ),
    "four values, the dose a tenth": lambda: judged(
        lambda: _verdict(record(WHEN, 12 * FAR, dose(0.0))), _doubted, refusable=False
    ),
    "three values": lambda: judged(
        lambda: _verdict(record(WHEN[:3], 12 * FAR[:3], dose(0.0))), _doubted, refusable=False
    ),
    "two values that rise": lambda: judged(
        lambda: _verdict(record([60.0, 300.0], [1.0, 9.0], dose(0.0))), _doubted, refusable=False
    ),
    "one of four far off": lambda: judged(
        lambda: _verdict(record(WHEN, FAR + np.array([0, 0, 4, 0]), dose(0.0))), _doubted, refusable=False
    ),
    "six values far off": lambda: judged(
        lambda: _verdict(record(30.0 * np.arange(1, 7), after_a_dose(np.arange(1, 7) / 2)[::-1], dose(0.0))),
        _doubted,
        refusable=False,
    ),
    "a relative noise": lambda: judged(
        lambda: _verdict(record(WHEN, FAR * [1, 1, 3, 1], dose(0.0)), observations=RELATIVE), _doubted, refusable=False
    ),
    "a good fit is not doubted": lambda: judged(
        lambda: _verdict(record(WHEN, FAR + np.array([0.1, -0.15, 0.2, -0.1]), dose(0.0))),
        lambda text: "misfit" not in text.splitlines()[0],
        refusable=False,
    ),
}

ZERO: dict[str, Check] = {
    "nothing given, something measured": lambda: judged(
        lambda: fitted(record(WHEN, FAR, _drip(400, 500)), observations=RELATIVE),
        lambda t: False,
        names=["concentration", "0"],
    ),
    "no inputs at all": lambda: judged(
        lambda: fitted(record(WHEN, FAR, None), observations=RELATIVE), lambda t: False, names=["concentration", "0"]
    ),
    "measured before the dose": lambda: judged(
        lambda: fitted(record([30.0, 90.0, 180.0], [3.0, 5.0, 4.0], dose(60.0)), observations=RELATIVE),
        lambda t: False,
        names=["concentration", "0"],
    ),
    "absorbed": lambda: judged(lambda: _swallowed(), lambda t: False, names=["concentration", "0"]),
    "a Student's t": lambda: judged(
        lambda: fitted(
            record(WHEN, FAR, _drip(400, 500)),
            observations={"concentration": tp.Observation(tp.StudentT(relative=0.1))},
        ),
        lambda t: False,
        names=["concentration", "0"],
    ),
    "a noise of unknown relative size": lambda: judged(
        lambda: fitted(
            record(WHEN, FAR, _drip(400, 500)),
            observations={"concentration": tp.Observation(tp.Gaussian(relative=_unknown()))},
        ),
        lambda t: False,
        names=["concentration", "0"],
    ),
    "an additive part helps": lambda: judged(
        lambda: findings(
            fitted(
                record(WHEN, FAR, _drip(400, 500)),
                observations={"concentration": tp.Observation(tp.Gaussian(additive=0.2, relative=0.1))},
            )
        ),
        _doubted,
        refusable=False,
    ),
}


def _unknown():
    return dist.LogNormal(math.log(0.1), 0.3)


def _swallowed() -> tp.Twin:
    return fitted(record(WHEN, FAR, _drip(400, 500)), Absorbed(), observations=RELATIVE)


def _flat(count: int, *, step: float = 0.0, value: float = 3.0, every: float = 1.0) -> tp.Record:
    times = every * np.arange(1, count + 1)
    values = np.full(count, value) if not step else value + step * (np.arange(count) // (count // 3))
    return record(times, values, _drip(-math.inf, math.inf, 12.0))


def _held(data: tp.Record, model=None, **how) -> str:
    return findings(fitted(data, model, **how))


def _cuff(name: str, value: float, unit: str, model, inputs: tp.Inputs) -> str:
    data = tp.Record.build({name: (np.arange(1.0, 41.0), np.full(40, value), unit)}, inputs)
    return findings(fitted(data, model))


HELD: dict[str, Check] = {
    "forty times the same": lambda: judged(
        lambda: _held(_flat(40)), _doubted, says=["held value"], account=str, refusable=False
    ),
    "three steps of twenty": lambda: judged(
        lambda: _held(_flat(60, step=0.1)), _doubted, says=["held value"], account=str, refusable=False
    ),
    "the same, relative noise": lambda: judged(
        lambda: _held(_flat(40), observations=RELATIVE), _doubted, says=["held value"], account=str, refusable=False
    ),
    "the same every five minutes": lambda: judged(
        lambda: _held(_flat(24, every=5.0)), _doubted, says=["held value"], account=str, refusable=False
    ),
    "glucose": lambda: judged(
        lambda: _cuff(
            "glucose", 9.0, "mmol/L", tp.models.metabolic.ICING(), tp.Inputs.constant(enteral_glucose=(0.4, "mmol/min"))
        ),
        _doubted,
        says=["held value"],
        account=str,
        refusable=False,
    ),
    "a round value": lambda: judged(
        lambda: _held(_flat(40, value=10.0)), _doubted, says=["held value"], account=str, refusable=False
    ),
    "an absorbed drug": lambda: judged(
        lambda: _held(_flat(40), Absorbed()), _doubted, says=["held value"], account=str, refusable=False
    ),
    "values that scatter": lambda: judged(
        lambda: _held(
            record(
                np.arange(1.0, 31.0),
                3.0 + 0.2 * np.random.default_rng(3).normal(size=30),
                _drip(-math.inf, math.inf, 12.0),
            )
        ),
        lambda text: "held value" not in text,
        refusable=False,
    ),
}

KINDS = {
    "24 one value held": HELD,
    "27 gross misfit of a few values": MISFIT,
    "29 nothing predicted, relative noise": ZERO,
}
