"""Riemannian manifolds: points are plain tensors, leading axes are independent problems."""

from manopt_torch.manifolds.base import Manifold as Manifold
from manopt_torch.manifolds.circle import Circle as Circle
from manopt_torch.manifolds.embedded_manifold import EmbeddedManifold as EmbeddedManifold
from manopt_torch.manifolds.euclidean import Euclidean as Euclidean
from manopt_torch.manifolds.positive import Positive as Positive
from manopt_torch.manifolds.power import Power as Power
from manopt_torch.manifolds.product import Product as Product
from manopt_torch.manifolds.scaled import Scaled as Scaled
from manopt_torch.manifolds.skew_symmetric import SkewSymmetric as SkewSymmetric
from manopt_torch.manifolds.sphere import Sphere as Sphere
from manopt_torch.manifolds.symmetric import Symmetric as Symmetric
from manopt_torch.manifolds.symmetric_positive_definite import SymmetricPositiveDefinite as SymmetricPositiveDefinite
