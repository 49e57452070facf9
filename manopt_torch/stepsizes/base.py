"""What a stepsize is, and how a solver takes a step with it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import MISSING, fields
from numbers import Real
from typing import Any

import torch

from manopt_torch._keywords import what_came
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.functional.linesearch import Trial
from manopt_torch.plans.options import Functor
from manopt_torch.problems.pieces import arrive


class Stepsize(Functor, ABC):
    """Choose how far to go: called as `(p, o, i)`, or `(p, o, i, eta)` with a direction other than minus the gradient.

    It returns a number, or a tensor of shape `(*batch,)` with a step for each problem.
    """

    @abstractmethod
    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the step size of iteration `i`."""

    def initial(self, p: Any, o: Any) -> Any:
        """Return the step size before the first iteration; by default that of iteration 1."""
        held = o.memory.get(self)
        o.memory.forget(self)
        step, o.trial = self(p, o, 1), None
        if held is None:
            o.memory.forget(self)
        else:  # asked in the middle of a run
            o.memory[self] = held
        return step


class Linesearch(Stepsize):
    """A stepsize that tries steps along a direction and evaluates the cost there.

    Besides the face of every stepsize it has one without problem and options, `(M, x, F, gradient)` or
    `(M, x, F, gradient, eta)`. Inside a run it leaves the accepted trial in `o.trial`, so that the solver need not
    evaluate that point again.
    """


def check_stepsize(o: Any) -> None:
    """Raise an OptionsError unless the options' `stepsize` is one (an instance, not the class)."""
    if not callable(o.stepsize) or isinstance(o.stepsize, type):
        got = what_came(o.stepsize)
        raise OptionsError(f"{type(o).__name__}: stepsize must be one such as ConstantStepsize(0.1), got {got}")


def _check_step(o: Any, s: Any) -> None:
    """Raise an error unless a stepsize has returned a number or one for each problem.

    Raises:
        OptionsError: if it is no real number.
        ShapeError: if it is a tensor of another shape.
    """
    name, wanted = getattr(o.stepsize, "__name__", type(o.stepsize).__name__), tuple(o.lane.shape)
    if not isinstance(s, torch.Tensor):
        if not isinstance(s, Real) or isinstance(s, bool):
            raise OptionsError(f"{name} must return a number or a tensor of shape {wanted}, got {s!r}")
    elif s.is_complex() or s.dtype is torch.bool:
        raise OptionsError(f"{name} must return real numbers, got a tensor of {s.dtype}")
    elif tuple(s.shape) != wanted and s.shape not in ((), (1,)):
        raise ShapeError(f"{name} must return a number or a tensor of shape {wanted}, got one of {tuple(s.shape)}")


def take_step(p: Any, o: Any, i: int, eta: Any = None, slope: Any = None) -> tuple[Any, Trial]:
    """Ask the stepsize, move, and evaluate the cost at the new point (unless a line search has done so).

    Args:
        p: the problem.
        o: the options, with `stepsize`.
        i: the iteration.
        eta: the direction; None is minus the gradient.
        slope: its inner product with the gradient, where the solver knows that; line searches need it.

    Returns:
        The step size in the form of the lane, and the trial at the new point.

    Raises:
        ManoptError: if the first step size is neither a number nor one for each problem.
    """
    o.trial, o.along = None, slope
    s = o.stepsize(p, o, i) if eta is None else o.stepsize(p, o, i, eta)
    lane, trial, o.along = o.lane, o.trial, None
    if i == 1:
        _check_step(o, s)
    s = lane.answer(s)
    if trial is None:
        return s, probe(p, o, s, eta) if o.piece_size is None else _probe_in_pieces(p, o, s, eta)
    o.trial = None
    return s, trial


def trial_gradient(p: Any, trial: Trial) -> Any:
    """Return the Riemannian gradient at an accepted trial; a search that looked at it has left it there."""
    return p.gradient_from(trial.x, trial.context) if trial.gradient is None else trial.gradient


def probe(p: Any, o: Any, s: Any, eta: Any = None) -> Trial:
    """Evaluate the cost at step `s` along `eta` (None: minus the gradient)."""
    return probes(p, o, eta)(s)


def probes(p: Any, o: Any, eta: Any = None) -> Callable[[Any], Trial]:
    """Return the function that evaluates the cost at a step along `eta` (None: minus the gradient)."""
    retract, trial, x, method = p.M.retract, p.trial, o.x, o.retraction_method
    back = eta is None
    direction = o.gradient if back else eta

    def at(s: Any) -> Trial:
        y = retract(x, direction, -s if back else s, method)
        cost, context = trial(y)
        return Trial(y, cost, context)

    return at


def _probe_in_pieces(p: Any, o: Any, s: Any, eta: Any) -> Trial:
    """Do the same for a large batch, some problems at a time, and take the gradient along."""
    u, t = (o.gradient, -s) if eta is None else (eta, s)
    x, cost, gradient = arrive(p, o.x, u, t, o.retraction_method, o.piece_size)
    return Trial(x, cost, None, gradient)


def told(functor: Any) -> str:
    """Write a dataclass as it is made, with the parameters that are not at their defaults."""
    changed = []
    for f in fields(functor):
        value = getattr(functor, f.name)
        default = f.default if f.default_factory is MISSING else f.default_factory()
        if f.init and repr(value) != repr(default):
            changed.append(f"{f.name}={value!r}")
    return f"{type(functor).__name__}({', '.join(changed)})"
