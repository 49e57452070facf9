"""Equilibration: directions divided by the size of the Hessian's rows."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.directions.components import component_inner, zero_components
from manopt_torch.directions.draws import generator_for
from manopt_torch.directions.perturb import tangent_of
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_count, check_range, memory_of

PROBES = ("normal", "rademacher")


@dataclass(eq=False, repr=False)
class EquilibratedRule(DirectionRule):
    r"""Divide by the root of a running mean of squared Hessian products with random vectors (ESGD).

    $D_i = \gamma D_{i-1} + (1 - \gamma)\,(\operatorname{Hess} f[r_i])^{\odot 2}$ and
    $d_i = u_i / (\sqrt{D_i} + \varepsilon)$, on each flat factor entry by entry, on a curved one with one $D$ from
    $\lVert \operatorname{Hess} f[r_i]\rVert_x^2$. Unlike a diagonal of the Hessian, $D$ is never negative or small in
    saddles. It needs a `HessianProblem`, and in each iteration an evaluation more and a Hessian product. The
    coordinates of $r_i$ in an orthonormal basis are drawn from seed and iteration, the same for all problems of a
    batch.

    Args:
        decay: $\gamma \in [0, 1)$; the default forgets half in 14 iterations.
        eps: $\varepsilon > 0$.
        probe: "normal" or "rademacher" ($\pm 1$) coordinates of $r_i$, or `probe(p, o, i)`, which returns a tangent.
        seed: seed of the draws.
        inner: rule whose direction $u_i$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range.
        MissingDerivativeError: at the start of a run, if the problem has no Hessian.

    References:
        [DauphinDeVriesBengio:2015].

    Examples:
        >>> EquilibratedRule(probe="rademacher").eps
        1e-08
    """

    geometry: ClassVar[str] = "blockwise"
    needs: ClassVar[tuple[str, ...]] = ("hessian",)

    decay: float = 0.951695153010696  # from_halflife(14), as in the package downhill
    eps: float = 1e-8
    probe: str | Callable[..., Any] = "normal"
    seed: int = 0
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_range(self, "decay", 0.0, 1.0, open_low=False)
        check_range(self, "eps", 0.0, math.inf)
        check_count(self, "seed", 0)
        if not callable(self.probe) and self.probe not in PROBES:
            raise OptionsError(f"EquilibratedRule: probe must be {' or '.join(PROBES)} or callable, got {self.probe!r}")

    def init(self, p: Any, o: Any) -> Any:
        """Start with a zero mean."""
        return {"square": zero_components(p.M, o.x), "count": 0}

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Look at the Hessian along the probe, and divide."""
        memory, share = memory_of(self, p, o), 1 - self.decay
        h = p.hessian_from(o.x, p.linearize(o.x), self._probe(p, o, i, memory["count"]))
        square = map_leaves(lambda v, a: torch.lerp(v, a, share), memory["square"], component_inner(p.M, o.x, h, h))
        memory["square"], memory["count"] = square, memory["count"] + 1
        return map_leaves(lambda a, v: a / (v.sqrt() + self.eps), u, square)

    def _probe(self, p: Any, o: Any, i: int, count: int) -> Any:
        if callable(self.probe):
            return self.probe(p, o, i)
        generator = generator_for(self.seed, count)
        if self.probe == "normal":
            c = torch.randn(p.M.dim, generator=generator, dtype=torch.float64, device="cpu")
        else:
            c = 2.0 * torch.randint(2, (p.M.dim,), generator=generator, dtype=torch.float64, device="cpu") - 1.0
        return tangent_of(p, o, c)
