r"""Powell's dogleg: the way to the Gauss-Newton step by the steepest descent step, cut off at a radius."""

from typing import Any, NamedTuple

from manopt_torch._typing import Scalar


class Bend(NamedTuple):
    r"""The point on the dogleg at the radius: $h = -a\,g + b\,h_{GN}$, and its squared length and model decrease."""

    a: Scalar
    b: Scalar
    squared_length: Scalar
    decrease: Scalar


def dogleg_path(
    lane: Any,
    squared_gradient: Scalar,
    curvature: Scalar,
    slope: Scalar,
    squared_newton: Scalar,
    radius: Scalar,
) -> Bend:
    r"""Return where the dogleg leaves the ball of the given radius.

    Its corners are 0, the minimiser $-t g$ of the model along the gradient with $t = \lVert g\rVert^2 / g^\top H g$,
    and the Gauss-Newton step $h_{GN} = -H^{-1} g$. Along it the length grows and the model
    $m(h) = g^\top h + \tfrac12 h^\top H h$ falls.

    Args:
        lane: the lane of the run.
        squared_gradient: $\lVert g\rVert^2$.
        curvature: $g^\top H g$.
        slope: $g^\top h_{GN}$, negative.
        squared_newton: $\lVert h_{GN}\rVert^2$.
        radius: the radius.

    References:
        [Powell:1970]; [MadsenNielsenTingleff:2004], section 3.3; [NocedalWright:2006], section 4.1.
    """
    t = lane.div(squared_gradient, curvature)
    square = radius * radius
    whole = squared_newton <= square
    short = t * t * squared_gradient >= square
    # beyond the Cauchy point c = -t g: |c + s (h - c)|^2 = radius^2, by the stable root
    across = squared_newton + 2.0 * t * slope + t * t * squared_gradient  # |h - c|^2
    along = -t * slope - t * t * squared_gradient  # c' (h - c)
    missing = square - t * t * squared_gradient
    root = lane.sqrt(lane.max(along * along + across * missing, 0.0))
    share = lane.where(along > 0.0, lane.div(missing, along + root), lane.div(root - along, across))
    a = lane.where(short, lane.div(radius, lane.sqrt(squared_gradient)), t * (1.0 - share))
    b = lane.where(short, 0.0 * square, share)
    a, b = lane.where(whole, 0.0 * square, a), lane.where(whole, 1.0 + 0.0 * square, b)
    length = a * a * squared_gradient - 2.0 * a * b * slope + b * b * squared_newton
    # H h_GN = -g: m = -a g'g + b g'h + (a^2 g'H g + 2 a b g'g - b^2 g'h) / 2
    falls = a * squared_gradient - b * slope
    bends = 0.5 * (a * a * curvature + 2.0 * a * b * squared_gradient - b * b * slope)
    return Bend(a, b, length, falls - bends)
