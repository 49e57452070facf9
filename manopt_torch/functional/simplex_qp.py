r"""Small quadratic programs on the simplex, one for each problem of a batch.

$$\min_\lambda \tfrac12 \lambda^\top G \lambda + c^\top \lambda \quad\text{such that}\quad \lambda \ge 0,\;
\textstyle\sum_j \lambda_j = 1$$

with a positive semidefinite $G$, which may be singular: this is how bundle methods combine their subgradients.
"""

import torch
from torch.nn.functional import pad

from manopt_torch.functional.masked import any_active

# Weight of the proximal term relative to the diagonal of G: large enough for a factorisation in spite of
# rounding, small enough that a Newton step leaves next to nothing of the residual in the range of G.
_PROXIMAL = 1e-10
# Kernels that solve triangular systems round by where in a line of memory a matrix starts, which depends on its place
# in the batch: so matrices fill whole lines, 64 bytes or 8 numbers.
_LINE = 8
# What rounding may leave in a gradient, relative to the sizes of its terms: sums of up to a hundred of them.
_ROUNDING = 2e-14


def simplex_qp(
    G: torch.Tensor,  # shape: (*batch, m, m)
    c: torch.Tensor,  # shape: (*batch, m)
    *,
    usable: torch.Tensor | None = None,  # shape: (*batch, m), bool
    start: torch.Tensor | None = None,  # shape: (*batch, m)
    active: torch.Tensor | None = None,  # shape: (*batch,), bool
    max_rounds: int | None = None,
) -> torch.Tensor:
    r"""Return the minimiser of $\tfrac12 \lambda^\top G \lambda + c^\top \lambda$ on the simplex, shape `(*batch, m)`.

    A primal active set method: in each round a problem takes a Newton step in its free variables, up to the first that
    becomes zero; where none is left to take, the variable with the most negative multiplier is freed. Each Newton
    step is made with a small proximal term, so that it exists also for a singular $G$ and follows a direction without
    curvature as far as the simplex goes; the term vanishes at the solution.

    Args:
        G: symmetric positive semidefinite matrices; the lower triangle counts.
        c: the linear terms.
        usable: the variables that may differ from zero, at least one; None is all of them.
        start: a point of the simplex to start from, in a run that solves many similar problems the former solution;
            None, or a problem whose start is zero, is the best vertex.
        active: the problems to solve; None is all. The others, and those with NaN, return their start.
        max_rounds: bound on the rounds; None is $4 m + 20$. A problem that has not finished by then returns a point
            of the simplex with a lower value than its start.

    References:
        [NocedalWright:2006], algorithm 16.3.

    Examples:
        >>> import torch
        >>> simplex_qp(torch.eye(3, dtype=torch.float64), torch.tensor([0.0, 0.0, 2.0], dtype=torch.float64))
        tensor([0.5000, 0.5000, 0.0000], dtype=torch.float64)
    """
    size = c.shape[-1]
    usable = torch.ones_like(c, dtype=torch.bool) if usable is None else usable
    if size % _LINE:
        G, c, usable, start = _padded(G, c, usable, start)
    G, c = torch.where(_pairs(usable), G, 0.0), torch.where(usable, c, 0.0)
    weights = _first(G, c, usable, start)
    sizes, offsets = G.abs(), c.abs()
    # in units of each diagonal entry, since these may differ by any number of digits
    diagonal = G.diagonal(dim1=-2, dim2=-1)
    proximal = _PROXIMAL * torch.where(diagonal > 0, diagonal, 1.0)
    running = torch.isfinite(G.sum((-2, -1)) + c.sum(-1))
    running = running if active is None else running & active
    free = weights > 0
    bound = 4 * size + 20 if max_rounds is None else max_rounds
    for _ in range(bound):
        gradient = (G * weights.unsqueeze(-2)).sum(-1) + c
        rounding = _ROUNDING * ((sizes * weights.unsqueeze(-2)).sum(-1) + offsets)
        rounding = rounding + (weights * rounding).sum(-1, keepdim=True)
        above = gradient - (weights * gradient).sum(-1, keepdim=True)
        unsettled = (free & (above.abs() > rounding)).any(-1)
        pull, place = torch.where(free, -torch.inf, -above - rounding).where(usable, -torch.inf).max(-1)
        entering = ~unsettled & (pull > 0)
        running = running & (unsettled | entering)
        if not any_active(running):
            break
        free = free | (_one_hot(place, c.shape[-1]) & (running & entering).unsqueeze(-1))
        step, proximal = _newton_step(G, above, free, proximal)
        moved, still = _moved(weights, step, _exact(G, above, step), free)
        weights = torch.where(running.unsqueeze(-1), moved, weights)
        free = torch.where(running.unsqueeze(-1), still, free)
    return weights[..., :size]


