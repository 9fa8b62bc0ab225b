"""Rows of one input on their way into a record: no dose too large, no total impossible, every row accounted for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..patient import units
from ..patient.course import Course
from ..patient.inputs import Inputs
from ._fates import Fates


@dataclass(frozen=True, eq=False)
class Doses:
    """Rows of one input as a chart gives them.

    Attributes
    ----------
    fates : Fates
        Of the rows; those no longer in use are not given.
    starts, ends : (row,) min
    rates : (row,)
        In `unit`.
    unit : str
    bolus : (row,) bool
    orders : (row,) str
    known : (row,) min
    """

    fates: Fates
    starts: np.ndarray
    ends: np.ndarray
    rates: np.ndarray
    unit: str
    bolus: np.ndarray
    orders: np.ndarray
    known: np.ndarray

    def course(self, keep: np.ndarray) -> Course:
        """Return some of the rows as a history."""
        names = ("starts", "ends", "rates", "bolus", "orders", "known")
        columns = {name: getattr(self, name)[keep] for name in names}
        return Course(unit=self.unit, **columns)


def inputs_of(doses: list[Doses], weight: float | None) -> Inputs:
    """Return what was given; rows that cannot be are set aside.

    Parameters
    ----------
    doses : list of Doses
        Several may name one input: they add.
    weight : float or None
        kg, for units per kilogram.

    Returns
    -------
    inputs : Inputs
    """
    inputs = Inputs()
    for one in doses:
        name, fates = one.fates.variable, one.fates
        fates.aside(~np.isfinite(one.rates) | ~np.isfinite(one.starts) | np.isnan(one.ends), "no rate or no time")
        fates.aside(one.rates < 0, "negative amount")
        fates.aside(~(one.ends > one.starts), "no duration")
        if units.per_weight(one.unit) and weight is None:
            fates.aside(fates.left, "dose per kilogram of a patient without a weight")
        hours = np.where(one.bolus, np.minimum((one.ends - one.starts) / 60.0, 1.0), 1.0)
        judged = np.where(fates.left, one.rates * hours, 0.0)
        fates.aside(~_plausible(one, judged, weight), "implausible amount")
        _within_the_plausible(one, inputs, weight)
        _one_rate_each(one)
        given = fates.left & (one.rates > 0)
        if given.any():
            course = one.course(given)
            columns = (course.starts, course.ends, course.rates, course.unit)
            inputs = inputs | Inputs.infusions(
                name, *columns, bolus=course.bolus, order=course.orders, known=course.known
            )
    return inputs


def _one_rate_each(doses: Doses) -> None:
    """Let of rows of one order that begin together the highest rate count."""
    rows = np.flatnonzero(doses.fates.left & ~doses.bolus)
    rows = rows[np.lexsort((doses.rates[rows], doses.starts[rows], doses.orders[rows].astype(str)))]
    same = (doses.orders[rows[1:]] == doses.orders[rows[:-1]]) & (doses.starts[rows[1:]] == doses.starts[rows[:-1]])
    doses.fates.merge(rows[:-1][same], "begins with another row of its order, whose rate counts")


def _plausible(doses: Doses, rates: np.ndarray, weight: float | None) -> np.ndarray:
    if units.per_weight(doses.unit) and weight is None:
        return np.ones(rates.size, bool)
    return units.plausible(doses.fates.variable, rates, doses.unit, weight=weight)


def _within_the_plausible(doses: Doses, given: Inputs, weight: float | None) -> None:
    """Set the highest rates aside where orders together give more than is plausible."""
    name, fates = doses.fates.variable, doses.fates
    earlier = given[name].infusions() if name in given else Course.empty(doses.unit)
    while True:
        drips = fates.left & (doses.rates > 0) & ~doses.bolus
        if not drips.any():
            return
        mine = doses.course(drips).renamed(earlier.orders.tolist())
        times, totals = Course.joined((earlier, mine)).steps()
        over = times[~_plausible(doses, totals, weight)]
        running = drips & (doses.starts <= over[0]) & (doses.ends > over[0]) if over.size else np.zeros(0, bool)
        if not running.any():
            return
        fates.aside(np.array([np.argmax(np.where(running, doses.rates, -1.0))]), "more than is plausible in all then")
