"""How the forecasts of a study came out: reliability, PIT, coverage, and single patients."""

import numpy as np
import pandas as pd

from ...forecasting.risk import Event
from ...inference.update import LEVELS
from ...patient.require import require_kinds
from ...validation.score import quantiles
from ...validation.study.figures import Study
from .sheet import BLACK, BLUE, GRAY, GREEN, INPUT_COLORS, NOTE, Picture, literal, nested, sheet

_BINS = 10
_COLORS = (BLUE, INPUT_COLORS[0], GREEN, INPUT_COLORS[2], GRAY, INPUT_COLORS[1], INPUT_COLORS[3], BLACK)


def coverage(study: Study) -> Picture:
    """Draw the share of measurements inside intervals of every level, by class of hours ahead.

    Parameters
    ----------
    study : Study

    Returns
    -------
    Picture
    """
    require_kinds(study=(study, Study))
    frame = study.summary()
    frame = frame[frame["forecaster"] == "twin"]
    levels = np.array(study.protocol.levels)
    sentence = (
        "Share of measurements inside the twin's equal-tailed intervals, means over patients, with 90 % intervals of a "
        f"bootstrap over patients; on the line intervals hold what they say. {NOTE}"
    )
    figure, grid = sheet(3.4, sentence, 1, 1)
    axis = grid[0, 0]
    axis.plot([0, 1], [0, 1], color=GRAY, lw=1.0, ls="--")
    for place, (row, color) in enumerate(zip(frame.to_dict("records"), _COLORS * len(frame), strict=False)):
        names = [f"covered {100 * level:g} %" for level in levels]
        middle, low, high = (np.array([row[f"{name}{end}"] for name in names]) for end in ("", "_low", "_high"))
        away = 0.006 * (place - (len(frame) - 1) / 2)
        label = literal(f"{str(row['variable']).replace('_', ' ')}, {row['horizon']}, {row['patients']} patients")
        axis.errorbar(levels + away, middle, [middle - low, high - middle], fmt="o", ms=4, color=color, label=label)
    axis.set(xlabel="stated probability of the interval", ylabel="share inside", xlim=(0.3, 1.02), ylim=(0.3, 1.02))
    axis.legend(fontsize=8, frameon=False, loc="upper left")
    return _plain(figure, [axis])


def pit(study: Study) -> Picture:
    """Draw where measurements lay in the twin's forecasts: a histogram of their PIT for each class of hours ahead.

    Parameters
    ----------
    study : Study

    Returns
    -------
    Picture
    """
    require_kinds(study=(study, Study))
    mine = study.judged[(study.judged["forecaster"] == "twin") & ~study.judged["stood_in"]]
    groups = list(mine.groupby(["variable", "horizon"], sort=False))
    sentence = (
        "Probability that the twin gave to less than what came. Flat is right (dashed); a hill says that intervals are "
        f"too wide, a valley too narrow, a slope that forecasts are shifted. {NOTE}"
    )
    figure, grid = sheet(2.4, sentence, 1, max(1, len(groups)), sharey=True)
    for axis, ((variable, horizon), rows) in zip(grid[0], groups, strict=True):
        values = rows["pit"].dropna().to_numpy()
        axis.hist(
            values, bins=_BINS, range=(0, 1), weights=np.full(len(values), _BINS / max(1, len(values))), color=BLUE
        )
        axis.axhline(1.0, color=GRAY, lw=1.0, ls="--")
        axis.set(
            title=literal(f"{variable.replace('_', ' ')}, {horizon}"),
            xlabel=f"PIT of {len(values)} forecasts",
            xlim=(0, 1),
        )
        axis.title.set_fontsize(9)
    grid[0, 0].set_ylabel("density")
    return _plain(figure, list(grid[0]))


