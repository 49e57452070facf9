"""Hypothesis strategies: random manifolds, random costs with traps in them, and random solvers with random options."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st

from manopt_torch import (
    BFGS,
    SR1,
    AdamRule,
    AdaptiveRegularizationOptions,
    AdaptiveWNGradient,
    ApproxHessianBFGS,
    ApproxHessianFiniteDifference,
    ApproxHessianSymmetricRankOne,
    ArmijoInitialGuess,
    ArmijoLinesearch,
    BarzilaiBorweinStepsize,
    Circle,
    ConjugateDescentCoefficient,
    ConjugateGradientOptions,
    ConstantStepsize,
    CubicBracketingLinesearch,
    DaiYuanCoefficient,
    DecreasingStepsize,
    DistanceOverGradients,
    Euclidean,
    FixedRank,
    FletcherReevesCoefficient,
    GradientDescentOptions,
    Grassmann,
    HagerZhangCoefficient,
    HagerZhangLinesearch,
    HeavyBallRule,
    HessianProblem,
    HestenesStiefelCoefficient,
    Hyperboloid,
    InverseBFGS,
    InverseDFP,
    InverseSR1,
    LiuStoreyCoefficient,
    NesterovRule,
    NeverRestart,
    NewtonOptions,
    NonmonotoneLinesearch,
    Oblique,
    ParabolicLinesearch,
    PoincareBall,
    PolakRibiereCoefficient,
    PolyakStepsize,
    Positive,
    Power,
    Product,
    ProjectedGradientOptions,
    QuasiNewtonOptions,
    RestartOnNonDescent,
    RestartOnNonSufficientDescent,
    Rotations,
    Sphere,
    Stiefel,
    SymmetricPositiveDefinite,
    TrustRegionsOptions,
    WolfeBinaryLinesearch,
    WolfeLinesearch,
)
from manopt_torch.manifolds.points import map_leaves, to_vector

# ---- manifolds ------------------------------------------------------------------------------------------------------

MANIFOLDS = (
    Sphere(3),
    Stiefel(4, 2),
    Grassmann(4, 2),
    SymmetricPositiveDefinite(2),
    Euclidean(3),
    Product(Sphere(3), Euclidean(2)),
    FixedRank(4, 3, 2),
    Hyperboloid(3),
    Rotations(3),
    Circle(),
    Oblique(3, 2),
    Positive(3),
    PoincareBall(2),
    Power(Sphere(3), 2),
    SymmetricPositiveDefinite(2, metric="log_cholesky"),
)


def picture(M: Any, x: Any) -> torch.Tensor:
    """Return the point as a vector of numbers that do not depend on how it is represented, shape `(*batch, n)`."""
    if isinstance(M, FixedRank):
        return M.matrix(x).flatten(-2)
    if isinstance(M, Grassmann):
        return (x @ x.mT).flatten(-2)
    if isinstance(M, Circle):
        return torch.stack([x.cos(), x.sin()], -1)
    return to_vector(x, M.point_shape)


# ---- costs ----------------------------------------------------------------------------------------------------------

# what may be wrong with a cost; the traps of a batch are dealt at random, one for each problem
TRAPS = (
    "none",
    "infinite beyond a wall",
    "NaN beyond a wall",
    "minus infinity beyond a wall",
    "a jump down",
    "a jump up",
    "a kink",
    "unbounded",
    "a pole",
    "constant",
    "saddle at the start",
    "of enormous size",
    "of tiny size",
)


class Posed(NamedTuple):
    """A batch of random problems and their starts."""

    problem: HessianProblem
    x: Any


def random_problems(M: Any, size: int, seed: int) -> Posed:
    r"""Return problems with cost $\frac12 z^\top A z + b^\top z + c \sin(w^\top z)$ and a trap each.

    $z$ is the point as a vector. The distance $d = w^\top (z - z_0) - m$ from a wall decides about the traps; it is
    negative at the start $z_0$.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(size, *shape, generator=generator, dtype=torch.float64)

    x = M.random_point(size, generator=generator, dtype=torch.float64)
    start = picture(M, x)
    n = start.shape[-1]
    half = normal(n, n) / math.sqrt(n)
    trap = torch.randint(len(TRAPS), (size,), generator=generator)
    w, margin = normal(n), 0.05 + 0.5 * torch.rand(size, 1, generator=generator, dtype=torch.float64)
    A = torch.where((trap == TRAPS.index("unbounded"))[:, None, None], -1.0, 1.0) * (half @ half.mT)
    data = (A, normal(n), normal(1), w, margin, start, trap[:, None])
    return Posed(HessianProblem(M, lambda x, *data: trapped_cost(picture(M, x), *data), data=data), x)


def trapped_cost(z: torch.Tensor, A: Any, b: Any, c: Any, w: Any, margin: Any, start: Any, trap: Any) -> torch.Tensor:
    """Evaluate the cost; `trap` says which of the traps is set."""
    away = z - start
    beyond = (w * away).sum(-1) - margin[..., 0]
    quadratic = 0.5 * (z * (A * z[..., None, :]).sum(-1)).sum(-1)
    smooth = quadratic + (b * z).sum(-1) + c[..., 0] * torch.sin((w * z).sum(-1))
    past, at = beyond > 0, trap[..., 0]
    # a product has zero gradient and an indefinite Hessian where both factors vanish
    saddle = (w * away).sum(-1) * (b * away).sum(-1) + 0.1 * away.square().sum(-1) ** 2
    forms = {
        "infinite beyond a wall": torch.where(past, math.inf, smooth),
        "NaN beyond a wall": torch.where(past, math.nan, smooth),
        "minus infinity beyond a wall": torch.where(past, -math.inf, smooth),
        "a jump down": smooth - 3.0 * past,
        "a jump up": smooth + 3.0 * past,
        "a kink": smooth + 3 * beyond.abs(),
        "unbounded": smooth - quadratic.square(),
        "a pole": smooth + 0.1 / beyond,
        "constant": 0 * smooth + 1.0,
        "saddle at the start": saddle,
        "of enormous size": 1e12 * smooth,
        "of tiny size": 1e-12 * smooth,
    }
    value = smooth
    for name, form in forms.items():
        value = torch.where(at == TRAPS.index(name), form, value)
    return value


