"""The tables of the solver contract: a new solver joins by a line in SOLVERS, a new problem by one in PROBLEMS."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from manopt_torch import (
    AdamRule,
    AdaptiveRegularizationOptions,
    AdaptiveWNGradient,
    AlternatingGradientDescentOptions,
    ArmijoInitialGuess,
    ArmijoLinesearch,
    BarzilaiBorweinStepsize,
    ConjugateGradientOptions,
    ConstantStepsize,
    CubicBracketingLinesearch,
    DecreasingStepsize,
    DistanceOverGradients,
    DoglegOptions,
    Euclidean,
    FrankWolfeOptions,
    GaussNewtonOptions,
    GradientDescentOptions,
    GradientProblem,
    HagerZhangCoefficient,
    HagerZhangLinesearch,
    HeavyBallRule,
    HessianProblem,
    HestenesStiefelCoefficient,
    LeastSquaresProblem,
    LevenbergMarquardtOptions,
    NewtonOptions,
    NonmonotoneLinesearch,
    ParabolicLinesearch,
    PolyakStepsize,
    ProjectedGradientOptions,
    QuasiNewtonOptions,
    ShortStepLinesearch,
    StochasticGradientDescentOptions,
    StopAfterIteration,
    StoppingCriterion,
    StopWhenGradientNormLess,
    TrustRegionsOptions,
    WolfeBinaryLinesearch,
    WolfeLinesearch,
    get_options,
)
from manopt_torch.manifolds.points import leaves, map_leaves
from manopt_torch.plans.options import per_problem_fields
from manopt_torch.testing import PROBLEMS, Posed, ProblemCase


@dataclass(frozen=True)
class Solver:
    """A solver under contract: what it is called, how its options are made, and what it asks of a problem."""

    name: str
    # fresh options: `options(case, x, **keywords)`, with the keywords that all Options classes take
    options: Callable[..., Any]
    needs: frozenset[str] = frozenset({"gradient"})
    # what a problem must provide besides, for the solver to converge within the budget of these tests
    to_converge: frozenset[str] = frozenset({"mild"})
    kind: Callable[..., Any] = GradientProblem
    # a run converges to this gradient norm: within float32, cost differences show no smaller one
    # whether a step may evaluate the cost at several trials
    searches: bool = False
    # whether it may evaluate gradients at trials too
    sees_slopes: bool = False
    accuracy: dict[torch.dtype, float] = field(default_factory=lambda: {torch.float64: 1e-6, torch.float32: 3e-3})

    # names of the problems it is tried on, where all would take too long
    problems: tuple[str, ...] = ()

    def pose(self, case: ProblemCase, *batch: int, dtype: torch.dtype = torch.float64, **more: Any) -> Posed:
        return case.pose(*batch, dtype=dtype, kind=self.kind, **more)

    def converged(self, dtype: torch.dtype) -> StoppingCriterion:
        return StopAfterIteration(400) | StopWhenGradientNormLess(self.accuracy[dtype])

    def __str__(self) -> str:
        return self.name


# one problem for each kind of space: scalars, a sphere, frames, subspaces, positive definite matrices, a tuple, matrices
# of low rank (a named tuple), hyperbolic space. Every solver is tried on all of them
RANGE = (
    "exponential",
    "rayleigh, sums",
    "nearest frame",
    "leading plane",
    "mean of two matrices",
    "product",
    "low rank",
    "hyperbolic chord",
)

# besides, a valley, and matrix products
RANGE_AND_MORE = (*RANGE, "rosenbrock", "rayleigh, bmm")

# for solvers without gradients: a scalar, a valley, spheres, a tuple, matrices
SOME_OF_EACH_KIND = (
    "exponential",
    "rosenbrock",
    "rayleigh, sums",
    "rayleigh, bmm",
    "product",
    "mean of two matrices",
)

# for step sizes, of which the solvers of the table have many others
A_FEW = ("quadratic", "rayleigh, sums", "low rank")

SOLVERS = [
    Solver("descent, armijo", lambda case, x, **k: GradientDescentOptions(x, **k)),
    Solver(
        "descent, quick armijo",
        lambda case, x, **k: GradientDescentOptions(x, stepsize=quick_armijo(), **k),
    ),
    Solver("descent, constant", lambda case, x, **k: GradientDescentOptions(x, stepsize=constant(case), **k)),
    Solver(
        "descent, decreasing",
        lambda case, x, **k: GradientDescentOptions(x, stepsize=decreasing(case), **k),
    ),
    Solver(
        "descent, wolfe",
        lambda case, x, **k: GradientDescentOptions(x, stepsize=wolfe_from_last(), **k),
        searches=True,
        problems=RANGE_AND_MORE,
        sees_slopes=True,
    ),
    Solver(
        "descent, nonmonotone",
        lambda case, x, **k: GradientDescentOptions(x, stepsize=NonmonotoneLinesearch(), **k),
        searches=True,
        problems=RANGE,
    ),
    Solver(
        "descent, barzilai-borwein",
        lambda case, x, **k: GradientDescentOptions(x, stepsize=BarzilaiBorweinStepsize(), **k),
        searches=True,
        problems=RANGE_AND_MORE,
        sees_slopes=True,
    ),
    Solver(
        "frank-wolfe, near oracle",
        lambda case, x, **k: near_frank_wolfe(case, x, **k),
        problems=RANGE,
    ),
    Solver(
        "frank-wolfe, short step",
        lambda case, x, **k: short_frank_wolfe(case, x, **k),
        searches=True,
        problems=RANGE,
    ),
    Solver(
        "projected, constant",
        lambda case, x, **k: whole_space(x, stepsize=constant(case), **k),
        problems=RANGE,
    ),
    Solver("projected, backtracking", lambda case, x, **k: whole_space(x, **k), searches=True, problems=RANGE),
    Solver("descent, momentum", lambda case, x, **k: momentum_descent(case, x, **k), problems=RANGE_AND_MORE),
    Solver("descent, adam", lambda case, x, **k: adam_descent(case, x, **k), problems=RANGE),
    Solver("stochastic descent", lambda case, x, **k: one_term_descent(case, x, **k), problems=RANGE),
    Solver(
        "alternating descent",
        lambda case, x, **k: AlternatingGradientDescentOptions(x, stepsize=constant(case), **k),
        needs=frozenset({"gradient", "product"}),
    ),
]
SOLVERS += [
    Solver(
        name,
        second_order,
        needs=frozenset({"hessian"}),
        to_converge=frozenset(),
        kind=HessianProblem,
        searches=True,
        sees_slopes=True,
        accuracy={torch.float64: 1e-8, torch.float32: 3e-3},
        problems=problems,
    )
    for name, problems, second_order in (
        ("trust regions", RANGE_AND_MORE, lambda case, x, **k: TrustRegionsOptions(x, **k)),
        ("cubic regularisation", (*RANGE, "rayleigh, bmm"), lambda case, x, **k: AdaptiveRegularizationOptions(x, **k)),
        ("newton", (*RANGE, "rayleigh, bmm"), lambda case, x, **k: NewtonOptions(x, **k)),
    )
]
SOLVERS += [
    Solver("conjugate gradient", lambda case, x, **k: ConjugateGradientOptions(x, **k), searches=True),
    Solver(
        "conjugate gradient, hestenes",
        lambda case, x, **k: hestenes_quick(x, **k),
        searches=True,
        problems=RANGE,
    ),
    Solver("quasi-newton, memory", lambda case, x, **k: QuasiNewtonOptions(x, **k), searches=True, sees_slopes=True),
    Solver(
        "quasi-newton, matrix",
        lambda case, x, **k: matrix_armijo(x, **k),
        searches=True,
        problems=RANGE,
    ),
]
# they minimise sums of squares only, and are tried on those alone
LEAST_SQUARES = [
    Solver(
        "levenberg-marquardt",
        lambda case, x, **k: LevenbergMarquardtOptions(x, **k),
        needs=frozenset({"residuals"}),
        to_converge=frozenset(),
        kind=LeastSquaresProblem,
    ),
    Solver(
        "gauss-newton, half steps",
        lambda case, x, **k: GaussNewtonOptions(x, stepsize=ConstantStepsize(0.5), **k),
        needs=frozenset({"residuals"}),
        to_converge=frozenset(),
        kind=LeastSquaresProblem,
    ),
    Solver(
        "dogleg, short steps",
        lambda case, x, **k: DoglegOptions(x, initial_radius=0.1, max_radius=0.25, **k),
        needs=frozenset({"residuals"}),
        to_converge=frozenset(),
        kind=LeastSquaresProblem,
    ),
]
# step sizes that no solver above has by default
STEPSIZES = [
    Solver(
        "hager-zhang with conjugate gradients",
        lambda case, x, **k: hager_zhang(x, **k),
        searches=True,
        sees_slopes=True,
        problems=A_FEW,
    ),
    Solver(
        "parabolas with conjugate gradients",
        lambda case, x, **k: ConjugateGradientOptions(x, stepsize=ParabolicLinesearch(), **k),
        searches=True,
        problems=A_FEW,
    ),
    Solver(
        "wolfe by bisection",
        lambda case, x, **k: GradientDescentOptions(x, stepsize=wolfe_from_last(WolfeBinaryLinesearch), **k),
        searches=True,
        sees_slopes=True,
        problems=A_FEW,
    ),
    Solver(
        "cubic bracketing",
        lambda case, x, **k: GradientDescentOptions(x, stepsize=CubicBracketingLinesearch(), **k),
        searches=True,
        sees_slopes=True,
        problems=A_FEW,
    ),
    Solver(
        "polyak",  # where the minimum is zero
        lambda case, x, **k: GradientDescentOptions(x, stepsize=PolyakStepsize(0.0), **k),
        problems=("quadratic", "hyperbolic chord"),
    ),
    Solver(
        "wn-gradient",
        lambda case, x, **k: GradientDescentOptions(x, stepsize=AdaptiveWNGradient(), **k),
        problems=A_FEW,
    ),
    Solver(
        "distance over gradients",
        lambda case, x, **k: GradientDescentOptions(x, stepsize=DistanceOverGradients(0.1), **k),
        problems=A_FEW,
    ),
]
CONSTANT = SOLVERS[2]
ARMIJO = SOLVERS[:2]


def quick_armijo() -> ArmijoLinesearch:
    return ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.3)


def wolfe_from_last(search: Callable[..., Any] = WolfeLinesearch) -> Any:
    # with the default decrease of 1e-4, steps that suit Newton's methods make gradients zigzag
    return search(0.3, 0.9, initial_guess=ArmijoInitialGuess())


def hager_zhang(x: Any, **keywords: Any) -> ConjugateGradientOptions:
    return ConjugateGradientOptions(x, coefficient=HagerZhangCoefficient(), stepsize=HagerZhangLinesearch(), **keywords)


def hestenes_quick(x: Any, **keywords: Any) -> ConjugateGradientOptions:
    search = ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.45)
    return ConjugateGradientOptions(x, coefficient=HestenesStiefelCoefficient(), stepsize=search, **keywords)


def matrix_armijo(x: Any, **keywords: Any) -> QuasiNewtonOptions:
    return QuasiNewtonOptions(x, memory_size=-1, stepsize=quick_armijo(), **keywords)


def constant(case: ProblemCase) -> ConstantStepsize:
    return ConstantStepsize(case.stepsize if "mild" in case.provides else 1e-3)


def decreasing(case: ProblemCase) -> DecreasingStepsize:
    return DecreasingStepsize(constant(case).length, exponent=0.25)


def ball_oracle(case: Any, radius: Callable[[torch.Tensor], Any]) -> Callable[..., Any]:
    """Return the oracle of a ball around the current point, whose radius may depend on the gradient's norm."""
    M = getattr(case, "manifold", Euclidean(2))

    def oracle(x: Any, g: Any, *data: torch.Tensor) -> Any:
        norm = M.norm(x, g)
        return M.retract(x, g, -radius(norm) / norm.clamp(min=1e-30))

    return oracle


