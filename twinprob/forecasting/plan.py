"""What will be done from now on: the usual plan in a line, and what is wrong with a plan that misses the present."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..inference.twin import Twin
from ..modeling.model import nearest
from ..patient.course import Course
from ..patient.inputs import Inputs
from ..patient.units import VOCABULARY, convert, minutes, per_time, span
from ..patient.vocabulary import from_ratio
from ..patient.wall_clock import minutes_of

_STEP = re.compile(
    r"\s*(?P<size>[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(?P<unit>.*?)"
    r"(?:\s+(?:at|from)\s+(?P<at>\S.*?))?(?:\s+(?:over|for)\s+(?P<over>\S.*?))?\s*"
)


class Step(NamedTuple):
    """One thing to do: `size` in `unit` from `at` (min) on, for `over` min or, where that is inf, until it changes."""

    size: float
    unit: str
    at: float
    over: float

    @property
    def dose(self) -> bool:
        """Whether it is an amount, which ends by itself."""
        return bool(self.unit) and not per_time(self.unit)


def plan(twin: Twin, **given: Any) -> Inputs:
    """Write what will be done from the twin's present on, in the record's time.

    Parameters
    ----------
    twin : Twin
    **given : str, tuple, or list of them
        For each input of the model what it does: a rate or a setting, ``"3 U/h"``, from now on; an amount is a dose,
        ``"5 U"``, given in a minute. Text may go on with ``at`` a time and ``over`` a duration,
        ``"5 U at +15 min over 2 min"``, and so may a tuple: ``("5 U", "+15 min", "2 min")``; a rate over a duration is
        0 then. Times with a plus count from the present, others are the record's, or moments such as
        ``"3 U/h at 2020-03-12T14:00"`` where it knows its origin. A list holds several, in order of time.

    Returns
    -------
    inputs : Inputs
        For `forecast`. Until the first rate or setting that is named, an input runs on as it is, and so do doses beside
        what runs; inputs that are not named run on too.

    Raises
    ------
    ValueError
        If the model has no such input, a step cannot be read or lies before the present, or its unit is none of the
        input.

    Examples
    --------
    >>> import jax, twinprob as tp
    >>> running = tp.Record.admission(inputs=tp.Inputs.constant(insulin=(2.0, "U/h")), time="10 h")
    >>> few = tp.Laplace(draws=50, proposals=200)
    >>> twin = tp.fit(tp.models.metabolic.ICING(), running, key=jax.random.key(0), method=few)
    >>> given = tp.plan(twin, insulin=["1 U/h at +30 min", "3 U at 11 h over 2 min"], enteral_glucose="0.3 mmol/min")
    >>> [given["insulin"].at(600 + minutes) for minutes in (0, 30, 61)]
    [2.0, 1.0, 91.0]
    """
    known = tuple(twin.model.quantities(twin.model.Input))
    whole = Inputs()
    for name, steps in given.items():
        if name not in known:
            raise ValueError(f"Model `{type(twin.model).__name__}` has no input `{name}`; {nearest(name, known)}")
        whole = whole | _written(twin, name, _steps(twin, name, steps))
    return whole


def _steps(twin: Twin, name: str, given: Any) -> list[Step]:
    several = given if isinstance(given, list) else [given]
    if not several:
        raise ValueError(f"The plan of `{name}` is empty: leave it out where it runs on as it is.")
    return [_step(twin, name, one) for one in several]


def _step(twin: Twin, name: str, given: Any) -> Step:
    parts = (given,) if isinstance(given, str) else given
    found = _STEP.fullmatch(parts[0]) if isinstance(parts, Sequence) and parts and isinstance(parts[0], str) else None
    if found is None or len(parts) > 3:
        raise ValueError(
            f"The plan of `{name}` must read like '3 U/h', '5 U at +15 min over 2 min' or ('10 cmH2O', '+30 min'), but "
            f"is {given!r}."
        )
    at, over = ([*parts[1:], None, None])[:2]
    at, over = found["at"] if at is None else at, found["over"] if over is None else over
    begin = twin.now
    if at is not None:
        later = isinstance(at, str) and at.strip().startswith("+")
        begin = twin.now + minutes(at.strip()[1:]) if later else minutes_of(at, twin.record.origin)
    if begin < twin.now:
        raise ValueError(
            f"The plan of `{name}` begins at {begin:g} min, before the twin's present at {twin.now:g} min: times are "
            "the record's; count from the present with a plus, e.g. '+30 min'."
        )
    size, unit = found["size"], found["unit"].strip()
    share = from_ratio(name, f"{size}{unit}")
    size, unit = (float(size), unit) if isinstance(share, str) else (float(share), "1")
    dose = bool(unit) and not per_time(unit) and not _level(twin, name)
    return Step(size, unit, begin, minutes(over) if over is not None else 1.0 if dose else math.inf)


def _level(twin: Twin, name: str) -> bool:
    """Whether an input is a setting, or a level such as legs raised, and no flow."""
    if name in twin.record.inputs and twin.record.inputs[name].setting:
        return True
    entry = VOCABULARY.get(name)
    return entry is not None and (entry.setting or not per_time(entry.unit))


def _written(twin: Twin, name: str, steps: list[Step]) -> Inputs:
    """Return the steps of one input, beside or after what runs."""
    own = () if name in VOCABULARY else (name,)
    level = _level(twin, name)
    lasting = [step for step in steps if level or not step.dose]
    now, running = twin.now, twin.record.inputs.courses.get(name)
    if not lasting or lasting[0].at > now:
        before = 0.0 if running is None else running.infusions().at(now) if not running.setting else running.at(now)
        if running is not None and math.isfinite(before) and not (level and not lasting):
            lasting = [Step(float(before), running.unit, now, math.inf), *lasting]
    whole = Inputs()
    if lasting:
        unit = (running.unit if running is not None else "") or lasting[0].unit
        whole = whole | _sequence(twin, name, lasting, unit, own)
    for step in (step for step in steps if step.dose and not level):
        dose = Inputs.bolus(name, step.at, step.size, step.unit, duration=step.over, own=own)
        whole = whole.merge(dose, weight=twin.record.weight)
    return whole


def _sequence(twin: Twin, name: str, steps: list[Step], unit: str, own) -> Inputs:
    """Return rates or settings that follow each other; one that is over leaves what was before it, or nothing."""
    starts = [step.at for step in steps]
    if any(later <= earlier for earlier, later in pairwise(starts)):
        raise ValueError(f"The plan of `{name}` must go forward in time, but its steps begin at {starts} min.")
    sizes = [
        float(convert(step.size, step.unit or unit, unit, variable=name, weight=twin.record.weight)) for step in steps
    ]
    if _level(twin, name):
        if any(math.isfinite(step.over) for step in steps):
            raise ValueError(
                f"Setting `{name}` holds until the next: plan the value that follows, not how long it lasts."
            )
        return Inputs.settings(name, starts, sizes, unit, own=own)
    ends = [step.at + step.over for step in steps]
    return Inputs.infusions(name, starts, ends, sizes, unit, order="plan", own=own)


# ---- a plan and the present ----------------------------------------------------------------------------------------


def require_from_now(twin: Twin, given: Inputs) -> None:
    """Refuse a plan that lies wholly before the twin's present and is none of its record's history.

    Raises
    ------
    ValueError
        If so: it was perhaps written in time from now.
    """
    for name, course in given.courses.items():
        if not course.starts.size or course.after(twin.now).starts.size or _history(twin, name, course):
            continue
        last = float(course.lasting().max())
        raise ValueError(
            f"The plan of `{name}` ends at {last:g} min, before the twin's present at {twin.now:g} min, so it would "
            "only stop what runs: times of a plan are the record's. Write it from now on, e.g. "
            f"`tp.plan(twin, {name}='… {course.unit}')`."
        )


def said(twin: Twin, given: Inputs, last: float) -> tuple[str, ...]:
    """Say what of a plan is not used, what stops before a forecast does, and whose effect only charts tell.

    Parameters
    ----------
    twin : Twin
    given : Inputs
        The plan.
    last : float, min
        The forecast's last time.
    """
    notes, charted = [], twin.model.told_by_charts()
    for name, course in given.courses.items():
        if name in charted:
            usual = getattr(twin.model, charted[name])
            notes.append(
                f"What {name} does is taken as charts show it, where it is set for a reason: for what a setting does "
                f"fit with `model.fix({charted[name]}={usual:g})`."
            )
        early = np.isfinite(course.starts) & (course.starts < twin.now)
        if early.any() and not _history(twin, name, course):
            notes.append(f"What the plan says of {name} before the twin's present at {twin.now:g} min is not used.")
        if course.starts.size and float(course.starts.min()) >= last:
            begin = float(course.starts.min())
            notes.append(
                f"The plan of {name} begins at {begin:g} min, when the forecast has ended: it does not feel it."
            )
        ends = course.infusions().lasting()
        if course.setting or not ends.size:
            continue
        stop = float(ends.max())
        if twin.now < stop < last and course.infusions().at(np.nextafter(stop, -np.inf)) > 0:
            notes.append(f"The plan of {name} ends at {stop:g} min, before the forecast at {last:g} min: it is 0 then.")
    return tuple(notes)


def _history(twin: Twin, name: str, course: Course) -> bool:
    """Whether a plan tells the record's own past until now and no plan: the same rows, or the same values."""
    if name not in twin.record.inputs:
        return False
    known = twin.record.inputs[name]
    same = course.to(known.unit, variable=name, weight=twin.record.weight)
    begun = same.keep(same.starts < twin.now)
    rows = (begun.starts[:, None] == known.starts[None, :]) & np.isclose(begun.rates[:, None], known.rates[None, :])
    if not begun.starts.size or rows.any(axis=1).all():
        return bool(begun.starts.size)
    marks = np.concatenate([known.starts, known.lasting(), begun.starts, begun.lasting()])
    marks = marks[(marks >= twin.record.start) & (marks < twin.now)]
    return bool(marks.size) and np.allclose(known.at(marks), same.at(marks), equal_nan=True)


def ages(twin: Twin) -> tuple[str, ...]:
    """Say how old the last measurement of each output is."""
    found = []
    for name in twin.model.quantities(twin.model.Output):
        if name in twin.record.observations:
            age = twin.now - float(twin.record.observations[name].times[-1])
            found.append(f"The last {name} is {span(age)} old.")
    return tuple(found) or ("Nothing was measured yet.",)
