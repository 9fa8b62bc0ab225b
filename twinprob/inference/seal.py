"""The seal at a file's end, by which any changed byte is noticed, and named, before a library reads the file.

HDF5 ignores what follows its last byte, so that a sealed file is a netCDF file to every other program.
"""

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import h5py

from .classes import Misfit

_FOOT = re.compile(rb"twinprob seal (\d{9}) ([0-9a-f]{64})\n")
_FOOT_BYTES = 89
_PIECE = 1 << 20


def sealed(content: bytes) -> bytes:
    """Return a netCDF file with its seal: where each variable's bytes lie, their hashes, and a hash over everything."""
    parts = {name: [start, size, _sha(content[start : start + size])] for name, start, size in _extents(content)}
    listed = b"\n" + json.dumps(parts).encode()
    return content + listed + b"twinprob seal %09d %s\n" % (len(listed), _sha(content + listed).encode())


def has_seal(file: BinaryIO, size: int) -> bool:
    """Tell whether a file ends with a seal.

    Raises
    ------
    Misfit
        If it ends with what was one.
    """
    foot = _foot(file, size)
    if _FOOT.fullmatch(foot) is None and (foot.startswith(b"twinprob") or foot[9:14] == b"seal "):
        raise Misfit("its seal changed since twinprob wrote it")
    return _FOOT.fullmatch(foot) is not None


def require_unbroken(file: BinaryIO, size: int) -> None:
    """Refuse a sealed file of which any byte is another than when it was written.

    Raises
    ------
    Misfit
        With the names of the variables whose bytes changed, or that something else did.
    """
    _, _, length, stated = _foot(file, size).decode().split()
    listed = int(length)
    digest = hashlib.sha256()
    for piece in _pieces(file, 0, size - _FOOT_BYTES):
        digest.update(piece)
    if digest.hexdigest() != stated:
        raise Misfit(f"{_changed(file, size - _FOOT_BYTES - listed, listed)} changed since twinprob wrote it")


def _foot(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - _FOOT_BYTES))
    return file.read(_FOOT_BYTES)


def _changed(file: BinaryIO, start: int, length: int) -> str:
    """Name the variables whose bytes are not those of the seal, as far as the seal itself can be read."""
    try:
        file.seek(start)
        parts: Mapping[str, list] = json.loads(file.read(length))
        names = [
            name
            for name, (begin, size, stated) in parts.items()
            if hashlib.sha256(b"".join(_pieces(file, begin, size))).hexdigest() != stated
        ]
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, OSError):
        return "its seal"
    if not names:
        return "its structure, a text or an attribute"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"variable {', '.join(f'`{name}`' for name in names[:3])}{more}"


def _pieces(file: BinaryIO, start: int, size: int) -> Iterator[bytes]:
    file.seek(start)
    while size > 0 and (piece := file.read(min(size, _PIECE))):
        size -= len(piece)
        yield piece


def _extents(content: bytes) -> list[tuple[str, int, int]]:
    """Return name, first byte and number of bytes of every variable that a netCDF file holds in one piece."""
    found: list[tuple[str, int, int]] = []

    def note(name: str, item: h5py.Dataset | h5py.Group) -> None:
        start = item.id.get_offset() if isinstance(item, h5py.Dataset) else None
        if start is not None:
            found.append((name, start, item.id.get_storage_size()))

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(note)
    return found


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
