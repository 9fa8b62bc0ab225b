"""A look at a file's structure before anything of it is read: sizes, kinds, names, and ways out of the file."""

import re
from typing import Any, BinaryIO

import h5py
import numpy as np

from .classes import Misfit, shown
from .encoding import require_name

_DEPTH = 4
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed
_BARE = b"This is a netCDF dimension but not a netCDF variable"
# Written by netCDF itself: references among dimensions, which no one reads as values.
_REFERENCES = ("DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Coordinates", "_Netcdf4Dimid", "_NCProperties", "CLASS")


def surveyed(file: BinaryIO, size: int) -> Any:
    """Refuse a netCDF file that declares more than it holds, or holds what twinprob never writes.

    Parameters
    ----------
    file : binary file
    size : int, bytes
        Of the whole file: what its variables and attributes declare, all together, may not exceed it.

    Returns
    -------
    format : str, or whatever stands in its place
        As the file says; None if it says nothing.

    Raises
    ------
    Misfit
        If declared sizes are larger than what is stored, if it links to other files or to itself, is packed, or holds
        kinds of values that are neither numbers nor text, or a name is none.
    """
    with h5py.File(file, "r") as opened:
        _Survey(size).group(opened["/"], 0)
        return opened.attrs.get("format")


class _Survey:
    """Counts what a file declares against what it can hold."""

    def __init__(self, size: int):
        self.left, self.seen = size, set[int]()

    def group(self, group: h5py.Group, depth: int) -> None:
        self.once(group)
        self.attributes(group)
        if depth > _DEPTH:
            raise Misfit("its groups are nested deeper than any that twinprob writes")
        for name in group:
            require_name(name)
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise Misfit(f"{shown(name)} is a link to another place")
            item = group[name]
            if isinstance(item, h5py.Group):
                self.group(item, depth + 1)
            elif isinstance(item, h5py.Dataset):
                self.variable(item)
            else:
                raise Misfit(f"{shown(name)} is neither a group nor a variable")

    def variable(self, item: h5py.Dataset) -> None:
        self.once(item)
        where, made = shown(item.name), item.id.get_create_plist()
        if made.get_layout() not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS) or made.get_external_count():
            raise Misfit(f"variable {where} is packed, or lies in another file")
        if h5py.check_string_dtype(item.dtype) is None and item.dtype.kind not in "biufS":
            raise Misfit(f"variable {where} holds neither numbers nor text")
        declared, stored = _bytes(item.shape, item.dtype), item.id.get_storage_size()
        if declared > stored and not (stored == 0 and _is_bare(item)):
            raise Misfit(f"variable {where} declares {declared} bytes, but the file holds {stored}")
        self.attributes(item)
        self.spend(stored, item.name)
        if item.dtype.kind == "O":
            for place in np.ndindex(item.shape):
                self.spend(len(item[place]), item.name)

    def attributes(self, item: h5py.Group | h5py.Dataset) -> None:
        for name in item.attrs:
            if name in _REFERENCES:
                continue
            where = f"{item.name}: {name}"
            about = item.attrs.get_id(name)
            if h5py.check_string_dtype(about.dtype) is None and about.dtype.kind not in "biufS":
                raise Misfit(f"attribute {shown(where)} holds neither numbers nor text")
            self.spend(_bytes(about.shape, about.dtype), where)
            value = item.attrs[name]
            if isinstance(value, h5py.Empty):
                raise Misfit(f"attribute {shown(where)} is empty")
            for text in np.atleast_1d(np.asarray(value, object)).ravel():
                if isinstance(text, str | bytes):
                    self.spend(len(text), where)
                    require_plain(text, where)

    def once(self, item: Any) -> None:
        address = h5py.h5o.get_info(item.id).addr
        if address in self.seen:
            raise Misfit(f"{shown(item.name)} is the same object as another")
        self.seen.add(address)

    def spend(self, size: int, where: str) -> None:
        self.left -= size
        if self.left < 0:
            raise Misfit(f"it declares more than it can hold, {shown(where)} among it")


def require_plain(text: str | bytes, where: str) -> None:
    """Refuse control characters, which a screen or a page would obey."""
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    if _CONTROL.search(words):
        raise Misfit(f"the text of {shown(where)} holds control characters")


def _bytes(shape: tuple[int, ...] | None, dtype: np.dtype) -> int:
    count = 1
    for length in shape or ():
        count *= int(length)
    return count * dtype.itemsize


def _is_bare(item: h5py.Dataset) -> bool:
    name = item.attrs.get("NAME")
    return isinstance(name, bytes | np.bytes_) and bytes(name).startswith(_BARE)
