import math

import numpy as np
import pytest
import torch

from manopt_torch import DoublyStochastic, Multinomial, OptionsError, Simplex, Sphere, steepest_descent

D = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_distances_are_twice_the_angle_of_the_roots():
    M = Simplex(5)
    x, y = M.random_point(2, 200, generator=generator(), dtype=D)
    torch.testing.assert_close(M.dist(x, y), 2 * torch.acos((x * y).sqrt().sum(-1)), rtol=1e-7, atol=0)


@pytest.mark.parametrize("step", [1e-7, 1e-3, 0.1])
def test_near_points_keep_the_relative_accuracy_of_their_difference(step):
    M = Simplex(3)
    x = torch.tensor([0.5, 0.3, 0.2], dtype=D)
    y = x + step * torch.tensor([1.0, -0.5, -0.5], dtype=D)
    # the angle from the squared chord of the roots, whose difference is taken without subtracting them
    chord = sum((float(d) / (math.sqrt(a) + math.sqrt(b))) ** 2 for d, a, b in zip(y - x, x, y, strict=True))
    assert M.dist(x, y).item() == pytest.approx(4 * math.asin(math.sqrt(chord) / 2), rel=1e-12)


def test_the_square_root_is_an_isometry_to_half_a_sphere_of_radius_two():
    M, S = Simplex(4), Sphere(4)
    x, y = M.random_point(2, 10, generator=generator(1), dtype=D)
    u = M.random_tangent(x, generator(2))
    s, w = x.sqrt(), u / (2 * x.sqrt())
    torch.testing.assert_close(M.norm(x, u), 2 * S.norm(s, w))
    torch.testing.assert_close(M.log(x, y), 2 * s * S.log(s, y.sqrt()))
    torch.testing.assert_close(M.exp(x, 0.1 * u), S.exp(s, 0.1 * w).square())
    torch.testing.assert_close(M.parallel_transport(x, y, u), 2 * y.sqrt() * S.parallel_transport(s, y.sqrt(), w))


def test_the_boundary_is_as_far_as_it_says():
    M = Simplex(3)
    x = torch.tensor([0.7, 0.2, 0.1], dtype=D)
    nearest = torch.tensor([0.7, 0.2, 0.0], dtype=D) / 0.9
    root = (x * nearest).sqrt().sum().item()
    assert M.injectivity_radius(x).item() == pytest.approx(2 * math.acos(root), rel=1e-12)
    assert M.injectivity_radius() == 0.0


def test_distances_of_frequencies_with_zeros_are_right_and_differentiable():
    # of such arrays as data come, which are on the boundary
    M = Simplex(4)
    x = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0.2, 0.8], [0.25, 0.25, 0.25, 0.25]], dtype=D)
    a, b = x[:, None].clone().requires_grad_(), x[None]
    truth = 2 * torch.acos((x[:, None] * b).sqrt().sum(-1).clamp(max=1))
    torch.testing.assert_close(M.dist(a, b), truth, atol=1e-7, rtol=1e-12)
    (gradient,) = torch.autograd.grad(M.squared_dist(a, b).sum(), a)
    assert torch.isfinite(gradient).all() and torch.isfinite(M.log(x[:, None], b)).all()
    assert torch.isnan(M.dist(torch.tensor([-0.1, 0.6, 0.5, 0.0], dtype=D), b)).all()


def test_columns_are_simplices():
    M, S = Multinomial(3, 4), Simplex(3)
    x, y = M.random_point(2, 5, generator=generator(3), dtype=D)
    torch.testing.assert_close(M.dist(x, y) ** 2, (S.dist(x.mT, y.mT) ** 2).sum(-1))
    torch.testing.assert_close(M.log(x, y), S.log(x.mT, y.mT).mT)
    assert (M.dim, M.basis(x).shape) == (8, (5, 8, 3, 4))


def test_relative_entropy_is_minimised_by_the_model():
    target = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]], dtype=D)
    x0 = torch.full((2, 3), 1 / 3, dtype=D)
    x = steepest_descent(Simplex(3), lambda x, p: -(p * torch.log(x)).sum(-1), x0, data=(target,))
    torch.testing.assert_close(x, target, rtol=0, atol=1e-7)


