"""The derivative of a solution on every manifold: the point nearest to a moving point is that point itself."""

import pytest
import torch

import manopt_torch as mt
from manopt_torch.manifolds.points import leaves, map_leaves

D = torch.float64
GRAM = ("Grassmann", "Elliptope", "Spectrahedron", "PSDFixedRank")
MANIFOLDS = [
    *(mt.Euclidean(3), mt.Symmetric(3), mt.Positive(3), mt.Circle(), mt.Torus(3)),
    *(mt.Sphere(4), mt.Oblique(3, 2), mt.Stiefel(5, 2), mt.Grassmann(5, 2), mt.Rotations(3), mt.SpecialEuclidean(3)),
    *(mt.SymmetricPositiveDefinite(3), mt.Hyperboloid(3), mt.PoincareBall(3)),
    *(mt.Simplex(4), mt.Multinomial(3, 2), mt.DoublyStochastic(3)),
    *(mt.FixedRank(4, 3, 2), mt.PSDFixedRank(4, 2), mt.Elliptope(4, 2), mt.Spectrahedron(3, 2)),
    *(mt.HermitianPositiveDefinite(2), mt.ComplexSphere(3), mt.ComplexCircle(3), mt.UnitaryGroup(2)),
    *(mt.Power(mt.Sphere(3), 2), mt.Product(mt.Sphere(3), mt.Positive(2)), mt.Scaled(mt.Sphere(3), 2.0)),
    mt.TangentBundle(mt.Sphere(3)),
]


def image(M, x):
    """Return what tells points apart, and only points, as real vectors of shape (2, n)."""
    kind = type(M).__name__
    parts = [M.matrix(x)] if kind == "FixedRank" else [x @ x.mT] if kind in GRAM else leaves(x)
    return torch.cat([(torch.view_as_real(z) if z.is_complex() else z).reshape(2, -1) for z in parts], -1)


@pytest.mark.parametrize("M", MANIFOLDS, ids=repr)
def test_the_nearest_point_moves_along(M):
    generator = torch.Generator().manual_seed(0)
    start = M.random_point(2, dtype=D, generator=generator)
    c = (0.3 * torch.randn(2, M.dim, dtype=D, generator=generator)).requires_grad_()
    moving = M.retract(start, M.from_coordinates(start, c))
    p = mt.GradientProblem(M, lambda x: (image(M, x) - image(M, moving)).square().sum(-1))
    here = map_leaves(torch.Tensor.detach, moving)
    o = mt.solve(p, mt.QuasiNewtonOptions(here, stop=mt.StopAfterIteration(0)))
    x = mt.differentiable_solution(p, o)
    share = torch.randn(image(M, here).shape, dtype=D, generator=generator)
    found, truth = (torch.autograd.grad((share * image(M, y)).sum(), c, retain_graph=True)[0] for y in (x, moving))
    assert truth.abs().max() > 1e-3
    torch.testing.assert_close(found, truth, rtol=1e-10, atol=1e-10)
    assert all(map(torch.equal, leaves(map_leaves(torch.Tensor.detach, x)), leaves(o.x)))
