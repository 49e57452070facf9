"""Projected gradients: minima over boxes, balls and sets that are not convex, stationarity, the front function."""

import math

import numpy as np
import pytest
import scipy.optimize
import torch

from manopt_torch import (
    ArmijoLinesearch,
    ConstantStepsize,
    DecreasingStepsize,
    Euclidean,
    GradientProblem,
    Hyperboloid,
    NotOnManifoldError,
    ProjectedGradientOptions,
    ShapeError,
    Sphere,
    StopAfterIteration,
    StopWhenStationarityLess,
    get_reason,
    get_record,
    projected_gradient,
    solve,
)
from manopt_torch.errors import OptionsError
from tests.together import together

D = torch.float64
STEPSIZES = [None, ConstantStepsize(0.1), DecreasingStepsize(0.2, exponent=0.1)]


@pytest.mark.parametrize("stepsize", STEPSIZES, ids=repr)
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_bounded_least_squares_against_scipy(batch, stepsize):
    generator = torch.Generator().manual_seed(2)
    a = torch.randn(*batch, 6, 3, generator=generator, dtype=D)
    b = torch.randn(*batch, 6, generator=generator, dtype=D)
    cost = lambda x, a, b: 0.5 * ((a @ x.unsqueeze(-1)).squeeze(-1) - b).square().sum(-1)  # noqa: E731
    o = projected_gradient(
        Euclidean(3), cost, torch.ones(*batch, 3, dtype=D), data=(a, b),
        projection=lambda x, *data: x.clamp(-0.1, 0.2), stepsize=stepsize, return_options=True,
    )  # fmt: skip
    for x, m, y in zip(o.x.reshape(-1, 3), a.reshape(-1, 6, 3), b.reshape(-1, 6), strict=True):
        truth = scipy.optimize.lsq_linear(m.numpy(), y.numpy(), bounds=(-0.1, 0.2), tol=1e-14).x
        np.testing.assert_allclose(x.numpy(), truth, atol=1e-6)
    reasons = [get_reason(o)] if not batch else np.ravel(get_reason(o))
    assert all("projected gradient below 1e-07" in reason for reason in reasons)


@pytest.mark.parametrize("stepsize", [None, ConstantStepsize(0.3)], ids=repr)
def test_case_34_mean_in_a_ball_of_the_hyperbolic_plane(stepsize):
    """The mean of 200 points within distance one of the origin; SciPy's answer in polar coordinates."""
    M, origin = Hyperboloid(3), torch.tensor([1.0, 0.0, 0.0], dtype=D)
    generator = torch.Generator().manual_seed(42)
    spread = torch.randn(200, 2, generator=generator, dtype=D) + torch.tensor([1.5, 0.7], dtype=D)
    points = M.exp(origin, torch.cat([torch.zeros(200, 1, dtype=D), spread], -1))
    cost = lambda x: 0.5 * M.squared_dist(x.unsqueeze(-2), points).mean(-1)  # noqa: E731

    def ball(x):
        u = M.log(origin.expand_as(x), x)
        return torch.where((M.dist(origin, x) > 1)[..., None], M.exp(origin, u, 1 / M.norm(origin, u)), x)

    starts = M.exp(origin, torch.tensor([[0.0, -0.5, 0.2], [0.0, 0.3, -0.6], [0.0, 3.0, 1.0]], dtype=D))
    stop = StopAfterIteration(150) | StopWhenStationarityLess(1e-7)
    o = projected_gradient(M, cost, starts, projection=ball, stepsize=stepsize, stop=stop, return_options=True)
    assert (o.reason_code == 2).all()
    assert (M.dist(o.x, origin) <= 1 + 1e-12).all()

    def polar(v):
        u = torch.tensor([0.0, v[0] * math.cos(v[1]), v[0] * math.sin(v[1])], dtype=D)
        return cost(M.exp(origin, u)).item()

    truth = scipy.optimize.minimize(polar, [0.5, 0.5], bounds=[(0, 1), (-3, 3)], options={"ftol": 1e-15, "gtol": 1e-9})
    assert abs(truth.x[0] - 1) < 1e-9, "the constraint was to be active"
    torch.testing.assert_close(o.cost, torch.full((3,), truth.fun, dtype=D), rtol=0, atol=1e-9)
    torch.testing.assert_close(M.dist(o.x, o.x[:1]), torch.zeros(3, dtype=D), rtol=0, atol=1e-6)


def test_a_set_that_is_not_convex():
    # the least distance from a point outside to a circle in the plane; the cost cannot fall below it
    target = torch.tensor([3.0, 4.0], dtype=D)
    x = projected_gradient(
        Euclidean(2),
        lambda x: (x - target).square().sum(-1),
        torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=D),
        projection=lambda x: x / x.norm(dim=-1, keepdim=True),
    )
    torch.testing.assert_close(x, (target / 5).expand(2, 2), rtol=0, atol=1e-6)


def test_a_half_sphere():
    # the lowest point within the half sphere x_1 >= 0 of a cost whose minimum on the sphere lies outside
    c = torch.tensor([2.0, 1.0, 1.0], dtype=D)

    def half(x):
        y = torch.cat([x[..., :1].clamp(min=0), x[..., 1:]], -1)
        return y / y.norm(dim=-1, keepdim=True)

    start = torch.tensor([1.0, 0.0, 0.0], dtype=D)
    x = projected_gradient(Sphere(3), lambda x: (c * x).sum(-1), start, projection=half)
    torch.testing.assert_close(x, torch.tensor([0.0, -(0.5**0.5), -(0.5**0.5)], dtype=D), rtol=0, atol=1e-6)


