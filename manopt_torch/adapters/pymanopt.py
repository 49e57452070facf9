"""Manifolds for and from pymanopt, whose points are NumPy arrays."""

import functools
import math
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg.scalar import safe_sqrt
from manopt_torch.manifolds import Manifold, Product
from manopt_torch.manifolds.points import is_nested, scale


def import_pymanopt() -> Any:
    """Import pymanopt.

    Raises:
        ImportError: if pymanopt is missing.
    """
    try:
        import pymanopt
        import pymanopt.manifolds
    except ImportError as error:
        raise ImportError("pymanopt is missing: pip install manopt_torch[pymanopt]") from error
    return pymanopt


def to_pymanopt(M: Manifold) -> Any:
    """Return a pymanopt manifold that computes by `M`, in double precision, for the optimizers of pymanopt.

    The attribute `source` of the result is `M`; a `Product` becomes a `pymanopt.manifolds.Product`. Random elements
    follow `numpy.random.seed`, as pymanopt's do.

    Args:
        M: a manifold whose points are one tensor, or a product of such.

    Raises:
        ImportError: if pymanopt is missing.
        OptionsError: if points of `M` are tuples, but for products.

    Examples:
        >>> from manopt_torch import Sphere, to_pymanopt
        >>> P = to_pymanopt(Sphere(3))
        >>> P.retraction(np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.0])).tolist()
        [0.0, 0.0, 1.0]
    """
    if isinstance(M, Product):
        return import_pymanopt().manifolds.Product([to_pymanopt(factor) for factor in M.manifolds])
    if is_nested(M.point_shape):
        raise OptionsError(f"points of {M!r} are tuples, which pymanopt knows for products only: convert the parts")
    return _pymanopt_class()(M)


def from_pymanopt(P: Any) -> Manifold:
    """Return a manifold that computes by a pymanopt manifold, for the solvers of this package.

    The problems of a batch are handed over one after the other, and values travel through NumPy, so that nothing
    differentiates through the methods. pymanopt has no projection onto a manifold: the retraction of the zero vector
    stands in for `project_point`, and the distance to it for `off_manifold`. `injectivity_radius` is infinity, that
    is, unknown. A pymanopt product becomes a `Product`.

    Args:
        P: a manifold of pymanopt whose points are arrays, or a product of such.

    Raises:
        ImportError: if pymanopt is missing.
        OptionsError: if `P` is no manifold of pymanopt, or its points are no single arrays.

    Examples:
        >>> from manopt_torch import from_pymanopt
        >>> from manopt_torch.adapters.pymanopt import import_pymanopt
        >>> M = from_pymanopt(import_pymanopt().manifolds.Sphere(3))
        >>> M.dim, M.point_shape
        (2, (3,))
    """
    pymanopt = import_pymanopt()
    if not isinstance(P, pymanopt.manifolds.manifold.Manifold):
        raise OptionsError(f"from_pymanopt: expected a manifold of pymanopt, got {P!r}")
    if isinstance(P, pymanopt.manifolds.Product):
        return Product(*(from_pymanopt(factor) for factor in P.manifolds))
    return PymanoptManifold(P, pymanopt.manifolds.manifold)


