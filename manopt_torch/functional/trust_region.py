"""Radii of trust regions as pure functions: how good a model was, and how far to trust the next."""

from typing import Any, NamedTuple

import torch

from manopt_torch._host import uploaded
from manopt_torch._typing import Mask, Scalar, Tangent
from manopt_torch.functional.cg_iteration import ALL_ITERATIONS, EXCEEDED, NEGATIVE_CURVATURE, CGState, QuadraticModel
from manopt_torch.manifolds.points import first_leaf


class RadiusRule(NamedTuple):
    """When the radius changes and how, see `TrustRegionsOptions`."""

    largest: float
    reduction_threshold: float
    reduction_factor: float
    augmentation_threshold: float
    augmentation_factor: float


def model_quality(
    lane: Any, former: Scalar, cost: Scalar, decrease: Scalar, rounding: float, size: Scalar = 1.0
) -> tuple[Scalar, Mask]:
    r"""Return $\rho$, the decrease of the cost over that of the model, and where the model does decrease.

    Noise excuses a rise of the cost only where the model has promised no more than that.

    Args:
        lane: the lane of the run.
        former: the cost before the step.
        cost: the cost after it; not finite is a decrease of minus infinity.
        decrease: what the model promised.
        rounding: added to both decreases, relative to the cost: noise rejects no step near a minimum.
        size: of the cost, as its rounding goes.
    """
    noise = rounding * size
    expected = decrease + noise
    excused = (cost <= former) | (decrease <= noise)
    return lane.div(former - cost + lane.where(excused, noise, 0.0), expected), expected >= 0


def unsolved(inner: CGState, norm: Scalar) -> Mask:
    """Tell whose model has been left with more than half its gradient: the step may lengthen that of the cost.

    Args:
        inner: the outcome of the inner iteration.
        norm: length of the gradient.
    """
    return (inner.reason == ALL_ITERATIONS) & (4.0 * inner.rr > norm * norm)


def next_radius(lane: Any, rule: RadiusRule, radius: Scalar, inner: CGState, rho: Scalar, accepted: Mask) -> Scalar:
    """Shrink the radius where the model was bad, grow it where it was good up to the boundary.

    Args:
        lane: the lane of the run.
        rule: when and how much.
        radius: the former radius.
        inner: the outcome of the inner iteration.
        rho: the quality of its model.
        accepted: whose step was accepted.
    """
    on_boundary = (inner.reason == EXCEEDED) | (inner.reason == NEGATIVE_CURVATURE)
    grows = on_boundary & (rho > rule.augmentation_threshold)
    grown = lane.where(grows, lane.min(rule.augmentation_factor * radius, rule.largest), radius)
    shrunk = lane.where(rho < rule.reduction_threshold, rule.reduction_factor * radius, grown)
    if lane.lone and accepted:
        return shrunk
    # a rejected step from inside would be tried again within any radius above its length
    return lane.where(accepted, shrunk, rule.reduction_factor * lane.min(radius, lane.sqrt(inner.ee)))


def random_start(lane: Any, model: QuadraticModel, radius: Scalar, sigma: float, generator: torch.Generator) -> Tangent:
    """Return a random tangent vector of length sigma, or well inside a trust region that is smaller.

    Args:
        lane: the lane of the run.
        model: the model that an inner iteration is to start on.
        radius: of the trust region.
        sigma: the length.
        generator: where the coordinates come from, on the CPU.
    """
    small = torch.finfo(first_leaf(model.x).dtype).eps ** 0.25 * radius
    length = lane.where(sigma < radius, sigma, small)
    # the same coordinates for all problems, so that none depends on its neighbours
    ref = first_leaf(model.x)
    c = torch.randn(model.M.dim, generator=generator, dtype=torch.float64, device="cpu")
    c = uploaded(c / torch.linalg.vector_norm(c), ref, ref.dtype.to_real())
    return lane.scale(length, model.M.from_coordinates(model.x, c.expand(*lane.shape, model.M.dim)))