def near_frank_wolfe(case: Any, x: Any, **keywords: Any) -> FrankWolfeOptions:
    oracle = ball_oracle(case, lambda norm: 2 * constant(case).length * norm)
    return FrankWolfeOptions(x, oracle=oracle, stepsize=ConstantStepsize(0.5), retraction_method=None, **keywords)


def short_frank_wolfe(case: Any, x: Any, **keywords: Any) -> FrankWolfeOptions:
    oracle = ball_oracle(case, lambda norm: 1.0)
    return FrankWolfeOptions(x, oracle=oracle, stepsize=ShortStepLinesearch(), retraction_method=None, **keywords)


def whole_space(x: Any, **keywords: Any) -> ProjectedGradientOptions:
    return ProjectedGradientOptions(x, projection=lambda x, *data: x, **keywords)


def momentum_descent(case: Any, x: Any, **keywords: Any) -> GradientDescentOptions:
    return GradientDescentOptions(x, direction=HeavyBallRule(0.3), stepsize=constant(case), **keywords)


def adam_descent(case: Any, x: Any, **keywords: Any) -> GradientDescentOptions:
    # with a large eps the last steps are those of a heavy ball, which converges with a constant step size
    return GradientDescentOptions(x, direction=AdamRule(0.3, 0.9, 1.0), stepsize=constant(case), **keywords)


