"""The `twinprob` command: demo, fit, forecast, watch, app, study, doctor.

An error that the user can mend is one line and exit code 2.
"""

import importlib.metadata
import json
import os
import platform
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import jax
import typer

from .. import models, storage
from ..decisions.monitor import monitor
from ..diagnostics.diagnose import diagnose
from ..forecasting.forecast import Forecast
from ..forecasting.forecast import forecast as forecast_twin
from ..forecasting.watch import WATCHED
from ..inference.fit import fit as fit_twin
from ..inference.methods.laplace import Laplace
from ..inference.methods.nuts import NUTS
from ..inference.population import Population, load_population
from ..inference.twin import Twin, load
from ..modeling.model import AbstractModel, nearest
from ..patient.inputs import Inputs
from ..patient.record import Record
from ..readers.examples import load_example
from ..readers.stream import Stream
from ..readers.tidy import read_inputs, read_tidy
from . import terminal

app = typer.Typer(
    name="twinprob",
    help="Probabilistic digital twins of intensive-care patients. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
studies = typer.Typer(name="study", help="A retrospective study of all patients of an extract.", no_args_is_help=True)
app.add_typer(studies)
_NOTE = "Research software, not a medical device."
_METHODS: dict[str, type[Laplace] | type[NUTS]] = {"laplace": Laplace, "nuts": NUTS}
_DEMO_STAY, _DEMO_UNTIL = 3, "24 h"
_TARGET = (4.4, 8.0)  # mmol/L, setting: a band that trials of glycemic control report

Out = Annotated[Path, typer.Option(help="Folder for the results; made if it is not there.")]
Key = Annotated[int, typer.Option(help="Random key: the same key gives the same numbers.")]
Until = Annotated[str | None, typer.Option(help="Use only what was known then, e.g. '24 h'.")]


def _plainly(command: Callable) -> Callable:
    """Turn an error that the user can mend into one line and exit code 2."""

    @wraps(command)
    def run(*args, **kwargs):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default", UserWarning)
                warnings.showwarning = _note
                return command(*args, **kwargs)
        except (ValueError, RuntimeError, OSError, ModuleNotFoundError) as error:
            typer.echo("Error: " + " ".join(str(error).split()), err=True)
            raise typer.Exit(2) from None

    return run


def _note(message: Warning | str, *about: Any, **more: Any) -> None:
    """Print a warning as one line, without the line of code that raised it."""
    typer.echo("Note: " + " ".join(str(message).split()), err=True)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"twinprob {importlib.metadata.version('twinprob')}")
        raise typer.Exit


@app.callback()
def _prepare(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say it.")] = False,
) -> None:
    """Keep what JAX compiled for the next run, unless the environment or the caller already decided."""
    if not _jax("compilation_cache_dir"):
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "twinprob" / "jax"))
        if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@app.command()
@_plainly
def demo(out: Out = Path("out"), key: Key = 0) -> None:
    """Fit a real glucose tolerance test, then a synthetic ICU stay, and forecast its next four hours."""
    _require_folder(out)
    screen = terminal.screen()
    screen.print("1. A real person's glucose tolerance test (Pacini and Bergman 1986), minimal model", style="bold")
    test = load_example("fsigt")
    glucose = test.observations["glucose"]
    # Before 4 min the injected glucose is not yet mixed.
    test = test.with_observations({"glucose": glucose.select(glucose.times >= 4)})
    tolerance = _fit(_model("minimal"), test, key=jax.random.key(key))
    terminal.print_twin(screen, tolerance)
    screen.print(f"\n2. Nobody: synthetic ICU stay {_DEMO_STAY}, known until {_DEMO_UNTIL}, ICING", style="bold")
    stay = load_example("icu_glucose", stay=_DEMO_STAY)
    twin = _fit(_model("icing"), stay.until(_DEMO_UNTIL), key=jax.random.key(key + 1))
    terminal.print_twin(screen, twin)
    ahead = forecast_twin(twin, inputs=stay.inputs, hours=4, key=jax.random.key(key + 2))
    events = ("glucose < 4 mmol/L", "glucose > 10 mmol/L")
    terminal.print_forecast(screen, ahead, events)
    with _results(out) as folder:
        _write(folder, twin, ahead, later=stay, target=_TARGET, events=events)
        tolerance.save(folder / "fsigt_twin.nc")
        storage.write(folder / "fsigt_fan.png", _plots().png(_plots().fan(tolerance)))
    _print_files(screen, out)


