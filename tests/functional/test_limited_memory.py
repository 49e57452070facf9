"""The two loops against dense matrices, on tensors, scalars and tuples."""

from typing import Any

import pytest
import torch

from manopt_torch import Euclidean, Product, Sphere
from manopt_torch.functional.limited_memory import empty_memory, pushed, two_loop
from manopt_torch.functional.masked import lane_for
from manopt_torch.manifolds.points import leaves, map_leaves, new_axis
from tests.together import together

D = torch.float64


def operator(M: Any, x: Any, pairs: list, q: Any, scale: float | None = 1.0) -> Any:
    lane, m = lane_for(M, x), len(pairs)
    steps, changes = (empty_memory(M, x, m) for _ in range(2))
    for s, y in pairs:
        steps, changes = pushed(M, steps, s), pushed(M, changes, y)
    return two_loop(M, lane, x, q, steps, changes, m, lambda r, ratio: lane.scale(ratio if scale is None else scale, r))


@together()
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
@pytest.mark.parametrize("scaled", [False, True])
def test_it_is_the_product_of_dense_updates(batch: Any, scaled: bool) -> None:
    M, g = Euclidean(4), torch.Generator().manual_seed(0)
    x, q = torch.zeros(*batch, 4, dtype=D), torch.randn(*batch, 4, dtype=D, generator=g)
    B = torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=D))
    steps = [torch.randn(*batch, 4, dtype=D, generator=g) for _ in range(3)]
    pairs = [(s, s @ B) for s in steps]
    s, y = pairs[-1]
    scale = (s * y).sum(-1) / (y * y).sum(-1) if scaled else torch.ones(batch, dtype=D)
    H = scale[..., None, None] * torch.eye(4, dtype=D)
    for s, y in pairs:
        rho = 1 / (s * y).sum(-1)[..., None, None]
        V = torch.eye(4, dtype=D) - rho * y[..., :, None] * s[..., None, :]
        H = V.mT @ H @ V + rho * s[..., :, None] * s[..., None, :]
    truth = (H @ q[..., None])[..., 0]
    torch.testing.assert_close(operator(M, x, pairs, q, None if scaled else 1.0), truth, rtol=1e-12, atol=1e-13)


def test_pairs_without_positive_curvature_have_no_part() -> None:
    M, x, q = Euclidean(2), torch.zeros(3, 2, dtype=D), torch.ones(3, 2, dtype=D)
    good = (torch.tensor([1.0, 0.0], dtype=D).expand(3, 2), torch.tensor([4.0, 0.0], dtype=D).expand(3, 2))
    factor = torch.tensor([[1.0], [0.0], [-1.0]], dtype=D)
    mixed = (good[0], factor * good[1])
    found = operator(M, x, [mixed], q)
    torch.testing.assert_close(found, torch.tensor([[0.25, 1.0], [1.0, 1.0], [1.0, 1.0]], dtype=D))
    assert torch.equal(operator(M, x, [], q), q)


@together()
@pytest.mark.parametrize("M", [Euclidean(), Sphere(3), Product(Sphere(3), Euclidean())], ids=repr)
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_it_maps_the_newest_change_to_its_step(M: Any, batch: Any) -> None:
    g = torch.Generator().manual_seed(0)
    x = M.random_point(*batch, dtype=D, generator=g)
    s = [M.random_tangent(x, g) for _ in range(3)]
    pairs = [(v, map_leaves(lambda leaf: 2.0 * leaf, v)) for v in s]
    for found, truth in zip(leaves(operator(M, x, pairs, pairs[-1][1])), leaves(s[-1]), strict=True):
        torch.testing.assert_close(found, truth, rtol=0, atol=1e-14)


def test_a_memory_forgets_its_oldest_vector() -> None:
    M = Product(Euclidean(2), Euclidean())
    x = (torch.zeros(3, 2), torch.zeros(3))
    memory = empty_memory(M, x, 2)
    assert [leaf.shape for leaf in memory] == [(3, 2, 2), (3, 2)]
    for k in (1.0, 2.0, 3.0):
        memory = pushed(M, memory, map_leaves(lambda leaf, k=k: leaf + k, x))
    assert memory[1][0].tolist() == [2.0, 3.0] and memory[0][0].tolist() == [[2.0, 2.0], [3.0, 3.0]]
    assert new_axis(x, M.point_shape)[0].shape == (3, 1, 2)
