"""Alternating gradient descent."""

import itertools
from typing import Any, NamedTuple

import pytest
import torch

from manopt_torch import (
    AlternatingGradientDescentOptions,
    ArmijoLinesearch,
    ConstantStepsize,
    DistanceOverGradients,
    Euclidean,
    FixedRandomEvalOrder,
    GradientProblem,
    NonmonotoneLinesearch,
    OptionsError,
    Product,
    RandomEvalOrder,
    Sphere,
    StopAfterIteration,
    WolfeLinesearch,
    alternating_gradient_descent,
    check_solver,
    get_record,
    load_state_dict,
    solve,
    state_dict,
)
from manopt_torch.testing import problem_named

D = torch.float64
M = Product(Sphere(3), Euclidean(2))


def posed(*batch: int) -> tuple[Any, Any, Any]:
    problem, x, minimum, _ = problem_named("product").pose(*batch)
    return problem, x, minimum


class Pose(NamedTuple):
    direction: torch.Tensor
    place: torch.Tensor


def moved(order: Any, inner: int, n: int) -> list[int]:
    """Return which factor moved in each step."""
    problem, x, _ = posed()
    o = AlternatingGradientDescentOptions(
        x, inner_iterations=inner, order=order, stepsize=ConstantStepsize(0.1), stop=StopAfterIteration(n)
    )
    points = [x, *(row[0] for row in get_record(solve(problem, o, record=[":Iterate"])))]
    changes = [[not torch.equal(a, b) for a, b in zip(p, q, strict=True)] for p, q in itertools.pairwise(points)]
    assert all(sum(change) == 1 for change in changes)
    return [change.index(True) for change in changes]


def test_factors_take_turns() -> None:
    assert moved(None, 2, 8) == [0, 0, 1, 1, 0, 0, 1, 1]
    fixed, random = FixedRandomEvalOrder(1), RandomEvalOrder(2)
    assert moved(fixed, 1, 6) == [*fixed(2, 0)] * 3
    assert moved(random, 1, 8) == [j for cycle in range(4) for j in random(2, cycle)]


def test_a_step_is_one_of_the_factor_alone() -> None:
    problem, x, _ = posed()
    o = solve(
        problem,
        AlternatingGradientDescentOptions(x, stepsize=ConstantStepsize(0.1), stop=StopAfterIteration(7)),
    )
    direction, place = x
    for _ in range(5):
        direction = Sphere(3).retract(direction, problem.get_gradient((direction, place))[0], -0.1)
    for _ in range(2):
        place = place - 0.1 * problem.get_gradient((direction, place))[1]
    torch.testing.assert_close(o.x, (direction, place), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "stepsize",
    [ArmijoLinesearch(), WolfeLinesearch(0.3, 0.9), NonmonotoneLinesearch(), ConstantStepsize(0.5)],
    ids=lambda s: type(s).__name__,
)
@pytest.mark.parametrize("batch", [(), (4,)], ids=str)
def test_stepsizes_see_their_factor(stepsize: Any, batch: Any) -> None:
    problem, x, minimum = posed(*batch)
    o = solve(problem, AlternatingGradientDescentOptions(x, stepsize=stepsize))
    torch.testing.assert_close(o.cost, minimum, rtol=0, atol=1e-8)
    assert M.norm(o.x, o.gradient).max() < 1e-3


def test_factors_of_different_scale_have_step_sizes_of_their_own() -> None:
    """Steps that suit one factor are a thousand times too long or short for the other."""
    N = Product(Euclidean(2), Euclidean(2))
    p = GradientProblem(N, lambda x: 500 * x[0].square().sum(-1) + 0.5 * x[1].square().sum(-1))
    x = (torch.ones(2, dtype=D), torch.ones(2, dtype=D))
    o = solve(p, AlternatingGradientDescentOptions(x, stepsize=ArmijoLinesearch(contraction_factor=0.5)))
    first, second = (o.memory[stepsize]["last"] for stepsize in o.stepsizes)
    assert 0.5 < second <= 2 and 0.5e-3 < first <= 2e-3
    assert o.reason_code == 2 and o.evaluations["cost"] < 5 * o.iterations


@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_a_factor_that_cannot_improve_waits_for_the_others(batch: Any) -> None:
    """The best multiple of a dyad is found to rounding in a few steps, long before the dyad is."""
    generator = torch.Generator().manual_seed(0)
    a = 10 * torch.randn(*batch, 5, 4, dtype=D, generator=generator)

    def cost(x: tuple, a: torch.Tensor) -> torch.Tensor:
        u, v, s = x
        return (a - s[..., None, None] * u.unsqueeze(-1) * v.unsqueeze(-2)).square().sum((-2, -1))

    dyads = Product(Sphere(5), Sphere(4), Euclidean())
    x = dyads.random_point(*batch, dtype=D, generator=generator)
    search = ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.3)
    o = solve(GradientProblem(dyads, cost, data=(a,)), AlternatingGradientDescentOptions(x, stepsize=search))
    singular = torch.linalg.svdvals(a)
    torch.testing.assert_close(o.x[2].abs(), singular[..., 0], rtol=1e-9, atol=0)
    # what line searches cannot see any more ends the run, not what one factor cannot
    assert dyads.norm(o.x, o.gradient).max() < 1e-4


