"""Optimizers of torch as direction rules, and rules inside the closure that they see."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.errors import OptionsError
from manopt_torch.functional.masked import lane_for
from manopt_torch.manifolds.points import leaves, map_leaves
from manopt_torch.plans.options import Functor, Memory, memory_of
from manopt_torch.training.modules.base import GradientProvider


class Wrap(DirectionRule):
    r"""Let an optimizer of torch make the step: $d = x - x_+$, where $x_+$ is where it goes with gradient $u$.

    It works on a copy of the point. One that evaluates several times in a step, such as `torch.optim.LBFGS`, sees the
    problem: what is to act on the gradients of all its evaluations goes into a `MakeClosure` before it, and no rule may
    stand between. For a single problem in Euclidean space.

    Args:
        make: the class, or anything called as `make(parameters, *args, **settings)`.
        *args: for its constructor, after the parameters.
        **settings: likewise, by name.

    Raises:
        OptionsError: if `make` is not callable; at the start, in a batch or on a curved manifold.

    Examples:
        >>> Wrap(torch.optim.LBFGS, lr=0.5)
        Wrap(LBFGS, lr=0.5)
    """

    geometry: ClassVar[str] = "euclidean"
    inner: Any = None

    def __init__(self, make: Callable[..., torch.optim.Optimizer], *args: Any, **settings: Any) -> None:
        if not callable(make):
            got = (
                f"one that is made already, {type(make).__name__}" if isinstance(make, torch.optim.Optimizer) else make
            )
            raise OptionsError(f"Wrap: expected a class such as torch.optim.LBFGS and its settings, got {got}")
        self.make, self.args, self.settings = make, args, settings

    def init(self, p: Any, o: Any) -> Any:
        """Make the optimizer of a copy of the point."""
        if o.lane.shape:
            raise OptionsError(f"Wrap steps one problem, the run has batch axes {o.lane.shape}")
        return self._made([leaf.detach() for leaf in leaves(o.x)])

    def _made(self, values: list[torch.Tensor]) -> dict[str, Any]:
        # LBFGS takes views of whole tensors, which need their entries in one run
        buffers = [leaf.clone(memory_format=torch.contiguous_format).requires_grad_() for leaf in values]
        return {"wrapped": Wrapped(self.make(buffers, *self.args, **self.settings), buffers)}

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Step, and tell from where to where."""
        wrapped = memory_of(self, p, o)["wrapped"]
        wrapped.place(o.x, u)
        if wrapped.evaluates:
            wrapped.optimizer.step(_Closure(self, p, o, u, wrapped))
        else:
            wrapped.optimizer.step()
        after = iter(wrapped.buffers)
        return map_leaves(lambda leaf: leaf - next(after).detach(), o.x)

    def packed(self, memory: Any) -> Any:
        """Return the memory as plain data."""
        wrapped = memory["wrapped"]
        return {"state": wrapped.optimizer.state_dict(), "at": [leaf.detach().clone() for leaf in wrapped.buffers]}

    def unpacked(self, plain: Any, p: Any, o: Any) -> Any:
        """Return the memory that was packed."""
        device = leaves(o.x)[0].device
        memory = self._made([leaf.to(device) for leaf in plain["at"]])
        wrapped = memory["wrapped"]
        wrapped.optimizer.load_state_dict(plain["state"])
        # torch loads into the dtype of the parameters, also what its optimizer keeps in another
        for n, buffer in enumerate(wrapped.buffers):
            state = wrapped.optimizer.state[buffer] if n in plain["state"]["state"] else {}
            for name, value in plain["state"]["state"].get(n, {}).items():
                if isinstance(value, torch.Tensor):
                    state[name] = state[name].to(value.dtype)
        return memory

    def __repr__(self) -> str:
        told = [getattr(self.make, "__name__", repr(self.make)), *map(repr, self.args)]
        told += [f"{k}={v!r}" for k, v in self.settings.items()]
        return f"Wrap({', '.join(told)})"


class Wrapped:
    """An optimizer of torch with the tensors it moves."""

    def __init__(self, optimizer: torch.optim.Optimizer, buffers: list[torch.Tensor]) -> None:
        self.optimizer, self.buffers = optimizer, buffers
        closure = inspect.signature(optimizer.step).parameters.get("closure")
        self.evaluates: bool = closure is not None and closure.default is inspect.Parameter.empty

    def place(self, x: Any, g: Any) -> None:
        """Copy point and gradient in."""
        with torch.no_grad():
            for buffer, value in zip(self.buffers, leaves(x), strict=True):
                buffer.copy_(value)
        self.gradient(g)

    def gradient(self, g: Any) -> None:
        """Set the gradients."""
        for buffer, value in zip(self.buffers, leaves(g), strict=True):
            buffer.grad = value.clone(memory_format=torch.contiguous_format)  # it may be changed in place


class _Closure:
    """What a wrapped optimizer evaluates: at first the given direction, then the gradient wherever it has gone."""

    def __init__(self, rule: Wrap, p: Any, o: Any, u: Any, wrapped: Wrapped) -> None:
        self.rule, self.p, self.o, self.u, self.wrapped, self.first = rule, p, o, u, wrapped, True

    def __call__(self, backward: bool = True) -> Any:
        if self.first:
            self.first = False
            return self.o.cost
        if self.u is not self.o.gradient:
            raise OptionsError(
                f"{self.rule!r} evaluates again, where the rules before it have not acted: put them into MakeClosure()"
            )
        buffers = iter(self.wrapped.buffers)
        x = map_leaves(lambda _: next(buffers).detach().clone(), self.o.x)
        cost, g = self.p.get_cost_and_gradient(x)
        self.wrapped.gradient(g)
        return cost


class MakeClosure(GradientProvider):
    """Apply rules to the gradient wherever it is evaluated, also by a wrapped optimizer or a search that follows.

    Args:
        *rules: such as `WeightDecay(0.1)`; they must not remember anything.

    Raises:
        OptionsError: if one is no rule, or remembers something: evaluations have no order.

    Examples:
        >>> from manopt_torch import ClipNormRule
        >>> len(MakeClosure(ClipNormRule(1.0)).rules)
        1
    """

    def __init__(self, *rules: DirectionRule) -> None:
        for rule in rules:
            if not isinstance(rule, DirectionRule) or rule.replaces:
                raise OptionsError(f"MakeClosure: expected rules that change a gradient, got {rule!r}")
            if type(rule).init is not Functor.init:
                raise OptionsError(f"MakeClosure: {rule!r} remembers former steps, and a closure has no order of steps")
        self.rules = rules

    def estimated(self, p: Any, x: Any, turn: int) -> tuple[Any, Any]:
        """Evaluate, and apply the rules."""
        cost, g = p.get_cost_and_gradient(x)
        o = _Evaluation(x, g, lane_for(p.M, x), Memory())
        for rule in self.rules:
            g = rule(p, o, turn + 1, g)
        return cost, g


@dataclass
class _Evaluation:
    """What rules inside a closure read."""

    x: Any
    gradient: Any
    lane: Any
    memory: Any


@dataclass(eq=False, repr=False)
class SetGrad(DirectionRule):
    """Leave the direction in `.grad` of the parameters when the step ends, where other code may read it.

    Args:
        inner: rule whose direction it is; None is the gradient.
    """

    inner: DirectionRule | None = None

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Note it down."""
        bottom = p
        while hasattr(bottom, "problem"):
            bottom = bottom.problem
        if not hasattr(bottom, "set_gradients"):
            raise OptionsError("SetGrad serves ModularOptimizer: only parameters have a .grad")
        bottom.set_gradients(u)
        return u
