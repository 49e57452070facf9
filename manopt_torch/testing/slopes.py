r"""The order of a small error: $E(t) = O(t^k)$ is a line of slope $k$ in a plot of $\log E$ over $\log t$.

Neither end of such a plot is of use: for large $t$ further terms matter, for small $t$ rounding does. So the longest
window is sought in which the points lie on a line of the wanted slope.
"""

from typing import NamedTuple

import torch

# the exponents of ten between which t is varied, as in Manopt
_LOWEST, _HIGHEST = -8.0, 0.0
# errors of the wanted order span at least two decades in a window, else chance may look like a line
_LEAST_DECADES = 2.0
# ... and its points are this near to the line (root mean square, in decades of E)
_SCATTER = 0.1
# an error of lower order, such as that of a slightly wrong gradient, shows below the window over this many decades
_LOWER_DECADES = 1.5
# errors below so many roundings of the numbers involved say nothing ...
_NOISE = 10.0
# ... and where none exceeds this, the model is exact
_EXACT = 100.0
# problems looked at together, since a problem has thousands of windows
_CHUNK = 64


class Order(NamedTuple):
    """How fast the errors of a batch of problems fall."""

    slope: torch.Tensor  # shape: (*batch,), of the best window; NaN where there is none or the errors are all rounding
    window: torch.Tensor  # shape: (2, *batch), the step sizes at its ends
    exact: torch.Tensor  # shape: (*batch,), whether no error exceeds rounding
    as_wanted: torch.Tensor  # shape: (*batch,), whether the order is the wanted one (or higher), or the model exact


def sample_step_sizes(points: int) -> torch.Tensor:
    """Return step sizes from 1e-8 to 1, evenly spaced on a logarithmic scale."""
    return torch.logspace(_LOWEST, _HIGHEST, points, dtype=torch.float64, device="cpu")


def find_order(
    t: torch.Tensor,  # shape: (points,)
    errors: torch.Tensor,  # shape: (points, *batch)
    scale: torch.Tensor,  # shape: (points, *batch), size of the numbers whose difference an error is
    wanted: int,
    tolerance: float,
) -> Order:
    """Find for each problem the longest window in which the errors fall with the wanted order.

    Args:
        t: step sizes, ascending.
        errors: absolute errors.
        scale: absolute size of the terms behind each error.
        wanted: the order; a higher one is as good.
        tolerance: by how much a slope may miss the order.
    """
    batch, points = errors.shape[1:], len(t)
    rounding = torch.finfo(errors.dtype).eps * scale
    parts = zip(errors.reshape(points, -1).split(_CHUNK, 1), rounding.reshape(points, -1).split(_CHUNK, 1), strict=True)
    found = [_find_order(t, e, r, wanted, tolerance) for e, r in parts]
    slope, window, exact, as_wanted = (torch.cat(columns, -1) for columns in zip(*found, strict=True))
    return Order(slope.reshape(batch), window.reshape(2, *batch), exact.reshape(batch), as_wanted.reshape(batch))


def _find_order(
    t: torch.Tensor,  # shape: (points,)
    e: torch.Tensor,  # shape: (points, problems)
    rounding: torch.Tensor,  # shape: (points, problems)
    wanted: int,
    tolerance: float,
) -> Order:
    exact = (e <= _EXACT * rounding).all(0)
    x = t.log10()
    first, last, slope, scatter, usable = _fit_all_windows(x, e, e > _NOISE * rounding, _LEAST_DECADES / wanted)
    decades = (x[last] - x[first])[:, None]
    on_line = usable & (scatter <= _SCATTER)
    good = on_line & (slope >= wanted - tolerance)
    # the longest line of the wanted slope; failing that, the longest of a higher one, then the slope nearest to it
    nearness = -(slope - wanted).abs()
    best = _argmax(torch.where(good, decades + 100.0 * (nearness >= -tolerance), nearness - 1.0), usable)
    # a line of lower order below that window betrays a derivative that is only nearly right
    lower = on_line & (decades >= _LOWER_DECADES - 1e-9) & (slope > 0.5) & (slope < wanted - 0.5)
    lower = lower & (first[:, None] < first[best])
    best = torch.where(lower.any(0), _argmax(decades.expand_as(slope), lower), best)

    none, at = exact | ~usable.any(0), torch.arange(e.shape[1], device=e.device)
    window = torch.where(none, torch.nan, torch.stack([t[first[best]], t[last[best]]]))
    return Order(torch.where(none, torch.nan, slope[best, at]), window, exact, exact | good[best, at])


def _fit_all_windows(
    x: torch.Tensor,  # shape: (points,)
    e: torch.Tensor,  # shape: (points, problems)
    valid: torch.Tensor,  # shape: (points, problems)
    width: float,
) -> tuple[torch.Tensor, ...]:
    """Fit a line to log10 of `e` over `x` in every window of that width or more, by differences of running sums."""
    points = len(x)
    least = int(width / (x[1] - x[0])) + 1
    first, last = torch.triu_indices(points, points, offset=least, device=x.device)
    valid = valid & torch.isfinite(e)
    y = torch.where(valid, torch.where(valid, e, 1.0).log10(), 0.0)
    x = torch.where(valid, x[:, None], 0.0)

    def over(values: torch.Tensor) -> torch.Tensor:
        sums = torch.cat([values.new_zeros(1, values.shape[1]), values.cumsum(0)])
        return sums[last + 1] - sums[first]

    n = (last - first + 1)[:, None].to(y)
    usable = over(valid.to(y)) == n
    sx, sy = over(x), over(y)
    spread, joint, height = over(x * x) - sx * sx / n, over(x * y) - sx * sy / n, over(y * y) - sy * sy / n
    slope = joint / torch.where(usable, spread, 1.0)
    scatter = ((height - slope * joint) / n).clamp(min=0).sqrt()
    return first, last, slope, scatter, usable


def _argmax(rank: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
    return torch.where(among, rank, -torch.inf).argmax(0)


def describe(order: Order, wanted: int, tolerance: float) -> list[tuple[str, str]]:
    """Return rows of text on the order found: for a lone problem, or a summary of a batch."""
    target = f"wanted {wanted} +- {tolerance:g}"
    if not order.slope.dim():
        if order.exact:
            return [("slope", f"exact: no error above rounding ({target})")]
        low, high = order.window.tolist()
        return [("slope", f"{order.slope.item():.3f} for step sizes {low:.1e} to {high:.1e} ({target})")]
    rows = [("problems", f"{order.slope.numel()} {tuple(order.slope.shape)}, {int(order.exact.sum())} exact")]
    slopes = order.slope[~order.slope.isnan()]
    if slopes.numel():
        least, middle, most = slopes.min(), slopes.median(), slopes.max()
        rows.append(("slope", f"min {least:.3f}, median {middle:.3f}, max {most:.3f} ({target})"))
    return rows
