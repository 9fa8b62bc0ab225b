import math
from functools import cache
from importlib import import_module
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from jax import lax
from jax.experimental.jet import jet

from tests.published_models import build, every, verdict
from twinprob.diagnostics import expansion, structural
from twinprob.diagnostics.arithmetic import PRIME, Real, Residue
from twinprob.diagnostics.taylor import Runner, trace
from twinprob.models.metabolic import ICING, MinimalModel, OralMinimalModel

CASES = {case.name: case for case in every()}
SMALL = [
    "two compartments, leak from the first",
    "two compartments, two leaks",
    "saturable elimination, unknown scale",
    "Lotka-Volterra, prey seen",
    "quadratic pair",
    "SIR, unknown share reported",
    "minimal model, glucose only",
    "Windkessel of three elements",
]


@cache
def judged(name):
    return verdict(CASES[name], jax.random.key(4))


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_is_that_of_the_literature(name):
    assert judged(name)[1] == CASES[name].unidentifiable


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.functions])
def test_what_is_determined_all_the_same_is_named(name):
    assert set(CASES[name].functions) <= set(judged(name)[0].functions)


@pytest.mark.parametrize("name", CASES)
def test_directions_are_as_many_as_the_rank_falls_short(name):
    found = judged(name)[0]
    assert len(found.directions) == len(found.unknowns) - found.rank


# ---- against symbols ------------------------------------------------------------------------------------------------


def symbolic_rank(model) -> int:
    """Rank of the Jacobian of the outputs' Lie derivatives, by sympy, at random fractions."""

    def symbols(names, mark=""):
        return SimpleNamespace(**{name: sympy.Symbol(f"{mark}{name}") for name in names})

    p, x = symbols(model.parameters(), "p_"), symbols(model.quantities(model.State), "x_")
    inputs, unknown = list(model.quantities(model.Input)), [*vars(p).values(), *vars(x).values()]
    orders = len(unknown) + 1
    u = {name: [sympy.Symbol(f"{name}_{k}") for k in range(orders + 1)] for name in inputs}
    now = SimpleNamespace(**{name: u[name][0] for name in inputs})
    field = vars(type(model).vector_field(p, 0, x, now))
    lie, rows = list(vars(type(model).output(p, x, now)).values()), []
    for order in range(orders):
        rows += lie
        lie = [
            sum(sympy.diff(e, state) * field[name] for name, state in vars(x).items())
            + sum(sympy.diff(e, u[n][k]) * u[n][k + 1] for n in inputs for k in range(order + 1))
            for e in lie
        ]
    chance = np.random.default_rng(0)
    everything = [*unknown, *(s for series in u.values() for s in series)]
    point = {s: sympy.Rational(int(chance.integers(2, 99)), int(chance.integers(2, 99))) for s in everything}
    return sympy.Matrix([[sympy.diff(e, s).subs(point) for s in unknown] for e in rows]).rank()


LONG = "minimal model, glucose only"  # a quarter of a minute in sympy


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n == LONG)) for n in SMALL])
def test_the_rank_is_that_of_symbolic_lie_derivatives(name):
    assert judged(name)[0].rank == symbolic_rank(CASES[name].model)


@pytest.mark.parametrize("name", SMALL)
def test_floating_point_finds_the_same_verdict(name, key, monkeypatch):
    monkeypatch.setattr(import_module("twinprob.diagnostics.structural"), "exact_points", lambda *_: [])
    found, unidentifiable = verdict(CASES[name], key)
    assert (found.exact, unidentifiable) == (False, CASES[name].unidentifiable)


@pytest.mark.parametrize("name", [name for name in SMALL if CASES[name].functions])
def test_floating_point_names_the_same_functions(name, key, monkeypatch):
    monkeypatch.setattr(import_module("twinprob.diagnostics.structural"), "exact_points", lambda *_: [])
    assert set(CASES[name].functions) <= set(verdict(CASES[name], key)[0].functions)


