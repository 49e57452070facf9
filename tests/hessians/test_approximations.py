"""Approximations of Hessians: what a product is worth, secant equations, transport, what is left out."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    ApproxHessianBFGS,
    ApproxHessianFiniteDifference,
    ApproxHessianSymmetricRankOne,
    Euclidean,
    GradientProblem,
    HessianProblem,
    OptionsError,
    Product,
    Sphere,
    StopAfterIteration,
    SymmetricPositiveDefinite,
    TrustRegionsOptions,
    get_hessian,
    initialize_solver,
    solve,
)
from manopt_torch.hessians.coordinates import carry_operator, times
from manopt_torch.manifolds.points import leaves
from tests.together import together

F64 = torch.float64


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cost(x: Any) -> torch.Tensor:
    return sum((leaf.pow(4) + leaf.exp()).flatten(1).sum(-1) for leaf in leaves(x))


MANIFOLDS = [Euclidean(4), Sphere(4), SymmetricPositiveDefinite(2), Product(Sphere(3), Euclidean(2))]


@pytest.mark.parametrize("M", MANIFOLDS, ids=repr)
def test_differences_of_gradients(M: Any) -> None:
    x = M.random_point(3, generator=generator(), dtype=F64)
    u = M.random_tangent(x, generator=generator(1))
    o = TrustRegionsOptions(x, hessian=ApproxHessianFiniteDifference(2.0**-20))
    problem = GradientProblem(M, cost)
    initialize_solver(problem, o)
    exact = get_hessian(HessianProblem(M, cost), x, u)
    found = o.hessian.apply(problem, o, u)
    for a, b in zip(leaves(found), leaves(exact), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert problem.counts.gradient == 2
    nothing = o.hessian.apply(problem, o, M.zero_tangent(x))
    assert all(not leaf.any() for leaf in leaves(nothing))


@together()
@pytest.mark.parametrize("M", MANIFOLDS, ids=repr)
@pytest.mark.parametrize("rule", [ApproxHessianSymmetricRankOne(), ApproxHessianBFGS()], ids=repr)
def test_the_secant_equation_holds_after_a_step(M: Any, rule: Any) -> None:
    """On a flat space the operator maps the step to the change of the gradient, elsewhere after transport of both."""
    x = M.random_point(3, generator=generator(), dtype=F64)
    o = TrustRegionsOptions(x, hessian=rule, max_trust_region_radius=0.3, trust_region_radius=0.1)
    problem = GradientProblem(M, cost)
    seen: list[Any] = []

    def look(p: Any, o: Any, i: int) -> None:
        seen.append((o.x, o.gradient, o.memory[rule]["matrix"]))

    o.stop = StopAfterIteration(1)
    solve(problem, o, debug=look)
    before, after = seen[0], seen[1]
    eta = M.inverse_retract(before[0], after[0])
    carry = M.parallel_transport if M.has_parallel_transport else M.transport
    change = [a - b for a, b in zip(leaves(after[1]), leaves(carry(before[0], after[0], before[1])), strict=True)]
    y = M.to_coordinates(after[0], tuple(change) if isinstance(x, tuple) else change[0])
    s = M.to_coordinates(after[0], carry(before[0], after[0], eta))
    found = times(after[2], s)
    assert (o.rho > 0.1).all()
    ys = (y * s).sum(-1)
    learnt = ys > 1e-8 if isinstance(rule, ApproxHessianBFGS) else torch.ones(3) > 0
    assert learnt.any()
    exact = not isinstance(M, SymmetricPositiveDefinite)  # whose steps are not those of the logarithm
    torch.testing.assert_close(found[learnt], y[learnt], rtol=1e-9 if exact else 0.3, atol=1e-9 if exact else 0.05)
    torch.testing.assert_close(after[2], after[2].mT, rtol=1e-10, atol=1e-10)


def test_operators_keep_their_eigenvalues_under_transport() -> None:
    M = Sphere(5)
    x, y = M.random_point(2, 6, generator=generator(), dtype=F64)
    b = torch.randn(6, 4, 4, generator=generator(1), dtype=F64)
    b = b + b.mT
    carried = carry_operator(M, x, y, b)
    torch.testing.assert_close(torch.linalg.eigvalsh(carried), torch.linalg.eigvalsh(b), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(carry_operator(M, x, x, b), b, rtol=1e-12, atol=1e-12)


def update(rule: Any, s: list[float], y: list[float], *, matrix: Any = None, broken: bool = False) -> torch.Tensor:
    """Let a rule learn from one step on the plane."""
    x, eta, g = torch.zeros(2, dtype=F64), torch.tensor(s, dtype=F64), torch.tensor([0.3, 0.4], dtype=F64)
    problem = GradientProblem(Euclidean(2), lambda x: x.sum(-1))
    o: Any = TrustRegionsOptions(x, hessian=rule)
    initialize_solver(problem, o)
    if matrix is not None:
        o.memory[rule] = {**rule.init(problem, o), "matrix": torch.tensor(matrix, dtype=F64)}
    o.x, o.gradient, o.broken = eta, g + torch.tensor(y, dtype=F64), broken
    rule.update(problem, o, True, x, g, eta)
    return o.memory[rule]["matrix"]


def test_updates_by_hand() -> None:
    eye = torch.eye(2, dtype=F64)
    # r = y - s = (1, 2), <r, s> = 1
    expected = eye + torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=F64)
    torch.testing.assert_close(update(ApproxHessianSymmetricRankOne(), [1, 0], [2, 2]), expected)
    torch.testing.assert_close(update(ApproxHessianSymmetricRankOne(), [1, 0], [1, 2]), eye)  # <r, s> = 0
    plain = ApproxHessianBFGS(scale=False)
    # y y' / <y, s> - s s' / <s, s>
    expected = eye + torch.tensor([[2.0, 2.0], [2.0, 2.0]], dtype=F64) - torch.tensor([[1.0, 0], [0, 0]], dtype=F64)
    torch.testing.assert_close(update(plain, [1, 0], [2, 2]), expected)
    torch.testing.assert_close(update(plain, [1, 0], [-2, 2]), eye)  # would not stay positive
    scaled = update(ApproxHessianBFGS(), [1, 0], [2, 2])
    torch.testing.assert_close(scaled @ torch.tensor([1.0, 0], dtype=F64), torch.tensor([2.0, 2.0], dtype=F64))
    torch.testing.assert_close(scaled, torch.tensor([[2.0, 2.0], [2.0, 6.0]], dtype=F64))
    nan = [float("nan"), 1.0]
    for rule in (ApproxHessianSymmetricRankOne(), plain):
        assert torch.equal(update(rule, [1, 0], nan), eye)
        assert torch.equal(update(rule, [1, 0], [2, 2], broken=True), eye)


def test_updates_learn_a_quadratic() -> None:
    a = torch.tensor([[2.0, 1.0, 0.0], [1.0, -1.0, 0.5], [0.0, 0.5, 3.0]], dtype=F64)  # indefinite
    rule = ApproxHessianSymmetricRankOne()
    problem = GradientProblem(Euclidean(3), lambda x: 0.5 * (x * (x @ a)).sum(-1))
    o: Any = TrustRegionsOptions(torch.zeros(3, dtype=F64), hessian=rule)
    initialize_solver(problem, o)
    for s in torch.randn(3, 3, generator=generator(2), dtype=F64):
        x, g = o.x, o.gradient
        o.x, o.gradient = x + s, (x + s) @ a
        rule.update(problem, o, True, x, g, s)
    torch.testing.assert_close(o.memory[rule]["matrix"], a, rtol=0, atol=1e-8)


@together()
@pytest.mark.parametrize(
    "make",
    [
        lambda: ApproxHessianFiniteDifference(0.0),
        lambda: ApproxHessianFiniteDifference(-1.0),
        lambda: ApproxHessianSymmetricRankOne(initial_scale=0.0),
        lambda: ApproxHessianSymmetricRankOne(nu=1.0),
        lambda: ApproxHessianBFGS(initial_scale=-1.0),
        lambda: ApproxHessianBFGS(cautious=-1.0),
    ],
)
def test_parameters_out_of_range(make: Any) -> None:
    with pytest.raises(OptionsError):
        make()
