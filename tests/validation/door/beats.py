"""Arterial waveforms whose beats are made one by one: rates that are known, and rhythms that hide half of them."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

import twinprob as tp
from tests.validation.door import Check, judged
from twinprob.readers import arterial

RATE = 100.0  # samples per second
SECONDS = 150


def _wave(
    pulses: Sequence[float], lengths: Sequence[float], second: Callable[[np.ndarray], np.ndarray] | None = None
) -> pd.DataFrame:
    """Return beats of some pulse pressures and lengths (s), over and over, above 75 mmHg."""
    clock = np.arange(0.0, SECONDS, 1 / RATE)
    level = np.full(clock.size, 75.0)
    begin, count = 0.0, 0
    while begin < SECONDS:
        pulse, length = pulses[count % len(pulses)], lengths[count % len(lengths)]
        inside = (clock >= begin) & (clock < begin + length)
        phase = (clock[inside] - begin) / length
        level[inside] += pulse * (np.exp(-(((phase - 0.2) / 0.1) ** 2)) + 0.2 * np.exp(-(((phase - 0.5) / 0.08) ** 2)))
        if second is not None:
            level[inside] += second(phase)
        begin, count = begin + length, count + 1
    return pd.DataFrame({"abp": level + 0.3 * np.random.default_rng(5).normal(size=level.size)})


def _read(*wave, **how) -> tp.Record:
    return arterial.read(_wave(*wave, **how), pressure=("abp", "mmHg"), rate=RATE)


def _rate(expected: float) -> Callable[[tp.Record], bool]:
    return lambda record: abs(float(np.median(record.observations["heart_rate"].values)) - expected) < 0.04 * expected


WEAK: dict[str, Check] = {
    "bigeminy at 72": lambda: judged(lambda: _read([45, 9], [1.0, 0.66]), _rate(72.3), says=["weak"], refusable=False),
    "bigeminy at 110": lambda: judged(
        lambda: _read([40, 10], [0.62, 0.46]), _rate(111), says=["weak"], refusable=False
    ),
    "bigeminy at 50": lambda: judged(lambda: _read([50, 12], [1.4, 1.0]), _rate(50), says=["weak"], refusable=False),
    "trigeminy": lambda: judged(
        lambda: _read([42, 42, 10], [0.8, 0.8, 0.6]), _rate(81.8), says=["weak"], refusable=False
    ),
    "every other beat half as strong": lambda: judged(
        lambda: _read([40, 22], [0.75, 0.75]), _rate(80), refusable=False
    ),
    "a balloon pump's second peak": lambda: judged(
        lambda: _read([38], [0.8], second=lambda phase: 45 * np.exp(-(((phase - 0.62) / 0.08) ** 2))),
        _rate(75),
        refusable=False,
    ),
    "a small augmentation": lambda: judged(
        lambda: _read([45], [0.8], second=lambda phase: 20 * np.exp(-(((phase - 0.62) / 0.08) ** 2))),
        _rate(75),
        refusable=False,
    ),
    "an even rhythm": lambda: judged(lambda: _read([40], [0.8]), _rate(75), refusable=False),
    "fibrillation": lambda: judged(
        lambda: _read([40, 28, 35, 45, 20], [0.7, 0.5, 0.6, 0.9, 0.45]), _rate(60 * 5 / 3.15), refusable=False
    ),
}

KINDS = {"23 weak beats and second peaks": WEAK}
