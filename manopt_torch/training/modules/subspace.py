"""Steps inside a subspace: modules act on a few coordinates instead of all parameters."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.directions.chain import Chain
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.euclidean import Euclidean
from manopt_torch.manifolds.points import first_leaf, map_leaves
from manopt_torch.plans.options import Functor, check_count, functors_of, memory_of
from manopt_torch.problems.base import Problem
from manopt_torch.stepsizes.base import Stepsize
from manopt_torch.training.modules.base import GradientProvider
from manopt_torch.training.modules.projections import Projection


@dataclass(eq=False, repr=False)
class Subspace(DirectionRule):
    r"""Let modules act on the coordinates $y$ of $y \mapsto f(\operatorname{retr}_x(\sum_j y_j v_j))$.

    The vectors $v_j$ come from projections. The modules make one step from $y = 0$; the direction is
    $-\sum_j y_j v_j$. In a list for `ModularOptimizer`, everything after a `Subspace` without modules acts inside it:
    `[Subspace(ProjRandom(3)), NewtonFDM(1e-3)]` is Newton's method in three random directions.

    Args:
        projections: one or more that make the vectors.
        randomize_every: for how many iterations the vectors are kept; more than one on flat manifolds only.
        modules: what acts inside; empty takes what follows.
        inner: rule whose direction the projections see; None is the gradient. The modules inside get the coordinates of
            the gradient.

    Raises:
        OptionsError: if there is no projection, or something else instead.

    References:
        [GowerEtAl:2019].

    Examples:
        >>> from manopt_torch.training import NewtonFDM, ProjRandom
        >>> Subspace(ProjRandom(3), modules=[NewtonFDM(1e-3)]).randomize_every
        1
    """

    projections: Any
    randomize_every: int = 1
    modules: Any = ()
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the projections."""
        given = self.projections
        self.projections = tuple(given) if isinstance(given, (list, tuple)) else (given,)
        if not self.projections or not all(isinstance(v, Projection) for v in self.projections):
            raise OptionsError(f"Subspace: projections must be such as ProjRandom(3), got {given!r}")
        check_count(self, "randomize_every", 1)
        self.modules = tuple(gathered(flattened(self.modules)))
        self._program: Any = None

    def with_modules(self, modules: Sequence[Any]) -> "Subspace":
        """Return a copy in which these modules act."""
        part = copy.copy(self)
        part.modules, part._program = tuple(gathered(modules)), None
        return part

    @property
    def gradient_free(self) -> bool:
        """Whether no gradient is asked for before the modules inside ask."""
        return not any(v.reads_direction for v in self.projections)

    def init(self, p: Any, o: Any) -> Any:
        """Start without vectors."""
        if self.randomize_every > 1 and not p.M.is_flat:
            raise OptionsError(f"Subspace: randomize_every must be 1 on {p.M!r}, where vectors belong to a point")
        # what acts inside remembers coordinates: their number is known in the first step, where memories are made
        for _, functor in functors_of(self.modules):
            o.memory[functor] = {}
        return {"count": 0}

    def __call__(self, p: Any, o: Any, i: int, u: Any = None) -> Any:
        """Leave it to the modules inside to ask for a gradient."""
        return self.change(p, o, i, u if self.inner is None else self.inner(p, o, i, u))

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Make one step in the subspace."""
        from manopt_torch.training.modular_program import Program, StepState  # they take subspaces apart

        memory, lane, program = memory_of(self, p, o), o.lane, self._program
        if program is None:
            program = self._program = Program(self.modules)
        vectors: Any = memory.get("vectors")
        if vectors is None or memory["count"] % self.randomize_every == 0:
            seen = Seen(p, o, i, u)
            vectors = tuple(v for part in self.projections for v in part.vectors(seen))
            if self.randomize_every > 1:
                # among them may be what stands in .grad, which the next backward pass overwrites
                memory["vectors"] = vectors = map_leaves(torch.clone, vectors)
        ref = first_leaf(o.x)
        inside = SubspaceProblem(p, o, vectors)
        y = torch.zeros((*lane.shape, len(vectors)), dtype=ref.real.dtype, device=ref.device)
        inside.origin = y
        inside = program.decorated(inside, i)
        state = StepState(inside, y, lane, o.memory, i, needs_gradient=program.needs_gradient)
        if memory["count"] == 0:
            for functor in self._acting():
                o.memory.forget(functor)
                memory_of(functor, inside, state)
        memory["count"] += 1
        y = program.moved(inside, state, i)
        return map_leaves(torch.neg, combined(lane, vectors, y))

    def _acting(self) -> list[Functor]:
        """List what acts on these coordinates, and not in a further subspace inside."""
        found = [functor for _, functor in functors_of(self.modules)]
        inner = [functor for functor in found if isinstance(functor, Subspace)]
        deeper = [part for subspace in inner for _, part in functors_of(subspace.modules)]
        return [functor for functor in found if not any(functor is part for part in deeper)]


def flattened(modules: Any) -> list[Any]:
    """List modules, taken out of lists and chains.

    Raises:
        OptionsError: if something is no module.
    """
    if isinstance(modules, Chain):
        return flattened(modules.rules)
    if isinstance(modules, (list, tuple)):
        return [m for part in modules for m in flattened(part)]
    if not isinstance(modules, (DirectionRule, Stepsize, GradientProvider)):
        raise OptionsError(
            f"modules must be such as ClipNorm(4), LR(1e-3), BacktrackingLS() or FDM(), got {_told(modules)}"
        )
    return [modules]


def _told(value: Any) -> str:
    """Name what is no module, with the cure for the likely slips."""
    made = type(value) if isinstance(value, torch.optim.Optimizer) else value
    if isinstance(made, type) and issubclass(made, torch.optim.Optimizer):
        return f"an optimizer: Wrap(torch.optim.{made.__name__}, lr=...) takes its class and settings"
    name = getattr(value, "__name__", "")
    if not name or not callable(value):
        return repr(value)
    ours = str(getattr(value, "__module__", "")).startswith("manopt_torch")
    return f"{name} itself: call it, {name}(...)" if ours else f"{name}: Lambda({name}) makes a module of a function"


def gathered(flat: Sequence[Any]) -> list[Any]:
    """Move what follows a subspace without modules of its own into it."""
    for n, module in enumerate(flat):
        if isinstance(module, Subspace) and not module.modules and flat[n + 1 :]:
            return [*flat[:n], module.with_modules(flat[n + 1 :])]
    return list(flat)


class Seen(NamedTuple):
    """What projections look at."""

    p: Any
    o: Any
    i: int
    given: Any  # the direction so far, None where there is none

    @property
    def direction(self) -> Any:
        """The direction so far, the gradient at first."""
        return self.o.gradient if self.given is None else self.given


class SubspaceProblem(Problem):
    """The cost on the coordinates of a subspace; gradients away from the origin are exact on flat manifolds."""

    provides: ClassVar[frozenset[str]] = frozenset({"cost", "gradient", "subgradient", "hessian"})
    preconditioner = None
    data: tuple[()] = ()

    def __init__(self, p: Any, o: Any, vectors: Sequence[Any]) -> None:
        self.problem, self.o, self.vectors = p, o, vectors
        self.M: Manifold = Euclidean(len(vectors))
        self.counts, self.cost, self.vectorized = p.counts, self.get_cost, True
        self.origin: Any = None

    def get_cost(self, x: Any, *data: Any) -> Any:
        """Return the cost where the coordinates lead."""
        if x is self.origin:
            return self.o.cost
        return self.problem.get_cost(self._point(x))

    def get_cost_and_gradient(self, x: Any) -> tuple[Any, Any]:
        """Return the cost and the inner products of its gradient with the vectors."""
        M, o = self.problem.M, self.o
        if x is self.origin:
            return self.get_cost(x), self.estimate(x)[1]
        there = self._point(x)
        cost, g = self.problem.get_cost_and_gradient(there)
        return cost, self._coordinates(there, g, [M.transport(o.x, there, v) for v in self.vectors])

    def estimate(self, x: Any) -> tuple[Any, Any]:
        """Return the same; at the origin the cost is None, for nothing needs it yet."""
        if x is not self.origin:
            return self.get_cost_and_gradient(x)
        return None, self._coordinates(self.o.x, self.o.gradient, self.vectors)

    def gradient_from(self, x: Any, context: Any) -> Any:
        """Return the gradient at a trial point."""
        return self.get_cost_and_gradient(x)[1]

    def linearize(self, x: Any, context: Any = None) -> Any:
        """Return the gradient of the problem behind, with its graph."""
        return self.problem.linearize(self.o.x)

    def hessian_from(self, x: Any, at: Any, u: Any) -> Any:
        """Return the Hessian at the origin applied to coordinates."""
        o = self.o
        h = self.problem.hessian_from(o.x, at, combined(o.lane, self.vectors, u))
        return self._coordinates(o.x, h, self.vectors)

    def _point(self, y: Any) -> Any:
        if y is self.origin:
            return self.o.x
        return self.problem.M.retract(self.o.x, combined(self.o.lane, self.vectors, y))

    def _coordinates(self, x: Any, g: Any, vectors: Sequence[Any]) -> torch.Tensor:
        return torch.stack([self.problem.M.inner(x, g, v) for v in vectors], -1)


def combined(lane: Any, vectors: Sequence[Any], y: torch.Tensor) -> Any:
    """Return the combination of the vectors with coefficients `y`, shape `(*batch, k)`."""
    total = None
    for v, s in zip(vectors, y.unbind(-1), strict=True):
        part = lane.scale(s, v)
        total = part if total is None else map_leaves(torch.add, total, part)
    return total
