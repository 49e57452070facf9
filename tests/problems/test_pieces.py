"""Large batches evaluated a piece at a time: the same bits and counts as at once, and only where that is safe."""

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    CountedProblem,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    HeavyBallRule,
    HessianProblem,
    Product,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    get_record,
    solve,
)
from manopt_torch.problems import pieces

D = torch.float64
N = 37  # rows, not a multiple of a piece
SPHERE = Sphere(3)
X = SPHERE.random_point(N, generator=torch.Generator().manual_seed(1), dtype=D)
W = torch.linspace(0.5, 2.0, 3 * N, dtype=D).reshape(N, 3)
TUPLES = (X, torch.linspace(-1.0, 1.0, 2 * N, dtype=D).reshape(N, 2))


def quadratic(x, w):
    return (w * x * x).sum(-1)


CASES = {
    "autograd": (SPHERE, lambda x: (x * x * x).sum(-1), {}, X),
    "data": (SPHERE, quadratic, {"data": (W,)}, X),
    "given": (SPHERE, quadratic, {"data": (W,), "euclidean_gradient": lambda x, w: 2 * w * x}, X),
    "one point": (SPHERE, lambda x, w: torch.dot(w, x * x), {"data": (W,), "vectorized": False}, X),
    "two axes": (SPHERE, quadratic, {"data": (W[:, None].expand(N, 2, 3),)}, X[:, None].repeat(1, 2, 1)),
    "tuples": (Product(SPHERE, Euclidean(2)), lambda x: (x[0] ** 3).sum(-1) + (x[1] ** 2).sum(-1), {}, TUPLES),
}


def run(case, direction=None, **changed):
    M, cost, keywords, x = CASES[case]
    p = CountedProblem(GradientProblem(M, cost, **{**keywords, **changed}))
    stop = StopAfterIteration(40) | StopWhenGradientNormLess(1e-2)
    o = GradientDescentOptions(x, stepsize=ConstantStepsize(0.2), direction=direction, stop=stop)
    return solve(p, o, record=[":Cost"])


@pytest.fixture
def small(monkeypatch):
    """Take eight rows at a time."""
    monkeypatch.setattr(pieces, "_NUMBERS", 16)
    monkeypatch.setattr(pieces, "_MULTIPLE", 8)
    monkeypatch.setattr(pieces, "_FEWEST", 2)


def leaves(x):
    return x if isinstance(x, tuple) else (x,)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("direction", [None, HeavyBallRule(0.3)])
def test_pieces_give_the_bits_of_the_whole(case, direction, small, monkeypatch):
    divided = run(case, direction)
    assert divided.piece_size == 8
    monkeypatch.setattr(pieces, "_FEWEST", 100)
    whole = run(case, direction)
    assert whole.piece_size is None
    for name in ("x", "gradient"):
        assert all(map(torch.equal, leaves(getattr(divided, name)), leaves(getattr(whole, name))))
    assert all(torch.equal(a, b) for (a,), (b,) in zip(get_record(divided), get_record(whole), strict=True))
    assert torch.equal(divided.iterations, whole.iterations) and len(whole.iterations.unique()) > 1
    assert divided.evaluations == whole.evaluations
    assert divided.evaluations["cost"] == divided.evaluations["gradient"] == divided.iteration + 1


def test_a_piece_is_all_that_is_evaluated_after_the_start(small):
    seen = []
    M, cost, _, x = CASES["autograd"]
    o = GradientDescentOptions(x, stepsize=ConstantStepsize(0.2), stop=StopAfterIteration(2))
    solve(GradientProblem(M, lambda x: seen.append(len(x)) or cost(x)), o)
    assert seen == [N, 8, *2 * [8, 8, 8, 8, 5]]


@pytest.mark.parametrize(
    "cost",
    [
        lambda x: (W * x * x).sum(-1),  # holds something for every problem
        lambda x: (x - x.mean(0)).square().sum(-1),  # mixes them
    ],
)
def test_what_cannot_be_divided_is_taken_whole(cost, small):
    o = GradientDescentOptions(X, stepsize=ConstantStepsize(0.1), stop=StopAfterIteration(1))
    assert solve(GradientProblem(SPHERE, cost), o).piece_size is None


def test_only_large_batches_of_plain_problems_are_divided(small):
    def size(p, x):
        stepsize = ConstantStepsize(0.1)
        return solve(p, GradientDescentOptions(x, stepsize=stepsize, stop=StopAfterIteration(1))).piece_size

    plain = GradientProblem(SPHERE, lambda x: x[..., 0])
    assert size(plain, X) == 8
    assert size(plain, X[:15]) is None
    assert size(plain, X[0]) is None
    assert size(HessianProblem(SPHERE, lambda x: x[..., 0]), X) is None


def test_a_problem_that_ends_as_non_finite_keeps_its_bits(small, monkeypatch):
    wall = torch.zeros(N, dtype=D)
    wall[5] = 1.0

    def cost(x, w):
        return torch.where((w > 0) & (x[..., 0] < X[5, 0]), torch.nan, x[..., 0])

    def solved():
        stop = StopAfterIteration(5)
        return solve(
            GradientProblem(SPHERE, cost, data=(wall,)),
            GradientDescentOptions(X, stepsize=ConstantStepsize(0.3), stop=stop),
        )

    divided = solved()
    monkeypatch.setattr(pieces, "_FEWEST", 100)
    whole = solved()
    assert divided.piece_size == 8 and divided.broken.nonzero().tolist() == [[5]]
    assert torch.equal(divided.x, whole.x) and torch.equal(divided.x[5], X[5])
