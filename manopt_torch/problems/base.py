"""What all problems share: the manifold, the cost, the data of a batch, and the count of evaluations."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from operator import attrgetter
from typing import Any, ClassVar, NoReturn

import torch

from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import MissingDerivativeError, OptionsError, ShapeError
from manopt_torch.manifolds.base import Manifold, leaf_shapes
from manopt_torch.manifolds.points import first_leaf, leaves


@dataclass(slots=True)
class Counts:
    """How often each kind of callable has been evaluated; one call for a whole batch counts once."""

    cost: int = 0
    gradient: int = 0
    hessian: int = 0
    preconditioner: int = 0
    subgradient: int = 0
    proximal_map: int = 0
    residuals: int = 0
    jacobian: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counts by kind."""
        return dict(zip(self.__slots__, _all_counts(self), strict=True))


_all_counts = attrgetter(*Counts.__slots__)


class Problem(KnownKeywords):
    """What to minimise, and on which manifold. Solvers talk to problems through the methods below.

    Args:
        M: the manifold.
        cost: `cost(x, *data)` returns one number a problem, shape `(*batch,)`.
        data: tensors with the batch axes in front, one entry a problem, handed to every callable after the point.
            What all problems share goes into the closure instead. Only a problem with data can leave finished
            problems of a batch behind (compaction).
        vectorized: whether callables take batches; if False they are written for one point and mapped over the batch
            by `torch.func.vmap`.
    """

    # what solvers may ask this kind of problem for
    provides: ClassVar[frozenset[str]] = frozenset({"cost"})

    def __init__(
        self, M: Manifold, cost: Callable[..., Any], *, data: tuple[Any, ...] = (), vectorized: bool = True
    ) -> None:
        if not isinstance(M, Manifold):
            got = f"the class {M.__name__}: call it, as Sphere(3)" if isinstance(M, type) else type(M).__name__
            raise OptionsError(f"{type(self).__name__}: M must be a Manifold, got {got}")
        if not isinstance(data, (tuple, list)) or not all(isinstance(d, torch.Tensor) for d in data):
            got = [type(d).__name__ for d in data] if isinstance(data, (tuple, list)) else type(data).__name__
            raise OptionsError(f"{type(self).__name__}: data must be a tuple of tensors, as in data=(t, y); got {got}")
        if vectorized not in (True, False):
            raise OptionsError(f"{type(self).__name__}: vectorized must be True or False, got {vectorized!r}")
        if cost is None:
            raise OptionsError(f"{type(self).__name__}: cost must be callable, got None")
        self.M = M
        self.cost: Any = self._callable("cost", cost, vectorized)
        self.data: tuple[Any, ...] = tuple(data)
        self.vectorized = vectorized
        self.counts: Counts = Counts()

    def __repr__(self) -> str:
        name = getattr(self.cost, "__qualname__", type(self.cost).__name__)
        shapes = ", ".join(str(tuple(d.shape)) for d in self.data)
        return f"{type(self).__name__}({self.M!r}, {name}" + (f", data of shapes {shapes})" if shapes else ")")

    def _callable(self, name: str, fn: Any, vectorized: bool, lead: int = 0) -> Any:
        """Check a user's callable and, where it is written for one point, map it over the batch."""
        if fn is None:
            return None
        if not callable(fn):
            raise OptionsError(f"{type(self).__name__}: {name} must be callable, got {type(fn).__name__}")
        return fn if vectorized else map_over_batch(fn, self.M, lead)

    # ---- evaluation -----------------------------------------------------------------------------------------------
    def get_cost(self, x: Any) -> torch.Tensor:
        """Return the cost at `x`, shape `(*batch,)`."""
        self.counts.cost += 1
        return self.cost(x, *self.data)

    def get_gradient(self, x: Any) -> Any:
        """Return the Riemannian gradient at `x`."""
        self.missing("gradient", "GradientProblem")

    def get_cost_and_gradient(self, x: Any) -> tuple[torch.Tensor, Any]:
        """Return cost and Riemannian gradient from one evaluation."""
        self.missing("gradient", "GradientProblem")

    def get_hessian(self, x: Any, u: Any) -> Any:
        """Return the Riemannian Hessian at `x` applied to `u`."""
        self.missing("Hessian", "HessianProblem")

    def get_preconditioner(self, x: Any, u: Any) -> Any:
        """Return the preconditioner (an approximate inverse Hessian) at `x` applied to `u`."""
        self.missing("preconditioner", "HessianProblem")

    def get_subgradient(self, x: Any) -> Any:
        """Return a Riemannian subgradient at `x`."""
        self.missing("subgradient", "SubGradientProblem")

    def get_proximal_map(self, lam: Any, x: Any, i: int) -> Any:
        """Return the `i`-th proximal map with parameter `lam` at `x`."""
        self.missing("proximal map", "ProximalProblem")

    def trial(self, x: Any) -> tuple[torch.Tensor, Any]:
        """Evaluate the cost at a trial point and keep what a gradient there would need: `(cost, context)`."""
        return self.get_cost(x), None

    def gradient_from(self, x: Any, context: Any) -> Any:
        """Return the Riemannian gradient at a trial point without evaluating the cost again."""
        self.missing("gradient", "GradientProblem")

    def missing(self, what: str, cure: str) -> NoReturn:
        """Raise a MissingDerivativeError that says which problem class has what is asked for."""
        raise MissingDerivativeError(f"{type(self).__name__} has no {what}: use {cure}")

    # ---- the batch --------------------------------------------------------------------------------------------------
    def take(self, indices: torch.Tensor, batch_axes: int) -> "Problem":
        """Return the sub-batch of problems with these flat indices; it counts into the same counters."""
        part = copy.copy(self)
        part.data = tuple(d.flatten(0, batch_axes - 1)[indices] for d in self.data)
        return part

    def spread(self, count: int, batch_axes: int) -> "Problem":
        """Return the problem for `count` points of each of its members, on an axis after the batch axes."""
        part = copy.copy(self)
        part.data = tuple(
            d.unsqueeze(batch_axes).expand(*d.shape[:batch_axes], count, *d.shape[batch_axes:]) for d in self.data
        )
        return part

    def check_data(self, batch: tuple[int, ...]) -> None:
        """Raise a ShapeError unless every tensor of `data` starts with the batch axes."""
        for n, d in enumerate(self.data):
            if tuple(d.shape[: len(batch)]) != batch:
                raise ShapeError(
                    f"data[{n}] has shape {tuple(d.shape)} but the start has batch axes {batch}: data need one entry a "
                    "problem; what all problems share goes into the closure of the cost"
                )

    def check_arguments(self) -> None:
        """Raise an OptionsError if the cost cannot be called with a point and the data."""
        try:
            taken = signature(self.cost, follow_wrapped=False)  # a wrapper may hand over arguments of its own
        except (TypeError, ValueError):  # written in C
            return
        try:
            taken.bind(None, *self.data)
        except TypeError as error:
            raise OptionsError(
                f"{type(self).__name__}: the cost is called as cost(x, *data), here with x and {len(self.data)} "
                f"tensors of data, but it takes {taken}: {error}; pass by data=(...) what it takes after the point"
            ) from None

    def check_tangent(self, what: str, u: Any, batch: tuple[int, ...]) -> None:
        """Raise a ShapeError unless `u` has the shape of a tangent vector for each problem of the batch."""
        for leaf in leaves(u):
            if not isinstance(leaf, torch.Tensor):
                raise ShapeError(
                    f"the {what} must be a tensor (or a tuple of them) like the point, got {type(leaf).__name__}"
                )
        try:
            got = self.M.batch_shape(u)
        except ShapeError as error:
            raise ShapeError(f"the {what} must have the shape of the point: {error}") from None
        if got != batch:
            raise ShapeError(f"the {what} has batch axes {got}, the point has {batch}: pass one for each problem")

    def checked_like(self, x: Any, y: Any, what: str) -> Any:
        """Return what a callable has made of the point `x`; raise a ShapeError unless it has the shape of a point."""
        if not (isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor) and x.shape == y.shape):
            self.check_tangent(what, y, self.M.batch_shape(x))
        return y

    def check_cost(self, value: Any, batch: tuple[int, ...]) -> None:
        """Raise a ShapeError unless a cost value is a tensor with one number a problem."""
        check_cost(value, batch)


