"""Values that cannot be changed after they were made: mappings and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import numpy as np

Value = TypeVar("Value")


class Frozen(Mapping[str, Value], Generic[Value]):
    """A mapping that cannot be changed, keeps its order, and can be pickled (`types.MappingProxyType` cannot).

    Parameters
    ----------
    items : mapping
        Copied.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Value] | None = None):
        self._items = dict(items or {})

    def __getitem__(self, name: str) -> Value:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


def freeze(values: Any, dtype: Any = float) -> np.ndarray:
    """Copy values into an array that cannot be written to.

    Parameters
    ----------
    values : array-like
        One-dimensional, or a scalar, which becomes one element.
    dtype : dtype
        Of the copy.

    Returns
    -------
    values : (n,)
        Read-only.
    """
    array = np.array(values, dtype=dtype, ndmin=1)
    array.setflags(write=False)
    return array
