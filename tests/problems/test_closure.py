import pytest
import torch

from manopt_torch import ManifoldParameter, MissingDerivativeError, OptionsError, ShapeError, Sphere
from manopt_torch.problems.closure import ClosureProblem, manifold_of

D = torch.float64


def posed():
    """Return a problem on a matrix and two points of a sphere, with its point, and the calls of its closure."""
    a = torch.nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=D))
    b = ManifoldParameter(torch.tensor([[0.6, 0.8], [1.0, 0.0]], dtype=D), Sphere(2))
    problem, calls = ClosureProblem([a, b]), []

    def closure(backward=True):
        calls.append(backward)
        loss = (a**3).sum() + (b * torch.tensor([1.0, 2.0], dtype=D)).square().sum()
        if backward:
            a.grad = b.grad = None
            loss.backward()
        return loss

    return problem, problem.begin(closure), (a, b), calls


def test_one_evaluation_a_point():
    problem, x, _, calls = posed()
    cost, g = problem.get_cost_and_gradient(x)
    assert problem.get_cost(x) is cost and problem.get_gradient(x) is g
    assert calls == [True]
    assert problem.M.off_tangent(x, g) < 1e-14


def test_elsewhere_and_back():
    problem, x, (a, b), calls = posed()
    before = [q.detach().clone() for q in (a, b)]
    _, g = problem.get_cost_and_gradient(x)
    held = [leaf.clone() for leaf in g]
    y = problem.M.retract(x, g, -0.1)
    cost, there = problem.get_cost_and_gradient(y)
    assert cost != problem.get_cost(x)
    assert problem.get_cost(y) == cost
    assert all(torch.equal(q, value) for q, value in zip((a, b), before, strict=True))
    assert all(torch.equal(leaf, value) for leaf, value in zip(g, held, strict=True))
    assert not torch.equal(there[0], g[0])
    problem.end()
    torch.testing.assert_close(a.grad, 3 * a.detach() ** 2)
    assert calls == [True, True, False]


def test_parameters_are_put_back_after_an_error():
    problem, x, (a, _), _ = posed()
    before = a.detach().clone()
    problem.closure = lambda backward: 1 / 0
    with pytest.raises(ZeroDivisionError):
        problem.get_cost(tuple(leaf + 1 for leaf in x))
    assert torch.equal(a, before)


def test_hessian_is_the_difference_of_gradients():
    problem, x, *_ = posed()
    u = problem.M.random_tangent(x, generator=torch.Generator().manual_seed(0))
    h = problem.hessian_from(x, problem.linearize(x), u)
    ahead, behind = (problem.M.retract(x, u, t) for t in (1e-5, -1e-5))
    back = [problem.M.transport(y, x, problem.get_gradient(y)) for y in (ahead, behind)]
    for mine, f, b in zip(h, *back, strict=True):
        torch.testing.assert_close(mine, (f - b) / 2e-5, rtol=1e-6, atol=1e-6)


def test_hessian_elsewhere_or_without_graph():
    problem, x, *_ = posed()
    with pytest.raises(OptionsError, match="where the parameters are"):
        problem.linearize(tuple(leaf.clone() for leaf in x))
    x = problem.begin(lambda backward=True: 1.0)
    assert problem.get_cost(x) == 1.0
    with pytest.raises(MissingDerivativeError, match="differentiated"):
        problem.linearize(x)


def test_closure_that_never_differentiates():
    q = torch.nn.Parameter(torch.ones(2))
    problem = ClosureProblem([q])
    with pytest.raises(MissingDerivativeError, match="left no gradient"):
        problem.get_gradient(problem.begin(lambda backward=True: q.sum()))


def test_refusals():
    for bad in (3.0, torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.complex64), torch.ones(0)):
        with pytest.raises(OptionsError):
            manifold_of(bad)
    with pytest.raises(OptionsError, match="no parameters"):
        ClosureProblem([])
    embedding = torch.nn.Embedding(4, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    problem = ClosureProblem([embedding.weight])
    with pytest.raises(OptionsError, match="dense"):
        problem.get_gradient(problem.begin(None))


def test_ways_of_writing_a_closure():
    """The flag by name wherever it stands, by place otherwise; default values that hold a batch are left alone."""
    q, batch = torch.nn.Parameter(torch.tensor([1.0, 2.0])), torch.tensor(3.0)
    problem = ClosureProblem([q])

    def loss(x, backward):
        value = (q - x).square().sum()
        if backward:
            q.grad = None
            value.backward()
        return value

    told = (
        lambda backward=True: loss(batch, backward),
        lambda x=batch, backward=True: loss(x, backward),
        lambda *, backward=True: loss(batch, backward),
        lambda flag=True: loss(batch, flag),
        lambda flag: loss(batch, flag),
        lambda *flags: loss(batch, *flags),
    )
    for closure in told:
        assert problem.get_cost(problem.begin(closure)) == 5.0 and q.grad is None
        assert problem.get_gradient(problem.begin(closure))[0].tolist() == [-4.0, -2.0]
        problem.end()
        q.grad = None
    untold = (lambda: loss(batch, True), lambda x=batch: loss(x, True), lambda **rest: loss(batch, True))
    for closure in untold:
        assert problem.get_gradient(problem.begin(closure))[0].tolist() == [-4.0, -2.0]
        with pytest.raises(OptionsError, match="backward=True"):
            problem.get_cost(problem.begin(closure))


def test_what_a_closure_returns():
    q = torch.nn.Parameter(torch.ones(2))
    problem = ClosureProblem([q])
    for value in (3, 3.0, torch.tensor([3.0]), torch.tensor([[3.0]])):
        cost = problem.get_cost(problem.begin(lambda backward=True, value=value: value))
        assert cost.shape == () and cost == 3.0
    for value, got in ((None, "NoneType: end it with `return loss`"), ("3,0", "str"), (q, "shape \\(2,\\): reduce it")):
        with pytest.raises(ShapeError, match=f"the closure must return the loss, one number, got {got}"):
            problem.get_cost(problem.begin(lambda backward=True, value=value: value))
    with pytest.raises(OptionsError, match="got Tensor: wrap the evaluation"):
        problem.begin(q.sum())


def test_a_closure_may_take_derivatives_inside():
    """Values alone are asked for without grad mode."""
    w = torch.nn.Parameter(torch.tensor([1.0], dtype=D))

    def closure(backward=True):
        x = torch.tensor([2.0], dtype=D, requires_grad=True)
        loss = (torch.autograd.grad(w * x**2, x, create_graph=True)[0] - 12).square().sum()  # (4 w - 12)^2
        if backward:
            w.grad = None
            loss.backward()
        return loss

    problem = ClosureProblem([w])
    for _ in range(2):
        x = problem.begin(closure)
        value, (gradient,) = problem.get_cost_and_gradient(x)
        costs = [float(problem.get_cost((torch.tensor([v], dtype=D),))) for v in (2.0, 3.0)]
        problem.end()
        assert [float(value), *costs] == [64.0, 16.0, 0.0] and float(gradient) == float(w.grad) == -64.0
        assert not value.requires_grad
