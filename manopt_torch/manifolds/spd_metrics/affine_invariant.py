"""The affine-invariant metric of symmetric positive definite matrices."""

import torch

from manopt_torch.linalg.cholesky import cholesky_or_nan, congruence, inverse_triangular
from manopt_torch.linalg.spectral import sym_expm, sym_sqrtm, symmetric_part
from manopt_torch.linalg.whitening import whitened_log
from manopt_torch.manifolds.spd_metrics.interface import SpdMetric


class AffineInvariant(SpdMetric):
    r"""$\operatorname{tr}(X^{-1} U X^{-1} V)$, by congruence with the inverse Cholesky factor ("whitening")."""

    def flatten(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return congruence(inverse_triangular(cholesky_or_nan(x)), u)

    def unflatten(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return symmetric_part(congruence(cholesky_or_nan(x), c))

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        inverse = inverse_triangular(cholesky_or_nan(x))
        a = congruence(inverse, u)
        b = a if v is u else congruence(inverse, v)
        return (a * b).sum((-2, -1))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return whitened_log(inverse_triangular(cholesky_or_nan(x)), x, y).square().sum((-2, -1))

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return symmetric_part(x @ symmetric_part(g) @ x)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return symmetric_part((x @ symmetric_part(h) + u @ symmetric_part(g)) @ x)

    def exp(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        whitened = congruence(inverse_triangular(factor), u)
        return symmetric_part(congruence(factor, sym_expm(whitened)))

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        return symmetric_part(congruence(factor, whitened_log(inverse_triangular(factor), x, y)))

    def retract(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        half = torch.linalg.solve_triangular(cholesky_or_nan(x), u, upper=False)
        return symmetric_part(torch.add(x + u, half.mT @ half, alpha=0.5))

    def inverse_retract(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        difference = congruence(inverse_triangular(factor), y - x)  # 2 (whitened y) - I is I + 2 difference
        eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        return symmetric_part(congruence(factor, sym_sqrtm(torch.add(eye, difference, alpha=2)) - eye))

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        factor = cholesky_or_nan(x)
        inverse = inverse_triangular(factor)
        carrier = factor @ sym_sqrtm(congruence(inverse, y)) @ inverse
        return symmetric_part(congruence(carrier, u))
