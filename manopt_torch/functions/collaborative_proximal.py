r"""The proximal map of collaborative norms of tangent vectors, entry by entry and direction by direction.

References: [DuranMoellerSbertCremers:2016], section 4.
"""

import math
from typing import Any

import torch

from manopt_torch._host import uploaded
from manopt_torch.errors import OptionsError
from manopt_torch.functions.distances import check_parameter
from manopt_torch.functions.grid import check_power, scaled, with_directions
from manopt_torch.manifolds.power import Power


def prox_collaborative_tv(M: Power, lam: Any, x: Any, X: Any, p: float = 2, q: float = 1, alpha: Any = 1.0) -> Any:
    r"""Return the proximal map of the collaborative norm of tangent vectors, for $q = \infty$ of its dual.

    With the lengths $\ell_{ik} = \lVert X_{ik}\rVert$ of the vectors of entry $i$, only lengths change:

    - $q = 1$: the map of $\lambda \sum_i \lVert \ell_i\rVert_p$, which shrinks each vector ($p = 1$), those of an entry
      together ($p = 2$), or cuts off the longest of an entry ($p = \infty$);
    - $q = 2$ with $p = 2$: the map of $\lambda \lVert\ell\rVert_2$, which shrinks all together;
    - $q = \infty$: the projection onto $\lVert \ell_i\rVert_p \le \alpha$ for all $i$, whatever $\lambda$: the dual
      step of primal-dual methods.

    Args:
        M: a power manifold.
        lam: $\lambda \ge 0$, a number or a tensor of shape `(*batch,)`.
        x: a point of it.
        X: a tangent vector for each entry and direction, as `forward_logs` returns them.
        p: exponent over the directions: 1, 2 or infinity.
        q: exponent over the entries: 1 or infinity, or 2 if `p` is 2.
        alpha: the radius for infinite `q`, a number or a tensor of shape `(*batch,)`.

    Returns:
        Tangent vectors of the same shape.

    Raises:
        OptionsError: if no closed form is known for the exponents, or `lam` is a negative number.

    References:
        [DuranMoellerSbertCremers:2016].

    Examples:
        >>> from manopt_torch import Euclidean, Power, prox_collaborative_tv
        >>> X = torch.tensor([[[3.0, 4.0]]])
        >>> M, x = Power(Euclidean(), 1, 1), torch.zeros(1, 1)
        >>> prox_collaborative_tv(M, 1.0, x, X, p=1)
        tensor([[[2., 3.]]])
        >>> prox_collaborative_tv(M, 1.0, x, X, p=2)
        tensor([[[2.4000, 3.2000]]])
    """
    if (p, q) not in [(1, 1), (2, 1), (math.inf, 1), (2, 2), (1, math.inf), (2, math.inf), (math.inf, math.inf)]:
        raise OptionsError(
            f"prox_collaborative_tv is known for q=1 and q=inf with p in 1, 2, inf, and for p=q=2; got p={p!r}, q={q!r}"
        )
    check_parameter("prox_collaborative_tv", lam)
    check_power("prox_collaborative_tv", M)
    lengths = M.M.norm(with_directions(M, x), X)  # shape: (*batch, *M.shape, d)
    bound = _by_entry(M, alpha if math.isinf(q) else lam, lengths)
    if math.isinf(q):
        kept = _projected(lengths, bound, p)
    elif q == 2:
        size = torch.linalg.vector_norm(lengths, dim=tuple(range(-1 - len(M.shape), 0)), keepdim=True)
        kept = lengths * _share_kept(size, bound)
    else:
        # Moreau: what the projection onto the ball of the dual norm leaves
        dual = 1 if math.isinf(p) else math.inf if p == 1 else 2
        kept = lengths - _projected(lengths, bound, dual)
    return scaled(M.M, torch.where(lengths > 0, kept / torch.where(lengths > 0, lengths, 1.0), 0.0), X)


def _by_entry(M: Power, s: Any, lengths: torch.Tensor) -> torch.Tensor:
    s = uploaded(s, lengths)
    return s[(...,) + (None,) * (1 + len(M.shape))] if s.dim() else s


def _share_kept(size: torch.Tensor, bound: torch.Tensor) -> torch.Tensor:
    return (size - bound).clamp(min=0) / torch.where(size > 0, size, 1.0)


def _projected(lengths: torch.Tensor, bound: torch.Tensor, p: float) -> torch.Tensor:
    """Project nonnegative rows onto the ball of a p-norm."""
    if math.isinf(p):
        return torch.minimum(lengths, bound)
    if p == 2:
        size = torch.linalg.vector_norm(lengths, dim=-1, keepdim=True)
        return lengths * torch.where(size > bound, bound / torch.where(size > 0, size, 1.0), 1.0)
    # onto the simplex: of all prefixes, the right one takes the most off
    ordered = lengths.sort(-1, descending=True).values
    count = torch.arange(1, lengths.shape[-1] + 1, dtype=lengths.dtype, device=lengths.device)
    excess = (ordered.cumsum(-1) - bound) / count
    taken = excess.amax(-1, keepdim=True).clamp(min=0)
    return (lengths - taken).clamp(min=0)
