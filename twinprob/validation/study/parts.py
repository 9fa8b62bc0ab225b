"""What one patient's twin said, as plain arrays: the form in which it is sent, kept and read again."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

_DRAWS = "draws "


@dataclass(frozen=True)
class Part:
    """One patient of a study.

    Attributes
    ----------
    patient : str
    status : str
        "done", "excluded" or "failed".
    stays : tuple of mappings
        One per stay: number, fate ("rolled", "excluded" or "failed"), reason, ledger (rows read by fate), covariates.
    pairs : pandas.DataFrame
        One row per pair of forecast and measurement, as in `evaluate`, with `stay`.
    members : mapping of str to sequence of (draw,) arrays
        By forecaster, one array a pair; a single NaN where the forecast failed.
    origins : pandas.DataFrame
        As `Evaluation.origins`.
    """

    patient: str
    status: str
    stays: tuple[Mapping[str, Any], ...] = ()
    pairs: pd.DataFrame = field(default_factory=pd.DataFrame)
    members: Mapping[str, list[np.ndarray]] = field(default_factory=dict)
    origins: pd.DataFrame = field(default_factory=pd.DataFrame)

    def arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return numbers as arrays and everything else as JSON."""
        found: dict[str, np.ndarray] = {}
        categories: dict[str, list[str]] = {}
        for table, frame in (("pairs", self.pairs), ("origins", self.origins)):
            for name in frame.columns:
                values = frame[name].to_numpy()
                if values.dtype.kind in "biuf":
                    found[f"{table} {name}"] = values
                else:
                    codes, names = pd.factorize(values)
                    found[f"{table} {name}"], categories[f"{table} {name}"] = (
                        codes.astype(np.int32),
                        list(map(str, names)),
                    )
        for name, members in self.members.items():
            sizes = np.array([len(one) for one in members], np.int32)
            wide = np.full((len(members), int(sizes.max(initial=0))), np.nan)
            for row, one in zip(wide, members, strict=True):
                row[: len(one)] = one
            found[f"sizes {name}"], found[f"{_DRAWS}{name}"] = sizes, wide
        about = {"patient": self.patient, "status": self.status, "stays": list(self.stays), "categories": categories}
        return found, about

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> "Part":
        """Return what `arrays` was made of."""
        tables: dict[str, dict[str, Any]] = {"pairs": {}, "origins": {}}
        for name, values in arrays.items():
            table, _, column = name.partition(" ")
            if table in tables:
                names = about["categories"].get(name)
                coded = names is not None
                tables[table][column] = np.array(names, object)[values] if coded and len(values) else values
        members = {
            name.removeprefix(_DRAWS): [
                row[:size] for row, size in zip(wide, arrays[f"sizes {name.removeprefix(_DRAWS)}"], strict=True)
            ]
            for name, wide in arrays.items()
            if name.startswith(_DRAWS)
        }
        pairs, origins = (pd.DataFrame(tables[table]) for table in ("pairs", "origins"))
        return cls(about["patient"], about["status"], tuple(about["stays"]), pairs, members, origins)

    def pack(self) -> tuple[dict[str, Any], bytes]:
        """Return JSON and bytes to be sent to another process."""
        arrays, about = self.arrays()
        return about, packed(arrays)

    @classmethod
    def unpack(cls, about: Mapping[str, Any], content: bytes) -> "Part":
        """Return what `pack` was made of."""
        return cls.of(unpacked(content), about)


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return named arrays as bytes."""
    held = io.BytesIO()
    names = np.frombuffer(json.dumps(list(arrays)).encode(), np.uint8)
    np.savez(held, names=names, **{f"a{i}": values for i, values in enumerate(arrays.values())})  # type: ignore[arg-type]
    return held.getvalue()


def unpacked(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of `packed`."""
    with np.load(io.BytesIO(content), allow_pickle=False) as held:
        names = json.loads(held["names"].tobytes())
        return {name: held[f"a{i}"] for i, name in enumerate(names)}
