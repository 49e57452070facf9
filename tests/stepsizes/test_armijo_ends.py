"""Armijo's line search where it is hard: walls, flat and unbounded costs, wrong gradients, rounding."""

import math

import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    HagerZhangLinesearch,
    ParabolicLinesearch,
    Sphere,
    StopAfterIteration,
    get_reason,
    solve,
)
from tests.together import together

D = torch.float64
LINE = Euclidean(1)


def parabola(a):
    """The cost a/2 x^2: along minus the gradient the rule with constant c holds for s <= 2 (1 - c) / a."""
    return lambda x: (0.5 * a * x * x).sum(-1)


def ends(cost, x, gradient=None, **options):
    o = GradientDescentOptions(torch.as_tensor(x, dtype=D), **{"stepsize": ArmijoLinesearch(), **options})
    return solve(GradientProblem(LINE, cost, gradient), o)


@pytest.mark.parametrize("x", [[0.01], [[0.01], [0.5], [3.0]]])
def test_a_wall_of_nan_is_backed_off_from(x):
    # x - log x, defined for x > 0, least at 1
    o = ends(lambda x: (x - x.log()).sum(-1), x)
    torch.testing.assert_close(o.x, torch.ones_like(o.x), rtol=0, atol=1e-7)
    assert not torch.as_tensor(o.broken).any()


def test_an_unbounded_cost_does_not_drive_steps_out_of_float32():
    # the step outgrows float32 long before the point does
    for search in (ArmijoLinesearch(), ParabolicLinesearch(), HagerZhangLinesearch()):
        o = GradientDescentOptions(torch.zeros(1), stepsize=search)
        solve(GradientProblem(LINE, lambda x: 1e-5 * x.sum(-1)), o)
        assert o.x.abs() > 1e30 and torch.isfinite(o.x) and get_reason(o)


@pytest.mark.parametrize("x", [[2.0], [[2.0], [3.0]]])
def test_a_trial_of_minus_infinity_is_no_success(x):
    # the barrier log(x) of a wrong sign: -inf at 0 must not be accepted, and the point stays where f is finite
    o = ends(lambda x: torch.where(x > 1, x, -math.inf).sum(-1), x, torch.ones_like)
    assert torch.isfinite(o.cost).all() and (o.x > 1).all()
    torch.testing.assert_close(o.x, torch.ones_like(o.x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("x", [[1.0], [[1.0], [2.0]]])
def test_an_unbounded_cost_ends_with_a_reason_at_a_finite_point(x):
    o = ends(lambda x: -x.sum(-1), x)
    assert torch.isfinite(o.x).all() and torch.isfinite(o.cost).all()
    reasons = get_reason(o) if len(o.x) > 1 else [get_reason(o)]
    assert all("non-finite" in r or "stagnated" in r for r in reasons)
    growth = ends(lambda x: -x.sum(-1), [0.0], stop=StopAfterIteration(1), stepsize=ArmijoLinesearch(max_increases=3))
    assert math.isclose(growth.x.item(), 0.95**-3)


@pytest.mark.parametrize("x", [[2.0], [[2.0], [3.0]]])
def test_a_constant_cost(x):
    o = ends(lambda x: 0 * x.sum(-1) + 5, x)
    assert torch.equal(o.x, torch.as_tensor(x, dtype=D))
    assert torch.as_tensor(o.iterations).tolist() in (0, [0, 0])
    o = ends(lambda x: 0 * x.sum(-1) + 5, x, stop=StopAfterIteration(100))  # with nobody to look at the gradient
    assert torch.equal(o.x, torch.as_tensor(x, dtype=D))
    assert "stagnated" in str(get_reason(o))


@pytest.mark.parametrize("x", [[2.0], [[2.0], [3.0]]])
def test_a_gradient_of_the_wrong_sign_ends_as_stagnated(x):
    o = ends(parabola(1.0), x, lambda x: -x)
    torch.testing.assert_close(o.x, torch.as_tensor(x, dtype=D), rtol=1e-14, atol=0)
    assert "stagnated" in str(get_reason(o))
    assert torch.equal(torch.as_tensor(o.cost), parabola(1.0)(o.x))


@pytest.mark.parametrize("batch", [(), (4,)])
def test_float32_ends_with_a_reason_where_the_cost_resolves_no_more(batch):
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(10, 10, generator=generator)
    a = a + a.T
    p = GradientProblem(Sphere(10), lambda x: (x * (x @ a)).sum(-1))
    o = GradientDescentOptions(Sphere(10).random_point(*batch, generator=generator), stop=StopAfterIteration(2000))
    solve(p, o)
    reasons = get_reason(o) if batch else [get_reason(o)]
    assert all("stagnated" in reason for reason in reasons)
    assert torch.as_tensor(o.iterations).max() < 200
    least = torch.linalg.eigvalsh(a)[0].expand(batch)
    torch.testing.assert_close(o.cost, least, rtol=1e-6, atol=0)


@together()
@pytest.mark.parametrize("dtype", [torch.float32, D])
@pytest.mark.parametrize("level", [1.0, 1.5, 1.9999, -1000.0])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_an_equal_cost_passes_and_one_above_rounding_does_not(dtype, level, batch):
    x, level = torch.ones(*batch, 1, dtype=dtype), torch.tensor(level, dtype=dtype)
    above = level + 2 * torch.finfo(dtype).eps * level.abs()
    search = ArmijoLinesearch(max_increases=0, max_decreases=3, contraction_factor=0.5)
    for trial_cost, step in ((level, 1.0), (above, 0.125)):
        costs = iter([level, *[trial_cost] * 4])
        found = search(LINE, x, lambda y, costs=costs: next(costs).expand(batch), torch.full_like(x, 1e-12))
        assert torch.equal(torch.as_tensor(found, dtype=D), torch.full(batch, step, dtype=D))


def test_one_stagnated_problem_does_not_hold_up_the_others():
    sign = torch.tensor([[1.0], [-1.0], [1.0]], dtype=D)
    p = GradientProblem(LINE, parabola(1.0), lambda x, s: s * x, data=(sign,))
    p.cost = lambda x, s: parabola(1.0)(x)
    o = solve(p, GradientDescentOptions(torch.full((3, 1), 2.0, dtype=D)))
    assert o.stagnated.tolist() == [False, True, False]
    assert o.x[1].item() == 2.0
    assert (o.x[[0, 2]].abs() < 1e-7).all()
