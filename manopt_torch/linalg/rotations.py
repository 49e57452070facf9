r"""Rotations of the plane and of space in closed form: vectors, quaternions, exponential, logarithm, Jacobians.

The rotation vector $\omega$ has the axis as direction and the angle $\theta$ as length; $\hat\omega$ is the skew matrix
with $\hat\omega v = \omega \times v$. Quaternions are $(x, y, z, w)$, the scalar last, as in SciPy and ROS. With the
entire functions $c_k(s) = \sum_j \frac{(-s)^j}{(k + 2j)!}$ of $s = \theta^2$,

$$\exp \hat\omega = I + c_1 \hat\omega + c_2 \hat\omega^2, \qquad J_l(\omega) = I + c_2 \hat\omega + c_3 \hat\omega^2.$$

References:
    [Sola:2018]; [Barfoot:2017], chapter 7; [Shepperd:1978] for the quaternion of a matrix.
"""

import math

import torch

from manopt_torch.linalg.scalar import angle_over_sine, arctan2, cos_and_sinc_sqrt

# Below this squared angle power series with so many terms take over, above it nothing cancels.
_SERIES_BOUND, _SERIES_TERMS = 4.0, 11


def stumpff(
    s: torch.Tensor,  # shape: any, s >= 0
) -> tuple[torch.Tensor, ...]:
    r"""Return $c_0, \dots, c_5$ of squared angles, smooth at zero and without cancellation.

    $c_0 = \cos\theta$, $c_1 = \frac{\sin\theta}\theta$, $c_2 = \frac{1 - \cos\theta}{\theta^2}$,
    $c_3 = \frac{\theta - \sin\theta}{\theta^3}$, and $c_k = \frac1{k!} - s\,c_{k+2}$.

    Examples:
        >>> [round(1 / c.item()) for c in stumpff(torch.zeros(()))]
        [1, 1, 2, 6, 24, 120]
    """
    near = s < _SERIES_BOUND
    small, large = torch.where(near, s, 0.0), torch.where(near, _SERIES_BOUND, s)
    d4, d5 = _series(small, 4), _series(small, 5)
    d2, d3 = 0.5 - small * d4, 1 / 6 - small * d5
    cosine, half_sinc = cos_and_sinc_sqrt(0.25 * large)  # of half the angle
    e1, e2 = cosine * half_sinc, 0.5 * half_sinc * half_sinc
    e3 = (1 - e1) / large
    closed = (1 - large * e2, e1, e2, e3, (0.5 - e2) / large, (1 / 6 - e3) / large)
    series = (1 - small * d2, 1 - small * d3, d2, d3, d4, d5)
    return tuple(torch.where(near, d, e) for d, e in zip(series, closed, strict=True))


def _series(s: torch.Tensor, k: int) -> torch.Tensor:
    value = torch.ones_like(s)
    for j in range(k + 2 * _SERIES_TERMS, k, -2):
        value = 1 - s * value / (j * (j - 1))
    return value / math.factorial(k)


