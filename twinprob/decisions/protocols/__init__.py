"""The protocols, one file each, grouped by domain.

A new one is one new file: tests, trials and the table of the documentation find it.
"""

import importlib
import inspect
import pkgutil
from functools import cache

from ..protocol import AbstractProtocol
from . import circulation, metabolic, respiratory

__all__ = ["by_name", "circulation", "metabolic", "respiratory"]


@cache
def by_name() -> dict[str, type[AbstractProtocol]]:
    """Return every protocol of the package by the name of its class.

    Raises
    ------
    RuntimeError
        If two of them share a name.
    """
    found: dict[str, type[AbstractProtocol]] = {}
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        for name, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            own = cls.__module__ == module.name and not name.startswith("Abstract")
            if own and issubclass(cls, AbstractProtocol):
                if name in found:
                    raise RuntimeError(f"`{name}` is the name of two protocols; rename one.")
                found[name] = cls
    return found
