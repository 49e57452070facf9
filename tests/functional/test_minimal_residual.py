"""Minimal residuals against closed forms and factorisations."""

import pytest
import torch

from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.functional.minimal_residual import SymmetricEquation, minimal_residual

D = torch.float64


def inner(u, v):
    return (u[0] * v[0]).sum(-1) + (u[1] * v[1]).sum(-1)


def equation(A, b, T=None):
    """Pose `A x = b` with vectors in two parts, the second of one entry."""
    parted = lambda z: (z[..., :-1], z[..., -1:])  # noqa: E731
    times = lambda K: lambda u: parted((K * torch.cat(u, -1).unsqueeze(-2)).sum(-1))  # noqa: E731
    return SymmetricEquation(times(A), inner, parted(b), None if T is None else times(T))


def solved(A, b, bound, T=None, target=1e-12):
    lane = Batch(b.shape[:-1], b) if b.dim() > 1 else Lone()
    found = minimal_residual(lane, equation(A, b, T), lane.full(target), bound, lane.full(True))
    return torch.cat(found.x, -1), found


def posed(*batch, n=6):
    g = torch.Generator().manual_seed(3)
    Q = torch.linalg.qr(torch.randn(*batch, n, n, dtype=D, generator=g)).Q
    values = torch.tensor([-3.0, -1.0, 0.5, 2.0, 4.0, 9.0], dtype=D)
    return (Q * values) @ Q.mT, torch.randn(*batch, n, dtype=D, generator=g)


def test_indefinite_equations_take_as_many_iterations_as_unknowns():
    A, b = torch.tensor([[2.0, 1.0], [1.0, 4.0]], dtype=D), torch.tensor([1.0, 2.0], dtype=D)
    x, found = solved(A, b, 2)  # reference case 20
    assert float((x - torch.linalg.solve(A, b)).norm()) < 3e-15 and found.count == 2
    for batch in ((), (4,)):
        A, b = posed(*batch)
        for T in (None, torch.linalg.inv(A @ A + torch.eye(6, dtype=D))):
            x, found = solved(A, b, 7, T)
            torch.testing.assert_close(x, torch.linalg.solve(A, b), rtol=0, atol=1e-10)
            assert bool((torch.as_tensor(found.count) <= 7).all())


@pytest.mark.parametrize("preconditioned", [False, True])
def test_each_iterate_has_the_least_residual_of_its_krylov_space(preconditioned):
    A, b = posed()
    T = torch.diag(torch.tensor([1.0, 0.5, 2.0, 1.0, 0.25, 1.0], dtype=D)) if preconditioned else torch.eye(6, dtype=D)
    root = T.sqrt()
    for j in (1, 2, 3):
        x, found = solved(A, b, j, T if preconditioned else None)
        space = [T @ b]
        for _ in range(j - 1):
            space.append(T @ A @ space[-1])
        K = torch.stack(space, -1)
        best = K @ torch.linalg.lstsq(root @ A @ K, (root @ b).unsqueeze(-1)).solution.squeeze(-1)
        torch.testing.assert_close(x, best)
        assert found.residual == pytest.approx(float((b - A @ x).norm()))


def test_singular_equations_end_with_a_least_residual():
    A = torch.diag(torch.tensor([2.0, -1.0, 0.0], dtype=D))
    x, found = solved(A, torch.tensor([2.0, 3.0, 0.0], dtype=D), 9)
    assert found.count == 2 and x.tolist() == pytest.approx([1.0, -3.0, 0.0])
    x, found = solved(A, torch.tensor([2.0, 3.0, 1.0], dtype=D), 50)  # no vector gives the last entry
    assert found.count <= 3 and found.residual == pytest.approx(1.0) and bool(torch.isfinite(x).all())
    torch.testing.assert_close((A @ x)[:2], torch.tensor([2.0, 3.0], dtype=D))


def test_every_problem_ends_for_itself():
    A, b = posed(4)
    A[2] = torch.nan  # has no products
    b[1] = 0  # has nothing to solve
    A[3] = torch.eye(6, dtype=D)
    x, found = solved(A, b, 50)
    assert found.count.tolist()[1:] == [0, 0, 1] and int(found.count[0]) >= 6
    assert bool((x[1:3] == 0).all())
    alone, _ = solved(A[:2], b[:2], 50)
    assert torch.equal(alone, x[:2])
