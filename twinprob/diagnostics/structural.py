"""Which unknowns of a model noise-free data of its measured outputs would determine, and which only together."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from ..display import paragraph, section, table
from ..dynamics.precision import in_double_precision
from ..modeling.model import AbstractModel
from ..patient.require import require_key, require_kinds
from .arithmetic import Residue
from .expansion import (
    POINTS,
    Expansion,
    Experiment,
    branches_of,
    exact_points,
    experiment_of,
    first_state,
    real_point,
    singular,
)
from .pieces import determined_on, pieces_at, same
from .symmetry import (
    NOTHING,
    Direction,
    blocks,
    directions,
    functions,
    null_space,
    numerical_rank,
    singular_values,
    unit_rows,
)
from .taylor import Untraceable


@dataclass(frozen=True)
class Structural:
    """What noise-free, continuous measurements would determine, locally.

    Attributes
    ----------
    model : str
    outputs : tuple of str, those that are measured
    unknowns : tuple of str, parameters and then free initial states as "<state> at the start"
    identifiable : dict of str to bool, by unknown
    observable : dict of str to bool, by state: whether the outputs determine its whole course
    determined : dict of str to bool, by output, measured or not: whether the measured ones determine its whole course
    rank : int, of the observability–identifiability matrix; with full rank all unknowns are identifiable
    directions : tuple of Direction, as many as the rank falls short
    functions : tuple of str, what of the unidentifiable unknowns is determined all the same
    confounded : dict of str to tuple of str, by unidentifiable unknown: those it trades with
    singular_values : (unknown,), of the matrix in floating point, rows scaled to one and columns by their values
    exact : bool, whether exact arithmetic decided; otherwise the gap in the singular values did
    decided : bool, False where neither could, or an operation of the equations has no power series: all mappings are
        empty then, and a note says why
    notes : tuple of str
    """

    model: str
    outputs: tuple[str, ...]
    unknowns: tuple[str, ...]
    identifiable: dict[str, bool]
    observable: dict[str, bool]
    determined: dict[str, bool]
    rank: int
    directions: tuple[Direction, ...]
    functions: tuple[str, ...]
    confounded: dict[str, tuple[str, ...]]
    singular_values: np.ndarray
    exact: bool
    decided: bool
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Write the verdict as lines of text."""
        return "\n".join([self._headline(), *(f"  {line}" for line in self._reasons())])

    def _headline(self) -> str:
        seen = " and ".join(self.outputs) if len(self.outputs) < 3 else ", ".join(self.outputs)
        if not self.decided:
            return f"{self.model}, from {seen}: undecided."
        good = sum(self.identifiable.values())
        if good == len(self.unknowns):
            return f"{self.model}, from {seen}: all {good} unknowns are structurally identifiable."
        return f"{self.model}, from {seen}: {good} of {len(self.unknowns)} unknowns are structurally identifiable."

    def _reasons(self) -> list[str]:
        lines = []
        if not self.decided:
            return list(self.notes)
        if self.directions:
            bad = [f"`{name}`" for name, good in self.identifiable.items() if not good]
            lines.append(f"Not identifiable: {', '.join(bad)}.")
            lines += [f"Unseen by the outputs: {direction}." for direction in self.directions]
            lines += [f"Determined all the same: {text}." for text in self.functions]
        hidden = [f"`{name}`" for name, seen in self.observable.items() if not seen]
        if hidden:
            lines.append(f"States whose course stays open: {', '.join(hidden)}.")
        how = "exact arithmetic" if self.exact else "the gap in the singular values"
        lines.append(f"Rank {self.rank} of {len(self.unknowns)} by {how}; noise and sampling are another question.")
        return lines + list(self.notes)

    def _repr_html_(self) -> str:
        rows = []
        words = {True: "identifiable", False: "not identifiable", None: "undecided"}
        for name in self.unknowns:
            verdict, trades = words[self.identifiable.get(name)], ", ".join(self.confounded.get(name, ()))
            rows.append((name, verdict, trades))
        header = ("unknown", "structurally", "trades with")
        return section(self._headline(), table("", header, rows), *(paragraph(line) for line in self._reasons()))


