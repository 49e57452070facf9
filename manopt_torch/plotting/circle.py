"""Pictures of angles: signals and images."""

import math
from collections.abc import Sequence
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plotting.panels import as_array, axes_or_new

_TICKS = (-math.pi, -math.pi / 2, 0.0, math.pi / 2, math.pi)
_NAMES = (r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$")


def plot_circle_signal(*signals: Any, labels: Sequence[str] = (), axes: Any = None) -> Any:
    r"""Draw signals of angles as dots, so that no line runs from $\pi$ to $-\pi$.

    Args:
        *signals: one or more signals, each of shape `(n,)`.
        labels: their names, for a legend.
        axes: matplotlib axes to draw into; None makes a new figure.

    Returns:
        The matplotlib `Figure`; save it with `figure.savefig("signal.svg")` or `.png`.

    Raises:
        ImportError: if matplotlib is missing.
        ShapeError: if a signal has another shape.
        OptionsError: if there is no signal, or not one label for each.

    Examples:
        >>> from manopt_torch import artificial_s1_signal, plot_circle_signal
        >>> figure = plot_circle_signal(artificial_s1_signal(100), labels=["original"])
        >>> figure.axes[0].get_ylabel()
        'angle'
    """
    if not signals or (labels and len(labels) != len(signals)):
        raise OptionsError(f"plot_circle_signal: {len(signals)} signals and {len(labels)} labels; pass one for each")
    arrays = [as_array("plot_circle_signal", x, (), 1) for x in signals]
    axes = axes_or_new("plot_circle_signal", axes, (7.0, 3.2))
    for j, values in enumerate(arrays):
        axes.plot(values, ".", markersize=4, label=labels[j] if labels else None)
    axes.set_ylim(-math.pi - 0.2, math.pi + 0.2)
    axes.set_yticks(_TICKS, _NAMES)
    axes.set_xlabel("entry")
    axes.set_ylabel("angle")
    axes.grid(True, alpha=0.3)
    if labels:
        axes.legend()
    return axes.figure


def plot_phase_image(x: Any, *, axes: Any = None) -> Any:
    r"""Draw an image of angles, such as a phase image of radar interferometry, in colours of the circle.

    Args:
        x: the angles, shape `(n, m)`.
        axes: matplotlib axes to draw into, without a scale of colours; None makes a new figure with one.

    Returns:
        The matplotlib `Figure`.

    Raises:
        ImportError: if matplotlib is missing.
        ShapeError: if `x` has another shape.

    Examples:
        >>> from manopt_torch import artificial_in_sar_image, plot_phase_image
        >>> len(plot_phase_image(artificial_in_sar_image(16)).axes)  # the image and the scale
        2
    """
    values = as_array("plot_phase_image", x, (), 2)
    panel = axes_or_new("plot_phase_image", axes, (4.2, 3.4))
    image = panel.imshow(values, cmap="hsv", vmin=-math.pi, vmax=math.pi, interpolation="nearest")
    panel.set_xticks([])
    panel.set_yticks([])
    if axes is None:
        bar = panel.figure.colorbar(image, ax=panel, label="phase")
        bar.set_ticks(_TICKS, labels=_NAMES)
    return panel.figure