# ---- solvers --------------------------------------------------------------------------------------------------------

fractions = st.sampled_from([0.1, 0.5, 0.9])
lengths = st.sampled_from([1e-3, 0.1, 1.0, 30.0])
trials = st.sampled_from([1, 8, 30])
guesses = st.builds(ArmijoInitialGuess)
coefficients = st.sampled_from(
    [
        ConjugateDescentCoefficient,
        DaiYuanCoefficient,
        FletcherReevesCoefficient,
        HagerZhangCoefficient,
        HestenesStiefelCoefficient,
        LiuStoreyCoefficient,
        PolakRibiereCoefficient,
    ]
).map(lambda kind: kind())
restarts = st.sampled_from([NeverRestart(), RestartOnNonDescent(), RestartOnNonSufficientDescent(0.2)])
updates = st.sampled_from([BFGS, SR1, InverseBFGS, InverseDFP, InverseSR1]).map(lambda kind: kind())
rules = st.one_of(
    st.none(),
    st.builds(HeavyBallRule, fractions),
    st.builds(NesterovRule, fractions),
    st.builds(AdamRule),
)
searches = st.one_of(
    st.builds(ArmijoLinesearch, lengths, st.sampled_from([0.2, 0.5]), st.sampled_from([1e-4, 0.4])),
    st.builds(WolfeLinesearch, st.sampled_from([1e-4, 0.3]), st.just(0.9), initial_stepsize=lengths, max_trials=trials),
    st.builds(
        WolfeBinaryLinesearch, st.sampled_from([1e-4, 0.3]), st.just(0.9), initial_guess=guesses, max_trials=trials
    ),
    st.builds(CubicBracketingLinesearch, fractions, initial_stepsize=lengths, hybrid=st.booleans(), max_trials=trials),
    st.builds(HagerZhangLinesearch, initial_stepsize=lengths, max_trials=trials),
    st.builds(NonmonotoneLinesearch),
    st.builds(ParabolicLinesearch, lengths),
)
stepsizes = st.one_of(
    searches,
    st.builds(ConstantStepsize, lengths),
    st.builds(DecreasingStepsize, lengths, exponent=st.sampled_from([0.5, 1.0])),
    st.builds(BarzilaiBorweinStepsize),
    st.builds(PolyakStepsize, st.sampled_from([None, 0.0, 1.0])),
    st.builds(AdaptiveWNGradient, fractions),
    st.builds(DistanceOverGradients, lengths),
)
hessians = st.one_of(
    st.none(),
    st.sampled_from([ApproxHessianFiniteDifference, ApproxHessianBFGS, ApproxHessianSymmetricRankOne]).map(
        lambda kind: kind()
    ),
)


def options_of(kind: Callable[..., Any], **more: Any) -> Any:
    """Draw functions `(x, **keywords)` that make options of this kind."""
    keywords = st.fixed_dictionaries(more)
    return keywords.map(lambda drawn: lambda x, **others: kind(x, **drawn, **others))


def whole_space(x: Any, **keywords: Any) -> ProjectedGradientOptions:
    """Return options of the projected gradient method whose set is everything."""
    return ProjectedGradientOptions(x, projection=lambda y, *data: map_leaves(torch.clone, y), **keywords)


# functions `(x, **keywords)` that make options, by the kind of solver
SOLVERS = {
    "gradient descent": options_of(GradientDescentOptions, stepsize=stepsizes),
    "direction rules": options_of(GradientDescentOptions, stepsize=stepsizes, direction=rules),
    "conjugate gradients": options_of(
        ConjugateGradientOptions, stepsize=searches, coefficient=coefficients, restart=restarts
    ),
    "limited memory": options_of(
        QuasiNewtonOptions,
        stepsize=searches,
        memory_size=st.sampled_from([1, 4, None]),
        cautious_update=st.booleans(),
        nondescent_direction=st.sampled_from(["reinitialize", "ignore"]),
    ),
    "full matrix": options_of(QuasiNewtonOptions, stepsize=searches, memory_size=st.just(-1), direction_update=updates),
    "trust regions": options_of(
        TrustRegionsOptions,
        trust_region_radius=st.sampled_from([None, 1e-3, 0.5]),
        kappa=fractions,
        theta=st.sampled_from([0.5, 1.0]),
        randomize=st.booleans(),
        hessian=hessians,
    ),
    "cubic regularisation": options_of(
        AdaptiveRegularizationOptions, sigma=st.sampled_from([None, 0.1]), theta=st.sampled_from([0.1, 2.0])
    ),
    "newton": options_of(NewtonOptions, kappa=fractions, hessian=hessians),
    "projected gradients": options_of(whole_space, stepsize=st.one_of(st.none(), st.builds(ConstantStepsize, lengths))),
}
