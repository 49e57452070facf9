"""The problem that a closure poses: to minimise the loss it returns over the parameters it reads."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch

from manopt_torch.errors import MissingDerivativeError, OptionsError, ShapeError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.euclidean import Euclidean
from manopt_torch.manifolds.parameter import ManifoldParameter
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.manifolds.power import Power
from manopt_torch.manifolds.product import Product
from manopt_torch.problems.autodiff import Value, backward, grad_mode, products
from manopt_torch.problems.base import Problem
from manopt_torch.problems.hessian import GradientGraph


class ClosureProblem(Problem):
    r"""Minimise the loss of a closure over tensors that it reads, all of them one point of a product manifold.

    `closure(backward=True)` returns the loss; with `backward=False` it only evaluates, else it zeroes the gradients and
    leaves those of the loss in `.grad`. A closure without that argument, as `closure(x=x, y=y)` is, serves as long as
    only gradients are asked for. To evaluate elsewhere, the tensors are overwritten and put back afterwards, to the
    bit.

    Args:
        parameters: the tensors; a `ManifoldParameter` lives on its manifold (its leading axes are entries of a power),
            any other in Euclidean space.

    Raises:
        OptionsError: if there is none, or one that is no tensor of real numbers.

    Examples:
        >>> import torch
        >>> w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> p = ClosureProblem([w])
        >>> x = p.begin(lambda backward=True: (w * w).sum())
        >>> p.get_cost((torch.zeros(2),)), p.get_cost(x), w.tolist()
        (tensor(0.), tensor(25.), [3.0, 4.0])
    """

    closure: Any

    provides: ClassVar[frozenset[str]] = frozenset({"cost", "gradient", "subgradient", "hessian"})
    preconditioner = None

    def __init__(self, parameters: Sequence[torch.Tensor]) -> None:
        self.parameters: list[torch.Tensor] = list(parameters)
        if not self.parameters:
            raise OptionsError("there are no parameters to train: give tensors with requires_grad=True")
        self.factors: list[Manifold] = [manifold_of(q) for q in self.parameters]
        Problem.__init__(self, Product(*self.factors), self.get_cost)
        self.curved: list[int] = [n for n, M in enumerate(self.factors) if not isinstance(M, Euclidean)]  # places
        self.flat: bool = not self.curved
        self.remembered = True  # whether anybody keeps the point of a step, to transport from there in a later one
        self.last: Any = None  # loss evaluated last
        self._code: Any = None
        self._evaluation = Value()
        self._flag: Any = "position"  # how the closure is told whether to differentiate, None for not at all
        self._clear(None)

    # ---- the frame of a step --------------------------------------------------------------------------------------
    def begin(self, closure: Callable[..., Any] | None) -> tuple[Any, ...]:
        """Take up a closure (None: the gradients are in `.grad`), and return the point where the tensors are."""
        self._clear(closure)
        code = getattr(closure, "__code__", closure)  # a closure made anew for each batch has the same code
        if closure is not None and code is not self._code:
            self._code, self._flag = code, _flag_of(closure)
        values = [q.detach() for q in self.parameters]
        if self.remembered:  # what rules keep of curved factors must not change with the parameters
            for n in self.curved:
                values[n] = values[n].clone()
        self.here = tuple(values)
        return self.here

    def move_to(self, x: tuple[Any, ...]) -> None:
        """Move the parameters to `x`, which is the point of the step from now on."""
        self.write(x)
        self.here, self._value, self._gradient, self._saved = x, None, None, None

    def end(self) -> None:
        """Leave the gradients in `.grad` that were found at the point of the step."""
        if self._gradients is not None:
            for q, g in zip(self.parameters, self._gradients, strict=True):
                q.grad = g
        self._clear(None)

    def set_gradients(self, u: Any) -> None:
        """Have the vector left in `.grad` at the end of the step, instead of the gradient."""
        self._gradients = [leaf.clone() for leaf in u]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the closure behind in copies and files, with what is known of it."""
        return {**self.__dict__, "closure": None, "_code": None}

    def _clear(self, closure: Any) -> None:
        self.closure, self.here = closure, None
        self.idle: list[int] = []  # parameters without a gradient
        self._value = self._gradient = self._saved = self._gradients = None

    @property
    def loss(self) -> Any:
        """The loss at the point of the step, or the last one evaluated if that was not needed."""
        return self.last if self._value is None else self._value

    # ---- evaluation -----------------------------------------------------------------------------------------------
    def get_cost(self, x: Any) -> torch.Tensor:
        """Return the loss at `x`; that at the point of the step is evaluated once."""
        if x is not self.here:
            return self._at(x, lambda: self._loss(False))
        if self._value is None:
            self._value = self._loss(False)
        return self._value

    def get_cost_and_gradient(self, x: Any) -> tuple[Any, Any]:
        """Return loss and Riemannian gradient; those at the point of the step are evaluated once."""
        if x is not self.here:
            return self._at(x, lambda: (self._loss(True), self._collected(x)))
        if self._gradient is None:
            if self.closure is not None:
                self._value = self._loss(True)
            self._gradient = self._collected(x)
        return self._value, self._gradient

    def get_gradient(self, x: Any) -> Any:
        """Return the Riemannian gradient at `x`."""
        return self.get_cost_and_gradient(x)[1]

    def gradient_from(self, x: Any, context: Any) -> Any:
        """Return the Riemannian gradient at a trial point."""
        return self.get_cost_and_gradient(x)[1]

    def linearize(self, x: Any, context: Any = None) -> GradientGraph:
        """Return the gradient at the point of the step with its graph retained, for Hessian-vector products."""
        if x is not self.here:
            raise OptionsError("ClosureProblem: Hessians are available where the parameters are, not elsewhere")
        leaf = tuple(self.parameters)
        with grad_mode(True):
            value = self._call(False)
            if not isinstance(value, torch.Tensor) or not value.requires_grad:
                raise MissingDerivativeError(
                    "closure(backward=False) must return a loss that can be differentiated for a Hessian: leave out "
                    ".item() and no_grad()"
                )
            graph = backward(value, leaf, create_graph=True)
        self.counts.gradient += 1
        g = map_leaves(torch.Tensor.detach, graph)
        if self._gradient is None:
            self._gradient = g if self.flat else self.M.egrad2rgrad(x, g)
        self._value = self.last = value.detach()
        return GradientGraph(leaf, graph, g, self._gradient)

    def hessian_from(self, x: Any, at: GradientGraph, u: Any) -> Any:
        """Return the Riemannian Hessian at `x` applied to `u`, from the retained gradient."""
        self.counts.hessian += 1
        pairs = [(part, v) for part, v in zip(at.graph, u, strict=True) if part.requires_grad]
        if not pairs:
            return map_leaves(torch.zeros_like, at.euclidean_gradient)
        h = products(tuple(part for part, _ in pairs), tuple(v for _, v in pairs), at.leaf)
        return h if self.flat else self.M.ehess2rhess(x, at.euclidean_gradient, h, u)

    # ---- the closure ------------------------------------------------------------------------------------------------
    def _at(self, x: Any, evaluate: Callable[[], Any]) -> Any:
        """Evaluate with the parameters at `x`, and put them back."""
        if self._saved is None:
            self._saved = [q.detach().clone() for q in self.parameters]
        try:
            self.write(x)
            return evaluate()
        finally:
            self.write(self._saved)

    def write(self, x: Sequence[torch.Tensor]) -> None:
        """Overwrite the parameters with the point `x`."""
        with torch.no_grad():
            for q, value in zip(self.parameters, x, strict=True):
                q.copy_(value)

    def _loss(self, gradient: bool) -> torch.Tensor:
        """Call the closure, which is to fill `.grad` if `gradient`, and return the loss without its graph."""
        if gradient:
            self._release()
            self.counts.gradient += 1
        with grad_mode(gradient or self._flag is None):
            value = self._evaluation(self._call, gradient)
        value = value.detach() if isinstance(value, torch.Tensor) and not value.dim() else _scalar(value)
        self.last = value
        return value

    def _call(self, gradient: bool) -> Any:
        if self.closure is None:
            raise OptionsError("the loss is to be evaluated: call step(closure) with a closure(backward=True)")
        self.counts.cost += 1
        if self._flag == "keyword":
            return self.closure(backward=gradient)
        if self._flag is not None:
            return self.closure(gradient)
        if gradient:
            return self.closure()
        raise OptionsError(
            "the loss is to be evaluated without its gradient: give the closure an argument backward=True, and let it "
            "skip zero_grad() and backward() if that is False"
        )

    def _release(self) -> None:
        """Let go of the gradients in `.grad`: the next evaluation is not to write into them."""
        if self._gradient is None:
            return
        if self._gradients is None:
            self._gradients = [q.grad for q in self.parameters]
        for q in self.parameters:
            q.grad = None

    def _collected(self, x: Any) -> Any:
        """Return what stands in `.grad` as a Riemannian gradient; a missing one is zero."""
        found: list[Any] = [q.grad for q in self.parameters]
        if any([g is None or g.is_sparse for g in found]):  # noqa: C419  (of hundreds, a list is quicker)
            found = self._completed(found)
        for n in self.curved:
            found[n] = self.factors[n].egrad2rgrad(x[n], found[n])
        return tuple(found)

    def _completed(self, found: list[Any]) -> list[Any]:
        """Put zeros where there is no gradient."""
        self.idle = [n for n, g in enumerate(found) if g is None]
        if self.closure is not None and len(self.idle) == len(found):
            raise MissingDerivativeError(
                "closure(backward=True) has left no gradient: call backward() on a loss of the parameters"
            )
        found = [torch.zeros_like(q) if g is None else g for q, g in zip(self.parameters, found, strict=True)]
        if any(g.is_sparse for g in found):
            raise OptionsError("gradients must be dense tensors: leave out sparse=True of embeddings")
        return found


