"""What every rule keeps on every manifold: tangency, batches, frozen problems, resume; and where it is refused."""

import copy
import io
from typing import Any

import pytest
import torch

from manopt_torch import (
    AdadeltaRule,
    AdagradRule,
    AdamRule,
    AverageGradientRule,
    CautiousRule,
    Chain,
    ClipNormRule,
    ClipValueRule,
    ConstantStepsize,
    CoordinateMomentumRule,
    DropoutRule,
    EquilibratedRule,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    GradientRule,
    HeavyBallRule,
    HessianProblem,
    LambdaRule,
    LaplacianSmoothingRule,
    MissingDerivativeError,
    NesterovRule,
    NoiseRule,
    NormalizeRule,
    OptionsError,
    Power,
    PreconditionedDirectionRule,
    Product,
    RMSPropRule,
    RpropRule,
    ScaleRule,
    SignRule,
    Sphere,
    Stiefel,
    StopAfterIteration,
    SymmetricPositiveDefinite,
    Torus,
    WeightDecayRule,
    ZhangSraRule,
    load_state_dict,
    solve,
    state_dict,
)
from manopt_torch.directions.components import component_inner
from manopt_torch.manifolds.points import leaves, map_leaves
from tests.directions.probing import options
from tests.together import together

D = torch.float64
ANYWHERE = [
    GradientRule(),
    ScaleRule(0.5),
    LambdaRule(lambda u: map_leaves(torch.tanh, u)),
    HeavyBallRule(0.9, 0.1),
    NesterovRule(0.9),
    NesterovRule(0.9, variant="downhill"),
    AverageGradientRule(3),
    AverageGradientRule(2, weights=(1.0, 0.5)),
    ZhangSraRule(),
    ClipNormRule(0.1, scope="factor"),
    NormalizeRule(),
    AdamRule(amsgrad=True),
    RMSPropRule(centered=True, eps_inside=True),
    AdagradRule(),
    AdadeltaRule(),
    EquilibratedRule(),
    EquilibratedRule(probe="rademacher"),
    CautiousRule("mean", inner=HeavyBallRule(0.9)),
    DropoutRule(0.3),
    NoiseRule(0.1),
    PreconditionedDirectionRule(),
    Chain([ClipNormRule(1.0), AdamRule(), HeavyBallRule(0.5), DropoutRule(0.2)]),
]
FLAT_ONLY = [
    ClipValueRule(0.1),
    SignRule(),
    RpropRule(),
    CoordinateMomentumRule(0.3),
    WeightDecayRule(0.1),
    LaplacianSmoothingRule(),
    LaplacianSmoothingRule(layerwise=False),
]
PAIR = Product(Sphere(3), Euclidean(2))
FLAT = Product(Euclidean(3), Torus(2))


def pair_cost(x: tuple, c: torch.Tensor) -> torch.Tensor:
    return (c * x[0]).sum(-1) + 0.5 * (x[1] - c[..., :2]).square().sum(-1) + 0.1 * (c * x[0]).sum(-1).square()


C = torch.randn(3, 3, dtype=D, generator=torch.Generator().manual_seed(0))
CASES = [(rule, PAIR) for rule in ANYWHERE] + [(rule, FLAT) for rule in FLAT_ONLY]


def start(M: Any) -> Any:
    return M.random_point(3, dtype=D, generator=torch.Generator().manual_seed(1))


def descend(rule: Any, M: Any, x: Any, c: torch.Tensor, n: int = 6, state: Any = None, **more: Any) -> Any:
    o = GradientDescentOptions(
        x, direction=rule, stepsize=ConstantStepsize(0.05), stop=StopAfterIteration(n), compact=False
    )
    if state is not None:
        load_state_dict(o, state)
    return solve(HessianProblem(M, pair_cost, data=(c,)), o, **more)


