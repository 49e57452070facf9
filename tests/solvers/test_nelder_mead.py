"""The Nelder-Mead method, against SciPy on functions of numbers and eigenvalues on the sphere."""

import pytest
import torch
from scipy.optimize import minimize

from manopt_torch import (
    Circle,
    Euclidean,
    FixedRank,
    NelderMeadOptions,
    OptionsError,
    ShapeError,
    Sphere,
    StopAfterIteration,
    StopWhenPopulationConcentrated,
    SymmetricPositiveDefinite,
    get_reason,
    get_record,
    nelder_mead,
)

D = torch.float64


def rosenbrock(x):
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def powell(x):
    a, b, c, d = x.unbind(-1)
    return (a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4


def himmelblau(x):
    a, b = x.unbind(-1)
    return (a**2 + b - 11) ** 2 + (a + b**2 - 7) ** 2


@pytest.mark.parametrize(
    ("f", "start"),
    [
        (rosenbrock, [1.3, 0.7]),
        (rosenbrock, [-1.2, 1.0]),
        (rosenbrock, [1.3, 0.7, 0.8]),
        (rosenbrock, [1.3, 0.7, 0.8, 1.9, 1.2]),
        (powell, [3.0, -1.0, 0.0, 1.0]),
        (himmelblau, [0.0, 0.0]),
    ],
)
def test_same_minimum_as_scipy_with_about_as_many_evaluations(f, start):
    x = torch.tensor(start, dtype=D)
    o = nelder_mead(Euclidean(len(start)), f, x, return_options=True)
    theirs = minimize(
        lambda z: float(f(torch.from_numpy(z))), x.numpy(), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-8}
    )
    assert abs(float(o.cost) - theirs.fun) < 1e-12
    assert o.evaluations["cost"] <= 1.3 * theirs.nfev
    assert "lie within" in get_reason(o)


def test_costs_never_rise():
    # reference case 46
    start = torch.tensor([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0], dtype=D)
    o = nelder_mead(
        Euclidean(6), rosenbrock, start, record=[":Cost"], stop=StopAfterIteration(400), return_options=True
    )
    costs = torch.tensor([float(row[0]) for row in get_record(o)])
    assert bool((costs.diff() <= 0).all()) and float(costs[-1]) < 0.02 * float(rosenbrock(start))


def test_least_eigenvalues_on_the_sphere_a_batch_at_once():
    g = torch.Generator().manual_seed(1)
    A = torch.randn(5, 6, 6, generator=g, dtype=D)
    A = A + A.mT
    M = Sphere(6)
    x = nelder_mead(
        M,
        lambda x, A: (x * (A * x.unsqueeze(-2)).sum(-1)).sum(-1),
        M.random_point(5, generator=g, dtype=D),
        data=(A,),
    )
    found = torch.einsum("bi,bij,bj->b", x, A, x)
    torch.testing.assert_close(found, torch.linalg.eigvalsh(A)[:, 0], rtol=0, atol=1e-9)
    assert float(M.off_manifold(x).max()) < 1e-12


@pytest.mark.parametrize("M", [SymmetricPositiveDefinite(2), FixedRank(3, 3, 1)], ids=str)
def test_matrices_and_manifolds_without_a_logarithm(M):
    g = torch.Generator().manual_seed(2)
    target, x = (M.random_point(dtype=D, generator=g) for _ in range(2))

    def cost(x):
        if isinstance(x, tuple):
            a, b = (p.U @ p.S @ p.V.mT for p in (x, target))
            return (a - b).square().sum((-2, -1))
        return (x - target).square().sum((-2, -1))

    o = nelder_mead(M, cost, x, return_options=True)
    assert float(o.cost) < 1e-8
    M.check_point(o.x)


def test_angles():
    o = nelder_mead(Circle(), lambda x: 1 - torch.cos(x - 1), torch.zeros((), dtype=D), return_options=True)
    assert abs(float(o.x) - 1) < 1e-7


def test_a_simplex_of_ones_own():
    M = Euclidean(2)
    simplex = torch.tensor([[5.0, 5.0], [4.0, 5.0], [5.0, 3.0]], dtype=D)
    o = nelder_mead(M, himmelblau, population=simplex, return_options=True, stop=StopAfterIteration(0))
    assert torch.equal(o.x, simplex[2])  # the cheapest comes first
    assert float(himmelblau(nelder_mead(M, himmelblau, population=simplex))) < 1e-14


def test_costs_that_are_no_numbers_are_worse_than_all_others():
    cost = lambda x: torch.where(x[..., 0] < 0.5, torch.nan, x.square().sum(-1))  # noqa: E731
    o = nelder_mead(Euclidean(2), cost, torch.tensor([3.0, 2.0], dtype=D), return_options=True)
    assert abs(float(o.cost) - 0.25) < 2e-6 and float(o.x[0]) >= 0.5


def test_a_constant_cost_ends_with_a_reason():
    o = nelder_mead(Euclidean(2), lambda x: 0 * x.sum(-1) + 3, torch.ones(2, dtype=D), return_options=True)
    assert "lie within" in get_reason(o) and o.iterations < 100


def test_wrong_populations_and_parameters():
    with pytest.raises(ShapeError, match="3 points for each problem"):
        nelder_mead(Euclidean(2), himmelblau, population=torch.zeros(4, 2, dtype=D))
    with pytest.raises(OptionsError, match="start x or a population"):
        nelder_mead(Euclidean(2), himmelblau)
    for name, value in {"size": 0.0, "expansion": 1.0, "contraction": 1.0, "shrinking": 0.0}.items():
        with pytest.raises(OptionsError, match=name):
            NelderMeadOptions(torch.zeros(2), **{name: value})
    with pytest.raises(OptionsError, match="tol_x"):
        StopWhenPopulationConcentrated(tol_x=-1.0)
