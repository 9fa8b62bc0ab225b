"""A trial of protocols at a glance: courses, paired differences, distribution, and time in bands."""

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

from ...decisions.trial import Trial
from ...patient.require import require_kinds
from .sheet import BLACK, BLUE, GRAY, GREEN, INPUT_COLORS, NOTE, Picture, literal, sheet

_COLORS = (BLUE, INPUT_COLORS[0], GREEN, INPUT_COLORS[2], INPUT_COLORS[1], INPUT_COLORS[3], BLACK, GRAY)
# What is shown of a plant, the first that it has: the outcome compared, and where the bands begin.
_SHOWN = {
    "glucose": ("in_4.4_to_8.0", (4.0, 4.4, 8.0, 10.0)),
    "mean_arterial_pressure": ("within_5", (60.0, 65.0, 75.0, 85.0)),
    "plateau_pressure": ("driving_above_15", (20.0, 25.0, 30.0)),
    "pulse_saturation": ("saturation_below_88", (88.0, 92.0, 96.0)),
}
_POINTS = 400


def trial(trial: Trial, *, variable: str | None = None, outcome: str | None = None) -> Picture:
    """Draw a trial: time courses of the arms, paired differences, cumulative distribution, and time in bands.

    Parameters
    ----------
    trial : Trial
    variable : str, optional
        An output of the plant; the first that the library knows by default.
    outcome : str, optional
        Compared between the first arm and each other, patient by patient.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If the trial has no such variable or outcome.
    """
    require_kinds(trial=(trial, Trial))
    truth = trial.group("truth")
    names = [str(name) for name in truth.data_vars]
    chosen = next((name for name in _SHOWN if name in names), names[0]) if variable is None else variable
    if chosen not in names:
        raise ValueError(f"The trial has no `{chosen}`: it has {', '.join(names)}.")
    usual, edges = _SHOWN.get(chosen, ("", ()))
    compared = usual if outcome is None else outcome
    if not edges:
        edges = tuple(float(x) for x in np.nanquantile(truth[chosen].values, [0.05, 0.25, 0.75, 0.95]))
    figure, axes = sheet(6.6, _sentence(trial), 2, 2)
    unit = truth[chosen].attrs.get("units", "")
    _courses(axes[0, 0], trial, chosen, unit, edges)
    _differences(axes[0, 1], trial, compared)
    _distribution(axes[1, 0], trial, chosen, unit, edges)
    _bands(axes[1, 1], trial, chosen, unit, edges)
    for axis in axes.ravel():
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8.5)
    return figure


def _sentence(trial: Trial) -> str:
    about = trial.provenance
    changed = "" if about["mismatch"] == "none" else f" Put in: {about['mismatch']}."
    failed = sum(trial.solves_failed.values())
    left_out = f" {failed} could not be solved and are left out." if failed else ""
    return (
        f"{trial.patients} virtual patients for {about['hours']:g} h, the same in every arm; all numbers from the "
        f"latent truth.{changed}{left_out} {NOTE}"
    )


def _values(trial: Trial, name: str, arm: str) -> np.ndarray:
    """Return one output of the patients that were solved, (patient, time)."""
    solved = trial.group("outcomes")["solved"].sel(arm=arm).values.astype(bool)
    return trial.group("truth")[name].sel(arm=arm).values[solved]


