"""The log-Euclidean metric of symmetric positive definite matrices."""

import math
from collections.abc import Callable

import torch

from manopt_torch.linalg.spectral import (
    spectral_derivative,
    spectral_function,
    spectral_second_derivative,
    sym_eigh,
    sym_expm,
    symmetric_part,
)
from manopt_torch.linalg.spectral_difference import spectral_difference
from manopt_torch.manifolds.spd_metrics.interface import SpdMetric, products_of_images


class LogEuclidean(SpdMetric):
    r"""The Frobenius metric of $\log X$; flat.

    With $A = \log X$, $F(A) = f(e^A)$ and symmetric derivatives, $\nabla F = D e^A[\nabla f]$ and
    $\nabla^2 F[B] = D e^A[\nabla^2 f[U]] + D^2 e^A[B, \nabla f]$ for $U = D e^A[B]$; both are carried back by $D e^A$.
    """

    is_flat = True
    transport_is_isometric = True

    def flatten(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return spectral_derivative(x, u, *_spectrum(x), "log")

    def unflatten(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        a, values, vectors = _logarithm(x)
        return symmetric_part(spectral_derivative(a, c, values, vectors, "exp"))

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self.inner_at(x)(u, v)

    def inner_at(self, x: torch.Tensor) -> Callable[..., torch.Tensor]:
        spectrum = _spectrum(x)
        return products_of_images(lambda u: spectral_derivative(x, u, *spectrum, "log"))

    def squared_dist(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return spectral_difference(x, y, _spectrum(x), _spectrum(y), "log").square().sum((-2, -1))

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        a, values, vectors = _logarithm(x)
        once = spectral_derivative(a, symmetric_part(g), values, vectors, "exp")
        return symmetric_part(spectral_derivative(a, once, values, vectors, "exp"))

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        a, values, vectors = _logarithm(x)
        b = spectral_derivative(x, u, torch.exp(values), vectors, "log")
        change = spectral_derivative(a, symmetric_part(h), values, vectors, "exp")
        change = change + spectral_second_derivative(a, b, symmetric_part(g), values, vectors, "exp")
        return symmetric_part(spectral_derivative(a, change, values, vectors, "exp"))

    def exp(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        a, values, vectors = _logarithm(x)
        return symmetric_part(sym_expm(a + spectral_derivative(x, u, torch.exp(values), vectors, "log")))

    def log(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        a, values, vectors = _logarithm(x)
        step = spectral_difference(x, y, (torch.exp(values), vectors), _spectrum(y), "log")
        return symmetric_part(spectral_derivative(a, step, values, vectors, "exp"))

    def parallel_transport(self, x: torch.Tensor, y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.unflatten(y, self.flatten(x, u))

    transport = parallel_transport


def _spectrum(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return eigenvalues and eigenvectors; eigenvalues that are not positive become NaN."""
    values, vectors = sym_eigh(x)
    return torch.where(values > 0, values, math.nan), vectors


def _logarithm(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the logarithm, its eigenvalues and eigenvectors."""
    values, vectors = _spectrum(x)
    logs = torch.log(values)
    return spectral_function(x, values, vectors, logs, "log"), logs, vectors
