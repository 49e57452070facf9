"""Artificial images with values on the sphere and in the positive definite matrices.

The definitions are those of the Manopt line; see `artificial` for signals and phases.
"""

import math
from typing import Any

import torch

from manopt_torch.datasets.artificial import DTYPE, checked_count
from manopt_torch.linalg.spectral import symmetric_part
from manopt_torch.manifolds.symmetric_positive_definite import SymmetricPositiveDefinite

# whirls of the image of 64 rows: size, row and column of the centre (counted from one), sign
_WHIRLS = (
    (9, 35, 7, 1),
    (9, 25, 41, 1),
    (9, 32, 25, -1),
    (9, 7, 60, 1),
    (11, 10, 5, -1),
    (11, 41, 58, -1),
    (11, 11, 41, 1),
    (15, 23, 56, 1),
    (15, 38, 45, -1),
    (15, 16, 28, -1),
    (17, 55, 42, 1),
    (21, 51, 16, -1),
)


def artificial_s2_rotations_image(
    points: int = 64,
    rotations: tuple[float, float] = (0.5, 0.5),
    *,
    dtype: torch.dtype = DTYPE,
    device: torch.device | str | None = None,
) -> torch.Tensor:
    """Return an image of directions that turn about one axis along each diagonal.

    Args:
        points: rows and columns.
        rotations: how many full turns there are along rows and columns.
        dtype: dtype of the result.
        device: where it goes; None is torch's default.

    Returns:
        Points of `Sphere(3)`, shape `(points, points, 3)`.

    Raises:
        OptionsError: if `points` is no integer of at least 1.

    References:
        [LausNikolovaEtAl:2017].

    Examples:
        >>> from manopt_torch.datasets import artificial_s2_rotations_image
        >>> artificial_s2_rotations_image(16).shape
        torch.Size([16, 16, 3])
    """
    n = checked_count("artificial_s2_rotations_image", points, 1)
    turn = torch.arange(1, n + 1, dtype=dtype, device=device) * (2 * math.pi / n)
    a, b = rotations[0] * turn[:, None], rotations[1] * turn[None, :]
    total, difference = a + b, a - b
    out = torch.sin(difference)
    return torch.stack([-out * torch.cos(total), -out * torch.sin(total), torch.cos(difference)], -1)


def artificial_s2_whirl_patch(
    points: int = 5, *, dtype: torch.dtype = DTYPE, device: torch.device | str | None = None
) -> torch.Tensor:
    """Return a square of directions that whirl about its centre.

    Args:
        points: rows and columns; if odd, the centre is the south pole.
        dtype: dtype of the result.
        device: where it goes; None is torch's default.

    Returns:
        Points of `Sphere(3)`, shape `(points, points, 3)`.

    Raises:
        OptionsError: if `points` is no integer of at least 2.

    References:
        [LausNikolovaEtAl:2017].

    Examples:
        >>> from manopt_torch.datasets import artificial_s2_whirl_patch
        >>> artificial_s2_whirl_patch(5)[2, 2]
        tensor([ 0.,  0., -1.], dtype=torch.float64)
    """
    n = checked_count("artificial_s2_whirl_patch", points)
    offset = torch.arange(n, dtype=dtype, device=device) - (n - 1) / 2
    a, b = offset[:, None].expand(n, n), offset[None, :].expand(n, n)
    alpha = torch.atan2(b, a)
    beta = torch.hypot(a, b) * (math.pi / (3 * math.sqrt((n - 1) ** 2 / 2)))
    whirl = torch.stack([torch.sin(alpha) * torch.cos(beta), -torch.cos(alpha) * torch.cos(beta), torch.sin(beta)], -1)
    south = torch.tensor([0.0, 0.0, -1.0], dtype=dtype, device=device)
    return torch.where(((a == 0) & (b == 0))[..., None], south, whirl)


