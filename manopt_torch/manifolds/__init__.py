"""Riemannian manifolds: points are plain tensors, leading axes are independent problems."""

from manopt_torch.manifolds.base import Manifold as Manifold
from manopt_torch.manifolds.circle import Circle as Circle
from manopt_torch.manifolds.complex_circle import ComplexCircle as ComplexCircle
from manopt_torch.manifolds.complex_sphere import ComplexSphere as ComplexSphere
from manopt_torch.manifolds.curvature import ball_from_hyperboloid as ball_from_hyperboloid
from manopt_torch.manifolds.curvature import hyperboloid_from_ball as hyperboloid_from_ball
from manopt_torch.manifolds.doubly_stochastic import DoublyStochastic as DoublyStochastic
from manopt_torch.manifolds.embedded_manifold import EmbeddedManifold as EmbeddedManifold
from manopt_torch.manifolds.euclidean import Euclidean as Euclidean
from manopt_torch.manifolds.grassmann import Grassmann as Grassmann
from manopt_torch.manifolds.hermitian_positive_definite import HermitianPositiveDefinite as HermitianPositiveDefinite
from manopt_torch.manifolds.hyperboloid import Hyperboloid as Hyperboloid
from manopt_torch.manifolds.multinomial import Multinomial as Multinomial
from manopt_torch.manifolds.poincare_ball import PoincareBall as PoincareBall
from manopt_torch.manifolds.positive import Positive as Positive
from manopt_torch.manifolds.power import Power as Power
from manopt_torch.manifolds.product import Product as Product
from manopt_torch.manifolds.rotations import Rotations as Rotations
from manopt_torch.manifolds.scaled import Scaled as Scaled
from manopt_torch.manifolds.simplex import Simplex as Simplex
from manopt_torch.manifolds.skew_symmetric import SkewSymmetric as SkewSymmetric
from manopt_torch.manifolds.special_euclidean import SpecialEuclidean as SpecialEuclidean
from manopt_torch.manifolds.sphere import Sphere as Sphere
from manopt_torch.manifolds.symmetric import Symmetric as Symmetric
from manopt_torch.manifolds.symmetric_positive_definite import SymmetricPositiveDefinite as SymmetricPositiveDefinite
from manopt_torch.manifolds.unitary_group import UnitaryGroup as UnitaryGroup
