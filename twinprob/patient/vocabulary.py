"""The names twinprob knows: what each is measured in and what is plausible."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

Kind = Literal["observation", "input", "covariate"]


@dataclass(frozen=True)
class Variable:
    """What twinprob knows about one name.

    Attributes
    ----------
    unit : str
        The unit models use; ``""`` for a category.
    low, high : float
        Plausible range in `unit`, both included. A value outside is taken for a mistake in unit or sign.
        Settings from clinical experience, wide on purpose, not published.
    usual : (float, float) or None
        Where the median of one patient's values lies, in `unit`: narrower than the plausible range, so that values
        which fit better in another unit can be told. None where no range would tell.
    extreme : (float, float) or None
        Where single values of a patient lie, in `unit`, if that is wider: lasting hypoglycemia is not seen, a moment
        of it is, and must not be taken for a slip of the unit.
    mistaken : tuple of str
        Units that are charted for each other.
    source : str
        Where `usual` comes from.
    charge : int or None
        Of an ion, where equivalents may stand for moles.
    hint : str
        What a value outside the plausible range may be.
    kind : {"observation", "input", "covariate"}
        Where the variable belongs in a `Record`.
    long_name : str
        The words for an axis or a table.
    molar_mass : float or None
        g/mol, where mass and amount of substance may replace each other.
    energy : float or None
        kcal/g, where a feed's energy may stand for its carbohydrate.
    activity : float or None
        pmol/mU, where international units and amount of substance may replace each other.
    levels : tuple of str
        The values a category may take.
    setting : bool
        Whether an input is a setting or a state of the patient's that holds until the next row and is unknown before
        the first, not something given, which is zero where nothing was charted.
    ratio : bool
        Whether values may be written "1:2".
    """

    unit: str
    low: float
    high: float
    kind: Kind
    long_name: str
    molar_mass: float | None = None
    energy: float | None = None
    activity: float | None = None
    levels: tuple[str, ...] = ()
    setting: bool = False
    usual: tuple[float, float] | None = None
    extreme: tuple[float, float] | None = None
    mistaken: tuple[str, ...] = ()
    source: str = "setting from clinical experience"
    charge: int | None = None
    hint: str = ""
    ratio: bool = False


_GLUCOSE = 180.16  # g/mol; mmol/L = mg/dL / 18.016
_HEMOGLOBIN = 16114.5  # g/mol of the monomer, which laboratories mean by mmol/L; IFCC recommendation
_INSULIN = 6.0  # pmol/mU; setting from memory, not published here (older tables use 6.945)

# Where the median of a patient's values lies, and which units are charted for each other; no paper gives such ranges,
# so they are settings, chosen so that none of the open datasets this library is tested on is doubted.
_USUAL: Mapping[str, tuple[tuple[float, float], tuple[str, ...]]] = {
    "glucose": ((3.0, 30.0), ("mmol/L", "mg/dL")),
    "insulin": ((0.0, 800.0), ("U/h", "mU/min", "U/min")),
    "plateau_pressure": ((5.0, 60.0), ("cmH2O", "kPa", "mmHg")),
    "peak_pressure": ((5.0, 90.0), ("cmH2O", "kPa")),
    "expired_tidal_volume": ((0.03, 1.8), ("L", "mL")),
    "arterial_oxygen": ((30.0, 560.0), ("mmHg", "kPa")),
    "arterial_carbon_dioxide": ((10.0, 130.0), ("mmHg", "kPa")),
    "pulse_saturation": ((50.0, 100.0), ("%", "1")),
    "mean_arterial_pressure": ((25.0, 180.0), ("mmHg", "kPa")),
    "systolic_pressure": ((40.0, 250.0), ("mmHg", "kPa")),
    "diastolic_pressure": ((15.0, 150.0), ("mmHg", "kPa")),
    "cuff_mean_pressure": ((25.0, 180.0), ("mmHg", "kPa")),
    "pulse_pressure_variation": ((1.0, 60.0), ("%", "1")),
    "plasma_norepinephrine": ((0.03, 250.0), ("ug/L", "ng/L")),
    "lactate": ((0.3, 17.0), ("mmol/L", "mg/dL")),
    "norepinephrine": ((0.3, 200.0), ("ug/kg/min", "ug/min", "ug/h")),
    "epinephrine": ((0.3, 120.0), ("ug/kg/min", "ug/min", "ug/h")),
    "phenylephrine": ((4.0, 800.0), ("ug/kg/min", "ug/min", "ug/h")),
    "dopamine": ((80.0, 2500.0), ("ug/kg/min", "ug/min")),
    "vasopressin": ((0.005, 0.45), ("U/h", "U/min", "mU/min")),
    "hemoglobin": ((4.5, 20.0), ("g/dL", "mmol/L", "g/L")),
    "weight": ((0.3, 160.0), ("kg", "lb")),
    "height": ((100.0, 215.0), ("cm", "in")),
}
_EXTREME: Mapping[str, tuple[float, float]] = {
    "glucose": (1.0, 30.0),
    "arterial_oxygen": (18.0, 600.0),
    "arterial_carbon_dioxide": (9.5, 200.0),
    "lactate": (0.2, 30.0),
    "mean_arterial_pressure": (13.0, 200.0),
    "cuff_mean_pressure": (13.0, 200.0),
    "systolic_pressure": (22.0, 300.0),
    "diastolic_pressure": (10.0, 200.0),
}

_KNOWN = {
    "glucose": Variable("mmol/L", 0.5, 80.0, "observation", "blood glucose", _GLUCOSE),
    "plasma_insulin": Variable("mU/L", 0.0, 20000.0, "observation", "plasma insulin", activity=_INSULIN),
    "c_peptide": Variable("nmol/L", 0.0, 20.0, "observation", "plasma C-peptide", 3020.3),
    "insulin": Variable("mU/min", 0.0, 2000.0, "input", "intravenous insulin", activity=_INSULIN),
    "subcutaneous_insulin": Variable("mU/min", 0.0, 5000.0, "input", "subcutaneous insulin", activity=_INSULIN),
    # Energy: 3.4 kcal per gram of dextrose monohydrate (198.17 g/mol), which is 3.74 per gram of glucose, and
    # 4.0 kcal per gram of carbohydrate; settings from memory, not published here.
    "parenteral_glucose": Variable(
        "mmol/min", 0.0, 15.0, "input", "parenteral glucose", _GLUCOSE, 3.4 * 198.17 / _GLUCOSE
    ),
    "enteral_glucose": Variable("mmol/min", 0.0, 15.0, "input", "enteral glucose", _GLUCOSE, 4.0),
    # A drink is swallowed within minutes: 75 g in 1 min are 416 mmol/min.
    "oral_glucose": Variable("mmol/min", 0.0, 1000.0, "input", "swallowed glucose", _GLUCOSE, 4.0),
    # Ventilation: airway waveforms, charted values, blood gases and settings.
    "airway_pressure": Variable("cmH2O", -60.0, 150.0, "observation", "airway pressure"),
    "airway_flow": Variable("L/s", -6.0, 6.0, "observation", "airway flow, into the patient"),
    "plateau_pressure": Variable("cmH2O", 2.0, 100.0, "observation", "plateau pressure"),
    "peak_pressure": Variable("cmH2O", 2.0, 150.0, "observation", "peak airway pressure"),
    "mean_airway_pressure": Variable("cmH2O", 1.0, 80.0, "observation", "mean airway pressure"),
    "expired_tidal_volume": Variable("L", 0.02, 3.0, "observation", "tidal volume as measured"),
    "arterial_oxygen": Variable("mmHg", 10.0, 760.0, "observation", "arterial oxygen pressure"),
    "arterial_carbon_dioxide": Variable("mmHg", 5.0, 250.0, "observation", "arterial carbon dioxide pressure"),
    "arterial_pH": Variable("1", 6.3, 8.0, "observation", "arterial pH"),
    "pulse_saturation": Variable("%", 20.0, 100.0, "observation", "pulse oximeter saturation"),
    "peep": Variable("cmH2O", 0.0, 50.0, "input", "set end-expiratory pressure", setting=True),
    "tidal_volume": Variable("L", 0.02, 3.0, "input", "tidal volume", setting=True),
    "respiratory_rate": Variable("1/min", 1.0, 150.0, "input", "respiratory rate", setting=True),
    "inspired_oxygen": Variable(
        "1",
        0.2,
        1.0,
        "input",
        "inspired oxygen fraction",
        setting=True,
        hint="Below room air or above 1 it may be an oxygen flow in L/min, written in the field of the fraction.",
    ),
    "alveolar_ventilation": Variable("L/min", 0.0, 60.0, "input", "alveolar ventilation", setting=True),
    "cardiac_output": Variable("L/min", 0.3, 30.0, "input", "cardiac output", setting=True),
    "balloon_ratio": Variable(
        "1",
        0.0,
        1.0,
        "input",
        "share of beats that a balloon pump assists",
        setting=True,
        ratio=True,
        hint="One beat in two is 1:2, or 0.5.",
    ),
    "hemoglobin": Variable("g/dL", 2.0, 25.0, "input", "hemoglobin", _HEMOGLOBIN, setting=True),
    # Circulation: pressures and flows, vasoactive drugs, volumes. An arterial pressure beyond these is a flush.
    "mean_arterial_pressure": Variable("mmHg", 5.0, 250.0, "observation", "mean arterial pressure"),
    "systolic_pressure": Variable("mmHg", 10.0, 320.0, "observation", "systolic arterial pressure"),
    "diastolic_pressure": Variable("mmHg", 0.0, 220.0, "observation", "diastolic arterial pressure"),
    "cuff_mean_pressure": Variable("mmHg", 5.0, 250.0, "observation", "mean pressure by the cuff"),
    "central_venous_pressure": Variable("mmHg", -15.0, 60.0, "observation", "central venous pressure"),
    "heart_rate": Variable("1/min", 5.0, 350.0, "observation", "heart rate"),
    "stroke_volume": Variable("mL", 1.0, 300.0, "observation", "stroke volume"),
    "pulse_pressure_variation": Variable("%", 0.0, 100.0, "observation", "pulse-pressure variation"),
    "plasma_norepinephrine": Variable("ug/L", 0.0, 1000.0, "observation", "norepinephrine in plasma", 169.18),
    "urine_output": Variable("mL/h", 0.0, 3000.0, "observation", "urine output"),
    "lactate": Variable("mmol/L", 0.05, 50.0, "observation", "lactate", 90.08, charge=1),
    # Six ug/kg/min in 80 kg; a rate per minute that is declared per kilogram lies above it.
    "norepinephrine": Variable("ug/min", 0.0, 480.0, "input", "norepinephrine"),
    "epinephrine": Variable("ug/min", 0.0, 320.0, "input", "epinephrine"),
    "phenylephrine": Variable("ug/min", 0.0, 1600.0, "input", "phenylephrine"),
    "dopamine": Variable("ug/min", 0.0, 4800.0, "input", "dopamine"),
    "vasopressin": Variable("U/min", 0.0, 1.5, "input", "vasopressin"),
    "crystalloid": Variable("mL/min", 0.0, 500.0, "input", "crystalloid"),
    "albumin": Variable("mL/min", 0.0, 500.0, "input", "albumin or another colloid"),
    "blood": Variable("mL/min", 0.0, 500.0, "input", "blood and blood products"),
    "blood_loss": Variable("mL/min", 0.0, 1000.0, "input", "bleeding"),
    "furosemide": Variable("mg/min", 0.0, 60.0, "input", "furosemide"),
    "leg_raise": Variable("1", 0.0, 1.0, "input", "legs raised"),
    "weight": Variable("kg", 0.3, 400.0, "covariate", "body weight"),
    "height": Variable("cm", 25.0, 250.0, "covariate", "body height"),
    "age": Variable("year", 0.0, 120.0, "covariate", "age"),
    "sex": Variable("", math.nan, math.nan, "covariate", "sex", levels=("female", "male")),
    "diabetic_status": Variable(
        "", math.nan, math.nan, "covariate", "diabetic status", levels=("none", "type1", "type2")
    ),
}
VOCABULARY: Mapping[str, Variable] = MappingProxyType(
    {
        name: replace(
            entry,
            usual=_USUAL[name][0] if name in _USUAL else None,
            mistaken=_USUAL[name][1] if name in _USUAL else (),
            extreme=_EXTREME.get(name),
        )
        for name, entry in _KNOWN.items()
    }
)


def from_ratio(name: str, text: Any) -> Any:
    """Return a value written as a ratio, such as "1:2" of a balloon pump, as a number; anything else as it is.

    Parameters
    ----------
    name : str
        Of a variable; only those whose values are written so are read.
    text : object

    Returns
    -------
    value : object
        0.5 for "1:2", which is every second beat; 0 for "0:1", off.
    """
    entry = VOCABULARY.get(name)
    if entry is None or not entry.ratio or not isinstance(text, str):
        return text
    found = re.fullmatch(r"\s*([01])\s*:\s*([1-9])\s*", text)
    return int(found[1]) / int(found[2]) if found else text


def known(name: str, *, own: Iterable[str] = (), kind: Kind | None = None) -> str:
    """Return `name` if it is in the vocabulary, or the caller's own.

    Parameters
    ----------
    name : str
        A variable's name.
    own : iterable of str
        Names the caller declares; nothing is checked about them but that they have a unit.
    kind : {"observation", "input", "covariate"}, optional
        Where the variable is used.

    Returns
    -------
    name : str
        The same name.

    Raises
    ------
    ValueError
        If the name is unknown, with the five nearest known ones, or if it is of another kind.
    """
    if name in own:
        return name
    if name not in VOCABULARY:
        names = [key for key, variable in VOCABULARY.items() if kind in (None, variable.kind)]
        nearest = difflib.get_close_matches(str(name).lower(), names, n=5, cutoff=0.0)
        hint = f"did you mean {nearest[0]!r}? The nearest of {len(names)} names: {', '.join(nearest)}. If it is none, "
        raise ValueError(f"Unknown variable {name!r}: {hint}declare a name of your own with own=({name!r},).")
    if kind is not None and VOCABULARY[name].kind != kind:
        raise ValueError(
            f"Variable {name!r} belongs among the {VOCABULARY[name].kind}s, but was given among the {kind}s."
        )
    return name
