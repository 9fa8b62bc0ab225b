"""How belief narrows as data arrive, from admission on."""

import math
from collections.abc import Sequence

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...forecasting.forecast import forecast
from ...inference.fit import Personal, fit
from ...inference.methods.sampled import AbstractMethod
from ...inference.twin import Twin
from ...modeling.model import AbstractModel, nearest
from ...patient.record import Record
from ...patient.units import convert
from .sheet import BANDS, BLACK, BLUE, NOTE, logarithmic, sheet, typeset

_MOST = 9
_NEAR = 45.0  # min, between a forecast and the measurement drawn beside it


def narrowing(
    shown: AbstractModel | Sequence[Twin],
    record: Record | None = None,
    *,
    key,
    parameter: str | None = None,
    variable: str | None = None,
    hours: float = 4.0,
    population: Personal | None = None,
    method: AbstractMethod | None = None,
) -> Figure:
    """Draw belief about a parameter, and the forecast, against the number of measurements seen.

    Parameters
    ----------
    shown : AbstractModel or sequence of Twin
        Twins of one patient in order of time; a model is fitted to `record` at admission, before any measurement, and
        after up to eight counts of them.
    record : Record, optional
        The whole stay: needed with a model; with twins, where later measurements are to be drawn.
    key : jax PRNG key
    parameter : str, optional
        The first unknown one by default; of one that varies, its value at each time.
    variable : str, optional
        The output forecast; the first measured one by default.
    hours : float
        How far ahead; inputs run on as they were.
    population : Population, optional
        What other patients taught, where a model is fitted.
    method : Laplace, NUTS or another method, optional
        As for `fit`.

    Returns
    -------
    figure : matplotlib Figure

    Raises
    ------
    TypeError
        If a model is given without a record.
    ValueError
        If there is no such parameter or output, or no twin.
    """
    fit_key, ahead_key = jax.random.split(key)
    twins = _fitted(shown, record, population, method, fit_key) if isinstance(shown, AbstractModel) else list(shown)
    if not twins:
        raise ValueError("There is no twin to draw: pass twins in order of time, or a model and `record=`.")
    name, output = _names(twins[-1], parameter, variable)
    words = (
        "How to read this: bars hold the patient's true value with 50, 80 and 95 % probability (darkest to lightest), "
        f"dots are medians; below, the forecast {hours:g} h ahead of each time, inputs running on as they were"
    )
    words += ", and open circles what was then measured" if record is not None else ""
    figure, grid = sheet(5.4, f"{words}. {NOTE}", 2, 1, sharex=True)
    draws = [twin.group("posterior")[name].values.reshape(twin.draws, -1)[:, -1] for twin in twins]
    ahead = [_ahead(twin, output, hours, jax.random.fold_in(ahead_key, i)) for i, twin in enumerate(twins)]
    for axis, beliefs in zip(grid[:, 0], (draws, ahead), strict=True):
        _bars(axis, beliefs)
    declared = twins[-1].model.parameters()[name]
    quantity = twins[-1].model.quantities(twins[-1].model.Output)[output]
    grid[0, 0].set_ylabel(f"{typeset(declared.about or name)}\n({declared.unit})", fontsize=9)
    grid[1, 0].set_ylabel(f"{typeset(quantity.about or output)}\nin {hours:g} h ({quantity.unit})", fontsize=9)
    if record is not None:
        _measured(grid[1, 0], record, output, quantity.unit, [twin.now + 60 * hours for twin in twins])
    labels = [f"{_count(twin)}\n{twin.now / 60:.1f} h" for twin in twins]
    grid[1, 0].set_xticks(range(len(twins)), labels, fontsize=8.5)
    grid[1, 0].set_xlabel("measurements seen, and time since the record's origin", fontsize=9)
    return figure


def _fitted(model, record: Record | None, population, method, key) -> list[Twin]:
    """Fit the record at admission and after a growing number of measurements."""
    if record is None:
        raise TypeError("A model is drawn with its data: `narrowing(model, record, key=...)`.")
    outputs = model.quantities(model.Output)
    times = np.unique([t for n, s in record.observations.items() if n in outputs for t in s.times])
    counts = np.unique(np.geomspace(1, max(len(times), 1), min(_MOST - 1, len(times))).round().astype(int))
    admission = Record({}, record.inputs.until(record.start), record.covariates, record.start, record.start)
    known = [admission, *(record.until(float(times[count - 1])) for count in counts)]
    keys = jax.random.split(key, len(known))
    return [fit(model, one, key=k, population=population, method=method) for one, k in zip(known, keys, strict=True)]


def _names(twin: Twin, parameter: str | None, variable: str | None) -> tuple[str, str]:
    unknown, outputs = twin.model.unknowns(), tuple(twin.model.quantities(twin.model.Output))
    name = unknown[0] if parameter is None else parameter
    if name not in unknown:
        model = type(twin.model).__name__
        raise ValueError(f"Model `{model}` has no unknown parameter `{name}`; {nearest(name, unknown)}")
    seen = [output for output in outputs if output in twin.record.observations]
    output = (seen or list(outputs))[0] if variable is None else variable
    if output not in outputs:
        raise ValueError(f"There is no output `{output}` to draw; {nearest(output, outputs)}")
    return name, output


def _count(twin: Twin) -> int:
    outputs = twin.model.quantities(twin.model.Output)
    return sum(len(series.times) for name, series in twin.record.observations.items() if name in outputs)


def _ahead(twin: Twin, output: str, hours: float, key) -> np.ndarray:
    found = forecast(twin, times=[twin.now + 60 * hours], key=key).group("predicted_outputs")[output]
    return found.values.ravel()


def _bars(axis: Axes, beliefs: list[np.ndarray]) -> None:
    for probability, alpha in BANDS:
        edges = [np.nanquantile(draws, [(1 - probability) / 2, (1 + probability) / 2]) for draws in beliefs]
        low, high = np.transpose(edges)
        axis.bar(range(len(beliefs)), high - low, 0.5, low, color=BLUE, alpha=alpha, lw=0)
    axis.plot(range(len(beliefs)), [np.nanmedian(draws) for draws in beliefs], "o-", ms=4, lw=1.0, color=BLUE)
    if all(np.nanmin(draws) > 0 for draws in beliefs):
        logarithmic(axis, "y")
    axis.use_sticky_edges = False  # a bar's foot would otherwise stand on the frame
    axis.margins(y=0.06)
    axis.tick_params(labelsize=8.5)
    axis.spines[["top", "right"]].set_visible(False)


def _measured(axis: Axes, record: Record, output: str, unit: str, times: list[float]) -> None:
    """Draw the measurement nearest to each forecast, where there is one."""
    if output not in record.observations:
        return
    series = record.observations[output]
    values = np.asarray(convert(series.values, series.unit, unit, variable=output))
    for place, time in enumerate(times):
        nearest_one = int(np.argmin(np.abs(series.times - time)))
        if math.fabs(series.times[nearest_one] - time) <= _NEAR:
            axis.plot(place, values[nearest_one], "o", ms=6, mfc="white", mec=BLACK, mew=1.2, zorder=5)
