"""Writers killed at random moments, a full disk, flipped bytes and edited fields."""

import io
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np

import twinprob as tp
from tests.hostile import SAVED, flipped
from tests.validation import Result
from twinprob import storage

TITLE = "kill −9 during save, disk full, 200 files with 1–8 flipped bytes, edited fields"
BAR = "always one whole file, old or new; process alive, twin usable; every changed file refused by what does not fit"
KILLS = {"one writer": 80, "two writers": 80, "one writer of twins": 20, "two writers of twins": 20}
FLIPS = 200
SEED = 20


def measure() -> Result:
    """Kill writers first: a process that has used JAX must not be forked."""
    chance = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contents = _two_twins(folder)
        kills = {kind: _killed(kind, count, contents, folder, chance) for kind, count in KILLS.items()}
        disk = _full_disk(contents[0], folder)
        flips = _flips(contents[0], folder, chance)
        edits = _edits(contents[0], folder)
    killed, whole = (sum(one[part] for one in kills.values()) for part in ("kills", "whole"))
    inside = sum(one["partials"] for one in kills.values())
    left = sum(one["left"] for one in kills.values())
    return Result(
        figure=f"{whole} of {killed} kills left one whole file, {inside} a partial beside it, {left} still there after "
        f"the next write; disk full: {sum(disk.values())} of {len(disk)} checks hold; {flips['refused']} of {FLIPS} "
        f"flipped files refused, {flips['named']} naming what changed; {sum(edits.values())} of {len(edits)} edits "
        "refused",
        holds=whole == killed == 200
        and left == 0
        and all(disk.values())
        and flips == {"refused": FLIPS, "named": FLIPS}
        and all(edits.values()),
        details={"kills": kills, "disk": disk, "flips": flips, "edits": edits},
    )


def _in_a_child(work: Callable[[], None]) -> int:
    """Run work in a copy of this process, which has not used JAX, and return the copy's number."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return child


def _two_twins(folder: Path) -> tuple[bytes, bytes]:
    """Return two files of twins of about one size."""
    names = ("fitted", "noise_and_process")

    def convert() -> None:
        for name in names:
            tp.load(SAVED / f"{name}.nc").save(folder / f"{name}.nc")
        os._exit(0)

    if os.waitpid(_in_a_child(convert), 0)[1] != 0:
        raise RuntimeError("the fixtures could not be saved anew")
    one, other = ((folder / f"{name}.nc").read_bytes() for name in names)
    return one, other


def _killed(kind: str, count: int, contents: tuple[bytes, bytes], folder: Path, chance) -> dict[str, int]:
    """Kill writers of one file at random moments; return how often a whole file stood there, and partials beside it."""
    place = folder / kind.replace(" ", "_")
    place.mkdir()
    target = place / "twin.nc"
    writers, twins = 1 + ("two" in kind), "twins" in kind
    found = {"kills": 0, "whole": 0, "partials": 0, "left": 0}
    while found["kills"] < count:
        target.write_bytes(contents[0])
        begun, begin = os.pipe()
        work = partial(_write_forever, target, contents, folder, twins, begin)
        children = [_in_a_child(work) for _ in range(writers)]
        os.close(begin)
        if b"" in [os.read(begun, 1) for _ in children]:
            raise RuntimeError("a writer ended before it wrote")
        for child in children:
            time.sleep(float(chance.uniform(0.0, 0.6 if twins else 0.05)))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            found["kills"] += 1
            found["whole"] += target.read_bytes() in contents
        os.close(begun)
        found["partials"] += len(list(place.iterdir())) > 1
        storage.write(target, contents[1])
        found["left"] += len(list(place.iterdir())) > 1
    return found


def _write_forever(target: Path, contents: tuple[bytes, bytes], folder: Path, twins: bool, begin: int) -> None:
    """Write the two files in turn, as bytes or by saving twins, until killed."""
    if twins:
        writes = [tp.load(folder / f"{name}.nc").save for name in ("fitted", "noise_and_process")]
    else:
        writes = [partial(storage.write, content=content) for content in contents]
    os.write(begin, b"1")
    while True:
        for write in writes:
            write(target)


def _full_disk(content: bytes, folder: Path) -> dict[str, bool]:
    """Save where no file may grow beyond 16 kB; the process, the twin and the old file live on."""
    place = folder / "full"
    place.mkdir()
    target = place / "twin.nc"
    target.write_bytes(content)
    twin, said = tp.load(target), []
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, limits[1]))
    try:
        for write in (lambda: twin.save(target), lambda: storage.write(place / "page.html", "a" * 100_000)):
            try:
                write()
            except OSError as error:
                said.append(str(error))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    checks = {
        "both refused": len(said) == 2,
        "in one sentence with a remedy": all("could not be written" in one and "free space" in one for one in said),
        "old file untouched": target.read_bytes() == content,
        "nothing beside it": [path.name for path in place.iterdir()] == ["twin.nc"],
    }
    twin.save(target)
    return {**checks, "twin usable": tp.load(target).record == twin.record}


def _flips(content: bytes, folder: Path, chance) -> dict[str, int]:
    found = {"refused": 0, "named": 0}
    for _ in range(FLIPS):
        (folder / "flipped.nc").write_bytes(flipped(content, chance))
        said = _refusal(folder / "flipped.nc")
        found["refused"] += said is not None
        found["named"] += said is not None and any(
            words in said for words in ("variable `", "its structure, a text or an attribute", "seal")
        )
    return found


def _edits(content: bytes, folder: Path) -> dict[str, bool]:
    """Edit one field each, as another program would, and see it refused."""

    def text(name: str, old: str, new: str) -> Callable[[h5py.File], None]:
        def change(file: h5py.File) -> None:
            if old not in file.attrs[name]:
                raise ValueError(f"{old} is not in {name}")
            file.attrs[name] = file.attrs[name].replace(old, new, 1)

        return change

    def number(name: str, value: float) -> Callable[[h5py.File], None]:
        def change(file: h5py.File) -> None:
            file[name][(0,) * file[name].ndim] = value

        return change

    changes = {
        "a draw": number("posterior/initial_glucose", 9.0),
        "a draw that is no number": number("posterior/initial_glucose", np.nan),
        "a state": number("state/glucose", 5.0),
        "a measurement": text("twin", '"values": ["0x1', '"values": ["0x2'),
        "a unit": text("twin", '"unit": "mmol/L"', '"unit": "mg/dL"'),
        "the model": text("twin", '"ICING"', '"MinimalModel"'),
        "a judgment": text("provenance", '"khat": 0', '"khat": -0'),
        "the format": text("format", "/2", "/1"),
        "a unit of a variable": lambda file: file["posterior/initial_glucose"].attrs.__setitem__("units", "mg/dL"),
    }
    refused = {}
    for name, change in changes.items():
        held = io.BytesIO(content)
        with h5py.File(held, "r+") as file:
            change(file)
        (folder / "edited.nc").write_bytes(held.getvalue())
        refused[name] = _refusal(folder / "edited.nc") is not None
    return refused


def _refusal(path: Path) -> str | None:
    """Return what the refusal of a file says, None if it was read."""
    try:
        tp.load(path)
    except ValueError as error:
        return str(error)
    return None