@pytest.mark.parametrize(("rule", "M"), CASES, ids=lambda v: type(v).__name__)
def test_a_rule_keeps_the_laws(rule: Any, M: Any) -> None:
    x = start(M)

    def tangent(p: Any, o: Any, i: int) -> None:
        if i >= 0:
            p.M.check_tangent(o.x, copy.deepcopy(o.direction)(p, copy.copy(o), i + 1))

    # deepcopies of a rule start anew: the direction looked at is not that of the run, but made by the same rule
    together = descend(rule, M, x, C, debug=tangent)
    assert all(bool(torch.isfinite(leaf).all()) for leaf in leaves(together.x))
    for k in range(3):
        alone = descend(rule, M, map_leaves(lambda leaf, k=k: leaf[k], x), C[k])
        for one, many in zip(leaves(alone.x), leaves(together.x), strict=True):
            torch.testing.assert_close(one, many[k], rtol=0, atol=1e-12)

    file = io.BytesIO()
    torch.save(state_dict(descend(rule, M, x, C, n=3)), file)
    file.seek(0)
    resumed = descend(rule, M, x, C, state=torch.load(file, weights_only=True))
    assert all(map(torch.equal, leaves(resumed.x), leaves(together.x)))


@together()
@pytest.mark.parametrize("M", [Stiefel(4, 2), SymmetricPositiveDefinite(3), Power(Sphere(3), 2)], ids=repr)
@pytest.mark.parametrize(
    "rule", [AdamRule(), AverageGradientRule(3), NesterovRule(0.9)], ids=lambda r: type(r).__name__
)
def test_what_is_remembered_is_carried_along(rule: Any, M: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    target = M.random_point(dtype=D, generator=generator)
    x = M.random_point(2, dtype=D, generator=generator)
    p = GradientProblem(M, lambda x: (x - target).square().flatten(1).sum(-1))
    o = options(x, p.get_gradient(x), M)
    for i in range(1, 5):
        d = rule(p, o, i)
        M.check_tangent(o.x, d)
        o.x = M.retract(o.x, d, -0.1 / M.norm(o.x, d))
        o.gradient = p.get_gradient(o.x)


@together()
@pytest.mark.parametrize("rule", [*FLAT_ONLY, Chain([SignRule()]), AdamRule(inner=SignRule())], ids=repr)
def test_rules_for_entries_are_refused_on_curved_manifolds(rule: Any) -> None:
    with pytest.raises(OptionsError, match="Rule changes single entries.*Sphere"):
        descend(rule, PAIR, start(PAIR), C)


def test_a_rule_that_needs_a_hessian_says_so() -> None:
    o = GradientDescentOptions(start(PAIR), direction=EquilibratedRule())
    with pytest.raises(MissingDerivativeError, match="EquilibratedRule needs a hessian: use HessianProblem"):
        solve(GradientProblem(PAIR, pair_cost, data=(C,)), o)


@pytest.mark.parametrize("M", [Sphere(3), Sphere(2), Sphere(5), SymmetricPositiveDefinite(2)], ids=repr)
@pytest.mark.parametrize("batch", [(), (4,)])
@pytest.mark.parametrize("recorded", [False, True])
def test_squares_of_a_curved_factor_are_laid_out_over_its_axes(M: Any, batch: tuple[int, ...], recorded: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = M.random_point(*batch, generator=generator, dtype=torch.float64)
    u = M.random_tangent(x, generator=generator)
    with torch.set_grad_enabled(recorded):
        found = component_inner(M, x, u, u)
    assert found.shape == (*batch, *(1,) * len(M.point_shape)) and found.dtype is torch.float64
    assert torch.equal(found.reshape(batch), M.inner(x, u, u))


def test_a_curved_factor_goes_as_a_whole() -> None:
    x = start(PAIR)
    p = GradientProblem(PAIR, pair_cost, data=(C,))
    g = p.get_gradient(x)
    first = AdagradRule(0.0)(p, options(x, g, PAIR), 1)
    torch.testing.assert_close(first[0], g[0] / g[0].norm(dim=-1, keepdim=True))
    torch.testing.assert_close(first[1], g[1].sign())
    for seed in range(8):
        kept = DropoutRule(0.5, seed=seed)(p, options(x, g, PAIR), 1)[0]
        assert torch.equal(kept, g[0]) or not kept.any()
    clipped = ClipNormRule(0.1, scope="factor")(p, options(x, g, PAIR), 1)
    torch.testing.assert_close(clipped[0].norm(dim=-1), torch.full((3,), 0.1, dtype=D))
    whole = ClipNormRule(0.1)(p, options(x, g, PAIR), 1)
    torch.testing.assert_close(PAIR.norm(x, whole), torch.full((3,), 0.1, dtype=D))


def test_entries_of_a_power_have_scales_of_their_own() -> None:
    M = Power(Sphere(3), 4)
    x = M.random_point(2, dtype=D, generator=torch.Generator().manual_seed(0))
    p = GradientProblem(M, lambda x: (x[..., 2] * torch.tensor([1.0, 10.0, 100.0, 1000.0], dtype=D)).sum(-1))
    d = AdagradRule(0.0)(p, options(x, p.get_gradient(x), M), 1)
    torch.testing.assert_close(d.norm(dim=-1), torch.ones(2, 4, dtype=D))


def test_momentum_on_the_sphere_by_hand() -> None:
    M, x = Sphere(3), torch.tensor([1.0, 0.0, 0.0], dtype=D)
    p = GradientProblem(M, lambda x: x[..., 2])
    velocity, at, mu, s = torch.zeros(3, dtype=D), x, 0.8, 0.3
    for _ in range(5):
        velocity = mu * velocity + p.get_gradient(at)
        moved = M.retract(at, velocity, -s)
        velocity, at = M.transport(at, moved, velocity), moved
    o = GradientDescentOptions(x, direction=HeavyBallRule(mu), stepsize=ConstantStepsize(s), stop=StopAfterIteration(5))
    torch.testing.assert_close(solve(p, o).x, at, rtol=0, atol=1e-14)
    assert o.memory[o.direction].keys() == {"velocity", "count", "x"}


def test_on_flat_manifolds_no_point_is_kept() -> None:
    o = descend(HeavyBallRule(0.9), FLAT, start(FLAT), C)
    assert o.memory[o.direction].keys() == {"velocity", "count"}


def test_zhang_and_sra_accelerate() -> None:
    """The cost falls at least as fast as (1 - sqrt(mu / L))^i promises, which plain steps of 1 / L do not reach."""
    weights = torch.tensor([1.0, 10.0, 100.0], dtype=D)
    p = GradientProblem(Euclidean(3), lambda x: 0.5 * (weights * x * x).sum(-1))
    costs = []
    for rule in (ZhangSraRule(mu=1.0, gamma=1.0, shrinkage=0.0), None):
        o = GradientDescentOptions(
            torch.ones(3, dtype=D), direction=rule, stepsize=ConstantStepsize(0.01), stop=StopAfterIteration(100)
        )
        costs.append(solve(p, o).cost.item())
    promised = 0.9**100 * (55.5 + 0.5 * 3)  # gap at the start and (gamma / 2) times the squared distance
    assert costs[0] <= promised < costs[1]


def test_equilibration_does_not_see_scales() -> None:
    p = HessianProblem(Euclidean(2), lambda x: 0.5 * (x[..., 0].square() + 100 * x[..., 1].square()))
    o = GradientDescentOptions(
        torch.ones(2, dtype=D),
        direction=EquilibratedRule(probe="rademacher"),
        stepsize=ConstantStepsize(0.1),
        stop=StopAfterIteration(3),
    )
    known = torch.tensor([0.2685865255, 0.2685865086], dtype=D)
    torch.testing.assert_close(solve(p, o).x, known, rtol=0, atol=1e-10)
