import math

import pytest
import torch

from manopt_torch import Hyperboloid, OptionsError, PoincareBall, ball_from_hyperboloid, hyperboloid_from_ball
from tests.together import together

D = torch.float64


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


@together()
@pytest.mark.parametrize("radius", [0.1, 1.0, 3.0, 6.0])
@pytest.mark.parametrize("gap", [1e-3, 0.5])
def test_float32_distances_along_a_ray(radius, gap):
    M = Hyperboloid(2)
    x, y = (M.project_point(torch.tensor([0.0, math.sinh(r)])) for r in (radius, radius + gap))
    truth = math.asinh(y[1].item()) - math.asinh(x[1].item())  # of the very numbers that float32 holds
    assert M.dist(x, y).item() == pytest.approx(truth, rel=1e-5)
    assert M.squared_dist(x, y).sqrt().item() == pytest.approx(truth, rel=1e-5)
    assert M.norm(x, M.log(x, y)).item() == pytest.approx(truth, rel=1e-5 + 1e-7 * math.exp(radius))


def test_float32_distances_of_random_pairs_agree_with_float64():
    M = Hyperboloid(4)
    x, y = (M.project_point((2 * draws(1000, 4, seed=k)).float()) for k in (1, 2))
    truth = M.dist(M.project_point(x.double()), M.project_point(y.double()))
    assert ((M.dist(x, y).double() - truth).abs() / truth).max() <= 2e-6


def formula(M, x, y):
    c, d = -M.curvature, y - x
    if isinstance(M, Hyperboloid):
        squared_sinh = c / 4 * ((d * d)[:, 1:].sum(-1) - d[:, 0].square())
    else:
        squared_sinh = c * (d * d).sum(-1) / ((1 - c * (x * x).sum(-1)) * (1 - c * (y * y).sum(-1)))
    return 2 / math.sqrt(c) * torch.asinh(squared_sinh.sqrt())


@pytest.mark.parametrize("M", [Hyperboloid(4), Hyperboloid(4, -0.3), PoincareBall(3), PoincareBall(3, -0.3)], ids=repr)
def test_close_points_have_the_right_distance_and_logarithm_in_float32(M):
    g = torch.Generator().manual_seed(0)
    x = M.random_point(100, generator=g, dtype=D)
    for t in (1e-5, 1e-3, 0.1):
        x32, y32 = x.float(), M.exp(x, M.random_tangent(x, generator=g), t).float()
        x64, y64 = (M.project_point(z.double()) for z in (x32, y32))  # the very numbers that float32 holds
        truth = formula(M, x64, y64)
        for length in (M.dist(x32, y32), M.squared_dist(x32, y32).sqrt(), M.norm(x64, M.log(x32, y32).double())):
            assert ((length - truth).abs() / truth).max() <= 2e-6


def test_the_distance_is_that_of_the_minkowski_form():
    M = Hyperboloid(4, curvature=-0.25)
    x, y = (M.project_point(draws(50, 4, seed=k)) for k in (3, 4))
    form = (x[:, 1:] * y[:, 1:]).sum(-1) - x[:, 0] * y[:, 0]
    torch.testing.assert_close(M.dist(x, y), 2 * torch.acosh(-0.25 * form))


@pytest.mark.parametrize("curvature", [-1.0, -0.3])
def test_both_models_are_one_space(curvature):
    H, B = Hyperboloid(4, curvature), PoincareBall(3, curvature)
    x, y = (H.project_point(draws(20, 4, seed=k)) for k in (5, 6))
    a, b = (ball_from_hyperboloid(z, curvature) for z in (x, y))
    torch.testing.assert_close(hyperboloid_from_ball(a, curvature), x)
    torch.testing.assert_close(B.dist(a, b), H.dist(x, y))
    torch.testing.assert_close(B.mid_point(a, b), ball_from_hyperboloid(H.mid_point(x, y), curvature))
    # an isometry carries gradients to gradients: their lengths agree for the same cost
    g = torch.func.grad(lambda z: H.dist(x, z).sum())(y)
    h = torch.func.grad(lambda z: B.dist(a, z).sum())(b)
    torch.testing.assert_close(H.norm(y, H.egrad2rgrad(y, g)), torch.ones(20, dtype=D))
    torch.testing.assert_close(B.norm(b, B.egrad2rgrad(b, h)), torch.ones(20, dtype=D))


