"""Values that cost and derivatives share: computed once a point, and never that of another."""

import copy
import pickle
from typing import Any

import pytest
import torch

from manopt_torch import (
    Euclidean,
    HessianProblem,
    OptionsError,
    Product,
    SharedValue,
    Sphere,
    TrustRegionsOptions,
    conjugate_gradient,
    solve,
    steepest_descent,
)

D = torch.float64
W = torch.tensor([1.0, 2.0, 4.0], dtype=D)


def counted(function: Any) -> tuple[SharedValue, list[int]]:
    calls = [0]

    def one_more(*arguments: Any) -> Any:
        calls[0] += 1
        return function(*arguments)

    return SharedValue(one_more), calls


def start(*batch: int) -> torch.Tensor:
    return Sphere(3).random_point(*batch, generator=torch.Generator().manual_seed(3), dtype=D)


@pytest.mark.parametrize("batch", [(), (4,)])
def test_a_run_computes_it_once_a_trial(batch):
    product, calls = counted(lambda x: W * x)
    given = {"euclidean_gradient": lambda x: 2 * product(x)}
    o = conjugate_gradient(Sphere(3), lambda x: (x * product(x)).sum(-1), start(*batch), return_options=True, **given)
    plain = {"euclidean_gradient": lambda x: 2 * (W * x)}
    assert torch.equal(o.x, conjugate_gradient(Sphere(3), lambda x: (x * (W * x)).sum(-1), start(*batch), **plain))
    assert calls[0] == o.evaluations["cost"] > o.evaluations["gradient"] > 5


def test_hessians_share_it_too():
    product, calls = counted(lambda x: W * x)
    problem = HessianProblem(
        Sphere(3),
        lambda x: 0.25 * (x * product(x)).sum(-1) ** 2,
        euclidean_gradient=lambda x: (x * product(x)).sum(-1, True) * product(x),
        euclidean_hessian=lambda x, u: (
            2 * (u * product(x)).sum(-1, True) * product(x) + (x * product(x)).sum(-1, True) * (W * u)
        ),
    )
    o = solve(problem, TrustRegionsOptions(start()))
    assert o.x.abs()[0] == pytest.approx(1.0) and o.evaluations["hessian"] > calls[0] == o.evaluations["cost"]


def test_data_belong_to_the_arguments():
    weights = torch.stack([W, W.flip(0), 2 * W])
    product, calls = counted(lambda x, w: w * x)
    cost, given = lambda x, w: (x * product(x, w)).sum(-1), {"euclidean_gradient": lambda x, w: 2 * product(x, w)}
    o = steepest_descent(Sphere(3), cost, start(3), data=(weights,), return_options=True, **given)
    plain = {"euclidean_gradient": lambda x, w: 2 * (w * x)}
    alone = steepest_descent(Sphere(3), lambda x, w: (x * (w * x)).sum(-1), start(3), data=(weights,), **plain)
    assert torch.equal(o.x, alone) and len(set(o.iterations.tolist())) > 1
    assert calls[0] == o.evaluations["cost"], "also after problems have left the batch"


def test_what_is_another_point_or_another_record_is_computed_anew():
    double, calls = counted(lambda x: 2 * x)
    x = torch.ones(2, dtype=D)
    assert double(x) is double(x) and calls == [1]
    assert double(x.clone()).tolist() == [2.0, 2.0] and calls == [2], "as many entries, another point"
    assert double(x) is double(x) and calls == [2], "the last but one"
    x.mul_(3.0)
    assert double(x).tolist() == [6.0, 6.0] and calls == [3], "written into"
    with torch.no_grad():
        assert double(x).tolist() == [6.0, 6.0] and calls == [4]
    leaf = torch.ones(2, dtype=D, requires_grad=True)
    with torch.no_grad():
        double(leaf)
    assert torch.autograd.grad(double(leaf).sum(), leaf)[0].tolist() == [2.0, 2.0]
    with torch.inference_mode():
        fixed = torch.ones(2, dtype=D)
        assert double(fixed).tolist() == [2.0, 2.0]


def test_transforms_keep_nothing():
    double, calls = counted(lambda x: 2 * x)
    x = torch.ones(3, 2, dtype=D)
    mapped = torch.func.vmap(lambda x: double(x) + double(x))(x)
    slope = torch.func.grad(lambda x: (double(x) * double(x)).sum())(x[0])
    assert mapped.tolist() == [[4.0, 4.0]] * 3 and slope.tolist() == [8.0, 8.0] and calls == [4]


def test_points_of_several_tensors_copies_and_pickles():
    M = Product(Sphere(3), Euclidean(2))
    x = M.random_point(dtype=D)
    product = SharedValue(_first)
    assert product(x) is product(x)
    for other in (copy.deepcopy(product), copy.copy(product), pickle.loads(pickle.dumps(product))):
        assert other(x) is not product(x) and torch.equal(other(x), product(x))


def _first(x: Any) -> torch.Tensor:
    return 2 * x[0]


def test_it_is_called_by_its_function():
    assert repr(SharedValue(_first)) == "SharedValue(_first)"


def test_it_must_be_a_function():
    with pytest.raises(OptionsError, match=r"SharedValue: function must be callable"):
        SharedValue(torch.ones(2))
