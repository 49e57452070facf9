"""The Chambolle-Pock algorithm, against closed forms, SciPy, certificates of optimality and the published case."""

import math

import pytest
import torch

from manopt_torch import (
    ChambollePockOptions,
    Euclidean,
    GradientProblem,
    HarmonicParameter,
    MissingDerivativeError,
    NotOnManifoldError,
    OptionsError,
    Power,
    PrimalDualProblem,
    PrimalDualSemismoothNewtonOptions,
    ShapeError,
    Sphere,
    StopAfterIteration,
    StopWhenPrimalDualResidualLess,
    TangentBundle,
    add_noise,
    adjoint_differential_forward_logs,
    chambolle_pock,
    cost_l2_tv,
    cyclic_proximal_point,
    forward_logs,
    get_reason,
    prox_distance,
    prox_tv,
    record_to_dict,
    reset,
    solve,
    steepest_descent,
)
from manopt_torch.functions.grid import by_direction, in_direction
from tests.solvers.signals import FOLLOW, D, converged, denoise, line_tv, scipy_tv, seeded
from tests.together import together


@pytest.mark.parametrize(("variant", "relax"), [("exact", "primal"), ("linearized", "dual")])
def test_two_points_of_a_sphere_move_towards_each_other(variant, relax):
    """The case of Manopt.jl's tests: both are moved by alpha along the geodesic, and meet if that is too far."""
    S = Sphere(3)
    left = torch.tensor([1.0, 0.0, 0.0], dtype=D).expand(3, 3)
    right = S.exp(left, torch.tensor([0.0, 1.0, 0.0], dtype=D) * torch.tensor([[0.25 * math.pi], [0.3], [1.0]]))
    f, alpha = torch.stack([left, right], 1), 0.2
    t = (alpha / S.dist(left, right)).clamp(max=0.5)
    middle = S.mid_point(left[0], right[0]).expand(2, 3)
    o = denoise(
        chambolle_pock, Power(S, 2), f, alpha, m=middle, n=(middle, torch.zeros(2, 3, dtype=D)), variant=variant,
        relax=relax, acceleration=0.0, primal_stepsize=0.6, dual_stepsize=0.6, stop=converged(200, 1e-9),
    )  # fmt: skip
    truth = torch.stack([S.geodesic(left, right, t), S.geodesic(right, left, t)], 1)
    torch.testing.assert_close(o.x, truth, rtol=0, atol=1e-8)
    assert all("residuals below 1e-09" in reason for reason in get_reason(o))


@pytest.mark.parametrize("relax", ["primal", "dual"])
def test_signals_on_the_line_come_out_as_with_scipy(relax):
    f, alpha = 0.5 * torch.randn(4, 20, dtype=D, generator=seeded()).cumsum(-1), 0.4
    where, given = line_tv(alpha, f)
    o = chambolle_pock(*where, f, None, None, None, **given, relax=relax, stop=converged(500))
    torch.testing.assert_close(o.x, scipy_tv(f, alpha), rtol=0, atol=1e-9)
    assert len(set(o.iterations.tolist())) > 1  # each problem stops for itself


