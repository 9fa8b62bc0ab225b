"""Files that mean harm, are broken, or are not twinprob's: made from whole ones, each with what its refusal must say.

A file is changed as somebody would who knows the format: where the change is inside, its seal is made anew, so that
what lies behind the seal is tried too.
"""

import io
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

import twinprob as tp
from tests import ROOT
from twinprob.inference.seal import sealed

SAVED = ROOT / "tests" / "saved" / "v01"
LOADERS: dict[str, Callable[..., Any]] = {
    "twin": tp.load,
    "cohort": tp.load_cohort,
    "population": tp.load_population,
}
FIXTURES = {"twin": "fitted", "cohort": "cohort", "population": "population"}
SCRIPT = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
FORMULA = "=HYPERLINK(1)"
Change = Callable[[h5py.File], None]
Made = Iterator[tuple[str, str, bytes, str]]


@dataclass(frozen=True)
class Case:
    """One file: what is wrong with it, what it pretends to be, and words of its refusal."""

    name: str
    noun: str
    path: Path
    says: str


@cache
def whole(noun: str, version: int = 2) -> bytes:
    """Return a whole file, as version 0.1 wrote it or as it is written now."""
    old = SAVED / f"{FIXTURES[noun]}.nc"
    if version == 1:
        return old.read_bytes()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", UserWarning)
        LOADERS[noun](old).save(Path(folder) / "new.nc")
        return (Path(folder) / "new.nc").read_bytes()


def unsealed(content: bytes) -> bytes:
    """Return a file without its seal."""
    foot = content[-89:]
    return content[: -89 - int(foot.split()[2])] if foot.startswith(b"twinprob seal") else content


def edited(noun: str, change: Change, version: int = 2) -> bytes:
    """Return a whole file after a change inside, with a seal that fits."""
    held = io.BytesIO(unsealed(whole(noun, version)))
    with h5py.File(held, "r+") as file:
        change(file)
    return sealed(held.getvalue()) if version == 2 else held.getvalue()


def redescribed(noun: str, change: Callable[[Any], Any]) -> Change:
    """Change what the JSON of a file says; what `change` returns, if anything, stands in its place."""

    def apply(file: h5py.File) -> None:
        said = json.loads(file.attrs[noun])
        replaced = change(said)
        file.attrs[noun] = json.dumps(said if replaced is None else replaced)

    return apply


def put(*path: Any) -> Callable[[Any], Callable[[Any], None]]:
    """Return a change that puts a value at a place of nested JSON."""

    def with_value(value: Any) -> Callable[[Any], None]:
        def apply(said: Any) -> None:
            for step in path[:-1]:
                said = said[step]
            said[path[-1]] = value

        return apply

    return with_value


def corpus(folder: Path, canary: Path) -> list[Case]:
    """Write every file into a folder; none may make the canary appear."""
    command = f"touch {canary}"
    made = [*classes(command), *values(), *structures(canary), *texts(), *formats(), *cuts(), *foreign()]
    cases = []
    for i, (name, noun, content, says) in enumerate(made):
        path = folder / f"{i:03d}.nc"
        path.write_bytes(content)
        cases.append(Case(name, noun, path, says))
    return [*cases, *places(folder)]


OLD_PATHS = (
    "twinprob.twin:os.system", "twinprob.twin:importlib.import_module", "os:system", "posix:system", "subprocess:Popen",
    "builtins:eval", "builtins:exec", "diffrax:os.system", "optimistix._misc:os.system", "twinprob.cli:app",
    "twinprob.models.metabolic.icing:ICING.__init__", "twinprob.models.metabolic.icing:jnp.save", "tests.hostile:Trap",
    "../../evil:Model", "twinprob.simulate:diffrax.diffeqsolve", ":system", "a:b:c", "twinprob.inference.twin:Twin",
)  # fmt: skip


class Trap:
    """What a file would like to have made."""

    def __init__(self, command: str = "", **rest: Any):
        os.system(command)


