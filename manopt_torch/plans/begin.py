"""The start of a run: everything about the arguments is checked here, once, before anything happens."""

import math
from typing import Any

import torch

from manopt_torch._host import first_failures, host_read
from manopt_torch._keywords import what_came
from manopt_torch.errors import (
    MissingDerivativeError,
    NonFiniteError,
    NotOnManifoldError,
    OptionsError,
    ShapeError,
)
from manopt_torch.functional.masked import Batch, Lone, lane_for
from manopt_torch.manifolds.points import is_nested, leaves, map_leaves
from manopt_torch.manifolds.validation import method_named, tuple_wanted
from manopt_torch.plans.options import Memory, Options, functors_of
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion
from manopt_torch.problems.counted import bare_problem

_CLASS_WITH = {
    "gradient": "GradientProblem",
    "hessian": "HessianProblem",
    "smooth_gradient": "CompositeProblem",
    "subtrahend_gradient": "DifferenceOfConvexProblem",
    "subgradient": "SubGradientProblem",
    "proximal_map": "ProximalProblem",
    "dual_proximal_map": "PrimalDualProblem",
    "residuals": "LeastSquaresProblem",
    "jacobian": "LeastSquaresProblem",
    "constraints": "ConstrainedProblem",
}


def begin(p: Any, o: Options) -> None:
    """Check problem and start, choose the lane, and set the state that all solvers share. Every initialize calls it.

    Raises:
        MissingDerivativeError: if the problem lacks what the solver needs.
        ShapeError: if the start or the data have the wrong shape.
        OptionsError: if the start is not of floating point, or the manifold has no retraction of the name wanted.
        NonFiniteError: if the start holds NaN or infinity; the message names the batch indices.
        NotOnManifoldError: if the start is off the manifold.
    """
    check_needs(p, o)
    check_stop(o)
    check_start(p, o)
    if o.retraction_method is not None:
        method_named(p.M, p.M.retractions, o.retraction_method, "retraction")
    for leaf in leaves(o.x):
        if leaf.requires_grad:  # a run that moves nothing returns the start
            o.x = map_leaves(torch.Tensor.detach, o.x)
        if leaf.is_inference():  # made under torch.inference_mode: no graph may hold it
            o.x = map_leaves(torch.clone, o.x)
        if not leaf.is_contiguous():  # last bits of sums and products go by the layout, and a resumed run has its own
            o.x = map_leaves(torch.Tensor.contiguous, o.x)
    o.x0, o.manifold = o.x, p.M
    o.lane = lane_for(p.M, o.x)
    o.memory = Memory()
    o.active = o.lane.full(True)
    o.broken = o.lane.full(False)
    o.stagnated = o.lane.full(False)
    o.iterations = o.lane.full(0)
    o.reason_code = o.lane.full(0)
    o.iteration, o.asked, o.trial, o.measured, o.active_count = 0, None, None, None, math.prod(o.lane.shape)


def first_evaluation(p: Any, o: Options, gradient_from: Any = None) -> None:
    """Evaluate cost and gradient at the start; mark the problems where one of them is not finite.

    Args:
        p: the problem.
        o: the options.
        gradient_from: takes the gradient at an evaluated point; None is the problem's own.

    Raises:
        ShapeError: if the cost does not return one number a problem, or the gradient not a tangent vector for each.
        OptionsError: if the cost does not take the data, is not real, the gradient of another dtype than the start, or
            one on another device, or if one of them writes into the point.
        NonFiniteError: if cost or gradient is non-finite for every problem.
    """
    before = _versions(o.x)
    try:
        value, context = p.trial(o.x)
    except RuntimeError as error:
        if "in-place" in str(error) and "leaf" in str(error):  # said of the point, which records derivatives
            raise _written("the cost") from error
        raise
    except TypeError:
        p.check_arguments()
        raise
    p.check_cost(value, o.lane.shape)
    _check_device("cost", value, o)
    o.cost, o.gradient = value, (gradient_from or p.gradient_from)(o.x, context)
    p.check_tangent("gradient", o.gradient, o.lane.shape)
    for g, leaf in zip(leaves(o.gradient), leaves(o.x), strict=True):
        _check_device("gradient", g, o)
        if g.dtype != leaf.dtype:
            raise OptionsError(f"the gradient is of {g.dtype}, the start x of {leaf.dtype}: they need the same dtype")
    _check_unwritten("the cost or the gradient", o.x, before)
    mark_broken_start(o, o.lane.finite(o.cost) & o.lane.finite(o.gradient))


