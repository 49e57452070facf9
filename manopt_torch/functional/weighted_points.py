"""Points with weights: one more axis than single points, shape `(*batch, N, *point_shape)`."""

import math
from typing import Any

import torch

from manopt_torch._host import first_failures, uploaded
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.manifolds.validation import raise_if_off


def unit_weights(M: Manifold, x: Any, weights: torch.Tensor | None) -> torch.Tensor:
    """Return weights of sum one, shape `(*batch, N)`.

    Raises:
        ShapeError: if there is no axis of points, or the weights do not fit to it.
        OptionsError: if weights are negative or infinite, or sum to zero, or points are of integers.
        NotOnManifoldError: if a point is off the manifold.
    """
    axes = M.batch_shape(x)
    if not axes or axes[-1] == 0:
        raise ShapeError(f"expected points of shape (*batch, N, *point_shape) with N >= 1, got batch axes {axes}")
    ref = first_leaf(x)
    if not (ref.is_floating_point() or ref.is_complex()):
        raise OptionsError(f"points must be of floating point, got {ref.dtype}: convert them with x.double()")
    # NaN is no error here: a problem whose data are not finite ends with that reason
    off = torch.nan_to_num(M.off_manifold(x), nan=0.0)
    raise_if_off(M, off, M.tolerance(ref.dtype), "point", "M.project_point(z) or M.random_point()")
    if weights is None:
        return torch.full(axes, 1.0 / axes[-1], dtype=ref.dtype.to_real(), device=ref.device)
    w = uploaded(weights, ref, ref.dtype.to_real())
    if w.shape not in (axes, axes[-1:]):
        raise ShapeError(f"weights need shape {axes} or ({axes[-1]},), got {tuple(w.shape)}")
    w = w.expand(axes)
    total = w.sum(-1, keepdim=True)
    failures = first_failures((w >= 0).all(-1) & (total[..., 0] > 0) & (total[..., 0] < math.inf))
    if failures:
        where = "" if failures == [()] else f", which fails at batch indices {failures}"
        raise OptionsError(f"weights must be nonnegative and finite, and one of each problem positive{where}")
    return w / total


def check_one_each(M: Manifold, name: str, point: Any, w: torch.Tensor) -> None:
    """Raise a ShapeError unless there is one point for each problem."""
    got, wanted = M.batch_shape(point), tuple(w.shape[:-1])
    if got != wanted:
        raise ShapeError(f"{name} needs one point for each problem, batch axes {wanted}, got {got}")
