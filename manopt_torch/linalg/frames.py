r"""Geodesics of orthonormal frames: exponential map and parallel transport on Stiefel manifolds.

A tangent vector $U = X A + B$ has a skew $A = X^* U$ and $X^* B = 0$. For the metrics
$\kappa \|A\|^2 / 2 + \|B\|^2$, canonical for $\kappa = 1$ and Euclidean for $\kappa = 2$, the geodesic is

$$\gamma(t) = e^{t \Omega} X e^{-t (\kappa - 1) A}, \qquad \Omega = X (\kappa A X^* - B^*) + B X^*.$$

Steps are differences from the start, so that short ones keep their relative accuracy.

References:
    [EdelmanAriasSmith:1998], sections 2.2 and 2.4; [HueperMarkinaLeite:2021].
"""

import math
from collections.abc import Callable

import torch

from manopt_torch.linalg.matrix_exp import matrix_expm1

# A logarithm turns by a few half turns at most: its matrices have norms far below 1.5 * 2^7.
LOG_DOUBLINGS = 7


def frame_tangent(
    X: torch.Tensor,  # shape: (*batch, n, p)
    Z: torch.Tensor,  # shape: (*batch, n, p)
) -> torch.Tensor:
    """Return the tangent vector at X nearest to Z."""
    inner = X.mH @ Z
    return Z - X @ ((inner + inner.mH) * 0.5)


def frame_step(
    X: torch.Tensor,  # shape: (*batch, n, p)
    U: torch.Tensor,  # shape: (*batch, n, p)
    kappa: int,
    doublings: int = 10,
) -> torch.Tensor:
    """Return the geodesic at time one less its start; differentiable any number of times."""
    A, B, length = _split(X, U)
    P = matrix_expm1(_generator(A, B, length, kappa), doublings)
    p = A.shape[-1]
    step = X @ P[..., :p, :p] + B @ P[..., p:, :p]
    if kappa == 1:
        return step
    return step + (X + step) @ matrix_expm1(-A, doublings)


def _split(X: torch.Tensor, U: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return A, B / length and a length that counts as a constant: one, or the norm of B where that is longer."""
    A = X.mH @ U
    B = U - X @ A
    length = torch.linalg.vector_norm(B.detach(), dim=(-2, -1), keepdim=True).clamp(min=1.0)
    return A, B / length, length


def _generator(A: torch.Tensor, B: torch.Tensor, length: torch.Tensor, kappa: int) -> torch.Tensor:
    """Return the matrix of Omega in the columns of X and B / length: no QR factor of B, which B = 0 would spoil."""
    identity = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device) * length
    upper = torch.cat([kappa * A, (B.mH @ B) * -length], -1)
    return torch.cat([upper, torch.cat([identity.expand_as(A), torch.zeros_like(A)], -1)], -2)


# no linear map of the transport equation has a larger norm along a shortest geodesic: 3 pi is the most that one turn
# by pi makes
_TURN = 10.0
_NODES = 96  # of the trapezoidal rule for Bessel functions, exact to rounding for orders below half as many


def _bessel(order: int) -> float:
    turn = 2 * math.pi / _NODES  # whole turns are taken out before rounding
    return math.fsum(math.cos(turn * (order * j % _NODES) - _TURN * math.sin(turn * j)) for j in range(_NODES)) / _NODES


# Coefficients of the Chebyshev series, and how many of them by the bytes of a real number: the first one left out is
# below rounding.
_SERIES = [_bessel(0)] + [2 * _bessel(k) for k in range(1, 39)]
_TERMS = {4: 28, 8: 39}


def frame_transport(
    X: torch.Tensor,  # shape: (*batch, n, p)
    V: torch.Tensor,  # shape: (*batch, n, p), direction of the geodesic
    U: torch.Tensor,  # shape: (*batch, n, p), what is carried
    kappa: int,
) -> torch.Tensor:
    r"""Return the parallel transport of U along the geodesic with velocity V to time one.

    Seen from the moving frame, $U = e^{t\Omega} Z(t) e^{-t(\kappa-1)A}$, the equation has constant coefficients: with
    $Z = X a + b$,

    $$a' = (\tfrac12 - \kappa)(A a - a A) + \tfrac12 (B^* b - b^* B), \qquad b' = \tfrac\kappa2 (b A - B a).$$

    Its flow is orthogonal, so a Chebyshev series of fixed length sums it without cancellation.
    """
    A, B, length = _split(X, V)
    full = B * length
    p = A.shape[-1]

    def derivative(z: torch.Tensor) -> torch.Tensor:
        a, b = z[..., :p, :], z[..., p:, :]
        turn, cross = A @ a, full.mH @ b
        above = (0.5 - kappa) * (turn - turn.mH) + 0.5 * (cross - cross.mH)
        return torch.cat([above, (0.5 * kappa) * (b @ A - full @ a)], -2)

    a = X.mH @ U
    # the map is skew on skew matrices only: rounding must not put others in
    z = _rotate(derivative, torch.cat([0.5 * (a - a.mH), U - X @ a], -2))
    # then the moving frame: exp(Omega) = I + F phi(G F) G with phi(M) the integral of exp(s M)
    a, b = z[..., :p, :], z[..., p:, :]
    image = torch.cat([kappa * (A @ a) - full.mH @ b, length * a], -2)
    generator = _generator(A, B, length, kappa)
    eye = torch.eye(2 * p, dtype=A.dtype, device=A.device).expand_as(generator)
    empty = torch.zeros_like(generator)
    augmented = torch.cat([torch.cat([generator, eye], -1), torch.cat([empty, empty], -1)], -2)
    image = matrix_expm1(augmented, LOG_DOUBLINGS)[..., : 2 * p, 2 * p :] @ image
    carried = X @ (a + image[..., :p, :]) + b + B @ image[..., p:, :]
    return carried if kappa == 1 else carried + carried @ matrix_expm1(-A, LOG_DOUBLINGS)


def _rotate(L: Callable[[torch.Tensor], torch.Tensor], z: torch.Tensor) -> torch.Tensor:
    """Return exp(L) z for a skew linear map of norm at most `_TURN`, by its Chebyshev series."""
    before, now = z, L(z) / _TURN
    total = torch.add(_SERIES[0] * z, now, alpha=_SERIES[1])
    for coefficient in _SERIES[2 : _TERMS[torch.finfo(z.dtype).bits // 8]]:
        before, now = now, torch.add(before, L(now), alpha=2 / _TURN)
        total = torch.add(total, now, alpha=coefficient)
    return total
