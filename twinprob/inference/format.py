"""The form of twinprob's files: a netCDF tree, a description as JSON, and a seal; checked before it is believed."""

import importlib.metadata
import json
import re
import stat
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import storage
from ..modeling.model import AbstractModel
from .classes import Misfit, shown
from .encoding import declarations, require_name
from .seal import has_seal, require_unbroken, sealed
from .survey import require_plain, surveyed

VERSION = 2
_LARGEST = 64 * 2**30  # bytes, setting: no file of ten thousand patients is a tenth as large
_COMPARED = ("twinprob", "jax")
_READERS = {
    "twin": "load",
    "cohort": "load_cohort",
    "population": "load_population",
    "trial": "load_trial",
    "experiments": "load_experiments",
}


def save(
    path: Any, noun: str, tree: xr.DataTree, described: Mapping[str, Any], models: Iterable[AbstractModel]
) -> None:
    """Write a tree and what describes it to one netCDF file, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    noun : str
        What it is: twin, cohort, population, trial or experiments.
    tree : xarray.DataTree
    described : mapping
        What JSON can hold.
    models : iterable of AbstractModel
        Those whose declarations a reader compares with its own.
    """
    content = tree.copy()
    written = {
        "versions": {name: importlib.metadata.version(name) for name in _COMPARED},
        "declared": {type(model).__name__: declarations(model) for model in models},
    }
    content.attrs = {
        **tree.attrs,
        "format": f"twinprob.{noun}/{VERSION}",
        noun: json.dumps(described, sort_keys=True),
        "written": json.dumps(written, sort_keys=True),
    }
    storage.write(path, sealed(bytes(content.to_netcdf(None, engine="h5netcdf"))))


@dataclass
class Stored:
    """What a file holds, while its reader makes of it what it was.

    Attributes
    ----------
    name : str
        Of the file.
    version : int
        Of its format.
    tree : xarray.DataTree
        Without the attributes of the format.
    described : mapping
        What JSON held.
    written : mapping
        Versions and declarations at the time; empty in version 1.
    differences : list of str
        What `compare` found; said once, when the file was read.
    """

    name: str
    version: int
    tree: xr.DataTree
    described: Any
    written: Mapping[str, Any]
    differences: list[str] = field(default_factory=list)

    def compare(self, models: Iterable[AbstractModel], versions: Mapping[str, str] | None) -> None:
        """Note what is another than when the file was written: twinprob, jax, or what a model declares.

        Parameters
        ----------
        models : iterable of AbstractModel
            As they were read.
        versions : mapping of str to str, or None
            Where the file does not say itself which versions wrote it; None for a file whose age is no news.
        """
        wrote = {} if versions is None else self.written.get("versions", versions)
        for name in _COMPARED:
            here = importlib.metadata.version(name)
            if wrote.get(name, here) != here:
                self.differences.append(f"it was written by {name} {wrote[name]}, this is {here}")
        for model in models:
            then = self.written.get("declared", {}).get(type(model).__name__)
            now = {} if then is None else declarations(model)
            changed = sorted(name for name in {*(then or {}), *now} if (then or {}).get(name) != now.get(name))
            if changed:
                names = ", ".join(f"`{name}`" for name in changed)
                self.differences.append(f"model `{type(model).__name__}` declares {names} otherwise than it did then")


