"""The figures of a study: every forecaster on the same pairs, groups of patients, thresholds stated beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ...display import section, table
from ...forecasting.risk import Event
from ..probabilities import judge_probabilities, mean_interval, net_benefit
from ..score import MEASURES, Scores, log_score, of_draws, quantiles

if TYPE_CHECKING:
    from .protocol import Protocol, Subgroup

_KEYS = ["forecaster", "variable", "horizon"]
_MANY = 20  # pairs from which a patient's own coverage is a figure
_THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True)
class Study:
    """The results of a study, read from its store.

    Attributes
    ----------
    protocol : Protocol
        As stated before the results.
    flow : pandas.DataFrame
        One row per stay: patient, stay (number), fate ("rolled", "excluded" or "failed"), reason, hours, pairs, and one
        column per fate of the rows that were read.
    scores : Scores
        Every forecaster on every pair; `pairs` has patient, stay and stood_in. Where a twin's forecast failed, that of
        "other patients" stands in its place (its prior's where there is none), so that a twin is not scored on easier
        pairs for having failed on hard ones.
    origins : pandas.DataFrame
        One row per fit or update: patient, stay, origin, method, khat, failed_solves, failed.
    seconds : mapping of str to float
        What each patient took.
    data : str
        What tells the extract from another.
    """

    protocol: Protocol
    flow: pd.DataFrame
    scores: Scores
    origins: pd.DataFrame
    seconds: Mapping[str, float]
    data: str = ""

    @cached_property
    def judged(self) -> pd.DataFrame:
        """One row per forecaster and pair: `Scores.table`, log_score, and `covered <level>` for every level."""
        frame = self.scores.table(ci_prob=0.9)
        levels = self.protocol.levels
        inside = np.full((len(frame), len(levels)), np.nan)
        logs = np.full(len(frame), np.nan)
        values = frame["value"].to_numpy(float)
        for row, value in enumerate(values):
            known, shares = self._known(row)
            if len(known) < 2:
                continue
            lower = quantiles(known, [(1 - p) / 2 for p in levels], shares)
            upper = quantiles(known, [(1 + p) / 2 for p in levels], shares)
            inside[row] = (lower <= value) & (value <= upper)
            logs[row] = log_score(value, known, shares)
        columns = {f"covered {100 * p:g} %": inside[:, i] for i, p in enumerate(levels)}
        return frame.assign(log_score=logs, **columns)

    def per_patient(self) -> pd.DataFrame:
        """Return means over each patient's pairs, all stays together, by forecaster, variable and horizon."""
        return self._each.copy()

    @cached_property
    def _each(self) -> pd.DataFrame:
        columns = [*MEASURES, "log_score", *self._covered()]
        grouped = self.judged.groupby([*_KEYS, "patient"], sort=False)
        found = grouped[columns].mean()
        found["absolute_percentage_error"] = grouped["absolute_percentage_error"].median()
        return found.assign(pairs=grouped.size(), failed=grouped["stood_in"].sum()).reset_index()

    def summary(self) -> pd.DataFrame:
        """Return means over patients of the patients' figures, with 90 % intervals of a bootstrap over patients.

        Returns
        -------
        frame : pandas.DataFrame
            One row per forecaster, variable and horizon: patients, pairs, failed; coverage, width, interval_score,
            crps, log_score, bias, mean_absolute_error, median_absolute_percentage_error and coverage at every level,
            most with `_low` and `_high`; lowest_coverage among patients with at least 20 pairs.
        """
        return self._summary.copy()

    @cached_property
    def _summary(self) -> pd.DataFrame:
        rows = [
            {**dict(zip(_KEYS, keys, strict=True)), **self._means(group)}
            for keys, group in self._each.groupby(_KEYS, sort=False)
        ]
        return pd.DataFrame(rows)

    def _means(self, group: pd.DataFrame) -> dict[str, float]:
        names = {
            "covered": "coverage", "interval_score": "interval_score", "crps": "crps", "log_score": "log_score",
            "absolute_error": "mean_absolute_error",
            "absolute_percentage_error": "median_absolute_percentage_error",
            **{name: name for name in self._covered()},
        }  # fmt: skip
        found: dict[str, float] = {
            "patients": len(group), "pairs": int(group["pairs"].sum()), "failed": int(group["failed"].sum()),
            "width": float(group["width"].mean()), "bias": float(group["error"].mean()),
        }  # fmt: skip
        for column, name in names.items():
            values = group[column].to_numpy(float)
            values = values[np.isfinite(values)]
            found[name] = float(values.mean()) if len(values) else np.nan
            found[f"{name}_low"], found[f"{name}_high"] = mean_interval(values, seed=self.protocol.seed)
        many = group.loc[group["pairs"] >= _MANY, "covered"]
        return {**found, "lowest_coverage": float(many.min()) if len(many) else np.nan}

    def _covered(self) -> list[str]:
        return [f"covered {100 * level:g} %" for level in self.protocol.levels]

    def ratio(self, figure: str, variable: str, horizon: str, rival: str) -> tuple[float, float, float]:
        """Return the twin's mean over patients to a rival's on the patients both have, and its 90 % interval."""
        column = {"coverage": "covered", "mean_absolute_error": "absolute_error",
                  "median_absolute_percentage_error": "absolute_percentage_error"}.get(figure, figure)  # fmt: skip
        each = self._each
        each = each[(each["variable"] == variable) & (each["horizon"] == horizon)].set_index("patient")
        twin, other = (each.loc[each["forecaster"] == name, column].dropna() for name in ("twin", rival))
        both = twin.index.intersection(other.index)
        if both.empty:
            return np.nan, np.nan, np.nan
        a, b = twin[both].to_numpy(float), other[both].to_numpy(float)
        return (float(a.mean() / b.mean()), *mean_interval(a, over=b, seed=self.protocol.seed))

    def thresholds(self) -> pd.DataFrame:
        """Return every threshold stated beforehand with what came: passed, failed, or not done.

        Returns
        -------
        frame : pandas.DataFrame
            Columns threshold (in words), figure, low, high (its 90 % interval) and verdict.
        """
        rows = []
        summary = self._summary.set_index(_KEYS)
        for one in self.protocol.thresholds:
            variable = one.variable or self.protocol.inclusion.keep[0]
            place, value, low, high = ("twin", variable, one.horizon), np.nan, np.nan, np.nan
            if place in summary.index:
                if one.relative_to:
                    value, low, high = self.ratio(one.figure, variable, one.horizon, one.relative_to)
                else:
                    found = summary.loc[place]
                    value, low, high = (float(found.get(f"{one.figure}{end}", np.nan)) for end in ("", "_low", "_high"))
            verdict = "not done" if np.isnan(value) else ("passed" if one.holds(value) else "failed")
            rows.append({"threshold": one.said(), "figure": value, "low": low, "high": high, "verdict": verdict})
        return pd.DataFrame(rows, columns=["threshold", "figure", "low", "high", "verdict"])

    def events(self) -> pd.DataFrame:
        """Return how well each forecaster's probabilities of the stated events agree with what happened.

        Returns
        -------
        frame : pandas.DataFrame
            One row per event, forecaster and horizon: the figures of `judge_probabilities`; threshold_weighted_crps,
            that of values cut at the event's limit; `net_benefit <threshold>`.
        """
        rows = []
        pairs = self.scores.pairs
        for text in self.protocol.events:
            event = Event.read(text, self.units())
            these = pairs[pairs["variable"] == event.output]
            for (forecaster, horizon), _ in these.groupby(["forecaster", "horizon"], sort=False):
                figures = self._event(event, forecaster, horizon)
                if figures:
                    rows.append({"event": text, "forecaster": forecaster, "horizon": horizon, **figures})
        return pd.DataFrame(rows)

    def stated(
        self, event: Event, forecaster: str, horizon: str | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what a forecaster said of an event, (forecast,) probabilities, whether it came, and the pairs' places.

        Forecasts without a distribution say nothing of probabilities, and are left out.
        """
        pairs = self.scores.pairs
        mine = (pairs["forecaster"] == forecaster) & (pairs["variable"] == event.output)
        if horizon is not None:
            mine &= pairs["horizon"] == horizon
        found = np.flatnonzero(mine)
        places = np.array([i for i in found if np.isfinite(self.scores.members[i]).sum() > 1], int)
        probabilities = np.zeros(len(places))
        for row, i in enumerate(places):
            members, shares = self._known(i)
            happens = event.happens(members[:, None])
            probabilities[row] = np.mean(happens) if shares is None else shares @ happens
        return probabilities, event.happens(pairs["value"].to_numpy(float)[places][:, None]), places

    def _known(self, place: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the draws of a forecast that are numbers, and their probabilities where they differ."""
        members, weights = self.scores.members[place], self.scores.weights[place]
        known = np.isfinite(members)
        return members[known], None if weights is None else weights[known] / weights[known].sum()

    def _event(self, event: Event, forecaster: str, horizon: str) -> dict[str, float]:
        stated, happened, places = self.stated(event, forecaster, horizon)
        if not len(places):
            return {}
        pairs, cut = self.scores.pairs.iloc[places], np.minimum if event.low else np.maximum
        known = [self._known(i) for i in places]
        cropped = of_draws(
            cut(pairs["value"].to_numpy(float), event.limit), [cut(members, event.limit) for members, _ in known],
            weights=[shares for _, shares in known],
        ).table()["crps"].to_numpy(float)  # fmt: skip
        benefit = net_benefit(stated, happened, _THRESHOLDS)
        return {
            **judge_probabilities(stated, happened, pairs["patient"].to_numpy(), seed=self.protocol.seed),
            "threshold_weighted_crps": float(np.mean(cropped)),
            **{f"net_benefit {t:g}": float(b) for t, b in zip(_THRESHOLDS, benefit, strict=True)},
        }

    def units(self) -> dict[str, str]:
        """Return the unit of each output of the model."""
        model = self.protocol.model.build()
        return {name: declared.unit for name, declared in model.quantities(model.Output).items()}

    def subgroups(self) -> pd.DataFrame:
        """Return the twin's figures by subgroup; cells of fewer patients than the study allows are suppressed.

        Returns
        -------
        frame : pandas.DataFrame
            Columns subgroup, group, horizon, patients, pairs, coverage, interval_score, mean_absolute_error; of a
            suppressed cell everything but its name is missing.
        """
        each = self._each
        each = each[each["forecaster"] == "twin"]
        rows = []
        for one in self.protocol.subgroups:
            groups = each["patient"].map(self._groups(one))
            for (group, horizon), mine in each.groupby([groups, "horizon"], sort=True):
                row = {"subgroup": one.covariate, "group": group, "horizon": horizon}
                if len(mine) >= self.protocol.smallest_cell:
                    row |= {
                        "patients": len(mine), "pairs": int(mine["pairs"].sum()), "coverage": mine["covered"].mean(),
                        "interval_score": mine["interval_score"].mean(),
                        "mean_absolute_error": mine["absolute_error"].mean(),
                    }  # fmt: skip
                rows.append(row)
        columns = [
            "subgroup",
            "group",
            "horizon",
            "patients",
            "pairs",
            "coverage",
            "interval_score",
            "mean_absolute_error",
        ]
        return pd.DataFrame(rows, columns=columns)

    def _groups(self, one: Subgroup) -> dict[str, str]:
        found: dict[str, str] = {}
        for row in self.flow.itertuples():
            value = row.covariates.get(one.covariate) if isinstance(row.covariates, Mapping) else None
            if value is None:
                found.setdefault(row.patient, "unknown")
            elif one.edges:
                place = int(np.searchsorted(one.edges, float(value), side="right"))
                bounds = ["", *(f"{edge:g}" for edge in one.edges), ""]
                low, high = bounds[place], bounds[place + 1]
                found[row.patient] = f"{low}–{high}" if low and high else (f"< {high}" if high else f"≥ {low}")
            else:
                found[row.patient] = str(value)
        return found

    def __str__(self) -> str:
        """Say how many stays went where, and what the thresholds came to."""
        fates = self.flow["fate"].value_counts()
        said = ", ".join(f"{count} {fate}" for fate, count in fates.items())
        verdicts = "; ".join(
            f"{row.threshold}: {row.figure:.3g}, {row.verdict}" for row in self.thresholds().itertuples()
        )
        return f"{self.protocol.title}: {len(self.flow)} stays ({said}). {verdicts or 'No threshold was stated.'}"

    def _repr_html_(self) -> str:
        frame = self.summary()[[*_KEYS, "patients", "pairs", "failed", "coverage", "interval_score", "crps"]]
        rows = [tuple(row) for row in frame.itertuples(index=False)]
        return section(self.protocol.title, table("Means over patients.", tuple(frame.columns), rows))