@in_double_precision
def structural(
    model: AbstractModel,
    *,
    outputs: Sequence[str] | None = None,
    unknown: Sequence[str] | None = None,
    known: Sequence[str] = (),
    free_states: Sequence[str] = (),
    constant: Sequence[str] = (),
    absent: Sequence[str] = (),
    moments: Sequence[float] = (),
    key,
) -> Structural:
    """Tell which unknowns and states of a model its measured outputs determine, given perfect data.

    Parameters
    ----------
    model : AbstractModel
        Its values say on which branch of a piecewise equation (a clip, a minimum) the verdict holds.
    outputs : sequence of str, optional
        The outputs that are measured; all that the model declares by default.
    unknown : sequence of str, optional
        The unknown parameters; `model.unknowns()` by default.
    known : sequence of str
        Parameters taken out of the unknown ones.
    free_states : sequence of str
        States whose initial value is unknown on its own, in place of what `model.initial` says.
    constant : sequence of str
        Inputs that stay at one known level; all others vary as richly as needed.
    absent : sequence of str
        Inputs that are never given.
    moments : sequence of float, min
        Where piecewise equations are looked at too, such as where a record has measurements. What any of these pieces
        determines counts as identifiable; what none does is left undecided, since the place where one piece ends and
        the next begins says something as well.
    key : jax PRNG key
        Chooses the random points.

    Returns
    -------
    Structural

    Raises
    ------
    ValueError
        If no output is measured, nothing is unknown, a name does not exist, a known parameter has no value, or the
        equations cannot be expanded at the initial state.

    Notes
    -----
    The Taylor coefficients in time of the outputs (their Lie derivatives) are functions of the unknowns; the rank
    of their Jacobian at random points decides [1]. It is computed in integers modulo a prime where the equations
    allow it [2], and in floating point beside it. Parameters that vary in time are treated as constants.

    References
    ----------
    .. [1] Villaverde AF, Barreiro A, Papachristodoulou A. Structural identifiability of dynamic systems biology
       models. PLoS Comput Biol 2016;12:e1005153. doi:10.1371/journal.pcbi.1005153
    .. [2] Sedoglavic A. A probabilistic algorithm to test local algebraic observability in polynomial time. J Symb
       Comput 2002;33:735-755. doi:10.1006/jsco.2002.0532
    """
    require_key(key)
    require_kinds(model=(model, AbstractModel))
    experiment = experiment_of(model, outputs, unknown, known, free_states, constant, absent)
    chance = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    try:
        branches = branches_of(experiment, chance)
    except Untraceable as operation:
        return _undecided(experiment, f"The equations use `{operation}`, which has no power series here.")
    real = [p for p in (real_point(experiment, branches, chance, k) for k in range(POINTS)) if p is not None]
    if not real:
        raise singular(experiment)
    values = singular_values(real[0].point.rows)
    rank, decided = numerical_rank(values)
    found = exact_points(experiment, branches, chance)
    if not found:
        ranks = [numerical_rank(singular_values(r.point.rows))[0] for r in real]
        found, decided = [r for r, n in zip(real, ranks, strict=True) if n == rank], decided and set(ranks) == {rank}
    if not decided and not isinstance(found[0].arithmetic, Residue):
        return _undecided(experiment, "The singular values show no clear gap.", values)
    verdict = _verdict(experiment, branches, found, values)
    return _over_pieces(verdict, experiment, branches, moments, chance)


def _over_pieces(verdict: Structural, experiment: Experiment, branches, moments, chance) -> Structural:
    """Return a verdict that does not rest on the piece where the equations start, where they live on others too."""
    if not any(branches.values()) or not len(moments) or all(verdict.identifiable.values()):
        return verdict
    inputs = np.where(experiment.moving > 0, 1.0, 0.0)
    begin = first_state(experiment, experiment.values, inputs)
    pieces = pieces_at(experiment, moments, begin, inputs)
    others = [answers for answers in pieces if not same(answers, branches)]
    if not others:
        return verdict
    known = np.any([determined_on(experiment, answers, chance) for answers in others], axis=0)
    on_a_piece = {name: bool(k) for name, k in zip(experiment.unknown, known, strict=True)}
    identifiable = {n: True for n, good in verdict.identifiable.items() if good or on_a_piece.get(n, False)}
    left = [f"`{name}`" for name in verdict.identifiable if name not in identifiable]
    said = f"The equations are piecewise, and the record lives on {len(others)} more than the piece where they start."
    said += f" Undecided: {', '.join(left)}, which no piece determines alone." if left else ""
    notes = (*(note for note in verdict.notes if "piecewise" not in note), said)
    return dataclasses.replace(
        verdict, identifiable=identifiable, observable={}, determined={}, directions=(), functions=(), confounded={},
        notes=notes,
    )  # fmt: skip


