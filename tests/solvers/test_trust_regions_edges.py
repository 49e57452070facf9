"""Trust regions and their kin: ends of ranges, rounding of long inner iterations, random numbers, boundaries."""

import math
from typing import Any

import pytest
import torch

from manopt_torch import (
    AdaptiveRegularizationOptions,
    Euclidean,
    GradientProblem,
    HessianProblem,
    NewtonOptions,
    OptionsError,
    Sphere,
    StopAfterIteration,
    TruncatedConjugateGradientOptions,
    TrustRegionsOptions,
    get_reason,
    solve,
    trust_regions,
)
from manopt_torch.hessians import HessianApproximation
from tests.contracts.test_numeric_cases import tensor

F64 = torch.float64
ZERO = torch.zeros(3, dtype=F64)


@pytest.mark.parametrize(
    ("kind", "ends", "beyond"),
    [
        (
            TrustRegionsOptions,
            {"acceptance_rate": 0.0, "rho_regularization": 0.0, "theta": 0.0, "kappa": 1.0, "max_inner_iterations": 1},
            {"acceptance_rate": 0.25, "kappa": 0.0, "reduction_threshold": 1.0, "augmentation_factor": 1.0},
        ),
        (TrustRegionsOptions, {"acceptance_rate": 0.24, "reduction_factor": 0.99}, {"reduction_factor": 0.0}),
        (TruncatedConjugateGradientOptions, {"theta": 0.0, "kappa": 1.0}, {"theta": -0.1, "kappa": 1.5}),
        (
            AdaptiveRegularizationOptions,
            {"rho_regularization": 0.0, "eta2": 0.1, "sigma": 1e-10, "max_lanczos_vectors": 1},
            {"eta2": 0.05, "gamma2": 1.0, "gamma1": 1.0, "eta1": 0.0, "theta": 0.0, "sigma_min": 0.0},
        ),
        (AdaptiveRegularizationOptions, {"eta2": 1.0}, {"eta2": 1.5, "max_lanczos_vectors": 0}),
        (
            NewtonOptions,
            {"theta": 0.0, "kappa": 1.0, "cost_resolution": 0.0, "max_inner_iterations": 1},
            {"kappa": 1.5, "sufficient_decrease": 0.0},
        ),
    ],
)
def test_ends_of_the_ranges(kind: Any, ends: dict[str, Any], beyond: dict[str, Any]) -> None:
    o = kind(ZERO, **ends)
    assert {name: getattr(o, name) for name in ends} == ends
    for name, value in {**beyond, "check_every": 0}.items():
        with pytest.raises(OptionsError, match=name):
            kind(ZERO, **{name: value})


def test_only_a_randomized_run_draws() -> None:
    def cost(x: torch.Tensor) -> torch.Tensor:
        return (x - 1).pow(4).sum(-1) + x.square().sum(-1)

    for randomize in (False, True):
        before, mine = torch.get_rng_state(), torch.Generator().manual_seed(5)
        drawn = mine.get_state()
        trust_regions(Euclidean(3), cost, ZERO, randomize=randomize, generator=mine)
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(mine.get_state(), drawn) != randomize


def test_random_starts_have_the_length_asked_for() -> None:
    """The first product is that with the start: of length sigma, or well inside a region that is no larger."""
    small = torch.finfo(F64).eps ** 0.25
    for more, known in (
        ({}, 1e-3),
        ({"sigma": 0.01}, 0.01),
        ({"sigma": 0.5}, small * 0.5),
        ({"sigma": 2.0}, small * 0.5),
    ):
        lengths: list[float] = []

        def hessian(x: torch.Tensor, u: torch.Tensor, lengths: list[float] = lengths) -> torch.Tensor:
            lengths.append(u.norm().item())
            return u

        random = {"randomize": True, "generator": torch.Generator().manual_seed(0), "stop": StopAfterIteration(1)}
        more = {**random, **more, "trust_region_radius": 0.5}
        trust_regions(Euclidean(3), lambda x: 0.5 * (x - 1).square().sum(-1), ZERO, hessian=hessian, **more)
        assert lengths[0] == pytest.approx(known, rel=1e-12)


