"""Problems whose cost is a sum of many terms, of which a step looks at a few."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch

from manopt_torch._host import uploaded
from manopt_torch._keywords import what_came
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.problems.base import Problem, map_over_batch
from manopt_torch.problems.eval_order import EvalOrder, LinearEvalOrder, RandomEvalOrder
from manopt_torch.problems.gradient import GradientProblem, SmoothProblem, refuse_two
from manopt_torch.problems.hessian import GradientGraph, HessianProblem


class StochasticProblem(SmoothProblem):
    r"""Minimise a cost of many terms, $f(x) = \sum_j f_j(x)$ or their mean, by steps that look at a few terms each.

    The terms come in one of three forms:

    - as rows of the data: `cost(x, *rows)` takes tensors whose first axis after the batch axes counts terms, and
      reduces over them itself; for all terms the rows are `data`. With a mean, step sizes do not depend on the number
      of rows;
    - by their numbers: with `terms=n`, `cost(x, index, *data)` takes a tensor of some of the numbers
      $0, \dots, n - 1$, the same for all problems of a batch; what they stand for is in the closure;
    - as a list of costs `f_j(x, *data)`, whose sum is taken; a derivative that is given then is a list as well.

    To other solvers this is a smooth problem with all its terms. `stochastic_gradient_descent` asks for the `sample`
    that step $k$ sees. It depends on the order and $k$ alone: runs can be repeated and taken up.

    Args:
        M: the manifold.
        cost: the cost in one of the three forms, returns shape `(*batch,)`.
        gradient: the Riemannian gradient in the same form; None is autograd.
        euclidean_gradient: the gradient in the ambient space instead.
        terms: the number of terms, in the second form only.
        batch_size: how many terms a step looks at (the last step of a cycle may get fewer); None is all.
        order: in which order they come; None is `RandomEvalOrder()`, a new order in every cycle.
        data: tensors with the batch axes in front; in the first form an axis of terms follows.
        vectorized: False if the callables are written for one point.

    Shapes:
        rows of the data: `(*batch, b, ...)` with `b` terms, at most `batch_size`; `index`: `(b,)`.

    Raises:
        OptionsError: if an argument has the wrong kind, or the terms are given in no form or in two.

    References:
        [Bonnabel:2013]; [BottouCurtisNocedal:2018].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, LinearEvalOrder, StochasticProblem, get_cost
        >>> a, y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), torch.tensor([1.0, 2.0, 3.0])
        >>> squares = lambda x, a, y: ((a * x.unsqueeze(-2)).sum(-1) - y).square().mean(-1)
        >>> p = StochasticProblem(Euclidean(2), squares, data=(a, y), order=LinearEvalOrder())
        >>> get_cost(p, torch.zeros(2)), [s.get_cost(torch.zeros(2)).item() for s in map(p.sample, (1, 2, 3))]
        (tensor(4.6667), [1.0, 4.0, 9.0])
    """

    provides: ClassVar[frozenset[str]] = SmoothProblem.provides | {"hessian"}

    def __init__(
        self,
        M: Manifold,
        cost: Callable[..., Any] | Sequence[Callable[..., Any]],
        gradient: Any = None,
        *,
        euclidean_gradient: Any = None,
        terms: int | None = None,
        batch_size: int | None = 1,
        order: EvalOrder | None = None,
        data: tuple[Any, ...] = (),
        vectorized: bool = True,
    ) -> None:
        refuse_two(self, gradient=gradient, euclidean_gradient=euclidean_gradient)
        given = {"cost": cost, "gradient": gradient, "euclidean_gradient": euclidean_gradient}
        self.terms: int | None = _count_terms(cost, terms, data, batch_size)
        self.batch_size: Any = _positive("batch_size", batch_size)
        self.order: EvalOrder = RandomEvalOrder() if order is None else order
        if not isinstance(self.order, EvalOrder):
            came = what_came(order)
            raise OptionsError(f"StochasticProblem: order must be one such as LinearEvalOrder(), got {came}")
        # in the second and third form: name -> `part(x, chosen, *data)`
        self._parts: dict[str, Callable[..., Any]] = {}
        self._listed = not callable(cost)
        if self.terms is not None:
            self._parts = {name: _part(M, name, fn, self.terms, vectorized) for name, fn in given.items() if fn}
            everything = range(self.terms) if self._listed else torch.arange(self.terms, device="cpu")
            given = {name: self._bound(name, everything) for name in given}
        Problem.__init__(self, M, given["cost"], data=data, vectorized=vectorized or bool(self._parts))
        self.gradient: Callable[..., Any] | None = self._callable("gradient", given["gradient"], self.vectorized)
        self.euclidean_gradient: Callable[..., Any] | None = self._callable(
            "euclidean_gradient", given["euclidean_gradient"], self.vectorized
        )
        self.vectorized = vectorized
        if not self.needs_graph:
            self.provides = SmoothProblem.provides  # pyright: ignore[reportAttributeAccessIssue]
        self._cycle: tuple[Any, ...] = ()  # the order of the cycle asked for last, made once

    # ---- samples ------------------------------------------------------------------------------------------------
    def sample(self, k: int, batch_axes: int = 0) -> Any:
        """Return the problem that step `k` sees, with the terms whose turn it is.

        Args:
            k: the step, counted from 1.
            batch_axes: the number of batch axes of points and data.
        """
        n, length = self._sizes(batch_axes)
        if length == 1:
            return self
        cycle, place = divmod(k - 1, length)
        size = self.batch_size or n
        start, stop = place * size, min((place + 1) * size, n)
        if self._parts:
            chosen = self._order(n, cycle)[start:stop]
            return self._restricted({name: self._bound(name, chosen) for name in _NAMES}, self.data)
        if isinstance(self.order, LinearEvalOrder):
            rows = tuple(d.narrow(batch_axes, start, stop - start) for d in self.data)
        else:
            index = self._order(n, cycle)[start:stop]
            rows = tuple(d.index_select(batch_axes, uploaded(index, d, index.dtype)) for d in self.data)
        return self._restricted({name: getattr(self, name) for name in _NAMES}, rows)

    def steps_of_a_cycle(self, batch_axes: int = 0) -> int:
        """Return after how many steps every term has been seen."""
        return self._sizes(batch_axes)[1]

    def _sizes(self, batch_axes: int) -> tuple[int, int]:
        """Return the numbers of terms and of steps of a cycle."""
        if self.batch_size is None:
            return 1, 1
        n = self.terms or self.data[0].shape[batch_axes]
        return n, -(-n // self.batch_size)

    def _order(self, n: int, cycle: int) -> Any:
        """Return the order of a cycle: a tensor of numbers, or a tuple of them for a list of costs."""
        known = self._cycle  # read once, as another thread may write
        if known[:3] != (self.order, n, cycle):
            order = self.order(n, cycle)
            order = order if self._listed else torch.tensor(order, device="cpu")  # it indexes tensors on any device
            known = self._cycle = (self.order, n, cycle, order)
        return known[3]

    def _bound(self, name: str, chosen: Any) -> Any:
        """Return the callable of this name for some of the terms, taking `(x, *data)`; None if it is not given."""
        part = self._parts.get(name)
        return None if part is None else lambda x, *data: part(x, chosen, *data)

    def _restricted(self, callables: dict[str, Any], data: tuple[Any, ...]) -> Any:
        """Return a problem with these callables and data that counts into the same counters."""
        kind: Any = HessianProblem if self.needs_graph else GradientProblem
        part = object.__new__(kind)
        part.__dict__.update(M=self.M, data=data, vectorized=True, counts=self.counts, preconditioner=None, **callables)
        if kind is HessianProblem:
            part.__dict__.update(hessian=None, euclidean_hessian=None, _last=None)
        return part

    # ---- the whole ----------------------------------------------------------------------------------------------
    def linearize(self, x: Any, context: Any = None) -> GradientGraph:
        """Return the gradient of all terms with its graph retained, see `HessianProblem`."""
        return self._whole().linearize(x, context)

    def hessian_from(self, x: Any, at: GradientGraph, u: Any) -> Any:
        """Return the Hessian of all terms applied to `u`, from the retained gradient."""
        return self._whole().hessian_from(x, at, u)

    def get_hessian(self, x: Any, u: Any) -> Any:
        """Return the Hessian of all terms at `x` applied to `u`."""
        whole = self._whole()
        return whole.hessian_from(x, whole.linearize(x), u)

    def _whole(self) -> Any:
        if not self.needs_graph:
            self.missing("Hessian where its gradient is given", "autograd for the gradient")
        return self._restricted({name: getattr(self, name) for name in _NAMES}, self.data)

    def check_data(self, batch: tuple[int, ...]) -> None:
        """Raise a ShapeError unless every tensor of `data` starts with the batch axes, and then as many rows."""
        Problem.check_data(self, batch)
        if self.terms is not None or self.batch_size is None:
            return
        lengths = [tuple(d.shape[len(batch) : len(batch) + 1]) for d in self.data]
        if len(set(lengths)) > 1 or () in lengths or (0,) in lengths:
            raise ShapeError(
                f"after the batch axes {batch}, data need an axis of terms of one length each, got shapes "
                f"{[tuple(d.shape) for d in self.data]}: what has no terms goes into the closure of the cost"
            )


_NAMES = ("cost", "gradient", "euclidean_gradient")


def sample_of(p: Any, o: Any, k: int) -> Any:
    """Return the problem that step `k` of a run sees: a sample of a stochastic problem, any other problem itself."""
    sample = getattr(p, "sample", None)
    return p if sample is None else sample(k, len(o.lane.shape))


def _part(M: Manifold, name: str, given: Any, terms: int, vectorized: bool) -> Callable[..., Any]:
    """Return `part(x, chosen, *data)`, the sum of the chosen terms."""
    if callable(given):

        def indexed(x: Any, index: torch.Tensor, *data: torch.Tensor) -> Any:
            if vectorized:
                return given(x, index, *data)
            return map_over_batch(lambda x, *data: given(x, index, *data), M)(x, *data)

        return indexed
    if len(given) != terms or not all(map(callable, given)):
        raise OptionsError(f"StochasticProblem: {name} must be a list of {terms} callables, got {given!r}")
    functions = tuple(given if vectorized else (map_over_batch(fn, M) for fn in given))

    def listed(x: Any, chosen: Sequence[int], *data: torch.Tensor) -> Any:
        first, *others = [functions[j](x, *data) for j in chosen]
        for term in others:
            first = map_leaves(torch.add, first, term)
        return first

    return listed


def _count_terms(cost: Any, terms: Any, data: Any, batch_size: Any) -> int | None:
    """Return the number of terms, None where the rows of the data tell."""
    if callable(cost):
        if terms is None and not data and batch_size is not None:
            raise OptionsError(
                "StochasticProblem: the cost has no terms: give their rows as data=(a, y), their number as terms=n and "
                "a cost(x, index), or a list of costs"
            )
        return _positive("terms", terms)
    if not isinstance(cost, (list, tuple)) or not cost:
        raise OptionsError(f"StochasticProblem: cost must be callable or a list of callables, got {cost!r}")
    if terms is not None:
        raise OptionsError(f"StochasticProblem: a list of costs has as many terms as entries, got terms={terms!r} too")
    return len(cost)


def _positive(name: str, value: Any) -> Any:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise OptionsError(f"StochasticProblem: {name} must be None or an int >= 1, got {value!r}")
    return value