def one_term_descent(case: Any, x: Any, **keywords: Any) -> StochasticGradientDescentOptions:
    return StochasticGradientDescentOptions(x, stepsize=constant(case), **keywords)


# ---- the products over which the laws run ---------------------------------------------------------------------------

PAIRS = [
    (s, c)
    for s in SOLVERS + STEPSIZES + LEAST_SQUARES
    for c in PROBLEMS
    if s.needs <= c.provides and c.name in (s.problems or c.name)
]
CONVERGENT = [(s, c) for s, c in PAIRS if s.to_converge <= c.provides]
BATCHES = [(), (2,), (2, 3)]
DTYPES = [torch.float64, torch.float32]
# for laws that do not depend on how batch axes and dtype meet: each of them at least once
CORNERS = [((), torch.float32), ((2, 3), torch.float64)]
# for laws about the loop, to which one kind of point is like another: a tensor, a scalar, a tuple
PLAIN = [(s, c) for s, c in PAIRS if c.name in ("rayleigh, sums", "exponential", "product")]


def over(pairs: list[tuple[Solver, ProblemCase]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("solver", "case"), pairs, ids=[f"{s}-{c}" for s, c in pairs])


every_pair = over(PAIRS)
every_plain_pair = over(PLAIN)
every_solver = pytest.mark.parametrize("solver", SOLVERS, ids=str)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: str(d)[6:])


