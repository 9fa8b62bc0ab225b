"""Small faults put into a copy of the library, each of which some test of its wing should notice.

A table lists them by file: the text as it stands, once in its file, and the text that is wrong. They are what a tired
author writes: a sign, a border, a unit, a place off by one, a term left out.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Fault(NamedTuple):
    """One small fault.

    Attributes
    ----------
    file : str
        Relative to the package.
    old, new : str
        The right text, which stands once in the file, and the wrong one.
    tests : tuple of str
        Files of tests, relative to `tests`, that are tried before the rest of the wing.
    """

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def wing(self) -> str:
        """The wing it is in, or the file at the root."""
        return self.file.split("/")[0].removesuffix(".py")

    @property
    def name(self) -> str:
        """What it is called in results."""
        return f"{self.file}: {self.old} → {self.new}"


def faults(file: str, tests: str, pairs: Sequence[tuple[str, str]]) -> list[Fault]:
    """Return the faults of one file; `tests` are names of test files, separated by spaces."""
    return [Fault(file, old, new, tuple(tests.split())) for old, new in pairs]