class PymanoptManifold(Manifold):
    """A manifold of pymanopt; made by `from_pymanopt`."""

    def __init__(self, P: Any, base: Any) -> None:
        self.P = P
        with _numpy_seed(0):
            point = P.random_point()
        if not isinstance(point, np.ndarray | np.generic):
            raise OptionsError(f"from_pymanopt: points of {P} are {type(point).__name__}s, not arrays; there is no way")
        self.point_shape: tuple[Any, ...] = tuple(point.shape)
        self.field = "complex" if np.iscomplexobj(point) else "real"
        self.dim: int = int(P.dim)
        try:
            self.typical_dist = float(P.typical_dist)
        except NotImplementedError:
            self.typical_dist: float = math.sqrt(self.dim)

        def has(method: str) -> bool:
            return getattr(type(P), method) is not getattr(base.Manifold, method)

        self.has_exp: bool = has("exp") and not isinstance(P, base.RetrAsExpMixin)
        self.has_log: bool = self.has_exp and has("log")
        self._has_dist = has("dist")
        exp = {"exp": "exp"} if self.has_exp else {}
        self.retractions: Mapping[str, str] = {"retraction": "retract_default", **exp} if has("retraction") else exp
        self.inverse_retractions: Mapping[str, str] = {"exp": "log"} if self.has_log else {}
        self.retraction_order = 1 if has("retraction") else 2  # pymanopt promises no more

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self._each(self.P.inner_product, x, u, v, scalar=True)

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self._has_dist:
            return self._each(self.P.dist, x, y, scalar=True).square()
        u = self.log(x, y)
        return self.inner(x, u, u)

    def dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return safe_sqrt(self.squared_dist(x, y))

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        return self.retract_default(z, torch.zeros_like(z))

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return self._each(self.P.projection, x, z)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self._each(self.P.euclidean_to_riemannian_gradient, x, g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self._each(self.P.euclidean_to_riemannian_hessian, x, g, h, u)

    def exp(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        if not self.has_exp:
            raise OptionsError(f"{self!r} has no exponential map: use M.retract(x, u)")
        return self._each(self.P.exp, x, scale(u, t, len(self.point_shape)))

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if not self.has_log:
            raise OptionsError(f"{self!r} has no logarithm: take the manifold of that name in manopt_torch")
        return self._each(self.P.log, x, y)

    def retract_default(self, x: torch.Tensor, u: torch.Tensor, t: float | torch.Tensor | None = None) -> torch.Tensor:
        method = self.P.retraction if "retraction" in self.retractions else self.P.exp
        return self._each(method, x, scale(u, t, len(self.point_shape)))

    def transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self._each(self.P.transport, x, y, u)

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw points as pymanopt does, by NumPy's own generator, which `generator` or torch's seeds for the call."""
        place = "cpu" if generator is None else generator.device
        seed = torch.randint(2**31, (), generator=generator, device=place).item()
        kind = torch.get_default_dtype() if dtype is None else dtype
        kind = kind.to_complex() if self.field == "complex" else kind.to_real()
        with _numpy_seed(int(seed)):
            points = [self.P.random_point() for _ in range(math.prod(batch))]
        drawn = np.stack(points) if points else np.empty((0, *self.point_shape))
        return torch.from_numpy(drawn).to(dtype=kind, device=device).reshape((*batch, *self.point_shape))

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return the distance to `project_point(x)`."""
        difference = (x - self.project_point(x)).reshape(*x.shape[: x.dim() - len(self.point_shape)], -1)
        return torch.linalg.vector_norm(difference, dim=-1)

    def __repr__(self) -> str:
        return f"from_pymanopt({self.P})"

    def _each(self, method: Callable[..., Any], *arguments: torch.Tensor, scalar: bool = False) -> torch.Tensor:
        """Call the method of pymanopt on each problem of the batch; `scalar` says what it returns."""
        tensors = torch.broadcast_tensors(*arguments)
        ref, split = tensors[0], tensors[0].dim() - len(self.point_shape)
        batch, own = ref.shape[:split], () if scalar else self.point_shape
        arrays = [tensor.cpu().resolve_conj().numpy() for tensor in tensors]
        kind = ref.dtype.to_real() if scalar else ref.dtype
        if not batch:
            value = np.asarray(_called(method, *arrays))
        else:
            values = [_called(method, *(a[i] for a in arrays)) for i in np.ndindex(*batch)]
            value = np.stack(values) if values else np.empty((0, *own))
        value = torch.from_numpy(np.ascontiguousarray(np.real(value) if scalar else value))
        return value.to(dtype=kind, device=ref.device).reshape((*batch, *own))


def _called(method: Callable[..., Any], *arrays: np.ndarray) -> Any:
    try:
        return method(*arrays)
    except NotImplementedError as error:
        raise OptionsError(f"{error}: take the manifold of that name in manopt_torch, if there is one") from error


class _numpy_seed:  # noqa: N801 - a block, like torch.no_grad
    """Seed NumPy's own generator inside a block and put its state back afterwards."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        self.state = np.random.get_state()
        np.random.seed(self.seed)

    def __exit__(self, *details: object) -> None:
        np.random.set_state(self.state)


def _through_torch(method: str, *, scalar: bool = False) -> Callable[..., Any]:
    """Return a method on arrays that calls the method of `source` on tensors."""

    def call(self: Any, *arrays: Any) -> Any:
        with torch.no_grad():
            value = getattr(self.source, method)(*(torch.from_numpy(np.array(a)) for a in arrays))
        return value.item() if scalar else value.resolve_conj().numpy()

    call.__doc__ = f"Return `source.{method}` of arrays."
    return call


class _PymanoptMethods:
    """What pymanopt asks of a manifold, by the methods of `source`; `_pymanopt_class` adds pymanopt's base class."""

    source: Manifold

    @property
    def typical_dist(self) -> float:
        return self.source.typical_dist

    inner_product = _through_torch("inner", scalar=True)
    norm = _through_torch("norm", scalar=True)
    dist = _through_torch("dist", scalar=True)
    projection = _through_torch("project_tangent")
    to_tangent_space = _through_torch("project_tangent")
    euclidean_to_riemannian_gradient = _through_torch("egrad2rgrad")
    euclidean_to_riemannian_hessian = _through_torch("ehess2rhess")
    retraction = _through_torch("retract_default")
    exp = _through_torch("exp")
    log = _through_torch("log")
    transport = _through_torch("transport")
    pair_mean = _through_torch("mid_point")
    zero_vector = _through_torch("zero_tangent")

    def random_point(self) -> np.ndarray:
        return self.source.random_point(generator=_seeded_by_numpy(), dtype=torch.float64).numpy()

    def random_tangent_vector(self, point: np.ndarray) -> np.ndarray:
        return self.source.random_tangent(torch.from_numpy(np.array(point)), _seeded_by_numpy()).numpy()


def _seeded_by_numpy() -> torch.Generator:
    return torch.Generator().manual_seed(int(np.random.randint(2**31)))


@functools.cache
def _pymanopt_class() -> type:
    base = import_pymanopt().manifolds.manifold.Manifold

    def construct(self: Any, source: Manifold) -> None:
        base.__init__(self, repr(source), source.dim)
        self.source = source

    namespace = {"__init__": construct, "__module__": __name__, "__doc__": _PymanoptMethods.__doc__}
    return types.new_class(
        "ManoptTorchManifold", (_PymanoptMethods, base), exec_body=lambda body: body.update(namespace)
    )
