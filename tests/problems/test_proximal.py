"""Proximal problems."""

import pytest
import torch

from manopt_torch import (
    Circle,
    Euclidean,
    OptionsError,
    Product,
    ProximalProblem,
    ShapeError,
    get_cost,
    get_proximal_map,
)


def shrink(lam, x):
    return x.sign() * (x.abs() - lam).clamp(min=0)


def halve(lam, x):
    return x / (1 + lam)


def cost(x):
    return x.abs().sum(-1) + 0.5 * (x * x).sum(-1)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3), (0,)])
def test_maps_are_counted_from_zero(batch):
    p = ProximalProblem(Euclidean(2), cost, [shrink, halve])
    x = torch.tensor([2.0, -0.25]).expand(*batch, 2)
    assert torch.equal(get_proximal_map(p, 0.5, x, 0), torch.tensor([1.5, 0.0]).expand(*batch, 2))
    assert torch.equal(get_proximal_map(p, 1.0, x, 1), x / 2)
    assert p.counts.proximal_map == 2
    assert torch.equal(get_cost(p, x), torch.full(batch, 2.25 + 0.5 * 4.0625))


@pytest.mark.parametrize("i", [-1, 2, 5])
def test_there_is_no_map_beyond_the_last(i):
    with pytest.raises(OptionsError, match=f"there are 2 proximal maps, counted from 0; got i={i}"):
        get_proximal_map(ProximalProblem(Euclidean(2), cost, [shrink, halve]), 1.0, torch.ones(2), i)


def test_a_single_map_and_a_generator_will_do():
    assert ProximalProblem(Euclidean(2), cost, shrink).number_of_proxes == (1,)
    assert ProximalProblem(Euclidean(2), cost, (f for f in (shrink, halve))).number_of_proxes == (1, 1)


def test_number_of_proxes():
    assert ProximalProblem(Euclidean(2), cost, [shrink, halve], number_of_proxes=[3, 1]).number_of_proxes == (3, 1)


@pytest.mark.parametrize("counts", [[1], [1, 2, 3], [0, 1], [1, 1.5], [1, True]])
def test_number_of_proxes_must_fit(counts):
    with pytest.raises(OptionsError, match=r"number_of_proxes needs 2 ints >= 1, got"):
        ProximalProblem(Euclidean(2), cost, [shrink, halve], number_of_proxes=counts)


@pytest.mark.parametrize("maps", [[], (), iter(())])
def test_at_least_one_map_is_needed(maps):
    with pytest.raises(OptionsError, match="proximal_maps is empty"):
        ProximalProblem(Euclidean(2), cost, maps)


def test_maps_must_be_callable():
    with pytest.raises(OptionsError, match="proximal map must be callable, got float"):
        ProximalProblem(Euclidean(2), cost, [shrink, 0.5])
    with pytest.raises(OptionsError, match="proximal_maps must be a list, one entry a map, got None"):
        ProximalProblem(Euclidean(2), cost, None)
    with pytest.raises(OptionsError, match="number_of_proxes must be a list, one entry a map, got 2"):
        ProximalProblem(Euclidean(2), cost, [shrink, halve], number_of_proxes=2)


def test_parameters_of_their_own_data_and_tuple_points():
    M = Product(Circle(), Euclidean())
    target = torch.tensor([1.0, 3.0])

    def prox(lam, x, y):
        return x[0], (x[1] + lam * y) / (1 + lam)

    p = ProximalProblem(M, lambda x, y: (x[1] - y) ** 2 / 2, [prox], data=(target,))
    x = (torch.zeros(2), torch.zeros(2))
    _, moved = get_proximal_map(p, torch.tensor([1.0, 2.0]), x, 0)
    assert moved.tolist() == [0.5, 2.0]


@pytest.mark.parametrize(
    ("prox", "words"),
    [
        (lambda lam, x: None, "result of proximal map 1 must be a tensor .*got NoneType"),
        (lambda lam, x: x[..., :1], r"shape of the point.*\(\*batch, 2\), got \(3, 1\)"),
        (lambda lam, x: x[0], r"batch axes \(\), the point has \(3,\)"),
    ],
)
def test_what_a_map_returns_must_be_a_point_for_each_problem(prox, words):
    p = ProximalProblem(Euclidean(2), cost, [shrink, prox])
    with pytest.raises(ShapeError, match=words):
        get_proximal_map(p, 1.0, torch.ones(3, 2), 1)