def exp_coefficients(
    s: torch.Tensor,  # shape: any, s >= 0
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return $c_1 = \frac{\sin\theta}\theta$ and $c_2 = \frac{1 - \cos\theta}{\theta^2}$ of squared angles."""
    cosine, sinc = cos_and_sinc_sqrt(0.25 * s)  # half angles: 1 - cos(2 a) = 2 sin(a)^2 does not cancel
    return cosine * sinc, 0.5 * sinc * sinc


def hat(
    w: torch.Tensor,  # shape: (*batch, 1) or (*batch, 3)
) -> torch.Tensor:
    """Return the skew matrix of a rotation vector, 2 by 2 for one entry and 3 by 3 for three.

    Examples:
        >>> hat(torch.tensor([1.0, 2.0, 3.0]))
        tensor([[ 0., -3.,  2.],
                [ 3.,  0., -1.],
                [-2.,  1.,  0.]])
    """
    if w.shape[-1] == 1:
        angle = w[..., 0]
        zero = torch.zeros_like(angle)
        return torch.stack([zero, -angle, angle, zero], -1).unflatten(-1, (2, 2))
    x, y, z = w.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def vee(
    A: torch.Tensor,  # shape: (*batch, 2, 2) or (*batch, 3, 3)
) -> torch.Tensor:
    """Return the rotation vector of the skew part of a matrix, which undoes `hat`.

    Examples:
        >>> vee(hat(torch.tensor([1.0, 2.0, 3.0])))
        tensor([1., 2., 3.])
    """
    twice = A - A.mT
    if A.shape[-1] == 2:
        return 0.5 * twice[..., 1, :1]
    return 0.5 * torch.stack([twice[..., 2, 1], twice[..., 0, 2], twice[..., 1, 0]], -1)


def so3_exp(
    w: torch.Tensor,  # shape: (*batch, 1) or (*batch, 3)
) -> torch.Tensor:
    """Return the rotation with a rotation vector.

    Examples:
        >>> so3_exp(torch.tensor([0.0, 0.0, math.pi / 4]))
        tensor([[ 0.7071, -0.7071,  0.0000],
                [ 0.7071,  0.7071,  0.0000],
                [ 0.0000,  0.0000,  1.0000]])
    """
    return _polynomial(hat(w), *exp_coefficients(_square(w)))


def so3_log(
    R: torch.Tensor,  # shape: (*batch, 2, 2) or (*batch, 3, 3)
) -> torch.Tensor:
    r"""Return the rotation vector of a rotation, of length at most $\pi$.

    Right up to rounding for every angle, together with its derivatives; for an angle of exactly $\pi$ it is one of the
    two, and the derivative that of its side.

    Examples:
        >>> so3_log(torch.diag(torch.tensor([-1.0, -1.0, 1.0])))
        tensor([0.0000, 0.0000, 3.1416])
    """
    return rotation_vector(R - torch.eye(R.shape[-1], dtype=R.dtype, device=R.device))


def rotation_vector(
    E: torch.Tensor,  # shape: (*batch, 2, 2) or (*batch, 3, 3)
) -> torch.Tensor:
    """Return the rotation vector of I + E, which for a tiny E keeps the relative accuracy of its skew part."""
    if E.shape[-1] == 2:
        return arctan2(vee(E), 1 + 0.5 * E.diagonal(dim1=-2, dim2=-1).sum(-1, True))
    q = _quaternion(E)
    v = q[..., :3]
    return 2 * angle_over_sine(_square(v), q[..., 3:]) * v


def rotation_angle(
    E: torch.Tensor,  # shape: (*batch, 2, 2) or (*batch, 3, 3)
) -> torch.Tensor:
    r"""Return the angle of I + E in $[0, \pi]$, shape `(*batch,)`; cheaper than the length of `rotation_vector`."""
    if E.shape[-1] == 2:
        return rotation_vector(E)[..., 0].abs()
    q = _quaternion(E)
    return 2 * arctan2(torch.linalg.vector_norm(q[..., :3], dim=-1), q[..., 3])


def matrix_to_quaternion(
    R: torch.Tensor,  # shape: (*batch, 3, 3)
) -> torch.Tensor:
    """Return the unit quaternion (x, y, z, w) with w >= 0 of a rotation, shape `(*batch, 4)`.

    Examples:
        >>> matrix_to_quaternion(torch.diag(torch.tensor([-1.0, -1.0, 1.0])))
        tensor([0., 0., 1., 0.])
    """
    return _quaternion(R - torch.eye(3, dtype=R.dtype, device=R.device))


def _quaternion(E: torch.Tensor) -> torch.Tensor:
    """Return the quaternion q of I + E as the row of 4 q q' with the largest diagonal entry, scaled to length one."""
    xx, xy, xz, yx, yy, yz, zx, zy, zz = E.flatten(-2).unbind(-1)
    wx, wy, wz = zy - yz, xz - zx, yx - xy
    xy, xz, yz, both = xy + yx, xz + zx, yz + zy, yy + zz
    x2, y2, z2, w2 = xx - both, yy - zz - xx, zz - yy - xx, xx + both + 4
    rows = torch.stack([x2, xy, xz, wx, xy, y2, yz, wy, xz, yz, z2, wz, wx, wy, wz, w2], -1).unflatten(-1, (4, 4))
    largest = rows.detach().diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None]
    row = torch.take_along_dim(rows, largest, -2)[..., 0, :]
    length = torch.linalg.vector_norm(row, dim=-1, keepdim=True)
    return row / torch.where(row[..., 3:] < 0, -length, length)


