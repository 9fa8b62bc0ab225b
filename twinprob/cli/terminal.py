"""What commands print on a terminal: tables of a twin and a forecast, and a bar while they work."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ..diagnostics.diagnose import diagnose
from ..display import number
from ..forecasting.forecast import Forecast
from ..forecasting.risk import risk
from ..inference.twin import Twin


def screen() -> Console:
    """Return what a command prints on: as wide as the terminal, or 120 columns where it is none."""
    return Console(width=None if sys.stdout.isatty() else 120)


@contextmanager
def progress() -> Iterator[Callable[..., None]]:
    """Give a function of (stage, fraction) that moves a bar on a terminal, and says nothing elsewhere."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left:"))
    console = Console(stderr=True)
    quiet = not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("compile", total=1.0)
        yield lambda stage, fraction, left=0.0: bar.update(task, description=stage, completed=fraction)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in ("median", "from", "to", "hours ahead") else "left")
    return table


def print_twin(screen: Console, twin: Twin) -> None:
    """Print a twin's parameters, what was read of its record, and its diagnosis."""
    from ..presentation.export import (
        parameters_frame,  # here because a command that only forecasts need not wait for it
    )

    provenance, frame = twin.provenance, parameters_frame(twin)
    seen = ", ".join(f"{series.times.size} of {name}" for name, series in twin.record.observations.items())
    title = (
        f"Posterior of {type(twin.model).__name__} at {number(twin.now / 60)} h from {seen} ({provenance['method']}, "
        f"{twin.draws} draws worth {twin.effective_draws:.0f}): median and 90 % credible interval"
    )
    screen.print(title, markup=False, highlight=False)
    table = _table("parameter", "median", "from", "to", "unit")
    for row in frame.groupby("parameter", sort=False).tail(1).itertuples():
        now = " (now)" if row.time == row.time else ""
        table.add_row(f"{row.parameter}{now}", *(number(x) for x in (row.median, row.lower, row.upper)), row.unit)
    screen.print(table)
    for sentence in (twin.record.ledger.said(), *twin.record.notes):
        if sentence:
            screen.print(sentence, markup=False, highlight=False)
    screen.print("Diagnosis. " + str(diagnose(twin)), markup=False, highlight=False)


def print_forecast(screen: Console, ahead: Forecast, events: tuple[str, ...]) -> None:
    """Print a forecast, its notes, and the risks of events."""
    frame = ahead.summary(ci_prob=0.9)
    spacing = max(1, round(len(ahead.times) / 8))
    title = f"Forecast of measurements from {number(ahead.now / 60)} h: median and 90 % credible interval"
    screen.print(title, markup=False, highlight=False)
    table = _table("hours ahead", "variable", "median", "from", "to", "unit")
    for _, rows in frame.groupby("variable", sort=False):
        for row in rows.iloc[spacing - 1 :: spacing].itertuples():
            values = (number(x) for x in (row.median, row.lower, row.upper))
            table.add_row(f"{row.hours_ahead:.1f}", row.variable, *values, row.unit)
    screen.print(table)
    for note in ahead.notes:
        screen.print(note, markup=False, highlight=False)
    for event in events:
        screen.print(str(risk(ahead, event)), markup=False, highlight=False)


def print_pairs(screen: Console, rows: Mapping[str, str]) -> None:
    """Print what was found under each name; long texts go on in the next line."""
    table = _table("what", "found")
    for name, value in rows.items():
        table.add_row(name, Text(value, overflow="fold"))
    screen.print(table)
