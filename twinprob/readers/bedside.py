"""Treatments and pressures typed in at the bedside: the mistakes of units that are made there, refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..patient import units
from ..patient.inputs import Inputs
from ._mimic_items import CIRCULATION, DRUGS, FLUIDS, HIGHEST_FLOW

__all__ = ["fluid", "infusion", "pressures"]

_MAP = "mean_arterial_pressure"
_LEAST_BOLUS = 2.0  # mL, setting


def infusion(
    drug: str,
    starts: Any,
    ends: Any,
    rates: Any,
    unit: str,
    *,
    concentration: tuple[float, str] | None = None,
    weight: float | None = None,
) -> Inputs:
    """Give a vasoactive drug as intervals of constant rate, in the unit that a record holds.

    Parameters
    ----------
    drug : str
        norepinephrine, vasopressin, phenylephrine, epinephrine or dopamine.
    starts, ends : (change,) min
        As for `Inputs.infusions`.
    rates : (change,)
        In `unit`.
    unit : str
        A dose ("ug/kg/min", "ug/min", "U/h") or a pump's rate ("mL/h").
    concentration : (float, str), optional
        Of the syringe, for a pump's rate: for example ``(60.0, "ug/mL")``.
    weight : float, optional
        kg, where one unit is per kilogram.

    Returns
    -------
    inputs : Inputs
        In ug/kg/min, vasopressin in U/min.

    Raises
    ------
    ValueError
        If the drug is unknown, a pump's rate has no concentration, a weight is needed and missing, or a rate is one
        that nobody gives: then the message says which other unit would explain it.

    Examples
    --------
    >>> given = infusion("norepinephrine", 0, 60, 8.0, "mL/h", concentration=(60.0, "ug/mL"), weight=80.0)
    >>> round(float(given["norepinephrine"].rates[0]), 2)
    0.1
    """
    if drug not in DRUGS:
        raise ValueError(f"Argument `drug` must be one of {', '.join(DRUGS)}, but is {drug!r}.")
    about, values = DRUGS[drug], np.array(rates, float, ndmin=1)
    if _is_flow(unit):
        if concentration is None:
            raise ValueError(
                f"{drug} is given in {unit}, a pump's rate, which is no dose without the syringe's concentration: "
                f'give e.g. concentration=(60.0, "{"U" if about.unit.startswith("U") else "ug"}/mL").'
            )
        amount, per = concentration
        dose = "U/min" if about.unit.startswith("U") else "ug/min"
        solute, _, volume = units.normalize(per).partition("/")
        if not amount > 0 or not volume:
            raise ValueError(
                f"Argument `concentration` of {drug} must be above zero and in a unit of drug per volume, such as "
                f"{dose.split('/')[0]}/mL."
            )
        values = values * amount * units.convert(1.0, unit, f"{volume}/min")
        values, unit = units.convert(values, f"{solute}/min", dose), dose
    found = np.asarray(units.convert(values, unit, about.unit, variable=drug, weight=weight), float)
    bad = np.flatnonzero(found > about.high)
    if bad.size:
        raise ValueError(
            f"{drug} rate {bad[0]}, declared in {unit}, is above {about.high:g} {about.unit}, which nobody gives "
            f"({bad.size} of {found.size} rates are). {_explained(about.unit, unit, values, about.high, weight)}"
        )
    return Inputs.infusions(drug, starts, ends, found, about.unit, own=(drug,))


def fluid(name: str, times: Any, volumes: Any, unit: str = "mL", *, duration: float | str | None = None) -> Inputs:
    """Give boluses of crystalloid, albumin or blood.

    Parameters
    ----------
    name : str
        crystalloid, albumin or blood.
    times : (bolus,) min
        When each begins.
    volumes : (bolus,)
        In `unit`.
    unit : str
        Of the volume.
    duration : float or str, min
        How long each takes.

    Returns
    -------
    inputs : Inputs
        In mL/min.

    Raises
    ------
    ValueError
        If the name is unknown, `duration` is missing or not positive, a volume is negative or so small that its unit
        must be another, or the flow is faster than any infuser's.
    """
    if name not in FLUIDS:
        raise ValueError(f"Argument `name` must be one of {', '.join(FLUIDS)}, but is {name!r}.")
    if duration is None or not units.minutes(duration) > 0:
        raise ValueError(
            f"{name}: a bolus needs the `duration` it took, such as '15 min': how long its effect lasts hangs on it."
        )
    amounts = np.array(units.convert(np.array(volumes, float, ndmin=1), unit, "mL"), float)
    for index in np.flatnonzero(~(amounts >= 0)):
        raise ValueError(f"{name} bolus {index} must have a volume of 0 or more; blood that was lost is `blood_loss`.")
    for index in np.flatnonzero((amounts > 0) & (amounts < _LEAST_BOLUS)):
        raise ValueError(
            f"{name} bolus {index} is less than {_LEAST_BOLUS:g} mL: check its `unit`, which may be L, or leave it out."
        )
    flows = amounts / units.minutes(duration)
    for index in np.flatnonzero(flows > HIGHEST_FLOW):
        raise ValueError(
            f"{name} bolus {index} would flow faster than {HIGHEST_FLOW:g} mL/min: check the volume's unit and the "
            "`duration`."
        )
    return Inputs.bolus(name, times, amounts, "mL", duration=duration, own=(name,))


def pressures(times: Any, *, mean: Any = None, systolic: Any = None, diastolic: Any = None, unit: str = "mmHg") -> dict:
    """Check arterial pressures and return them as `Record.build` takes them.

    Parameters
    ----------
    times : (time,) min
    mean, systolic, diastolic : (time,), optional
        In `unit`; NaN where not measured.
    unit : str

    Returns
    -------
    observations : dict of str to (times, values, unit)
        mean_arterial_pressure, systolic_pressure, diastolic_pressure, in mmHg, those that were given.

    Raises
    ------
    ValueError
        If a pressure lies outside what an artery can have, there is not one for each time, a systolic pressure is not
        above the diastolic one, or a mean is not between them.
    """
    given = {"mean_arterial_pressure": mean, "systolic_pressure": systolic, "diastolic_pressure": diastolic}
    found: dict[str, Any] = {}
    for name, raw in given.items():
        if raw is None:
            continue
        values = np.asarray(units.convert(np.array(raw, float, ndmin=1), unit, "mmHg"), float)
        about = CIRCULATION[name]
        bad = np.flatnonzero(np.isfinite(values) & ~((values >= about.low) & (values <= about.high)))
        if bad.size:
            raise ValueError(
                f"{name}[{bad[0]}] is outside {about.low:g} to {about.high:g} mmHg ({bad.size} of {values.size} values "
                "are): a flush, an open line or a keyboard. Leave such values out, or check the unit."
            )
        if values.size != np.size(times):
            raise ValueError(f"{name} must have one value for each of {np.size(times)} times, but has {values.size}.")
        found[name] = (times, values, "mmHg")
    if systolic is not None and diastolic is not None:
        wrong = np.flatnonzero(found["systolic_pressure"][1] <= found["diastolic_pressure"][1])
        if wrong.size:
            raise ValueError(
                f"systolic_pressure[{wrong[0]}] must be above diastolic_pressure[{wrong[0]}] ({wrong.size} are not): "
                "check whether the two were exchanged."
            )
    for name, sign in (("systolic_pressure", 1.0), ("diastolic_pressure", -1.0)):
        if mean is not None and name in found:
            beyond = np.flatnonzero(sign * (found[_MAP][1] - found[name][1]) > 0)
            if beyond.size:
                raise ValueError(
                    f"{_MAP}[{beyond[0]}] must lie between diastolic and systolic pressure ({beyond.size} do not): "
                    "check whether a column was exchanged, or leave the damped beats out."
                )
    return found


def _is_flow(unit: str) -> bool:
    """Say whether a unit is a volume per time."""
    return units.normalize(unit).split("/")[0] in ("mL", "L") and units.per_time(unit)


def _explained(wanted: str, unit: str, values: np.ndarray, high: float, weight: float | None) -> str:
    """Name the unit in which the rates would be plausible."""
    usual = ("U/h",) if wanted.startswith("U") else ("ug/min", "ug/kg/h", "ug/h")
    for other in usual:
        try:
            fits = np.all(units.convert(values, other, wanted, weight=weight or 70.0) <= high)
        except ValueError:
            continue
        if fits and other != units.normalize(unit):
            return f"In {other} every rate would be plausible: check the declared unit."
    return "Check the rate and its unit."
