"""Problems that couple two manifolds: operators by autograd, generalised derivatives, what is refused."""

import copy
import pickle

import pytest
import torch

from manopt_torch import (
    Euclidean,
    MissingDerivativeError,
    OptionsError,
    Power,
    PrimalDualProblem,
    ShapeError,
    Sphere,
    SymmetricPositiveDefinite,
    TangentBundle,
    differential_forward_logs,
    forward_logs,
    get_proximal_map,
)
from manopt_torch.functions.grid import in_direction

D = torch.float64


def seeded(n=0):
    return torch.Generator().manual_seed(n)


def square(x):
    return x.square().sum(-1)


def identity(*args):
    return args[-1]


def soft(lam, x):
    return x.sign() * (x.abs() - lam).clamp(min=0)


@pytest.mark.parametrize("base", [Sphere(3), SymmetricPositiveDefinite(2)], ids=str)
def test_derivatives_of_an_operator_by_autograd(base):
    """Differences of points, with the points: against Jacobi fields, and the adjoint against what it is."""
    M = Power(base, 3)
    N = TangentBundle(M)

    def forward(x):
        return x, in_direction(M, forward_logs(M, x), 0)

    p = PrimalDualProblem(M, N, lambda x: x.sum(), identity, identity, forward_operator=forward)
    a, b = (M.random_point(2, dtype=D, generator=seeded(n)) for n in range(2))
    m = M.geodesic(a, b, 0.2)
    n, u = forward(m), M.random_tangent(m, generator=seeded(2))
    moved = p.get_linearized_forward_operator(m, u)
    across, along = N.split(n, moved)
    torch.testing.assert_close(across, u, rtol=0, atol=1e-12)
    torch.testing.assert_close(along, in_direction(M, differential_forward_logs(M, m, u), 0), rtol=0, atol=1e-10)
    for k in (3, 4):  # the second one by the graph of the first
        xi = N.random_tangent(n, generator=seeded(k))
        pulled = p.get_adjoint_linearized_operator(m, n, xi)
        M.check_tangent(m, pulled)
        torch.testing.assert_close(M.inner(m, pulled, u), N.inner(n, xi, moved), rtol=0, atol=1e-12)
    assert pickle.loads(pickle.dumps(copy.copy(p).__dict__["_last"])) is None


def test_generalised_derivatives_of_proximal_maps_by_autograd():
    p = PrimalDualProblem(Euclidean(3), Euclidean(3), square, soft, lambda n, lam, xi: xi.clamp(-1, 1),
                          forward_operator=identity)  # fmt: skip
    x, u = torch.tensor([2.0, 0.5, -3.0]), torch.tensor([1.0, 2.0, 3.0])
    y = get_proximal_map(p, 1.0, x, 0)
    assert y.tolist() == [1.0, 0.0, -2.0]
    assert p.get_differential_primal_prox(1.0, x, u, y).tolist() == [1.0, 0.0, 3.0]
    assert p.get_differential_dual_prox(None, 1.0, x, u).tolist() == [0.0, 2.0, 0.0]
    assert p.counts.proximal_map == 1


def test_callables_for_one_point():
    weights = torch.tensor([1.0, 2.0], dtype=D)
    p = PrimalDualProblem(
        Euclidean(3), Euclidean(2), lambda x, w: square(x), lambda lam, x, w: x - lam * w * x,
        lambda n, lam, xi, w: xi + lam * (n + w), forward_operator=lambda x, w: w * x.diff(), data=(weights,),
        vectorized=False,
    )  # fmt: skip
    x = torch.arange(6, dtype=D).reshape(2, 3) ** 2
    n, lam = torch.ones(2, 2, dtype=D), torch.tensor([0.5, 0.25], dtype=D)
    assert p.get_forward_operator(x).tolist() == [[1.0, 3.0], [14.0, 18.0]]
    assert p.get_dual_prox(n, lam, n).tolist() == [[2.0, 2.0], [1.75, 1.75]]
    assert p.get_dual_prox(n, 1.0, n).tolist() == [[3.0, 3.0], [4.0, 4.0]]
    assert p.get_primal_prox(lam, x)[1].tolist() == [4.5, 8.0, 12.5]
    assert p.get_adjoint_linearized_operator(x, n, n).tolist() == [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0]]


def test_what_is_refused():
    M = Euclidean(2)
    good = {"prox_f": soft, "prox_g_dual": identity, "forward_operator": identity}
    for bad, match in [
        ({"forward_operator": None}, "pass forward_operator, or else both"),
        ({"prox_f": None}, "prox_f and prox_g_dual must be callable, got None"),
        ({"prox_g_dual": 3}, "prox_g_dual must be callable, got int"),
        ({"N": 3}, "N must be a Manifold, got int"),
    ]:
        with pytest.raises(OptionsError, match=match):
            PrimalDualProblem(**({"M": M, "N": M, "cost": square} | good | bad))
    p = PrimalDualProblem(
        M, M, square, soft, identity, linearized_forward_operator=identity, adjoint_linearized_operator=identity
    )
    with pytest.raises(MissingDerivativeError, match="has no forward_operator"):
        p.get_forward_operator(torch.zeros(2))
    with pytest.raises(OptionsError, match="one proximal map on M"):
        get_proximal_map(p, 1.0, torch.zeros(2), 1)


def test_results_of_another_shape_are_refused():
    none = lambda *args: None  # noqa: E731
    short = lambda x: x[..., :1]  # noqa: E731
    p = PrimalDualProblem(Euclidean(3), Euclidean(2), square, none, none, forward_operator=short)
    x, xi = torch.ones(3), torch.ones(2)
    for call, words in (
        (lambda: p.get_primal_prox(1.0, x), "result of prox_f must be a tensor .*NoneType"),
        (lambda: p.get_dual_prox(xi, 1.0, xi), "result of prox_g_dual .*point of N.*NoneType"),
        (lambda: p.get_forward_operator(x), r"result of forward_operator .*\(\*batch, 2\), got \(1,\)"),
    ):
        with pytest.raises(ShapeError, match=words):
            call()