# ---- the verdict ----------------------------------------------------------------------------------------------------


def _verdict(experiment: Experiment, branches, found: list[Expansion], values: np.ndarray) -> Structural:
    names, arithmetic = experiment.labels, found[0].arithmetic
    exact = isinstance(arithmetic, Residue)
    points = [f.point for f in found]
    spaces = [null_space(p.rows, arithmetic) for p in points]
    moves = np.any([np.any(np.abs(s) > NOTHING, axis=0) for s in spaces], axis=0)
    confounded = {names[i]: tuple(names[j] for j in block if j != i) for block in blocks(spaces[0]) for i in block}
    model = experiment.model
    return Structural(
        model=experiment.name,
        outputs=tuple(n for i, n in enumerate(model.quantities(model.Output)) if i in experiment.measured),
        unknowns=names,
        identifiable={name: bool(not moved) for name, moved in zip(names, moves, strict=True)},
        observable=_settled(tuple(model.quantities(model.State)), [f.states for f in found], spaces, found),
        determined=_settled(tuple(model.quantities(model.Output)), [f.outputs for f in found], spaces, found),
        rank=len(names) - len(spaces[0]),
        directions=tuple(directions(points, names, arithmetic)),
        functions=tuple(functions(points, names, arithmetic)),
        confounded=confounded,
        singular_values=values,
        exact=exact and not arithmetic.formal,
        decided=True,
        notes=_notes(experiment, branches, found, values),
    )


def _undecided(experiment: Experiment, why: str, values: np.ndarray | None = None) -> Structural:
    """Return the verdict that there is none."""
    names = experiment.labels
    outputs = tuple(
        n for i, n in enumerate(experiment.model.quantities(experiment.model.Output)) if i in experiment.measured
    )
    values = np.full(len(names), np.nan) if values is None else values
    return Structural(
        experiment.name, outputs, names, {}, {}, {}, numerical_rank(values)[0] if np.isfinite(values).all() else 0,
        (), (), {}, values, exact=False, decided=False, notes=(why,),
    )  # fmt: skip


def _settled(names, series, spaces, found) -> dict[str, bool]:
    """Tell of each quantity whether its course stays put along every unseen direction."""
    verdicts = {}
    for i, name in enumerate(names):
        still = True
        for one, space, expansion in zip(series, spaces, found, strict=True):
            slopes = one[:, 1:, i] * expansion.point.units
            if isinstance(expansion.arithmetic, Residue):
                still &= not expansion.arithmetic.product(slopes, space.T.copy()).any()
            else:
                slopes = unit_rows(slopes[np.all(np.isfinite(slopes), axis=1)])
                still &= bool(np.all(np.abs(slopes @ space.T) < 1e-5 * np.linalg.norm(space, axis=1)))
        verdicts[name] = still
    return verdicts


def _notes(experiment: Experiment, branches, found, values) -> tuple[str, ...]:
    notes = []
    moving = [n for n in experiment.varying if n in experiment.unknown]
    if moving:
        notes.append(f"Treated as constant here, though the model lets it vary: {', '.join(f'`{n}`' for n in moving)}.")
    if any(branches.values()):
        notes.append("The equations are piecewise; the verdict holds on the piece where the model's own values stand.")
    if getattr(found[0].arithmetic, "formal", False):
        notes.append("Exponentials, logarithms or broken powers took random values in the exact arithmetic.")
    rank, clear = numerical_rank(values)
    expected = len(values) - len(null_space(found[0].point.rows, found[0].arithmetic))
    if clear and rank < expected:
        notes.append(
            f"At the model's own values the rank is only {rank}: a special case, such as two rates that are equal, or "
            "an effect too small for floating point."
        )
    return tuple(notes)
