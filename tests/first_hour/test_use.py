"""A newcomer's first hour, the use: news, a question of what if, fifty patients of whom two are broken."""

import dataclasses
import signal

import jax
import numpy as np
import pytest

import twinprob as tp
from tests.cases import OWN, Washout, washout
from tests.twins import HOURS, small_forecast, small_twin

KEY = jax.random.key(5)
PATIENTS, BROKEN = 50, {7: "holds none of the outputs", 23: "weight"}
SMALL = tp.Laplace(starts=2, chains=2, draws=50, proposals=200, nodes=8)


@pytest.mark.slow
def test_10_news_make_the_twin_surer():
    stay, twin = tp.load_example("icu_glucose", stay=3), small_twin()
    current = tp.update(twin, stay.between("10 h", "13 h"), key=KEY)
    assert current.now > twin.now
    before, after = small_forecast(), tp.forecast(current, hours=1, key=KEY)
    width = [np.ptp(f.quantiles("glucose", [0.05, 0.95], measured=False)[:, i]) for f, i in ((before, -1), (after, 0))]
    assert width[1] < width[0]
    assert twin.now == small_twin().now  # the twin before is as it was


def test_11_a_what_if_stands_beside_no_change_and_says_what_it_assumes():
    twin = small_twin()
    unchanged, more = (
        tp.forecast(twin, inputs=given, hours=HOURS, key=KEY)
        for given in (None, tp.plan(twin, insulin="20 U/h"))
    )  # fmt: skip
    gap = more.group("predicted_outputs")["glucose"] - unchanged.group("predicted_outputs")["glucose"]
    assert float(gap[..., -1].max()) < 0.0  # draw by draw: one key, one chance
    plans = {"more": {"insulin": "20 U/h"}}
    goal = tp.Goal("glucose", "7.8 to 11.1 mmol/L")
    chosen = tp.recommend(twin, plans, goal=goal, limits={"glucose < 4 mmol/L": 0.05}, key=KEY, hours=HOURS)
    assert "no change" in str(chosen)
    assert "Assum" in str(tp.replay(twin, tp.Inputs.infusions("insulin", 60.0, np.inf, 20.0, "U/h")))


def patients():
    """Fifty one-compartment patients, one of whom was measured in something else, one of whom weighs nothing known."""
    chance, times = np.random.default_rng(0), np.array([0.0, 60.0, 120.0, 180.0])
    records = []
    for _ in range(PATIENTS):
        amounts = washout(times, 0.01 * np.exp(0.3 * chance.standard_normal()), 10.0)
        noisy = amounts * (1.0 + 0.1 * chance.standard_normal(times.size))
        records.append(tp.Record.build({"amount": (times, noisy, "1")}, own=OWN))
    records[7] = tp.Record.build({"glucose": (times, [8.0, 7.0, 6.0, 6.0], "mmol/L")})
    return records


@pytest.mark.slow
def test_12_fifty_patients_two_broken_an_interrupt_and_a_report(tmp_path):
    records = patients()
    broken = dataclasses.replace(records[23].observations["amount"], values=np.full(4, np.inf))
    records[23] = dataclasses.replace(records[23], observations={"amount": broken})

    def stop(stage, fraction):
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    half = PATIENTS // 2
    first = tp.fit_cohort(Washout(), records[:half], key=KEY, method=SMALL)
    first.save(tmp_path / "first.nc")
    with pytest.raises(KeyboardInterrupt):
        tp.fit_cohort(Washout(), records[half:], key=KEY, method=SMALL, progress=stop)
    # Resumed: what was saved is read, what was interrupted is done again, as if nothing had happened.
    done = tp.load_cohort(tmp_path / "first.nc", model=Washout)
    rest = tp.fit_cohort(Washout(), records[half:], key=KEY, method=SMALL)
    report = [*done.to_frame()["status"], *rest.to_frame()["status"]]
    assert len(report) == PATIENTS
    assert [place for place, status in enumerate(report) if status != "fitted"] == sorted(BROKEN)
    assert set(done.failures) == set(BROKEN)
    assert "none of the outputs" in str(done.failures[7])
