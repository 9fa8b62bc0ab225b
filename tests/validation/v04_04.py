"""Virtual multi-unit lungs: fitted at their baseline PEEP, forecast for rises of up to 12 cmH2O."""

import jax
import numpy as np

import twinprob as tp
from tests.multi_unit_lung import staircase
from tests.validation import Result
from twinprob.models.respiratory import Recruitment

LUNGS, STEPS, TIDAL, RATE = 40, 6, 0.42, 20.0
LIMIT = 3600
FIRST = 200  # some of the lungs below 140 were looked at while this was written
# Settings, cmH2O: noise of a pressure read off a waveform; and how far the model's curve may be off half-way.
NOISE, SHAPE = 0.3, 1.0


def measure() -> Result:
    """Show each twin an hour at baseline, then ask for six hours in which PEEP rises by 2 every hour."""
    rows = [_one(number) for number in range(FIRST, FIRST + LUNGS)]
    rise = 2.0 * np.arange(1, STEPS + 1)
    error = np.array([row["peak"] for row in rows]) - np.array([row["true_peak"] for row in rows])
    recruited = np.array([row["recruited"] for row in rows]) - np.array([row["true_recruited"] for row in rows])
    covered = np.array([row["covered"] for row in rows])
    alarm = np.array([row["risk"] for row in rows])[:, :3] > 0.5
    above = np.array([row["true_peak"] for row in rows])[:, :3] > 40.0
    sensitivity = float(np.mean(alarm[above])) if above.any() else float("nan")
    specificity = float(np.mean(~alarm[~above]))
    tail, middle = float(np.quantile(np.abs(error), 0.9)), float(np.median(np.abs(recruited)))
    coverage = float(covered.mean())
    persistent = np.array([np.array(row["true_peak"]) - row["first_peak"] - rise for row in rows])
    return Result(
        figure=f"90 % of peak-pressure errors within {tail:.2f} cmH2O (constant elastance: "
        f"{np.quantile(np.abs(persistent), 0.9):.2f}); PIP > 40 at +2 to +6: {int(above.sum())} true alarms, "
        f"sensitivity {sensitivity:.2f}, specificity {specificity:.2f}; recruited volume median error {middle:.3f} L; "
        f"90 % bands cover {coverage:.1%} of {covered.size}",
        holds=bool(
            tail <= 3.95
            and middle <= 0.013
            and 0.85 <= coverage <= 0.95
            and specificity >= 0.88
            and sensitivity >= 0.96
        ),
        details={
            "absolute_error_by_rise": {
                f"+{r:.0f}": float(np.quantile(np.abs(error[:, k]), 0.9)) for k, r in enumerate(rise)
            },
            "coverage_by_rise": {f"+{r:.0f}": float(covered[:, k].mean()) for k, r in enumerate(rise)},
            "bias_by_rise": {f"+{r:.0f}": float(error[:, k].mean()) for k, r in enumerate(rise)},
            "rows": rows,
        },
    )


def _one(number: int) -> dict:
    """Fit one lung and forecast its staircase."""
    chance = np.random.default_rng(number)
    base, tidal = float(chance.integers(5, 16)), TIDAL + 0.03 * float(chance.integers(-2, 7))
    truth = staircase(number, base, tidal, STEPS)
    times = [0.0, 30.0, 60.0]
    names = {"plateau_pressure": "plateau", "peak_pressure": "peak", "half_volume_pressure": "half"}
    measured = {name: (times, truth[0][key] + NOISE * chance.normal(size=3), "cmH2O") for name, key in names.items()}
    fixed = tp.Inputs.constant(tidal_volume=(tidal, "L"), respiratory_rate=(RATE, "1/min"))
    starts = 60.0 * np.arange(1, STEPS + 1)
    given = fixed | tp.Inputs.constant(peep=(base, "cmH2O"))
    plan = tp.Inputs.infusions(
        "peep", starts, np.append(starts[1:], np.inf), base + 2.0 * np.arange(1, STEPS + 1), "cmH2O"
    )
    record = tp.Record.build(measured, given, start=0.0, end=60.0, own=("half_volume_pressure",))
    noise = {name: tp.Observation(tp.Gaussian(additive=NOISE)) for name in names}
    noise["half_volume_pressure"] = tp.Observation(tp.Gaussian(additive=SHAPE))
    method = tp.Laplace(draws=400, proposals=2000)
    twin = tp.fit(Recruitment(), record, key=jax.random.key(number), method=method, observations=noise)
    ahead = tp.forecast(twin, inputs=plan, hours=float(STEPS), every="60 min", key=jax.random.key(number + 1000))
    return _compare(twin, ahead, truth, base)


def _compare(twin, ahead, truth, base) -> dict:
    """Hold the forecast at the end of each hour against the virtual lung."""
    predictions = ahead.tree["predictions"]
    peak, volume = (
        np.asarray(predictions[name]).reshape(-1, predictions[name].shape[-1])[:, -STEPS:]
        for name in ("peak_pressure", "end_expiratory_volume")
    )
    true_peak = np.array([step["peak"] for step in truth[1:]])
    low, high = np.quantile(peak, [0.05, 0.95], axis=0)
    true_volume = np.array([step["end_expiratory_volume"] for step in truth])
    first = np.asarray(twin.tree["trajectory"]["end_expiratory_volume"])[..., -1].reshape(-1, 1)
    return {
        "base": base,
        "peak": np.median(peak, axis=0).tolist(),
        "true_peak": true_peak.tolist(),
        "first_peak": truth[0]["peak"],
        "covered": ((low <= true_peak) & (true_peak <= high)).tolist(),
        "risk": np.mean(peak > 40.0, axis=0).tolist(),
        "recruited": np.median(volume - first, axis=0).tolist(),
        "true_recruited": (true_volume[1:] - true_volume[0]).tolist(),
    }
