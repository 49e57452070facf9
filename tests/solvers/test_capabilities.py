"""The table of capabilities: every solver has a row, and what the rows say is there."""

import inspect
from pathlib import Path

import pytest

import manopt_torch
from manopt_torch import Manifold, Options, solvers
from manopt_torch.solvers.capabilities import CAPABILITIES, KINDS, Capability, capability
from tests.together import together

CLASSES = sorted(name for name, value in vars(solvers).items() if inspect.isclass(value) and issubclass(value, Options))
ROOT = Path(__file__).parents[2]
rows = pytest.mark.parametrize("row", CAPABILITIES, ids=lambda row: row.options)


def test_every_options_class_has_one_row():
    assert sorted(row.options for row in CAPABILITIES) == CLASSES


@together()
@rows
def test_names_are_those_of_the_package(row):
    options, front = getattr(manopt_torch, row.options), getattr(manopt_torch, row.front)
    assert options is getattr(solvers, row.options)
    assert isinstance(options.needs, tuple) and options.needs
    parameters = inspect.signature(front).parameters
    assert "return_options" in parameters and "debug" in parameters


@together()
@rows
def test_facts_are_of_the_kinds_that_there_are(row):
    assert row.kind in KINDS
    assert row.order and row.purpose and not row.purpose.endswith(".")
    for operation in row.manifold:
        assert callable(getattr(Manifold, operation))
    assert ("hessian" in getattr(manopt_torch, row.options).needs) == ("ehess2rhess" in row.manifold)


@together()
@rows
def test_it_has_a_page(row):
    assert (ROOT / "docs" / "solvers" / f"{row.page or row.front}.md").exists()


def test_rows_are_found_by_name():
    assert capability("FrankWolfeOptions").front == "frank_wolfe"
    assert isinstance(CAPABILITIES[0], Capability)
    with pytest.raises(KeyError, match="no row for GuessOptions; there are GradientDescentOptions"):
        capability("GuessOptions")
