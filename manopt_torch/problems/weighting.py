r"""Weights and robust losses: the cost of residuals, and the plain least-squares problem that stands for it nearby."""

from typing import Any

import torch

from manopt_torch._host import first_failures
from manopt_torch.errors import OptionsError
from manopt_torch.functional.triggs import correct, squared_blocks


def total(
    r: torch.Tensor,  # shape: (*batch, m)
    weights: torch.Tensor | None,  # shape: (m,) or (*batch, m); one for each block if the loss has blocks
    loss: Any,
    factor: float = 0.5,
) -> torch.Tensor:
    r"""Return $\frac12 \sum_i w_i \rho(r_i^2)$, or the sum times another factor, shape `(*batch,)`."""
    value = r * r if loss is None else loss.rho(squared_blocks(r, block_size(loss)))[0]
    if weights is not None:
        value = value * weights.to(r.dtype)
    value = value.sum(-1)
    return value if factor == 1.0 else factor * value


def corrected(
    r: torch.Tensor,  # shape: (*batch, m)
    J: torch.Tensor,  # shape: (*batch, m, n)
    weights: torch.Tensor | None,
    loss: Any,
    *,
    strict: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return $\tilde r, \tilde J$: $\tilde J' \tilde r$ is the gradient, $\tilde J' \tilde J$ models the Hessian.

    Unless `strict`, with the curvature of a loss that bends down, see `triggs_factors`.
    """
    if loss is not None:
        size = block_size(loss)
        _, first, second = loss.rho(squared_blocks(r, size))
        r, J = correct(r, J, first, second, size, strict=strict)
    if weights is None:
        return r, J
    root = weights.to(r.dtype).sqrt()
    if block_size(loss) > 1:
        root = root.repeat_interleave(block_size(loss), -1)
    return r * root, J * root.unsqueeze(-1)


def block_size(loss: Any) -> int:
    """Return how many consecutive residuals count as one."""
    return getattr(loss, "block_size", 1)


def checked_robust_loss(loss: Any) -> Any:
    """Return the loss; raise an OptionsError unless it is an object with a method `rho`."""
    if isinstance(loss, type) or not callable(getattr(loss, "rho", None)):
        got = f"the class {loss.__name__}: call it" if isinstance(loss, type) else repr(loss)
        raise OptionsError(f"LeastSquaresProblem: loss must have a method rho(s), as HuberLoss() has, got {got}")
    return loss


def checked_weights(weights: Any) -> torch.Tensor:
    """Raise unless weights are non-negative numbers of which each problem has a positive one."""
    if not isinstance(weights, torch.Tensor) or weights.dim() < 1 or not weights.is_floating_point():
        given = isinstance(weights, torch.Tensor)
        got = f"{tuple(weights.shape)} of {weights.dtype}" if given else type(weights).__name__
        raise OptionsError(f"LeastSquaresProblem: weights must be a float tensor (m,) or (*batch, m), got {got}")
    failures = first_failures((torch.isfinite(weights) & (weights >= 0)).all(-1))
    if failures:
        where = "" if failures == [()] else f" at batch indices {failures}"
        raise OptionsError(f"LeastSquaresProblem: weights must be finite and at least 0; they are not{where}")
    failures = first_failures((weights > 0).any(-1))
    if failures:
        where = "" if failures == [()] else f" at batch indices {failures}"
        raise OptionsError(f"LeastSquaresProblem: all weights are zero{where}: there is nothing to minimise")
    return weights
