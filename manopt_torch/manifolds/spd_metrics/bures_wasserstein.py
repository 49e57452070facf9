"""The Bures-Wasserstein metric of symmetric positive definite matrices."""

import math
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg.cholesky import cholesky_or_nan, congruence, inverse_triangular
from manopt_torch.linalg.scalar import safe_sqrt
from manopt_torch.linalg.spectral import sym_eigh, sym_sqrtm, symmetric_part
from manopt_torch.linalg.sylvester import lyapunov
from manopt_torch.manifolds.spd_metrics.interface import SpdMetric


class BuresWasserstein(SpdMetric):
    r"""The distance of optimal transport between centred Gaussians; positively curved and not complete.

    With $S = \mathcal{L}_X(U)$ the solution of $S X + X S = U$, $\langle U, V \rangle = \frac12 \operatorname{tr}(S V)$
    and $\exp_X(U) = (I + S) X (I + S)$. The map $T = I + S$ with $T X T = Y$ is found from $X = L L^\top$,
    $G = L^\top L$, $R = (L^\top Y L)^{1/2}$: the symmetric $E = L^\top S L = R - G$ solves
    $(R + G) E + E (R + G) = 2 L^\top (Y - X) L$, an equation in which nothing cancels.
    """

    has_parallel_transport = False

    def flatten(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        weights, vectors = _weights(x)
        return congruence(vectors, (vectors.mT @ u @ vectors) / weights)

    def unflatten(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        weights, vectors = _weights(x)
        return symmetric_part(congruence(vectors, (vectors.mT @ c @ vectors) * weights))

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return 0.5 * (lyapunov(_definite(x), u) * v).sum((-2, -1))

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return safe_sqrt(self.inner(x, u, u))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        _, lifted = _transport_map(x, y)
        return lifted.square().sum((-2, -1))

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return 4 * symmetric_part(symmetric_part(g) @ x)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return 4 * symmetric_part((symmetric_part(h) + symmetric_part(g) @ lyapunov(x, u)) @ x)

    def exp(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        y, carrier = _pushed(x, u)
        _, info = torch.linalg.cholesky_ex(carrier.detach())
        return torch.where((info == 0)[..., None, None], y, math.nan)

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        factor, lifted = _transport_map(x, y)
        half = lifted @ factor.mT
        return half + half.mT

    def retract(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return _pushed(x, u)[0]

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        raise OptionsError(
            'SymmetricPositiveDefinite(n, metric="bures_wasserstein") has no parallel transport in closed form: '
            "use M.transport(x, y, u)"
        )

    def injectivity_radius(self, x: Any) -> float | torch.Tensor:
        # points next to the boundary of the cone have any small radius
        return 0.0 if x is None else torch.sqrt(sym_eigh(x)[0][..., 0])


def _weights(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lengths of the unit tangents in the eigenbasis of x, and that basis."""
    values, vectors = sym_eigh(x)
    values = torch.where(values > 0, values, math.nan)
    return torch.sqrt(2 * (values[..., :, None] + values[..., None, :])), vectors


def _definite(x: torch.Tensor) -> torch.Tensor:
    """Return x, or NaN where it is not positive definite."""
    _, info = torch.linalg.cholesky_ex(x.detach())
    return torch.where((info == 0)[..., None, None], x, math.nan)


def _pushed(x: torch.Tensor, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (I + S) x (I + S) and I + S."""
    x = _definite(x)
    carrier = lyapunov(x, u) + torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    half = carrier @ cholesky_or_nan(x)
    return symmetric_part(half @ half.mT), carrier


def _transport_map(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the Cholesky factor of x, and S times it for the tangent vector S x + x S that leads to y."""
    factor = cholesky_or_nan(x)
    root = sym_sqrtm(congruence(factor.mT, y))
    half_step = lyapunov(root + factor.mT @ factor, 2 * congruence(factor.mT, symmetric_part(y - x)))
    return factor, inverse_triangular(factor).mT @ half_step
