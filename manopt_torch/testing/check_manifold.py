"""Check a manifold against the laws that solvers rely on."""

import math
from dataclasses import dataclass

import torch

from manopt_torch import _host
from manopt_torch.errors import ManoptError, OptionsError
from manopt_torch.manifolds import Manifold
from manopt_torch.testing.manifold_laws import LAWS, Finding, slope_laws
from manopt_torch.testing.manifold_sample import draw

# Slopes are fitted to steps that are not infinitely short.
_SLOPE_MARGIN = 0.1


@dataclass(frozen=True, kw_only=True)
class LawResult:
    """The outcome of one law: the worst number over the batch, and what it was held against."""

    law: str
    value: float
    bound: float
    is_slope: bool = False

    @property
    def passed(self) -> bool:
        """Whether the residual is at most, or the slope at least, the bound; NaN fails."""
        return self.value >= self.bound if self.is_slope else self.value <= self.bound

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        sign, form = (">=", ".2f") if self.is_slope else ("<=", ".1e")
        mark = "ok  " if self.passed else "FAIL"
        return f"{mark} {self.law:53s} {format(self.value, form):>8s} {sign} {format(self.bound, form)}"


@dataclass(frozen=True, kw_only=True)
class ManifoldReport:
    """What `check_manifold` found: a result a law, and a table when printed."""

    manifold: str
    batch: tuple[int, ...]
    dtype: torch.dtype
    laws: tuple[LawResult, ...]

    @property
    def passed(self) -> bool:
        """Whether all laws hold."""
        return all(law.passed for law in self.laws)

    @property
    def failures(self) -> tuple[LawResult, ...]:
        """The laws that do not hold."""
        return tuple(law for law in self.laws if not law.passed)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        verdict = "all laws hold" if self.passed else f"{len(self.failures)} of {len(self.laws)} laws fail"
        head = f"{self.manifold}, batch {self.batch}, {self.dtype}: {verdict}"
        return "\n".join([head, *map(str, self.laws)])


def check_manifold(
    M: Manifold,
    *,
    batch: tuple[int, ...] = (),
    dtype: torch.dtype = torch.float64,
    generator: torch.Generator | None = None,
    raise_on_failure: bool = False,
) -> ManifoldReport:
    r"""Check that the formulas of a manifold fit together.

    Random points, tangents and a smooth cost are drawn, and each law is evaluated on them: projections, metric, basis,
    exp and log, distances, retractions, transports, gradient and Hessian. Residuals may be rounding errors; the
    error of a retraction must shrink like $t^{p+1}$ for its order $p$, that of the first and second order model of
    the cost along a geodesic like $t^2$ and $t^3$. Slopes are always taken in float64. Laws on `exp`, `log` and
    `parallel_transport` are left out where the manifold has none.

    Use it on a manifold of your own: what passes here works with every solver.

    Args:
        M: the manifold.
        batch: batch axes of the sample.
        dtype: dtype of the sample for the residuals.
        generator: source of randomness; its device is used. A fixed seed if None.
        raise_on_failure: whether to raise rather than only report.

    Returns:
        A report with `passed`, `failures` and `laws`; print it to see a table.

    Raises:
        OptionsError: if `M` is no manifold, or the batch is empty.
        ManoptError: if a law fails and `raise_on_failure` is set; the message is the table.

    References:
        [AbsilMahonySepulchre:2008], chapters 3 to 5; [Boumal:2023], sections 4.8 and 6.8.

    Examples:
        >>> from manopt_torch.manifolds import Sphere
        >>> check_manifold(Sphere(3)).passed
        True
    """
    if not isinstance(M, Manifold):
        raise OptionsError(f"check_manifold: M must be a Manifold such as Sphere(3), got {M!r}")
    if 0 in batch:
        raise OptionsError(f"check_manifold: there is nothing to check in a batch of shape {tuple(batch)}")
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    with torch.no_grad():
        sample = draw(M, batch, dtype, generator, generator.device)
        findings = [finding for law in LAWS for finding in law(M, sample)]
        exact = sample if dtype == torch.float64 else draw(M, batch, torch.float64, generator, generator.device)
        findings += slope_laws(M, exact)
    report = ManifoldReport(
        manifold=repr(M), batch=tuple(batch), dtype=dtype, laws=tuple(_judge(M, dtype, f) for f in findings)
    )
    if raise_on_failure and not report.passed:
        raise ManoptError(str(report))
    return report


def _judge(M: Manifold, dtype: torch.dtype, finding: Finding) -> LawResult:
    with _host.host_read():
        values = finding.value.flatten().tolist()
    if any(map(math.isnan, values)):
        worst = math.nan
    else:
        worst = max(values) if finding.order is None else min(values)
    if finding.order is None:
        return LawResult(law=finding.law, value=worst, bound=M.tolerance(dtype))
    return LawResult(law=finding.law, value=worst, bound=finding.order - _SLOPE_MARGIN, is_slope=True)
