"""What norepinephrine would do: a patient's dose response, and the forecasts under several rates side by side."""

from collections.abc import Mapping, Sequence

import numpy as np

from ...forecasting.forecast import Forecast
from ...forecasting.risk import risk
from ...inference.twin import Twin
from ...modeling.model import nearest
from .sheet import BANDS, GRAY, INPUT_COLORS, NOTE, Picture, band, flat_draws, sheet

_MAP = "mean_arterial_pressure"
_LIMIT = INPUT_COLORS[0]
_NEEDED = ("level", "swing", "greatest_rise", "half_rate")


def dose_response(twin: Twin, *, highest: float | None = None, limits: tuple[float, float] = (65.0, 85.0)) -> Picture:
    """Draw the pressure that each lasting rate of norepinephrine would lead to, as this patient is now.

    Parameters
    ----------
    twin : Twin
        Of `models.sepsis.VasopressorPressure`.
    highest : float, optional
        ug/kg/min; twice the rate that runs now by default, at least 0.4.
    limits : (float, float), mmHg
        Drawn as lines.

    Returns
    -------
    Picture
        Bands of the posterior, noise-free; in gray the median and 90 % of the prior's rise from the same level.

    Raises
    ------
    ValueError
        If the model of the twin has no dose response.
    """
    posterior = twin.group("posterior")
    for name in _NEEDED:
        if name not in posterior:
            raise ValueError(
                f"Model `{type(twin.model).__name__}` has no dose response: it lacks `{name}`; "
                f"{nearest(name, [str(n) for n in posterior.data_vars])}"
            )
    course = twin.record.inputs.courses.get("norepinephrine")
    running = 0.0 if course is None else float(course.to("ug/kg/min", weight=twin.record.weight).at(twin.now - 1e-6))
    top = max(0.4, 2.0 * running) if highest is None else float(highest)
    rates = np.linspace(0.0, top, 80)
    level, swing, greatest, half = (flat_draws(posterior, name)[:, -1:] for name in _NEEDED)
    rise = greatest * rates / (half + rates)
    figure, ((axis,),) = sheet(3.9, _sentence(running, level + swing + greatest * running / (half + running)), 1, 1)
    band(axis, rates, level + swing + rise)
    if "prior" in twin.tree.children:
        prior = twin.group("prior")
        before = flat_draws(prior, "greatest_rise") * rates / (flat_draws(prior, "half_rate") + rates)
        start = float(np.median(level + swing))
        for probability, style in ((0.05, ":"), (0.5, "--"), (0.95, ":")):
            axis.plot(rates, start + np.quantile(before, probability, axis=0), color=GRAY, lw=1.0, ls=style)
    _lines(axis, limits)
    axis.axvline(running, color="#404040", lw=1.0, ls=(0, (4, 3)))
    axis.annotate("now", (running, 1.0), (3, -2), ("data", "axes fraction"), "offset points", va="top", fontsize=9)
    axis.set(xlabel="norepinephrine (ug/kg/min)", ylabel="mean arterial pressure (mmHg)", xlim=(0.0, top))
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def pressure_fans(
    ahead: Mapping[str, Forecast] | Sequence[Forecast], *, limits: tuple[float, float] = (65.0, 85.0)
) -> Picture:
    """Draw forecasts of mean arterial pressure under several treatments side by side, each with its risks.

    Parameters
    ----------
    ahead : mapping of str to Forecast, or a sequence
        By the words that name the treatment; from the same twin and key.
    limits : (float, float), mmHg
        Drawn as lines; the probability of being below the first or above the second at any time stands over the panel.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If there is no forecast, or one has no mean arterial pressure.
    """
    named = dict(ahead) if isinstance(ahead, Mapping) else {f"plan {i + 1}": one for i, one in enumerate(ahead)}
    if not named:
        raise ValueError("Argument `ahead` must hold at least one forecast.")
    figure, grid = sheet(3.4, f"Bands: 50, 80 and 95 % of future measurements. {NOTE}", 1, len(named), sharey=True)
    for axis, (name, one) in zip(grid[0], named.items(), strict=True):
        if _MAP not in one.group("predictions"):
            raise ValueError(f"Forecast {name!r} has no variable `{_MAP}`.")
        band(axis, one.times - one.now, flat_draws(one.group("predictions"), _MAP))
        low, high = (risk(one, f"{_MAP} {sign} {limit:g} mmHg") for sign, limit in zip("<>", limits, strict=True))
        axis.set_title(
            f"{name}\nP(< {limits[0]:g}) = {low.probability:.2f}\nP(> {limits[1]:g}) = {high.probability:.2f}",
            fontsize=8.5,
        )
        _lines(axis, limits)
        axis.set_xlabel("min from now")
        axis.tick_params(labelsize=8.5)
        axis.spines[["top", "right"]].set_visible(False)
    grid[0, 0].set_ylabel("mean arterial pressure (mmHg)")
    return figure


def _lines(axis, limits) -> None:
    for limit in limits:
        axis.axhline(limit, color=_LIMIT, lw=0.9, ls=(0, (1, 2)))


def _sentence(running: float, now: np.ndarray) -> str:
    low, middle, high = np.quantile(now, [0.05, 0.5, 0.95])
    shown = ", ".join(f"{100 * probability:.0f}" for probability, _ in BANDS)
    return (
        f"At {running:.3g} ug/kg/min {middle:.0f} mmHg (90 %: {low:.0f} to {high:.0f}). Bands: {shown} %. Gray: what "
        "was believed of the drug before. Charted doses follow pressure: the prior, more than the data, tells what a "
        f"change would do. {NOTE}"
    )