@contextmanager
def opened(path: Any, noun: str) -> Iterator[Stored]:
    """Read a file that `save` wrote, here or in version 0.1, and complete what does not fit in it to one sentence.

    Parameters
    ----------
    path : str or Path
    noun : str
        What it should be: twin, cohort, population, trial or experiments.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is foreign, cut short, changed since it was written, of a newer version, or names what no file may; also
        whatever is raised inside the context.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no {noun} at `{path}`.")
    try:
        stored = _read(path, noun)
        yield stored
    except Misfit as misfit:
        raise ValueError(f"`{path.name}` cannot be read as a {noun}: {misfit}.") from None
    except PermissionError:
        raise
    except Exception as error:  # noqa: BLE001  a lower library's word on a broken file helps nobody
        raise ValueError(
            f"`{path.name}` cannot be read as a {noun}: it does not hold what a {noun} needs "
            f"({type(error).__name__} while reading it); it is broken or foreign, save the {noun} again."
        ) from None
    if stored.differences:
        warnings.warn(
            f"`{path.name}`: {'; '.join(stored.differences)}. Its draws are as they were; fit again where it matters.",
            UserWarning,
            stacklevel=4,  # whoever called the verb that opened the file
        )


def _read(path: Path, noun: str) -> Stored:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise Misfit("it is a folder, a device or a pipe, not a file")
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size > _LARGEST:
            raise Misfit(f"its {size} bytes are more than the {_LARGEST} that twinprob reads")
        whole = has_seal(file, size)
        if whole:
            require_unbroken(file, size)
        with _named():
            file.seek(0)
            version = _version(surveyed(file, size), noun)
        if version > 1 and not whole:
            raise Misfit("the seal at its end is missing: it was cut short, or another program changed it")
        file.seek(0)
        with _named(), xr.open_datatree(file, engine="h5netcdf", decode_times=False) as tree:
            content = tree.load()
    attrs = dict(content.attrs)
    attrs.pop("format")
    # Version 1 of a cohort had no description of its own: its attributes are it.
    described = _json(attrs.pop(noun), noun) if version > 1 or noun in attrs else None
    if version == 1 and "written" in attrs:
        raise Misfit("it says version 1 of its format, but describes itself as a later one does")
    written = _json(attrs.pop("written"), "written") if version > 1 else {}
    content.attrs = attrs
    return Stored(path.name, version, content, described, written)


@contextmanager
def _named() -> Iterator[None]:
    """Say in our words what HDF5, h5netcdf and xarray say of a broken file, each in its own."""
    try:
        yield
    except Misfit:
        raise
    except Exception:  # noqa: BLE001  each of them has errors of its own for the same thing
        raise Misfit("it is not a readable netCDF file, but truncated, damaged or foreign") from None


def _version(format: Any, noun: str) -> int:
    """Return the version of the format, or say what the file is instead."""
    match = re.fullmatch(r"twinprob\.(twin|cohort|population|trial|experiments)/(\d{1,6})", str(format))
    if match is None:
        stated = "none" if format is None else shown(str(format))
        raise Misfit(f"it was not written by twinprob (its format is {stated}); open it with xarray.open_datatree")
    if match[1] != noun:
        what = match[1] if match[1].endswith("s") else f"a {match[1]}"
        raise Misfit(f"it holds {what}: read it with `tp.{_READERS[match[1]]}`")
    if not 1 <= int(match[2]) <= VERSION:
        raise Misfit(
            f"its format is `twinprob.{noun}/{match[2]}`, and this twinprob reads up to /{VERSION}: install a newer one"
        )
    return int(match[2])


def _json(text: Any, where: str) -> Any:
    """Return what a text says, every text in it without control characters."""
    if not isinstance(text, str):
        raise Misfit(f"its `{where}` is no text")
    try:
        said = json.loads(text)
        require_plain_texts(said, where)
    except (ValueError, RecursionError):
        raise Misfit(f"its `{where}` is no JSON that twinprob wrote") from None
    return said


def require_plain_texts(said: Any, where: str) -> None:
    """Refuse control characters in any text that JSON held."""
    if isinstance(said, str):
        require_plain(said, where)
    elif isinstance(said, dict | list):
        for part in (*said, *said.values()) if isinstance(said, dict) else said:
            require_plain_texts(part, where)


def require_groups(tree: xr.DataTree, *names: str) -> None:
    """Refuse a tree that lacks a group, or holds a variable whose name is none."""
    for name in names:
        if name not in tree.children:
            raise Misfit(f"its group `{name}` is missing")
    for group in tree.subtree:
        for variable in group.dataset.variables:
            require_name(str(variable))


def require_numbers(tree: xr.DataTree, *names: str) -> None:
    """Refuse numbers in these groups that are none: draws are finite."""
    for group in names:
        for name, values in tree[group].data_vars.items():
            if values.dtype.kind not in "biuf" or not np.all(np.isfinite(values.values)):
                raise Misfit(f"variable `{group}/{name}` holds what is no finite number")
