"""The Zarr store of a study: what was asked, the populations, and one group for each patient who is done."""

import importlib.metadata
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .parts import Part
from .protocol import Protocol

FORMAT = "twinprob.study/1"


class Store:
    """The folder of one study's results.

    Parameters
    ----------
    path : Path

    Notes
    -----
    A patient is written beside its place and moved there once whole, by one writer: it is there exactly once or not at
    all.
    """

    def __init__(self, path: Path):
        self.path = path
        self._about = json.loads(json.dumps(dict(_zarr().open_group(str(path), mode="r").attrs)))

    @classmethod
    def open(cls, path: Path, protocol: Protocol, data: str) -> "Store":
        """Return the store of a study, made where there is none.

        Raises
        ------
        ValueError
            If there is something else at the place, or the results of another study, extract or version.
        """
        zarr = _zarr()
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            about = {
                "format": FORMAT, "protocol": protocol.model_dump_json(), "mark": protocol.mark(), "data": data,
                "twinprob": importlib.metadata.version("twinprob"),
            }  # fmt: skip
            group = zarr.open_group(str(path), mode="w")
            for name in ("patients", "populations"):
                group.create_group(name)
            group.attrs.update(about)
            return cls(path)
        found = cls.read(path)
        if found._about["mark"] != protocol.mark():
            raise ValueError(
                f"Store `{path.name}` holds study `{found.protocol.name}` as another file states it; give another "
                "folder: what is there is never overwritten."
            )
        if found._about["data"] != data:
            raise ValueError(
                f"Store `{path.name}` holds this study of another extract, whose files differ; give another folder."
            )
        here = importlib.metadata.version("twinprob")
        if found._about.get("twinprob", here) != here:
            raise ValueError(
                f"Store `{path.name}` was begun with twinprob {found._about['twinprob']}, and this is {here}: go on "
                "with that version, or give another folder."
            )
        for left in [*(path / "patients").glob(".*.partial"), *(path / "populations").glob(".*.partial")]:
            shutil.rmtree(left)
        return found

    @classmethod
    def read(cls, path: Path) -> "Store":
        """Return a store that is there.

        Raises
        ------
        ValueError
            If there is no study.
        """
        zarr = _zarr()
        try:
            found = cls(path)
        except (OSError, ValueError, KeyError, zarr.errors.BaseZarrError) as error:
            raise ValueError(f"`{path.name}` is no store of a study; give another folder.") from error
        if found._about.get("format") != FORMAT:
            raise ValueError(f"`{path.name}` is no store of a study, or one of another version; give another folder.")
        return found

    @property
    def protocol(self) -> Protocol:
        """The study as it was stated before its results."""
        return Protocol.model_validate_json(self._about["protocol"])

    @property
    def data(self) -> str:
        """What tells the extract from another."""
        return self._about["data"]

    def done(self) -> list[str]:
        """Return the patients who are done, sorted."""
        return _names(self.path / "patients")

    def write(self, part: Part, seconds: float) -> None:
        """Keep a patient; one who is there already stays as it is."""
        arrays, about = part.arrays()
        self._keep(self.path / "patients" / part.patient, arrays, {**about, "seconds": seconds})

    def part(self, patient: str) -> tuple[Part, float]:
        """Return a patient, and the seconds it took."""
        arrays, about = _held(self.path / "patients" / patient)
        return Part.of(arrays, about), float(about["seconds"])

    def parts(self) -> Iterator[Part]:
        """Yield every patient who is done."""
        for patient in self.done():
            yield self.part(patient)[0]

    def keep_populations(self, files: Mapping[tuple[str, int], bytes]) -> None:
        """Keep what was learned, all of it or nothing."""
        for i, ((patient, number), content) in enumerate(files.items()):
            about = {"patient": patient, "number": number, "of": len(files)}
            self._keep(self.path / "populations" / f"p{i:05d}", {"file": np.frombuffer(content, np.uint8)}, about)

    def populations(self) -> dict[tuple[str, int], bytes] | None:
        """Return what was learned; None where it is still to be learned."""
        found, wanted = {}, None
        for name in _names(self.path / "populations"):
            arrays, about = _held(self.path / "populations" / name)
            found[about["patient"], about["number"]], wanted = arrays["file"].tobytes(), about["of"]
        return found if wanted is not None and len(found) == wanted else None

    def _keep(self, place: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
        if place.exists():
            return
        partial = place.with_name(f".{place.name}.{secrets.token_hex(4)}.partial")
        group = _zarr().open_group(str(partial), mode="w")
        for i, (name, values) in enumerate(arrays.items()):
            held = group.create_array(f"a{i:03d}", shape=values.shape, dtype=values.dtype, chunks=_chunks(values.shape))
            if values.size:
                held[...] = values
            held.attrs["name"] = name
        group.attrs.update({"about": json.dumps(about)})
        os.replace(partial, place)


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(min(max(1, size), 256 if len(shape) > 1 else 1_000_000) for size in shape[:1]) + tuple(
        max(1, size) for size in shape[1:]
    )


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _held(place: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    group = _zarr().open_group(str(place), mode="r")
    arrays = {str(one.attrs["name"]): np.asarray(one[...]) for _, one in sorted(group.arrays())}
    return arrays, json.loads(str(group.attrs["about"]))


def _zarr() -> Any:
    """Return zarr, which an extra brings."""
    try:
        import zarr
    except ImportError as error:
        raise ImportError("Studies are kept in Zarr stores: pip install 'twinprob[study]'.") from error
    return zarr
