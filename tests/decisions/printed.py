"""The printed tables, typed anew, and every cell of each against the protocol that is to implement it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from twinprob.decisions.protocols.circulation import FluidByRule
from twinprob.decisions.protocols.metabolic import Leuven, WashingtonColumns, Yale2005, Yale2012
from twinprob.decisions.protocols.respiratory import ARDSNetHigh, ARDSNetLow

UP = DOWN = None
# Yale, change in mg/dL per hour: +2 steps, +1, none, -1, hold; (least, most), None where the print has no end.
YALE_2005 = {
    (75, 99): {0: (1, None), -1: (-25, 0), -2: (None, -26)},
    (100, 139): {1: (26, None), 0: (-25, 25), -1: (-50, -26), -2: (None, -51)},
    (140, 199): {2: (51, None), 1: (0, 50), 0: (-50, -1), -1: (-75, -51), -2: (None, -76)},
    (200, 600): {2: (1, None), 1: (-25, 0), 0: (-75, -26), -1: (-100, -76), -2: (None, -101)},
}
YALE_2012 = {
    (100, 119): {0: (1, None), -1: (-20, 0), -2: (None, -21)},
    (120, 159): {1: (41, None), 0: (-20, 40), -1: (-40, -21), -2: (None, -41)},
    (160, 199): {2: (61, None), 1: (0, 60), 0: (-40, -1), -1: (-60, -41), -2: (None, -61)},
    (200, 600): {2: (1, None), 1: (-20, 0), 0: (-60, -21), -1: (-80, -61), -2: (None, -81)},
}
# Current rate in U/h (least, most) and the step; 4 U/h from 20 on in the update.
STEPS_2005 = {
    (0.0, 2.9): 0.5, (3.0, 6.0): 1.0, (6.5, 9.5): 1.5, (10.0, 14.5): 2.0, (15.0, 19.5): 3.0, (20.0, 24.5): 4.0,
    (25.0, 60.0): 5.0,
}  # fmt: skip
STEPS_2012 = {
    (0.0, 2.9): 0.5, (3.0, 6.0): 1.0, (6.5, 9.5): 1.5, (10.0, 14.5): 2.0, (15.0, 19.5): 3.0, (20.0, 60.0): 4.0,
}  # fmt: skip
# University of Washington: glucose (least, most), then U/h in columns 1 to 4.
WASHINGTON = {
    (0, 69): (0, 0, 0, 0),
    (70, 109): (0.2, 0.5, 1, 1.5),
    (110, 119): (0.5, 1, 2, 3),
    (120, 149): (1, 1.5, 3, 5),
    (150, 179): (1.5, 2, 4, 7),
    (180, 209): (2, 3, 5, 9),
    (210, 239): (2, 4, 6, 12),
    (240, 269): (3, 5, 8, 16),
    (270, 299): (3, 6, 10, 20),
    (300, 329): (4, 7, 12, 24),
    (330, 359): (4, 8, 14, 28),
    (360, 600): (6, 12, 16, 28),
}
LEUVEN_STARTS = {(40, 110): 0.0, (111, 125): 1.0, (126, 199): 1.5, (201, 600): 2.0}
LEUVEN_CHANGES = {(251, 600): 2.0, (181, 249): 1.5, (151, 180): 1.0, (131, 150): 0.5, (111, 130): 0.25, (80, 110): 0.0}
ARDSNET_LOW = ".3/5 .4/5 .4/8 .5/8 .5/10 .6/10 .7/10 .7/12 .7/14 .8/14 .9/14 .9/16 .9/18 1.0/18 1.0/20 1.0/22 1.0/24"
ARDSNET_HIGH = ".3/5 .3/8 .3/10 .3/12 .3/14 .4/14 .4/15 .5/16 .5/18 .5-.8/20 .8/22 .9/22 1.0/22 1.0/24"
# FACTT-Lite: CVP (least, most), urine (least, most) mL/kg/h: action and hours.
FACTT = {
    ((8.1, 30.0), (0.0, 0.49)): ("furosemide", 1),
    ((8.1, 30.0), (0.5, 5.0)): ("furosemide", 4),
    ((4.0, 8.0), (0.0, 0.49)): ("bolus", 1),
    ((4.0, 8.0), (0.5, 5.0)): ("furosemide", 4),
    ((-5.0, 3.9), (0.0, 0.49)): ("bolus", 1),
    ((-5.0, 3.9), (0.5, 5.0)): ("nothing", 4),
}


class Count(NamedTuple):
    """How many cells a print has, how many points of them were asked, and where the protocol says otherwise."""

    cells: int
    points: int
    wrong: list[str]


def _wrong(name: str, asked, said, printed) -> list[str]:
    differ = np.flatnonzero(~np.isclose(np.asarray(said, float), np.asarray(printed, float)))
    return [f"{name} at {asked[i]}: {said[i]} for {printed[i]}" for i in differ[:5]]


def yale(protocol, table) -> Count:
    """Ask for every whole glucose of each band and every whole change from -150 to 150."""
    asked, printed, cells = [], [], 0
    for (first, last), row in table.items():
        for action, (least, most) in row.items():
            low, high = -150 if least is None else least, 150 if most is None else most
            points = np.meshgrid(np.arange(first, last + 1.0), np.arange(low, high + 1.0), indexing="ij")
            asked += list(zip(points[0].ravel(), points[1].ravel(), strict=True))
            printed += [action] * points[0].size
            cells += 1
    said = np.asarray(jax.jit(jax.vmap(protocol.steps))(*np.asarray(asked).T))
    return Count(cells, len(asked), _wrong(type(protocol).__name__, asked, said, np.asarray(printed)))


def by_one(name: str, function, table, step: float) -> Count:
    """Ask a function of one number over each range of a table."""
    parts = [np.round(np.arange(first, last + step / 2, step), 6) for first, last in table]
    at = np.concatenate(parts)
    printed = np.repeat(list(table.values()), [len(part) for part in parts])
    said = np.asarray(jax.jit(jax.vmap(function))(at))
    return Count(len(table), len(at), _wrong(name, at, said, printed))


def washington() -> Count:
    """Ask for every whole glucose in each column."""
    protocol = WashingtonColumns()
    parts = [(np.arange(first, last + 1.0), rates) for (first, last), rates in WASHINGTON.items()]
    asked = [(column + 1, glucose) for at, _ in parts for glucose in at for column in range(4)]
    printed = np.concatenate([np.tile(rates, len(at)) for at, rates in parts])
    columns, at = (np.asarray(x) for x in zip(*asked, strict=True))
    said = np.asarray(jax.jit(jax.vmap(protocol.rate))(columns, at))
    return Count(4 * len(WASHINGTON), len(asked), _wrong("column", asked, said, printed))


def ventilator_list(protocol, text: str) -> Count:
    """Compare a list; a range of FiO2 at one PEEP is walked in steps of 0.1."""
    printed = []
    for entry in text.split():
        oxygen, peep = entry.split("/")
        first, _, last = oxygen.partition("-")
        steps = np.arange(float(first), float(last or first) + 1e-6, 0.1)
        printed += [(float(oxygen), float(peep)) for oxygen in steps]
    said = np.asarray(protocol.pairs())
    name = type(protocol).__name__
    if said.shape != (len(printed), 2):
        return Count(len(printed), 0, [f"{name} has {len(said)} places for {len(printed)}"])
    wrong = _wrong(name, list(range(said.size)), said.ravel(), np.asarray(printed).ravel())
    return Count(len(text.split()), said.size, wrong)


def factt() -> Count:
    """Ask for every tenth of CVP, and urine on a grid of 20 in each cell."""
    protocol, names = FluidByRule(), ("nothing", "bolus", "furosemide")
    asked, printed, hours = [], [], []
    for (venous, urine), (action, again) in FACTT.items():
        # Typed with one decimal: 8.0 stays 8, whatever the sum of tenths.
        points = np.meshgrid(np.round(np.arange(venous[0], venous[1] + 1e-6, 0.1), 6), np.linspace(*urine, 20))
        asked += list(zip(points[0].ravel(), points[1].ravel(), strict=True))
        printed += [names.index(action)] * points[0].size
        hours += [again] * points[0].size
    said, later = (np.asarray(x) for x in jax.jit(jax.vmap(protocol.row))(*np.asarray(asked).T))
    wrong = _wrong("FACTT", asked, said, np.asarray(printed)) + _wrong("FACTT hours", asked, later, np.asarray(hours))
    return Count(len(FACTT), len(asked), wrong)


def every_print() -> dict[str, Count]:
    """Return the count of each printed table."""
    leuven = Leuven()
    return {
        "Yale 2005": yale(Yale2005(), YALE_2005),
        "Yale 2005, steps": by_one("step", Yale2005().size, STEPS_2005, 0.1),
        "Yale 2012": yale(Yale2012(), YALE_2012),
        "Yale 2012, steps": by_one("step", Yale2012().size, STEPS_2012, 0.1),
        "Washington": washington(),
        "Leuven, starts": by_one("start", leuven.first, LEUVEN_STARTS, 1.0),
        "Leuven, changes": by_one("change", leuven.change, LEUVEN_CHANGES, 1.0),
        "ARDSNet low": ventilator_list(ARDSNetLow(), ARDSNET_LOW),
        "ARDSNet high": ventilator_list(ARDSNetHigh(), ARDSNET_HIGH),
        "FACTT-Lite": factt(),
    }


# ---- totality ------------------------------------------------------------------------------------------------------


def totality(protocol, running, covariates, grids, states=None, thin=1) -> Count:
    """Decide at every point of a grid of measurements (and of what runs) and refuse any order that is no number.

    Parameters
    ----------
    protocol : AbstractProtocol
    running : mapping of input to value
    covariates : mapping of covariate to value
    grids : mapping of a variable, `before <variable>` for the result an hour ago, or an input, to values
    states : list of states, optional
    thin : int
        Every how many of the grid's values are asked for, where there are many.
    """
    from twinprob.decisions import Bedside, Seen

    names = list(grids)
    grids = {name: values[:: min(thin, max(1, len(values) // 3))] for name, values in grids.items()}
    columns = [g.ravel() for g in np.meshgrid(*grids.values(), indexing="ij")]

    def orders(state, *point):
        at = dict(zip(names, point, strict=True))
        seen = {}
        for name in protocol.reads:
            values = [at.get(name, jnp.nan), at.get(f"before {name}", at.get(name, jnp.nan)), jnp.nan, jnp.nan]
            seen[name] = Seen(jnp.stack([jnp.asarray(v, float) for v in values]), jnp.array([600.0, 540.0, 480.0, 420]))
        runs = {n: jnp.asarray(at.get(n, running.get(n, 0.0)), float) for n in protocol.gives}
        who = {n: jnp.asarray(float(v)) for n, v in covariates.items()}
        return protocol.decide(Bedside(jnp.asarray(600.0), seen, runs, who, state))

    every = jax.jit(jax.vmap(orders, in_axes=(None, *[0] * len(columns))))
    points, wrong = 0, []
    for number, state in enumerate([protocol.start()] if states is None else states):
        found = every(state, *columns)
        numbers = {**found.values, **found.amounts, "measure_in": found.measure_in}
        bad = np.zeros(len(columns[0]), bool)
        for values in numbers.values():
            values = np.broadcast_to(np.asarray(values), bad.shape)
            bad |= ~np.isfinite(values) | (values < 0.0)
        bad |= np.broadcast_to(np.asarray(found.measure_in), bad.shape) < 1.0
        rules, caps = (np.broadcast_to(np.asarray(x), bad.shape) for x in (found.rule, found.cap))
        bad |= ~np.isin(rules, [int(r) for r in protocol.Rule]) | ~np.isin(caps, [int(c) for c in protocol.Cap])
        points += len(bad)
        wrong += [
            f"{type(protocol).__name__} in state {number} at {[float(c[i]) for c in columns]}"
            for i in np.flatnonzero(bad)[:3]
        ]
    return Count(1, points, wrong)
