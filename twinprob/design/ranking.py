"""Candidate measurements in the order of what they are expected to teach, with errors, ties and words."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..display import paragraph, section, table
from ..inference.methods.sampled import TRUSTED
from .preposterior import Nested

_CURVED = 0.1
_HARDLY = 0.05


@dataclass(frozen=True)
class Ranking:
    """Candidate measurements, best first.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per candidate: candidate, rank (shared by those that cannot be told apart), expected (the loss
        expected after it), mcse, reduction (as a share of the loss now), reduction_mcse; the loss by the
        linear-Gaussian path and by nested Monte Carlo: linear, linear_mcse, nested, nested_mcse; khat (of its weights,
        the 90th percentile over simulated measurements), solves_failed.
    quantity : str
        What is asked.
    loss : str
        What is to be reduced, with its scale.
    now : float
        The loss without any of them.
    settled : bool
        Whether a decision is clear already: fewer than two draws speak against it.
    draws : int
    effective_draws : float
        Independent draws that they are worth; the errors allow for it.
    notes : tuple of str
        What the reader should know of the figures.
    """

    frame: pd.DataFrame
    quantity: str
    loss: str
    now: float
    settled: bool
    draws: int
    effective_draws: float
    notes: tuple[str, ...]

    @property
    def best(self) -> str:
        """The candidate with the smallest expected loss."""
        return str(self.frame["candidate"].iloc[0])

    @property
    def tied(self) -> tuple[str, ...]:
        """The candidates that share the first rank, the best among them."""
        return tuple(self.frame["candidate"][self.frame["rank"] == 1])

    def to_frame(self) -> pd.DataFrame:
        """Return the table, best candidate first."""
        return self.frame.copy()

    def __str__(self) -> str:
        """Say the ranking in words."""
        lines = [self._verdict()]
        for row in self.frame.itertuples():
            lines.append(
                f"  {row.rank}. {row.candidate}: {_percent(row.reduction, row.reduction_mcse)}"
                + (f" (nested Monte Carlo {1 - row.nested / self.now:.0%})" if math.isfinite(row.nested) else "")
            )
        return "\n".join([*lines, *(f"  Note: {note}" for note in self.notes)])

    def _verdict(self) -> str:
        top, others = self.frame.iloc[0], [name for name in self.tied if name != self.best]
        begin = f"To know {self.quantity}: "
        if self.settled:
            return f"{begin}none of these measurements is needed; the {self.loss} is {self.now:.2g} at most."
        if not top["reduction"] > 2 * top["reduction_mcse"]:
            return f"{begin}none of these measurements is expected to tell anything; the {self.loss} is {self.now:.3g}."
        equal = f"; not to be told from it: {', '.join(others)}" if others else ""
        if top["reduction"] < _HARDLY:
            return (
                f"{begin}none of these measurements would tell much. The best, {self.best}, is expected to lower the "
                f"{self.loss} from {self.now:.3g} to {top['expected']:.3g}."
            )
        return (
            f"{begin}measure {self.best}. It is expected to lower the {self.loss} from {self.now:.3g} to "
            f"{top['expected']:.3g}, by {_percent(top['reduction'], top['reduction_mcse'])}{equal}."
        )

    def _repr_html_(self) -> str:
        rows = [
            (str(r.rank), r.candidate, float(r.expected), _percent(r.reduction, r.reduction_mcse), float(r.nested))
            for r in self.frame.itertuples()
        ]
        header = ("rank", "measurement", f"expected {self.loss}", "reduction", "by nested Monte Carlo")
        about = f"{self.draws} draws (worth {self.effective_draws:.0f}). Research software, not a medical device."
        body = table(about, header, rows)
        return section("Next measurement", paragraph(self._verdict()), body, *map(paragraph, self.notes))


def _percent(share: float, mcse: float) -> str:
    return f"{100 * share:.0f} ± {max(100 * mcse, 1):.0f} %"


def rank(
    names, losses, deviations, checks: list[Nested], failed, floor: float = 0.0
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Order candidates by expected loss, with notes; those whose difference is within its error share a rank.

    Parameters
    ----------
    names : sequence of str
    losses : (1 + candidate,) by the linear-Gaussian path, now first
    deviations : (resample, 1 + candidate)
    checks : list of Nested, one per candidate, or empty
        Where the linear-Gaussian figures differ from these, these are ranked by.
    failed : sequence of int, failed solves by candidate
    floor : float, the smallest difference of losses that the draws can show
    """
    now, after, away = losses[0], losses[1:], deviations[:, 1:]
    apart = np.std(away[:, :, None] - away[:, None, :], axis=0)
    least = max(floor, 1e-100)  # where hardly any draw speaks against the decision, a resample may hold none
    mcse, shares = np.std(away, axis=0), 1 - (after + away) / np.maximum(now + deviations[:, :1], least)
    reduction_mcse = np.std(shares, axis=0)
    frame = pd.DataFrame({"candidate": list(names), "linear": after, "linear_mcse": mcse})
    frame["nested"], frame["nested_mcse"], frame["khat"] = math.nan, math.nan, math.nan
    notes: list[str] = []
    if checks:
        rows = np.stack([check.rows for check in checks])
        frame["nested"], frame["nested_mcse"] = rows.mean(axis=1), [check.mcse for check in checks]
        frame["khat"] = [float(np.quantile(check.khats, 0.9)) for check in checks]
        curved = _curved(frame, now, floor)
        if len(curved):
            notes.append(
                f"Ranked by nested Monte Carlo, from which the linear-Gaussian figure differs by more than "
                f"{_CURVED:.0%} for {', '.join(curved)}: what is asked does not follow the measurement linearly."
            )
            after, mcse = frame["nested"].to_numpy(), frame["nested_mcse"].to_numpy()
            reduction_mcse = mcse / max(now, 1e-300)
            apart = np.std(rows[:, None] - rows[None], axis=2, ddof=1) / math.sqrt(rows.shape[1])
    frame["rank"] = 1 + np.sum(after[None, :] < after[:, None] - 2 * apart, axis=1)
    frame["expected"], frame["mcse"] = after, mcse
    frame["reduction"], frame["reduction_mcse"] = 1 - after / max(now, 1e-300), reduction_mcse
    frame["solves_failed"] = list(failed)
    order = ["candidate", "rank", "expected", "mcse", "reduction", "reduction_mcse"]
    frame = frame.sort_values("expected", kind="stable", ignore_index=True)
    frame = frame[[*order, *(column for column in frame if column not in order)]]
    return frame, (*notes, *_cautions(frame))


def _curved(frame: pd.DataFrame, now: float, floor: float) -> list[str]:
    gap = (frame["linear"] - frame["nested"]).abs()
    error = np.hypot(frame["linear_mcse"], frame["nested_mcse"])
    far = (gap > _CURVED * frame["nested"]) & (gap > 2 * error) & (gap > max(0.02 * now, floor))
    return list(frame["candidate"][far])


def _cautions(frame: pd.DataFrame) -> list[str]:
    notes, thin = [], frame["candidate"][frame["khat"] >= TRUSTED]
    if len(thin):
        notes.append(
            f"Nested Monte Carlo rests on few draws for {', '.join(thin)} (k-hat {frame['khat'].max():.2f}): fit with "
            "more draws to check these."
        )
    if frame["solves_failed"].any():
        notes.append(f"At most {frame['solves_failed'].max()} draws could not be simulated and were left out.")
    return notes