ELEMENTARY = {
    "exp": jnp.exp,
    "log": jnp.log,
    "sqrt": jnp.sqrt,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tanh": jnp.tanh,
    "logistic": jax.nn.sigmoid,
    "expm1": jnp.expm1,
    "log1p": jnp.log1p,
    "rsqrt": lax.rsqrt,
    "reciprocal": lambda x: 1 / x,
    "square": jnp.square,
    "inverse cube": lambda x: x**-3,
    "broken power": lambda x: x**2.7,
    "own power": lambda x: x**x,
    "absolute": lambda x: jnp.abs(-x),
    "larger": lambda x: jnp.maximum(x, 0.2),
    "clipped": lambda x: jnp.clip(x, 0.1, 0.3),
    "chosen": lambda x: jnp.where(x > 0.5, x * x, -x),
    "between": lambda x: jnp.where((x > 0.5) & jnp.logical_not(x > 1.0), x * x, -x),
    "matrix": lambda x: (jnp.array([[1.0, 2.0], [3.0, 4.0]]) @ jnp.stack([x, x * x]))[1],
    "sum": lambda x: jnp.sum(jnp.stack([x, 2 * x, x**3])),
}


@pytest.mark.parametrize("name", [n for n in ELEMENTARY if n not in ("matrix", "sum")])
def test_a_series_is_that_of_jax(name):
    coefficients = np.array([0.7, 0.4, -0.3, 0.2, 0.1])
    factorials = np.array([math.factorial(k) for k in range(5)])
    value, later = jet(ELEMENTARY[name], (0.7,), ((list(coefficients[1:] * factorials[1:])),))
    series = np.zeros((5, 1))
    series[:, 0] = coefficients
    found = Runner(Real()).run(trace(lambda x: (ELEMENTARY[name](x[0]),), 1), [series])[0][:, 0]
    np.testing.assert_allclose(found * factorials, [value, *later], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_a_derivative_by_an_unknown_is_that_of_jax(name):
    series = np.zeros((1, 2))
    series[0] = 0.7, 1.0
    found = Runner(Real()).run(trace(lambda x: (ELEMENTARY[name](x[0]),), 1), [series])[0][0]
    np.testing.assert_allclose(found, [ELEMENTARY[name](0.7), jax.grad(ELEMENTARY[name])(0.7)], rtol=1e-12)


def test_residues_divide_exactly():
    series = np.zeros((4, 1), np.int64)
    series[:, 0] = 3, 1, 4, 1
    program = trace(lambda x: ((x[0] / 7.0) * 7.0 / x[0],), 1)
    assert Runner(Residue(np.random.default_rng(0))).run(program, [series])[0][:, 0].tolist() == [1, 0, 0, 0]


def test_a_product_of_large_residues_does_not_overflow():
    chance = np.random.default_rng(0)
    a, b = chance.integers(0, PRIME, (60, 60)), chance.integers(0, PRIME, (60, 3))
    exactly = (a.astype(object) @ b.astype(object)) % PRIME
    assert (Residue(chance).product(a, b) == exactly).all()


# ---- what is declared decides ---------------------------------------------------------------------------------------


def drug():
    """One compartment with bioavailability and volume, which only their ratio shows."""
    return build(
        "Drug", "F V k", "amount", lambda p, x, u: (p.F * u.dose - p.k * x.amount,),
        lambda p, x, u: (x.amount / p.V, x.amount), inputs="dose", outputs=2,
    )  # fmt: skip


def test_the_direction_of_a_product_is_put_in_words(key):
    found = structural(drug(), outputs=("y1",), free_states=("amount",), key=key)
    assert [str(d) for d in found.directions] == ["`F` × c, `V` × c, `amount at the start` × c for any c"]


def test_an_output_more_settles_the_product(key):
    assert all(structural(drug(), free_states=("amount",), key=key).identifiable.values())


def test_a_known_parameter_settles_the_product(key):
    assert all(structural(drug(), outputs=("y1",), known=("V",), key=key).identifiable.values())


def test_the_state_behind_a_product_is_not_observable(key):
    assert structural(drug(), outputs=("y1",), free_states=("amount",), key=key).observable == {"amount": False}


def test_a_prediction_may_be_determined_though_its_parameters_are_not(key):
    found = structural(drug(), outputs=("y1",), free_states=("amount",), key=key)
    assert found.determined == {"y1": True, "y2": False}


def test_an_input_never_given_leaves_its_parameter_open(key):
    found = structural(drug(), outputs=("y2",), unknown=("F", "k"), absent=("dose",), key=key)
    assert found.identifiable == {"F": False, "k": True}


def test_a_parameter_that_acts_nowhere_stands_alone(key):
    found = structural(drug(), outputs=("y2",), unknown=("F", "k"), absent=("dose",), key=key)
    assert str(found.directions[0]) == "`F` alone, whatever its value"


def test_a_sum_is_named_as_a_shift(key):
    model = build("Sum", "a b", "x", lambda p, x, u: (-(p.a + p.b) * x.x,), lambda p, x, u: (x.x,))
    found = structural(model, key=key)
    assert (str(found.directions[0]), found.functions) == ("`a` + c, `b` − c for any c", ("a + b",))


def arrhenius():
    return build(
        "Arrhenius", "A E", "x", lambda p, x, u: (-p.A * jnp.exp(-p.E / u.heat) * x.x,),
        lambda p, x, u: (x.x,), inputs="heat",
    )  # fmt: skip


def test_an_exponential_is_told_apart_by_an_input_that_varies(key):
    assert all(structural(arrhenius(), key=key).identifiable.values())


def test_a_constant_input_may_not_tell_parameters_apart(key):
    assert not any(structural(arrhenius(), constant=("heat",), key=key).identifiable.values())


def test_random_values_for_exponentials_are_admitted(key):
    found = structural(arrhenius(), key=key)
    assert (found.exact, "random values" in " ".join(found.notes)) == (False, True)


def test_an_unknown_exponent_is_identifiable(key):
    model = build("Hill", "n K", "x", lambda p, x, u: (-(x.x**p.n) / (p.K + x.x**p.n),), lambda p, x, u: (x.x,))
    assert all(structural(model, free_states=("x",), key=key).identifiable.values())


def test_a_square_root_is_expanded_exactly(key):
    model = build("Torricelli", "k A", "h", lambda p, x, u: (-p.k / p.A * jnp.sqrt(x.h),), lambda p, x, u: (x.h,))
    found = structural(model, free_states=("h",), key=key)
    assert (found.exact, found.functions) == (True, ("k / A",))


def test_the_piece_of_a_clip_decides(key):
    model = build(
        "Clipped", "a limit", "x", lambda p, x, u: (-jnp.minimum(p.a * x.x, p.limit),), lambda p, x, u: (x.x,)
    )
    below, above = model.fix(limit=99.0).free("limit"), model.fix(a=99.0).free("a")
    assert [structural(m, key=key).identifiable["a"] for m in (below, above)] == [True, False]


def test_answers_to_comparisons_may_be_combined(key):
    def field(p, x, u):
        return (jnp.where((x.x > 0.5) & jnp.logical_not(x.x > 2.0), -p.a * x.x, -p.b * x.x),)

    found = structural(build("Window", "a b", "x", field, lambda p, x, u: (x.x,)), key=key)
    assert found.identifiable == {"a": True, "b": False}


def test_the_initial_state_of_the_model_counts(key):
    assert structural(MinimalModel(), key=key).identifiable["initial_glucose"]


def test_a_free_state_takes_the_place_of_the_initial_parameter(key):
    found = structural(MinimalModel(), free_states=("glucose",), key=key)
    assert (found.identifiable["initial_glucose"], found.identifiable["glucose at the start"]) == (False, True)


def test_equal_rates_are_reported_as_a_special_case(key):
    assert any("special case" in note for note in structural(OralMinimalModel(), key=key).notes)


def test_a_parameter_that_varies_is_noted_as_constant(key):
    assert any("`insulin_sensitivity`" in note for note in structural(ICING(), key=key).notes)


def test_an_initial_state_found_by_iteration_is_decided_by_singular_values(key):
    found = structural(ICING(), key=key)
    assert (found.exact, found.decided, found.rank) == (False, True, 4)


# ---- manners --------------------------------------------------------------------------------------------------------


def test_another_key_gives_the_same_verdict():
    found = [structural(drug(), outputs=("y1",), key=jax.random.key(k)) for k in range(5)]
    assert len({str(f) for f in found}) == 1


def test_single_precision_of_the_caller_changes_nothing(key):
    expected = str(structural(MinimalModel(), key=key))
    with jax.enable_x64(False):
        assert str(structural(MinimalModel(), key=key)) == expected


def test_text_names_what_is_not_identifiable(key):
    assert "Not identifiable: `F`, `V`, `amount at the start`." in str(
        structural(drug(), outputs=("y1",), free_states=("amount",), key=key)
    )


def test_html_names_the_partners(key):
    html = structural(drug(), outputs=("y1",), free_states=("amount",), key=key)._repr_html_()
    assert "<td" in html.split("amount at the start")[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": ()}, "`outputs` must name at least one measured output"),
        ({"outputs": ("y3",)}, "`outputs` names `y3`, which `Drug` lacks; did you mean `y"),
        ({"unknown": ("volume",)}, "`unknown` names `volume`"),
        ({"free_states": ("amounts",)}, "did you mean `amount`"),
        ({"absent": ("drug",)}, "`absent` names `drug`"),
        ({"outputs": "y1"}, "must be a sequence of names"),
        ({"known": ("F", "V", "k")}, "has nothing unknown here"),
    ],
)
def test_a_bad_name_is_refused(options, message, key):
    with pytest.raises(ValueError, match=message):
        structural(drug(), **options, key=key)


