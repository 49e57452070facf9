r"""Functions of a squared length that are smooth at zero.

The length $\|u\| = \sqrt{s}$ has no derivative at $u = 0$, but $\cos\|u\|$, $\sin\|u\| / \|u\|$ and the squared angle
between two vectors are power series in $s$. The value of each function here is the closed form. Where derivatives may
be asked for, they are those of the series for small $s$ and of the closed form elsewhere; both see harmless arguments
where they are not selected, because `torch.where` also differentiates the branch it drops and $0 \cdot \infty$ is NaN.
"""

import math

import torch

from manopt_torch.linalg.known_value import tracks_derivatives, with_value
from manopt_torch.linalg.taylor import SERIES_BOUND, polynomial

_RIGHT = 0.5 * math.pi

_COSINE = [(-1.0) ** k / math.factorial(2 * k) for k in range(5)]
_SINC = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(5)]
_ANGLE_OVER_SINE = [math.comb(2 * k, k) / (4.0**k * (2 * k + 1)) for k in range(8)]
_SQUARED_ANGLE = [2.0 / ((k + 1) ** 2 * math.comb(2 * k + 2, k + 1)) for k in range(7)]


def tiny_root(dtype: torch.dtype) -> float:
    """Return the least number whose square is a normal number: in a denominator it stands for zero."""
    return torch.finfo(dtype).tiny ** 0.5


def safe_sqrt(
    s: torch.Tensor,  # shape: any
) -> torch.Tensor:
    """Return the square root of `max(s, 0)` with derivative zero, not infinity, at zero; NaN stays NaN.

    Examples:
        >>> safe_sqrt(torch.tensor([4.0, 0.0, -1.0])).tolist() == [2.0, 0.0, 0.0]
        True
    """
    if not tracks_derivatives():
        return torch.sqrt(s.clamp(min=0))
    positive = s > 0
    root = torch.sqrt(torch.where(positive, s, 1.0))
    # `s * 0` is zero for the rest, and NaN where `s` is NaN
    return torch.where(positive, root, s * 0)


