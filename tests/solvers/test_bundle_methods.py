"""The bundle methods, against linear programs, medians, known minima and their own certificates."""

import math

import pytest
import torch
from scipy.optimize import linprog

from manopt_torch import (
    ConvexBundleMethodOptions,
    Euclidean,
    GradientDescentOptions,
    Hyperboloid,
    OptionsError,
    ProximalBundleMethodOptions,
    Sphere,
    StopAfterIteration,
    StopWhenLagrangeMultiplierLess,
    SubGradientProblem,
    SymmetricPositiveDefinite,
    convex_bundle_method,
    get_reason,
    median,
    proximal_bundle_method,
    record_to_dict,
    solve,
    steepest_descent,
)
from manopt_torch.manifolds.points import new_axis

D = torch.float64
methods = pytest.mark.parametrize("method", [convex_bundle_method, proximal_bundle_method])


def seeded(n=0):
    return torch.Generator().manual_seed(n)


def greatest(x, A, b):
    return ((A * x.unsqueeze(-2)).sum(-1) + b).amax(-1)


def affine_functions(batch, count, n):
    """Draw affine functions whose greatest one is bounded below, with the minimum from a linear program."""
    A = torch.randn(batch, count, n, dtype=D, generator=seeded())
    A = A - A.mean(-2, keepdim=True)
    b = torch.randn(batch, count, dtype=D, generator=seeded(1))
    least = []
    for matrix, vector in zip(A, b, strict=True):
        sides = torch.cat([matrix, -torch.ones(count, 1, dtype=D)], -1).numpy()
        goal = [0.0] * n + [1.0]
        least.append(linprog(goal, A_ub=sides, b_ub=-vector.numpy(), bounds=[(None, None)] * (n + 1)).fun)
    return A, b, torch.tensor(least, dtype=D)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        (lambda x, **k: ConvexBundleMethodOptions(x, **k), 12),
        (lambda x, **k: ConvexBundleMethodOptions(x, bundle_size=5, **k), 20),
        (lambda x, **k: ProximalBundleMethodOptions(x, convexification=0.0, **k), 20),
        (lambda x, **k: ProximalBundleMethodOptions(x, **k), 50),
    ],
    ids=["convex", "convex, few places", "proximal", "proximal, convexified"],
)
def test_the_greatest_of_affine_functions_is_the_linear_program(options, steps):
    A, b, least = affine_functions(4, 40, 3)
    p = SubGradientProblem(Euclidean(3), greatest, data=(A, b))
    o = solve(p, options(torch.ones(4, 3, dtype=D)), record=[":Cost", ":multiplier"])
    torch.testing.assert_close(o.cost, least, rtol=0, atol=1e-7)
    assert (o.reason_code == 2).all() and o.iterations.max() < steps
    costs = torch.cat([greatest(torch.ones(4, 3, dtype=D), A, b)[None], record_to_dict(o)[":Cost"]])
    assert (costs.diff(dim=0) <= 0).all() and "Lagrange multiplier below 1e-08" in get_reason(o)[0]


CURVED = [(Sphere(3), {"k_max": 1.0}), (Hyperboloid(2), {"k_min": -1.0}), (SymmetricPositiveDefinite(2), {"k_min": -1})]


@pytest.mark.parametrize(("M", "bounds"), CURVED, ids=str)
def test_medians_of_points(M, bounds):
    centre = M.random_point(2, generator=seeded(3), dtype=D)
    many = torch.stack([centre] * 11, 1)
    points = M.exp(many, M.random_tangent(many, generator=seeded(4)), torch.rand(2, 11, dtype=D, generator=seeded(5)))
    exact = median(M, points)

    def cost(x, points):
        return M.dist(new_axis(x, M.point_shape), points).mean(-1)

    least = cost(exact, points)
    start = points[:, 0]  # a kink
    for o in (
        convex_bundle_method(M, cost, start, data=(points,), return_options=True),
        convex_bundle_method(M, cost, start, data=(points,), return_options=True, **bounds),
        proximal_bundle_method(M, cost, start, data=(points,), return_options=True),
    ):
        assert (o.cost - least).abs().max() < 1e-8 and (o.reason_code == 2).all() and o.iterations.max() <= 80
        torch.testing.assert_close(o.x, exact, rtol=0, atol=2e-4)
        M.check_point(o.x)


