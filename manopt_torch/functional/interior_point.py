r"""One Newton step of an interior point method, in coordinates of the tangent space.

The conditions of Karush, Kuhn and Tucker with slacks $s$ are $F = 0$ for

$$F(x, \mu, \lambda, s) = \bigl(\operatorname{grad} f + G'\mu + H'\lambda,\; h,\; g + s,\; \mu \circ s\bigr)$$

with the Jacobians $G$ and $H$ of the constraints. Newton's equation, with $\mu \circ s = \beta$ for 0 in the last line,
is solved for the steps of $x$ and $\lambda$; those of $s$ and $\mu$ follow.
"""

from typing import Any, NamedTuple

import torch

from manopt_torch.manifolds.base import Manifold

# a step shorter than this was cut, and the largest share of the mean product that the next one may aim at
_SHORTENED, _MOST_CENTRED = 0.9, 0.95


class KKTSystem(NamedTuple):
    """Derivatives at a point, in an orthonormal basis of its tangent space with n vectors."""

    hessian: torch.Tensor  # of the Lagrangian, shape (*batch, n, n)
    gradient: torch.Tensor  # of the Lagrangian, shape (*batch, n)
    G: torch.Tensor  # shape (*batch, m, n)
    H: torch.Tensor  # shape (*batch, k, n)
    g: torch.Tensor  # shape (*batch, m)
    h: torch.Tensor  # shape (*batch, k)
    mu: torch.Tensor  # shape (*batch, m), positive
    s: torch.Tensor  # shape (*batch, m), positive


class KKTStep(NamedTuple):
    """What Newton's equation has to say about each of the unknowns."""

    xi: Any  # shape (*batch, n), or a tangent vector
    mu: torch.Tensor  # shape (*batch, m)
    lam: torch.Tensor  # shape (*batch, k)
    s: torch.Tensor  # shape (*batch, m)


class Iterate(NamedTuple):
    """A point with its multipliers and slacks, and what decides on it."""

    known: dict[str, Any]  # by the names of the state fields
    residual: Any  # squared norm of F
    least: Any  # the smallest product of multiplier and slack
    total: Any  # the sum of all


def weighed(lane: Any, M: Manifold, known: dict[str, Any], g: torch.Tensor, h: torch.Tensor) -> Iterate:
    """Add the squared norm of F and the products of multipliers and slacks to what is known of a point.

    Args:
        lane: the lane of the run.
        M: the manifold.
        known: the point with its multipliers and slacks, and the gradient of the Lagrangian there.
        g: the inequalities, shape `(*batch, m)`.
        h: the equations, shape `(*batch, k)`.
    """
    u, s = known["lagrangian_gradient"], known["slacks"]
    products = known["inequality_multipliers"] * s
    squares = h.square().sum(-1) + (g + s).square().sum(-1) + products.square().sum(-1)
    least = torch.nn.functional.pad(products, (0, 1), value=torch.inf).amin(-1)
    residual = lane.scalar(M.inner(known["x"], u, u) + squares)
    return Iterate(known, residual, lane.scalar(least), lane.scalar(products.sum(-1)))


def centring(lane: Any, residual: Any, last_stepsize: Any) -> Any:
    r"""Return the share of the mean product that a step aims at: $\lVert F\rVert^{1/2}$, a half at most.

    After a step that had to be shortened it is a half or more. Where slack and multiplier vanish together, a step
    quarters their product at best; if the others fell faster, ever shorter steps would be needed to wait for it.

    Args:
        lane: the lane of the scalars.
        residual: the squared norm of $F$.
        last_stepsize: the length of the last step, None at the first.
    """
    share = lane.min(lane.sqrt(lane.sqrt(residual)), 0.5)
    if last_stepsize is None:
        return share
    cautious = lane.max(lane.min(1.0 - last_stepsize, _MOST_CENTRED), 0.5)
    return lane.where(last_stepsize < _SHORTENED, cautious, share)


def reduced_matrix(at: KKTSystem) -> torch.Tensor:
    """Return the symmetric matrix of the equation for the steps of x and of lambda, shape `(*batch, n + k, n + k)`."""
    # sums, not products of matrices, whose rounding may depend on the size of the batch
    bent = ((at.mu / at.s).unsqueeze(-1).unsqueeze(-1) * at.G.unsqueeze(-1) * at.G.unsqueeze(-2)).sum(-3)
    none = at.h.new_zeros((*at.h.shape, at.h.shape[-1]))
    return torch.cat([torch.cat([at.hessian + bent, at.H.mT], -1), torch.cat([at.H, none], -1)], -2)