# ---- comparing runs -------------------------------------------------------------------------------------------------


def state_of(o: Any) -> dict[str, Any]:
    """Return what a run holds for each problem: point, cost, gradient, reasons, iterations, ..."""
    bare = get_options(o)
    return {name: getattr(bare, name) for name in per_problem_fields(bare) if name != "x0"}


def at(tree: Any, index: Any) -> Any:
    """Return the part of a point or scalar that belongs to one problem, or to several."""
    return map_leaves(lambda leaf: leaf[index] if isinstance(leaf, torch.Tensor) else leaf, tree)


def same_bits(a: Any, b: Any) -> bool:
    """Whether two points or scalars are equal in every bit, numbers and `()` tensors being the same; NaN is NaN."""
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same_bits, a, b))
    if a is None or b is None:
        return a is b
    a, b = (torch.tensor(t, dtype=torch.float64) if isinstance(t, float) else torch.as_tensor(t) for t in (a, b))
    if a.shape != b.shape:
        return False
    if not a.dtype.is_floating_point:
        return bool((a == b).all())
    a, b = (torch.where(t.isnan(), torch.full_like(t, torch.nan), t).double().contiguous() for t in (a, b))
    return bool((a.view(torch.int64) == b.view(torch.int64)).all())


def assert_same_state(a: dict[str, Any], b: dict[str, Any], *, leave_out: tuple[str, ...] = ()) -> None:
    different = [name for name in a if name not in leave_out and not same_bits(a[name], b[name])]
    assert not different, f"{different} differ"


def sub_problem(problem: Any, x: Any, index: Any) -> tuple[Any, Any]:
    """Return one problem of a batch without its axis (`index` an int), or several (a tensor), with the start."""
    part = copy.copy(problem)
    part.data = tuple(d[index] for d in part.data)
    return part, at(x, index)


def reasons(o: Any) -> list[int]:
    """List the reason codes of all problems."""
    return torch.as_tensor(get_options(o).reason_code).flatten().tolist()


def finite(tree: Any) -> bool:
    return all(bool(torch.isfinite(leaf).all()) for leaf in leaves(tree))


class StopAt(StoppingCriterion):
    """Stop problem `j` (in flat order) after `steps[j % len(steps)]` steps; for batches that are not compacted."""

    def __init__(self, *steps: int) -> None:
        self.steps = steps

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        batch = p.M.batch_shape(o.x)
        order = torch.arange(math.prod(batch))
        return torch.tensor(self.steps)[order % len(self.steps)].reshape(batch) <= i
