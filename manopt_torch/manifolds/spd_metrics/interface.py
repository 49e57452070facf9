"""What a metric on symmetric positive definite matrices has to provide."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from manopt_torch.linalg.scalar import safe_sqrt
from manopt_torch.manifolds.fields import real_inner
from manopt_torch.manifolds.images import ProductsOfImages


class SpdMetric(ABC):
    """The part of `SymmetricPositiveDefinite` that depends on the metric; steps `u` are scaled already.

    A metric writes the isometry from tangent vectors to symmetric matrices with the Frobenius product, which gives
    inner products and coordinates, and the formulas that depend on it. Leading axes broadcast.
    """

    is_flat: bool = False
    has_parallel_transport: bool = True
    transport_is_isometric: bool = False

    @abstractmethod
    def flatten(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Map the tangent vector `u` to a symmetric matrix, isometrically."""

    @abstractmethod
    def unflatten(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Undo `flatten`."""

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return the inner product of two tangent vectors."""
        a = self.flatten(x, u)
        return (a * (a if v is u else self.flatten(x, v))).sum((-2, -1))

    def inner_at(self, x: torch.Tensor) -> Callable[..., torch.Tensor]:
        """Return `inner` at one point, see `Manifold.inner_at`."""
        return partial(self.inner, x)

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the length of a tangent vector."""
        return torch.linalg.vector_norm(self.flatten(x, u), dim=(-2, -1))

    @abstractmethod
    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the squared distance."""

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distance."""
        return safe_sqrt(self.squared_dist(x, y))

    @abstractmethod
    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Convert a Euclidean gradient."""

    @abstractmethod
    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Convert a Euclidean Hessian-vector product."""

    def ehess2rhess_at(self, x: torch.Tensor, g: torch.Tensor) -> Callable[..., torch.Tensor]:
        """Return `ehess2rhess` at one point, a function of `h` and `u`."""
        return lambda h, u: self.ehess2rhess(x, g, h, u)

    @abstractmethod
    def exp(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Follow the geodesic for unit time."""

    @abstractmethod
    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the shortest tangent vector that leads to `y`."""

    def retract(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Move by the default retraction, of second order, defined for every `u`; exp itself where it is so."""
        return self.exp(x, u)

    def inverse_retract(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the tangent vector that `retract` maps to `y`."""
        return self.log(x, y)

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Carry a tangent vector cheaply: all tangent spaces are the same set."""
        return u

    @abstractmethod
    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Carry a tangent vector along the geodesic."""

    def injectivity_radius(self, x: Any) -> float | torch.Tensor:
        """Return the radius within which exp is one to one, at `x` or (None) everywhere."""
        return math.inf


def products_of_images(image: Callable[[torch.Tensor], torch.Tensor]) -> ProductsOfImages:
    """Return the inner product at a point from the isometry to matrices there."""
    return ProductsOfImages(image, lambda a, b: real_inner(a, b, (-2, -1)))
