"""Criteria made of criteria."""

from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import check_count, lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion


class StopWhenAny(StoppingCriterion):
    """Stop a problem when one of several criteria holds for it; `a | b` is `StopWhenAny(a, b)`.

    All members are always asked, since some keep account of the former iterate.

    Args:
        *criteria: the members; nested `StopWhenAny` are flattened.

    Examples:
        >>> from manopt_torch import StopAfterIteration, StopWhenCostLess
        >>> len((StopAfterIteration(5) | StopWhenCostLess(1.0) | StopAfterIteration(9)).criteria)
        3
    """

    def __init__(self, *criteria: StoppingCriterion) -> None:
        self.criteria: tuple[StoppingCriterion, ...] = _flattened(StopWhenAny, criteria)
        self.is_budget = any(c.is_budget for c in self.criteria)
        self.indicates_convergence = all(c.indicates_convergence for c in self.criteria)
        self.reads = sum([c.reads for c in self.criteria], ())

    @property
    def members(self) -> tuple[StoppingCriterion, ...]:
        """The criteria, each of which may be the reason."""
        return self.criteria

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Join the answers of the members by "or"."""
        hit: Any = False
        for criterion in self.criteria:
            hit = _or(hit, criterion.answer(p, o, i))
        return hit

    def reason(self, o: Any, i: int) -> str:
        """List what may have been met."""
        return "One of these: " + " ".join(c.reason(o, i) for c in self.criteria)

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.criteria))


class StopWhenAll(StoppingCriterion):
    """Stop a problem when all of several criteria hold for it at once; `a & b` is `StopWhenAll(a, b)`.

    Args:
        *criteria: the members; nested `StopWhenAll` are flattened.
    """

    def __init__(self, *criteria: StoppingCriterion) -> None:
        self.criteria: tuple[StoppingCriterion, ...] = _flattened(StopWhenAll, criteria)
        self.is_budget = any(c.is_budget for c in self.criteria)
        self.indicates_convergence = any(c.indicates_convergence for c in self.criteria)
        self.reads = sum([c.reads for c in self.criteria], ())

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Join the answers of the members by "and"."""
        hit: Any = True
        for criterion in self.criteria:
            hit = _and(hit, criterion.answer(p, o, i))
        return hit

    def reason(self, o: Any, i: int) -> str:
        """Give the reasons of all members."""
        return " ".join(c.reason(o, i) for c in self.criteria)

    def __repr__(self) -> str:
        return " & ".join(f"({c!r})" if isinstance(c, StopWhenAny) else repr(c) for c in self.criteria)


class StopWhenRepeated(StoppingCriterion):
    """Stop a problem when a criterion has held for it `n` times in a row.

    Args:
        criterion: what has to hold.
        n: how many times in a row.

    Raises:
        OptionsError: if `criterion` is no stopping criterion, or `n` is not an int of at least 1.
    """

    criterion: StoppingCriterion

    def __init__(self, criterion: StoppingCriterion, n: int) -> None:
        (self.criterion,) = _checked(StopWhenRepeated, (criterion,))
        self.n = n
        check_count(self, "n", 1)
        self.is_budget = criterion.is_budget
        self.indicates_convergence = criterion.indicates_convergence
        self.reads = criterion.reads

    def init(self, p: Any, o: Any) -> Any:
        """Start counting from zero."""
        return {"count": lane_of(p, o).full(0.0)}

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Count the answers of the criterion."""
        memory, lane = self.remembered(p, o, i), o.lane
        hit = self.criterion.answer(p, o, i)
        hit = lane.full(hit) if isinstance(hit, bool) else hit
        memory["count"] = lane.where(lane.scalar(hit) if lane.lone else hit, memory["count"] + 1.0, lane.full(0.0))
        return memory["count"] >= self.n

    def reason(self, o: Any, i: int) -> str:
        """Give the reason of the repeated criterion."""
        return f"{self.n} times in a row: {self.criterion.reason(o, i)}"

    def __repr__(self) -> str:
        return f"StopWhenRepeated({self.criterion!r}, {self.n})"


def _flattened(kind: type, criteria: tuple[Any, ...]) -> tuple[StoppingCriterion, ...]:
    """Replace members of the same kind by their own members."""
    if not criteria:
        raise OptionsError(f"{kind.__name__} needs at least one criterion")
    checked = _checked(kind, criteria)
    return tuple(part for c in checked for part in (c.criteria if isinstance(c, kind) else (c,)))  # pyright: ignore


def _checked(kind: type, criteria: tuple[Any, ...]) -> tuple[StoppingCriterion, ...]:
    for criterion in criteria:
        if not isinstance(criterion, StoppingCriterion):
            raise OptionsError(f"{kind.__name__} takes stopping criteria, got {criterion!r}")
    return criteria


def _or(a: Any, b: Any) -> Any:
    """Join bools and tensors of bools; True and False need no tensor operation."""
    if a is True or b is True:
        return True
    return b if a is False else a if b is False else a | b


def _and(a: Any, b: Any) -> Any:
    if a is False or b is False:
        return False
    return b if a is True else a if b is True else a & b
