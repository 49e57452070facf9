"""Points with a tangent vector each."""

import math
from typing import Any

import torch

from manopt_torch._typing import Parts
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.bases import coordinate_basis
from manopt_torch.manifolds.connection import bend, bent_gradient, curved, directional, knows_curvature
from manopt_torch.manifolds.flat_space import FlatSpace
from manopt_torch.manifolds.geodesics import carry
from manopt_torch.manifolds.points import axpy, first_leaf, map_leaves, map_shaped, rebuild


class TangentBundle(Manifold):
    r"""Pairs $(x, u)$ of a point of a manifold and a tangent vector there, with the metric of Sasaki.

    Use it where position and velocity are unknowns together: geodesic regression (a line is its start and velocity),
    trajectories, shooting. The velocity $(\dot x, \dot u)$ of a curve has a horizontal part $\dot x$ and a vertical
    part, the covariant derivative $v = D u / dt$, and
    $\langle (\dot x, v), (\dot y, w)\rangle = \langle\dot x, \dot y\rangle_x + \langle v, w\rangle_x$.

    A tangent vector is stored as the velocity $(\dot x, \dot u)$ of the two arrays, as autograd sees it. With
    $B_x(\dot x, u)$, the velocity of the array of a vector $u$ that is carried parallel along $\dot x$ (the second
    fundamental form of a submanifold), $v = \dot u - B_x(\dot x, u)$: `split` returns the two parts, `join` undoes it.
    In a submanifold $v$ is the tangent part of $\dot u$; where $B$ vanishes, as in `Euclidean`, $v = \dot u$.

    - $\operatorname{grad} f$ has the vertical part $\operatorname{grad}_u f$, and the horizontal part represents
      $\dot x \mapsto \langle\nabla_x f, \dot x\rangle + \langle\nabla_u f, B_x(\dot x, u)\rangle$;
    - retraction: $x$ moves by the retraction of $M$, to $y$; $u + v$ is carried there by parallel transport, or by
      projection where there is none. It is of first order where $M$ is curved, and its inverse brings the
      vector at $y$ back to $x$;
    - Hessian: that of the Levi-Civita connection of this metric. It is there for submanifolds (`M.is_embedded`), with
      the curvature of $M$ by the equation of Gauss, for flat manifolds (`M.is_flat`) whose transport has three
      derivatives, for hyperbolic space and for positive definite matrices with the affine-invariant metric.

    Where $M$ is flat the retraction along geodesics is the exponential map, $d((x, u), (y, w))^2 = d(x, y)^2 +
    \|P_{y \to x} w - u\|^2$, and logarithm and parallel transport follow. Where it is curved, geodesics solve
    $D \dot x / dt = -R(u, v) \dot x$ and have no formula.

    Args:
        M: a submanifold of the space of arrays, or a manifold with parallel transport.

    Shapes:
        points and tangents: tuples of two arrays (or two tuples) shaped as points of `M`; dimension `2 * M.dim`.

    Raises:
        OptionsError: if `M` is no manifold, or one without a transport that is parallel to first order.

    References:
        [Sasaki:1958]; [MuralidharanFletcher:2012].

    Examples:
        >>> from manopt_torch.manifolds import Sphere
        >>> M = TangentBundle(Sphere(3))
        >>> x = (torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 0.0]))
        >>> move = M.join(x, torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 3.0]))
        >>> move[1], M.norm(x, move).square()
        (tensor([-2.,  0.,  3.]), tensor(10.))
        >>> y = M.retract(x, move, method="exp")
        >>> torch.allclose(torch.linalg.vector_norm(y[1]), torch.tensor(13.0).sqrt())
        True
    """

    def __init__(self, M: Manifold) -> None:
        if not isinstance(M, Manifold):
            raise OptionsError(f"TangentBundle({M!r}): pass a manifold")
        if not (M.is_embedded or M.has_parallel_transport):
            raise OptionsError(f"TangentBundle({M!r}): pass a manifold with parallel transport, or a submanifold")
        self.M = M
        self.point_shape = (M.point_shape, M.point_shape)
        self.dim = 2 * M.dim
        self.typical_dist = math.sqrt(2.0) * M.typical_dist
        self.field = M.field
        self.is_flat = M.is_flat
        self.has_exp, self.has_log = M.is_flat and M.has_exp, M.is_flat and M.has_log
        self.has_parallel_transport = M.is_flat and M.has_parallel_transport
        self.retraction_order = M.retraction_order if M.is_flat else 1
        self.transport_is_isometric = M.transport_is_isometric
        self.retractions = dict.fromkeys(M.retractions, "retract")
        self.inverse_retractions = dict.fromkeys(
            M.inverse_retractions if M.has_parallel_transport else (), "inverse_retract"
        )
        self._straight = isinstance(M, FlatSpace)  # vectors are carried as they are: nothing bends

    # ---- horizontal and vertical parts ------------------------------------------------------------------------------
    def split(self, x: Parts, u: Parts) -> tuple[Any, Any]:
        """Return the horizontal and the vertical part of a tangent vector, both tangent to `M` at `x[0]`."""
        if self._straight:
            return u[0], u[1]
        if self.M.is_embedded:
            return u[0], self.M.project_tangent(x[0], u[1])
        dx = self.M.project_tangent(x[0], u[0])
        return dx, self.M.project_tangent(x[0], map_leaves(torch.sub, u[1], bend(self.M, x[0], x[1], dx)))

    def join(self, x: Parts, horizontal: Any, vertical: Any) -> Parts:
        """Return the tangent vector with these parts: the velocity of the arrays of point and vector."""
        if not self._straight:
            vertical = map_leaves(torch.add, vertical, bend(self.M, x[0], x[1], horizontal))
        return rebuild(x, [horizontal, vertical])

    # ---- metric -----------------------------------------------------------------------------------------------------
    def inner(self, x: Parts, u: Parts, v: Parts) -> torch.Tensor:
        a = self.split(x, u)
        b = a if v is u else self.split(x, v)
        return self.M.inner(x[0], a[0], b[0]) + self.M.inner(x[0], a[1], b[1])

    def squared_dist(self, x: Parts, y: Parts) -> torch.Tensor:
        self._flat_only("a distance", "M.inverse_retract(x, y), and its length")
        v = self._difference(x, y)
        return self.M.squared_dist(x[0], y[0]) + self.M.inner(x[0], v, v)

    def project_point(self, z: Parts) -> Parts:
        p = self.M.project_point(z[0])
        return rebuild(z, [p, self.M.project_tangent(p, z[1])])

    def project_tangent(self, x: Parts, z: Parts) -> Parts:
        dx, v = self.split(x, z)
        return self.join(x, self.M.project_tangent(x[0], dx), v)

    def egrad2rgrad(self, x: Parts, g: Parts) -> Parts:
        return self.join(x, *self._gradient(x, g))

    def _gradient(self, x: Parts, g: Parts) -> tuple[Any, Any]:
        vertical = self.M.egrad2rgrad(x[0], g[1])
        if self._straight:
            return g[0], vertical
        along = map_leaves(torch.add, g[0], bent_gradient(self.M, x[0], x[1], g[1]))
        return self.M.egrad2rgrad(x[0], along), vertical

    def ehess2rhess(self, x: Parts, g: Parts, h: Parts, u: Parts) -> Parts:
        if self._straight:
            return rebuild(x, h)
        M, p = self.M, x[0]
        if not (M.is_flat or knows_curvature(M)):
            raise OptionsError(f"{self!r} has no Hessian, for want of the curvature of {M!r}: use a first-order solver")
        dx, v = self.split(x, u)
        along = map_leaves(torch.add, g[0], bent_gradient(M, p, x[1], g[1]))
        change = directional(lambda q, w: bent_gradient(M, q, w, g[1]), x, (dx, u[1]))
        change = map_leaves(lambda a, b, c: a + b + c, h[0], bent_gradient(M, p, x[1], h[1]), change)
        horizontal, vertical = M.ehess2rhess(p, along, change, dx), M.ehess2rhess(p, g[1], h[1], dx)
        if not M.is_flat:
            a, b = M.egrad2rgrad(p, along), M.egrad2rgrad(p, g[1])
            turned = curved(M, p, (x[1], b, dx), (x[1], v, a))
            horizontal = map_leaves(lambda s, r: torch.add(s, r, alpha=0.5), horizontal, turned)
            lifted = curved(M, p, (dx, a, x[1]))
            vertical = map_leaves(lambda s, r: torch.sub(s, r, alpha=0.5), vertical, lifted)
        return self.join(x, horizontal, vertical)

    # ---- moving -----------------------------------------------------------------------------------------------------
    def retract(self, x: Parts, u: Parts, t: float | torch.Tensor | None = None, method: str | None = None) -> Parts:
        dx, v = self.split(x, u)
        return self._carried(x, self.M.retract(x[0], dx, t, method), v, t)

    def retract_default(self, x: Parts, u: Parts, t: float | torch.Tensor | None = None) -> Parts:
        dx, v = self.split(x, u)
        return self._carried(x, self.M.retract_default(x[0], dx, t), v, t)

    def inverse_retract(self, x: Parts, y: Parts, method: str | None = None) -> Parts:
        if not self.inverse_retractions:
            return Manifold.inverse_retract(self, x, y, method)  # which says so
        return self.join(x, self.M.inverse_retract(x[0], y[0], method), self._difference(x, y))

    def exp(self, x: Parts, u: Parts, t: float | torch.Tensor | None = None) -> Parts:
        self._flat_only("an exponential map", "M.retract(x, u)")
        dx, v = self.split(x, u)
        return self._carried(x, self.M.exp(x[0], dx, t), v, t)

    def log(self, x: Parts, y: Parts) -> Parts:
        self._flat_only("a logarithm", "M.inverse_retract(x, y)")
        return self.join(x, self.M.log(x[0], y[0]), self._difference(x, y))

    def log_defined(self, x: Parts, y: Parts) -> torch.Tensor:
        return self.M.log_defined(x[0], y[0])

    def transport(self, x: Parts, y: Parts, u: Parts) -> Parts:
        return self.join(y, *(self.M.transport(x[0], y[0], part) for part in self.split(x, u)))

    def parallel_transport(self, x: Parts, y: Parts, u: Parts) -> Parts:
        self._flat_only("parallel transport", "M.transport(x, y, u)")
        return self.join(y, *(self.M.parallel_transport(x[0], y[0], part) for part in self.split(x, u)))

    def injectivity_radius(self, x: Parts | None = None) -> float | torch.Tensor:
        """Return that of `M`; where `M` is curved, a scale for steps of the retraction."""
        return self.M.injectivity_radius(None if x is None else x[0])

    # ---- coordinates and random elements ----------------------------------------------------------------------------
    def basis(self, x: Parts) -> Parts:
        return coordinate_basis(self, x)

    def to_coordinates(self, x: Parts, u: Parts) -> torch.Tensor:
        return torch.cat([self.M.to_coordinates(x[0], part) for part in self.split(x, u)], -1)

    def from_coordinates(self, x: Parts, c: torch.Tensor) -> Parts:
        return self.join(x, *(self.M.from_coordinates(x[0], part) for part in c.split(self.M.dim, -1)))

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> Parts:
        """Draw a point of `M`, and a vector with Gaussian coordinates."""
        p = self.M.random_point(*batch, generator=generator, dtype=dtype, device=device)
        ref = first_leaf(p).real
        c = torch.randn((*batch, self.M.dim), generator=generator, dtype=ref.dtype, device=ref.device)
        return p, self.M.from_coordinates(p, c)

    def off_manifold(self, x: Parts) -> torch.Tensor:
        """Return the larger residual of point and vector, that of a long vector relative to its length."""
        relative = self.M.off_tangent(x[0], x[1]) / self.M.norm(x[0], x[1]).clamp(min=1.0)
        return torch.maximum(self.M.off_manifold(x[0]), relative)

    # ---- parts of the above -----------------------------------------------------------------------------------------
    def _carried(self, x: Parts, y: Any, v: Any, t: Any) -> Parts:
        """Return the point over `y` with the vector `x[1] + t v` carried there."""
        w = map_shaped(lambda ndim, a, b: axpy(a, b, t, ndim), self.M.point_shape, x[1], v)
        return rebuild(x, [y, carry(self.M, x[0], y, w)])

    def _difference(self, x: Parts, y: Parts) -> Any:
        """Return the vector of `y`, brought to `x`, less that of `x`."""
        return map_leaves(torch.sub, self.M.parallel_transport(y[0], x[0], y[1]), x[1])

    def _flat_only(self, what: str, other: str) -> None:
        if not self.is_flat:
            raise OptionsError(f"{self!r} has no formula for {what}, since {self.M!r} is curved: use {other}")

    def __repr__(self) -> str:
        return f"TangentBundle({self.M!r})"
