"""The error tree: every error is ours and a builtin."""

import pytest
import torch

import manopt_torch
from manopt_torch import Euclidean, GradientDescentOptions, GradientProblem, Sphere, solve
from manopt_torch import errors as tree

KINDS = {
    "ShapeError": ValueError,
    "OptionsError": ValueError,
    "NotOnManifoldError": ValueError,
    "NonFiniteError": ArithmeticError,
    "MissingDerivativeError": TypeError,
    "UnknownSymbolError": LookupError,
}


@pytest.mark.parametrize("name", KINDS)
def test_each_error_is_ours_and_a_builtin(name):
    kind = getattr(tree, name)
    assert issubclass(kind, tree.ManoptError)
    assert issubclass(kind, KINDS[name])
    assert getattr(manopt_torch, name) is kind
    assert str(kind("what came, what was expected, the cure")) == "what came, what was expected, the cure"
    assert kind.__doc__


def test_there_are_no_others():
    own = {n for n, v in vars(tree).items() if isinstance(v, type) and issubclass(v, Exception)}
    assert own == {"ManoptError", *KINDS}
    assert not issubclass(tree.ManoptError, (ValueError, TypeError, ArithmeticError, LookupError))


def test_one_except_clause_catches_all():
    x = torch.ones(2)
    attempts = [
        lambda: Sphere(0),
        lambda: solve(GradientProblem(Euclidean(3), lambda x: x.sum(-1)), GradientDescentOptions(x)),
        lambda: solve(GradientProblem(Sphere(2), lambda x: x.sum(-1)), GradientDescentOptions(x)),
        lambda: solve(GradientProblem(Euclidean(2), lambda x: torch.zeros(())), GradientDescentOptions(x)),
        lambda: solve(GradientProblem(Euclidean(2), lambda x: x.sum(-1)), GradientDescentOptions(x / 0)),
        lambda: solve(GradientProblem(Euclidean(2), lambda x: x.sum(-1)), GradientDescentOptions(x), debug=[":Kost"]),
    ]
    seen = []
    for attempt in attempts:
        with pytest.raises(manopt_torch.ManoptError) as caught:
            attempt()
        seen.append(type(caught.value).__name__)
    assert set(seen) == set(KINDS)
