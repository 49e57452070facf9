"""The error tree: every error is ours and a builtin."""

import functools

import pytest
import torch

import manopt_torch
from manopt_torch import Euclidean, GradientDescentOptions, GradientProblem, Sphere, solve
from manopt_torch import errors as tree
from tests.together import together

KINDS = {
    "ShapeError": ValueError,
    "OptionsError": ValueError,
    "NotOnManifoldError": ValueError,
    "NonFiniteError": ArithmeticError,
    "MissingDerivativeError": TypeError,
    "UnknownSymbolError": LookupError,
    "UnknownKeywordError": TypeError,
}


@together()
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
        lambda: Sphere(3, radius=2.0),
    ]
    seen = []
    for attempt in attempts:
        with pytest.raises(manopt_torch.ManoptError) as caught:
            attempt()
        seen.append(type(caught.value).__name__)
    assert set(seen) == set(KINDS)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda **wrong: GradientProblem(Euclidean(2), torch.sum, **wrong),
        lambda **wrong: GradientDescentOptions(torch.ones(2), **wrong),
        lambda **wrong: solve(None, None, **wrong),
        lambda **wrong: manopt_torch.decorate_options(None, **wrong),
        lambda **wrong: manopt_torch.mean(Euclidean(2), torch.ones(3, 2), **wrong),
        lambda **wrong: manopt_torch.steepest_descent(Euclidean(2), torch.sum, torch.ones(2), **wrong),
        lambda **wrong: manopt_torch.Stiefel(3, 2, **wrong),
        lambda **wrong: manopt_torch.ArmijoLinesearch(**wrong),
        lambda **wrong: manopt_torch.DebugCost(**wrong),
        lambda **wrong: manopt_torch.RecordEntry("x", **wrong),
        lambda **wrong: manopt_torch.HuberLoss(**wrong),
        lambda **wrong: manopt_torch.LinearEvalOrder(**wrong),
    ],
)
def test_an_unknown_keyword_is_answered_with_those_there_are(attempt):
    with pytest.raises(
        tree.UnknownKeywordError, match=r"got unknown keyword prefx; it takes |takes no arguments, got prefx=1"
    ):
        attempt(prefx=1)


def test_a_keyword_nearly_right_is_answered_with_the_right_one():
    with pytest.raises(
        tree.UnknownKeywordError, match=r"unknown keyword step_size; it takes x, .*; did you mean stepsize\?$"
    ):
        GradientDescentOptions(torch.ones(2), step_size=1)


def test_a_class_in_place_of_a_manifold_is_named():
    with pytest.raises(tree.OptionsError, match=r"M must be a Manifold, got the class Euclidean: call it"):
        GradientProblem(Euclidean, torch.sum)


@pytest.mark.parametrize("data", [(), (torch.ones(2), torch.ones(2))], ids=["forgotten", "too many"])
def test_data_that_the_cost_cannot_take_are_told_before_the_run(data):
    told = (
        rf"called as cost\(x, \*data\), here with x and {len(data)} tensors of data, but it takes \(x, A\): .* by data="
    )
    with pytest.raises(tree.OptionsError, match=told):
        solve(
            GradientProblem(Euclidean(2), lambda x, A: (A * x).sum(-1), data=data),
            GradientDescentOptions(torch.ones(2, 2)),
        )


def test_a_wrapper_may_hand_over_what_the_cost_lacks():
    def cost(x, A):
        return (A * x).sum(-1)

    wrapped = functools.wraps(cost)(lambda x: cost(x, torch.ones(2)))
    for fn in (wrapped, functools.partial(cost, A=torch.ones(2)), torch.vmap(wrapped)):
        p = GradientProblem(Euclidean(2), fn)
        p.check_arguments()
        assert p.get_cost(torch.ones(1, 2)).tolist() == [2.0]


def test_what_takes_no_arguments_swallows_none():
    for kind in (manopt_torch.StopWhenNonFinite, manopt_torch.BFGS):
        assert isinstance(kind(), kind)
        with pytest.raises(tree.OptionsError, match=f"{kind.__name__} takes no arguments, got 3"):
            kind(3)
