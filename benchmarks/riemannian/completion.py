"""The completion of a matrix of low rank, by the formulas of the reference cases and by faster ones.

In the reference, pymanopt differentiates a dense cost, and the floor has its derivatives by hand; its figures are the
ratio of these two, so there it is the row with derivatives given that is held against them. Ours by hand sample the
product in the faster way in both cases: only the second, where all contenders do so, compares the solvers alone.
"""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.riemannian import data, floor
from benchmarks.riemannian.case import Case, Derivatives, remembered
from benchmarks.riemannian.floor_low_rank import BareFixedRank, TunedFixedRank, misfit, times
from manopt_torch import FixedRank, FixedRankPoint

Tensor = torch.Tensor


def completion(m: int = 500, n: int = 300, rank: int = 5, share: float = 0.2) -> list[Case]:
    """Return the completion of a matrix of which a share is known, twice."""
    a, known, u, s, v = data.low_rank(m, n, rank, share)
    rows, columns = known.nonzero(as_tuple=True)
    values, places = a[rows, columns], rows * n + columns
    mask, filled = known.to(a.dtype), a * known

    def sampled(product: Tensor) -> Tensor:
        rest = product.reshape(-1).index_select(0, places) - values
        return 0.5 * torch.dot(rest, rest)

    def dense(product: Tensor) -> Tensor:
        return 0.5 * torch.sum((mask * product - filled) ** 2)

    def case(title: str, misfit_of: Callable[[Tensor], Tensor], kind: type[BareFixedRank], targets: Any) -> Case:
        M, bare = FixedRank(m, n, rank), kind(m, n, rank, places)
        shared, derivatives = _misfit_by_hand(M, places, values)
        by_hand = Derivatives(derivatives, lambda: floor.Given(*misfit(bare, values)), shared)

        def cost(x: Any) -> Tensor:  # in this order, MKL takes half the time for the products of the backward pass
            return misfit_of(x[0] @ (x[1] @ x[2].mT))

        def peer_cost(u: Tensor, s: Tensor, vt: Tensor) -> Tensor:
            return misfit_of(u @ (s.unsqueeze(-1) * vt))

        return Case(
            "completion", title, M, FixedRankPoint(u, torch.diag(s), v), cost, bare, None,
            ("FixedRankEmbedded", (m, n, rank)), lambda k: peer_cost, lambda k: (u.numpy(), s.numpy(), v.mT.numpy()),
            *targets, by_hand, bound=1500,
        )  # fmt: skip

    title = f"completion {m} x {n}, rank {rank}"
    return [
        case(title, dense, BareFixedRank, ({"CG": None}, {"CG": 2.5})),
        case(f"{title}, sampled by all", sampled, TunedFixedRank, ({"CG": 2.5}, {})),
    ]


def _misfit_by_hand(
    M: FixedRank, places: Tensor, values: Tensor
) -> tuple[Callable[[Any], Tensor], dict[str, Callable[..., Any]]]:
    """Return cost, Riemannian gradient and Hessian; the latter need two products with a sparse matrix each."""
    (m, _), _, (n, _) = M.point_shape

    kept = [torch.zeros(m, n, dtype=values.dtype) for _ in range(2)]

    def dense(matrix: Tensor, entries: Tensor) -> Tensor:
        matrix.zero_().view(-1).index_copy_(0, places, entries)
        return matrix

    def known(left: Tensor, right: Tensor) -> Tensor:
        return (left @ right).view(-1).index_select(0, places)

    # what a trial, its gradient and all Hessian products at a point share
    rest = remembered(lambda x: known(x[0] @ x[1], x[2].mT) - values)
    residual = remembered(lambda x: dense(kept[0], rest(x)))

    def cost(x: Any) -> Tensor:
        entries = rest(x)
        return 0.5 * torch.dot(entries, entries)

    def gradient(x: Any) -> Any:
        g = residual(x)
        return M.project_ambient(x, times(g, x[2]), times(g.mT, x[0]))

    def hessian(x: Any, w: Any) -> Any:
        (u, s, v), (du, ds, dv) = x, w
        change = known(torch.cat((du @ s + u @ ds, u @ s), 1), torch.cat((v, dv), 1).mT)
        g, h = residual(x), dense(kept[1], change)
        return M.ambient_hessian(x, times(h, v), times(h.mT, u), times(g, dv), times(g.mT, du))

    return cost, {"gradient": gradient, "hessian": hessian}