def cost_at_start(p: Any, o: Options) -> None:
    """Evaluate the cost alone at the start, for solvers without gradients; mark the problems where it is not finite.

    Raises:
        ShapeError: if the cost does not return one number a problem.
        OptionsError: if the cost does not take the data, is not real, on another device than the start,
            or if it writes into the point.
        NonFiniteError: if the cost is non-finite for every problem.
    """
    before = _versions(o.x)
    try:
        o.cost, o.gradient = p.get_cost(o.x), None
    except TypeError:
        p.check_arguments()
        raise
    p.check_cost(o.cost, o.lane.shape)
    _check_device("cost", o.cost, o)
    _check_unwritten("the cost", o.x, before)
    mark_broken_start(o, o.lane.finite(o.cost))


def check_answer(p: Any, o: Options, what: str, y: Any) -> None:
    """Check the first point that a callable other than the cost has made, a projection, say.

    Raises:
        ShapeError: if it does not have the shape of the start.
        OptionsError: if it is of another dtype.
        NotOnManifoldError: if it is off the manifold by more than the error of an inexact projection; problems where
            it is not finite are left to the run.
    """
    p.checked_like(o.x, y, what)
    for new, leaf in zip(leaves(y), leaves(o.x), strict=True):
        if new.dtype != leaf.dtype:
            raise OptionsError(f"the {what} is of {new.dtype}, the start x of {leaf.dtype}: they need the same dtype")
    dtype = leaves(y)[0].dtype
    try:
        p.M.check_point(o.lane.pick(o.lane.finite(y), y, o.x), max(p.M.tolerance(dtype), torch.finfo(dtype).eps ** 0.5))
    except NotOnManifoldError as error:
        raise NotOnManifoldError(f"the {what} is not on the manifold: {error}") from None


def _check_device(what: str, value: torch.Tensor, o: Options) -> None:
    """Raise an OptionsError unless a value is on the device of the start."""
    device = leaves(o.x)[0].device
    if value.device != device:
        raise OptionsError(f"the {what} is on {value.device}, the start x on {device}: they need the same device")


def _versions(x: Any) -> list[int]:
    """Return how often each tensor of the point has been written into; those of inference mode are not watched."""
    return [leaf._version for leaf in leaves(x) if not leaf.is_inference()]


def _check_unwritten(what: str, x: Any, before: list[int]) -> None:
    """Raise an OptionsError if a callable has written into its argument: solvers go on from that point."""
    if _versions(x) != before:
        raise _written(f"the start has been changed: {what}")


def _written(what: str) -> OptionsError:
    """Return the error for a callable that writes into its argument."""
    return OptionsError(
        f"{what} writes into the point that it is asked for: compute on a copy, as x.mul(2) instead of x.mul_(2), or "
        "x.clone() first"
    )


def mark_broken_start(o: Options, ok: Any) -> None:
    """Mark the problems that cannot start; raise if none can."""
    o.broken = o.lane.not_(ok)
    if isinstance(o.lane, Batch):
        if 0 in o.lane.shape or not first_failures(ok.any()):
            return
    elif ok:
        return
    if o.gradient is not None:
        cost, gradient = (first_failures(torch.as_tensor(o.lane.finite(part))) for part in (o.cost, o.gradient))
        if gradient and not cost:
            raise NonFiniteError(
                "the gradient is not finite at the start of every problem, while the cost is: look for a root, a "
                "logarithm or a norm of zero there, or start elsewhere"
            )
    raise NonFiniteError("the cost or its gradient is not finite at the start of every problem: start elsewhere")