def reduced_right_side(
    at: KKTSystem,
    beta: torch.Tensor,  # shape: (*batch,)
) -> torch.Tensor:
    """Return the right-hand side of the same equation, shape `(*batch, n + k)`."""
    pull = ((beta.unsqueeze(-1) + at.mu * at.g) / at.s).unsqueeze(-1)
    return torch.cat([-at.gradient - (pull * at.G).sum(-2), -at.h], -1)


def expanded(
    at: KKTSystem,
    beta: torch.Tensor,  # shape: (*batch,)
    solution: torch.Tensor,  # shape: (*batch, n + k)
) -> KKTStep:
    """Return the steps of all unknowns from those of x and lambda."""
    n = at.gradient.shape[-1]
    xi = solution[..., :n]
    along = (at.G * xi.unsqueeze(-2)).sum(-1)
    return completed(at, beta, xi, solution[..., n:], along)


def dense_step(
    lane: Any,
    M: Manifold,
    x: Any,
    at: KKTSystem,
    beta: torch.Tensor,  # shape: (*batch,)
    active: Any,
) -> KKTStep:
    """Solve Newton's equation by a factorisation; where its matrix is singular, as well as possible.

    Args:
        lane: the lane of the run.
        M: the manifold.
        x: the point.
        at: the derivatives there.
        beta: what the products of multiplier and slack are to be.
        active: the problems whose solution matters.
    """
    A, b = reduced_matrix(at), reduced_right_side(at, beta)
    solution = solve_or_nan(A, b)
    # so long a solution is made of vectors that the matrix takes to rounding errors
    longest = lane.size(b) * (1 / _noise(A))
    singular = lane.not_(lane.size(A) * lane.size(solution) <= longest) & active
    if lane.any(singular):
        solution = lane.pick(singular, shortest_solution(A, b), solution)
    step = expanded(at, beta, solution)
    return step._replace(xi=M.from_coordinates(x, step.xi))


def completed(
    at: Any,
    beta: torch.Tensor,  # shape: (*batch,)
    xi: Any,
    lam: torch.Tensor,  # shape: (*batch, k)
    along: torch.Tensor,  # shape: (*batch, m)
) -> KKTStep:
    """Add the steps of multipliers and slacks to those of x and lambda, where G xi is `along`."""
    mu = (beta.unsqueeze(-1) + at.mu * (at.g + along)) / at.s
    return KKTStep(xi, mu, lam, -(at.g + at.s) - along)


def solve_or_nan(
    A: torch.Tensor,  # shape: (*batch, n, n)
    b: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    """Return the solution of `A x = b`; not finite where the matrix is singular."""
    x = torch.linalg.solve_ex(A, b.unsqueeze(-1))[0].squeeze(-1)
    return torch.where(torch.isfinite(x).all(-1, keepdim=True), x, torch.nan)


def shortest_solution(
    A: torch.Tensor,  # shape: (*batch, n, n), symmetric
    b: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    """Return the shortest vector for which `A x` is closest to `b`."""
    values, vectors = torch.linalg.eigh(torch.nan_to_num(A, posinf=0.0, neginf=0.0))
    size = values.abs()
    kept = size > _noise(A) * size.amax(-1, keepdim=True)
    inverse = torch.where(kept, 1 / values.where(kept, 1.0), 0.0)
    return (vectors * (inverse * (vectors * b.unsqueeze(-1)).sum(-2)).unsqueeze(-2)).sum(-1)


def _noise(A: torch.Tensor) -> float:
    """Return the share of the largest eigenvalue that may be rounding error."""
    return 8 * A.shape[-1] * torch.finfo(A.dtype).eps


def longest_step(
    value: torch.Tensor,  # shape: (*batch, m), positive
    change: torch.Tensor,  # shape: (*batch, m)
) -> torch.Tensor:
    """Return the largest factor for which `value + factor * change` is not negative, shape `(*batch,)`."""
    factor = torch.where(change < 0, value / -change, torch.inf).where(torch.isfinite(change), torch.nan)
    return torch.nn.functional.pad(factor, (0, 1), value=torch.inf).amin(-1)
