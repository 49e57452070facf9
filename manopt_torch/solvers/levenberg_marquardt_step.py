r"""The two halves of a Levenberg-Marquardt step, before and after the evaluation at the trial point.

Functions of problem and options; of a batch they are tensor operations throughout, so that they may be compiled.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from manopt_torch.damping.base import Gauge
from manopt_torch.functional.gauss_newton import largest_cosine, squared_sizes
from manopt_torch.functional.levenberg_marquardt import felt, model_terms, remaining
from manopt_torch.linear_solvers.acceleration import accelerated
from manopt_torch.linear_solvers.compiled import normal_from
from manopt_torch.plans.commit import commit


class Step(NamedTuple):
    """A step on trial."""

    x: Any  # where it leads
    ok: Any  # whether it could be solved for
    linear: Any  # -g's
    weighted: Any  # s'Ds
    damped: Any  # the same times the damping


def propose(p: Any, o: Any) -> Step:
    """Solve for a step, and say what it promises."""
    lane, rule, solver, cost = o.lane, o.damping, o.linear_solver, o.lane.scalar(o.cost)
    strength = rule.strength(o.damping_term, cost)
    added = lane.scale(strength, o.damping_matrix)
    s, ok = solver.solve(p, o.x, o.system, o.coordinates, added)
    linear, weighted = map(lane.scalar, model_terms(o.coordinates, s, o.damping_matrix))
    damped = strength * weighted
    step = accelerated(solver, p, o, s, added) if o.geodesic_acceleration else s
    x = p.M.retract(o.x, p.M.from_coordinates(o.x, step), None, o.retraction_method)
    return Step(solver.landed(p, o.x, x), lane.scalar(ok) if lane.lone else ok, linear, weighted, damped)


def conclude_rows(p: Any, o: Any, step: Step, rows: torch.Tensor) -> None:
    """Do the same as `conclude` with what a compiled evaluation returned."""
    value, normal = normal_from(rows, p.M.dim)
    conclude(p, o, step, value, lambda: normal)


def conclude(p: Any, o: Any, step: Step, value: torch.Tensor, normal_at: Callable[[], Any]) -> None:
    """Judge the step, and move the problems where it is accepted."""
    lane, rule, cost = o.lane, o.damping, o.lane.scalar(o.cost)
    predicted = 0.5 * (step.linear if rule.predicts_damped else step.linear + step.damped)
    actual = cost - lane.trial_cost(value)
    ratio = lane.div(actual, predicted)
    accepted = step.ok & (predicted > 0) & (ratio > (rule.acceptance if o.acceptance is None else o.acceptance))
    normal = None
    if not lane.lone or accepted:
        normal = normal_at()
        accepted = accepted & lane.finite(normal.gradient)
    change = lane.div(lane.max(predicted, abs(actual)), cost)
    length = lane.sqrt(lane.div(step.weighted, o.extent))
    _move(p, o, accepted, (ratio, change, length, lane.div(step.damped, step.linear)), (step.x, value, normal))


def _move(p: Any, o: Any, accepted: Any, measures: Any, at: Any) -> None:
    """Move the problems whose step was accepted to the trial point, and set the damping of all for their next one."""
    lane, (ratio, change, length, share), (x, value, normal) = o.lane, measures, at
    damping, growth = o.damping.update(lane, o.damping_term, o.growth, ratio, accepted)
    floor, least = o.damping_floor, o.min_damping
    new = {
        "cost": o.cost,
        "growth": growth,
        "gain_ratio": ratio,
        "relative_reduction": change,
        "relative_step": lane.where(accepted, remaining(lane, length, o.step_length, share), lane.full(float("inf"))),
        # after a rejection nothing is known of the rate of convergence
        "step_length": lane.where(accepted, length, lane.full(0.0)),
        # after a rejection the damping is to be felt, also where it had died away
        "damping_term": lane.max(lane.min(lane.max(damping, lane.where(accepted, 0.0, floor)), o.max_damping), least),
    }
    o.stagnated = o.stagnated | (lane.without(o.active, accepted) & (damping > o.max_damping))
    if normal is not None:
        squares = squared_sizes(p.M, x)
        matrix, _ = o.damping.matrix(Gauge(normal.diagonal, value, squares), o.damping_matrix, o.damping_unit)
        moved = {
            "x": x,
            "cost": value,
            "gradient": p.M.from_coordinates(x, normal.gradient),
            "coordinates": normal.gradient,
            "system": normal.system,
            "damping_matrix": matrix,
            "extent": lane.scalar((matrix * squares).sum(-1)),
            # where nothing is left of the residuals their direction is an accident
            "cosine": lane.where(
                lane.scalar(value) > o.vanishing,
                lane.scalar(largest_cosine(normal.gradient, normal.diagonal, value)),
                lane.full(0.0),
            ),
            "damping_floor": lane.scalar(felt(normal.diagonal, matrix)),
        }
        new |= {name: lane.pick(accepted, t, getattr(o, name)) for name, t in moved.items()}
    commit(o, **new)
