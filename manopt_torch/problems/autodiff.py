"""Derivatives by automatic differentiation: one backward pass, at the least overhead torch allows.

Eager loops use `torch.autograd`, a third of the cost of `torch.func.grad` for a small step. `backward` calls the
engine directly where torch exposes it (15 microseconds instead of 21) and `torch.autograd.grad` elsewhere.
"""

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import torch

from manopt_torch.errors import MissingDerivativeError
from manopt_torch.manifolds.points import leaves, map_leaves

P = ParamSpec("P")
R = TypeVar("R")

# a private entry of torch; None where it is missing
_engine = getattr(getattr(torch.autograd.Variable, "_execution_engine", None), "run_backward", None)
_set_grad_enabled = getattr(torch._C, "_set_grad_enabled", None)
_any_autocast: Any = getattr(torch._C, "_is_any_autocast_enabled", lambda: True)
# where torch may be asked to compute with fewer digits
_AUTOCAST = ("cpu", "cuda", "mps", "xpu")
_nothing = nullcontext()


class grad_mode:  # noqa: N801  (used as a statement, like torch.enable_grad)
    """Switch grad mode for a block, at a quarter of the cost of `torch.enable_grad` and `torch.no_grad`."""

    __slots__ = ("_former", "_mode")

    def __init__(self, mode: bool) -> None:
        self._mode = mode

    def __enter__(self) -> None:
        self._former = torch.is_grad_enabled()
        (_set_grad_enabled or torch.set_grad_enabled)(self._mode)

    def __exit__(self, *exc: object) -> None:
        (_set_grad_enabled or torch.set_grad_enabled)(self._former)


def full_precision() -> Any:
    """Return a context without `torch.autocast`: points keep their dtype, and stay on their manifold."""
    if not _any_autocast():
        return _nothing
    stack = ExitStack()
    for kind in filter(torch.amp.autocast_mode.is_autocast_available, _AUTOCAST):
        if torch.is_autocast_enabled(kind):
            stack.enter_context(torch.autocast(kind, enabled=False))
    return stack


def in_full_precision(fn: Callable[P, R]) -> Callable[P, R]:
    """Let a function take no notice of `torch.autocast` around it."""

    @wraps(fn)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        with full_precision():
            return fn(*args, **kwargs)

    return called


class Value:
    """Call a user's function for its value alone, without grad mode unless it takes derivatives inside.

    A physics-informed loss does, with derivatives of a network by its inputs. It is known by the error that it raises
    without grad mode, and from then on called with it.
    """

    __slots__ = ("takes_derivatives",)

    def __init__(self) -> None:
        self.takes_derivatives = False

    def __call__(self, fn: Any, *args: Any) -> Any:
        """Return `fn(*args)`."""
        if not self.takes_derivatives:
            try:
                return fn(*args)
            except RuntimeError as error:
                if torch.is_grad_enabled() or "not require grad" not in str(error):
                    raise
                self.takes_derivatives: bool = True
        with grad_mode(True):
            value = fn(*args)
        return value.detach() if isinstance(value, torch.Tensor) else value


def tracked(x: Any) -> Any:
    """Return a copy of the point's tensors that records a graph; the data are shared, `x` is untouched."""
    if isinstance(x, torch.Tensor):
        return x.detach().requires_grad_()
    return map_leaves(lambda leaf: leaf.detach().requires_grad_(), x)


def backward(
    value: torch.Tensor,  # shape: (*batch,), or that of `weight`
    x: Any,
    weight: torch.Tensor | None = None,
    *,
    keep_graph: bool = False,
    create_graph: bool = False,
) -> Any:
    """Return the derivative of `sum(weight * value)` with respect to the tracked point `x`.

    Args:
        value: result of a computation on `x`, one number a problem; problems do not mix, so their derivatives do
            not either.
        x: tracked point, a tensor or a tuple of tensors.
        weight: cotangent; ones if None.
        keep_graph: whether further backward passes through the same graph follow.
        create_graph: whether the derivative is to be differentiated again (implies `keep_graph`).

    Raises:
        MissingDerivativeError: if `value` does not depend on `x` through torch operations.
    """
    if not value.requires_grad:
        if torch.is_inference_mode_enabled():
            raise MissingDerivativeError("nothing can be differentiated under torch.inference_mode: use torch.no_grad")
        raise MissingDerivativeError(
            "the cost does not depend on its point through torch operations, so it cannot be differentiated: avoid "
            ".detach(), .item() and NumPy inside it, or pass gradient="
        )
    if weight is None:
        weight = _one(value.dtype, value.device)
        if value.dim():
            weight = weight.expand(value.shape)
    found = _run((value,), (weight,), x, keep_graph or create_graph, create_graph)
    if found[0] is not None and isinstance(x, torch.Tensor):
        return found[0]
    return _by_leaf(found, x)


def products(
    values: tuple[torch.Tensor, ...],
    weights: tuple[torch.Tensor, ...],  # shapes: those of the values
    x: Any,
) -> Any:
    """Return the derivative of `sum(weights * values)` with respect to `x` in one pass that keeps the graph."""
    return _by_leaf(_run(values, weights, x, True, False), x)


def _run(values: tuple[Any, ...], weights: tuple[Any, ...], x: Any, keep: bool, create: bool) -> Any:
    inputs = (x,) if isinstance(x, torch.Tensor) else tuple(leaves(x))
    if _engine is None:
        return torch.autograd.grad(values, inputs, weights, retain_graph=keep, create_graph=create, allow_unused=True)
    return _engine(values, weights, keep, create, inputs, allow_unreachable=True, accumulate_grad=False)


def _by_leaf(found: Any, x: Any) -> Any:
    """Give derivatives the structure of the point; a tensor that nothing depends on has derivative zero."""
    if isinstance(x, torch.Tensor):
        return torch.zeros_like(x) if found[0] is None else found[0]
    rest = iter(found)

    def next_or_zero(leaf: torch.Tensor) -> torch.Tensor:
        g = next(rest)
        return torch.zeros_like(leaf) if g is None else g

    return map_leaves(next_or_zero, x)


@cache
def _one(dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.ones((), dtype=dtype, device=device)
