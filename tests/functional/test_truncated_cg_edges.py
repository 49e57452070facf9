"""Truncated conjugate gradients: going back to any iteration, what a path takes, and Cauchy points in closed form."""

import itertools
import math

import pytest
import torch

from manopt_torch.functional.cg_iteration import EXCEEDED, MODEL_INCREASED, NEGATIVE_CURVATURE, RESIDUAL
from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.functional.truncated_cg import CGRule, cauchy_point, residual_target, rewind, truncated_cg
from tests.functional.test_truncated_cg import EXACT, matrices, model, value

D = torch.float64


def lengths(a, g, most):
    """Return the lengths of the iterates, by subspace minimisation: conjugate gradients are that."""
    found, space = [0.0], []
    for _ in range(most):
        space.append(g if not space else a @ space[-1])
        Q = torch.linalg.qr(torch.stack(space, -1)).Q
        found.append(torch.linalg.solve(Q.mT @ a @ Q, -Q.mT @ g).norm().item())
    return found


def test_going_back_finds_the_iteration_that_crosses_the_new_boundary():
    a, g = matrices(shift=9.0)
    norms, path, m = lengths(a, g, 5), [], model(a, g)
    truncated_cg(Lone(), m, 100.0, True, EXACT, path=path, remember=100.0)
    for k, (low, high) in enumerate(itertools.pairwise(norms), 1):
        for radius in (0.98 * low + 0.02 * high, 0.02 * low + 0.98 * high):
            again = rewind(Lone(), m, radius, path)
            assert again is not None and (again.count, again.reason) == (k, EXCEEDED)
            assert torch.equal(again.eta, truncated_cg(Lone(), m, radius, True, EXACT).eta)
            assert again.eta.norm().item() == pytest.approx(radius, rel=1e-12)


def test_going_back_stops_at_negative_curvature_and_on_the_boundary():
    a, g = torch.diag(torch.tensor([-1.0, 2.0], dtype=D)), torch.tensor([3.0, 0.0], dtype=D)
    m, path = model(a, g), []
    truncated_cg(Lone(), m, 8.0, True, EXACT, path=path, remember=8.0)
    for radius in (1.0, 4.0):  # shorter and longer than a step to the maximiser
        again = rewind(Lone(), m, radius, path)
        assert again is not None and (again.eta.tolist(), again.reason) == ([-radius, 0.0], NEGATIVE_CURVATURE)
    # the first step ends at length 3: a radius of as much is met, and not left behind
    m, path = model(torch.eye(2, dtype=D), g), []
    truncated_cg(Lone(), m, 8.0, True, EXACT, path=path, remember=8.0)
    again = rewind(Lone(), m, 3.0, path)
    assert again is not None and (again.eta.tolist(), again.reason) == ([-3.0, 0.0], EXCEEDED)
    assert rewind(Lone(), m, 3.0 + 1e-12, path) is None


def test_a_path_takes_the_iterations_that_start_within_its_radius():
    a, g = matrices(shift=9.0)
    norms = lengths(a, g, 5)
    for k in range(1, 6):
        for remember, kept in ((norms[k] * (1 - 1e-9), k), (norms[k] * (1 + 1e-9), k + 1)):
            path = []
            truncated_cg(Lone(), model(a, g), 100.0, True, EXACT, path=path, remember=remember)
            assert len(path) == kept
    none = []
    truncated_cg(Lone(), model(a, g), 100.0, True, EXACT, path=none)
    assert not none


@pytest.mark.parametrize(("theta", "kappa"), [(1.0, 0.5), (0.5, 0.5), (1.0, 1.0), (2.0, 1.0)])
@pytest.mark.parametrize("norm", [0.04, 0.7, 1.2, 30.0])
def test_the_residual_to_reach(theta, kappa, norm):
    start = truncated_cg(Lone(), model(torch.eye(1, dtype=D), torch.full((1,), norm, dtype=D)), 1.0, False, EXACT)
    target = residual_target(Lone(), start, theta, kappa)
    assert target == pytest.approx((norm * min(norm**theta, kappa)) ** 2, rel=1e-14)


# curvature along the gradient (3, 4), radius -> step, reason
CAUCHY = [
    (4.0, 2.0, 0.25, RESIDUAL),
    (4.0, 1.25, 0.25, EXCEEDED),  # just as far
    (4.0, 1.0, 0.2, EXCEEDED),
    (0.5, 1.0, 0.2, EXCEEDED),
    (0.02, 1.0, 0.2, EXCEEDED),
    (0.02, 1000.0, 50.0, RESIDUAL),
    (0.0, 1.0, 0.2, NEGATIVE_CURVATURE),
    (-4.0, 10.0, 2.0, NEGATIVE_CURVATURE),
    (math.nan, 1.0, 0.2, NEGATIVE_CURVATURE),
]


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(("curvature", "radius", "step", "reason"), CAUCHY)
def test_the_cauchy_point_in_closed_form(curvature, radius, step, reason, batch):
    g = torch.tensor([3.0, 4.0], dtype=D)
    a = curvature * torch.eye(2, dtype=D)
    lane = Batch((1,), g[None]) if batch else Lone()
    m = model(a[None], g[None]) if batch else model(a, g)
    poor = truncated_cg(lane, m, lane.full(radius), lane.full(False), EXACT)
    poor = poor._replace(fall=lane.full(-1.0), reason=lane.full(MODEL_INCREASED), ee=lane.full(77.0))
    found = cauchy_point(lane, m, lane.full(radius), poor)
    torch.testing.assert_close(found.eta.reshape(2), -step * g, rtol=1e-14, atol=0)
    fall = step * 25.0 - (0.0 if math.isnan(curvature) else 12.5 * curvature * step**2)
    assert float(found.fall) == pytest.approx(fall, rel=1e-14)
    assert float(found.ee) == pytest.approx(25 * step**2, rel=1e-14) and found.reason == reason


def test_what_is_as_good_as_the_cauchy_point_is_kept():
    a, g = matrices(shift=9.0)
    known = truncated_cg(Lone(), model(a, g), 100.0, True, CGRule(1.0, 1e-12, 1))._replace(reason=EXCEEDED)
    best = cauchy_point(Lone(), model(a, g), 100.0, known._replace(fall=-math.inf)).fall
    assert best == pytest.approx(-value(a, g, known.eta).item(), rel=1e-13)
    for fall in (best, best + 1.0):
        kept = cauchy_point(Lone(), model(a, g), 100.0, known._replace(fall=fall, ee=77.0))
        assert kept.eta is known.eta and (kept.fall, kept.ee, kept.reason) == (fall, 77.0, EXCEEDED)
    # without a gradient there is nothing to go along
    still = known._replace(fall=-1.0, ee=77.0)
    found = cauchy_point(Lone(), model(a, 0 * g), 1.0, still)
    assert torch.equal(found.eta, known.eta) and (found.fall, found.ee, found.reason) == (-1.0, 77.0, EXCEEDED)
    # a small one is followed
    found = cauchy_point(Lone(), model(torch.eye(6, dtype=D), 1e-3 * g), 1.0, still)
    torch.testing.assert_close(found.eta, -1e-3 * g, rtol=1e-13, atol=0)
