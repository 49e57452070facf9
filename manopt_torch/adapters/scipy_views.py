"""Points packed into vectors for SciPy, with values and derivatives at them."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import first_leaf, from_vector, map_leaves, to_vector
from manopt_torch.problems.closure import ClosureProblem

WITH_GRADIENT = ("cg", "bfgs", "newton-cg", "l-bfgs-b", "tnc", "slsqp", "dogleg", "trust-ncg", "trust-krylov")
WITH_GRADIENT = (*WITH_GRADIENT, "trust-exact", "trust-constr")
WITH_PRODUCTS = ("newton-cg", "trust-ncg", "trust-krylov", "trust-constr")
WITH_HESSIAN = ("dogleg", "trust-exact")
# Hessian products made together
_AT_A_TIME = 64


def import_scipy() -> Any:
    """Import `scipy.optimize`.

    Raises:
        ImportError: if SciPy is missing.
    """
    try:
        import scipy.optimize
    except ImportError as error:
        raise ImportError("SciPy is missing: pip install manopt_torch[scipy]") from error
    return scipy.optimize


def minimized(
    view: Any,
    start: Any,
    method: str | None,
    bounds: Any,
    constraints: Any,
    tol: float | None,
    callback: Callable[..., Any] | None,
    options: dict[str, Any] | None,
    jac: Any,
    hess: Any,
) -> Any:
    """Call `scipy.optimize.minimize` with the derivatives that the method takes."""
    if "cs" in (jac, hess):
        raise OptionsError('jac="cs" and hess="cs" ask for values at complex points: "autograd" has the same digits')
    kind = "" if method is None else method.lower()
    given: dict[str, Any] = {}
    if kind in WITH_GRADIENT or not kind:
        given["jac"] = view.gradient if jac == "autograd" else jac
        view.together = jac == "autograd"
    if hess != "autograd":
        given["hess"] = hess
    elif kind in WITH_HESSIAN:
        given["hess"] = view.hessian
    elif kind in WITH_PRODUCTS and (kind != "trust-constr" or view.has_hessian):
        given["hessp"] = view.product
    if bounds is not None:
        given["bounds"] = paired(bounds, start.size) if isinstance(bounds, (tuple, list)) else bounds
    last: list[Any] = [None]

    def watched(*args: Any, **kwargs: Any) -> Any:
        last[0] = kwargs.get("intermediate_result", args[0] if args else None)
        return callback(*args, **kwargs)  # pyright: ignore[reportOptionalCall]

    scipy = import_scipy()
    try:
        return scipy.minimize(
            view.value, start, method=method, constraints=constraints, tol=tol, options=options,
            callback=None if callback is None else _like(callback, watched), **given,
        )  # fmt: skip
    except StopIteration:  # some methods let it through
        at = getattr(last[0], "x", last[0])
        message = "the callback raised StopIteration"
        return scipy.OptimizeResult(x=at, fun=view.value(at), success=False, status=99, message=message)


def _like(callback: Callable[..., Any], watched: Callable[..., Any]) -> Callable[..., Any]:
    """Give the wrapper the signature by which SciPy tells the two kinds of callbacks apart."""
    try:
        names = list(inspect.signature(callback).parameters)
    except (TypeError, ValueError):
        names = []
    if names == ["intermediate_result"]:
        return lambda intermediate_result: watched(intermediate_result=intermediate_result)
    return lambda *args: watched(*args)


def paired(bounds: Any, size: int) -> Any:
    """Return bounds for each entry; a single pair of numbers serves all."""
    if isinstance(bounds, Sequence) and len(bounds) == 2 and not any(isinstance(b, Sequence) for b in bounds):
        return [tuple(bounds)] * size
    return bounds


class View(ABC):
    """Values and derivatives at packed vectors; the last point is evaluated once for all of them."""

    x: Any

    has_hessian = True
    # whether values are evaluated together with the gradient that the method asks for next
    together = False

    def __init__(self, M: Any, x: Any) -> None:
        self.M, self.x = M, x
        self.shape: Any = M.point_shape
        self._packed: Any = None

    def start(self) -> Any:
        """Return the start, packed."""
        return to_vector(self.x, self.shape).detach().double().cpu().numpy()

    def point(self, v: Any) -> Any:
        """Unpack a vector."""
        return self.unpacked(torch.tensor(v, dtype=torch.float64, device="cpu"))

    def unpacked(self, flat: torch.Tensor) -> Any:
        """Unpack a tensor, which may be the memory of SciPy."""
        flat = flat.to(first_leaf(self.x).device)
        return map_leaves(lambda a, b: a.to(b.dtype), from_vector(flat, self.x, self.shape), self.x)

    def packed(self, u: Any) -> Any:
        """Pack a tangent vector."""
        return self.flat(u).numpy()

    def flat(self, u: Any) -> torch.Tensor:
        """Pack a tangent vector into a tensor on the host."""
        return to_vector(u, self.shape).detach().double().cpu()

    def at(self, v: Any) -> Any:
        """Return the point of a vector, the same object as long as the vector is the same."""
        key = bytes(memoryview(v).cast("B")) if v.flags["C_CONTIGUOUS"] else v.tobytes()
        if key != self._packed:
            self._packed, self._held = key, self.point(v)
            self._found: dict[str, Any] = {}
        return self._held

    def value(self, v: Any) -> float:
        """Return the value."""
        x = self.at(v)
        if "value" not in self._found:
            self.evaluate(x)
        return float(self._found["value"])

    def gradient(self, v: Any) -> Any:
        """Return the gradient."""
        x = self.at(v)
        if "gradient" not in self._found:
            self.evaluate(x, gradient=True)
        return self._found["gradient"]

    def product(self, v: Any, w: Any) -> Any:
        """Return the Hessian applied to a vector."""
        return self.times(self.at(v), torch.from_numpy(w)).numpy()

    def hessian(self, v: Any) -> Any:
        """Return the Hessian, its products with the basis many at a time where `torch.func.vmap` can take the cost."""
        x, basis = self.at(v), torch.eye(v.size, dtype=torch.float64, device="cpu")
        self.times(x, basis[0])  # the graph is made outside
        try:
            rows = torch.func.vmap(lambda w: self.times(x, w), chunk_size=_AT_A_TIME)(basis)
        except RuntimeError:
            rows = torch.stack([self.times(x, w) for w in basis])
        return rows.mT.numpy()

    @abstractmethod
    def evaluate(self, x: Any, gradient: bool = False) -> None:
        """Fill in the value, and the gradient if asked for."""

    @abstractmethod
    def times(self, x: Any, w: torch.Tensor) -> torch.Tensor:
        """Return the Hessian at the point asked for last, applied to a packed vector."""


class ProblemView(View):
    """A problem of ours."""

    def __init__(self, problem: Any, x: Any) -> None:
        View.__init__(self, problem.M, x)
        self.problem = problem
        self.has_hessian: bool = "hessian" in problem.provides

    def evaluate(self, x: Any, gradient: bool = False) -> None:
        """Evaluate; the graph is kept for the gradient that usually follows."""
        found = self._found
        if "gradient" in self.problem.provides:
            if "value" not in found:
                found["value"], found["context"] = self.problem.trial(x)
            if gradient:
                found["gradient"] = self.packed(self.problem.gradient_from(x, found["context"]))
        elif gradient:
            self.problem.get_gradient(x)
        else:
            found["value"] = self.problem.get_cost(x)

    def times(self, x: Any, w: torch.Tensor) -> torch.Tensor:
        """Multiply; the problem keeps the graph of the gradient."""
        return self.flat(self.problem.get_hessian(x, self.unpacked(w)))


class ParameterView(View):
    """The parameters of a closure."""

    def __init__(self, problem: ClosureProblem, x: Any) -> None:
        View.__init__(self, problem.M, x)
        self.problem = problem

    def evaluate(self, x: Any, gradient: bool = False) -> None:
        """Evaluate; most methods ask for the gradient where they have asked for the value."""
        found, problem = self._found, self.problem
        if gradient or self.together:
            found["value"], g = problem.get_cost_and_gradient(x)
            found["gradient"] = self.packed(g)
        else:
            found["value"] = problem.get_cost(x)

    def times(self, x: Any, w: torch.Tensor) -> torch.Tensor:
        """Multiply; the graph of the gradient is kept for the point."""
        found, problem = self._found, self.problem
        if "graph" not in found:
            problem.move_to(x)
            found["graph"] = problem.linearize(x)
        return self.flat(problem.hessian_from(x, found["graph"], self.unpacked(w)))
