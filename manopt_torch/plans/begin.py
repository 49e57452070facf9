"""The start of a run: everything about the arguments is checked here, once, before anything happens."""

from typing import Any

import torch

from manopt_torch._host import first_failures
from manopt_torch.errors import MissingDerivativeError, NonFiniteError, OptionsError, ShapeError
from manopt_torch.functional.masked import Batch, lane_for
from manopt_torch.manifolds.points import leaves
from manopt_torch.plans.options import Memory, Options
from manopt_torch.plans.stopping import StopAfterIteration, StoppingCriterion
from manopt_torch.problems.counted import bare_problem

_CLASS_WITH = {
    "gradient": "GradientProblem",
    "hessian": "HessianProblem",
    "subgradient": "SubGradientProblem",
    "proximal_map": "ProximalProblem",
}


def begin(p: Any, o: Options) -> None:
    """Check problem and start, choose the lane, and set the state that all solvers share. Every initialize calls it.

    Raises:
        MissingDerivativeError: if the problem lacks what the solver needs.
        ShapeError: if the start or the data have the wrong shape.
        OptionsError: if the start is not of floating point.
        NonFiniteError: if the start holds NaN or infinity; the message names the batch indices.
        NotOnManifoldError: if the start is off the manifold.
    """
    check_needs(p, o)
    check_stop(o)
    check_start(p, o)
    o.x0, o.manifold = o.x, p.M
    o.lane = lane_for(p.M, o.x)
    o.memory = Memory()
    o.active = o.lane.full(True)
    o.broken = o.lane.full(False)
    o.stagnated = o.lane.full(False)
    o.iterations = o.lane.full(0)
    o.reason_code = o.lane.full(0)
    o.iteration, o.trial, o.active_count = 0, None, None


def first_evaluation(p: Any, o: Options) -> None:
    """Evaluate cost and gradient at the start; mark the problems where one of them is not finite.

    Raises:
        ShapeError: if the cost does not return one number a problem.
        NonFiniteError: if cost or gradient is non-finite for every problem.
    """
    value, context = p.trial(o.x)
    p.check_cost(value, o.lane.shape)
    o.cost, o.gradient = value, p.gradient_from(o.x, context)
    p.M.batch_shape(o.gradient)
    mark_broken_start(o, o.lane.finite(o.cost) & o.lane.finite(o.gradient))


def mark_broken_start(o: Options, ok: Any) -> None:
    """Mark the problems that cannot start; raise if none can."""
    o.broken = o.lane.not_(ok)
    if isinstance(o.lane, Batch):
        if 0 in o.lane.shape or not first_failures(ok.any()):
            return
    elif ok:
        return
    raise NonFiniteError("the cost or its gradient is not finite at the start of every problem: start elsewhere")


def check_stop(o: Options) -> None:
    """Give options without a stopping criterion one; raise unless it is a criterion."""
    if o.stop is None:
        o.stop = StopAfterIteration(100)
    if not isinstance(o.stop, StoppingCriterion):
        raise OptionsError(
            f"{type(o).__name__}: stop must be a stopping criterion such as StopAfterIteration(100), got {o.stop!r}"
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


def check_start(p: Any, o: Options) -> None:
    """Raise unless the start is a finite point of the manifold and the data fit to it."""
    batch = p.M.batch_shape(o.x)
    tensors = leaves(o.x)
    for leaf in tensors:
        if not (leaf.is_floating_point() or leaf.is_complex()):
            raise OptionsError(f"the start x must be of floating point, got {leaf.dtype}: convert it with x.double()")
        if leaf.dtype.to_real() != tensors[0].dtype.to_real() or leaf.device != tensors[0].device:
            raise ShapeError(f"the parts of the start x differ in dtype or device: {[(t.dtype, t.device) for t in tensors]}")
    p.check_data(batch)
    finite = torch.stack([torch.isfinite(leaf).reshape(*batch, -1).all(-1) for leaf in tensors]).all(0)
    failures = first_failures(finite)
    if failures:
        where = "" if failures == [()] else f" at batch indices {failures}"
        raise NonFiniteError(f"the start x holds NaN or infinity{where}")
    p.M.check_point(o.x)
