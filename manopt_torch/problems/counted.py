"""A problem seen through counters of its own."""

from typing import Any

from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import OptionsError
from manopt_torch.problems.base import Problem


class CountedProblem(KnownKeywords):
    """Count how often each kind of callable of a problem is evaluated, from now on.

    It stands in for the problem everywhere. One call for a whole batch counts once; an evaluation of cost and
    gradient together counts for both.

    Args:
        problem: the problem to watch.

    Raises:
        OptionsError: if it is no problem.

    Examples:
        >>> import torch
        >>> from manopt_torch import CountedProblem, Euclidean, GradientProblem, get_cost_and_gradient
        >>> p = CountedProblem(GradientProblem(Euclidean(2), lambda x: (x * x).sum(-1)))
        >>> _ = get_cost_and_gradient(p, torch.ones(2))
        >>> p.count(":Cost"), p.count(":Gradient"), p.count(":Hessian")
        (1, 1, 0)
    """

    def __init__(self, problem: Any) -> None:
        bare_problem(problem)
        self.problem = problem
        self.reset()

    def reset(self) -> None:
        """Set all counts to zero."""
        self._since = self.problem.counts.as_dict()

    def count(self, kind: str, mode: str = "none") -> int:
        """Return the count of `:Cost`, `:Gradient`, `:Hessian`, `:Preconditioner`, `:Subgradient` or `:ProximalMap`.

        Args:
            kind: a symbol, with or without its colon.
            mode: what an unknown kind gives: -1 for "none", an OptionsError for "error".
        """
        wanted = str(kind).lstrip(":").replace("_", "").lower()
        for name, value in self.as_dict().items():
            if name.replace("_", "") == wanted:
                return value
        if mode == "error":
            raise OptionsError(f"{kind!r} is not counted; counted are {', '.join(self.as_dict())}")
        return -1

    def as_dict(self) -> dict[str, int]:
        """Return all counts by kind."""
        return {name: value - self._since[name] for name, value in self.problem.counts.as_dict().items()}

    def __getattr__(self, name: str) -> Any:
        if name in ("problem", "__getstate__"):  # copies ask before either is there, the second in Python 3.10 only
            raise AttributeError(name)
        return getattr(self.problem, name)


def bare_problem(p: Any) -> Problem:
    """Return the problem inside any depth of counters, or raise if there is none."""
    while isinstance(p, CountedProblem):
        p = p.problem
    if not isinstance(p, Problem):
        raise OptionsError(f"expected a Problem such as GradientProblem(M, cost), got {type(p).__name__}")
    return p
