"""Breath-by-breath tracking of a ventilator's waveform: how fast, and whether the band ahead is right."""

import time

import numpy as np
import pandas as pd

import twinprob as tp
from tests.validation import Result, shared_data
from twinprob.breaths.tracking import Tracking, update_breath
from twinprob.models.respiratory.breaths import segment

AHEAD, FIRST = 40, 20


def measure() -> Result:
    """Track every breath of the recording, in order, and hold each band 40 breaths ahead against that breath alone.

    The patient pulls in nearly all of them, so that an effort is modeled.
    """
    table = pd.read_csv(shared_data("ventmap-waveforms") / "pt0149_50Hz.csv.gz")
    record = tp.readers.waveform.read(
        table, pressure=("pressure_cmH2O", "cmH2O"), flow=("flow_L_min", "L/min"), rate=50.0
    )
    started = time.perf_counter()
    breaths = segment(record)
    cutting = time.perf_counter() - started
    tracking, history, fits, seconds = Tracking(), [], [], []
    for breath in breaths:
        started = time.perf_counter()
        tracking = update_breath(tracking, breath, muscle=True)
        seconds.append(time.perf_counter() - started)
        history.append(tracking)
        assert tracking.fit is not None
        fits.append(tracking.fit)
    duration = breaths[-1].times[-1] - breaths[0].times[0]
    faster = duration / (cutting + sum(seconds))
    slowest = 1000 * float(np.quantile(seconds, 0.99))
    hits, naive, whole = [], [], []
    for i in range(FIRST, len(history) - AHEAD):
        target = fits[i + AHEAD]
        _, low, high = history[i].elastance.interval(0.9, ahead=AHEAD, measured=True, spread=target.spread)
        hits.append(np.exp(low) < target.elastance < np.exp(high))
        past = [fit.elastance for fit in fits[max(0, i - 100) : i + 1]]
        naive.append(np.quantile(past, 0.05) < target.elastance < np.quantile(past, 0.95))
        whole.append(not set(breaths[i + AHEAD].flags) - {"effort"})
    covered, clean = float(np.mean(hits)), float(np.mean(np.array(hits)[whole]))
    return Result(
        figure=f"{faster:.0f} x real time, one update p99 {slowest:.1f} ms; {AHEAD}-breath-ahead 90 % band covers "
        f"{covered:.1%} of {len(hits)} breaths ({clean:.1%} of the {sum(whole)} whole ones; the last 100 breaths' "
        f"5-95 % band {np.mean(naive):.1%}); {len(breaths)} breaths, flagged {breaths.flagged}",
        holds=bool(faster >= 100 and slowest <= 20 and 0.85 <= covered <= 0.95),
        details={
            "flagged": breaths.flagged,
            "skipped": breaths.skipped,
            "band": "each band is that of breaths with the flags of the target, where there are fifty of them",
            "elastance": [round(fit.elastance, 2) for fit in fits],
        },
    )
