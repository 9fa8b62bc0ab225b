"""Directions in which unknowns can move unseen, and the functions of them that stay put: both found, then named."""

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .arithmetic import PRIME, Real, Residue

_SMALL = 24  # larger whole numbers are taken for chance
NOTHING = 1e-6
_GAP = 1e3
_FLOOR = 1e-9


@dataclass(frozen=True)
class Direction:
    """One way to move unknowns that no measured output notices.

    Parameters
    ----------
    weights : mapping of str to float
        Exponent (scaling) or slope (shift) of each unknown that moves; NaN along a curve.
    kind : str
        "scaling" multiplies unknown i by c to the power of its weight, "shift" adds c times its weight, and "curve" is
        neither: the direction depends on where one stands.
    """

    weights: dict[str, float]
    kind: str

    def __str__(self) -> str:
        """Say how the unknowns move together."""
        names = list(self.weights)
        if len(names) == 1:
            return f"`{names[0]}` alone, whatever its value"
        if self.kind == "curve":
            return f"{_listed(names)} together along a curve"
        terms = []
        for name, weight in self.weights.items():
            size = "" if abs(weight) == 1 else f"{abs(weight):g}"
            if self.kind == "scaling":
                terms.append(f"`{name}` {'×' if weight > 0 else '÷'} c" + (f"^{size}" if size else ""))
            else:
                terms.append(f"`{name}` {'+' if weight > 0 else '−'} {size}c")
        return ", ".join(terms) + " for any c"


class Point(NamedTuple):
    """What is known at one random point: the derivatives of the measured series by the unknowns, and the unknowns.

    Attributes
    ----------
    rows : (row, unknown), derivatives by each unknown measured in its `units`
    values : (unknown,)
    units : (unknown,), ones in exact arithmetic
    """

    rows: np.ndarray
    values: np.ndarray
    units: np.ndarray


# ---- linear algebra in either arithmetic ----------------------------------------------------------------------------


def echelon(matrix: np.ndarray, arithmetic) -> tuple[np.ndarray, list[int]]:
    """Return the reduced row echelon form without its zero rows, and its pivot columns."""
    matrix, row, pivots = np.array(matrix), 0, []
    for column in range(matrix.shape[1]):
        sizes = np.abs(matrix[row:, column])
        if row == len(matrix) or not (np.max(sizes) > (NOTHING if isinstance(arithmetic, Real) else 0)):
            continue
        best = row + int(np.argmax(sizes))
        matrix[[row, best]] = matrix[[best, row]]
        matrix[row] = arithmetic.reduce(matrix[row] * arithmetic.inverse(matrix[row, column]))
        others = matrix[:, column].copy()
        others[row] = 0
        matrix = arithmetic.reduce(matrix - others[:, None] * matrix[row])
        row += 1
        pivots.append(column)
    return matrix[:row], pivots


def null_space(matrix: np.ndarray, arithmetic) -> np.ndarray:
    """Return a basis of the null space, shape (direction, unknown), in echelon form."""
    if isinstance(arithmetic, Real):
        scaled = unit_rows(matrix)
        vectors = np.linalg.svd(scaled, full_matrices=True)[2]
        rank = numerical_rank(singular_values(scaled))[0]
        return echelon(vectors[rank:], arithmetic)[0]
    form, pivots = echelon(matrix, arithmetic)
    free = [c for c in range(matrix.shape[1]) if c not in pivots]
    basis = np.zeros((len(free), matrix.shape[1]), matrix.dtype)
    for k, column in enumerate(free):
        basis[k, column] = 1
        basis[k, pivots] = arithmetic.reduce(-form[:, column])
    return echelon(basis, arithmetic)[0]


