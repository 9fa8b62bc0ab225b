"""From the store of a study to its results: all forecasters on the same pairs."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..evaluate import together
from ..score import Scores
from .figures import Study
from .parts import Part
from .protocol import Protocol
from .store import Store

_STAND_IN = "other patients"


def gather(store: Store) -> Study:
    """Return the results of a store, as far as it has come; those of patients who are not done are not there."""
    protocol = store.protocol
    frames: list[pd.DataFrame] = []
    own: dict[str, list[np.ndarray]] = {}
    origins, flow, seconds = [], [], {}
    for patient in store.done():
        part, seconds[patient] = store.part(patient)
        flow += [_row(part, stay) for stay in part.stays]
        if part.pairs.empty:
            continue
        frames.append(part.pairs.assign(patient=patient, person=patient))
        for name, members in part.members.items():
            own.setdefault(name, []).extend(members)
        if not part.origins.empty:
            origins.append(part.origins.assign(patient=patient))
    if not frames:
        raise ValueError("No stay of the study was forecast: see why in its flow, and widen `inclusion` or `horizon`.")
    pairs = pd.concat(frames, ignore_index=True)
    scores = _scored(protocol, pairs, own)
    columns = ["patient", "stay", "fate", "reason", "hours", "pairs", "ledger", "covariates"]
    figures = pd.concat(origins, ignore_index=True) if origins else pd.DataFrame()
    return Study(protocol, pd.DataFrame(flow, columns=columns), scores, figures, seconds, store.data)


def _row(part: Part, stay: Mapping[str, Any]) -> dict[str, Any]:
    pairs = int((part.pairs["stay"] == stay["number"]).sum()) if not part.pairs.empty else 0
    known = {name: stay.get(name) for name in ("fate", "reason", "hours", "ledger", "covariates")}
    return {"patient": part.patient, "stay": stay["number"], "pairs": pairs, **known}


def _scored(protocol: Protocol, pairs: pd.DataFrame, own: Mapping[str, Sequence[np.ndarray]]) -> Scores:
    """Join all forecasters; a twin's failed forecast is the stand-in's, so that nobody gains by failing."""
    scores = together(pairs, {name: list(members) for name, members in own.items()})
    count = len(pairs)
    names = scores.pairs["forecaster"].to_numpy()[::count]
    members, weights = list(scores.members), list(scores.weights)
    stood_in = np.zeros(len(members), bool)
    where = {name: i * count for i, name in enumerate(names)}
    for name in (one for one in own if one != "prior"):
        for row in range(count):
            mine = where[name] + row
            if np.isfinite(members[mine]).any():
                continue
            stood_in[mine] = True
            for other in (_STAND_IN, "prior"):
                if np.isfinite(members[where[other] + row]).any():
                    members[mine], weights[mine] = members[where[other] + row], weights[where[other] + row]
                    break
    kept = np.isin(scores.pairs["forecaster"], [name for name in own if name != "prior"] + list(protocol.baselines))
    kept |= scores.pairs["forecaster"].str.startswith("smoothed above").to_numpy()
    frame = scores.pairs.assign(stood_in=stood_in, stay=np.tile(pairs["stay"].to_numpy(), len(names)))
    return Scores(frame, tuple(members), tuple(weights), scores.censored).select(kept)


def read(path: str | PathLike[str]) -> Study:
    """Return the results of a study's store, as far as it has come.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Study

    Raises
    ------
    ValueError
        If there is no store of a study, or no patient in it was forecast.
    """
    return gather(Store.read(Path(path)))
