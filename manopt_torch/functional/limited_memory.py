"""The inverse BFGS operator of a few pairs of vectors, as pure functions of a lane."""

from collections.abc import Callable
from typing import Any

import torch

from manopt_torch._typing import Scalar
from manopt_torch.functional.masked import Lane
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import map_shaped, new_axis, rebuild


def empty_memory(
    M: Manifold,
    x: Any,  # shape: (*batch, *point_shape)
    size: int,
) -> Any:
    """Return a memory of tangent vectors at `x` without any: zeros of shape `(*batch, size, *point_shape)`."""

    def zeros(ndim: int, leaf: torch.Tensor) -> torch.Tensor:
        shape = tuple(leaf.shape)
        return leaf.new_zeros((*shape[: leaf.dim() - ndim], size, *shape[leaf.dim() - ndim :]))

    return map_shaped(zeros, M.point_shape, x)


def pushed(M: Manifold, memory: Any, newest: Any) -> Any:
    """Return the memory with a new vector at its end and without its oldest one."""

    def push(ndim: int, held: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        axis = new.dim() - ndim
        return torch.cat([held.narrow(axis, 1, held.shape[axis] - 1), new.unsqueeze(axis)], axis)

    return map_shaped(push, M.point_shape, memory, newest)


def two_loop(
    M: Manifold,
    lane: Lane,
    x: Any,
    q: Any,
    steps: Any,  # shape: (*batch, m, *point_shape)
    changes: Any,  # shape: (*batch, m, *point_shape)
    used: int,
    initial: Callable[[Any, Scalar], Any],
) -> Any:
    r"""Apply the inverse BFGS operator of the pairs $(s_k, y_k)$ to a tangent vector `q`.

    The operator comes from $H \leftarrow V_k^* H V_k + \rho_k s_k \langle s_k, \cdot\rangle$ with
    $V_k = I - \rho_k y_k \langle s_k, \cdot\rangle$ and $\rho_k = 1 / \langle s_k, y_k\rangle$, from the oldest pair
    to the newest. All products are taken at `x`, so it is positive whatever transports have done to the vectors; a
    pair without positive curvature there (zeros, say) has no part in it.

    Args:
        M: the manifold.
        lane: the lane of the run.
        x: the point.
        q: a tangent vector there.
        steps: the $s_k$, newest last.
        changes: the $y_k$, newest last.
        used: how many of the newest slots may hold a pair in any problem.
        initial: applies the operator that the pairs correct; called with a vector and the ratio
            $\langle s, y\rangle / \langle y, y\rangle$ of the newest pair, 1 where there is none.

    References:
        [Nocedal:1980]; [NocedalWright:2006], algorithm 7.4; [HuangGallivanAbsil:2015].
    """
    if not used:
        return initial(q, lane.full(1.0))
    axis = len(lane.shape)
    products = M.inner(new_axis(x, M.point_shape), steps, changes)
    positive = products > 0
    reciprocals = positive.to(products.dtype) / torch.where(positive, products, 1.0)
    s, y = _slots(steps, axis, used), _slots(changes, axis, used)
    rho = [lane.scalar(part) for part in reciprocals.unbind(-1)[-used:]]
    shares: list[Scalar] = []
    inner = M.inner_at(x)
    for k in reversed(range(used)):
        share = rho[k] * lane.scalar(inner(s[k], q))
        q = lane.axpy(q, -share, y[k])
        shares.append(share)
    squared = lane.scalar(inner(y[-1], y[-1]))
    known: Any = rho[-1] > 0.0
    ratio: Any = lane.where(known, rho[-1] * squared, 1.0)
    r = initial(q, lane.div(1.0, ratio))
    for k, share in zip(range(used), reversed(shares), strict=True):
        r = lane.axpy(r, share - rho[k] * lane.scalar(inner(y[k], r)), s[k])
    return r


def _slots(memory: Any, axis: int, used: int) -> list[Any]:
    """List the newest vectors of a memory, each a tangent vector of its own."""
    if isinstance(memory, torch.Tensor):
        return list(memory.unbind(axis)[-used:])
    return [rebuild(memory, parts) for parts in zip(*(_slots(part, axis, used) for part in memory), strict=True)]
