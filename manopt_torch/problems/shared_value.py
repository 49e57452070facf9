"""What cost, gradient and Hessian have in common, computed once a point."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import is_grad_enabled

from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import OptionsError
from manopt_torch.linalg.known_value import is_watched
from manopt_torch.manifolds.points import leaves


class _Known(NamedTuple):
    """A value, and what it was computed from."""

    given: tuple[Any, ...]
    versions: list[int]
    tracked: bool
    value: Any


class SharedValue(KnownKeywords):
    r"""A function of the point that keeps its last two values, for what the callables of a problem share.

    Where derivatives are given by formulas, these often begin with the same product as the cost, such as $A x$ for
    $f(x) = x^\top A x$ and $\nabla f(x) = 2 A x$. Solvers ask for the gradient and for Hessians at a point that the
    cost has been evaluated at, the last one or, where a search has gone too far, the one before.

    A value is taken for that of the arguments it was computed from: the same objects, not written into since, asked for
    with derivatives tracked or not as before. Inside `torch.func` transforms, `torch.compile` and tracing nothing is
    kept. Copies and pickles leave the values behind.

    Args:
        function: what is computed, `function(x, *data)`; it must not depend on anything that changes.

    Raises:
        OptionsError: if the function is not callable.

    Examples:
        >>> import torch
        >>> from manopt_torch import GradientProblem, SharedValue, Sphere, conjugate_gradient
        >>> a = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
        >>> product = SharedValue(lambda x: x @ a)
        >>> cost, egrad = lambda x: (x * product(x)).sum(-1), lambda x: 2 * product(x)
        >>> x = torch.tensor([0.6, 0.48, 0.64], dtype=torch.float64)
        >>> conjugate_gradient(Sphere(3), cost, x, euclidean_gradient=egrad).abs().round(decimals=6)
        tensor([0., 0., 1.], dtype=torch.float64)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function) or isinstance(function, type):
            raise OptionsError(f"SharedValue: function must be callable as (x, *data), got {function!r}")
        self._function = function
        self._kept: tuple[_Known, ...] = ()  # the last one first

    def __call__(self, x: Any, *data: Any) -> Any:
        """Return the value of the function, computed anew unless it is kept."""
        given, tracked = (x, *data), is_grad_enabled()
        try:
            versions = [leaf._version for part in given for leaf in leaves(part)]
        except (AttributeError, RuntimeError):  # numbers among the data, or tensors of inference mode
            return self._function(*given)
        if is_watched():
            return self._function(*given)
        kept = self._kept  # read once, as another thread may write
        for known in kept:
            if known.versions == versions and known.tracked == tracked and _are_same(known.given, given):
                return known.value
        value = self._function(*given)
        self._kept = (_Known(given, versions, tracked, value), *kept[:1])
        return value

    def __repr__(self) -> str:
        return f"SharedValue({getattr(self._function, '__qualname__', type(self._function).__name__)})"

    def __getstate__(self) -> dict[str, Any]:
        """Leave the values behind in copies: they may hold graphs, and belong to points of the original."""
        return {**vars(self), "_kept": ()}


def _are_same(old: tuple[Any, ...], new: tuple[Any, ...]) -> bool:
    return len(old) == len(new) and all(a is b for a, b in zip(old, new, strict=True))
