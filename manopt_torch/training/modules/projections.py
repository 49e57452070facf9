"""Projections: the vectors that span the subspace of a step. All of them are normalised by `ProjNormalize` alone."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch

from manopt_torch._host import uploaded
from manopt_torch.directions.base import carried, remember
from manopt_torch.directions.components import draw_components
from manopt_torch.directions.draws import generator_for
from manopt_torch.directions.perturb import tangent_of
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import Functor, check_count, check_range


class Projection(Functor, ABC):
    """Make vectors that span a subspace: `vectors(seen)` returns a list of tangent vectors at `seen.o.x`.

    `seen` has the problem `p`, the state `o`, the iteration `i` and the `direction` so far.
    """

    # whether the gradient, or a direction made of it, is looked at
    reads_direction: ClassVar[bool] = True

    @abstractmethod
    def vectors(self, seen: Any) -> list[Any]:
        """Return the vectors."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(repr(v) for k, v in vars(self).items() if not k.startswith('_'))})"


class ProjRandom(Projection):
    r"""Take `n` random vectors, of length about one.

    Args:
        n: how many.
        seed: seed of the draws; the vectors depend on seed and iteration alone.

    Raises:
        OptionsError: if `n` is no positive int.
    """

    reads_direction: ClassVar[bool] = False

    def __init__(self, n: int = 1, seed: int = 0) -> None:
        self.n, self.seed = n, seed
        check_count(self, "n", 1)
        check_count(self, "seed", 0)

    def vectors(self, seen: Any) -> list[Any]:
        """Draw."""
        dim, generator = seen.p.M.dim, generator_for(self.seed, seen.i)
        c = torch.randn((self.n, dim), generator=generator, dtype=torch.float64, device="cpu") / math.sqrt(dim)
        return [tangent_of(seen.p, seen.o, row) for row in c]


class Proj2Masks(Projection):
    """Split the direction by random masks into pairs: what a mask keeps, and what it leaves.

    Args:
        n: number of masks.
        seed: seed of the draws.

    Raises:
        OptionsError: if `n` is no positive int.
    """

    def __init__(self, n: int = 1, seed: int = 0) -> None:
        self.n, self.seed = n, seed
        check_count(self, "n", 1)
        check_count(self, "seed", 0)

    def vectors(self, seen: Any) -> list[Any]:
        """Draw the masks; a curved factor goes as a whole."""
        u, generator = seen.direction, generator_for(self.seed, seen.i)
        found = []
        for _ in range(self.n):
            mask = draw_components(
                seen.p.M,
                u,
                lambda shape: torch.randint(2, shape, generator=generator, dtype=torch.float64, device="cpu"),
            )
            kept = map_leaves(lambda a, k: a * uploaded(k, a), u, mask)
            found += [kept, map_leaves(torch.sub, u, kept)]
        return found


class ProjAscent(Projection):
    """Take the direction so far, after the modules before the subspace."""

    def vectors(self, seen: Any) -> list[Any]:
        """Return the direction."""
        return [seen.direction]


class ProjGrad(Projection):
    """Take the gradient."""

    def vectors(self, seen: Any) -> list[Any]:
        """Return the gradient."""
        return [seen.o.gradient]


class ProjAscentRay(Projection):
    r"""Take the direction and `n` random vectors near it, each of its length times one plus `eps` $\xi$.

    Args:
        eps: how far they spread.
        n: how many rays.
        seed: seed of the draws.

    Raises:
        OptionsError: if a parameter is out of its range.
    """

    def __init__(self, eps: float = 0.1, n: int = 1, seed: int = 0) -> None:
        self.eps, self.n, self.seed = eps, n, seed
        _check_ray(self)

    def vectors(self, seen: Any) -> list[Any]:
        """Perturb the direction."""
        return _rays(self, seen, seen.direction)


class ProjGradRay(Projection):
    r"""Take the gradient and `n` random vectors near it.

    Args:
        eps: how far they spread.
        n: how many rays.
        seed: seed of the draws.

    Raises:
        OptionsError: if a parameter is out of its range.
    """

    def __init__(self, eps: float = 0.1, n: int = 1, seed: int = 0) -> None:
        self.eps, self.n, self.seed = eps, n, seed
        _check_ray(self)

    def vectors(self, seen: Any) -> list[Any]:
        """Perturb the gradient."""
        return _rays(self, seen, seen.o.gradient)


class ProjGradAscentDifference(Projection):
    """Take the difference of gradient and direction so far."""

    def vectors(self, seen: Any) -> list[Any]:
        """Return the difference."""
        return [map_leaves(torch.sub, seen.o.gradient, seen.direction)]


class ProjLastGradDifference(Projection):
    """Take the difference of the gradient and that of the iteration before; the gradient at first."""

    def init(self, p: Any, o: Any) -> Any:
        """Start with nothing to compare with."""
        return remember(p, o, ("former",))

    def vectors(self, seen: Any) -> list[Any]:
        """Return the difference, and remember the gradient."""
        return [_since_last(self, seen, seen.o.gradient)]


class ProjLastAscentDifference(Projection):
    """Take the difference of the direction and that of the iteration before; the direction at first."""

    def init(self, p: Any, o: Any) -> Any:
        """Start with nothing to compare with."""
        return remember(p, o, ("former",))

    def vectors(self, seen: Any) -> list[Any]:
        """Return the difference, and remember the direction."""
        return [_since_last(self, seen, seen.direction)]


class ProjNormalize(Projection):
    """Give the vectors of other projections the length one; a zero vector stays.

    Args:
        *projections: one or more; the direction so far if none.

    Raises:
        OptionsError: if one is no projection.
    """

    def __init__(self, *projections: Projection) -> None:
        self.projections: tuple[Projection, ...] | tuple[ProjAscent] = projections or (ProjAscent(),)
        for part in self.projections:
            if not isinstance(part, Projection):
                raise OptionsError(f"ProjNormalize: {part!r} is no projection such as ProjRandom(3)")

    @property
    def reads_direction(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether one of the projections does."""
        return any(part.reads_direction for part in self.projections)

    def vectors(self, seen: Any) -> list[Any]:
        """Divide by the norms."""
        lane, M, x = seen.o.lane, seen.p.M, seen.o.x
        found = []
        for v in (v for part in self.projections for v in part.vectors(seen)):
            norm = lane.scalar(M.norm(x, v))
            found.append(lane.scale(lane.where(norm > 0, lane.div(1.0, norm), lane.full(1.0)), v))
        return found


def _rays(owner: Any, seen: Any, u: Any) -> list[Any]:
    M, o, generator = seen.p.M, seen.o, generator_for(owner.seed, seen.i)
    lane, dim = o.lane, M.dim
    length = lane.scalar(M.norm(o.x, u)) * (owner.eps / math.sqrt(dim))
    c = torch.randn((owner.n, dim), generator=generator, dtype=torch.float64, device="cpu")
    return [u, *(lane.axpy(u, length, tangent_of(seen.p, o, row)) for row in c)]


def _since_last(owner: Any, seen: Any, u: Any) -> Any:
    memory = carried(owner, seen.p, seen.o, "former")  # pyright: ignore[reportArgumentType]
    former = memory["former"]
    # what stands in .grad may be overwritten by the next backward pass
    memory["former"] = map_leaves(torch.clone, u)
    return map_leaves(torch.sub, u, former)


def _check_ray(owner: Any) -> None:
    check_range(owner, "eps", 0.0, math.inf)
    check_count(owner, "n", 1)
    check_count(owner, "seed", 0)
