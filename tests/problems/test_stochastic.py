"""Sums of many terms, in their three forms."""

import copy
from typing import Any

import pytest
import torch

from manopt_torch import (
    CountedProblem,
    Euclidean,
    FixedRandomEvalOrder,
    LinearEvalOrder,
    MissingDerivativeError,
    OptionsError,
    RandomEvalOrder,
    ShapeError,
    StochasticProblem,
    get_cost,
    get_cost_and_gradient,
    get_gradient,
    get_hessian,
)
from tests.together import together

D = torch.float64
M = Euclidean(4)
GENERATOR = torch.Generator().manual_seed(0)
A = torch.randn(3, 10, 4, dtype=D, generator=GENERATOR)  # three problems of ten terms
Y = torch.randn(3, 10, dtype=D, generator=GENERATOR)
X = torch.randn(3, 4, dtype=D, generator=GENERATOR)


def residuals(x: torch.Tensor, a: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (a * x.unsqueeze(-2)).sum(-1) - y


def rows_cost(x: torch.Tensor, a: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return residuals(x, a, y).square().sum(-1)


def rows_gradient(x: torch.Tensor, a: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return 2 * (residuals(x, a, y)[..., None] * a).sum(-2)


def by_rows(**more: Any) -> StochasticProblem:
    return StochasticProblem(M, rows_cost, data=(A, Y), **more)


def by_index(gradient: Any = None, **more: Any) -> StochasticProblem:
    return StochasticProblem(M, lambda x, i: rows_cost(x, A[:, i], Y[:, i]), gradient, terms=10, **more)


def by_list(gradient: Any = None, **more: Any) -> StochasticProblem:
    costs = [lambda x, j=j: rows_cost(x, A[:, j : j + 1], Y[:, j : j + 1]) for j in range(10)]
    return StochasticProblem(M, costs, gradient, **more)


FORMS = [by_rows, by_index, by_list]
every_form = pytest.mark.parametrize("form", FORMS)


@every_form
def test_to_others_it_is_the_whole_sum(form: Any) -> None:
    p = form()
    torch.testing.assert_close(get_cost(p, X), rows_cost(X, A, Y))
    cost, gradient = get_cost_and_gradient(p, X)
    torch.testing.assert_close(cost, rows_cost(X, A, Y))
    torch.testing.assert_close(gradient, rows_gradient(X, A, Y))
    hessian = 2 * (A * (A * X[:, None]).sum(-1, True)).sum(-2)
    torch.testing.assert_close(get_hessian(p, X, X), hessian)


@together()
@every_form
@pytest.mark.parametrize("batch_size", [1, 3, 10, 99, None])
@pytest.mark.parametrize("order", [None, LinearEvalOrder(), FixedRandomEvalOrder(4)], ids=repr)
def test_samples_of_a_cycle_add_up_to_the_whole(form: Any, batch_size: Any, order: Any) -> None:
    p = form(batch_size=batch_size, order=order)
    length = p.steps_of_a_cycle(1)
    assert length == {1: 10, 3: 4}.get(batch_size, 1)
    for cycle in range(2):
        samples = [p.sample(cycle * length + k, 1) for k in range(1, length + 1)]
        torch.testing.assert_close(sum(s.get_cost(X) for s in samples), rows_cost(X, A, Y))
        torch.testing.assert_close(sum(s.get_gradient(X) for s in samples), rows_gradient(X, A, Y))


@every_form
def test_which_terms_a_step_sees_follows_from_its_number(form: Any) -> None:
    p = form(batch_size=2, order=RandomEvalOrder(3))
    orders = [RandomEvalOrder(3)(10, cycle) for cycle in (0, 1)]
    assert orders[0] != orders[1]
    for k in (7, 1, 10, 5, 2):  # in any order, as after a resume
        chosen = torch.tensor(orders[(k - 1) // 5][2 * ((k - 1) % 5) :][:2])
        known = rows_cost(X, A[:, chosen], Y[:, chosen])
        torch.testing.assert_close(p.sample(k, 1).get_cost(X), known, rtol=1e-14, atol=0)
        torch.testing.assert_close(form(batch_size=2, order=RandomEvalOrder(3)).sample(k, 1).get_cost(X), known)


@pytest.mark.parametrize("name", ["gradient", "euclidean_gradient"])
def test_given_gradients_are_used(name: str) -> None:
    asked: list[int] = []

    def gradient(x: torch.Tensor, a: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        asked.append(a.shape[-2])
        return rows_gradient(x, a, y)

    listed = [lambda x, j=j: gradient(x, A[:, j : j + 1], Y[:, j : j + 1]) for j in range(10)]
    problems = [
        by_rows(batch_size=3, **{name: gradient}),
        StochasticProblem(
            M,
            lambda x, i: rows_cost(x, A[:, i], Y[:, i]),
            terms=10,
            batch_size=3,
            **{name: lambda x, i: gradient(x, A[:, i], Y[:, i])},
        ),
        StochasticProblem(M, by_list_costs(), batch_size=3, **{name: listed}),
    ]
    plain = by_rows(batch_size=3)
    for p, seen in zip(problems, ([10, 3], [10, 3], [1] * 13), strict=True):
        asked.clear()
        torch.testing.assert_close(get_gradient(p, X), rows_gradient(X, A, Y))
        torch.testing.assert_close(p.sample(2, 1).get_gradient(X), plain.sample(2, 1).get_gradient(X))
        assert asked == seen
        assert "hessian" not in p.provides
        with pytest.raises(MissingDerivativeError, match="Hessian"):
            get_hessian(p, X, X)


def by_list_costs() -> list[Any]:
    return [lambda x, j=j: rows_cost(x, A[:, j : j + 1], Y[:, j : j + 1]) for j in range(10)]


def test_callables_for_one_point() -> None:
    def one(x: torch.Tensor, a: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (a @ x - y).square().sum()

    rows = StochasticProblem(M, one, data=(A, Y), batch_size=4, vectorized=False)
    index = StochasticProblem(
        M, lambda x, i, a, y: one(x, a[i], y[i]), terms=10, data=(A, Y), batch_size=4, vectorized=False
    )
    listed = StochasticProblem(
        M,
        [lambda x, a, y, j=j: one(x, a[j : j + 1], y[j : j + 1]) for j in range(10)],
        data=(A, Y),
        batch_size=4,
        vectorized=False,
    )
    for p in (rows, index, listed):
        torch.testing.assert_close(get_gradient(p, X), rows_gradient(X, A, Y))
        torch.testing.assert_close(p.sample(3, 1).get_cost(X), by_rows(batch_size=4).sample(3, 1).get_cost(X))


def test_a_sample_follows_the_data_of_its_problem() -> None:
    p = by_rows(batch_size=3)
    p.sample(1, 1)
    part = p.take(torch.tensor([2, 0]), 1)
    torch.testing.assert_close(part.sample(1, 1).get_cost(X[[2, 0]]), p.sample(1, 1).get_cost(X)[[2, 0]])
    doubled = copy.copy(p)
    doubled.data = (2 * A, 2 * Y)
    torch.testing.assert_close(doubled.sample(1, 1).get_cost(X), 4 * p.sample(1, 1).get_cost(X))


def test_samples_count_for_the_problem() -> None:
    p = CountedProblem(by_rows(batch_size=3))
    p.sample(1, 1).get_cost_and_gradient(X)
    assert (p.count(":Cost"), p.count(":Gradient")) == (1, 1)


def test_terms_in_no_form_or_in_two_are_refused() -> None:
    with pytest.raises(OptionsError, match="no terms"):
        StochasticProblem(M, lambda x: x.sum(-1))
    with pytest.raises(OptionsError, match="terms=3"):
        StochasticProblem(M, [lambda x: x.sum(-1)], terms=3)
    with pytest.raises(OptionsError, match="list of 10 callables"):
        by_list(gradient=[rows_gradient])
    with pytest.raises(OptionsError, match="not both"):
        by_rows(gradient=rows_gradient, euclidean_gradient=rows_gradient)
    for wrong in ({"batch_size": 0}, {"batch_size": 2.0}, {"order": "random"}, {"terms": 0}):
        with pytest.raises(OptionsError, match=f"{next(iter(wrong))}.*"):
            by_rows(**wrong)
    with pytest.raises(OptionsError, match="list of callables"):
        StochasticProblem(M, [])


def test_rows_of_different_numbers_are_refused() -> None:
    p = StochasticProblem(M, rows_cost, data=(A, Y[:, :9]))
    with pytest.raises(ShapeError, match="axis of terms"):
        p.check_data((3,))
    with pytest.raises(ShapeError, match="axis of terms"):
        StochasticProblem(M, rows_cost, data=(A[:, 0, 0],)).check_data((3,))