def classes(command: str) -> Made:
    """Yield files that name what no file may."""
    for path in OLD_PATHS:
        for place in ("model", "integrator"):
            change = redescribed("twin", put(place)({"class": path, "fields": {"command": command}}))
            yield f"{place} `{path}`", "twin", edited("twin", change, 1), "names class|uses class"
    named = (("class", "os.system"), ("class", "Popen"), ("own", "Trap"), ("own", "system"), ("class", "Twin"))
    for kind, name in named:
        value = {kind: name, "fields": {"command": command}}
        for place in ("model", "integrator", "method"):
            change = redescribed("twin", put(place)(value))
            yield f"{place} {kind} `{name}`", "twin", edited("twin", change), f"`{name}`"
        change = redescribed("twin", put("observations", "glucose")(value))
        yield f"observation {kind} `{name}`", "twin", edited("twin", change), f"`{name}`"
        for noun, place in (("cohort", "integrator"), ("population", "model")):
            change = redescribed(noun, put(place)(value))
            yield f"{noun}'s {place} {kind} `{name}`", noun, edited(noun, change), f"`{name}`"
    old = {"class": "twinprob.twin:os.system", "fields": {"command": command}}
    change = redescribed("population", put("model")(old))
    yield "a population of version 0.1", "population", edited("population", change, 1), "names class"
    yield (
        "a cohort of version 0.1",
        "cohort",
        edited("cohort", _attribute("integrator", json.dumps(old)), 1),
        "names class",
    )
    for name in ("Delta", "os", "__class__", "Distribution", "ImproperUniform", "Unit", "TransformedDistribution"):
        prior = {"distribution": name, "arguments": {"value": command}}
        change = redescribed("twin", put("model", "fields", "priors", "mapping", "initial_glucose")(prior))
        yield f"distribution `{name}`", "twin", edited("twin", change), "names distribution"
    solver = {"class": "Adaptive", "fields": {"solver": {"constant": "open"}}}
    yield "a constant", "twin", edited("twin", redescribed("twin", put("integrator")(solver))), "names `open`"


def values() -> Made:
    """Yield files whose values are of the wrong kind, absent, or not those that were saved."""
    wrong: dict[str, tuple[tuple[Any, ...], Any]] = {
        "a field that no class has": (("model", "fields", "hidden"), 1),
        "a text for a number": (("model", "fields", "glucose_volume"), "13"),
        "a number for a module": (("model", "fields", "secretion"), {"float": "0x1p+1"}),
        "a method for a model": (("model",), {"class": "NUTS", "fields": {}}),
        "a model for an integrator": (("integrator",), {"class": "ICING", "fields": {}}),
        "a list for a model": (("model",), [1, 2]),
        "no model": (("model",), None),
        "an unknown kind": (("method",), {"pickle": "gASVAA=="}),
        "a float that is none": (("model", "fields", "glucose_volume"), {"float": "sys.exit"}),
        "an array of a huge shape": (("model", "fields", "glucose_volume"), {"array": ["0x1p+1"], "shape": [10**12]}),
        "a record of another kind": (("record",), "yes"),
        "a glucose of 99": (("record", "observations", "glucose", "values", 0), (99.0).hex()),
        "a time that was shifted": (("record", "observations", "glucose", "times", 1), (31.0).hex()),
        "a unit that was changed": (("record", "observations", "glucose", "unit"), "mg/dL"),
        "another dose": (("record", "inputs", "insulin", "rates", 0), (9.0).hex()),
        "another weight": (("record", "covariates", "weight"), [1.0, "kg"]),
        "a deeper nesting than any": (("method",), json.loads("[" * 500 + "]" * 500)),
    }  # fmt: skip
    for name, (path, value) in wrong.items():
        for version in (1, 2):
            content = edited("twin", redescribed("twin", put(*path)(value)), version)
            yield f"{name}, version {version}", "twin", content, "cannot be read as a twin"
    for version in (1, 2):
        yield f"a NaN draw, version {version}", "twin", edited("twin", _nan, version), "no finite number"
        for group in ("posterior", "state", "prior", "trajectory"):
            content = edited("twin", _without(group), version)
            yield f"no group {group}, version {version}", "twin", content, f"`{group}` is missing"
    yield "no draws of a state", "twin", edited("twin", _without("state/glucose")), "state/glucose"
    yield "a patient of huge shape", "cohort", _patients("shape", [10**6, 10**6, 10**6]), "which it lacks"
    yield "a patient's huge text kind", "cohort", _patients("stats", {"lp": "<U100000000"}), "which it lacks"
    yield "a patient's object kind", "cohort", _patients("stats", {"lp": "|O"}), "which it lacks"
    yield "a patient of no model", "cohort", _patients("model", 7), "cannot be read as a cohort"
    yield (
        "a term of another kind",
        "population",
        edited("population", redescribed("population", put("terms")([{"evil": 1}]))),
        "cannot be read as a population",
    )
    yield "a key of another kind", "cohort", edited("cohort", redescribed("cohort", put("key")("k"))), "cannot be read"