@pytest.mark.parametrize("relax", ["primal", "dual"])
def test_in_flat_space_steps_are_those_of_chambolle_and_pock(relax):
    """Their algorithm 2 in a few lines, with an operator that is no difference, and a base point off its image."""
    K, f = torch.randn(4, 3, dtype=D, generator=seeded(9)), torch.randn(3, dtype=D, generator=seeded(10))
    n = torch.randn(4, dtype=D, generator=seeded(11))
    x, xi, tau, sigma, gamma = f, torch.zeros(4, dtype=D), 0.3, 0.2, 0.4
    x_bar, xi_bar = x, xi
    for _ in range(5):
        x_old, xi_old, theta = x, xi, (1 + 2 * gamma * tau) ** -0.5
        if relax == "primal":
            xi = (xi + sigma * K @ x_bar).clamp(-1, 1)
            x = (x - tau * K.T @ xi + tau * f) / (1 + tau)
            primal, dual = (x_old - x) / tau, (xi_old - xi) / sigma + K @ (x_bar - x)
            x_bar = x + theta * (x - x_old)
        else:
            x = (x - tau * K.T @ xi_bar + tau * f) / (1 + tau)
            xi = (xi + sigma * K @ x).clamp(-1, 1)
            primal, dual = (x_old - x) / tau + K.T @ (xi - xi_bar), (xi_old - xi) / sigma
            xi_bar = xi + theta * (xi - xi_old)
        tau, sigma = theta * tau, sigma / theta
    for variant in ("exact", "linearized"):
        o = chambolle_pock(
            Euclidean(3), Euclidean(4), lambda x: 0.5 * (x - f).square().sum() + (K @ x).abs().sum(), f, None, None, n,
            lambda lam, x: (x + lam * f) / (1 + lam), lambda n, lam, xi: (xi + lam * n).clamp(-1, 1),
            forward_operator=lambda x: K @ x, primal_stepsize=0.3, dual_stepsize=0.2, acceleration=gamma, relax=relax,
            variant=variant, stop=StopAfterIteration(5), return_options=True,
        )  # fmt: skip
        torch.testing.assert_close((o.x, o.dual), (x, xi), rtol=0, atol=1e-14)
        numbers = torch.tensor([o.primal_residual, o.dual_residual, o.tau, o.sigma], dtype=D)
        wanted = torch.stack([primal.norm(), dual.norm(), torch.tensor(tau).double(), torch.tensor(sigma).double()])
        torch.testing.assert_close(numbers, wanted, rtol=1e-6, atol=1e-12)


def test_noise_on_a_sphere_is_removed_as_optimality_conditions_have_it():
    """With the base point at the iterate, what is zero in the end is the condition of the problem itself."""
    M, alpha = Power(Sphere(3), 6), 0.25
    a, b = torch.eye(3, dtype=D)[:2]
    f = add_noise(M, torch.stack([a, a, a, b, b, b]), 0.1, generator=seeded())
    o = denoise(
        chambolle_pock,
        M,
        f,
        alpha,
        **FOLLOW,
        relax="dual",
        acceleration=0.0,
        primal_stepsize=0.45,
        dual_stepsize=0.45,
        stop=converged(200, 1e-8),
    )
    _, xi = TangentBundle(M).split(o.dual_base, o.dual)
    xi = M.parallel_transport(o.dual_base[0], o.x, xi)
    pulled = adjoint_differential_forward_logs(M, o.x, by_direction(M, [xi]))
    assert float(M.norm(o.x, pulled - M.log(o.x, f))) < 1e-7
    lengths, logs = M.M.norm(o.x, xi), in_direction(M, forward_logs(M, o.x), 0)
    assert float(lengths.max()) < alpha + 1e-10
    gap = (xi * logs).sum() - alpha * M.M.norm(o.x, logs).sum()  # the dual variable points along each jump
    assert abs(float(gap)) < 1e-7
    maps = [lambda lam, x: prox_distance(M, lam, f, x), lambda lam, x: prox_tv(M, alpha * lam, x)]
    cost = lambda x: cost_l2_tv(M, f, alpha, x)  # noqa: E731
    cyclic = cyclic_proximal_point(
        M, cost, maps, f, proximal_parameter=HarmonicParameter(), stop=StopAfterIteration(150)
    )
    assert float(o.cost) <= float(cost(cyclic)) < float(o.cost) + 1e-3
    assert float(M.dist(o.x, cyclic)) < 1e-2