def quaternion_to_matrix(
    q: torch.Tensor,  # shape: (*batch, 4)
) -> torch.Tensor:
    """Return the rotation of a quaternion (x, y, z, w) of any length but zero, shape `(*batch, 3, 3)`.

    Examples:
        >>> quaternion_to_matrix(torch.tensor([0.0, 0.0, 2.0, 0.0])).diagonal()
        tensor([-1., -1.,  1.])
    """
    twice = 2 / (q * q).sum(-1, True)
    return _polynomial(hat(q[..., :3]), twice * q[..., 3:], twice)


def so3_left_jacobian(
    w: torch.Tensor,  # shape: (*batch, 3)
) -> torch.Tensor:
    r"""Return $J_l(\omega) = \int_0^1 \exp(t \hat\omega)\,dt$.

    To first order in $\delta$, $\exp(\omega + \delta) = \exp(J_l(\omega) \delta) \exp(\omega)$, the hats left out. The
    right Jacobian is $J_l(-\omega)$.

    Examples:
        >>> so3_left_jacobian(torch.tensor([0.0, 0.0, 2.0 ** -20]))[1, 0].item() * 2 ** 20
        0.5
    """
    _, _, c2, c3, *_ = stumpff(_square(w))
    return _polynomial(hat(w), c2, c3)


def so3_left_jacobian_inverse(
    w: torch.Tensor,  # shape: (*batch, 3)
) -> torch.Tensor:
    r"""Return $J_l(\omega)^{-1} = I - \frac12 \hat\omega + k \hat\omega^2$, for angles below $2\pi$.

    $k = \theta^{-2} (1 - \frac\theta2 \cot\frac\theta2)$, see `cotangent_coefficient`.

    Examples:
        >>> w = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
        >>> torch.allclose(so3_left_jacobian(w) @ so3_left_jacobian_inverse(w), torch.eye(3, dtype=torch.float64))
        True
    """
    k, _ = cotangent_coefficient(_square(w))
    return _polynomial(hat(w), torch.full_like(k, -0.5), k)


def cotangent_coefficient(
    s: torch.Tensor,  # shape: any, s >= 0
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return $k(s) = \frac{1 - \frac\theta2 \cot\frac\theta2}{\theta^2}$ and $k'(s)$ at $s = \theta^2 < 4 \pi^2$.

    With $c_k$ at $s / 4$, $k = \frac{c_2 - c_3}{4 c_1}$, and $c_k' = \frac12 (k c_{k+2} - c_{k+1})$.

    Examples:
        >>> [round(1 / value.item()) for value in cotangent_coefficient(torch.zeros(()))]
        [12, 720]
    """
    _, c1, c2, c3, c4, c5 = stumpff(0.25 * s)
    d = c2 - c3
    slope = 0.5 * (3 * (c4 - c5) - c3) * c1 + 0.5 * d * d
    return 0.25 * d / c1, 0.0625 * slope / (c1 * c1)


def _square(w: torch.Tensor) -> torch.Tensor:
    return (w * w).sum(-1, True)


def _polynomial(A: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return I + a A + b A^2 for coefficients of shape (*batch, 1)."""
    eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    return torch.addcmul(torch.addcmul(eye, a[..., None], A), b[..., None], A @ A)
