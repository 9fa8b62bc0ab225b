"""One fast representative of each kind of what comes through the door; `tests.validation 07.1` tries all variations."""

import pytest

from tests.validation.v07_01 import KINDS, LEAST, gathered

SLOW = {"14": "simulated before the first row", "41": "without any", "43": "two gains"}
LEFT = (
    "24",
    "27",
    "29",
    "33",
    "42",
)  # these fit a twin each; tests of diagnose, fit, update and Laplace hold their own
CHECKS = gathered()
CHOSEN = [
    (kind, SLOW.get(kind[:2], title))
    for kind, checks in CHECKS.items()
    if kind[:2] not in LEFT
    for title in list(checks)[:1]
]


def test_every_kind_has_its_variations():
    assert len(CHECKS) == KINDS
    assert min(len(checks) for checks in CHECKS.values()) >= LEAST


@pytest.mark.parametrize(("kind", "title"), CHOSEN, ids=[kind for kind, _ in CHOSEN])
def test_nothing_of_a_kind_passes_in_silence(kind, title):
    assert CHECKS[kind][title]().split(":")[0] in ("right", "refused", "said")
