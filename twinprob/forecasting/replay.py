"""The same patient over the past again, treated otherwise."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from ..display import number
from ..dynamics.precision import in_double_precision
from ..dynamics.programs import compiled
from ..dynamics.segments import minutes_per_unit
from ..inference.joint import Joint, joint
from ..inference.twin import Twin
from ..labels import Labelled, dataset, tree
from ..modeling.model import nearest
from ..patient.inputs import Inputs
from ..patient.require import require_kinds, require_probability, require_room, require_spacing
from ..patient.units import span

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 3
_WORDS = ("median", "lower", "upper")


@dataclass(frozen=True, repr=False)
class Replay:
    """What the model says a patient's past would have been under another treatment, draw by draw.

    Attributes
    ----------
    tree : xarray.DataTree
        `as_given` and `replayed`: noise-free outputs (chain, draw, time) in the model's units.
    inputs : Inputs
        What was assumed instead.
    effective_draws : float
        Independent draws behind the intervals.
    solves_failed : int
    notes : tuple of str
        What such an answer assumes.
    """

    tree: xr.DataTree
    inputs: Inputs
    effective_draws: float
    solves_failed: int
    notes: tuple[str, ...] = ()

    def group(self, name: str) -> xr.Dataset:
        """Return one group of the tree as a dataset."""
        return self.tree[name].to_dataset()

    @property
    def times(self) -> np.ndarray:
        """Times of the record, (time,) min."""
        return self.group("replayed")["time"].values

    def summary(self, *, ci_prob: float = 0.9) -> "pd.DataFrame":
        """Return medians and equal-tailed credible intervals of both pasts, and of their difference draw by draw.

        Parameters
        ----------
        ci_prob : float
            Probability inside the interval.

        Returns
        -------
        frame : pandas.DataFrame
            Columns time (min), variable, unit, and median, lower, upper of each of as_given, replayed and difference.

        Raises
        ------
        TypeError, ValueError
            If `ci_prob` is no number between 0 and 1.
        """
        import pandas as pd  # here because importing it takes long

        require_probability("ci_prob", ci_prob)
        levels = [0.5, (1 - ci_prob) / 2, (1 + ci_prob) / 2]
        given, other = self.group("as_given"), self.group("replayed")
        frames = []
        for name, values in other.data_vars.items():
            columns = {"time": self.times, "variable": str(name), "unit": values.attrs.get("units", "")}
            shown = {"as_given": given[name].values, "replayed": values.values}
            for part, draws in {**shown, "difference": shown["replayed"] - shown["as_given"]}.items():
                found = np.nanquantile(draws, levels, axis=(0, 1))
                columns |= {f"{part}_{word}": row for word, row in zip(_WORDS, found, strict=True)}
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    def __repr__(self) -> str:
        """Say which past it is, how it would have ended otherwise, and what that assumes."""
        last = self.summary().groupby("variable", sort=False).tail(1).itertuples()
        ends = [
            f"{row.variable} {number(row.replayed_median)} for {number(row.as_given_median)} {row.unit} "
            f"(difference {number(row.difference_lower)} to {number(row.difference_upper)})"
            for row in last
        ]
        failed = f", {self.solves_failed} draws could not be solved" if self.solves_failed else ""
        return (
            f"Replay: {span(self.times[0])} to {span(self.times[-1])}, otherwise: {', '.join(self.inputs.names)}\n"
            f"  at its end, median: {'; '.join(ends[:_SHOWN])}{failed}\n"
            f"  {' '.join(self.notes)}\n"
            "  Research software, not a medical device."
        )


@in_double_precision
def replay(twin: Twin, inputs: Inputs, *, every: str = "15 min") -> Replay:
    """Let the same patient live through the past again under another treatment.

    Each draw keeps its parameters, what moved in time as the data told it, and the state in which the record began;
    only the treatment differs, so that there is no chance in it and no key.

    Parameters
    ----------
    twin : Twin
        As `fit` returns; of a long record, the part that was fitted at once.
    inputs : Inputs
        In the record's time. Each input that it names is as it was until the first row here, and as here from then on;
        the others are as they were.
    every : str
        Spacing of the times.

    Returns
    -------
    Replay

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If the twin was updated since its fit, the model has no such input, nothing differs within the past, or a
        setting is unknown.
    """
    require_kinds(twin=(twin, Twin), inputs=(inputs, Inputs))
    record, step = twin.recent, require_spacing("Argument `every`", every)
    if "unconstrained" not in twin.tree.children:
        raise ValueError(
            "An updated twin keeps its present and not the draws of its past: `replay` the twin as `fit` returned it, "
            "or fit the whole record, `fit(twin.model, twin.record, key=…)`."
        )
    other = _otherwise(twin, record, inputs)
    times = np.append(np.arange(record.start, record.end, step), record.end)
    require_room("A replay", twin.draws * len(times), "a larger `every`")
    how: dict[str, Any] = {
        "observations": dict(twin.observations),
        "integrator": twin.integrator,
        "past": twin.past,
        "times": times,
    }
    given, instead = (joint(twin.model, one, **how) for one in (record, other))
    positions = twin.group("unconstrained")["position"].values
    shape = positions.shape[:2]
    places = [_places(density, times) for density in (given, instead)]
    pasts, solved = _lived(given, instead, positions.reshape(twin.draws, -1), *places)
    declared = twin.model.quantities(twin.model.Output)
    coords = {"time": Labelled(("time",), times, "min", "time since the record's origin")}
    groups = {
        group: dataset(
            {
                name: Labelled(
                    ("chain", "draw", "time"),
                    np.asarray(getattr(past, name)).reshape(*shape, -1),
                    declared[name].unit,
                    f"{declared[name].about}, noise-free, {group.replace('_', ' ')}",
                )
                for name in declared
            },
            coords,
            {},
        )
        for group, past in zip(("as_given", "replayed"), pasts, strict=True)
    }
    attrs = {"inference_library": "twinprob", "provenance": twin.tree.attrs["provenance"]}
    failed = int(np.sum(~np.asarray(solved)))
    return Replay(tree(groups, attrs), inputs, twin.effective_draws, failed, _assumed(twin, inputs))


def _otherwise(twin: Twin, record, inputs: Inputs):
    """Return the record with other inputs from their first row on."""
    known = tuple(twin.model.quantities(twin.model.Input))
    for name in inputs.names:
        if name not in known:
            raise ValueError(f"Model `{type(twin.model).__name__}` has no input `{name}`; {nearest(name, known)}")
    changed = record.inputs
    for name, course in inputs.courses.items():
        first = max(float(course.starts.min()) if course.starts.size else record.start, record.start)
        if first >= record.end:
            raise ValueError(
                f"What is said of {name} begins at {first:g} min, and the twin's past ends at {record.end:g} min: "
                "`forecast` says what comes."
            )
        alone = Inputs({name: record.inputs[name]} if name in record.inputs else {})
        changed = Inputs({**changed.courses, **alone.then(Inputs({name: course}), first).courses})
    if not inputs.names:
        raise ValueError("Argument `inputs` names no input: say what would have been done instead.")
    return replace(record, inputs=changed)


def _places(density: Joint, times: np.ndarray) -> np.ndarray:
    """Return the segment borders that lie at these times (min)."""
    lengths = np.asarray(density.segments.length)
    count = int(np.sum(lengths > 0))
    ends = np.asarray(density.segments.start[:count]) + lengths[:count]
    borders = np.append(density.segments.start[:1], ends) * minutes_per_unit(density.model)
    return np.searchsorted(borders, times - 1e-6).astype(np.int32)


def _assumed(twin: Twin, inputs: Inputs) -> tuple[str, ...]:
    notes = ["Assumes the model and that nothing else would have been done or happened otherwise."]
    if moving := tuple(twin.model.processes()):
        notes.append(f"{', '.join(moving)} moved as the data told under what was given.")
    charted = twin.model.told_by_charts()
    notes += [f"What {name} does is taken as charts show it." for name in inputs.names if name in charted]
    return tuple(notes)


@compiled
def _lived(given: Joint, instead: Joint, positions, here, there):
    """Return the outputs of every draw at borders `here` of one density and `there` of the other."""

    def one(position):
        values = given.constrain(position)
        parameters = given.paths(values)
        states, solved, rows = given.states(parameters, given.first(values))
        others, also, their_rows = instead.states(parameters, states[0])
        found = given.outputs(states, rows, here), instead.outputs(others, their_rows, there)
        fine = solved & also
        return jax.tree.map(lambda x: jnp.where(fine, x, jnp.nan), found), fine

    return jax.vmap(one)(positions)
