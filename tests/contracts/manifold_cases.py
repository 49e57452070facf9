"""The table of manifolds for the shared suites, and a call of each of their methods."""

from functools import cache
from typing import Any

import pytest
import torch

from manopt_torch.manifolds import (
    Circle,
    ComplexCircle,
    ComplexSphere,
    DoublyStochastic,
    Elliptope,
    EmbeddedManifold,
    Euclidean,
    FixedRank,
    Grassmann,
    HermitianPositiveDefinite,
    Hyperboloid,
    Manifold,
    Multinomial,
    Oblique,
    PoincareBall,
    Positive,
    Power,
    Product,
    PSDFixedRank,
    Rotations,
    Scaled,
    Simplex,
    SkewSymmetric,
    SpecialEuclidean,
    Spectrahedron,
    Sphere,
    Stiefel,
    Symmetric,
    SymmetricPositiveDefinite,
    TangentBundle,
    Torus,
    UnitaryGroup,
)
from manopt_torch.manifolds.points import first_leaf, leaves
from manopt_torch.testing.manifold_sample import draw


def ellipsoid_cut(x: torch.Tensor) -> torch.Tensor:
    axes = torch.arange(1.0, 5.0, dtype=x.dtype, device=x.device)
    return torch.stack([(x * x * axes).sum(-1) - 1, x[..., 0] * x[..., 1] + x[..., 2] - 0.1], dim=-1)


# a new manifold joins by a line here
MANIFOLDS = [
    Euclidean(),
    Euclidean(2, 3),
    Sphere(2),
    Sphere(5),
    Circle(),
    SymmetricPositiveDefinite(1),
    SymmetricPositiveDefinite(3),
    SymmetricPositiveDefinite(2, metric="log_euclidean"),
    SymmetricPositiveDefinite(3, metric="log_cholesky"),
    SymmetricPositiveDefinite(4, metric="bures_wasserstein"),
    Hyperboloid(4),
    PoincareBall(3, curvature=-0.5),
    Positive(2, 3),
    Simplex(4),
    Multinomial(3, 2),
    DoublyStochastic(3),
    Symmetric(3),
    SkewSymmetric(3),
    Rotations(2),
    Rotations(3),
    Rotations(4),
    SpecialEuclidean(2),
    SpecialEuclidean(3),
    Oblique(3, 2),
    Oblique(2, 2, field="complex"),
    Torus(3),
    Stiefel(3, 2),
    Stiefel(3, 1, metric="canonical", field="complex"),
    Scaled(Product(Sphere(3), Euclidean(2)), 0.5),
    EmbeddedManifold(ellipsoid_cut, (4,)),
    Elliptope(4, 3),
    PSDFixedRank(4, 2),
    PSDFixedRank(3, 2, field="complex"),
    Spectrahedron(3, 1),
    Spectrahedron(4, 2),
    FixedRank(4, 3, 2),
    Grassmann(4, 1),
    Grassmann(5, 3),
    Grassmann(4, 2, field="complex"),
    ComplexSphere(3),
    ComplexCircle(),
    ComplexCircle(2, 2),
    UnitaryGroup(1),
    UnitaryGroup(3),
    HermitianPositiveDefinite(2),
    Product(Sphere(3), Euclidean(), SymmetricPositiveDefinite(2)),
    Product(Sphere(2), UnitaryGroup(2)),
    Product(Circle(), Product(Sphere(3), Power(Circle(), 2))),
    Power(Sphere(3), 2, 2),
    Power(Product(Sphere(3), Euclidean(2)), 3),
    TangentBundle(Sphere(3)),
    TangentBundle(Euclidean(2)),
]
# these run no line of code that others of the table do not run: too dear to trace
ALIKE = [
    "Euclidean()",
    "Sphere(2)",
    "SymmetricPositiveDefinite(1)",
    "SymmetricPositiveDefinite(3)",  # but for the eigenvectors of 3 x 3 matrices, see tests/linalg/test_small.py
    "Spectrahedron(3, 1)",
    "Grassmann(4, 1)",
    "ComplexCircle()",
    "UnitaryGroup(1)",
    "Product(Sphere(2), UnitaryGroup(2))",
    "Power(Sphere(3), 2, 2)",
]
BATCHES = [(), (2,), (2, 3)]
DTYPES = [torch.float32, torch.float64]

# torch warns of its own doings: forward-mode rules are made by torch.jit, dynamo instantiates an autograd.Function
TORCH_WARNINGS = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated:DeprecationWarning"),
]
every_manifold = pytest.mark.parametrize("M", MANIFOLDS, ids=repr)
one_of_a_kind = pytest.mark.parametrize("M", [M for M in MANIFOLDS if repr(M) not in ALIKE], ids=repr)
with_log = pytest.mark.parametrize("M", [M for M in MANIFOLDS if M.has_exp and M.has_log], ids=repr)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
every_batch = pytest.mark.parametrize("batch", BATCHES, ids=str)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def sample(M: Manifold, *batch: int, dtype: torch.dtype = torch.float64) -> Any:
    return draw(M, batch, dtype, generator())


# what `Manifold` makes of exp and log; on some manifolds each of them is dear
DERIVED = ("geodesic", "mid_point", "dist", "squared_dist", "log_defined")


def inherits(M: Manifold, name: str) -> bool:
    return getattr(type(M), name) is getattr(Manifold, name)


def calls(M: Manifold, s: Any, derived: bool = False) -> dict[str, tuple]:
    """List a call of each method that takes points: name -> arguments; what follows from exp and log only if asked."""
    first = first_leaf(s.x)
    t = torch.full(M.batch_shape(s.x), 0.3, dtype=first.dtype.to_real(), device=first.device)
    c = torch.full((*M.batch_shape(s.x), M.dim), 0.2, dtype=first.dtype.to_real(), device=first.device)
    table = {
        "inner": (s.x, s.u, s.v),
        "norm": (s.x, s.u),
        "project_point": (s.z,),
        "project_tangent": (s.x, s.z),
        "egrad2rgrad": (s.x, s.z),
        "ehess2rhess": (s.x, s.z, s.w, s.u),
        "retract": (s.x, s.u, t),
        "transport": (s.x, s.y, s.u),
        "zero_tangent": (s.x,),
        "basis": (s.x,),
        "to_coordinates": (s.x, s.u),
        "from_coordinates": (s.x, c),
        "off_manifold": (s.x,),
        "off_tangent": (s.x, s.u),
    }
    table |= {"exp": (s.x, s.u, t)} if M.has_exp else {}
    table |= dict.fromkeys(("log", "dist", "squared_dist", "log_defined"), (s.x, s.y)) if M.has_log else {}
    table |= {"geodesic": (s.x, s.y, t), "mid_point": (s.x, s.y)} if M.has_exp and M.has_log else {}
    table |= {"parallel_transport": (s.x, s.y, s.u)} if M.has_parallel_transport else {}
    return {name: a for name, a in table.items() if derived or name not in DERIVED or not inherits(M, name)}


def assert_close(got: Any, wanted: Any, rtol: float) -> None:
    for a, b in zip(leaves(got), leaves(wanted), strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=rtol)
