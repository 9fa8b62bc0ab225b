"""How charts, devices and UCUM spell units, and the one spelling this package keeps."""

from __future__ import annotations

import re
from functools import lru_cache

_BEATS = ("beats", "beat", "breaths", "breath", "br", "b", "insp", "inspirations", "resp", "respirations", "cycles")
_PER_MINUTE = (
    *(f"{word}/{minute}" for word in ("", *_BEATS) for minute in ("min", "minute")),
    *("bpm", "rpm", "min-1", "min^-1", "{beats}/min", "{beat}/min", "{breaths}/min", "{resp}/min", "{h.b}/min"),
)
_WHOLE = {
    "uhr": "U/h",
    "uh": "U/h",
    "umin": "U/min",
    "mcgkgmin": "ug/kg/min",
    "mcgmin": "ug/min",
    "mcghr": "ug/h",
    "mgkghr": "mg/kg/h",
    "mgmin": "mg/min",
    "mghr": "mg/h",
    "mlhr": "mL/h",
    "mg%": "mg/dL",
    "gm%": "g/dL",
    "g%": "g/dL",
    "lpm": "L/min",
    "slpm": "L/min",
    "inhg": "inHg",
    **dict.fromkeys(_PER_MINUTE, "1/min"),
    **dict.fromkeys(("percent", "pct", "{percent}"), "%"),
    **dict.fromkeys(("fraction", "ratio", "dimensionless", "{fraction}", "{ratio}", "units of ph", "[ph]", "ph"), "1"),
}
# UCUM puts units that are no letters in brackets; the digit zero for the letter O is a common slip.
_REWRITES = (
    (re.compile(r"\bmm ?\[?hg\]?", re.IGNORECASE), "mmHg"),
    (re.compile(r"\bcm ?(?:of )?\[?(?:h2[o0]|water)\]?", re.IGNORECASE), "cmH2O"),
    (re.compile(r"(m|u|µ|μ)?\[i?u\](?=/|$)", re.IGNORECASE), lambda m: f"{(m[1] or '').lower()}U"),
    (re.compile(r"\[lb_av\]", re.IGNORECASE), "lb"),
    (re.compile(r"\[in_[iu]s?\]", re.IGNORECASE), "in"),
    (re.compile(r"\{[a-z. ]*\}", re.IGNORECASE), ""),
    (re.compile(r"/\((\w+)[.*·](\w+)\)"), r"/\1/\2"),
    (re.compile(r"[ .·](kg|min|h|hr|s|L)(?:\^?-1|⁻¹)", re.IGNORECASE), r"/\1"),
    (re.compile(r"(?<=[a-zA-Z])\.(?=/|$)"), ""),
)
_WORDS = {
    **dict.fromkeys(("u", "iu", "ie", "ui", "unit", "units"), "U"),
    **dict.fromkeys(("mcg", "ug", "µg", "μg", "microgram", "micrograms", "gamma"), "ug"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("s", "sec", "second", "seconds"), "s"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years", "a"), "year"),
    **dict.fromkeys(("g", "gm", "gms", "gram", "grams"), "g"),
    **dict.fromkeys(("l", "liter", "litre", "liters", "litres"), "L"),
    **dict.fromkeys(("ml", "cc", "ccs", "milliliter", "milliliters"), "mL"),
    **dict.fromkeys(("lb", "lbs", "pound", "pounds"), "lb"),
    **dict.fromkeys(("in", "inch", "inches"), "in"),
    **dict.fromkeys(("kg", "kgs", "kilo", "kilos", "kilogram", "kilograms"), "kg"),
    **dict.fromkeys(("mg", "mgs", "milligram", "milligrams"), "mg"),
    "torr": "mmHg",
    "hpa": "mbar",
    "meq": "mEq",
    **{
        word.lower(): word
        for word in ("dL", "ng", "pg", "cm", "m", "mmol", "nmol", "pmol", "kcal", "cmH2O", "mmHg", "kPa", "mbar")
    },
}
# Case decides here: mU is a thousandth of a unit, MU would be a million.
_EXACT = {"mU": "mU", "mIU": "mU", "uU": "uU", "µU": "uU", "μU": "uU", "uIU": "uU", "µIU": "uU", "μIU": "uU",
          "µmol": "umol", "μmol": "umol"}  # fmt: skip
WORD = re.compile(r"[A-Za-zµμ°%][A-Za-z0-9µμ_]*")


def house_word(word: str) -> str:
    """Return one word of a unit in the house spelling, or as it is."""
    return _EXACT.get(word) or _WORDS.get(word.lower(), word)


@lru_cache(maxsize=4096)
def normalize(unit: str) -> str:
    """Spell a unit the way this package does: ``"units/hr"`` becomes ``"U/h"``, ``"mcg"`` becomes ``"ug"``.

    Parameters
    ----------
    unit : str
        Any usual spelling, UCUM's among them.

    Returns
    -------
    unit : str
        The house spelling; words that are not known stay as they are.

    Examples
    --------
    >>> normalize("units/hour"), normalize("mg/dl"), normalize("µIU/ml"), normalize("mm[Hg]"), normalize("insp/min")
    ('U/h', 'mg/dL', 'uU/mL', 'mmHg', '1/min')
    """
    text = re.sub(r"\s+", " ", unit.strip()).replace(" per ", "/").replace(" / ", "/")
    if text.lower() in _WHOLE:
        return _WHOLE[text.lower()]
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return WORD.sub(lambda match: house_word(match[0]), text)
