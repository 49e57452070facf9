import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    EmbeddedManifold,
    OptionsError,
    ShapeError,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    steepest_descent,
)

D = torch.float64


def unit_length(x):
    return (x * x).sum(-1, keepdim=True) - 1


def draws(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=D)


def test_the_equation_of_the_sphere_gives_the_sphere():
    M, S = EmbeddedManifold(unit_length, (4,)), Sphere(4)
    x = S.project_point(draws(3, 4))
    g, h = draws(2, 3, 4)
    u = S.project_tangent(x, draws(3, 4))
    assert M.dim == 3
    torch.testing.assert_close(M.egrad2rgrad(x, g), S.egrad2rgrad(x, g))
    torch.testing.assert_close(M.ehess2rhess(x, g, h, u), S.ehess2rhess(x, g, h, u))
    torch.testing.assert_close(M.retract(x, u), S.retract(x, u))


def test_the_nearest_point_of_an_ellipse():
    M = EmbeddedManifold(lambda x: x[..., :1] ** 2 / 4 + x[..., 1:] ** 2 - 1, (2,))
    points = torch.tensor([[0.0, 1.2], [2.1, 0.0]], dtype=D)  # on the axes, where the nearest points are known
    torch.testing.assert_close(M.project_point(points), torch.tensor([[0.0, 1.0], [2.0, 0.0]], dtype=D))


def test_a_step_from_which_there_is_no_return_is_nan_and_leaves_the_others_alone():
    M = EmbeddedManifold(unit_length, (2,))
    y = M.project_point(torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=D))  # the Jacobian vanishes at the origin
    assert torch.isnan(y[0]).all()
    torch.testing.assert_close(y[1], torch.tensor([0.6, 0.8], dtype=D))


def test_a_solver_minimises_on_it():
    axes = torch.tensor([1.0, 2.0, 4.0], dtype=D)
    M = EmbeddedManifold(lambda x: (axes * x * x).sum(-1, keepdim=True) - 1, (3,))
    x0 = M.project_point(draws(5, 3))
    stop = StopWhenGradientNormLess(1e-3) | StopAfterIteration(50)
    search = ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.3)  # few trials: each is an iteration
    x = steepest_descent(M, lambda x: x.sum(-1), x0, stepsize=search, stop=stop)
    # Lagrange: x_i proportional to -1 / axes_i
    truth = -1 / axes / torch.sqrt((1 / axes).sum())
    torch.testing.assert_close(x, truth.expand(5, 3), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("constraint", "error", "message"),
    [
        (3, OptionsError, "must be callable"),
        (lambda x: (x * x).sum(-1), ShapeError, r"got \(2,\)"),
        (lambda x: x, ShapeError, r"0 < m < 3, got \(2, 3\)"),
        (lambda x: "F", ShapeError, "got str"),
        (lambda x: x @ torch.ones(4, 4), OptionsError, r"cannot take two points of ones.*codimension="),
    ],
)
def test_bad_equations_are_refused(constraint, error, message):
    with pytest.raises(error, match=message):
        EmbeddedManifold(constraint, (3,))


def test_the_equations_are_counted_whatever_the_precision_of_their_constants_or_given():
    A = torch.diag(torch.tensor([1.0, 10.0, 100.0], dtype=D))  # matrix products do not promote
    for codimension in (None, 1):
        M = EmbeddedManifold(lambda x: ((x @ A) * x).sum(-1, keepdim=True) - 1, (3,), codimension)
        assert M.codimension == 1 and M.dim == 2
    for codimension in (0, 3, 1.0):
        with pytest.raises(OptionsError, match=r"codimension=.* is no integer from 1 to 2"):
            EmbeddedManifold(unit_length, (3,), codimension)


@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_random_points_of_a_thin_ellipsoid_are_points(dtype):
    axes = torch.tensor([1.0, 10.0, 100.0], dtype=dtype)
    M = EmbeddedManifold(lambda x: (axes * x * x).sum(-1, keepdim=True) - 1, (3,))
    x = M.random_point(1000, generator=torch.Generator().manual_seed(0), dtype=dtype)
    M.check_point(x)
    assert ((axes * x * x).sum(-1) - 1).abs().max() < 100 * torch.finfo(dtype).eps


def test_points_far_from_the_origin_are_judged_by_their_size():
    M = EmbeddedManifold(lambda x: (x * x).sum(-1, keepdim=True) / 1e8 - 1, (3,))  # of radius 1e4
    x = M.project_point(1e4 * Sphere(3).random_point(50, generator=torch.Generator().manual_seed(0)))
    M.check_point(x)
    torch.testing.assert_close(torch.linalg.vector_norm(x, dim=-1), torch.full((50,), 1e4), rtol=1e-6, atol=0)


def test_it_has_no_logarithm_and_says_what_to_do():
    M = EmbeddedManifold(unit_length, (3,))
    assert not M.has_exp
    assert not M.has_log
    with pytest.raises(OptionsError, match="use M.retract"):
        M.exp(draws(3), draws(3))