def artificial_s2_whirl_image(
    points: int = 64, *, dtype: torch.dtype = DTYPE, device: torch.device | str | None = None
) -> torch.Tensor:
    """Return an image of turning directions with twelve whirls set into it.

    Args:
        points: rows and columns, at least 16.
        dtype: dtype of the result.
        device: where it goes; None is torch's default.

    Returns:
        Points of `Sphere(3)`, shape `(points, points, 3)`.

    Raises:
        OptionsError: if `points` is too small.

    References:
        [LausNikolovaEtAl:2017].

    Examples:
        >>> from manopt_torch.datasets import artificial_s2_whirl_image
        >>> artificial_s2_whirl_image(64).shape
        torch.Size([64, 64, 3])
    """
    n = checked_count("artificial_s2_whirl_image", points, 16)
    image = artificial_s2_rotations_image(n, dtype=dtype, device=device)
    for size, row, column, sign in _WHIRLS:
        size = int(size * n / 64)
        patch = sign * artificial_s2_whirl_patch(size, dtype=dtype, device=device)
        # at the border a whirl is moved inwards
        first = [max(1, int(c * n / 64) - size) + size - 1 - (size - 1) // 2 for c in (row, column)]
        top, left = (min(start, n - size) for start in first)
        image[top : top + size, left : left + size] = patch
    return image


def artificial_spd_image(
    points: int = 64, step: float = 1.5, *, dtype: torch.dtype = DTYPE, device: torch.device | str | None = None
) -> torch.Tensor:
    """Return an image of positive definite matrices whose axes turn and whose eigenvalues jump.

    Args:
        points: rows and columns.
        step: the size of the jumps.
        dtype: dtype of the result.
        device: where it goes; None is torch's default.

    Returns:
        Matrices, shape `(points, points, 3, 3)`.

    Raises:
        OptionsError: if `points` is no integer of at least 2.

    References:
        [BergmannPerschSteidl:2016].

    Examples:
        >>> from manopt_torch.datasets import artificial_spd_image
        >>> artificial_spd_image(16).shape
        torch.Size([16, 16, 3, 3])
    """
    n = checked_count("artificial_spd_image", points)
    r = torch.arange(n, dtype=dtype, device=device) / n
    wave, slope = (2 * math.pi * r - math.pi).abs(), math.pi * r
    height = torch.linspace(0, 3 * (1 - 1 / n), 2 * n, dtype=dtype, device=device)
    index = torch.arange(n, device=device)
    row, column = torch.meshgrid(index, index, indexing="ij")
    frame = _turned(wave[column], 0, 1) @ _turned(slope[row], 1, 2) @ _turned(wave[(column - row) % n], 0, 2)
    level = height[row + column + 1]

    def jump(there: torch.Tensor) -> torch.Tensor:
        return step * there.to(dtype)

    eigenvalues = torch.stack(
        [
            1 + 0.5 * jump(row + column + 2 > n),
            1 + level - jump(2 * (column + 1) > n),
            4 - level + jump(2 * (row + 1) > n),
        ],
        -1,
    )
    return symmetric_part((frame * eigenvalues[..., None, :]) @ frame.mT)


def artificial_spd_image2(  # the second one of the Manopt line
    points: int = 64,
    fraction: float = 0.66,
    *,
    dtype: torch.dtype = DTYPE,
    device: torch.device | str | None = None,
) -> torch.Tensor:
    """Return an image of positive definite matrices along geodesics, with one jump.

    Along the first column runs a geodesic of which the middle is left out; each row goes on in a direction that is
    carried along in parallel.

    Args:
        points: rows and columns.
        fraction: after which part of the rows the jump comes.
        dtype: dtype of the result.
        device: where it goes; None is torch's default.

    Returns:
        Matrices, shape `(points, points, 3, 3)`.

    Raises:
        OptionsError: if `points` is no integer of at least 2.

    References:
        [BacakEtAl:2016].

    Examples:
        >>> from manopt_torch.datasets import artificial_spd_image2
        >>> artificial_spd_image2(16).shape
        torch.Size([16, 16, 3, 3])
    """
    n, M = checked_count("artificial_spd_image2", points), SymmetricPositiveDefinite(3)
    given: dict[str, Any] = {"dtype": dtype, "device": device}

    def matrix(alpha: float, beta: float, eigenvalues: list[float]) -> torch.Tensor:
        frame = _turned(torch.tensor(alpha, **given), 0, 1) @ _turned(torch.tensor(beta, **given), 1, 2)
        return symmetric_part((frame * torch.tensor(eigenvalues, **given)) @ frame.mT)[None]

    first = matrix(2 * math.pi / 3, math.pi / 3, [2.0, 4.0, 8.0])
    second = matrix(-4 * math.pi / 3, -math.pi / 3, [8 / math.sqrt(2), 8.0, math.sqrt(2)])
    index = torch.arange(n, device=device)
    share = index.to(dtype) / (n - 1)
    # the first row stays where it is also if the jump were to come before it
    time = 0.5 * share + 0.5 * ((index + 1 > fraction * n) & (index > 0)).to(dtype)
    start = M.geodesic(first, second, time)
    direction = M.log(first, 4 * torch.eye(3, **given))
    carried = M.parallel_transport(first, start, direction)
    return M.exp(start[:, None], carried[:, None], share.expand(n, n))


def _turned(angle: torch.Tensor, i: int, j: int) -> torch.Tensor:
    """Return rotations in the plane of two axes, shape `(*angle.shape, 3, 3)`."""
    cosine, sine = torch.cos(angle), torch.sin(angle)
    turned = torch.eye(3, dtype=angle.dtype, device=angle.device).repeat(*angle.shape, 1, 1)
    turned[..., i, i], turned[..., j, j] = cosine, cosine
    turned[..., i, j], turned[..., j, i] = -sine, sine
    return turned