def test_the_triangle_with_a_right_angle():
    # cosh c = cosh a cosh b, the theorem of Pythagoras in curvature -1
    M = PoincareBall(2)
    centre = torch.zeros(2, dtype=D)
    p, q = M.exp(centre, torch.tensor([[0.4, 0.0], [0.0, 0.7]], dtype=D))
    a, b, c = M.dist(centre, p).item(), M.dist(centre, q).item(), M.dist(p, q).item()
    assert (a, b) == (pytest.approx(0.8), pytest.approx(1.4))
    assert math.cosh(c) == pytest.approx(math.cosh(a) * math.cosh(b))


@pytest.mark.parametrize(("dtype", "reach"), [(torch.float32, 15.0), (D, 35.0)])
def test_points_stop_before_the_boundary_and_say_so(dtype, reach):
    M = PoincareBall(2)
    y = M.exp(torch.zeros(2, 2, dtype=dtype), torch.tensor([[50.0, 0.0], [1.0, 0.0]], dtype=dtype))
    assert M.at_boundary(y).tolist() == [True, False]
    assert torch.isfinite(M.dist(torch.zeros(2, dtype=dtype), y)).all()
    assert abs(M.dist(torch.zeros(2, dtype=dtype), y[0]).item() - reach) < 2
    assert M.off_manifold(torch.tensor([1.0, 0.0], dtype=dtype)) > 0
    assert M.at_boundary(M.project_point(100 * draws(1000, 2).to(dtype) + 10)).all()  # by rounding in all directions


def test_the_exponential_map_has_a_second_derivative_at_the_centre_of_the_ball():
    centre = torch.zeros(2, dtype=D)
    second = torch.func.hessian(lambda u: PoincareBall(2).exp(centre, u)[0] ** 2)(centre)
    torch.testing.assert_close(second, torch.diag(torch.tensor([2.0, 0.0], dtype=D)))  # exp is the identity to order 2


def test_no_edge_of_a_point_with_itself_is_nan():
    for M in (Hyperboloid(3), PoincareBall(2)):
        x = M.random_point(4, generator=torch.Generator().manual_seed(0), dtype=D).requires_grad_()
        (g,) = torch.autograd.grad(M.dist(x, x.detach()).sum(), x)
        assert torch.isfinite(g).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Hyperboloid(1),
        lambda: PoincareBall(0),
        lambda: PoincareBall(2, 1.0),
        lambda: ball_from_hyperboloid(torch.ones(3), 1.0),
        lambda: hyperboloid_from_ball(torch.zeros(2), 0.0),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(OptionsError):
        make()


def test_distances_between_points_far_apart() -> None:
    M, g = Hyperboloid(3), torch.Generator().manual_seed(0)
    r = torch.tensor([1e-3, 1.0, 5.0, 10.0, 18.0, 20.0, 40.0, 100.0, 300.0], dtype=torch.float64)
    x = M.random_point(generator=g, dtype=torch.float64).expand(len(r), 3)
    for near in (x, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).expand(len(r), 3)):
        u = M.random_tangent(near, generator=g)
        y = M.exp(near, u / M.norm(near, u)[:, None], r)
        torch.testing.assert_close(M.squared_dist(near, y), r * r, rtol=1e-11, atol=0)
        torch.testing.assert_close(M.dist(y, near), r, rtol=1e-11, atol=0)
    # where nothing can be said, nothing is: a cost below all others would draw every line search there
    a = M.exp(x, M.random_tangent(x, generator=g), 10 * r)
    b = M.exp(a, M.random_tangent(a, generator=g), r)
    assert not (M.squared_dist(a, b) < 0).any()