def test_when_a_run_ends_unless_told_otherwise() -> None:
    """As in Manopt.jl, but for Newton's method, which it lacks."""
    assert repr(TrustRegionsOptions(ZERO).stop) == "StopAfterIteration(1000) | StopWhenGradientNormLess(1e-06)"
    assert repr(NewtonOptions(ZERO).stop) == "StopAfterIteration(200) | StopWhenGradientNormLess(1e-08)"
    cubic = "StopAfterIteration(40) | StopWhenGradientNormLess(1e-09) | StopWhenAllLanczosVectorsUsed()"
    assert repr(AdaptiveRegularizationOptions(ZERO).stop) == cubic
    o = solve(quadratic(), TruncatedConjugateGradientOptions(ZERO))
    assert repr(o.stop).endswith("StopAfterIteration(3)")


class Drifting(HessianApproximation):
    """The Hessian of half a Rayleigh quotient on the sphere, with products that are off the tangent space."""

    def __init__(self, values: torch.Tensor, drift: float) -> None:
        self.values, self.drift, self.off = values, drift, []

    def apply(self, p: Any, o: Any, u: torch.Tensor) -> torch.Tensor:
        x, au = o.x, self.values * u
        exact = p.M.project_tangent(x, au) - (x * self.values * x).sum(-1, keepdim=True) * u
        return exact + self.drift * u.norm(dim=-1, keepdim=True) * x

    def update(self, p: Any, o: Any, accepted: Any, x: Any, gradient: Any, eta: torch.Tensor) -> None:
        self.off.append(((x * eta).sum(-1) / eta.norm(dim=-1), torch.as_tensor(o.inner_iterations)))


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_a_step_of_many_inner_iterations_is_projected(batch: Any) -> None:
    n = 40
    values = torch.cat([torch.zeros(1, dtype=F64), torch.logspace(0, 3, n - 1, dtype=F64)])
    x = torch.full((*batch, n), 1e-3, dtype=F64)
    x[..., 0] = math.sqrt(1 - (n - 1) * 1e-6)
    rule = Drifting(values, 1e-9)
    problem = GradientProblem(Sphere(n), lambda x: 0.5 * (values * x * x).sum(-1))
    o = TrustRegionsOptions(x, hessian=rule, kappa=1e-4, trust_region_radius=1.0, stop=StopAfterIteration(2))
    solve(problem, o)
    long = [off.abs().max() for off, count in rule.off if (count > 16).all()]
    assert long and max(long) < 1e-14


# ---- the model in a ball --------------------------------------------------------------------------------------------


