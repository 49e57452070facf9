"""Manifolds for and from geoopt."""

import functools
import math
import types
import warnings
from collections.abc import Mapping
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg.scalar import safe_sqrt
from manopt_torch.manifolds import Manifold
from manopt_torch.manifolds.points import expand_right, from_vector, is_nested, scale, to_vector


def import_geoopt() -> Any:
    """Import geoopt, without the warning about `torch.jit.script` that some of its releases cause.

    Raises:
        ImportError: if geoopt is missing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import geoopt
    except ImportError as error:
        raise ImportError("geoopt is missing: pip install manopt_torch[geoopt]") from error
    return geoopt


def to_geoopt(M: Manifold) -> Any:
    """Return a `geoopt.Manifold` that computes by `M`, for `geoopt.ManifoldParameter` and the optimizers of geoopt.

    The attribute `source` of the result is `M`. geoopt's `retr` is the default retraction of `M`, `transp` its
    `transport`; `expmap` and `logmap` are those of `M` and raise where it has none.

    Args:
        M: a manifold whose points are one tensor.

    Raises:
        ImportError: if geoopt is missing.
        OptionsError: if points of `M` are tuples.

    Examples:
        >>> from manopt_torch import Sphere, to_geoopt
        >>> G = to_geoopt(Sphere(3))
        >>> G.retr(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
        tensor([0.7071, 0.7071, 0.0000])
    """
    if is_nested(M.point_shape):
        raise OptionsError(f"points of {M!r} are tuples: convert its factors and take geoopt.ProductManifold")
    return _geoopt_class()(M)


def from_geoopt(G: Any, *shape: int | tuple[int, ...]) -> Manifold:
    """Return a manifold that computes by a `geoopt.Manifold`, for the solvers of this package.

    Axes of `shape` beyond those of `G` are the point's own, as in `Power`. What geoopt does not tell is found at
    construction, at a random point: the dimension is the rank of the tangent projector, and `has_exp` is whether
    `expmap` moves at constant speed, since geoopt lets a retraction stand in for it on some manifolds. `log` and
    what follows from it are there if geoopt has it and `has_exp` holds. There is no `ehess2rhess`, and
    `injectivity_radius` is infinity, that is, unknown. Distances are as accurate as those of geoopt.

    Args:
        G: the manifold; its buffers, such as a curvature, should have the dtype and device of the points.
        shape: shape of a point, as numbers or as one tuple.

    Raises:
        ImportError: if geoopt is missing.
        OptionsError: if `G` is no manifold of geoopt, its `proju` no projector, or `shape` has too few axes.

    Examples:
        >>> from manopt_torch import from_geoopt
        >>> from manopt_torch.adapters.geoopt import import_geoopt
        >>> M = from_geoopt(import_geoopt().Sphere(), 3)
        >>> M.dim, M.has_exp, M.has_log
        (2, True, True)
    """
    geoopt = import_geoopt()
    sizes: Any = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    if not isinstance(G, geoopt.manifolds.base.Manifold):
        raise OptionsError(f"from_geoopt: expected a geoopt.Manifold, got {G!r}")
    if len(sizes) < G.ndim:
        raise OptionsError(f"from_geoopt({G!r}, {sizes}): a point has at least {G.ndim} axes; pass its shape")
    return GeooptManifold(G, sizes, geoopt.manifolds.base.Manifold)


class GeooptManifold(Manifold):
    """A manifold of geoopt; made by `from_geoopt`."""

    def __init__(self, G: Any, shape: tuple[int, ...], base: type) -> None:
        self.G = G
        self.point_shape: tuple[Any, ...] = tuple(shape)
        self._own = len(shape) - G.ndim  # axes of a point that geoopt takes for a batch
        self._has_dist = type(G).dist is not base.dist
        self._has_random = type(G).random is not base.random
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            x = self.random_point(dtype=G.dtype or torch.float64, device=G.device)
            self.field = "complex" if x.is_complex() else "real"
            self.dim: int = self._tangent_rank(x)
            self.typical_dist: float = math.sqrt(self.dim)
            self.has_exp: bool = self._speed_is_constant(x)
        self.has_log: bool = self.has_exp and type(G).logmap is not base.logmap
        self.retractions: Mapping[str, str] = {"retr": "retract_default"} | ({"exp": "exp"} if self.has_exp else {})
        self.inverse_retractions: Mapping[str, str] = {"exp": "log"} if self.has_log else {}
        self.retraction_order = 1  # geoopt promises no more

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self._summed(self.G.inner(x, u, v))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self._has_dist:
            return self._summed(self.G.dist2(x, y))
        u = self.log(x, y)
        return self.inner(x, u, u)

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.G.dist(x, y) if self._has_dist and not self._own else safe_sqrt(self.squared_dist(x, y))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return self.G.projx(z)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return self.G.proju(x, z)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self.G.egrad2rgrad(x, g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        raise OptionsError(
            f"{self!r} cannot convert Hessians, geoopt has no formulas for them: pass hessian= to the problem, "
            "or take the manifold of that name in manopt_torch"
        )

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        if not self.has_exp:
            raise OptionsError(f"{self!r} has no exponential map: use M.retract(x, u)")
        return self.G.expmap(x, scale(u, t, len(self.point_shape)))

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if not self.has_log:
            raise OptionsError(f"{self!r} has no logarithm: take the manifold of that name in manopt_torch")
        return self.G.logmap(x, y)

    def retract_default(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        return self.G.retr(x, scale(u, t, len(self.point_shape)))

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.G.transp(x, y, u)

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw points as geoopt does, else project Gaussian arrays.

        The numbers are those of torch's own generator, which `generator` seeds for the time of the call.
        """
        if generator is None:
            return self._drawn(batch, dtype, device)
        seed = torch.randint(2**62, (), generator=generator, device=generator.device).item()
        place = torch.device(device or self.G.device or "cpu")
        with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
            torch.manual_seed(seed)
            return self._drawn(batch, dtype, device)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return the distance to `project_point(x)`."""
        difference = (x - self.G.projx(x)).reshape(*x.shape[: x.dim() - len(self.point_shape)], -1)
        return torch.linalg.vector_norm(difference, dim=-1)

    def __repr__(self) -> str:
        return f"from_geoopt({self.G!r}, {', '.join(map(str, self.point_shape))})"

    def _summed(self, value: torch.Tensor) -> torch.Tensor:
        return value.sum(tuple(range(-self._own, 0))) if self._own else value

    def _drawn(self, batch: tuple[int, ...], dtype: Any, device: Any) -> torch.Tensor:
        if not self._has_random:
            x = self.G.projx(torch.randn((*batch, *self.point_shape), dtype=dtype, device=device or self.G.device))
        elif self.G.dtype is None:
            x = self.G.random(*batch, *self.point_shape, dtype=dtype, device=device)
        else:  # a manifold with buffers draws in their dtype only
            x = self.G.random(*batch, *self.point_shape)
            kind = x.dtype if dtype is None else dtype.to_complex() if x.is_complex() else dtype
            x = x if x.dtype == kind and device is None else self.G.projx(x.to(dtype=kind, device=device))
        return x.as_subclass(torch.Tensor)

    def _tangent_rank(self, x: torch.Tensor) -> int:
        size = to_vector(x, self.point_shape).shape[-1]
        units = from_vector(torch.eye(size, dtype=x.dtype.to_real(), device=x.device), x, self.point_shape)
        rows = to_vector(self.G.proju(x.expand(units.shape), units), self.point_shape)
        if not torch.allclose(rows @ rows, rows, rtol=0, atol=1e-3):
            raise OptionsError(f"from_geoopt: proju of {self.G!r} is no projector; take the manifold in manopt_torch")
        return int(torch.linalg.matrix_rank(rows, rtol=1e-4).item())  # the other singular values are at least one

    def _speed_is_constant(self, x: torch.Tensor) -> bool:
        # a geodesic has the speed it starts with; that of a retraction at time one is off by tens of percent
        u, h = self.random_tangent(x), 0.01
        ahead, here, behind = (self.G.expmap(x, t * u) for t in (1 + h, 1.0, 1 - h))
        velocity = self.G.proju(here, (ahead - behind) / (2 * h))
        return abs(self.norm(here, velocity).item() - 1.0) < 0.01


class _GeooptMethods:
    """What geoopt asks of a manifold, by the methods of `source`; `_geoopt_class` adds the base class of geoopt."""

    name = "manopt_torch"
    reversible = False
    source: Manifold

    def inner(self, x: Any, u: Any, v: Any = None, *, keepdim: bool = False) -> torch.Tensor:
        return self._kept(self.source.inner(x, u, u if v is None else v), keepdim)

    def norm(self, x: Any, u: Any, *, keepdim: bool = False) -> torch.Tensor:
        return self._kept(self.source.norm(x, u), keepdim)

    def dist(self, x: Any, y: Any, *, keepdim: bool = False) -> torch.Tensor:
        return self._kept(self.source.dist(x, y), keepdim)

    def dist2(self, x: Any, y: Any, *, keepdim: bool = False) -> torch.Tensor:
        return self._kept(self.source.squared_dist(x, y), keepdim)

    def projx(self, x: Any) -> torch.Tensor:
        return self.source.project_point(x)

    def proju(self, x: Any, u: Any) -> torch.Tensor:
        return self.source.project_tangent(x, u)

    def egrad2rgrad(self, x: Any, u: Any) -> torch.Tensor:
        return self.source.egrad2rgrad(x, u)

    def retr(self, x: Any, u: Any) -> torch.Tensor:
        return self.source.retract_default(x, u)

    def expmap(self, x: Any, u: Any) -> torch.Tensor:
        return self.source.exp(x, u)

    def logmap(self, x: Any, y: Any) -> torch.Tensor:
        return self.source.log(x, y)

    def transp(self, x: Any, y: Any, v: Any) -> torch.Tensor:
        return self.source.transport(x, y, v)

    def random(self, *size: Any, dtype: Any = None, device: Any = None, **keywords: Any) -> torch.Tensor:
        """Draw a point of shape `size`, the point's own axes included, as geoopt's manifolds do."""
        geoopt = import_geoopt()
        shape = geoopt.utils.size2shape(*size) if size else ()
        ok, reason = self._check_shape(shape, "size")
        if not ok:
            raise ValueError(reason)
        batch = shape[: len(shape) - len(self.source.point_shape)]
        x = self.source.random_point(*batch, dtype=dtype, device=device, **keywords)
        return geoopt.ManifoldTensor(x, manifold=self)

    def origin(self, *size: Any, dtype: Any = None, device: Any = None, seed: int | None = 42) -> torch.Tensor:
        """Draw a point that depends on `seed` only."""
        generator = torch.Generator("cpu" if device is None else device)
        return self.random(*size, dtype=dtype, device=device, generator=generator.manual_seed(seed or 0))

    def _check_shape(self, shape: Any, name: str) -> tuple[bool, str | None]:
        own = self.source.point_shape
        if len(shape) >= len(own) and tuple(shape[len(shape) - len(own) :]) == own:
            return True, None
        return False, f"`{name}` needs a shape that ends in {own} for {self.source!r}, got {tuple(shape)}"

    def _check_point_on_manifold(self, x: Any, *, atol: float = 1e-5, rtol: float = 1e-5) -> tuple[bool, str | None]:
        return _verdict(self.source.off_manifold(x), atol + rtol, "`x` is off the manifold")

    def _check_vector_on_tangent(
        self, x: Any, u: Any, *, atol: float = 1e-5, rtol: float = 1e-5
    ) -> tuple[bool, str | None]:
        return _verdict(self.source.off_tangent(x, u), atol + rtol, "`u` is not tangent")

    def _kept(self, value: torch.Tensor, keepdim: bool) -> torch.Tensor:
        return expand_right(value, len(self.source.point_shape)) if keepdim else value

    def extra_repr(self) -> str:
        return repr(self.source)

    def __reduce__(self) -> tuple[Any, ...]:  # the class is made on demand, so that pickle cannot name it
        return to_geoopt, (self.source,)


def _verdict(residual: torch.Tensor, limit: float, complaint: str) -> tuple[bool, str | None]:
    if bool((residual <= limit).all()):
        return True, None
    return False, f"{complaint}: residual {residual.max().item():.3g}, allowed {limit:.3g}"


@functools.cache
def _geoopt_class() -> type:
    base = import_geoopt().manifolds.base.Manifold

    def construct(self: Any, source: Manifold) -> None:
        base.__init__(self)
        self.source, self.ndim = source, len(source.point_shape)

    namespace = {"__init__": construct, "__module__": __name__, "__doc__": _GeooptMethods.__doc__}
    return types.new_class("ManoptTorchManifold", (_GeooptMethods, base), exec_body=lambda body: body.update(namespace))