def check_cost(value: Any, batch: tuple[int, ...]) -> None:
    """Raise an error unless a cost value is a tensor with one real number a problem.

    Raises:
        ShapeError: if it is no tensor, or of another shape.
        OptionsError: if its numbers are complex or integers.
    """
    if not isinstance(value, torch.Tensor):
        raise ShapeError(
            f"the cost must return a tensor of shape {batch}, got {type(value).__name__}: compute it by torch "
            "operations, or wrap the number in torch.as_tensor(value)"
        )
    if tuple(value.shape) != batch:
        raise ShapeError(
            f"the cost must return one number a problem, shape {batch}, got {tuple(value.shape)}: reduce over the "
            "point's own axes only, e.g. .sum(-1), or pass vectorized=False for a cost written for one point"
        )
    if not value.is_floating_point():
        raise OptionsError(
            f"the cost must return real floating-point numbers, got {value.dtype}: take its .real part, or convert it "
            "with .double()"
        )


def map_over_batch(fn: Callable[..., Any], M: Manifold, lead: int = 0) -> Callable[..., Any]:
    """Map a callable written for one point over all batch axes.

    The first `lead` arguments are parameters before the point: tensors hold one for each problem, numbers are shared.
    """
    own_axes = len(leaf_shapes(M.point_shape)[0])

    def shared(n: int, arg: Any) -> bool:
        return n < lead and not (isinstance(arg, torch.Tensor) and arg.dim() > 0)

    def mapped(*args: Any) -> Any:
        axes = tuple(None if shared(n, arg) else 0 for n, arg in enumerate(args))
        one = fn
        for _ in range(first_leaf(args[lead]).dim() - own_axes):
            one = torch.func.vmap(one, axes)
        return one(*args)

    return mapped