def test_every_step_decreases_the_cost_within_the_set():
    a = torch.tensor([1.0, 10.0, 100.0], dtype=D)
    o = ProjectedGradientOptions(
        torch.full((2, 3), 5.0, dtype=D), projection=lambda x: x.clamp(min=0.5), stop=StopAfterIteration(12)
    )
    cost = lambda x: 0.5 * (a * x.square()).sum(-1)  # noqa: E731
    solve(GradientProblem(Euclidean(3), cost), o, record=[":Iterate", ":Cost", ":Stepsize", ":stationarity"])
    former, x = cost(o.x0), o.x0
    for point, value, step, _ in get_record(o):
        assert (point >= 0.5).all()
        torch.testing.assert_close(point, (x - step[:, None] * a * x).clamp(min=0.5))
        assert (value <= former - 0.3 / step * (point - x).square().sum(-1) + 1e-12).all()
        former, x = value, point
    moved = (x - (x - o.next_stepsize[:, None] * a * x).clamp(min=0.5)).norm(dim=-1)
    torch.testing.assert_close(get_record(o)[-1][3], moved / o.next_stepsize)


def test_each_problem_has_a_set_of_its_own():
    low = torch.tensor([0.5, 2.0, -1.0], dtype=D)
    x = projected_gradient(
        Euclidean(1),
        lambda x, low: x.square().sum(-1),
        torch.full((3, 1), 4.0, dtype=D),
        data=(low,),
        projection=lambda x, low: torch.maximum(x, low[:, None]),
    )
    torch.testing.assert_close(x[:, 0], low.clamp(min=0), rtol=0, atol=1e-6)


def test_a_projection_written_for_one_point():
    low = torch.tensor([0.5, 2.0], dtype=D)
    x = projected_gradient(
        Euclidean(1),
        lambda x, low: (x * x).sum(),
        torch.full((2, 1), 4.0, dtype=D),
        data=(low,),
        projection=lambda x, low: torch.maximum(x, low),
        vectorized=False,
    )
    assert x.flatten().tolist() == low.tolist()


def test_the_start_is_projected_and_kept():
    start = torch.tensor([-3.0, 4.0], dtype=D)
    o = ProjectedGradientOptions(start, projection=lambda x: x.clamp(min=0), stop=StopAfterIteration(0))
    solve(GradientProblem(Euclidean(2), lambda x: x.square().sum(-1)), o)
    assert o.x.tolist() == [0.0, 4.0] and o.x0 is start and o.cost.item() == 16.0


def test_a_stationary_start_takes_no_step():
    o = projected_gradient(
        Euclidean(2), lambda x: x.sum(-1), torch.zeros(2), projection=lambda x: x.clamp(min=0), return_options=True
    )
    assert o.iterations == 0 and o.stationarity == 0.0 and o.evaluations["cost"] == 1


def test_defaults():
    o = ProjectedGradientOptions(torch.ones(2), projection=lambda x: x)
    assert o.stepsize is None
    assert repr(o.stop) == "StopAfterIteration(300) | StopWhenStationarityLess(1e-07)"


@together()
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"projection": 3}, "projection must be callable"),
        ({"stepsize": ArmijoLinesearch()}, "None for backtracking"),
        ({"stepsize": 0.1}, "None for backtracking"),
        ({"contraction_factor": 1.0}, r"contraction_factor must lie in \(0.0, 1.0\)"),
        ({"growth_factor": 0.9}, r"growth_factor must lie in \[1.0, inf\)"),
        ({"sufficient_decrease": 0.0}, "sufficient_decrease must lie in"),
        ({"initial_stepsize": -1.0}, "initial_stepsize must lie in"),
        ({"max_decreases": 0}, "max_decreases must be an int >= 1"),
    ],
)
def test_parameters_out_of_range(wrong, words):
    with pytest.raises(OptionsError, match=words):
        ProjectedGradientOptions(torch.ones(2), **{"projection": lambda x: x, **wrong})


@pytest.mark.parametrize("batch", [(), (2,)])
def test_at_a_wall_a_step_lost_in_rounding_is_not_stationary(batch):
    start = torch.full((*batch, 1), 2.0, dtype=torch.float64)
    p = GradientProblem(Euclidean(1), lambda x: torch.where(x > 1.0, x, torch.inf).sum(-1))
    o = solve(p, ProjectedGradientOptions(start, projection=lambda x: x))
    assert "stagnated" in str(get_reason(o))
    assert bool((o.x > 1.0).all()) and bool((o.x - 1.0 < 1e-12).all())
    assert o.stationarity == 1.0 if not batch else bool((o.stationarity == 1.0).all())


@together()
@pytest.mark.parametrize(
    ("projection", "error", "words"),
    [
        (lambda x: None, ShapeError, "the result of the projection must be a tensor"),
        (lambda x: x[..., :2], ShapeError, "the result of the projection must have the shape"),
        (lambda x: x.float(), OptionsError, "the result of the projection is of torch.float32"),
        (lambda x: 2 * x, NotOnManifoldError, r"the result of the projection is not on the manifold.*Sphere\(3\)"),
    ],
)
def test_projections_that_are_none(projection, error, words):
    x = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
    with pytest.raises(error, match=words):
        projected_gradient(Sphere(3), lambda x: x[..., 2], x, projection=projection)
