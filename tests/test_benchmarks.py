"""The benchmarks are run by `make bench`; here, that they can be: nothing long is started."""

import importlib
import inspect

import pytest

from tests.benchmarks import Comparison
from tests.benchmarks.__main__ import PAGE, main, names, page, table


def test_there_is_a_benchmark_against_each_rival():
    assert {"density", "numpyro", "pints", "pypesto", "stan"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_a_benchmark_says_what_it_compares(name):
    module = importlib.import_module(f"tests.benchmarks.b_{name}")
    assert module.TITLE
    assert module.HOW
    assert not inspect.signature(module.measure).parameters


def test_an_unknown_benchmark_is_refused_with_the_known_ones(capsys):
    assert main(["gradients"]) == 2
    assert "no benchmark gradients; there are: density" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("better", "theirs", "ratio"), [("lower", 6.0, "3"), ("higher", 6.0, "0.33"), ("lower", None, "-")]
)
def test_a_row_says_how_many_times_better(better, theirs, ratio):
    row = table([Comparison("gradient", "ms", 2.0, "theirs", theirs, better)])[-1]
    assert row.split(" | ")[5] == ratio


def test_the_page_is_one_that_the_command_writes():
    assert PAGE.read_text(encoding="utf-8").startswith(page([["## A"]]).split("Measured")[0])
