"""What of a record a model can use: from when on it says enough, and which inputs the model does not have."""

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


def noted(model: AbstractModel, record: Record) -> Record:
    """Return the record with a note on the inputs that it holds and the model does not have: they are not used."""
    declared = model.quantities(model.Input)
    unused = [name for name in record.inputs.names if name not in declared and len(record.inputs[name].starts)]
    if not unused:
        return record
    names = ", ".join(f"`{name}`" for name in unused)
    note = f"Not used: {names}, which the record holds and model `{type(model).__name__}` does not have as input."
    return record if note in record.notes else dataclasses.replace(record, notes=(*record.notes, note))
