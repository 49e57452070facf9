"""The proximal gradient method, against SciPy, optimality conditions and closed forms."""

from typing import Any

import pytest
import torch
from scipy.optimize import minimize, nnls

from manopt_torch import (
    CompositeProblem,
    Euclidean,
    GradientProblem,
    Hyperboloid,
    MissingDerivativeError,
    OptionsError,
    ProximalGradientOptions,
    Sphere,
    StopAfterIteration,
    StopWhenGradientMappingNormLess,
    SymmetricPositiveDefinite,
    get_gradient,
    get_proximal_map,
    get_reason,
    prox_distance,
    proximal_gradient,
    solve,
    steepest_descent,
)

D = torch.float64
modes = pytest.mark.parametrize("acceleration", [False, True], ids=["plain", "accelerated"])


def seeded(n=0):
    return torch.Generator().manual_seed(n)


def shrink(lam, x, *data):
    lam = lam.unsqueeze(-1) if isinstance(lam, torch.Tensor) else lam
    return x.sign() * (x.abs() - lam).clamp(min=0)


def squares(x, A, b):
    return 0.5 * ((A @ x.unsqueeze(-1)).squeeze(-1) - b).square().sum(-1)


@modes
def test_lasso_a_batch_at_once(acceleration):
    """At a minimum the gradient of the squares is minus the sign where x is not zero, and at most one elsewhere."""
    A, b = torch.randn(4, 40, 6, dtype=D, generator=seeded()), torch.randn(4, 40, dtype=D, generator=seeded(1))
    nonsmooth = lambda x, A, b: x.abs().sum(-1)  # noqa: E731
    o = proximal_gradient(
        Euclidean(6), squares, torch.zeros(4, 6, dtype=D), prox=shrink, nonsmooth=nonsmooth, data=(A, b),
        acceleration=acceleration, stop=StopAfterIteration(2000) | StopWhenGradientMappingNormLess(1e-6),
        return_options=True,
    )  # fmt: skip
    gradient = (A.mT @ ((A @ o.x.unsqueeze(-1)).squeeze(-1) - b).unsqueeze(-1)).squeeze(-1)
    active = o.x != 0
    assert bool(active.any()) and not bool(active.all())
    torch.testing.assert_close(gradient[active], -o.x.sign()[active], rtol=0, atol=1e-5)
    assert float(gradient.abs().max()) < 1 + 1e-5
    assert all("gradient mapping below 1e-06" in reason for reason in get_reason(o))


@modes
def test_nonnegative_least_squares(acceleration):
    A, b = torch.randn(12, 6, dtype=D, generator=seeded(2)), torch.randn(12, dtype=D, generator=seeded(3))
    theirs, _ = nnls(A.numpy(), b.numpy())
    onto = lambda lam, x: x.clamp(min=0)  # noqa: E731
    x = proximal_gradient(
        Euclidean(6), lambda x: squares(x, A, b), torch.ones(6, dtype=D), prox=onto, acceleration=acceleration
    )
    torch.testing.assert_close(x, torch.from_numpy(theirs), rtol=0, atol=1e-6)


def test_a_box_around_rosenbrocks_valley():
    f = lambda x: 100 * (x[..., 1] - x[..., 0] ** 2) ** 2 + (1 - x[..., 0]) ** 2  # noqa: E731
    theirs = minimize(
        lambda z: float(f(torch.from_numpy(z))), [0.0, 0.0], bounds=[(-2, 0.5), (-2, 2)], method="L-BFGS-B"
    )
    upper = torch.tensor([0.5, 2.0], dtype=D)
    box = lambda lam, x: x.clamp(min=-2).minimum(upper)  # noqa: E731
    x = proximal_gradient(Euclidean(2), f, torch.zeros(2, dtype=D), prox=box)
    torch.testing.assert_close(x, torch.from_numpy(theirs.x), rtol=0, atol=1e-5)


@modes
@pytest.mark.parametrize("M", [Euclidean(3), Sphere(3), Hyperboloid(2), SymmetricPositiveDefinite(2)], ids=str)
def test_half_squared_distance_and_distance_on_manifolds(M, acceleration):
    r"""The minimum of $\frac12 d(x, a)^2 + \lambda d(x, q)$ lies on the way from a to q, by $\lambda$ away from a."""
    a = M.random_point(3, dtype=D, generator=seeded(4))
    q = M.exp(a, M.random_tangent(a, generator=seeded(5)))
    x = proximal_gradient(
        M,
        lambda x, a, q: 0.5 * M.squared_dist(x, a),
        M.exp(a, M.random_tangent(a, generator=seeded(6)), 0.5),
        prox=lambda lam, x, a, q: prox_distance(M, 0.3 * lam, q, x, p=1),
        nonsmooth=lambda x, a, q: 0.3 * M.dist(x, q),
        data=(a, q),
        acceleration=acceleration,
    )
    assert float(M.dist(x, M.exp(a, M.log(a, q), 0.3)).max()) < 1e-6


