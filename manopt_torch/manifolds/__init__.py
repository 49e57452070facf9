"""Riemannian manifolds: points are plain tensors, leading axes are independent problems."""

from manopt_torch.manifolds.base import Manifold as Manifold
from manopt_torch.manifolds.circle import Circle as Circle
from manopt_torch.manifolds.euclidean import Euclidean as Euclidean
from manopt_torch.manifolds.power import Power as Power
from manopt_torch.manifolds.product import Product as Product
from manopt_torch.manifolds.sphere import Sphere as Sphere
from manopt_torch.manifolds.symmetric_positive_definite import SymmetricPositiveDefinite as SymmetricPositiveDefinite
