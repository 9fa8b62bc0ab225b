"""From arrays to labelled data: the only place where JAX arrays become xarray."""

import json
import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr


class Labelled(NamedTuple):
    """An array with its dimensions and what a reader wants to know of it.

    Attributes
    ----------
    dims : tuple of str
    values : array of any backend
    unit, about, source : str, written as the attributes `units`, `long_name` and `source` where not empty
    """

    dims: tuple[str, ...]
    values: Any
    unit: str = ""
    about: str = ""
    source: str = ""


def dataset(variables: Mapping[str, Labelled], coords: Mapping[str, Labelled], attrs: Mapping[str, Any]) -> xr.Dataset:
    """Build a dataset of NumPy arrays; coordinates whose dimension no variable has are left out.

    Parameters
    ----------
    variables, coords : mapping of str to Labelled
    attrs : mapping
        Texts and numbers; anything richer is written as JSON.

    Returns
    -------
    xarray.Dataset
        `chain` and `draw` are counted from zero.
    """
    used = {dim for labelled in variables.values() for dim in labelled.dims}
    counted = {}
    for dim in ("chain", "draw"):
        if dim in used:
            sizes = {np.shape(v.values)[v.dims.index(dim)] for v in variables.values() if dim in v.dims}
            counted[dim] = (dim, np.arange(sizes.pop()))
    coordinates = {name: _variable(c) for name, c in coords.items() if set(c.dims) <= used}
    data = {name: _variable(labelled) for name, labelled in variables.items()}
    return xr.Dataset(data, coords={**counted, **coordinates}, attrs={k: _attribute(v) for k, v in attrs.items()})


def tree(groups: Mapping[str, xr.Dataset], attrs: Mapping[str, Any]) -> xr.DataTree:
    """Join datasets to a DataTree in the ArviZ layout."""
    root = xr.Dataset(attrs={k: _attribute(v) for k, v in attrs.items()})
    return _Tree.from_dict({"/": root} | dict(groups))


class _Tree(xr.DataTree):
    """A DataTree whose nodes know their parent weakly, so that it goes as soon as nobody uses it.

    Parents and children that hold each other stay until Python looks for cycles; a service would fill its memory with
    the clouds of twins that were updated since.
    """

    __slots__ = ("_above",)
    _above: "weakref.ref[_Tree] | None"

    @property
    def _parent(self):
        return None if self._above is None else self._above()

    @_parent.setter
    def _parent(self, parent):
        self._above = None if parent is None else weakref.ref(parent)

    def __reduce__(self):
        return _Tree.from_dict, (self.to_dict(), self.name)


def _variable(labelled: Labelled):
    attrs = {"units": labelled.unit, "long_name": labelled.about, "source": labelled.source}
    values = np.asarray(labelled.values)
    return (labelled.dims, values, {name: text for name, text in attrs.items() if text})


def _attribute(value: Any):
    """NetCDF holds texts and numbers only."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    return json.dumps(value, sort_keys=True)