def test_without_a_second_part_it_is_steepest_descent():
    c = torch.tensor([1.0, 2.0, 2.0], dtype=D)
    start = torch.tensor([1.0, 0.0, 0.0], dtype=D)
    x = proximal_gradient(Sphere(3), lambda x: x @ c, start, prox=lambda lam, x: x)
    torch.testing.assert_close(x, -c / 3, rtol=0, atol=1e-5)
    torch.testing.assert_close(x, steepest_descent(Sphere(3), lambda x: x @ c, start), rtol=0, atol=1e-5)


def test_the_accelerated_method_needs_fewer_steps():
    w = torch.logspace(0, 2, 5, dtype=D)
    runs = [
        proximal_gradient(
            Euclidean(5),
            lambda x: 0.5 * (w * (x - 1).square()).sum(-1),
            torch.zeros(5, dtype=D),
            prox=lambda lam, x: shrink(0.1 * lam, x),
            nonsmooth=lambda x: 0.1 * x.abs().sum(-1),
            acceleration=fast,
            return_options=True,
            stop=StopAfterIteration(3000) | StopWhenGradientMappingNormLess(1e-5),
        )
        for fast in (False, True)
    ]
    for o in runs:
        torch.testing.assert_close(o.x, 1 - 0.1 / w, rtol=0, atol=1e-4)
    assert runs[1].iterations < runs[0].iterations / 3


def test_given_gradients_and_callables_for_one_point():
    b = torch.randn(4, 3, dtype=D, generator=seeded(7))
    expected = shrink(1.0, b)
    smooth, nonsmooth = (lambda x, b: 0.5 * (x - b).square().sum(-1)), lambda x, b: x.abs().sum(-1)
    start = torch.zeros(4, 3, dtype=D)
    for given in (
        {"gradient": lambda x, b: x - b},
        {"euclidean_gradient": lambda x, b: x - b},
        {"vectorized": False, "prox": lambda lam, x, b: x.sign() * (x.abs() - lam).clamp(min=0)},
    ):
        x = proximal_gradient(Euclidean(3), smooth, start, **{"prox": shrink, **given}, nonsmooth=nonsmooth, data=(b,))
        torch.testing.assert_close(x, expected, rtol=0, atol=1e-5)


def test_constant_jumping_and_undefined_costs_end_with_a_reason():
    start = torch.tensor([0.7, 0.2], dtype=D)
    run = lambda g, h: proximal_gradient(  # noqa: E731
        Euclidean(2), g, start, prox=shrink, nonsmooth=h, return_options=True
    )
    o = run(lambda x: 0 * x.sum(-1), lambda x: x.abs().sum(-1))
    assert torch.equal(o.x, 0 * start) and get_reason(o)
    o = run(lambda x: x.square().sum(-1) + torch.floor(4 * x).sum(-1), lambda x: x.abs().sum(-1))
    assert bool(torch.isfinite(o.x).all()) and get_reason(o)
    o = run(lambda x: torch.log(x[..., 0] - 0.5) + x.square().sum(-1), lambda x: x.abs().sum(-1))
    assert float(o.x[0]) > 0.5 and bool(torch.isfinite(o.cost)) and get_reason(o)


def test_the_problem_and_what_is_refused():
    p = CompositeProblem(Euclidean(2), lambda x: x.square().sum(-1), shrink, nonsmooth=lambda x: x.abs().sum(-1))
    x = torch.tensor([2.0, -0.25], dtype=D)
    assert get_gradient(p, x).tolist() == [4.0, -0.5] and get_proximal_map(p, 0.5, x, 0).tolist() == [1.5, 0.0]
    with pytest.raises(OptionsError, match="one proximal map"):
        get_proximal_map(p, 0.5, x, 1)
    with pytest.raises(OptionsError, match="prox"):
        CompositeProblem(Euclidean(2), lambda x: x.sum(-1), None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(MissingDerivativeError, match="use CompositeProblem"):
        solve(GradientProblem(Euclidean(2), lambda x: x.sum(-1)), ProximalGradientOptions(x))
    bad: dict[str, Any] = {"initial_stepsize": 0.0, "contraction_factor": 1.0, "growth_factor": 0.5}
    for name, value in bad.items():
        with pytest.raises(OptionsError, match=name):
            ProximalGradientOptions(x, **{name: value})
    with pytest.raises(OptionsError, match="eps"):
        StopWhenGradientMappingNormLess(-1.0)