def _courses(axis: Axes, trial: Trial, name: str, unit: str, edges) -> None:
    hours = trial.group("truth")["time"].values / 60.0
    every = max(1, len(hours) // 300)
    for arm, color in zip(trial.arms, _COLORS, strict=False):
        low, middle, high = np.quantile(_values(trial, name, arm)[:, ::every], [0.25, 0.5, 0.75], axis=0)
        axis.fill_between(hours[::every], low, high, color=color, alpha=0.13, lw=0)
        axis.plot(hours[::every], middle, color=color, lw=1.5, label=literal(arm))
    for edge in edges[1:3]:
        axis.axhline(edge, color=GRAY, lw=0.8, ls=(0, (4, 3)))
    axis.set_title("Median over patients, and quartiles", fontsize=9.5, loc="left")
    axis.set(xlabel="time since the trial began (h)", ylabel=f"{name.replace('_', ' ')} ({unit})")
    axis.legend(fontsize=8, frameon=False, ncols=2)


def _differences(axis: Axes, trial: Trial, outcome: str) -> None:
    if len(trial.arms) < 2 or not outcome:
        axis.text(
            0.5, 0.5, "one arm: nothing to compare", ha="center", transform=axis.transAxes, fontsize=9, color=GRAY
        )
        axis.set(xticks=[], yticks=[])
        return
    first = trial.arms[0]
    rng = np.random.default_rng(0)  # the places of dots, no chance of the trial
    axis.axvline(0.0, color=GRAY, lw=0.8)
    for place, arm in enumerate(trial.arms[1:]):
        found = trial.difference(outcome, arm, first)
        apart = trial.outcome(outcome, arm) - trial.outcome(outcome, first)
        apart = apart[np.isfinite(apart)][:_POINTS]
        color = _COLORS[(place + 1) % len(_COLORS)]
        axis.plot(apart, place + rng.uniform(-0.28, 0.28, apart.size), ".", color=color, ms=4, alpha=0.45, mew=0)
        axis.errorbar(
            found.mean, place, xerr=[[found.mean - found.low], [found.high - found.mean]], color=BLACK, capsize=4,
            marker="o", ms=4, lw=1.4,
        )  # fmt: skip
    about = trial.group("outcomes")[outcome].attrs
    axis.set_yticks(range(len(trial.arms) - 1), [literal(f"{arm} less {first}") for arm in trial.arms[1:]])
    axis.set_ylim(len(trial.arms) - 1.5, -0.5)
    axis.set_title("Paired differences; mean and 95 % interval", fontsize=9.5, loc="left")
    axis.set_xlabel(f"{about.get('long_name', outcome)} ({about.get('units', '')})", fontsize=8.5)


def _distribution(axis: Axes, trial: Trial, name: str, unit: str, edges) -> None:
    share = np.linspace(0.0, 1.0, 400)
    for arm, color in zip(trial.arms, _COLORS, strict=False):
        axis.plot(np.quantile(_values(trial, name, arm), share), 100.0 * share, color=color, lw=1.4)
    every = np.concatenate([_values(trial, name, arm).ravel() for arm in trial.arms])
    low, high = np.quantile(every, [0.001, 0.995])
    for edge in edges:
        axis.axvline(edge, color=GRAY, lw=0.8, ls=(0, (4, 3)))
    axis.set_xlim(min(low, edges[0]), max(high, edges[-1]))
    axis.set_ylim(0, 100)
    axis.set_title("Cumulative distribution over all time", fontsize=9.5, loc="left")
    axis.set(xlabel=f"{name.replace('_', ' ')} ({unit})", ylabel="share of time (%)")


def _bands(axis: Axes, trial: Trial, name: str, unit: str, edges) -> None:
    limits = (-np.inf, *edges, np.inf)
    middle = (len(limits) - 2) // 2
    below = ("#7F2704", "#D55E00", "#F2B48C")[-middle:] if middle else ()
    above = ("#BFD7EA", "#6BAED6", "#08306B")
    colors = [*below, GREEN, *above][: len(limits) - 1]
    words = [
        f"< {edges[0]:g}",
        *(f"{a:g}–{b:g}" for a, b in pairwise(edges)),
        f"≥ {edges[-1]:g}",
    ]
    left = np.zeros(len(trial.arms))
    for low, high, color, word in zip(limits[:-1], limits[1:], colors, words, strict=True):
        shares = np.array(
            [100.0 * np.mean((v >= low) & (v < high)) for v in (_values(trial, name, arm) for arm in trial.arms)]
        )
        axis.barh(range(len(trial.arms)), shares, left=left, color=color, height=0.62, label=word)
        for place, (start, share) in enumerate(zip(left, shares, strict=True)):
            if share >= 7.0:
                dark = color in {"#7F2704", "#08306B", "#D55E00", GREEN}
                axis.text(
                    start + share / 2, place, f"{share:.0f}", ha="center", va="center", fontsize=8,
                    color="white" if dark else "black",
                )  # fmt: skip
        left += shares
    axis.set_yticks(range(len(trial.arms)), [literal(arm) for arm in trial.arms])
    axis.set_ylim(len(trial.arms) - 0.4, -1.3)
    axis.set_xlim(0, 100)
    axis.set_title("Time in bands", fontsize=9.5, loc="left")
    axis.set_xlabel("share of time (%)")
    axis.legend(fontsize=7.5, frameon=False, ncols=len(words), loc="upper center", title=unit, title_fontsize=7.5,
                columnspacing=0.9, handlelength=1.0)  # fmt: skip
