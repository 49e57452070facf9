"""Hessian problems: closed forms, all combinations of given derivatives, and the graph kept at the last point."""

import copy
import pickle

import pytest
import torch

from manopt_torch import (
    Circle,
    Euclidean,
    HessianProblem,
    OptionsError,
    Product,
    ShapeError,
    Sphere,
    get_cost_and_gradient,
    get_gradient,
    get_hessian,
    get_preconditioner,
)
from manopt_torch.problems import autodiff
from tests.together import together

BATCHES = [(), (2,), (2, 3), (0,)]
A = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 4.0], [0.0, 4.0, 9.0]], dtype=torch.float64)
S = Sphere(3)


def close(a, b, tolerance=1e-12):
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


def rayleigh(x):
    return (x * (x @ A.to(x.dtype))).sum(-1)


def rayleigh_gradient(x):
    return 2 * (x @ A.to(x.dtype) - rayleigh(x)[..., None] * x)


def rayleigh_hessian(x, u):
    # Hess f(x)[u] = 2 P_x(Au) - 2 (x^T A x) u
    v = u @ A.to(x.dtype)
    return 2 * (v - (x * v).sum(-1, keepdim=True) * x - rayleigh(x)[..., None] * u)


def sample(batch, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    x = S.random_point(*batch, generator=generator, dtype=dtype)
    return x, S.random_tangent(x, generator)


def counted(fn):
    calls = []
    return lambda *args, **kwargs: calls.append(args) or fn(*args, **kwargs), calls


GRADIENTS = [{}, {"gradient": rayleigh_gradient}, {"euclidean_gradient": lambda x: 2 * x @ A.to(x.dtype)}]
HESSIANS = [{}, {"hessian": rayleigh_hessian}, {"euclidean_hessian": lambda x, u: 2 * u @ A.to(x.dtype)}]


@together()
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("gradient", GRADIENTS, ids=lambda d: "".join(d) or "autograd")
@pytest.mark.parametrize("hessian", HESSIANS, ids=lambda d: "".join(d) or "autograd")
def test_every_pair_of_forms_gives_the_riemannian_hessian(batch, gradient, hessian):
    x, u = sample(batch)
    p = HessianProblem(S, rayleigh, **gradient, **hessian)
    close(get_hessian(p, x, u), rayleigh_hessian(x, u))
    close(get_gradient(p, x), rayleigh_gradient(x))
    at = p.linearize(x, p.trial(x)[1])  # as solvers do it
    close(at.gradient, rayleigh_gradient(x))
    close(p.hessian_from(x, at, u), rayleigh_hessian(x, u))


def test_a_given_gradient_is_the_one_that_linearize_returns():
    x, _ = sample(())
    for hessian in HESSIANS:
        p = HessianProblem(S, rayleigh, lambda x: 7 * x, **hessian)
        assert torch.equal(p.linearize(x, p.trial(x)[1]).gradient, 7 * x)


def test_float32():
    x, u = sample((4,), torch.float32)
    h = get_hessian(HessianProblem(S, rayleigh), x, u)
    assert h.dtype == torch.float32
    close(h, rayleigh_hessian(x, u), 1e-4)


def test_reference_case_19():
    x = torch.tensor([0.0, -2.0, 1.0], dtype=torch.float64) / 5**0.5  # eigenvector for the eigenvalue 1
    p = HessianProblem(S, rayleigh)
    value, gradient = get_cost_and_gradient(p, x)
    close(value, torch.tensor(1.0, dtype=torch.float64))
    close(gradient, torch.zeros(3, dtype=torch.float64))
    e1 = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    close(get_hessian(p, x, e1), 2 * e1)


@together()
@pytest.mark.parametrize("M", [Euclidean(), Circle()])
@pytest.mark.parametrize("batch", BATCHES)
def test_scalar_points(M, batch):
    x, u = torch.full(batch, 0.3, dtype=torch.float64), torch.full(batch, 2.0, dtype=torch.float64)
    close(get_hessian(HessianProblem(M, torch.sin), x, u), -2.0 * x.sin())


def test_tuple_points_couple_their_parts_in_one_backward_pass(monkeypatch):
    M = Product(Euclidean(2), Euclidean(2), Euclidean())
    x = (torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([5.0]))
    u = (torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([2.0]))
    p = HessianProblem(M, lambda x: (x[0] * x[1]).sum(-1) * x[2])
    get_hessian(p, x, u)
    run, passes = counted(autodiff._run)
    monkeypatch.setattr(autodiff, "_run", run)
    a, b, c = get_hessian(p, x, u)
    assert len(passes) == 1
    # d/dx0 = x2 x1, d/dx1 = x2 x0, d/dx2 = <x0, x1>
    assert a.tolist() == [[6.0, 13.0]]  # u2 x1 + x2 u1
    assert b.tolist() == [[7.0, 4.0]]  # u2 x0 + x2 u0
    assert c.tolist() == [5.0]  # <u0, x1> + <x0, u1>


def test_a_linear_cost_has_hessian_zero():
    p = HessianProblem(Euclidean(2), lambda x: x.sum(-1))
    assert torch.equal(get_hessian(p, torch.ones(3, 2), torch.ones(3, 2)), torch.zeros(3, 2))
    # on the sphere the curvature term is left: Hess f[u] = -f(x) u
    x, u = sample((5,))
    close(get_hessian(HessianProblem(S, lambda x: x.sum(-1)), x, u), -x.sum(-1, keepdim=True) * u)


def test_a_cost_linear_in_one_part_only():
    M = Product(Euclidean(2), Euclidean(2))
    x = (torch.ones(2), torch.ones(2))
    h = get_hessian(HessianProblem(M, lambda x: (x[0] ** 3).sum(-1) + x[1].sum(-1)), x, x)
    assert [part.tolist() for part in h] == [[6.0, 6.0], [0.0, 0.0]]


@pytest.mark.parametrize("given", [{}, {"gradient": rayleigh_gradient}])
def test_products_at_one_point_share_the_graph(monkeypatch, given):
    run, passes = counted(autodiff._run)
    monkeypatch.setattr(autodiff, "_run", run)
    cost, calls = counted(rayleigh)
    p = HessianProblem(S, cost, **given)
    x, u = sample((4,))
    for n in (1, 2, 3):
        close(get_hessian(p, x, n * u), n * rayleigh_hessian(x, u))
        assert (len(calls), len(passes)) == (1, 1 + n)  # one forward, one gradient, a backward a product
    y, v = sample(())
    close(get_hessian(p, y, v), rayleigh_hessian(y, v))
    close(get_hessian(p, x, u), rayleigh_hessian(x, u))
    assert len(calls) == 3


def test_a_point_edited_in_place_is_a_new_point():
    p = HessianProblem(Euclidean(1), lambda x: (x**3).sum(-1))
    x, u = torch.tensor([1.0]), torch.tensor([1.0])
    assert get_hessian(p, x, u).item() == 6.0
    x.mul_(2.0)
    assert get_hessian(p, x, u).item() == 12.0


def test_solvers_get_their_second_derivative_from_one_evaluation_of_the_cost():
    cost, calls = counted(rayleigh)
    for given in GRADIENTS:
        p = HessianProblem(S, cost, **given)
        x, u = sample((4,))
        calls.clear()
        at = p.linearize(x, p.trial(x)[1])
        p.hessian_from(x, at, u)
        p.hessian_from(x, at, u)
        assert len(calls) == 1
        assert (p.counts.cost, p.counts.gradient, p.counts.hessian) == (1, 1, 2)


def test_trials_record_a_graph_only_for_derivatives_that_are_not_given():
    x, _ = sample(())
    euclidean = {"euclidean_gradient": lambda x: 2 * x @ A, "euclidean_hessian": lambda x, u: 2 * u @ A}
    assert HessianProblem(S, rayleigh, **euclidean).trial(x)[1] is None
    assert HessianProblem(S, rayleigh, rayleigh_gradient, rayleigh_hessian).trial(x)[1] is None
    assert HessianProblem(S, rayleigh, rayleigh_gradient).trial(x)[1] is not None


def test_without_the_private_engine(monkeypatch):
    x, u = sample((4,))
    M, point, tangent = Product(S, S), (x, x), (u, u)
    p = HessianProblem(M, lambda x: rayleigh(x[0]) * rayleigh(x[1]))
    fast = get_hessian(p, point, tangent)
    monkeypatch.setattr(autodiff, "_engine", None)
    slow = get_hessian(p, (x, x), tangent)
    assert all(torch.equal(a, b) for a, b in zip(fast, slow, strict=True))


def test_the_preconditioner_is_the_identity_unless_given():
    x, u = sample((2,))
    assert get_preconditioner(HessianProblem(S, rayleigh), x, u) is u
    p = HessianProblem(Euclidean(3), rayleigh, preconditioner=lambda x, u, d: u / d[..., None], data=(torch.ones(2),))
    assert torch.equal(get_preconditioner(p, x, u), u)
    assert p.counts.preconditioner == 1


def test_data_come_last():
    d = torch.tensor([2.0, 3.0])
    p = HessianProblem(
        Euclidean(1), lambda x, d: d * x[..., 0] ** 2, hessian=lambda x, u, d: d[..., None] * u, data=(d,)
    )
    assert get_hessian(p, torch.ones(2, 1), torch.ones(2, 1)).flatten().tolist() == [2.0, 3.0]


def test_copies_leave_the_graph_behind():
    p = HessianProblem(Euclidean(2), half_cubes)
    x = torch.ones(3, 2)
    get_hessian(p, x, x)
    for other in (copy.copy(p), copy.deepcopy(p), pickle.loads(pickle.dumps(p)), p.take(torch.tensor([0, 2]), 1)):
        assert other._last is None
        assert torch.equal(get_hessian(other, x, x), 3 * x)
    assert p._last is not None


def half_cubes(x):
    return 0.5 * (x**3).sum(-1)


@pytest.mark.parametrize("u", [torch.ones(2), torch.ones(5, 3), torch.ones(4, 2)])
def test_tangents_of_another_shape_are_refused(u):
    with pytest.raises(ShapeError):
        get_hessian(HessianProblem(Euclidean(2), half_cubes), torch.ones(5, 2), u)


@pytest.mark.parametrize("wrong", [lambda x, u: u[..., :1], lambda x, u: u[:1], lambda x, u: None])
def test_what_given_callables_make_of_a_tangent_is_looked_at_once(wrong):
    x, M = torch.ones(5, 2), Euclidean(2)
    for name in ("hessian", "euclidean_hessian"):
        with pytest.raises(ShapeError, match="the result of the Hessian"):
            get_hessian(HessianProblem(M, half_cubes, **{name: wrong}), x, x)
    with pytest.raises(ShapeError, match="the result of the preconditioner"):
        get_preconditioner(HessianProblem(M, half_cubes, preconditioner=wrong), x, x)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"gradient": half_cubes, "euclidean_gradient": half_cubes}, "gradient and euclidean_gradient"),
        ({"hessian": half_cubes, "euclidean_hessian": half_cubes}, "hessian and euclidean_hessian"),
    ],
)
def test_a_derivative_in_two_forms_is_refused(given, told):
    with pytest.raises(OptionsError, match=f"HessianProblem: give one of {told}, not both"):
        HessianProblem(Euclidean(2), half_cubes, **given)


@pytest.mark.parametrize("name", ["gradient", "hessian", "preconditioner", "euclidean_gradient", "euclidean_hessian"])
def test_callables_are_checked(name):
    with pytest.raises(OptionsError, match=f"HessianProblem: {name} must be callable, got float"):
        HessianProblem(Euclidean(2), half_cubes, **{name: 1.0})