@methods
def test_a_median_at_a_point_is_met_exactly(method):
    """A kink at the minimum: a point that outweighs the others is the median, where steps of any fixed rule overshoot.

    The given subgradient at the kink is zero, as good as any other.
    """
    M = Hyperboloid(2)
    points = M.random_point(4, generator=seeded(6), dtype=D)
    weights = torch.tensor([3.5, 1.0, 1.0, 1.0], dtype=D)

    def subgradient(x):
        u = M.log(x.unsqueeze(-2), points)
        length = M.norm(x.unsqueeze(-2), u)
        return -((weights / torch.where(length > 0, length, 1.0)).unsqueeze(-1) * u).sum(-2)

    o = method(
        M, lambda x: (weights * M.dist(x.unsqueeze(-2), points)).sum(-1), points[2], subgradient=subgradient,
        return_options=True,
    )  # fmt: skip
    assert M.dist(o.x, points[0]) < 1e-7 and o.iterations < 100


@methods
def test_a_minimiser_where_the_cost_is_smooth_is_met_exactly(method):
    # the subgradient there is zero but for rounding
    M, d, x = Euclidean(2), *(torch.randn(40, 2, dtype=D, generator=seeded(n)) for n in (3, 4))
    cost = lambda x, d: (x - d).square().sum(-1) + x.abs().sum(-1)  # noqa: E731
    o = method(M, cost, x, data=(d,), stop=StopAfterIteration(40) | StopWhenLagrangeMultiplierLess(1e-8),
               return_options=True)  # fmt: skip
    assert int(o.iterations.max()) < 40
    least = d.sign() * (d.abs() - 0.5).clamp(min=0)
    assert (cost(o.x, d) - cost(least, d)).max() < 1e-8


def test_the_multiplier_certifies_what_is_left():
    r"""For a convex cost $f(x) - f^* \le \lVert g\rVert\, d(x, x^*) + \varepsilon$ at the point of the combination."""
    A, b, least = affine_functions(3, 12, 4)
    p = SubGradientProblem(Euclidean(4), greatest, data=(A, b))
    o = solve(p, ConvexBundleMethodOptions(torch.ones(3, 4, dtype=D)), record=[":x", ":direction_norm", ":error"])
    rows = record_to_dict(o)
    before = torch.cat([torch.ones(1, 3, 4, dtype=D), rows[":x"][:-1]])
    left = greatest(before, A, b) - least
    bound = rows[":direction_norm"] * (before - o.x).norm(dim=-1) + rows[":error"]
    assert (left <= bound + 1e-7).all() and (rows[":error"] >= 0).all() and len(before) > 5


def test_costs_that_are_not_convex():
    """The crescent of Kiwiel, a valley with a kink, and the sum of absolute values on a sphere, least on the axes."""

    def crescent(x):
        u, v = x.unbind(-1)
        bowl = u.square() + (v - 1).square() + v - 1
        return torch.maximum(bowl, 2 * v - bowl)

    def valley(x):
        u, v = x.unbind(-1)
        return 8 * (u.square() - v).abs() + (1 - u).square()

    start = torch.tensor([[-1.5, 2.0], [0.5, -1.0]], dtype=D)
    for cost in (crescent, valley):
        o = proximal_bundle_method(Euclidean(2), cost, start, return_options=True)
        assert o.cost.abs().max() < 1e-6 and (o.reason_code == 2).all()
    assert (o.x - 1).abs().max() < 1e-2
    x = Sphere(5).random_point(6, generator=seeded(), dtype=D)
    o = proximal_bundle_method(Sphere(5), lambda x: x.abs().sum(-1), x, return_options=True)
    torch.testing.assert_close(o.cost, torch.ones(6, dtype=D), rtol=0, atol=1e-7)
    assert (o.eta > 2.4).any(), "the bundle has asked for more convexity than is added anyway"


@methods
def test_a_domain_that_steps_leave_and_a_step_too_short_to_see(method):
    """Trials beyond the domain are taken back; where no trial is finite, or none is lower, the run ends."""
    o = method(
        Euclidean(1), lambda x: (x - 0.01 * x.log()).sum(-1), torch.full((1,), 0.5, dtype=D), return_options=True
    )
    assert abs(float(o.x) - 0.01) < 1e-3 and o.evaluations["cost"] > o.iterations + 1
    alone = torch.tensor([3.0], dtype=D)
    o = method(
        Euclidean(1), lambda x: torch.where(x == 3, x, torch.inf).sum(-1), alone, return_options=True,
        subgradient=torch.ones_like, stop=StopAfterIteration(50),
    )  # fmt: skip
    assert "stagnated" in get_reason(o) and o.iterations == 1 and torch.equal(o.x, alone)
    single = method(
        Euclidean(3), lambda x: (x - 1).abs().sum(-1) + 5, torch.zeros(2, 3), return_options=True,
        stop=StopAfterIteration(500),
    )  # fmt: skip
    assert (single.cost == 5).all() and (single.iterations < 100).all()


