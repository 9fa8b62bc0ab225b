"""The finished batches of a trial, one file each, so that nothing is lost but the batch under way."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from ..inference.format import opened, save
from ..labels import tree


def fingerprint(ready: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Return a hash of everything a trial's numbers depend on."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, one in ready.items():
        digest.update(name.encode())
        leaves, structure = jax.tree.flatten((one.loop, one.charts))
        digest.update(str(structure).encode())
        for leaf in leaves:
            if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                leaf = jax.random.key_data(leaf)
            values = np.asarray(leaf)
            digest.update(f"{values.dtype}{values.shape}".encode())
            digest.update(np.ascontiguousarray(values).tobytes() if values.dtype != object else repr(leaf).encode())
    return digest.hexdigest()


class Parts:
    """The folder of one trial's batches; without a folder nothing is kept.

    Parameters
    ----------
    folder : path or None
    mark : str
        What all batches of the trial carry.
    arms, batches : int
        How many there are.
    progress : function of (stage, fraction, seconds left), optional

    Raises
    ------
    ValueError
        If the folder holds batches of another trial.
    """

    def __init__(
        self,
        folder: str | Path | None,
        mark: str,
        arms: int,
        batches: int,
        progress: Callable[[str, float, float], None] | None,
    ):
        self.folder = None if folder is None else Path(folder)
        self.mark, self.all, self.progress = mark, arms * batches, progress
        self.done, self.run, self.began = 0, 0, time.monotonic()
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(self.folder.glob("batch-*.nc"))[:1]:
                if self._mark_of(path) not in (None, mark):
                    raise ValueError(
                        f"Folder `{self.folder.name}` holds batches of another trial: other arms, patients, settings "
                        "or key. Give another folder, or empty it."
                    )

    def _path(self, batch: int, arm: int) -> Path | None:
        return None if self.folder is None else self.folder / f"batch-{batch:05d}-arm-{arm:02d}.nc"

    def _mark_of(self, path: Path) -> str | None:
        """Return the mark of a batch, None where the file is broken: it is run again."""
        try:
            with opened(path, "trial") as stored:
                return str(stored.described["mark"])
        except ValueError:
            return None

    def read(self, batch: int, arm: int) -> dict[str, np.ndarray] | None:
        """Return a finished batch, None where it is still to run."""
        path = self._path(batch, arm)
        if path is None or not path.exists():
            return None
        try:
            with opened(path, "trial") as stored:
                if stored.described["mark"] != self.mark:
                    return None
                held = stored.tree["part"].to_dataset()
                return {str(name).replace(":", "/"): values.values for name, values in held.data_vars.items()}
        except ValueError:  # cut short by whatever killed the trial
            return None

    def write(self, batch: int, arm: int, found: Mapping[str, np.ndarray]) -> None:
        """Keep a batch, whole or not at all."""
        self.run += 1
        path = self._path(batch, arm)
        if path is None:
            return
        variables = {
            name.replace("/", ":"): (("patient", "time")[: values.ndim], values) for name, values in found.items()
        }
        save(path, "trial", tree({"part": xr.Dataset(variables)}, {}), {"mark": self.mark}, [])

    def tell(self, arm: str) -> None:
        """Say how far the trial is and how long it will take, by what was run in this process."""
        self.done += 1
        if self.progress is not None:
            passed = time.monotonic() - self.began
            left = passed / self.run * (self.all - self.done) if self.run else 0.0
            self.progress(arm, self.done / self.all, left)