def test_a_known_parameter_without_a_value_is_refused(key):
    model = drug()
    object.__setattr__(model, "k", math.nan)
    with pytest.raises(ValueError, match="`k` of model `Drug` counts as known here but has no value"):
        structural(model, unknown=("F",), key=key)


def test_a_loop_in_the_equations_leaves_it_undecided(key):
    def field(p, x, u):
        return (lax.fori_loop(0, 3, lambda _, y: y * p.a, x.x),)

    model = build("Loop", "a", "x", field, lambda p, x, u: (x.x,))
    lines = str(structural(model, key=key)).splitlines()
    assert lines == ["Loop, from y1: undecided.", "  The equations use `scan`, which has no power series here."]


def test_singular_values_without_a_gap_leave_it_undecided(key, monkeypatch):
    monkeypatch.setattr(import_module("twinprob.diagnostics.structural"), "numerical_rank", lambda values: (1, False))
    found = structural(ICING(), key=key)
    assert (found.decided, found.identifiable) == (False, {})


def test_a_singular_start_is_refused(key):
    model = build("Singular", "a", "x", lambda p, x, u: (p.a / (x.x - 1.0),), lambda p, x, u: (x.x,))
    with pytest.raises(ValueError, match="cannot be expanded at its initial state"):
        structural(model, key=key)


def test_a_free_start_mends_a_singular_one(key):
    model = build("Singular", "a", "x", lambda p, x, u: (p.a / (x.x - 1.0),), lambda p, x, u: (x.x,))
    assert structural(model, free_states=("x",), key=key).identifiable["a"]


def test_points_without_a_root_are_tried_again(key, monkeypatch):
    monkeypatch.setattr(expansion, "_TRIES", 1)
    model = build(
        "Roots", "a b", "x y",
        lambda p, x, u: (-p.a * jnp.sqrt(x.x), -p.b * jnp.sqrt(x.y)), lambda p, x, u: (x.x + x.y,),
    )  # fmt: skip
    exact = [structural(model, free_states=("x", "y"), key=jax.random.key(k)).exact for k in range(8)]
    assert not all(exact)
