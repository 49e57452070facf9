"""Single iterations of truncated conjugate gradients: reasons, starts, and curvature of zero or without bound."""

import math
from dataclasses import replace

import pytest
import torch

from manopt_torch import Euclidean
from manopt_torch.functional.cg_iteration import (
    ALL_ITERATIONS,
    EXCEEDED,
    INNER_REASONS,
    MODEL_INCREASED,
    NEGATIVE_CURVATURE,
    RESIDUAL,
    QuadraticModel,
    advance,
    multiply,
    start_cg,
)
from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.functional.truncated_cg import CGRule, truncated_cg
from tests.functional.test_truncated_cg import EXACT, matrices, model

D = torch.float64
BOTH = pytest.mark.parametrize("batch", [False, True])


def posed(hessian, g, batch):
    """Return a lane and a model, of a lone problem or of the same one twice."""
    g = torch.tensor(g, dtype=D)
    g = g.expand(2, -1) if batch else g
    return Batch((2,), g) if batch else Lone(), QuadraticModel(Euclidean(g.shape[-1]), 0 * g, g, hessian)


def lone(value):
    """Return the number of a lone problem, or that of two problems that agree."""
    if not isinstance(value, torch.Tensor):
        return value
    assert not value.dim() or value[0] == value[1]
    return value.reshape(-1)[0].item()


def test_every_reason_has_its_words():
    pairs = {RESIDUAL: "residual reduced", EXCEEDED: "trust region exceeded", ALL_ITERATIONS: "all iterations used"}
    pairs |= {NEGATIVE_CURVATURE: "negative curvature", MODEL_INCREASED: "model increased"}
    assert {code: INNER_REASONS[code] for code in pairs} == pairs and INNER_REASONS[0] == "running"


@BOTH
def test_there_is_no_reason_while_it_runs_and_a_target_just_met_is_one(batch):
    lane, m = posed(lambda u: u * torch.tensor([1.0, 3.0], dtype=D), [2.0, 2.0], batch)
    start = start_cg(lane, m, lane.full(True))
    assert lone(start.reason) == 0 and lone(start.run)
    # alpha = 8 / 16: the residual is (1, -1)
    for target, reason in ((1.999, 0), (2.0, RESIDUAL)):
        after = advance(lane, m, lane.full(9.0), lane.full(target), multiply(lane, m, start, first=True))
        assert (lone(after.rr), lone(after.reason), lone(after.run)) == (2.0, reason, reason == 0)
        assert torch.equal(after.eta, -0.5 * m.gradient)


@BOTH
def test_a_minimiser_on_the_boundary_exceeds_the_ball(batch):
    lane, m = posed(lambda u: u, [3.0, 0.0], batch)
    found = truncated_cg(lane, m, lane.full(3.0), lane.full(True), EXACT)
    assert (lone(found.reason), lone(found.ee)) == (EXCEEDED, 9.0) and torch.equal(found.eta, -m.gradient)


@BOTH
def test_a_direction_without_any_curvature_is_followed_to_the_boundary(batch):
    lane, m = posed(torch.zeros_like, [3.0, 4.0], batch)
    found = truncated_cg(lane, m, lane.full(2.0), lane.full(True), EXACT)
    assert (lone(found.reason), lone(found.fall), lone(found.ee)) == (NEGATIVE_CURVATURE, 10.0, 4.0)
    torch.testing.assert_close(found.eta, -0.4 * m.gradient, rtol=1e-15, atol=0)


@BOTH
@pytest.mark.parametrize(
    ("curvature", "step"), [(-4.0, 0.25), (-0.5, 2.0), (0.0, 1.0), (-math.inf, 1.0), (math.nan, 1.0)]
)
def test_without_a_radius_the_first_step_is_that_of_the_opposite_curvature(curvature, step, batch):
    lane, m = posed(lambda u: curvature * u, [3.0, 4.0], batch)
    found = truncated_cg(lane, m, None, lane.full(True), EXACT)
    torch.testing.assert_close(found.eta, -step * m.gradient, rtol=1e-15, atol=0)
    assert lone(found.count) == 1


@BOTH
def test_without_a_radius_the_last_iterate_keeps_its_length(batch):
    lane, m = posed(lambda u: u * torch.tensor([-1.0, 2.0], dtype=D), [0.1, 2.0], batch)
    found = truncated_cg(lane, m, None, lane.full(True), EXACT)
    assert (lone(found.reason), lone(found.count)) == (NEGATIVE_CURVATURE, 2)
    assert lone(found.ee) == pytest.approx(lone(found.eta.square().sum(-1)), rel=1e-14)


@BOTH
def test_a_step_that_raises_the_model_is_not_taken(batch):
    a = torch.tensor([[5, 0, -3], [-1, 2, -1], [3, 0, 5]], dtype=D)  # no Hessian: not symmetric
    lane, m = posed(lambda u: (a * u.unsqueeze(-2)).sum(-1), [1.0, 1.0, 1.0], batch)
    found = truncated_cg(lane, m, lane.full(1e9), lane.full(True), EXACT)
    once = truncated_cg(lane, m, lane.full(1e9), lane.full(True), CGRule(1.0, 1e-12, 1))
    assert (lone(found.reason), lone(found.count)) == (MODEL_INCREASED, 2)
    # the first step is that of Cauchy: alpha = 3 / 10
    torch.testing.assert_close(found.eta, -0.3 * m.gradient, rtol=1e-15, atol=0)
    assert lone(found.fall) == lone(once.fall) == pytest.approx(0.45, rel=1e-14)
    assert lone(found.ee) == pytest.approx(0.27, rel=1e-14)


def test_the_known_length_of_the_gradient_is_not_that_of_the_residual_at_a_start():
    a, g = matrices(shift=9.0)
    m = replace(model(a, g), norm=g.norm().item())
    start = torch.full((6,), 0.02, dtype=D)
    residual = g + a @ start
    found = start_cg(Lone(), m, True, start)
    assert found.rr == pytest.approx((residual @ residual).item(), rel=1e-14) and found.zr == found.rr
    assert start_cg(Lone(), m, True).rr == pytest.approx((g @ g).item(), rel=1e-14)
    torch.testing.assert_close(
        truncated_cg(Lone(), m, 100.0, True, EXACT, eta=start).eta, torch.linalg.solve(a, -g), rtol=1e-9, atol=0
    )
