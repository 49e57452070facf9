"""Masked conjugate gradients: solutions of dense solves, each problem with its own end."""

import pytest
import torch

from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.functional.normal_cg import conjugate_gradients

D = torch.float64


def posed(*batch, n=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    A = torch.randn(*batch, n, n, generator=g, dtype=D)
    return A @ A.mT + 0.1 * torch.eye(n, dtype=D), torch.randn(*batch, n, generator=g, dtype=D)


def run(lane, A, b, active=None, tolerance=1e-12, max_rounds=200):
    return conjugate_gradients(
        lane,
        lambda v: (A @ v.unsqueeze(-1)).squeeze(-1),
        lambda u, v: lane.scalar((u * v).sum(-1)),
        b,
        lane.full(True) if active is None else active,
        tolerance=tolerance,
        max_rounds=max_rounds,
    )


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_solutions(batch):
    A, b = posed(*batch)
    found = run(Batch(batch, b) if batch else Lone(), A, b)
    torch.testing.assert_close(found.h, -torch.linalg.solve(A, b), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(found.product, -b, rtol=1e-9, atol=1e-10)


def test_a_problem_is_the_same_whatever_its_neighbours():
    A, b = posed(4)
    A[1], b[1] = torch.eye(6, dtype=D), torch.ones(6, dtype=D)  # done after one round
    A[2], b[2] = torch.nan, torch.nan
    whole = run(Batch((4,), b), A, b)
    part = run(Batch((2,), b), A[[0, 3]], b[[0, 3]])
    assert torch.equal(whole.h[[0, 3]], part.h)
    assert whole.rounds[1] == 1 and whole.rounds[2] == 0 and whole.h[2].isnan().all()
    torch.testing.assert_close(whole.h[1], -torch.ones(6, dtype=D), rtol=1e-15, atol=0)


def test_rounds_are_bounded_and_the_mask_is_kept():
    A, b = posed(3)
    found = run(Batch((3,), b), A, b, active=torch.tensor([True, False, True]), max_rounds=2)
    assert found.rounds.tolist() == [2, 0, 2] and (found.h[1] == 0).all()


def test_an_indefinite_matrix_keeps_what_was_found_before():
    A = torch.diag(torch.tensor([1.0, 2.0, -3.0], dtype=D))
    found = run(Lone(), A, torch.tensor([1.0, 1.0, 0.1], dtype=D))
    assert torch.isfinite(found.h).all()
    assert (found.h @ A @ found.h / 2 + found.h @ torch.tensor([1.0, 1.0, 0.1], dtype=D)) <= 0