def test_laws_of_solvers_and_named_points() -> None:
    problem, x, _ = posed(2)
    check = check_solver(AlternatingGradientDescentOptions, problem, x)
    assert check.passed, str(check)

    def options(n: int) -> AlternatingGradientDescentOptions:
        return AlternatingGradientDescentOptions(Pose(*x), order=RandomEvalOrder(), stop=StopAfterIteration(n))

    rest = solve(problem, load_state_dict(options(20), state_dict(solve(problem, options(8)))))
    through = solve(problem, options(20))
    assert isinstance(rest.x, Pose) and isinstance(rest.gradient, Pose)
    assert all(map(torch.equal, rest.x, through.x))


def test_the_front_function_takes_a_gradient_a_factor() -> None:
    c, b = torch.tensor([0.0, 0.0, 2.0], dtype=D), torch.tensor([1.0, -1.0], dtype=D)

    def cost(x: tuple) -> torch.Tensor:
        return (c * x[0]).sum(-1) + 0.5 * (x[1] - b).square().sum(-1)

    start = (torch.tensor([0.6, 0.8, 0.0], dtype=D), torch.zeros(2, dtype=D))
    listed = alternating_gradient_descent(
        M, cost, start, gradient=[lambda x: Sphere(3).project_tangent(x[0], c), lambda x: x[1] - b]
    )
    euclidean = alternating_gradient_descent(M, cost, start, euclidean_gradient=[lambda x: c, lambda x: x[1] - b])
    by_autograd = alternating_gradient_descent(M, cost, start)
    known = (torch.tensor([0.0, 0.0, -1.0], dtype=D), b)
    for found in (listed, euclidean, by_autograd):
        torch.testing.assert_close(found, known, rtol=0, atol=1e-8)


def test_any_manifold_is_a_single_factor() -> None:
    problem, x, minimum, _ = problem_named("linear on a sphere").pose(3)
    o = solve(problem, AlternatingGradientDescentOptions(x))
    torch.testing.assert_close(o.cost, minimum, rtol=0, atol=1e-12)


def test_defaults_and_refusals() -> None:
    x = posed()[1]
    o = AlternatingGradientDescentOptions(x)
    assert repr(o.stop) == "StopAfterIteration(1000) | StopWhenGradientNormLess(1e-09)"
    assert o.inner_iterations == 5 and len(o.stepsizes) == 2
    for wrong in ({"inner_iterations": 0}, {"order": "linear"}, {"stepsize": "armijo"}):
        with pytest.raises(OptionsError, match=next(iter(wrong))):
            AlternatingGradientDescentOptions(x, **wrong)


def test_each_factor_measures_distances_from_its_own_start() -> None:
    M = Product(Sphere(3), Euclidean())
    start = (torch.tensor([0.6, 0.8, 0.0], dtype=D), torch.tensor(1.0, dtype=D))
    o = AlternatingGradientDescentOptions(start, stepsize=DistanceOverGradients(0.1), inner_iterations=1)
    o.stop = StopAfterIteration(2)
    solve(GradientProblem(M, lambda x: x[0][..., 2] + 0.5 * x[1].square()), o, record=[":Stepsize"])
    # each factor's first step is the initial distance by the length of its own gradient, 1 and 1
    assert [float(s) for (s,) in get_record(o)] == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_factor_at_a_wall_does_not_end_the_others(batch: tuple) -> None:
    def cost(x: tuple) -> torch.Tensor:  # the second factor can go nowhere: beyond its start the cost is infinite
        first, second = x
        wall = torch.where(second > 1.0, torch.inf, -second)
        return 0.05 * (first - 3.0).square() + wall

    search = ArmijoLinesearch(contraction_factor=0.5, max_decreases=60)
    start = (torch.zeros(batch, dtype=D), torch.ones(batch, dtype=D))
    o = AlternatingGradientDescentOptions(start, inner_iterations=1, stepsize=search, stop=StopAfterIteration(30))
    solve(GradientProblem(Product(Euclidean(), Euclidean()), cost), o)
    torch.testing.assert_close(o.x[0], torch.full(batch, 3.0, dtype=D), rtol=0, atol=1e-2)