def _padded(
    G: torch.Tensor, c: torch.Tensor, usable: torch.Tensor, start: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Add variables that are not usable, up to a multiple of a line."""
    more = -c.shape[-1] % _LINE
    G, c, usable = pad(G, (0, more, 0, more)), pad(c, (0, more)), pad(usable, (0, more))
    return G, c, usable, None if start is None else pad(start, (0, more))


def _first(G: torch.Tensor, c: torch.Tensor, usable: torch.Tensor, start: torch.Tensor | None) -> torch.Tensor:
    """Return the start, brought to the simplex; the best vertex where there is none."""
    value = torch.where(usable, 0.5 * G.diagonal(dim1=-2, dim2=-1) + c, torch.inf)
    best = _one_hot(value.argmin(-1), c.shape[-1]).to(c.dtype)
    if start is None:
        return best
    kept = torch.where(usable, start.clamp(min=0.0), 0.0)
    total = kept.sum(-1, keepdim=True)
    return torch.where(total > 0, kept / total, best)


def _pairs(mask: torch.Tensor) -> torch.Tensor:
    return mask.unsqueeze(-1) & mask.unsqueeze(-2)


def _one_hot(index: torch.Tensor, size: int) -> torch.Tensor:
    return torch.arange(size, device=index.device) == index.unsqueeze(-1)


def _newton_step(
    G: torch.Tensor,  # shape: (*batch, m, m)
    above: torch.Tensor,  # shape: (*batch, m)
    free: torch.Tensor,  # shape: (*batch, m)
    proximal: torch.Tensor,  # shape: (*batch, m)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the Newton step of sum zero in the free variables, and the proximal weight of the next round.

    The free variable of least curvature takes what the others leave: so the matrix is that of the differences to it,
    whatever the ratio of the curvatures. `above` is the gradient less a multiple of ones, which changes nothing.
    """
    base = _one_hot(torch.where(free, G.diagonal(dim1=-2, dim2=-1), torch.inf).argmin(-1), G.shape[-1])
    moving = free & ~base
    to_base = torch.where(base.unsqueeze(-2), G, 0.0).sum(-1, keepdim=True)
    K = G - to_base - to_base.mT + torch.where(base.unsqueeze(-1), to_base, 0.0).sum(-2, keepdim=True)
    K = torch.where(_pairs(moving), K, 0.0)
    K.diagonal(dim1=-2, dim2=-1).add_(torch.where(moving, proximal, 1.0))
    factor, info = torch.linalg.cholesky_ex(K)
    down = torch.where(moving, torch.where(base, above, 0.0).sum(-1, keepdim=True) - above, 0.0)
    step = torch.cholesky_solve(down.unsqueeze(-1), factor).squeeze(-1)
    step = torch.where(base, -step.sum(-1, keepdim=True), step)
    # the matrix is positive definite but for rounding: where that was too much for the proximal term, it grows
    failed = (info > 0).unsqueeze(-1)
    return torch.where(failed | ~free, 0.0, step), torch.where(failed, 100.0 * proximal, proximal)


def _exact(G: torch.Tensor, above: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Return the factor of the step that minimises along it, shape `(*batch, 1)`; infinity if it has no curvature.

    Next to a full step it matters where the slope is small and the curvature is that of the proximal term alone.
    """
    slope = -(above * step).sum(-1, keepdim=True)
    curvature = (step * (G * step.unsqueeze(-2)).sum(-1)).sum(-1, keepdim=True)
    return torch.where(curvature > 0, slope / curvature, torch.inf)


def _moved(
    weights: torch.Tensor,  # shape: (*batch, m)
    step: torch.Tensor,  # shape: (*batch, m)
    factor: torch.Tensor,  # shape: (*batch, 1)
    free: torch.Tensor,  # shape: (*batch, m)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weights after the longest part of the step that the simplex allows, and the variables still free."""
    reach = torch.where(step < 0, weights / -step, torch.inf)
    share = torch.minimum(reach.amin(-1, keepdim=True), factor)
    blocked = (step < 0) & (reach <= share)
    moved = torch.where(blocked | (step == 0), torch.where(blocked, 0.0, weights), weights + share * step)
    moved = moved.clamp(min=0.0)
    return moved / moved.sum(-1, keepdim=True), free & ~blocked