def test_parameters_of_the_proximal_method():
    def last(i, **options):
        o = ProximalBundleMethodOptions(torch.full((2,), 3.0, dtype=D), stop=StopAfterIteration(i), **options)
        return solve(
            SubGradientProblem(Euclidean(2), lambda x: x.square().sum(-1)), o, record=[":ProximalParameter", ":Cost"]
        )

    o = last(6)
    costs = [18.0, *record_to_dict(o)[":Cost"].tolist()]
    expected = [0.5]
    for i in range(1, 7):
        expected.append(math.log(i + 1) if costs[i] < costs[i - 1] else expected[-1])
    assert record_to_dict(o)[":ProximalParameter"].tolist() == pytest.approx(expected[1:]) and len(set(expected)) > 3
    growing = record_to_dict(last(3, initial_parameter=8.0, parameter_growth=0.5))[":ProximalParameter"]
    assert growing.tolist() == [12.0, 18.0, 27.0]
    o = last(1, max_stepsize=0.25)
    assert abs(float((o.x - 3).norm()) - 0.25) < 1e-15 and o.last_stepsize < 0.1
    # a shortened null step: the subgradient at 1/2 of a step that was to go to 4 past the kink at 0.4
    kink = SubGradientProblem(Euclidean(1), lambda x: (x - 0.4).abs().sum(-1))
    o = ProximalBundleMethodOptions(torch.zeros(1, dtype=D), max_stepsize=1.0, initial_parameter=0.25)
    solve(kink, o, record=[":alpha"])
    # d = 4, t = 1/4, and the subgradient at 1 is 1: alpha = -<d, X> / (t d^2) = -1, no reason for a larger eta
    assert record_to_dict(o)[":alpha"][0] == -1.0 and abs(float(o.x) - 0.4) < 1e-7


def test_curvature_factors_and_parameters_out_of_range():
    x = torch.zeros(2)
    assert ConvexBundleMethodOptions(x).curvature_factor == 0
    assert ConvexBundleMethodOptions(x, k_max=1.0).curvature_factor == pytest.approx(1 - math.pi / 3 / math.sqrt(3))
    bent = ConvexBundleMethodOptions(x, k_min=-4.0, k_max=-1.0, diameter=0.5)
    assert bent.curvature_factor == pytest.approx(1 / math.tanh(1) - 1)
    for options, message in (
        ({"bundle_size": 1}, "bundle_size must be an int >= 2"),
        ({"k_max": 1.0, "diameter": 3.2}, "diameter must be below pi"),
        ({"k_min": 1.0, "k_max": 0.5}, r"k_max must lie in \[1.0"),
        ({"sufficient_decrease": 0.5}, "sufficient_decrease must lie in"),
        ({"max_stepsize": 0.0}, "max_stepsize must lie in"),
    ):
        with pytest.raises(OptionsError, match=message):
            ConvexBundleMethodOptions(x, **options)
    for options, message in (
        ({"initial_parameter": 0.0}, "initial_parameter must lie in"),
        ({"parameter_growth": -1.0}, "parameter_growth must lie in"),
        ({"convexification": -0.1}, "convexification must lie in"),
        ({"contraction_factor": 1.0}, "contraction_factor must lie in"),
    ):
        with pytest.raises(OptionsError, match=message):
            ProximalBundleMethodOptions(x, **options)


@methods
def test_the_criterion_judges_both_parts_or_their_sum(method):
    def run(*bounds):
        stop = StopWhenLagrangeMultiplierLess(*bounds) | StopAfterIteration(400)
        x = torch.tensor([2.0, -1.0], dtype=D)
        return method(Euclidean(2), lambda x: x.abs().sum(-1) + x.square().sum(-1), x, stop=stop, return_options=True)

    loose, tight, both = run(1e-2), run(1e-9), run(1e-9, 1e-3)
    assert 1e-9 < loose.multiplier <= 1e-2 and tight.multiplier <= 1e-9 and loose.iterations < tight.iterations
    assert both.error <= 1e-9 and both.direction_norm <= 1e-3 and both.iterations < 400
    assert "errors below 1e-09 and a subgradient below 0.001" in get_reason(both)
    assert repr(StopWhenLagrangeMultiplierLess(1e-9, 1e-3)) == "StopWhenLagrangeMultiplierLess(1e-09, 0.001)"
    with pytest.raises(OptionsError, match="needs the field multiplier, GradientDescentOptions"):
        steepest_descent(Euclidean(1), lambda x: x.sum(-1), torch.zeros(1), stop=StopWhenLagrangeMultiplierLess(1e-3))
    with pytest.raises(OptionsError, match="norm must lie in"):
        StopWhenLagrangeMultiplierLess(1e-3, -1.0)
    assert GradientDescentOptions(torch.zeros(1)).stop is not None
