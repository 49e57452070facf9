"""Pictures of points, curves and tangent vectors on the two-dimensional sphere."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from manopt_torch.plotting.panels import as_array, axes_or_new


def plot_sphere(
    points: Any = (),
    *,
    curves: Any = (),
    vectors: Sequence[tuple[Any, Any]] = (),
    axes: Any = None,
    view: tuple[float, float] = (25.0, 35.0),
) -> Any:
    """Draw points, curves and fields of tangent vectors on the unit sphere.

    Args:
        points: points of shape `(n, 3)`, a sequence of such sets, or a mapping from names to sets for a legend.
        curves: curves likewise: each the points that it runs through, in order.
        vectors: pairs of points and tangent vectors at them, each of shape `(n, 3)`, drawn as arrows.
        axes: matplotlib axes made with `projection="3d"` to draw into; None makes a new figure.
        view: elevation and azimuth of the eye, in degrees.

    Returns:
        The matplotlib `Figure`; save it with `figure.savefig("sphere.svg")` or `.png`.

    Raises:
        ImportError: if matplotlib is missing.
        ShapeError: if a set has another shape.

    Examples:
        >>> import torch
        >>> from manopt_torch import artificial_s2_lemniscate, plot_sphere
        >>> curve = artificial_s2_lemniscate(torch.tensor([0.0, 0.0, 1.0]))
        >>> figure = plot_sphere({"every tenth": curve[::10]}, curves=curve)
    """
    axes = axes_or_new("plot_sphere", axes, (5.0, 5.0), projection="3d")
    _globe(axes)
    for name, x in _sets(points):
        axes.scatter(*x.T, s=14, depthshade=False, label=name)
    for name, x in _sets(curves):
        axes.plot(*x.T, linewidth=1.5, label=name)
    for at, arrows in vectors:
        x, u = (as_array("plot_sphere", v, (3,), 1) for v in (at, arrows))
        axes.quiver(*x.T, *u.T, color="0.25", linewidth=0.8, arrow_length_ratio=0.25)
    if isinstance(points, Mapping) or isinstance(curves, Mapping):
        axes.legend(loc="upper left")
    axes.set_box_aspect((1, 1, 1))
    axes.view_init(*view)
    axes.set_axis_off()
    return axes.figure


def plot_direction_image(x: Any, *, axes: Any = None) -> Any:
    """Draw an image of directions: arrows of the horizontal parts, coloured by the height.

    Args:
        x: points of the sphere, shape `(n, m, 3)`.
        axes: matplotlib axes to draw into, without a scale of colours; None makes a new figure with one.

    Returns:
        The matplotlib `Figure`.

    Raises:
        ImportError: if matplotlib is missing.
        ShapeError: if `x` has another shape.

    Examples:
        >>> from manopt_torch import artificial_s2_whirl_image, plot_direction_image
        >>> figure = plot_direction_image(artificial_s2_whirl_image(32))
    """
    values = as_array("plot_direction_image", x, (3,), 2)
    panel = axes_or_new("plot_direction_image", axes, (5.0, 4.2))
    arrows = panel.quiver(
        *(values[..., j] for j in range(3)),
        pivot="mid",
        angles="xy",
        scale_units="xy",
        scale=1.0,
        cmap="viridis",
        clim=(-1, 1),
    )
    panel.set_aspect("equal")
    panel.invert_yaxis()
    panel.set_xticks([])
    panel.set_yticks([])
    if axes is None:
        panel.figure.colorbar(arrows, ax=panel, label="height")
    return panel.figure


def _sets(given: Any) -> list[tuple[str | None, np.ndarray]]:
    """Return names (or None) with arrays of shape (n, 3)."""
    if isinstance(given, Mapping):
        return [(name, as_array("plot_sphere", x, (3,), 1)) for name, x in given.items()]
    several = list(given) if isinstance(given, (list, tuple)) else [given]
    return [(None, as_array("plot_sphere", x, (3,), 1)) for x in several]


def _globe(axes: Any) -> None:
    """Draw circles of latitude and longitude."""
    turn = np.linspace(0, 2 * math.pi, 73)
    for height in np.radians(range(-60, 90, 30)):
        ring = np.cos(height) * np.cos(turn), np.cos(height) * np.sin(turn), np.full_like(turn, np.sin(height))
        axes.plot(*ring, color="0.8", linewidth=0.6)
    for angle in np.radians(range(0, 180, 30)):
        axes.plot(np.cos(turn) * np.cos(angle), np.cos(turn) * np.sin(angle), np.sin(turn), color="0.8", linewidth=0.6)
