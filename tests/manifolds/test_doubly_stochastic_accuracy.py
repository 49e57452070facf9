"""Doubly stochastic matrices next to a permutation matrix: against exact rational arithmetic and a closed form."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from manopt_torch import DoublyStochastic

D = torch.float64
N = 4


def rationals(matrix):
    return np.vectorize(Fraction)(matrix.double().numpy())


def normal_factor(x, z):
    """Solve x1 o alpha + x beta = z 1, x' alpha + x'1 o beta = z' 1, last beta zero, by exact elimination."""
    n = len(x)
    matrix = np.block([[np.diag(x.sum(1)), x], [x.T, np.diag(x.sum(0))]])[:-1, :-1]
    table = np.column_stack([matrix, np.append(z.sum(1), z.sum(0))[:-1]])
    for i in range(len(table)):  # positive definite: no pivot is zero
        table[i] = table[i] / table[i, i]
        for k in range(len(table)):
            if k != i:
                table[k] = table[k] - table[k, i] * table[i]
    solution = np.append(table[:, -1], Fraction(0))
    return solution[:n, None] + solution[None, n:]


def projection(x, z):
    return z - normal_factor(x, z) * x


def near_permutation(distance, dtype):
    x = (1 - distance) * torch.eye(N, dtype=D).roll(1, 0) + distance * torch.rand(
        2, N, N, dtype=D, generator=torch.Generator().manual_seed(1)
    )
    for _ in range(60):
        x = x / x.sum(-1, keepdim=True)
        x = x / x.sum(-2, keepdim=True)
    return x.to(dtype)


def normals(dtype, seed):
    return torch.randn(2, N, N, dtype=D, generator=torch.Generator().manual_seed(seed)).to(dtype)


def agree(result, truths):
    for matrix, truth in zip(result, truths, strict=True):
        error = np.abs(rationals(matrix) - truth).max() / np.abs(truth).max()
        assert error < 100 * torch.finfo(result.dtype).eps


near = pytest.mark.parametrize("distance", [1.0, 1e-3, 1e-6, 1e-9, 1e-12, 1e-25])
dtypes = pytest.mark.parametrize("dtype", [torch.float32, D], ids=str)


@near
@dtypes
def test_projections_keep_their_digits_next_to_a_permutation(distance, dtype):
    M, x, z = DoublyStochastic(N), near_permutation(distance, dtype), normals(dtype, 2)
    for ambient in (z, x * z):  # of entries of like size, and of the sizes of x
        truths = [projection(rationals(p), rationals(a)) for p, a in zip(x, ambient, strict=True)]
        agree(M.project_tangent(x, ambient), truths)


@near
@dtypes
def test_gradients_and_hessians_keep_their_digits_next_to_a_permutation(distance, dtype):
    M, x = DoublyStochastic(N), near_permutation(distance, dtype)
    g, h = normals(dtype, 3), normals(dtype, 4)
    u = M.project_tangent(x, x * normals(dtype, 5))
    parts = [tuple(map(rationals, part)) for part in zip(x, g, h, u, strict=True)]
    agree(M.egrad2rgrad(x, g), [projection(p, p * a) for p, a, _, _ in parts])
    hessians = [projection(p, p * b + v * (a - normal_factor(p, p * a)) / 2) for p, a, b, v in parts]
    agree(M.ehess2rhess(x, g, h, u), hessians)


@pytest.mark.parametrize("q", [0.25, 1e-3, 1e-6, 1e-9])
def test_derivatives_of_the_projection_keep_their_digits_next_to_a_permutation(q):
    # at x = [[p, q], [q, p]] the projection of x g is p q (a - b - c + d) / (2 (p + q)) with alternating signs
    M, a, b, c, d = DoublyStochastic(2), 0.3, -1.1, 0.7, 2.0
    p = torch.tensor(1 - q, dtype=D)
    s = torch.tensor(q, dtype=D, requires_grad=True)
    x = torch.stack([torch.stack([p, s]), torch.stack([s, p])])
    value = M.egrad2rgrad(x, torch.tensor([[a, b], [c, d]], dtype=D))
    half, total = (a - b - c + d) / 2, p.item() + q
    truth = half * p.item() * q / total
    assert value.flatten().tolist() == pytest.approx([truth, -truth, -truth, truth], rel=1e-14, abs=0)
    (first,) = torch.autograd.grad(value[0, 0], s, create_graph=True)
    (second,) = torch.autograd.grad(first, s)
    assert first.item() == pytest.approx(half * (p.item() / total) ** 2, rel=1e-13)
    # that of alpha grows as 1 / q while the truth stays bounded: what cancels is of the order of eps / q
    assert second.item() == pytest.approx(-2 * half * p.item() ** 2 / total**3, rel=1e-14 / q)


@dtypes
def test_a_permutation_itself_gives_no_nan(dtype):
    # the smallest entries of a point may underflow
    M, x, z = DoublyStochastic(N), torch.eye(N, dtype=dtype), normals(dtype, 6)
    for point in (x, x + torch.finfo(dtype).tiny / 8):
        assert torch.isfinite(M.project_tangent(point, z)).all()
        assert torch.isfinite(M.project_tangent(point, point * z)).all()
