"""The affine-invariant metric of symmetric and Hermitian positive definite matrices."""

from collections.abc import Callable
from functools import partial

import torch

from manopt_torch.linalg.cholesky import cholesky_or_nan, congruence
from manopt_torch.linalg.cholesky_pair import cholesky_pair
from manopt_torch.linalg.definite_pencil import NEAR
from manopt_torch.linalg.known_value import OfLastMatrix
from manopt_torch.linalg.spectral import sym_expm, sym_sqrtm, symmetric_part
from manopt_torch.linalg.whitening import affine_invariant_log, affine_invariant_squared_distance
from manopt_torch.manifolds.fields import real_inner
from manopt_torch.manifolds.spd_metrics.interface import SpdMetric, products_of_images


class AffineInvariant(SpdMetric):
    r"""$\operatorname{tr}(X^{-1} U X^{-1} V)$, by congruence with the inverse Cholesky factor ("whitening")."""

    def __init__(self) -> None:
        self._pair = OfLastMatrix(cholesky_pair)

    def flatten(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return congruence(self._pair(x)[1], u)

    def unflatten(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return symmetric_part(congruence(self._factor(x), c))

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self.inner_at(x)(u, v)

    def inner_at(self, x: torch.Tensor) -> Callable[..., torch.Tensor]:
        return products_of_images(partial(congruence, self._pair(x)[1]))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return affine_invariant_squared_distance(x, y)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return symmetric_part(x @ g @ x)  # which is that of the symmetric part of g

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.ehess2rhess_at(x, g)(h, u)

    def ehess2rhess_at(self, x: torch.Tensor, g: torch.Tensor) -> Callable[..., torch.Tensor]:
        g = symmetric_part(g)
        return lambda h, u: symmetric_part((x @ h + u @ g) @ x)

    def exp(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        factor, inverse = self._pair(x)
        whitened = congruence(inverse, u)
        # a short step is added to x, so that no step ends at x in all its bits; a long one would cancel with it
        near = real_inner(whitened, whitened, (-2, -1)) < NEAR
        step = congruence(factor, sym_expm(whitened, near))
        return symmetric_part(step + torch.where(near[..., None, None], x, 0.0))

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return affine_invariant_log(x, y)

    def retract(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        half = torch.linalg.solve_triangular(self._factor(x), u, upper=False)
        return symmetric_part(torch.add(x + u, half.mH @ half, alpha=0.5))

    def inverse_retract(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        factor, inverse = self._pair(x)
        difference = congruence(inverse, y - x)  # 2 (whitened y) - I is I + 2 difference
        eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        return symmetric_part(congruence(factor, sym_sqrtm(torch.add(eye, difference, alpha=2)) - eye))

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        factor, inverse = self._pair(x)
        carrier = factor @ sym_sqrtm(congruence(inverse, y)) @ inverse
        return symmetric_part(congruence(carrier, u))

    def _factor(self, x: torch.Tensor) -> torch.Tensor:
        return self._pair(x)[0] if self._pair.remembers(x) else cholesky_or_nan(x)

    # ---- the connection ---------------------------------------------------------------------------------------------
    def bend(self, x: torch.Tensor, u: torch.Tensor, dx: torch.Tensor) -> torch.Tensor:
        r"""Return $\operatorname{sym}(\dot X X^{-1} U)$, the velocity of a vector that is carried parallel."""
        inverse = self._pair(x)[1]
        return symmetric_part((dx @ inverse.mH) @ (inverse @ u))

    def bent_gradient(self, x: torch.Tensor, u: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        r"""Return the array whose product with $\dot X$ is that of `g` with `bend(x, u, dx)`."""
        inverse = self._pair(x)[1]
        return symmetric_part(symmetric_part(g) @ (u @ inverse.mH) @ inverse)

    def riemann(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        r"""Return the curvature $R(U, V) W = -\frac14 X [[X^{-1} U, X^{-1} V], X^{-1} W]$."""
        factor, inverse = self._pair(x)
        a, b, c = (congruence(inverse, z) for z in (u, v, w))
        turn = a @ b - b @ a
        return symmetric_part(congruence(factor, (turn @ c - c @ turn) * -0.25))
