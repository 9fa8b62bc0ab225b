"""The four columns of the University of Washington: a rate for each glucose, and rules for changing the column."""

from enum import IntEnum
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ...bedside import Bolus, Orders
from ...protocol import MEMORY, AbstractProtocol, setting

_PRINT = "PMC2768418 table 3"
_PAGE = "web page, check before quoting"
EDGES = (70.0, 110.0, 120.0, 150.0, 180.0, 210.0, 240.0, 270.0, 300.0, 330.0, 360.0)  # mg/dL
COLUMNS = (
    (0.0, 0.2, 0.5, 1.0, 1.5, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 6.0),
    (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 12.0),
    (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0),
    (0.0, 1.5, 3.0, 5.0, 7.0, 9.0, 12.0, 16.0, 20.0, 24.0, 28.0, 28.0),
)


class WashingtonColumns(AbstractProtocol):
    """Insulin by glucose in one of four columns, target 80 to 120 mg/dL, measured every hour.

    One column up where glucose is above target and did not fall by 60 mg/dL in the last hour, one down after two
    results below 70. Rates beyond 6 U/h are real.

    References
    ----------
    .. [1] Wilson M, Weinreb J, Hoo GWS. Intensive insulin therapy in critical care: a review of 12 protocols. Diabetes
       Care 2007;30:1005-1011; the table is that of PMC2768418.
    """

    source = _PRINT
    gaps: ClassVar[tuple[str, ...]] = (
        "The columns are printed as 1, 2, '5', 4: the third is 3.",
        "When to change the column is not printed with the table: both rules are from memory.",
        "Glucose between whole numbers is rounded to whole mg/dL.",
        "At least 5 g/h of glucose must run: not enforced, no order of ours stops nutrition.",
    )
    reads = {"glucose": "mg/dL"}
    gives = {"insulin": "U/h", "parenteral_glucose": "g/h"}

    start_column: int = setting(1, about="2 after bypass, transplant, steroids or > 80 U/d at home", source=_PRINT)
    target: float = setting(120.0, unit="mg/dL", about="above which the column may rise", source=_PRINT)
    falling: float = setting(60.0, unit="mg/dL/h", about="fall that keeps the column", source=MEMORY)
    rescue_below: float = setting(60.0, unit="mg/dL", about="below which glucose is given", source=_PAGE)
    rescue: float = setting(12.5, unit="g", about="glucose then", source="setting of this library")

    class Rule(IntEnum):
        """The rules."""

        column = 0
        up = 1
        down = 2
        off = 3

    class State(eqx.Module):
        """What is remembered."""

        column: Array  # 1 to 4
        lows: Array  # results below 70 mg/dL in a row
        started: Array

    def start(self):  # noqa: D102
        return self.State(jnp.asarray(self.start_column), jnp.zeros((), int), jnp.zeros((), bool))

    def rate(self, column, glucose):
        """Return the rate of a column (1 to 4) at a glucose in mg/dL, U/h."""
        place = jnp.searchsorted(jnp.asarray(EDGES), glucose, side="right")
        return jnp.asarray(COLUMNS)[column - 1, place]

    def decide(self, bedside):  # noqa: D102
        state, seen = bedside.state, bedside.seen("glucose")
        glucose, change = jnp.round(seen.value), jnp.nan_to_num(seen.change_per_hour)
        lows = jnp.where(glucose < 70, state.lows + 1, 0)
        up = state.started & (glucose > self.target) & (change > -self.falling) & (state.column < 4)
        down = (lows == 2) & (state.column > 1)
        column = state.column + jnp.where(up, 1, 0) - jnp.where(down, 1, 0)
        rule = jnp.where(up, self.Rule.up, jnp.where(down, self.Rule.down, self.Rule.column))
        return Orders(
            {"insulin": (self.rate(column, glucose), "U/h")},
            measure_in=60.0,
            rule=jnp.where((glucose < 70) & ~down, self.Rule.off, rule),
            state=self.State(
                column.astype(state.column.dtype), lows.astype(state.lows.dtype), jnp.ones_like(state.started)
            ),
            boluses={"parenteral_glucose": Bolus(jnp.where(glucose < self.rescue_below, self.rescue, 0.0), "g", 5.0)},
        )
