"""Smooth solvers against pymanopt and against the floor.

Steepest descent (SD), conjugate gradients (CG) and trust regions (TR) on the same problem, from the same start, to the
same gradient norm, derivatives by autograd everywhere unless a row says that they are given. pymanopt runs with its
torch backend. The floor is `floor.py`: pymanopt's algorithms on plain tensors without avoidable work, in the same run.
"""

from typing import Any

from benchmarks.riemannian.case import Case
from benchmarks.riemannian.cases import CASES
from benchmarks.riemannian.runs import bare, ours, pymanopt
from benchmarks.timing import ROUNDS, Figure, Row, Times, installed, interleaved

CASE = "riemannian"
# of what the floor reaches, in the same run
SHARE_OF_THE_FLOOR = 0.85
# seconds of a sample: a run of some milliseconds, the first after a pause, is mostly the processor's waking up
LASTING = 0.08


def rows(
    *,
    only: str = "",
    rounds: int = ROUNDS,
    peers: bool = True,
    looped: int = 50,
    lasting: float = LASTING,
    cases: list[Case] | None = None,
) -> list[Row]:
    """Return the rows of this case.

    Args:
        only: one of the parts, `trivial`, `rayleigh`, ...; empty is all.
        rounds: rounds of timing.
        peers: whether to time pymanopt.
        looped: how many problems of a batch pymanopt solves, one after the other; its time is scaled.
        lasting: how long a sample is at least, in CPU seconds; a short run is repeated.
        cases: what to run instead of the parts.
    """
    if cases is None:
        if only and only not in CASES:
            raise ValueError(f"no part {only!r} of {CASE}; there are {', '.join(CASES)}")
        cases = [case for name, make in CASES.items() if only in ("", name) for case in make()]
    version = installed("pymanopt") if peers else ""
    pairs = [(case, solver) for case in cases for solver in _solvers(case)]
    return [row for case, solver in pairs for row in _rows(case, solver, rounds, looped, lasting, version)]


def _solvers(case: Case) -> list[str]:
    """List the solvers with a target; trust regions run where pymanopt's do not, too."""
    return [*case.targets, *(["TR"] if "TR" not in case.targets else [])]


def _rows(case: Case, solver: str, rounds: int, looped: int, lasting: float, version: str) -> list[Row]:
    looped = min(looped, len(case.x)) if case.batched else 1
    contenders = {"ours": ours(case, solver)}
    if case.derivatives is not None and (solver in case.given or case.objective is None):
        contenders["given"] = ours(case, solver, given=True)
    for name, run in (("floor", bare(case, solver)), ("floor, given", bare(case, solver, given=True))):
        if run is not None and (name == "floor" or "given" in contenders):
            contenders[name] = run
    if version and solver in case.targets:
        contenders["pymanopt"] = pymanopt(case, solver, looped)
    times = interleaved(contenders, rounds, lasting=lasting)
    return _Table(case, solver, times, version, len(case.x) / looped if case.batched else 1.0).rows()


class _Table:
    """The rows of one case and solver."""

    def __init__(self, case: Case, solver: str, times: Times, version: str, scale: float) -> None:
        self.case, self.solver, self.times, self.version, self.scale = case, solver, times, version, scale
        self.each = solver in case.per_iteration

    def rows(self) -> list[Row]:
        """Return a row for each contender, with ratios against pymanopt and against the floor."""
        table = []
        for name, subject, target, base in (
            ("ours", "manopt_torch", self.case.targets, "floor"),
            ("given", "manopt_torch, derivatives given", self.case.given, "floor, given"),
        ):
            if name not in self.times.results:
                continue
            peer = f"pymanopt {self.version}" if "pymanopt" in self.times.results else ""
            ratio = self._ratio("pymanopt", name, self.scale) if peer else None
            bound = target.get(self.solver)
            bound = None if bound is None else (">=", bound)
            table.append(self._row(name, subject, peer, ratio, bound))
            if base in self.times.results:
                against = self._ratio(base, name)
                table.append(self._row(name, subject, base, against, (">=", SHARE_OF_THE_FLOOR), brief=True))
        for name, subject in (
            ("floor", "floor"),
            ("floor, given", "floor, derivatives given"),
            ("pymanopt", f"pymanopt {self.version}"),
        ):
            if name in self.times.results:
                table.append(self._row(name, subject))
        return table

    def _row(
        self, name: str, subject: str, peer: str = "", ratio: Figure | None = None, target: Any = None,
        *, brief: bool = False,
    ) -> Row:  # fmt: skip
        outcome = self.times.results[name]
        scale = (self.scale if name == "pymanopt" else 1.0) / (outcome.iterations if self.each else 1)
        figure = self.times.figure(name, scale * (1e6 if self.each else 1e3))
        unit = "us/iteration" if self.each else "ms"
        title = f"{CASE}: {self.case.title}"
        note = "" if brief else self._note(name)
        return Row(title, f"{self.solver}, {subject}", figure, unit, peer, ratio, target, note)

    def _ratio(self, above: str, below: str, scale: float = 1.0) -> Figure:
        if self.each:
            steps = {name: self.times.results[name].iterations for name in (above, below)}
            scale *= steps[below] / steps[above]
        return self.times.ratio(above, below, scale)

    def _note(self, name: str) -> str:
        outcome = self.times.results[name]
        products = f", {outcome.products} Hessian products" if outcome.products else ""
        looped = f" (of {len(self.case.x) / self.scale:.0f} problems)" if name == "pymanopt" and self.scale > 1 else ""
        return (
            f"{outcome.iterations} iterations, {outcome.evaluations} evaluations{products}{looped}; "
            f"cost {outcome.cost:.10g}, gradient norm <= {outcome.gradient_norm:.1e}"
        )
