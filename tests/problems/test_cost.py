"""Cost problems: values, shapes, data, and what they refuse."""

import pytest
import torch

from manopt_torch import (
    Circle,
    CostProblem,
    Euclidean,
    GradientProblem,
    ManoptError,
    MissingDerivativeError,
    OptionsError,
    Product,
    ShapeError,
    Sphere,
    get_cost,
    get_cost_and_gradient,
    get_gradient,
    get_hessian,
    get_preconditioner,
    get_proximal_map,
    get_subgradient,
    nelder_mead,
)
from tests.together import together

BATCHES = [(), (2,), (2, 3), (0,)]


def half_square(x):
    return 0.5 * (x * x).sum(-1)


@together()
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cost_has_one_number_for_each_problem(batch, dtype):
    x = torch.full((*batch, 4), 2.0, dtype=dtype)
    value = get_cost(CostProblem(Euclidean(4), half_square), x)
    assert value.shape == batch
    assert value.dtype == dtype
    assert (value == 8.0).all()


@together()
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("M", [Euclidean(), Circle()])
def test_scalar_points_have_no_axis_of_their_own(M, batch):
    x = torch.full(batch, 0.5, dtype=torch.float64)
    assert torch.equal(get_cost(CostProblem(M, lambda x: 2 * x), x), torch.ones(batch, dtype=torch.float64))


@pytest.mark.parametrize("batch", BATCHES)
def test_tuple_points(batch):
    M = Product(Sphere(3), Euclidean())
    x = (torch.full((*batch, 3), 1.0), torch.full(batch, 4.0))
    assert (get_cost(CostProblem(M, lambda x: x[0].sum(-1) * x[1]), x) == torch.full(batch, 12.0)).all()


def test_data_come_after_the_point_in_order():
    t, y = torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    p = CostProblem(Euclidean(2), lambda x, t, y: t * (x * y).sum(-1), data=(t, y))
    assert get_cost(p, torch.tensor([[3.0, 4.0], [5.0, 6.0]])).tolist() == [3.0, 12.0]


def test_data_may_be_a_list():
    p = CostProblem(Euclidean(1), lambda x, t: x[..., 0] * t, data=[torch.tensor(3.0)])
    assert get_cost(p, torch.tensor([2.0])).item() == 6.0


@pytest.mark.parametrize(
    ("data", "told"),
    [(5.0, "float"), (torch.ones(2), "Tensor"), (None, "NoneType"), ((torch.ones(2), 3.0), "float"), ("ab", "str")],
)
def test_data_that_are_no_tuple_of_tensors_are_refused(data, told):
    with pytest.raises(OptionsError, match=rf"CostProblem: data must be a tuple of tensors.*data=\(t, y\).*{told}"):
        CostProblem(Euclidean(2), half_square, data=data)


def test_the_manifold_comes_first():
    with pytest.raises(OptionsError, match="CostProblem: M must be a Manifold, got function"):
        CostProblem(half_square, Euclidean(2))


def test_the_cost_must_be_callable():
    with pytest.raises(OptionsError, match="CostProblem: cost must be callable, got Tensor"):
        CostProblem(Euclidean(2), torch.ones(2))


def test_a_cost_reduced_over_the_batch_is_named_with_the_cure():
    p = CostProblem(Euclidean(2), lambda x: (x * x).sum())
    with pytest.raises(ShapeError, match=r"shape \(5,\), got \(\).*sum\(-1\).*vectorized=False"):
        get_cost(p, torch.ones(5, 2))


def test_a_cost_left_unreduced_is_refused():
    with pytest.raises(ShapeError, match=r"shape \(\), got \(2,\)"):
        get_cost(CostProblem(Euclidean(2), lambda x: x * x), torch.ones(2))


def test_a_cost_that_returns_a_python_number_is_refused():
    with pytest.raises(ShapeError, match=r"must return a tensor of shape \(\), got float"):
        get_cost(CostProblem(Euclidean(2), lambda x: 1.0), torch.ones(2))


@pytest.mark.parametrize("x", [torch.ones(3), torch.ones(2, 3), torch.tensor(1.0)])
def test_points_of_another_shape_are_refused(x):
    with pytest.raises(ShapeError, match=r"\(\*batch, 2\), got"):
        get_cost(CostProblem(Euclidean(2), half_square), x)


