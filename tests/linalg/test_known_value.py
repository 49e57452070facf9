"""Remembered functions of matrices: they are told apart by value, and nobody's record takes one for a constant."""

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from manopt_torch import FixedRank, HermitianPositiveDefinite, Manifold, SymmetricPositiveDefinite
from manopt_torch.linalg.known_value import OfLastMatrix


def counted() -> tuple[OfLastMatrix, list[int]]:
    calls = [0]

    def doubled(X: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        return 2 * X

    return OfLastMatrix(doubled), calls


@torch.no_grad()
def test_a_matrix_is_known_by_its_entries_and_its_dtype() -> None:
    f, calls = counted()
    X = torch.eye(2)
    assert f(X) is f(X.clone()) and calls == [1]
    for changed in (X.double(), 3 * X, X * torch.nan, torch.eye(3), 1j * X):
        torch.testing.assert_close(f(changed), 2 * changed, equal_nan=True)
    assert calls == [6]
    f(torch.stack([X, X]))
    f(torch.stack([X, X]))
    assert calls == [8], "what belongs to a batch is not remembered"


CHANGES: list[Callable[..., object]] = [
    lambda x, array: x.mul_(4.0),
    lambda x, array: x.data.mul_(4.0),
    lambda x, array: np.multiply(array, 4.0, out=array),
    lambda x, array: x.set_(4.0 * x),
]


@torch.no_grad()
@pytest.mark.parametrize("change", CHANGES)
def test_a_point_that_is_changed_in_place_has_a_new_metric(change: Callable[..., object]) -> None:
    M = SymmetricPositiveDefinite(3)
    array = np.eye(3)
    x, u = torch.from_numpy(array), torch.eye(3, dtype=torch.float64)
    assert M.norm(x, u).square().item() == pytest.approx(3.0)
    change(x, array)
    assert M.norm(x, u).square().item() == pytest.approx(3.0 / 16)
    torch.testing.assert_close(M.exp(x, u), 4 * torch.exp(torch.tensor(0.25, dtype=x.dtype)) * u)


@pytest.mark.parametrize(
    "M", [SymmetricPositiveDefinite(5), HermitianPositiveDefinite(3), FixedRank(5, 4, 2)], ids=repr
)
def test_a_memory_that_is_warm_changes_no_bits_and_no_derivative(M: Manifold) -> None:
    generator = torch.Generator().manual_seed(0)
    x = M.random_point(generator=generator, dtype=torch.float64)
    u, v = M.random_tangent(x, generator), M.random_tangent(x, generator)
    cold = copy.deepcopy(M)
    recorded = cold.inner(x, u, v)  # nothing is remembered while derivatives are recorded
    with torch.no_grad():
        y = cold.retract(x, u)
        for _ in range(2):
            assert torch.equal(M.inner(x, u, v), recorded)
            torch.testing.assert_close(M.retract(x, u), y, rtol=0, atol=0)
            torch.testing.assert_close(M.transport(x, y, u), copy.deepcopy(M).transport(x, y, u), rtol=0, atol=0)

    def squared(z: torch.Tensor) -> torch.Tensor:
        point = z if isinstance(x, torch.Tensor) else (x[0], z, x[2])
        return M.inner(point, u, u)

    S = x if isinstance(x, torch.Tensor) else x[1]
    slope = torch.func.grad(squared)(S)
    with torch.no_grad():
        twice = torch.func.vmap(squared)(torch.stack([S, 2 * S]))
    h = 1e-6 * torch.ones_like(S)
    expected = (squared(S + h) - squared(S - h)) / 2
    torch.testing.assert_close((slope.conj() * h).real.sum(), expected, rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(twice, torch.stack([squared(S), squared(2 * S)]))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("trace", [torch.jit.trace, lambda f, x: make_fx(f)(*x)])
def test_traces_hold_no_remembered_value(trace: Callable[..., Callable[[torch.Tensor], torch.Tensor]]) -> None:
    M, u, x = SymmetricPositiveDefinite(2), torch.eye(2), torch.eye(2)
    M.norm(x, u)
    traced = trace(lambda x: M.norm(x, u), (x,))
    assert traced(2 * x) == M.norm(2 * x, u)


def test_copies_and_pickles_leave_the_value_behind() -> None:
    M, x = FixedRank(3, 3, 1), torch.full((1, 1), 2.0)
    with torch.no_grad():
        held = M._inverse(x)
        for other in (copy.deepcopy(M), pickle.loads(pickle.dumps(M))):
            assert other._inverse(x) is not held and torch.equal(other._inverse(x), held)
