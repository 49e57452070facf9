"""The interface of a manifold, with every operation that follows from the others already written."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any

import torch

from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import OptionsError
from manopt_torch.linalg.scalar import safe_sqrt
from manopt_torch.manifolds import bases, validation
from manopt_torch.manifolds.fields import real_inner
from manopt_torch.manifolds.points import axpy, first_leaf, leaf_shapes, leaves, map_leaves, map_shaped


class Manifold(KnownKeywords, ABC):
    r"""A Riemannian manifold whose points are plain tensors (or tuples of tensors).

    Leading axes of every argument are independent problems and broadcast; the trailing axes are the point's own
    shape. All methods are pure functions of tensors: they read no value on the host and change no argument, so they
    run under `torch.func` transforms, `torch.compile` and on any device. Tangent vectors are ambient arrays.

    To add a manifold, set `point_shape`, `dim` and `typical_dist` in `__init__` and write `inner`, `project_point`,
    `project_tangent`, `egrad2rgrad`, `ehess2rhess`, `random_point`, `off_manifold` and, where there are formulas,
    `exp` and `log`. The rest follows, at some cost: write `retract_default`, `parallel_transport` and the three
    methods on coordinates too where you know them. A manifold without exponential map lists its retractions, say
    `retractions = {"projection": "retract_projection"}`. `Sphere` is a model to copy; `check_manifold` tells whether
    the formulas are right.

    Shapes:
        points and tangents `x, u`: `(*batch, *point_shape)`; scalars such as `inner`, `dist` and the step `t`:
        `(*batch,)`; `t` may be a float.

    References:
        [AbsilMahonySepulchre:2008], chapters 3 to 5; [Boumal:2023], chapters 3, 5 and 10.
    """

    point_shape: tuple[Any, ...]
    dim: int  # real dimension, also of a complex manifold
    typical_dist: float

    field: str = "real"  # or "complex": of the entries of points and tangents; scalars and coordinates are real

    has_exp: bool = True  # these three follow from what the class writes; see `__init_subclass__`
    has_log: bool = True
    has_parallel_transport: bool = True
    is_flat: bool = False  # no curvature, and parallel transport does not depend on the path
    is_embedded: bool = False  # a submanifold of the space of arrays, with the inner product of that space
    retraction_order: int = 2  # of the default retraction
    transport_is_isometric: bool = False  # of `transport`; `parallel_transport` always is
    # name -> name of the method that carries it out; the first entry is the default
    retractions: Mapping[str, str] = {"exp": "exp"}
    inverse_retractions: Mapping[str, str] = {"exp": "log"}

    def __init_subclass__(cls) -> None:
        """Set the `has_` flags that a class leaves open from the methods that it writes."""
        for method in ("inner", "ehess2rhess"):
            if method in vars(cls) and f"{method}_at" not in vars(cls):  # an inherited one is another formula
                setattr(cls, f"{method}_at", getattr(Manifold, f"{method}_at"))
        for flag, method in (("has_exp", "exp"), ("has_log", "log"), ("has_parallel_transport", "parallel_transport")):
            if flag not in vars(cls):
                setattr(cls, flag, getattr(cls, method) is not getattr(Manifold, method))

    # ---- metric -----------------------------------------------------------------------------------------------
    @abstractmethod
    def inner(self, x: Any, u: Any, v: Any) -> torch.Tensor:
        """Return the Riemannian inner product of two tangent vectors at `x`, shape `(*batch,)`."""

    def inner_at(self, x: Any) -> Callable[[Any, Any], torch.Tensor | float]:
        """Return `inner` at one point, a function of `u` and `v`, which have the shape of `x`.

        For a moment in which a few vectors are multiplied with each other and none of them is written into: it may keep
        what it has made of a vector. Without batch axes the product may be a number instead of a tensor.
        """
        return partial(self.inner, x)

    def norm(self, x: Any, u: Any) -> torch.Tensor:
        """Return the length of a tangent vector; its derivative at zero is zero, not NaN."""
        return safe_sqrt(self.inner(x, u, u))

    def dist(self, x: Any, y: Any) -> torch.Tensor:
        """Return the geodesic distance; use `squared_dist` where you differentiate at coincident points."""
        return safe_sqrt(self.squared_dist(x, y))

    def squared_dist(self, x: Any, y: Any) -> torch.Tensor:
        """Return the squared distance, smooth with the right first and second derivatives also at `x = y`."""
        u = self.log(x, y)
        return self.inner(x, u, u)

    # ---- projections and derivatives ----------------------------------------------------------------------------
    @abstractmethod
    def project_point(self, z: Any) -> Any:
        """Return the point of the manifold nearest to the ambient array `z` (or a cheap stand-in for it)."""

    @abstractmethod
    def project_tangent(self, x: Any, z: Any) -> Any:
        """Return the tangent vector at `x` nearest to the ambient array `z` (orthogonal in the metric)."""

    @abstractmethod
    def egrad2rgrad(self, x: Any, g: Any) -> Any:
        """Convert the Euclidean gradient `g` of a cost at `x` to the Riemannian gradient."""

    @abstractmethod
    def ehess2rhess(self, x: Any, g: Any, h: Any, u: Any) -> Any:
        """Convert a Euclidean Hessian-vector product `h` along `u` (gradient `g`) to the Riemannian one."""

    def ehess2rhess_at(self, x: Any, g: Any) -> Callable[[Any, Any], Any]:
        """Return `ehess2rhess` at one point, a function of `h` and `u`; what they do not enter is computed once."""
        return lambda h, u: self.ehess2rhess(x, g, h, u)

    # ---- moving on the manifold ---------------------------------------------------------------------------------
    def exp(self, x: Any, u: Any, t: float | torch.Tensor | None = None) -> Any:
        """Follow the geodesic from `x` in direction `u` for time `t` (one if None)."""
        raise OptionsError(f"{self!r} has no exponential map: use M.retract(x, u)")

    def log(self, x: Any, y: Any) -> Any:
        """Return the shortest tangent vector at `x` whose geodesic reaches `y` at time one."""
        inverse = any(name != "log" for name in self.inverse_retractions.values())
        other = "M.inverse_retract(x, y)" if inverse else "M.project_tangent(x, y - x) next to x"
        raise OptionsError(f"{self!r} has no logarithm: use {other}")

    def log_defined(self, x: Any, y: Any) -> torch.Tensor:
        """Tell per problem whether `y` lies inside the cut locus of `x`, so that `log` is unique."""
        return torch.isfinite(self.squared_dist(x, y))

    def retract(self, x: Any, u: Any, t: float | torch.Tensor | None = None, method: str | None = None) -> Any:
        """Move from `x` along `t * u` by the named retraction, by default the manifold's cheapest good one."""
        if method is None:
            return self.retract_default(x, u, t)
        name = validation.method_named(self, self.retractions, method, "retraction")
        return getattr(self, name)(x, u, t)

    def retract_default(self, x: Any, u: Any, t: float | torch.Tensor | None = None) -> Any:
        """Carry out the first entry of `retractions`; a subclass binds it to that method, to save the look-up."""
        return getattr(self, next(iter(self.retractions.values())))(x, u, t)

    def retract_projection(self, x: Any, u: Any, t: float | torch.Tensor | None = None) -> Any:
        """Take the straight step in the ambient space and project; list it in `retractions` to use it."""
        return self.project_point(map_shaped(lambda ndim, a, b: axpy(a, b, t, ndim), self.point_shape, x, u))

    def inverse_retract(self, x: Any, y: Any, method: str | None = None) -> Any:
        """Return the tangent vector that the retraction of the same name maps to `y`.

        Raises:
            OptionsError: if there is no such method, or the manifold has no inverse retraction at all.
        """
        return getattr(self, validation.method_named(self, self.inverse_retractions, method, "inverse retraction"))(
            x, y
        )

    def transport(self, x: Any, y: Any, u: Any) -> Any:
        """Carry the tangent vector `u` from `x` to `y` cheaply: by projection unless the manifold has better."""
        return self.project_tangent(y, u)

    def parallel_transport(self, x: Any, y: Any, u: Any) -> Any:
        """Carry `u` from `x` to `y` by parallel transport along the shortest geodesic; lengths are kept."""
        raise OptionsError(f"{self!r} has no parallel transport: use M.transport(x, y, u)")

    def geodesic(self, x: Any, y: Any, t: float | torch.Tensor) -> Any:
        """Return the point at time `t` of the shortest geodesic with `x` at 0 and `y` at 1."""
        return self.exp(x, self.log(x, y), t)

    def mid_point(self, x: Any, y: Any) -> Any:
        """Return the point half way between `x` and `y`."""
        return self.geodesic(x, y, 0.5)

    def injectivity_radius(self, x: Any = None) -> float | torch.Tensor:
        """Return the radius within which `exp` is one to one: at `x`, or over the whole manifold if None."""
        return math.inf

    # ---- coordinates --------------------------------------------------------------------------------------------
    def basis(self, x: Any) -> Any:
        """Return an orthonormal basis of the tangent space at `x`, shape `(*batch, dim, *point_shape)`."""
        return bases.projected_basis(self, x)

    def to_coordinates(self, x: Any, u: Any) -> torch.Tensor:
        """Return the coordinates of `u` in `basis(x)`, shape `(*batch, dim)`."""
        return bases.coordinates_in(self, x, u, self.basis(x))

    def from_coordinates(self, x: Any, c: torch.Tensor) -> Any:
        """Return the tangent vector at `x` with coordinates `c`, shape `(*batch, dim)`, in `basis(x)`."""
        return bases.combine(self, self.basis(x), c)

    # ---- random elements ----------------------------------------------------------------------------------------
    @abstractmethod
    def random_point(
        self,
        *batch: int,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Any:
        """Draw points of shape `(*batch, *point_shape)`."""

    def random_tangent(self, x: Any, generator: torch.Generator | None = None) -> Any:
        """Draw tangent vectors of unit length at `x`, uniformly over directions."""
        ref = first_leaf(x)
        shape = (*self.batch_shape(x), self.dim)
        c = torch.randn(shape, generator=generator, dtype=ref.real.dtype, device=ref.device)
        return self.from_coordinates(x, c / torch.linalg.vector_norm(c, dim=-1, keepdim=True))

    def zero_tangent(self, x: Any) -> Any:
        """Return the zero tangent vector at `x`."""
        return map_leaves(torch.zeros_like, x)

    # ---- checks -------------------------------------------------------------------------------------------------
    @abstractmethod
    def off_manifold(self, x: Any) -> torch.Tensor:
        """Return how far `x` is off the manifold, shape `(*batch,)`; zero for an exact point."""

    def off_tangent(self, x: Any, u: Any) -> torch.Tensor:
        """Return how far `u` is off the tangent space at `x`, shape `(*batch,)`."""
        difference = map_leaves(torch.sub, u, self.project_tangent(x, u))
        squares = map_shaped(lambda ndim, d: real_inner(d, d, tuple(range(-ndim, 0))), self.point_shape, difference)
        return safe_sqrt(reduce(torch.add, leaves(squares)))

    def tolerance(self, dtype: torch.dtype) -> float:
        """Return the residual that rounding alone may cause for a point of this size and dtype."""
        if not (dtype.is_floating_point or dtype.is_complex):
            raise OptionsError(f"points of {self!r} are floating-point numbers, got {dtype}: convert with x.double()")
        return 100.0 * torch.finfo(dtype).eps * math.sqrt(max(self.ambient_size, 1))

    def check_point(self, x: Any, atol: float | None = None) -> None:
        """Raise unless `x` has the right shape and lies on the manifold.

        Raises:
            ShapeError: if the trailing axes are not `point_shape`.
            NotOnManifoldError: if a residual exceeds `atol` (by default `tolerance(dtype)`).
        """
        self.batch_shape(x)
        limit = self.tolerance(first_leaf(x).dtype) if atol is None else atol
        validation.raise_if_off(self, self.off_manifold(x), limit, "point", "M.project_point(z) or M.random_point()")

    def check_tangent(self, x: Any, u: Any, atol: float | None = None) -> None:
        """Raise unless `u` has the right shape and is tangent at `x`.

        Raises:
            ShapeError: if the trailing axes are not `point_shape`.
            NotOnManifoldError: if a residual, relative to the length of `u` where that exceeds one, is too large.
        """
        self.batch_shape(u)
        limit = self.tolerance(first_leaf(x).dtype) if atol is None else atol
        residual = self.off_tangent(x, u) / self.norm(x, u).clamp(min=1.0)
        cure = "M.project_tangent(x, z) or M.random_tangent(x)"
        validation.raise_if_off(self, residual, limit, "tangent vector", cure)

    # ---- shapes -------------------------------------------------------------------------------------------------
    @property
    def ambient_size(self) -> int:
        """The number of entries of one point."""
        return sum(math.prod(shape) for shape in leaf_shapes(self.point_shape))

    def batch_shape(self, x: Any) -> tuple[int, ...]:
        """Return the leading axes of a point, or raise if its trailing axes are not `point_shape`.

        Raises:
            ShapeError: if the shape or the tuple structure is not that of a point.
        """
        return validation.batch_shape(self, x)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(str(n) for n in self.point_shape)})"
