"""Check a solver against the laws that every solver keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from manopt_torch.errors import ManoptError, OptionsError
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.options import get_options
from manopt_torch.testing.solver_laws import LAWS, Setting, two_problems


class LawOutcome(NamedTuple):
    """What came of one law; `detail` says what was seen where it failed."""

    law: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class SolverReport:
    """The outcome of `check_solver`; it is true if all laws hold, and prints as a table.

    Args:
        solver: name of the options' class.
        laws: the outcome of each law.
    """

    solver: str
    laws: tuple[LawOutcome, ...]

    @property
    def passed(self) -> bool:
        """Whether all laws hold."""
        return all(outcome.passed for outcome in self.laws)

    @property
    def failures(self) -> tuple[LawOutcome, ...]:
        """The laws that do not hold."""
        return tuple(outcome for outcome in self.laws if not outcome.passed)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        lines = [f"check_solver, {self.solver}: {'passed' if self.passed else 'FAILED'}"]
        for law, passed, detail in self.laws:
            lines.append(f"  {'holds ' if passed else 'BROKEN'}  {law}" + (f": {detail}" if detail else ""))
        return "\n".join(lines)


def check_solver(
    options_factory: Callable[[Any], Any],
    problem: Any,
    x: Any,
    *,
    steps: int = 6,
    tolerance: float | None = None,
    laws: tuple[str, ...] | None = None,
    raise_on_failure: bool = False,
) -> SolverReport:
    """Check that a solver of one's own keeps the laws that all solvers of the package keep.

    The laws: after each step cost and gradient belong to the point, and the point to the manifold; a problem in a batch
    of two comes out as it does alone; a finished problem does not move; debug and record change no iterate; `solve`
    does what stepping by hand does; a run taken up from its `state_dict` goes on as if it had not been interrupted;
    fresh options give the same again; `StopAfterIteration(n)` takes `n` steps; start and data stay as they were. A law
    that ends in an error is broken.

    Args:
        options_factory: returns fresh options for a start, e.g. `lambda x: MyOptions(x, stepsize=...)`; its stopping
            criterion is replaced.
        problem: a problem that the solver can work on; with data, if it has batch axes.
        x: a start, shape `(*batch, *point_shape)`; the first two problems of a batch are used, a lone problem is
            joined by a second one with another start.
        steps: number of steps to take.
        tolerance: relative difference of costs allowed between a batch and lone runs, whose kernels may round
            differently; points may differ by its root. None is 5000 roundings of the dtype.
        laws: names of the laws to check; None is all of them.
        raise_on_failure: whether to raise instead of returning a failed check.

    Returns:
        The outcome, which is true if all laws hold.

    Raises:
        ManoptError: if a law is broken and `raise_on_failure`; the message is the printed outcome.
        OptionsError: if a law is not known, or `steps` is less than 3.

    Examples:
        >>> import torch
        >>> from manopt_torch import GradientDescentOptions, GradientProblem, Sphere
        >>> p = GradientProblem(Sphere(3), lambda x: x[..., 2])
        >>> check = check_solver(GradientDescentOptions, p, torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64))
        >>> check.passed, len(check.laws)
        (True, 9)
    """
    if not isinstance(steps, int) or steps < 3:
        raise OptionsError(f"steps must be an int of at least 3, got {steps!r}")
    unknown = [law for law in laws or () if law not in LAWS]
    if unknown:
        raise OptionsError(f"unknown laws {unknown}; there are {', '.join(map(repr, LAWS))}")
    problem.M.check_point(x)
    limit = 5000 * torch.finfo(first_leaf(x).dtype).eps if tolerance is None else tolerance
    joint, pair = two_problems(problem, x)
    setting = Setting(options_factory, joint, pair, steps, limit)
    outcomes = tuple(_judge(name, setting) for name in (LAWS if laws is None else laws))
    report = SolverReport(type(get_options(options_factory(pair))).__name__, outcomes)
    if raise_on_failure and not report:
        raise ManoptError(str(report))
    return report


def _judge(name: str, setting: Setting) -> LawOutcome:
    try:
        detail = LAWS[name](setting)
    except Exception as error:  # the solver under test may do anything
        detail = f"{type(error).__name__}: {error}"
    return LawOutcome(name, not detail, detail)
