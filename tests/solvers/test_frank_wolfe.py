"""Frank-Wolfe: known minima over simplices, balls and intervals, sub-solvers as oracles, its front function."""

import numpy as np
import pytest
import scipy.optimize
import torch

from manopt_torch import (
    ArmijoLinesearch,
    Circle,
    ConstantStepsize,
    DecreasingStepsize,
    Euclidean,
    FixedRank,
    FrankWolfeOptions,
    GradientProblem,
    Hyperboloid,
    NotOnManifoldError,
    Product,
    ProjectedGradientOptions,
    ShapeError,
    ShortStepLinesearch,
    Sphere,
    StopAfterIteration,
    StopWhenGapLess,
    SymmetricPositiveDefinite,
    frank_wolfe,
    get_reason,
    get_record,
    mean,
    solve,
)
from manopt_torch.errors import OptionsError
from tests.together import together

D = torch.float64
# reference case 32
A = torch.tensor([[1.0, 2, 1], [0, 2, 1], [0, 1, 1], [1, 1, 0]], dtype=D)
B = torch.tensor([1.0, 2, 1, 1], dtype=D)


def residual(x, *data):
    return (x @ A.mT - B).square().sum(-1)


def corner(x, g, *data):
    return torch.nn.functional.one_hot(g.argmin(-1), g.shape[-1]).to(g)


def ball(radius):
    return lambda x, g, *data: -radius * g / g.norm(dim=-1, keepdim=True)


# ---- minima ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stepsize", [None, ShortStepLinesearch()])
def test_case_32_falls(stepsize):
    x = torch.ones(3, dtype=D)
    stop = StopAfterIteration(200 if stepsize is None else 900) | StopWhenGapLess(1e-6)
    o = frank_wolfe(Euclidean(3), residual, x, oracle=ball(3.0), stepsize=stepsize, stop=stop, return_options=True)
    assert o.cost < residual(x)
    truth = torch.tensor([-2 / 3, 4 / 3, -2 / 3], dtype=D)
    torch.testing.assert_close(residual(truth), torch.tensor(1 / 3, dtype=D))
    if stepsize is not None:
        torch.testing.assert_close(o.x, truth, rtol=0, atol=1e-4)
        torch.testing.assert_close(o.cost, torch.tensor(1 / 3, dtype=D), rtol=0, atol=1e-8)
    assert 0 <= o.cost - 1 / 3 <= o.gap  # the gap of a convex cost is a bound


@pytest.mark.parametrize("stepsize", [None, ShortStepLinesearch()])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_the_simplex_against_scipy(batch, stepsize):
    c = torch.randn(*batch, 3, generator=torch.Generator().manual_seed(1), dtype=D)
    cost = lambda x, c: residual(x) + (c * x).sum(-1)  # noqa: E731
    start = torch.full((*batch, 3), 1 / 3, dtype=D)
    o = frank_wolfe(
        Euclidean(3), cost, start, data=(c,), oracle=corner, stepsize=stepsize, stop=StopAfterIteration(300),
        return_options=True,
    )  # fmt: skip
    assert (o.x >= 0).all()
    torch.testing.assert_close(o.x.sum(-1), torch.ones(batch, dtype=D))
    for x, gap, k in zip(o.x.reshape(-1, 3), torch.as_tensor(o.gap).flatten(), c.reshape(-1, 3), strict=True):
        truth = scipy.optimize.minimize(
            lambda v, k=k: cost(torch.from_numpy(v), k).item(),
            np.full(3, 1 / 3),
            bounds=[(0, 1)] * 3,
            constraints={"type": "eq", "fun": lambda v: v.sum() - 1},
            options={"ftol": 1e-14},
        )
        assert -1e-9 <= cost(x, k) - truth.fun <= gap + 1e-9
        assert gap < (0.2 if stepsize is None else 0.05)


def test_the_classical_step_keeps_its_bound():
    # f - f* <= 2 C / (i + 2) with C = L diam^2: here f = |x|^2 over the simplex, L = 2, diam^2 = 2
    x = torch.eye(5, dtype=D)[0]
    o = FrankWolfeOptions(x, oracle=corner, stop=StopAfterIteration(100))
    solve(GradientProblem(Euclidean(5), lambda x: x.square().sum(-1)), o, record=[":Iteration", ":Cost", ":Stepsize"])
    for i, cost, step in get_record(o):
        assert cost - 0.2 <= 2 * 4 / (i + 2)
        assert step == 2 / (i + 2)


