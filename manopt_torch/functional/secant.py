r"""Secant updates of symmetric matrices: the formulas of the quasi-Newton methods.

Each returns a matrix $A_+$ near $A$ with $A_+ u = v$. For a Hessian $u$ is the step $s$ and $v$ the change of the
gradient $y$, for an inverse Hessian it is the other way round.
"""

import torch


def broyden_update(
    A: torch.Tensor,  # shape: (*batch, n, n)
    u: torch.Tensor,  # shape: (*batch, n)
    v: torch.Tensor,  # shape: (*batch, n)
    phi: float | torch.Tensor,  # shape: (*batch,)
) -> torch.Tensor:
    r"""Return the update of Broyden's class,

    $$A_+ = A - \frac{A u u^\top A}{u^\top A u} + \frac{v v^\top}{u^\top v} + \phi\,(u^\top A u)\,w w^\top, \qquad
    w = \frac{v}{u^\top v} - \frac{A u}{u^\top A u}.$$

    For a Hessian $\phi = 0$ is the rule of Broyden, Fletcher, Goldfarb and Shanno, $\phi = 1$ that of Davidon,
    Fletcher and Powell; for an inverse Hessian it is the other way round.

    References:
        [NocedalWright:2006], section 6.3.

    Examples:
        >>> A = broyden_update(torch.eye(2), torch.tensor([1.0, 1.0]), torch.tensor([2.0, 1.0]), 0.0)
        >>> A @ torch.tensor([1.0, 1.0])
        tensor([2.0000, 1.0000])
    """  # noqa: D415
    Au = times(A, u)
    uAu, uv = (u * Au).sum(-1), (u * v).sum(-1)
    # collected by products, in which phi = 1 leaves nothing to cancel
    a = ((1 + phi * uAu / uv) / uv)[..., None]
    b = (-phi / uv)[..., None]
    c = ((phi - 1) / uAu)[..., None]
    return A + _outer(v, a * v + b * Au) + _outer(Au, b * v + c * Au)


def davidon_phi(
    A: torch.Tensor,  # shape: (*batch, n, n)
    u: torch.Tensor,  # shape: (*batch, n)
    v: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    r"""Return the $\phi$ of Broyden's class for which $A^{-1} A_+$ has the least condition number.

    With $a = u^\top v$, $b = u^\top A u$ and $c = v^\top A^{-1} v$ it is $a (c - a) / (b c - a^2)$ if
    $a \le 2 b c / (b + c)$, and $a / (a - b)$ otherwise.

    References:
        [Davidon:1975].
    """
    a, b = (u * v).sum(-1), (u * times(A, u)).sum(-1)
    c = (v * solved(A, v)).sum(-1)
    gap = b * c - a * a
    # where v = A u the matrix fits already, and all values of phi are one
    inside = torch.where(gap > 0, a * (c - a) / torch.where(gap > 0, gap, 1.0), 0.0)
    beyond = a > 2 * b * c / (b + c)
    # rounding may put such a matrix beyond, where a - b is zero: then any number will do
    return torch.where(beyond, a / torch.where(a == b, 1.0, a - b), inside)


def rank_one_update(
    A: torch.Tensor,  # shape: (*batch, n, n)
    u: torch.Tensor,  # shape: (*batch, n)
    v: torch.Tensor,  # shape: (*batch, n)
    r: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return the symmetric update of rank one, $A_+ = A + z z^\top / (z^\top u)$ with $z = v - A u$.

    Besides, return where it is safe: $\lvert z^\top u\rvert \ge r \lVert z\rVert\lVert u\rVert$, $z^\top u \ne 0$.

    References:
        [NocedalWright:2006], section 6.2.
    """
    z = v - times(A, u)
    zu = (z * u).sum(-1)
    sizes = torch.linalg.vector_norm(z, dim=-1) * torch.linalg.vector_norm(u, dim=-1)
    safe = (zu.abs() >= r * sizes) & (zu != 0)
    return A + _outer(z, z / torch.where(safe, zu, 1.0)[..., None]), safe


def times(
    A: torch.Tensor,  # shape: (*batch, n, n)
    u: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    """Return the product, rounded alike for one matrix and for many."""
    return (A * u[..., None, :]).sum(-1)


def solved(
    A: torch.Tensor,  # shape: (*batch, n, n)
    v: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    """Return the solution of $A u = v$; not finite where the matrix is singular."""
    return torch.linalg.solve_ex(A[None], v[None, ..., None])[0][0, ..., 0]


def _outer(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return u[..., :, None] * v[..., None, :]