def unit_rows(matrix: np.ndarray) -> np.ndarray:
    """Scale every row to length one, zero rows apart."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.where(lengths > 0, lengths, 1.0)


def singular_values(matrix: np.ndarray) -> np.ndarray:
    """Return as many singular values as there are columns, the largest first."""
    found = np.linalg.svd(matrix, compute_uv=False)
    return np.pad(found, (0, max(0, matrix.shape[1] - len(found))))[: matrix.shape[1]]


def numerical_rank(values: np.ndarray) -> tuple[int, bool]:
    """Return the rank that singular values show, and whether a clear gap shows it."""
    if values.size == 0 or values[0] == 0:
        return 0, True
    relative = np.append(values / values[0], 1e-18)
    steps = relative[:-1] / np.maximum(relative[1:], 1e-18)
    below = relative[1:] < _FLOOR
    if not below[:-1].any():
        return len(values), bool(relative[-2] > _FLOOR)
    rank = 1 + int(np.argmax(np.where(below, steps, 0.0)))
    return rank, bool(steps[rank - 1] > _GAP)


def _fraction(value, arithmetic) -> Fraction | None:
    """Return the small fraction behind a number, if there is one."""
    if isinstance(arithmetic, Real):
        found = Fraction(float(value)).limit_denominator(12)
        return found if abs(found - Fraction(float(value))) < 1e-5 and abs(found.numerator) <= _SMALL else None
    for below in range(1, _SMALL + 1):
        above = int(value) * below % PRIME
        above -= PRIME if above > PRIME // 2 else 0
        if abs(above) <= _SMALL:
            return Fraction(above, below)
    return None


def _whole(vector, arithmetic) -> np.ndarray | None:
    """Return the smallest vector of whole numbers along a vector, if there is one."""
    parts = [_fraction(v, arithmetic) for v in vector]
    if any(p is None for p in parts):
        return None
    known = [p for p in parts if p is not None]
    common = np.lcm.reduce([p.denominator for p in known])
    numbers = np.array([int(p * int(common)) for p in known])
    numbers = numbers // max(1, np.gcd.reduce(np.abs(numbers)))
    return numbers * (1 if numbers[np.flatnonzero(numbers)[0]] > 0 else -1)


# ---- directions -----------------------------------------------------------------------------------------------------


def directions(points: list[Point], names, arithmetic) -> list[Direction]:
    """Name a basis of the directions that are the same at every point: scalings first, shifts, then curves."""
    wanted = len(null_space(points[0].rows, arithmetic))
    found: list[Direction] = []
    local = np.zeros((0, len(names)), points[0].rows.dtype)
    for kind in ("scaling", "shift"):
        for vector in _everywhere(points, kind, arithmetic):
            here = arithmetic.reduce(vector * _relative(points[0])) if kind == "scaling" else vector
            whole = _whole(vector if kind == "scaling" else vector * points[0].units, arithmetic)
            joined = np.vstack([local, here])
            if whole is not None and len(echelon(joined, arithmetic)[0]) == len(joined):
                local = joined
                found.append(Direction({names[i]: float(whole[i]) for i in np.flatnonzero(whole)}, kind))
    for vector in null_space(points[0].rows, arithmetic):
        joined = np.vstack([local, vector])
        if len(found) < wanted and len(echelon(joined, arithmetic)[0]) == len(joined):
            local = joined
            moving = [names[i] for i in np.flatnonzero(np.abs(vector) > NOTHING)]
            found.append(Direction({name: float("nan") for name in moving}, "curve"))
    return found


def _everywhere(points, kind, arithmetic):
    """Return a basis of the directions that hold at all points, in logarithms for scalings."""
    rows = [arithmetic.reduce(p.rows * _relative(p)) if kind == "scaling" else p.rows for p in points]
    return null_space(np.vstack(rows), arithmetic)


def _relative(point: Point) -> np.ndarray:
    return point.values // point.units if point.values.dtype.kind == "i" else point.values / point.units


# ---- functions that stay put ----------------------------------------------------------------------------------------


def functions(points: list[Point], names, arithmetic) -> list[str]:
    """Name simple functions of the unidentifiable unknowns that the outputs do determine."""
    spaces = [null_space(point.rows, arithmetic) for point in points]
    found: list[str] = []
    for block in blocks(spaces[0]):
        missing = len(block) - len(echelon(spaces[0][:, block], arithmetic)[0])
        gradients = np.zeros((0, len(names)), points[0].rows.dtype)
        for text, gradient in itertools.chain(
            *(kind(block, names) for kind in (_pairs, _complements, _sums, _monomials, _mixed))
        ):
            if len(gradients) == missing:
                break
            each = [arithmetic.reduce(gradient(point.values) * point.units) for point in points]
            joined = np.vstack([gradients, each[0]])
            unseen = all(_orthogonal(g, space, arithmetic) for g, space in zip(each, spaces, strict=True))
            if unseen and len(echelon(_even(joined, arithmetic), arithmetic)[0]) == len(joined):
                gradients = joined
                found.append(text)
        if len(gradients) < missing:
            rest, involved = missing - len(gradients), _listed([names[i] for i in block])
            found.append(f"{rest} further function{'s' if rest > 1 else ''} of {involved}")
    return found


def blocks(space: np.ndarray) -> list[list[int]]:
    """Group the unknowns that trade with each other, from a null space in echelon form."""
    groups: list[set[int]] = []
    for vector in space:
        group = set(map(int, np.flatnonzero(np.abs(vector) > NOTHING)))
        apart = [g for g in groups if not g & group]
        groups = [*apart, group.union(*(g for g in groups if g & group))]
    return sorted(sorted(group) for group in groups)


def _even(gradients, arithmetic):
    return gradients if isinstance(arithmetic, Residue) else unit_rows(gradients)


def _orthogonal(gradient, space, arithmetic) -> bool:
    products = arithmetic.product(space, gradient[:, None])[:, 0]
    if isinstance(arithmetic, Residue):
        return not products.any()
    return bool(np.all(np.abs(products) <= 1e-5 * np.linalg.norm(space, axis=1) * np.linalg.norm(gradient)))


def _monomial(exponents, block, names):
    """Return the text and the gradient of a product of powers."""

    def power(name, size):
        return f"{name}^{size}" if size > 1 else name

    above = [power(names[i], e) for i, e in zip(block, exponents, strict=True) if e > 0]
    below = [power(names[i], -e) for i, e in zip(block, exponents, strict=True) if e < 0]
    text = " · ".join(above) or "1"
    if below:
        text += f" / {below[0]}" if len(below) == 1 else f" / ({' · '.join(below)})"

    def gradient(values):
        whole = 1 if values.dtype.kind == "i" else 1.0
        found = np.zeros(len(values), values.dtype)
        for i, e in zip(block, exponents, strict=True):  # e · product of all other factors' powers, up to the whole
            found[i] = e * _inverse(values[i]) * whole if e else 0
        return found

    return text, gradient


def _inverse(value):
    return pow(int(value), -1, PRIME) if isinstance(value, np.integer) else 1.0 / value


def _pairs(block, names):
    for i, j in itertools.combinations(block, 2):
        for exponents in ((1, 1), (1, -1)):
            yield _monomial(exponents, (i, j), names)
        yield _sum((1, 1), (i, j), names)
        yield _sum((1, -1), (i, j), names)


def _sum(signs, chosen, names):
    text = names[chosen[0]] + "".join(
        f" {'+' if s > 0 else '−'} {names[i]}" for s, i in zip(signs[1:], chosen[1:], strict=True)
    )

    def gradient(values):
        found = np.zeros(len(values), values.dtype)
        found[list(chosen)] = signs
        return found

    return text, gradient


def _sums(block, names):
    for size in (3, 4):
        for chosen in itertools.combinations(block, size):
            yield _sum((1,) * size, chosen, names)


def _monomials(block, names):
    if len(block) > 8:
        return
    for size in (3, 4):
        for chosen in itertools.combinations(block, size):
            for exponents in itertools.product((1, -1), repeat=size - 1):
                yield _monomial((1, *exponents), chosen, names)
    for i, j in itertools.permutations(block, 2):
        for exponents in ((1, 2), (1, -2)):
            yield _monomial(exponents, (i, j), names)


def _mixed(block, names):
    """Yield a · (b ± c) and (b ± c) / a."""
    for i in block:
        for j, k in itertools.combinations([b for b in block if b != i], 2):
            for sign in (1, -1):
                inner = f"({names[j]} {'+' if sign > 0 else '−'} {names[k]})"
                yield f"{names[i]} · {inner}", _bracket(i, j, k, sign, 1)
                yield f"{inner} / {names[i]}", _bracket(i, j, k, sign, -1)


def _complements(block, names):
    """Yield (1 − a) · b."""
    for i, j in itertools.permutations(block, 2):
        yield f"(1 − {names[i]}) · {names[j]}", _complement(i, j)


def _complement(i, j):
    def gradient(values):
        found = np.zeros(len(values), values.dtype)
        found[i], found[j] = -values[j], 1 - values[i]
        return found

    return gradient


def _bracket(i, j, k, sign, power):
    """Return the gradient of a^power (b ± c), divided by a^power where that is a number to divide by."""

    def gradient(values):
        found = np.zeros(len(values), values.dtype)
        found[j], found[k] = 1, sign
        inner = values[j] + sign * values[k]
        found[i] = power * (inner % PRIME if values.dtype.kind == "i" else inner) * _inverse(values[i])
        return found

    return gradient


def _listed(names) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1]
