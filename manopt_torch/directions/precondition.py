"""Directions multiplied by an operator."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import from_vector, map_shaped, to_vector
from manopt_torch.plans.options import check_count, check_range


@dataclass(eq=False, repr=False)
class PreconditionedDirectionRule(DirectionRule):
    r"""Apply an approximate inverse Hessian, $d = P_x u$.

    Args:
        preconditioner: `preconditioner(x, u, *data)`, symmetric and positive, maps tangents to tangents; None is the
            problem's own.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if the preconditioner is not callable.

    References:
        [Bergmann:2022].

    Examples:
        >>> import torch
        >>> from manopt_torch import ConstantStepsize, Euclidean, StopAfterIteration, steepest_descent
        >>> weights = torch.tensor([1.0, 100.0])
        >>> rule = PreconditionedDirectionRule(lambda x, u: u / weights)
        >>> step = {"stepsize": ConstantStepsize(1.0), "direction": rule, "stop": StopAfterIteration(1)}
        >>> steepest_descent(Euclidean(2), lambda x: 0.5 * (weights * x * x).sum(-1), torch.ones(2), **step)
        tensor([0., 0.])
    """

    preconditioner: Callable[..., Any] | None = None
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the preconditioner."""
        if self.preconditioner is not None and not callable(self.preconditioner):
            raise OptionsError(
                f"PreconditionedDirectionRule: preconditioner must be callable, got {self.preconditioner!r}"
            )

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Apply the operator."""
        if self.preconditioner is None:
            return p.get_preconditioner(o.x, u)
        return self.preconditioner(o.x, u, *p.data)


@dataclass(eq=False, repr=False)
class LaplacianSmoothingRule(DirectionRule):
    r"""Smooth the direction along its entries, $(I - \sigma L)\,d = u$.

    $L$ is the periodic second difference, $(Lu)_j = u_{j-1} - 2u_j + u_{j+1}$, so that the Fourier coefficients of $u$
    are divided by $1 + 2\sigma(1 - \cos(2\pi k/n))$: the mean is kept, noise between neighbours is damped.

    Args:
        sigma: $\sigma \ge 0$.
        layerwise: whether each tensor of a point is smoothed on its own; else they are laid side by side.
        min_numel: how many entries a tensor must have to be smoothed on its own; smaller ones stay as they are.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if sigma is negative; at the start of a run, on a curved manifold.

    References:
        [OsherEtAl:2022].

    Examples:
        >>> LaplacianSmoothingRule(2.0).layerwise
        True
    """

    geometry: ClassVar[str] = "euclidean"

    sigma: float = 1.0
    layerwise: bool = True
    inner: DirectionRule | None = None
    min_numel: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range(self, "sigma", 0.0, math.inf, open_low=False)
        check_count(self, "min_numel", 1)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Divide the Fourier coefficients."""
        shape = p.M.point_shape
        if self.layerwise:
            return map_shaped(self._layer, shape, u)
        return from_vector(self._smoothed(1, to_vector(u, shape)), u, shape)

    def _layer(self, ndim: int, u: torch.Tensor) -> torch.Tensor:
        return self._smoothed(ndim, u) if math.prod(u.shape[u.dim() - ndim :]) >= self.min_numel else u

    def _smoothed(self, ndim: int, u: torch.Tensor) -> torch.Tensor:
        if not ndim:
            return u
        rows = u.flatten(-ndim).to(torch.promote_types(u.dtype, torch.float32))  # there is no transform of halves
        n = rows.shape[-1]
        k = torch.arange(n // 2 + 1, dtype=rows.dtype, device=u.device)
        divisor = 1 + 2 * self.sigma * (1 - torch.cos(2 * math.pi / n * k))
        return torch.fft.irfft(torch.fft.rfft(rows) / divisor, n=n).reshape(u.shape).to(u.dtype)