def check_stop(o: Options) -> None:
    """Give options without a stopping criterion one; raise unless it is a criterion that these options can be asked."""
    if o.stop is None:
        o.stop = StopAfterIteration(100)
    if not isinstance(o.stop, StoppingCriterion):
        raise OptionsError(
            f"{type(o).__name__}: stop must be a stopping criterion such as StopAfterIteration(100), got "
            f"{what_came(o.stop)}"
        )
    if o.stop.reads and (missing := [name for name in o.stop.reads if not hasattr(o, name)]):
        asking = [part for _, part in functors_of(o.stop) if missing[0] in getattr(part, "reads", ())]
        raise OptionsError(
            f"{type([o.stop, *asking][-1]).__name__} needs the field {' and '.join(missing)}, {type(o).__name__} has "
            "none: it is for other solvers"
        )


def check_needs(p: Any, o: Options) -> None:
    """Raise unless the problem provides what the solver needs."""
    bare = bare_problem(p)
    for need in o.needs:
        if need not in bare.provides:
            raise MissingDerivativeError(
                f"{type(o).__name__} needs a {need.replace('_', ' ')}, {type(bare).__name__} has none: use "
                f"{_CLASS_WITH.get(need, 'a problem that provides it')}"
            )


def _finite(leaf: torch.Tensor) -> bool:
    """Tell whether all entries are finite; on the meta device they are."""
    if leaf.is_meta or not leaf.numel():
        return True
    with host_read():
        return Lone().finite(leaf)


def _no_tensor(M: Any, x: Any, leaf: Any) -> OptionsError:
    """Return the error for a start with a leaf that is no tensor."""
    if is_nested(M.point_shape):
        return OptionsError(f"the start x must be {tuple_wanted(M, x)}")
    several = isinstance(leaf, list) and leaf and all(isinstance(part, torch.Tensor) for part in leaf)
    return OptionsError(
        f"the start x must be a tensor or a tuple of tensors, got {type(leaf).__name__}: convert it with "
        f"torch.{'stack' if several else 'as_tensor'}(x)"
    )


def check_start(p: Any, o: Options) -> None:
    """Raise unless the start is a finite point of the manifold and the data fit to it."""
    tensors = leaves(o.x)
    for leaf in tensors:
        if not isinstance(leaf, torch.Tensor):
            raise _no_tensor(p.M, o.x, leaf)
    batch = p.M.batch_shape(o.x)
    for leaf in tensors:
        if not (leaf.is_floating_point() or leaf.is_complex()):
            cure = "convert it with x.double()" if leaf is o.x else "convert that part with .double()"
            raise OptionsError(f"the start x must be of floating point, got {leaf.dtype}: {cure}")
        if leaf.dtype.to_real() != tensors[0].dtype.to_real() or leaf.device != tensors[0].device:
            kinds = [(part.dtype, part.device) for part in tensors]
            raise ShapeError(f"the parts of the start x differ in dtype or device: {kinds}")
    if any(leaf.is_complex() for leaf in tensors) != (p.M.field == "complex"):
        raise OptionsError(
            f"the start x is of {tensors[0].dtype}, but the points of {p.M!r} are {p.M.field}: take x.real or "
            "x.cdouble(), or a manifold over the other numbers"
        )
    p.check_data(batch)
    for n, d in enumerate(p.data):
        if d.dim() and d.device != tensors[0].device:
            raise OptionsError(
                f"data[{n}] is on {d.device}, the start x on {tensors[0].device}: move it with .to(x.device)"
            )
    if not all(map(_finite, tensors)):
        # an axis more, so that points without axes of their own have one to reduce
        finite = torch.stack([torch.isfinite(leaf).unsqueeze(-1).flatten(len(batch)).all(-1) for leaf in tensors])
        failures = first_failures(finite.all(0))
        where = "" if failures == [()] else f" at batch indices {failures}"
        raise NonFiniteError(f"the start x holds NaN or infinity{where}")
    p.M.check_point(o.x)
