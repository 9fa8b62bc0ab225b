"""What a circulation person looks at: pressure-volume loops, and where venous return meets the heart."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ...models.cardiovascular.preload import Preload
from ...models.cardiovascular.smith import Beat
from .sheet import BANDS, BLACK, BLUE, GREEN, INPUT_COLORS, NOTE, Picture, sheet

_COLORS = (BLUE, *INPUT_COLORS, BLACK)
_POINTS = 80


def pressure_volume(beats: Mapping[str, Beat]) -> Picture:
    """Draw the pressure-volume loops of both ventricles, each beat closed.

    Parameters
    ----------
    beats : mapping of str to Beat
        Labels to beats, as from `steady_beat`.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If there is no beat.
    """
    if not beats:
        raise ValueError(
            'Argument `beats` is empty: give at least one, for example {"now": steady_beat(heart, 1500.0)}.'
        )
    strokes = [float(np.ptp(np.asarray(beat.chambers.left_ventricle))) for beat in beats.values()]
    told = ", ".join(f"{label} {stroke:.0f} mL" for label, stroke in zip(beats, strokes, strict=True))
    figure, grid = sheet(3.9, f"Stroke volume: {told}. {NOTE}", 1, 2)
    for axis, side in zip(grid[0], ("left", "right"), strict=True):
        for i, (label, beat) in enumerate(beats.items()):
            volumes = np.asarray(getattr(beat.chambers, f"{side}_ventricle"))
            values = np.asarray(getattr(beat.pressures, f"{side}_ventricle"))
            closed = np.append(np.arange(len(volumes)), 0)
            axis.plot(volumes[closed], values[closed], color=_COLORS[i % len(_COLORS)], lw=1.6, label=label)
        axis.set(title=f"{side} ventricle", xlabel="volume (mL)", ylabel="pressure (mmHg)")
        axis.spines[["top", "right"]].set_visible(False)
    grid[0, 0].legend(frameon=False, fontsize=8.5)
    return figure


def guyton(model: Preload, draws: Mapping[str, np.ndarray], *, fluid: float = 250.0) -> Picture:
    """Draw venous return and cardiac output against central venous pressure, with bands, before and after fluid.

    Parameters
    ----------
    model : Preload
        Its values stand for whatever `draws` does not name; the reflex is at rest and no breath is drawn.
    draws : mapping of str to (draw,)
        Parameters by name, as from a twin's posterior.
    fluid : float, mL

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If `draws` is empty, names no parameter of the model, or its arrays differ in length.
    """
    names = tuple(draws)
    unknown = [name for name in names if name not in model.parameters()]
    lengths = {len(draws[name]) for name in names}
    if not names or unknown or len(lengths) != 1:
        raise ValueError(
            "Argument `draws` must hold arrays of one length by parameter of `Preload`, but "
            + (f"`{unknown[0]}` is none." if unknown else f"its arrays have the lengths {sorted(lengths)}.")
        )
    values = jnp.asarray(np.stack([np.asarray(draws[name], float) for name in names], axis=1))
    venous = np.linspace(0.0, 25.0, _POINTS)
    heart, before, after, gain = (np.asarray(x) for x in _curves(model, names, values, venous, fluid))
    figure, ((axis,),) = sheet(4.4, _sentence(gain, fluid), 1, 1)
    for curves, color, label in (
        (heart, BLUE, "the heart"),
        (before, GREEN, "venous return"),
        (after, INPUT_COLORS[1], f"venous return after {fluid:.0f} mL"),
    ):
        for ci_prob, shade in BANDS:
            low, high = np.quantile(curves, [0.5 - ci_prob / 2, 0.5 + ci_prob / 2], axis=0)
            axis.fill_between(venous, low, high, color=color, alpha=shade, lw=0)
        axis.plot(venous, np.median(curves, axis=0), color=color, lw=1.8, label=label)
    axis.set(xlabel="central venous pressure (mmHg)", ylabel="flow (L/min)", xlim=(0.0, venous[-1]))
    axis.set_ylim(0.0, 1.2 * float(np.quantile(heart[:, -1], 0.9)))
    axis.legend(frameon=False, fontsize=8.5)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _curves(model, names, values, venous, fluid):
    """Return both curves at each venous pressure, and the relative gain of stroke volume by the fluid."""

    def one(row):
        patient = model.install(names, row)
        S, K = patient.greatest_stroke_volume, patient.half_filling
        heart = patient.resting_heart_rate * S * venous / (venous + K) / 1000.0
        systemic = jnp.stack([patient.stressed_volume, patient.stressed_volume + fluid]) / patient.venous_compliance
        returned = jnp.maximum(systemic[:, None] - venous, 0.0) / patient.venous_resistance
        strokes = jax.vmap(lambda p: patient.meet(p, patient.resting_heart_rate).stroke_volume)(systemic)
        return heart, returned[0], returned[1], strokes[1] / strokes[0] - 1.0

    return jax.vmap(one)(values)


def _sentence(gain, fluid) -> str:
    low, middle, high = np.quantile(100.0 * gain, [0.05, 0.5, 0.95])
    return (
        f"{fluid:.0f} mL raise stroke volume by {middle:.0f} % (90 % of draws: {low:.0f} to {high:.0f} %); by more "
        f"than 10 % with probability {np.mean(gain > 0.1):.2f}. Bands: 50, 80, 95 %. {NOTE}"
    )
