"""Artificial signals and images with values on manifolds, on which total variation methods are compared.

The definitions, and so the numbers, are those of the Manopt line. References: [BergmannLausSteidlWeinmann:2014],
section 5; [BacakEtAl:2016]; [LausNikolovaEtAl:2017]; [BergmannPerschSteidl:2016].
"""

import math
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg.scalar import wrap_angle
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import move
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.manifolds.sphere import Sphere

# published figures of these data have sixteen digits
DTYPE = torch.float64


def checked_count(name: str, points: Any, least: int = 2) -> int:
    """Return the number of points; raise an OptionsError unless it is an integer of at least `least`."""
    if not isinstance(points, int) or points < least:
        raise OptionsError(f"{name}: points must be an integer of at least {least}, got {points!r}")
    return points


def artificial_s1_signal(
    points: int = 500, *, dtype: torch.dtype = DTYPE, device: torch.device | str | None = None
) -> torch.Tensor:
    r"""Return a signal on the circle with parabola, lines, steps and an exponential decay, all with jumps between.

    Args:
        points: how many equidistant points of $[0, 1]$ are sampled.
        dtype: dtype of the result.
        device: where it goes; None is torch's default.

    Returns:
        Angles in $[-\pi, \pi)$, shape `(points,)`.

    Raises:
        OptionsError: if `points` is no integer of at least 2.

    References:
        [BergmannLausSteidlWeinmann:2014], section 5.1.

    Examples:
        >>> from manopt_torch.datasets import artificial_s1_signal
        >>> artificial_s1_signal(3)
        tensor([-2.3562, -2.7489, -2.3562], dtype=torch.float64)
    """
    t = torch.linspace(0, 1, checked_count("artificial_s1_signal", points), dtype=dtype, device=device)
    pi = math.pi
    decay = 1.5 * pi * torch.exp(8 - 1 / (1 - t)) - 0.75 * pi
    pieces = [
        (1 / 4, -24 * pi * (t - 0.25).square() + 0.75 * pi),
        (3 / 8, 4 * pi * t - 0.25 * pi),
        (1 / 2, -pi * t - 0.375 * pi),
        *((19 / 32 + 3 * j / 32, torch.full_like(t, -(j + 7) / 8 * pi)) for j in range(4)),
    ]
    value = decay
    for end, piece in reversed(pieces):
        value = torch.where(t <= end, piece, value)
    return wrap_angle(value)


def artificial_s1_slope_signal(
    points: int = 500, slope: float = 4.0, *, dtype: torch.dtype = DTYPE, device: torch.device | str | None = None
) -> torch.Tensor:
    r"""Return a signal on the circle whose slope is doubled after each sixth.

    Each piece goes on from the last sample of the one before, so that the signal is continuous up to one sample.

    Args:
        points: how many equidistant points of $[0, 1]$ are sampled, at least 7.
        slope: eight times the first slope, over $\pi$.
        dtype: dtype of the result.
        device: where it goes; None is torch's default.

    Returns:
        Angles in $[-\pi, \pi)$, shape `(points,)`.

    Raises:
        OptionsError: if there are too few points.

    Examples:
        >>> from manopt_torch.datasets import artificial_s1_slope_signal
        >>> artificial_s1_slope_signal(7)[:3]
        tensor([-1.5708, -1.3090, -0.7854], dtype=torch.float64)
    """
    n = checked_count("artificial_s1_slope_signal", points, 7)
    t = torch.linspace(0, 1, n, dtype=dtype, device=device)
    value = torch.full_like(t, -math.pi / 2)
    for j in range(6):
        # 1, 2, 4, ... eighths, the first piece from the start, the others from where the former has ended
        rate = slope * math.pi * 2.0**j / 8
        ends = [i for i in range(n) if i * 6 <= j * (n - 1)]
        inside = torch.arange(n, device=device) * 6 > j * (n - 1)
        start = value[ends[-1]] if j else value[0]
        value = torch.where(inside, start + rate * (t - j / 6), value)
    return wrap_angle(value)


