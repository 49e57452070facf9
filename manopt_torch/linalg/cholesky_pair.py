r"""The Cholesky factor together with its inverse, which whitens: in closed form for batches of small matrices.

With $X = L L^\top$, $W = L^{-1}$ and $\Phi(S)$ the lower triangle of $S$ with half its diagonal,
$dL = L\,\Phi(W\,dX\,W^\top)$ and $dW = -\Phi(W\,dX\,W^\top)\,W$.

References:
    [GolubVanLoan:2013], section 4.2.
"""

from collections.abc import Sequence
from typing import Any

import torch

from manopt_torch.linalg.cholesky import cholesky_or_nan, congruence, inverse_triangular
from manopt_torch.linalg.function import Function
from manopt_torch.linalg.spectral import symmetric_part, tracks_derivatives


def cholesky_pair(
    X: torch.Tensor,  # shape: (*batch, n, n)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lower Cholesky factor and its inverse; NaN for the matrices that are not positive definite.

    Examples:
        >>> L, W = cholesky_pair(torch.tensor([[4.0, 2.0], [2.0, 2.0]]))
        >>> W @ L
        tensor([[1., 0.],
                [0., 1.]])
    """
    # as in `sym_eigh`, the size of the batch does not decide
    if X.shape[-1] <= 3 and X.dim() > 2 and not X.is_complex():
        return _ClosedForm.apply(X) if tracks_derivatives() else _ClosedForm.forward(X)
    factor = cholesky_or_nan(X)
    return factor, inverse_triangular(factor)


class _ClosedForm(Function):
    """Both factors, entry by entry; differentiable any number of times, as the derivatives are products of them."""

    generate_vmap_rule = True

    @staticmethod
    def forward(X: Any) -> tuple[torch.Tensor, torch.Tensor]:
        n = X.shape[-1]
        L, W = cholesky_entries([[X[..., i, j] for j in range(i + 1)] for i in range(n)])
        poison = W[-1][-1] * 0  # NaN where a pivot is not positive
        return _assembled(L, poison), _assembled(W, poison)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        ctx.save_for_backward(*output)
        ctx.save_for_forward(*output)

    @staticmethod
    def backward(ctx: Any, by_L: torch.Tensor, by_W: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        L, W = ctx.saved_tensors
        return congruence(W.mT, symmetric_part(_phi(L.mT @ by_L - by_W @ W.mT)))

    @staticmethod
    def jvp(ctx: Any, dX: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        L, W = ctx.saved_tensors
        change = _phi(symmetric_part(congruence(W, dX)))
        return L @ change, -change @ W


def _phi(S: torch.Tensor) -> torch.Tensor:
    return 0.5 * (torch.tril(S) + torch.tril(S, -1))


def cholesky_entries(X: list[list[torch.Tensor]]) -> tuple[list[list[torch.Tensor]], list[list[torch.Tensor]]]:
    """Return the rows of the factor and of its inverse, up to the diagonal, from those of X."""
    L: list[list[torch.Tensor]] = []
    W: list[list[torch.Tensor]] = []
    for i, row in enumerate(X):
        entries: list[torch.Tensor] = []
        for j in range(i):
            entries.append(less_products(row[j], entries, L[j][:j]) * W[j][j])
        pivot = torch.sqrt(less_products(row[i], entries, entries))
        reciprocal = 1 / pivot
        inverse = [
            less_products(entries[j] * W[j][j], entries[j + 1 :], [-W[k][j] for k in range(j + 1, i)]) * -reciprocal
            for j in range(i)
        ]
        L.append([*entries, pivot])
        W.append([*inverse, reciprocal])
    return L, W


def less_products(start: torch.Tensor, a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return start - a b."""
    for p, q in zip(a, b, strict=True):
        start = torch.addcmul(start, p, q, value=-1)
    return start


def _assembled(rows: list[list[torch.Tensor]], poison: torch.Tensor) -> torch.Tensor:
    n, zero = len(rows), torch.zeros_like(poison)
    entries = [entry for row in rows for entry in (*row, *[zero] * (n - len(row)))]
    return torch.stack(entries, -1).unflatten(-1, (n, n)) + poison[..., None, None]