def test_mean_of_matrices_in_an_interval():
    """The Karcher mean lies between the harmonic and the arithmetic mean, an interval with a closed oracle."""
    generator = torch.Generator().manual_seed(0)
    M = SymmetricPositiveDefinite(3)
    points = M.random_point(2, 6, generator=generator, dtype=D)
    low, high = torch.linalg.inv(torch.linalg.inv(points).mean(-3)), points.mean(-3)

    def cost(x, points, *interval):
        return 0.5 * M.squared_dist(x.unsqueeze(-3), points).mean(-1)

    def oracle(x, g, points, low, high):
        e, v = torch.linalg.eigh(x)
        root, inverse = ((v * e.pow(k).unsqueeze(-2)) @ v.mT for k in (0.5, -0.5))
        d, q = torch.linalg.eigh(inverse @ g @ inverse)  # the metric turns the gradient into the trace form
        low, high = (q.mT @ inverse @ z @ inverse @ q for z in (low, high))
        p = torch.linalg.cholesky(high - low)
        z = root @ q @ (low + (p * (d < 0).to(d).unsqueeze(-2)) @ p.mT) @ q.mT @ root
        return 0.5 * (z + z.mT)

    o = frank_wolfe(
        M, cost, high, data=(points, low, high), oracle=oracle, stepsize=ShortStepLinesearch(),
        stop=StopAfterIteration(60) | StopWhenGapLess(1e-7), return_options=True,
    )  # fmt: skip
    torch.testing.assert_close(o.x, mean(M, points), rtol=0, atol=2e-3)
    assert (o.gap < 1e-3).all() and (o.gap > 0).all()
    for lower in (o.x - low, high - o.x):
        assert (torch.linalg.eigvalsh(lower) > -1e-9).all()


# ---- the oracle -----------------------------------------------------------------------------------------------------


def test_a_sub_solver_as_oracle():
    # over a box the linearised problem is solved in the corner that projected gradients find at once
    box = lambda x, *data: x.clamp(-1, 1)  # noqa: E731
    sub = ProjectedGradientOptions(torch.zeros(3, dtype=D), projection=box, stop=StopAfterIteration(40))
    c = torch.tensor([[3.0, 0.2, -2.0], [0.5, 2.0, 0.3]], dtype=D)
    x, cost = torch.zeros(2, 3, dtype=D), lambda x, c: 0.5 * (x - c).square().sum(-1)
    stop = StopAfterIteration(30)
    o = frank_wolfe(
        Euclidean(3), cost, x, data=(c,), oracle=sub, stepsize=ShortStepLinesearch(), stop=stop, return_options=True
    )
    torch.testing.assert_close(o.x, c.clamp(-1, 1), rtol=0, atol=0.1)
    corners = (o.gradient * (o.x + o.gradient.sign())).sum(-1)
    torch.testing.assert_close(o.gap, corners, rtol=0, atol=1e-6)
    assert sub.iterations is None, "the options given are a pattern, not run themselves"


def test_a_linear_cost_on_a_ball_of_the_hyperbolic_plane():
    """A ball around the start: the oracle's point is its boundary point down the gradient, reached in one step."""
    M, e = Hyperboloid(3), torch.tensor([1.0, 0.0, 0.0], dtype=D)
    target = M.exp(e, torch.tensor([0.0, 2.0, 1.0], dtype=D))
    cost = lambda x: M.dist(x, target)  # noqa: E731

    def oracle(x, g):
        u = M.log(x, target)
        return M.exp(x, u, (1 - M.dist(x, e)).clamp(min=0) / M.norm(x, u))

    x = frank_wolfe(M, cost, e, oracle=oracle, stepsize=ConstantStepsize(1.0), stop=StopAfterIteration(1))
    torch.testing.assert_close(M.dist(x, e), torch.tensor(1.0, dtype=D))
    torch.testing.assert_close(cost(x), cost(e) - 1)


