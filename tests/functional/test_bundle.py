"""Bundles: what their members say of the cost, and what is left of those that make room."""

import torch

from manopt_torch import Hyperboloid, Product, Sphere
from manopt_torch.functional.bundle import (
    Cut,
    added,
    combined,
    errors_at,
    first_bundle,
    first_step,
    subgradients_at,
)
from manopt_torch.functional.masked import Batch, Lone
from manopt_torch.manifolds.points import new_axis

D = torch.float64


def seeded(n=0):
    return torch.Generator().manual_seed(n)


def distances_on_the_hyperboloid(count=6):
    """Return a bundle of the sum of distances to three points, the cost, and points to look from."""
    M, lane = Hyperboloid(2), Lone()
    targets = M.random_point(3, generator=seeded(), dtype=D)

    def cost(x):
        return M.dist(new_axis(x, M.point_shape), targets).sum(-1)

    def cut(x):
        u = M.log(new_axis(x, M.point_shape), targets)
        return Cut(x, -(u / M.norm(new_axis(x, M.point_shape), u).unsqueeze(-1)).sum(-2), cost(x).item())

    points = M.random_point(count, generator=seeded(1), dtype=D)
    bundle = first_bundle(M, lane, cut(points[0]), count)
    for i, x in enumerate(points[1:], 1):
        bundle = added(M, lane, bundle, cut(x), cut(x), i, True)
    return M, lane, bundle, cost, M.random_point(40, generator=seeded(2), dtype=D)


def test_members_are_minorants_and_with_the_curvature_factor_the_model_is_one():
    M, lane, bundle, cost, others = distances_on_the_hyperboloid()
    assert bundle.born.tolist() == [0, 1, 2, 3, 4, 5]
    x = others[0]
    assert (errors_at(M, lane, bundle, x, cost(x).item()) > -1e-12).all()
    # the distances from x are below 7, and d coth d - 1 grows with d
    diameter = torch.tensor(float(M.dist(x, others[1:]).max()), dtype=D)
    factor = float(diameter / diameter.tanh() - 1)
    errors = errors_at(M, lane, bundle, x, cost(x).item(), factor)
    carried = subgradients_at(M, bundle, x)
    for y in others[1:]:
        model = cost(x) + (M.inner(x, carried, M.log(x, y)) - errors).max()
        assert model <= cost(y) + 1e-12


def test_the_combination_of_a_full_bundle_stays_when_two_members_leave():
    M, lane, bundle, cost, others = distances_on_the_hyperboloid()
    x, value = others[0], cost(others[0]).item()
    errors, carried = errors_at(M, lane, bundle, x, value), subgradients_at(M, bundle, x)
    weights = torch.tensor([0.3, 0.05, 0.2, 0.1, 0.25, 0.1], dtype=D)
    g, error = (weights.unsqueeze(-1) * carried).sum(-2), float((weights * errors).sum())
    new = Cut(others[1], carried[0] * 0, 7.0)
    after = added(M, lane, bundle._replace(weights=weights), new, Cut(x, g, value - error), 9, True)
    assert after.born.tolist() == [0, 9, 2, 9, 4, 5]
    assert after.weights.tolist() == [0, 1, 0, 0, 0, 0] and after.values[3] == 7
    torch.testing.assert_close(subgradients_at(M, after, x)[1], g)
    torch.testing.assert_close(float(errors_at(M, lane, after, x, value)[1]), error)
    # where a member has no weight the oldest of those leaves, and nothing is merged
    idle = weights * torch.tensor([1, 1, 0, 1, 0, 1])
    after = added(M, lane, bundle._replace(weights=idle), new, Cut(x, g, value - error), 9, True)
    assert after.born.tolist() == [0, 1, 9, 3, 4, 5]
    assert added(M, lane, bundle, new, new, 9, False).born.tolist() == bundle.born.tolist()


def test_a_member_across_the_cut_locus_has_no_part_and_tuples_are_points():
    M = Product(Sphere(3), Sphere(2))
    x = M.random_point(2, generator=seeded(), dtype=D)
    lane = Batch((2,), x[0])
    u, v = (M.random_tangent(x, generator=seeded(n)) for n in (1, 2))
    ones = torch.ones(2, dtype=D)
    bundle = first_bundle(M, lane, Cut(x, u, ones), 3)
    bundle = added(M, lane, bundle, Cut(x, v, ones), Cut(x, u, ones), 1, torch.tensor([True, True]))
    carried = subgradients_at(M, bundle, x)
    errors = errors_at(M, lane, bundle, x, ones)
    torch.testing.assert_close(errors, torch.zeros(2, 3, dtype=D))
    errors[0, 1] = torch.nan
    g = combined(M, lane, bundle, x, carried, errors, torch.tensor([True, True]))
    assert g.weights[0].tolist() == [1, 0, 0]
    torch.testing.assert_close(g.subgradient[1][0], u[1][0])
    # the shortest vector between two of unit length is half their sum
    torch.testing.assert_close(g.subgradient[0][1], 0.5 * (u[0] + v[0])[1])
    torch.testing.assert_close(g.squared_norm[1], 0.25 * M.inner(x, *[tuple(map(torch.add, u, v))] * 2)[1])


def test_first_steps_end_half_way_to_the_cut_locus():
    M, x = Sphere(3), torch.eye(3, dtype=D)[:2]
    lane, length = Batch((2,), x), torch.tensor([1.0, 10.0], dtype=D)
    assert torch.equal(first_step(M, lane, x, 1.0, length, None), torch.tensor([1.0, torch.pi / 20], dtype=D))
    assert torch.equal(first_step(M, lane, x, 2.0, length, 1.0), torch.tensor([1.0, 0.1], dtype=D))
    assert first_step(Hyperboloid(2), Lone(), x[0], 2.0, 1e9, None) == 2.0