def structures(canary: Path) -> Made:
    """Yield files whose HDF5 structure leads elsewhere or declares more than it holds."""
    changes: dict[str, tuple[Change, str]] = {
        "a huge array that is not there": (lambda f: f.create_dataset("huge", (10**12,), "f8", chunks=True), "packed"),
        "a huge array in one piece": (_unwritten, "declares"),
        "a packed array": (lambda f: f.create_dataset("posterior/zip", data=np.zeros(10**6), chunks=True), "packed"),
        "values in another file": (
            lambda f: f.create_dataset("posterior/far", (8,), "u1", external=[("/etc/hosts", 0, 8)]), "another file"),
        "a virtual array": (_virtual, "packed, or lies in another file"),
        "a soft link": (lambda f: f.__setitem__("posterior/soft", h5py.SoftLink("/prior")), "is a link"),
        "a link to another file": (
            lambda f: f.__setitem__("posterior/out", h5py.ExternalLink(str(canary), "/x")), "is a link"),
        "a group inside itself": (lambda f: f.__setitem__("posterior/again", f["posterior"]), "the same object"),
        "groups without end": (lambda f: f.create_group("/".join("abcdefgh")), "deeper"),
        "a compound": (lambda f: f.create_dataset("posterior/mix", data=np.zeros(2, "i4,f8")), "neither numbers nor"),
        "arrays of arrays": (_ragged, "neither numbers nor text"),
        "a type of its own": (lambda f: f.__setitem__("posterior/kind", np.dtype("f8")), "neither a group nor"),
        "an empty attribute": (_attribute("nothing", h5py.Empty("f8")), "is empty"),
        "an attribute of references": (lambda f: f.attrs.__setitem__("away", f["posterior"].ref), "neither numbers"),
    }  # fmt: skip
    for name, (change, says) in changes.items():
        for version in (1, 2):
            yield f"{name}, version {version}", "twin", edited("twin", change, version), says


def texts() -> Made:
    """Yield files with text that a screen, a shell or a path would obey."""
    bad = {"an escape": "\x1b[2J", "a bell": "a\x07", "a carriage return": "ok\rno", "a C1 control": "a\x9bm"}
    for name, text in bad.items():
        yield f"{name} in a unit", "twin", edited("twin", _unit(text)), "control characters"
        yield f"{name} in a note", "twin", edited("twin", _note(text)), "control characters"
        change = redescribed("twin", put("record", "observations", "glucose", "unit")(text))
        yield f"{name} in the record", "twin", edited("twin", change), "control characters"
    for name in ("../../etc/cron.d/x", "a/b", "..\\x", "a\nb", "", "n" * 300):
        for part in ("observations", "inputs", "covariates"):
            change = redescribed("twin", _renamed(part, name))
            yield f"{part} named {name[:20]!r}", "twin", edited("twin", change), "holds a variable named"
    yield (
        "a variable named like a line",
        "twin",
        edited("twin", lambda f: f["posterior"].create_dataset("a\nb", data=1.0)),
        "holds a variable named",
    )


def formats() -> Made:
    """Yield files of other formats and versions."""
    for noun in FIXTURES:
        yield f"a newer {noun}", noun, edited(noun, _attribute("format", f"twinprob.{noun}/3")), "install a newer one"
        yield f"a {noun} of version 0", noun, edited(noun, _attribute("format", f"twinprob.{noun}/0")), "reads up to"
        other = next(name for name in FIXTURES if name != noun)
        yield f"a {noun} for a {other}", other, whole(noun), f"it holds a {noun}"
        yield f"a {noun} that lost its seal", noun, unsealed(whole(noun)), "the seal at its end is missing"
        yield f"a {noun} without description", noun, edited(noun, _without_attribute(noun)), "cannot be"
        yield f"a {noun} described by no JSON", noun, edited(noun, _attribute(noun, "{")), "no JSON"
        yield f"a {noun} described by a number", noun, edited(noun, _attribute(noun, 3)), "no text"
    deep = "[" * 100_000
    yield "JSON without end", "twin", edited("twin", _attribute("twin", deep)), "no JSON"
    yield "provenance that is no JSON", "twin", edited("twin", _attribute("provenance", "os.system")), "cannot be read"
    yield "no provenance", "twin", edited("twin", _without_attribute("provenance")), "cannot be read"
    yield "a format of another kind", "twin", edited("twin", _attribute("format", 2)), "not written by twinprob"


def cuts(places: int = 20) -> Made:
    """Yield files cut short."""
    for version in (1, 2):
        content = whole("twin", version)
        for i in range(places):
            end = len(content) * (2 * i + 1) // (2 * places)
            yield f"cut at {end} bytes, version {version}", "twin", content[:end], "truncated|seal"
    yield "the last byte missing", "twin", whole("twin")[:-1], "seal"
    yield "a byte too many", "twin", whole("twin") + b"\n", "seal"