def manifold_of(q: Any) -> Manifold:
    """Return the manifold on which a parameter lives.

    Raises:
        OptionsError: if it is no tensor of real floating-point numbers, or empty.
    """
    if isinstance(q, ManifoldParameter):
        own = len(q.manifold.point_shape)
        batch = q.shape[: q.dim() - own]
        return Power(q.manifold, *batch) if batch else q.manifold
    if not isinstance(q, torch.Tensor) or not q.is_floating_point():
        got = f"{q.dtype}" if isinstance(q, torch.Tensor) else type(q).__name__
        raise OptionsError(f"parameters must be tensors of real floating-point numbers, got {got}")
    if not q.numel():
        raise OptionsError(f"a parameter of shape {tuple(q.shape)} has no entries: leave it out")
    return Euclidean(*q.shape)


def _flag_of(closure: Callable[..., Any]) -> str | None:
    """Say how the closure is told whether to differentiate: by "keyword", by "position", or not at all.

    Raises:
        OptionsError: if it is no function.
    """
    if not callable(closure):
        raise OptionsError(
            f"step(closure) needs a function that returns the loss, got {type(closure).__name__}: wrap the evaluation "
            "into closure(backward=True)"
        )
    try:
        parameters = inspect.signature(closure).parameters
    except (TypeError, ValueError):
        return "position"
    named = parameters.get("backward")
    if named is not None and named.kind is not inspect.Parameter.POSITIONAL_ONLY:
        return "keyword"
    first = next(iter(parameters.values()), None)
    if first is None or first.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        return None
    # closure(x=x, y=y) keeps its batch in default values, and has no place for a flag
    return "position" if first.default is inspect.Parameter.empty or isinstance(first.default, bool) else None


def _scalar(value: Any) -> torch.Tensor:
    """Return what a closure has returned as a tensor of shape `()`.

    Raises:
        ShapeError: if it is no single number.
    """
    if isinstance(value, torch.Tensor):
        if value.numel() == 1:
            return value.detach().reshape(())
        got, cure = f"shape {tuple(value.shape)}", "reduce it by .mean() or .sum()"
    else:
        got, cure = type(value).__name__, "end it with `return loss`"
        try:
            return torch.tensor(float(value), dtype=torch.float64, device="cpu")
        except (TypeError, ValueError):
            pass
    raise ShapeError(f"the closure must return the loss, one number, got {got}: {cure}")
