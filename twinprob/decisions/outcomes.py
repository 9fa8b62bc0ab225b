"""What a trial reports of each patient: from the latent truth on one grid, never from the arm's own measurements."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

_PER_MG_DL = 10.0 / 180.16  # mmol/L


@dataclass(frozen=True)
class Course:
    """What one arm did to its patients.

    Attributes
    ----------
    minutes : float
        Between two points of the grid.
    truth : mapping of str to (patient, time) array
        Outputs at the end of each step, in the plant's units.
    given : mapping of str to (patient, time) array
        What reached the patient during each step, in the plant's units.
    measured : (patient, time) bool
    decided : (patient, time) bool
    charted : mapping of str to (patient, time) array
        In the arm's units.
    units : mapping of str to str
        Of what is charted.
    targets : mapping of str to float
        Of the outputs that are steered to one.
    weight : (patient,) kg, or None
    """

    minutes: float
    truth: Mapping[str, np.ndarray]
    given: Mapping[str, np.ndarray]
    measured: np.ndarray
    decided: np.ndarray
    charted: Mapping[str, np.ndarray]
    units: Mapping[str, str]
    targets: Mapping[str, float]
    weight: np.ndarray | None = None

    @property
    def hours(self) -> float:
        """How long."""
        return self.measured.shape[1] * self.minutes / 60.0

    def hourly(self, name: str) -> np.ndarray:
        """Return one output on the hour, (patient, hour); on the grid itself where that is no finer."""
        every = max(1, round(60.0 / self.minutes))
        return self.truth[name][:, every - 1 :: every]


@dataclass(frozen=True)
class Outcome:
    """One number of each patient.

    Attributes
    ----------
    unit, about : str
    of : function of `Course` returning (patient,)
    counted : bool
        Whether it is a yes or no, reported as a share of patients.
    """

    unit: str
    about: str
    of: Callable[[Course], np.ndarray]
    counted: bool = False


def band(name: str, low: float, high: float) -> Callable[[Course], np.ndarray]:
    """Return the share of time (%) in which an output lies within a band, both ends included."""

    def of(course: Course) -> np.ndarray:
        values = course.hourly(name) if name == "glucose" else course.truth[name]
        return 100.0 * np.mean((values >= low) & (values <= high), axis=1)

    return of


def beyond(name: str, limit: float, side: int) -> Callable[[Course], np.ndarray]:
    """Return the share of time (%) above (side +1) or below (-1) a limit."""
    return lambda course: 100.0 * np.mean(side * (course.truth[name] - limit) > 0.0, axis=1)


def ever_below(name: str, limit: float) -> Callable[[Course], np.ndarray]:
    """Return whether an output was ever below a limit on the grid, 0 or 1."""
    return lambda course: np.any(course.truth[name] < limit, axis=1).astype(float)


def excess(name: str, limit: float, side: int) -> Callable[[Course], np.ndarray]:
    """Return the integral beyond a limit, unit times hours."""

    def of(course: Course) -> np.ndarray:
        return np.sum(np.maximum(side * (course.truth[name] - limit), 0.0), axis=1) * course.minutes / 60.0

    return of


def middle(name: str) -> Callable[[Course], np.ndarray]:
    """Return the median over time."""
    return lambda course: np.median(course.hourly(name), axis=1)


def varvel(name: str, which: str) -> Callable[[Course], np.ndarray]:
    """Return one of Varvel's four of a patient, from the truth and the arm's target.

    PE = 100 (value - target) / target; MDPE its median, MDAPE the median of |PE|, wobble the median of |PE - MDPE|,
    divergence the slope of |PE| on time, % per hour (Varvel JR et al. J Pharmacokinet Biopharm 1992;20:63-94, from a
    web page).
    """

    def of(course: Course) -> np.ndarray:
        values = course.truth[name]
        if name not in course.targets:
            return np.full(len(values), np.nan)
        errors = 100.0 * (values - course.targets[name]) / course.targets[name]
        bias = np.median(errors, axis=1)
        if which == "MDPE":
            return bias
        if which == "MDAPE":
            return np.median(np.abs(errors), axis=1)
        if which == "wobble":
            return np.median(np.abs(errors - bias[:, None]), axis=1)
        hours = np.arange(1, values.shape[1] + 1) * course.minutes / 60.0
        away = np.abs(errors) - np.abs(errors).mean(axis=1, keepdims=True)
        return away @ (hours - hours.mean()) / np.sum((hours - hours.mean()) ** 2)

    return of


def measurements(course: Course) -> np.ndarray:
    """Return the number of samples a day, those that were lost included."""
    return course.measured.sum(axis=1) * 24.0 / course.hours


def mean_given(name: str, factor: float = 1.0) -> Callable[[Course], np.ndarray]:
    """Return the mean of what reached the patient, times a factor."""
    return lambda course: factor * course.given[name].mean(axis=1)


def changes(name: str) -> Callable[[Course], np.ndarray]:
    """Return how often an hour what is charted was changed."""

    def of(course: Course) -> np.ndarray:
        if name not in course.charted:
            return np.zeros(len(course.measured))
        return np.sum(np.diff(course.charted[name], axis=1) != 0.0, axis=1) / course.hours

    return of


def _target_band(course: Course) -> np.ndarray:
    target = course.targets.get("mean_arterial_pressure", math.nan)
    away = np.abs(course.truth["mean_arterial_pressure"] - target)
    return 100.0 * np.mean(away <= 5.0, axis=1) if math.isfinite(target) else np.full(len(away), np.nan)


def _overtreated(course: Course) -> np.ndarray:
    target = course.targets.get("mean_arterial_pressure", math.nan)
    high = course.truth["mean_arterial_pressure"] > target + 5.0
    return 100.0 * np.mean(high & (course.given["norepinephrine"] > 0.0), axis=1)


_MAP, _G = "mean_arterial_pressure", "glucose"
GLUCOSE = {
    "in_4.4_to_8.0": Outcome("%", "hours with glucose from 4.4 to 8.0 mmol/L", band(_G, 4.4, 8.0)),
    "in_4.0_to_6.5": Outcome("%", "hours with glucose from 4.0 to 6.5 mmol/L", band(_G, 4.0, 6.5)),
    "in_7.8_to_11.1": Outcome("%", "hours with glucose from 7.8 to 11.1 mmol/L", band(_G, 7.8, 11.1)),
    "below_4.4": Outcome("%", "time with glucose below 4.4 mmol/L", beyond(_G, 4.4, -1)),
    "below_3.9": Outcome("%", "time with glucose below 3.9 mmol/L (70 mg/dL)", beyond(_G, 70 * _PER_MG_DL, -1)),
    "below_3.3": Outcome("%", "time with glucose below 3.3 mmol/L (60 mg/dL)", beyond(_G, 60 * _PER_MG_DL, -1)),
    "above_8.0": Outcome("%", "time with glucose above 8.0 mmol/L", beyond(_G, 8.0, 1)),
    "above_10": Outcome("%", "time with glucose above 10 mmol/L", beyond(_G, 10.0, 1)),
    "ever_below_2.2": Outcome("", "ever below 2.2 mmol/L", ever_below(_G, 2.2), counted=True),
    "ever_below_3.9": Outcome("", "ever below 3.9 mmol/L", ever_below(_G, 3.9), counted=True),
    "ever_below_4.0": Outcome("", "ever below 4.0 mmol/L", ever_below(_G, 4.0), counted=True),
    "median_glucose": Outcome("mmol/L", "median glucose", middle(_G)),
    "mean_glucose": Outcome("mmol/L", "mean glucose", lambda course: course.hourly(_G).mean(axis=1)),
    "sd_glucose": Outcome("mmol/L", "standard deviation of glucose", lambda course: course.hourly(_G).std(axis=1)),
    "measurements": Outcome("1/d", "measurements a day", measurements),
    "insulin": Outcome("U/h", "mean insulin", mean_given("insulin", 0.06)),
    "enteral_glucose": Outcome("g/h", "mean enteral glucose", mean_given("enteral_glucose", 60 * 0.18016)),
}
LUNG = {
    "plateau_above_30": Outcome("%", "time with plateau above 30 cmH2O", beyond("plateau_pressure", 30.0, 1)),
    "driving_above_15": Outcome("%", "time with driving pressure above 15 cmH2O", beyond("driving_pressure", 15.0, 1)),
    "driving_excess": Outcome("cmH2O h", "integral of driving pressure over 15", excess("driving_pressure", 15.0, 1)),
    "peak_pressure": Outcome("cmH2O", "median peak pressure", middle("peak_pressure")),
    "tidal_volume": Outcome("L", "mean tidal volume", mean_given("tidal_volume")),
}
GAS = {
    "saturation_below_88": Outcome("%", "time with saturation below 88 %", beyond("pulse_saturation", 88.0, -1)),
    "median_saturation": Outcome("%", "median saturation", middle("pulse_saturation")),
    "inspired_oxygen": Outcome("1", "mean FiO2", mean_given("inspired_oxygen")),
}
PRESSURE = {
    "within_5": Outcome("%", "time within 5 mmHg of the target", _target_band),
    "in_65_to_75": Outcome("%", "time with pressure from 65 to 75 mmHg", band(_MAP, 65.0, 75.0)),
    "below_65": Outcome("%", "time with pressure below 65 mmHg", beyond(_MAP, 65.0, -1)),
    "deficit": Outcome("mmHg h", "integral of pressure under 65 mmHg", excess(_MAP, 65.0, -1)),
    "overtreated": Outcome("%", "time above target + 5 mmHg while norepinephrine ran", _overtreated),
    "MDPE": Outcome("%", "Varvel's median performance error", varvel(_MAP, "MDPE")),
    "MDAPE": Outcome("%", "Varvel's median absolute performance error", varvel(_MAP, "MDAPE")),
    "wobble": Outcome("%", "Varvel's wobble", varvel(_MAP, "wobble")),
    "divergence": Outcome("%/h", "Varvel's divergence", varvel(_MAP, "divergence")),
    "norepinephrine": Outcome("ug/kg/min", "mean norepinephrine", mean_given("norepinephrine")),
    "dose_changes": Outcome("1/h", "changes of norepinephrine an hour", changes("norepinephrine")),
    "measurements": Outcome("1/d", "measurements a day", measurements),
}


def outcomes_of(outputs: tuple[str, ...], inputs: tuple[str, ...]) -> dict[str, Outcome]:
    """Return the outcomes of a plant with these outputs and inputs."""
    found: dict[str, Outcome] = {}
    groups = ((_G, GLUCOSE), ("plateau_pressure", LUNG), ("pulse_saturation", GAS), (_MAP, PRESSURE))
    needs = {"insulin": "insulin", "enteral_glucose": "enteral_glucose", "tidal_volume": "tidal_volume",
             "inspired_oxygen": "inspired_oxygen", "norepinephrine": "norepinephrine",
             "overtreated": "norepinephrine", "dose_changes": "norepinephrine"}  # fmt: skip
    outputs_of = {"driving_above_15": "driving_pressure", "driving_excess": "driving_pressure",
                  "peak_pressure": "peak_pressure"}  # fmt: skip
    for output, group in groups:
        if output in outputs:
            for name, outcome in group.items():
                if needs.get(name, inputs[0]) in inputs and outputs_of.get(name, output) in outputs:
                    found[name] = outcome
    return found or {"measurements": Outcome("1/d", "measurements a day", measurements)}
