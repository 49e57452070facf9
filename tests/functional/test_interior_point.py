"""The reduced Newton equation: what it says solves the whole one."""

import torch

from manopt_torch.functional.interior_point import (
    KKTSystem,
    expanded,
    longest_step,
    reduced_matrix,
    reduced_right_side,
    shortest_solution,
    solve_or_nan,
)

D = torch.float64


def system(*batch, n=4, m=3, k=2):
    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*batch, *shape, dtype=D, generator=g)  # noqa: E731
    A = draw(n, n)
    return KKTSystem(A + A.mT, draw(n), draw(m, n), draw(k, n), draw(m), draw(k), draw(m).exp(), draw(m).exp())


def times(A, x):
    return (A @ x.unsqueeze(-1)).squeeze(-1)


def test_all_four_lines_of_newtons_equation_hold():
    for batch in ((), (5,)):
        at = system(*batch)
        beta = torch.full(batch, 0.3, dtype=D)
        step = expanded(at, beta, solve_or_nan(reduced_matrix(at), reduced_right_side(at, beta)))
        close = torch.testing.assert_close
        close(times(at.hessian, step.xi) + times(at.G.mT, step.mu) + times(at.H.mT, step.lam), -at.gradient)
        close(times(at.H, step.xi), -at.h)
        close(times(at.G, step.xi) + step.s, -(at.g + at.s))
        close(at.s * step.mu + at.mu * step.s, beta.unsqueeze(-1) - at.mu * at.s)


def test_a_singular_matrix_is_seen_and_solved_as_well_as_possible():
    A = torch.diag_embed(torch.tensor([[2.0, 0.0, -1.0], [2.0, 1.0, 4.0]], dtype=D))
    b = torch.ones(2, 3, dtype=D)
    x = solve_or_nan(A, b)
    assert bool(x[0].isnan().all()) and x[1].tolist() == [0.5, 1.0, 0.25]
    torch.testing.assert_close(shortest_solution(A, b)[0], torch.tensor([0.5, 0.0, -1.0], dtype=D))
    assert bool(torch.isfinite(shortest_solution(A * torch.nan, b)).all())


def test_without_one_kind_of_constraint():
    for m, k in ((0, 2), (3, 0)):
        at = system(2, m=m, k=k)
        step = expanded(at, torch.ones(2, dtype=D), reduced_right_side(at, torch.ones(2, dtype=D)))
        assert step.mu.shape == (2, m) and step.lam.shape == (2, k)


def test_the_longest_step_keeps_numbers_positive():
    value = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 1.0]], dtype=D)
    change = torch.tensor([[-2.0, -2.0], [1.0, 0.0], [torch.nan, 0.0]], dtype=D)
    found = longest_step(value, change).tolist()
    assert found[:2] == [0.5, float("inf")] and found[2] != found[2]
    assert longest_step(value[:, :0], value[:, :0]).tolist() == [float("inf")] * 3