def quadratic(n: int = 3) -> HessianProblem:
    return HessianProblem(Euclidean(n), lambda x: x.square().sum(-1) + x.sum(-1))


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_a_start_on_the_boundary_is_inside(batch: Any) -> None:
    """The ball is closed: the minimiser of the model is found from its boundary, and no start beyond is taken."""
    x, start = torch.zeros(*batch, 3, dtype=F64), torch.zeros(*batch, 3, dtype=F64)
    start[..., 1] = 2.0
    given = {"start": start, "kappa": 1e-10}
    o = solve(quadratic(), TruncatedConjugateGradientOptions(x, trust_region_radius=2.0, **given))
    torch.testing.assert_close(o.eta, torch.full_like(x, -0.5), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(o.model, torch.full(batch, -0.75, dtype=F64) if batch else -0.75, rtol=1e-12, atol=0)
    with pytest.raises(OptionsError, match="inside"):
        solve(quadratic(), TruncatedConjugateGradientOptions(x, trust_region_radius=1.99, **given))


@pytest.mark.parametrize("n", [1, 2, 9])
def test_the_default_radius_of_a_flat_space(n: int) -> None:
    o = solve(quadratic(n), TruncatedConjugateGradientOptions(torch.zeros(n, dtype=F64)))
    assert o.radius == pytest.approx(math.sqrt(n), rel=1e-15)
    assert solve(quadratic(n), TrustRegionsOptions(torch.zeros(n, dtype=F64))).radius >= math.sqrt(n) / 8


def test_where_theta_is_zero_kappa_alone_decides() -> None:
    """The residual is to fall by the factor kappa, however small the first one is: order one."""
    weights = torch.logspace(0, 1, 12, dtype=F64)
    for scale in (1.0, 1e-3):
        problem = HessianProblem(Euclidean(12), lambda x, s=scale: s * (0.5 * (weights * x * x).sum(-1) + x.sum(-1)))
        counts = []
        for theta in (0.0, 1.0):
            start = torch.zeros(12, dtype=F64)
            given = {"trust_region_radius": 1e3, "theta": theta, "kappa": 0.5}
            o = solve(problem, TruncatedConjugateGradientOptions(start, **given))
            first = math.sqrt(o.first_squared_residual)
            assert first == pytest.approx(scale * math.sqrt(12), rel=1e-12)
            assert math.sqrt(o.squared_residual) <= first * min(first**theta, 0.5) and "residual" in get_reason(o)
            counts.append(o.iterations)
        assert (counts[0] < counts[1]) == (scale < 1)


def test_a_preconditioner_counts_where_the_start_is_zero() -> None:
    """The inverse of the Hessian leaves one iteration; from another start there is none to be had."""
    weights, calls = tensor(1, 10, 100), []

    def inverse(x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        calls.append(u)
        return u / weights

    problem = HessianProblem(
        Euclidean(3), lambda x: 0.5 * (weights * x * x).sum(-1) + x.sum(-1), preconditioner=inverse
    )
    for start, products in ((None, 1), (torch.full((3,), 0.25, dtype=F64), 3)):
        calls.clear()
        o = TruncatedConjugateGradientOptions(ZERO, trust_region_radius=9.0, kappa=1e-9, start=start)
        solve(problem, o)
        torch.testing.assert_close(o.eta, -1 / weights, rtol=1e-9, atol=0)
        assert o.iterations == products and bool(calls) == (start is None)


# ---- the weight of the cubic term -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 4])
def test_the_first_weight(n: int) -> None:
    o = AdaptiveRegularizationOptions(torch.ones(n, dtype=F64), stop=StopAfterIteration(0))
    assert solve(quadratic(n), o).weight == 100 / math.sqrt(n)


@pytest.mark.parametrize(("eta2", "weight"), [(1.0, 0.5), (0.9, 0.5)])
def test_the_weight_shrinks_where_the_quality_reaches_the_bound(eta2: float, weight: float) -> None:
    """From 1 the model h - h^2 / 2 of the fall, less 2 h^3 / 3, is greatest at h = 1/2, and its quality is 1."""
    problem = HessianProblem(Euclidean(1), lambda x: 0.5 * x.square().sum(-1))
    more = {"sigma": 2.0, "gamma1": 0.25, "rho_regularization": 0.0, "theta": 1e-12, "stop": StopAfterIteration(1)}
    o = solve(problem, AdaptiveRegularizationOptions(torch.ones(1, dtype=F64), eta2=eta2, **more))
    assert o.x.item() == 0.5 and o.rho == 1.0 and o.weight == weight


def test_the_radius_by_hand() -> None:
    """Manopt.jl's rule: a quarter where the model is bad, twice where it is good up to the boundary, else kept."""
    # the model of a quadratic is exact: the steps -1/2, -1 end on the boundary, the last one inside
    problem = HessianProblem(Euclidean(1), lambda x: 0.5 * x.square().sum(-1))
    o = TrustRegionsOptions(tensor(2.5), max_trust_region_radius=1.0, trust_region_radius=0.5)
    seen: list[tuple[float, float]] = []
    o.x = o.x.reshape(1)
    solve(problem, o, debug=lambda p, o, i: seen.append((o.x.item(), o.radius)) if i > 0 else None)
    assert seen == [(2.0, 1.0), (1.0, 1.0), (0.0, 1.0)]
    # a rejected step is tried again within a quarter of its length
    wall = HessianProblem(Euclidean(1), lambda x: torch.where(x < 0, 1e3, 0.5 * x.square()).sum(-1) - 2 * x.sum(-1))
    o = TrustRegionsOptions(tensor([1.0]), trust_region_radius=1.0, max_trust_region_radius=8.0)
    o.stop = StopAfterIteration(1)
    solve(wall, o)
    assert o.radius == 2.0 and o.x.item() == 2.0
    away = HessianProblem(Euclidean(1), lambda x: torch.where(x < 0.5, 1e3, 0.5 * x.square()).sum(-1))
    o = TrustRegionsOptions(tensor([1.0]), trust_region_radius=6.0, max_trust_region_radius=8.0)
    o.stop = StopAfterIteration(1)
    solve(away, o)
    assert o.radius == 0.25 and o.x.item() == 1.0 and o.last_stepsize == 1.0 and o.rho < 0.1
