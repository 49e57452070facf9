"""What a run has come to: reasons and a report, for one problem or a batch."""

from dataclasses import dataclass, fields
from typing import Any

import torch

from manopt_torch.functional.masked import host_read
from manopt_torch.plans.options import NONFINITE, STAGNATED, get_options


def get_reason(o: Any) -> Any:
    """Say why the run stopped: a sentence for a lone problem, nested lists of sentences for a batch.

    A problem still running has the empty string.

    Args:
        o: options after (or during) a run, decorated or not.
    """
    bare = get_options(o)
    if bare.reason_code is None:
        return ""
    return _nested(bare, _on_host(bare.reason_code), _on_host(bare.iterations))


def _nested(o: Any, code: Any, i: Any) -> Any:
    if isinstance(code, list):
        return [_nested(o, c, k) for c, k in zip(code, i, strict=True)]
    return reason_text(o, code, i)


def reason_text(o: Any, code: int, i: int) -> str:
    """Return the sentence for one problem's reason code."""
    if code == 0:
        return ""
    if code == NONFINITE and i == 0:
        return "The cost or its gradient was non-finite at iteration 0: the problem could not start."
    if code == NONFINITE:
        return f"The cost or its gradient was non-finite at iteration {i}; the last finite point was kept."
    if code == STAGNATED:
        return f"The algorithm stagnated: no step of sensible length made progress at iteration {i}."
    if code > len(o.stop.members):  # the options have been given another criterion since
        return f"A criterion that the options no longer have was met at iteration {i}."
    return o.stop.members[code - 1].reason(o, i)


def _on_host(value: Any) -> Any:
    """Read a value; on the meta device there is none: NaN, no reason, no iterations."""
    if not isinstance(value, torch.Tensor):
        return value
    if value.is_meta:
        value = torch.full_like(value, float("nan") if value.is_floating_point() else 0, device="cpu")
    with host_read():
        return value.tolist()


@dataclass(frozen=True)
class Report:
    """The outcome of a run; print it for a table.

    Args:
        solver: name of the options' class.
        parameters: the options' parameters.
        batch: the batch axes, `()` for a lone problem.
        reasons: how many problems stopped for which reason.
        converged: how many problems met a criterion that indicates convergence.
        iterations: steps taken, `(least, median, most)` over the batch.
        cost: `(least, median, most)` of the last costs.
        gradient_norm: likewise; None where the solver has no gradient.
        evaluations: calls of each kind, for the whole batch at once.
        seconds: duration of the run.
        kkt_residual: `(least, median, most)` of the last KKT residuals; None where the solver has no multipliers.
        violation: likewise, of the largest violation of a constraint; None where the solver has no constraints.
    """

    solver: str
    parameters: dict[str, str]
    batch: tuple[int, ...]
    reasons: dict[str, int]
    converged: int
    iterations: tuple[float, float, float]
    cost: tuple[float, float, float]
    gradient_norm: tuple[float, float, float] | None
    evaluations: dict[str, int]
    seconds: float
    kkt_residual: tuple[float, float, float] | None = None
    violation: tuple[float, float, float] | None = None

    def __str__(self) -> str:
        lone = not self.batch
        rows = [("solver", self.solver)]
        rows += [(f"  {name}", value) for name, value in self.parameters.items()]
        if not lone:
            total = sum(self.reasons.values())
            rows.append(("problems", f"{total} {self.batch}, {self.converged} converged"))
        for reason, count in self.reasons.items():
            rows.append(("stopped" if lone else f"stopped, {count} x", reason or "(still running)"))
        rows.append(("iterations", _spread(self.iterations, lone, "{:.0f}")))
        rows.append(("cost", _spread(self.cost, lone, "{:.6g}")))
        measures = {
            "gradient norm": self.gradient_norm,
            "KKT residual": self.kkt_residual,
            "violation": self.violation,
        }
        rows += [(name, _spread(v, lone, "{:.3g}")) for name, v in measures.items() if v is not None]
        rows.append(("evaluations", ", ".join(f"{n} {kind}" for kind, n in self.evaluations.items() if n) or "none"))
        rows.append(("time", f"{self.seconds:.3g} s"))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def report(o: Any) -> Report:
    """Sum up a run: solver, parameters, reasons, iterations, cost, gradient norm, evaluations, time.

    Args:
        o: options after a run, decorated or not.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, report, steepest_descent
        >>> f = lambda x: (x * x).sum(-1)
        >>> o = steepest_descent(Euclidean(2), f, torch.ones(2), return_options=True)
        >>> report(o).solver, report(o).converged
        ('GradientDescentOptions', 1)
    """
    bare = get_options(o)
    codes = _flat(bare.reason_code if bare.reason_code is not None else 0)
    steps = _flat(bare.iterations if bare.iterations is not None else 0)
    # a problem still running has taken as many steps as the run
    steps = [bare.iteration if code == 0 else k for code, k in zip(codes, steps, strict=True)]
    return Report(
        solver=type(bare).__name__,
        parameters={
            f.name: repr(getattr(bare, f.name)) for f in fields(bare) if not f.metadata.get("state") and f.name != "x"
        },
        batch=tuple(bare.lane.shape) if bare.lane is not None else (),
        reasons=_counts(bare, codes, steps),
        converged=sum(_converged(bare, code) for code in codes),
        iterations=_quantiles(steps),
        cost=_quantiles(_flat(bare.cost if bare.cost is not None else float("nan"))),
        gradient_norm=_gradient_norms(bare),
        evaluations=dict(bare.evaluations or {}),
        seconds=bare.seconds,
        kkt_residual=_kept(bare, "kkt_residual"),
        violation=_kept(bare, "violation"),
    )


def _counts(o: Any, codes: list[int], steps: list[int]) -> dict[str, int]:
    """Count problems per reason; iteration numbers differ within one reason, so the text speaks of the last."""
    latest: dict[int, list[int]] = {}
    for code, k in zip(codes, steps, strict=True):
        latest.setdefault(code, []).append(k)
    counts = {}
    for code, ks in sorted(latest.items(), key=lambda entry: -len(entry[1])):
        counts[reason_text(o, code, max(ks)) + (" (the last of them)" if min(ks) < max(ks) else "")] = len(ks)
    return counts


def _converged(o: Any, code: int) -> bool:
    return 0 < code <= len(o.stop.members) and o.stop.members[code - 1].indicates_convergence


def _gradient_norms(o: Any) -> tuple[float, float, float] | None:
    if o.gradient is None or o.manifold is None:
        return None
    return _quantiles(_flat(o.manifold.norm(o.x, o.gradient)))


def _kept(o: Any, name: str) -> tuple[float, float, float] | None:
    """Sum up what some solvers keep and others do not."""
    value = getattr(o, name, None)
    return None if value is None else _quantiles(_flat(value))


def _flat(value: Any) -> list[Any]:
    return _on_host(value.detach().flatten()) if isinstance(value, torch.Tensor) else [value]


def _quantiles(values: list[Any]) -> tuple[float, float, float]:
    numbers = sorted(value for value in values if value == value)  # without NaN
    if not numbers:
        return float("nan"), float("nan"), float("nan")
    return numbers[0], numbers[(len(numbers) - 1) // 2], numbers[-1]


def _spread(values: tuple[float, float, float], lone: bool, form: str) -> str:
    least, middle, most = (form.format(value) for value in values)
    return middle if lone else f"min {least}, median {middle}, max {most}"
