"""Quadratic programs on the simplex, against SciPy, closed forms and the conditions of optimality."""

import pytest
import torch
from scipy.optimize import minimize

from manopt_torch.functional.simplex_qp import simplex_qp

D = torch.float64


def value(G, c, weights):
    return 0.5 * (weights * (G @ weights.unsqueeze(-1)).squeeze(-1)).sum(-1) + (c * weights).sum(-1)


def violation(G, c, weights):
    """By how much the conditions of Karush, Kuhn and Tucker are missed, in units of the largest entry of G."""
    gradient = (G @ weights.unsqueeze(-1)).squeeze(-1) + c
    level = (weights * gradient).sum(-1, keepdim=True)
    worst = (level - gradient).amax(-1).clamp(min=0) + (weights * (gradient - level).abs()).amax(-1)
    return worst / G.abs().amax((-2, -1)).clamp(min=1e-300) + (weights.sum(-1) - 1).abs() + (-weights).amax(-1).clamp(0)


def drawn(batch, m, rank, seed=0):
    """Draw Gram matrices of given rank with a column in duplicate; a quarter of the linear terms are zero."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(batch, m, rank, dtype=D, generator=generator)
    c = torch.rand(batch, m, dtype=D, generator=generator) * torch.logspace(-6, 1, batch, dtype=D).unsqueeze(-1)
    X[:, -1], c[:, -1] = X[:, 0], c[:, 0]
    c[::4] = 0
    return X @ X.mT, c


@pytest.mark.parametrize(("m", "rank"), [(7, 7), (8, 3), (6, 1)])
def test_as_scipy_finds_it(m, rank):
    G, c = drawn(70, m, rank)
    found = simplex_qp(G, c)
    assert violation(G, c, found).max() < 1e-10
    for n, least in enumerate(value(G, c, found).tolist()):
        A, b = G[n].numpy(), c[n].numpy()
        theirs = minimize(
            lambda x, A=A, b=b: 0.5 * x @ A @ x + b @ x,
            [1 / m] * m,
            jac=lambda x, A=A, b=b: A @ x + b,
            bounds=[(0, 1)] * m,
            constraints={"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda x: x * 0 + 1},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 200},
        )
        assert least == pytest.approx(theirs.fun, abs=1e-7, rel=1e-6)
        assert least <= theirs.fun + 1e-12


def test_many_variables_and_few_dimensions():
    for m, rank in ((25, 2), (25, 10), (50, 8), (25, 60)):
        G, c = drawn(40, m, rank, seed=m + rank)
        found = simplex_qp(G, c)
        assert violation(G, c, found).max() < 1e-10
        assert (found > 0).sum(-1).max() <= rank + 1, "no more have weight than are needed"


def test_closed_forms():
    """The nearest point of the simplex, by sorting; a linear program; one variable."""
    y = torch.randn(50, 6, dtype=D, generator=torch.Generator().manual_seed(3))
    ordered = y.sort(-1, descending=True).values
    thresholds = (ordered.cumsum(-1) - 1) / torch.arange(1, 7)
    count = (ordered > thresholds).sum(-1, keepdim=True)
    nearest = (y - thresholds.gather(-1, count - 1)).clamp(min=0)
    torch.testing.assert_close(simplex_qp(torch.eye(6, dtype=D).expand(50, 6, 6), -y), nearest, rtol=0, atol=1e-13)
    zero = torch.zeros(50, 6, 6, dtype=D)
    assert torch.equal(simplex_qp(zero, y), torch.eye(6, dtype=D)[y.argmin(-1)])
    assert simplex_qp(torch.ones(1, 1, dtype=D), torch.ones(1, dtype=D)).tolist() == [1.0]


def test_subgradients_of_any_length():
    """One cut has a subgradient of length 1e27 and an error to match: its weight is of the size of 1e-27, not lost."""
    G = torch.tensor([[1.0, -1e27], [-1e27, 1e54]], dtype=D)
    found = simplex_qp(G, torch.tensor([0.0, 1.0], dtype=D))
    # with w = 1e27 the second weight is about (1 + w) / (1 + w)^2
    torch.testing.assert_close(found, torch.tensor([1.0, 1e-27], dtype=D), rtol=1e-6, atol=0)


def test_subgradients_that_differ_by_all_digits():
    """Two that cancel, and others down to what rounding leaves of zero, which is where a minimiser is met exactly."""
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(400, 6, 2, dtype=D, generator=generator)
    X[:, 2:] *= 10.0 ** -torch.randint(0, 18, (400, 4, 1), generator=generator)
    X[:, 1] = -X[:, 0]
    c = torch.rand(400, 6, dtype=D, generator=generator) * 10.0 ** -torch.randint(0, 5, (400, 6), generator=generator)
    c[:, 5] = 0
    for start in (None, torch.tensor([0.5, 0.5, 0, 0, 0, 0], dtype=D).expand(400, 6)):
        assert violation(X @ X.mT, c, simplex_qp(X @ X.mT, c, start=start)).max() < 1e-10


def test_usable_variables_only_and_the_start_where_nothing_is_to_do():
    G, c = drawn(12, 9, 4)
    usable = torch.rand(12, 9, generator=torch.Generator().manual_seed(1)) < 0.5
    usable[:, 2] = True
    hidden = torch.where(usable, c, torch.nan)
    found = simplex_qp(torch.where(usable.unsqueeze(-1), G, torch.inf), hidden, usable=usable)
    assert (found[~usable] == 0).all()
    for n in range(12):
        kept = usable[n]
        alone = simplex_qp(G[n][kept][:, kept], c[n][kept])
        torch.testing.assert_close(value(G[n], c[n], found[n]), value(G[n][kept][:, kept], c[n][kept], alone))
    start = torch.zeros(12, 9, dtype=D)
    start[:, 3:5] = 0.5
    broken = c.clone()
    broken[7] = torch.nan
    active = torch.arange(12) != 5
    partly = simplex_qp(G, broken, start=start, active=active)
    assert torch.equal(partly[[5, 7]], start[[5, 7]])
    others = torch.tensor([n for n in range(12) if n not in (5, 7)])
    assert torch.equal(partly[others], simplex_qp(G[others], c[others], start=start[others]))
    assert torch.equal(partly[others], simplex_qp(G, c, start=start)[others])


def test_a_start_helps_and_few_rounds_do_no_harm():
    G, c = drawn(20, 12, 6)
    found = simplex_qp(G, c)
    torch.testing.assert_close(simplex_qp(G, c, start=found, max_rounds=1), found, rtol=0, atol=1e-15)
    first = torch.full_like(c, 1 / 12)
    former = value(G, c, first)
    for rounds in range(1, 8):
        some = simplex_qp(G, c, start=first, max_rounds=rounds)
        assert (some >= 0).all() and (some.sum(-1) - 1).abs().max() < 1e-14
        assert (value(G, c, some) <= former + 1e-12).all()
        former = value(G, c, some)
    # a matrix that is positive semidefinite but for rounding is no obstacle
    assert violation(G, c, simplex_qp(G - 1e-9 * torch.eye(12, dtype=D), c)).max() < 1e-7