def test_going_on_keeps_the_dual_variable_and_reset_gives_it_up():
    f, alpha = torch.randn(2, 6, dtype=D, generator=seeded(8)), 0.2
    (M, N, cost), given = line_tv(alpha, f)
    given = {name: given[name] for name in ("prox_f", "prox_g_dual", "forward_operator", "data")}
    p = PrimalDualProblem(M, N, cost, **given)
    o = ChambollePockOptions(f, acceleration=0.0, stop=converged(300))
    solve(p, o, record=[":Cost", ":dual_residual", ":dual_change", ":Change"])
    first, point = int(o.iterations.max()), o.x
    assert list(record_to_dict(o)) == [":Cost", ":dual_residual", ":dual_change", ":Change"]
    again = solve(p, reset(o))
    assert int(again.iterations.max()) == first and torch.equal(again.x, point)
    assert int(solve(p, o).iterations.max()) < first / 3


@together()
@pytest.mark.parametrize(
    ("options", "bad", "match"),
    [
        (ChambollePockOptions, {"variant": "precise"}, "variant must be 'exact' or 'linearized', got 'precise'"),
        (ChambollePockOptions, {"relax": "both"}, "relax must be 'primal' or 'dual'"),
        (ChambollePockOptions, {"acceleration": -1.0}, "acceleration must lie in"),
        (ChambollePockOptions, {"primal_stepsize": 0.0}, "primal_stepsize must lie in"),
        (ChambollePockOptions, {"update_dual_base": 1}, "update_dual_base must be a function"),
        (PrimalDualSemismoothNewtonOptions, {"regularization_parameter": -1.0}, "regularization_parameter must lie in"),
    ],
)
def test_parameters_are_checked(options, bad, match):
    with pytest.raises(OptionsError, match=match):
        options(torch.zeros(2), **bad)


def test_starts_are_checked():
    f = torch.zeros(2, 4, dtype=D)
    where, given = line_tv(0.1, f)
    for more, error, match in [
        ({"primal_stepsize": torch.ones(3)}, OptionsError, r"a number or a tensor of shape \(2,\), got \(3,\)"),
        ({"dual_stepsize": torch.tensor([1.0, -1.0])}, OptionsError, r"positive and finite, not so at \[\(1,\)\]"),
        ({"forward_operator": lambda x, f: x.diff()[0]}, ShapeError, "a point of .* for each problem"),
    ]:
        with pytest.raises(error, match=match):
            chambolle_pock(*where, f, None, None, None, **(given | more))
    with pytest.raises(ShapeError, match=r"has batch axes \(3,\), the start has \(2,\)"):
        chambolle_pock(*where, f, None, torch.zeros(3, 4, dtype=D), None, **given)
    with pytest.raises(ShapeError, match="has shape"):
        chambolle_pock(*where, f, None, None, torch.zeros(2, 4, dtype=D), **given)
    with pytest.raises(NotOnManifoldError, match="tangent vector is off"):
        S = Sphere(2)
        pole = torch.tensor([1.0, 0.0], dtype=D)
        chambolle_pock(
            S, S, lambda x: x[..., 0], pole, pole, None, None, lambda lam, x: x, lambda n, lam, xi: xi,
            forward_operator=lambda x: x,
        )  # fmt: skip


def test_solvers_say_what_they_need():
    smooth = GradientProblem(Euclidean(2), lambda x: x.sum(-1))
    for options in (ChambollePockOptions, PrimalDualSemismoothNewtonOptions):
        with pytest.raises(MissingDerivativeError, match="use ProximalProblem"):
            solve(smooth, options(torch.zeros(2)))
    with pytest.raises(OptionsError, match="needs the fields primal_residual and dual_residual"):
        steepest_descent(Euclidean(2), lambda x: x.sum(-1), torch.zeros(2), stop=StopWhenPrimalDualResidualLess(1e-3))
    with pytest.raises(MissingDerivativeError, match="has no forward_operator"):
        identity = lambda m, n, xi: xi  # noqa: E731
        chambolle_pock(
            Euclidean(2), Euclidean(2), lambda x: x.sum(-1), torch.zeros(2), None, None, torch.zeros(2),
            lambda lam, x: x, lambda n, lam, xi: xi, identity, linearized_forward_operator=lambda m, u: u,
        )  # fmt: skip
