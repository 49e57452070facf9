"""Geodesic acceleration of one parameter, where all of it is known by hand."""

from types import SimpleNamespace

import pytest
import torch

from manopt_torch import Euclidean, LeastSquaresProblem
from manopt_torch.linear_solvers import CholeskySolver
from manopt_torch.linear_solvers.acceleration import accelerated

D = torch.float64


# a = -k s^2 / (2 (1 + d)) with s = -r0 / (1 + d): the corrected step counts where |a| <= 3/8 |s|
@pytest.mark.parametrize(("k", "bends"), [(1.0, True), (1.45, True), (1.55, False)])
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_the_correction_of_a_parabola(k, bends, batch, scale):
    """r(x) = r0 + x + k x^2 / 2 from x = 0; whatever D is, it cancels out of the comparison of lengths."""
    d = 0.25
    p = LeastSquaresProblem(Euclidean(1), lambda x: 0.5 * (1 + d) ** 2 + x + 0.5 * k * x * x)
    x, solver = torch.zeros(*batch, 1, dtype=D), CholeskySolver()
    normal = solver.linearize(p, x)
    added = torch.full((*batch, 1), d, dtype=D)
    s, ok = solver.solve(p, x, normal.system, normal.gradient, added)
    assert ok.all()
    torch.testing.assert_close(s, torch.full_like(s, -0.5 * (1 + d)))
    matrix = torch.full((*batch, 1), scale, dtype=D)
    o = SimpleNamespace(
        x=x, retraction_method=None, system=normal.system, piece=None, damping_matrix=matrix, extent=scale
    )
    a = -0.5 * k * s * s / (1 + d)
    assert bool((a.abs() <= 0.375 * s.abs()).all()) is bends
    torch.testing.assert_close(accelerated(solver, p, o, s, added), s + a if bends else s, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("extent", "bends"), [(2.4e7, True), (2.6e7, False)])
def test_steps_short_beside_the_point_are_left_alone(extent, bends):
    """r = 1/2 + x + x^2 / 2: a step of 1/2, whose square is 10^-8 of the extent at 2.5 10^7."""
    p = LeastSquaresProblem(Euclidean(1), lambda x: 0.5 + x + 0.5 * x * x)
    x, solver = torch.zeros(1, dtype=D), CholeskySolver()
    normal, none = solver.linearize(p, x), torch.zeros(1, dtype=D)
    s = solver.solve(p, x, normal.system, normal.gradient, none).step
    one = torch.ones(1, dtype=D)
    o = SimpleNamespace(
        x=x, retraction_method=None, system=normal.system, piece=None, damping_matrix=one, extent=extent
    )
    found = accelerated(solver, p, o, s, none)
    torch.testing.assert_close(found, torch.full_like(x, -0.5 - 0.125 * bends), rtol=1e-12, atol=0)
