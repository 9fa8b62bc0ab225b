"""The physiological models, one file each, grouped by domain.

A file reads like the paper it implements; every parameter carries its unit, prior and source.
"""

import importlib
import inspect
import pkgutil
from functools import cache

import equinox as eqx

from . import cardiovascular, metabolic, respiratory, sepsis

__all__ = ["by_name", "cardiovascular", "metabolic", "respiratory", "sepsis"]


@cache
def by_name() -> dict[str, type[eqx.Module]]:
    """Return every model of the package, and every module that models hold, by the name of its class.

    Raises
    ------
    RuntimeError
        If two of them share a name: saved files could not tell them apart.
    """
    found: dict[str, type[eqx.Module]] = {}
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        for name, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            abstract = name.startswith("Abstract")
            if issubclass(cls, eqx.Module) and cls.__module__ == module.name and not abstract:
                if name in found:
                    raise RuntimeError(f"`{name}` is the name of two classes of twinprob.models; rename one.")
                found[name] = cls
    return found