@app.command()
@_plainly
def fit(
    record: Annotated[
        Path, typer.Argument(help="CSV: time, variable, value, unit; inputs: start, end, variable, rate, unit.")
    ],
    model: Annotated[
        str | None, typer.Option(help="A model's name, e.g. icing or minimal; by default the population's.")
    ] = None,
    population: Annotated[
        str | None, typer.Option(help="What other patients taught: a file, or a name that ships, e.g. icing-mimic3.")
    ] = None,
    out: Out = Path("out"),
    inputs: Annotated[Path | None, typer.Option(help="CSV of the inputs, where they are not in the record's.")] = None,
    until: Until = None,
    patient: Annotated[str | None, typer.Option(help="Which one, where the table holds several.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Of dates without an offset, e.g. Europe/Berlin.")] = None,
    method: Annotated[str, typer.Option(help="laplace (falls back to nuts where it fails) or nuts.")] = "laplace",
    key: Key = 0,
) -> None:
    """Personalize a model to one patient's record."""
    if method not in _METHODS:
        raise ValueError(f"There is no method `{method}`; {nearest(method, _METHODS)}")
    _require_folder(out)
    chosen, learned = _posed(model, population)
    if not record.is_file():
        raise FileNotFoundError(f"There is no record at `{record}`.")
    seen = read_tidy(record, inputs, patient=patient, timezone=timezone)
    seen = seen if until is None else seen.until(until)
    # Without a method, `fit` judges Laplace by its k-hat and falls back by itself.
    how = None if method == "laplace" else NUTS()
    twin = _fit(chosen, seen, key=jax.random.key(key), method=how, population=learned)
    screen = terminal.screen()
    if learned is not None:
        screen.print(repr(learned), markup=False, highlight=False)
    terminal.print_twin(screen, twin)
    with _results(out) as folder:
        _write(folder, twin)
    _print_files(screen, out)


@app.command()
@_plainly
def forecast(
    twin: Annotated[Path, typer.Argument(help="A file that `twinprob fit` wrote.")],
    hours: Annotated[float, typer.Option(help="How far ahead.")] = 4.0,
    inputs: Annotated[Path | None, typer.Option(help="CSV of the inputs to come; others run on as they are.")] = None,
    origin: Annotated[str | None, typer.Option(help="The record's 0 min, where the inputs' times are dates.")] = None,
    event: Annotated[
        list[str] | None, typer.Option(help="A risk to state, e.g. 'glucose < 4 mmol/L'; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for forecast.csv, fan.png and report.html.")] = None,
    key: Key = 1,
) -> None:
    """Forecast what will be measured, with intervals."""
    _require_folder(out)
    known = load(twin)
    plan = None if inputs is None else _plan(inputs, known, origin)
    ahead = forecast_twin(known, hours=hours, inputs=plan, key=jax.random.key(key))
    screen, events = terminal.screen(), tuple(event or ())
    terminal.print_forecast(screen, ahead, events)
    screen.print(str(diagnose(known)), markup=False, highlight=False)
    if out is not None:
        with _results(out) as folder:
            _write(folder, known, ahead, events=events, saved=False)
        _print_files(screen, out)


@app.command()
@_plainly
def doctor() -> None:
    """Say what this installation consists of: versions, devices, precision, cache, plots, files."""
    found = {name: importlib.metadata.version(name) for name in _core_requirements()}
    rows = {
        "twinprob": importlib.metadata.version("twinprob"),
        "Python": f"{platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "devices": ", ".join(f"{device.platform} ({device.device_kind})" for device in jax.devices()),
        "precision": f"verbs compute in float64; JAX's own setting is {'float64' if _jax('enable_x64') else 'float32'}",
        "compile cache": str(_jax("compilation_cache_dir")),
        "plot backend": _plots().backend(),
        "netCDF engine": f"h5netcdf {found['h5netcdf']}, h5py {importlib.metadata.version('h5py')}",
        "bundled data": f"{', '.join(load_example('reference'))}, fsigt, {len(load_example('icu_glucose'))} ICU stays",
        **found,
    }
    terminal.print_pairs(terminal.screen(), rows)


@app.command()
@_plainly
def watch(
    twin: Annotated[Path, typer.Argument(help="A twin that `twinprob fit` or `save` wrote.")],
    source: Annotated[str, typer.Option("--from", help="CSV or JSON lines, or - for the standard input.")] = "-",
    events: Annotated[list[str] | None, typer.Option("--event", help="Such as hypotension; again for more.")] = None,
    wait: Annotated[str | None, typer.Option(help="Follow a growing file, looking again after this time: 2 s.")] = None,
    origin: Annotated[str | None, typer.Option(help="The moment of t = 0, where times are dates.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of text.")] = False,
    key: Key = 0,
) -> None:
    """Follow a patient: one line a measurement, with the risk of each event and whether an alarm sounds."""
    followed = load(twin)
    outputs = followed.model.quantities(followed.model.Output)
    named = events or [name for name, one in WATCHED.items() if one.read().output in outputs]
    stream = Stream(source, wait=wait, origin=origin)
    for said in monitor(followed, stream, watch=named, key=jax.random.key(key)):
        typer.echo(json.dumps(said.to_json(), allow_nan=False) if as_json else str(said))
    for reason, count in stream.unread.items():
        _note(f"{count} lines left out: {reason}")


