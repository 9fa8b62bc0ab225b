"""Which text may name a unit: pint computes what it reads, so that what it is given is bounded first."""

import re

REMEDY = "write it like 'mmol/L', 'U/h' or 'ug/kg/min'"
_LONGEST = 64
_NAME = r"[A-Za-zµμΩÅ°%‰_][A-Za-z0-9µμΩÅ°%‰_]*"
_POWER = r"(?: ?(?:\*\*|\^) ?[-+]?\d{1,2}|[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,2})?"  # never a power of a power, nor of a bracket
_FACTOR = rf"\(*(?:1|{_NAME}{_POWER})\)*"
_BOUNDED = re.compile(rf"(?:{_FACTOR}(?:(?: ?[*/·] ?| ){_FACTOR})*)?")

_POWER_WORDS = {"square", "squared", "sq", "cubic", "cubed"}  # powers to pint, of whatever stands beside them


def require_bounded(unit: str) -> None:
    """Refuse unit text that would keep pint busy, or fill the memory, rather than name a unit.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> require_bounded("cmH2O*s**2/L**2")
    >>> require_bounded("10**10**10 mmol/L")
    Traceback (most recent call last):
    ValueError: Unknown unit '10**10**10 mmol/L': write it like 'mmol/L', 'U/h' or 'ug/kg/min', its only numbers powers.
    """
    if len(unit) > _LONGEST:
        raise ValueError(f"Unknown unit of {len(unit)} characters, where {_LONGEST} are allowed: {REMEDY}.")
    text = re.sub(r"\s+", " ", unit.strip())
    if _BOUNDED.fullmatch(text) is None or _POWER_WORDS & set(re.split(r"[^a-z]+", text.lower())):
        raise ValueError(f"Unknown unit {unit!r}: {REMEDY}, its only numbers powers.")
