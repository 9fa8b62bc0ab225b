"""Twenty-six kinds of what comes through the door, each in many variations: right, refused by name, or said."""

import importlib
from collections import Counter

from tests.validation import Result
from tests.validation.door import Check

TITLE = "Kinds of input that other projects' bug reports name, each with at least five variations made by the tests"
BAR = "every one right, refused by name, or counted and said; 0 silent"
LIMIT = 2400
MODULES = ("tables", "orders", "clocks", "databases", "blood", "beats", "twins", "fits", "stays_right", "afterwards")
KINDS, LEAST = 26, 6


def gathered() -> dict[str, dict[str, Check]]:
    """Return the checks of each kind, by its number and name."""
    found: dict[str, dict[str, Check]] = {}
    for module in MODULES:
        for title, checks in importlib.import_module(f"tests.validation.door.{module}").KINDS.items():
            same = next((kind for kind in found if kind[:2] == title[:2]), title)
            found.setdefault(same, {}).update(checks)
    return dict(sorted(found.items()))


def tried(check: Check) -> tuple[str, str]:
    """Return the outcome of a check in one word, and what was silent in words."""
    try:
        return check().partition(":")[0], ""
    except Exception as error:  # noqa: BLE001 - what breaks is no clear answer either
        return "silent", f"{type(error).__name__}: {str(error)[:300]}"


def measure() -> Result:
    """Try every variation of every kind."""
    kinds = gathered()
    total: Counter[str] = Counter()
    silent: dict[str, str] = {}
    for kind, checks in kinds.items():
        outcomes: Counter[str] = Counter()
        for title, check in checks.items():
            outcome, why = tried(check)
            outcomes[outcome] += 1
            if why:
                silent[f"{kind}: {title}"] = why
        total += outcomes
        counts = ", ".join(f"{name} {outcomes[name]}" for name in ("right", "refused", "said", "silent"))
        print(f"  {kind}: {counts}", flush=True)
    bad = {name.partition(":")[0] for name in silent}
    few = [kind for kind, checks in kinds.items() if len(checks) < LEAST]
    return Result(
        figure=f"{len(kinds) - len(bad)} of {len(kinds)} kinds, {sum(total.values())} variations: "
        f"right {total['right']}, refused {total['refused']}, said {total['said']}, silent {total['silent']}",
        holds=not silent and not few and len(kinds) == KINDS,
        details={"silent": silent, "fewer than six": few},
    )