def reliability(study: Study, event: str, *, rival: str = "regression") -> Picture:
    """Draw how often an event came against the probability that was stated.

    Parameters
    ----------
    study : Study
    event : str
        One of the study's.
    rival : str
        A forecaster to be drawn beside the twin.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If the study has no such event.
    """
    require_kinds(study=(study, Study))
    if event not in study.protocol.events:
        raise ValueError(f"The study has no event {event!r}; it has: {', '.join(study.protocol.events) or 'none'}.")
    read = Event.read(event, study.units())
    sentence = (
        f"Above: share of forecasts after which `{literal(event)}` was measured, against the probability stated; on "
        f"the line they agree. Below: how many forecasts stated it. {NOTE}"
    )
    figure, grid = sheet(3.8, sentence, 2, 1, sharex=True, height_ratios=(3, 1))
    above, below = grid[:, 0]
    above.plot([0, 1], [0, 1], color=GRAY, lw=1.0, ls="--")
    edges = np.linspace(0, 1, _BINS + 1)
    for name, color in (("twin", BLUE), (rival, INPUT_COLORS[0])):
        stated, happened, _ = study.stated(read, name)
        if not len(stated):
            continue
        place = np.clip(np.digitize(stated, edges) - 1, 0, _BINS - 1)
        count = np.bincount(place, minlength=_BINS)
        some = count > 0
        mean, share = (np.bincount(place, x, _BINS)[some] / count[some] for x in (stated, happened.astype(float)))
        above.plot(mean, share, "-o", ms=4, lw=1.2, color=color, label=name)
        below.stairs(count, edges, color=color, lw=1.2)
    above.set(ylabel="share in which it came", xlim=(0, 1), ylim=(-0.02, 1.02))
    below.set(xlabel="stated probability", ylabel="forecasts", yscale="symlog")
    above.legend(fontsize=8, frameon=False, loc="upper left")
    return _plain(figure, [above, below])


def patients(study: Study) -> Picture:
    """Draw the forecasts for the patient with the lowest, the middle and the highest score, and what came.

    Parameters
    ----------
    study : Study

    Returns
    -------
    Picture
    """
    require_kinds(study=(study, Study))
    main = study.protocol.inclusion.keep[0]
    mine = study.judged[(study.judged["forecaster"] == "twin") & (study.judged["variable"] == main)]
    scores = mine.groupby("patient")["crps"].mean().dropna().sort_values()
    chosen = (
        list(dict.fromkeys([scores.index[0], scores.index[len(scores) // 2], scores.index[-1]])) if len(scores) else []
    )
    sentence = (
        "Each forecast of the twin where it was made for (bands of 50, 80 and 95 %), and what was then measured "
        f"(points). The patients with the lowest, the middle and the highest mean CRPS. {NOTE}"
    )
    figure, grid = sheet(1.9 * max(1, len(chosen)), sentence, max(1, len(chosen)), 1)
    unit = str(mine["unit"].iloc[0]) if len(mine) else ""
    for axis, patient, name in zip(
        grid[:, 0], chosen, ("best", "middle", "worst")[-len(chosen) :] if chosen else (), strict=True
    ):
        rows = mine[mine["patient"] == patient]
        rows = rows[rows["stay"] == rows["stay"].iloc[0]].drop_duplicates("time", keep="last").sort_values("time")
        _fan(axis, study, rows)
        axis.set(ylabel=f"{literal(main.replace('_', ' '))}\n({literal(unit)})")
        axis.set_title(f"{name}, CRPS {scores[patient]:.2g}", fontsize=9, loc="left")
    grid[-1, 0].set_xlabel("time since the record's origin (h)")
    return _plain(figure, list(grid[:, 0]))


def _fan(axis, study: Study, rows: pd.DataFrame) -> None:
    bands = []
    for i in rows.index:
        members = study.scores.members[i]
        known = np.isfinite(members)
        weights = study.scores.weights[i]
        bands.append(quantiles(members[known], LEVELS, None if weights is None else weights[known]))
    hours = rows["time"].to_numpy() / 60.0
    nested(axis, hours, np.array(bands).T)
    axis.plot(hours, rows["value"], "o", ms=3, color=BLACK)


def _plain(figure: Picture, axes) -> Picture:
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8.5)
    return figure
