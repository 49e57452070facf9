"""The primal-dual semismooth Newton method, against SciPy, differences, and where the slower solver ends."""

import sys
from itertools import pairwise

import pytest
import torch

from manopt_torch import (
    Circle,
    Euclidean,
    Power,
    PrimalDualProblem,
    PrimalDualSemismoothNewtonOptions,
    Sphere,
    StopAfterIteration,
    SymmetricPositiveDefinite,
    add_noise,
    chambolle_pock,
    get_reason,
    get_record,
    primal_dual_semismooth_newton,
    solve,
)
from manopt_torch.functional.primal_dual import Lengths, fixed_point_residual
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.primal_dual import bases_of
from tests.solvers.signals import FOLLOW, D, converged, denoise, denoising, line_tv, scipy_tv, seeded


def test_signals_along_a_geodesic_are_those_on_the_line():
    """A geodesic is flat, so that of any manifold, through the cut of the circle too, gives SciPy's answer."""
    t, alpha = 0.3 * torch.randn(2, 3, dtype=D, generator=seeded(1)), 0.1
    truth = scipy_tv(t, alpha)
    for base in (Circle(), Sphere(3), SymmetricPositiveDefinite(2)):
        p = base.random_point(dtype=D, generator=seeded(2)) if base.point_shape else torch.tensor(3.1, dtype=D)
        u = base.random_tangent(p, generator=seeded(3))
        M = Power(base, 3)
        f = base.exp(p, u, t)
        rough = denoise(chambolle_pock, M, f, alpha, acceleration=0.0, stop=StopAfterIteration(8))
        o = denoise(
            primal_dual_semismooth_newton, M, f, alpha, x=rough.x, xi=rough.dual, m=rough.primal_base,
            **FOLLOW, stop=converged(15),
        )  # fmt: skip
        assert float(M.dist(o.x, base.exp(p, u, truth)).max()) < 1e-8, base


@pytest.mark.parametrize("base", [Sphere(3), SymmetricPositiveDefinite(2)], ids=str)
def test_columns_are_derivatives_of_the_residual(base):
    """Against central differences along geodesics, at points and base points that are all different."""
    M = Power(base, 2)
    f, x, m, a = (M.random_point(dtype=D, generator=seeded(n)) for n in range(4))
    near = lambda y: M.geodesic(f, y, 0.3)  # noqa: E731
    x, m, a = near(x), near(m), near(a)
    n = (a, M.random_tangent(a, generator=seeded(5)))
    keywords = denoising(M, 50.0)
    p = PrimalDualProblem(**keywords, data=(f,))
    xi = p.N.random_tangent(n, generator=seeded(6))
    o = PrimalDualSemismoothNewtonOptions(x, xi=xi, m=m, n=n, stop=StopAfterIteration(0))
    solve(p, o)
    module = sys.modules[PrimalDualSemismoothNewtonOptions.__module__]
    matrix = module._derivative(p, o, bases_of(o), vars(o))
    u, eta = M.random_tangent(x, generator=seeded(7)), p.N.random_tangent(n, generator=seeded(8))

    def residual(t):
        b = bases_of(o)._replace(xi=map_leaves(lambda v, w: v + t * w, xi, eta))
        y = M.exp(x, u, t)
        at = fixed_point_residual(p, b, Lengths(o.lane, o.tau, o.sigma), y)
        primal = M.to_coordinates(x, M.parallel_transport(y, x, -M.log(y, at["prox_value"])))
        return torch.cat([primal, p.N.to_coordinates(n, map_leaves(torch.sub, b.xi, at["dual_value"]))])

    numeric = (residual(1e-5) - residual(-1e-5)) / 2e-5
    along = torch.cat([M.to_coordinates(x, u), p.N.to_coordinates(n, eta)])
    torch.testing.assert_close(matrix @ along, numeric, rtol=0, atol=1e-8)


def test_the_residual_of_newton_is_squared_from_step_to_step():
    M = Power(Sphere(3), 6)
    a, b = torch.eye(3, dtype=D)[:2]
    f = add_noise(M, torch.stack([a, a, a, b, b, b]), 0.2, generator=seeded(3))
    rough = denoise(chambolle_pock, M, f, 0.2, variant="linearized", relax="dual", stop=StopAfterIteration(5))
    o = denoise(
        primal_dual_semismooth_newton, M, f, 0.2, x=rough.x, xi=rough.dual, m=rough.primal_base,
        regularization_parameter=0.0, record=[":primal_residual", ":dual_residual"],
    )  # fmt: skip
    sizes = [max(map(float, row)) for row in get_record(o)]
    assert sizes[0] < 0.1 and sizes[-1] < 1e-10 and len(sizes) <= 6
    assert all(new < 10 * old**1.9 + 1e-15 for old, new in pairwise(sizes))
    # the other solver stays there
    stays = denoise(chambolle_pock, M, f, 0.2, x=o.x, xi=o.dual, m=f, variant="linearized", stop=StopAfterIteration(3))
    torch.testing.assert_close(stays.x, o.x, rtol=0, atol=1e-9)
    assert max(float(stays.primal_residual), float(stays.dual_residual), float(stays.dual_change)) < 1e-9


