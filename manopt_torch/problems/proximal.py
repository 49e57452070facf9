"""Problems split into parts with proximal maps."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.problems.base import Problem


class ProximalProblem(Problem):
    r"""Minimise $f = \sum_i f_i$ by the proximal maps of its parts.

    $\operatorname{prox}_{\lambda f_i}(x) = \arg\min_y \tfrac1{2} d(x, y)^2 + \lambda f_i(y)$.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        proximal_maps: callables `prox(lam, x, *data) -> y`.
        number_of_proxes: how many parts each callable stands for (a callable may carry out several commuting maps at
            once); ones if None.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.

    Raises:
        OptionsError: if there is no map, or `number_of_proxes` has another length.

    References:
        [Bacak:2014].

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, ProximalProblem, get_proximal_map
        >>> shrink = lambda lam, x: x.sign() * (x.abs() - lam).clamp(min=0)
        >>> p = ProximalProblem(Euclidean(2), lambda x: x.abs().sum(-1), [shrink])
        >>> get_proximal_map(p, 0.5, torch.tensor([2.0, 0.25]), 0)
        tensor([1.5000, 0.0000])
    """

    provides: ClassVar[frozenset[str]] = frozenset({"cost", "proximal_map"})

    def __init__(
        self,
        M: Manifold,
        cost: Callable[..., Any],
        proximal_maps: Sequence[Callable[..., Any]],
        *,
        number_of_proxes: Sequence[int] | None = None,
        data: tuple[Any, ...] = (),
        vectorized: bool = True,
    ) -> None:
        Problem.__init__(self, M, cost, data=data, vectorized=vectorized)
        maps = (proximal_maps,) if callable(proximal_maps) else _listed("proximal_maps", proximal_maps)
        if not maps:
            raise OptionsError("ProximalProblem: proximal_maps is empty, pass at least one prox(lam, x)")
        self.proximal_maps: tuple[Any, ...] = tuple(
            self._callable("proximal map", prox, vectorized, lead=1) for prox in maps
        )
        counts = (1,) * len(maps) if number_of_proxes is None else _listed("number_of_proxes", number_of_proxes)
        if len(counts) != len(maps) or any(not isinstance(n, int) or isinstance(n, bool) or n < 1 for n in counts):
            raise OptionsError(f"ProximalProblem: number_of_proxes needs {len(maps)} ints >= 1, got {counts}")
        self.number_of_proxes = counts

    def get_proximal_map(self, lam: Any, x: Any, i: int) -> Any:
        """Return the `i`-th proximal map (counted from 0) with parameter `lam` at `x`."""
        if not 0 <= i < len(self.proximal_maps):
            raise OptionsError(f"there are {len(self.proximal_maps)} proximal maps, counted from 0; got i={i}")
        self.counts.proximal_map += 1
        return self.checked_like(x, self.proximal_maps[i](lam, x, *self.data), f"result of proximal map {i}")


def _listed(name: str, values: Any) -> tuple[Any, ...]:
    try:
        return tuple(values)
    except TypeError:
        raise OptionsError(f"ProximalProblem: {name} must be a list, one entry a map, got {values!r}") from None