def sinkhorn(z, rounds=2000):
    for _ in range(rounds):
        z = z / z.sum(1, keepdims=True)
        z = z / z.sum(0, keepdims=True)
    return z


def test_scaling_is_that_of_sinkhorn():
    M = DoublyStochastic(4)
    z = torch.exp(2 * torch.randn(3, 4, 4, generator=generator(4), dtype=D))
    for scaled, matrix in zip(M.project_point(z), z, strict=True):
        np.testing.assert_allclose(scaled.numpy(), sinkhorn(matrix.numpy()), atol=1e-12)


def test_the_projection_of_doubly_stochastic_matrices_solves_its_equations():
    M = DoublyStochastic(5)
    x = M.random_point(generator=generator(5), dtype=D)
    z = torch.randn(5, 5, generator=generator(6), dtype=D)
    # as a weighted least-squares problem: the tangent vector nearest to z in the metric
    rows = [np.kron(np.eye(5)[i], np.ones(5)) for i in range(5)] + [np.kron(np.ones(5), np.eye(5)[j]) for j in range(5)]
    constraints, weights = np.array(rows), x.numpy().ravel()
    normal = weights[:, None] * constraints.T
    multipliers = np.linalg.lstsq(constraints @ normal, constraints @ z.numpy().ravel(), rcond=None)[0]
    truth = z.numpy().ravel() - normal @ multipliers
    np.testing.assert_allclose(M.project_tangent(x, z).numpy().ravel(), truth, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_projections_are_finite_next_to_a_permutation(dtype):
    M = DoublyStochastic(4)
    far = torch.tensor([0.0, 5.0, 15.0, 40.0], dtype=dtype)[:, None, None] * torch.eye(4, dtype=dtype).roll(1, 0)
    x = M.project_point(torch.exp(far))
    z = torch.randn(4, 4, 4, dtype=D, generator=generator()).to(dtype)
    p = M.project_tangent(x, x * z)
    assert torch.isfinite(p).all() and (M.off_tangent(x, p) < M.tolerance(dtype)).all()
    assert (M.norm(x, M.project_tangent(x, p) - p) <= 1e-3 * M.norm(x, x * z)).all()


def test_the_assignment_of_least_cost_is_approached():
    cost = torch.tensor([[1.0, 3.0, 4.0], [4.0, 1.0, 3.0], [3.0, 4.0, 1.0]], dtype=D)
    x0 = torch.full((3, 3), 1 / 3, dtype=D)
    x = steepest_descent(DoublyStochastic(3), lambda x: (cost * x + 0.1 * x * torch.log(x)).sum((-2, -1)), x0)
    # the entropic optimum is a scaling of exp(-cost / 0.1)
    np.testing.assert_allclose(x.numpy(), sinkhorn(np.exp(-cost.numpy() / 0.1)), atol=1e-5)


@pytest.mark.parametrize("make", [lambda: Simplex(1), lambda: Multinomial(3, 0), lambda: DoublyStochastic(1)])
def test_bad_sizes_are_refused(make):
    with pytest.raises(OptionsError):
        make()


@pytest.mark.parametrize("gap", [2.0**-20, 2.0**-10, 0.25])
def test_inverse_retractions_keep_the_relative_accuracy_of_near_points_in_float32(gap):
    x, step = torch.tensor([0.375, 0.375, 0.25]), torch.tensor([gap, -gap / 2, -gap / 2])  # sums without rounding
    ratio = torch.log1p(step.double() / x.double())
    truth = x * (ratio - (x * ratio).sum())
    torch.testing.assert_close(Simplex(3).inverse_retract(x, x + step).double(), truth, rtol=2e-6, atol=0)
    # at [[p, q], [q, p]] the projection of [[p a, q b], [q b, p a]] is p q (a - b) with alternating signs
    p, q = 0.375, 0.625
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    point = torch.tensor([[p, q], [q, p]])
    u = DoublyStochastic(2).inverse_retract(point, point + gap * signs)
    torch.testing.assert_close(u, signs * (p * q * (math.log1p(gap / p) - math.log1p(-gap / q))), rtol=2e-6, atol=0)