def cos_and_sinc_sqrt(
    s: torch.Tensor,  # shape: any, s >= 0
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return $\cos\sqrt{s}$ and $\sin\sqrt{s} / \sqrt{s}$, differentiable at zero.

    Examples:
        >>> [value.item() for value in cos_and_sinc_sqrt(torch.zeros(()))]
        [1.0, 1.0]
    """
    # of the smallest number the sinc is one, as it is of zero
    root = torch.sqrt(s.detach()).clamp(min=torch.finfo(s.dtype).tiny)
    values = torch.cos(root), torch.sin(root) / root
    if not tracks_derivatives():
        return values
    near = s < SERIES_BOUND
    small = torch.where(near, s, 0.0)
    root = torch.sqrt(torch.where(near, 1.0, s))
    cosine = torch.where(near, polynomial(small, _COSINE), torch.cos(root))
    sinc = torch.where(near, polynomial(small, _SINC), torch.sin(root) / root)
    return with_value(cosine, values[0]), with_value(sinc, values[1])


def arctan2(
    y: torch.Tensor,  # shape: (*batch,)
    x: torch.Tensor,  # shape: (*batch,)
) -> torch.Tensor:
    r"""Return the angle of the point $(x, y)$ in $[-\pi, \pi]$, each entry the same whatever its neighbours.

    The kernel of `torch.atan2` rounds the last few entries of a tensor in another way than the others, so that a
    problem would come out differently in batches of different sizes; that of `torch.atan` does not.

    Examples:
        >>> arctan2(torch.tensor([1.0, -1.0, 0.0]), torch.tensor([1.0, 0.0, -2.0])).div(math.pi).tolist()
        [0.25, -0.5, 1.0]
    """
    steep = y.abs() > x.abs()
    large = torch.where(steep, y, x)
    slope = torch.atan(torch.where(steep, x, y) / torch.where(large == 0, 1.0, large))
    flat = slope + torch.where(x < 0, torch.copysign(torch.full_like(y, math.pi), y), 0.0)
    return torch.where(steep, torch.copysign(torch.full_like(y, 0.5 * math.pi), y) - slope, flat)


def angle_between(
    difference: torch.Tensor,  # shape: (*batch,), norm of x - y
    total: torch.Tensor,  # shape: (*batch,), norm of x + y
) -> torch.Tensor:
    r"""Return the angle between two unit vectors in $[0, \pi]$ from $\|x - y\|$ and $\|x + y\|$.

    Examples:
        >>> round(angle_between(torch.tensor(2.0), torch.tensor(0.0)).item(), 6)
        3.141593
    """
    # divided by zero the derivative would be NaN; so it is zero
    return 2.0 * torch.atan(difference / total.clamp(min=tiny_root(total.dtype)))


def squared_angle(
    s: torch.Tensor,  # shape: (*batch,), squared norm of x - y
    c: torch.Tensor,  # shape: (*batch,), squared norm of x + y
) -> torch.Tensor:
    r"""Return $\theta^2$ for the angle $\theta$ between two unit vectors, from $\|x - y\|^2$ and $\|x + y\|^2$.

    $\theta = 2 \operatorname{atan2}(\|x - y\|, \|x + y\|)$ keeps full relative accuracy from coincident to opposite
    vectors, where arc cosine and arc sine lose half the digits at one end each; near zero it is the series of
    $4 \arcsin^2(\sqrt{s} / 2) = s + s^2/12 + s^3/90 + \dots$

    Examples:
        >>> squared_angle(torch.tensor(2.0), torch.tensor(2.0)).sqrt().item()  # a right angle
        1.5707963705062866
    """
    angle = angle_between(torch.sqrt(s.detach()), torch.sqrt(c.detach()))
    value = angle * angle
    if not tracks_derivatives():
        return value
    near = s < SERIES_BOUND
    small = torch.where(near, s, 0.0)
    far = angle_between(torch.sqrt(torch.where(near, 1.0, s)), safe_sqrt(c))
    return with_value(torch.where(near, small * polynomial(small, _SQUARED_ANGLE), far * far), value)


def angle_over_sine(
    r: torch.Tensor,  # shape: any, squared sine
    cosine: torch.Tensor,  # shape: that of r
) -> torch.Tensor:
    r"""Return $\theta / \sin\theta$ for $\theta \in [0, \pi]$ from $\sin^2\theta$ and $\cos\theta$; huge at $\pi$.

    Examples:
        >>> angle_over_sine(torch.tensor(0.0), torch.tensor(1.0)).item()
        1.0
    """
    sine, c = torch.sqrt(r.detach()).clamp(min=tiny_root(r.dtype)), cosine.detach()
    # the tangent of half an angle of at most a right one loses nothing; an obtuse angle is what that one lacks
    side = torch.sign(c)
    half = torch.atan(sine / (1 + c.abs()))
    value = torch.addcmul(side * -_RIGHT + _RIGHT, side, half, value=2) / sine
    if not tracks_derivatives():
        return value
    # next to pi there is nothing but rounding: no derivative of it
    near = (r < SERIES_BOUND) & ((cosine > 0) | (r < torch.finfo(r.dtype).eps ** 4))
    sine = torch.sqrt(torch.where(near, 1.0, r))
    series = polynomial(torch.where(near, r, 0.0), _ANGLE_OVER_SINE)
    return with_value(torch.where(near, series, arctan2(sine, cosine) / sine), value)


def log_ratio(
    x: torch.Tensor,  # shape: any, x > 0
    y: torch.Tensor,  # shape: that of x, y > 0
) -> torch.Tensor:
    r"""Return $\log(y / x)$, accurate also where y is next to x and where the quotient is out of range.

    Examples:
        >>> log_ratio(torch.tensor([1e-30, 8.0]), torch.tensor([1e30, 8.000001]))  # one quotient is infinite
        tensor([1.3816e+02, 1.1921e-07])
    """
    difference = (y - x) / x
    near = difference.abs() < 0.5
    # each branch sees harmless numbers where it is not selected
    root = torch.sqrt(torch.where(near, 1.0, y)) / torch.sqrt(torch.where(near, 1.0, x))
    return torch.where(near, torch.log1p(torch.where(near, difference, 0.0)), 2 * torch.log(root))


def wrap_angle(
    z: torch.Tensor,  # shape: any
) -> torch.Tensor:
    r"""Add the multiple of $2\pi$ that brings an angle to $[-\pi, \pi)$; small angles come out unchanged in bits.

    Examples:
        >>> wrap_angle(torch.tensor([7.0, 1e-9, -math.pi, math.pi]))
        tensor([ 7.1681e-01,  1.0000e-09, -3.1416e+00, -3.1416e+00])
    """
    turn = 2 * math.pi
    near = torch.fmod(z, turn)  # exact, also for huge numbers; keeps the sign, so that it lies within a turn of zero
    near = torch.where(near >= math.pi, near - turn, near)
    return torch.where(near < -math.pi, near + turn, near)
