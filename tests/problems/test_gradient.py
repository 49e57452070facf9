"""Gradient problems: closed forms, the three ways to a gradient, and how many evaluations they take."""

import math

import pytest
import torch

from manopt_torch import (
    Circle,
    Euclidean,
    GradientProblem,
    MissingDerivativeError,
    OptionsError,
    Product,
    ShapeError,
    Sphere,
    get_cost,
    get_cost_and_gradient,
    get_gradient,
    steepest_descent,
)
from manopt_torch.problems import autodiff
from tests.together import together

BATCHES = [(), (2,), (2, 3), (0,)]
A = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 4.0]], dtype=torch.float64)


def rayleigh(x):
    return (x * (x @ A.to(x.dtype))).sum(-1)


def rayleigh_gradient(x):
    return 2 * (x @ A.to(x.dtype) - rayleigh(x)[..., None] * x)


def unit(batch, n=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return Sphere(n).random_point(*batch, generator=generator, dtype=dtype)


def counted(fn):
    """Return the function and the list of what it has been called with."""
    calls = []
    return lambda *args, **kwargs: calls.append(args) or fn(*args, **kwargs), calls


@together()
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_all_forms_give_the_riemannian_gradient(batch, dtype, tolerance):
    x = unit(batch, dtype=dtype)
    truth = rayleigh_gradient(x)
    for forms in (
        {},
        {"gradient": rayleigh_gradient},
        {"euclidean_gradient": lambda x: 2 * x @ A.to(x.dtype)},
    ):
        p = GradientProblem(Sphere(3), rayleigh, **forms)
        value, gradient = get_cost_and_gradient(p, x)
        assert gradient.dtype == dtype
        torch.testing.assert_close(gradient, truth, rtol=0, atol=10 * tolerance)
        torch.testing.assert_close(get_gradient(p, x), truth, rtol=0, atol=10 * tolerance)
        assert torch.equal(value, get_cost(p, x))
        assert value.shape == batch


@together()
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("M", [Euclidean(), Circle()])
def test_scalar_points(M, batch):
    x = torch.full(batch, 0.3, dtype=torch.float64)
    value, gradient = get_cost_and_gradient(GradientProblem(M, torch.sin), x)
    torch.testing.assert_close(value, torch.full(batch, math.sin(0.3), dtype=torch.float64))
    torch.testing.assert_close(gradient, torch.full(batch, math.cos(0.3), dtype=torch.float64))


@pytest.mark.parametrize("batch", BATCHES)
def test_tuple_points_are_converted_part_by_part(batch):
    M = Product(Sphere(3), Euclidean())
    x = (unit(batch), torch.full(batch, 2.0, dtype=torch.float64))
    g, h = get_gradient(GradientProblem(M, lambda x: x[1] * rayleigh(x[0])), x)
    torch.testing.assert_close(g, 2 * rayleigh_gradient(x[0]), rtol=0, atol=1e-13)
    torch.testing.assert_close(h, rayleigh(x[0]), rtol=0, atol=1e-13)


def test_a_part_that_the_cost_ignores_has_gradient_zero():
    M = Product(Euclidean(2), Euclidean(3))
    x = (torch.ones(4, 2), torch.ones(4, 3))
    g, h = get_gradient(GradientProblem(M, lambda x: (x[0] ** 2).sum(-1)), x)
    assert torch.equal(g, 2 * x[0])
    assert torch.equal(h, torch.zeros(4, 3))


def test_problems_with_nan_do_not_poison_their_neighbours():
    x = torch.tensor([[1.0], [-1.0], [4.0]], dtype=torch.float64)
    value, gradient = get_cost_and_gradient(GradientProblem(Euclidean(1), lambda x: x.sqrt().sum(-1)), x)
    assert value.isnan().tolist() == [False, True, False]
    assert gradient[::2].flatten().tolist() == [0.5, 0.25]


def test_value_and_gradient_take_one_forward_and_one_backward(monkeypatch):
    run, passes = counted(autodiff._run)
    monkeypatch.setattr(autodiff, "_run", run)
    cost, calls = counted(rayleigh)
    get_cost_and_gradient(GradientProblem(Sphere(3), cost), unit((5,)))
    assert (len(calls), len(passes)) == (1, 1)


def test_a_trial_keeps_its_graph_for_the_gradient():
    cost, calls = counted(rayleigh)
    p = GradientProblem(Sphere(3), cost)
    x, y = unit((2,)), unit((2,), seed=1)
    at_x, at_y = p.trial(x)[1], p.trial(y)[1]
    torch.testing.assert_close(p.gradient_from(y, at_y), rayleigh_gradient(y), rtol=0, atol=1e-13)
    torch.testing.assert_close(p.gradient_from(x, at_x), rayleigh_gradient(x), rtol=0, atol=1e-13)
    assert len(calls) == 2


@pytest.mark.parametrize("form", ["gradient", "euclidean_gradient"])
def test_a_given_gradient_takes_no_evaluation_of_the_cost(form):
    cost, calls = counted(rayleigh)
    p = GradientProblem(Sphere(3), cost, **{form: lambda x: 0 * x})
    get_gradient(p, unit((2,)))
    assert (calls, p.counts.cost, p.counts.gradient) == ([], 0, 1)
    assert not p.trial(unit((2,)).requires_grad_(False))[0].requires_grad


def test_nothing_is_left_attached_and_nothing_written():
    x = torch.ones(2, 2)
    y = torch.ones(2, 2, requires_grad=True)
    p = GradientProblem(Euclidean(2), lambda x: (x**2).sum(-1))
    for point in (x, y):
        with torch.no_grad():
            value, gradient = get_cost_and_gradient(p, point)
        assert not value.requires_grad
        assert not gradient.requires_grad
    assert not x.requires_grad
    assert y.grad is None
    assert torch.equal(y.detach(), torch.ones(2, 2))


def test_parameters_in_the_closure_collect_no_gradient():
    weight = torch.nn.Parameter(torch.ones(2))
    assert get_gradient(GradientProblem(Euclidean(2), lambda x: (weight * x).sum(-1)), torch.ones(2)).tolist() == [1, 1]
    assert weight.grad is None


def test_autograd_works_under_no_grad():
    with torch.no_grad():
        assert get_gradient(GradientProblem(Euclidean(1), lambda x: 3 * x[..., 0]), torch.ones(1)).item() == 3.0
        assert not torch.is_grad_enabled()


def test_without_the_private_engine_autograd_grad_gives_the_same(monkeypatch):
    M, x = Product(Sphere(3), Euclidean(2)), (unit((4,)), torch.ones(4, 2, dtype=torch.float64))
    p = GradientProblem(M, lambda x: rayleigh(x[0]) * x[1].sum(-1))
    fast = get_gradient(p, x)
    asked, calls = counted(torch.autograd.grad)
    monkeypatch.setattr(autodiff, "_engine", None)
    monkeypatch.setattr(torch.autograd, "grad", asked)
    slow = get_gradient(p, x)
    assert len(calls) == 1
    assert all(torch.equal(a, b) for a, b in zip(fast, slow, strict=True))


@pytest.mark.parametrize("cost", [lambda x: torch.zeros(()), lambda x: (x.detach() ** 2).sum(-1)])
def test_a_cost_that_autograd_cannot_see_through_is_named_with_the_cure(cost):
    with pytest.raises(MissingDerivativeError, match=r"does not depend on its point.*\.detach\(\).*pass gradient="):
        get_gradient(GradientProblem(Euclidean(2), cost), torch.ones(2))


def test_two_gradients_are_refused():
    with pytest.raises(OptionsError, match="give one of gradient and euclidean_gradient, not both"):
        GradientProblem(Sphere(3), rayleigh, rayleigh_gradient, euclidean_gradient=rayleigh_gradient)


@pytest.mark.parametrize("form", ["gradient", "euclidean_gradient"])
def test_a_gradient_must_be_callable(form):
    with pytest.raises(OptionsError, match=f"GradientProblem: {form} must be callable, got int"):
        GradientProblem(Sphere(3), rayleigh, **{form: 3})


@together()
@pytest.mark.parametrize("cost", [lambda x: x * x, lambda x: (x * x).sum(), lambda x: 1.0])
@pytest.mark.parametrize("ask", [get_cost, get_gradient, get_cost_and_gradient])
def test_a_cost_of_another_shape_is_refused_whatever_is_asked(cost, ask):
    with pytest.raises(ShapeError, match=r"\(5,\), got"):
        ask(GradientProblem(Euclidean(2), cost), torch.ones(5, 2))


def test_the_gradient_check_names_the_axes():
    p = GradientProblem(Euclidean(2), lambda x: (x * x).sum(-1))
    with pytest.raises(ShapeError, match=r"gradient has batch axes \(\), the point has \(5,\)"):
        p.check_tangent("gradient", torch.ones(2), (5,))


@pytest.mark.parametrize(
    ("value", "got"), [(torch.ones(2), r"one of shape \(2,\)"), (1.0, "float"), (None, "NoneType")]
)
def test_a_euclidean_gradient_that_does_not_fit_is_named(value, got):
    with pytest.raises(ShapeError, match=rf"shape of the point, \(4, 3\), got {got}"):
        steepest_descent(Sphere(3), lambda x: x[..., 0], torch.eye(3)[[0, 1, 2, 0]], euclidean_gradient=lambda x: value)


def test_a_euclidean_gradient_may_be_the_same_for_all():
    x = steepest_descent(
        Sphere(3), lambda x: x[..., 0], torch.eye(3)[1:], euclidean_gradient=lambda x: torch.tensor([1.0, 0, 0])
    )
    torch.testing.assert_close(x, torch.tensor([[-1.0, 0, 0], [-1.0, 0, 0]]), atol=1e-3, rtol=0)
