"""The order that published arms have shown, on the same virtual patients; and the level of the STAR-like arm."""

import dataclasses

import jax
import numpy as np

from tests.decisions.insulin_trial import HOURS, STAR, meter, patients
from tests.validation import Result
from twinprob.decisions import trial
from twinprob.decisions.protocols.metabolic import Leuven, Yale2005

COUNT = 400
KEY = jax.random.key(107)
ARMS = {
    "Yale 100-140": Yale2005(),
    "Yale 120-140": Yale2005.aiming(120.0, 139.0),
    "Yale 140": Yale2005.aiming(140.0, 140.0),
    "Leuven": Leuven(),
    "STAR 1-3 h": STAR,
    "STAR 1-6 h": dataclasses.replace(STAR, longest=6),
}


def measure() -> Result:
    """Run all arms with a meter of CV 5 %, and the STAR-like one with 15 %."""
    who = patients(COUNT)
    done = trial(ARMS, who, hours=HOURS, key=KEY, world=meter(0.05))
    worse = trial({"STAR 15 %": STAR}, who, hours=HOURS, key=KEY, world=meter(0.15))
    names = ("below_3.9", "below_3.3", "below_4.4", "above_8.0", "in_4.4_to_8.0", "mean_glucose", "median_glucose",
             "sd_glucose", "measurements", "insulin", "ever_below_2.2")  # fmt: skip
    level = {
        arm: {name: round(float(np.nanmean(t.outcome(name, arm))), 4) for name in names}
        for t in (done, worse)
        for arm in t.arms
    }
    one, two, three = (level[f"Yale {target}"] for target in ("100-140", "120-140", "140"))
    star, six, coarse = (level[name] for name in ("STAR 1-3 h", "STAR 1-6 h", "STAR 15 %"))
    signs = {
        "fewer readings below 70 mg/dL with each higher Yale target": one["below_3.9"]
        > two["below_3.9"]
        > three["below_3.9"],
        "mean glucose rises with it": one["mean_glucose"] < two["mean_glucose"] < three["mean_glucose"],
        "Yale has a smaller SD than Leuven": one["sd_glucose"] < level["Leuven"]["sd_glucose"],
        "Yale is less below 60 mg/dL than Leuven": one["below_3.3"] < level["Leuven"]["below_3.3"],
        "STAR 1-6 h is less in band": six["in_4.4_to_8.0"] < star["in_4.4_to_8.0"],
        "STAR 1-6 h is more above 8.0": six["above_8.0"] > star["above_8.0"],
        "STAR 1-6 h measures less": six["measurements"] < star["measurements"],
        "a meter of 15 % is less safe than one of 5 %": coarse["below_4.4"] > star["below_4.4"],
    }
    severe = 100.0 * star["ever_below_2.2"]
    levels = {
        "in band 83-91 %": 83.0 <= star["in_4.4_to_8.0"] <= 91.0,
        "11-13 measurements a day": 11.0 <= star["measurements"] <= 13.0,
        "patients below 2.2 under 3 %": severe < 3.0,
    }
    differences = {
        "SD, Yale less Leuven": done.difference("sd_glucose", "Yale 100-140", "Leuven")._asdict(),
        "in band, 1-6 h less 1-3 h": done.difference("in_4.4_to_8.0", "STAR 1-6 h", "STAR 1-3 h")._asdict(),
        "below 3.9, Yale 120 less 100": done.difference("below_3.9", "Yale 120-140", "Yale 100-140")._asdict(),
    }
    return Result(
        f"{sum(signs.values())} of {len(signs)} signs right; STAR-like {star['in_4.4_to_8.0']:.1f} % of hours "
        f"in 4.4-8.0, "
        f"{star['measurements']:.1f} measurements a day, {severe:.1f} % of {COUNT} patients below 2.2",
        all(signs.values()) and all(levels.values()),
        {"signs": signs, "levels met": levels, "arms": level, "paired differences": differences,
         "failed": done.solves_failed},
    )  # fmt: skip