def artificial_in_sar_image(
    points: int = 500, *, dtype: torch.dtype = DTYPE, device: torch.device | str | None = None
) -> torch.Tensor:
    r"""Return an image of phases as radar interferometry measures heights: an ellipse, a bowl and a staircase.

    Args:
        points: rows and columns.
        dtype: dtype of the result.
        device: where it goes; None is torch's default.

    Returns:
        Angles in $[-\pi, \pi)$, shape `(points, points)`.

    Raises:
        OptionsError: if `points` is no integer of at least 2.

    References:
        [BergmannLausSteidlWeinmann:2014], section 5.2.

    Examples:
        >>> from manopt_torch.datasets import artificial_in_sar_image
        >>> artificial_in_sar_image(64).shape
        torch.Size([64, 64])
    """
    t = torch.linspace(-0.5, 0.5, checked_count("artificial_in_sar_image", points), dtype=dtype, device=device)
    across, down = t[:, None], t[None, :]

    def turned(degrees: float) -> tuple[torch.Tensor, torch.Tensor]:
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        return cosine * across - sine * down, cosine * down + sine * across

    a, b = turned(35.0)
    ellipse = torch.where(6 * a * a + 25 * b * b <= 1, 10 * math.pi * b, 0.0)
    a, b = turned(45.0)
    height = 1 - ((a - 0.275).square() + (b - 0.275).square()) / 0.18**2
    bowl = torch.where(height >= 0, 4 * math.pi * height, 0.0)
    a, b = turned(60.0)
    stairs = torch.zeros_like(a)
    for m in range(1, 9):
        on_step = (a - 0.475 + 0.075 * m).abs() + (b - 0.0625 + 0.075 * m).abs() <= 0.075
        stairs = stairs + on_step.to(dtype) * (2 * math.pi * m / 8)
    return wrap_angle(ellipse + bowl + stairs)


def artificial_s2_lemniscate(
    p: torch.Tensor,  # shape: (3,)
    points: int = 128,
    a: float = math.pi / 2,
    interval: tuple[float, float] = (0.0, 2 * math.pi),
) -> torch.Tensor:
    r"""Return a signal on the sphere: Bernoulli's lemniscate in the tangent space at a point, by the exponential map.

    Args:
        p: the point, shape `(3,)`.
        points: how many points of the interval are sampled.
        a: the half axis; the default covers a half sphere.
        interval: parameters of the first and the last sample; the default is the closed curve.

    Returns:
        Points of `Sphere(3)`, shape `(points, 3)`, in the dtype of `p`.

    Raises:
        OptionsError: if `points` is no integer of at least 2.
        NotOnManifoldError: if `p` is off the sphere.

    References:
        [BacakEtAl:2016].

    Examples:
        >>> from manopt_torch.datasets import artificial_s2_lemniscate
        >>> artificial_s2_lemniscate(torch.tensor([0.0, 0.0, 1.0]), 5)[0]  # on the equator
        tensor([ 1.0000e+00,  0.0000e+00, -4.3711e-08])
    """
    M, n = Sphere(3), checked_count("artificial_s2_lemniscate", points)
    M.check_point(p)
    t = torch.linspace(*interval, n, dtype=p.dtype, device=p.device)
    first = a * torch.cos(t) / (torch.sin(t).square() + 1)
    flat = torch.stack([first, first * torch.sin(t), torch.zeros_like(t)], -1)
    pole = torch.zeros_like(p)
    pole[..., 2] = torch.where(p[..., 0] >= 0, 1.0, -1.0)
    return M.exp(p, M.parallel_transport(pole, p, flat))


def add_noise(M: Manifold, x: Any, sigma: float, *, generator: torch.Generator | None = None) -> Any:
    r"""Return points moved by noise: $\exp_x(\sigma u)$ with a standard normal tangent vector $u$.

    The coordinates of $u$ in an orthonormal basis are independent and standard normal, so that on a power manifold
    each entry gets noise of its own; angles stay in $[-\pi, \pi)$. Where there is no exponential map, the retraction
    stands in.

    Args:
        M: the manifold.
        x: the points, shape `(*batch, *point_shape)`.
        sigma: the standard deviation, at least zero.
        generator: source of the draws, for results that can be repeated.

    Returns:
        Points of the same shape.

    Raises:
        OptionsError: if `sigma` is negative.

    Examples:
        >>> from manopt_torch import Circle, Power
        >>> from manopt_torch.datasets import add_noise, artificial_s1_signal
        >>> f, generator = artificial_s1_signal(100), torch.Generator().manual_seed(1)
        >>> M = Power(Circle(), 100)
        >>> bool(M.dist(f, add_noise(M, f, 0.1, generator=generator)) / 10 < 0.2)
        True
    """
    if not sigma >= 0:
        raise OptionsError(f"add_noise: sigma must be at least zero, got {sigma!r}")
    ref = first_leaf(x)
    source = ref.device if generator is None else generator.device
    c = torch.randn((*M.batch_shape(x), M.dim), generator=generator, dtype=ref.real.dtype, device=source)
    u = M.from_coordinates(x, sigma * c.to(ref.device))
    return move(M, x, u)
