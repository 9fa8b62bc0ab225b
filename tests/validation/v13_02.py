"""Thirty moves of a slider in each domain, timed at the server, and its numbers against the verbs'."""

import json
import math
import time

import jax
import numpy as np

import twinprob as tp
from tests.validation import DataAbsent, Result
from twinprob.presentation.page import site
from twinprob.presentation.page.answer import LEVELS

MOVES = 30
MEDIAN, MOST = 0.300, 0.800  # s
DOMAINS = {
    "metabolic": ("icu_glucose", 3, tp.models.metabolic.ICING, "24 h", "insulin"),
    "respiratory": ("ventilated_lung", None, tp.models.respiratory.ChartedMechanics, None, "peep"),
    "sepsis": ("septic_shock", None, tp.models.sepsis.Norepinephrine, None, "norepinephrine"),
}


def patient(example: str, stay) -> tp.Record:
    """Return one bundled record."""
    loaded = tp.load_example(example) if stay is None else tp.load_example(example, stay=stay)
    return (
        loaded if isinstance(loaded, tp.Record) else next(iter(loaded.values() if isinstance(loaded, dict) else loaded))
    )


def apart(twin: tp.Twin, name: str, unit: str, size: float, given: dict) -> float:
    """Return the largest relative difference between the page's numbers and those of `forecast` and `risk`."""
    ahead = tp.forecast(twin, inputs=tp.plan(twin, **{name: f"{size:.12g} {unit}"}), hours=4.0, key=jax.random.key(0))
    worst = 0.0
    for output, told in given["outputs"].items():
        for measured, part in ((False, "quantiles"), (True, "measured")):
            ours = ahead.quantiles(output, LEVELS, measured=measured)
            theirs = np.array(told[part], float)
            worst = max(worst, float(np.nanmax(np.abs(ours - theirs) / np.maximum(np.abs(ours), 1e-12))))
    for told in given["risks"]:
        worst = max(worst, abs(tp.risk(ahead, told["event"]).probability - told["probability"]))
    return worst


def driven(name: str, twin: tp.Twin, slider: str) -> tuple[list[float], float]:
    """Return seconds of each move and the largest difference of its numbers."""
    from starlette.testclient import TestClient

    seconds, worst = [], 0.0
    with TestClient(site(twin), base_url="http://127.0.0.1") as client:
        offered = {one["name"]: one for one in client.get("/api/standing").json()["treatments"]}[slider]
        least, most, now = offered["least"], offered["most"], offered["now"]
        sizes = [s for s in np.linspace(least, most, MOVES + 3) if now is None or abs(s - now) > 1e-6][: MOVES + 1]
        for place, size in enumerate(sizes):
            query = {slider: f"{size:.12g}", "hours": "4"}
            began = time.perf_counter()
            shown = client.get("/answer", params=query)
            if shown.status_code != 200:
                raise RuntimeError(f"{name}: {shown.text}")
            if place:  # the first one warms
                seconds.append(time.perf_counter() - began)
            if place % 10 == 1:
                worst = max(worst, apart(twin, slider, offered["unit"], float(f"{size:.12g}"), json.loads(
                    client.get("/api/answer", params=query).text)))  # fmt: skip
    return seconds, worst


def measure() -> Result:
    """Fit a twin of each domain that has a bundled record, and move one slider of each."""
    try:
        import starlette  # noqa: F401
    except ModuleNotFoundError as absent:
        raise DataAbsent("the extra `app` is not installed") from absent
    words, details, holds = [], {}, True
    with jax.enable_x64(True):
        for name, (example, stay, model, until, slider) in DOMAINS.items():
            record = patient(example, stay)
            twin = tp.fit(model(), record if until is None else record.until(until), key=jax.random.key(0))
            seconds, worst = driven(name, twin, slider)
            median, late = float(np.median(seconds)), float(np.quantile(seconds, 0.95))
            holds &= median <= MEDIAN and late <= MOST and worst == 0.0 and math.isfinite(worst)
            words.append(f"{name} median {1e3 * median:.0f} ms, p95 {1e3 * late:.0f} ms, numbers apart {worst:.1g}")
            details[name] = {"seconds": seconds, "apart": worst}
    return Result(figure="; ".join(words) + f" ({MOVES} moves each, at the server)", holds=holds, details=details)
