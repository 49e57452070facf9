import math

import numpy as np
import pytest
import scipy.linalg
import torch

from manopt_torch import OptionsError, Positive, Scaled, SkewSymmetric, Sphere, Symmetric, SymmetricPositiveDefinite

D = torch.float64


def test_positive_numbers_are_spd_matrices_of_one_row():
    M, S = Positive(), SymmetricPositiveDefinite(1)
    x, y, u, g, h = torch.tensor([0.3, 7.0, -0.4, 1.1, -2.0], dtype=D)
    box = lambda a: a[None, None]  # noqa: E731
    assert M.dist(x, y).item() == pytest.approx(S.dist(box(x), box(y)).item(), rel=1e-14)
    assert M.inner(x, u, g).item() == pytest.approx(S.inner(box(x), box(u), box(g)).item(), rel=1e-13)
    assert M.ehess2rhess(x, g, h, u).item() == pytest.approx(S.ehess2rhess(*map(box, (x, g, h, u))).item(), rel=1e-13)
    assert M.exp(x, u).item() == pytest.approx(0.3 * math.exp(-0.4 / 0.3), rel=1e-14)
    assert M.retract(x, u).item() == pytest.approx(S.retract(box(x), box(u)).item(), rel=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_positive_distances_keep_their_relative_accuracy(dtype):
    eps = torch.finfo(dtype).eps
    exponents = torch.tensor([4 * eps, 1e-3, 0.4, 0.6, 3.0, 20.0], dtype=D)
    x = torch.full((6,), 1.5, dtype=dtype)
    y = (x.to(D) * torch.exp(exponents)).to(dtype)
    truth = torch.log(y.to(D) / x.to(D))
    torch.testing.assert_close(Positive().dist(x, y).to(D), truth, rtol=4 * eps, atol=0)
    torch.testing.assert_close(Positive().dist(y, x).to(D), truth, rtol=8 * eps, atol=0)


def test_what_is_not_positive_is_off_the_manifold():
    residual = Positive(2).off_manifold(torch.tensor([[1.0, 2.0], [0.0, 1.0], [-1.0, 1.0], [math.nan, 1.0]]))
    assert residual[0] == 0
    assert residual[1] >= 1
    assert residual[2] >= 2
    assert not residual[3] <= 1e9


def test_subspaces_are_the_parts_of_a_matrix():
    z = torch.from_numpy(np.arange(9.0).reshape(3, 3))
    torch.testing.assert_close(Symmetric(3).project_point(z) + SkewSymmetric(3).project_point(z), z)
    assert (Symmetric(3).dim, SkewSymmetric(3).dim) == (6, 3)
    assert Symmetric(3).off_manifold(z) > 0.1


def test_exponentials_of_skew_matrices_are_rotations():
    x = SkewSymmetric(4).random_point(generator=torch.Generator().manual_seed(0), dtype=D)
    rotation = scipy.linalg.expm(x.numpy())
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(4), atol=1e-13)


def test_another_unit_of_length():
    M = Scaled(Sphere(3), 2.0)
    x, y = torch.eye(3, dtype=D)[:2]
    assert M.dist(x, y).item() == pytest.approx(math.pi)
    assert M.norm(x, M.log(x, y)).item() == pytest.approx(math.pi)
    assert M.injectivity_radius() == pytest.approx(2 * math.pi)
    # the gradient is the vector whose inner products are the derivatives
    g, u = torch.tensor([1.0, 2.0, 3.0], dtype=D), torch.tensor([0.0, 0.5, -1.0], dtype=D)
    assert M.inner(x, M.egrad2rgrad(x, g), u).item() == pytest.approx((g * u).sum().item())


@pytest.mark.parametrize("make", [lambda: Scaled(Sphere(3), 0.0), lambda: Scaled(3, 1.0), lambda: SkewSymmetric(1)])
def test_bad_arguments_are_refused(make):
    with pytest.raises(OptionsError):
        make()


def test_coordinates_of_a_positive_number() -> None:
    M, x, u = Positive(), torch.tensor(2.0, dtype=D), torch.tensor(3.0, dtype=D)
    for batch in ((), (4,)):
        c = M.to_coordinates(x.expand(batch), u.expand(batch))
        assert c.shape == (*batch, 1) and torch.equal(c, torch.full_like(c, 1.5))
        assert torch.equal(M.from_coordinates(x.expand(batch), c), u.expand(batch))


def test_positive_numbers_whose_quotient_is_out_of_range():
    M = Positive(2)
    x, y = torch.tensor([1e-20, 3e20]), torch.tensor([1e20, 2e-20]).requires_grad_()
    ratio = torch.tensor([40 * math.log(10), math.log(2 / 3) - 40 * math.log(10)])
    distance = M.dist(x, y)
    assert distance.item() == pytest.approx(torch.linalg.vector_norm(ratio).item(), rel=1e-6)
    torch.testing.assert_close(M.log(x, y), x * ratio)
    (g,) = torch.autograd.grad(distance, y)
    torch.testing.assert_close(g * y, ratio / distance)
    torch.testing.assert_close(M.parallel_transport(x, y, x), y)
