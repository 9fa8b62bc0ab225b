"""Everything done to the patient over time: infusions, boluses, feeds, settings of devices.

An input is piecewise constant; `Course` says what its rows mean together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from . import tables, units
from .course import Course, require_plausible_rates
from .frozen import Frozen
from .input_checks import (
    check_unit,
    is_setting,
    read_known,
    read_times,
    refuse_contradiction,
    refuse_twice,
)
from .vocabulary import from_ratio

__all__ = ["Course", "Inputs"]

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Inputs:
    """All inputs of one patient, by name.

    Attributes
    ----------
    courses : mapping of str to Course
        What is not named here is zero.

    Examples
    --------
    >>> insulin = Inputs.infusions("insulin", [0, 60], [60, 120], [2.0, 3.0], "U/h")
    >>> (insulin | Inputs.bolus("insulin", 30, 5.0, "U"))["insulin"].at(30)
    302.0
    """

    courses: Mapping[str, Course] = field(default_factory=Frozen)

    def __post_init__(self) -> None:
        object.__setattr__(self, "courses", Frozen(self.courses))

    @classmethod
    def constant(cls, *, own: tuple[str, ...] = (), **rates: tuple[float, str]) -> Inputs:
        """Give rates that always were and always will be.

        Parameters
        ----------
        own : tuple of str
            Names outside the vocabulary.
        **rates : (float, str)
            Rate and unit of each input, for example ``insulin=(3.0, "U/h")``.

        Returns
        -------
        inputs : Inputs
            From -inf to +inf.
        """
        parts = [cls.infusions(name, -np.inf, np.inf, rate, unit, own=own) for name, (rate, unit) in rates.items()]
        return cls({name: course for part in parts for name, course in part.courses.items()})

    @classmethod
    def infusions(
        cls,
        variable: str,
        starts: Any,
        ends: Any,
        rates: Any,
        unit: str,
        *,
        bolus: Any = False,
        order: Any = None,
        known: Any = None,
        setting: bool | None = None,
        own: tuple[str, ...] = (),
    ) -> Inputs:
        """Give one input as intervals of constant rate, or of a constant setting where the vocabulary calls it one.

        Parameters
        ----------
        variable : str
            The input's name.
        starts, ends : (change,) min
            Numbers, or text such as "24 h". An infusion that is still running ends at ``inf``.
        rates : (change,)
            In `unit`; of a balloon pump also text such as "1:2".
        unit : str
            A rate, for example "U/h" or "ug/kg/min".
        bolus : bool or (change,) bool
            Whether an interval is a dose that ends by itself; doses add.
        order : str or (change,) str, optional
            Which order each interval belongs to: intervals of one order replace each other from the later one's start
            on (a rate of 0 stops it), different orders add. All are one order where nothing is said.
        known : (change,) min, optional
            When each interval was known, if not at its start.
        setting : bool, optional
            Whether this is a setting of a device; as the vocabulary says, where nothing is said here.
        own : tuple of str
            Names outside the vocabulary.

        Returns
        -------
        inputs : Inputs
            With this one input.

        Raises
        ------
        ValueError
            If the name is unknown, the unit is no rate of the variable's dimension, an end is missing or not after
            its start, a rate is negative, not finite or implausible, also where orders add up, a dose is given twice,
            two settings of one time differ, or an interval was known before it began.
        """
        setting = is_setting(variable, own) if setting is None else setting
        unit = check_unit(variable, unit, own, setting=setting)
        begins, stops = read_times(variable, "start", starts, unit), read_times(variable, "end", ends, unit)
        amounts = np.array([from_ratio(variable, rate) for rate in np.array(rates, object, ndmin=1)], float)
        if not begins.size == stops.size == amounts.size:
            raise ValueError(
                f"{variable} needs as many starts as ends and rates, but has {begins.size}, {stops.size} and "
                f"{amounts.size}."
            )
        for index in np.flatnonzero(~(stops > begins)):
            raise ValueError(
                f"{variable} interval {index} must end after it starts, but runs from {begins[index]:g} to "
                f"{stops[index]:g} min: check both."
            )
        for index in np.flatnonzero(~np.isfinite(amounts) | (amounts < 0)):
            raise ValueError(f"{variable} interval {index} must have a finite rate of 0 or more.")
        doses = np.broadcast_to(np.asarray(bolus, bool), begins.shape)
        orders = np.broadcast_to(np.asarray("#1" if order is None else order, str), begins.shape)
        moments = begins if known is None else read_known(variable, known, begins)
        course = Course(begins, stops, amounts, unit, doses, orders, moments, setting)
        refuse_twice(variable, course)
        if not units.per_weight(unit):
            require_plausible_rates(variable, course)
        return cls({variable: course})

    @classmethod
    def settings(
        cls, variable: str, times: Any, values: Any, unit: str, *, known: Any = None, own: tuple[str, ...] = ()
    ) -> Inputs:
        """Give a setting of a device: each value holds until the next; before the first it is unknown.

        Parameters
        ----------
        variable : str
            The input's name.
        times : (change,) min
            When each value was set; numbers, or text such as "24 h".
        values : (change,)
            In `unit`.
        unit : str
            For example "cmH2O".
        known : (change,) min, optional
            When each value was known, if not when it was set.
        own : tuple of str
            Names outside the vocabulary.

        Returns
        -------
        inputs : Inputs
            With this one input; also an input that the vocabulary does not call a setting is one here.

        Raises
        ------
        ValueError
            As `infusions`.

        Examples
        --------
        >>> peep = Inputs.settings("peep", [30, 90], [8.0, 12.0], "cmH2O")["peep"]
        >>> peep.at(0), peep.at(60), peep.at(600)
        (nan, 8.0, 12.0)
        """
        count = np.size(np.asarray(times, dtype=object))
        ends = [math.inf] * count
        return cls.infusions(variable, times, ends, values, unit, known=known, setting=True, own=own)

    @classmethod
    def bolus(
        cls,
        variable: str,
        time: Any,
        amount: Any,
        unit: str = "U",
        *,
        duration: float | str = 1.0,
        order: Any = None,
        known: Any = None,
        own: tuple[str, ...] = (),
    ) -> Inputs:
        """Give doses, each as a short infusion of stated duration.

        Parameters
        ----------
        variable : str
            The input's name.
        time : float, str or (change,) min
            When each begins.
        amount : float or (change,)
            In `unit`.
        unit : str
            An amount, for example "U" or "g".
        duration : float or str, min
            How long each takes.
        order, known
            As for `infusions`; doses of one time and one amount are two only if their orders differ.
        own : tuple of str
            Names outside the vocabulary.

        Returns
        -------
        inputs : Inputs
            With this one input; its rate is amount / duration.

        Raises
        ------
        ValueError
            If `unit` is a rate, or as for `infusions`.
        """
        if isinstance(unit, str) and units.per_time(unit):
            raise ValueError(
                f"{variable}: a bolus is an amount, but {unit!r} is a rate; use Inputs.infusions with an end."
            )
        length = units.minutes(duration)
        starts = read_times(variable, "start", time, unit)
        rates = np.array(amount, float, ndmin=1) / length
        given = f"{unit}/min" if unit else unit
        return cls.infusions(
            variable, starts, starts + length, rates, given, bolus=True, order=order, known=known, own=own
        )

    def merge(self, other: Inputs, *, weight: float | None = None) -> Inputs:
        """Join two timelines; what both name is added, or sewn together if it is a setting.

        Parameters
        ----------
        other : Inputs
            Its units are converted to this one's.
        weight : float, optional
            kg, where one side is per kilogram.

        Returns
        -------
        inputs : Inputs
            Every interval of both. Orders that have no name stay apart and add; orders of one name are one order.

        Raises
        ------
        ValueError
            If units of the same input cannot be converted, or two settings of one time differ.
        """
        courses = dict(self.courses)
        for name, course in other.courses.items():
            if name in courses:
                mine = courses[name]
                theirs = course.to(mine.unit, variable=name, weight=weight).renamed(mine.orders.tolist())
                course = Course.joined((mine, theirs))
                refuse_contradiction(name, course)
            courses[name] = course
        return Inputs(courses)

    __or__ = merge

    def __getitem__(self, name: str) -> Course:
        return self.courses[name]

    def __contains__(self, name: object) -> bool:
        return name in self.courses

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs' names."""
        return tuple(self.courses)

    def until(self, time: float | str) -> Inputs:
        """Keep what was known at a time; see `Course.until`.

        Parameters
        ----------
        time : float or str, min
            When.

        Returns
        -------
        inputs : Inputs
            Inputs that had not begun are absent; what is known to be zero stays so.
        """
        return self._each(lambda course: course.until(time))

    def between(self, begin: float | str, end: float | str) -> Inputs:
        """Keep what happens between two times; see `Course.between`.

        Parameters
        ----------
        begin, end : float or str, min
            When.

        Returns
        -------
        inputs : Inputs
            Clipped, but for rows that were charted late in between: they keep their own start. An input that was given
            earlier and not in this span is still named: it is known to be zero.
        """
        return Inputs({name: self[name].between(begin, end) for name in self.until(end).names})

    def after(self, time: float | str) -> Inputs:
        """Keep what happens from a time on; see `Course.after`.

        Parameters
        ----------
        time : float or str, min
            When.

        Returns
        -------
        inputs : Inputs
            Clipped.
        """
        return self._each(lambda course: course.after(time))

    def then(self, plan: Inputs, at: float | str) -> Inputs:
        """Follow this timeline until a time and a plan from there on.

        Parameters
        ----------
        plan : Inputs
            What the inputs it names do from `at` on; what it says about earlier times is not used.
        at : float or str, min
            Inputs that the plan does not name run on as they are: infusions continue, boluses stop. A setting that the
            plan names later than `at` holds until then.

        Returns
        -------
        inputs : Inputs
            Nothing of this timeline later than `at` is in it.
        """
        past = {
            name: course.stop(at) if name in plan and not course.setting else course.until(at)
            for name, course in self.courses.items()
        }
        return Inputs(past).merge(Inputs({name: course.after(at) for name, course in plan.courses.items()}))

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy table, the form `read_tidy` takes.

        Returns
        -------
        frame : pandas.DataFrame
            Columns start, end (min), variable, rate, unit, bolus, order, known (min).
        """
        return tables.doses(self)

    def _each(self, cut: Any) -> Inputs:
        cuts = {name: cut(course) for name, course in self.courses.items()}
        return Inputs({n: cut for n, cut in cuts.items() if cut.starts.size or not self.courses[n].starts.size})

    def rows(self) -> list[tuple[object, ...]]:
        """Summarize each input in one row.

        Returns
        -------
        rows : list of tuples
            Name, number of intervals, highest rate, unit, first start, last end (min).
        """
        return [
            (
                name,
                course.starts.size,
                float(course.rates.max(initial=0)),
                course.unit,
                float(course.starts.min(initial=np.inf)),
                float(course.ends.max(initial=-np.inf)),
            )
            for name, course in self.courses.items()
        ]

    def _repr_html_(self) -> str:
        return tables.inputs_page(self)
