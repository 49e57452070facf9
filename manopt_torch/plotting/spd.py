r"""Pictures of positive definite matrices, as the ellipses and ellipsoids $v^\top A^{-1} v \le 1$."""

import math
from typing import Any

import numpy as np

from manopt_torch.errors import ShapeError
from manopt_torch.plotting.panels import as_array, axes_or_new

# of a cell, for the longest half axis of all
_ROOM = 0.48
# of the light that shines on ellipsoids, a unit vector
_LIGHT = np.array([-0.36, 0.48, 0.8])


def plot_spd_image(x: Any, *, axes: Any = None, resolution: int = 24) -> Any:
    r"""Draw a signal or image of positive definite matrices with two or three rows.

    Matrices with two rows become ellipses, coloured by anisotropy. Those with three rows become ellipsoids seen from
    the third axis; their colour is the direction of the longest axis (red, green and blue for the three coordinate
    axes), paler the rounder they are. All are drawn to the same scale.

    Args:
        x: the matrices, shape `(n, m, k, k)` for an image or `(n, k, k)` for a signal, with `k` 2 or 3.
        axes: matplotlib axes to draw into; None makes a new figure.
        resolution: picture elements of an ellipsoid in each direction.

    Returns:
        The matplotlib `Figure`; save it with `figure.savefig("matrices.svg")` or `.png`.

    Raises:
        ImportError: if matplotlib is missing.
        ShapeError: if `x` has another shape.

    Examples:
        >>> from manopt_torch import artificial_spd_image, plot_spd_image
        >>> figure = plot_spd_image(artificial_spd_image(8))
    """
    k = tuple(x.shape)[-1] if x.dim() else 0
    if k not in (2, 3):
        raise ShapeError(f"plot_spd_image: expected matrices with two or three rows, got shape {tuple(x.shape)}")
    values = as_array("plot_spd_image", x if x.dim() > 3 else x[None], (k, k), 2)
    rows, columns = values.shape[:2]
    side = min(0.45, 6.0 / max(rows, columns))
    axes = axes_or_new("plot_spd_image", axes, (columns * side + 0.3, rows * side + 0.3))
    # the extent of an ellipse along an axis is the root of the diagonal entry
    diagonal = values[..., np.arange(k), np.arange(k)]
    scale = _ROOM / math.sqrt(diagonal[..., :2].max())
    if k == 2:
        axes.add_collection(_ellipses(values, scale))
    else:
        extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
        axes.imshow(_ellipsoids(values, scale, resolution), extent=extent, interpolation="antialiased")
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    return axes.figure


def _anisotropy(eigenvalues: np.ndarray) -> np.ndarray:
    """Return how far from round matrices are, in [0, 1): the spread of the logarithms of their eigenvalues."""
    logs = np.log(np.maximum(eigenvalues, np.finfo(float).tiny))
    spread = np.sqrt(((logs - logs.mean(-1, keepdims=True)) ** 2).sum(-1))
    return spread / (1 + spread)


def _ellipses(values: np.ndarray, scale: float) -> Any:
    from matplotlib.collections import PolyCollection

    rows, columns = values.shape[:2]
    turn = np.linspace(0, 2 * math.pi, 37)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    outline = scale * np.linalg.cholesky(values) @ circle
    row, column = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    # rows of an image run down, the second coordinate runs up
    corners = np.stack([column[..., None] + outline[..., 0, :], row[..., None] - outline[..., 1, :]], -1)
    collection = PolyCollection(
        list(corners.reshape(-1, len(turn), 2)), cmap="viridis", edgecolors="0.2", linewidths=0.4
    )
    collection.set_array(_anisotropy(np.linalg.eigvalsh(values)).reshape(-1))
    collection.set_clim(0, 1)
    return collection


def _ellipsoids(values: np.ndarray, scale: float, resolution: int) -> np.ndarray:
    """Follow parallel rays to the front of each ellipsoid; return colours, shape `(rows r, columns r, 4)`."""
    rows, columns = values.shape[:2]
    inverse = np.linalg.inv(values)[:, None, :, None]  # shape: (rows, 1, columns, 1, 3, 3)
    grid = ((np.arange(resolution) + 0.5) / resolution - 0.5) / scale
    a, b = grid[None, None, None, :], -grid[None, :, None, None]
    b11, b12, b13, b22, b23, b33 = (inverse[..., i, j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)))
    half, rest = b13 * a + b23 * b, b11 * a * a + 2 * b12 * a * b + b22 * b * b - 1
    discriminant = half * half - b33 * rest
    z = (np.sqrt(np.maximum(discriminant, 0)) - half) / b33
    normal = np.stack([b11 * a + b12 * b + b13 * z, b12 * a + b22 * b + b23 * z, b13 * a + b23 * b + b33 * z], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    shade = 0.45 + 0.55 * np.maximum(normal @ _LIGHT, 0)
    eigenvalues, frames = np.linalg.eigh(values)
    share = _anisotropy(eigenvalues)[..., None]
    colour = share * np.abs(frames[..., -1]) + (1 - share) * 0.75
    colour = (colour / colour.max(-1, keepdims=True))[:, None, :, None]
    visible = np.broadcast_to((discriminant >= 0)[..., None], (*shade.shape, 1)).astype(float)
    picture = np.concatenate([colour * shade[..., None], visible], -1)
    return picture.reshape(rows * resolution, columns * resolution, 4)
