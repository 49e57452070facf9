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


# Spatial parts of two points and of a tangent vector at the first, with the distance acosh(-<x, y>) and the transported
# vector u + <y, u> (x + y) / (1 - <x, y>), both of 120 digits by mpmath. The first pair has no digit of <x, y> left.
FAR = [
    ((2e8, -1e8), (3e26, -1.5e26), (-2.5e8, -5e7), 41.851996782000987, (-2.7e26, 1.35e26)),
    ((2e8, -1e8), (-1e8, 4e7), (-2.5e8, -5e7), 39.104856193730455, (-157088379.48453932, -105746972.30927641)),
    ((3e4, 4e4), (3e8, 4.5e8), (-1e4, -7.5e3), 25.145343882635246, (828655625.19487651, 1242977128.0795328)),
    ((1e4, 2e4), (-2e10, 1e10), (0.0, -2.5e3), 34.538776395910685, (-999999496.99999951, 499998498.499996)),
]


@together()
@pytest.mark.parametrize(("x", "y", "u", "distance", "transported"), FAR)
def test_points_far_out_and_far_apart_keep_their_distance_and_transport(x, y, u, distance, transported):
    M = Hyperboloid(3)
    x, y = (M.project_point(torch.tensor([0.0, *z], dtype=D)) for z in (x, y))
    u = torch.tensor([0.0, *u], dtype=D)
    u[0] = (x * u).sum() / x[0]
    assert M.dist(x, y).item() == pytest.approx(distance, rel=4e-15)
    assert M.dist(y, x).item() == pytest.approx(distance, rel=4e-15)
    assert M.squared_dist(x, y).item() == pytest.approx(distance**2, rel=8e-15)
    assert M.log_defined(x, y)
    assert M.parallel_transport(x, y, u)[1:].tolist() == pytest.approx(transported, rel=3e-14)


def test_other_curvatures_are_other_units_far_out_too():
    x, y, u, distance, transported = FAR[2]
    M = Hyperboloid(3, curvature=-0.25)  # twice as long
    x, y = (M.project_point(torch.tensor([0.0, *z], dtype=D) * 2) for z in (x, y))
    v = torch.tensor([0.0, *u], dtype=D)
    v[0] = (x * v).sum() / x[0]
    assert M.dist(x, y).item() == pytest.approx(2 * distance, rel=4e-15)
    assert M.parallel_transport(x, y, v)[1:].tolist() == pytest.approx(transported, rel=3e-14)


def test_float32_distances_from_the_origin_and_their_derivatives_have_the_whole_range():
    M = Hyperboloid(3)
    x = M.project_point(torch.zeros(3))
    for length in (5e-16, 5e17):  # its square, or that of its square, is out of range
        y = M.project_point(torch.tensor([0.0, 0.6, -0.8]) * length).requires_grad_()
        distance = M.dist(x, y)
        assert distance.item() == pytest.approx(math.asinh(length), rel=1e-6)
        (g,) = torch.autograd.grad(distance, y)
        # along the ray, with velocity (sinh d, 0.6 cosh d, -0.8 cosh d), the distance grows at rate one
        ray = torch.tensor([length, 0.6 * math.hypot(1, length), -0.8 * math.hypot(1, length)])
        assert (g * ray).sum().item() == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(
    ("near", "transported"),
    [(1e-6, (2.327358046969348, 1.0935669000136483)), (1e-9, (2.3273606562498117, 1.093569008754565))],
)
def test_the_transport_next_to_the_boundary_of_the_ball(near, transported):
    # lambda_x / lambda_y gyr[y, -x] u of these very points by mpmath, with 120 digits; gyr[a, b] u is the linear part
    # of -(a + b) + (a + (b + u)) in Moebius sums. A rounding of the points is a relative change of what is left of one.
    M = PoincareBall(2)
    x = torch.tensor([0.6, 0.8], dtype=D) * (1 - near)
    y = x + torch.tensor([near * 0.5, -near * 2], dtype=D)
    u = torch.tensor([1.0, -0.5], dtype=D)
    v, slack = M.transport(x, y, u), 20 * torch.finfo(D).eps / near
    assert v.tolist() == pytest.approx(transported, rel=slack)
    assert M.norm(y, v).item() == pytest.approx(M.norm(x, u).item(), rel=slack)


@pytest.mark.parametrize(("near", "dtype"), [(1e-6, D), (1e-10, D), (1e-4, torch.float32)])
def test_geodesics_from_next_to_the_boundary_come_back_to_the_centre(near, dtype):
    M = PoincareBall(2)
    x = (torch.tensor([0.6, 0.8], dtype=D) * (1 - near)).to(dtype)
    u = M.log(x, torch.zeros(2, dtype=dtype))
    for t in (0.5, 1.0):  # the rest of the way is the length of what is left; x is known to a rounding of the gap
        left = math.tanh((1 - t) * 0.5 * M.dist(torch.zeros(2, dtype=dtype), x).item())
        y = M.exp(x, u, t)
        slack = 20 * torch.finfo(dtype).eps / near
        assert y.tolist() == pytest.approx([0.6 * left, 0.8 * left], abs=slack)
    assert M.mobius_add(-x, x).tolist() == [0.0, 0.0]
    shifted = x * (1 - 4 * near)  # on one ray Moebius sums are differences of velocities
    p, q = (torch.linalg.vector_norm(z.to(D)).item() for z in (shifted, x))
    relative = torch.linalg.vector_norm(M.mobius_add(-x, shifted)).item()
    assert relative == pytest.approx((q - p) / (1 - p * q), rel=20 * torch.finfo(dtype).eps / near)
