r"""Random directions of a mesh adaptive direct search, from lower triangular matrices of integers.

At level $\ell$ the mesh has the size $4^{-\ell}$ and the poll reaches $2^{-\ell}$: its directions are whole multiples
of the mesh size, up to $2^\ell$ of them. So the mesh becomes finer faster than the poll becomes short, and in the limit
the directions are dense. References: [AudetDennis:2006], section 4.1.
"""

import torch

# beyond it 2^level would not fit into the whole numbers of a float64
DEEPEST = 50


def triangular_poll(
    level: torch.Tensor,  # shape: (*batch,), int64, from 0 to DEEPEST
    kept: torch.Tensor,  # shape: (DEEPEST + 1, d + 1), uniform in [0, 1): the same in all iterations
    fresh: torch.Tensor,  # shape: (d, d), uniform in [0, 1): new ones for this iteration
) -> torch.Tensor:
    r"""Return `2 d` directions that span space positively, shape `(*batch, 2 d, d)`, with entries in $[-1, 1]$.

    They are the columns of $\pm B / 2^\ell$. One column of $B$ depends on the level alone, which makes the directions
    of all levels dense; the others are those of a triangular matrix with $\pm 2^\ell$ on its diagonal, with its rows in
    random order.
    """
    d = fresh.shape[0]
    reach = torch.exp2(level.to(fresh.dtype))[..., None, None]
    # `kept[level]` would read the level of a lone problem
    column = kept.index_select(0, level.flatten()).reshape(*level.shape, d + 1)
    place = (column[..., -1] * d).long()
    first = _whole(column[..., :-1].unsqueeze(-1), reach)
    below = _whole(fresh[1:, :-1], reach).tril(-1) + _diagonal(fresh[1:, -1]) * reach
    # the last row of random numbers, spent on nothing else, gives the order of the rows
    below = below[..., fresh[0, : d - 1].argsort(), :] if d > 1 else below
    sign = torch.where(column[..., :1].unsqueeze(-1) < 0.5, -reach, reach)
    first = torch.cat((sign, first[..., 1:, :]), -2)
    rows = torch.cat((torch.nn.functional.pad(below, (0, 0, 1, 0)), first), -1) if d > 1 else first
    # the row that holds nothing but the entry of full size goes to its place
    source = (torch.arange(d, device=place.device) - place.unsqueeze(-1)) % d
    rows = rows.gather(-2, source.unsqueeze(-1).expand(*source.shape, d)) / reach
    return torch.cat((rows.mT, -rows.mT), -2)


def _whole(u: torch.Tensor, reach: torch.Tensor) -> torch.Tensor:
    """Turn uniform numbers into whole ones between `-reach + 1` and `reach - 1`."""
    return (u * (2 * reach - 1)).floor() - (reach - 1)


def _diagonal(u: torch.Tensor) -> torch.Tensor:
    """Return a diagonal matrix of random signs."""
    return torch.diag_embed(torch.where(u < 0.5, -1.0, 1.0).to(u.dtype))
