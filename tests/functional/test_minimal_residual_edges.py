"""Minimal residuals: who iterates, where the iteration ends, and equations of any scale."""

import math

import pytest
import torch

from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.functional.minimal_residual import minimal_residual
from tests.functional.test_minimal_residual import D, equation, posed, solved


def residuals(A, b, most):
    """Return the least residual in each Krylov space, by dense least squares."""
    found, space = [b.norm().item()], []
    for _ in range(most):
        space.append(b if not space else A @ space[-1] / space[-1].norm())
        K = torch.stack(space, -1)
        y = torch.linalg.lstsq(A @ K, b.unsqueeze(-1)).solution.squeeze(-1)
        found.append((b - A @ K @ y).norm().item())
    return found


def test_it_ends_with_the_first_residual_at_the_target():
    A, b = posed()
    norms = residuals(A, b, 5)
    for k in range(5):
        for target, count in ((norms[k] * (1 + 1e-9), k), (norms[k] * (1 - 1e-9), k + 1)):
            if k and norms[k - 1] <= target:
                continue
            x, found = solved(A, b, 50, target=target)
            assert found.count == count
            assert found.residual == pytest.approx((b - A @ x).norm().item(), rel=1e-9)
    still = solved(A, torch.tensor([3.0, 0, 0, 0, 0, 4.0], dtype=D), 50, target=5.0)[1]
    assert (still.count, still.residual) == (0, 5.0)  # met at the start


@pytest.mark.parametrize("batch", [False, True])
def test_who_is_not_active_stays_at_zero(batch):
    A, b = posed(2) if batch else posed()
    lane = Batch((2,), b) if batch else Lone()
    active = torch.tensor([False, True]) if batch else False
    found = minimal_residual(lane, equation(A, b), lane.full(1e-9), 50, active)
    x, count = torch.cat(found.x, -1).reshape(-1, 6), torch.as_tensor(found.count).reshape(-1)
    assert count[0] == 0 and not x[0].any()
    if batch:
        torch.testing.assert_close(x[1], torch.linalg.solve(A[1], b[1]), rtol=0, atol=1e-8)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_sides_and_products_that_are_not_finite_move_nothing(bad):
    A, b = posed(3)
    A[1] = bad
    b[2] = bad
    x, found = solved(A, b, 50)
    assert found.count.tolist()[1:] == [0, 0] and not x[1:].any()
    assert found.residual[1].item() == pytest.approx(b[1].norm().item())


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_scale_of_a_matrix_does_not_matter(scale, sign):
    A, b = posed()
    x, found = solved(sign * A, b, 50, target=1e-9)
    scaled, again = solved(sign * scale * A, b, 50, target=1e-9)
    assert found.count == again.count
    torch.testing.assert_close(scaled * scale, x, rtol=1e-6, atol=1e-9)
    # of an exhausted space, too: two entries, so two iterations, however small the target
    A = scale * sign * torch.diag(torch.tensor([3.0, 3.0, -2.0, -2.0], dtype=D))
    x, found = solved(A, torch.ones(4, dtype=D), 50, target=0.0)
    assert found.count <= 3
    torch.testing.assert_close(A @ x, torch.ones(4, dtype=D), rtol=1e-12, atol=0)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_a_singular_matrix_of_any_scale_ends_at_its_least_residual(scale):
    A = scale * torch.diag(torch.tensor([2.0, -1.0, 0.0], dtype=D))
    x, found = solved(A, torch.tensor([2.0, 3.0, 1.0], dtype=D), 50)
    assert found.count <= 3 and found.residual == pytest.approx(1.0)
    torch.testing.assert_close((A @ x)[:2], torch.tensor([2.0, 3.0], dtype=D))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_eigenvector_leaves_nothing_but_rounding_for_a_second_iteration(sign):
    A, _ = posed()
    vector = torch.linalg.eigh(A).eigenvectors[:, -1]
    x, found = solved(sign * A, vector, 50, target=0.0)
    assert found.count == 1
    torch.testing.assert_close(9.0 * sign * x, vector, rtol=1e-13, atol=1e-15)


def test_a_product_that_is_not_finite_is_the_last():
    products = []

    def multiply(u):
        products.append(u)
        return tuple(math.nan * part for part in u)

    b = torch.tensor([3.0, 4.0], dtype=D)
    found = minimal_residual(Lone(), equation(torch.eye(2, dtype=D), b)._replace(multiply=multiply), 1e-9, 50, True)
    assert len(products) == 1 and (found.count, found.residual) == (0, 5.0)