def flipped(content: bytes, chance: np.random.Generator) -> bytes:
    """Return a file with one to eight bytes changed."""
    places = chance.choice(len(content), int(chance.integers(1, 9)), replace=False)
    changed = bytearray(content)
    for place in places:
        changed[place] ^= int(chance.integers(1, 256))
    return bytes(changed)


def foreign() -> Made:
    """Yield files that are something else."""
    plain = io.BytesIO()
    with h5py.File(plain, "w") as file:
        file["x"] = np.arange(3.0)
    others = {
        "another netCDF file": bytes(xr.Dataset({"x": ("t", [1.0, 2.0])}).to_netcdf(None, engine="h5netcdf")),
        "an HDF5 file": plain.getvalue(),
        "a netCDF file of the old kind": b"CDF\x01" + bytes(100),
        "nothing": b"",
        "zeros": bytes(100_000),
        "the beginning of HDF5": b"\x89HDF\r\n\x1a\n" + bytes(200),
        "a page": b"<html><script>alert(1)</script></html>",
        "a table": b"time,glucose\n0,5\n",
        "a pickle": b"\x80\x04\x8c\x05posix\x8c\x06system\x93.",
        "an archive": b"PK\x03\x04" + bytes(100),
        "a seal of nothing": sealed(plain.getvalue())[-300:],
    }
    for name, content in others.items():
        for noun in FIXTURES:
            yield f"{name} for a {noun}", noun, content, "truncated|not written by twinprob|seal|changed"


def places(folder: Path) -> list[Case]:
    """Return what is no file at all."""
    (folder / "directory.nc").mkdir()
    os.mkfifo(folder / "pipe.nc")
    (folder / "device.nc").symlink_to("/dev/zero")
    (folder / "loop.nc").symlink_to(folder / "loop.nc")
    (folder / "dangling.nc").symlink_to(folder / "nowhere.nc")
    (folder / "elsewhere.nc").symlink_to("/etc/passwd")
    says = {
        "directory": "not a file", "pipe": "not a file", "device": "not a file", "loop": "There is no twin",
        "dangling": "There is no twin", "elsewhere": "truncated",
    }  # fmt: skip
    return [Case(f"a {name}", "twin", folder / f"{name}.nc", words) for name, words in says.items()]


def speaking(text: str) -> bytes:
    """Return a whole twin file in which every text that may be any text is this one."""

    def change(file: h5py.File) -> None:
        for group in file.values():
            for item in (group, *group.values()):
                for name in ("units", "long_name", "source"):
                    if name in item.attrs:
                        item.attrs[name] = text
        provenance = json.loads(file.attrs["provenance"])
        provenance |= {"method": text, "population": text, "notes": [text], "model": text, "settings": {text: text}}
        provenance["versions"] = {**provenance["versions"], text: text}
        file.attrs["provenance"], file.attrs["title"] = json.dumps(provenance), text
        said = json.loads(file.attrs["twin"])
        said["record"]["dropped"] = {text: [(1.0).hex()]}
        file.attrs["twin"] = json.dumps(said)

    return edited("twin", change)


def _attribute(name: str, value: Any) -> Change:
    return lambda file: file.attrs.__setitem__(name, value)


def _without(name: str) -> Change:
    return lambda file: file.__delitem__(name)


def _without_attribute(name: str) -> Change:
    return lambda file: file.attrs.__delitem__(name)


def _unit(text: str) -> Change:
    return lambda file: file["posterior/initial_glucose"].attrs.__setitem__("units", text)


def _note(text: str) -> Change:
    return redescribed("provenance", put("notes")([text]))


def _renamed(part: str, name: str) -> Callable[[Any], None]:
    def apply(said: Any) -> None:
        held = said["record"][part]
        held[name] = held.pop(next(iter(held)))

    return apply


def _patients(name: str, value: Any) -> bytes:
    def change(file: h5py.File) -> None:
        described = json.loads(file["cohort/patients"][0])
        described[name] = value
        file["cohort/patients"][0] = json.dumps(described)

    return edited("cohort", change)


def _nan(file: h5py.File) -> None:
    file["posterior/initial_glucose"][0, 0] = np.nan


def _unwritten(file: h5py.File) -> None:
    space = h5py.h5s.create_simple((10**12,))
    h5py.h5d.create(file["posterior"].id, b"unwritten", h5py.h5t.NATIVE_DOUBLE, space)


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((8,), "f8")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", shape=(8,))
    file.create_virtual_dataset("posterior/virtual", layout)


def _ragged(file: h5py.File) -> None:
    ragged = file.create_dataset("posterior/ragged", (2,), h5py.vlen_dtype("f8"))
    ragged[0] = [1.0, 2.0]
