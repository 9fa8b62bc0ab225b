"""Stochastic targeting of glucose: the dose whose predicted range overlaps a target band best, at a bounded risk."""

import dataclasses
import math
from enum import IntEnum
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ....dynamics.integrators import FixedStep
from ....dynamics.simulate import Layout, flow
from ....modeling.model import AbstractModel, pack
from ....models.metabolic import ICING
from ....patient.require import number, require_settings
from ...bedside import Orders
from ...protocol import AbstractProtocol, setting
from ._yale import choose

_EVANS = "Evans 2011, Ann Intensive Care 1:38, tables 3-4"
_FISK = "Fisk 2012, IEEE TBME 59:3357"
_OWN = "setting of this library"
_Z = 1.6449  # of the 95 % quantile
_GRID = tuple(math.exp(-11.5 + 0.35 * i) for i in range(20))  # L/mU/min, 1.0e-5 to 7.8e-3
_STEP = 10.0  # min, longest integration step
_UNIT = 1000.0 / 60.0  # mU/min per U/h


class StarLike(AbstractProtocol):
    """Insulin (and feed) chosen by the 5 to 95 % range that a glucose model predicts, as STAR does.

    At each measurement the sensitivity since the last one is identified from the two values and what ran; its law says
    where it may go; the model then predicts glucose 1 to 3 h ahead for each dose at the 5, 50 and 95 % sensitivities.
    The target band has no default: `star_2011`, `star_2012`, `liege` and `sccm_2024` name those that are published.

    ============================ ==================================================================================
    rule                         what it does
    ============================ ==================================================================================
    target                       the dose with the largest share of the predicted range inside the band, at most
                                 5 % risk below the band, at the longest interval that keeps the median inside
    lower                        glucose more than `margin` above the band: aim at 0.85 of it, 1 h
    stop                         glucose more than 1 mmol/L below the last 5 % quantile: no insulin, 1 h
    ============================ ==================================================================================

    References
    ----------
    .. [1] Evans A et al. Stochastic TARgeted (STAR) glycemic control: design, safety, and performance. Ann Intensive
       Care 2011;1:38.
    .. [2] Fisk LM et al. STAR development and protocol comparison. IEEE Trans Biomed Eng 2012;59:3357-3364.
    """

    source = f"{_EVANS}; {_FISK}"
    gaps: ClassVar[tuple[str, ...]] = (
        "The kernel density of sensitivity is not public: its law here is the motion that the glucose model declares.",
        "Which interval a nurse picks among those allowed is not printed: the longest one.",
        "'Largest overlap' is read as the share of the predicted range inside the band.",
        "The two printed cases of the stop rule read the same; one is used.",
        "One unit above the cap after 3 h at 5 U/h or more is not implemented.",
        "Feed is tried unchanged and one step up and down, not at each 5 % between.",
        "Feed is lowered only where no dose at more of it keeps the median in band, or from above at the largest dose.",
    )
    reads = {"glucose": "mmol/L"}
    gives = {"insulin": "U/h", "enteral_glucose": "mmol/min", "parenteral_glucose": "mmol/min"}
    resolution = "15 min"

    low: float = setting(unit="mmol/L", about="where the band begins; no default", source=_EVANS)
    high: float = setting(unit="mmol/L", about="where it ends; no default", source=_EVANS)
    margin: float = setting(1.0, unit="mmol/L", about="above the band, where glucose is lowered first", source=_EVANS)
    lowered: float = setting(0.85, about="of the present glucose, aimed at from above", source=_EVANS)
    most: float = setting(6.0, unit="U/h", about="largest dose", source=_EVANS, static=True)
    most_up: float = setting(3.0, unit="U/h", about="largest rise at once", source=_EVANS)
    dose_step: float = setting(
        0.5, unit="U/h", about="between doses; one step alone is left out", source=_EVANS, static=True
    )
    longest: int = setting(3, unit="h", about="longest interval", source=_EVANS, static=True)
    feed_goal: float | None = setting(None, unit="mmol/min", about="enteral goal; none: insulin alone", source=_OWN)
    feed_least: float = setting(0.3, about="of the goal", source=_EVANS)
    feed_step: float = setting(0.2, about="of the goal, largest change at once; 0.3 in 2012", source=_EVANS)
    center: float = setting(math.exp(-8.05), unit="L/mU/min", about="usual sensitivity", source=_OWN)
    spread: float = setting(0.5, about="of the logarithm of sensitivity in one patient", source=_OWN)
    memory: float = setting(12.0, unit="h", about="in which sensitivity forgets", source=_OWN)
    believed: AbstractModel = setting(None, about="glucose model; ICING of 2016 by default", source=_OWN)

    class Rule(IntEnum):
        """The rules."""

        target = 0
        lower = 1
        stop = 2
        no_dose_is_safe = 3

    class Cap(IntEnum):
        """The limits."""

        none = 0
        risk = 1
        step = 2
        most = 3

    class State(eqx.Module):
        """What the computer at the bedside remembers."""

        body: Array  # the believed model's state at the last measurement
        taken: Array  # min, when that was
        started: Array
        sensitivity: Array  # the last identified, L/mU/min
        lowest: Array  # mmol/L, the 5 % quantile predicted for now

    def __check_init__(self):
        """Refuse bands that no one should aim at, and settings outside their range."""
        for name in ("low", "high"):
            number_of = getattr(self, name)
            if not isinstance(number_of, int | float) or not math.isfinite(number_of):
                raise ValueError(f"Setting `{name}` of `StarLike` must be a number of mmol/L, but is {number_of!r}.")
        if self.low < 4.0:
            raise ValueError(
                f"The target band of `StarLike` must not begin below 4 mmol/L, but begins at {self.low:g}: 2.2 to 4.0 "
                "is hypoglycemia. Give glucose in mmol/L, such as `StarLike.star_2012()` does."
            )
        if not self.high > self.low:
            raise ValueError(f"The target band of `StarLike` must end above {self.low:g} mmol/L, not at {self.high:g}.")
        require_settings(self, longest=number(1, 6), most=number(0.0, 50.0), spread=number(0.0, 3.0))
        require_settings(self, memory=number(0.1), dose_step=number(0.05, 10.0), center=number(1e-6, 1e-1))

    @classmethod
    def star_2011(cls, **settings: Any) -> "StarLike":
        """Return the band of the pilot trial, 4.0 to 6.5 mmol/L."""
        return cls(low=4.0, high=6.5, **settings)

    @classmethod
    def star_2012(cls, **settings: Any) -> "StarLike":
        """Return the band of Fisk 2012, 80 to 145 mg/dL: 4.4 to 8.0 mmol/L."""
        return cls(low=4.4, high=8.0, **{"feed_step": 0.3, **settings})

    @classmethod
    def liege(cls, **settings: Any) -> "StarLike":
        """Return the band of STAR-Liege 2, 100 to 140 mg/dL at 5 % risk below 90: insulin alone, up to 3 h."""
        return cls(low=5.0, high=7.8, **settings)

    @classmethod
    def sccm_2024(cls, **settings: Any) -> "StarLike":
        """Return the range that the guideline of 2024 suggests, 140 to 200 mg/dL: 7.8 to 11.1 mmol/L."""
        return cls(low=7.8, high=11.1, **settings)

    # ---- the decision ----------------------------------------------------------------------------------------------

    def start(self):  # noqa: D102
        zero = jnp.zeros(())
        return self.State(jnp.zeros(5), zero, jnp.zeros((), bool), jnp.asarray(self.center, float), zero)

    def decide(self, bedside):  # noqa: D102
        state, seen = bedside.state, bedside.seen("glucose")
        dose = bedside.runs("insulin")
        feeds = bedside.runs("enteral_glucose"), bedside.runs("parenteral_glucose")
        glucose, model = jnp.maximum(seen.value, 0.5), self._model()
        sensitivity, body = self._identified(model, state, glucose, seen.time, dose, feeds)
        doses, enteral = self._candidates(feeds[0])
        predicted = self._predicted(model, body, sensitivity, doses, enteral, feeds[1])
        chosen, hours, rule, cap = self._chosen(glucose, dose, doses, enteral, predicted, state)
        orders = {"insulin": (doses[chosen], "U/h")}
        if self.feed_goal is not None:
            orders["enteral_glucose"] = (enteral[chosen], "mmol/min")
        lowest = predicted[0, hours - 1, chosen]
        return Orders(
            orders,
            measure_in=60.0 * hours,
            rule=rule,
            cap=cap,
            state=self.State(body, jnp.asarray(seen.time), jnp.ones((), bool), sensitivity, lowest),
        )

    def _model(self):
        model = ICING.icing2016() if self.believed is None else self.believed
        return dataclasses.replace(model, unknown=("insulin_sensitivity",), priors={}, motions={})

    def _carried(self, model, body, sensitivity, dose, feeds, minutes, steps):
        """Carry the believed state over so many minutes at one sensitivity."""
        layout = Layout(3, False, steps, ("insulin_sensitivity",))
        zero = jnp.zeros(())
        row = jnp.stack([zero, zero + minutes, zero + dose * _UNIT, zero + feeds[0], zero + feeds[1], sensitivity])
        return flow(model, FixedStep(), layout, body, row)[0]

    def _identified(self, model, state, glucose, time, dose, feeds):
        """Return the sensitivity since the last measurement, and the believed state now."""
        minutes, steps = jnp.maximum(time - state.taken, 1e-3), math.ceil(60 * self.longest / _STEP)
        grid = jnp.asarray(_GRID)
        ended = jax.vmap(lambda s: self._carried(model, state.body, s, dose, feeds, minutes, steps))(grid)
        found = jnp.exp(jnp.interp(glucose, ended[::-1, 0], jnp.log(grid)[::-1]))
        carried = self._carried(model, state.body, found, dose, feeds, minutes, steps).at[0].set(glucose)
        inputs = model.Input(dose * _UNIT, *feeds)
        first = pack(dataclasses.replace(model, initial_glucose=glucose, initial_insulin=1.0).initial(inputs))
        sensitivity = jnp.where(state.started, found, self.center)
        return sensitivity, jnp.where(state.started, carried, first)

    def _candidates(self, enteral):
        """Return doses (candidate,) U/h and enteral glucose (candidate,) mmol/min."""
        steps = [i for i in range(round(self.most / self.dose_step) + 1) if i != 1]
        doses = jnp.asarray([i * self.dose_step for i in steps])
        if self.feed_goal is None:
            return doses, jnp.full(len(steps), 1.0) * enteral
        share = enteral / self.feed_goal + self.feed_step * jnp.asarray([1.0, 0.0, -1.0])
        feed = self.feed_goal * jnp.clip(share, self.feed_least, 1.0)
        return jnp.tile(doses, 3), jnp.repeat(feed, len(steps))

    def _predicted(self, model, body, sensitivity, doses, enteral, parenteral):
        """Return the 5, 50 and 95 % quantiles of glucose, (3, hour, candidate) mmol/L, the lowest first."""
        kept = jnp.exp(-jnp.arange(1, self.longest + 1) / self.memory)
        middle = jnp.log(self.center) + kept * (jnp.log(sensitivity) - jnp.log(self.center))
        away = self.spread * jnp.sqrt(1.0 - kept**2)
        paths = jnp.exp(middle + _Z * jnp.asarray([1.0, 0.0, -1.0])[:, None] * away)
        steps = math.ceil(60.0 / _STEP)

        def one(path, dose, feed):
            def hour(at, s):
                at = self._carried(model, at, s, dose, (feed, parenteral), 60.0, steps)
                return at, at[0]

            return jax.lax.scan(hour, body, path)[1]

        over_candidates = jax.vmap(one, in_axes=(None, 0, 0), out_axes=1)
        return jax.vmap(over_candidates, in_axes=(0, None, None))(paths, doses, enteral)

    def _level(self, level, doses):
        """Return which candidates have this level of feed: 0 more, 1 unchanged, 2 less; all where feed is not given."""
        if self.feed_goal is None:
            return jnp.ones(doses.shape, bool)
        return jnp.arange(doses.size) // (doses.size // 3) == level

    def _fed(self, possible, middle, doses):
        """Return the candidates (hour, candidate) with the most feed at which some dose keeps the median in band."""
        inside = possible & (middle >= self.low) & (middle <= self.high)
        levels = [self._level(level, doses) for level in (0, 1, 2)]
        some = [jnp.any(inside & level, axis=1, keepdims=True) for level in levels]
        return jnp.where(some[0], levels[0], jnp.where(some[1], levels[1], levels[2]))

    def _chosen(self, glucose, dose, doses, enteral, predicted, state):
        """Return the candidate, the interval in hours, the rule and the cap."""
        low, middle, high = predicted
        safe = jax.lax.cummin(low, axis=0) >= self.low  # within the interval, not at its end
        allowed = doses <= dose + self.most_up + 1e-9
        inside = jnp.clip(jnp.minimum(high, self.high) - jnp.maximum(low, self.low), 0.0)
        share = inside / jnp.maximum(high - low, 1e-6) - 1e-3 * jnp.abs(middle - 0.5 * (self.low + self.high))
        wanted = self._fed(safe & allowed, middle, doses)
        free = jnp.argmax(jnp.where(wanted, share, -jnp.inf), axis=1)
        best = jnp.argmax(jnp.where(safe & allowed & wanted, share, -jnp.inf), axis=1)
        hours = jnp.arange(1, self.longest + 1)
        kept = jnp.take_along_axis(middle, best[:, None], axis=1)[:, 0]
        fits = jnp.take_along_axis(safe & allowed, best[:, None], axis=1)[:, 0]
        fits &= (kept >= self.low) & (kept <= self.high)
        hour = jnp.max(jnp.where(fits, hours, 1))
        from_above = jnp.abs(middle[0] - self.lowered * glucose)
        lowering = self._level(jnp.where(dose >= self.most, 2, 1), doses)
        above = jnp.argmin(jnp.where(safe[0] & allowed & lowering, from_above, jnp.inf))
        least = jnp.argmin(doses)  # the first of them: with the most feed
        none_safe = ~jnp.any(safe[0] & allowed & lowering)
        candidate, hour, rule, ideal = choose(
            (state.started & (glucose < state.lowest - 1.0), (least, 1, self.Rule.stop, least)),
            (none_safe, (least, 1, self.Rule.no_dose_is_safe, jnp.argmax(share[0]))),
            (glucose > self.high + self.margin, (above, 1, self.Rule.lower, jnp.argmin(from_above))),
            default=(best[hour - 1], hour, self.Rule.target, free[hour - 1]),
        )
        cap = choose(
            (rule == self.Rule.stop, self.Cap.none),
            ((doses[ideal] > doses[candidate]) & ~allowed[ideal], self.Cap.step),
            ((doses[ideal] > doses[candidate]) & ~safe[hour - 1, ideal], self.Cap.risk),
            (doses[candidate] >= self.most, self.Cap.most),
            default=self.Cap.none,
        )
        return candidate, hour, rule, cap
