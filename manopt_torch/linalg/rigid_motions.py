r"""Rigid motions of the plane and of space as homogeneous matrices: group exponential, logarithm, adjoint, Jacobians.

A motion is $\begin{pmatrix} R & p \\ 0 & 1 \end{pmatrix}$. A twist $\xi = (\rho, \omega)$ is a velocity followed by a
rotation vector of one or three entries, and $\hat\xi = \begin{pmatrix} \hat\omega & \rho \\ 0 & 0 \end{pmatrix}$. Its
adjoint matrix $a$ satisfies $a (a^2 + \theta^2)^2 = 0$, so that power series in it are polynomials of degree four.

References:
    [Sola:2018]; [Barfoot:2017], chapter 7.
"""

import torch

from manopt_torch.linalg.rotations import (
    cotangent_coefficient,
    hat,
    matrix_to_quaternion,
    quaternion_to_matrix,
    so3_log,
    stumpff,
)


def rigid_motion(
    R: torch.Tensor,  # shape: (*batch, n, n)
    p: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    """Return the homogeneous matrix of a rotation and a translation, shape `(*batch, n + 1, n + 1)`.

    Examples:
        >>> rigid_motion(torch.eye(2), torch.tensor([3.0, 4.0]))
        tensor([[1., 0., 3.],
                [0., 1., 4.],
                [0., 0., 1.]])
    """
    n = p.shape[-1]
    top = rigid_velocity(R, p)
    corner = torch.eye(n + 1, dtype=p.dtype, device=p.device)[n:]
    return torch.cat([top[..., :n, :], corner.expand(*top.shape[:-2], 1, n + 1)], -2)


def rigid_velocity(
    W: torch.Tensor,  # shape: (*batch, n, n)
    v: torch.Tensor,  # shape: (*batch, n)
) -> torch.Tensor:
    """Return the matrix with blocks `W` and `v` and a last row of zeros, shape `(*batch, n + 1, n + 1)`."""
    n = v.shape[-1]
    # torch.broadcast_shapes imports a symbolic algebra system at its first call, which takes long
    batch = torch.broadcast_tensors(W[..., 0], v)[0].shape[:-1]
    top = torch.cat([W.expand(*batch, n, n), v.expand(*batch, n)[..., None]], -1)
    return torch.nn.functional.pad(top, (0, 0, 0, 1))


def rigid_inverse(
    X: torch.Tensor,  # shape: (*batch, n + 1, n + 1)
) -> torch.Tensor:
    """Return the inverse motion, by transposition of its rotation.

    Examples:
        >>> X = rigid_exp(torch.tensor([1.0, 2.0, 0.5]))
        >>> torch.allclose(X @ rigid_inverse(X), torch.eye(3), atol=1e-6)
        True
    """
    back = X[..., :-1, :-1].mT
    return rigid_motion(back, -(back @ X[..., :-1, -1:])[..., 0])


def rigid_exp(
    xi: torch.Tensor,  # shape: (*batch, 3) or (*batch, 6)
) -> torch.Tensor:
    r"""Return the exponential of a twist: the screw motion with that velocity, after unit time.

    Its rotation is $\exp \hat\omega$ and its translation $J_l(\omega) \rho$.

    Examples:
        >>> rigid_exp(torch.tensor([torch.pi / 2, 0.0, torch.pi / 2]))[:2, 2]  # a quarter of the unit circle
        tensor([1.0000, 1.0000])
    """
    rho, w = _split(xi)
    A = hat(w)
    _, c1, c2, c3, *_ = (c[..., None] for c in stumpff((w * w).sum(-1, True)))
    square = A @ A
    eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    turned = rho[..., None] + c2 * (A @ rho[..., None]) + c3 * (square @ rho[..., None])
    return rigid_motion(eye + c1 * A + c2 * square, turned[..., 0])


def rigid_log(
    X: torch.Tensor,  # shape: (*batch, n + 1, n + 1), n = 2 or 3
) -> torch.Tensor:
    r"""Return the twist, with an angle of at most $\pi$, whose exponential is a motion.

    Examples:
        >>> rigid_log(rigid_exp(torch.tensor([1.0, 2.0, 0.5])))
        tensor([1.0000, 2.0000, 0.5000])
    """
    w = so3_log(X[..., :-1, :-1])
    A, p = hat(w), X[..., :-1, -1:]
    k, _ = cotangent_coefficient((w * w).sum(-1, True))
    across = A @ p
    rho = torch.add(p, across, alpha=-0.5) + k[..., None] * (A @ across)
    return torch.cat([rho[..., 0], w], -1)


def rigid_adjoint(
    X: torch.Tensor,  # shape: (*batch, n + 1, n + 1), n = 2 or 3
) -> torch.Tensor:
    r"""Return the matrix $a$ with $\widehat{a \xi} = X \hat\xi X^{-1}$, which takes twists of the body to fixed ones.

    Examples:
        >>> rigid_adjoint(rigid_motion(torch.eye(2), torch.tensor([3.0, 4.0])))
        tensor([[ 1.,  0.,  4.],
                [ 0.,  1., -3.],
                [ 0.,  0.,  1.]])
    """
    R, p = X[..., :-1, :-1], X[..., :-1, -1]
    if p.shape[-1] == 2:
        return rigid_motion(R, _clockwise(p))
    return _blocks(R, hat(p) @ R)


def rigid_ad(
    xi: torch.Tensor,  # shape: (*batch, 3) or (*batch, 6)
) -> torch.Tensor:
    r"""Return the matrix of the Lie bracket with a twist, the derivative of `rigid_adjoint` at the identity."""
    rho, w = _split(xi)
    return rigid_velocity(hat(w), _clockwise(rho)) if rho.shape[-1] == 2 else _blocks(hat(w), hat(rho))


def rigid_left_jacobian(
    xi: torch.Tensor,  # shape: (*batch, 3) or (*batch, 6)
) -> torch.Tensor:
    r"""Return $J_l(\xi) = \int_0^1 \exp(t\,\mathrm{ad}_\xi)\,dt$.

    To first order in $\delta$, $\exp(\xi + \delta) = \exp(J_l(\xi) \delta) \exp(\xi)$. The right Jacobian is
    $J_l(-\xi)$. Accurate for small angles too, where each coefficient is a quotient of zeros.

    Examples:
        >>> rigid_left_jacobian(torch.tensor([0.0, 0.0, 0.0, 2.0, 0.0, 0.0]) * 2.0**-20)[2, 1].item() * 2**20
        1.0
    """
    a = rigid_ad(xi)
    _, c1, c2, c3, c4, c5 = (c[..., None] for c in stumpff(_squared_angle(xi)))
    square = a @ a
    odd, even = 0.5 * c3 - c4, 0.5 * (c4 - 3 * c5)
    # the closed form of [Barfoot:2017] in terms that do not cancel
    return _polynomial(a, square, (2 * c2 - 0.5 * c1, 2.5 * c3 - 0.5 * c2, odd, even))


def rigid_left_jacobian_inverse(
    xi: torch.Tensor,  # shape: (*batch, 3) or (*batch, 6)
) -> torch.Tensor:
    r"""Return $J_l(\xi)^{-1}$, for angles below $2\pi$.

    It is $I - \frac12 a + (k - s k') a^2 - k' a^4$ with the coefficient $k(s)$ of `so3_left_jacobian_inverse`, the
    polynomial that meets $\frac x2 \coth\frac x2 - \frac x2$ at the eigenvalues, twice at $\pm i \theta$.

    Examples:
        >>> xi = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
        >>> product = rigid_left_jacobian(xi) @ rigid_left_jacobian_inverse(xi)
        >>> torch.allclose(product, torch.eye(3, dtype=torch.float64))
        True
    """
    a, s = rigid_ad(xi), _squared_angle(xi)
    k, slope = (c[..., None] for c in cotangent_coefficient(s))
    return _polynomial(a, a @ a, (torch.full_like(k, -0.5), k - s[..., None] * slope, torch.zeros_like(k), -slope))


def rigid_to_quaternion(
    X: torch.Tensor,  # shape: (*batch, 4, 4)
) -> torch.Tensor:
    """Return the translation followed by the unit quaternion (x, y, z, w), shape `(*batch, 7)`."""
    return torch.cat([X[..., :3, 3], matrix_to_quaternion(X[..., :3, :3])], -1)


def quaternion_to_rigid(
    v: torch.Tensor,  # shape: (*batch, 7)
) -> torch.Tensor:
    """Return the motion of a translation followed by a quaternion (x, y, z, w), shape `(*batch, 4, 4)`.

    Examples:
        >>> quaternion_to_rigid(torch.tensor([1.0, 2.0, 3.0, 0.0, 0.0, 1.0, 0.0]))
        tensor([[-1.,  0.,  0.,  1.],
                [ 0., -1.,  0.,  2.],
                [ 0.,  0.,  1.,  3.],
                [ 0.,  0.,  0.,  1.]])
    """
    return rigid_motion(quaternion_to_matrix(v[..., 3:]), v[..., :3])


def _split(xi: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    n = 2 if xi.shape[-1] == 3 else 3
    return xi[..., :n], xi[..., n:]


def _squared_angle(xi: torch.Tensor) -> torch.Tensor:
    _, w = _split(xi)
    return (w * w).sum(-1, True)


def _clockwise(p: torch.Tensor) -> torch.Tensor:
    return torch.stack([p[..., 1], -p[..., 0]], -1)


def _blocks(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """Return [[A, B], [0, A]]."""
    return torch.cat([torch.cat([A, B], -1), torch.cat([torch.zeros_like(A), A], -1)], -2)


def _polynomial(a: torch.Tensor, square: torch.Tensor, coefficients: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the identity plus the powers one to four of `a` with these coefficients."""
    one, two, three, four = coefficients
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    return eye + one * a + two * square + square @ (three * a + four * square)
