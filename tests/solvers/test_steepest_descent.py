"""Steepest descent: known minima, closed forms for its path, and its front function."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import scipy.optimize
import torch

from manopt_torch import (
    ArmijoLinesearch,
    Circle,
    ConstantStepsize,
    CountedProblem,
    DecreasingStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    HessianProblem,
    Product,
    RecordOptions,
    Sphere,
    StopAfterIteration,
    StopWhenChangeLess,
    StopWhenGradientNormLess,
    get_reason,
    get_record,
    solve,
    steepest_descent,
)
from manopt_torch.errors import OptionsError

D = torch.float64
BATCHES = [(), (2,), (2, 3)]
A = torch.tensor([[2.0, 1, 0, 3], [1, 3, 4, 5], [0, 4, 3, 2], [3, 5, 2, 6]], dtype=D)
LEAST = -1.9209703856247156  # eigenvalue of A, reference case 8


def rayleigh(x):
    return (x * (x @ A.to(x.dtype))).sum(-1)


# ---- minima ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (D, 1e-12)])
@pytest.mark.parametrize("retraction", [None, "projection", "exp"])
def test_least_eigenvalue_of_case_8(batch, dtype, tolerance, retraction):
    x = Sphere(4).random_point(*batch, generator=torch.Generator().manual_seed(4), dtype=dtype)
    o = steepest_descent(Sphere(4), rayleigh, x, retraction_method=retraction, return_options=True)
    torch.testing.assert_close(o.cost, torch.full(batch, LEAST, dtype=dtype), rtol=0, atol=tolerance)
    vector = torch.tensor([-0.12360736888522528, -0.7737062449203089, 0.45842860609263136, 0.4194556925880891], dtype=D)
    assert ((o.x.double() @ vector).abs() > 1 - 1e3 * tolerance).all()


def test_circle_mean_of_case_4():
    data = torch.tensor([-math.pi / 2, math.pi / 4, 0.0, math.pi / 4], dtype=D)
    M = Circle()
    cost = lambda x: M.squared_dist(x, data).sum() / 10  # noqa: E731
    start = torch.tensor(-math.pi / 2, dtype=D)
    assert math.isclose(cost(start).item(), 1.3570706051497867, rel_tol=1e-14)
    o = steepest_descent(
        M,
        cost,
        start,
        stepsize=ArmijoLinesearch(contraction_factor=0.99),
        stop=StopAfterIteration(200) | StopWhenChangeLess(1e-16),
        return_options=True,
    )
    assert abs(o.x.item()) < 5e-14
    assert "change below 1e-16" in get_reason(o)
    assert math.isclose(o.cost.item(), 0.370110165040851, rel_tol=1e-14)


class Line(NamedTuple):
    direction: torch.Tensor
    offset: torch.Tensor


@pytest.mark.parametrize("kind", [tuple, Line])
@pytest.mark.parametrize("batch", BATCHES)
def test_tuple_points(batch, kind):
    M = Product(Sphere(4), Euclidean())
    generator = torch.Generator().manual_seed(4)
    x = (Sphere(4).random_point(*batch, generator=generator, dtype=D), torch.full(batch, 3.0, dtype=D))
    x = x if kind is tuple else Line(*x)
    found = steepest_descent(M, lambda x: rayleigh(x[0]) + (x[1] - 1) ** 2, x)
    assert type(found) is kind
    torch.testing.assert_close(rayleigh(found[0]), torch.full(batch, LEAST, dtype=D), rtol=0, atol=1e-10)
    torch.testing.assert_close(found[1], torch.ones(batch, dtype=D), rtol=0, atol=1e-6)


def test_regression_against_scipy():
    generator = torch.Generator().manual_seed(1)
    t = torch.randn(3, 20, 2, generator=generator, dtype=D)
    y = (torch.randn(3, 20, generator=generator, dtype=D) > 0).to(D)

    def cost(x, t, y):
        z = (t * x[..., None, :]).sum(-1)
        return (torch.nn.functional.softplus(z) - y * z).mean(-1) + 0.05 * (x * x).sum(-1)

    x = steepest_descent(Euclidean(2), cost, torch.zeros(3, 2, dtype=D), data=(t, y))
    for k in range(3):
        truth = scipy.optimize.minimize(
            lambda v, k=k: cost(torch.from_numpy(v), t[k], y[k]).item(),
            np.zeros(2),
            method="BFGS",
            options={"gtol": 1e-9},
        )
        np.testing.assert_allclose(x[k].numpy(), truth.x, atol=1e-6)


# ---- the path -------------------------------------------------------------------------------------------------------


def test_constant_steps_contract_linearly():
    # x -> (1 - s a) x in every coordinate
    a, s = torch.tensor([0.5, 1.0, 3.0], dtype=D), 0.25
    x = steepest_descent(
        Euclidean(3),
        lambda x: 0.5 * (a * x * x).sum(-1),
        torch.ones(3, dtype=D),
        stepsize=ConstantStepsize(s),
        stop=StopAfterIteration(10),
    )
    torch.testing.assert_close(x, (1 - s * a) ** 10, rtol=1e-14, atol=0)


def test_steps_follow_geodesics():
    # f = x_1 on the circle in the plane: grad = -sin(angle), a step of s along the arc
    x, angle = torch.tensor([0.0, 1.0], dtype=D), math.pi / 2
    o = GradientDescentOptions(x, stepsize=ConstantStepsize(0.3), stop=StopAfterIteration(5), retraction_method="exp")
    solve(GradientProblem(Sphere(2), lambda x: x[..., 0]), o)
    for _ in range(5):
        angle += 0.3 * math.sin(angle)
    torch.testing.assert_close(o.x, torch.tensor([math.cos(angle), math.sin(angle)], dtype=D), rtol=0, atol=1e-14)


def test_x_cost_and_gradient_belong_together_after_every_step():
    x = Sphere(4).random_point(3, generator=torch.Generator().manual_seed(4), dtype=D)
    o = GradientDescentOptions(x, stop=StopAfterIteration(6))
    p = GradientProblem(Sphere(4), rayleigh)
    solve(p, o, record=[":Iterate", ":Cost", ":Gradient", ":Stepsize"])
    former = x
    for point, value, gradient, step in get_record(o):
        torch.testing.assert_close(value, rayleigh(point), rtol=0, atol=1e-14)
        truth = 2 * (point @ A - rayleigh(point)[:, None] * point)
        torch.testing.assert_close(gradient, truth, rtol=0, atol=1e-13)
        before = 2 * (former @ A - rayleigh(former)[:, None] * former)
        torch.testing.assert_close(point, Sphere(4).retract(former, before, -step), rtol=0, atol=1e-13)
        assert (value < rayleigh(former)).all()
        former = point


def test_defaults():
    o = GradientDescentOptions(torch.ones(2))
    assert isinstance(o.stepsize, ArmijoLinesearch)
    assert repr(o.stop) == "StopAfterIteration(200) | StopWhenGradientNormLess(1e-08)"
    assert GradientDescentOptions(torch.ones(2)).stepsize is not o.stepsize


# ---- the front function ---------------------------------------------------------------------------------------------


def half_square(x):
    return 0.5 * (x * x).sum(-1)


def test_it_returns_the_minimiser_or_the_options():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=D)
    found = steepest_descent(Euclidean(2), half_square, x)
    assert isinstance(found, torch.Tensor) and found.abs().max() < 1e-8
    o = steepest_descent(Euclidean(2), half_square, x, return_options=True)
    assert isinstance(o, GradientDescentOptions) and torch.equal(o.x, found)
    assert "gradient norm below 1e-08" in get_reason(o)[1]
    assert x.tolist() == [[3.0, 4.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"gradient": lambda x, c: x - c},
        {"euclidean_gradient": lambda x, c: x - c},
        {"vectorized": False},
        {"vectorized": False, "gradient": lambda x, c: x - c},
    ],
)
@pytest.mark.parametrize("batch", BATCHES)
def test_all_forms_of_a_problem(form, batch):
    c = torch.randn(*batch, 2, generator=torch.Generator().manual_seed(0), dtype=D)
    x = steepest_descent(
        Euclidean(2), lambda x, c: half_square(x - c), torch.zeros(*batch, 2, dtype=D), data=(c,), **form
    )
    torch.testing.assert_close(x, c, rtol=0, atol=1e-7)


def test_options_pass_through(capsys):
    stop, step = StopAfterIteration(3), DecreasingStepsize(0.5)
    o = steepest_descent(
        Euclidean(2),
        half_square,
        torch.ones(20, 2),
        stop=stop,
        stepsize=step,
        retraction_method="projection",
        check_every=2,
        compact=False,
        debug=[":Iteration", "\n"],
        record=[":Iteration", ":Stepsize"],
        return_options=True,
    )
    assert (o.stop, o.stepsize, o.retraction_method, o.check_every, o.compact) == (stop, step, "projection", 2, False)
    assert [row[0] for row in get_record(o)] == [1, 2, 3]
    assert capsys.readouterr().out.splitlines()[-1].startswith("# 3")


@pytest.mark.parametrize("stepsize", [0.1, "armijo", ArmijoLinesearch, 3])
def test_stepsizes_that_are_none(stepsize):
    with pytest.raises(OptionsError, match=r"stepsize must be one such as ConstantStepsize\(0.1\), got"):
        GradientDescentOptions(torch.ones(2), stepsize=stepsize)


@pytest.mark.parametrize("kind", [HessianProblem, lambda *a: CountedProblem(GradientProblem(*a))])
def test_other_problems_with_a_gradient_will_do(kind):
    o = solve(kind(Euclidean(2), half_square), GradientDescentOptions(torch.ones(2, dtype=D)))
    assert o.x.abs().max() < 1e-8


def test_a_start_at_the_minimum_takes_no_step():
    o = steepest_descent(Euclidean(2), half_square, torch.zeros(3, 2), return_options=True, record=[":Cost"])
    assert o.iterations.tolist() == [0, 0, 0]
    assert get_record(o) == [] and o.last_stepsize is None
    assert o.evaluations["cost"] == o.evaluations["gradient"] == 1


def test_a_decorated_run_ends_at_the_same_point():
    x = torch.tensor([[3.0, 4.0], [0.5, 0.1]], dtype=D)
    p = GradientProblem(Euclidean(2), lambda x: (x**4).sum(-1) + half_square(x))
    stop = StopAfterIteration(30) | StopWhenGradientNormLess(1e-3)
    bare = solve(p, GradientDescentOptions(x, stop=stop))
    decorated = solve(p, RecordOptions(GradientDescentOptions(x, stop=stop), [":Cost", ":Gradient"]))
    assert torch.equal(bare.x, decorated.x)
    assert bare.iterations.tolist() == decorated.iterations.tolist()


@pytest.mark.parametrize("batch", BATCHES)
def test_a_cost_of_steps_is_flat_from_the_start(batch):
    # autograd's derivative of the sign is a zero for which torch has allocated nothing
    x = torch.tensor([0.5, -1.0, 2.0], dtype=D).expand(*batch, 3)
    o = steepest_descent(Euclidean(3), lambda x: torch.sgn(x).sum(-1), x, return_options=True)
    assert torch.equal(o.x, x) and o.iteration == 0 and torch.equal(o.gradient, torch.zeros_like(x))