def test_generalised_derivatives_may_be_given():
    f, alpha = 0.5 * torch.randn(3, 8, dtype=D, generator=seeded(4)).cumsum(-1), 0.3
    where, given = line_tv(alpha, f)
    by_hand = {
        "diff_prox_f": lambda lam, x, u, f: u / (1 + lam[..., None]),
        "diff_prox_g_dual": lambda n, lam, xi, eta, f: eta * ((xi + lam[..., None] * n).abs() <= alpha),
        "linearized_forward_operator": lambda m, u, f: u.diff(),
        "adjoint_linearized_operator": lambda m, n, xi, f: -torch.nn.functional.pad(xi, (1, 1)).diff(),
    }
    runs = [primal_dual_semismooth_newton(*where, f, None, None, None, **given, **more) for more in ({}, by_hand)]
    torch.testing.assert_close(runs[0].x, scipy_tv(f, alpha), rtol=0, atol=1e-9)
    torch.testing.assert_close(runs[1].x, runs[0].x, rtol=0, atol=1e-12)
    assert runs[0].iterations.tolist() == runs[1].iterations.tolist() and int(runs[0].iterations.max()) < 15


def test_a_singular_matrix_ends_a_run_where_it_is():
    flat = {"prox_f": lambda lam, x: x, "prox_g_dual": lambda n, lam, xi: xi, "return_options": True}
    zero = lambda x: 0 * x.sum(-1)  # noqa: E731
    o = primal_dual_semismooth_newton(
        Euclidean(2), Euclidean(1), zero, torch.ones(2, dtype=D), torch.ones(1, dtype=D), None, None, **flat,
        forward_operator=lambda x: x[..., :1], regularization_parameter=0.0,
    )  # fmt: skip
    assert o.x.tolist() == [1.0, 1.0] and "progress" in get_reason(o)


def test_each_problem_may_have_its_own_step_sizes():
    f, alpha = torch.randn(3, 6, dtype=D, generator=seeded(5)), 0.2
    steps = torch.tensor([0.1, 0.3, 0.5], dtype=D)
    where, given = line_tv(alpha, f)
    for solver in (chambolle_pock, primal_dual_semismooth_newton):
        many = solver(*where, f, None, None, None, **given, primal_stepsize=steps, stop=StopAfterIteration(3))
        for j in range(3):
            own = line_tv(alpha, f[j : j + 1].expand(2, 6))[1]
            one = solver(
                *where, own["data"][0], None, None, None, **own, primal_stepsize=float(steps[j]),
                stop=StopAfterIteration(3),
            )  # fmt: skip
            assert torch.equal(many.x[j], one.x[0])


def test_callables_for_one_point_serve_a_batch():
    f, alpha = torch.randn(3, 6, dtype=D, generator=seeded(6)), 0.2
    (M, N, cost), given = line_tv(alpha, f, vectorized=False)
    one = {
        "prox_f": lambda lam, x, f: (x + lam * f) / (1 + lam),
        "prox_g_dual": lambda n, lam, xi, f: (xi + lam * n).clamp(-alpha, alpha),
    }
    for solver in (chambolle_pock, primal_dual_semismooth_newton):
        run = [
            solver(M, N, cost, f, None, None, None, **keywords, stop=StopAfterIteration(4))
            for keywords in (given | one, line_tv(alpha, f)[1])
        ]
        torch.testing.assert_close(run[0].x, run[1].x, rtol=0, atol=1e-14)


def test_base_points_move_as_told():
    """Vectors at a point are held to the logarithms there, or to zero: both come to the same."""
    M, alpha = Power(Sphere(3), 3), 0.2
    f = add_noise(M, torch.eye(3, dtype=D)[0].expand(3, 3), 0.2, generator=seeded(7))
    zero = lambda p, o, i: (o.x, torch.zeros_like(o.x))  # noqa: E731
    rough = denoise(chambolle_pock, M, f, alpha, stop=StopAfterIteration(8), **FOLLOW, update_dual_base=zero)
    where = {"x": rough.x, "xi": rough.dual, "m": rough.primal_base, "n": rough.dual_base}
    a = denoise(primal_dual_semismooth_newton, M, f, alpha, **where, **FOLLOW, update_dual_base=zero)
    del where["n"]
    b = denoise(primal_dual_semismooth_newton, M, f, alpha, **where, **FOLLOW)
    torch.testing.assert_close(a.x, b.x, rtol=0, atol=1e-8)
    assert float(a.dual_base[1].abs().max()) == 0 and float(b.dual_base[1].abs().max()) > 0
    p = PrimalDualProblem(**denoising(M, alpha), data=(f,))
    assert torch.equal(p.get_forward_operator(b.primal_base)[1], b.dual_base[1])
    assert max(int(a.iterations), int(b.iterations)) < 20