@app.command(name="app")
@_plainly
def page(
    twin: Annotated[Path, typer.Argument(help="A twin that `twinprob fit` or `save` wrote, or a record's CSV.")],
    model: Annotated[str | None, typer.Option(help="Of a record: the model to fit, e.g. icing.")] = None,
    population: Annotated[str | None, typer.Option(help="Of a record: what other patients taught.")] = None,
    cap: Annotated[list[str] | None, typer.Option(help="A slider's end, e.g. 'insulin=6 U/h'; again for more.")] = None,
    port: Annotated[int, typer.Option(help="Of this machine; no other can reach it.")] = 8765,
    key: Key = 0,
) -> None:
    """Show one twin as a page on this machine: move a treatment and see what the twin believes. Needs twinprob[app]."""
    from ..presentation.page import read_caps, serve

    if twin.suffix == ".nc":
        shown = load(twin)
    else:
        chosen, learned = _posed(model, population)
        shown = _fit(chosen, read_tidy(twin), key=jax.random.key(key), population=learned)
    typer.echo(f"{type(shown.model).__name__} at http://127.0.0.1:{port}/ until Ctrl-C. {_NOTE}")
    serve(shown, port=port, caps=read_caps(cap or ()))


@studies.command("run")
@_plainly
def run_study(
    plan: Annotated[str, typer.Argument(help="A study file, or one that ships: glucose, plateau, pressure.")],
    data: Annotated[Path, typer.Option(help="Folder of the extract.")],
    out: Annotated[Path, typer.Option(help="Store of the results; one of this study is gone on with.")],
    workers: Annotated[int | None, typer.Option(help="Processes; one a core by default.")] = None,
) -> None:
    """Roll a twin of every patient forward, score it, and write report.html and report.json into the store."""
    from ..presentation import credibility
    from ..validation.study.run import study

    try:
        with terminal.progress() as told:
            found = study(plan, data=data, store=out, workers=workers, progress=told)
    except KeyboardInterrupt:
        typer.echo("Interrupted: who is done is kept; the same command goes on.", err=True)
        raise typer.Exit(130) from None
    credibility.write(found, out)
    terminal.screen().print(f"{found}\nIn {out}: report.html, report.json\n{_NOTE}", markup=False, highlight=False)


# ---- pieces -------------------------------------------------------------------------------------------------------


def _jax(setting: str) -> Any:
    return getattr(jax.config, f"jax_{setting}")


def _plots() -> Any:
    """Matplotlib takes a second to import, which `--help` need not wait for."""
    from ..presentation import plots

    return plots


def _require_folder(out: Path | None) -> None:
    """Refuse a wrong place for the results before the work, not after it."""
    if out is not None and out.exists() and not out.is_dir():
        raise ValueError(f"Option --out must be a folder, but `{out}` is a file.")


def _model(name: str) -> AbstractModel:
    every = {short.lower().removesuffix("model"): cls for short, cls in models.by_name().items()}
    known = {short: cls for short, cls in every.items() if issubclass(cls, AbstractModel)}
    if name.lower() not in known:
        raise ValueError(f"There is no model `{name}`; {nearest(name.lower(), known)}")
    return known[name.lower()]()


def _posed(model: str | None, population: str | None) -> tuple[AbstractModel, Population | None]:
    learned = None if population is None else load_population(population)
    if model is None and learned is None:
        raise ValueError("Say which model, `--model icing`, or a population that has one, `--population icing-mimic3`.")
    return (learned.model if model is None and learned is not None else _model(model or "")), learned


def _plan(path: Path, twin: Twin, origin: str | None) -> Inputs:
    if not path.is_file():
        raise FileNotFoundError(f"There are no inputs at `{path}`.")
    return read_inputs(path, weight=twin.record.weight, origin=origin)


def _fit(model: AbstractModel, record: Record, *, key, method=None, population=None) -> Twin:
    with terminal.progress() as told:
        return fit_twin(model, record, key=key, method=method, population=population, progress=told)


@contextmanager
def _results(out: Path) -> Iterator[Path]:
    """Give a folder whose files are written to `out` together once all are made."""
    with tempfile.TemporaryDirectory(prefix="twinprob-") as part:
        yield Path(part)
        out.mkdir(parents=True, exist_ok=True)
        for file in sorted(Path(part).iterdir()):
            storage.write(out / file.name, file.read_bytes())


def _write(
    folder: Path, twin: Twin, ahead: Forecast | None = None, *, later=None, target=None, events=(), saved=True
) -> None:
    from ..presentation import export, report

    shown = {"shown": twin} if ahead is None else {"shown": ahead, "twin": twin, "later": later}
    storage.write(folder / "fan.png", _plots().png(_plots().fan(**shown, target=target)))
    report.write(twin, folder / "report.html", ahead, events=events, target=target)
    if saved:
        twin.save(folder / "twin.nc")
        export.parameters_csv(twin, folder / "parameters.csv")
    if ahead is not None:
        export.forecast_csv(ahead, folder / "forecast.csv")


def _print_files(screen: Any, out: Path) -> None:
    names = ", ".join(sorted(file.name for file in out.iterdir() if file.is_file()))
    screen.print(f"\nIn {out}: {names}\n{_NOTE}", markup=False, highlight=False)


def _core_requirements() -> list[str]:
    needed = [text for text in importlib.metadata.requires("twinprob") or [] if "extra ==" not in text]
    names = {"".join(c if c.isalnum() or c in "-_." else " " for c in text).split()[0] for text in needed}
    return sorted(names)
