"""Values that are known already: with the derivatives of what would compute them again, or where none is asked for."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, is_grad_enabled
from torch.autograd import forward_ad
from torch.compiler import is_dynamo_compiling

from manopt_torch._host import host_read


def with_value(
    differentiable: Tensor,  # shape: any
    value: Tensor,  # the same, without derivatives
) -> Tensor:
    """Return `value` in all its bits with the derivatives of `differentiable`, which may differ from it by rounding.

    Examples:
        >>> x = torch.tensor(2.0, requires_grad=True)
        >>> y = with_value(x * x, torch.tensor(4.0))
        >>> y.item(), torch.autograd.grad(y, x)[0].item()
        (4.0, 4.0)
    """
    return value + (differentiable - differentiable.detach())


# private entries of torch; None where they are missing
_count_of_modes: Any = getattr(torch._C, "_len_torch_dispatch_stack", None)
_innermost_transform: Any = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", None)
_is_tracing: Any = getattr(torch._C, "_is_tracing", None)
_can_tell = None not in (_count_of_modes, _innermost_transform, _is_tracing) and hasattr(forward_ad, "_current_level")


class OfLastMatrix:
    """A function of a matrix that remembers the last value: an iteration asks for the factors of its point many times.

    A lone matrix is compared with the last one entry by entry, which takes a thirtieth of the time that factors of a
    small matrix take; so it does not matter how it came to be the same, or another. What belongs to a batch is computed
    each time, and so is what belongs to a matrix whose entries cannot be read or are being recorded.

    Args:
        function: what is computed; it must not depend on anything but the matrix. Copies and pickles keep it and leave
            the value behind.

    Examples:
        >>> inverse, X = OfLastMatrix(torch.inverse), 4 * torch.eye(2)
        >>> with torch.no_grad():
        ...     inverse(X) is inverse(X.clone())
        True
    """

    __slots__ = ("_function", "_last")

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        self._function = function
        self._last: tuple[Tensor, Any] | None = None

    def __call__(self, X: Tensor) -> Any:
        """Return the value of the function."""
        if not self.remembers(X):
            return self._function(X)
        last = self._last  # read once, as another thread may write
        if last is not None and last[0].dtype is X.dtype:
            with host_read():
                if torch.equal(last[0], X):
                    return last[1]
        value = self._function(X)
        self._last = X.clone(), value
        return value

    def remembers(self, X: Tensor) -> bool:
        """Tell whether the value for this matrix would be remembered."""
        return X.dim() == 2 and can_be_read(X)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._function,)


def can_be_read(X: Tensor) -> bool:
    """Tell whether the entries of a tensor are there to be read at no cost, and nobody records what is done to them.

    That is a plain tensor on the CPU, outside derivatives, `torch.func`, tracing and compilation.
    """
    return type(X) is Tensor and X.is_cpu and not (is_grad_enabled() or is_watched())


def known_to_be_finite(X: Tensor) -> bool:
    """Tell whether a lone matrix can be read and is finite, which saves the care that is taken of others.

    Examples:
        >>> with torch.no_grad():
        ...     known_to_be_finite(torch.eye(2)), known_to_be_finite(torch.full((1, 1), float("nan")))
        (True, False)
    """
    if X.dim() != 2 or not can_be_read(X):
        return False
    with host_read():
        return math.isfinite(X.sum().item())


def is_watched() -> bool:
    """Tell whether somebody looks at what is computed now: a transform of `torch.func`, tracing, compilation, a mode.

    Then a tensor may stand for many, and does not outlive the moment. Derivatives by `torch.autograd` do not count.
    """
    if is_dynamo_compiling() or not _can_tell or forward_ad._current_level >= 0:
        return True
    return bool(_count_of_modes() or _innermost_transform() or _is_tracing())


def tracks_derivatives() -> bool:
    """Tell whether torch is recording for a derivative, backward or forward."""
    # -1 stands for "no forward-mode level"; torch without that name counts as recording
    return is_grad_enabled() or getattr(forward_ad, "_current_level", 0) >= 0
