"""From when on a record says enough to simulate a model."""

import dataclasses

import numpy as np

from ..modeling.model import AbstractModel
from ..patient.record import Record


def simulable(model: AbstractModel, record: Record) -> Record:
    """Return the record from when on every setting that drives the model is known.

    What was measured before cannot be used: an uncharted setting is unknown, not zero.

    Parameters
    ----------
    model : AbstractModel
    record : Record

    Returns
    -------
    Record
        The same where nothing is unknown at its start; else its ledger and its notes say what is not used, and why.

    Raises
    ------
    ValueError
        If all measurements of the model's outputs were taken before.
    """
    needed = [name for name, declared in model.quantities(model.Input).items() if declared.default is None]
    begin = record.known_from(*needed)
    if begin <= record.start or begin > record.end:
        return record
    late = [name for name in needed if record.known_from(name) == begin]
    outputs = model.quantities(model.Output)
    counts = {n: int(np.sum(s.times < begin)) for n, s in record.observations.items() if n in outputs}
    why = f"before {late[0]} was charted"
    if counts and all(counts[name] == len(record.observations[name].times) for name in counts):
        raise ValueError(
            f"Every measurement of the record was taken before setting `{late[0]}` was first charted at {begin:g} min, "
            f"which model `{type(model).__name__}` needs: say what to assume, e.g. "
            f"`record.assuming({late[0]}='first')`."
        )
    lost = ", ".join(f"{count} of {name}" for name, count in counts.items() if count)
    note = f"Begins at {begin:g} min: {late[0]} is unknown before{f', so {lost} are not used' if lost else ''}."
    later = record.since(begin, why)
    return dataclasses.replace(later, notes=(*later.notes, note))
