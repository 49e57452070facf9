"""What residuals must be like, and weights and loss for them: errors that say what came and what to do."""

from typing import Any

import torch

from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.problems.weighting import block_size


def check_residuals(
    r: Any,
    batch: tuple[int, ...],
    dtype: torch.dtype,  # of the real coordinates of the point
    weights: torch.Tensor | None,
    loss: Any,
) -> None:
    """Raise unless `r` holds at least one residual for each problem, of the point's dtype, and weights and loss fit.

    Raises:
        OptionsError: if the residuals have another dtype.
        ShapeError: if they are no tensor, or shapes do not fit.
    """
    if not isinstance(r, torch.Tensor):
        raise ShapeError(
            f"the residuals must be a tensor of shape {(*batch, 'm')}, got {type(r).__name__}: torch.stack(parts, -1) "
            "makes one of several, torch.as_tensor(r) one of an array"
        )
    if r.dim() != len(batch) + 1 or tuple(r.shape[:-1]) != batch:
        raise ShapeError(
            f"the residuals must have shape (*batch, m), here {(*batch, 'm')}, got {tuple(r.shape)}: flatten what "
            "one problem returns to a single axis, or pass vectorized=False for residuals written for one point"
        )
    if r.shape[-1] == 0:
        raise ShapeError("there are no residuals (m = 0): nothing can be fitted")
    if r.is_complex():
        raise ShapeError("the residuals are complex: return torch.view_as_real(r).flatten(-2)")
    if r.dtype != dtype:
        raise OptionsError(
            f"the residuals are {r.dtype} where the point is {dtype}: convert the start, or the data, so that both are "
            "of one floating dtype"
        )
    if r.shape[-1] % block_size(loss):
        raise ShapeError(f"{r.shape[-1]} residuals cannot be divided into the blocks of {block_size(loss)} of {loss!r}")
    blocks = r.shape[-1] // block_size(loss)
    fitting = [(blocks,), (*batch, blocks)] if batch else [(blocks,)]
    if weights is not None and tuple(weights.shape) not in fitting:
        wanted = " or ".join(str(shape) for shape in fitting)
        raise ShapeError(f"weights must have shape {wanted}, got {tuple(weights.shape)}")
