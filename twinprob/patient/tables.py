"""Records and inputs as tables: data frames for programs, small HTML for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import display
from .units import span

if TYPE_CHECKING:
    import pandas as pd


def measurements(record: Any) -> pd.DataFrame:
    """Return a record's measurements as `Record.to_frame` documents them."""
    import pandas as pd

    parts = [
        pd.DataFrame(
            {
                "time": one.times,
                "variable": name,
                "value": one.values,
                "unit": one.unit,
                "limit": one.limits,
                "known": one.known,
            }
        )
        for name, one in record.observations.items()
    ]
    columns = ["time", "variable", "value", "unit", "limit", "known"]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return frame.sort_values("time", kind="stable", ignore_index=True)


def doses(inputs: Any) -> pd.DataFrame:
    """Return inputs as `Inputs.to_frame` documents them."""
    import pandas as pd

    columns = ["start", "end", "variable", "rate", "unit", "bolus", "order", "known"]
    rows = [
        row
        for name, course in inputs.courses.items()
        for row in zip(
            course.starts,
            course.ends,
            [name] * course.starts.size,
            course.rates,
            [course.unit] * course.starts.size,
            course.bolus,
            course.orders,
            course.known,
            strict=True,
        )
    ]
    return pd.DataFrame(rows, columns=columns)


def inputs_page(inputs: Any) -> str:
    """Return inputs as a table of one row each."""
    return display.section(
        "Inputs",
        display.table("", ("input", "intervals", "highest rate", "unit", "from / min", "to / min"), inputs.rows()),
    )


def lines(record: Any) -> str:
    """Return in five lines what was measured and done, over which time, of whom, and what became of the rows.

    The wall clock is said to be known and not shown: dates identify patients.
    """
    measured = ", ".join(f"{name} × {one.times.size}" for name, one in record.observations.items())
    values = {
        name: display.number(one.value) if isinstance(one.value, float | int) else str(one.value)
        for name, one in record.covariates.items()
    }
    fixed = ", ".join(f"{n} {value} {record.covariates[n].unit or ''}".strip() for n, value in values.items())
    said = " ".join(sentence for sentence in (record.ledger.said(), *record.notes) if sentence)
    wall = "" if record.origin is None else ", wall clock known"
    return (
        f"Record: {span(record.start)} to {span(record.end)}{wall}\n"
        f"  measured: {measured or 'nothing'}\n"
        f"  inputs: {', '.join(record.inputs.names) or 'none'}\n"
        f"  of the patient: {fixed or 'nothing known'}\n"
        f"  {said or 'built here: no row set aside'}"
    )


def page(record: Any) -> str:
    """Return a record as tables: what was measured, done and known, and what became of its rows."""
    measured = [
        (name, one.times.size, float(np.median(one.values)), one.unit, float(one.times[0]), float(one.times[-1]))
        for name, one in record.observations.items()
    ]
    fixed = [(name, one.value, one.unit or "", len(one.changes) or "") for name, one in record.covariates.items()]
    account = [(line.source, line.variable, line.fate, line.reason, line.count) for line in record.ledger]
    return display.section(
        f"Record, {record.start:g} to {record.end:g} min",
        display.table("", ("measured", "values", "median", "unit", "from / min", "to / min"), measured),
        display.table(
            "", ("input", "intervals", "highest rate", "unit", "from / min", "to / min"), record.inputs.rows()
        )
        if record.inputs.names
        else "",
        display.table("", ("covariate", "value", "unit", "changed later"), fixed) if fixed else "",
        display.table("", ("source", "variable", "fate", "reason", "rows"), account) if account else "",
    )