def test_parts_of_a_point_share_the_batch_axes():
    p = CostProblem(Product(Euclidean(2), Euclidean()), lambda x: x[1])
    with pytest.raises(ShapeError, match="same batch axes"):
        get_cost(p, (torch.ones(3, 2), torch.ones(4)))


def test_check_data_names_the_tensor_and_the_cure():
    p = CostProblem(Euclidean(2), lambda x, a, b: a * b, data=(torch.ones(3), torch.ones(4, 3)))
    with pytest.raises(ShapeError, match=r"data\[1\] has shape \(4, 3\).*batch axes \(3,\).*closure"):
        p.check_data((3,))
    p.check_data(())  # a lone problem takes data of any shape


@together()
@pytest.mark.parametrize(
    ("ask", "piece", "cure"),
    [
        (lambda p, x: get_gradient(p, x), "gradient", "GradientProblem"),
        (lambda p, x: get_cost_and_gradient(p, x), "gradient", "GradientProblem"),
        (lambda p, x: p.gradient_from(x, None), "gradient", "GradientProblem"),
        (lambda p, x: get_hessian(p, x, x), "Hessian", "HessianProblem"),
        (lambda p, x: get_preconditioner(p, x, x), "preconditioner", "HessianProblem"),
        (lambda p, x: get_subgradient(p, x), "subgradient", "SubGradientProblem"),
        (lambda p, x: get_proximal_map(p, 1.0, x, 0), "proximal map", "ProximalProblem"),
    ],
)
def test_what_a_cost_problem_lacks_names_the_class_that_has_it(ask, piece, cure):
    p = CostProblem(Euclidean(2), half_square)
    with pytest.raises(MissingDerivativeError, match=f"CostProblem has no {piece}: use {cure}") as caught:
        ask(p, torch.ones(2))
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ManoptError)


def test_trials_record_no_graph():
    seen = []
    p = CostProblem(Euclidean(2), lambda x: seen.append(x.requires_grad) or half_square(x))
    value, context = p.trial(torch.ones(2))
    assert (value.item(), context, seen) == (1.0, None, [False])


def test_evaluations_are_counted():
    p = CostProblem(Euclidean(2), half_square)
    for _ in range(3):
        get_cost(p, torch.ones(5, 2))
    assert p.counts.as_dict() == {
        "cost": 3, "gradient": 0, "hessian": 0, "preconditioner": 0, "subgradient": 0, "proximal_map": 0,
        "residuals": 0, "jacobian": 0,
    }  # fmt: skip


def test_a_sub_batch_takes_its_data_and_shares_the_counts():
    data = torch.arange(6.0).reshape(2, 3)
    p = CostProblem(Euclidean(1), lambda x, d: d + x[..., 0], data=(data,))
    part = p.take(torch.tensor([5, 1]), 2)
    assert get_cost(part, torch.zeros(2, 1)).tolist() == [5.0, 1.0]
    assert p.counts.cost == 1
    assert torch.equal(p.data[0], data)


def test_a_cost_may_take_derivatives_inside():
    """The slope of x -> w x^2 at 2 is to be 12, hence w = 3; solvers call costs without grad mode."""

    def cost(w):
        x = torch.full_like(w, 2.0).requires_grad_()
        (slope,) = torch.autograd.grad((w * x**2).sum(), x, create_graph=True)
        return (slope - 12).square().sum(-1)

    for start in (torch.ones(1, dtype=torch.float64), torch.ones(4, 1, dtype=torch.float64)):
        torch.testing.assert_close(nelder_mead(Euclidean(1), cost, start), 3 * torch.ones_like(start))
    # what is wrong with a cost stays as it is
    problem = CostProblem(Euclidean(1), lambda w: torch.autograd.grad(w.sum(), torch.ones(1))[0])
    with pytest.raises(RuntimeError, match="not require grad"):
        get_cost(problem, torch.ones(1))


def test_a_cost_is_needed():
    for kind in (CostProblem, GradientProblem):
        with pytest.raises(OptionsError, match=f"{kind.__name__}: cost must be callable, got None"):
            kind(Euclidean(1), None)