def test_an_oracle_written_for_one_point():
    c = torch.tensor([[0.2, 0.5, 0.3], [0.9, 0.1, 0.0]], dtype=D)
    start = torch.full((2, 3), 1 / 3, dtype=D)
    kinds = {"data": (c,), "stepsize": ShortStepLinesearch(), "stop": StopAfterIteration(9)}
    seen = []

    def one(x, g, c):
        seen.append(x.shape)
        return corner(x, g)

    cost = lambda x, c: (x - c).square().sum(-1)  # noqa: E731
    x = frank_wolfe(Euclidean(3), cost, start, oracle=one, vectorized=False, **kinds)
    torch.testing.assert_close(x, frank_wolfe(Euclidean(3), cost, start, oracle=corner, **kinds))
    assert set(seen) == {torch.Size([3])}


def test_a_step_beyond_the_oracle_is_cut_off():
    target = torch.tensor([1.0, 2.0], dtype=D)
    o = frank_wolfe(
        Euclidean(2),
        lambda x: (x - target).square().sum(-1),
        torch.zeros(2, dtype=D),
        oracle=lambda x, g: target,
        stepsize=ConstantStepsize(7.0),
        return_options=True,
    )
    assert torch.equal(o.x, target) and o.last_stepsize == 1.0
    assert "gradient norm below" in get_reason(o)


# ---- options --------------------------------------------------------------------------------------------------------


def test_defaults():
    o = FrankWolfeOptions(torch.ones(2), oracle=corner)
    assert isinstance(o.stepsize, DecreasingStepsize) and o.stepsize.at(3) == 2 / 5
    assert repr(o.stop) == "StopAfterIteration(200) | StopWhenGradientNormLess(1e-08) | StopWhenGapLess(1e-08)"
    assert o.retraction_method == "exp"


@pytest.mark.parametrize("oracle", [None, "corner", FrankWolfeOptions])
def test_oracles_that_are_none(oracle):
    with pytest.raises(OptionsError, match="oracle must be callable or Options"):
        FrankWolfeOptions(torch.ones(2), oracle=oracle)


@pytest.mark.parametrize(
    ("stepsize", "words"),
    [
        (0.1, "stepsize must be one such as"),
        (ArmijoLinesearch(), "may step beyond"),
        (ShortStepLinesearch(max_stepsize=2.0), "may step beyond"),
    ],
)
def test_stepsizes_that_will_not_do(stepsize, words):
    with pytest.raises(OptionsError, match=words):
        FrankWolfeOptions(torch.ones(2), oracle=corner, stepsize=stepsize)


def test_the_gap_belongs_to_the_point():
    o = FrankWolfeOptions(torch.full((2, 3), 1 / 3, dtype=D), oracle=corner, stop=StopAfterIteration(4))
    solve(GradientProblem(Euclidean(3), residual), o, record=[":Iterate", ":Gradient", ":gap"])
    for x, g, gap in get_record(o):
        torch.testing.assert_close(gap, (g * (x - corner(x, g))).sum(-1))


@together()
@pytest.mark.parametrize(
    ("oracle", "error", "words"),
    [
        (lambda x, g: None, ShapeError, "the answer of the oracle must be a tensor"),
        (lambda x, g: x[..., :2], ShapeError, "the answer of the oracle must have the shape"),
        (lambda x, g: x.float(), OptionsError, "the answer of the oracle is of torch.float32"),
        (lambda x, g: 2 * x, NotOnManifoldError, r"the answer of the oracle is not on the manifold.*Sphere\(3\)"),
    ],
)
def test_answers_that_are_no_points(oracle, error, words):
    x = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
    with pytest.raises(error, match=words):
        frank_wolfe(Sphere(3), lambda x: x[..., 2], x, oracle=oracle)


def test_a_product_whose_factors_share_no_retraction_says_so():
    M = Product(FixedRank(3, 2, 1), Circle())
    x = M.random_point(generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.raises(OptionsError, match=r"no retraction 'exp' that all factors share: leave it out"):
        frank_wolfe(M, lambda x: x[1], x, oracle=lambda x, g: x)
