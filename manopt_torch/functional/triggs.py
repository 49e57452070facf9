r"""Triggs' correction: residuals and Jacobians whose plain least squares is one step of a robust problem.

For $\tfrac12 \sum_b \rho(\lVert r_b\rVert^2)$ the corrected $\tilde r_b$, $\tilde J_b$ satisfy $\tilde J^\top \tilde r
= \sum_b \rho'_b J_b^\top r_b$, the gradient, and $\tilde J^\top \tilde J = \sum_b J_b^\top (\rho'_b I + 2 \rho''_b r_b
r_b^\top) J_b$, the Gauss-Newton Hessian, as long as that is positive. Reference: [TriggsEtAl:1999], section 4.3.
"""

import torch

# 1 - alpha never falls below this power of the rounding error: the corrected residual is divided by it
_CAP = 1 / 3


def triggs_factors(
    s: torch.Tensor,  # shape: (*batch, blocks), squared residuals or squared norms of blocks
    first: torch.Tensor,  # shape: that of s
    second: torch.Tensor,  # shape: that of s
    *,
    strict: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return $\sqrt{\rho'}$ and $\alpha = 1 - \sqrt{1 + 2 s \rho''/\rho'}$.

    $\tilde r = \frac{\sqrt{\rho'}}{1 - \alpha}\, r$ and
    $\tilde J = \sqrt{\rho'}\,\bigl(I - \alpha\, r r^\top / s\bigr) J$.

    Args:
        s: the squares.
        first: $\rho'(s)$.
        second: $\rho''(s)$.
        strict: whether to leave the curvature out ($\alpha = 0$) where $\rho'' < 0$, that is for every loss that bends
            down. The step is then that of iteratively reweighted least squares: never indefinite, and in practice the
            more reliable one, as in Ceres. Otherwise $\alpha$ is capped just below 1.

    References:
        [TriggsEtAl:1999], section 4.3.
    """
    root = first.sqrt()
    # a residual without weight has no correction either; not 0 / 0
    ratio = s * second / torch.where(first > 0, first, torch.ones_like(first))
    alpha = 1 - (1 + 2 * ratio).clamp(min=torch.finfo(s.dtype).eps ** (2 * _CAP)).sqrt()
    return root, torch.where(second < 0, torch.zeros_like(alpha), alpha) if strict else alpha


def squared_blocks(
    r: torch.Tensor,  # shape: (*batch, m)
    block_size: int,
) -> torch.Tensor:
    """Return the squared residuals, or the squared norms of blocks of them, shape `(*batch, m // block_size)`."""
    squares = r * r
    return squares if block_size == 1 else squares.unflatten(-1, (-1, block_size)).sum(-1)


def correct(
    r: torch.Tensor,  # shape: (*batch, m)
    J: torch.Tensor,  # shape: (*batch, m, n)
    first: torch.Tensor,  # shape: (*batch, m // block_size)
    second: torch.Tensor,  # shape: that of first
    block_size: int = 1,
    *,
    strict: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return corrected residuals and Jacobian, in the shapes of `r` and `J`.

    Examples:
        >>> r, J = torch.tensor([2.0]), torch.tensor([[3.0]])
        >>> correct(r, J, torch.tensor([0.25]), torch.tensor([0.0]))
        (tensor([1.]), tensor([[1.5000]]))
    """
    s = squared_blocks(r, block_size)
    root, alpha = triggs_factors(s, first, second, strict=strict)
    if block_size == 1:
        return root / (1 - alpha) * r, (root * (1 - alpha)).unsqueeze(-1) * J
    blocks, rows = r.unflatten(-1, (-1, block_size)), J.unflatten(-2, (-1, block_size))
    # a block of zeros has no direction to correct along
    share = alpha / torch.where(s > 0, s, torch.ones_like(s))
    along = (blocks.unsqueeze(-1) * rows).sum(-2, keepdim=True)  # r_b' J_b, shape (*batch, blocks, 1, n)
    rows = root[..., None, None] * (rows - share[..., None, None] * blocks.unsqueeze(-1) * along)
    return ((root / (1 - alpha)).unsqueeze(-1) * blocks).flatten(-2), rows.flatten(-3, -2)
