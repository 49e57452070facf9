"""What the checks of gradients and Hessians share: where to look, the errors of a model, and what to say of them."""

from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.geodesics import move
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.problems import get_cost
from manopt_torch.problems.counted import bare_problem
from manopt_torch.testing.slopes import Order, find_order, sample_step_sizes

# by how much a slope may miss the order
SLOPE_TOLERANCE = 0.1


def start_and_direction(p: Any, x: Any, u: Any, points: int, generator: torch.Generator | None) -> tuple[Any, Any]:
    """Fill in a random point and direction, or check those given."""
    bare_problem(p)  # raises where it is none
    if not isinstance(points, int) or points < 20:
        raise OptionsError(f"points must be an int of at least 20, so that slopes mean something, got {points!r}")
    if x is None:
        if p.data:
            raise OptionsError("the problem has data, whose batch axes the point must have as well: pass x")
        device = None if generator is None else generator.device
        x = p.M.random_point(generator=generator, dtype=torch.float64, device=device)
    else:
        p.M.check_point(x)
        if first_leaf(x).dtype.to_real() != torch.float64:
            raise OptionsError(
                f"derivatives are checked in float64, since {first_leaf(x).dtype} leaves too few digits to see an "
                "order in: pass x.double() and data of that dtype"
            )
        p.check_data(p.M.batch_shape(x))
        if 0 in p.M.batch_shape(x):
            raise OptionsError(f"there is nothing to check in a batch of shape {p.M.batch_shape(x)}: pass a point")
    if u is None:
        u = p.M.random_tangent(x, generator=generator)
    else:
        p.M.check_tangent(x, u)
    return x, u


def model_errors(
    p: Any, x: Any, u: Any, terms: tuple[torch.Tensor, ...], points: int
) -> tuple[torch.Tensor, torch.Tensor, Order]:
    r"""Return how far the cost along a direction is from the model $f(x) + \sum_k t^k c_k$.

    Args:
        p: the problem.
        x: where.
        u: the direction.
        terms: $c_1$, $c_2$ and so on, shape `(*batch,)`.
        points: the number of step sizes $t$.

    Returns:
        The step sizes, the errors, and the order of these: one more than there are terms, if all is right.
    """
    t = sample_step_sizes(points)
    f0 = get_cost(p, x).cpu()
    values = torch.stack([get_cost(p, move(p.M, x, u, s)) for s in t.tolist()]).cpu()
    model, scale = f0, values.abs() + f0.abs()
    s = power = t.reshape(-1, *(1,) * f0.dim())
    for term in (term.cpu() for term in terms):
        model, scale, power = model + power * term, scale + term.abs(), power * s
    errors = (values - model).abs()
    return t, errors, find_order(t, errors, scale, len(terms) + 1, SLOPE_TOLERANCE)


def off_tangent(M: Any, x: Any, v: Any) -> torch.Tensor:
    """Return how far a vector is off the tangent space, relative to its length where that exceeds one."""
    return (M.off_tangent(x, v) / M.norm(x, v).clamp(min=1.0)).cpu()


def sum_up(findings: tuple[tuple[str, torch.Tensor], ...]) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Return for which problems everything was right, and sentences on what was not."""
    failures = tuple(text + _where(ok) for text, ok in findings if not ok.all())
    return torch.stack([ok for _, ok in findings]).all(0), failures


def _where(ok: torch.Tensor) -> str:
    """Say at which indices of a batch something failed."""
    if not ok.dim():
        return ""
    bad = [tuple(row) for row in torch.nonzero(~ok).tolist()]
    return f" at batch indices {bad[:5]}" + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")


def table(name: str, passed: bool, rows: list[tuple[str, str]], failures: tuple[str, ...]) -> str:
    """Return the outcome of a check as lines of text."""
    lines = [f"{name}: {'passed' if passed else 'FAILED'}"]
    lines += [f"  {key:<9} {text}" for key, text in rows]
    return "\n".join(lines + [f"  failed    {reason}" for reason in failures])
