"""Coefficients and restart conditions of the conjugate gradient method: numbers of Manopt.jl, and formulas by hand."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from manopt_torch import (
    BealeRestartCoefficient,
    ConjugateDescentCoefficient,
    ConjugateGradientOptions,
    DaiYuanCoefficient,
    Euclidean,
    FletcherReevesCoefficient,
    GradientProblem,
    HagerZhangCoefficient,
    HestenesStiefelCoefficient,
    HybridCoefficient,
    LiuStoreyCoefficient,
    NeverRestart,
    OptionsError,
    PolakRibiereCoefficient,
    RestartOnNonDescent,
    RestartOnNonSufficientDescent,
    Rotations,
    Sphere,
    SteepestDescentCoefficient,
    Stiefel,
    SymmetricPositiveDefinite,
)
from manopt_torch.conjugacy import Proposal
from manopt_torch.functional.masked import lane_for
from tests.together import together

D = torch.float64
BATCHES = pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
ALL = [
    SteepestDescentCoefficient(),
    FletcherReevesCoefficient(),
    PolakRibiereCoefficient(),
    HestenesStiefelCoefficient(),
    LiuStoreyCoefficient(),
    DaiYuanCoefficient(),
    ConjugateDescentCoefficient(),
    HagerZhangCoefficient(),
    HybridCoefficient(HestenesStiefelCoefficient(), DaiYuanCoefficient()),
    BealeRestartCoefficient(FletcherReevesCoefficient()),
]


def situation(M: Any, x: Any, g: Any, d: Any, y: Any, g_new: Any, precondition: Any = None) -> tuple[Any, Any]:
    """Return a problem and what the options hold while the rules are asked."""
    p = GradientProblem(M, lambda x: x.sum(-1), preconditioner=precondition)
    lane = lane_for(M, x)
    pg, pg_new = (precondition(x, g), precondition(y, g_new)) if precondition else (None, g_new)
    carried = M.transport(x, y, d)
    o = SimpleNamespace(lane=lane, x=x, gradient=g, direction=d, preconditioned=pg)
    o.square, o.slope = lane.scalar(M.inner(x, g, g if pg is None else pg)), lane.scalar(M.inner(x, g, d))
    square, along = lane.scalar(M.inner(y, g_new, pg_new)), lane.scalar(M.inner(y, g_new, carried))
    o.proposal = Proposal(y, g_new, pg_new, carried, square, along, p.M.inner_at(y))
    return p, o


def plane(*batch: int) -> tuple[Any, Any]:
    """Return the situation of case 12."""
    rows = [torch.tensor(v, dtype=D).expand(*batch, 2) for v in ([0, 0], [1, 1], [0.5, 2], [0, 0], [1, 1.5])]
    return situation(Euclidean(2), *rows)


@together()
@BATCHES
@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (SteepestDescentCoefficient(), 0.0),
        (ConjugateDescentCoefficient(), -1.3),
        (DaiYuanCoefficient(), 3.25),
        (FletcherReevesCoefficient(), 1.625),
        (HestenesStiefelCoefficient(), 0.75),
        (LiuStoreyCoefficient(), -0.3),
        (LiuStoreyCoefficient(nonnegative=True), 0.0),
        (PolakRibiereCoefficient(), 0.375),
        (HybridCoefficient(HestenesStiefelCoefficient(), DaiYuanCoefficient()), 0.75),
        (HybridCoefficient(LiuStoreyCoefficient(), DaiYuanCoefficient()), 0.0),
        (HybridCoefficient(LiuStoreyCoefficient(), DaiYuanCoefficient(), lower_bound=-1.0), -0.3),
        (HybridCoefficient(SteepestDescentCoefficient(), DaiYuanCoefficient(), lower_bound=0.5), 0.5),
        # <g, g_+> = 2.5 and |g_+|^2 = 3.25
        (BealeRestartCoefficient(DaiYuanCoefficient(), 0.76), 0.0),
        (BealeRestartCoefficient(DaiYuanCoefficient(), 0.77), 3.25),
    ],
    ids=repr,
)
def test_case_12(rule: Any, value: float, batch: Any) -> None:
    p, o = plane(*batch)
    found = torch.as_tensor(rule(p, o, 2), dtype=D)
    torch.testing.assert_close(found.expand(batch), torch.full(batch, value, dtype=D), rtol=1e-15, atol=1e-15)


def sphere_pair() -> tuple[Any, ...]:
    M, generator = Sphere(4), torch.Generator().manual_seed(3)
    x, y = (M.random_point(5, dtype=D, generator=generator) for _ in range(2))
    g, d, g_new = (M.random_tangent(at, generator) * s for at, s in ((x, 2.0), (x, 0.5), (y, 1.5)))
    return M, x, g, d, y, g_new


@pytest.mark.parametrize("precondition", [None, lambda x, u: 3.0 * u], ids=["plain", "preconditioned"])
def test_hager_and_zhang_by_the_formula_of_their_paper(precondition: Any) -> None:
    M, x, g, d, y, g_new = sphere_pair()
    p, o = situation(M, x, g, d, y, g_new, precondition)
    factor = 1.0 if precondition is None else 3.0
    d_there = M.transport(x, y, d)
    change = g_new - M.transport(x, y, g)
    below = (d_there * change).sum(-1)
    vector = factor * change - 2 * d_there * (factor * (change**2).sum(-1) / below)[:, None]
    bound = -1 / (d.norm(dim=-1) * g.norm(dim=-1).clamp(max=0.01))
    truth = torch.maximum((vector * g_new).sum(-1) / below, bound)
    torch.testing.assert_close(HagerZhangCoefficient()(p, o, 1), truth, rtol=1e-12, atol=0)


def test_rules_with_the_change_of_the_gradient_take_it_along_the_transport() -> None:
    generator = torch.Generator().manual_seed(5)
    # transports by projection, by another formula, and in a metric of its own
    for M in (Sphere(4), Stiefel(5, 2), Rotations(3), SymmetricPositiveDefinite(3)):
        x, y = (M.random_point(3, dtype=D, generator=generator) for _ in range(2))
        g, d, g_new = (M.random_tangent(at, generator) for at in (x, x, y))
        p, o = situation(M, x, g, d, y, g_new)
        change, d_there = g_new - M.transport(x, y, g), M.transport(x, y, d)
        above, below = M.inner(y, g_new, change), M.inner(y, change, d_there)
        for rule, truth in (
            (HestenesStiefelCoefficient(nonnegative=False), above / below),
            (PolakRibiereCoefficient(nonnegative=False), above / M.inner(x, g, g)),
            (LiuStoreyCoefficient(), above / -M.inner(x, d, g)),
            (DaiYuanCoefficient(), M.inner(y, g_new, g_new) / below),
        ):
            torch.testing.assert_close(rule(p, o, 1), truth, rtol=1e-11, atol=1e-13)


# the bound of Hager and Zhang knows the lengths themselves
@together()
@pytest.mark.parametrize("rule", [rule for rule in ALL if not isinstance(rule, HagerZhangCoefficient)], ids=repr)
def test_scaling_the_preconditioner_scales_the_direction(rule: Any) -> None:
    """With P and the former direction three times as long, beta is the same, so the direction is three times as long."""
    M, x, g, d, y, g_new = sphere_pair()
    plain = torch.as_tensor(rule(*situation(M, x, g, d, y, g_new), 1))
    scaled = torch.as_tensor(rule(*situation(M, x, g, 3 * d, y, g_new, lambda x, u: 3.0 * u), 1))
    torch.testing.assert_close(plain, scaled, rtol=1e-12, atol=1e-14)


@together()
@pytest.mark.parametrize("rule", ALL, ids=repr)
def test_a_problem_alone_gets_the_coefficient_of_its_batch(rule: Any) -> None:
    M, *rows = sphere_pair()
    batch = torch.as_tensor(rule(*situation(M, *rows), 1), dtype=D).expand(5)
    for j in range(5):
        alone = rule(*situation(M, *(row[j] for row in rows)), 1)
        assert isinstance(alone, float) and alone == batch[j].item()


@BATCHES
def test_restart_conditions(batch: Any) -> None:
    p, o = plane(*batch)
    q = o.proposal
    for slope, square, expected in ((-1.0, 2.0, (False, False, False)), (-0.1, 2.0, (False, False, True))):
        q.slope, q.square = o.lane.full(slope), o.lane.full(square)
        rules = (NeverRestart(), RestartOnNonDescent(), RestartOnNonSufficientDescent(0.1))
        assert tuple(bool(torch.as_tensor(rule(p, o, 1)).all()) for rule in rules) == expected
    for slope in (0.0, 1.0, float("nan")):
        q.slope = o.lane.full(slope)
        for rule in (RestartOnNonDescent(), RestartOnNonSufficientDescent(0.1)):
            assert torch.as_tensor(rule(p, o, 1)).all()
        assert not torch.as_tensor(NeverRestart()(p, o, 1)).any()


def test_reprs_and_copies() -> None:
    for rule in [*ALL, NeverRestart(), RestartOnNonSufficientDescent(0.5)]:
        assert repr(rule).startswith(type(rule).__name__)
        assert repr(copy.deepcopy(rule)) == repr(rule)


@together()
@pytest.mark.parametrize(
    "make",
    [
        lambda: HagerZhangCoefficient(eta=0.0),
        lambda: BealeRestartCoefficient(FletcherReevesCoefficient(), -1.0),
        lambda: BealeRestartCoefficient(FletcherReevesCoefficient),
        lambda: HybridCoefficient(FletcherReevesCoefficient(), 0.5),
        lambda: RestartOnNonSufficientDescent(1.5),
        lambda: ConjugateGradientOptions(torch.zeros(2), coefficient="FR"),
        lambda: ConjugateGradientOptions(torch.zeros(2), restart=NeverRestart),
        lambda: ConjugateGradientOptions(torch.zeros(2), stepsize=0.1),
    ],
)
def test_bad_parameters(make: Any) -> None:
    with pytest.raises(OptionsError, match="must"):
        make()
