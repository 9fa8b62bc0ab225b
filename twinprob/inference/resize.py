"""Positions of another version: the same unknowns, with paths padded to another length."""

from dataclasses import replace

import numpy as np

from .joint import Joint
from .methods.sampled import Sampled


def resized(density: Joint, sampled: Sampled) -> Sampled:
    """Return what was sampled with paths as long as this density's.

    Parameters
    ----------
    density : Joint
        Of the record and the model that were sampled.
    sampled : Sampled
        Its positions (chain, draw, unknown) may hold longer or shorter innovations of the varying parameters: beyond
        the record's last knot they move nothing.

    Returns
    -------
    Sampled

    Raises
    ------
    ValueError
        If the unknowns are others.
    """
    if sampled.positions.shape[-1] == density.size:
        return sampled
    modes = tuple((_resized(density, position), lp, weight) for position, lp, weight in sampled.modes)
    return replace(sampled, positions=_resized(density, sampled.positions), modes=modes)


def _resized(density: Joint, positions: np.ndarray) -> np.ndarray:
    layout, paths = density.layout(), {f"{name}_innovations" for name, _ in density.knots}
    widths = {name: place.stop - place.start for name, place in layout.items()}
    spare = positions.shape[-1] - sum(width for name, width in widths.items() if name not in paths)
    if not paths or spare < 0 or spare % len(paths):
        raise ValueError(
            f"The draws have {positions.shape[-1]} unknowns, where model `{type(density.model).__name__}` has "
            f"{density.size} for this record: fit the patient again."
        )
    columns, begin = [], 0
    for name, width in widths.items():
        stored = spare // len(paths) if name in paths else width
        part = positions[..., begin : begin + stored][..., :width]
        columns.append(np.pad(part, [(0, 0)] * (part.ndim - 1) + [(0, width - part.shape[-1])]))
        begin += stored
    return np.concatenate(columns, axis=-1)
